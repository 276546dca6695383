package wct

import (
	"cmp"
	"slices"
)

// An offer is one way to attach a node, with the time at which the block would
// arrive.
type offer struct {
	us            int64 // arrival at the child
	parent, child int32 // child -1: the next node of the pool, over an unmeasured edge
}

func (a offer) before(b offer) bool {
	if a.us != b.us {
		return a.us < b.us
	}
	if a.parent != b.parent {
		return a.parent < b.parent
	}
	return a.child < b.child
}

// offers is a binary heap, earliest first.
type offers []offer

func (h *offers) push(o offer) {
	*h = append(*h, o)
	s := *h
	for k := len(s) - 1; k > 0; {
		up := (k - 1) / 2
		if !s[k].before(s[up]) {
			return
		}
		s[k], s[up] = s[up], s[k]
		k = up
	}
}

func (h *offers) pop() offer {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for k := 0; ; {
		c := 2*k + 1
		if c >= last {
			return top
		}
		if c+1 < last && s[c+1].before(s[c]) {
			c++
		}
		if !s[c].before(s[k]) {
			return top
		}
		s[k], s[c] = s[c], s[k]
		k = c
	}
}

// A grower builds a tree from the root outwards.
type grower struct {
	w       *overheads
	links   []int32 // how many children each node may have
	parent  []int32
	arrival []int64
	free    []int32 // links left, of attached nodes
	done    []bool
	reached []int32 // attached nodes, in order

	// Of grow:
	pool   []int32 // nodes that may be attached now, best first
	inPool []bool
	heap   offers

	// Of growLevels:
	classes  []*class
	lastFork int64  // the time at which the last node of two children or more has the block
	near     []edge // room to work in
}

func newGrower(in *Input, w *overheads, links []int32) *grower {
	return &grower{
		w: w, links: links, parent: noNodes(in.N), arrival: make([]int64, in.N),
		free: make([]int32, in.N), done: make([]bool, in.N),
	}
}

// grow returns the parents of a tree with at most so many children a node. It
// first attaches nodes that multiply the block (trusted, two links or more),
// then trusted chains, then the other nodes; among these always the node that
// the block can reach earliest. A node for which no link is left has no parent.
// O(m log m) for m measured edges.
func grow(in *Input, w *overheads, root int, links []int32) []int32 {
	g := newGrower(in, w, links)
	g.inPool = make([]bool, in.N)
	g.attach(offer{0, -1, int32(root)})
	for _, pool := range growthOrder(in, links) {
		g.pool, g.heap = pool, g.heap[:0]
		for _, v := range pool {
			g.inPool[v] = true
		}
		for _, u := range g.reached {
			g.offer(u)
		}
		for len(g.heap) > 0 && len(g.pool) > 0 {
			g.take(g.heap.pop())
		}
		for _, v := range pool {
			g.inPool[v] = false
		}
	}
	return g.parent
}

// growthOrder divides the nodes into pools, the first to attach first. In each
// pool the most links lead, then the most trust, then the lowest index.
func growthOrder(in *Input, links []int32) (pools [4][]int32) {
	for i := range in.N {
		k := 3
		switch trusted := in.TrustE4[i] >= in.TrustThresholdE4; {
		case trusted && links[i] > 1:
			k = 0
		case trusted && links[i] == 1:
			k = 1
		case links[i] > 0:
			k = 2
		}
		pools[k] = append(pools[k], int32(i))
	}
	for _, p := range pools {
		slices.SortFunc(p, func(a, b int32) int {
			return cmp.Or(cmp.Compare(links[b], links[a]), cmp.Compare(in.TrustE4[b], in.TrustE4[a]), cmp.Compare(a, b))
		})
	}
	return pools
}

// offer puts the offers of u to the pool into the heap.
func (g *grower) offer(u int32) {
	if g.free[u] == 0 {
		return
	}
	if g.w.dense != nil {
		for _, v := range g.pool {
			if !g.done[v] {
				g.heap.push(offer{g.arrival[u] + g.w.dense[u][v], u, v})
			}
		}
		return
	}
	for _, e := range g.w.row(int(u)) {
		if g.inPool[e.node] && !g.done[e.node] {
			g.heap.push(offer{g.arrival[u] + e.us, u, e.node})
		}
	}
	g.heap.push(offer{g.arrival[u] + g.w.unmeasured, u, -1})
}

// take attaches the offer's child if the child is free and the parent has a link
// left.
func (g *grower) take(o offer) {
	for len(g.pool) > 0 && g.done[g.pool[0]] {
		g.pool = g.pool[1:]
	}
	if len(g.pool) == 0 || g.free[o.parent] == 0 {
		return
	}
	if o.child < 0 {
		again := o
		if o.child = g.pool[0]; g.free[o.parent] > 1 {
			g.heap.push(again)
		}
		o.us = g.arrival[o.parent] + g.w.us(int(o.parent), int(o.child))
	}
	if !g.done[o.child] {
		g.attach(o)
		g.offer(o.child)
	}
}

func (g *grower) attach(o offer) {
	g.parent[o.child], g.arrival[o.child], g.done[o.child] = o.parent, o.us, true
	g.free[o.child] = g.links[o.child]
	g.reached = append(g.reached, o.child)
	if o.parent >= 0 {
		g.free[o.parent]--
	}
}
