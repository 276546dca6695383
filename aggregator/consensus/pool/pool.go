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

// Limits bound a pool: all of it, what one sender has in it, and what one other
// DA has handed over.
type Limits struct {
	Records, Bytes             int
	SenderRecords, SenderBytes int
	PeerRecords, PeerBytes     int
}

// A Record waits in the pool until a block decides it.
type Record struct {
	ID     string
	Sealed []byte
	// Own: submitted here. This node sees to it that the leader gets it; an
	// adopted one (of another DA) is only kept and watched.
	Own    bool
	sender *sender
	peer   *share    // who handed it over, nil of an own one
	at     time.Time // when it came
	handed time.Time // when it last went to a leader; zero: not yet
	led    time.Time // when it first went to the leader of now, over its terms
	shared time.Time // when it last went to all
	tries  int
	left   int           // how often a block of ours had to leave it out
	queued bool          // stands in fresh
	in     *list.Element // of the pool's order
	of     *list.Element // of the sender's records
}

// A share is what one sender or one peer has in the pool.
type share struct{ records, bytes int }

func (s *share) add(r *Record) { s.records++; s.bytes += len(r.Sealed) }
func (s *share) sub(r *Record) { s.records--; s.bytes -= len(r.Sealed) }

func (s *share) room(size, records, bytes int) bool {
	return s.records < records && s.bytes+size <= bytes
}

// A sender is who signed records that wait.
type sender struct {
	name string
	share
	records *list.List // oldest first
	fresh   []*Record  // not handed over in the current term
	credit  int        // bytes it may hand over in its turn
	inTurn  bool       // its turn has begun, and may go on in the next call of Take
	turn    *list.Element
	head    *list.Element // of the pool's heads
	since   time.Time     // when its oldest record became the oldest
	served  time.Time     // when one of its records was last decided, zero for never
	passed  int           // how many were decided since
}

// A Pool holds what is pending, oldest first, bounded in records and bytes. It
// outlives epochs and views, unlike the library's own pool.
type Pool struct {
	limits Limits

	mu      sync.Mutex
	byID    map[string]*Record
	order   *list.List // of records
	senders map[string]*sender
	turn    *list.List // of senders that have fresh records
	heads   *list.List // of senders, by since
	peers   map[string]*share
	term    Term
	bytes   int
	// served is the latest handing-over to their leader among the records decided
	// so far.
	served time.Time
	wake   chan struct{}
}

// New returns an empty pool with its bounds.
func New(limits Limits) *Pool {
	return &Pool{
		limits: limits, byID: make(map[string]*Record), order: list.New(), senders: make(map[string]*sender),
		turn: list.New(), heads: list.New(), peers: make(map[string]*share), wake: make(chan struct{}, 1),
	}
}

// Notify wakes who waits for [Pool.Wake].
func (p *Pool) Notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Add keeps a record of a sender; one already there is kept once. peer is the DA
// that handed it over, empty for one submitted here.
func (p *Pool) Add(id, from string, sealed []byte, peer string, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := peer == ""
	if r, ok := p.byID[id]; ok {
		if own && !r.Own {
			r.Own = true
			p.releasePeer(r)
			p.queue(r) // as another's it was passed over
			p.Notify()
		}
		return nil
	}
	if err := p.room(from, peer, len(sealed)); err != nil {
		return err
	}
	r := &Record{ID: id, Sealed: sealed, Own: own, at: now}
	if !own {
		if p.peers[peer] == nil {
			p.peers[peer] = &share{}
		}
		r.peer = p.peers[peer]
		r.peer.add(r)
	}
	s := p.senders[from]
	if s == nil {
		s = &sender{name: from, records: list.New(), since: now}
		s.head = p.heads.PushBack(s)
		p.senders[from] = s
	}
	r.sender = s
	s.add(r)
	r.in, r.of = p.order.PushBack(r), s.records.PushBack(r)
	p.byID[id] = r
	p.bytes += len(sealed)
	p.queue(r)
	p.Notify()
	return nil
}

// room says what there is no room in.
func (p *Pool) room(from, peer string, size int) error {
	all := share{len(p.byID), p.bytes}
	switch l := p.limits; {
	case !all.room(size, l.Records, l.Bytes):
		return fmt.Errorf("%w: %d records with %d bytes are pending", ErrBusy, all.records, all.bytes)
	case p.senders[from] != nil && !p.senders[from].room(size, l.SenderRecords, l.SenderBytes):
		s := p.senders[from]
		return fmt.Errorf("%w: %d records with %d bytes of %q are pending", ErrBusy, s.share.records, s.share.bytes, from)
	case p.peers[peer] != nil && !p.peers[peer].room(size, l.PeerRecords, l.PeerBytes):
		s := p.peers[peer]
		return fmt.Errorf("%w: %d records with %d bytes that %s handed over are pending", ErrBusy, s.records, s.bytes, peer)
	}
	return nil
}

func (p *Pool) releasePeer(r *Record) {
	if r.peer != nil {
		r.peer.sub(r)
		r.peer = nil
	}
}

func (p *Pool) queue(r *Record) {
	if !r.queued && r.handed.IsZero() {
		r.queued = true
		r.sender.fresh = append(r.sender.fresh, r)
		p.takesTurns(r.sender)
	}
}

func (p *Pool) takesTurns(s *sender) {
	if s.turn == nil && len(s.fresh) > 0 {
		s.turn = p.turn.PushBack(s)
	}
}

// Remove forgets decided or refused records and returns those that were there.
func (p *Pool) Remove(ids []string, decided bool, now time.Time) []*Record {
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
		p.leave(r, decided, now)
		p.releasePeer(r)
		p.bytes -= len(r.Sealed)
		if decided && r.led.After(p.served) {
			p.served = r.led
		}
		gone = append(gone, r)
	}
	return gone
}

// leave takes a record from its sender, and forgets a sender without any.
func (p *Pool) leave(r *Record, decided bool, now time.Time) {
	s := r.sender
	if decided {
		s.served = now
		s.passed++
	}
	oldest := s.records.Front() == r.of
	s.records.Remove(r.of)
	r.in, r.of = nil, nil
	s.sub(r)
	switch {
	case s.records.Len() == 0:
		p.heads.Remove(s.head)
		if s.turn != nil {
			p.turn.Remove(s.turn)
		}
		delete(p.senders, s.name)
	case oldest:
		s.since, s.passed = now, 0
		p.heads.MoveToBack(s.head)
	}
}

// quantum is how many bytes a sender may hand over in its turn.
const quantum = 512

// Take returns up to limit records to hand over in the term at: to the own
// library when this node leads, else the own ones for the leader. Senders take
// turns, and each has as many bytes a turn. A new term starts over with all.
func (p *Pool) Take(at Term, leads bool, limit int, now time.Time) (out []*Record, again int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at != p.term {
		p.begin(at)
	}
	for len(out) < limit && p.turn.Len() > 0 {
		s := p.turn.Front().Value.(*sender)
		if !s.inTurn {
			s.credit, s.inTurn = min(s.credit, len(s.fresh[0].Sealed))+quantum, true
		}
		for len(s.fresh) > 0 && len(out) < limit {
			r := s.fresh[0]
			skip := r.in == nil || !leads && !r.Own
			if !skip && len(r.Sealed) > s.credit {
				break
			}
			s.fresh[0] = nil // the array behind lives on
			s.fresh = s.fresh[1:]
			r.queued = false
			if skip {
				continue
			}
			s.credit -= len(r.Sealed)
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
		switch {
		case len(s.fresh) == 0:
			p.turn.Remove(s.turn)
			s.turn, s.fresh, s.credit, s.inTurn = nil, nil, 0, false
		case len(out) < limit:
			p.turn.MoveToBack(s.turn)
			s.inTurn = false
		}
	}
	if p.turn.Len() > 0 {
		p.Notify()
	}
	return out, again
}

// begin makes all records fresh for a new term.
func (p *Pool) begin(at Term) {
	other := at.Leader != p.term.Leader
	p.term = at
	for _, s := range p.senders {
		s.fresh = s.fresh[:0]
	}
	for e := p.order.Front(); e != nil; e = e.Next() {
		r := e.Value.(*Record)
		if other {
			r.led = time.Time{}
		}
		r.queued = true
		r.sender.fresh = append(r.sender.fresh, r)
		p.takesTurns(r.sender)
	}
}

// PutBack makes records the next ones of their senders to be taken again.
func (p *Pool) PutBack(rs []*Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	back := make(map[*sender][]*Record)
	for _, r := range rs {
		if r.in != nil && !r.queued {
			r.queued = true
			back[r.sender] = append(back[r.sender], r)
		}
	}
	for _, r := range rs { // the senders in the order of what they handed over
		if list := back[r.sender]; list != nil {
			delete(back, r.sender)
			r.sender.fresh = append(list, r.sender.fresh...)
			p.takesTurns(r.sender)
		}
	}
}

// overdueOf bounds the overdue records of one sender at a time.
const overdueOf = 8

// Overdue returns up to limit own records that went to the leader of now, and to
// all, longer ago than after, and marks them as gone to all. They are of senders
// of whom the leader has decided nothing for as long: who has much waits for its
// turns.
func (p *Pool) Overdue(after time.Duration, limit int, now time.Time) []*Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*Record
	for h := p.heads.Front(); h != nil && len(out) < limit; h = h.Next() {
		s := h.Value.(*sender)
		if now.Sub(s.since) <= after {
			break
		}
		n := 0
		for e := s.records.Front(); e != nil && n < overdueOf && len(out) < limit; e = e.Next() {
			r := e.Value.(*Record)
			n++
			if !r.led.IsZero() && now.Sub(r.led) > after && r.Own && now.Sub(r.shared) > after {
				r.handed, r.shared = now, now
				r.tries++
				out = append(out, r)
			}
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

// orderly is how many records of a sender may be decided before its oldest: as
// many as a sender that keeps to the rules has under way. The order of a sender with
// more is its own fault: not every DA has room for all of its records.
const orderly = 256

// Overtaken returns a record that the leader seems to leave out on purpose: it is
// its sender's oldest, and since it is and the sender was last served, records were
// decided that were handed over later by more than margin; or it has waited ten
// times that, and no more than orderly many of its sender passed it. In both, since
// the leader began to lead, be it epochs ago. One of this node's own must have been
// handed over twice. Without such a record it returns the one that has been its
// sender's oldest for longest.
func (p *Pool) Overtaken(margin time.Duration, began, now time.Time) (*Record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first *Record
	for h := p.heads.Front(); h != nil; h = h.Next() {
		s := h.Value.(*sender)
		r := s.records.Front().Value.(*Record)
		if first == nil {
			first = r
		}
		if now.Sub(s.since) <= margin {
			break // and so have all behind it
		}
		if r.Own && r.tries < 2 {
			continue
		}
		since := s.since
		if r.Own && r.led.After(since) {
			since = r.led
		}
		for _, t := range []time.Time{began, s.served} {
			if since.Before(t) {
				since = t
			}
		}
		if p.served.Sub(since) > margin || now.Sub(s.since) > 10*margin && now.Sub(began) > 10*margin && s.passed <= orderly {
			return r, true
		}
	}
	return first, false
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
