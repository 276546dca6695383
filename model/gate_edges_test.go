package model

import (
	"errors"
	"testing"
)

// The gate opens at the last of its times, to the millisecond.
func TestGateTimesToTheMillisecond(t *testing.T) {
	t.Parallel()
	times := GateTimes{MinBlockS: 300, MaxReopens: 3, ReopenClearS: 3600}
	for _, c := range []struct {
		name  string
		over  int64 // when the cause is over
		hold  int64
		opens int64
	}{
		{"the shortest block", 1000, 0, 300_000},
		{"a hold", 1000, 400_000, 400_000},
		{"a long block", 500_000, 0, 500_000},
	} {
		g := NewGate(times)
		settle(g, 0, GateInput{Active: 1})
		if g.OpensAtMs() != never {
			t.Errorf("%s: blocked, and opens at %d", c.name, g.OpensAtMs())
		}
		settle(g, c.over, GateInput{HoldUntilMs: c.hold})
		if at := g.OpensAtMs(); at != c.opens {
			t.Errorf("%s: opens at %d, want %d", c.name, at, c.opens)
		}
		if c.opens > c.over {
			if s := settle(g, c.opens-1, GateInput{HoldUntilMs: c.hold}); s != StateClearing {
				t.Errorf("%s: %v a millisecond early", c.name, s)
			}
		}
		if s := settle(g, c.opens, GateInput{HoldUntilMs: c.hold}); s != StateOpen || g.OpensAtMs() != c.opens {
			t.Errorf("%s: %v at its time", c.name, s)
		}
		// A later step leaves it open since then.
		settle(g, c.opens+10, GateInput{})
		if _, since := g.State(); since != c.opens {
			t.Errorf("%s: open since %d", c.name, since)
		}
	}
}

// A block that comes while the gate clears continues the one before; one that
// comes while it is open begins a new one.
func TestBlockBegins(t *testing.T) {
	t.Parallel()
	g := NewGate(GateTimes{MinBlockS: 300, MaxReopens: 3})
	settle(g, 0, GateInput{Active: 1})
	settle(g, 100_000, GateInput{})
	settle(g, 200_000, GateInput{Active: 1})
	settle(g, 250_000, GateInput{})
	if at := g.OpensAtMs(); at != 300_000 {
		t.Errorf("opens at %d, want 300000", at)
	}
	settle(g, 300_000, GateInput{})
	settle(g, 400_000, GateInput{Active: 1})
	settle(g, 450_000, GateInput{})
	if at := g.OpensAtMs(); at != 700_000 {
		t.Errorf("opens at %d, want 700000", at)
	}
}

// The fourth opening within an hour asks for ReopenClearS; an opening an hour
// ago does not count. (At exactly an hour it does not either: a millisecond
// more or less there changes nothing that anyone could want.)
func TestReopenings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		gapMs  int64 // from the third opening's block to the first opening's hour
		strict bool
	}{{"within the hour", hourMs - 1, true}, {"an hour after", hourMs, false}} {
		g := NewGate(GateTimes{MaxReopens: 3, ReopenClearS: 3600})
		for i := range int64(3) {
			settle(g, i*1000, GateInput{Active: 1})
			settle(g, i*1000+1, GateInput{})
		}
		settle(g, c.gapMs, GateInput{Active: 1})
		settle(g, c.gapMs+1, GateInput{})
		want := c.gapMs + 1
		if c.strict {
			want += 3_600_000
		}
		if at := g.OpensAtMs(); at != want {
			t.Errorf("%s: opens at %d, want %d", c.name, at, want)
		}
	}
	// Two openings are not yet three.
	g := NewGate(GateTimes{MaxReopens: 3, ReopenClearS: 3600})
	for i := range int64(2) {
		settle(g, i*1000, GateInput{Active: 1})
		settle(g, i*1000+1, GateInput{})
	}
	settle(g, 5000, GateInput{Active: 1})
	settle(g, 5001, GateInput{})
	if s, _ := g.State(); s != StateOpen {
		t.Errorf("the third opening: %v", s)
	}
	for in, want := range map[int]int{-1: 1, 0: 1, 16: 16, 17: 16} {
		if got := NewGate(GateTimes{MaxReopens: in}).times.MaxReopens; got != want {
			t.Errorf("%d reopenings become %d, want %d", in, got, want)
		}
	}
}

func TestAckEdges(t *testing.T) {
	t.Parallel()
	g := NewGate(GateTimes{MaxReopens: 3})
	settle(g, 0, GateInput{Active: 0b110, Latching: 0b011}) // only what is active latches
	if g.Latched() != 0b010 {
		t.Errorf("latched %b, want 10", g.Latched())
	}
	if err := g.Ack(1); !errors.Is(err, errStillActive) {
		t.Errorf("an active cause: %v", err)
	}
	if err := g.Ack(2); !errors.Is(err, errNotLatched) {
		t.Errorf("what is not latched: %v", err)
	}
	if s := settle(g, 1, GateInput{}); s != StateBlocked {
		t.Errorf("latched and %v", s)
	}
	if err := g.Ack(1); err != nil || g.Latched() != 0 {
		t.Errorf("%v, latched %b", err, g.Latched())
	}
	if s := settle(g, 2, GateInput{}); s != StateOpen {
		t.Errorf("acknowledged and %v", s)
	}
}

func TestSecondsRound(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]int64{0: 0, 1: 1000, 0.0004: 0, 0.0006: 1, 1.2345: 1235, -1: -1000} {
		if got := seconds(s); got != want {
			t.Errorf("seconds(%v) = %d, want %d", s, got, want)
		}
	}
	for ms, want := range map[int64]string{0: "0", 1: "1", 999: "1", 1000: "1", 1001: "2"} {
		if got := wholeSeconds(ms); got != want {
			t.Errorf("wholeSeconds(%d) = %s, want %s", ms, got, want)
		}
	}
}
