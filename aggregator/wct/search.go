package wct

import (
	"math"
)

// The search's tuning. These values did best on the generator of package
// experiment, at 50 and 200 nodes. None of them decides whether a tree is
// allowed, only how soon the search finds a good one.
const (
	near          = 10      // cheapest senders and receivers of a node, tried most
	stages        = 128     // steps in which the heat falls
	hotShare      = 4       // the first heat is 1/4 of a usual edge's overhead
	halvings      = 8       // halvings of the heat from the first stage to the last
	leastPenalty  = 64      // cost of one unit below the floor, in 1/256 of a 1024th of a usual edge: least,
	firstPenalty  = 960     // at the start,
	mostPenalty   = 4096    // and most
	anyShortfall  = 64      // units for any shortfall
	edgeShortfall = 2000    // units for each edge too many over the threshold or from an untrusted node
	widthShort    = 1000    // units for each transfer too few at once
	maxShortfall  = 1 << 20 // most units that count
)

// A search improves a shape by annealing: it changes the tree at random, keeps
// better trees, and now and then, ever less often, a slightly worse one. It may
// pass through trees below the floor, at a price that rises while it stays
// there, but it remembers only allowed trees. It counts its own steps, never the
// time, and draws from a generator seeded by the input: the same input gives the
// same tree everywhere.
type search struct {
	*shape
	floor *floor
	rng   splitMix

	senders [][]int32 // by node, its cheapest senders, cheapest first
	takers  [][]int32 // by node, its cheapest receivers, cheapest first
	nodes   []int32   // attached nodes, in any order
	typical int64     // a usual edge's overhead
	penalty int64

	rootStays bool // no other node may become the root

	moveUs   int64 // price of an edge that differs from shape.stay
	enoughUs int64 // an exact time below this is worth no move

	cost    int64
	path    []int32
	profile profile

	best     []int32 // parents of the best allowed tree
	bestRoot int32
	bestCost int64
}

func newSearch(in *Input, s *shape, f *floor) *search {
	sr := &search{shape: s, floor: f, rng: splitMix(in.hash())}
	// The limit, over an hour, keeps products below 2^63.
	sr.typical = max(1, min(f.exactUs/8, 1<<32))
	return sr
}

// nearest lists each node's cheapest senders and receivers.
func (w *overheads) nearest(n int) (senders, takers [][]int32) {
	senders, takers = make([][]int32, n), make([][]int32, n)
	if w.dense == nil {
		in := make([][]edge, n)
		for i := range n {
			for _, e := range w.row(i) {
				in[e.node] = append(in[e.node], edge{int32(i), e.us})
			}
			takers[i] = cheapest(w.row(i), int32(i))
		}
		for i := range n {
			senders[i] = cheapest(in[i], int32(i))
		}
		return senders, takers
	}
	all := make([]edge, n)
	for i := range n {
		for j := range n {
			all[j] = edge{int32(j), w.dense[i][j]}
		}
		takers[i] = cheapest(all, int32(i))
		for j := range n {
			all[j] = edge{int32(j), w.dense[j][i]}
		}
		senders[i] = cheapest(all, int32(i))
	}
	return senders, takers
}

// cheapest returns the nodes at the other ends of the cheapest edges, cheapest
// first, without self.
func cheapest(edges []edge, self int32) []int32 {
	var best [near]edge
	n := 0
	for _, e := range edges {
		if e.node == self || n == near && byUs(e, best[near-1]) >= 0 {
			continue
		}
		n = min(n+1, near)
		k := n - 1
		for ; k > 0 && byUs(e, best[k-1]) < 0; k-- {
			best[k] = best[k-1]
		}
		best[k] = e
	}
	nodes := make([]int32, n)
	for k := range nodes {
		nodes[k] = best[k].node
	}
	return nodes
}

// A start is the heat at which a search begins, in 1/256 of hot.
type start int64

const (
	hot  start = 256 // takes much worse trees at first: for few nodes
	warm start = 32  // takes slightly worse trees at first
	cold start = 0   // takes only better trees
)

// run searches from the given tree for about so many steps of work.
func (s *search) run(root int32, parent []int32, budget int, from start) {
	s.set(root, parent)
	s.nodes, s.penalty, s.work = s.order(), firstPenalty, 0
	if len(s.nodes) < 3 {
		return
	}
	if s.senders == nil {
		s.senders, s.takers = s.w.nearest(len(s.parent))
	}
	for stage := range int64(stages) {
		// The heat halves so many times, in straight lines.
		left := (stages - stage) * halvings * 256 / stages
		heat := s.typical / hotShare * int64(from) >> 8 * (256 + left&255) >> (8 + halvings - left>>8)
		if s.shortfall() > 0 {
			s.penalty = min(s.penalty+s.penalty/4, mostPenalty)
		} else {
			s.penalty = max(s.penalty-s.penalty/8, leastPenalty)
		}
		s.cost = s.value()
		for until := budget / stages * int(stage+1); s.work < until; {
			s.step(heat)
		}
	}
}

// step proposes one change and keeps it or not.
func (s *search) step(heat int64) {
	s.work++
	trust, doubtful := s.sum, s.doubtful
	if !s.propose() {
		return
	}
	// The search never goes below the floor's trust: there is little room above
	// it, and the way back is hard to find.
	if s.sum < s.floor.trustSum && s.sum < trust || s.doubtful > s.floor.doubtful && s.doubtful > doubtful {
		s.undo()
		return
	}
	s.settle()
	allowance := s.cost + heat*s.rng.surprise()>>8
	// This refuses most changes without a walk over the tree.
	if s.leastValue() > allowance {
		s.undo()
		return
	}
	cost := s.valueUpTo(allowance)
	if cost > allowance {
		s.undo()
		return
	}
	s.keep()
	s.cost = cost
	if s.best == nil || cost < s.bestCost {
		s.remember()
	}
}

// value is the cost of the shape: its times, seven parts exact and one part
// level time, and the price of what it lacks to the floor.
func (s *search) value() int64 { return s.valueUpTo(math.MaxInt64) }

// valueUpTo returns value, or any number above the limit if value is above it.
func (s *search) valueUpTo(limit int64) int64 {
	s.levels(&s.profile)
	p, f := &s.profile, s.floor
	units := widthShort * int64(max(0, f.concurrencyLevel-p.width))
	if p.levelUs > f.levelUs {
		units += anyShortfall
	}
	exact := s.exactUs()
	value := s.leastValue() - exact/8 + p.levelUs/8 + s.price(units)
	if value > limit {
		return value
	}
	return value + s.price(widthShort*int64(max(0, f.concurrencyExact-p.atOnce(f.concurrencyExact))))
}

// exactUs is the exact time, but no less than enoughUs.
func (s *search) exactUs() int64 { return max(s.below[s.root], s.enoughUs) }

// leastValue is a lower bound of value that needs no walk: the level time is at
// least the exact time.
func (s *search) leastValue() int64 {
	return s.exactUs() + s.price(s.shortfall()) + int64(s.moved)*s.moveUs
}

// price is the cost of units below the floor, in microseconds.
func (s *search) price(units int64) int64 { return units * s.typical >> 10 * s.penalty >> 8 }

// shortfall is how far the shape is below the floor in the metrics that settle
// keeps, in 1e-4 of a node.
func (s *search) shortfall() int64 {
	f := s.floor
	var units int64
	if d := f.trustSum - s.sum; d > 0 {
		units += anyShortfall + d
	}
	if r := s.reach[s.root]; r < f.reach+f.rounded {
		units += anyShortfall + int64((f.reach+f.rounded-r)/(s.one/FullTrustE4))
	}
	if d := max(0, s.over-f.over) + int(max(0, s.doubtful-f.doubtful)); d > 0 {
		units += edgeShortfall * int64(d)
	}
	if s.below[s.root] > f.exactUs {
		units += anyShortfall
	}
	return min(units, maxShortfall)
}

// remember keeps the shape as the best if it is better than the best so far and
// the floor allows it.
func (s *search) remember() {
	// An allowed shape pays nothing for the floor, at whatever penalty.
	exact := s.exactUs()
	if s.best != nil && exact-exact/8 > s.bestCost || !s.floor.allows(s.shape, &s.profile) {
		return
	}
	cost := exact - exact/8 + s.profile.levelUs/8 + int64(s.moved)*s.moveUs
	if s.best != nil && cost >= s.bestCost {
		return
	}
	s.best, s.bestRoot, s.bestCost = append(s.best[:0], s.parent...), s.root, cost
}
