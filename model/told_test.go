package model

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

// The lowest and the highest of channels are those of the channels that are known.
func TestExtreme(t *testing.T) {
	phases := []Channel{VoltageAV, VoltageBV, VoltageCV}
	for _, c := range []struct {
		a, b, c         float64
		lost            []Channel
		lowest, highest Channel
	}{
		{230, 225, 235, nil, VoltageBV, VoltageCV},
		{220, 225, 235, nil, VoltageAV, VoltageCV},
		{240, 225, 235, nil, VoltageBV, VoltageAV},
		{230, 240, 235, nil, VoltageAV, VoltageBV},
		{230, 230, 230, nil, VoltageAV, VoltageAV}, // the first of equals
		{0, 225, 300, []Channel{VoltageAV, VoltageCV}, VoltageBV, VoltageBV},
		{100, 225, 235, []Channel{VoltageAV}, VoltageBV, VoltageCV},
	} {
		b := newBare(t, nil).set(map[Channel]float64{VoltageAV: c.a, VoltageBV: c.b, VoltageCV: c.c})
		for _, lost := range c.lost {
			b.lose(lost)
		}
		for lowest, want := range map[bool]Channel{true: c.lowest, false: c.highest} {
			if at, v, ok := b.extreme(phases, bareMs, lowest); !ok || at != want || v != b.in.r[want].value {
				t.Errorf("%+v, lowest %v: %v = %v, %v", c, lowest, at, v, ok)
			}
		}
	}
	if _, _, ok := newBare(t, nil).extreme(phases, bareMs, true); ok {
		t.Error("the lowest of nothing is known")
	}
}

func TestNumbersInSentences(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1: "1", 1.5: "1.5", 1.234: "1.23", 2: "2", 2.5: "2.5", 33.333: "33.33", 100: "100", -0.5: "-0.5", 202.4: "202.4"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// told explains a rule of bare evidence in a state.
func told(b bare, id string, st ruleState) Cause {
	b.t.Helper()
	i, ok := ruleIndex(rules, id)
	if !ok {
		b.t.Fatalf("no rule %s", id)
	}
	return b.explain(&rules[i], &st, false, bareMs)
}

// A figure of a window is listed as unknown if its channel or its past is.
func TestUnknownFigureIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		past bool
		lost bool
		want Validity
	}{{"both known", true, false, Valid}, {"no past", false, false, Absent}, {"a sensor that fails", true, true, SensorError}, {"neither", false, true, SensorError}} {
		b := newBare(t, nil).set(map[Channel]float64{PressureHPa: 1000})
		b.cyclone.fall = figure{9, c.past}
		if c.lost {
			b.lose(PressureHPa)
		}
		got := told(b, "W07", ruleState{})
		if len(got.Inputs) != 1 || got.Inputs[0].State != c.want || c.want == Valid && got.Inputs[0].Value != 9 {
			t.Errorf("%s: %+v", c.name, got.Inputs)
		}
	}
}

// Only a rule that is held says so.
func TestHoldIsTold(t *testing.T) {
	for _, c := range []struct {
		st   ruleState
		want string
	}{
		{ruleState{}, ""},
		{ruleState{holdUntil: never}, ""},
		{ruleState{held: LevelWarn, holding: true, holdUntil: never}, "; held over a restart until a sample comes"},
		{ruleState{held: LevelWarn, holding: true, holdUntil: bareMs + 1001}, "; held for 2 s"},
	} {
		b := newBare(t, nil).set(map[Channel]float64{InsulationKOhm: 900})
		_, got, _ := strings.Cut(told(b, "E10", c.st).Text, ";")
		if got = strings.TrimSpace(got); got != strings.TrimSpace(strings.TrimPrefix(c.want, ";")) {
			t.Errorf("%+v: %q, want %q", c.st, got, c.want)
		}
	}
}

// The comparison that is told is the one that was made, at its limit too.
func TestLimitsAreTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		id     string
		change func(*Config)
		values map[Channel]float64
		want   string
	}{
		{"insulation at its limit", "E10", func(c *Config) {
			c.Earth.InsulationMinKOhm, c.Earth.MaxDCVoltageV, c.Earth.InsulationClearRatio = 40, 0, 2
		}, map[Channel]float64{InsulationKOhm: 40}, "(< 80 kohm)"},
		{"insulation below it", "E10", func(c *Config) { c.Earth.InsulationMinKOhm, c.Earth.MaxDCVoltageV = 40, 0 }, map[Channel]float64{InsulationKOhm: 39}, "(< 40 kohm)"},
		{"a string without a maximum", "E12", func(c *Config) { c.Earth.MaxDCVoltageV = 0 }, map[Channel]float64{DCVoltageV: 600}, "(>= -10 V)"},
		{"a string at its maximum", "E12", func(c *Config) { c.Earth.MaxDCVoltageV = 600 }, map[Channel]float64{DCVoltageV: 600}, "(<= 600 V)"},
		{"a string above it", "E12", func(c *Config) { c.Earth.MaxDCVoltageV = 600 }, map[Channel]float64{DCVoltageV: 601}, "(> 600 V)"},
	} {
		if got := told(newBare(t, c.change).set(c.values), c.id, ruleState{}).Text; !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %q, want the end %q", c.name, got, c.want)
		}
	}
}

// A residual current that is not known changes nothing, whatever was read last.
func TestLeakageUnknown(t *testing.T) {
	for _, value := range []float64{0, 500} {
		for _, was := range []Level{LevelNone, LevelWarn, LevelBlock} {
			b := newBare(t, nil).set(map[Channel]float64{LeakageMA: value}).lose(LeakageMA)
			if got := b.judge("E09", was); got != was {
				t.Errorf("last read %v mA, was %v: %v", value, was, got)
			}
		}
	}
}

// A step of the residual current is one when it is read, and none in the samples
// that bring no new reading.
func TestLeakageStepIsOfItsReading(t *testing.T) {
	b := newBare(t, nil)
	read := func(ms int64, v float64, fresh bool) int64 {
		b.in.r[LeakageMA] = reading{value: v, measuredMs: ms, seen: true, state: Valid, fresh: fresh}
		return ms
	}
	takeEarth(b.evidence, nil, read(1000, 5, true))
	step := read(2000, 45, true)
	takeEarth(b.evidence, nil, step)
	if b.earth.stepMs != step || b.earth.stepMA != 40 {
		t.Fatalf("step of %v mA at %d", b.earth.stepMA, b.earth.stepMs)
	}
	read(2000, 45, false)
	takeEarth(b.evidence, nil, 2500)
	if b.earth.stepMs != step {
		t.Errorf("a step at %d without a reading", b.earth.stepMs)
	}
}

// The summary counts alerts when they are raised, and the time that the gate was
// not open up to the last sample.
func TestSummaryCounts(t *testing.T) {
	var s Summary
	s.Sample(0)
	s.Event(&Event{Type: EventAlert, Action: ActionRaise, Kind: KindWind})
	s.Event(&Event{Type: EventAlert, Action: ActionClear, Kind: KindWind})
	s.Event(&Event{Type: EventAlert, Action: ActionUpdate, Kind: KindWind})
	if s.Alerts[KindWind] != 1 || s.Events != 3 {
		t.Errorf("%d alerts of %d events", s.Alerts[KindWind], s.Events)
	}
	s.Event(&Event{Type: EventGate, State: StateBlocked, TimeMs: 5000}) // by a timer, after the last sample
	if got := s.BlockedS(); got != 5 {
		t.Errorf("blocked for %v s, want 5", got)
	}
	s.Sample(8000)
	if got := s.BlockedS(); got != 8 {
		t.Errorf("blocked for %v s, want 8", got)
	}
	s.Event(&Event{Type: EventGate, State: StateOpen, TimeMs: 9000})
	s.Sample(20000)
	if got := s.BlockedS(); got != 9 {
		t.Errorf("blocked for %v s, want 9", got)
	}
}

// The usual pressure is written without the empty hours in front of it, and not at
// all without a wall clock or while its hours are too few to be of a real one.
func TestUsualPressureIsWrittenShort(t *testing.T) {
	const first = 500_000 // hours since 1970
	usual := func(known bool, from int64) []byte {
		b := newBare(t, nil)
		b.wallKnown = known
		for h := range int64(3) {
			b.cyclone.base.push((from+h)*hourMs, 1000+float64(h))
		}
		return b.appendBaseline(nil)
	}
	got := usual(true, first)
	hour, n := binary.Uvarint(got)
	hours, m := binary.Uvarint(got[n:])
	if hour != first+3 || hours != 3 {
		t.Errorf("%d hours up to %d", hours, hour)
	}
	for _, want := range []int64{100_000, 100, 100} {
		d, size := binary.Varint(got[n+m:])
		if d != want {
			t.Errorf("a step of %d, want %d", d, want)
		}
		m += size
	}
	if n+m != len(got) {
		t.Errorf("%d bytes too many", len(got)-n-m)
	}
	for name, b := range map[string][]byte{"without a wall clock": usual(false, first), "in January 1970": usual(true, baselineHours-3)} {
		if len(b) != 1 || b[0] != 0 {
			t.Errorf("%s: %x", name, b)
		}
	}
}

// A cause lists so many inputs at most, known or not, and its text names them all.
func TestInputsOfACauseAreBounded(t *testing.T) {
	b := newBare(t, nil)
	for name, add := range map[string]func(*explainer){
		"known":   func(x *explainer) { x.input("a", 1, "V", 0, "", 0) },
		"unknown": func(x *explainer) { x.unknown("a", "V", 0, Absent) },
	} {
		x := explainer{e: b.evidence, tMs: bareMs, cause: &Cause{}}
		for n := 1; n <= maxExplained+2; n++ {
			add(&x)
			if len(x.cause.Inputs) != min(n, maxExplained) || len(x.texts) != n {
				t.Fatalf("%s: %d inputs and %d texts of %d", name, len(x.cause.Inputs), len(x.texts), n)
			}
		}
	}
}

// The age of a stroke is told in seconds.
func TestStrokeIsTold(t *testing.T) {
	b := newBare(t, nil)
	x := explainer{e: b.evidence, tMs: bareMs, cause: &Cause{}}
	x.stroke(bareMs-2500, 7, 10)
	if in := x.cause.Inputs; len(in) != 1 || in[0].AgeS != 2.5 || in[0].Value != 7 || in[0].Threshold != 10 || in[0].Op != "<=" {
		t.Errorf("%+v", in)
	}
}

// Only a score that is given must be a probability.
func TestScoresAreProbabilities(t *testing.T) {
	for _, c := range []struct {
		p    float64
		has  bool
		want bool
	}{
		{0, true, true}, {1, true, true}, {0.5, true, true}, {-0.01, true, false}, {1.01, true, false}, {math.NaN(), true, false}, {math.Inf(1), true, false},
		{math.NaN(), false, true}, {7, false, true},
	} {
		var s Scores
		s.P[KindWind], s.Has[KindWind] = c.p, c.has
		if k, ok := s.check(); ok != c.want || !ok && k != KindWind {
			t.Errorf("%v, given %v: %v of %v", c.p, c.has, ok, k)
		}
	}
}

// Without a rated power there is no yield to compare with.
func TestYieldNeedsARating(t *testing.T) {
	for rated, want := range map[float64]int64{0: never, 5000: bareMs} {
		b := newBare(t, func(c *Config) { c.RatedPowerW = rated }).set(map[Channel]float64{PowerW: 10, IrradianceWPM2: 900})
		takeYield(b.evidence, bareMs)
		if b.plant.brightMs != want {
			t.Errorf("rated %v W: bright since %d, want %d", rated, b.plant.brightMs, want)
		}
	}
}

// What a sensor reported last stays its state; only a good reading turns stale.
func TestFaultsDoNotTurnStale(t *testing.T) {
	b := newBare(t, nil).set(map[Channel]float64{WindGustMPS: 5})
	late := bareMs + b.in.staleMs[WindGustMPS] + 1
	if got := b.in.validity(WindGustMPS, late-1); got != Valid {
		t.Errorf("at its last moment: %v", got)
	}
	if got := b.in.validity(WindGustMPS, late); got != Stale {
		t.Errorf("after it: %v", got)
	}
	if got := b.lose(WindGustMPS).in.validity(WindGustMPS, late); got != SensorError {
		t.Errorf("a sensor that fails: %v", got)
	}
}

// The clock of the judgement never goes back, neither behind a sample nor behind a
// time that passed without one.
func TestJudgementNeverGoesBack(t *testing.T) {
	r := newRig(t, nil, nil)
	at := func(sampleMs int64) int64 {
		s := Sample{TimeMs: sampleMs}
		s.Set(WindGustMPS, 5)
		for _, e := range r.j.Step(&s) {
			if e.TimeMs < r.now {
				t.Errorf("an event of %d after %d", e.TimeMs, r.now)
			}
		}
		return r.j.Sample().TimeMs
	}
	for _, c := range []struct{ sampleMs, advanceMs, want int64 }{
		{1000, 0, 1000}, {500, 0, 1000}, {2000, 9000, 2000}, {3000, 0, 9000}, {9500, 9100, 9500}, {9200, 0, 9500},
	} {
		if got := at(c.sampleMs); got != c.want {
			t.Errorf("a sample of %d is judged at %d, want %d", c.sampleMs, got, c.want)
		}
		r.now = c.want
		if c.advanceMs != 0 {
			r.j.Advance(c.advanceMs)
		}
	}
}

// A site without a network misses none of its rules.
func TestNoNetworkIsAChoice(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.Channels = []Channel{} })
	for _, u := range r.j.Unserved() {
		if strings.HasPrefix(u.Rule, "M") {
			t.Errorf("%+v", u)
		}
	}
	for i := range r.j.rules {
		if r.j.rules[i].network && r.j.served.Has(i) {
			t.Errorf("%s is served without a network", r.j.rules[i].id)
		}
	}
}
