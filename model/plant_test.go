package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Every rule of the hazard tables is one entry with a source and a way to say
// why, or is listed with the reason for its absence.
func TestEveryHazardIsServedOrListed(t *testing.T) {
	var ids []string
	for i := range 16 {
		ids = append(ids, fmt.Sprintf("E%02d", i+1))
	}
	for i := range 10 {
		ids = append(ids, fmt.Sprintf("W%02d", i+1))
	}
	seen := map[string]int{}
	for _, r := range rules {
		seen[r.id]++
		if r.source == "" || r.explain == nil || r.evaluate == nil || r.holdS == nil {
			t.Errorf("%s is incomplete", r.id)
		}
	}
	for _, id := range ids {
		absent := slices.ContainsFunc(noChannel(), func(u Unserved) bool {
			return u.Rule == id && u.Why != "" && !strings.HasPrefix(u.Why, "in part")
		})
		if served := seen[id] > 0; served == absent {
			t.Errorf("%s: served %v, listed as absent %v", id, served, absent)
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s stands %d times in the table", id, n)
		}
	}
}

// levelOf is what a rule says or still stands for.
func (r *rig) levelOf(id string) Level {
	i, ok := ruleIndex(r.j.rules, id)
	if !ok {
		r.t.Fatalf("no rule %s", id)
	}
	return max(r.j.states[i].level, r.j.states[i].held)
}

// textOf is the rule's explanation.
func (r *rig) textOf(id string) string {
	i, _ := ruleIndex(r.j.rules, id)
	return r.j.ev.explain(&r.j.rules[i], &r.j.states[i], false, r.now).Text
}

// sunny is a roof of 5 kW that gives a share of what 800 W/m2 promise.
func sunny(share float64) map[Channel]float64 {
	return map[Channel]float64{PowerW: 4000 * share, IrradianceWPM2: 800}
}

func TestYieldShortfall(t *testing.T) {
	minutes := func(r *rig, n int, values map[Channel]float64) {
		for range n {
			r.step(60_000, values)
		}
	}
	r := newRig(t, nil, func(c *Config) { c.IntervalS, c.RatedPowerW = 60, 5000 })
	minutes(r, 60, sunny(0.9))
	r.wantOpen()
	if l := r.levelOf("P01"); l != LevelNone {
		t.Fatalf("a healthy roof: %v", l)
	}
	n := 0
	for ; n < 60 && r.levelOf("P01") == LevelNone; n++ {
		minutes(r, 1, sunny(0.6)) // one string of three has gone
	}
	// The mean of 30 min falls from 90 to 70 % after two thirds of them.
	if n < 18 || n > 22 {
		t.Errorf("seen after %d minutes, want about 20", n)
	}
	if text := r.textOf("P01"); !strings.Contains(text, "power shortfall 30") || !strings.Contains(text, "(>= 30 %)") || !strings.Contains(text, "irradiance wpm2 800") {
		t.Errorf("text %q", text)
	}
	minutes(r, 600, map[Channel]float64{PowerW: 0, IrradianceWPM2: 0})
	if r.levelOf("P01") != LevelWarn {
		t.Error("the night has repaired the string")
	}
	minutes(r, 29, sunny(0.9))
	if r.levelOf("P01") != LevelWarn {
		t.Error("over before half an hour of light")
	}
	minutes(r, 3, sunny(0.9))
	if l := r.levelOf("P01"); l != LevelNone {
		t.Errorf("after the repair: %s", r.textOf("P01"))
	}
	r.wantOpen() // it only warned
}

func TestYieldIsNotComparedInTheDarkOrForShort(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS, c.RatedPowerW = 60, 5000 })
	for i := range 600 {
		v := map[Channel]float64{PowerW: 0, IrradianceWPM2: 199}
		if i%30 > 5 {
			v[IrradianceWPM2] = 900 // never for half an hour
		}
		r.step(60_000, v)
	}
	if l := r.levelOf("P01"); l != LevelNone {
		t.Errorf("%v: %s", l, r.textOf("P01"))
	}
	for _, c := range []struct {
		want   string
		change func(*Config)
	}{
		{"no rated_power_w is configured", func(*Config) {}},
		{"only for a generator of kind pv", func(c *Config) { c.Generator, c.RatedPowerW = GeneratorWind, 5000 }},
		{"no channel irradiance_wpm2", func(c *Config) { c.RatedPowerW, c.Channels = 5000, []Channel{PowerW} }},
	} {
		if !slices.Contains(newRig(t, nil, c.change).j.Unserved(), Unserved{"P01", c.want}) {
			t.Errorf("not said: %s", c.want)
		}
	}
}

func TestVibration(t *testing.T) {
	r := newRig(t, nil, nil)
	run := func(n int, v float64) { r.run(n, map[Channel]float64{VibrationMPS2: v}) }
	run(301, 2)
	r.wantOpen()
	run(5, 40) // a blow: the mean of a minute stays below
	if l := r.levelOf("T02"); l != LevelNone {
		t.Fatalf("a blow: %v", l)
	}
	run(61, 11)
	r.wantOpen()
	if l := r.levelOf("T02"); l != LevelWarn || !strings.Contains(r.textOf("T02"), "vibration 1min 11 m/s2 (>= 10 m/s2)") {
		t.Errorf("at 11 m/s2 %v: %s", l, r.textOf("T02"))
	}
	run(80, 17)
	r.wantBlockedBy("T02")
	run(80, 13) // between clear and set: it stands
	r.wantBlockedBy("T02")
	run(80, 12) // below 0.8 x 16, and within its hold
	if s := r.state(); s != StateClearing || r.levelOf("T02") != LevelBlock {
		t.Errorf("after the fall: %v", s)
	}
	run(680, 5)
	r.wantOpen()
	if l := r.levelOf("T02"); l != LevelNone {
		t.Errorf("at rest %v", l)
	}
	// A sensor that goes away clears nothing.
	run(80, 17)
	r.run(2000, nil)
	r.wantBlockedBy("T02")
}

// A meter that drifts is told of at 5 %, and refused at 10 % and 50 W.
func TestMeterDrift(t *testing.T) {
	at := func(drift float64) map[Channel]float64 {
		return map[Channel]float64{PowerW: 2300 * 0.95 * (1 + drift), VoltageV: 230, CurrentA: 10, PowerFactor: 0.95}
	}
	for _, sign := range []float64{1, -1} {
		r := newRig(t, nil, func(c *Config) {
			c.IntervalS, c.StuckS = 10, 0
			c.Required = []Channel{PowerW}
		})
		warned, refused := 0.0, 0.0
		for i := range 4000 {
			drift := float64(max(0, i-200)) / 4000 * 0.25
			r.step(10_000, at(sign*drift))
			if warned == 0 && r.levelOf("S02") == LevelWarn {
				warned = drift
			}
			if refused == 0 && r.state() == StateBlocked && i > 200 {
				refused = drift
				r.wantBlockedBy("E16")
			}
		}
		// The mean lags by half its window: 5 min of 0.0375 % a minute.
		if warned < 0.05 || warned > 0.055 {
			t.Errorf("sign %v: warned at %.3f", sign, warned)
		}
		if refused < 0.10 || refused > 0.19 || refused <= warned {
			t.Errorf("sign %v: refused at %.3f", sign, refused)
		}
		if r.levelOf("S02") != LevelWarn {
			t.Error("the warning went while the meter was wrong")
		}
		for range 70 {
			r.step(10_000, at(0))
		}
		if l := r.levelOf("S02"); l != LevelNone {
			t.Errorf("after the repair: %s", r.textOf("S02"))
		}
		r.wantOpen()
	}
}

// At little load a difference of some watts is a large share, and means
// nothing.
func TestMeterIsNotComparedAtRest(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS, c.StuckS = 10, 0 })
	for range 500 {
		r.step(10_000, map[Channel]float64{PowerW: 40, VoltageV: 230, CurrentA: 0.5, PowerFactor: 0.9})
	}
	if l := r.levelOf("S02"); l != LevelNone {
		t.Errorf("%s", r.textOf("S02"))
	}
}
