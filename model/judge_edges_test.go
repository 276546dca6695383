package model

import (
	"slices"
	"strings"
	"testing"
)

// One phase far outside the limits is enough, whatever the others show.
func TestWorstPhaseCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b float64
		want Level
	}{
		{230, 230, LevelNone},
		{230, pu(0.3), LevelBlock},
		{pu(0.3), 230, LevelBlock},
		{230, pu(1.3), LevelBlock},
		{pu(1.3), 230, LevelBlock},
	} {
		b := newBare(t, nil).set(map[Channel]float64{VoltageAV: c.a, VoltageBV: c.b})
		if got := b.judge("E02", LevelNone); got != c.want {
			t.Errorf("%v V and %v V: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// The grid may not be entered while a channel that it once showed is unknown.
func TestUnknownGridIsNotEntered(t *testing.T) {
	t.Parallel()
	good := map[Channel]float64{VoltageV: 230, VoltageAV: 230, FrequencyHz: 50}
	if !newBare(t, nil).set(good).mayEnter(bareMs) {
		t.Error("a good grid is not entered")
	}
	for c := range good {
		if newBare(t, nil).set(good).lose(c).mayEnter(bareMs) {
			t.Errorf("entered without knowing %v", c)
		}
	}
}

// A stroke acts although the count of the same detector is lost: deafness keeps
// what stands and hides nothing new.
func TestStrokeOfADeafDetector(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.Stale.LightningS = 60 })
	r.step(1000, strokeAt(50, 0))
	r.step(61_000, map[Channel]float64{LightningKM: 5})
	if !r.j.ev.deaf(r.now) {
		t.Fatal("the detector is not deaf")
	}
	if l := r.levelOf("W01"); l != LevelWarn {
		t.Errorf("W01 %v", l)
	}
}

// A witness counts for less than ConfirmS.
func TestWitnessesGrowOld(t *testing.T) {
	t.Parallel()
	for laterMs, want := range map[int64]Level{59_000: LevelBlock, 60_000: LevelWarn, 61_000: LevelWarn} {
		r := quietRig(t, func(c *Config) { c.Lightning.ConfirmS = 60 })
		r.step(1000, map[Channel]float64{LightningCount: 1})
		r.step(laterMs, strokeAt(5, 1))
		if l := r.levelOf("W01"); l != want {
			t.Errorf("a stroke %d ms before: %v, want %v", laterMs, l, want)
		}
	}
}

// An alert follows its level also where the same rules stand behind it.
func TestAlertFollowsItsLevel(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, strokeAt(5, 1))
	ev := r.step(1000, strokeAt(5, 1))
	i := slices.IndexFunc(ev, func(e Event) bool { return e.Type == EventAlert && e.Kind == KindThunderstorm })
	if i < 0 || ev[i].Action != ActionUpdate || ev[i].Level != LevelBlock || ev[i].Rev != 2 {
		t.Errorf("events %+v", ev)
	}
}

// A warning's clear time holds no gate.
func TestHeldWarningHoldsNoGate(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, strokeAt(15, 1)) // W02 warns and is held for half an hour
	for range 1000 {
		r.step(1000, map[Channel]float64{LightningCount: 0})
	}
	if l := r.levelOf("W02"); l != LevelWarn {
		t.Fatalf("W02 %v", l)
	}
	r.wantOpen()
}

// A gate without any cause to name says that it starts.
func TestStartIsAReason(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.Gate.ValidS, c.Gate.MinBlockS, c.Limits.EnterServiceS = 0, 0, 1e-9 })
	ev := r.step(1000, map[Channel]float64{RainMM: 0})
	if len(ev) == 0 || ev[0].State != StateBlocked || ev[0].Reason != "start" {
		t.Errorf("events %+v", ev)
	}
}

// The wall clock is what it was told to be at a moment of the sensing clock.
func TestWallClockOffset(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	if err := r.j.SetWall(1_700_000_000_000, 5000); err != nil {
		t.Fatal(err)
	}
	if got := r.j.ev.wallOffsetMs; got != 1_699_999_995_000 {
		t.Errorf("offset %d", got)
	}
}

// A frequency is told against the limit that it is beyond. At the limit, or when
// it is unknown, what keeps the grid from being entered is told.
func TestFrequencyIsTold(t *testing.T) {
	t.Parallel()
	l := newBare(t, nil).limits
	for _, c := range []struct {
		hz    float64
		lost  bool
		op    string
		limit float64
		also  int // inputs told with the frequency
	}{
		{down(l.FrequencyLowHz), false, "<", l.FrequencyLowHz, 0},
		{l.FrequencyLowHz, false, "<", l.EnterFreqLowHz, 1},
		{l.FrequencyHighHz, false, ">", l.EnterFreqHighHz, 1},
		{up(l.FrequencyHighHz), false, ">", l.FrequencyHighHz, 0},
		{40, true, "", 0, 1},
		{60, true, "", 0, 1},
	} {
		b := newBare(t, nil).set(map[Channel]float64{FrequencyHz: c.hz, VoltageV: 100})
		if c.lost {
			b.lose(FrequencyHz)
		}
		in := told(b, "E04", ruleState{level: LevelBlock, held: LevelBlock}).Inputs
		if len(in) != 1+c.also || in[c.also].Op != c.op || in[c.also].Threshold != c.limit {
			t.Errorf("%v Hz, lost %v: %+v", c.hz, c.lost, in)
		}
	}
}

// An acknowledgement is told with the changes of state that it brings, or by
// itself if the next sample of the same moment makes its rule block again.
func TestAcknowledgementIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dcV    float64
		states []State
	}{{5, []State{StateClearing, StateOpen}}, {-20, []State{StateBlocked}}} {
		r := quietRig(t, func(c *Config) { c.Latch = []string{"E12"} })
		r.step(1000, map[Channel]float64{DCVoltageV: -20})
		r.step(1000, map[Channel]float64{DCVoltageV: 5})
		r.step(1_000_000, map[Channel]float64{DCVoltageV: 5})
		if err := r.j.Ack("E12", "Ada"); err != nil {
			t.Fatal(err)
		}
		var states []State
		for _, e := range r.step(0, map[Channel]float64{DCVoltageV: c.dcV}) {
			if e.Type == EventGate && strings.Contains(e.Reason, "E12 acknowledged by Ada") {
				states = append(states, e.State)
			}
		}
		if !slices.Equal(states, c.states) {
			t.Errorf("%v V after it: told with %v, want %v", c.dcV, states, c.states)
		}
	}
}

// The sensing clock may begin anywhere, and advances without samples.
func TestAdvanceMovesTheClock(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	for _, ms := range []int64{-5000, -4000, 9000} {
		r.j.Advance(ms)
		if r.j.nowMs != ms {
			t.Errorf("advanced to %d, the clock stands at %d", ms, r.j.nowMs)
		}
	}
}
