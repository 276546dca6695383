package model

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
)

// snapshotRig is a judge with something of everything that a snapshot keeps.
func snapshotRig(t *testing.T) *rig {
	r := quietRig(t, snapshotConfig)
	if err := r.j.SetWall(500_000*hourMs, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 5 * 24 {
		r.step(hourMs, map[Channel]float64{PressureHPa: 1010 + float64(i%24)/10, WindGustMPS: 5})
	}
	r.wantOpen()
	r.step(hourMs, map[Channel]float64{PressureHPa: 1011, WindGustMPS: 30, LeakageMA: 400})
	for _, w := range []Warning{
		{ID: "a", Sender: "met", Event: "Gale", Severity: "Minor", Urgency: "Future", Level: LevelWarn, UntilMs: r.now + 5000},
		{ID: "b", Event: "Storm", Level: LevelBlock, UntilMs: r.now + 9000},
	} {
		if _, err := r.j.Warn(w, r.now); err != nil {
			t.Fatal(err)
		}
	}
	r.step(1000, map[Channel]float64{LeakageMA: 5})
	return r
}

func snapshotConfig(c *Config) {
	c.IntervalS, c.Position = 3600, &Position{Latitude: 20}
}

// restored is a fresh judge of the same site with the snapshot, at nowMs.
func restored(t *testing.T, snap []byte, nowMs, unixMs int64) *rig {
	r := quietRig(t, snapshotConfig)
	r.now = nowMs
	if unixMs != 0 {
		if err := r.j.SetWall(unixMs, nowMs); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.j.Restore(snap, nowMs); err != nil {
		t.Fatal(err)
	}
	return r
}

// Each thing that a snapshot keeps comes back, as ages on another clock.
func TestSnapshotKeeps(t *testing.T) {
	t.Parallel()
	r := snapshotRig(t)
	again := restored(t, r.j.Snapshot(), 7000, 500_000*hourMs+r.now)
	if got, want := again.j.counter, r.j.counter; got != want || want == 0 {
		t.Errorf("alert counter %d, want %d", got, want)
	}
	if got, want := again.j.gate.nOpen, r.j.gate.nOpen; got != want || want == 0 {
		t.Errorf("%d openings, want %d", got, want)
	}
	if got, want := 7000-again.j.gate.openings[0], r.now-r.j.gate.openings[0]; got != want {
		t.Errorf("opened %d ms ago, want %d", got, want)
	}
	if got, want := again.j.gate.Latched(), r.j.gate.Latched(); got != want || want == 0 {
		t.Errorf("latched %b, want %b", got, want)
	}
	if again.j.sober.Latched() != r.j.gate.Latched() || again.j.sober.nOpen != r.j.gate.nOpen {
		t.Error("the gate without the network knows less")
	}
	for i := range 2 {
		got, want := again.j.ev.warnings.list[i], r.j.ev.warnings.list[i]
		got.UntilMs -= 7000
		want.UntilMs -= r.now
		if got != want || want.ID == "" {
			t.Errorf("warning %+v, want %+v", got, want)
		}
	}
	if again.j.ev.warnings.n != 2 {
		t.Errorf("%d warnings", again.j.ev.warnings.n)
	}
	base := r.j.ev.cyclone.base
	base.advance(base.hour + 1)
	for h := base.hour - baselineHours + 1; h < base.hour; h++ {
		if got, want := *again.j.ev.cyclone.base.slot(h), *base.slot(h); got != want {
			t.Errorf("usual pressure of hour %d is %d, want %d", h, got, want)
		}
	}
	if b := again.j.ev.cyclone.base; b.hour != base.hour || !b.any {
		t.Errorf("the baseline ends at hour %d, want %d", b.hour, base.hour)
	}
	for i := 1; i < len(r.j.states); i++ {
		want, got := r.j.states[i], again.j.states[i]
		if want.stands() != got.stands() {
			t.Errorf("%s stands at %v, want %v", r.j.rules[i].id, got.stands(), want.stands())
		}
	}
	// Without a wall clock the usual pressure of an hour is not known.
	if blind := restored(t, r.j.Snapshot(), 7000, 0); blind.j.ev.cyclone.base.any {
		t.Error("a usual pressure without a wall clock")
	}
	if again.j.ev.lightning.quietMs != longAgo || again.j.nowMs != 7000 {
		t.Error("the clock is another")
	}
}

// What stood stands; what was held is held again in full, or for what was left
// if that is longer, from the first sample on.
func TestSnapshotHolds(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.Latch = nil })
	r.step(1000, map[Channel]float64{WindGustMPS: 5, DCVoltageV: 5})
	r.step(1000, map[Channel]float64{WindGustMPS: 30, DCVoltageV: -20})
	r.step(1000, map[Channel]float64{WindGustMPS: 30, DCVoltageV: 5}) // E12 is held
	r.step(20_000, map[Channel]float64{WindGustMPS: 30, DCVoltageV: 5})
	again := quietRig(t, func(c *Config) { c.Latch = nil })
	if err := again.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	w03, _ := ruleIndex(rules, "W03")
	e12, _ := ruleIndex(rules, "E12")
	if st := again.j.states[w03]; st != (ruleState{level: LevelBlock, held: LevelBlock}) {
		t.Errorf("what stood: %+v", st)
	}
	if st := again.j.states[e12]; st != (ruleState{held: LevelBlock, holding: true, holdUntil: never}) || again.j.resumeMs[e12] != 60_000 {
		t.Errorf("what was held: %+v for %d ms", st, again.j.resumeMs[e12])
	}
	if text := again.textOf("E12"); text != "dc voltage v has given no value; held over a restart until a sample comes" {
		t.Errorf("text %q", text)
	}
	if got := again.j.gate.floorMs; got != 1_800_000+tenMinutesMs {
		t.Errorf("the gate waits %d ms, want the hold and the window of W03", got)
	}
	// A second restart before any sample keeps the hold whole.
	snap := again.j.Snapshot()
	third := quietRig(t, func(c *Config) { c.Latch = nil })
	if err := third.j.Restore(snap, 500); err != nil {
		t.Fatal(err)
	}
	if third.j.resumeMs[e12] != 60_000 {
		t.Errorf("after two restarts %d ms", third.j.resumeMs[e12])
	}
	third.now = 500
	third.step(10_000, map[Channel]float64{DCVoltageV: 5})
	if st := third.j.states[e12]; st.holdUntil != third.now+60_000 {
		t.Errorf("held until %d ms after the first sample", st.holdUntil-third.now)
	}
	if third.j.resumeMs != nil {
		t.Error("resumed twice")
	}
	if got, want := third.j.gate.floorMs, 500+1_800_000+tenMinutesMs+10_000; got != int64(want) {
		t.Errorf("the gate waits until %d, want %d: the time without samples does not count", got, want)
	}
	// What was left counts where it is longer than the rule's own time.
	short := quietRig(t, func(c *Config) { c.Latch, c.Earth.DCHoldS = nil, 10 })
	if err := short.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	if short.j.resumeMs[e12] != 40_000 {
		t.Errorf("left are %d ms, want 40000", short.j.resumeMs[e12])
	}
	// A rule that the site no longer has is waited for, and latched if it stood.
	other := quietRig(t, func(c *Config) { c.Latch, c.Channels = nil, []Channel{RainMM} })
	if err := other.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	if got := other.j.gate.floorMs; got != 1_800_000+tenMinutesMs || !other.j.gate.hasFloor || other.j.gate.latched != RuleSet(0).With(w03) {
		t.Errorf("the gate waits %d ms for rules that are gone, latched are %b", got, other.j.gate.latched)
	}
}

// A snapshot is refused whole: what it says is checked before any is taken.
func TestSnapshotBodyIsChecked(t *testing.T) {
	t.Parallel()
	number := func(b []byte, n ...uint64) []byte {
		for _, v := range n {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	text := func(b []byte, s ...string) []byte {
		for _, v := range s {
			b = append(append(b, byte(len(v))), v...)
		}
		return b
	}
	empty := number(nil, 3, 0, 0, 0, 0) // counter, wait, openings, warnings, baseline
	rule := func(id string, level, flags byte, rest uint64) []byte {
		return number(append(text(bytes.Clone(empty), id), level, flags), rest)
	}
	warn := func(level byte, left uint64, s ...string) []byte {
		return number(append(text(number(nil, 3, 0, 0, 1), s...), level), left, 0)
	}
	base := func(hour, n uint64, steps ...int64) []byte {
		b := number(nil, 3, 0, 0, 0, hour, n)
		for _, d := range steps {
			b = binary.AppendVarint(b, d)
		}
		return b
	}
	full := number(nil, 3, 0, 0, maxWarnings)
	for i := range byte(maxWarnings) {
		full = number(append(text(full, string([]byte{'a' + i}), "", "event", "", ""), 1), 5)
	}
	full = number(full, 0)
	long := string(bytes.Repeat([]byte{'x'}, maxWarningText+1))
	for _, c := range []struct {
		name string
		body []byte
		ok   bool
	}{
		{"nothing", nil, false},
		{"empty", empty, true},
		{"a rule", rule("W03", 2, 0, 5), true},
		{"a level that is none", rule("W03", 3, 0, 5), false},
		{"the start", rule("INIT", 2, 0, 5), false},
		{"a rule cut short", rule("W03", 2, 0, 5)[:len(rule("W03", 2, 0, 5))-1], false},
		{"a rule without flags", rule("W03", 2, 0, 5)[:len(rule("W03", 2, 0, 5))-2], false},
		{"the longest time", rule("W03", 2, 0, maxDuration), true},
		{"too long a time", rule("W03", 2, 0, maxDuration+1), false},
		{"the highest counter", number(nil, 1<<31-1, 0, 0, 0, 0), true},
		{"too high a counter", number(nil, 1<<31, 0, 0, 0, 0), false},
		{"sixteen openings", append(number(nil, 3, 0, maxReopens), append(make([]byte, maxReopens), 0, 0)...), true},
		{"seventeen openings", append(number(nil, 3, 0, maxReopens+1), make([]byte, maxReopens+3)...), false},
		{"a warning", warn(1, 5, "id", "", "event", "", ""), true},
		{"a warning of no level", warn(3, 5, "id", "", "event", "", ""), false},
		{"a warning without id", warn(1, 5, "", "", "event", "", ""), false},
		{"a long text", warn(1, 5, "id", long[1:], "event", "", ""), true},
		{"too long a text", warn(1, 5, "id", long, "event", "", ""), false},
		{"too many warnings", append(number(nil, 3, 0, 0, maxWarnings+1), 0), false},
		{"the longest warning", warn(1, maxDuration, "id", "", "event", "", ""), true},
		{"the most warnings", full, true},
		{"a rule that is gone", rule("X99", 2, 0, 5), true},
		{"a warning cut short", text(number(nil, 3, 0, 0, 1), "id"), false},
		{"a warning without a level", text(number(nil, 3, 0, 0, 1), "id", "", "event", "", ""), false},
		{"a text cut short", append(number(nil, 3, 0, 0, 1), 5, 'a'), false},
		{"a baseline", base(10, 2, 100_000, 5), true},
		{"a gap in it", base(10, 2, 100_000, -100_000), true},
		{"the highest pressure", base(10, 1, 110_000), true},
		{"too high", base(10, 1, 110_001), false},
		{"the lowest pressure", base(10, 1, 30_000), true},
		{"too low", base(10, 1, 29_999), false},
		{"below nothing", base(10, 1, -1), false},
		{"hours before the first", base(10, 11, make([]int64, 11)...), false},
		{"from the first hour on", base(10, 10, make([]int64, 10)...), true},
		{"the most hours", base(5000, baselineHours-1, make([]int64, baselineHours-1)...), true},
		{"too many hours", base(5000, baselineHours, make([]int64, baselineHours)...), false},
		{"a baseline cut short", base(10, 2, 100_000), false},
	} {
		r := quietRig(t, nil)
		before := r.j.states
		err := r.j.Restore(sealAs(snapshotBefore, c.body), 0) // a person's block has a test of its own
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && (r.j.counter != 0 || r.j.resumeMs != nil || !slices.Equal(r.j.states, before)) {
			t.Errorf("%s: refused, and taken in part", c.name)
		}
		if err == nil && !reflect.DeepEqual(r.j.states[ruleInit], ruleState{level: LevelBlock, held: LevelBlock}) {
			t.Errorf("%s: the start is %+v", c.name, r.j.states[ruleInit])
		}
	}
	big := seal(make([]byte, maxSnapshot-len(snapshotMagic)-4))
	if _, _, err := openSnapshot(big); err != nil || len(big) != maxSnapshot {
		t.Errorf("%d bytes: %v", len(big), err)
	}
	if _, _, err := openSnapshot(seal(make([]byte, maxSnapshot-len(snapshotMagic)-3))); err == nil {
		t.Error("too many bytes")
	}
	if _, _, err := openSnapshot(seal(nil)); err != nil {
		t.Errorf("an empty body: %v", err)
	}
	if _, _, err := openSnapshot(append([]byte("FWJ1"), seal(nil)[4:]...)); err == nil {
		t.Error("another version")
	}
}
