package model

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func testTimes() GateTimes {
	return GateTimes{MinBlockS: 300, ValidS: 60, MaxReopens: 3, ReopenClearS: 3600}
}

// settle steps until nothing changes.
func settle(g *Gate, tMs int64, in GateInput) State {
	for g.Step(tMs, in) {
	}
	s, _ := g.State()
	return s
}

// openGate returns a gate that opened at 300 s.
func openGate(t *testing.T) *Gate {
	t.Helper()
	g := NewGate(testTimes())
	if s := settle(g, 0, GateInput{}); s != StateClearing {
		t.Fatalf("at the start %v, want CLEARING", s)
	}
	if s := settle(g, 299_999, GateInput{}); s != StateClearing {
		t.Fatalf("before the shortest block is over %v, want CLEARING", s)
	}
	if s := settle(g, 300_000, GateInput{}); s != StateOpen {
		t.Fatalf("after the shortest block %v, want OPEN", s)
	}
	return g
}

func TestGateStartsBlocked(t *testing.T) {
	g := NewGate(testTimes())
	if s, _ := g.State(); s != StateInit {
		t.Fatalf("new gate is %v", s)
	}
	if !g.Step(7, GateInput{}) {
		t.Fatal("first step changed nothing")
	}
	if s, since := g.State(); s != StateBlocked || since != 7 {
		t.Fatalf("after the first step %v since %d", s, since)
	}
}

func TestGateBlocksAtOnceAndHolds(t *testing.T) {
	g := openGate(t)
	w := RuleSet(0).With(5)
	if s := settle(g, 400_000, GateInput{Active: w}); s != StateBlocked {
		t.Fatalf("with a cause %v", s)
	}
	hold := GateInput{HoldUntilMs: 401_000 + 1_800_000}
	if s := settle(g, 401_000, hold); s != StateClearing {
		t.Fatalf("without a cause %v", s)
	}
	if at := g.OpensAtMs(); at != 2_201_000 {
		t.Fatalf("opens at %d, want 2201000", at)
	}
	if s := settle(g, 2_200_999, hold); s != StateClearing {
		t.Fatalf("one ms early %v", s)
	}
	if s := settle(g, 2_201_000, hold); s != StateOpen {
		t.Fatalf("in time %v", s)
	}
}

func TestGateLatchNeedsAck(t *testing.T) {
	g := openGate(t)
	r := RuleSet(0).With(3)
	settle(g, 400_000, GateInput{Active: r, Latching: r})
	if err := g.Ack(3); !errors.Is(err, errStillActive) {
		t.Fatalf("acknowledged an active cause: %v", err)
	}
	if s := settle(g, 90_000_000, GateInput{}); s != StateBlocked {
		t.Fatalf("latched gate went to %v", s)
	}
	if err := g.Ack(4); !errors.Is(err, errNotLatched) {
		t.Fatalf("acknowledged what is not latched: %v", err)
	}
	if err := g.Ack(3); err != nil {
		t.Fatal(err)
	}
	if s := settle(g, 90_000_001, GateInput{}); s != StateOpen {
		t.Fatalf("after the acknowledgement %v, want OPEN (every time has run)", s)
	}
}

func TestGateLimitsReopening(t *testing.T) {
	g := openGate(t) // the first of three openings
	r := RuleSet(0).With(1)
	tMs := int64(300_000)
	for range 2 {
		tMs += 1000
		settle(g, tMs, GateInput{Active: r})
		tMs += 1000
		settle(g, tMs, GateInput{})
		tMs += 300_000
		if s := settle(g, tMs, GateInput{}); s != StateOpen {
			t.Fatalf("at %d %v, want OPEN", tMs, s)
		}
	}
	settle(g, tMs+1000, GateInput{Active: r})
	settle(g, tMs+2000, GateInput{})
	if at := g.OpensAtMs(); at != tMs+2000+3_600_000 {
		t.Fatalf("after three openings in an hour opens at %d, want an hour later (%d)", at, tMs+2000+3_600_000)
	}
}

// gateStep is one random move.
type gateStep struct {
	dt     int64
	active RuleSet
	latch  RuleSet
	hold   int64
}

func drawSteps(t *rapid.T) []gateStep {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gateStep {
		s := gateStep{
			dt:   rapid.Int64Range(0, 2_000_000).Draw(t, "dt"),
			hold: rapid.Int64Range(0, 4_000_000).Draw(t, "hold"),
		}
		if rapid.Bool().Draw(t, "caused") {
			s.active = RuleSet(rapid.Uint64Range(0, 15).Draw(t, "active"))
			s.latch = s.active & RuleSet(rapid.Uint64Range(0, 15).Draw(t, "latch"))
		}
		return s
	}), 1, 40).Draw(t, "steps")
}

// Invariant (b): a cause or a latch never leaves the gate open, and the gate
// never opens before the holds it was told.
func TestGateNeverOpenWithCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, tMs := NewGate(testTimes()), int64(0)
		for _, s := range drawSteps(t) {
			tMs += s.dt
			before, _ := g.State()
			state := settle(g, tMs, GateInput{Active: s.active, Latching: s.latch, HoldUntilMs: tMs + s.hold})
			if state == StateOpen && (s.active != 0 || g.Latched() != 0) {
				t.Fatalf("open with causes %b, latches %b", s.active, g.Latched())
			}
			if state == StateOpen && before != StateOpen && s.hold > 0 {
				t.Fatalf("opened %d ms before a hold ended", s.hold)
			}
		}
	})
}

// Invariant (a): when no cause is active, every latch is acknowledged and
// nothing new happens, the gate opens, and not later than the longest of its
// times.
func TestGateOpensInTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, tMs := NewGate(testTimes()), int64(0)
		hold := int64(0)
		for _, s := range drawSteps(t) {
			tMs += s.dt
			hold = max(hold, tMs+s.hold)
			settle(g, tMs, GateInput{Active: s.active, Latching: s.latch, HoldUntilMs: hold})
		}
		tMs++
		settle(g, tMs, GateInput{HoldUntilMs: hold})
		for r := range 4 {
			if g.Latched().Has(r) {
				if err := g.Ack(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		settle(g, tMs, GateInput{HoldUntilMs: hold})
		at := g.OpensAtMs()
		if limit := max(hold, tMs+3_600_000); at > limit {
			t.Fatalf("opens at %d, after %d", at, limit)
		}
		if s := settle(g, max(at, tMs), GateInput{HoldUntilMs: hold}); s != StateOpen {
			t.Fatalf("at its own time %v", s)
		}
	})
}

// Invariant (e), the gate's part: only differences of time count. Shifting
// the clock by any amount shifts the transitions and changes nothing else.
func TestGateKnowsNoWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "shift")
		a, b, tMs := NewGate(testTimes()), NewGate(testTimes()), int64(0)
		for _, s := range drawSteps(t) {
			tMs += s.dt
			in := GateInput{Active: s.active, Latching: s.latch, HoldUntilMs: tMs + s.hold}
			shifted := in
			shifted.HoldUntilMs += shift
			if x, y := settle(a, tMs, in), settle(b, tMs+shift, shifted); x != y {
				t.Fatalf("%v, shifted %v", x, y)
			}
			if _, at := a.State(); true {
				if _, bt := b.State(); bt != at+shift {
					t.Fatalf("since %d, shifted %d", at, bt)
				}
			}
		}
	})
}
