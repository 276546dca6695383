package exchange

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"time"

	"fairwatt/aggregator/intake"
	"fairwatt/model/neighbours"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/wire"
)

// Bounds of what agents may make a data aggregator keep and do.
const (
	queued     = 1024   // messages not yet looked at
	maxSenders = 20_000 // whose newest nowcast is kept
	burst      = 4      // nowcasts of one sender at once
	perEvery   = 2.0    // and in the time between two
	// gathers is how many times in that time deliveries may go out.
	gathers = 300
)

// Config says whose exchange it is, and for whom.
type Config struct {
	DA    string
	Key   crypto.Signer
	Chain [32]byte
	Pipes []mqtt.Pipe
	// Participant returns the site and key under which a device is registered.
	Participant func(id string) (site string, key ed25519.PublicKey, ok bool)
	// DistanceKM is how far a nowcast is handed; 0 hands none on.
	DistanceKM float64
	// Every is how often an honest agent tells a nowcast.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// An Exchange keeps the newest nowcast of each sender and hands it on.
type Exchange struct {
	cfg   Config
	queue chan mqtt.Message
	wake  chan struct{} // something is to be delivered

	mu      sync.Mutex
	senders map[string]*sender
	stats   Stats
}

// A sender is a registered device that tells nowcasts, and is handed others'.
type sender struct {
	rate   *intake.Bucket
	newest *nowcast.Signed // nil before the first, and after it was withdrawn
	key    ed25519.PublicKey
	madeMs int64           // of the newest that was ever taken
	due    map[string]bool // senders whose newest it has not been handed
	all    bool            // all of them
}

// New returns an Exchange; Run makes it work.
func New(cfg Config) *Exchange {
	return &Exchange{
		cfg: cfg, queue: make(chan mqtt.Message, queued), wake: make(chan struct{}, 1),
		senders: make(map[string]*sender), stats: Stats{Refused: make(map[string]uint64)},
	}
}

// Take is the handler of the nowcasts' topics. It never blocks.
func (e *Exchange) Take(m mqtt.Message) {
	select {
	case e.queue <- m:
	default:
		e.mu.Lock()
		e.stats.Dropped++
		e.mu.Unlock()
	}
}

// Again hands a device that came online all that is near it.
func (e *Exchange) Again(to wire.Topics) {
	e.mu.Lock()
	s := e.senders[to.Device]
	if s != nil {
		s.all = true
	}
	e.mu.Unlock()
	if s != nil {
		e.rouse()
	}
}

func (e *Exchange) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run works until the context ends.
func (e *Exchange) Run(ctx context.Context) error {
	gather := max(e.cfg.Every/gathers, 10*time.Millisecond)
	var timer *time.Timer
	var due <-chan time.Time
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-e.queue:
			if err := e.take(m); err != nil {
				e.refuse(m, err)
			}
		case <-e.wake:
			if due == nil {
				timer = time.NewTimer(gather)
				due = timer.C
			}
		case <-due:
			due = nil
			e.deliver(ctx)
		}
	}
}

// take keeps one nowcast, if it holds. Its errors have a code of package nowcast.
func (e *Exchange) take(m mqtt.Message) error {
	t, err := wire.ParseTopic(m.Topic)
	if err != nil {
		return nowcast.Refuse(nowcast.CodeMalformed, "nowcast: %v", err)
	}
	site, key, ok := e.cfg.Participant(t.Device)
	if !ok || site != t.Site {
		return nowcast.Refuse(nowcast.CodeUnknown, "nowcast: %s/%s is not registered on this chain", t.Site, t.Device)
	}
	now := e.cfg.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.senders[t.Device]
	if s == nil {
		if e.forget(now); len(e.senders) >= maxSenders {
			return nowcast.Refuse(nowcast.CodeFull, "nowcast of %s: %d senders are kept already", t.Device, maxSenders)
		}
		s = &sender{rate: intake.NewBucket(now, burst), due: make(map[string]bool)}
		e.senders[t.Device] = s
	}
	if len(m.Payload) == 0 { // withdrawn; its time is kept, against replays
		s.newest = nil
		return nil
	}
	if s.newest != nil && bytes.Equal(s.newest.Sealed, m.Payload) {
		e.stats.Duplicates++ // by another broker, or retained
		return nil
	}
	if !s.rate.Take(now, perEvery/e.cfg.Every.Seconds(), burst) {
		return nowcast.Refuse(nowcast.CodeFlood, "nowcast of %s: more than %d at once; one every %s is wanted", t.Device, burst, e.cfg.Every)
	}
	got, err := nowcast.Open(m.Payload, e.cfg.Chain, func(signer string) (ed25519.PublicKey, bool) { return key, signer == t.Device })
	if err != nil {
		return err
	}
	switch err := got.Counts(now.UnixMilli()); {
	case got.From != t.Topics:
		return nowcast.Refuse(nowcast.CodeWrongTopic, "nowcast of %s/%s: on the topic of %s/%s", got.From.Site, got.From.Device, t.Site, t.Device)
	case err != nil:
		return err
	case got.MadeAtMs <= s.madeMs:
		return nowcast.Refuse(nowcast.CodeReplayed, "nowcast of %s: made_ms %d, and one of %d was taken before", t.Device, got.MadeAtMs, s.madeMs)
	}
	first := s.newest == nil || s.newest.Counts(now.UnixMilli()) != nil
	s.newest, s.key, s.madeMs = got, key, got.MadeAtMs
	s.all = s.all || first
	e.stats.Taken++
	if near, others := e.mark(got, now); near == 0 && others > 0 {
		// It is kept: a neighbour may come.
		return nowcast.Refuse(nowcast.CodeFar, "nowcast of %s: none of the %d others is within %g km", t.Device, others, e.cfg.DistanceKM)
	}
	return nil
}

// mark notes who is to be handed a nowcast; e.mu is held. It returns how many are
// near, of how many others.
func (e *Exchange) mark(n *nowcast.Signed, now time.Time) (near, others int) {
	for id, s := range e.senders {
		if id == n.Sender || s.newest == nil || s.newest.Counts(now.UnixMilli()) != nil {
			continue
		}
		others++
		if s.newest.Position.KM(n.Position) <= e.cfg.DistanceKM {
			near++
			s.due[n.Sender] = true
		}
	}
	if near > 0 {
		e.rouse()
	}
	return near, others
}

// forget drops senders that have said nothing for so long that nothing of theirs
// could be replayed; e.mu is held.
func (e *Exchange) forget(now time.Time) {
	for id, s := range e.senders {
		if now.UnixMilli()-s.madeMs > neighbours.FreshMs+neighbours.SkewMs && s.rate.Full(now, perEvery/e.cfg.Every.Seconds(), burst) {
			delete(e.senders, id)
		}
	}
}

// refuse counts and names what did not hold. The 1st, 2nd, 4th and so on of each
// code are logged: a flood of them fills no disk.
func (e *Exchange) refuse(m mqtt.Message, err error) {
	code := nowcast.CodeOf(err)
	if m.Retained && code == nowcast.CodeStale {
		return // kept by the broker, of a device that went long ago
	}
	e.mu.Lock()
	e.stats.Refused[code]++
	n := e.stats.Refused[code]
	e.stats.Last = Refused{Code: code, Text: err.Error(), At: e.cfg.Now()}
	e.mu.Unlock()
	if n&(n-1) == 0 {
		e.cfg.Log.Warn("nowcast refused", "code", code, "refused", n, "err", err)
	}
}

// deliver hands every device what it has not been handed.
func (e *Exchange) deliver(ctx context.Context) {
	for _, d := range e.deliveries() {
		sealed, err := nowcast.SealDelivery(e.cfg.Key, e.cfg.DA, e.cfg.Chain, d.to, e.cfg.Now().UnixMilli(), d.list)
		if err != nil {
			e.cfg.Log.Error("hand nowcasts on", "to", d.to.Device, "err", err)
			continue
		}
		sent := false
		for _, p := range e.cfg.Pipes {
			err := p.Publish(ctx, d.to.Neighbours(e.cfg.DA), 0, false, sealed)
			sent = sent || err == nil
			if err != nil && ctx.Err() == nil && !errors.Is(err, mqtt.ErrNotConnected) {
				e.cfg.Log.Warn("hand nowcasts on", "to", d.to.Device, "err", err)
			}
		}
		if ctx.Err() != nil {
			return
		}
		if sent {
			e.mu.Lock()
			e.stats.Deliveries++
			e.stats.Handed += uint64(len(d.list))
			e.mu.Unlock()
		}
	}
}
