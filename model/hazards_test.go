package model

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

// with returns base with some channels changed.
func with(base map[Channel]float64, change map[Channel]float64) map[Channel]float64 {
	out := maps.Clone(base)
	maps.Copy(out, change)
	return out
}

func TestUnbalanceVectors(t *testing.T) {
	// Voltages 230/0, 230/-120, 207/+120 degrees: u2 3.448 %, from the phases as
	// from the line-to-line values.
	for _, got := range []float64{Unbalance(398.372, 378.628, 378.628), PhaseUnbalance(230, 230, 207)} {
		if math.Abs(100*got-3.448) > 0.001 {
			t.Errorf("u2 %.4f %%, want 3.448 %%", 100*got)
		}
	}
	for _, c := range []struct{ a, b, c, want float64 }{{400, 400, 400, 0}, {0, 0, 0, 1}, {400, 0, 0, 1}, {800, 400, 400, 1}} {
		if got := Unbalance(c.a, c.b, c.c); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("Unbalance(%v, %v, %v) = %v, want %v", c.a, c.b, c.c, got, c.want)
		}
	}
}

// Each rule sets after its time, says why, and clears after its own.
func TestElectricalRules(t *testing.T) {
	calm := map[Channel]float64{
		VoltageAV: 230, VoltageBV: 230, VoltageCV: 230, FrequencyHz: 50, THDPct: 3,
		LeakageMA: 5, InsulationKOhm: 900, DCVoltageV: 600, InverterEvents: 1 << 13, // too cold, and well
	}
	for _, c := range []struct {
		name, rule string
		bad        map[Channel]float64
		after      int // samples of bad until it stands
		level      Level
		clear      int // samples of calm after which it is gone
		text       string
		intervalMs int64
	}{
		{"one phase low", "E01", map[Channel]float64{VoltageBV: 200}, 3, LevelBlock, 61, "voltage b v 200 V (< 202.4 V)", 1000},
		{"one phase far high", "E02", map[Channel]float64{VoltageCV: 280}, 1, LevelBlock, 61, "> 276 V", 1000},
		{"all phases lost", "E15", map[Channel]float64{VoltageAV: 3, VoltageBV: 2, VoltageCV: 0}, 1, LevelBlock, 61, "< 23 V", 1000},
		{"mean voltage high", "E03", map[Channel]float64{VoltageAV: 254, VoltageBV: 254, VoltageCV: 254}, 600, LevelBlock, 901, "voltage mean 10min", 1000},
		{"frequency runs away", "E05", map[Channel]float64{FrequencyHz: 50.6}, 1, LevelBlock, 606, "rocof 1.2 Hz/s (> 1 Hz/s)", 100},
		{"unbalance", "E06", map[Channel]float64{VoltageAV: 210}, 600, LevelWarn, 600, "unbalance", 1000},
		{"much unbalance", "E06", map[Channel]float64{VoltageAV: 190}, 60, LevelBlock, 600, "unbalance 1min", 1000},
		{"harmonics", "E07", map[Channel]float64{THDPct: 9}, 600, LevelWarn, 600, "thd mean 10min", 1000},
		{"leakage", "E09", map[Channel]float64{LeakageMA: 300}, 1, LevelBlock, 300, "leakage ma 300 mA (>= 300 mA)", 1000},
		{"leakage step", "E09", map[Channel]float64{LeakageMA: 35}, 1, LevelBlock, 301, "leakage step 30 mA (>= 30 mA)", 1000},
		{"insulation", "E10", map[Channel]float64{InsulationKOhm: 33.2}, 1, LevelBlock, 61, "insulation kohm 33.2 kohm (< 33.33 kohm)", 1000},
		{"inverter's ground fault", "E10", map[Channel]float64{InverterEvents: 1}, 1, LevelBlock, 61, "the inverter reports ground fault", 1000},
		{"string fuse", "E11", map[Channel]float64{InverterEvents: 1 << 12}, 1, LevelBlock, 61, "the inverter reports blown string fuse", 1000},
		{"hardware test", "E11", map[Channel]float64{InverterEvents: 1 << 15}, 1, LevelBlock, 61, "hardware test failed", 1000},
		{"inverter too hot", "E14", map[Channel]float64{InverterEvents: 1<<7 | 1<<13}, 1, LevelBlock, 61, "the inverter reports too hot", 1000},
		{"event without a name", "E14", map[Channel]float64{InverterEvents: 1 << 31}, 1, LevelBlock, 61, "event bit 31", 1000},
		{"inverter's state", "E14", map[Channel]float64{InverterEvents: InverterFault}, 1, LevelBlock, 61, "its state FAULT", 1000},
		{"string voltage", "E12", map[Channel]float64{DCVoltageV: 1001}, 1, LevelBlock, 61, "> 1000 V", 1000},
		{"reversed string", "E12", map[Channel]float64{DCVoltageV: -11}, 1, LevelBlock, 61, "< -10 V", 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil, func(cfg *Config) {
				cfg.StuckS, cfg.IntervalS, cfg.Earth.MaxDCVoltageV = 0, float64(c.intervalMs)/1000, 1000
				cfg.Required = []Channel{FrequencyHz}
			})
			i, _ := ruleIndex(r.j.rules, c.rule)
			for range 301_000 / c.intervalMs {
				r.step(c.intervalMs, calm)
			}
			r.wantOpen()
			n := 0
			for ; n < c.after && r.j.states[i].level < c.level; n++ {
				r.step(c.intervalMs, with(calm, c.bad))
			}
			if got := r.j.states[i].level; got != c.level {
				t.Fatalf("%v after %d samples, want %v", got, n, c.level)
			}
			if c.after <= 3 && n != c.after {
				t.Errorf("stands after %d samples, want %d", n, c.after)
			}
			if text := r.j.ev.explain(&r.j.rules[i], &r.j.states[i], false, r.now).Text; !strings.Contains(text, c.text) {
				t.Errorf("text %q does not say %q", text, c.text)
			}
			if c.level == LevelBlock {
				r.wantBlockedBy(c.rule)
			}
			for range c.clear - 2 {
				r.step(c.intervalMs, calm)
			}
			if c.clear > 2 && c.rule != "E06" && c.rule != "E07" && c.rule != "E03" && r.j.states[i].held != c.level {
				t.Errorf("gone after %d samples", c.clear-2)
			}
			for range 4 {
				r.step(c.intervalMs, calm)
			}
			if got := max(r.j.states[i].level, r.j.states[i].held); got != LevelNone {
				t.Errorf("still %v after %d samples", got, c.clear+2)
			}
			latched := slices.Contains([]string{"E09", "E10", "E11", "E12"}, c.rule)
			if r.j.gate.Latched().Has(i) != latched {
				t.Errorf("latched %v, want %v", !latched, latched)
			}
			if latched {
				r.wantBlockedBy(c.rule)
				if err := r.j.Ack(c.rule, "Ada"); err != nil {
					t.Fatal(err)
				}
				r.run(600, calm)
				r.wantOpen()
			}
		})
	}
}

// A slow rise of the residual current, and one between readings a minute
// apart, are no step; half the limit warns.
func TestLeakageWithoutStep(t *testing.T) {
	for _, c := range []struct{ interval, rise float64 }{{1, 20}, {60, 100}} {
		r := newRig(t, nil, func(cfg *Config) { cfg.IntervalS = c.interval })
		for i := range 2 {
			r.step(int64(c.interval*1000), map[Channel]float64{LeakageMA: float64(i) * c.rise})
		}
		if r.state() == StateBlocked && len(r.j.View().Alerts) != 0 {
			t.Errorf("every %v s: %s", c.interval, r.j.View().Reason)
		}
	}
	r := newRig(t, nil, nil)
	for i := range 11 {
		r.step(1000, map[Channel]float64{LeakageMA: float64(i) * 15})
	}
	if a := r.j.View().Alerts; len(a) != 1 || a[0].Level != LevelWarn || a[0].Causes[0].Rule != "E09" {
		t.Errorf("alerts at half the limit: %+v", a)
	}
}

// The vectors of the hazard notes: stroke at 8 km at 0 s, at 15 km at 1200 s,
// open at 3000 s; a detector silent from 2900 s on keeps the gate closed.
func TestLightningGateVectors(t *testing.T) {
	for _, silent := range []bool{false, true} {
		r := newRig(t, nil, func(c *Config) {
			c.Required, c.Lightning.ConfirmStrikes = []Channel{LightningCount, VoltageV}, 1
			c.StuckS, c.Gate.MinBlockS = 0, 300
		})
		r.run(301, map[Channel]float64{LightningCount: 0, VoltageV: 230})
		r.wantOpen()
		for s := range 3062 {
			values := map[Channel]float64{LightningCount: 0, VoltageV: 230}
			switch {
			case s == 0:
				values[LightningKM], values[LightningCount] = 8, 1
			case s == 1200:
				values[LightningKM], values[LightningCount] = 15, 1
			case silent && s > 2900:
				delete(values, LightningCount)
			}
			ev := r.step(1000, values)
			switch state := r.state(); {
			case s == 0 && (len(ev) == 0 || ev[0].State != StateBlocked || ev[0].Causes[0].Rule != "W01"):
				t.Fatalf("at the stroke %v", ev)
			case s < 3000 && state == StateOpen:
				t.Fatalf("open at %d s", s)
			case s >= 3000 && !silent && state != StateOpen:
				t.Fatalf("at %d s %s", s, r.j.View().Reason)
			}
			if s == 2961 && silent {
				r.wantBlockedBy("E16")
			}
		}
	}
}

// A single stroke warns; a second one, a pressure jump or an official warning
// makes it a block.
func TestLightningNeedsSecondWitness(t *testing.T) {
	quiet := map[Channel]float64{PressureHPa: 1000, LightningCount: 0}
	near := with(quiet, map[Channel]float64{LightningKM: 6, LightningCount: 1})
	for _, c := range []struct {
		name  string
		then  func(r *rig)
		block bool
	}{
		{"nothing more", func(r *rig) { r.run(10, quiet) }, false},
		{"a second stroke", func(r *rig) { r.run(300, quiet); r.run(1, near) }, true},
		{"a second stroke too late", func(r *rig) { r.run(1000, quiet); r.run(1, near) }, false},
		{"a far stroke", func(r *rig) {
			r.run(1, with(quiet, map[Channel]float64{LightningKM: 31, LightningCount: 1}))
		}, true},
		{"a pressure jump", func(r *rig) { r.run(120, with(quiet, map[Channel]float64{PressureHPa: 1001.2})) }, true},
		{"an official warning", func(r *rig) {
			if _, err := r.j.Warn(Warning{ID: "x", Event: "Thunderstorm", Level: LevelWarn, UntilMs: r.now + hourMs}, r.now); err != nil {
				t.Fatal(err)
			}
			r.run(1, quiet)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil, func(c *Config) { c.StuckS = 0 })
			r.run(301, quiet)
			r.wantOpen()
			r.run(1, near)
			c.then(r)
			if got := r.state() != StateOpen; got != c.block {
				t.Fatalf("closed %v, want %v: %s", got, c.block, r.j.View().Reason)
			}
			i, _ := ruleIndex(r.j.rules, "W01")
			if st := r.j.states[i]; max(st.level, st.held) == LevelNone {
				t.Error("no warning of a stroke at 6 km")
			}
		})
	}
}

func TestFarStrokeWarns(t *testing.T) {
	r := newRig(t, nil, nil)
	r.run(301, map[Channel]float64{LightningCount: 0})
	r.run(2, map[Channel]float64{LightningCount: 1, LightningKM: 14})
	r.wantOpen()
	if a := r.j.View().Alerts; len(a) != 1 || a[0].Level != LevelWarn || a[0].Causes[0].Rule != "W02" {
		t.Errorf("alerts %+v", a)
	}
	r.run(1799, map[Channel]float64{LightningCount: 0})
	if len(r.j.View().Alerts) != 1 {
		t.Error("cleared too early")
	}
	r.run(2, map[Channel]float64{LightningCount: 0, LightningKM: 63}) // a distance of no stroke
	if a := r.j.View().Alerts; len(a) != 0 {
		t.Errorf("after 30 min %+v", a)
	}
}

// tropicalHour is a made-up tropical station: a tide of 1.5 hPa either way.
func tropicalHour(h int64, depth, wind float64) map[Channel]float64 {
	day := 2 * math.Pi * float64(h%24) / 24
	return map[Channel]float64{PressureHPa: 1008 + 1.5*math.Cos(2*day-5) - depth, WindSpeedMPS: wind, WindGustMPS: 1.3 * wind}
}

func cycloneRig(t testing.TB, latitude float64) *rig {
	return newRig(t, nil, func(c *Config) {
		c.IntervalS, c.Position = 3600, &Position{Latitude: latitude, Longitude: 120}
		c.Required = []Channel{PressureHPa, WindSpeedMPS}
	})
}

func TestCyclone(t *testing.T) {
	r := cycloneRig(t, 20)
	h := int64(0)
	hour := func(depth, wind float64) { r.step(hourMs, tropicalHour(h, depth, wind)); h++ }
	for range 24 * 4 {
		hour(0, 12) // the tide alone is no anomaly, and trade winds no cyclone
	}
	r.wantOpen()
	hour(4.5, 12)
	r.wantOpen()
	hour(5.1, 12)
	r.wantBlockedBy("W08")
	for range 2 {
		hour(12, 2) // the eye: calm, but deep
		r.wantBlockedBy("W08")
	}
	hour(2, 17.2) // usual pressure, and a gale
	r.wantBlockedBy("W08")
	hour(2, 15)
	if s := r.state(); s != StateClearing {
		t.Fatalf("after pressure and wind %v: %s", s, r.j.View().Reason)
	}
	hour(2, 5)
	r.wantOpen()
}

func TestCycloneNeedsThreeDaysAndTropics(t *testing.T) {
	r := cycloneRig(t, 20)
	for h := range int64(70) {
		r.step(hourMs, tropicalHour(h, float64(h)/5, 12)) // nothing to compare with yet
	}
	r.wantOpen()
	for _, u := range cycloneRig(t, 52).j.Unserved() {
		if u.Rule == "W08" && u.Why == "only within 35 degrees of the equator" {
			return
		}
	}
	t.Error("W08 is served in the north")
}

// The usual pressure outlives a restart where the wall clock is known, also
// when the sensing clock begins again and the stop was long.
func TestCycloneBaselineOverRestart(t *testing.T) {
	r := cycloneRig(t, 20)
	unix := int64(500_000) * hourMs
	if err := r.j.SetWall(unix, 0); err != nil {
		t.Fatal(err)
	}
	h := int64(0)
	for ; h < 24*5; h++ {
		r.step(hourMs, tropicalHour(h+1, 0, 12))
	}
	snap := r.j.Snapshot()
	if len(snap) > 3000 {
		t.Errorf("snapshot of %d bytes", len(snap))
	}
	for _, known := range []bool{true, false} {
		again := cycloneRig(t, 20)
		h := h + 7
		if known {
			if err := again.j.SetWall(unix+h*hourMs, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := again.j.Restore(snap, 0); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			h++
			again.step(hourMs, tropicalHour(h, 0, 12))
		}
		again.wantOpen()
		h++
		again.step(hourMs, tropicalHour(h, 5.3, 12))
		if blocked := again.state() == StateBlocked; blocked != known {
			t.Errorf("wall clock known %v: blocked %v", known, blocked)
		}
	}
	if err := r.j.SetWall(0, 0); err == nil {
		t.Error("the wall clock was set after judging began")
	}
}

func TestIcing(t *testing.T) {
	for _, block := range []bool{false, true} {
		r := newRig(t, nil, func(c *Config) { c.IntervalS, c.Icing.Block = 60, block })
		ice := map[Channel]float64{TemperatureC: 0, HumidityPct: 96}
		for range 30 {
			r.step(60_000, ice)
		}
		if n := len(r.j.View().Alerts); n != 0 {
			t.Fatal("icing before its time")
		}
		r.step(60_000, ice)
		if a := r.j.View().Alerts; len(a) != 1 || a[0].Causes[0].Rule != "W10" {
			t.Fatalf("alerts %+v", a)
		}
		if blocked := r.state() == StateBlocked; blocked != block {
			t.Errorf("blocked %v, want %v", blocked, block)
		}
		for range 32 {
			r.step(60_000, map[Channel]float64{TemperatureC: 2, HumidityPct: 96}) // warmer, not warm
		}
		if len(r.j.View().Alerts) != 1 {
			t.Error("gone within its hysteresis")
		}
		for i := range 35 {
			r.step(60_000, map[Channel]float64{TemperatureC: 3.5, HumidityPct: 96 - float64(i%2)})
		}
		if a := r.j.View().Alerts; len(a) != 0 {
			t.Errorf("after the thaw %+v", a)
		}
	}
}
