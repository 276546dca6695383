package pool

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The pool against a plain list: bounds hold, nothing is lost or doubled, and
// every change of leader hands over all own records once, oldest first.
func TestPoolAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const maxRecords, maxBytes = 8, 100
		p := New(Limits{maxRecords, maxBytes, maxRecords, maxBytes, maxRecords, maxBytes})
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
				err := p.Add(id, "s"+id[:1], make([]byte, size), peerOf(mine), now)
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
				gone := p.Remove([]string{id}, true, now)
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

func peerOf(own bool) string {
	if own {
		return ""
	}
	return "da9"
}

func small() *Pool { return New(Limits{10, 1000, 10, 1000, 10, 1000}) }

// A record that a block had to leave out stays for eight more blocks: it may be
// valid again in a later one. Then it goes.
func TestLeftOut(t *testing.T) {
	p := small()
	if err := p.Add("id", "s", []byte("record"), "", time.Unix(1, 0)); err != nil {
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
		if err := p.Add(id, "of "+id, []byte(id), peerOf(own), at(s)); err != nil {
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
			p := small()
			add(t, p, "waits", tc.own, 0)
			p.Take(Term{1, 1, "da1"}, tc.own, 1, at(0))
			if tc.served != 0 {
				add(t, p, "served", true, tc.served)
				p.Take(Term{1, 1, "da1"}, false, 10, at(tc.served))
				if gone := p.Remove([]string{"served"}, true, at(tc.served)); len(gone) != 1 {
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
		p := small()
		if err := p.Add("waits", "a", []byte("waits"), "", at(0)); err != nil {
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
		if err := p.Add("served", "b", []byte("served"), "", at(1.5)); err != nil {
			t.Fatal(err)
		}
		p.Take(Term{3, 0, leader}, false, 10, at(1.6))
		p.Remove([]string{"served"}, true, at(1.6))
		if _, got := p.Overtaken(margin, at(0), at(1.7)); got != want {
			t.Errorf("%s: overtaken %v, want %v", leader, got, want)
		}
	}
}

// Each sender, each peer and the whole have their bounds, in records and bytes; a
// record that this node gets itself no longer counts as handed over.
func TestShares(t *testing.T) {
	now := time.Unix(1, 0)
	l := Limits{Records: 10, Bytes: 100, SenderRecords: 3, SenderBytes: 40, PeerRecords: 4, PeerBytes: 50}
	for _, c := range []struct {
		name         string
		sender, peer func(k int) string
		size, want   int
	}{
		{"all, records", fmtOf("s%d"), fmtOf(""), 1, 10},
		{"all, bytes", fmtOf("s%d"), fmtOf(""), 30, 3},
		{"a sender, records", fmtOf("s"), fmtOf(""), 1, 3},
		{"a sender, bytes", fmtOf("s"), fmtOf(""), 20, 2},
		{"a sender by many peers", fmtOf("s"), fmtOf("da%d"), 1, 3},
		{"a peer, records", fmtOf("s%d"), fmtOf("da"), 1, 4},
		{"a peer, bytes", fmtOf("s%d"), fmtOf("da"), 25, 2},
		{"many peers", fmtOf("s%d"), fmtOf("da%d"), 1, 10},
	} {
		p := New(l)
		got := 0
		for k := range 20 {
			id := fmt.Sprint(k)
			switch err := p.Add(id, c.sender(k), make([]byte, c.size), c.peer(k), now); {
			case err == nil:
				got++
			case !errors.Is(err, ErrBusy):
				t.Fatal(err)
			}
		}
		if got != c.want {
			t.Errorf("%s: %d records fit, want %d", c.name, got, c.want)
		}
		for k := range 20 {
			p.Remove([]string{fmt.Sprint(k)}, true, now)
		}
		if n, b := p.Size(); n != 0 || b != 0 || len(p.senders) != 0 || p.heads.Len() != 0 || p.turn.Len() != 0 {
			t.Errorf("%s: %d records, %d bytes, %d senders left", c.name, n, b, len(p.senders))
		}
		if err := p.Add("x", c.sender(0), make([]byte, c.size), c.peer(0), now); err != nil {
			t.Errorf("%s: no room after all are gone: %v", c.name, err)
		}
	}
	p := New(l)
	for k := range 4 {
		if err := p.Add(fmt.Sprint(k), fmt.Sprint("s", k), []byte("r"), "da", now); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Add("0", "s0", []byte("r"), "", now); err != nil {
		t.Fatal(err)
	}
	if err := p.Add("4", "s4", []byte("r"), "da", now); err != nil {
		t.Errorf("a record that came itself counts as handed over: %v", err)
	}
}

func fmtOf(format string) func(int) string {
	return func(k int) string {
		if !strings.Contains(format, "%") {
			return format
		}
		return fmt.Sprintf(format, k)
	}
}

// Senders take turns by bytes: one that has much, or large records, does not delay
// the few small ones of others; each sender's records keep their order.
func TestSendersTakeTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := New(Limits{1 << 20, 1 << 30, 1 << 20, 1 << 30, 1 << 20, 1 << 30})
		now := time.Unix(1, 0)
		flood := rapid.IntRange(100, 400).Draw(t, "flood")
		floodBytes := rapid.IntRange(1, 16<<10).Draw(t, "bytes of each")
		others := rapid.IntRange(1, 20).Draw(t, "others")
		each := rapid.IntRange(1, 5).Draw(t, "records of each")
		limit := rapid.IntRange(1, 100).Draw(t, "limit")
		add := func(sender string, k, size int) {
			if err := p.Add(fmt.Sprint(sender, "-", k), sender, make([]byte, size), "", now); err != nil {
				t.Fatal(err)
			}
		}
		for k := range flood {
			add("flood", k, floodBytes)
		}
		for o := range others {
			for k := range each {
				add(fmt.Sprint("o", o), k, 300)
			}
		}
		last, bytes, honest := make(map[string]int), 0, 0
		for honest < others*each {
			out, _ := p.Take(Term{1, 0, "da1"}, true, limit, now)
			if len(out) == 0 {
				t.Fatalf("nothing to take, %d of %d records of others came", honest, others*each)
			}
			for _, r := range out {
				sender, text, _ := strings.Cut(r.ID, "-")
				k, err := strconv.Atoi(text)
				if err != nil || last[sender] != k {
					t.Fatalf("%s came as number %d", r.ID, last[sender])
				}
				last[sender]++
				if sender == "flood" {
					bytes += floodBytes
				} else {
					honest++
				}
			}
		}
		// In so many rounds every other sender has handed over all of its bytes, and the
		// flood as many quanta at most; the last call of Take may go on.
		rounds := (each*300 + quantum - 1) / quantum
		if most := rounds*quantum + limit*floodBytes; bytes > most && limit < others*each {
			t.Fatalf("%d bytes of the flood came first, at most %d may", bytes, most)
		}
	})
}

// A sender whose records are many is not overtaken by others as long as its turn
// comes, and one of many whose oldest record is left out is found.
func TestOvertakenBySender(t *testing.T) {
	const margin = time.Second
	at := func(s float64) time.Time { return time.Unix(100, 0).Add(time.Duration(s * float64(time.Second))) }
	for _, censored := range []bool{false, true} {
		p := New(Limits{1 << 20, 1 << 30, 1 << 20, 1 << 30, 1 << 20, 1 << 30})
		add := func(sender, id string, s float64) {
			if err := p.Add(id, sender, []byte(id), "", at(s)); err != nil {
				t.Fatal(err)
			}
		}
		for k := range 100 {
			add("flood", fmt.Sprint("f", k), 0)
		}
		add("censored", "c", 0.5)
		p.Take(Term{1, 0, "da1"}, true, 1000, at(0.5))
		if !censored {
			p.Remove([]string{"c"}, true, at(0.6))
		}
		found := false
		for k := range 50 { // ten blocks a second, one record of the flood in each
			s := 1 + float64(k)/10
			add("other", fmt.Sprint("o", k), s)
			p.Take(Term{1, 0, "da1"}, true, 1000, at(s))
			p.Remove([]string{fmt.Sprint("o", k), fmt.Sprint("f", k)}, true, at(s+0.05))
			for _, r := range p.Overdue(margin, 10, at(s+0.06)) {
				if r.ID != "c" {
					t.Fatalf("%s is overdue", r.ID)
				}
			}
			if r, yes := p.Overtaken(margin, at(0), at(s+0.06)); yes {
				if r.ID != "c" {
					t.Fatalf("%s is overtaken", r.ID)
				}
				found = true
			}
		}
		if found != censored {
			t.Errorf("censored %v, found %v", censored, found)
		}
	}
}
