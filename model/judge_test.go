package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// A rig is a judge under test with its clock.
type rig struct {
	t   testing.TB
	j   *Judge
	now int64
	ev  []Event
}

func newRig(t testing.TB, scorer Scorer, change func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SetNominal(230, 50)
	if change != nil {
		change(&cfg)
	}
	j, err := NewJudge(cfg, scorer)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, j: j}
}

// step advances the clock and judges one sample of pairs of channel and value.
func (r *rig) step(dtMs int64, values map[Channel]float64) []Event {
	r.now += dtMs
	s := Sample{TimeMs: r.now}
	for c, v := range values {
		s.Set(c, v)
	}
	out := slices.Clone(r.j.Step(&s))
	r.ev = append(r.ev, out...)
	return out
}

// run repeats a sample every second.
func (r *rig) run(seconds int, values map[Channel]float64) {
	for range seconds {
		r.step(1000, values)
	}
}

func (r *rig) state() State { return r.j.View().State }

func (r *rig) wantOpen() {
	r.t.Helper()
	if v := r.j.View(); v.State != StateOpen {
		r.t.Fatalf("at %d ms %v: %s", r.now, v.State, v.Reason)
	}
}

func (r *rig) wantBlockedBy(rule string) {
	r.t.Helper()
	v := r.j.View()
	if v.State != StateBlocked || !slices.ContainsFunc(v.Causes, func(c Cause) bool { return c.Rule == rule }) {
		r.t.Fatalf("at %d ms %v (%s), want BLOCKED by %s", r.now, v.State, v.Reason, rule)
	}
}

func TestJudgeStartsClosedAndOpensAfterEnterService(t *testing.T) {
	good := map[Channel]float64{VoltageV: 120, FrequencyHz: 60}
	r := newRig(t, nil, func(c *Config) {
		*c = DefaultConfig()
		c.Required = []Channel{VoltageV, FrequencyHz}
	})
	if _, ok := r.j.NextDeadlineMs(); ok {
		t.Error("a judge that has seen nothing has a deadline")
	}
	ev := r.step(1000, good)
	if len(ev) != 2 || ev[0].State != StateBlocked || ev[0].Causes[0].Rule != "INIT" || ev[1].State != StateClearing {
		t.Fatalf("first events %v", ev)
	}
	r.run(299, good)
	if s := r.state(); s != StateClearing {
		t.Fatalf("after 299 s %v", s)
	}
	r.run(1, good)
	r.wantOpen()
}

func TestJudgeStaysBlockedWithoutSamples(t *testing.T) {
	r := newRig(t, nil, nil)
	r.j.Advance(0)
	r.j.Advance(86_400_000)
	r.wantBlockedBy("INIT")
}

func TestRules(t *testing.T) {
	calm := map[Channel]float64{
		VoltageV: 230, FrequencyHz: 50, CurrentA: 5, EquipmentTemperatureC: 40,
		WindSpeedMPS: 5, WindGustMPS: 8, PressureHPa: 1010, TemperatureC: 25,
	}
	with := func(c Channel, v float64) map[Channel]float64 {
		m := map[Channel]float64{}
		for k, x := range calm {
			m[k] = x
		}
		m[c] = v
		return m
	}
	storm := with(WindSpeedMPS, 25)
	storm[WindGustMPS] = 25.2 // below W03's threshold, not below the mean
	for _, c := range []struct {
		name    string
		rule    string
		bad     map[Channel]float64
		after   int // seconds of bad until it blocks
		recover map[Channel]float64
		hold    int // seconds of good until it opens; the window's length comes on top
		slackS  int
		text    string
	}{
		{"undervoltage", "E01", with(VoltageV, 201), 3, calm, 300, 0, "voltage v 201 V (< 202.4 V)"},
		{"overvoltage", "E01", with(VoltageV, 254), 3, calm, 300, 0, "> 253 V"},
		{"far undervoltage", "E02", with(VoltageV, 100), 1, calm, 300, 0, "< 115 V"},
		{"grid lost", "E15", with(VoltageV, 5), 1, calm, 300, 0, "< 23 V"},
		{"underfrequency", "E04", with(FrequencyHz, 48.9), 3, calm, 300, 0, "48.9 Hz (< 49 Hz)"},
		{"overload", "E08", with(CurrentA, 11.5), 61, calm, 300, 0, "> 11 A"},
		{"far overload", "E08", with(CurrentA, 13), 6, calm, 300, 0, "> 12.5 A"},
		{"too hot", "E13", with(EquipmentTemperatureC, 91), 3, calm, 600, 0, "(>= 90 C)"},
		{"gust", "W03", with(WindGustMPS, 25.7), 1, calm, 1800, 610, "gust 25.7 m/s (>= 25.7 m/s)"},
		{"storm", "W05", storm, 600, calm, 3600, 610, "wind mean 10min"},
		{"implausible", "E16", with(VoltageV, -1), 1, calm, 300, 0, "voltage v is out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil, func(cfg *Config) {
				cfg.RatedCurrentA = 10
				cfg.StuckS = 0
				cfg.Required = []Channel{VoltageV, WindGustMPS}
			})
			r.run(301, calm)
			r.wantOpen()
			blocked := 0
			for blocked < c.after && r.state() == StateOpen {
				r.run(1, c.bad)
				blocked++
			}
			r.wantBlockedBy(c.rule)
			if blocked < c.after && c.rule != "W05" {
				t.Errorf("blocked after %d s, want %d", blocked, c.after)
			}
			v := r.j.View()
			if !strings.Contains(v.Reason, c.text) {
				t.Errorf("reason %q does not say %q", v.Reason, c.text)
			}
			r.run(c.hold-1, c.recover)
			if r.state() == StateOpen {
				t.Errorf("open after %d s, the clear time is %d s", c.hold-1, c.hold)
			}
			r.run(c.slackS+2, c.recover)
			r.wantOpen()
		})
	}
}

func TestWarningsDoNotBlock(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS = 60 })
	for i := range 30 {
		r.step(60_000, map[Channel]float64{WindSpeedMPS: 18, EquipmentTemperatureC: 82, WindGustMPS: 20 + float64(i%2)})
	}
	r.wantOpen()
	if v := r.j.View(); len(v.Alerts) != 2 || v.Alerts[0].Level != LevelWarn || v.Alerts[1].Kind != KindEquipment {
		t.Errorf("alerts %+v", v.Alerts)
	}
}

// A fall of more than 6 hPa in 3 h arms W03 at 20 m/s, in the same sample.
func TestPressureFallArmsGust(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS = 3600 })
	hour := func(p, gust float64) { r.step(3_600_000, map[Channel]float64{PressureHPa: p, WindGustMPS: gust}) }
	for range 4 {
		hour(1010, 21)
	}
	r.wantOpen()
	hour(1003.9, 21)
	r.wantBlockedBy("W03")
	if reason := r.j.View().Reason; !strings.Contains(reason, "(>= 20 m/s)") {
		t.Errorf("reason %q does not name the armed threshold", reason)
	}
}

func TestSquall(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS = 60 })
	minute := func(p, temp, gust float64) {
		r.step(60_000, map[Channel]float64{PressureHPa: p, TemperatureC: temp, WindGustMPS: gust})
	}
	for range 20 {
		minute(1008, 30, 4)
	}
	r.wantOpen()
	minute(1008.6, 28, 10)
	minute(1009.1, 26.5, 14)
	r.wantBlockedBy("W06")
}

func TestTurbineCutOut(t *testing.T) {
	for _, kind := range []Generator{GeneratorPV, GeneratorWind} {
		r := newRig(t, nil, func(c *Config) {
			c.Generator, c.IntervalS = kind, 600
			c.Weather.MeanBlockMPS, c.Weather.GustBlockMPS = 60, 70 // a site that trusts its turbine
		})
		for range 3 {
			r.step(600_000, map[Channel]float64{WindSpeedMPS: 10, WindGustMPS: 12})
		}
		r.step(600_000, map[Channel]float64{WindSpeedMPS: 25, WindGustMPS: 29})
		if kind == GeneratorPV {
			r.wantOpen()
			continue
		}
		r.wantBlockedBy("T01")
		r.step(600_000, map[Channel]float64{WindSpeedMPS: 20.5, WindGustMPS: 24})
		r.wantBlockedBy("T01")
		r.step(600_000, map[Channel]float64{WindSpeedMPS: 20, WindGustMPS: 24})
		r.j.Advance(r.now + 600_000)
		r.wantOpen()
	}
}

func TestGapIsSensorBlock(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS, c.Required = 3600, []Channel{WindGustMPS} })
	calm := map[Channel]float64{WindGustMPS: 5}
	r.step(0, calm)
	r.step(3_600_000, calm)
	r.step(5_400_000, calm) // exactly 1.5 intervals
	r.wantOpen()
	ev := r.step(5_400_002, calm)
	if len(ev) == 0 || ev[0].Type != EventGate || ev[0].State != StateBlocked || ev[0].TimeMs != r.now-1 {
		t.Fatalf("events %v, want a block at the gap's own deadline", ev)
	}
	if ev[0].Causes[0].Rule != "E16" {
		t.Errorf("cause %v", ev[0].Causes[0])
	}
}

func TestPlausibility(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b map[Channel]float64
		want Validity
	}{
		{"NaN", map[Channel]float64{PressureHPa: 1000}, map[Channel]float64{PressureHPa: math.NaN()}, OutOfRange},
		{"range", map[Channel]float64{PressureHPa: 1000}, map[Channel]float64{PressureHPa: 1200}, OutOfRange},
		{"jump", map[Channel]float64{PressureHPa: 1000}, map[Channel]float64{PressureHPa: 1002.1}, Jumped},
		{"no jump", map[Channel]float64{PressureHPa: 1000}, map[Channel]float64{PressureHPa: 1002}, Valid},
		{"frequency", map[Channel]float64{FrequencyHz: 50}, map[Channel]float64{FrequencyHz: 47}, Jumped},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.step(1000, c.a)
			r.step(1000, c.b)
			for ch := range c.b {
				if got := r.j.Sample().Validity[ch]; got != c.want {
					t.Errorf("%v is %v, want %v", ch, got, c.want)
				}
			}
		})
	}
}

func TestStuckPressure(t *testing.T) {
	for _, interval := range []float64{1, 900} {
		r := newRig(t, nil, func(c *Config) { c.IntervalS, c.Required = interval, []Channel{PressureHPa} })
		for range 2000 {
			r.step(int64(interval*1000), map[Channel]float64{PressureHPa: 1000})
		}
		if interval > 60 {
			r.wantOpen()
			continue
		}
		r.wantBlockedBy("E16")
		r.step(1000, map[Channel]float64{PressureHPa: 1000.1})
		if got := r.j.Sample().Validity[PressureHPa]; got != Valid {
			t.Errorf("a value that moved again is %v", got)
		}
	}
}

// fakeScorer gives whatever the test wants.
type fakeScorer struct {
	p   float64
	err error
}

func (f *fakeScorer) Kinds() []Kind { return []Kind{KindThunderstorm} }

func (f *fakeScorer) Score(*Features) (Scores, error) {
	var s Scores
	s.P[KindThunderstorm], s.Has[KindThunderstorm] = f.p, true
	s.Top = []Contribution{{"pressure_change_1h_hpa", -2.5, "hPa", 0.4}}
	return s, f.err
}

func TestScoresWarnByDefaultAfterTwoWindows(t *testing.T) {
	f := &fakeScorer{p: 0.1}
	r := newRig(t, f, func(c *Config) {
		c.IntervalS = 60
		c.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.5}}
	})
	minute := func(p float64) []Event { f.p = p; return r.step(60_000, map[Channel]float64{TemperatureC: 20}) }
	for range 10 { // until the gate opens
		minute(0.1)
	}
	minute(0.9)
	if n := len(r.j.View().Alerts); n != 0 {
		t.Fatalf("%d alerts after one window", n)
	}
	minute(0.6)
	v := r.j.View()
	if len(v.Alerts) != 1 || v.Alerts[0].Level != LevelWarn || v.State != StateOpen {
		t.Fatalf("after two windows %+v, %v", v.Alerts, v.State)
	}
	if text := v.Alerts[0].Causes[0].Text; !strings.Contains(text, "pressure change 1h hpa -2.5 hPa") {
		t.Errorf("text %q names no input", text)
	}
	minute(0.45) // over 0.8 of the threshold: stays
	minute(0.3)
	if n := len(r.j.View().Alerts); n != 1 {
		t.Errorf("cleared after one low window")
	}
	minute(0.3)
	if n := len(r.j.View().Alerts); n != 0 {
		t.Errorf("%d alerts after two low windows", n)
	}
}

func TestScoresBlockWhenAllowed(t *testing.T) {
	f := &fakeScorer{p: 0.9}
	r := newRig(t, f, func(c *Config) {
		c.IntervalS = 3600
		c.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.5, Block: 0.8}}
	})
	for range 3 {
		r.step(3_600_000, map[Channel]float64{TemperatureC: 20})
	}
	r.wantBlockedBy("M-thunderstorm")
}

func TestFailedNetworkWarnsOrBlocks(t *testing.T) {
	for _, c := range []struct {
		f       fakeScorer
		require bool
		want    State
	}{
		{fakeScorer{err: errors.New("weights are damaged")}, false, StateOpen},
		{fakeScorer{p: math.NaN()}, false, StateOpen},
		{fakeScorer{p: 1.5}, true, StateBlocked},
	} {
		t.Run(fmt.Sprintf("%v %v", c.f, c.require), func(t *testing.T) {
			r := newRig(t, &c.f, func(cfg *Config) { cfg.IntervalS, cfg.Score.Require = 3600, c.require })
			for range 3 {
				r.step(3_600_000, map[Channel]float64{TemperatureC: 20})
			}
			v := r.j.View()
			if v.State != c.want || len(v.Alerts) != 1 || v.Alerts[0].Causes[0].Rule != "M00" {
				t.Errorf("%v, alerts %+v", v.State, v.Alerts)
			}
		})
	}
}

func TestLatchedRuleNeedsNamedPerson(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.Latch = []string{"W03"}; c.IntervalS = 3600 })
	hour := func(gust float64) { r.step(3_600_000, map[Channel]float64{WindGustMPS: gust}) }
	hour(5)
	hour(30)
	if err := r.j.Ack("W03", "op"); err == nil {
		t.Error("acknowledged an active cause")
	}
	hour(5)
	hour(5)
	r.wantBlockedBy("W03")
	for _, c := range [][2]string{{"W03", " "}, {"W99", "op"}, {"E01", "op"}} {
		if err := r.j.Ack(c[0], c[1]); err == nil {
			t.Errorf("Ack(%q, %q) succeeded", c[0], c[1])
		}
	}
	if err := r.j.Ack("W03", "Ada"); err != nil {
		t.Fatal(err)
	}
	ev := r.j.Advance(r.now)
	if len(ev) == 0 || !strings.Contains(ev[0].Reason, "W03 acknowledged by Ada") {
		t.Errorf("events %v do not name who acknowledged", ev)
	}
	r.wantOpen()
}

func TestUnservedRulesAreListed(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.Channels = []Channel{WindGustMPS, VoltageAV} })
	got := map[string]string{}
	for _, u := range r.j.Unserved() {
		got[u.Rule] = u.Why
	}
	for rule, why := range map[string]string{
		"E04": "no channel frequency_hz", "W05": "no channel wind_speed_mps",
		"E08": "no rated_current_a is configured", "T01": "only for a generator of kind wind",
	} {
		if got[rule] != why {
			t.Errorf("%s: %q, want %q", rule, got[rule], why)
		}
	}
	for _, rule := range []string{"W03", "E01", "E16"} {
		if why, ok := got[rule]; ok {
			t.Errorf("%s is unserved: %s", rule, why)
		}
	}
}

func TestClockThatGoesBackIsHeld(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS = 3600 })
	r.step(10_000_000, map[Channel]float64{WindGustMPS: 5})
	for _, e := range r.step(-9_000_000, map[Channel]float64{WindGustMPS: 30}) {
		if e.TimeMs < 10_000_000 {
			t.Errorf("event at %d, before the last sample", e.TimeMs)
		}
	}
	r.wantBlockedBy("W03")
}

func TestStepDoesNotAllocate(t *testing.T) {
	r := newRig(t, nil, func(c *Config) {
		c.StuckS, c.RatedCurrentA, c.Position = 0, 10, &Position{Latitude: 20, Longitude: 120}
	})
	s := Sample{TimeMs: 0}
	for range 400 {
		s.TimeMs += 1000
		for c, v := range map[Channel]float64{
			VoltageV: 230, VoltageAV: 230, VoltageBV: 231, VoltageCV: 229, FrequencyHz: 50, CurrentA: 5, PowerW: 1100, THDPct: 2,
			WindSpeedMPS: 4, WindGustMPS: 5, PressureHPa: 1000, TemperatureC: 20, HumidityPct: 50, IrradianceWPM2: 300,
			LeakageMA: 5, InsulationKOhm: 900, DCVoltageV: 500, EquipmentTemperatureC: 40, LightningCount: 0,
		} {
			s.Set(c, v)
		}
		r.j.Step(&s)
	}
	if n := testing.AllocsPerRun(1000, func() {
		s.TimeMs += 1000
		r.j.Step(&s)
	}); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}
