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
	busyLimit  = 2 * time.Second // how long Submit waits for a full pool
	waitingFor = 30 * time.Second
	maxWaiting = 100_000
	maxDevices = 20_000 // whose rate is watched
)

// Config bounds what comes in.
type Config struct {
	// QueueMessages bounds the messages not yet looked at.
	QueueMessages int
	// RecordsPerS and Burst bound what one device may bring. A record counts as
	// one for each KiB that it begins.
	RecordsPerS float64
	Burst       int
	// Now is the wall clock.
	Now func() time.Time
	Log *slog.Logger
	// Took, if not nil, is told how long each record took to its block.
	Took func(time.Duration)
}

// Needs are what an Intake asks of others.
type Needs struct {
	// Check is the ledger's full check of a sealed record; an error is a
	// refusal. It is safe for concurrent use.
	Check func(sealed []byte) (*ledger.Checked, error)
	// Last is the greatest counter of a sender that is final. It may be nil.
	Last func(sender string) uint64
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
	// PutOff asks a sender to send its records from a counter on again, after a
	// while.
	PutOff(to wire.Topics, from uint64, after time.Duration)
}

// ErrStopped is what Submit wraps when agreement ends.
var ErrStopped = errors.New("agreement has stopped")

// An Intake decides which records go on to agreement.
type Intake struct {
	cfg   Config
	needs Needs
	wake  chan struct{} // a line has something

	mu          sync.Mutex
	lines       map[string]*line       // by device
	ring        []*line                // those with something, in turn
	queued      int                    // messages in all lines
	queuedBytes int                    // and their bytes
	waiting     map[[32]byte]time.Time // accepted, not final: since when
	room        chan struct{}          // closed at the next block
	stats       Stats
	took        []float64 // ms to final, the newest tookSamples
	tookAt      int
	forgot      forgotten
}

// New returns an Intake; Run makes it work.
func New(cfg Config, needs Needs) *Intake {
	return &Intake{
		cfg: cfg, needs: needs, wake: make(chan struct{}, 1), waiting: make(map[[32]byte]time.Time),
		lines: make(map[string]*line), room: make(chan struct{}), stats: Stats{Refused: make(map[string]uint64)},
	}
}

// An item is one record on its way in.
type item struct {
	topic   wire.Topic
	sealed  []byte
	id      [32]byte
	counter uint64 // unverified
	oldest  uint64 // what the sender says of its batch
	rec     *ledger.Checked
	err     error
}

// Run takes messages until the context ends: one of each device in turn, and those
// of one device in order. It checks signatures on all processors and hands the
// records on one after another.
func (in *Intake) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		messages, lost := in.round()
		if len(messages)+len(lost) == 0 {
			select {
			case <-ctx.Done():
			case <-in.wake:
			}
			continue
		}
		var items []item
		for _, m := range messages {
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
		in.mu.Lock()
		for _, l := range lost {
			in.putOff(l, in.next(l, l.to.Device, 0), retryRoom)
		}
		in.mu.Unlock()
	}
	return nil
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
		in.warn(in.refused(wire.CodeMalformed), m.Topic, wire.CodeMalformed, err.Error())
		return nil
	}
	items := make([]item, len(batch.GetSealed()))
	for i, sealed := range batch.GetSealed() {
		items[i] = item{topic: t, sealed: sealed, id: seal.ID(sealed), counter: counterOf(sealed), oldest: batch.GetOldest()}
	}
	return items
}

// sift answers what was answered before, and leaves out what waits already, what
// comes too fast, and what has a gap before it: were it taken, the missing records
// could become too old for the ledger.
func (in *Intake) sift(items []item) []item {
	now := in.cfg.Now()
	var again []item
	in.mu.Lock()
	in.stats.Received += uint64(len(items))
	for i := range items {
		if l := in.lines[items[i].topic.Device]; l != nil {
			l.stop = 0
		}
	}
	items = slices.DeleteFunc(items, func(it item) bool {
		if since, ok := in.waiting[it.id]; ok && now.Sub(since) < waitingFor {
			in.stats.Duplicates++
			return true
		}
		l := in.lineOf(it.topic.Device)
		if l == nil {
			in.stats.Dropped++
			return true
		}
		l.to = it.topic.Topics
		if tokens := float64(1 + max(0, len(it.sealed)-1)/tokenBytes); !l.rate.take(now, in.cfg.RecordsPerS, float64(in.cfg.Burst), tokens) {
			in.stats.Dropped++
			in.putOff(l, it.counter, l.rate.until(in.cfg.RecordsPerS, tokens))
			return true
		}
		if in.needs.Receipts.Has(it.id) {
			in.stats.Duplicates++
			again = append(again, it)
			return true
		}
		if it.oldest > 0 {
			if next := in.next(l, it.topic.Device, it.oldest); it.counter > next {
				in.stats.Dropped++
				in.putOff(l, next, retrySoon)
				return true
			}
		}
		l.top = max(l.top, it.counter)
		return false
	})
	in.mu.Unlock()
	for _, it := range again {
		in.needs.Receipts.Repeat(it.topic.Topics, it.id)
	}
	return items
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
	if in.behindStop(it) {
		return
	}
	err := in.enter(ctx, it.id, it.sealed, false)
	var r *ledger.Refusal
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.Is(err, ErrStopped): // the DA ends for the reason agreement gives
	case errors.As(err, &r):
		in.refuse(it, r)
	case temporary(err):
		in.noRoom(it)
	default:
		in.count(func(s *Stats) { s.Dropped++ })
		in.cfg.Log.Warn("record dropped", "sender", it.topic.Device, "err", err)
	}
}

// behindStop says whether a record comes behind one of its sender's that found no
// room in this round.
func (in *Intake) behindStop(it *item) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	l := in.lines[it.topic.Device]
	if l == nil || l.stop == 0 || it.counter < l.stop {
		return false
	}
	in.stats.Dropped++
	return true
}

// noRoom stops a sender at a record that agreement has no room for.
func (in *Intake) noRoom(it *item) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stats.Dropped++
	if l := in.lineOf(it.topic.Device); l != nil {
		l.stop, l.top = it.counter, min(l.top, it.counter-1)
		in.putOff(l, it.counter, retryRoom)
	}
}

func (in *Intake) refuse(it *item, r *ledger.Refusal) {
	in.warn(in.refused(r.Code), it.topic.Device, r.Code, r.Reason)
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
// little, if that is wanted.
func (in *Intake) enter(ctx context.Context, id [32]byte, sealed []byte, wait bool) error {
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
		if wait && temporary(err) {
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
	return in.enter(ctx, id, sealed, true)
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
	n := in.refused(r.Code)
	if signer, _, err := seal.Peek(sealed); err == nil { // it was checked when it came in
		in.warn(n, signer, r.Code, r.Reason)
		in.needs.Receipts.RefuseSender(signer, id, r.Code, r.Reason)
	}
}

// Final books the records of a committed block.
func (in *Intake) Final(st *ledger.Staged) {
	now, outcomes := in.cfg.Now(), st.Outcomes()
	nth := make(map[int]uint64) // by the place of what was refused
	in.mu.Lock()
	for i, id := range st.RecordIDs() {
		if !outcomes[i].GetApplied() {
			nth[i] = in.stats.refuse(outcomes[i].GetCode())
		}
		if since, ok := in.waiting[id]; ok {
			delete(in.waiting, id)
			in.noteFinal(now.Sub(since))
		}
	}
	close(in.room)
	in.room = make(chan struct{})
	in.mu.Unlock()
	for i := range outcomes {
		if n, refused := nth[i]; refused { // the log is written without the lock
			in.warn(n, st.Records()[i].Record.GetSender(), outcomes[i].GetCode(), outcomes[i].GetReason())
		}
	}
}

// Forget drops the marks of records that no block took, so that their senders
// may bring them again, and lines at rest.
func (in *Intake) Forget() {
	now := in.cfg.Now()
	in.mu.Lock()
	count, oldest := 0, time.Duration(0)
	for id, since := range in.waiting {
		if age := now.Sub(since); age > waitingFor {
			delete(in.waiting, id)
			count, oldest = count+1, max(oldest, age)
		}
	}
	for device, l := range in.lines {
		if !l.inRing && now.Sub(l.rate.at) > time.Minute {
			delete(in.lines, device)
		}
	}
	say, told := in.unanswered(now, count, oldest)
	in.mu.Unlock()
	if told {
		in.cfg.Log.Warn("records found no block in time; their senders bring them again", "count", say.count, "oldest_s", int(say.oldest.Seconds()))
	}
}
