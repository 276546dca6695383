package wct

import (
	"cmp"
	"math/bits"
	"slices"
)

// A shape is a tree that can change: moving a subtree costs the way up to the
// root, not the whole tree. For that it keeps two values by node: how long the
// block needs from the node down, and how many nodes under it the block is
// expected to reach. Both follow from the node's children alone.
//
// Invariants, except between a move and its settle:
//
//  1. below[u] is the largest in[c] + below[c] over the children c, 0 for a leaf.
//  2. reach[u] is trust[u] * sum over the children c of (one + reach[c]),
//     rounded down: the expected number of nodes under u that a block at u
//     reaches.
//  3. sum is the trust of all edges' senders, over the number of edges above the
//     threshold, doubtful the number of edges from untrusted senders.
type shape struct {
	w     *overheads
	limit int64 // the overhead threshold
	links []int32
	trust []uint64
	doubt []int32 // 1 for an untrusted node
	one   uint64  // 1.0 of reach

	root                            int32
	parent, first, next, prev, kids []int32
	in                              []int64 // the overhead from the parent
	below                           []int64
	reach                           []uint64
	size                            int   // attached nodes
	sum                             int64 // trust sum, 1e-4
	over                            int   // edges above the threshold
	doubtful                        int32 // edges from untrusted senders

	// If stay is set, moved counts the nodes whose parent differs from stay. -1
	// in stay allows any parent.
	stay  []int32
	moved int

	log     []change // changes that undo takes back, newest last
	spare   []change // room for undo
	touched []int32  // nodes whose children changed since the last settle
	work    int      // steps done; the search's budget counts them
}

// A change is a link cut or made (u under p), or a node's former below and reach.
type change struct {
	kind  changeKind
	u, p  int32
	below int64
	reach uint64
}

type changeKind uint8

const (
	changeCut changeKind = iota
	changeLink
	changeValue
)

// oneFor is 1.0 in the fixed point of reach for n nodes: n*one*1e4 stays below
// 2^64.
func oneFor(n int) uint64 { return 1 << (50 - bits.Len(uint(n))) }

// newShape returns a shape without any node in it.
func newShape(in *Input, w *overheads) *shape {
	s := &shape{
		w: w, limit: in.OverheadThresholdUs, one: oneFor(in.N), root: -1,
		links: make([]int32, in.N), trust: make([]uint64, in.N), doubt: make([]int32, in.N),
		parent: noNodes(in.N), first: noNodes(in.N), next: noNodes(in.N), prev: noNodes(in.N),
		kids: make([]int32, in.N), in: make([]int64, in.N), below: make([]int64, in.N), reach: make([]uint64, in.N),
	}
	for i := range in.N {
		s.links[i], s.trust[i] = int32(in.Links[i]), uint64(in.TrustE4[i])
		if in.TrustE4[i] < in.TrustThresholdE4 {
			s.doubt[i] = 1
		}
	}
	return s
}

func noNodes(n int) []int32 { return slices.Repeat([]int32{-1}, n) }

// set turns the shape into the tree with these parents (-1: root or unattached).
func (s *shape) set(root int32, parent []int32) {
	for i := range s.parent {
		s.parent[i], s.first[i], s.next[i], s.prev[i], s.kids[i] = -1, -1, -1, -1, 0
	}
	s.size, s.sum, s.over, s.doubtful, s.moved, s.root = 1, 0, 0, 0, 0, root
	for c, p := range parent {
		if p >= 0 {
			s.link(int32(c), p)
		}
	}
	order := s.order()
	s.size = len(order)
	for _, u := range slices.Backward(order) {
		s.below[u], s.reach[u] = s.values(u)
	}
	s.log, s.touched = s.log[:0], s.touched[:0]
}

// order lists the attached nodes breadth first.
func (s *shape) order() []int32 {
	order := append(make([]int32, 0, s.size), s.root)
	for k := 0; k < len(order); k++ {
		for c := s.first[order[k]]; c >= 0; c = s.next[c] {
			order = append(order, c)
		}
	}
	return order
}

// values computes u's below and reach by invariants 1 and 2.
func (s *shape) values(u int32) (below int64, reach uint64) {
	for c := s.first[u]; c >= 0; c = s.next[c] {
		below = max(below, s.in[c]+s.below[c])
		reach += s.one + s.reach[c]
	}
	return below, reach * s.trust[u] / FullTrustE4
}

// link puts u and everything under it under p; p = -1 makes u the root.
func (s *shape) link(u, p int32) {
	s.log = append(s.log, change{kind: changeLink, u: u})
	s.parent[u] = p
	if p < 0 {
		s.root = u
		return
	}
	f := s.first[p]
	s.next[u], s.prev[u], s.first[p] = f, -1, u
	if f >= 0 {
		s.prev[f] = u
	}
	s.kids[p]++
	s.moved += s.astray(u, p)
	us := s.w.us(int(p), int(u))
	s.in[u] = us
	s.sum += int64(s.trust[p])
	s.doubtful += s.doubt[p]
	if us > s.limit {
		s.over++
	}
	s.touched = append(s.touched, p)
}

// astray is 1 if stay names another parent than p for u.
func (s *shape) astray(u, p int32) int {
	if s.stay == nil || s.stay[u] < 0 || s.stay[u] == p {
		return 0
	}
	return 1
}

// cut takes u and everything under it off its parent.
func (s *shape) cut(u int32) {
	p := s.parent[u]
	s.log = append(s.log, change{kind: changeCut, u: u, p: p})
	s.parent[u] = -1
	if p < 0 {
		return
	}
	if s.prev[u] >= 0 {
		s.next[s.prev[u]] = s.next[u]
	} else {
		s.first[p] = s.next[u]
	}
	if s.next[u] >= 0 {
		s.prev[s.next[u]] = s.prev[u]
	}
	s.kids[p]--
	s.moved -= s.astray(u, p)
	s.sum -= int64(s.trust[p])
	s.doubtful -= s.doubt[p]
	if s.in[u] > s.limit {
		s.over--
	}
	s.touched = append(s.touched, p)
}

// settle restores the invariants above every node touched.
func (s *shape) settle() {
	for _, u := range s.touched {
		for ; u >= 0; u = s.parent[u] {
			s.work++
			below, reach := s.values(u)
			if below == s.below[u] && reach == s.reach[u] {
				break // nothing changes above either
			}
			s.log = append(s.log, change{changeValue, u, -1, s.below[u], s.reach[u]})
			s.below[u], s.reach[u] = below, reach
		}
	}
	s.touched = s.touched[:0]
}

// keep makes all changes since the last keep or undo final.
func (s *shape) keep() { s.log = s.log[:0] }

// undo takes back all changes since the last keep or undo.
func (s *shape) undo() {
	log := s.log
	s.log = s.spare[:0] // undoing logs changes that are of no use
	for _, c := range slices.Backward(log) {
		switch c.kind {
		case changeValue:
			s.below[c.u], s.reach[c.u] = c.below, c.reach
		case changeLink:
			s.cut(c.u)
		case changeCut:
			s.link(c.u, c.p)
		}
	}
	s.spare, s.log, s.touched = s.log, log[:0], s.touched[:0]
}

// isUnder says whether u is in the subtree of top.
func (s *shape) isUnder(u, top int32) bool {
	steps := 0
	for u >= 0 && u != top {
		u = s.parent[u]
		steps++
	}
	s.work += steps >> 6 // matters only in very deep trees
	return u == top
}

// swapSubtrees exchanges u and v with everything under them. Neither may be under
// the other.
func (s *shape) swapSubtrees(u, v int32) {
	pu, pv := s.parent[u], s.parent[v]
	s.cut(u)
	s.cut(v)
	s.link(u, pv)
	s.link(v, pu)
}

// swapNodes exchanges u and v. The nodes under their places stay there.
func (s *shape) swapNodes(u, v int32) {
	if s.parent[u] == v {
		u, v = v, u
	}
	pu, pv := s.parent[u], s.parent[v]
	s.cut(u)
	if pv != u {
		s.cut(v)
	}
	// Cut all children before linking any, so that none moves twice.
	from := len(s.log)
	for s.first[u] >= 0 {
		s.cut(s.first[u])
	}
	mid := len(s.log)
	for s.first[v] >= 0 {
		s.cut(s.first[v])
	}
	end := len(s.log)
	for k := from; k < end; k++ {
		c, p := s.log[k].u, v
		if k >= mid {
			p = u
		}
		if c != v {
			s.link(c, p)
		}
	}
	s.link(v, pu)
	if pv == u {
		pv = v
	}
	s.link(u, pv)
}

// A profile holds the metrics that need a walk over the whole shape.
type profile struct {
	levelUs int64 // Metrics.TimeLevelUs
	width   int   // Metrics.ConcurrencyLevel

	// The moments at which transfers begin and end. They leave out the pairs of
	// a node of one child, which stops receiving and starts sending at the same
	// moment.
	starts, ends []int64

	order   []int32 // room to work in
	arrival []int64
}

// levels fills the profile.
func (s *shape) levels(p *profile) {
	order, arrival := append(p.order[:0], s.root), append(p.arrival[:0], 0)
	starts, ends := p.starts[:0], p.ends[:0]
	p.levelUs, p.width = 0, 0
	for k, end := 0, 1; k < end; {
		var slow int64
		for ; k < end; k++ {
			u, at := order[k], arrival[k]
			for c := s.first[u]; c >= 0; c = s.next[c] {
				order, arrival = append(order, c), append(arrival, at+s.in[c])
				slow = max(slow, s.in[c])
			}
			// When a node of one child has the block, one transfer ends and one
			// starts: only leaves and forks change the number under way.
			switch kids := s.kids[u]; {
			case k == 0:
				for ; kids > 0; kids-- {
					starts = append(starts, at)
				}
			case kids == 0:
				ends = append(ends, at)
			default:
				for ; kids > 1; kids-- {
					starts = append(starts, at)
				}
			}
		}
		p.width = max(p.width, len(order)-end)
		p.levelUs += slow
		end = len(order)
	}
	p.order, p.arrival, p.starts, p.ends = order, arrival, starts, ends
	s.work += len(order) / 4
}

// atOnce returns Metrics.ConcurrencyExact, or, if that is at least enough, any
// number that is. Transfers are half-open intervals.
func (p *profile) atOnce(enough int) (most int) {
	if len(p.starts) == 0 {
		return 0 // one node
	}
	// Usually most transfers are under way when the last fork has begun.
	last := slices.Max(p.starts)
	most = len(p.starts)
	for _, at := range p.ends {
		if at <= last {
			most--
		}
	}
	if most >= enough {
		return most
	}
	slices.Sort(p.starts)
	slices.Sort(p.ends)
	e := 0
	for k, at := range p.starts {
		for e < len(p.ends) && p.ends[e] <= at {
			e++
		}
		most = max(most, k+1-e)
	}
	return most
}

// tree returns the shape as a Tree. A node's children are in order of the time
// that the block takes to the last node under them, longest first.
func (s *shape) tree() *Tree {
	t := &Tree{Algorithm: OCT, Root: int(s.root), Unattached: []int{}, Edges: make([][2]int, 0, s.size-1)}
	t.Sequence = append(make([]int, 0, len(s.parent)), t.Root)
	var children []int32
	for k := 0; k < len(t.Sequence); k++ {
		p := int32(t.Sequence[k])
		children = children[:0]
		for c := s.first[p]; c >= 0; c = s.next[c] {
			children = append(children, c)
		}
		slices.SortFunc(children, func(a, b int32) int {
			return cmp.Or(cmp.Compare(s.in[b]+s.below[b], s.in[a]+s.below[a]), cmp.Compare(a, b))
		})
		for _, c := range children {
			t.Edges = append(t.Edges, [2]int{int(p), int(c)})
			t.Sequence = append(t.Sequence, int(c))
		}
	}
	for i, p := range s.parent {
		if p < 0 && int32(i) != s.root {
			t.Unattached = append(t.Unattached, i)
		}
	}
	t.Sequence = append(t.Sequence, t.Unattached...)
	t.index(len(s.parent))
	return t
}
