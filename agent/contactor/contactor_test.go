package contactor

import (
	"testing"

	"pgregory.net/rapid"
)

func demand(open bool, trades ...string) Demand { return Demand{GateOpen: open, Delivering: trades} }

// opened is a switch whose contactor is open and known to be.
func opened() *Switch {
	s := &Switch{}
	s.Told("", true)
	return s
}

func TestStartsByOpening(t *testing.T) {
	s := &Switch{}
	if !s.MustOpen(demand(true, "a")) || s.MayClose(demand(true, "a"), "a") {
		t.Error("a contactor in an unknown place is not opened first")
	}
	s.Told("", true)
	if s.MustOpen(demand(true, "a")) || !s.MayClose(demand(true, "a"), "a") {
		t.Error("a contactor that was opened is not free to close")
	}
}

// Closed means: gate OPEN, and exactly this trade delivers.
func TestClosesForOneTradeWhileTheGateIsOpen(t *testing.T) {
	for _, c := range []struct {
		what string
		d    Demand
		want bool
	}{
		{"its trade alone", demand(true, "a"), true},
		{"a shut gate", demand(false, "a"), false},
		{"no trade", demand(true), false},
		{"another trade", demand(true, "b"), false},
		{"two trades", demand(true, "a", "b"), false},
		{"the same trade twice", demand(true, "a", "a"), false},
	} {
		if got := opened().MayClose(c.d, "a"); got != c.want {
			t.Errorf("%s: may close %v", c.what, got)
		}
		s := opened()
		s.Told("a", true)
		if got := s.MustOpen(c.d); got == c.want {
			t.Errorf("%s: must open %v", c.what, got)
		}
	}
	if opened().MayClose(demand(true, ""), "") {
		t.Error("closes for no trade")
	}
	s := opened()
	s.Told("a", true)
	if s.MayClose(demand(true, "a"), "a") {
		t.Error("closes what is closed")
	}
}

func TestFailedCommandIsOpenedUntilItWorks(t *testing.T) {
	for _, trade := range []string{"a", ""} {
		s := opened()
		s.Told(trade, false)
		if !s.MustOpen(demand(true, "a")) || s.MayClose(demand(true, "a"), "a") || s.Trade() != "" {
			t.Errorf("after a failed command for %q: %+v", trade, s)
		}
		s.Feel(0, Feeling{Watched: true, Known: true})
		if got := s.Feel(FaultAfterMs, Feeling{Watched: true, Known: true}); got != Unable {
			t.Errorf("a command that fails for a second is %v", got)
		}
		s.Told("", true)
		if s.MustOpen(demand(true, "a")) {
			t.Error("an opening that worked is repeated")
		}
		if got := s.Feel(FaultAfterMs+1, Feeling{Watched: true, Known: true}); got != None || !s.MayClose(demand(true, "a"), "a") {
			t.Errorf("after it works again: %v", got)
		}
	}
}

func TestFeedbackThatDisagreesForASecondIsAFault(t *testing.T) {
	for _, c := range []struct {
		what  string
		trade string
		f     Feeling
		want  Fault
	}{
		{"open and open", "", Feeling{Watched: true, Known: true}, None},
		{"closed and closed", "a", Feeling{Watched: true, Known: true, Closed: true}, None},
		{"told open, feels closed", "", Feeling{Watched: true, Known: true, Closed: true}, Welded},
		{"told closed, feels open", "a", Feeling{Watched: true, Known: true}, Stuck},
		{"feedback cannot be read", "a", Feeling{Watched: true}, Unable},
		{"no feedback", "a", Feeling{}, Unwatched},
	} {
		s := opened()
		s.Told(c.trade, true)
		before := None
		if !c.f.Watched {
			before = Unwatched
		}
		s.Feel(5000, c.f)
		if got := s.Feel(5000+FaultAfterMs-1, c.f); got != before {
			t.Errorf("%s: %v a millisecond too early", c.what, got)
		}
		if got := s.Feel(5000+FaultAfterMs, c.f); got != c.want || s.Fault() != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
		if c.want == Welded && s.MayClose(demand(true, "a"), "a") {
			t.Errorf("%s: may be closed", c.what)
		}
	}
}

// Bounces and a contact on its way are no fault.
func TestBouncingIsNoFault(t *testing.T) {
	s := opened()
	s.Told("a", true)
	for i := range int64(100) {
		if got := s.Feel(i*600, Feeling{Watched: true, Known: true, Closed: i%2 == 1}); got != None {
			t.Fatalf("a bouncing contact is %v", got)
		}
	}
	// A command asks again: what disagreed before it does not count.
	s.Feel(100_000, Feeling{Watched: true, Known: true})
	s.Told("", true)
	s.Feel(100_500, Feeling{Watched: true, Known: true, Closed: true})
	if got := s.Feel(101_499, Feeling{Watched: true, Known: true, Closed: true}); got != None {
		t.Errorf("the time before the command counts: %v", got)
	}
	if got := s.Feel(101_500, Feeling{Watched: true, Known: true, Closed: true}); got != Welded {
		t.Errorf("after a second: %v", got)
	}
}

func TestNames(t *testing.T) {
	for f, want := range map[Fault]string{None: "none", Unwatched: "unwatched", Welded: "welded", Stuck: "stuck", Unable: "unable", 99: "unknown"} {
		if f.String() != want {
			t.Errorf("%d is %s", f, f)
		}
	}
}

// In random steps with restarts, commands that fail and drivers that lie about
// nothing, the contactor is closed only while the gate is OPEN and exactly the
// trade it was closed for delivers.
func TestClosedMeansOpenGateAndOneTrade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Switch{}
		closedFor := rapid.SampledFrom([]string{"", "a"}).Draw(t, "where it was left") // of the true contactor
		nowMs, broken := int64(0), false
		drive := func(trade string) {
			if broken {
				s.Told(trade, false)
				return
			}
			if closedFor = trade; rapid.IntRange(0, 9).Draw(t, "reports an error all the same") == 0 {
				s.Told(trade, false)
				return
			}
			s.Told(trade, true)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			nowMs += rapid.Int64Range(0, 3000).Draw(t, "ms")
			switch rapid.IntRange(0, 12).Draw(t, "event") {
			case 0: // restart: the program forgets, the contactor stays
				s = &Switch{}
			case 1:
				broken = !broken
			}
			d := Demand{
				GateOpen:   rapid.Bool().Draw(t, "gate"),
				Delivering: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 2).Draw(t, "delivering"),
			}
			s.Feel(nowMs, Feeling{Watched: true, Known: !broken, Closed: closedFor != ""})
			if s.MustOpen(d) {
				drive("")
			}
			if closedFor != "" && !d.allows(closedFor) && !broken {
				t.Fatalf("closed for %q under %+v", closedFor, d)
			}
			if want := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "asks"); s.MayClose(d, want) {
				if drive(want); closedFor != "" && !d.allows(closedFor) {
					t.Fatalf("closes for %q under %+v", want, d)
				}
			}
		}
	})
}
