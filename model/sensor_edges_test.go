package model

import (
	"slices"
	"testing"
)

// Official warnings: each in force until its own end, in order, one a name.
func TestWarningsInForce(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, map[Channel]float64{RainMM: 0})
	for i, w := range []Warning{
		{ID: "a", Sender: "met", Event: "Gale", Severity: "Minor", Urgency: "Future", Level: LevelWarn, UntilMs: r.now + 2000},
		{ID: "b", Event: "Storm", Level: LevelBlock, UntilMs: r.now + 1000},
	} {
		if _, err := r.j.Warn(w, r.now); err != nil {
			t.Fatal(i, err)
		}
	}
	if text := r.textOf("W09"); text != "Gale (Minor Future) from met, for 2 s more, Storm, for 1 s more" {
		t.Errorf("text %q", text)
	}
	x := &r.j.ev.warnings
	for at, want := range map[int64]Level{999: LevelBlock, 1000: LevelWarn, 1999: LevelWarn, 2000: LevelNone} {
		if l := x.level(r.now + at); l != want {
			t.Errorf("after %d ms %v, want %v", at, l, want)
		}
	}
	for after, want := range map[int64]int64{0: 1000, 999: 1000, 1000: 2000, 2000: never} {
		got := x.deadline(r.now + after)
		if want != never {
			want += r.now
		}
		if got != want {
			t.Errorf("after %d ms the next end is %d", after, got-r.now)
		}
	}
	if _, err := r.j.Warn(Warning{ID: "a", Event: "Gale", Level: LevelWarn, UntilMs: r.now + 3000}, r.now); err != nil || x.n != 2 {
		t.Errorf("an update: %v, %d in force", err, x.n)
	}
	r.j.Withdraw("b", r.now)
	if l := x.level(r.now); l != LevelWarn || x.n != 1 || x.list[1] != (Warning{}) {
		t.Errorf("after a withdrawal %v, %d in force", l, x.n)
	}
	r.j.Advance(r.now + 3000)
	if text := r.textOf("W09"); text != "no official warning is in force any more" && r.levelOf("W09") != LevelNone {
		t.Errorf("at the end: %v, %q", r.levelOf("W09"), text)
	}
	r.now += 3000
	if _, err := r.j.Warn(warning("c", LevelWarn, r.now+1000), r.now); err != nil || x.n != 1 || x.list[0].ID != "c" {
		t.Errorf("%v; what is over is not forgotten: %d", err, x.n)
	}
	if got := x.find("x"); got != -1 {
		t.Errorf("found %d", got)
	}
	texts := []string{}
	for n := 127; n <= 130; n++ {
		long := make([]byte, 0, n)
		for range n - 2 {
			long = append(long, 'a')
		}
		texts = append(texts, cut(string(long)+"é"))
	}
	var lens []int
	for _, s := range texts {
		lens = append(lens, len(s))
	}
	if !slices.Equal(lens, []int{127, 128, 127, 128}) || cut("a\xffb") != "a?b" {
		t.Errorf("texts are cut to %v", lens)
	}
}

func TestDisagreementIsHeld(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	s := Sample{TimeMs: 1000}
	s.SetVote(WindGustMPS, Vote(WindGustMPS, 0, readings(5, 12)))
	r.j.Step(&s)
	if text := r.textOf("S01"); text != "sensors of wind_gust_mps disagree, wind gust mps 12 m/s" {
		r.now = 1000
		t.Errorf("text %q", text)
	}
	r.now = 1000
	r.step(1000, map[Channel]float64{WindGustMPS: 5})
	if text := r.textOf("S01"); text != "all sensors agree again; held for 60 s" {
		t.Errorf("text %q", text)
	}
	r.j.Advance(r.now + 59_999)
	held := r.levelOf("S01")
	r.j.Advance(r.now + 60_000)
	if end := r.levelOf("S01"); held != LevelWarn || end != LevelNone {
		t.Errorf("held %v, then %v", held, end)
	}
}

// A required input that is missing says why, and how long samples are gone.
func TestBlindnessSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, func(c *Config) { c.Required = []Channel{VoltageV, WindGustMPS} })
	if text := r.textOf("E16"); text != "no sample yet" {
		t.Errorf("text %q", text)
	}
	r.step(1000, map[Channel]float64{VoltageV: 230})
	for v, want := range map[Validity]string{
		Absent: "has given no value", SensorError: "cannot be read", Stuck: "is stuck", Jumped: "jumped", Disagrees: "disagrees",
		OutOfRange: "is out of range", Stale: "is stale", Valid: "is valid", 99: "is unknown",
	} {
		if got := v.text(); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
	if text := r.textOf("E16"); text != "wind gust mps has given no value" {
		t.Errorf("text %q", text)
	}
	r.step(1000, map[Channel]float64{VoltageV: 230, WindGustMPS: 5})
	if text := r.textOf("E16"); text != "all required inputs are valid again; held for 60 s" {
		t.Errorf("text %q", text)
	}
	r.j.Advance(r.now + 5000)
	if r.holding("E16") != true {
		t.Error("silent after 5 s")
	}
	r.j.Advance(r.now + 5001)
	last := r.now
	r.now += 6000
	if text := r.textOf("E16"); r.holding("E16") || text != "silence 6 s (> 5 s), voltage v is stale" {
		t.Errorf("after %d ms: %q", r.now-last, text)
	}
	if text := r.textOf("INIT"); text != "start: needs 60 s of valid required inputs and of a grid within its limits, silence 6 s (> 5 s), voltage v is stale, voltage v is stale" {
		t.Errorf("text %q", text)
	}
}

// A latched cause blocks whatever its condition says now, and official warnings
// say how long they last.
func TestCausesOfLatchAndWarning(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	i, _ := ruleIndex(r.j.rules, "E12")
	c := r.j.ev.explain(&r.j.rules[i], &ruleState{}, true, 0)
	if c.Level != LevelBlock || !c.Latched {
		t.Errorf("latched: %+v", c)
	}
	if _, err := r.j.Warn(warning("a", LevelWarn, 5000), 0); err != nil {
		t.Fatal(err)
	}
	i, _ = ruleIndex(r.j.rules, "W09")
	c = r.j.ev.explain(&r.j.rules[i], &r.j.states[i], false, 2000)
	want := Input{Name: "warning_remaining", Value: 3, Unit: "s", Op: ">", State: Valid}
	if len(c.Inputs) != 1 || c.Inputs[0] != want {
		t.Errorf("inputs %+v, want %+v", c.Inputs, want)
	}
}

// Without its pyranometer or its vibration sensor a rule keeps what it said.
func TestPlantKeepsWhatItSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule   string
		gone   Channel
		config func(*Config)
		bad    map[Channel]float64
		then   map[Channel]float64
	}{
		{"P01", IrradianceWPM2, roof, sunny(0.5), sunny(1)},
		{"T02", VibrationMPS2, every(1800), map[Channel]float64{VibrationMPS2: 30}, map[Channel]float64{VibrationMPS2: 1}},
	} {
		r := quietRig(t, c.config)
		for range 3 {
			r.step(1_800_000, c.bad)
		}
		stood := r.levelOf(c.rule)
		for range 3 {
			s := Sample{TimeMs: r.now + 1000}
			for ch, v := range c.then {
				s.Set(ch, v)
			}
			s.Fail(c.gone, Stale)
			r.now = s.TimeMs
			r.j.Step(&s)
		}
		if l := r.levelOf(c.rule); stood == LevelNone || l != stood || r.holding(c.rule) {
			t.Errorf("%s: %v, then %v without its sensor", c.rule, stood, l)
		}
	}
}
