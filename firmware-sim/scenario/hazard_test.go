package scenario

import (
	"math"
	"slices"
	"testing"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// The gradient wind balances the gradient of the pressure, the Coriolis force
// and the curve: V^2/r + f V = dp/dr / density, with dp/dr taken numerically.
func TestVortexIsInBalance(t *testing.T) {
	v := newVortex(0.5)
	f := 2 * earthTurn * math.Sin(latitude*math.Pi/180)
	for _, km := range []float64{5, 20, 40, 80, 200, 400} {
		wind := v.surfaceMPS(km) / surfaceShare
		gradient := (v.belowHPa(km+0.01) - v.belowHPa(km-0.01)) * 100 / 20 // Pa/m
		if got, want := wind*wind/(km*1000)+f*wind, gradient/airDensity; math.Abs(got-want) > 0.01*want+1e-6 {
			t.Errorf("%v km: %v m/s2 of curve and turn, %v of pressure", km, got, want)
		}
	}
	if v.surfaceMPS(v.radiusKM) < 27 || v.surfaceMPS(v.radiusKM/5) > 5 || math.Abs(v.surfaceMPS(v.galeKM)-galeMPS) > 0.01 {
		t.Errorf("wind %v at the ring, %v in the eye, %v at the gales' end",
			v.surfaceMPS(v.radiusKM), v.surfaceMPS(v.radiusKM/5), v.surfaceMPS(v.galeKM))
	}
}

// The eye is calm and deep, and behind it the wind comes from the other side.
func TestCycloneHasACalmEye(t *testing.T) {
	for seed := range uint64(20) {
		o := DefaultOptions(Cyclone, seed)
		tr := mustNew(t, o)
		at := func(i int, c model.Channel) float64 { return tr.Rows[i].Sample.Values[c] }
		deepest := 0
		for i := range tr.Rows {
			if at(i, model.PressureHPa) < at(deepest, model.PressureHPa) {
				deepest = i
			}
		}
		before, after := deepest, deepest
		for i := deepest - 12; i <= deepest+12; i++ { // two hours either way
			if i < deepest && at(i, model.WindSpeedMPS) > at(before, model.WindSpeedMPS) {
				before = i
			}
			if i > deepest && at(i, model.WindSpeedMPS) > at(after, model.WindSpeedMPS) {
				after = i
			}
		}
		calm := 0 // rows below Beaufort 6 between the two walls
		for i := before; i <= after; i++ {
			if at(i, model.WindSpeedMPS) < 10.8 {
				calm++
			}
			if tr.Rows[i].Labels[LabelCyclone] != 1 {
				t.Errorf("seed %d: row %d between the walls has no label", seed, i)
			}
		}
		turned := math.Abs(math.Mod(at(after, model.WindDirectionDeg)-at(before, model.WindDirectionDeg)+540, 360) - 180)
		if p := at(deepest, model.PressureHPa); p < 935 || p > 975 || calm < 3 || calm > 9 || turned < 120 ||
			at(before, model.WindSpeedMPS) < 25 || at(after, model.WindSpeedMPS) < 22 {
			t.Errorf("seed %d: %.0f hPa, %d calm rows of 10 min, wind %.0f then %.0f m/s, turned by %.0f degrees", seed, p, calm,
				at(before, model.WindSpeedMPS), at(after, model.WindSpeedMPS), turned)
		}
	}
}

// A judged row is what the gate and the rules made of one.
type judgedRow struct {
	at            time.Duration // from the trace's start
	row           *trace.Row
	open          bool
	blocks, warns []string // rules
}

// judge replays a scenario as an agent at that plant would judge it.
func judge(t *testing.T, o Options) []judgedRow {
	t.Helper()
	tr := mustNew(t, o)
	cfg := model.DefaultConfig()
	trace.Configure(&cfg, tr.Meta, tr.Channels)
	cfg.Generator, cfg.RatedPowerW, cfg.RatedCurrentA = model.GeneratorPV, o.Plant.RatedW, o.Plant.RatedCurrentA()
	if o.Plant.Kind == Wind {
		cfg.Generator = model.GeneratorWind
	}
	cfg.Position = &model.Position{Latitude: tr.Meta.Latitude, Longitude: tr.Meta.Longitude}
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.SetWall(tr.Rows[0].Sample.TimeMs, tr.Rows[0].Sample.TimeMs); err != nil {
		t.Fatal(err)
	}
	var out []judgedRow
	for i := range tr.Rows {
		j.Step(&tr.Rows[i].Sample)
		v := j.View()
		r := judgedRow{at: time.Duration(i+1) * o.Interval, row: &tr.Rows[i], open: v.State == model.StateOpen}
		for _, c := range v.Causes {
			r.blocks = append(r.blocks, c.Rule)
		}
		for _, a := range v.Alerts {
			for _, c := range a.Causes {
				if c.Level == model.LevelWarn {
					r.warns = append(r.warns, c.Rule)
				}
			}
		}
		out = append(out, r)
	}
	return out
}

// first returns the first row, after the start's clear times, of which a thing
// is true.
func first(rows []judgedRow, is func(*judgedRow) bool) (*judgedRow, bool) {
	opened := false
	for i := range rows {
		opened = opened || rows[i].open
		if opened && is(&rows[i]) {
			return &rows[i], true
		}
	}
	return nil, false
}

func warnedBy(rule string) func(*judgedRow) bool {
	return func(r *judgedRow) bool { return slices.Contains(r.warns, rule) }
}

func blockedBy(rule string) func(*judgedRow) bool {
	return func(r *judgedRow) bool { return slices.Contains(r.blocks, rule) }
}

// allowedBlocks demands that nothing but some rules ever closed the gate once
// it was open, and that it is open at the end.
func allowedBlocks(t *testing.T, what any, rows []judgedRow, rules ...string) {
	t.Helper()
	opened := false
	for _, r := range rows {
		opened = opened || r.open
		for _, rule := range r.blocks {
			if opened && !slices.Contains(rules, rule) {
				t.Errorf("%v: blocked by %s at %v", what, rule, r.at)
				return
			}
		}
	}
	if !opened || !rows[len(rows)-1].open {
		t.Errorf("%v: opened %v, open at the end %v", what, opened, rows[len(rows)-1].open)
	}
}

// In the eye wind and gust are those of a fair day: the gate stays closed,
// held by W08 on pressure, until the storm is over.
func TestGateStaysClosedInTheEye(t *testing.T) {
	for seed := range uint64(20) {
		for _, interval := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour} {
			o := DefaultOptions(Cyclone, seed)
			o.Interval = interval
			rows := judge(t, o)
			allowedBlocks(t, []any{seed, interval}, rows, "W03", "W05", "W08", "T01")
			start, ok := first(rows, blockedBy("W08"))
			if !ok {
				t.Errorf("seed %d, %v: no W08", seed, interval)
				continue
			}
			calm := 0
			for i := range rows {
				r := &rows[i]
				if r.row.Labels[LabelCyclone] != 1 {
					continue
				}
				if r.open {
					t.Errorf("seed %d, %v: open at %v, within the gales", seed, interval, r.at)
					break
				}
				if r.at < start.at {
					continue
				}
				if !blockedBy("W08")(r) {
					t.Errorf("seed %d, %v: W08 let go at %v", seed, interval, r.at)
					break
				}
				if r.row.Sample.Values[model.WindGustMPS] < 10.8 {
					calm++
				}
			}
			if interval < time.Hour && calm == 0 {
				t.Errorf("seed %d, %v: no calm row, so nothing is shown", seed, interval)
			}
			if _, ok := first(rows, warnedBy("W07")); !ok {
				t.Errorf("seed %d, %v: the falling pressure was not told", seed, interval)
			}
		}
	}
}

func TestLostStringIsTold(t *testing.T) {
	told, late := 0, time.Duration(0)
	const seeds = 20
	for seed := range uint64(seeds) {
		o := DefaultOptions(LostString, seed)
		rows := judge(t, o)
		allowedBlocks(t, seed, rows) // a warning is no block
		lost, ok := first(rows, func(r *judgedRow) bool { return r.row.Labels[LabelEquipment] == 1 })
		if !ok {
			t.Fatalf("seed %d: no string was lost", seed)
		}
		warned, ok := first(rows, warnedBy("P01"))
		if !ok {
			t.Logf("seed %d: not told", seed)
			continue
		}
		told++
		late = max(late, warned.at-lost.at)
		if warned.at < lost.at {
			t.Errorf("seed %d: told at %v, lost at %v", seed, warned.at, lost.at)
		}
		if slices.Contains(rows[len(rows)-1].warns, "P01") {
			t.Errorf("seed %d: still told at midnight, hours after the repair", seed)
		}
		before := lost.row.Sample.Values[model.DCCurrentA]
		if i := int(lost.at/o.Interval) - 2; before > 0.75*rows[i].row.Sample.Values[model.DCCurrentA] {
			t.Errorf("seed %d: the current fell from %v to %v only", seed, rows[i].row.Sample.Values[model.DCCurrentA], before)
		}
	}
	t.Logf("told in %d of %d, at most %v after the loss", told, seeds, late)
	if told != seeds || late > 25*time.Minute {
		t.Errorf("told in %d of %d days, at most %v after the loss", told, seeds, late)
	}
	for seed := range uint64(seeds) {
		if r, ok := first(judge(t, DefaultOptions(Calm, seed)), warnedBy("P01")); ok {
			t.Errorf("seed %d: a whole plant told at %v", seed, r.at)
		}
	}
}

func TestHotBearingClosesTheGateInTime(t *testing.T) {
	for seed := range uint64(20) {
		o := DefaultOptions(HotBearing, seed)
		rows := judge(t, o)
		allowedBlocks(t, seed, rows, "E13", "T02")
		stopped, ok := first(rows, func(r *judgedRow) bool {
			return r.row.Labels[LabelEquipment] == 1 && r.row.Sample.Values[model.PowerW] == 0 && r.row.Sample.Values[model.WindSpeedMPS] > 4
		})
		if !ok {
			t.Fatalf("seed %d: the turbine never stopped", seed)
		}
		for _, rule := range []string{"E13", "T02"} {
			warned, okW := first(rows, warnedBy(rule))
			blocked, okB := first(rows, blockedBy(rule))
			if !okW || !okB || warned.at >= blocked.at || stopped.at-blocked.at < 10*time.Minute {
				t.Errorf("seed %d: %s warned %v, blocked %v, stopped at %v: %v %v", seed, rule, okW, okB, stopped.at, warned, blocked)
				continue
			}
			if blocked.open {
				t.Errorf("seed %d: open at %v", seed, blocked.at)
			}
			if seed == 0 {
				t.Logf("%s warned %v and blocked %v before the stop", rule, stopped.at-warned.at, stopped.at-blocked.at)
			}
		}
	}
}

// The drift is told of before 7 %, and the meter refused before 20 %.
func TestMeterDriftIsToldEarly(t *testing.T) {
	highest, refusedMost := 0.0, 0.0
	for seed := range uint64(20) {
		o := DefaultOptions(MeterDrift, seed)
		rows := judge(t, o)
		allowedBlocks(t, seed, rows, "E16")
		drift := func(r *judgedRow) float64 {
			s := &r.row.Sample
			return s.Values[model.PowerW]/(s.Values[model.VoltageV]*s.Values[model.CurrentA]*s.Values[model.PowerFactor]) - 1
		}
		warned, okW := first(rows, warnedBy("S02"))
		refused, okR := first(rows, blockedBy("E16"))
		if !okW || !okR {
			t.Errorf("seed %d: warned %v, refused %v", seed, okW, okR)
			continue
		}
		if warned.row.Labels[LabelSensor] != 1 || refused.row.Labels[LabelSensor] != 1 {
			t.Errorf("seed %d: a right meter was accused", seed)
		}
		highest, refusedMost = max(highest, drift(warned)), max(refusedMost, drift(refused))
		if slices.Contains(rows[len(rows)-1].warns, "S02") {
			t.Errorf("seed %d: still told at midnight", seed)
		}
	}
	t.Logf("told at %.1f %% at most, refused at %.1f %% at most", 100*highest, 100*refusedMost)
	if highest > 0.07 || refusedMost > 0.20 {
		t.Errorf("told at %.3f, refused at %.3f", highest, refusedMost)
	}
}
