package wct

import "slices"

// buildOCT builds the overhead-aware tree of a valid input.
func buildOCT(in *Input) *Tree {
	w := in.overheads()
	s := newShape(in, w)
	sequence, _, _ := weightedSequence(in)
	base := NewTree(WCT, sequence, in.Links)
	s.set(int32(base.Root), base.parent)
	sr := newSearch(in, s, newFloor(s))
	sr.levelled = true
	sr.remember()
	budget := OctBudget * in.N
	sr.run(int32(base.Root), grow(in, w, base.Root, slices.Clone(s.kids)), budget, OctHot)
	s.set(rootOf(sr.best, base), sr.best)
	return s.tree()
}

var OctBudget, OctHot = 20000, int64(64)

func rootOf(parent []int32, base *Tree) int32 {
	for i, p := range parent {
		if p < 0 {
			return int32(i)
		}
	}
	return 0
}
