package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What a stroke rule says: the stroke, how many of how many, what else bears it
// out, the farther stroke that keeps it, and a detector that is deaf.
func TestStrokesSay(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.Stale.LightningS = 60 })
	for range 3 {
		r.step(60_000, map[Channel]float64{LightningCount: 0, PressureHPa: 1000})
	}
	want := func(rule, text string) {
		t.Helper()
		if got, _, _ := strings.Cut(r.textOf(rule), "; held"); got != text {
			t.Errorf("%s says %q, want %q", rule, got, text)
		}
	}
	r.step(1000, map[Channel]float64{LightningKM: 8, LightningCount: 1, PressureHPa: 1000})
	want("W01", "lightning distance 8 km (<= 10 km), strokes 1 (< 2)")
	r.step(60_000, map[Channel]float64{LightningCount: 1, PressureHPa: 1001})
	want("W01", "lightning distance 8 km (<= 10 km), strokes 2 (>= 2), pressure rise 15min 1 hPa (>= 1 hPa)")
	r.step(1000, map[Channel]float64{LightningKM: 15, LightningCount: 1, PressureHPa: 1000})
	want("W01", "lightning distance 8 km (<= 10 km), strokes 3 (>= 2), lightning distance 15 km (<= 20 km)")
	want("W02", "lightning distance 15 km (<= 20 km)")
	r.now += 60_001
	r.j.Advance(r.now)
	want("W01", "lightning distance 8 km (<= 10 km), strokes 3 (>= 2), lightning distance 15 km (<= 20 km), lightning count is stale")
	want("W02", "lightning distance 15 km (<= 20 km), lightning count is stale")
	i, _ := ruleIndex(r.j.rules, "W01")
	cause := r.j.ev.explain(&r.j.rules[i], &r.j.states[i], false, r.now)
	if age := cause.Inputs[0].AgeS; age != 121.001 {
		t.Errorf("the stroke was %v s ago, want 121.001", age)
	}
	// After a restart the stroke that may confirm another is known, and no other.
	again := quietRig(t, nil)
	if err := again.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	if text := again.textOf("W02"); text != "a stroke before the last start" {
		t.Errorf("after a restart W02 says %q", text)
	}
	if text := again.textOf("W01"); text != "lightning distance 8 km (<= 10 km), strokes 3 (>= 2)" {
		t.Errorf("after a restart W01 says %q", text)
	}
}

// A leakage step is told as long as it is held, and with its age.
func TestLeakageStepSays(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, map[Channel]float64{LeakageMA: 5})
	r.step(1000, map[Channel]float64{LeakageMA: 40})
	for ms, want := range map[int64]string{
		300_000: "leakage step 35 mA (>= 30 mA), leakage ma 40 mA (< 300 mA)",
		300_001: "leakage ma 40 mA (< 300 mA)",
	} {
		i, _ := ruleIndex(r.j.rules, "E09")
		c := r.j.ev.explain(&r.j.rules[i], &ruleState{}, false, r.now+ms)
		if c.Text != want {
			t.Errorf("after %d ms %q, want %q", ms, c.Text, want)
		}
		if ms == 300_000 && c.Inputs[0].AgeS != 300 {
			t.Errorf("age %v", c.Inputs[0].AgeS)
		}
	}
}

// A rule on voltages that comes from before a restart stays until a voltage is
// seen again.
func TestRestoredRuleWaitsForItsSensor(t *testing.T) {
	t.Parallel()
	for rule, values := range map[string]map[Channel]float64{
		"E01": {VoltageV: 190}, "E02": {VoltageV: 90}, "E15": {VoltageV: 5}, "E04": {FrequencyHz: 48}, "E08": {CurrentA: 20}, "E13": {EquipmentTemperatureC: 95},
		"E03": {VoltageV: 260}, "E10": {InsulationKOhm: 5}, "E11": {InverterEvents: 1 << 12}, "E14": {InverterEvents: 4}, "E12": {DCVoltageV: -50}, "T02": {VibrationMPS2: 30}, "W03": {WindGustMPS: 40}, "W05": {WindSpeedMPS: 40},
	} {
		set := func(c *Config) { c.RatedCurrentA, c.IntervalS, c.Latch = 10, 600, nil }
		r := quietRig(t, set)
		for range 2 {
			r.step(600_000, values)
		}
		if l := r.levelOf(rule); l != LevelBlock {
			t.Errorf("%s: %v before the restart", rule, l)
			continue
		}
		again := quietRig(t, set)
		if err := again.j.Restore(r.j.Snapshot(), 0); err != nil {
			t.Fatal(err)
		}
		again.step(600_000, map[Channel]float64{RainMM: 0})
		if l := again.levelOf(rule); l != LevelBlock || again.holding(rule) {
			t.Errorf("%s: %v, holding %v, and its sensor has said nothing", rule, l, again.holding(rule))
		}
	}
}

// The clock of the judgement: Advance moves it, it never goes back, and timers
// that are due run at their own moment, before a sample and after it.
func TestJudgeClock(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.j.Advance(5000)
	r.j.Advance(4000)
	if r.j.nowMs != 5000 {
		t.Errorf("the clock stands at %d", r.j.nowMs)
	}
	r.now = 5000
	ev := r.step(1000, map[Channel]float64{RainMM: 0})
	if len(ev) == 0 || ev[0].TimeMs != 6000 {
		t.Errorf("events %+v", ev)
	}
	// A hold of nothing ends in the same step.
	r = quietRig(t, func(c *Config) { c.Gate.ValidS, c.Gate.MinBlockS, c.Limits.EnterServiceS = 0, 0, 1e-9 })
	ev = r.step(1000, map[Channel]float64{RainMM: 0})
	var states []string
	for _, e := range ev {
		states = append(states, e.State.String())
	}
	if !slices.Equal(states, []string{"BLOCKED", "CLEARING", "OPEN"}) {
		t.Errorf("in one step %v", states)
	}
	// The configuration is the judge's own.
	required := []Channel{VoltageV}
	r = newRig(t, nil, func(c *Config) { c.Required = required })
	required[0] = RainMM
	if r.j.ev.required[0] != VoltageV {
		t.Error("the judge's required inputs can be changed from outside")
	}
	v := r.j.View()
	if v.State != StateInit || v.Reason != "nothing judged yet" {
		t.Errorf("before the first sample %v: %s", v.State, v.Reason)
	}
}

// A gate event is told when the set of causes changes, once.
func TestCausesAreToldOnce(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	gates := func(ev []Event) (n int) {
		for i := range ev {
			if ev[i].Type == EventGate {
				n++
			}
		}
		return n
	}
	r.step(1000, map[Channel]float64{WindGustMPS: 30})
	if n := gates(r.step(1000, map[Channel]float64{WindGustMPS: 31})); n != 0 {
		t.Errorf("%d gate events without a change", n)
	}
	ev := r.step(1000, map[Channel]float64{WindGustMPS: 31, DCVoltageV: -20})
	if n := gates(ev); n != 1 || ev[0].State != StateBlocked || len(ev[0].Causes) != 3 {
		t.Errorf("%d gate events at another cause: %+v", n, ev)
	}
	if n := gates(r.step(1000, map[Channel]float64{WindGustMPS: 31, DCVoltageV: -20})); n != 0 {
		t.Errorf("%d gate events for the same causes", n)
	}
	// E12 is over and latched: it still blocks, and says what it waits for.
	r.step(1000, map[Channel]float64{WindGustMPS: 31, DCVoltageV: 5})
	v := r.j.View()
	i := slices.IndexFunc(v.Causes, func(c Cause) bool { return c.Rule == "E12" })
	if i < 0 || !v.Causes[i].Latched || v.Causes[i].Level != LevelBlock || !strings.HasSuffix(v.Causes[i].Text, "held for 60 s; waits for acknowledgement") {
		t.Errorf("causes %+v", v.Causes)
	}
	if err := r.j.Ack("E12", "Ada"); err != nil {
		t.Error(err)
	}
	if at, ok := r.j.NextDeadlineMs(); !ok || at != r.now {
		t.Errorf("an acknowledgement is told at %d", at-r.now)
	}
	if ev := r.j.Advance(r.now); gates(ev) != 1 || !strings.HasSuffix(ev[0].Reason, "; E12 acknowledged by Ada") {
		t.Errorf("events %+v", ev)
	}
	if ev := r.j.Advance(r.now); len(ev) != 0 {
		t.Errorf("told twice: %+v", ev)
	}
	for range 2 {
		if err := r.j.Ack("E12", "Ada"); err == nil {
			t.Error("acknowledged twice")
		}
	}
}

// A network's latch is acknowledged although the gate without it has none.
func TestNetworkLatch(t *testing.T) {
	t.Parallel()
	f := &fakeScorer{p: 1}
	r := newRig(t, f, func(c *Config) {
		c.IntervalS, c.Latch, c.Score.HoldS = 3600, []string{"M-thunderstorm"}, 0
		c.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Block: 0.5}}
	})
	for _, p := range []float64{1, 1, 0, 0} {
		f.p = p
		r.step(hourMs, map[Channel]float64{TemperatureC: 20})
	}
	r.wantBlockedBy("M-thunderstorm")
	if err := r.j.Ack("M-thunderstorm", "Ada"); err != nil {
		t.Fatal(err)
	}
	r.step(hourMs, map[Channel]float64{TemperatureC: 20})
	r.wantOpen()
}

// Silence begins a millisecond after its limit, and the deadline says so up to
// the limit itself.
func TestSilenceDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	r.step(1000, map[Channel]float64{RainMM: 0})
	in := &r.j.ev.in
	for after, want := range map[int64]int64{0: 5001, 5000: 5001, 5001: 180_001, 180_000: 180_001, 180_001: never} {
		got := in.deadline(r.now + after)
		if got != never {
			got -= r.now
		}
		if got != want {
			t.Errorf("%d ms after a sample the next deadline is %d, want %d", after, got, want)
		}
	}
}

// A sample without a pressure adds nothing to what is usual, and early hours of
// a clock are not kept.
func TestBaselineTakesReadingsOnly(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, map[Channel]float64{PressureHPa: 1000})
	r.step(1000, map[Channel]float64{RainMM: 0})
	if n := r.j.ev.cyclone.base.n; n != 1 {
		t.Errorf("%d readings, one was given", n)
	}
	for hour, keeps := range map[int64]bool{baselineHours - 1: false, baselineHours: true} {
		e := &evidence{wallKnown: true}
		e.cyclone.base.push(hour*hourMs, 1000)
		b := e.appendBaseline(nil)
		if got := len(b) > 1; got != keeps {
			t.Errorf("hour %d kept %v", hour, got)
		}
	}
}

// The summary of a replay counts blocked time from the first sample to the
// last.
func TestSummaryEdges(t *testing.T) {
	t.Parallel()
	var s Summary
	if s.SpanS() != 0 || s.BlockedS() != 0 {
		t.Errorf("of nothing: %v s, %v s", s.SpanS(), s.BlockedS())
	}
	s.Sample(5000)
	s.Event(&Event{TimeMs: 7000, Type: EventGate, State: StateOpen})
	s.Event(&Event{TimeMs: 8000, Type: EventScore})
	s.Sample(9000)
	if s.BlockedS() != 2 || s.SpanS() != 4 || s.Events != 2 {
		t.Errorf("blocked %v of %v s, %d events", s.BlockedS(), s.SpanS(), s.Events)
	}
	s.Event(&Event{TimeMs: 9000, Type: EventGate, State: StateBlocked})
	s.Sample(8000) // a clock that goes back
	if s.BlockedS() != 2 || s.SpanS() != 4 {
		t.Errorf("blocked %v of %v s", s.BlockedS(), s.SpanS())
	}
}

// A cause lists eight inputs at most; the sentence has them all.
func TestInputsAreBounded(t *testing.T) {
	t.Parallel()
	c := Cause{}
	x := explainer{cause: &c}
	for i := range 10 {
		x.input(fmt.Sprint("a_", i), 1, "", 0, "", 0)
		x.unknown("b_c", "V", 0, Stale)
	}
	if len(c.Inputs) != maxExplained || len(x.texts) != 20 || x.texts[0] != "a 0 1" || x.texts[1] != "b c is stale" {
		t.Errorf("%d inputs, %d texts: %v", len(c.Inputs), len(x.texts), x.texts[:2])
	}
}

// A track keeps a reading every ten milliseconds at most, and the last 64.
func TestTrack(t *testing.T) {
	t.Parallel()
	var k track
	if _, _, ok := k.before(100); ok {
		t.Error("an empty track has a reading")
	}
	if _, ok := k.lowest(0); ok {
		t.Error("an empty track has a lowest reading")
	}
	for i := range int64(100) {
		k.push(i*10, float64(i))
	}
	k.push(999, -1) // within ten milliseconds of the last
	for at, want := range map[int64]int64{990: 990, 989: 980, 2000: 990, 360: 360} {
		if got, v, ok := k.before(at); !ok || got != want || v != float64(want/10) {
			t.Errorf("before %d: %d, %v, %v", at, got, v, ok)
		}
	}
	if at, _, ok := k.before(359); ok {
		t.Errorf("a reading of %d, 65 ago", at)
	}
	for since, want := range map[int64]float64{990: 99, 985: 99, 980: 98, 0: 36} {
		if v, ok := k.lowest(since); !ok || v != want {
			t.Errorf("lowest since %d: %v, %v", since, v, ok)
		}
	}
	if _, ok := k.lowest(991); ok {
		t.Error("a reading of the future")
	}
}

// Three of the last five.
func TestPersistence(t *testing.T) {
	t.Parallel()
	p := persistence{n: 3, m: 5}
	var got []bool
	for _, v := range []bool{true, false, true, false, true, false, false, true, true} {
		p.push(v)
		got = append(got, p.reached())
	}
	if !slices.Equal(got, []bool{false, false, false, false, true, false, false, false, true}) {
		t.Errorf("reached %v", got)
	}
}

// Of several phases the one with the highest mean counts, whichever it is.
func TestHighestMean(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]float64{{240, 230, 250}, {230, 250, 240}, {250, 240, 230}, {230, 255, 256}} {
		r := quietRig(t, every(600))
		r.step(600_000, map[Channel]float64{VoltageAV: c[0], VoltageBV: c[1], VoltageCV: c[2]})
		at, mean := r.j.ev.highestMean()
		best := slices.Max(c[:])
		if !mean.ok || mean.v != best || at != [...]Channel{VoltageAV, VoltageBV, VoltageCV}[slices.Index(c[:], best)] {
			t.Errorf("of %v %v with %v", c, at, mean)
		}
	}
	r := quietRig(t, nil)
	if at, mean := r.j.ev.highestMean(); mean.ok || at != 0 {
		t.Errorf("of nothing %v with %v", at, mean)
	}
	r = quietRig(t, every(0.5))
	r.step(500, map[Channel]float64{FrequencyHz: 50})
	r.step(500, map[Channel]float64{FrequencyHz: 50.6})
	if text := r.textOf("E05"); text != "rocof 1.2 Hz/s (> 1 Hz/s)" {
		t.Errorf("text %q", text)
	}
}

// The meter and the yield are compared only where every reading is there; one
// that is missing begins the wait again.
func TestComparisonsNeedEveryReading(t *testing.T) {
	t.Parallel()
	full := with(metered(1900), map[Channel]float64{IrradianceWPM2: 800})
	for gone, loses := range map[Channel][2]bool{ // the meter's wait, the light's
		VoltageV: {true, false}, CurrentA: {true, false}, PowerFactor: {true, false}, IrradianceWPM2: {false, true},
	} {
		r := quietRig(t, func(c *Config) { c.RatedPowerW = 5000 })
		r.step(1000, full)
		r.step(1000, full)
		s := Sample{TimeMs: r.now + 1000}
		for c, v := range full {
			s.Set(c, v)
		}
		s.Fail(gone, SensorError)
		r.j.Step(&s)
		load, light := r.j.ev.sensor.loadMs == never, r.j.ev.plant.brightMs == never
		if load != loses[0] || light != loses[1] {
			t.Errorf("without %v: the meter's wait is over %v, the light's %v", gone, load, light)
		}
	}
	// Without a rated power, and without a power, nothing is counted.
	for _, c := range []struct {
		rated  float64
		values map[Channel]float64
	}{{0, full}, {5000, map[Channel]float64{IrradianceWPM2: 800}}} {
		r := quietRig(t, func(cfg *Config) { cfg.RatedPowerW = c.rated })
		r.step(1000, c.values)
		if r.j.ev.plant.brightMs != never {
			t.Errorf("rated %v, %v: counted", c.rated, c.values)
		}
	}
}

// A withdrawn warning leaves the others in their order.
func TestWithdrawKeepsOrder(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	for _, id := range []string{"a", "b", "c"} {
		if _, err := r.j.Warn(warning(id, LevelWarn, 9000), 0); err != nil {
			t.Fatal(err)
		}
	}
	r.j.Withdraw("a", 1)
	x := &r.j.ev.warnings
	if x.n != 2 || x.list[0].ID != "b" || x.list[1].ID != "c" || x.list[2].ID != "" {
		t.Errorf("in force: %v", x.list[:3])
	}
	r.now = 9000
	if text := r.textOf("W09"); text != "no official warning is in force any more" {
		t.Errorf("text %q", text)
	}
}

// The openings come back in their order, the latest sixteen of them.
func TestSnapshotOpenings(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{2, 16, 20} {
		set := func(c *Config) {
			c.Gate = GateTimes{MaxReopens: 16}
			c.Limits.EnterServiceS = 1e-9
			c.Weather.GustHoldS = 0
		}
		r := quietRig(t, set)
		for i := range n {
			r.step(hourMs, map[Channel]float64{WindGustMPS: 30})
			r.step(hourMs+i, map[Channel]float64{WindGustMPS: 5})
			r.wantOpen()
		}
		again := quietRig(t, set)
		if err := again.j.Restore(r.j.Snapshot(), r.now); err != nil {
			t.Fatal(err)
		}
		kept := int(min(n, maxReopens))
		if again.j.gate.nOpen != kept {
			t.Errorf("%d openings of %d", again.j.gate.nOpen, n)
		}
		for i := range kept {
			want := r.j.gate.openings[(r.j.gate.nOpen-kept+i)%maxReopens]
			if got := again.j.gate.openings[i]; got != want {
				t.Errorf("%d openings: number %d was at %d, want %d", n, i, got, want)
			}
		}
	}
}
