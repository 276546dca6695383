package outbox

import (
	"cmp"
	"slices"
	"time"
)

// InFlight is over how many counters the records go that are sent and wait for
// their outcome. The ledger remembers four times as many of a sender, so that
// none of them becomes too old to be told from one it has seen.
const InFlight = 256

// oldest is the smallest counter that waits for its outcome, 0 for none; o.mu is
// held.
func (o *Outbox) oldest() uint64 {
	for _, q := range o.queue {
		if !q.doubt {
			return q.counter
		}
	}
	return 0
}

// Oldest returns the smallest counter that waits for its outcome, and 0 when
// none does.
func (o *Outbox) Oldest() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.oldest()
}

// window returns the records that may be under way now; o.mu is held.
func (o *Outbox) window() []*queued {
	oldest := o.oldest()
	if oldest == 0 {
		return o.queue
	}
	end, _ := slices.BinarySearchFunc(o.queue, oldest+InFlight, func(q *queued, counter uint64) int { return cmp.Compare(q.counter, counter) })
	return o.queue[:end]
}

// Hold sends nothing until a time, and then the records from a counter on again:
// the data aggregators did not take them.
func (o *Outbox) Hold(from uint64, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.quiet = until
	for _, q := range o.queue {
		if q.counter >= from && !q.doubt {
			q.due, q.attempts = time.Time{}, 0
		}
	}
}

// Doubt keeps a record of which the data aggregators say only that its counter
// was used: what became of it is in a block whose receipt may still come. It is
// sent again, but seldom, and holds no other record back. [Limits] end it.
func (o *Outbox) Doubt(id [32]byte, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q, ok := o.byID[id]; ok {
		q.doubt, q.attempts = true, maxDoublings
		q.due = now.Add(o.limits.Resend << maxDoublings)
	}
}

// maxDoublings is how often the time to the next attempt doubles.
const maxDoublings = 4
