package ledger_test

import (
	"slices"
	"testing"

	"fairwatt/aggregator/ledger"
)

// A step of trust has the cause that moved it: what was earned fades by itself, and when
// a dispute no longer costs anything, its end is why trust rises.
func TestCausesOfTrust(t *testing.T) {
	c := newCouncil(t, 4, nil)
	type told struct {
		cause string
		cost  int64 // of its dispute
	}
	want := []told{{"earned", 0}, {"dispute", 100}}
	for range 7 {
		want = append(want, told{"faded", 100})
	}
	want = append(want, told{"cleared", 0}, told{"faded", 0})
	last := c.why("da-3").TrustE4
	for epoch, want := range want {
		switch epoch {
		case 0:
			c.forwards("da-3", "da-1", 10, 0)
		case 1:
			c.forwards("da-3", "da-4", 10, 10)
		}
		c.all()
		c.end()
		w := c.why("da-3")
		got := told{cause: w.Steps[0].Cause}
		for _, d := range w.Disputes {
			got.cost += d.CostE4
		}
		rose := want.cause == "earned" || want.cause == "cleared"
		if got != want || rose != (w.TrustE4 > last) {
			t.Errorf("epoch %d: %+v, want %+v; trust %d, was %d", epoch+1, got, want, w.TrustE4, last)
		}
		last = w.TrustE4
	}
}

// Two that fall out again pay by the square of how often, each of them, until the one is
// condemned: then the other pays nothing.
func TestWhatADisputeCosts(t *testing.T) {
	c := newCouncil(t, 4, nil)
	cost := func(da string) []ledger.Dispute { return c.why(da).Disputes }
	for k, want := range []int64{100, 400, 900} {
		c.forwards("da-3", "da-4", 10, 10)
		c.all()
		c.end()
		for da, other := range map[string]string{"da-3": "da-4", "da-4": "da-3"} {
			if got, want := cost(da), (ledger.Dispute{With: other, EpochsLeft: 32, Times: k + 1, CostE4: want}); !slices.Equal(got, []ledger.Dispute{want}) {
				t.Errorf("%s, time %d: %+v, want %+v", da, k+1, got, want)
			}
		}
	}
	c.forwards("da-3", "da-2", 10, 10)
	c.all()
	c.end()
	for _, da := range []string{"da-2", "da-3", "da-4"} {
		for _, d := range cost(da) {
			if d.CostE4 != 0 {
				t.Errorf("da-3 is condemned, and %s pays: %+v", da, d)
			}
		}
	}
}

// Who has a dispute of the epoch earns nothing in it, however well it forwarded to
// others: else a forwarder could pick whom it keeps blocks from.
func TestNothingIsEarnedInADispute(t *testing.T) {
	for dropped, want := range map[uint32]uint64{2: 10_000, 10: 0} {
		c := newCouncil(t, 4, nil)
		c.forwards("da-1", "da-2", 10, 0)
		c.forwards("da-1", "da-4", 10, 0)
		c.forwards("da-1", "da-3", 10, dropped)
		c.all()
		c.end()
		if w := c.why("da-1"); w.GoodE4 != want || (len(w.Disputes) > 0) != (want == 0) {
			t.Errorf("%d of 10 dropped: earned %d, want %d: %+v", dropped, w.GoodE4, want, w.Disputes)
		}
	}
}

// What a forwarder earns is the middle of what those say that it forwarded to, in
// whatever order they stand: neither the best nor the worst word decides.
func TestTheMiddleWordCounts(t *testing.T) {
	late := []uint32{0, 5, 2} // of 10 blocks
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		c := newCouncil(t, 4, nil)
		middle := ""
		for k, child := range []string{"da-2", "da-3", "da-4"} {
			n := late[order[k]]
			c.says("da-1", child).Given = 10
			s := c.says(child, "da-1")
			s.Taken, s.Late = 10-n, n
			if n == 2 {
				middle = child
			}
		}
		c.all()
		c.end()
		if w := c.why("da-1"); w.GoodE4 != 8000 || w.Steps[0].Cause != "earned" || w.Steps[0].Other != middle {
			t.Errorf("order %v: earned %d by %+v, want 8000 by the word of %s", order, w.GoodE4, w.Steps[0], middle)
		}
	}
}
