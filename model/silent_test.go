package model

import "testing"

// stuckOf is the state of a channel after readings of one value.
func stuckOf(t *testing.T, set func(*Config), c Channel, v float64, everyMs, forMs int64) Validity {
	r := newRig(t, nil, func(cfg *Config) {
		cfg.Required, cfg.Stale = []Channel{c}, StaleLimits{week, week, week, week, week}
		if set != nil {
			set(cfg)
		}
	})
	for r.step(everyMs, map[Channel]float64{c: v}); r.now-everyMs < forMs; {
		r.step(everyMs, map[Channel]float64{c: v})
	}
	state := r.j.ev.in.validity(c, r.now)
	if blocked := r.levelOf("E16") == LevelBlock; blocked != (state != Valid) {
		t.Errorf("%v %v for %d ms: %v, E16 %v", c, v, forMs, state, blocked)
	}
	return state
}

// A cut cable is a calm that does not end: a value that nature does not hold for so
// long is a frozen sensor's, at its very moment and not one reading before.
func TestSilentSensorsAreStuck(t *testing.T) {
	t.Parallel()
	const minute, day = 60_000, 24 * hourMs
	hourly, coarse := every(3600), every(600)
	for _, c := range []struct {
		set           func(*Config)
		channel       Channel
		value         float64
		everyMs, atMs int64 // never: it may stand
	}{
		{nil, WindGustMPS, 0, 10_000, 12 * hourMs},
		{nil, WindGustMPS, 4.4, minute, 3 * hourMs},
		{nil, WindSpeedMPS, 0, minute, 12 * hourMs},
		{nil, WindSpeedMPS, 4.4, minute, 3 * hourMs},
		{hourly, WindGustMPS, 0, hourMs, 12 * hourMs},
		{hourly, WindGustMPS, 4, hourMs, never},
		{hourly, WindSpeedMPS, 0, hourMs, never},
		{coarse, WindGustMPS, 0, 600_000, 12 * hourMs},
		{nil, TemperatureC, 20, minute, day},
		{nil, TemperatureC, 0, minute, day},
		{nil, EquipmentTemperatureC, 30, minute, day},
		{nil, VibrationMPS2, 1, minute, day},
		{nil, VibrationMPS2, 0, minute, never},
		{nil, RainMM, 0, minute, never},
		{nil, RainMM, 0.2, minute, day},
		{nil, IrradianceWPM2, 0, minute, never},
		{nil, IrradianceWPM2, 300, minute, day},
		{hourly, TemperatureC, 20, hourMs, never},
		{nil, HumidityPct, 100, minute, never},
		{func(c *Config) { c.StuckCalmS = 0 }, WindGustMPS, 0, minute, never},
		{func(c *Config) { c.StuckWindS = 0 }, WindGustMPS, 4, minute, never},
		{func(c *Config) { c.StuckSlowS = 0 }, TemperatureC, 20, minute, never},
	} {
		if c.atMs == never {
			if got := stuckOf(t, c.set, c.channel, c.value, c.everyMs, 2*day); got != Valid {
				t.Errorf("%v %v for two days is %v", c.channel, c.value, got)
			}
			continue
		}
		if got := stuckOf(t, c.set, c.channel, c.value, c.everyMs, c.atMs-c.everyMs); got != Valid {
			t.Errorf("%v %v, one reading before: %v", c.channel, c.value, got)
		}
		if got := stuckOf(t, c.set, c.channel, c.value, c.everyMs, c.atMs); got != Stuck {
			t.Errorf("%v %v for %d h: %v", c.channel, c.value, c.atMs/hourMs, got)
		}
	}
}

// A value that moves once begins the count again, and a few readings far apart are
// no calm.
func TestCalmNeedsReadings(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, func(c *Config) { c.IntervalS = 6 * 3600 })
	for i := range 3 {
		r.step(6*hourMs, map[Channel]float64{WindGustMPS: 0})
		if v := r.j.ev.in.validity(WindGustMPS, r.now); v != Valid {
			t.Errorf("reading %d of zero: %v", i+1, v)
		}
	}
	r.step(6*hourMs, map[Channel]float64{WindGustMPS: 0})
	if v := r.j.ev.in.validity(WindGustMPS, r.now); v != Stuck {
		t.Errorf("the fourth reading of zero: %v", v)
	}
	r.step(6*hourMs, map[Channel]float64{WindGustMPS: 0.2})
	if v := r.j.ev.in.validity(WindGustMPS, r.now); v != Valid {
		t.Errorf("the first gust: %v", v)
	}
}

// A turbine that gives power stands in the wind.
func TestTurbineContradictsACalm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind        Generator
		power, gust float64
		want        Validity
	}{
		{GeneratorWind, 500, 0, Disagrees}, {GeneratorWind, 499, 0, Valid}, {GeneratorWind, 500, 1, Valid},
		{GeneratorWind, 500, 0.9, Disagrees}, {GeneratorPV, 5000, 0, Valid}, {GeneratorWind, -500, 0, Valid},
	} {
		r := newRig(t, nil, func(cfg *Config) { cfg.Generator = c.kind })
		for range 3 {
			r.step(1000, map[Channel]float64{PowerW: c.power, WindGustMPS: c.gust})
		}
		if got := r.j.ev.in.validity(WindGustMPS, r.now); got != c.want {
			t.Errorf("%s of %v W in %v m/s: the gust is %v, want %v", c.kind, c.power, c.gust, got, c.want)
		}
		if got := r.j.ev.in.validity(WindSpeedMPS, r.now); got != Absent {
			t.Errorf("a channel that is not there is %v", got)
		}
	}
	r := newRig(t, nil, func(cfg *Config) { cfg.Generator = GeneratorWind })
	for range 3 {
		r.step(1000, map[Channel]float64{PowerW: 2000, WindSpeedMPS: 0})
	}
	if got := r.j.ev.in.validity(WindSpeedMPS, r.now); got != Disagrees {
		t.Errorf("the mean wind alone is %v", got)
	}
	// A gust is enough: the mean may be low, and is right.
	r = newRig(t, nil, func(cfg *Config) { cfg.Generator = GeneratorWind })
	for range 3 {
		r.step(1000, map[Channel]float64{PowerW: 2000, WindSpeedMPS: 0.5, WindGustMPS: 5})
	}
	if mean, gust := r.j.ev.in.validity(WindSpeedMPS, r.now), r.j.ev.in.validity(WindGustMPS, r.now); mean != Valid || gust != Valid {
		t.Errorf("gusts in a calm: the mean wind is %v, the gust %v", mean, gust)
	}
}
