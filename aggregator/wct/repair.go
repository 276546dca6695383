package wct

import (
	"fmt"
	"slices"
)

// The exact time of a repaired overhead-aware tree may exceed that of the rebuilt
// one by 1/RepairSlack: 10 %.
const RepairSlack = 10

// A Change is one thing that happens to a network: a node leaves, an edge is
// lost, or a node's trust changes.
type Change struct {
	Kind    ChangeKind
	Node    int   // the node that leaves, the sender of the lost edge, or the node whose trust changes
	To      int   // the receiver of the lost edge
	TrustE4 int64 // the new trust
}

// A ChangeKind says what a Change is.
type ChangeKind uint8

// The kinds of change.
const (
	NodeRemoved  ChangeKind = iota // the nodes behind it move up by one number
	EdgeRemoved                    // its overhead counts as unmeasured, in this direction only
	TrustChanged                   // to Change.TrustE4
)

// Apply returns the input after the change. The input itself stays as it is.
func (in *Input) Apply(c Change) (*Input, error) {
	if c.Node < 0 || c.Node >= in.N {
		return nil, fmt.Errorf("change of node %d with n = %d", c.Node, in.N)
	}
	switch c.Kind {
	case NodeRemoved:
		if in.N == 1 {
			return nil, fmt.Errorf("node %d is the last", c.Node)
		}
		rest := make([]int, 0, in.N-1)
		for i := range in.N {
			if i != c.Node {
				rest = append(rest, i)
			}
		}
		return in.picked(rest), nil
	case EdgeRemoved:
		if c.To < 0 || c.To >= in.N || c.To == c.Node {
			return nil, fmt.Errorf("no edge %d to %d with n = %d", c.Node, c.To, in.N)
		}
		return in.withoutEdge(c.Node, c.To), nil
	case TrustChanged:
		if c.TrustE4 < 0 || c.TrustE4 > FullTrustE4 {
			return nil, fmt.Errorf("trust of node %d is %d, want 0 to %d", c.Node, c.TrustE4, FullTrustE4)
		}
		after := *in
		after.TrustE4 = slices.Clone(in.TrustE4)
		after.TrustE4[c.Node] = c.TrustE4
		return &after, nil
	}
	return nil, fmt.Errorf("unknown kind of change %d", c.Kind)
}

func (in *Input) withoutEdge(from, to int) *Input {
	after := *in
	if in.OverheadUs != nil {
		after.OverheadUs = slices.Clone(in.OverheadUs)
		after.OverheadUs[from] = slices.Clone(in.OverheadUs[from])
		// Losing an expensive edge does not make it cheaper.
		after.OverheadUs[from][to] = max(in.OverheadUs[from][to], in.OverheadThresholdUs+1)
		return &after
	}
	after.SparseOverheadUs = slices.DeleteFunc(slices.Clone(in.SparseOverheadUs), func(e Overhead) bool {
		return e.From == from && e.To == to
	})
	return &after
}

// Repair returns the input after the change, the tree for it, and how many nodes
// of that tree have another parent than in t (nodes whose parent left count). The
// caller built t from in.
//
// Repair builds WCT, LFT and TFT again: a repaired tree equals a rebuilt one. It
// mends the overhead-aware tree with few moves. The mended tree is never worse
// than the WCT of the changed input in any metric, and at most 10 % slower in
// exact time than the rebuilt tree. If Repair finds no such tree, it returns the
// rebuilt one. It always builds that one too. What it saves is moved edges: each
// costs a new connection.
func Repair(in *Input, t *Tree, c Change) (after *Input, repaired *Tree, moved int, err error) {
	if err := in.Validate(); err != nil {
		return nil, nil, 0, err
	}
	if len(t.parent) != in.N {
		return nil, nil, 0, fmt.Errorf("tree of %d nodes for n = %d", len(t.parent), in.N)
	}
	if after, err = in.Apply(c); err != nil {
		return nil, nil, 0, err
	}
	if repaired, err = Build(after, t.Algorithm); err != nil {
		return nil, nil, 0, err
	}
	before := parentsAfter(t, c)
	if t.Algorithm == OCT {
		repaired = mend(after, repaired, before)
	}
	return after, repaired, countMoved(before, repaired), nil
}

// parentsAfter returns the parents of the tree's nodes, in the numbers after the
// change; -1 if a node has none or its parent left.
func parentsAfter(t *Tree, c Change) []int32 {
	if c.Kind != NodeRemoved {
		return slices.Clone(t.parent)
	}
	gone := int32(c.Node)
	parents := make([]int32, 0, len(t.parent)-1)
	for i, p := range t.parent {
		switch {
		case int32(i) == gone:
			continue
		case p == gone:
			p = -1
		case p > gone:
			p--
		}
		parents = append(parents, p)
	}
	return parents
}

func countMoved(before []int32, t *Tree) (moved int) {
	for i, p := range t.parent {
		if p >= 0 && before[i] != p {
			moved++
		}
	}
	return moved
}

// mend returns a tree that is close to before, or the rebuilt one.
func mend(in *Input, rebuilt *Tree, before []int32) *Tree {
	limit := Measure(in, rebuilt).TimeExactUs
	limit += limit / RepairSlack
	sorted, order := in.sortedByID()
	if order != nil {
		rebuilt, before = unnumbered(rebuilt, order), unnumberedParents(before, order)
	}
	b := newOCTBuilder(sorted, buildWCT(sorted))
	best := rebuilt
	if root, parents, ok := b.patch(before, int32(rebuilt.Root)); ok {
		if t := b.mendFrom(root, parents, before, limit); t != nil && countMoved(before, t) < countMoved(before, rebuilt) {
			best = t
		}
	}
	best.renumber(order)
	return best
}

// unnumbered returns the tree in the numbers of sortedByID: it undoes renumber.
func unnumbered(t *Tree, order []int) *Tree {
	back := make([]int, len(order))
	for k, i := range order {
		back[i] = k
	}
	u := &Tree{Algorithm: t.Algorithm, Sequence: slices.Clone(t.Sequence), Root: t.Root,
		Edges: slices.Clone(t.Edges), Unattached: slices.Clone(t.Unattached)}
	u.renumber(back)
	return u
}

func unnumberedParents(parents []int32, order []int) []int32 {
	back := make([]int32, len(order))
	for k, i := range order {
		back[i] = int32(k)
	}
	sorted := make([]int32, len(parents))
	for k, i := range order {
		if sorted[k] = parents[i]; sorted[k] >= 0 {
			sorted[k] = back[sorted[k]]
		}
	}
	return sorted
}

// patch makes one tree of what is left of before. The part with the root takes
// in every loose part, under the cheapest of its nodes that has a link free.
// False if links run out.
func (b *octBuilder) patch(before []int32, fallback int32) (root int32, parents []int32, ok bool) {
	s, n := b.shape, len(before)
	parents = slices.Clone(before)
	kids := make([]int32, n)
	size := slices.Repeat([]int{1}, n)
	up := make([]int32, n) // towards the top of a node's part; a top is its own
	for v, p := range before {
		if up[v] = p; p < 0 {
			up[v] = int32(v)
		}
	}
	top := func(v int32) int32 {
		for up[v] != v {
			up[v] = up[up[v]]
			v = up[v]
		}
		return v
	}
	for v, p := range before {
		if p >= 0 {
			kids[p]++
			if kids[p] > s.links[p] {
				return 0, nil, false
			}
		}
		if t := top(int32(v)); t != int32(v) {
			size[t]++
		}
	}
	// The largest part keeps its root. Among equal parts the rebuilt tree's root
	// wins.
	root = fallback
	for v, p := range before {
		if p < 0 && (size[v] > size[root] || before[root] >= 0) {
			root = int32(v)
		}
	}
	for v := range int32(n) {
		if parents[v] >= 0 || v == root {
			continue
		}
		at := int32(-1)
		for p := range int32(n) {
			if kids[p] < s.links[p] && top(p) == root && (at < 0 || s.w.us(int(p), int(v)) < s.w.us(int(at), int(v))) {
				at = p
			}
		}
		if at < 0 {
			return 0, nil, false
		}
		parents[v], up[v] = at, root
		kids[at]++
	}
	return root, parents, true
}

// mendFrom searches from the patched tree, at ever lower prices for a move. Of
// the allowed trees within the limit it returns the one with the fewest moves;
// nil if it finds none.
func (b *octBuilder) mendFrom(root int32, parents, before []int32, limit int64) *Tree {
	budget := workPerNode * min(b.in.N, mostWork/workPerNode) / 2
	b.shape.stay = before
	var best *Tree
	fewest := 0
	for _, price := range []int64{1024, 256, 64, 16} { // in 1/256 of a usual edge
		for _, from := range []start{cold, warm, hot} {
			sr := newSearch(b.in, b.shape, b.floor)
			sr.moveUs, sr.enoughUs = sr.typical*price>>8, limit
			sr.run(root, parents, budget, from)
			if sr.best == nil {
				continue
			}
			b.search = sr
			t := b.tree()
			if moved := countMoved(before, t); (best == nil || moved < fewest) && Measure(b.in, t).TimeExactUs <= limit {
				best, fewest = t, moved
			}
		}
		if best != nil {
			break // a lower price moves more
		}
	}
	b.shape.stay = nil
	return best
}
