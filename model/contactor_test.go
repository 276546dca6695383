package model

import (
	"math"
	"strings"
	"testing"
)

// E17 stands while the feedback disagrees, and its latch until a person has
// acknowledged it.
func TestContactorThatDisagreesLatches(t *testing.T) {
	t.Parallel()
	for state, c := range map[ContactorState]struct{ now, after string }{
		ContactorWelded: {"the contactor is welded: told open, its feedback says closed", "the contactor was welded"},
		ContactorStuck:  {"the contactor is stuck: told closed, its feedback says open", "the contactor was stuck"},
	} {
		r := quietRig(t, nil)
		r.j.Contactor(ContactorAgrees)
		r.step(1000, nil)
		if got := r.levelOf("E17"); got != LevelNone {
			t.Fatalf("a sound contactor: %v", got)
		}
		r.j.Contactor(state)
		r.step(1000, nil)
		if got := r.levelOf("E17"); got != LevelBlock || !strings.HasPrefix(r.textOf("E17"), c.now) {
			t.Errorf("%v: %v, %q", state, got, r.textOf("E17"))
		}
		if err := r.j.Ack("E17", "Ada"); err == nil {
			t.Error("a contactor that still disagrees was acknowledged")
		}
		// What cannot be looked at is not well again.
		r.j.Contactor(ContactorUnable)
		r.step(1000, nil)
		if got := r.levelOf("E17"); got != LevelBlock {
			t.Errorf("out of sight: %v", got)
		}
		r.j.Contactor(ContactorAgrees)
		r.step(1000, nil)
		v := r.j.View()
		if v.State != StateBlocked || r.levelOf("E17") != LevelNone || !strings.Contains(v.Reason, c.after) || !strings.Contains(v.Reason, "waits for acknowledgement") {
			t.Errorf("agrees again: %v, %s", v.State, v.Reason)
		}
		if err := r.j.Ack("E17", "Ada"); err != nil {
			t.Error(err)
		}
		r.step(1000, nil)
		if v := r.j.View(); v.State != StateClearing {
			t.Errorf("acknowledged: %v, %s", v.State, v.Reason)
		}
	}
}

// A contactor that cannot be commanded blocks without a latch.
func TestContactorThatCannotBeCommandedBlocks(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.j.Contactor(ContactorUnable)
	r.step(1000, nil)
	if r.levelOf("E18") != LevelBlock || r.levelOf("E17") != LevelNone {
		t.Fatalf("E18 %v, E17 %v", r.levelOf("E18"), r.levelOf("E17"))
	}
	r.j.Contactor(ContactorUnwatched)
	r.step(1000, nil)
	i, _ := ruleIndex(r.j.rules, "E18")
	if st := r.j.states[i]; st.level != LevelNone || st.holdUntil != r.now+seconds(r.j.ev.cfg.Gate.ValidS) {
		t.Errorf("afterwards %+v at %d", st, r.now)
	}
	if text := r.textOf("E18"); !strings.HasPrefix(text, "the contactor can be commanded again") {
		t.Errorf("text %q", text)
	}
}

// A restart keeps a contactor's cause until it has been looked at, and its latch
// until it is acknowledged, whatever the next configuration has.
func TestContactorOverARestart(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.j.Contactor(ContactorWelded)
	r.step(1000, nil)
	next := newRig(t, nil, nil)
	if err := next.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	next.step(1000, nil)
	if next.levelOf("E17") != LevelBlock || next.j.Ack("E17", "Ada") == nil {
		t.Errorf("not looked at yet: %v", next.levelOf("E17"))
	}
	next.j.Contactor(ContactorUnwatched)
	next.step(1000, nil)
	if v := next.j.View(); v.State != StateBlocked || !strings.Contains(v.Reason, "E17: the contactor's feedback disagreed with its command before the restart; waits") {
		t.Errorf("without feedback: %v, %s", v.State, v.Reason)
	}
	if err := next.j.Ack("E17", "Ada"); err != nil {
		t.Error(err)
	}
}

func TestContactorCauseHasItsInput(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	for state, want := range map[ContactorState]float64{ContactorWelded: 1, ContactorStuck: 0} {
		r.j.Contactor(state)
		r.step(1000, nil)
		for _, c := range r.j.View().Causes {
			if c.Rule != "E17" {
				continue
			}
			if len(c.Inputs) != 1 || c.Inputs[0].Value != want || c.Inputs[0].Threshold != math.Abs(want-1) || c.Inputs[0].Op != "!=" {
				t.Errorf("%v: inputs %+v", state, c.Inputs)
			}
		}
	}
}
