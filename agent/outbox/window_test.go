package outbox

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// many puts n records into the outbox.
func many(t testing.TB, o *Outbox, n int) []Record {
	t.Helper()
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = entryOf("r", false)
	}
	return commit(t, o, entries...)
}

// sendAll hands over what is due and returns the counters.
func sendAll(t testing.TB, o *Outbox, now time.Time) (counters []uint64) {
	t.Helper()
	for {
		due, err := o.Due(now)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			return counters
		}
		for _, r := range due {
			counters = append(counters, r.Counter)
		}
		o.Sent(due, now)
	}
}

func span(from, to uint64) (out []uint64) {
	for c := from; c <= to; c++ {
		out = append(out, c)
	}
	return out
}

// At most InFlight counters are under way, counted from the oldest that waits.
func TestWindow(t *testing.T) {
	o := openOutbox(t, temp(t))
	if o.Oldest() != 0 {
		t.Error("an empty outbox has an oldest record")
	}
	records := many(t, o, 1000)
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		done []uint64
		want []uint64
	}{
		{nil, span(1, InFlight)},
		{[]uint64{2, 3, InFlight}, nil}, // the oldest waits still
		{[]uint64{1}, span(InFlight+1, InFlight+3)},
		{span(4, 200), span(InFlight+4, InFlight+200)},
	} {
		for _, n := range c.done {
			o.Done(records[n-1].ID)
		}
		if got := sendAll(t, o, now); !slices.Equal(got, c.want) {
			t.Errorf("after %d were done: sent %v, want %v", len(c.done), got, c.want)
		}
	}
	if o.Oldest() != 201 {
		t.Errorf("oldest %d", o.Oldest())
	}
	// What stands behind the window is not due, so no one is woken for it.
	if at, waits := o.NextDue(); !waits || !at.Equal(now.Add(30*time.Second)) {
		t.Errorf("next at %v", at)
	}
}

// Records that were not taken go again from the first of them on, in order, and
// not before the time asked for.
func TestHold(t *testing.T) {
	o := openOutbox(t, temp(t))
	many(t, o, 300)
	now := time.Unix(1000, 0)
	sendAll(t, o, now)
	o.Hold(100, now.Add(time.Second))
	if at, _ := o.NextDue(); !at.Equal(now.Add(time.Second)) {
		t.Errorf("next at %v", at)
	}
	if got := sendAll(t, o, now.Add(time.Second-1)); got != nil {
		t.Errorf("sent %v too early", got)
	}
	if got := sendAll(t, o, now.Add(time.Second)); !slices.Equal(got, span(100, InFlight)) {
		t.Errorf("sent %v", got)
	}
	if got := sendAll(t, o, now.Add(30*time.Second)); !slices.Equal(got, span(1, 99)) {
		t.Errorf("then %v", got)
	}
}

// A record in doubt stays, holds no other back and is sent again, seldom.
func TestDoubt(t *testing.T) {
	o := openOutbox(t, temp(t))
	records := many(t, o, 1000)
	now := time.Unix(1000, 0)
	sendAll(t, o, now)
	o.Doubt(records[0].ID, now)
	o.Doubt([32]byte{1}, now) // an unknown one is passed over
	if !o.Holds(records[0].ID) || o.Oldest() != 2 {
		t.Errorf("held %v, oldest %d", o.Holds(records[0].ID), o.Oldest())
	}
	if got := sendAll(t, o, now); !slices.Equal(got, []uint64{InFlight + 1}) {
		t.Errorf("sent %v", got)
	}
	o.Hold(1, now.Add(time.Second)) // the others of the window again, and not this one
	if got := sendAll(t, o, now.Add(time.Second)); !slices.Equal(got, span(2, InFlight+1)) {
		t.Errorf("sent %v", got)
	}
	for _, r := range records[1:] {
		o.Done(r.ID)
	}
	if at, waits := o.NextDue(); !waits || !at.Equal(now.Add(8*time.Minute)) || o.Oldest() != 0 {
		t.Errorf("next at %v, oldest %d", at, o.Oldest())
	}
	if got := sendAll(t, o, now.Add(8*time.Minute)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("sent %v", got)
	}
	if !o.Done(records[0].ID) {
		t.Error("its outcome does not end it")
	}
}

// Whatever is done, doubted and held: what is sent lies within InFlight of the
// oldest that waits, ascends, and all of it is sent in the end.
func TestWindowAgainstOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := openOutbox(t, temp(t))
		records := many(t, o, rapid.IntRange(1, 700).Draw(rt, "n"))
		now := time.Unix(1000, 0)
		left, doubted := make(map[uint64]Record), make(map[uint64]bool)
		for _, r := range records {
			left[r.Counter] = r
		}
		oldest := func() uint64 {
			least := uint64(0)
			for c := range left {
				if !doubted[c] && (least == 0 || c < least) {
					least = c
				}
			}
			return least
		}
		for len(left) > 0 {
			now = now.Add(10 * time.Minute)
			sent := sendAll(t, o, now)
			if len(sent) == 0 {
				rt.Fatalf("%d left, none sent", len(left))
			}
			for i, c := range sent {
				if _, ok := left[c]; !ok || i > 0 && c <= sent[i-1] {
					rt.Fatalf("sent %d of %v", c, sent)
				}
				if least := oldest(); least > 0 && c >= least+InFlight {
					rt.Fatalf("%d is under way while %d waits", c, least)
				}
			}
			if got := o.Oldest(); got != oldest() {
				rt.Fatalf("oldest %d, want %d", got, oldest())
			}
			for i, c := range sent {
				switch what := rapid.IntRange(0, 5).Draw(rt, "what"); {
				case what == 0 && !doubted[c]:
					doubted[c] = true
					o.Doubt(left[c].ID, now)
				case what > 1 || i == 0:
					o.Done(left[c].ID)
					delete(left, c)
				}
			}
			if rapid.Bool().Draw(rt, "hold") {
				o.Hold(rapid.Uint64Range(0, 700).Draw(rt, "from"), now.Add(time.Second))
			}
		}
	})
}
