package model

import (
	"math"
	"slices"
	"testing"
)

// quietRig judges with nothing growing stale but by the test's own wish.
func quietRig(t *testing.T, change func(*Config)) *rig {
	return newRig(t, nil, func(c *Config) {
		c.StuckS = 0
		c.Stale = StaleLimits{week, week, week, week, week}
		if change != nil {
			change(c)
		}
	})
}

// deadlineOf is the judge's next deadline after its last sample, from then.
func (r *rig) deadlineIn() int64 {
	at, ok := r.j.NextDeadlineMs()
	if !ok {
		return never
	}
	return at - r.now
}

// What becomes true by waiting does so at its own moment, not at the next
// sample: between samples the judge asks to be called then.
func TestWaitingIsADeadline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, rule string
		config     func(*Config)
		values     map[Channel]float64
		inMs       int64
	}{
		{"overload", "E08", func(c *Config) { c.RatedCurrentA = 10 }, map[Channel]float64{CurrentA: 11.1}, 60_000},
		{"far overload", "E08", func(c *Config) { c.RatedCurrentA = 10 }, map[Channel]float64{CurrentA: 12.6}, 5_000},
		{"icing", "W10", nil, map[Channel]float64{TemperatureC: 0, HumidityPct: 96}, 1_800_000},
	} {
		r := quietRig(t, func(cfg *Config) {
			cfg.Gate.ValidS, cfg.Limits.EnterServiceS, cfg.Gate.MinBlockS = 0, 0.001, 0
			if c.config != nil {
				c.config(cfg)
			}
		})
		r.step(1000, map[Channel]float64{RainMM: 0})
		r.j.Advance(r.now + 500) // the start is over
		r.step(1000, c.values)
		if got := r.deadlineIn(); got != c.inMs {
			t.Errorf("%s: the next deadline is in %d ms, want %d", c.name, got, c.inMs)
		}
		r.j.Advance(r.now + c.inMs - 1)
		if l := r.levelOf(c.rule); l != LevelNone {
			t.Errorf("%s: %v a millisecond early", c.name, l)
		}
		r.j.Advance(r.now + c.inMs)
		if l := r.levelOf(c.rule); l == LevelNone {
			t.Errorf("%s: nothing at its deadline", c.name)
		}
	}
}

// What acts at one moment only is over a millisecond later, without a sample.
func TestMomentsEndWithoutASample(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule   string
		before map[Channel]float64
		values map[Channel]float64
	}{
		{"W01", nil, map[Channel]float64{LightningKM: 8, LightningCount: 2}}, // blocks
		{"W01", nil, map[Channel]float64{LightningKM: 8, LightningCount: 1}}, // warns
		{"W02", nil, map[Channel]float64{LightningKM: 15, LightningCount: 1}},
		{"E09", map[Channel]float64{LeakageMA: 5}, map[Channel]float64{LeakageMA: 40}},
	} {
		r := quietRig(t, nil)
		r.step(1000, map[Channel]float64{RainMM: 0})
		if c.before != nil {
			r.step(1000, c.before)
		}
		r.step(1000, c.values)
		i, _ := ruleIndex(r.j.rules, c.rule)
		if st := r.j.states[i]; st.level == LevelNone || st.holding {
			t.Errorf("%s %v: %+v at its moment", c.rule, c.values, st)
		}
		if got := r.deadlineIn(); got != 1 {
			t.Errorf("%s %v: the next deadline is in %d ms, want 1", c.rule, c.values, got)
		}
		r.j.Advance(r.now + 1)
		if st := r.j.states[i]; st.level != LevelNone || !st.holding {
			t.Errorf("%s %v: %+v a millisecond later", c.rule, c.values, st)
		}
	}
}

func strokeAt(km float64, count float64) map[Channel]float64 {
	return map[Channel]float64{LightningKM: km, LightningCount: count}
}

// Distances: near blocks or warns, farther warns, beyond is nothing.
func TestStrokeDistances(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		km       float64
		count    float64
		w01, w02 Level
	}{
		{10, 2, LevelBlock, LevelNone},
		{10, 1, LevelWarn, LevelNone},
		{up(10), 2, LevelNone, LevelWarn},
		{20, 1, LevelNone, LevelWarn},
		{up(20), 5, LevelNone, LevelNone},
		{5, 0, LevelNone, LevelNone}, // a distance without a stroke
	} {
		r := quietRig(t, nil)
		r.step(1000, strokeAt(c.km, c.count))
		if a, b := r.levelOf("W01"), r.levelOf("W02"); a != c.w01 || b != c.w02 {
			t.Errorf("%v strokes at %v km: W01 %v, W02 %v; want %v, %v", c.count, c.km, a, b, c.w01, c.w02)
		}
	}
	r := quietRig(t, nil)
	r.step(1000, map[Channel]float64{LightningKM: 5}) // a detector without a count
	if l := r.levelOf("W01"); l != LevelWarn {
		t.Errorf("a distance alone: %v", l)
	}
	r.step(1000, map[Channel]float64{LightningKM: 6})
	if l := r.levelOf("W01"); l != LevelBlock {
		t.Errorf("a second distance: %v", l)
	}
}

// A witness that comes later than ConfirmS confirms nothing: neither a stroke
// nor a pressure jump nor an official warning.
func TestUnconfirmedStrokeGrowsOld(t *testing.T) {
	t.Parallel()
	quiet := map[Channel]float64{LightningCount: 0, PressureHPa: 1000}
	for _, c := range []struct {
		name  string
		later func(r *rig)
	}{
		{"strokes of unknown distance", func(r *rig) {
			r.step(0, map[Channel]float64{LightningCount: 2, PressureHPa: 1000})
		}},
		{"a pressure jump", func(r *rig) { r.step(0, map[Channel]float64{LightningCount: 0, PressureHPa: 1001}) }},
		{"an official warning", func(r *rig) {
			if _, err := r.j.Warn(warning("x", LevelWarn, r.now+hourMs), r.now); err != nil {
				t.Fatal(err)
			}
			r.step(0, quiet)
		}},
	} {
		for _, late := range []int64{0, 1} {
			r := quietRig(t, func(c *Config) { c.Lightning.ConfirmS = 300 })
			for range 3 {
				r.step(60_000, quiet)
			}
			r.step(1000, map[Channel]float64{LightningKM: 8, LightningCount: 1, PressureHPa: 1000})
			r.now += 300_000 + late
			c.later(r)
			want := LevelBlock
			if late > 0 {
				want = LevelWarn
			}
			if l := r.levelOf("W01"); l != want {
				t.Errorf("%s %d ms too late: %v, want %v", c.name, late, l, want)
			}
		}
	}
}

// The clear time counts from the last stroke in range or the last moment at
// which the detector was deaf, whichever is later.
func TestStrokesClear(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.Stale.LightningS = 60 })
	r.step(1000, strokeAt(8, 2))
	r.step(30_000, map[Channel]float64{LightningCount: 0})
	r.step(1, strokeAt(15, 1)) // within range: it prolongs W01 as well
	last := r.now
	i, _ := ruleIndex(r.j.rules, "W01")
	r.step(30_000, map[Channel]float64{LightningCount: 0})
	if got := r.j.states[i].holdUntil; got != last+1_800_000 {
		t.Errorf("W01 is held to %d ms after the far stroke, want 1800000", got-last)
	}
	// Deaf from 60 s after the last count on; what is heard next begins again.
	r.j.Advance(r.now + 100_000)
	if l := r.levelOf("W01"); l != LevelBlock || r.holding("W01") {
		t.Errorf("deaf: %v, holding %v", l, r.holding("W01"))
	}
	deaf := r.j.ev.lightning.quietMs
	if deaf != r.now+60_001 {
		t.Errorf("quiet since %d ms after the last count, want 60001", deaf-r.now)
	}
	r.step(200_000, map[Channel]float64{RainMM: 0}) // a sample while it is deaf
	deaf = r.now
	r.step(1000, map[Channel]float64{LightningCount: 0})
	if got := r.j.states[i].holdUntil; got != deaf+1_800_000 {
		t.Errorf("W01 is held to %d ms after deafness, want 1800000", got-deaf)
	}
}

// ROCOF is the change over one window, or up to two where readings are that far
// apart; over a longer gap nothing is known.
func TestROCOFKnowsNoGaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gapMs int64
		df    float64
		want  figure
	}{
		{500, 0.6, figure{1.2, true}},
		{1000, 1.2, figure{1.2, true}},
		{1000, -1.2, figure{1.2, true}},
		{1001, 1.2, figure{}},
		{60_000, 1.2, figure{}},
	} {
		r := quietRig(t, every(0.5))
		r.step(1000, map[Channel]float64{FrequencyHz: 50})
		r.step(c.gapMs, map[Channel]float64{FrequencyHz: 50 + c.df})
		got := r.j.ev.quality.rocof
		if got.ok != c.want.ok || math.Abs(got.v-c.want.v) > 1e-9 {
			t.Errorf("%v Hz in %d ms: %+v, want %+v", c.df, c.gapMs, got, c.want)
		}
	}
	// Less than a window ago is not compared.
	r := quietRig(t, every(0.5))
	r.step(1000, map[Channel]float64{FrequencyHz: 50})
	r.step(499, map[Channel]float64{FrequencyHz: 50.6})
	if got := r.j.ev.quality.rocof; got.ok {
		t.Errorf("within a window %+v", got)
	}
	r.step(1, map[Channel]float64{FrequencyHz: 50.6})
	if got := r.j.ev.quality.rocof; !got.ok || math.Abs(got.v-1.2) > 1e-9 {
		t.Errorf("a window after the first %+v", got)
	}
	// Set above 1 Hz/s, kept from 0.5 Hz/s on, held for a minute.
	for _, c := range []struct {
		a, b     float64
		set, end Level
	}{
		{0.5, 0.25, LevelNone, LevelNone}, // just 1 Hz/s
		{0.501, 0.25, LevelBlock, LevelBlock},
		{0.501, 0.249, LevelBlock, LevelNone},
	} {
		r := quietRig(t, func(c *Config) { c.IntervalS, c.Quality.ROCOFHoldS = 0.5, 0 })
		f := 50.0
		r.step(500, map[Channel]float64{FrequencyHz: f})
		f += c.a
		r.step(500, map[Channel]float64{FrequencyHz: f})
		set := r.levelOf("E05")
		f += c.b
		r.step(500, map[Channel]float64{FrequencyHz: f})
		if end := r.levelOf("E05"); set != c.set || end != c.end {
			t.Errorf("%v and %v Hz in half a second each: %v, %v; want %v, %v", c.a, c.b, set, end, c.set, c.end)
		}
	}
}

// Unbalance: the minute's mean blocks, the ten minutes' mean warns, each above
// its threshold and, once set, above the lower one.
func TestUnbalanceEdges(t *testing.T) {
	t.Parallel()
	u := float64(100 * PhaseUnbalance(230, 230, 207))
	bad := map[Channel]float64{VoltageAV: 230, VoltageBV: 230, VoltageCV: 207}
	for _, c := range []struct {
		name        string
		warn, block float64
		then        [3]float64 // warn, block, hysteresis once it stands
		set, kept   Level
	}{
		{"at both", u, u, [3]float64{u, u, 0}, LevelNone, LevelNone},
		{"above the warning", down(u), 50, [3]float64{u + 0.5, 50, 0.6}, LevelWarn, LevelWarn},
		{"above both", down(u), down(u), [3]float64{u + 0.5, u + 0.5, 0.6}, LevelBlock, LevelBlock},
		{"kept down to the lower one only", down(u), 50, [3]float64{u + 0.5, 50, 0.4}, LevelWarn, LevelNone},
		{"from block to warning", down(u), down(u), [3]float64{u - 1, u + 0.5, 0.4}, LevelBlock, LevelWarn},
	} {
		r := quietRig(t, func(cfg *Config) {
			cfg.IntervalS, cfg.Quality.UnbalanceWarnPct, cfg.Quality.UnbalanceBlockPct = 600, c.warn, c.block
		})
		r.step(600_000, bad)
		set := r.levelOf("E06")
		q := &r.j.ev.cfg.Quality
		q.UnbalanceWarnPct, q.UnbalanceBlockPct, q.UnbalanceHysteresisPct = c.then[0], c.then[1], c.then[2]
		r.step(600_000, bad)
		if kept := r.levelOf("E06"); set != c.set || kept != c.kept {
			t.Errorf("%s: %v, then %v; want %v, %v", c.name, set, kept, c.set, c.kept)
		}
	}
	r := quietRig(t, every(600))
	r.step(600_000, bad)
	if text := r.textOf("E06"); text != "unbalance 1min 3.45 % (<= 4.5 %), unbalance 10min 3.45 % (> 2 %)" {
		t.Errorf("text %q", text)
	}
	// Below half the nominal voltage a ratio means nothing; a missing phase keeps
	// what stands.
	r = quietRig(t, every(600))
	r.step(600_000, map[Channel]float64{VoltageAV: 114, VoltageBV: 50, VoltageCV: 20})
	if r.j.ev.quality.unbalance1.ok {
		t.Error("an unbalance of a dead grid")
	}
	r.step(600_000, map[Channel]float64{VoltageAV: 115, VoltageBV: 50, VoltageCV: 20})
	if l := r.levelOf("E06"); !r.j.ev.quality.unbalance1.ok || l != LevelBlock {
		t.Errorf("at half the nominal voltage %v", l)
	}
	r.step(600_000, map[Channel]float64{VoltageAV: 230, VoltageBV: 230})
	s := Sample{TimeMs: r.now + 1000}
	s.Fail(VoltageCV, SensorError)
	r.j.Step(&s)
	if l := r.levelOf("E06"); l != LevelBlock {
		t.Errorf("without a phase %v", l)
	}
}

// A step of the residual current is one within its time, from the lowest
// reading of that time, or since the last reading: no live tick is to the
// millisecond, and a reading that comes late hides nothing.
func TestLeakageStepEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gapMs int64
		rise  float64
		want  Level
	}{
		{1000, 30, LevelBlock},
		{1000, down(30), LevelNone},
		{1001, 100, LevelBlock},
		{4999, 100, LevelBlock},
		{5000, 100, LevelNone},
		{1000, -50, LevelNone},
	} {
		r := quietRig(t, nil)
		r.step(1000, map[Channel]float64{LeakageMA: max(0, -c.rise)})
		r.step(c.gapMs, map[Channel]float64{LeakageMA: max(0, c.rise)})
		if l := r.levelOf("E09"); l != c.want {
			t.Errorf("%v mA in %d ms: %v, want %v", c.rise, c.gapMs, l, c.want)
		}
	}
	r := quietRig(t, nil)
	for _, v := range []float64{64, 40, 60, 70} {
		r.step(300, map[Channel]float64{LeakageMA: v})
	}
	if e := r.j.ev.earth; e.stepMs != r.now || e.stepMA != 30 {
		t.Errorf("a step of %v mA at %d, want 30 at %d", e.stepMA, e.stepMs, r.now)
	}
}

// The yield is compared after half an hour of light without a break.
func TestYieldNeedsHalfAnHourOfLight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		light   float64
		seconds int64
		want    bool
	}{
		{"at the least light", 200, 1800, true},
		{"below it", down(200), 3600, false},
		{"a second short", 800, 1799, false},
	} {
		r := quietRig(t, func(c *Config) { c.RatedPowerW = 5000 })
		for range c.seconds + 1 {
			r.step(1000, map[Channel]float64{PowerW: 1, IrradianceWPM2: c.light})
		}
		if got := r.j.ev.plant.shortfall.ok; got != c.want {
			t.Errorf("%s: known %v", c.name, got)
		}
	}
	// The shortfall is the share of what 1000 W/m2 at the rated power promise.
	r := quietRig(t, roof)
	for range 2 {
		r.step(1_800_000, map[Channel]float64{PowerW: 3000, IrradianceWPM2: 750})
	}
	if got := r.j.ev.plant.shortfall; !got.ok || math.Abs(got.v-20) > 1e-9 {
		t.Errorf("3000 W of 3750 W: %+v", got)
	}
	// Without light a warning stands and none begins.
	r.step(1_800_000, map[Channel]float64{PowerW: 1000, IrradianceWPM2: 750})
	s := Sample{TimeMs: r.now + 1000}
	s.Fail(IrradianceWPM2, SensorError)
	r.j.Step(&s)
	if l := r.levelOf("P01"); l != LevelWarn {
		t.Errorf("without a pyranometer %v", l)
	}
}

func TestMeterErrorEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		v       map[Channel]float64
		seconds int64
		want    figure
	}{
		{"at the least power", map[Channel]float64{PowerW: 190, VoltageV: 200, CurrentA: 1, PowerFactor: 1}, 600, figure{5, true}},
		{"below it", map[Channel]float64{PowerW: 190, VoltageV: down(200), CurrentA: 1, PowerFactor: 1}, 1200, figure{}},
		{"a second short", metered(1900), 599, figure{}},
		{"exported", map[Channel]float64{PowerW: -2100, VoltageV: 200, CurrentA: 10, PowerFactor: -1}, 600, figure{5, true}},
	} {
		r := quietRig(t, nil)
		for range c.seconds + 1 {
			r.step(1000, c.v)
		}
		got := r.j.ev.sensor.meterError
		if got.ok != c.want.ok || math.Abs(got.v-c.want.v) > 1e-9 {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	r := quietRig(t, every(600))
	for range 2 {
		r.step(600_000, metered(1900))
	}
	if text := r.textOf("S02"); text != "meter error 10min 5 % (>= 5 %), voltage v 200 V, current a 10 A, power factor 1" {
		t.Errorf("text %q", text)
	}
}

// The cyclone rule: both conditions at their edges, for their time, and each of
// the three that end it.
func TestCycloneEdges(t *testing.T) {
	t.Parallel()
	usual := map[Channel]float64{PressureHPa: 1010, WindSpeedMPS: 5}
	rig := func(interval float64) *rig {
		r := quietRig(t, func(c *Config) {
			c.IntervalS, c.Position = interval, &Position{Latitude: 20}
			c.Cyclone.HoldS, c.Cyclone.CalmS = 0, 3*3600
		})
		r.now = 30 * 24 * hourMs
		for range 3*24 + 1 {
			r.step(hourMs, usual)
		}
		return r
	}
	for _, c := range []struct {
		hPa, wind float64
		set       Level
	}{
		{1005, 10.8, LevelBlock},
		{1005.01, 10.8, LevelNone},
		{1005, down(10.8), LevelNone},
	} {
		r := rig(3600)
		r.step(hourMs, map[Channel]float64{PressureHPa: c.hPa, WindSpeedMPS: c.wind})
		if l := r.levelOf("W08"); l != c.set {
			t.Errorf("%v hPa, %v m/s: %v", c.hPa, c.wind, l)
		}
	}
	for _, c := range []struct {
		hPa, wind float64
		end       Level
	}{
		{1007.01, down(17.2), LevelNone},
		{1007, down(10.8), LevelBlock},
		{1007.01, 17.2, LevelBlock},
	} {
		r := rig(3600)
		r.step(hourMs, map[Channel]float64{PressureHPa: 1000, WindSpeedMPS: 20})
		r.step(hourMs, map[Channel]float64{PressureHPa: c.hPa, WindSpeedMPS: c.wind})
		if l := r.levelOf("W08"); l != c.end {
			t.Errorf("then %v hPa, %v m/s: %v", c.hPa, c.wind, l)
		}
	}
	// Three hours below Beaufort 6 end it at any pressure, and not a moment less.
	low := func(wind float64) map[Channel]float64 {
		return map[Channel]float64{PressureHPa: 1000, WindSpeedMPS: wind}
	}
	r := rig(3600)
	r.step(hourMs, low(20))
	r.step(hourMs, low(down(10.8)))
	for range 2 {
		r.step(hourMs, low(2))
	}
	r.step(hourMs-1, low(2))
	if l := r.levelOf("W08"); l != LevelBlock {
		t.Errorf("%v before three calm hours", l)
	}
	if got := r.deadlineIn(); got != 1 {
		t.Errorf("the calm ends it in %d ms, want 1", got)
	}
	r.j.Advance(r.now + 1)
	if l := r.levelOf("W08"); l != LevelNone {
		t.Errorf("%v after three calm hours", l)
	}
	r.step(hourMs, low(10.8))
	if l := r.levelOf("W08"); l != LevelBlock {
		t.Errorf("%v when it blows again", l)
	}
	// Air that is too dry is none of a cyclone's; where humidity is not known, it is.
	for _, c := range []struct {
		values map[Channel]float64
		want   Level
	}{
		{map[Channel]float64{TemperatureC: 24, HumidityPct: 70}, LevelBlock}, // 18.1 C
		{map[Channel]float64{TemperatureC: 24, HumidityPct: 69}, LevelNone},  // 17.9 C
		{map[Channel]float64{TemperatureC: 24}, LevelBlock},
		{map[Channel]float64{HumidityPct: 20}, LevelBlock},
		{map[Channel]float64{TemperatureC: 24, HumidityPct: 0}, LevelBlock},
	} {
		r := rig(3600)
		c.values[PressureHPa], c.values[WindSpeedMPS] = 1000, 20
		r.step(hourMs, c.values)
		if l := r.levelOf("W08"); l != c.want {
			t.Errorf("%v: %v, want %v", c.values, l, c.want)
		}
	}
	// A site may ask for a warning only.
	r = rig(3600)
	r.j.ev.cfg.Cyclone.Block = false
	r.step(hourMs, low(20))
	if l := r.levelOf("W08"); l != LevelWarn {
		t.Errorf("%v where the site is warned only", l)
	}
	// Readings closer than ten minutes: both must hold for that long.
	r = rig(599)
	r.step(hourMs, map[Channel]float64{PressureHPa: 1000, WindSpeedMPS: 20})
	if l := r.levelOf("W08"); l != LevelNone {
		t.Errorf("%v at once", l)
	}
	if got := r.deadlineIn(); got != 600_000 {
		t.Errorf("the next deadline is in %d ms", got)
	}
	r.j.Advance(r.now + 600_000)
	if l := r.levelOf("W08"); l != LevelBlock {
		t.Errorf("%v after ten minutes", l)
	}
	if text := r.textOf("W08"); text != "pressure below usual 10 hPa (>= 5 hPa), usual is the mean of this hour on 3 days, wind mean 10min 20 m/s (>= 10.8 m/s)" {
		t.Errorf("text %q", text)
	}
}

// The dew point is compared where it is high enough, and only told where it is not.
func TestW08SaysItsDewPoint(t *testing.T) {
	t.Parallel()
	for temperature, compared := range map[float64]bool{28: true, 10: false} {
		r := quietRig(t, nil)
		r.step(1000, map[Channel]float64{PressureHPa: 1000, WindSpeedMPS: 20, TemperatureC: temperature, HumidityPct: 90})
		i, _ := ruleIndex(r.j.rules, "W08")
		c := r.j.ev.explain(&r.j.rules[i], &ruleState{level: LevelBlock}, false, r.now)
		n := slices.IndexFunc(c.Inputs, func(in Input) bool { return in.Name == "dew_point" })
		if n < 0 || (c.Inputs[n].Op != "") != compared {
			t.Errorf("%v C: %+v", temperature, c.Inputs)
			continue
		}
		r.j.ev.cfg.Cyclone.DewPointC = c.Inputs[n].Value // just high enough
		if c = r.j.ev.explain(&r.j.rules[i], &ruleState{level: LevelBlock}, false, r.now); c.Inputs[n].Op == "" {
			t.Errorf("%v C, at the limit: %+v", temperature, c.Inputs[n])
		}
	}
}

// The usual pressure is the mean of the same hour of past days, of no more and
// no fewer days than asked for, and of none of the last 23 hours.
func TestBaseline(t *testing.T) {
	t.Parallel()
	var b baseline
	for h := range int64(40 * 24) {
		b.push(h*hourMs, float64(900+h/24)+float64(h%24)/100)
		b.push(h*hourMs+1, float64(900+h/24)+float64(h%24)/100+0.02) // the hour's mean counts
	}
	// It is hour 23 of day 39: yesterday is day 38, of 938.23 hPa and 0.01 more.
	for _, c := range []struct {
		days int
		sum  int64
		n    int
	}{{1, 93824, 1}, {2, 93824 + 93724, 2}, {30, 0, 30}, {31, 0, 30}} {
		b.usualMax = 0
		sum, n := b.usual(c.days)
		if n != c.n || c.sum != 0 && sum != c.sum {
			t.Errorf("over %d days: %d in %d days, want %d in %d", c.days, sum, n, c.sum, c.n)
		}
	}
	before := b
	b.push(10*hourMs, 500) // late: left out
	if b != before {
		t.Error("a late reading counts")
	}
	b.push(42*24*hourMs+23*hourMs, 950) // a gap of three days
	b.usualMax = 0
	if sum, n := b.usual(4); n != 2 || sum != 93924+93824 {
		t.Errorf("after a gap: %d in %d days", sum, n)
	}
	b.push(100*24*hourMs, 950) // longer than it remembers
	b.usualMax = 0
	if _, n := b.usual(30); n != 0 {
		t.Errorf("after a long gap %d days", n)
	}
}
