package wct

// The search's budget, in steps of work: so many a node, but no more in all.
const (
	workPerNode = 20_000
	mostWork    = 4_000_000
)

// An octBuilder holds what building and repairing our tree have in common.
type octBuilder struct {
	in    *Input
	base  *Tree // the WCT of the input
	shape *shape
	floor *floor
	links []int32 // how many children each node has in the WCT
}

func newOCTBuilder(in *Input) *octBuilder {
	b := &octBuilder{in: in, base: buildWCT(in), shape: newShape(in, in.overheads())}
	b.shape.set(int32(b.base.Root), b.base.parent)
	b.floor = newFloor(b.shape)
	b.links = append([]int32(nil), b.shape.kids...)
	return b
}

// build searches from the tree grown from the WCT's root with as many children
// a node as it has in the WCT, which has the WCT's trust sum.
func (b *octBuilder) build() *Tree {
	sr := newSearch(b.in, b.shape, b.floor)
	root := int32(b.base.Root)
	sr.remember() // the WCT itself is always allowed
	budget := min(workPerNode*b.in.N, mostWork)
	sr.run(root, grow(b.in, b.shape.w, b.base.Root, b.links), budget, !sr.walk)
	return b.tree(sr)
}

// tree is the best tree of the search. If that is the WCT, its own order of
// edges stays.
func (b *octBuilder) tree(sr *search) *Tree {
	b.shape.set(sr.bestRoot, sr.best)
	t := b.shape.tree()
	for i, p := range b.base.parent {
		if t.parent[i] != p {
			return t
		}
	}
	same := *b.base
	same.Algorithm, same.J, same.ExpensiveDemoted = OCT, 0, 0
	return &same
}
