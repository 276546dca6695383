package model

import (
	"slices"
	"strings"
	"testing"
)

// Each rule has its words for people, and no words are without a rule.
func TestEveryRuleHasATitle(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		if titles[r.id] == "" && !r.network {
			t.Errorf("rule %s has no title in model/words.go", r.id)
		}
		if RuleTitle(r.id) != r.title() {
			t.Errorf("rule %s is %q by its id, and %q", r.id, RuleTitle(r.id), r.title())
		}
	}
	for id := range titles {
		if _, ok := ruleIndex(rules, id); !ok {
			t.Errorf("title of %s: there is no such rule", id)
		}
	}
	for name := range names {
		if strings.ContainsAny(names[name], "_") {
			t.Errorf("%s is called %q", name, names[name])
		}
	}
	for c := range NumChannels {
		if s := spoken(c.String()); strings.Contains(s, "_") || s == "" {
			t.Errorf("%v is called %q", c, s)
		}
	}
}

// What blocks says what it is, what was measured and its limit, since when and
// what ends it; and when the gate opens at the earliest.
func TestCausesInWords(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.IntervalS = 60 })
	r.step(60_000, map[Channel]float64{WindGustMPS: 30})
	began := r.now
	r.step(60_000, map[Channel]float64{WindGustMPS: 31})
	v := r.j.View()
	c := v.Causes[0]
	if c.Title != "Gusts are strong" || c.Says != "gust 31 m/s, limit 25.7 m/s" || c.Ends != "30 min after it is over" || c.StandsMs != r.now-began || c.EndsInMs != -1 {
		t.Errorf("%+v", c)
	}
	if v.OpensInMs != 1_800_000 || v.ClearInMs != -1 {
		t.Errorf("opens in %d, clears in %d", v.OpensInMs, v.ClearInMs)
	}
	for range 11 { // the gust leaves the window of 10 min
		r.step(60_000, map[Channel]float64{WindGustMPS: 3})
	}
	v = r.j.View()
	c = v.Causes[0]
	if c.Says != "gust 3 m/s, back below 18 m/s" || c.Ends != "with its clear time" || c.EndsInMs <= 0 || v.OpensInMs < c.EndsInMs || v.OpensInMs != v.ClearInMs {
		t.Errorf("%+v, opens in %d, clears in %d", c, v.OpensInMs, v.ClearInMs)
	}
	r.j.Advance(r.now + v.OpensInMs)
	if v := r.j.View(); v.State != StateOpen || v.OpensInMs != 0 {
		t.Errorf("after its time: %v, %d", v.State, v.OpensInMs)
	}
}

// The earliest opening is never before the gate opens: it is a bound.
func TestEarliestOpeningIsABound(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.IntervalS = 60; c.Gate.MinBlockS = 7200 })
	var bounds []int64
	r.step(60_000, map[Channel]float64{WindGustMPS: 30})
	for range 300 {
		r.step(60_000, map[Channel]float64{WindGustMPS: 3})
		v := r.j.View()
		if v.State == StateOpen {
			break
		}
		bounds = append(bounds, r.now+v.OpensInMs)
	}
	if s, _ := r.j.gate.State(); s != StateOpen {
		t.Fatal("it never opened")
	}
	opened := r.j.View().SinceMs
	if latest := slices.Max(bounds); latest > opened || len(bounds) < 100 {
		t.Errorf("opened at %d, said not before %d (%d times)", opened, latest, len(bounds))
	}
	if slices.Min(bounds) < 7_200_000 {
		t.Errorf("the shortest block is not counted: %d", slices.Min(bounds))
	}
}

// causeOf is the cause of a rule in a view.
func causeOf(t *testing.T, v *View, rule string) Cause {
	t.Helper()
	i := slices.IndexFunc(v.Causes, func(c Cause) bool { return c.Rule == rule })
	if i < 0 {
		t.Fatalf("no cause %s in %+v", rule, v.Causes)
	}
	return v.Causes[i]
}

// A latch waits for a named person, and an official warning ends by itself.
func TestWhatEndsACause(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.IntervalS = 60; c.Latch = append(c.Latch, "W03") })
	r.step(60_000, map[Channel]float64{WindGustMPS: 30})
	v := r.j.View()
	if c := causeOf(t, &v, "W03"); v.OpensInMs != -1 || c.Ends != "when it is over and a named person has acknowledged it: agent ack --rule W03 --by NAME" {
		t.Errorf("%+v, opens in %d", c, v.OpensInMs)
	}
	for range 60 {
		r.step(60_000, map[Channel]float64{WindGustMPS: 3})
	}
	v = r.j.View()
	if c := causeOf(t, &v, "W03"); v.State != StateBlocked || v.OpensInMs != -1 || c.Ends != "when a named person has acknowledged it: agent ack --rule W03 --by NAME" || c.StandsMs < 3_600_000 {
		t.Errorf("%+v, %v, opens in %d", c, v.State, v.OpensInMs)
	}
	r = quietRig(t, func(c *Config) { c.IntervalS = 60 })
	if _, err := r.j.Warn(Warning{ID: "a", Event: "Typhoon", Level: LevelBlock, UntilMs: r.now + 7_200_000}, r.now); err != nil {
		t.Fatal(err)
	}
	v = r.j.View()
	if c := causeOf(t, &v, "W09"); c.Title != "An official warning is in force" || c.Ends != "when it is withdrawn, or" || c.EndsInMs != 7_200_000 || v.OpensInMs != 7_200_000 {
		t.Errorf("%+v, opens in %d", c, v.OpensInMs)
	}
}

// A person's block says who can take it back, and until when it lasts.
func TestAPersonsBlockInWords(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, map[Channel]float64{WindGustMPS: 3})
	if _, err := r.j.Say(Word{Kind: WordBlock, By: "Ada", Why: "roof work", ForMs: 7_200_000}, r.now); err != nil {
		t.Fatal(err)
	}
	v := r.j.View()
	c := causeOf(t, &v, ruleBlock)
	if c.Title != "A person has closed the gate" || !strings.HasPrefix(c.Says, "closed by Ada ") || c.Ends != "by agent unblock --by NAME, or" ||
		c.EndsInMs != 7_200_000 || v.OpensInMs != 7_200_000 {
		t.Errorf("%+v, opens in %d", c, v.OpensInMs)
	}
	other := quietRig(t, nil)
	if err := other.j.Restore(r.j.Snapshot(), other.now); err != nil {
		t.Fatal(err)
	}
	other.j.Advance(other.now)
	v = other.j.View()
	if c := causeOf(t, &v, ruleBlock); c.Ends != "by agent unblock --by NAME" || c.EndsInMs != -1 || v.OpensInMs != -1 || c.StandsMs != -1 {
		t.Errorf("after a restart, without a sample: %+v, opens in %d", c, v.OpensInMs)
	}
}

// A cause that stood before a restart and that nothing can judge any more waits
// for a person, and says so.
func TestALostCauseInWords(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, map[Channel]float64{WindGustMPS: 30})
	other := quietRig(t, func(c *Config) { c.Channels = []Channel{VoltageV} })
	if err := other.j.Restore(r.j.Snapshot(), other.now); err != nil {
		t.Fatal(err)
	}
	other.step(1000, map[Channel]float64{})
	v := other.j.View()
	if c := causeOf(t, &v, "W03"); c.Title != "Gusts are strong" || !strings.Contains(c.Says, "cannot be judged any more") ||
		c.Ends != "when a named person has acknowledged it: agent ack --rule W03 --by NAME" || v.OpensInMs != -1 {
		t.Errorf("%+v, opens in %d", c, v.OpensInMs)
	}
}

// A warning that does not block does not lengthen the block of one that does, and
// says when it ends where it is the cause itself.
func TestWarningSaysItsOwnEnd(t *testing.T) {
	t.Parallel()
	for _, levels := range [][]Level{{LevelWarn}, {LevelBlock, LevelWarn}} {
		r := quietRig(t, nil)
		r.quiet(1000)
		for i, l := range levels {
			w := warning(string(rune('a'+i)), l, r.now+int64(1+i)*3_600_000)
			if _, err := r.j.Warn(w, r.now); err != nil {
				t.Fatal(err)
			}
		}
		i, _ := ruleIndex(r.j.rules, "W09")
		if c := r.j.cause(i, r.now); c.Level != levels[0] || c.Ends != "when it is withdrawn, or" || c.EndsInMs != 3_600_000 {
			t.Errorf("%v: %v, %q in %d ms", levels, c.Level, c.Ends, c.EndsInMs)
		}
	}
}

// What is over says on which side of its limit an input is back.
func TestMeasuredSaysTheGoodSide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		op      string
		holding bool
		want    string
	}{
		{">=", false, "gust 12 m/s, limit 20 m/s"}, {"<", false, "gust 12 m/s, limit 20 m/s"},
		{"<", true, "gust 12 m/s, back below 20 m/s"}, {">", true, "gust 12 m/s, back above 20 m/s"},
		{"=", true, "gust 12 m/s"}, {"", true, "gust 12 m/s"},
	} {
		x := explainer{cause: &Cause{Holding: c.holding}}
		x.measured("wind_gust", 12, "m/s", c.op, 20)
		if !strings.HasSuffix(x.plain[0], c.want) {
			t.Errorf("%q, holding %v: %q, want %q", c.op, c.holding, x.plain[0], c.want)
		}
	}
}

// Units are said as people write them.
func TestSpokenUnits(t *testing.T) {
	t.Parallel()
	for unit, want := range map[string]string{"C": " °C", "m/s2": " m/s²", "W/m2": " W/m²", "m/s": " m/s", "%": " %", "": ""} {
		if got := spokenUnit(unit); got != want {
			t.Errorf("%q is said as %q, want %q", unit, got, want)
		}
	}
}

// Sensors that give nothing are named, three of them, and that there are more.
func TestSilentSensorsAreNamed(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	for n := range names {
		r := quietRig(t, nil)
		r.step(1000, map[Channel]float64{RainMM: 0})
		r.j.ev.sensor.silent = names[:n]
		text := r.textOf("S03")
		said := strings.Count(text, " gives nothing")
		if said != min(n, maxExplained) || strings.Contains(text, "and others") != (n > maxExplained) {
			t.Errorf("%d are silent: %q", n, text)
		}
		if over := strings.Contains(text, "every configured sensor gives something again"); over != (n == 0) {
			t.Errorf("%d are silent: %q", n, text)
		}
	}
}
