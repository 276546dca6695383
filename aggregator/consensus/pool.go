package consensus

import (
	"container/list"
	"fmt"
	"sync"
	"time"
)

// place is a leader's term: records handed to one leader are handed over again
// to the next.
type place struct{ epoch, view uint64 }

// A record waits in the pool until a block decides it.
type record struct {
	id     string
	sealed []byte
	// own: submitted here. This node sees to it that the leader gets it; an
	// adopted one (of another DA) is only kept and watched.
	own    bool
	at     time.Time // when it came
	handed time.Time // when it last went to a leader; zero: not yet
	tries  int
	left   int  // how often a block of ours had to leave it out
	queued bool // stands in fresh
	in     *list.Element
}

// pool holds what is pending, oldest first, bounded in records and bytes. It
// outlives epochs and views, unlike the library's own pool.
type pool struct {
	maxRecords, maxBytes int

	mu    sync.Mutex
	byID  map[string]*record
	order *list.List
	fresh []*record // not handed over in the current place
	place place
	bytes int
	// served is the latest handing-over among the records decided so far.
	served time.Time
	wake   chan struct{}
}

func newPool(maxRecords, maxBytes int) *pool {
	return &pool{maxRecords: maxRecords, maxBytes: maxBytes, byID: make(map[string]*record), order: list.New(), wake: make(chan struct{}, 1)}
}

func (p *pool) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// add keeps a record; one already there is kept once.
func (p *pool) add(id string, sealed []byte, own bool, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.byID[id]; ok {
		if own && !r.own {
			r.own = true
			p.queue(r) // as another's it was passed over
			p.notify()
		}
		return nil
	}
	if len(p.byID) >= p.maxRecords || p.bytes+len(sealed) > p.maxBytes {
		return fmt.Errorf("%w: %d records with %d bytes are pending", ErrBusy, len(p.byID), p.bytes)
	}
	r := &record{id: id, sealed: sealed, own: own, at: now}
	r.in = p.order.PushBack(r)
	p.byID[id] = r
	p.bytes += len(sealed)
	p.queue(r)
	p.notify()
	return nil
}

func (p *pool) queue(r *record) {
	if !r.queued && r.handed.IsZero() {
		r.queued = true
		p.fresh = append(p.fresh, r)
	}
}

// remove forgets decided or refused records and returns those that were there.
func (p *pool) remove(ids []string, decided bool) []*record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gone []*record
	for _, id := range ids {
		r, ok := p.byID[id]
		if !ok {
			continue
		}
		delete(p.byID, id)
		p.order.Remove(r.in)
		r.in = nil
		p.bytes -= len(r.sealed)
		if decided && r.handed.After(p.served) {
			p.served = r.handed
		}
		gone = append(gone, r)
	}
	return gone
}

// take returns up to limit records to hand over in place at: to the own
// library when this node leads, else the own ones for the leader. A new place
// starts over with all.
func (p *pool) take(at place, leads bool, limit int, now time.Time) (out []*record, again int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at != p.place {
		p.place = at
		p.fresh = p.fresh[:0]
		for e := p.order.Front(); e != nil; e = e.Next() {
			r := e.Value.(*record)
			r.queued = true
			p.fresh = append(p.fresh, r)
		}
	}
	i := 0
	for ; i < len(p.fresh) && len(out) < limit; i++ {
		r := p.fresh[i]
		r.queued = false
		if r.in == nil || !leads && !r.own {
			continue
		}
		if r.tries > 0 {
			again++
		}
		r.tries++
		r.handed = now
		out = append(out, r)
	}
	p.fresh = p.fresh[i:]
	if len(p.fresh) == 0 {
		p.fresh = nil
	} else {
		p.notify()
	}
	return out, again
}

// putBack makes records the next ones to be taken again.
func (p *pool) putBack(rs []*record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range rs {
		r.queued = true
	}
	p.fresh = append(append(make([]*record, 0, len(rs)+len(p.fresh)), rs...), p.fresh...)
}

// overdue returns up to limit own records handed over longer ago than after
// and marks them handed again.
func (p *pool) overdue(after time.Duration, limit int, now time.Time) []*record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*record
	for e := p.order.Front(); e != nil && len(out) < limit; e = e.Next() {
		r := e.Value.(*record)
		if r.handed.IsZero() || now.Sub(r.handed) <= after {
			if !r.handed.IsZero() && r.tries < 2 {
				break // handed over in order: the rest is younger
			}
			continue
		}
		if r.own {
			r.handed = now
			r.tries++
			out = append(out, r)
		}
	}
	return out
}

// oldest returns when the oldest record came.
func (p *pool) oldest() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.order.Front()
	if e == nil {
		return time.Time{}, false
	}
	return e.Value.(*record).at, true
}

// front returns up to limit of the oldest records that came before a time.
func (p *pool) front(limit int, before time.Time) []*record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*record
	for e := p.order.Front(); e != nil && len(out) < limit; e = e.Next() {
		r := e.Value.(*record)
		if !r.at.Before(before) {
			break
		}
		out = append(out, r)
	}
	return out
}

// overtaken returns the oldest record when the leader seems to leave it out on
// purpose: records were decided that were handed over later by more than
// margin, or it has waited ten times that; in both, since the view began. One
// of this node's own must have been handed over twice.
func (p *pool) overtaken(margin time.Duration, began, now time.Time) (*record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.order.Front()
	if e == nil {
		return nil, false
	}
	r := e.Value.(*record)
	since := r.at
	if r.own {
		if r.tries < 2 {
			return r, false
		}
		since = r.handed
	}
	if since.Before(began) {
		since = began
	}
	return r, p.served.Sub(since) > margin || now.Sub(r.at) > 10*margin && now.Sub(began) > 10*margin
}

// leftOut counts that a block had to leave the record out and reports whether
// it happened too often.
func (p *pool) leftOut(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.byID[id]
	if !ok {
		return true
	}
	r.left++
	return r.left > 8
}

func (p *pool) size() (records, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byID), p.bytes
}
