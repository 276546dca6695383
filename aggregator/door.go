package aggregator

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Limits and times of the door.
const (
	gather      = 128             // messages looked at together
	busyLimit   = 2 * time.Second // how long a full pool is waited for
	waitingFor  = 30 * time.Second
	maxWaiting  = 100_000
	atctSamples = 8192
	maxCodes    = 64
	maxDevices  = 20_000 // whose rate is watched
)

// A door decides which records go on to agreement.
type door struct {
	da    *DA
	queue chan mqtt.Message

	mu      sync.Mutex
	waiting map[[32]byte]time.Time // accepted, not final: since when
	rates   map[string]*bucket     // by device
	counts  console.Counters
	atct    []float64 // ms, the newest atctSamples
	atctAt  int
}

func newDoor(d *DA) *door {
	return &door{
		da: d, queue: make(chan mqtt.Message, d.cfg.QueueMessages), waiting: make(map[[32]byte]time.Time),
		rates: make(map[string]*bucket), counts: console.Counters{Refused: make(map[string]uint64)},
	}
}

// take is the handler of up/record. It never blocks: the pipe keeps the order
// of its messages by calling it from one goroutine.
func (d *door) take(m mqtt.Message) {
	select {
	case d.queue <- m:
	default:
		d.mu.Lock()
		d.counts.Dropped++
		d.mu.Unlock()
	}
}

// An item is one record on its way through the door.
type item struct {
	topic  wire.Topic
	sealed []byte
	id     [32]byte
	rec    *ledger.Checked
	err    error
}

// run takes messages in order: it checks signatures on all processors and hands
// the records on one after another.
func (d *door) run(ctx context.Context) error {
	for {
		var batch []mqtt.Message
		select {
		case <-ctx.Done():
			return nil
		case m := <-d.queue:
			batch = append(batch, m)
		}
		for len(batch) < gather && len(d.queue) > 0 {
			batch = append(batch, <-d.queue)
		}
		var items []item
		for _, m := range batch {
			items = append(items, d.unpack(m)...)
		}
		items = d.sift(items)
		if err := d.check(items); err != nil {
			return err
		}
		for i := range items {
			if err := d.pass(ctx, &items[i]); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
	}
}

// unpack reads one message. What cannot be read has no record to answer for: it
// is counted.
func (d *door) unpack(m mqtt.Message) []item {
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
		d.refused(wire.CodeMalformed, 1)
		d.da.log.Debug("message refused", "topic", m.Topic, "err", err)
		return nil
	}
	items := make([]item, len(batch.GetSealed()))
	for i, sealed := range batch.GetSealed() {
		items[i] = item{topic: t, sealed: sealed, id: seal.ID(sealed)}
	}
	return items
}

// sift answers what was answered before and leaves out what waits already or
// comes too fast.
func (d *door) sift(items []item) []item {
	now := d.da.now()
	var again []item
	d.mu.Lock()
	d.counts.Received += uint64(len(items))
	items = slices.DeleteFunc(items, func(it item) bool {
		if !d.allow(it.topic.Device, now) {
			d.counts.Dropped++
			return true
		}
		if since, ok := d.waiting[it.id]; ok && now.Sub(since) < waitingFor {
			d.counts.Duplicates++
			return true
		}
		if d.da.answers.has(it.id) {
			d.counts.Duplicates++
			again = append(again, it)
			return true
		}
		return false
	})
	d.mu.Unlock()
	for _, it := range again {
		d.da.outbox.final(it)
	}
	return items
}

// check runs the full check of each record, on all processors.
func (d *door) check(items []item) error {
	var g errgroup.Group
	workers := runtime.GOMAXPROCS(0)
	for w := range min(workers, len(items)) {
		g.Go(func() error {
			for i := w; i < len(items); i += workers {
				items[i].rec, items[i].err = d.da.app.check(items[i].sealed)
			}
			return nil
		})
	}
	return g.Wait()
}

// pass hands one checked record to agreement or refuses it.
func (d *door) pass(ctx context.Context, it *item) error {
	if it.err == nil && it.rec.Record.GetSender() != it.topic.Device {
		it.err = &ledger.Refusal{Code: wire.CodeWrongTopic, Reason: fmt.Sprintf("sent on the topic of %q by %q", it.topic.Device,
			it.rec.Record.GetSender())}
	}
	if it.err != nil {
		code, reason := refusal(it.err)
		d.refused(code, 1)
		d.da.outbox.refuse(*it, code, reason)
		return nil
	}
	err := d.enter(ctx, it.id, it.sealed)
	var r *ledger.Refusal
	switch {
	case err == nil, ctx.Err() != nil:
		return nil
	case errors.Is(err, consensus.ErrStopped):
		return nil // Run ends for the reason agreement gives
	case errors.As(err, &r):
		d.refused(r.Code, 1)
		d.da.outbox.refuse(*it, r.Code, r.Reason)
	default:
		d.mu.Lock()
		d.counts.Dropped++
		d.mu.Unlock()
		d.da.log.Warn("record dropped", "sender", it.topic.Device, "err", err)
	}
	return nil
}

// enter puts a checked record into the pool; a full pool is waited for a
// little, which holds back the queue behind it.
func (d *door) enter(ctx context.Context, id [32]byte, sealed []byte) error {
	d.mu.Lock()
	if len(d.waiting) >= maxWaiting {
		d.mu.Unlock()
		return consensus.ErrBusy
	}
	d.waiting[id] = d.da.now()
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, busyLimit)
	defer cancel()
	for {
		err := d.da.node.Submit(ctx, sealed)
		if err == nil {
			d.mu.Lock()
			d.counts.Accepted++
			d.mu.Unlock()
			return nil
		}
		if errors.Is(err, consensus.ErrBusy) {
			seen := d.da.blocks.value()
			if d.da.blocks.wait(ctx, seen) == nil {
				continue // a block has made room
			}
		}
		d.mu.Lock()
		delete(d.waiting, id)
		d.mu.Unlock()
		return err
	}
}

// submit is the way in past the brokers.
func (d *door) submit(ctx context.Context, sealed []byte) error {
	id := seal.ID(sealed)
	d.mu.Lock()
	d.counts.Received++
	_, waits := d.waiting[id]
	d.mu.Unlock()
	if waits || d.da.answers.has(id) {
		d.mu.Lock()
		d.counts.Duplicates++
		d.mu.Unlock()
		return nil
	}
	if _, err := d.da.app.check(sealed); err != nil {
		code, _ := refusal(err)
		d.refused(code, 1)
		return err
	}
	return d.enter(ctx, id, sealed)
}

// droppedLater is told by agreement of records that can stand in no block any
// more, such as one whose counter another record of the same sender took.
func (d *door) droppedLater(sealed []byte, reason error) {
	id := seal.ID(sealed)
	d.mu.Lock()
	delete(d.waiting, id)
	d.mu.Unlock()
	if d.da.answers.has(id) {
		return
	}
	code, why := refusal(reason)
	d.refused(code, 1)
	signer, _, err := seal.Peek(sealed)
	if err != nil {
		return // it was checked at the door, so this cannot be
	}
	if p, ok := d.da.state.Participant(signer); ok {
		d.da.outbox.refuse(item{topic: wire.Topic{Topics: wire.Topics{Site: p.Site, Device: signer}}, sealed: sealed, id: id}, code, why)
	}
}

// final books the records of a committed block.
func (d *door) final(st *ledger.Staged, now time.Time) {
	outcomes := st.Outcomes()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, id := range st.RecordIDs() {
		if !outcomes[i].GetApplied() {
			d.countRefused(outcomes[i].GetCode(), 1)
		}
		since, ok := d.waiting[id]
		if !ok {
			continue
		}
		delete(d.waiting, id)
		ms := float64(now.Sub(since).Microseconds()) / 1000
		if len(d.atct) < atctSamples {
			d.atct = append(d.atct, ms)
		} else {
			d.atct[d.atctAt] = ms
			d.atctAt = (d.atctAt + 1) % atctSamples
		}
	}
}

// forget drops the marks of records that no block took, so that their senders
// may bring them again, and rates at rest.
func (d *door) forget() {
	now := d.da.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, since := range d.waiting {
		if now.Sub(since) > waitingFor {
			delete(d.waiting, id)
		}
	}
	for device, b := range d.rates {
		if now.Sub(b.at) > time.Minute {
			delete(d.rates, device)
		}
	}
}

func (d *door) refused(code string, n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.countRefused(code, n)
}

func (d *door) countRefused(code string, n uint64) {
	if _, ok := d.counts.Refused[code]; !ok && len(d.counts.Refused) >= maxCodes {
		code = "other"
	}
	d.counts.Refused[code] += n
}

// counters returns a copy of the counters with the quantiles of now.
func (d *door) counters() console.Counters {
	d.mu.Lock()
	c := d.counts
	c.Refused = make(map[string]uint64, len(d.counts.Refused))
	for k, v := range d.counts.Refused {
		c.Refused[k] = v
	}
	c.Pending = len(d.waiting)
	sorted := slices.Clone(d.atct)
	d.mu.Unlock()
	slices.Sort(sorted)
	c.ATCT = console.Quantiles{N: len(sorted), P50: quantile(sorted, 0.50), P95: quantile(sorted, 0.95), P99: quantile(sorted, 0.99)}
	return c
}

// quantile is the nearest-rank quantile of sorted values; 0 of none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// A bucket lets a device burst and then holds it to its rate.
type bucket struct {
	at     time.Time
	tokens float64
}

// allow takes one token of a device; the caller holds mu.
func (d *door) allow(device string, now time.Time) bool {
	b := d.rates[device]
	if b == nil {
		if len(d.rates) >= maxDevices {
			return false
		}
		b = &bucket{at: now, tokens: float64(d.da.cfg.Burst)}
		d.rates[device] = b
	}
	return b.take(now, d.da.cfg.RecordsPerS, float64(d.da.cfg.Burst))
}

func (b *bucket) take(now time.Time, perS, burst float64) bool {
	b.tokens = min(burst, b.tokens+max(0, now.Sub(b.at).Seconds())*perS)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
