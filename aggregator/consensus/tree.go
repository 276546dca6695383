package consensus

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"fairwatt/aggregator/wct"
)

// tree is the communication tree of one agreement view. The view's leader leads
// it; members that failed, such as the leaders of earlier views, come last.
type tree struct {
	built    *wct.Tree // node k is the epoch's Order[k]
	order    []string
	edges    [][2]string
	parent   map[string]string
	children map[string][]string
	direct   []string       // no link left for them: served by the root
	place    map[string]int // in order
	fan      int            // of the tree of votes
}

// The tree of votes has the order of the tree of blocks, the leader first and those that
// failed last, and two levels only: a vote is small, so a member can hand it to more
// others than it has links for blocks, and each level costs a way up and a way down.

// voteParent is whom a member hands its votes to; "" for the leader.
func (t *tree) voteParent(da string) string {
	k := t.place[da]
	if k == 0 {
		return ""
	}
	return t.order[(k-1)/t.fan]
}

// voteChildren are those that hand their votes to a member.
func (t *tree) voteChildren(da string) []string {
	first := t.place[da]*t.fan + 1
	return t.order[min(first, len(t.order)):min(first+t.fan, len(t.order))]
}

// newTree builds the tree of a view of a validated epoch. A member that failed
// counts as not trusted: it is a leaf as long as others have links.
func newTree(epoch Epoch, view uint64) *tree {
	n := len(epoch.Order)
	sequence := make([]int, n)
	network := *epoch.Network
	network.TrustE4 = slices.Clone(network.TrustE4)
	for k := range sequence {
		sequence[k] = (k + int(view%uint64(n))) % n
		// All but the leader itself: after n views all have led.
		if k > 0 && (epoch.Failed != nil && epoch.Failed[sequence[k]] || n-k <= int(min(view, uint64(n-1)))) {
			network.TrustE4[sequence[k]] = 0
		}
	}
	built, err := wct.BuildLed(&network, epoch.Tree, sequence)
	if err != nil {
		panic(fmt.Sprintf("consensus: tree of a validated epoch: %v", err))
	}
	t := &tree{built: built, parent: make(map[string]string), children: make(map[string][]string), place: make(map[string]int)}
	for t.fan = 1; t.fan*(t.fan+1) < n-1; { // two levels hold all
		t.fan++
	}
	for k, member := range sequence {
		t.order = append(t.order, epoch.Order[member])
		t.place[epoch.Order[member]] = k
	}
	for _, e := range built.Edges {
		from, to := epoch.Order[e[0]], epoch.Order[e[1]]
		t.edges = append(t.edges, [2]string{from, to})
		t.parent[to] = from
		t.children[from] = append(t.children[from], to)
	}
	for _, k := range built.Unattached {
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

// A forest holds the trees of an epoch's views. Each is built when it is first
// asked for, and once: with many members that takes some ten milliseconds.
type forest struct {
	epoch Epoch

	mu    sync.Mutex
	views map[uint64]func() *tree
}

func (f *forest) tree(view uint64) *tree {
	n := uint64(len(f.epoch.Order))
	if view >= n { // from then on all others have failed, and views repeat
		view = n + view%n
	}
	f.mu.Lock()
	get := f.views[view]
	if get == nil {
		get = sync.OnceValue(func() *tree { return newTree(f.epoch, view) })
		f.views[view] = get
	}
	f.mu.Unlock()
	return get()
}

// grows says whether the forest's trees are also those of the epoch.
func (f *forest) grows(epoch Epoch) bool {
	return f.epoch.Tree == epoch.Tree && slices.Equal(f.epoch.Order, epoch.Order) &&
		slices.Equal(f.epoch.Failed, epoch.Failed) && reflect.DeepEqual(f.epoch.Network, epoch.Network)
}

// forestOf returns the trees of an epoch. Epochs without news share them.
func (n *Node) forestOf(epoch Epoch) *forest {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.forest == nil || !n.forest.grows(epoch) {
		n.forest = &forest{epoch: epoch, views: make(map[uint64]func() *tree)}
	}
	return n.forest
}

func (i *instance) tree(view uint64) *tree { return i.forest.tree(view) }
