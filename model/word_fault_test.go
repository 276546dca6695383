package model_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/model"
	"fairwatt/model/faultdoc"
)

// wordFaults are the rows of people's words: what a person, a clock and a restart can
// do to a gate that a person or a latch keeps closed.
var wordFaults = []struct {
	fault string
	run   func(t *testing.T) string
}{
	{"a person acknowledges E12 while 620 V stands (600 V allowed), and after it", ackOverVolts},
	{"a person closes the gate for an hour", func(t *testing.T) string { return blockedHour(t, 0, true, false) }},
	{"a person closes it until a time an hour ahead; the wall clock leaps ahead by two", func(t *testing.T) string {
		return blockedHour(t, 2*3600_000, true, false)
	}},
	{"the same; the clock is not synchronised any more", func(t *testing.T) string { return blockedHour(t, 0, false, false) }},
	{"the same; a restart, and no clock", func(t *testing.T) string { return blockedHour(t, 0, false, true) }},
}

// reopens is recovery after what was no fault.
func (b *faultBench) reopens() string {
	return strings.TrimSuffix(b.recovery(), " after the fault is over") + " later"
}

func ackOverVolts(t *testing.T) string {
	b := newFaultBench(t, func(c *model.Config) { c.Earth.MaxDCVoltageV = 600 }, nil)
	dc := func(v float64) func(*model.Sample) {
		return func(s *model.Sample) { s.Set(model.DCVoltageV, v) }
	}
	b.second(dc(620))
	word := model.Word{Kind: model.WordAck, Rule: "E12", By: "Ada"}
	_, early := b.j.Say(word, b.nowS*1000)
	var refusal *model.WordRefusal
	if !errors.As(early, &refusal) {
		return "taken, while it stands"
	}
	for range 180 {
		b.second(dc(620))
	}
	for range 3600 {
		b.second(dc(400))
	}
	state, rules := b.rule()
	if _, err := b.j.Say(word, b.nowS*1000); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("refused (%s); an hour after it %v by %s; then acknowledged%s", refusal.Code, state, rules, b.reopens())
}

// blockedHour is a person's block of an hour under a clock that then leaps or is not
// known any more, and over a restart.
func blockedHour(t *testing.T, leapMs int64, known, restart bool) string {
	const wallMs = 1_700_000_000_000
	b := newFaultBench(t, nil, nil)
	b.j.BlockClock(wallMs+b.nowS*1000, b.nowS*1000, true)
	word := model.Word{Kind: model.WordBlock, By: "Ada", Why: "work on the roof", UntilUnixMs: wallMs + b.nowS*1000 + 3600_000}
	if _, err := b.j.Say(word, b.nowS*1000); err != nil {
		return err.Error()
	}
	state, rules := b.rule()
	said := fmt.Sprintf("%v by %s at once", state, rules)
	if restart {
		again, err := model.NewJudge(faultConfig(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Restore(b.j.Snapshot(), 0); err != nil {
			t.Fatal(err)
		}
		b.j, b.nowS = again, 0
	}
	for i := range 8 * 3600 {
		b.j.BlockClock(wallMs+b.nowS*1000+leapMs, b.nowS*1000, known)
		b.second(nil)
		if state, _ := b.rule(); state == model.StateOpen {
			return fmt.Sprintf("%s; OPEN after %d s", said, i)
		}
	}
	state, rules = b.rule()
	if _, err := b.j.Say(model.Word{Kind: model.WordUnblock, By: "Ada"}, b.nowS*1000); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s; 8 h later %v by %s; taken back by a person%s", said, state, rules, b.reopens())
}

// FAIRWATT_UPDATE=1 writes the table again.
func TestWordFaultTable(t *testing.T) {
	var rows []faultdoc.Row
	for _, f := range wordFaults {
		rows = append(rows, faultdoc.Row{Fault: f.fault, Reaction: f.run(t)})
	}
	if err := faultdoc.Check(filepath.Join("..", "docs", "fail-safe.md"), "words", rows); err != nil {
		t.Error(err)
	}
}
