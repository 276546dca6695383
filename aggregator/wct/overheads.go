package wct

import (
	"cmp"
	"slices"
)

// An edge is one measured overhead as its sender (or receiver) sees it.
type edge struct {
	node int32 // at the other end
	us   int64
}

// overheads looks W up, in either of its two forms.
type overheads struct {
	dense [][]int64 // nil if sparse

	// The measured edges by sender, then by receiver: those of node i are
	// out[start[i]:start[i+1]].
	start []int32
	out   []edge

	unmeasured int64 // overhead of an edge that is not listed
}

// overheads prepares W for many look-ups, in O(m log d) for m measured edges, d
// to a node.
func (in *Input) overheads() *overheads {
	w := &overheads{dense: in.OverheadUs, unmeasured: in.OverheadThresholdUs + 1}
	if w.dense != nil {
		return w
	}
	w.start, w.out = make([]int32, in.N+1), make([]edge, len(in.SparseOverheadUs))
	for _, e := range in.SparseOverheadUs {
		w.start[e.From+1]++
	}
	for i := range in.N {
		w.start[i+1] += w.start[i]
	}
	for _, e := range in.SparseOverheadUs {
		w.out[w.start[e.From]] = edge{int32(e.To), e.Us}
		w.start[e.From]++
	}
	copy(w.start[1:], w.start) // filling moved each start to its end
	w.start[0] = 0
	for i := range in.N {
		slices.SortFunc(w.row(i), func(a, b edge) int { return cmp.Compare(a.node, b.node) })
	}
	return w
}

// row lists the measured edges over which i sends, for sparse overheads only.
func (w *overheads) row(i int) []edge { return w.out[w.start[i]:w.start[i+1]] }

// takers lists the edges over which i may well send: the measured ones, or the
// cheapest of a dense row.
func (w *overheads) takers(i int) []edge {
	if w.dense == nil {
		return w.row(i)
	}
	all := make([]edge, 0, len(w.dense))
	for j, us := range w.dense[i] {
		if j != i {
			all = append(all, edge{int32(j), us})
		}
	}
	slices.SortFunc(all, byUs)
	return all[:min(len(all), considered)]
}

func byUs(a, b edge) int { return cmp.Or(cmp.Compare(a.us, b.us), cmp.Compare(a.node, b.node)) }

// us is the time that sending from i to j takes, in microseconds.
func (w *overheads) us(i, j int) int64 {
	if w.dense != nil {
		return w.dense[i][j]
	}
	row := w.out[w.start[i]:w.start[i+1]]
	lo, hi := 0, len(row)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if int(row[mid].node) < j {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(row) && int(row[lo].node) == j {
		return row[lo].us
	}
	return w.unmeasured
}

// from returns one sender's overheads by receiver, without preparing the rest.
func (in *Input) from(i int) func(j int) int64 {
	if in.OverheadUs != nil {
		return func(j int) int64 { return in.OverheadUs[i][j] }
	}
	listed := make(map[int]int64)
	for _, e := range in.SparseOverheadUs {
		if e.From == i {
			listed[e.To] = e.Us
		}
	}
	return func(j int) int64 {
		if us, ok := listed[j]; ok {
			return us
		}
		return in.OverheadThresholdUs + 1
	}
}
