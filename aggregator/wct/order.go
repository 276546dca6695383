package wct

import (
	"cmp"
	"slices"
)

// sortedByID returns the input with its nodes in the order of their ids, and for
// each of them its number in the input. Without ids it returns the input itself
// and nil.
func (in *Input) sortedByID() (sorted *Input, order []int) {
	if in.IDs == nil {
		return in, nil
	}
	order = make([]int, in.N)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(in.IDs[a], in.IDs[b]) })
	return in.picked(order), order
}

// picked returns the input of these nodes of in, in this order.
func (in *Input) picked(order []int) *Input {
	p := *in
	p.N = len(order)
	p.TrustE4, p.Links = pick(in.TrustE4, order), pick(in.Links, order)
	if in.IDs != nil {
		p.IDs = pick(in.IDs, order)
	}
	if in.OverheadUs != nil {
		p.OverheadUs = pick(in.OverheadUs, order)
		for i, row := range p.OverheadUs {
			p.OverheadUs[i] = pick(row, order)
		}
		return &p
	}
	place := slices.Repeat([]int{-1}, in.N)
	for k, i := range order {
		place[i] = k
	}
	p.SparseOverheadUs = make([]Overhead, 0, len(in.SparseOverheadUs))
	for _, e := range in.SparseOverheadUs {
		if from, to := place[e.From], place[e.To]; from >= 0 && to >= 0 {
			p.SparseOverheadUs = append(p.SparseOverheadUs, Overhead{from, to, e.Us})
		}
	}
	return &p
}

func pick[T any](values []T, order []int) []T {
	picked := make([]T, len(order))
	for k, i := range order {
		picked[k] = values[i]
	}
	return picked
}

// renumber gives every node i the number order[i]. A nil order changes nothing.
func (t *Tree) renumber(order []int) {
	if order == nil {
		return
	}
	t.Root = order[t.Root]
	for k, v := range t.Sequence {
		t.Sequence[k] = order[v]
	}
	for k, v := range t.Unattached {
		t.Unattached[k] = order[v]
	}
	for k, e := range t.Edges {
		t.Edges[k] = [2]int{order[e[0]], order[e[1]]}
	}
	t.index(len(order))
}
