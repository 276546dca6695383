package consensus

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

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
// of the sequence, and everybody in it.
func TestTreeOfViews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 12).Draw(t, "n")
		e := Epoch{Number: 1, Links: make(map[string]int)}
		for k := range n {
			da := fmt.Sprintf("da%d", k)
			e.Order = append(e.Order, da)
			e.Links[da] = rapid.IntRange(0, 3).Draw(t, "links")
		}
		view := rapid.Uint64Range(0, 40).Draw(t, "view")
		tr := newTree(e, view)
		k := int(view % uint64(n))
		want := append(slices.Clone(e.Order[k:]), e.Order[:k]...)
		if !slices.Equal(tr.order, want) {
			t.Fatalf("order %v, want %v", tr.order, want)
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
	})
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
