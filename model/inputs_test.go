package model

import (
	"math"
	"testing"
)

// A reading is accepted, refused or stale at exact limits.
func TestInputEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		c      Channel
		a, b   float64
		gapMs  int64
		want   Validity
		config func(*Config)
	}{
		{"lowest", WindGustMPS, 1, 0, 1000, Valid, nil},
		{"below", WindGustMPS, 1, down(0), 1000, OutOfRange, nil},
		{"highest", WindGustMPS, 1, 150, 1000, Valid, nil},
		{"above", WindGustMPS, 1, up(150), 1000, Saturated, nil},
		{"infinite", PowerW, 1, math.Inf(1), 1000, OutOfRange, nil},
		{"a degree less than a jump", TemperatureC, 20, 25, 1000, Valid, nil},
		{"a jump", TemperatureC, 20, 25.1, 1000, Jumped, nil},
		{"a jump down", TemperatureC, 20, 14.9, 1000, Jumped, nil},
		{"as fast as may be", TemperatureC, 20, 30, 120_000, Valid, nil},
		{"faster", TemperatureC, 20, 30.1, 120_000, Jumped, nil},
		{"humidity", HumidityPct, 50, 70, 1000, Valid, nil},
		{"a jump of humidity", HumidityPct, 50, 70.1, 1000, Jumped, nil},
		{"frequency", FrequencyHz, 50, 52, 1000, Valid, nil},
		{"a jump of frequency", FrequencyHz, 50, 52.1, 1000, Jumped, nil},
		{"frequency after two seconds", FrequencyHz, 50, 54, 2000, Valid, nil},
		{"wind has no pace", WindGustMPS, 0, 100, 1, Valid, nil},
	} {
		r := newRig(t, nil, c.config)
		r.step(1000, map[Channel]float64{c.c: c.a})
		r.step(c.gapMs, map[Channel]float64{c.c: c.b})
		if got := r.j.Sample().Validity[c.c]; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Each group of channels grows stale at its own age, a slow trace's at one and a
// half intervals, and not a millisecond sooner.
func TestStaleEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c        Channel
		interval float64
		ms       int64
	}{
		{VoltageV, 1, 5000},
		{VoltageVInst, 1, 5000},
		{EquipmentTemperatureC, 1, 60_000},
		{TemperatureC, 1, 60_000},
		{WindGustMPS, 1, 180_000},
		{PressureHPa, 1, 180_000},
		{RainMM, 1, 180_001},
		{IrradianceWPM2, 1, 180_001},
		{LightningCount, 1, 60_001},
		{VoltageV, 60, 90_000},
		{WindGustMPS, 3600, 5_400_000},
	} {
		r := newRig(t, nil, func(cfg *Config) {
			cfg.IntervalS, cfg.Required = c.interval, []Channel{c.c}
			cfg.Stale.RainS, cfg.Stale.LightningS = 180.001, 60.001
		})
		v := 1000.0
		if info := c.c.Info(); v > info.Max {
			v = info.Max
		}
		r.step(1000, map[Channel]float64{c.c: v})
		in := &r.j.ev.in
		if at, late := in.validity(c.c, r.now+c.ms), in.validity(c.c, r.now+c.ms+1); at != Valid || late != Stale {
			t.Errorf("%v every %v s: %v after %d ms, then %v", c.c, c.interval, at, c.ms, late)
		}
		silence := max(int64(5000), int64(c.interval*1500))
		if in.silent(r.now+silence) || !in.silent(r.now+silence+1) {
			t.Errorf("silence every %v s is not %d ms", c.interval, silence)
		}
		want := min(c.ms, silence) + 1
		if got := in.deadline(r.now) - r.now; got != want {
			t.Errorf("%v every %v s: the next deadline is in %d ms, want %d", c.c, c.interval, got, want)
		}
	}
	var in inputs
	if !in.silent(0) || in.deadline(0) != never || in.ageS(VoltageV, 7) != 0 {
		t.Error("inputs that saw nothing are not silent, or have a deadline or an age")
	}
}

// The age of a reading counts from when it was measured; an older measurement,
// and the same one again, change nothing.
func TestAgesOfReadings(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	give := func(tMs, ageMs int64, v float64) Validity {
		s := Sample{TimeMs: tMs}
		s.Set(WindGustMPS, v)
		s.AgeMs[WindGustMPS] = ageMs
		r.j.Step(&s)
		return r.j.Sample().Validity[WindGustMPS]
	}
	in := &r.j.ev.in.r[WindGustMPS]
	give(10_000, 2000, 5)
	if in.measuredMs != 8000 || r.j.ev.in.ageS(WindGustMPS, 10_000) != 2 {
		t.Errorf("measured at %d", in.measuredMs)
	}
	give(11_000, 3000, 5) // the same
	if in.fresh {
		t.Error("the same measurement is fresh again")
	}
	give(11_500, 3500, 6) // another value of that time
	if !in.fresh || in.value != 6 {
		t.Error("another value of the same time was left out")
	}
	give(12_000, 4001, 7) // an older one
	if in.fresh || in.value != 6 {
		t.Error("an older measurement counts")
	}
	give(13_000, -500, 8) // an age below zero is none
	if in.measuredMs != 13_000 {
		t.Errorf("measured at %d", in.measuredMs)
	}
	// What was refused stays refused when it is told again.
	r = newRig(t, nil, nil)
	r.step(1000, map[Channel]float64{TemperatureC: 20})
	r.step(1000, map[Channel]float64{TemperatureC: 40})
	s := Sample{TimeMs: r.now + 1000}
	s.Set(TemperatureC, 20)
	s.AgeMs[TemperatureC] = 2000
	r.j.Step(&s)
	if got := r.j.Sample().Validity[TemperatureC]; got != Jumped {
		t.Errorf("%v, want jumped", got)
	}
}

// A noisy channel is stuck after its time and its number of readings, both.
func TestStuckEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		c        Channel
		interval float64
		stuckS   float64
		readings int
		n        int // readings of the same value
		want     Validity
	}{
		{"a reading early", PressureHPa, 1, 10, 5, 10, Valid},
		{"at its time", PressureHPa, 1, 10, 5, 11, Stuck},
		{"too few readings", PressureHPa, 10, 10, 5, 4, Valid},
		{"enough readings", PressureHPa, 10, 10, 5, 5, Stuck},
		{"every minute", PressureHPa, 60, 60, 2, 2, Stuck},
		{"slower", PressureHPa, 61, 60, 2, 9, Valid},
		{"off", PressureHPa, 1, 0, 0, 20, Valid},
		{"a calm wind", WindGustMPS, 1, 10, 5, 50, Valid},
		{"voltage", VoltageV, 1, 10, 5, 11, Stuck},
		{"frequency", FrequencyHz, 1, 10, 5, 11, Stuck},
	} {
		r := newRig(t, nil, func(cfg *Config) { cfg.IntervalS, cfg.StuckS, cfg.StuckReadings = c.interval, c.stuckS, c.readings })
		v := 50.0
		if c.c == PressureHPa {
			v = 1000
		}
		for range c.n {
			r.step(int64(c.interval*1000), map[Channel]float64{c.c: v})
		}
		if got := r.j.Sample().Validity[c.c]; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := r.j.ev.in.r[c.c].fresh; got != (c.want == Valid) {
			t.Errorf("%s: fresh %v", c.name, got)
		}
	}
}

// A meter with large steps repeats itself on a quiet grid and is not stuck; one
// with fine steps that repeats itself is.
func TestCoarseSensorsDoNotStick(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c     Channel
		v     float64
		step  float64
		stuck bool
	}{
		{FrequencyHz, 50, 0.1, false}, {FrequencyHz, 50, 0.01, true}, {FrequencyHz, 50, up(0.01), false}, {FrequencyHz, 50, 0, true},
		{PressureHPa, 1013, 1, false}, {PressureHPa, 1013, 0.1, true}, {VoltageV, 230, 0.1, true}, {VoltageBV, 230, 1, false},
	} {
		r := newRig(t, nil, func(cfg *Config) { cfg.StuckS, cfg.StuckReadings = 1800, 120 })
		for range 2000 {
			s := Sample{TimeMs: r.now + 1000}
			r.now += 1000
			s.SetStep(c.c, c.v, c.step)
			r.j.Step(&s)
		}
		if got := r.j.Sample().Validity[c.c] == Stuck; got != c.stuck {
			t.Errorf("%s in steps of %g: stuck %v", c.c, c.step, got)
		}
	}
}
