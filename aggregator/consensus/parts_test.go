package consensus

import (
	"fmt"
	"slices"
	"testing"

	"fairwatt/aggregator/wct"

	"pgregory.net/rapid"
)

// The tree of each view has all members in it and its leader as root. Members
// that failed stand at the end of the sequence, and have no children as long as
// the others' links suffice.
func TestTreeOfViews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 9).Draw(t, "n")
		var order []string
		links := make(map[string]int)
		for k := range n {
			da := fmt.Sprintf("da%d", k)
			order = append(order, da)
			links[da] = rapid.IntRange(0, 3).Draw(t, "links")
		}
		failed := rapid.IntRange(0, n-1).Draw(t, "failed")
		e := testEpoch(1, order[:n-failed], order[n-failed:], links, 0)
		e.Tree = rapid.SampledFrom([]wct.Algorithm{wct.WCT, wct.OCT}).Draw(t, "tree")
		for i := range n {
			for j := range n {
				e.Network.OverheadUs[i][j] = rapid.Int64Range(1, 10_000).Draw(t, "overhead")
			}
		}
		if err := e.validate(); err != nil {
			t.Fatal(err)
		}
		f := &forest{epoch: e, views: make(map[uint64]func() *tree)}
		view := rapid.Uint64Range(0, 40).Draw(t, "view")
		tr := f.tree(view)
		k := int(view % uint64(n))
		want := append(slices.Clone(e.Order[k:]), e.Order[:k]...)
		if !slices.Equal(tr.order, want) {
			t.Fatalf("order %v, want %v", tr.order, want)
		}
		if tr != f.tree(view+uint64(n)) && view >= uint64(n) {
			t.Fatal("the tree of a repeated view was built again")
		}
		if view >= uint64(n) && tr == f.tree(view%uint64(n)) {
			t.Fatal("once all have failed, the tree is that of before")
		}
		reached := map[string]int{tr.order[0]: 1}
		for _, da := range e.Order {
			for _, to := range tr.receivers(da) {
				reached[to]++
				if tr.parent[to] != da {
					t.Fatalf("%s is sent to by %s, its parent is %s", to, da, tr.parent[to])
				}
			}
		}
		for _, da := range e.Order {
			if reached[da] != 1 {
				t.Fatalf("%s is reached %d times", da, reached[da])
			}
		}
		checkFailedForwardLast(t, e, tr, view)
	})
}

// checkFailedForwardLast checks that members that failed have no children where
// the links of the others suffice for all.
func checkFailedForwardLast(t *rapid.T, e Epoch, tr *tree, view uint64) {
	n := len(e.Order)
	failed := func(da string) bool {
		k := slices.Index(e.Order, da)
		return da != tr.order[0] && (e.Failed[k] || uint64(k) < view || view >= uint64(n))
	}
	// Breadth first over the sequence is the floor.
	sequence := make([]int, n)
	for k, da := range tr.order {
		sequence[k] = slices.Index(e.Order, da)
	}
	floor, _ := wct.Attach(sequence, e.Network.Links)
	var least, got int
	for _, edge := range floor {
		if failed(e.Order[edge[0]]) {
			least++
		}
	}
	for _, edge := range tr.edges {
		if failed(edge[0]) {
			got++
		}
	}
	if got > least {
		t.Fatalf("those that failed forward %d blocks, breadth first they would %d", got, least)
	}
}

// Epochs of the same network, order and failures share their trees; with news
// they do not.
func TestForestIsSharedOnlyWithoutNews(t *testing.T) {
	order := []string{"da1", "da2", "da3", "da4"}
	links := map[string]int{"da1": 2, "da2": 1, "da3": 1, "da4": 1}
	n := &Node{}
	first := n.forestOf(testEpoch(2, order, nil, links, 0))
	if n.forestOf(testEpoch(3, order, nil, links, 10)) != first {
		t.Error("an epoch without news got new trees")
	}
	marked := testEpoch(4, order, nil, links, 20)
	marked.Failed[3] = true
	spoiled := testEpoch(4, order, nil, links, 20)
	spoiled.Network.OverheadUs[0][1] = 9000
	for name, e := range map[string]Epoch{
		"failure":  testEpoch(4, order[1:], order[:1], links, 20),
		"order":    testEpoch(4, []string{"da2", "da1", "da3", "da4"}, nil, links, 20),
		"mark":     marked,
		"overhead": spoiled,
	} {
		n.forest = first
		if n.forestOf(e) == first {
			t.Errorf("%s: the old trees stayed", name)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	c := newCluster(t, 4, 10, lan)
	for name, spoil := range map[string]func(*Config){
		"no id":           func(c *Config) { c.Self = "" },
		"no link":         func(c *Config) { c.Link = nil },
		"another's key":   func(c *Config) { c.Self = "da2" },
		"no key known":    func(c *Config) { c.Keys = nil },
		"big batch":       func(c *Config) { c.BatchBytes = MaxBlockBytes + 1 },
		"record > batch":  func(c *Config) { c.RecordBytes = 2 << 20 },
		"instant timeout": func(c *Config) { c.PullDelay = 1 },
	} {
		cfg := c.config("da1", c.net.Join("da1"))
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c.apps["da1"].epoch.Order = []string{"da1", "da2", "da3"}
	if _, err := New(c.config("da1", c.net.Join("da1"))); err == nil {
		t.Error("three members: accepted")
	}
}

func TestChunks(t *testing.T) {
	many := make([][]byte, 300)
	for k := range many {
		many[k] = []byte{byte(k)}
	}
	if got := chunks(many); len(got) != 3 || len(got[2]) != 300-2*chunkRecords {
		t.Errorf("%d parts", len(got))
	}
	big := [][]byte{make([]byte, chunkBytes), make([]byte, chunkBytes), {1}}
	if got := chunks(big); len(got) != 3 {
		t.Errorf("%d parts of big records, want 3", len(got))
	}
	if got := chunks(nil); got != nil {
		t.Errorf("parts of nothing: %v", got)
	}
}
