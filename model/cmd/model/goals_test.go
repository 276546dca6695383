package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/model/nnet/skill"
)

// Without recordings evaluate says what it left out and measures nothing.
func TestEvaluateSkipsWithAReason(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := runModel(t, "evaluate", "--data", dir)
	if code != 0 || !strings.Contains(stdout, "SKIPPED gate decisions: no folder "+filepath.Join(dir, "weather", "cities")) || strings.Contains(stdout, "Goals") {
		t.Errorf("exit %d, out %q, err %q", code, stdout, stderr)
	}
}

func TestGoalsAreJudgedUnrounded(t *testing.T) {
	for _, c := range []struct {
		g    goal
		want bool
	}{
		{goal{Value: 0.78, Goal: 0.78}, true},
		{goal{Value: 0.7799999, Goal: 0.78}, false},
		{goal{Value: math.NaN(), Goal: 0.78}, false},
		{goal{Value: math.NaN(), Goal: 2, AtMost: true}, false},
		{goal{Value: 2, Goal: 2, AtMost: true}, true},
		{goal{Value: 2.0001, Goal: 2, AtMost: true}, false},
		{goal{Value: 1, Goal: above1}, false},
	} {
		if c.g.judge(); c.g.Met != c.want {
			t.Errorf("%+v, want %v", c.g, c.want)
		}
	}
}

func TestGateDecision(t *testing.T) {
	for _, c := range []struct {
		name           string
		rules, net, eq tally
		price          float64
		want           bool
		why            string
	}{
		{"the rules catch as many at equal hours", tally{5, 20}, tally{6, 40}, tally{5, 20}, 24, false, "the rules 5"},
		{"more at equal hours, cheap", tally{5, 20}, tally{6, 40}, tally{6, 20}, 24, true, "6.7 blocked hours"},
		{"more at equal hours, dear", tally{5, 20}, tally{2, 100}, tally{6, 20}, 24, false, "50.0 blocked hours"},
		{"the rules have nothing to say", tally{}, tally{2, 10}, tally{}, 24, true, "5.0 blocked hours"},
		{"neither catches any", tally{}, tally{0, 10}, tally{}, 24, false, "catches 0 events"},
	} {
		d := gateDecision{RulesWarn: c.rules, Network: c.net, SameHours: c.eq, PriceHours: c.price, RulesFed: true}
		d.conclude()
		if d.Blocks != c.want || !strings.Contains(d.Why, c.why) {
			t.Errorf("%s: %v, %q", c.name, d.Blocks, d.Why)
		}
	}
	good := gateDecision{Network: tally{6, 40}, PriceHours: 24, Yardstick: &tally{6, 39}, RulesFed: true}
	if good.conclude(); good.Blocks || !strings.Contains(good.Why, "present gust") {
		t.Errorf("no better than the present gust: %v, %q", good.Blocks, good.Why)
	}
	good.Yardstick.Caught = 5
	if good.conclude(); !good.Blocks {
		t.Errorf("better than the present gust: %q", good.Why)
	}
	good.RulesFed, good.Blocks = false, false
	if good.conclude(); good.Blocks {
		t.Error("blocks although the rules were never fed")
	}
}

// No more than n scores reach the threshold, and one less strict would let more
// of them through.
func TestLowestWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scores := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 6), func(i int) float64 { return float64(i) / 6 }), 1, 40).Draw(t, "scores")
		n := rapid.IntRange(0, 45).Draw(t, "n")
		th := lowestWithin(scores, n)
		reach, next := 0, math.Inf(-1)
		for _, s := range scores {
			if s >= th {
				reach++
			} else {
				next = max(next, s)
			}
		}
		if reach > n {
			t.Fatalf("threshold %g: %d of %v reach it, %d are allowed", th, reach, scores, n)
		}
		more := 0
		for _, s := range scores {
			if s >= next {
				more++
			}
		}
		if !math.IsInf(next, -1) && more <= n {
			t.Fatalf("threshold %g although %g would let %d of %d through", th, next, more, n)
		}
	})
}

// Each distortion does to its sensor what its name says, and nothing to others.
func TestDistortions(t *testing.T) {
	at := func(ms int64, v float64) model.Sample {
		var s model.Sample
		s.TimeMs = ms
		s.Set(model.TemperatureC, v)
		s.Set(model.PressureHPa, 1000)
		return s
	}
	all := distortions([][]model.Channel{{model.TemperatureC}})
	if len(all) != 7 {
		t.Fatalf("%d distortions", len(all))
	}
	want := map[string]func(first, second, nextDay model.Sample) bool{
		"missing": func(a, _, _ model.Sample) bool { _, ok := a.Get(model.TemperatureC); return !ok },
		"stuck": func(a, b, c model.Sample) bool {
			return b.Values[model.TemperatureC] == a.Values[model.TemperatureC] && c.Values[model.TemperatureC] == 30
		},
		"+10 %":     func(a, _, _ model.Sample) bool { return math.Abs(a.Values[model.TemperatureC]-11) < 1e-9 },
		"-10 %":     func(a, _, _ model.Sample) bool { return math.Abs(a.Values[model.TemperatureC]-9) < 1e-9 },
		"min fast":  func(a, _, _ model.Sample) bool { return a.TimeMs == 300_000 },
		"min slow":  func(a, _, _ model.Sample) bool { return a.TimeMs == -300_000 },
		"10 % of r": func(_, _, _ model.Sample) bool { return true }, // below
	}
	seen := 0
	for _, d := range all {
		apply := d.start()
		a, b, c := at(0, 10), at(skill.HourMs, 20), at(skill.DayMs, 30)
		apply(&a)
		apply(&b)
		apply(&c)
		for part, ok := range want {
			if !strings.Contains(d.name, part) {
				continue
			}
			seen++
			if !ok(a, b, c) {
				t.Errorf("%s: %v %v %v", d.name, a.Values[model.TemperatureC], b.Values[model.TemperatureC], c.Values[model.TemperatureC])
			}
			if v, valid := a.Get(model.PressureHPa); part != "10 % of r" && (!valid || v != 1000) {
				t.Errorf("%s touched the pressure", d.name)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d kinds seen", seen, len(want))
	}
	lost, apply := 0, lossy()
	for range 5000 {
		s := at(0, 1)
		apply(&s)
		if _, ok := s.Get(model.TemperatureC); !ok {
			lost++
		}
	}
	if lost < 400 || lost > 600 {
		t.Errorf("%d of 5000 readings lost, want about 500", lost)
	}
}

// A gale raises the wind rules: the comparison of the gate decision is fed.
func TestRulesAreFed(t *testing.T) {
	r, err := readRecording(gale(t), math.MinInt64)
	if err != nil {
		t.Fatal(err)
	}
	levels, err := ruleLevels(r, taskKinds("wind")...)
	if err != nil {
		t.Fatal(err)
	}
	if levels[20] != model.LevelNone || levels[170] != model.LevelBlock || levels[250] != model.LevelNone {
		t.Errorf("calm %s, at the peak %s, after it %s", levels[20], levels[170], levels[250])
	}
}

func TestRecordedFaultsWithinTwoCycles(t *testing.T) {
	dir := sharedData(t, "comtrade")
	for _, r := range faultRecordings {
		f, err := r.flag(filepath.Join(dir, r.file))
		if err != nil {
			t.Fatal(err)
		}
		if f.Before != 0 || f.Cycles < 0 || f.Cycles > 2 {
			t.Errorf("%+v", f)
		}
	}
}
