package model

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An edge is one threshold of a rule: the values on both sides of it, how many
// samples of them set the rule, what keeps it, what ends it, and for how long
// it is held then.
type edge struct {
	name, rule string
	level      Level
	config     func(*Config)
	stepMs     int64 // between samples; 0: a second
	calm       map[Channel]float64
	calmN      int // samples of calm before
	at         func(v float64) map[Channel]float64
	below, set float64 // the last value that does not set it, the first that does
	n          int     // samples of set until it stands
	stays      float64 // the last value that keeps it
	clears     float64 // the first that ends it; NaN: not tested here
	clearN     int     // samples of clears until its condition is over
	then       Level   // its level then
	holdS      float64
}

func of(c Channel) func(float64) map[Channel]float64 {
	return func(v float64) map[Channel]float64 { return map[Channel]float64{c: v} }
}

func up(v float64) float64   { return math.Nextafter(v, math.Inf(1)) }
func down(v float64) float64 { return math.Nextafter(v, math.Inf(-1)) }

func every(s float64) func(*Config) { return func(c *Config) { c.IntervalS = s } }

// pu is a share of 230 V, computed as the judge does.
func pu(share float64) float64 { return share * nominal230 }

var nominal230 = 230.0

func ieee(c *Config) { c.SetNominal(120, 60) }

func edges() []edge {
	var out []edge
	for _, c := range phases {
		out = append(out,
			edge{name: "low " + c.String(), rule: "E01", level: LevelBlock, at: of(c), below: pu(0.88), set: down(pu(0.88)), n: 3, stays: down(pu(0.88)), clears: pu(0.88), clearN: 1, holdS: 60},
			edge{name: "high " + c.String(), rule: "E01", level: LevelBlock, at: of(c), below: pu(1.10), set: up(pu(1.10)), n: 3, stays: up(pu(1.10)), clears: pu(1.10), clearN: 1, holdS: 60},
			edge{name: "far low " + c.String(), rule: "E02", level: LevelBlock, at: of(c), below: pu(0.5), set: down(pu(0.5)), n: 1, stays: down(pu(0.88)), clears: pu(0.88), clearN: 1, holdS: 60},
			edge{name: "far high " + c.String(), rule: "E02", level: LevelBlock, at: of(c), below: pu(1.2), set: up(pu(1.2)), n: 1, stays: up(pu(1.1)), clears: pu(1.1), clearN: 1, holdS: 60},
			edge{name: "lost " + c.String(), rule: "E15", level: LevelBlock, at: of(c), below: pu(0.1), set: down(pu(0.1)), n: 1, stays: down(pu(0.88)), clears: pu(0.88), clearN: 1, holdS: 60},
			edge{name: "mean " + c.String(), rule: "E03", level: LevelBlock, config: every(600), stepMs: 600_000, at: of(c), below: pu(1.1), set: up(pu(1.1)), n: 1, stays: pu(1.08), clears: down(pu(1.08)), clearN: 1, holdS: 60},
		)
	}
	for _, c := range currents {
		rated := func(c *Config) { c.RatedCurrentA = 10 }
		ratio, far := 1.10, 1.25
		out = append(out,
			edge{name: "overload " + c.String(), rule: "E08", level: LevelBlock, config: rated, at: of(c), below: 10 * ratio, set: up(10 * ratio), n: 61, stays: 10, clears: down(10), clearN: 1, holdS: 300},
			edge{name: "far overload " + c.String(), rule: "E08", level: LevelBlock, config: func(c *Config) { rated(c); c.Equipment.OverloadS = 1e5 }, at: of(c), below: 10 * far, set: up(10 * far), n: 6, stays: 10, clears: down(10), clearN: 1, holdS: 300},
		)
	}
	for _, c := range thds {
		out = append(out, edge{name: "harmonics " + c.String(), rule: "E07", level: LevelWarn, config: every(600), stepMs: 600_000, at: of(c), below: 8, set: up(8), n: 1, stays: 7, clears: down(7), clearN: 1})
	}
	// A share of 120 V is computed as the judge does.
	n := 120.0
	low, high, enterLow, enterHigh := 0.88*n, 1.10*n, 0.917*n, 1.05*n
	dc := func(c *Config) { c.Earth.MaxDCVoltageV = 1000 }
	minute := func(c *Config) { c.IntervalS = 60 }
	insulation := 33.3
	ratio := 1.1
	warn := 150.0
	return append(out,
		edge{name: "low, 120 V", rule: "E01", level: LevelBlock, config: ieee, at: of(VoltageV), below: low, set: down(low), n: 3, stays: down(enterLow), clears: enterLow, clearN: 1, holdS: 300},
		edge{name: "high, 120 V", rule: "E01", level: LevelBlock, config: ieee, at: of(VoltageV), below: high, set: up(high), n: 3, stays: up(enterHigh), clears: enterHigh, clearN: 1, holdS: 300},
		edge{name: "low, 60 Hz", rule: "E04", level: LevelBlock, config: ieee, at: of(FrequencyHz), below: 58.8, set: down(58.8), n: 3, stays: down(59.5), clears: 59.5, clearN: 1, holdS: 300},
		edge{name: "high, 60 Hz", rule: "E04", level: LevelBlock, config: ieee, at: of(FrequencyHz), below: 61.2, set: up(61.2), n: 3, stays: up(60.1), clears: 60.1, clearN: 1, holdS: 300},
		edge{name: "low, 50 Hz", rule: "E04", level: LevelBlock, at: of(FrequencyHz), below: 49, set: down(49), n: 3, stays: down(49.5), clears: 49.5, clearN: 1, holdS: 60},
		edge{name: "high, 50 Hz", rule: "E04", level: LevelBlock, at: of(FrequencyHz), below: 51, set: up(51), n: 3, stays: up(50.2), clears: 50.2, clearN: 1, holdS: 60},
		edge{name: "low, slow readings", rule: "E01", level: LevelBlock, config: every(5), stepMs: 5000, at: of(VoltageV), below: pu(0.88), set: down(pu(0.88)), n: 1, stays: down(pu(0.88)), clears: pu(0.88), clearN: 1, holdS: 60},
		edge{name: "low, readings nearly slow", rule: "E01", level: LevelBlock, config: every(4.9), stepMs: 4900, at: of(VoltageV), below: pu(0.88), set: down(pu(0.88)), n: 3, stays: down(pu(0.88)), clears: pu(0.88), clearN: 1, holdS: 60},
		edge{name: "warm", rule: "E13", level: LevelWarn, at: of(EquipmentTemperatureC), below: down(80), set: 80, n: 3, stays: 75, clears: down(75), clearN: 1, holdS: 600},
		edge{name: "hot", rule: "E13", level: LevelBlock, at: of(EquipmentTemperatureC), below: down(90), set: 90, n: 3, stays: 85, clears: down(85), clearN: 1, then: LevelWarn, holdS: 600},
		edge{name: "hot, slow readings", rule: "E13", level: LevelBlock, config: every(5), stepMs: 5000, at: of(EquipmentTemperatureC), below: down(90), set: 90, n: 1, stays: 85, clears: down(85), clearN: 1, then: LevelWarn, holdS: 600},
		edge{name: "leakage warns", rule: "E09", level: LevelWarn, config: minute, stepMs: 60_000, at: of(LeakageMA), below: down(150), set: 150, n: 1, stays: warn * 0.9, clears: down(warn * 0.9), clearN: 1, holdS: 300},
		edge{name: "leakage", rule: "E09", level: LevelBlock, config: minute, stepMs: 60_000, at: of(LeakageMA), below: down(300), set: 300, n: 1, stays: 300, clears: down(300), clearN: 1, then: LevelWarn, holdS: 300},
		edge{name: "insulation", rule: "E10", level: LevelBlock, at: of(InsulationKOhm), below: insulation, set: down(insulation), n: 1, stays: down(insulation * ratio), clears: insulation * ratio, clearN: 1, holdS: 60},
		edge{name: "insulation of a high array", rule: "E10", level: LevelBlock, config: func(c *Config) { c.Earth.MaxDCVoltageV = 1500 }, at: of(InsulationKOhm), below: 50, set: down(50), n: 1, stays: down(50 * ratio), clears: 50 * ratio, clearN: 1, holdS: 60},
		edge{name: "string voltage", rule: "E12", level: LevelBlock, config: dc, at: of(DCVoltageV), below: 1000, set: up(1000), n: 1, stays: up(1000), clears: 1000, clearN: 1, holdS: 60},
		edge{name: "reversed", rule: "E12", level: LevelBlock, config: dc, at: of(DCVoltageV), below: -10, set: down(-10), n: 1, stays: down(-10), clears: -10, clearN: 1, holdS: 60},
		edge{name: "shakes", rule: "T02", level: LevelWarn, config: minute, stepMs: 60_000, at: of(VibrationMPS2), below: down(10), set: 10, n: 1, stays: 8, clears: down(8), clearN: 1, holdS: 600},
		edge{name: "shakes hard", rule: "T02", level: LevelBlock, config: minute, stepMs: 60_000, at: of(VibrationMPS2), below: down(16), set: 16, n: 1, stays: 12.8, clears: down(12.8), clearN: 1, then: LevelWarn, holdS: 600},
		edge{name: "gust", rule: "W03", level: LevelBlock, config: every(600), stepMs: 600_000, at: of(WindGustMPS), below: down(25.7), set: 25.7, n: 1, stays: 18, clears: down(18), clearN: 1, holdS: 1800},
		edge{name: "gust, armed", rule: "W03", level: LevelBlock, config: every(3600), stepMs: hourMs, calmN: 4, calm: map[Channel]float64{PressureHPa: 1010, WindGustMPS: 5},
			at: func(v float64) map[Channel]float64 { return map[Channel]float64{PressureHPa: 1003.9, WindGustMPS: v} }, below: down(20), set: 20, n: 1, stays: 18, clears: down(18), clearN: 1, holdS: 1800},
		edge{name: "gale", rule: "W04", level: LevelWarn, config: every(600), stepMs: 600_000, at: of(WindSpeedMPS), below: down(17.2), set: 17.2, n: 1, stays: 13.9, clears: down(13.9), clearN: 1, holdS: 1800},
		edge{name: "storm", rule: "W05", level: LevelBlock, config: every(600), stepMs: 600_000, at: of(WindSpeedMPS), below: down(24.5), set: 24.5, n: 1, stays: 17.2, clears: down(17.2), clearN: 1, holdS: 3600},
		edge{name: "cut-out by mean", rule: "T01", level: LevelBlock, config: turbine, stepMs: 600_000, at: of(WindSpeedMPS), below: down(25), set: 25, n: 1, stays: up(20), clears: 20, clearN: 1, holdS: 600},
		edge{name: "cut-out by gust", rule: "T01", level: LevelBlock, config: turbine, stepMs: 600_000, at: func(v float64) map[Channel]float64 { return map[Channel]float64{WindGustMPS: v, WindSpeedMPS: 10} }, below: down(30), set: 30, n: 1, stays: 30, clears: down(30), clearN: 1, holdS: 600},
		edge{name: "pressure falls", rule: "W07", level: LevelWarn, config: every(3600), stepMs: hourMs, calmN: 4, calm: map[Channel]float64{PressureHPa: 1010}, at: of(PressureHPa), below: 1004, set: down(1004), n: 1, stays: down(1004), clears: math.NaN()},
		edge{name: "ice by temperature", rule: "W10", level: LevelWarn, config: minute, stepMs: 60_000, at: func(v float64) map[Channel]float64 { return map[Channel]float64{TemperatureC: v, HumidityPct: 95} }, below: up(1.5), set: 1.5, n: 31, stays: 3, clears: up(3), clearN: 1, holdS: 1800},
		edge{name: "ice by humidity", rule: "W10", level: LevelWarn, config: minute, stepMs: 60_000, at: func(v float64) map[Channel]float64 { return map[Channel]float64{TemperatureC: 1, HumidityPct: v} }, below: down(95), set: 95, n: 31, stays: 90, clears: down(90), clearN: 1, holdS: 1800},
		edge{name: "too cold for ice", rule: "W10", level: LevelWarn, config: minute, stepMs: 60_000, at: func(v float64) map[Channel]float64 { return map[Channel]float64{TemperatureC: v, HumidityPct: 95} }, below: down(-10), set: -10, n: 31, stays: -40, clears: math.NaN()},
		edge{name: "a poor roof", rule: "P01", level: LevelWarn, config: roof, stepMs: 1_800_000, calmN: 1, calm: sunny(1), at: func(v float64) map[Channel]float64 { return map[Channel]float64{PowerW: v, IrradianceWPM2: 800} }, below: up(2800), set: 2800, n: 1, stays: 3000, clears: up(3000), clearN: 1},
		edge{name: "a meter drifts up", rule: "S02", level: LevelWarn, config: every(600), stepMs: 600_000, calmN: 1, calm: metered(2000), at: metered, below: down(2100), set: 2100, n: 1, stays: 2060, clears: down(2060), clearN: 1},
		edge{name: "a meter drifts down", rule: "S02", level: LevelWarn, config: every(600), stepMs: 600_000, calmN: 1, calm: metered(2000), at: metered, below: up(1900), set: 1900, n: 1, stays: 1940, clears: up(1940), clearN: 1},
		edge{name: "a squall's pressure", rule: "W06", level: LevelBlock, config: minute, stepMs: 60_000, calmN: 20, calm: squallAt(1000, 30, 4), at: func(v float64) map[Channel]float64 { return squallAt(1000+v, 27, 12) }, below: 0.99, set: 1, n: 1, stays: 1, clears: 0.99, clearN: 1, holdS: 1800},
		edge{name: "a squall's cooling", rule: "W06", level: LevelBlock, config: minute, stepMs: 60_000, calmN: 20, calm: squallAt(1000, 30, 4), at: func(v float64) map[Channel]float64 { return squallAt(1001, 30-v, 12) }, below: 2.99, set: 3, n: 1, stays: 3, clears: 2.99, clearN: 1, holdS: 1800},
		edge{name: "a squall's gust", rule: "W06", level: LevelBlock, config: minute, stepMs: 60_000, calmN: 20, calm: squallAt(1000, 30, 1), at: func(v float64) map[Channel]float64 { return squallAt(1001, 27, v) }, below: 10.99, set: 11, n: 1, stays: 11, clears: math.NaN(), holdS: 1800},
		edge{name: "a squall's rise of gusts", rule: "W06", level: LevelBlock, config: minute, stepMs: 60_000, calmN: 20, calm: squallAt(1000, 30, 4), at: func(v float64) map[Channel]float64 { return squallAt(1001, 27, v) }, below: 11.99, set: 12, n: 1, stays: 12, clears: math.NaN(), holdS: 1800},
	)
}

func turbine(c *Config) { c.Generator, c.IntervalS = GeneratorWind, 600 }

func roof(c *Config) { c.IntervalS, c.RatedPowerW = 1800, 5000 }

// metered is a load of 2000 W of which a meter shows another power.
func metered(p float64) map[Channel]float64 {
	return map[Channel]float64{PowerW: p, VoltageV: 200, CurrentA: 10, PowerFactor: 1}
}

func squallAt(hPa, tempC, gust float64) map[Channel]float64 {
	return map[Channel]float64{PressureHPa: hPa, TemperatureC: tempC, WindGustMPS: gust}
}

// Each rule sets at its threshold and not one step before it, after its time
// and not one sample sooner, stands down to its other threshold, and is held
// to the millisecond. What it says at each stage is in testdata/causes.txt.
func TestEdges(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for _, c := range edges() {
		newEdgeRig := func() *rig {
			r := newRig(t, nil, func(cfg *Config) {
				cfg.StuckS = 0
				// Nothing grows stale while the clock runs alone.
				cfg.Stale = StaleLimits{week, week, week, week, week}
				if c.config != nil {
					c.config(cfg)
				}
			})
			for range c.calmN {
				r.step(c.step(), c.calm)
			}
			return r
		}
		r := newEdgeRig()
		for range c.n {
			r.step(c.step(), c.at(c.below))
		}
		if l := r.levelOf(c.rule); l >= c.level {
			t.Errorf("%s %s: %v at %v", c.rule, c.name, l, c.below)
		}
		r = newEdgeRig()
		for range c.n - 1 {
			r.step(c.step(), c.at(c.set))
		}
		if l := r.levelOf(c.rule); l >= c.level {
			t.Errorf("%s %s: %v one sample early", c.rule, c.name, l)
		}
		r.step(c.step(), c.at(c.set))
		if l := r.levelOf(c.rule); l != c.level {
			t.Errorf("%s %s: %v at %v after %d samples", c.rule, c.name, l, c.set, c.n)
		}
		tell := func(stage string) {
			i, _ := ruleIndex(r.j.rules, c.rule)
			cause := r.j.ev.explain(&r.j.rules[i], &r.j.states[i], false, r.now)
			fmt.Fprintf(&said, "%s %s, %s: %s\n", c.rule, c.name, stage, cause.AppendJSON(nil))
		}
		tell("set")
		r.step(c.step(), c.at(c.stays))
		if l := r.levelOf(c.rule); l != c.level || r.holding(c.rule) {
			t.Errorf("%s %s: %v at %v", c.rule, c.name, l, c.stays)
		}
		tell("stays")
		if math.IsNaN(c.clears) {
			continue
		}
		for range c.clearN {
			r.step(c.step(), c.at(c.clears))
		}
		i, _ := ruleIndex(r.j.rules, c.rule)
		if l := r.j.states[i].level; l != c.then {
			t.Errorf("%s %s: %v at %v", c.rule, c.name, l, c.clears)
		}
		tell("over")
		if c.holdS > 0 {
			r.j.Advance(r.now + seconds(c.holdS) - 1)
			if l := r.levelOf(c.rule); l != c.level {
				t.Errorf("%s %s: %v a millisecond before its hold ends", c.rule, c.name, l)
			}
			r.j.Advance(r.now + seconds(c.holdS))
		}
		if l := r.levelOf(c.rule); l != c.then {
			t.Errorf("%s %s: %v after its hold", c.rule, c.name, l)
		}
		// A sensor that goes away: the rule says so.
		r.now += seconds(c.holdS)
		s := Sample{TimeMs: r.now + c.step()}
		for ch := range c.at(c.set) {
			s.Fail(ch, SensorError)
		}
		r.now = s.TimeMs
		r.j.Step(&s)
		tell("unknown")
	}
	golden(t, "causes.txt", said.String())
}

func (c *edge) step() int64 {
	if c.stepMs == 0 {
		return 1000
	}
	return c.stepMs
}

func (r *rig) holding(id string) bool {
	i, _ := ruleIndex(r.j.rules, id)
	return r.j.states[i].holding
}

// golden compares text with a file of testdata, or writes it there when the
// environment has FAIRWATT_UPDATE.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s, line %d (FAIRWATT_UPDATE=1 writes it):\ngot  %s\nwant %s", path, i+1, b[i], a[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", path, len(b), len(a))
}
