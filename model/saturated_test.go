package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// A reading beyond its channel's range, where the hazard lies, blocks by that
// hazard's rule although nothing is required; so does a sensor that is at its end.
func TestBeyondTheRangeBlocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		channel    Channel
		fine, bad  float64
		rule, says string
	}{
		{LeakageMA, 5, 150_000, "E09", "leakage ma 150000 mA (>= 300 mA), the end of its range"},
		{EquipmentTemperatureC, 30, 450, "E13", "equipment temperature c 450 C (>= 90 C), the end of its range"},
		{DCVoltageV, 400, 2100, "E12", "dc voltage v 2100 V (> 600 V), the end of its range"},
		{DCVoltageV, 400, -2100, "E12", "dc voltage v -2100 V (< -10 V), the end of its range"},
		{CurrentA, 5, 2e5, "E08", ""},
		{CurrentBA, 5, math.Inf(1), "E08", ""},
		{FrequencyHz, 50, 600, "E04", "frequency hz 600 Hz (> 51 Hz), the end of its range"},
		{VoltageV, 230, 2e6, "E02", "voltage v 2000000 V (> 276 V), the end of its range"},
		{VoltageCV, 230, 2e6, "E02", ""},
		{InsulationKOhm, 500, -0.5, "E10", "insulation kohm -0.5 kohm (< 33.3 kohm), the end of its range"},
		{VibrationMPS2, 1, 2e4, "T02", ""},
		{WindSpeedMPS, 5, 200, "W05", ""},
		{WindGustMPS, 5, 200, "W03", ""},
	} {
		set := func(cfg *Config) { cfg.RatedCurrentA, cfg.Earth.MaxDCVoltageV, cfg.Latch = 10, 600, nil }
		for name, give := range map[string]func(*Sample){
			"value": func(s *Sample) { s.Set(c.channel, c.bad) },
			"end":   func(s *Sample) { s.Saturate(c.channel, c.bad > c.fine) },
		} {
			r := quietRig(t, set)
			r.run(400, map[Channel]float64{c.channel: c.fine})
			r.wantOpen()
			for range 700 {
				r.now += 1000
				s := Sample{TimeMs: r.now}
				give(&s)
				r.j.Step(&s)
			}
			v := r.j.View()
			i := slices.IndexFunc(v.Causes, func(x Cause) bool { return x.Rule == c.rule })
			if v.State != StateBlocked || i < 0 || v.Causes[i].Holding {
				t.Errorf("%s of %v: %v, %s", name, c.channel, v.State, v.Reason)
				continue
			}
			if name == "value" && c.says != "" && v.Causes[i].Text != c.says {
				t.Errorf("%v says %q", c.channel, v.Causes[i].Text)
			}
			// The reading is not sound: where it is required the gate says so too.
			r = quietRig(t, func(cfg *Config) { set(cfg); cfg.Required = []Channel{c.channel} })
			r.step(1000, map[Channel]float64{c.channel: c.bad})
			if text := r.textOf("E16"); !strings.HasSuffix(text, "is beyond its range") {
				t.Errorf("%v, required: %q", c.channel, text)
			}
		}
	}
}

// Every channel that a blocking rule compares either goes on being dangerous
// beyond its range, or its range holds all that there can be.
func TestEveryRangeIsDecided(t *testing.T) {
	t.Parallel()
	whole := []Channel{PressureHPa, TemperatureC, HumidityPct, LightningKM, InverterEvents}
	for _, r := range rules {
		for _, group := range r.needs {
			for _, c := range group {
				if r.level == LevelBlock && (unsafeSides[c] != 0) == slices.Contains(whole, c) {
					t.Errorf("%s needs %v: what is beyond its range?", r.id, c)
				}
			}
		}
	}
}

// Beyond the other end a reading is a fault and no number, and beyond the one where
// the hazard goes on it is in no mean of ten minutes.
func TestBeyondTheSafeEndIsAFault(t *testing.T) {
	t.Parallel()
	var s Sample
	for c, v := range map[Channel]float64{LeakageMA: -1, WindGustMPS: -1, PressureHPa: 200, TemperatureC: 90, InsulationKOhm: 1e8, FrequencyHz: math.NaN()} {
		if s.Set(c, v); s.Validity[c] != OutOfRange {
			t.Errorf("%v of %v is %v", v, c, s.Validity[c])
		}
		if s.Saturate(c, v > 0); s.Validity[c] != SensorError {
			t.Errorf("the end of %v is %v", c, s.Validity[c])
		}
	}
	if s.Set(LeakageMA, math.Inf(1)); s.Validity[LeakageMA] != Saturated {
		t.Errorf("infinite leakage is %v", s.Validity[LeakageMA])
	}
	// A voltage of a moment beyond the range is not the mean of ten minutes.
	r := quietRig(t, nil)
	r.run(60, map[Channel]float64{VoltageV: 230})
	r.step(1000, map[Channel]float64{VoltageV: 2e6})
	r.run(5, map[Channel]float64{VoltageV: 230})
	if l := r.levelOf("E03"); l != LevelNone {
		t.Errorf("E03 is at %v", l)
	}
}
