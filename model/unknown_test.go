package model

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// A contradiction needs both of its sides: the value of a sensor that fails stays
// in memory and contradicts nothing.
func TestOnlyKnownReadingsContradict(t *testing.T) {
	type check func(*evidence, int64) bool
	figures := func(b bare, mean, gust float64) {
		b.wind.mean, b.wind.gustMax = figure{mean, true}, figure{gust, true}
	}
	for _, c := range []struct {
		name   string
		check  check
		values map[Channel]float64
		needs  []Channel
	}{
		{"more power than volts and amperes", (*evidence).powerContradicts, map[Channel]float64{PowerW: 2000, VoltageV: 230, CurrentA: 5}, []Channel{PowerW, VoltageV, CurrentA}},
		{"less than the power factor says", (*evidence).powerContradicts, map[Channel]float64{PowerW: 300, VoltageV: 230, CurrentA: 5, PowerFactor: 0.95}, []Channel{PowerW, VoltageV, CurrentA, PowerFactor}},
		{"phases", (*evidence).phasesContradict, map[Channel]float64{PowerW: 3000, PowerAW: 500, PowerBW: 500, PowerCW: 500}, []Channel{PowerW, PowerAW, PowerBW, PowerCW}},
		{"gust below the mean", (*evidence).gustContradicts, map[Channel]float64{WindSpeedMPS: 12, WindGustMPS: 9}, []Channel{WindSpeedMPS, WindGustMPS}},
		{"sun at night", (*evidence).sunAtNight, map[Channel]float64{IrradianceWPM2: 300}, []Channel{IrradianceWPM2}},
	} {
		night := func() bare {
			b := newBare(t, func(cfg *Config) { cfg.Position = &Position{Latitude: 50, Longitude: 8} }).set(c.values)
			figures(b, 12, 9)
			b.wallKnown, b.wallOffsetMs = true, time.Date(2026, 7, 1, 23, 30, 0, 0, time.UTC).UnixMilli()-bareMs
			return b
		}
		if !c.check(night().evidence, bareMs) {
			t.Errorf("%s: no contradiction", c.name)
		}
		for _, lost := range c.needs {
			if c.check(night().lose(lost).evidence, bareMs) {
				t.Errorf("%s without %v: a contradiction", c.name, lost)
			}
		}
	}
	for name, lose := range map[string]func(*evidence){
		"the mean": func(e *evidence) { e.wind.mean.ok = false }, "the highest gust": func(e *evidence) { e.wind.gustMax.ok = false },
	} {
		b := newBare(t, nil).set(map[Channel]float64{WindSpeedMPS: 12, WindGustMPS: 9})
		figures(b, 12, 9)
		lose(b.evidence)
		if b.gustContradicts(bareMs) {
			t.Errorf("gusts are compared without %s", name)
		}
	}
}

// Light is of the whole time since the last reading: at dawn the sun was below the
// horizon an interval ago and is above it now, and at dusk the other way round.
func TestSunAtNightOverAnInterval(t *testing.T) {
	at := func(hour, minute int) int64 { return time.Date(2026, 3, 20, hour, minute, 0, 0, time.UTC).UnixMilli() }
	for name, c := range map[string]struct {
		unixMs int64
		want   bool
	}{"midnight": {at(0, 0), true}, "dawn": {at(6, 30), false}, "noon": {at(12, 0), false}, "dusk": {at(19, 0), false}, "an hour after dusk": {at(20, 0), true}} {
		b := newBare(t, func(cfg *Config) { cfg.Position, cfg.IntervalS = &Position{}, 3600 }).set(map[Channel]float64{IrradianceWPM2: 300})
		b.wallKnown, b.wallOffsetMs = true, c.unixMs-bareMs
		if got := b.sunAtNight(bareMs); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// W08 clears only if pressure and wind are both known and both over, and begins
// only if both are known.
func TestCycloneNeedsBoth(t *testing.T) {
	calm := func() bare {
		b := newBare(t, nil).set(map[Channel]float64{PressureHPa: 1010, WindSpeedMPS: 2})
		b.cyclone.anomaly, b.wind.mean = figure{0, true}, figure{2, true}
		return b
	}
	storm := func() bare {
		b := calm()
		b.in.r[PressureHPa].fresh = false // what was computed last stands
		b.cyclone.anomaly, b.wind.mean = figure{-10, true}, figure{15, true}
		return b
	}
	if got := calm().judge("W08", LevelBlock); got != LevelNone {
		t.Errorf("usual pressure and calm: %v", got)
	}
	begins := func(b bare) bool {
		takeCyclone(b.evidence, &Sample{}, bareMs)
		return b.cyclone.setMs == bareMs
	}
	if !begins(storm()) {
		t.Error("low pressure and a gale: it does not begin")
	}
	for name, lose := range map[string]func(bare){
		"the pressure":     func(b bare) { b.lose(PressureHPa) },
		"the wind":         func(b bare) { b.lose(WindSpeedMPS) },
		"its anomaly":      func(b bare) { b.cyclone.anomaly.ok = false },
		"the mean of wind": func(b bare) { b.wind.mean.ok = false },
	} {
		b := calm()
		lose(b)
		if got := b.judge("W08", LevelBlock); got != LevelBlock {
			t.Errorf("without %s it clears", name)
		}
		b = storm()
		lose(b)
		if begins(b) {
			t.Errorf("without %s it begins", name)
		}
	}
}

// A reading that stands for as long as the condition must hold is enough.
func TestCycloneOfSlowSensors(t *testing.T) {
	for intervalS, want := range map[float64]float64{599: 600, 600: 0, 601: 0} {
		b := newBare(t, func(cfg *Config) { cfg.IntervalS, cfg.Cyclone.SetS = intervalS, 600 })
		if got := b.cycloneSetS(); got != want {
			t.Errorf("every %v s: %v s, want %v", intervalS, got, want)
		}
	}
}

// The first pressure counts at whatever hour the clock stands.
func TestBaselineBeginsAnywhere(t *testing.T) {
	for _, hour := range []int64{-30, -1, 0, 1} {
		var b baseline
		b.push(hour*hourMs, 1000)
		b.push((hour+24)*hourMs, 1001)
		if sum, days := b.usual(1); sum != 100_000 || days != 1 {
			t.Errorf("begun in hour %d: %d of %d days", hour, sum, days)
		}
	}
}

// Whatever a text holds, an event with it is JSON.
func TestAppendStringIsJSON(t *testing.T) {
	for _, s := range []string{"plain", `a\b`, `a"b`, "a\nb", "é", "\x7f", "a\xffb", "\u2028"} {
		var got string
		b := appendString(nil, s)
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &got); err != nil || string(b) != string(want) {
			t.Errorf("%q: %s (%v), want %s", s, b, err, want)
		}
	}
}

// Icing begins and ends by readings that are known, both of them.
func TestIcingNeedsBoth(t *testing.T) {
	at := func(c, h float64) bare {
		return newBare(t, nil).set(map[Channel]float64{TemperatureC: c, HumidityPct: h})
	}
	y := newBare(t, nil).cfg.Icing
	icy, clear := at(y.LowC, y.HumidityPct), at(y.ClearC+1, y.HumidityClearPct-1)
	takeIcing(icy.evidence, nil, bareMs)
	if icy.icing.setMs != bareMs {
		t.Error("cold and wet: it does not begin")
	}
	if got := clear.judge("W10", LevelWarn); got != LevelNone {
		t.Errorf("warm and dry: %v", got)
	}
	for _, lost := range []Channel{TemperatureC, HumidityPct} {
		b := at(y.LowC, y.HumidityPct).lose(lost)
		takeIcing(b.evidence, nil, bareMs)
		if b.icing.setMs != never {
			t.Errorf("without %v it begins", lost)
		}
		if got := at(y.ClearC+1, y.HumidityClearPct-1).lose(lost).judge("W10", LevelWarn); got != LevelWarn {
			t.Errorf("without %v it ends", lost)
		}
	}
}

// The range of a channel is looked at again where a reading is taken in, whoever
// filled the sample; a first reading counts whatever it is.
func TestReadingsTakenIn(t *testing.T) {
	info := channels[WindGustMPS]
	for v, want := range map[float64]Validity{
		info.Min: Valid, info.Max: Valid, info.Min - 0.1: OutOfRange, info.Max + 0.1: Saturated, math.Inf(1): Saturated, math.NaN(): OutOfRange,
	} {
		for _, ms := range []int64{0, bareMs} {
			b := newBare(t, nil)
			s := Sample{TimeMs: ms}
			s.Values[WindGustMPS], s.Validity[WindGustMPS] = v, Valid
			b.in.take(&s, ms)
			if got, r := b.in.validity(WindGustMPS, ms), b.in.r[WindGustMPS]; got != want || s.Validity[WindGustMPS] != want || r.fresh != want.counts() || r.seen != want.counts() || math.IsInf(r.value, 0) || r.seen && r.sameMs != ms {
				t.Errorf("%v at %d: %v, in the sample %v, %+v", v, ms, got, s.Validity[WindGustMPS], r)
			}
		}
	}
}
