package scenario

import (
	"slices"
	"testing"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// TestJudgementOfCommittedTraces runs the shipped traces through the judgement:
// each scenario meets the rule that it was made for and no other hazard, and
// its gate is open before and after.
func TestJudgementOfCommittedTraces(t *testing.T) {
	allowed := map[string][]string{ // the first is a must
		Squall: {"W03", "W06", "W01"}, Sag: {"E01"}, Storm: {"W03", "W05"},
		Cyclone: {"W08", "W03", "W05"}, HotBearing: {"T02", "E13"}, MeterDrift: {"E16"},
	}
	for file, o := range committed() {
		tr := mustNew(t, o)
		cfg := model.DefaultConfig()
		trace.Configure(&cfg, tr.Meta, tr.Channels)
		judge, err := model.NewJudge(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		first := tr.Rows[0].Sample.TimeMs
		if err := judge.SetWall(first, first); err != nil {
			t.Fatal(err)
		}
		var rules []string
		var openHours, firstBlock float64
		openLast, wasOpen := false, false
		for i := range tr.Rows {
			judge.Step(&tr.Rows[i].Sample)
			v := judge.View()
			openLast = v.State == model.StateOpen
			if openLast {
				openHours += o.Interval.Hours()
				wasOpen = true
			}
			if !wasOpen {
				continue // warming up
			}
			for _, c := range v.Causes {
				if c.Level != model.LevelBlock {
					continue
				}
				if firstBlock == 0 {
					firstBlock = float64(i+1) * o.Interval.Hours()
				}
				if !slices.Contains(rules, c.Rule) {
					rules = append(rules, c.Rule)
				}
			}
		}
		t.Logf("%s: open %.1f h, blocked first at %.1f h by %v", file, openHours, firstBlock, rules)
		want := allowed[o.Name]
		if len(want) > 0 && !slices.Contains(rules, want[0]) {
			t.Errorf("%s: blocked by %v, want %s", file, rules, want[0])
		}
		for _, r := range rules {
			if !slices.Contains(want, r) {
				t.Errorf("%s: blocked by %s too", file, r)
			}
		}
		if o.Name == HotBearing { // nobody has mended it
			openLast = !openLast
		}
		if !openLast || openHours < o.Span.Hours()/2 {
			t.Errorf("%s: open %.1f h, and at the end %v", file, openHours, openLast)
		}
	}
}

// judged runs the judge of a scenario's site over its rows.
func judged(t *testing.T, o Options, change func(*model.Config), each func(i int, s *model.Sample, v model.View)) {
	t.Helper()
	tr := mustNew(t, o)
	cfg := model.DefaultConfig()
	trace.Configure(&cfg, tr.Meta, tr.Channels)
	change(&cfg)
	judge, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := tr.Rows[0].Sample.TimeMs
	if err := judge.SetWall(first, first); err != nil {
		t.Fatal(err)
	}
	for i := range tr.Rows {
		judge.Step(&tr.Rows[i].Sample)
		each(i, &tr.Rows[i].Sample, judge.View())
	}
}

func standing(v model.View, rule string) (model.Level, bool) {
	for _, a := range v.Alerts {
		for _, c := range a.Causes {
			if c.Rule == rule {
				return c.Level, true
			}
		}
	}
	return model.LevelNone, false
}

// The eye of a cyclone is calm and the gate stays closed in it: W08 asks for
// pressure and wind together, and for an hour.
func TestGateStaysClosedInTheEye(t *testing.T) {
	for seed := range uint64(5) {
		o := DefaultOptions(Cyclone, seed)
		centre := 0.8 * o.Span.Seconds()
		before, after, eye := 0.0, 0.0, 0
		judged(t, o, func(*model.Config) {}, func(i int, s *model.Sample, v model.View) {
			wind, since := s.Values[model.WindSpeedMPS], float64(i+1)*o.Interval.Seconds()-centre
			switch {
			case since < 0:
				before = max(before, wind)
			case since > 600:
				after = max(after, wind)
			}
			if _, cyclone := standing(v, "W08"); since > -1200 && since < 1200 && wind < 10 {
				eye++
				if v.State == model.StateOpen || !cyclone {
					t.Errorf("seed %d, %.0f s from the centre, %.1f m/s: the gate is %v, W08 stands: %v", seed, since, wind, v.State, cyclone)
				}
			}
		})
		if before < 24.5 || after < 24.5 || eye < 2 {
			t.Errorf("seed %d: %.1f m/s before the eye, %.1f after it, %d rows in it", seed, before, after, eye)
		}
	}
}

// The profile's greatest wind is at the radius given, and the pressure at the
// centre is that of the surroundings less all of the difference.
func TestHollandProfile(t *testing.T) {
	deficit, centre := holland(1)
	if deficit < 0.999*cyclonePressureHPa || centre > 1 {
		t.Errorf("at the centre %.2f hPa lower, %.1f m/s", deficit, centre)
	}
	_, top := holland(cycloneRadiusM)
	for _, r := range []float64{0.7, 0.9, 1.1, 1.5, 5} {
		if _, v := holland(r * cycloneRadiusM); v > top*1.001 {
			t.Errorf("%.1f m/s at %.1f times the radius, %.1f at it", v, r, top)
		}
	}
}

// Of three strings one is lost at half past ten: P01 warns within the hour, not
// before, and the gate stays open.
func TestLostStringIsWarnedOf(t *testing.T) {
	for seed := range uint64(5) {
		o := DefaultOptions(LostString, seed)
		warned := 0.0
		judged(t, o, func(c *model.Config) { c.RatedPowerW = o.Plant.RatedW }, func(i int, _ *model.Sample, v model.View) {
			if level, ok := standing(v, "P01"); ok && warned == 0 {
				warned = float64(i+1) * o.Interval.Hours()
				if level != model.LevelWarn || v.State != model.StateOpen {
					t.Errorf("seed %d: level %v, gate %v", seed, level, v.State)
				}
			}
		})
		if warned < 10.5 || warned > 11.5 {
			t.Errorf("seed %d: P01 warned at %.2f h, want 10.5 to 11.5", seed, warned)
		}
	}
	o := DefaultOptions(Calm, 1) // the control
	judged(t, o, func(c *model.Config) { c.RatedPowerW = o.Plant.RatedW }, func(i int, _ *model.Sample, v model.View) {
		if _, ok := standing(v, "P01"); ok {
			t.Fatalf("calm day: P01 at row %d", i)
		}
	})
}

// A bearing that wears warns before it blocks, by vibration and by heat.
func TestHotBearingWarnsThenBlocks(t *testing.T) {
	for seed := range uint64(5) {
		o := DefaultOptions(HotBearing, seed)
		at := map[string]float64{}
		judged(t, o, func(c *model.Config) { c.Generator = model.GeneratorWind }, func(i int, _ *model.Sample, v model.View) {
			for _, rule := range []string{"T02", "E13"} {
				level, ok := standing(v, rule)
				key := rule + " " + level.String()
				if ok && at[key] == 0 {
					at[key] = float64(i+1) * o.Interval.Hours()
				}
			}
		})
		for _, rule := range []string{"T02", "E13"} {
			if warn, block := at[rule+" warn"], at[rule+" block"]; !(warn > 9 && block > warn && block < 14.5) {
				t.Errorf("seed %d: %s warns at %.2f h and blocks at %.2f h", seed, rule, warn, block)
			}
		}
	}
}

// A meter that drifts is refused before it shows 15 % too much.
func TestMeterDriftIsFound(t *testing.T) {
	for seed := range uint64(5) {
		o := DefaultOptions(MeterDrift, seed)
		e, found := newEvent(o), -1.0
		judged(t, o, func(*model.Config) {}, func(i int, _ *model.Sample, v model.View) {
			if _, ok := standing(v, "E16"); ok && found < 0 && float64(i+1)*o.Interval.Hours() > 1 {
				found = e.plantFault(float64(i+1) * o.Interval.Seconds()).MeterDrift
				if v.State == model.StateOpen {
					t.Errorf("seed %d: the gate is open", seed)
				}
			}
		})
		if found < 0.08 || found > 0.15 {
			t.Errorf("seed %d: found at a drift of %.3f, want 0.08 to 0.15", seed, found)
		}
	}
}
