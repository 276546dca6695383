package agent

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairwatt/model/neighbours"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Bounds of what data aggregators may make a device keep and check.
const (
	maxDeliveriesWaiting = 8                        // of one data aggregator
	deliveriesAtOnce     = 32                       // of one data aggregator, before it is held to a rate
	deliveryEvery        = nowcast.EveryMs / 300    // ms between two, as package exchange gathers
	maxStrangers         = neighbours.MaxNeighbours // senders whose keys too few vouch for
	strangerMs           = 60_000                   // how long a sender's vouchers may take
)

// A listener checks what data aggregators hand over, on a goroutine of its own:
// signatures cost time, and none of it is the sensing loop's. It believes no
// single data aggregator: a sender's key counts when f+1 of them name it, and the
// nowcast when that key has signed it.
type listener struct {
	to        wire.Topics
	chain     *Chain
	simulated bool
	clock     Clock
	log       *slog.Logger
	heard     chan *nowcast.Signed // to the loop
	taken     atomic.Uint64

	// of the goroutine
	roll      *nowcast.Roll
	last      map[string]string // sealed nowcast taken last, by signer
	strangers map[string]int64  // when a sender without enough vouchers was first seen, ms
	rates     map[string]*rate

	wake    chan struct{}
	mu      sync.Mutex
	queue   []mqtt.Message
	waiting map[string]int    // in the queue, by data aggregator
	refused map[string]uint64 // by code
}

// A rate lets a data aggregator hand over so much.
type rate struct {
	at     time.Time
	tokens float64
}

func newListener(cfg *Config, deps *Deps) *listener {
	return &listener{
		to: wire.Topics{Site: cfg.Site, Device: cfg.Device}, chain: deps.Chain, simulated: cfg.Simulated, clock: deps.Clock, log: deps.Logger,
		heard: make(chan *nowcast.Signed, 2*neighbours.MaxNeighbours), roll: nowcast.NewRoll(wire.Vouchers(len(deps.Chain.DAs))),
		last: make(map[string]string), strangers: make(map[string]int64), rates: make(map[string]*rate),
		wake: make(chan struct{}, 1), waiting: make(map[string]int), refused: make(map[string]uint64),
	}
}

func aggregatorOf(topic string) string { return topic[strings.LastIndexByte(topic, '/')+1:] }

// post takes a message and never waits: it runs on a goroutine of a pipe.
func (l *listener) post(m mqtt.Message) {
	da := aggregatorOf(m.Topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.chain.keys()[da] == nil:
		l.refused[nowcast.CodeUnknown]++
		return
	case m.Retained: // a delivery never is: it would be of no known time
		l.refused[nowcast.CodeStale]++
		return
	case l.waiting[da] >= maxDeliveriesWaiting:
		l.refused[nowcast.CodeFlood]++
		return
	}
	l.queue = append(l.queue, m)
	l.waiting[da]++
	select {
	case l.wake <- struct{}{}:
	default: // it is to wake already
	}
}

func (l *listener) next() (m mqtt.Message, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return m, false
	}
	m, l.queue = l.queue[0], l.queue[1:]
	l.waiting[aggregatorOf(m.Topic)]--
	return m, true
}

// run checks deliveries until the context ends.
func (l *listener) run(ctx context.Context) {
	for ctx.Err() == nil {
		m, ok := l.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-l.wake:
			}
			continue
		}
		found, err := l.open(m)
		if err != nil {
			l.refuse(err)
		}
		for _, n := range found {
			select {
			case l.heard <- n:
			case <-ctx.Done():
				return
			}
		}
	}
}

// open returns the nowcasts of a delivery that are their senders'.
func (l *listener) open(m mqtt.Message) ([]*nowcast.Signed, error) {
	da, now := aggregatorOf(m.Topic), l.clock.Wall()
	switch {
	case l.clock.Synced != nil && !l.clock.Synced():
		return nil, nowcast.Refuse(nowcast.CodeClockUnknown, "delivery of %s: this clock is not synchronised, so its age is not known", da)
	case !l.allows(da, now):
		return nil, nowcast.Refuse(nowcast.CodeFlood, "delivery of %s: more than %d at once", da, deliveriesAtOnce)
	}
	das := l.chain.keys()
	l.roll.Members(das, wire.Vouchers(len(das)))
	list, err := nowcast.OpenDelivery(m.Payload, da, l.chain.ID, func(id string) (ed25519.PublicKey, bool) {
		key, ok := das[id]
		return key, ok
	}, l.to, now.UnixMilli())
	if err != nil {
		return nil, err
	}
	var out []*nowcast.Signed
	for _, v := range list {
		n, err := l.vouched(da, v, now.UnixMilli())
		if err != nil {
			l.refuse(err)
		} else if n != nil {
			out = append(out, n)
		}
	}
	return out, nil
}

// vouched returns one nowcast if its sender's key is known and has signed it; nil if
// it was taken before, or more data aggregators have to name the key.
func (l *listener) vouched(da string, v nowcast.Vouched, nowMs int64) (*nowcast.Signed, error) {
	if len(v.Sealed) > nowcast.MaxBytes {
		return nil, nowcast.Refuse(nowcast.CodeMalformed, "nowcast handed over by %s: %d bytes, at most %d", da, len(v.Sealed), nowcast.MaxBytes)
	}
	signer, _, err := seal.Peek(v.Sealed)
	if err != nil {
		return nil, nowcast.Refuse(nowcast.CodeMalformed, "nowcast handed over by %s: %v", da, err)
	}
	key, err := seal.ParseKey(string(v.Key))
	if err != nil {
		return nil, nowcast.Refuse(nowcast.CodeMalformed, "nowcast of %s handed over by %s: key %q: %v", signer, da, v.Key, err)
	}
	l.roll.Say(da, signer, key, nowMs)
	if l.last[signer] == string(v.Sealed) {
		return nil, nil
	}
	key, known := l.roll.Key(signer, nowMs)
	if !known {
		return nil, l.strange(da, signer, nowMs)
	}
	delete(l.strangers, signer)
	n, err := nowcast.Open(v.Sealed, l.chain.ID, func(string) (ed25519.PublicKey, bool) { return key, true })
	switch {
	case err != nil:
		return nil, err
	case n.Simulated && !l.simulated:
		return nil, nowcast.Refuse(nowcast.CodeSimulated, "nowcast of %s: it is simulated, and this device is not", signer)
	}
	if len(l.last) >= 4*neighbours.MaxNeighbours { // then some are checked twice
		clear(l.last)
	}
	l.last[signer] = string(v.Sealed)
	return n, nil
}

// strange notes a sender whose key too few data aggregators name. The others'
// deliveries may be under way; after a minute it is a refusal.
func (l *listener) strange(da, signer string, nowMs int64) error {
	first, known := l.strangers[signer]
	if !known {
		if len(l.strangers) >= maxStrangers {
			clear(l.strangers)
		}
		l.strangers[signer] = nowMs
		return nil
	}
	if nowMs-first <= strangerMs {
		return nil
	}
	return nowcast.Refuse(nowcast.CodeUnvouched, "nowcast of %s: handed over by %s, and fewer than %d data aggregators name its key", signer, da, wire.Vouchers(len(l.chain.keys())))
}

// allows holds a data aggregator to a rate: each delivery may cost as many
// signatures as it holds nowcasts.
func (l *listener) allows(da string, now time.Time) bool {
	r := l.rates[da]
	if r == nil {
		r = &rate{at: now, tokens: deliveriesAtOnce}
		l.rates[da] = r
	}
	every := moment{speed: l.clock.Speed}.tellEvery(deliveryEvery)
	r.tokens = min(deliveriesAtOnce, r.tokens+max(0, float64(now.Sub(r.at))/float64(every)))
	r.at = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// refuse counts what does not hold, by its code. The 1st, 2nd, 4th and so on are
// logged: a flood of them fills no disk.
func (l *listener) refuse(err error) {
	code := nowcast.CodeOf(err)
	l.mu.Lock()
	l.refused[code]++
	n := l.refused[code]
	l.mu.Unlock()
	if n&(n-1) == 0 {
		l.log.Warn("nowcast refused", "code", code, "refused", n, "err", err)
	}
}
