package consensus

import (
	"slices"

	"fairwatt/aggregator/wct"
)

// tree is the communication tree of one view: the epoch's sequence with those
// that led the views before, and failed, moved to its end.
type tree struct {
	order    []string
	edges    [][2]string
	parent   map[string]string
	children map[string][]string
	direct   []string // no link left for them: served by the root
}

func newTree(epoch Epoch, view uint64) *tree {
	n := len(epoch.Order)
	sequence, links := make([]int, n), make([]int, n)
	for k, da := range epoch.Order {
		sequence[k] = (k + int(view%uint64(n))) % n
		links[k] = epoch.Links[da]
	}
	t := &tree{parent: make(map[string]string), children: make(map[string][]string)}
	for _, k := range sequence {
		t.order = append(t.order, epoch.Order[k])
	}
	edges, unattached := wct.Attach(sequence, links)
	for _, e := range edges {
		from, to := epoch.Order[e[0]], epoch.Order[e[1]]
		t.edges = append(t.edges, [2]string{from, to})
		t.parent[to] = from
		t.children[from] = append(t.children[from], to)
	}
	for _, k := range unattached {
		da := epoch.Order[k]
		t.direct = append(t.direct, da)
		t.parent[da] = t.order[0]
	}
	return t
}

// receivers are those da sends a block to in this tree.
func (t *tree) receivers(da string) []string {
	if da == t.order[0] {
		return append(slices.Clone(t.children[da]), t.direct...)
	}
	return t.children[da]
}

func (i *instance) tree(view uint64) *tree {
	view %= i.n()
	if t, ok := i.trees.Load(view); ok {
		return t.(*tree)
	}
	t, _ := i.trees.LoadOrStore(view, newTree(i.epoch, view))
	return t.(*tree)
}
