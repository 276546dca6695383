package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Limits and times of the intake.
const (
	gather     = 128             // messages looked at together
	busyLimit  = 2 * time.Second // how long a full pool is waited for
	waitingFor = 30 * time.Second
	maxWaiting = 100_000
	maxDevices = 20_000 // whose rate is watched
)

// Config bounds what comes in.
type Config struct {
	// QueueMessages bounds the messages not yet looked at.
	QueueMessages int
	// RecordsPerS and Burst bound what one device may bring.
	RecordsPerS float64
	Burst       int
	// Now is the wall clock.
	Now func() time.Time
	Log *slog.Logger
}

// Needs are what an Intake asks of others.
type Needs struct {
	// Check is the ledger's full check of a sealed record; an error is a
	// refusal. It is safe for concurrent use.
	Check func(sealed []byte) (*ledger.Checked, error)
	// Submit hands a checked record to agreement. An error with a method
	// Temporary that is true means that there is no room now; [ErrStopped]
	// that agreement ends.
	Submit func(ctx context.Context, sealed []byte) error
	// Receipts answers senders.
	Receipts Receipts
}

// Receipts is how senders hear what became of their records.
type Receipts interface {
	// Has says whether a record is final already.
	Has(id [32]byte) bool
	// Repeat answers a record that is final already.
	Repeat(to wire.Topics, id [32]byte)
	// Refuse answers a record that did not get in. c is nil when it could not
	// be read.
	Refuse(to wire.Topics, id [32]byte, c *ledger.Checked, code, reason string)
	// RefuseSender is Refuse where only the sender's name is known.
	RefuseSender(sender string, id [32]byte, code, reason string)
}

// ErrStopped is what Submit wraps when agreement ends.
var ErrStopped = errors.New("agreement has stopped")

// An Intake decides which records go on to agreement.
type Intake struct {
	cfg   Config
	needs Needs
	queue chan mqtt.Message

	mu      sync.Mutex
	waiting map[[32]byte]time.Time // accepted, not final: since when
	rates   map[string]*Bucket     // by device
	room    chan struct{}          // closed at the next block
	stats   Stats
	took    []float64 // ms to final, the newest tookSamples
	tookAt  int
}

// New returns an Intake; Run makes it work.
func New(cfg Config, needs Needs) *Intake {
	return &Intake{
		cfg: cfg, needs: needs, queue: make(chan mqtt.Message, cfg.QueueMessages), waiting: make(map[[32]byte]time.Time),
		rates: make(map[string]*Bucket), room: make(chan struct{}), stats: Stats{Refused: make(map[string]uint64)},
	}
}

// Take is the handler of the records' topics. It never blocks: the pipe keeps
// the order of its messages by calling it from one goroutine.
func (in *Intake) Take(m mqtt.Message) {
	select {
	case in.queue <- m:
	default:
		in.count(func(s *Stats) { s.Dropped++ })
	}
}

// An item is one record on its way in.
type item struct {
	topic  wire.Topic
	sealed []byte
	id     [32]byte
	rec    *ledger.Checked
	err    error
}

// Run takes messages in order until the context ends. It checks signatures on
// all processors and hands the records on one after another.
func (in *Intake) Run(ctx context.Context) error {
	for {
		var batch []mqtt.Message
		select {
		case <-ctx.Done():
			return nil
		case m := <-in.queue:
			batch = append(batch, m)
		}
		for len(batch) < gather && len(in.queue) > 0 {
			batch = append(batch, <-in.queue)
		}
		var items []item
		for _, m := range batch {
			items = append(items, in.unpack(m)...)
		}
		items = in.sift(items)
		if err := in.check(items); err != nil {
			return err
		}
		for i := range items {
			if in.pass(ctx, &items[i]); ctx.Err() != nil {
				return nil
			}
		}
	}
}

// unpack reads one message. A message that cannot be read has no record to
// answer for: it is counted.
func (in *Intake) unpack(m mqtt.Message) []item {
	t, err := wire.ParseTopic(m.Topic)
	var batch fairwattpb.RecordBatch
	switch {
	case err != nil:
	case m.Retained:
		err = errors.New("a record is never retained")
	case len(m.Payload) > wire.MaxBatchBytes:
		err = fmt.Errorf("%d bytes, at most %d", len(m.Payload), wire.MaxBatchBytes)
	default:
		err = proto.Unmarshal(m.Payload, &batch)
	}
	if err == nil && (len(batch.GetSealed()) == 0 || len(batch.GetSealed()) > wire.MaxBatchRecords) {
		err = fmt.Errorf("%d records, want 1 to %d", len(batch.GetSealed()), wire.MaxBatchRecords)
	}
	if err != nil {
		in.refused(wire.CodeMalformed)
		in.cfg.Log.Debug("message refused", "topic", m.Topic, "err", err)
		return nil
	}
	items := make([]item, len(batch.GetSealed()))
	for i, sealed := range batch.GetSealed() {
		items[i] = item{topic: t, sealed: sealed, id: seal.ID(sealed)}
	}
	return items
}

// sift answers what was answered before, and leaves out what waits already or
// comes too fast.
func (in *Intake) sift(items []item) []item {
	now := in.cfg.Now()
	var again []item
	in.mu.Lock()
	in.stats.Received += uint64(len(items))
	items = slices.DeleteFunc(items, func(it item) bool {
		if !in.allow(it.topic.Device, now) {
			in.stats.Dropped++
			return true
		}
		if since, ok := in.waiting[it.id]; ok && now.Sub(since) < waitingFor {
			in.stats.Duplicates++
			return true
		}
		if in.needs.Receipts.Has(it.id) {
			in.stats.Duplicates++
			again = append(again, it)
			return true
		}
		return false
	})
	in.mu.Unlock()
	for _, it := range again {
		in.needs.Receipts.Repeat(it.topic.Topics, it.id)
	}
	return items
}

// allow takes one token of a device; the caller holds mu.
func (in *Intake) allow(device string, now time.Time) bool {
	b := in.rates[device]
	if b == nil {
		if len(in.rates) >= maxDevices {
			return false
		}
		b = NewBucket(now, float64(in.cfg.Burst))
		in.rates[device] = b
	}
	return b.Take(now, in.cfg.RecordsPerS, float64(in.cfg.Burst))
}

// check runs the full check of each record, on all processors.
func (in *Intake) check(items []item) error {
	var g errgroup.Group
	workers := runtime.GOMAXPROCS(0)
	for w := range min(workers, len(items)) {
		g.Go(func() error {
			for i := w; i < len(items); i += workers {
				items[i].rec, items[i].err = in.needs.Check(items[i].sealed)
			}
			return nil
		})
	}
	return g.Wait()
}

// pass hands one checked record to agreement or refuses it.
func (in *Intake) pass(ctx context.Context, it *item) {
	if it.err == nil && it.rec.Record.GetSender() != it.topic.Device {
		it.err = &ledger.Refusal{Code: wire.CodeWrongTopic, Reason: fmt.Sprintf("sent on the topic of %q by %q", it.topic.Device,
			it.rec.Record.GetSender())}
	}
	if it.err != nil {
		in.refuse(it, refusal(it.err))
		return
	}
	err := in.enter(ctx, it.id, it.sealed)
	var r *ledger.Refusal
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.Is(err, ErrStopped): // the DA ends for the reason agreement gives
	case errors.As(err, &r):
		in.refuse(it, r)
	default:
		in.count(func(s *Stats) { s.Dropped++ })
		in.cfg.Log.Warn("record dropped", "sender", it.topic.Device, "err", err)
	}
}

func (in *Intake) refuse(it *item, r *ledger.Refusal) {
	in.refused(r.Code)
	in.needs.Receipts.Refuse(it.topic.Topics, it.id, it.rec, r.Code, r.Reason)
}

// refusal returns the ledger's code and reason in an error.
func refusal(err error) *ledger.Refusal {
	var r *ledger.Refusal
	if errors.As(err, &r) {
		return r
	}
	return &ledger.Refusal{Code: "refused", Reason: err.Error()}
}

// enter hands a checked record to agreement. A full pool is waited for a
// little, which holds back the queue behind it.
func (in *Intake) enter(ctx context.Context, id [32]byte, sealed []byte) error {
	in.mu.Lock()
	if len(in.waiting) >= maxWaiting {
		in.mu.Unlock()
		return errFull
	}
	in.waiting[id] = in.cfg.Now()
	in.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, busyLimit)
	defer cancel()
	for {
		in.mu.Lock()
		room := in.room
		in.mu.Unlock()
		err := in.needs.Submit(ctx, sealed)
		if err == nil {
			in.count(func(s *Stats) { s.Accepted++ })
			return nil
		}
		if temporary(err) {
			select {
			case <-room:
				continue // a block has made room
			case <-ctx.Done():
			}
		}
		in.mu.Lock()
		delete(in.waiting, id)
		in.mu.Unlock()
		return err
	}
}

type fullError struct{}

func (fullError) Error() string { return fmt.Sprintf("%d records wait for a block", maxWaiting) }

// Temporary asks the sender to try again.
func (fullError) Temporary() bool { return true }

var errFull error = fullError{}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// Submit is the way in past the brokers. The error is a refusal, or says to try
// again by a method Temporary.
func (in *Intake) Submit(ctx context.Context, sealed []byte) error {
	id := seal.ID(sealed)
	in.mu.Lock()
	in.stats.Received++
	_, waits := in.waiting[id]
	in.mu.Unlock()
	if waits || in.needs.Receipts.Has(id) {
		in.count(func(s *Stats) { s.Duplicates++ })
		return nil
	}
	if _, err := in.needs.Check(sealed); err != nil {
		in.refused(refusal(err).Code)
		return err
	}
	return in.enter(ctx, id, sealed)
}

// Discarded is told of records that can stand in no block any more, such as one
// whose counter another record of the same sender took.
func (in *Intake) Discarded(sealed []byte, reason error) {
	id := seal.ID(sealed)
	in.mu.Lock()
	delete(in.waiting, id)
	in.mu.Unlock()
	if in.needs.Receipts.Has(id) {
		return
	}
	r := refusal(reason)
	in.refused(r.Code)
	if signer, _, err := seal.Peek(sealed); err == nil { // it was checked when it came in
		in.needs.Receipts.RefuseSender(signer, id, r.Code, r.Reason)
	}
}

// Final books the records of a committed block.
func (in *Intake) Final(st *ledger.Staged) {
	now, outcomes := in.cfg.Now(), st.Outcomes()
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, id := range st.RecordIDs() {
		if !outcomes[i].GetApplied() {
			in.stats.refuse(outcomes[i].GetCode())
		}
		if since, ok := in.waiting[id]; ok {
			delete(in.waiting, id)
			in.noteFinal(now.Sub(since))
		}
	}
	close(in.room)
	in.room = make(chan struct{})
}

// Forget drops the marks of records that no block took, so that their senders
// may bring them again, and rates at rest.
func (in *Intake) Forget() {
	now := in.cfg.Now()
	in.mu.Lock()
	defer in.mu.Unlock()
	for id, since := range in.waiting {
		if now.Sub(since) > waitingFor {
			delete(in.waiting, id)
		}
	}
	for device, b := range in.rates {
		if now.Sub(b.at) > time.Minute {
			delete(in.rates, device)
		}
	}
}
