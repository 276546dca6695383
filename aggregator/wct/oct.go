package wct

import "slices"

// The search's budget in steps of work: workPerNode for each node, mostWork in
// all. Annealing pays up to annealedNodes: a larger tree does not cool down
// within the budget. Beyond searchedNodes the search finds next to nothing.
const (
	workPerNode   = 20_000
	mostWork      = 1_000_000
	annealedNodes = 250
	searchedNodes = 20_000
)

// An octBuilder holds the values that building and repairing our tree share.
type octBuilder struct {
	in     *Input
	base   *Tree // the WCT of the input; our tree is never worse
	shape  *shape
	floor  *floor
	search *search
}

func newOCTBuilder(in *Input, base *Tree) *octBuilder {
	b := &octBuilder{in: in, base: base, shape: newShape(in, in.overheads())}
	b.shape.set(int32(b.base.Root), b.base.parent)
	b.floor = newFloor(b.shape)
	b.search = newSearch(in, b.shape, b.floor)
	// The WCT itself is always allowed.
	b.search.best, b.search.bestRoot = slices.Clone(b.shape.parent), b.shape.root
	b.search.bestCost = b.floor.exactUs - b.floor.exactUs/8 + b.floor.levelUs/8
	return b
}

// build starts from trees in which each node has as many children as in the WCT,
// and which therefore have its trust sum. It searches on from there.
func (b *octBuilder) build() *Tree {
	root, children := int32(b.base.Root), slices.Clone(b.shape.kids)
	budget := workPerNode * min(b.in.N, mostWork/workPerNode)
	dense := b.shape.w.dense != nil
	flat := growLevels(b.in, b.shape.w, b.base.Root, children)
	b.shape.set(root, flat)
	b.search.remember()
	switch {
	case b.in.N > searchedNodes:
	case b.in.N > annealedNodes:
		b.search.run(root, flat, budget, cold)
	case dense:
		found := b.search.bestCost
		b.search.run(root, grow(b.in, b.shape.w, b.base.Root, children), budget, hot)
		if b.search.bestCost == found { // the hot search found nothing
			b.search.run(root, flat, budget/2, cold)
		}
	default:
		b.search.run(root, flat, budget/2, hot)
		b.search.run(b.search.bestRoot, slices.Clone(b.search.best), budget/2, cold)
	}
	return b.tree()
}

// tree returns the best tree of the search. If that is the WCT, it keeps the
// WCT's order of edges.
func (b *octBuilder) tree() *Tree {
	b.shape.set(b.search.bestRoot, b.search.best)
	t := b.shape.tree()
	if slices.Equal(t.parent, b.base.parent) {
		t.Sequence, t.Edges = b.base.Sequence, b.base.Edges
		t.index(b.in.N)
	}
	return t
}

// BuildLong builds an OCT with so many times the usual budget, and anneals
// however many nodes there are. It shows the gain of more patience. Its tree is
// never slower than that of Build.
func BuildLong(in *Input, times int) (*Tree, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	in, order := in.sortedByID()
	b := newOCTBuilder(in, buildWCT(in))
	children := slices.Clone(b.shape.kids)
	b.build()
	from := grow(in, b.shape.w, b.base.Root, children)
	b.search.run(int32(b.base.Root), from, times*workPerNode*in.N, hot)
	t := b.tree()
	t.renumber(order)
	return t, nil
}
