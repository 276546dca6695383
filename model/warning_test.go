package model

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func warning(id string, level Level, untilMs int64) Warning {
	return Warning{ID: id, Event: "Gale", Level: level, UntilMs: untilMs}
}

func TestWarnRefuses(t *testing.T) {
	r := newRig(t, nil, nil)
	r.run(10, map[Channel]float64{VoltageV: 230})
	for name, w := range map[string]Warning{
		"no id":    {Event: "x", Level: LevelBlock, UntilMs: never / 8},
		"no event": {ID: "x", Level: LevelBlock, UntilMs: never / 8},
		"no level": {ID: "x", Event: "x", UntilMs: never / 8},
		"over":     warning("x", LevelBlock, r.now),
		"too far":  warning("x", LevelBlock, never),
	} {
		if _, err := r.j.Warn(w, r.now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for until, taken := range map[int64]bool{math.MaxInt64 / 4: true, math.MaxInt64/4 + 1: false} {
		if _, err := r.j.Warn(warning("far", LevelWarn, until), r.now); (err == nil) != taken {
			t.Errorf("until %d: %v, want it taken: %v", until, err, taken)
		}
	}
	if ev := r.j.Withdraw("unknown", r.now); len(ev) != 0 {
		t.Errorf("a withdrawal of nothing gave %v", ev)
	}
}

// Too many warnings never open the gate earlier: what is refused prolongs.
func TestTooManyWarnings(t *testing.T) {
	r := newRig(t, nil, nil)
	r.run(400, map[Channel]float64{VoltageV: 230})
	for i := range maxWarnings {
		if _, err := r.j.Warn(warning(fmt.Sprint(i), LevelWarn, r.now+1000), r.now); err != nil {
			t.Fatal(err)
		}
	}
	r.wantOpen()
	for i := range maxWarnings { // each makes one that only tells give way
		if _, err := r.j.Warn(warning(fmt.Sprint("b", i), LevelBlock, r.now+1000), r.now); err != nil {
			t.Fatal(err)
		}
	}
	r.wantBlockedBy("W09")
	if _, err := r.j.Warn(warning("last", LevelBlock, r.now+2000), r.now); err == nil {
		t.Error("one too many was accepted silently")
	}
	r.j.Advance(r.now + 1999)
	r.wantBlockedBy("W09")
	if n := r.j.ev.warnings.level(r.now + 2000); n != LevelNone {
		t.Errorf("still %v", n)
	}
}

func TestWarningOutlivesRestart(t *testing.T) {
	r := newRig(t, nil, nil)
	r.run(400, map[Channel]float64{VoltageV: 230})
	if _, err := r.j.Warn(Warning{ID: "a", Sender: "met", Event: strings.Repeat("雷", 100), Level: LevelBlock, UntilMs: r.now + 900_000}, r.now); err != nil {
		t.Fatal(err)
	}
	again := newRig(t, nil, nil)
	if err := again.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	again.run(899, map[Channel]float64{VoltageV: 230})
	again.wantBlockedBy("W09")
	again.run(2, map[Channel]float64{VoltageV: 230})
	if again.state() == StateBlocked {
		t.Error(again.j.View().Reason)
	}
}

// A judge that has seen nothing waits for nothing. A warning is the first that it may
// be told, and its end is then waited for.
func TestWarnedBeforeTheFirstSample(t *testing.T) {
	r := newRig(t, nil, nil)
	if at, waits := r.j.NextDeadlineMs(); waits || at != 0 {
		t.Errorf("a new judge waits for %d, %v", at, waits)
	}
	if _, err := r.j.Warn(warning("a", LevelBlock, 5000), 1000); err != nil {
		t.Fatal(err)
	}
	if at, waits := r.j.NextDeadlineMs(); !waits || at > 5000 || at <= 1000 {
		t.Errorf("the next deadline is %d, %v", at, waits)
	}
	r.now = 1000
	if l := r.levelOf("W09"); l != LevelBlock {
		t.Errorf("warned: %v", l)
	}
	r.j.Advance(5000)
	r.now = 5000
	if l := r.levelOf("W09"); l != LevelNone {
		t.Errorf("at its end: %v", l)
	}
}

// A warning of what is to come says when it begins to block, and warns until then.
func TestAWarningOfWhatIsToCome(t *testing.T) {
	r := newRig(t, nil, nil)
	r.run(10, map[Channel]float64{VoltageV: 230})
	w := warning("a", LevelBlock, r.now+9_000_000)
	w.BlockFromMs = r.now + 7_200_000
	if _, err := r.j.Warn(w, r.now); err != nil {
		t.Fatal(err)
	}
	if l, text := r.levelOf("W09"), r.textOf("W09"); l != LevelWarn || text != "Gale, blocks in 7200 s, for 9000 s more" {
		t.Errorf("%v, text %q", l, text)
	}
	i, _ := ruleIndex(r.j.rules, "W09")
	if c := r.j.cause(i, r.now); c.Ends != "when it is withdrawn, or" || c.EndsInMs != 9_000_000 {
		t.Errorf("ends %q in %d ms", c.Ends, c.EndsInMs)
	}
	r.j.Advance(w.BlockFromMs)
	r.now = w.BlockFromMs
	if l, text := r.levelOf("W09"), r.textOf("W09"); l != LevelBlock || text != "Gale, for 1800 s more" {
		t.Errorf("%v, text %q", l, text)
	}
}
