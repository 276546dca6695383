package model

import (
	"fmt"
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
