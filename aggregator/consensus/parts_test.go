package consensus

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"fairwatt/aggregator/wct"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"

	"pgregory.net/rapid"
)

// The pool against a plain list: bounds hold, nothing is lost or doubled, and
// every change of leader hands over all own records once, oldest first.
func TestPoolAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const maxRecords, maxBytes = 8, 100
		p := newPool(maxRecords, maxBytes)
		var list []string
		own := make(map[string]bool)
		bytes := 0
		view := uint64(0)
		handed := make(map[string]bool)
		now := time.Unix(1, 0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "id"))
				size := rapid.IntRange(1, 30).Draw(t, "size")
				mine := rapid.Bool().Draw(t, "own")
				known := slices.Contains(list, id)
				err := p.add(id, make([]byte, size), mine, now)
				switch full := len(list) == maxRecords || bytes+size > maxBytes; {
				case known:
					if err != nil {
						t.Fatalf("known record: %v", err)
					}
					own[id] = own[id] || mine
				case full != errors.Is(err, ErrBusy):
					t.Fatalf("full is %v, got %v", full, err)
				case !full:
					list = append(list, id)
					own[id] = mine
					bytes += size
				}
			},
			"remove": func(t *rapid.T) {
				id := fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "id"))
				gone := p.remove([]string{id}, true)
				if k := slices.Index(list, id); (k >= 0) != (len(gone) == 1) {
					t.Fatalf("removed %d of %s", len(gone), id)
				} else if k >= 0 {
					list = slices.Delete(list, k, k+1)
					bytes -= len(gone[0].sealed)
					delete(own, id)
					delete(handed, id)
				}
			},
			"next leader": func(*rapid.T) { view++; clear(handed) },
			"take": func(t *rapid.T) {
				out, _ := p.take(place{1, view}, false, 3, now)
				for _, r := range out {
					if !own[r.id] || handed[r.id] || !slices.Contains(list, r.id) {
						t.Fatalf("took %s: own %v, handed over %v", r.id, own[r.id], handed[r.id])
					}
					handed[r.id] = true
				}
			},
			"take all": func(t *rapid.T) {
				for {
					out, _ := p.take(place{1, view}, false, 3, now)
					if len(out) == 0 {
						break
					}
					for _, r := range out {
						if !own[r.id] || handed[r.id] {
							t.Fatalf("took %s: own %v, handed over %v", r.id, own[r.id], handed[r.id])
						}
						handed[r.id] = true
					}
				}
				for id := range own {
					if own[id] && !handed[id] {
						t.Fatalf("own record %s was never handed over", id)
					}
				}
			},
			"": func(t *rapid.T) {
				if n, b := p.size(); n != len(list) || b != bytes {
					t.Fatalf("%d records of %d bytes, want %d of %d", n, b, len(list), bytes)
				}
			},
		})
	})
}

func saved(t *testing.T, m *protos.SavedMessage) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What a log means to its writer after a crash.
func TestRecoverLog(t *testing.T) {
	block := func(view, seq uint64) []byte {
		return saved(t, &protos.SavedMessage{Content: &protos.SavedMessage_ProposedRecord{ProposedRecord: &protos.ProposedRecord{
			PrePrepare: &protos.PrePrepare{View: view, Seq: seq, Proposal: &protos.Proposal{}}, Prepare: &protos.Prepare{View: view, Seq: seq},
		}}})
	}
	voted := saved(t, &protos.SavedMessage{Content: &protos.SavedMessage_Commit{Commit: &protos.Message{}}})
	newView := func(v uint64) []byte {
		return saved(t, &protos.SavedMessage{Content: &protos.SavedMessage_NewView{NewView: &protos.ViewMetadata{ViewId: v}}})
	}
	for _, tc := range []struct {
		name       string
		content    [][]byte
		last       uint64
		keeps, own bool
		view, seq  uint64
	}{
		{"empty", nil, 0, false, false, 0, 0},
		{"a block under way", [][]byte{block(0, 5)}, 4, true, true, 0, 5},
		{"a block that is stored", [][]byte{block(0, 5)}, 5, false, false, 0, 5},
		{"a vote for a stored block", [][]byte{block(0, 5), voted}, 5, true, false, 0, 5},
		{"a vote for a block under way", [][]byte{block(0, 5), voted}, 4, true, true, 0, 5},
		{"a new view", [][]byte{block(0, 5), voted, newView(2)}, 5, true, false, 2, 5},
		{"a block of a later view", [][]byte{block(3, 6)}, 5, true, true, 3, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := recoverLog(tc.content, tc.last)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.content) > 0 != tc.keeps || (r.own != nil) != tc.own || r.view != tc.view || r.seq != tc.seq {
				t.Errorf("%d entries, own %v, view %d, seq %d", len(r.content), r.own != nil, r.view, r.seq)
			}
		})
	}
	if _, err := recoverLog([][]byte{{0xff}}, 0); err == nil {
		t.Error("garbage was accepted")
	}
}

// The tree of each view has its leader as root, those that failed at the end
// of the sequence and without children as long as the others' links suffice,
// and everybody in it.
func TestTreeOfViews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 12).Draw(t, "n")
		var order []string
		links := make(map[string]int)
		for k := range n {
			da := fmt.Sprintf("da%d", k)
			order = append(order, da)
			links[da] = rapid.IntRange(0, 3).Draw(t, "links")
		}
		benched := rapid.IntRange(0, n-1).Draw(t, "benched")
		e := testEpoch(1, order[:n-benched], order[n-benched:], links, 0)
		e.Tree = rapid.SampledFrom([]wct.Algorithm{wct.WCT, wct.OCT}).Draw(t, "tree")
		for i := range n {
			for j := range n {
				e.Network.OverheadUs[i][j] = rapid.Int64Range(1, 10_000).Draw(t, "overhead")
			}
		}
		if err := e.validate("da0"); err != nil {
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

// checkFailedForwardLast: where the links of those that did not fail suffice
// for everybody, who failed has no children.
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
	first := n.forestOf(testEpoch(1, order, nil, links, 0))
	if n.forestOf(testEpoch(2, order, nil, links, 10)) != first {
		t.Error("an epoch without news got trees of its own")
	}
	marked := testEpoch(3, order, nil, links, 20)
	marked.Failed[3] = true
	spoiled := testEpoch(3, order, nil, links, 20)
	spoiled.Network.OverheadUs[0][1] = 9000
	for name, e := range map[string]Epoch{
		"failure":  testEpoch(3, order[1:], order[:1], links, 20),
		"order":    testEpoch(3, []string{"da2", "da1", "da3", "da4"}, nil, links, 20),
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
		"unknown relay":   func(c *Config) { c.Relay = 9 },
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
