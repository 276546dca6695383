package model

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// P01 counts only a fresh power in enough light, each valid at this moment.
func TestOnlyBrightMomentsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		light   float64
		change  func(b bare)
		counted bool
	}{
		"bright":         {900, func(bare) {}, true},
		"dark":           {100, func(bare) {}, false},
		"an old power":   {900, func(b bare) { b.in.r[PowerW].fresh = false }, false},
		"a stale power":  {900, func(b bare) { b.in.r[PowerW].measuredMs -= b.in.staleMs[PowerW] + 1 }, false},
		"no light known": {900, func(b bare) { b.lose(IrradianceWPM2) }, false},
	} {
		b := newBare(t, func(c *Config) { c.RatedPowerW = 5000 }).set(map[Channel]float64{PowerW: 10, IrradianceWPM2: c.light})
		c.change(b)
		takeYield(b.evidence, bareMs)
		if b.plant.power.any != c.counted || b.plant.light.any != c.counted || (b.plant.brightMs == bareMs) != c.counted {
			t.Errorf("%s: counted %v, bright since %d", name, b.plant.power.any, b.plant.brightMs)
		}
	}
}

// A figure whose channel is lost, or whose past is, neither sets a rule nor clears it.
func TestUnknownSetsAndClearsNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		rule   string
		change func(b bare)
		was    Level
	}{
		{"a shortfall without light", "P01", func(b bare) {
			b.set(map[Channel]float64{PowerW: 1, IrradianceWPM2: 900}).lose(IrradianceWPM2)
			b.plant.shortfall = figure{90, true}
		}, LevelNone},
		{"a yield without light", "P01", func(b bare) {
			b.set(map[Channel]float64{PowerW: 1, IrradianceWPM2: 900}).lose(IrradianceWPM2)
			b.plant.shortfall = figure{0, true}
		}, LevelWarn},
		{"a vibration without its sensor", "T02", func(b bare) {
			b.set(map[Channel]float64{VibrationMPS2: 30}).lose(VibrationMPS2)
			b.plant.vibration1 = figure{30, true}
		}, LevelNone},
		{"a rest without its sensor", "T02", func(b bare) {
			b.set(map[Channel]float64{VibrationMPS2: 1}).lose(VibrationMPS2)
			b.plant.vibration1 = figure{1, true}
		}, LevelBlock},
		{"a vibration without a past", "T02", func(b bare) { b.set(map[Channel]float64{VibrationMPS2: 1}) }, LevelBlock},
		{"an overload without its sensor", "E08", func(b bare) {
			b.set(map[Channel]float64{CurrentA: 30}).lose(CurrentA)
			b.overload = overload{overMs: 0, farOverMs: 0}
		}, LevelNone},
		{"a high mean without a voltage", "E03", func(b bare) {
			b.set(map[Channel]float64{VoltageV: 260}).lose(VoltageV)
			b.quality.means[0] = figure{260, true}
		}, LevelNone},
		{"a high mean that has gone on a grid that may not be entered", "E03", func(b bare) {
			b.set(map[Channel]float64{VoltageV: 230, FrequencyHz: 53})
			b.quality.means[0] = figure{230, true}
		}, LevelBlock},
		{"a cut-out before any wind is known", "T01", func(bare) {}, LevelBlock},
		{"a voltage without a mean", "E03", func(b bare) { b.set(map[Channel]float64{VoltageV: 260}) }, LevelNone},
	} {
		b := newBare(t, func(cfg *Config) { cfg.RatedCurrentA, cfg.RatedPowerW = 10, 5000 })
		c.change(b)
		if got := b.judge(c.rule, c.was); got != c.was {
			t.Errorf("%s: %v, want %v as before", c.name, got, c.was)
		}
	}
}

// A current is over its rating only where there is a current and a rating.
func TestOverloadNeedsARating(t *testing.T) {
	for _, c := range []struct {
		rated, current float64
		lost           bool
		want           int64
	}{
		{10, 30, false, bareMs}, {10, 30, true, never}, {10, 10, false, never}, {0, 30, false, never}, {0, 30, true, never},
	} {
		b := newBare(t, func(cfg *Config) { cfg.RatedCurrentA = c.rated }).set(map[Channel]float64{CurrentA: c.current})
		if c.lost {
			b.lose(CurrentA)
		}
		takeOverload(b.evidence, &Sample{}, bareMs)
		if o := b.overload; o.overMs != c.want || o.farOverMs != c.want {
			t.Errorf("%+v: %+v", c, o)
		}
	}
}

// The unbalance is one of three voltages of the same moment.
func TestUnbalanceNeedsThreeFreshPhases(t *testing.T) {
	phases := []Channel{VoltageAV, VoltageBV, VoltageCV}
	for missing := range 4 {
		b := newBare(t, nil).set(map[Channel]float64{VoltageAV: 230, VoltageBV: 230, VoltageCV: 230})
		if missing < 3 {
			b.lose(phases[missing])
		}
		takeQuality(b.evidence, &Sample{}, bareMs)
		if got := b.quality.unbalance.any; got != (missing == 3) {
			t.Errorf("without phase %d: counted %v", missing+1, got)
		}
	}
	for _, c := range phases { // nor of one that is read and cannot be believed
		b := newBare(t, nil).set(map[Channel]float64{VoltageAV: 230, VoltageBV: 230, VoltageCV: 230})
		b.in.r[c].state = Disagrees
		takeQuality(b.evidence, &Sample{}, bareMs)
		if b.quality.unbalance.any {
			t.Errorf("counted with %v that disagrees", c)
		}
	}
	if got := Unbalance(0, 0, 0); got != 1 {
		t.Errorf("the unbalance of no voltage is %v", got)
	}
	b := newBare(t, nil).set(map[Channel]float64{VoltageAV: 230, VoltageBV: 230, VoltageCV: 230})
	takeQuality(b.evidence, &Sample{}, bareMs)
	i, _ := ruleIndex(rules, "E06")
	text := b.explain(&rules[i], &ruleState{}, false, bareMs).Text
	if want := "unbalance 1min 0 % (<= 4.5 %), unbalance 10min 0 % (<= 1.5 %)"; text != want {
		t.Errorf("text %q, want %q", text, want)
	}
}

// No distortion at all is a distortion that is known.
func TestZeroDistortionIsKnown(t *testing.T) {
	b := newBare(t, nil).set(map[Channel]float64{THDPct: 0})
	takeQuality(b.evidence, &Sample{}, bareMs)
	if got := b.quality.thd10; got != (figure{0, true}) {
		t.Errorf("%+v", got)
	}
}

// A frequency that was not read is none of 0 Hz, and a first one is no change.
func TestFrequencyChangeNeedsReadings(t *testing.T) {
	b := newBare(t, nil)
	b.takeROCOF()
	if b.quality.frequency.n != 0 {
		t.Error("a frequency is kept that no one read")
	}
	b.quality.rocof = figure{3, true}
	b.set(map[Channel]float64{FrequencyHz: 50}).takeROCOF()
	if b.quality.rocof != (figure{}) {
		t.Errorf("after a gap %+v", b.quality.rocof)
	}
}

// Of phases with the same mean the first one is named.
func TestFirstOfEqualMeansIsNamed(t *testing.T) {
	for _, v := range []float64{0, 260} {
		b := newBare(t, nil)
		for i := range b.quality.means {
			b.quality.means[i] = figure{v, true}
		}
		if c, f := b.highestMean(); c != phases[0] || f != (figure{v, true}) {
			t.Errorf("%v V: %v of %+v", v, c, f)
		}
	}
}

// S02 counts only a fresh power under load, with everything that it is compared with.
func TestOnlyLoadIsCounted(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(b bare)
		counted bool
	}{
		"under load":      {func(bare) {}, true},
		"at the limit":    {func(b bare) { b.set(map[Channel]float64{VoltageV: 200, CurrentA: 1}) }, true},
		"below the limit": {func(b bare) { b.set(map[Channel]float64{VoltageV: 199, CurrentA: 1}) }, false},
		"an old power":    {func(b bare) { b.in.r[PowerW].fresh = false }, false},
		"a stale power":   {func(b bare) { b.in.r[PowerW].measuredMs -= b.in.staleMs[PowerW] + 1 }, false},
		"no voltage":      {func(b bare) { b.lose(VoltageV) }, false},
		"no current":      {func(b bare) { b.lose(CurrentA) }, false},
		"no power factor": {func(b bare) { b.lose(PowerFactor) }, false},
	} {
		b := newBare(t, nil).set(map[Channel]float64{PowerW: 2300, VoltageV: 230, CurrentA: 10, PowerFactor: 1})
		c.change(b)
		takeMeter(b.evidence, bareMs)
		if b.sensor.metered.any != c.counted || b.sensor.product.any != c.counted || (b.sensor.loadMs == bareMs) != c.counted {
			t.Errorf("%s: counted %v, load since %d", name, b.sensor.metered.any, b.sensor.loadMs)
		}
	}
}

// E16 says that nothing came yet, that nothing comes any more, or what is missing.
func TestBlindnessIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b bare)
		want   string
	}{
		{"no sample", func(bare) {}, "no sample yet"},
		{"all is well", func(b bare) { b.in.any, b.in.lastMs = true, bareMs }, "all required inputs are valid again"},
		{"silence", func(b bare) { b.in.any, b.in.lastMs = true, bareMs-6000 }, "silence 6 s (> 5 s)"},
		{"a lost input", func(b bare) {
			b.in.any, b.in.lastMs = true, bareMs
			b.lose(VoltageV)
		}, "voltage v cannot be read"},
	} {
		b := newBare(t, nil).set(map[Channel]float64{VoltageV: 230})
		b.required = []Channel{VoltageV}
		c.change(b)
		x := explainer{e: b.evidence, tMs: bareMs, state: &ruleState{}, cause: &Cause{}}
		explainSensor(&x)
		if len(x.texts) != 1 || x.texts[0] != c.want {
			t.Errorf("%s: %q, want %q", c.name, x.texts, c.want)
		}
	}
}

// A start ends only with every required input and on a grid that may be entered, and
// never comes back.
func TestStartEndsOnAGoodGridOnly(t *testing.T) {
	for _, c := range []struct {
		name      string
		frequency float64
		lost      bool
		was       Level
		want      Level
	}{
		{"all is well", 50, false, LevelBlock, LevelNone},
		{"a frequency too high to enter", 53, false, LevelBlock, LevelBlock},
		{"a lost input", 50, true, LevelBlock, LevelBlock},
		{"once it has ended", 53, true, LevelNone, LevelNone},
	} {
		b := newBare(t, nil).set(map[Channel]float64{VoltageV: 230, FrequencyHz: c.frequency, TemperatureC: 20})
		b.in.any, b.in.lastMs, b.required = true, bareMs, []Channel{TemperatureC}
		if c.lost {
			b.lose(TemperatureC)
		}
		if got := b.judge("INIT", c.was); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A gust front needs pressure, temperature and gust at once, and ends with none of them.
func TestSquallNeedsItsChannels(t *testing.T) {
	for _, lost := range []Channel{PressureHPa, TemperatureC, WindGustMPS} {
		for was, v := range map[Level]float64{LevelNone: 50, LevelBlock: 0} {
			b := newBare(t, nil).set(map[Channel]float64{PressureHPa: 1010, TemperatureC: 20, WindGustMPS: 20}).lose(lost)
			f := figure{v, true}
			b.squall = squall{rise: f, cooling: f, gustRise: f, gustMax: f}
			if got := b.judge("W06", was); got != was {
				t.Errorf("without %v, was %v: %v", lost, was, got)
			}
			if got := b.pressureJumped(bareMs); got != (v > 0 && lost != PressureHPa) {
				t.Errorf("without %v, %v hPa more: a jump %v", lost, v, got)
			}
		}
	}
}

// A latch outlives a restart though nothing else of its rule stands; a rule that is
// idle is not written at all.
func TestSnapshotWritesLatchesAndNothingIdle(t *testing.T) {
	site := func(c *Config) { c.IntervalS, c.Latch, c.Weather.GustHoldS = 3600, []string{"W03"}, 0 }
	r := quietRig(t, site)
	for _, gust := range []float64{5, 30, 5, 5} {
		r.step(hourMs, map[Channel]float64{WindGustMPS: gust})
	}
	w03, _ := ruleIndex(rules, "W03")
	if r.levelOf("W03") != LevelNone || !r.j.gate.Latched().Has(w03) {
		t.Fatalf("W03 stands at %v, latched %v", r.levelOf("W03"), r.j.gate.Latched().Has(w03))
	}
	snap := r.j.Snapshot()
	again := quietRig(t, site)
	if err := again.j.Restore(snap, 0); err != nil {
		t.Fatal(err)
	}
	if !again.j.gate.Latched().Has(w03) || !again.j.sober.Latched().Has(w03) {
		t.Error("the latch is lost")
	}
	if bytes.Contains(snap, []byte("W05")) {
		t.Error("an idle rule is written")
	}
	// A hold that began before the first sample keeps its end.
	again.j.states[w03] = ruleState{held: LevelBlock, holding: true, holdUntil: 90_000}
	again.j.resume(10_000)
	if got := again.j.states[w03].holdUntil; got != 90_000 {
		t.Errorf("held until %d ms, want 90000", got)
	}
	other := append([]byte("FWJ1"), snap[len(snapshotMagic):len(snap)-4]...)
	other = binary.BigEndian.AppendUint32(other, crc32.Checksum(other, castagnoli))
	if _, _, err := openSnapshot(other); err == nil {
		t.Error("a snapshot of another version is opened")
	}
}

// Only warnings in force are written, each is told with what it has.
func TestOnlyWarningsInForceAreWritten(t *testing.T) {
	r := quietRig(t, nil)
	r.run(10, map[Channel]float64{VoltageV: 230})
	for id, forMs := range map[string]int64{"short": 1000, "long": 9000} {
		if _, err := r.j.Warn(warning(id, LevelBlock, r.now+forMs), r.now); err != nil {
			t.Fatal(err)
		}
	}
	r.j.Advance(r.now + 1000)
	again := quietRig(t, nil)
	if err := again.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	if x := again.j.ev.warnings; x.n != 1 || x.list[0].ID != "long" || x.list[0].UntilMs != 8000 {
		t.Errorf("in force are %+v", x.list[:x.n])
	}
	for _, c := range []struct{ severity, urgency, want string }{
		{"", "", "Gale, for 5 s more"},
		{"Minor", "", "Gale (Minor), for 5 s more"},
		{"", "Future", "Gale (Future), for 5 s more"},
		{"Minor", "Future", "Gale (Minor Future), for 5 s more"},
	} {
		b := newBare(t, nil)
		w := warning("a", LevelWarn, bareMs+5000)
		w.Severity, w.Urgency = c.severity, c.urgency
		if err := b.warnings.put(w); err != nil {
			t.Fatal(err)
		}
		x := explainer{e: b.evidence, tMs: bareMs, cause: &Cause{}}
		explainWarnings(&x)
		if len(x.texts) != 1 || x.texts[0] != c.want {
			t.Errorf("%q, want %q", x.texts, c.want)
		}
	}
}

// An end that is known later never shortens a hold that runs.
func TestHoldIsNeverShortened(t *testing.T) {
	for untilMs, want := range map[int64]int64{50: 100, 100: 100, 150: 150} {
		r := rule{until: func(*evidence) (int64, bool) { return untilMs, true }}
		s := ruleState{held: LevelBlock, holding: true, holdUntil: 100}
		s.update(&r, nil, LevelNone, 60)
		if s.held != LevelBlock || s.holdUntil != want {
			t.Errorf("an end at %d ms: %+v, want one at %d", untilMs, s, want)
		}
	}
}

// A figure is compared only while its channel can be used and its past is known; until
// then the rule says what it said, at most its own level.
func TestAboveKeepsWhatIsUnknown(t *testing.T) {
	for _, f := range []figure{{30, true}, {0, false}, {30, false}, {0, true}} {
		for _, lost := range []bool{false, true} {
			if f.ok && !lost {
				continue
			}
			b := newBare(t, nil).set(map[Channel]float64{WindGustMPS: 5})
			if lost {
				b.lose(WindGustMPS)
			}
			for was, want := range map[Level]Level{LevelNone: LevelNone, LevelWarn: LevelWarn, LevelBlock: LevelWarn} {
				if got := above(b.evidence, bareMs, WindGustMPS, f, was, LevelWarn, from(20), from(10)); got != want {
					t.Errorf("%+v, lost %v, was %v: %v, want %v", f, lost, was, got, want)
				}
			}
		}
	}
}
