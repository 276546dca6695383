package pool

import (
	"container/list"
	"fmt"
	"sync"
	"time"
)

// A Term is one leader's in one view: records handed over in one term are handed
// over again in the next. Patience with a leader goes on over its terms.
type Term struct {
	Epoch, View uint64
	Leader      string
}

// A Record waits in the pool until a block decides it.
type Record struct {
	ID     string
	Sealed []byte
	// Own: submitted here. This node sees to it that the leader gets it; an
	// adopted one (of another DA) is only kept and watched.
	Own    bool
	at     time.Time // when it came
	handed time.Time // when it last went to a leader; zero: not yet
	led    time.Time // when it first went to the leader of now, over its terms
	shared time.Time // when it last went to all
	tries  int
	left   int  // how often a block of ours had to leave it out
	queued bool // stands in fresh
	in     *list.Element
}

// A Pool holds what is pending, oldest first, bounded in records and bytes. It
// outlives epochs and views, unlike the library's own pool.
type Pool struct {
	maxRecords, maxBytes int

	mu    sync.Mutex
	byID  map[string]*Record
	order *list.List
	fresh []*Record // not handed over in the current term
	term  Term
	bytes int
	// served is the latest handing-over to their leader among the records decided
	// so far.
	served time.Time
	wake   chan struct{}
}

// New returns an empty pool with its bounds.
func New(maxRecords, maxBytes int) *Pool {
	return &Pool{maxRecords: maxRecords, maxBytes: maxBytes, byID: make(map[string]*Record), order: list.New(), wake: make(chan struct{}, 1)}
}

// Notify wakes who waits for [Pool.Wake].
func (p *Pool) Notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Add keeps a record; one already there is kept once.
func (p *Pool) Add(id string, sealed []byte, own bool, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.byID[id]; ok {
		if own && !r.Own {
			r.Own = true
			p.queue(r) // as another's it was passed over
			p.Notify()
		}
		return nil
	}
	if len(p.byID) >= p.maxRecords || p.bytes+len(sealed) > p.maxBytes {
		return fmt.Errorf("%w: %d records with %d bytes are pending", ErrBusy, len(p.byID), p.bytes)
	}
	r := &Record{ID: id, Sealed: sealed, Own: own, at: now}
	r.in = p.order.PushBack(r)
	p.byID[id] = r
	p.bytes += len(sealed)
	p.queue(r)
	p.Notify()
	return nil
}

func (p *Pool) queue(r *Record) {
	if !r.queued && r.handed.IsZero() {
		r.queued = true
		p.fresh = append(p.fresh, r)
	}
}

// Remove forgets decided or refused records and returns those that were there.
func (p *Pool) Remove(ids []string, decided bool) []*Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gone []*Record
	for _, id := range ids {
		r, ok := p.byID[id]
		if !ok {
			continue
		}
		delete(p.byID, id)
		p.order.Remove(r.in)
		r.in = nil
		p.bytes -= len(r.Sealed)
		if decided && r.led.After(p.served) {
			p.served = r.led
		}
		gone = append(gone, r)
	}
	return gone
}

// Take returns up to limit records to hand over in the term at: to the own
// library when this node leads, else the own ones for the leader. A new term
// starts over with all.
func (p *Pool) Take(at Term, leads bool, limit int, now time.Time) (out []*Record, again int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at != p.term {
		other := at.Leader != p.term.Leader
		p.term = at
		p.fresh = p.fresh[:0]
		for e := p.order.Front(); e != nil; e = e.Next() {
			r := e.Value.(*Record)
			if other {
				r.led = time.Time{}
			}
			r.queued = true
			p.fresh = append(p.fresh, r)
		}
	}
	i := 0
	for ; i < len(p.fresh) && len(out) < limit; i++ {
		r := p.fresh[i]
		r.queued = false
		if r.in == nil || !leads && !r.Own {
			continue
		}
		if r.tries > 0 {
			again++
		}
		r.tries++
		r.handed = now
		if r.led.IsZero() {
			r.led = now
		}
		out = append(out, r)
	}
	p.fresh = p.fresh[i:]
	if len(p.fresh) == 0 {
		p.fresh = nil
	} else {
		p.Notify()
	}
	return out, again
}

// PutBack makes records the next ones to be taken again.
func (p *Pool) PutBack(rs []*Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range rs {
		r.queued = true
	}
	p.fresh = append(append(make([]*Record, 0, len(rs)+len(p.fresh)), rs...), p.fresh...)
}

// Overdue returns up to limit own records that went to the leader of now, and to
// all, longer ago than after, and marks them as gone to all.
func (p *Pool) Overdue(after time.Duration, limit int, now time.Time) []*Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*Record
	for e := p.order.Front(); e != nil && len(out) < limit; e = e.Next() {
		r := e.Value.(*Record)
		if r.led.IsZero() {
			continue
		}
		if now.Sub(r.led) <= after {
			break // handed over in order: the rest is younger
		}
		if r.Own && now.Sub(r.shared) > after {
			r.handed, r.shared = now, now
			r.tries++
			out = append(out, r)
		}
	}
	return out
}

// Oldest returns when the oldest record came.
func (p *Pool) Oldest() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.order.Front()
	if e == nil {
		return time.Time{}, false
	}
	return e.Value.(*Record).at, true
}

// Front returns up to limit of the oldest records that came before a time.
func (p *Pool) Front(limit int, before time.Time) []*Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*Record
	for e := p.order.Front(); e != nil && len(out) < limit; e = e.Next() {
		r := e.Value.(*Record)
		if !r.at.Before(before) {
			break
		}
		out = append(out, r)
	}
	return out
}

// Overtaken returns the oldest record when the leader seems to leave it out on
// purpose: records were decided that were handed over later by more than
// margin, or it has waited ten times that; in both, since the leader began to
// lead, be it epochs ago. One of this node's own must have been handed over twice.
func (p *Pool) Overtaken(margin time.Duration, began, now time.Time) (*Record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.order.Front()
	if e == nil {
		return nil, false
	}
	r := e.Value.(*Record)
	since := r.at
	if r.Own {
		if r.tries < 2 {
			return r, false
		}
		since = r.led
	}
	if since.Before(began) {
		since = began
	}
	return r, p.served.Sub(since) > margin || now.Sub(r.at) > 10*margin && now.Sub(began) > 10*margin
}

// LeftOut counts that a block had to leave the record out and reports whether
// it happened too often.
func (p *Pool) LeftOut(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.byID[id]
	if !ok {
		return true
	}
	r.left++
	return r.left > 8
}

// Wake tells that there may be records to take.
func (p *Pool) Wake() <-chan struct{} { return p.wake }

// Size returns what is pending.
func (p *Pool) Size() (records, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byID), p.bytes
}

// ErrBusy is returned (wrapped) by [Pool.Add] when there is no room.
var ErrBusy error = busyError{}

type busyError struct{}

func (busyError) Error() string { return "consensus: no room for another pending record" }

// Temporary makes the refusal one to retry, for those who do not know ErrBusy.
func (busyError) Temporary() bool { return true }
