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
				out, _ := p.Take(Term{1, view, "da1"}, false, 3, now)
				for _, r := range out {
					if !own[r.ID] || handed[r.ID] || !slices.Contains(list, r.ID) {
						t.Fatalf("took %s: own %v, handed over %v", r.ID, own[r.ID], handed[r.ID])
					}
					handed[r.ID] = true
				}
			},
			"take all": func(t *rapid.T) {
				for {
					out, _ := p.Take(Term{1, view, "da1"}, false, 3, now)
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

// A record that a block had to leave out stays for eight more blocks: it may be
// valid again in a later one. Then it goes.
func TestLeftOut(t *testing.T) {
	p := New(10, 1000)
	if err := p.Add("id", []byte("record"), true, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for k := 1; k <= 8; k++ {
		if p.LeftOut("id") {
			t.Fatalf("given up after %d blocks", k)
		}
	}
	if !p.LeftOut("id") {
		t.Error("not given up after 9 blocks")
	}
	if !p.LeftOut("another") {
		t.Error("a record that is not there is not given up")
	}
}

// The leader is suspected of leaving a record out only if records handed over
// later by more than the margin were decided, or if it waited ten margins.
func TestOvertaken(t *testing.T) {
	const margin = time.Second
	at := func(s float64) time.Time { return time.Unix(100, 0).Add(time.Duration(s * float64(time.Second))) }
	add := func(t *testing.T, p *Pool, id string, own bool, s float64) {
		t.Helper()
		if err := p.Add(id, []byte(id), own, at(s)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		own    bool
		served float64 // when the decided record was handed over; 0 is none
		began  float64 // when the agreement view began
		now    float64
		want   bool
	}{
		{"another's record, overtaken", false, 1.1, -5, 2, true},
		{"another's record, overtaken by the margin", false, 1, -5, 2, false},
		{"overtaken before the view began", false, 1.1, 0.5, 2, false},
		{"an own record handed over once", true, 1.1, -5, 2, false},
		{"nothing decided, ten margins", false, 0, -5, 10, false},
		{"nothing decided, more than ten margins", false, 0, -5, 10.1, true},
		{"more than ten margins in a young view", false, 0, 0.2, 10.1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := New(10, 1000)
			add(t, p, "waits", tc.own, 0)
			p.Take(Term{1, 1, "da1"}, tc.own, 1, at(0))
			if tc.served != 0 {
				add(t, p, "served", true, tc.served)
				p.Take(Term{1, 1, "da1"}, false, 10, at(tc.served))
				if gone := p.Remove([]string{"served"}, true); len(gone) != 1 {
					t.Fatal("not there")
				}
			}
			r, got := p.Overtaken(margin, at(tc.began), at(tc.now))
			if got != tc.want || r == nil || r.ID != "waits" {
				t.Errorf("overtaken %v (%+v), want %v", got, r, tc.want)
			}
		})
	}
}

// Patience with a leader goes on over its terms, and begins anew with another.
func TestPatienceOverTerms(t *testing.T) {
	const margin = time.Second
	at := func(s float64) time.Time { return time.Unix(100, 0).Add(time.Duration(s * float64(time.Second))) }
	for leader, want := range map[string]bool{"da1": true, "da2": false} {
		p := New(10, 1000)
		if err := p.Add("waits", []byte("waits"), true, at(0)); err != nil {
			t.Fatal(err)
		}
		p.Take(Term{1, 0, "da1"}, false, 10, at(0))
		p.Take(Term{2, 0, leader}, false, 10, at(0.8))
		if late := p.Overdue(margin, 10, at(1.1)); (len(late) == 1) != want {
			t.Errorf("%s: %d records overdue", leader, len(late))
		}
		if late := p.Overdue(margin, 10, at(1.2)); len(late) != 0 {
			t.Errorf("%s: %d records overdue once more", leader, len(late))
		}
		if err := p.Add("served", []byte("served"), true, at(1.5)); err != nil {
			t.Fatal(err)
		}
		p.Take(Term{3, 0, leader}, false, 10, at(1.6))
		p.Remove([]string{"served"}, true)
		if _, got := p.Overtaken(margin, at(0), at(1.7)); got != want {
			t.Errorf("%s: overtaken %v, want %v", leader, got, want)
		}
	}
}
