package wct

import (
	"cmp"
	"slices"
)

// near is how many of a node's cheapest senders and receivers the search tries
// more often than others.
const near = 10

// A search improves a shape by annealing: it changes the tree at random, keeps
// what is better, and what is a little worse now and then, ever less. It counts
// its own steps, never the time, and draws from a generator seeded by the
// input: the same input gives the same tree everywhere.
type search struct {
	*shape
	floor *floor
	rng   splitMix

	nodes    []int32   // attached, in any order
	senders  [][]int32 // by node, the cheapest to receive from, cheapest first
	takers   [][]int32 // by node, the cheapest to send to
	path     []int32
	profile  profile
	typical  int64   // an edge's usual overhead
	penalty  int64   // what falling below the floor costs, in 1/256 of the usual
	levelled bool    // level time counts
	stay     []int32 // parents that are better kept, -1 none; nil: all the same
	stayUs   int64

	cost   int64
	best   []int32 // parents of the best allowed tree
	bestUs goal
}

// A goal is what is minimised, the first first.
type goal struct{ exactUs, levelUs int64 }

func (g goal) cost() int64 { return g.exactUs - g.exactUs/8 + g.levelUs/8 }

func newSearch(in *Input, s *shape, f *floor) *search {
	sr := &search{shape: s, floor: f, rng: splitMix(in.hash())}
	sr.typical = max(1, f.exactUs/8)
	sr.senders, sr.takers = s.nearest()
	return sr
}

// nearest lists each node's cheapest senders and receivers.
func (s *shape) nearest() (senders, takers [][]int32) {
	n := len(s.parent)
	senders, takers = make([][]int32, n), make([][]int32, n)
	if s.w.dense == nil {
		in := make([][]edge, n)
		for i := range n {
			for _, e := range s.w.row(i) {
				if int(e.node) != i {
					in[e.node] = append(in[e.node], edge{int32(i), e.us})
				}
			}
			takers[i] = cheapest(slices.Clone(s.w.row(i)), int32(i))
		}
		for i := range n {
			senders[i] = cheapest(in[i], int32(i))
		}
		return senders, takers
	}
	all := make([]edge, n)
	for i := range n {
		for j := range n {
			all[j] = edge{int32(j), s.w.dense[i][j]}
		}
		takers[i] = cheapest(all, int32(i))
		for j := range n {
			all[j] = edge{int32(j), s.w.dense[j][i]}
		}
		senders[i] = cheapest(all, int32(i))
	}
	return senders, takers
}

// cheapest returns the nodes at the other ends of the cheapest edges but self.
// It sorts the edges.
func cheapest(edges []edge, self int32) []int32 {
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.us, b.us), cmp.Compare(a.node, b.node))
	})
	var nodes []int32
	for _, e := range edges {
		if e.node != self && len(nodes) < near {
			nodes = append(nodes, e.node)
		}
	}
	return nodes
}

// shortfall is how far the shape is below the floor, as a cost; the width of
// the levels and the exact concurrency are not in it.
func (s *search) shortfall() int64 {
	f := s.floor
	var units int64 // of 1e-4 of a node
	if d := f.trustSum - s.sum; d > 0 {
		units += int64(K0) + int64(K1)*d>>4
	}
	if r := s.reach[s.root]; r < f.reach+f.rounded {
		units += int64(K0) + int64(K2)*int64((f.reach+f.rounded-r)/(s.one/FullTrustE4))>>4
	}
	if d := s.over - f.over; d > 0 {
		units += 2000 * int64(d)
	}
	return min(units, 1<<20) * s.typical >> 10 * s.penalty >> 8
}

// narrow is how far both forms of concurrency are below the floor, as a cost.
func (s *search) narrow() int64 {
	d := max(0, s.floor.concurrencyLevel-s.profile.width) + max(0, s.floor.concurrencyExact-s.profile.atOnce)
	return int64(WF*d) * s.typical >> 10 * s.penalty >> 8
}

// propose changes the tree somewhere; false if the draw was no possible change.
func (s *search) propose() bool {
	u := s.pick()
	switch k := s.rng.below(16); {
	case k < 5:
		return s.moveNear(u)
	case k < 10:
		return s.swapNear(u)
	case k < 12:
		return s.trySwapNodes(u, s.anyNode())
	case k < 13:
		return s.trySwapSubtrees(u, s.anyNode())
	case k < 14:
		return s.tryMove(u, s.anyNode())
	}
	return s.splice(u)
}

func (s *search) anyNode() int32 { return s.nodes[s.rng.below(len(s.nodes))] }

// pick draws a node, half the time from the way to the last one reached: only
// a change there can make the tree faster.
func (s *search) pick() int32 {
	if s.rng.next()&1 == 0 {
		return s.anyNode()
	}
	path := s.path[:0]
	for u := s.root; ; {
		path = append(path, u)
		next := int32(-1)
		for c := s.first[u]; c >= 0; c = s.next[c] {
			if s.in[c]+s.below[c] == s.below[u] {
				next = c
				break
			}
		}
		if next < 0 {
			break
		}
		u = next
	}
	s.path = path
	return path[s.rng.below(len(path))]
}

// moveNear puts u under one of its cheapest senders, in place of one of that
// one's children if it has no link free.
func (s *search) moveNear(u int32) bool {
	if len(s.senders[u]) == 0 {
		return false
	}
	p := s.senders[u][s.rng.below(len(s.senders[u]))]
	if s.tryMove(u, p) {
		return true
	}
	c := s.first[p]
	if c < 0 {
		return false
	}
	for skip := s.rng.below(int(min(s.kids[p], near))); skip > 0; skip-- {
		c = s.next[c]
	}
	if s.rng.next()&1 == 0 {
		return s.trySwapNodes(u, c)
	}
	return s.trySwapSubtrees(u, c)
}

// swapNear puts one of the cheapest receivers of u's parent in the place of u,
// or one of the cheapest senders to a child of u.
func (s *search) swapNear(u int32) bool {
	from := s.takers
	at := s.parent[u]
	if c := s.first[u]; at < 0 || c >= 0 && s.rng.next()&1 == 0 {
		from, at = s.senders, c
	}
	if at < 0 || len(from[at]) == 0 {
		return false
	}
	return s.trySwapNodes(u, from[at][s.rng.below(len(from[at]))])
}

func (s *search) attached(u int32) bool { return s.parent[u] >= 0 || u == s.root }

func (s *search) trySwapNodes(u, v int32) bool {
	if u == v || s.kids[u] > s.links[v] || s.kids[v] > s.links[u] || !s.attached(v) {
		return false
	}
	s.swapNodes(u, v)
	return true
}

func (s *search) trySwapSubtrees(u, v int32) bool {
	if u == v || s.parent[u] == s.parent[v] || !s.attached(v) || s.isUnder(u, v) || s.isUnder(v, u) {
		return false
	}
	s.swapSubtrees(u, v)
	return true
}

func (s *search) tryMove(u, p int32) bool {
	if s.kids[p] >= s.links[p] || s.parent[u] == p || u == s.root || !s.attached(p) || s.isUnder(p, u) {
		return false
	}
	s.cut(u)
	s.link(u, p)
	return true
}

// splice takes u, of one child or none, out of its chain and puts it between
// another node and its parent, or under it.
func (s *search) splice(u int32) bool {
	if s.kids[u] > 1 || u == s.root {
		return false
	}
	var c int32
	if len(s.takers[u]) > 0 && s.rng.next()&1 == 0 {
		c = s.takers[u][s.rng.below(len(s.takers[u]))]
	} else {
		c = s.anyNode()
	}
	child, p := s.first[u], s.parent[u]
	if c == u || c == child || c == s.root || !s.attached(c) || s.links[u] < 1 {
		return false
	}
	s.cut(u)
	if child >= 0 {
		s.cut(child)
		s.link(child, p)
	}
	q := s.parent[c]
	s.cut(c)
	s.link(u, q)
	s.link(c, u)
	return true
}

// run anneals from the given tree for so many steps of work, and remembers the
// best allowed tree it meets.
func (s *search) run(root int32, parent []int32, budget int, hot int64) {
	s.set(root, parent)
	s.nodes = s.order()
	s.penalty = int64(P1)
	s.cost = s.value()
	s.remember()
	if len(s.nodes) < 3 {
		return
	}
	s.work = 0
	const stages = 128
	for stage := range int64(stages) {
		// Down to 1/256 of the heat by halves with straight lines between.
		h := s.typical * hot >> 8
		left := (stages - stage) * 8 * 256 / stages // 8 halvings in 1/256
		heat := (h * (256 + left&255)) >> (8 + 8 - left>>8)
		if s.shortfall() > 0 {
			s.penalty += s.penalty * int64(UP) / 16
		} else {
			s.penalty -= s.penalty * int64(DN) / 16
		}
		s.penalty = max(int64(P0), min(s.penalty, int64(CAP)))
		s.cost = s.value()
		for until := budget * int(stage+1) / stages; s.work < until; {
			s.step(heat)
		}
		if DBG > 0 && int(stage)%DBG == DBG-1 {
			s.debug()
		}
	}
}

func (s *search) debug() {
	f := s.floor
	println("end: trust", s.sum-f.trustSum, "reach", int64(s.reach[s.root]-f.reach)*10000/int64(s.one), "over", s.over-f.over, "width", s.profile.width-f.concurrencyLevel, "exact", s.below[s.root], "best", s.bestUs.exactUs, "pen", s.penalty, "conc", s.profile.atOnce-f.concurrencyExact)
}

// value is the cost of the shape as it is.
func (s *search) value() int64 {
	g := goal{s.below[s.root], s.below[s.root]}
	if s.levelled {
		s.levels(&s.profile)
		g.levelUs = s.profile.levelUs
		return g.cost() + s.shortfall() + s.narrow()
	}
	return g.cost() + s.shortfall()
}

// step proposes one change and keeps it or not.
func (s *search) step(heat int64) {
	s.work++
	if !s.propose() {
		return
	}
	if HT > 0 && s.sum < s.floor.trustSum {
		s.undo()
		return
	}
	s.settle()
	allowance := s.cost + heat*s.rng.surprise()>>8
	short := s.shortfall()
	// The level time is at least the exact time: most changes need no more.
	g := goal{s.below[s.root], s.below[s.root]}
	if g.cost()+short > allowance {
		s.undo()
		return
	}
	if s.levelled {
		s.levels(&s.profile)
		g.levelUs = s.profile.levelUs
		short += s.narrow()
		if g.cost()+short > allowance {
			s.undo()
			return
		}
	}
	if short == 0 && g.cost() < s.bestUs.cost() && !s.remember() && HARD > 0 {
		s.undo()
		return
	}
	s.keep()
	s.cost = g.cost() + short
}

// remember makes the shape the best if it is and the floor allows it.
func (s *search) remember() bool {
	g := goal{exactUs: s.below[s.root]}
	s.levels(&s.profile)
	g.levelUs = s.profile.levelUs
	if s.best != nil && g.cost() >= s.bestUs.cost() || !s.floor.allows(s.shape) {
		return false
	}
	s.bestUs, s.best = g, append(s.best[:0], s.parent...)
	return true
}

var CAP, HARD, HT = 4096, 0, 1
var DBG = 0
var UP, DN, K0, K1, K2, P0, P1, WF = 4, 2, 64, 16, 16, 64, 960, 300
