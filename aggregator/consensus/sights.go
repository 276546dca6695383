package consensus

import (
	"slices"
	"sync"
	"time"

	"fairwatt/aggregator/consensus/guard"
)

// This file counts what a node sees of the others as forwarders, and measures how far
// they are: what its reports say.

// A Sight is what a node saw of another member, in blocks.
type Sight struct {
	Taken  uint32 // came down the tree in time
	Late   uint32 // came down the tree after it was pulled elsewhere
	Missed uint32 // did not come down the tree
	Given  uint32 // sent to that member
	// OverheadUs is half of the median of the newest round trips, 0 before the first.
	OverheadUs uint32
}

const (
	// lateness is how long a block that was pulled may still come down the tree.
	lateness = 300 * time.Millisecond
	// maxSight bounds the counts, as the ledger does, and maxOverheadUs an overhead.
	maxSight, maxOverheadUs = 1_000_000, 60_000_000
	// roundTrips is over how many the median is taken.
	roundTrips = 15
	// maxAwaited bounds the blocks that may still come.
	maxAwaited = 4096
)

type sights struct {
	mu      sync.Mutex
	of      map[string]*Sight
	awaited map[guard.Place]*awaited
	trips   map[string][]time.Duration // newest last
	pinged  uint64                     // number of the newest ping
	sent    time.Time                  // when it left
}

// awaited is a block that is here, and who brings it.
type awaited struct {
	since   time.Time
	pulled  bool
	feeders []string        // who should
	in      map[string]bool // who did; true: in time
}

func (s *sights) peer(da string) *Sight {
	if s.of == nil {
		s.of = make(map[string]*Sight)
	}
	v := s.of[da]
	if v == nil {
		v = &Sight{}
		s.of[da] = v
	}
	return v
}

func (s *sights) gave(da string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.peer(da)
	v.Given = min(v.Given+1, maxSight)
}

// expect notes that a block is here, by the tree or by a pull.
func (s *sights) expect(at guard.Place, feeders []string, pulled bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.awaited) >= maxAwaited || s.awaited[at] != nil {
		return
	}
	if s.awaited == nil {
		s.awaited = make(map[guard.Place]*awaited)
	}
	s.awaited[at] = &awaited{since: now, pulled: pulled, feeders: feeders, in: make(map[string]bool)}
}

// came notes who brought a block that is here.
func (s *sights) came(at guard.Place, from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.awaited[at]; a != nil {
		if _, twice := a.in[from]; !twice {
			a.in[from] = !a.pulled
		}
	}
}

// settle counts the blocks that cannot come late any more.
func (s *sights) settle(now time.Time) { s.count(now, false) }

// turn counts at an epoch's end: what comes later is not looked at any more, and so is
// held against no one.
func (s *sights) turn(now time.Time) { s.count(now, true) }

func (s *sights) count(now time.Time, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, a := range s.awaited {
		over := now.Sub(a.since) >= lateness
		if !over && !all {
			continue
		}
		delete(s.awaited, at)
		for _, da := range a.feeders {
			v := s.peer(da)
			switch inTime, came := a.in[da]; {
			case came && inTime:
				v.Taken = min(v.Taken+1, maxSight)
			case came:
				v.Late = min(v.Late+1, maxSight)
			case over:
				v.Missed = min(v.Missed+1, maxSight)
			}
		}
	}
}

// ping returns the number of a ping that leaves now.
func (s *sights) ping(now time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pinged, s.sent = s.pinged+1, now
	return s.pinged
}

// answered takes the answer to a ping. One to an older ping took too long to count: it
// would have to be kept for each peer, and the next one tells.
func (s *sights) answered(da string, number uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number != s.pinged {
		return
	}
	if s.trips == nil {
		s.trips = make(map[string][]time.Duration)
	}
	all := append(s.trips[da], now.Sub(s.sent))
	s.trips[da] = all[max(0, len(all)-roundTrips):]
}

// Sights returns what this node has seen of the others since it was last told that it
// reported.
func (n *Node) Sights() map[string]Sight {
	s := &n.sights
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]Sight)
	for da, v := range s.of {
		out[da] = *v
	}
	for da, trips := range s.trips {
		sorted := slices.Sorted(slices.Values(trips))
		v := out[da]
		v.OverheadUs = uint32(min(max(sorted[len(sorted)/2].Microseconds()/2, 1), maxOverheadUs))
		out[da] = v
	}
	return out
}

// Reported forgets the counts of sights that are on the chain.
func (n *Node) Reported(seen map[string]Sight) {
	s := &n.sights
	s.mu.Lock()
	defer s.mu.Unlock()
	for da, v := range seen {
		p := s.peer(da)
		p.Taken -= min(p.Taken, v.Taken)
		p.Late -= min(p.Late, v.Late)
		p.Missed -= min(p.Missed, v.Missed)
		p.Given -= min(p.Given, v.Given)
	}
}

// feeders are those who should bring this node the blocks of a view: its parent, and
// the members on probation that were told to.
func (i *instance) feeders(view uint64) []string {
	self, leader := i.node.cfg.Self, i.name(i.leader(view))
	if self == leader {
		return nil
	}
	parent := i.tree(view).parent[self]
	out := []string{parent}
	for da, to := range i.epoch.Probes {
		if to == self && da != parent && da != leader {
			out = append(out, da)
		}
	}
	return out
}

// probe is whom this node sends the blocks of a view to, beside the tree; "" for no one.
func (i *instance) probe(view uint64) string {
	self, leader := i.node.cfg.Self, i.name(i.leader(view))
	if to := i.epoch.Probes[self]; to != leader && self != leader {
		return to
	}
	return ""
}
