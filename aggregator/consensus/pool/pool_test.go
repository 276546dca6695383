package pool

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The pool against a plain list: bounds hold, nothing is lost or doubled, and
// every change of leader hands over all own records once, oldest first.
func TestPoolAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const maxRecords, maxBytes = 8, 100
		p := New(maxRecords, maxBytes)
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
				err := p.Add(id, make([]byte, size), mine, now)
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
				gone := p.Remove([]string{id}, true)
				if k := slices.Index(list, id); (k >= 0) != (len(gone) == 1) {
					t.Fatalf("removed %d of %s", len(gone), id)
				} else if k >= 0 {
					list = slices.Delete(list, k, k+1)
					bytes -= len(gone[0].Sealed)
					delete(own, id)
					delete(handed, id)
				}
			},
			"next leader": func(*rapid.T) { view++; clear(handed) },
			"take": func(t *rapid.T) {
				out, _ := p.Take(Term{1, view}, false, 3, now)
				for _, r := range out {
					if !own[r.ID] || handed[r.ID] || !slices.Contains(list, r.ID) {
						t.Fatalf("took %s: own %v, handed over %v", r.ID, own[r.ID], handed[r.ID])
					}
					handed[r.ID] = true
				}
			},
			"take all": func(t *rapid.T) {
				for {
					out, _ := p.Take(Term{1, view}, false, 3, now)
					if len(out) == 0 {
						break
					}
					for _, r := range out {
						if !own[r.ID] || handed[r.ID] {
							t.Fatalf("took %s: own %v, handed over %v", r.ID, own[r.ID], handed[r.ID])
						}
						handed[r.ID] = true
					}
				}
				for id := range own {
					if own[id] && !handed[id] {
						t.Fatalf("own record %s was never handed over", id)
					}
				}
			},
			"": func(t *rapid.T) {
				if n, b := p.Size(); n != len(list) || b != bytes {
					t.Fatalf("%d records of %d bytes, want %d of %d", n, b, len(list), bytes)
				}
			},
		})
	})
}
