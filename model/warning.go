package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// A Warning is an official warning that is in force for this site: one more
// witness, which may close the gate and never opens it. model/cap makes one of
// a CAP 1.2 alert.
type Warning struct {
	ID       string // the same for its updates
	Sender   string
	Event    string // what it warns of, in the sender's words
	Severity string // of CAP: Extreme, Severe, Moderate, Minor, Unknown
	Urgency  string // of CAP: Immediate, Expected, Future, Past, Unknown
	Level    Level  // LevelBlock closes the gate, LevelWarn tells
	UntilMs  int64  // sensing clock
	// BlockFromMs is when one of LevelBlock begins to block (sensing clock); until
	// then it tells. 0 is at once. It is not part of a snapshot: after a restart the
	// warning blocks until somebody who knows the time of day says otherwise.
	BlockFromMs int64
}

// Limits on what is kept of warnings. A text that is longer is cut.
const (
	maxWarnings    = 64
	maxWarningText = 128
)

// warningHazard is what officials warn of.
var warningHazard = hazard{
	deadline: func(e *evidence, tMs int64) int64 { return e.warnings.deadline(tMs) },
	rules: []rule{{
		id: "W09", place: 400, kind: KindExternal, level: LevelBlock,
		source: "official warning (CAP 1.2) in force: severe or extreme blocks, at once if immediate, else from 30 min before its onset; others warn",
		holdS:  noHold,
		evaluate: func(e *evidence, tMs int64, _ Level) Level {
			return e.warnings.level(tMs)
		},
		explain: explainWarnings,
	}},
}

// warnings holds the warnings in force, in the order in which they came.
type warnings struct {
	list [maxWarnings]Warning
	n    int
}

func (x *warnings) find(id string) int {
	for i := range x.n {
		if x.list[i].ID == id {
			return i
		}
	}
	return -1
}

func (x *warnings) remove(i int) {
	copy(x.list[i:x.n], x.list[i+1:x.n])
	x.n--
	x.list[x.n] = Warning{}
}

// expire forgets what is over.
func (x *warnings) expire(tMs int64) {
	for i := x.n - 1; i >= 0; i-- {
		if x.list[i].UntilMs <= tMs {
			x.remove(i)
		}
	}
}

// put adds or replaces. When there is no room, a warning that only tells makes
// way for one that blocks; among those that block, the last stands for as long
// as the longest, so that too many never open the gate.
func (x *warnings) put(w Warning) error {
	if i := x.find(w.ID); i >= 0 {
		x.list[i] = w
		return nil
	}
	if x.n < maxWarnings {
		x.list[x.n] = w
		x.n++
		return nil
	}
	if w.Level == LevelBlock {
		for i := range x.n {
			if x.list[i].Level != LevelBlock {
				x.list[i] = w
				return nil
			}
		}
		last := &x.list[x.n-1]
		last.UntilMs, last.BlockFromMs = max(last.UntilMs, w.UntilMs), min(last.BlockFromMs, w.BlockFromMs)
	}
	return fmt.Errorf("warning %q: %d are in force already", w.ID, maxWarnings)
}

// levelAt is the level that the warning has at tMs, if it is in force.
func (w *Warning) levelAt(tMs int64) Level {
	if tMs < w.BlockFromMs {
		return min(w.Level, LevelWarn)
	}
	return w.Level
}

// level returns the highest level of a warning in force at tMs.
func (x *warnings) level(tMs int64) Level {
	l := LevelNone
	for i := range x.n {
		if tMs < x.list[i].UntilMs {
			l = max(l, x.list[i].levelAt(tMs))
		}
	}
	return l
}

// deadline returns when the next warning expires or begins to block after tMs.
func (x *warnings) deadline(tMs int64) int64 {
	at := int64(never)
	for i := range x.n {
		for _, u := range [...]int64{x.list[i].UntilMs, x.list[i].BlockFromMs} {
			if u > tMs {
				at = min(at, u)
			}
		}
	}
	return at
}

func explainWarnings(x *explainer) {
	any := false
	for i := range x.e.warnings.n {
		w := &x.e.warnings.list[i]
		if x.tMs >= w.UntilMs {
			continue
		}
		any = true
		if w.Level == LevelBlock || x.cause.Level == w.Level {
			x.endsAt(w.UntilMs, "when it is withdrawn, or")
		}
		text := w.Event
		if w.Severity != "" || w.Urgency != "" {
			text += " (" + strings.TrimSpace(w.Severity+" "+w.Urgency) + ")"
		}
		if w.Sender != "" {
			text += " from " + w.Sender
		}
		if w.Level == LevelBlock && x.tMs < w.BlockFromMs {
			text += ", blocks in " + wholeSeconds(w.BlockFromMs-x.tMs) + " s"
		}
		x.say(text + ", for " + wholeSeconds(w.UntilMs-x.tMs) + " s more")
		if len(x.cause.Inputs) < maxExplained {
			x.cause.Inputs = append(x.cause.Inputs, Input{
				Name: "warning_remaining", Value: float64(w.UntilMs-x.tMs) / 1000, Unit: "s", Op: ">", State: Valid,
			})
		}
	}
	if !any {
		x.say("no official warning is in force any more")
	}
}

// Warn takes an official warning that is in force for this site, at tMs of the
// sensing clock, and returns what changed, as Advance does. A warning of the
// same ID is replaced. One that is over already, or has no ID or event, is
// refused; so is one too many, though the gate then stays closed as long as
// that would have kept it closed.
func (j *Judge) Warn(w Warning, tMs int64) ([]Event, error) {
	tMs = max(tMs, j.nowMs)
	w.ID, w.Event, w.Sender = cut(w.ID), cut(w.Event), cut(w.Sender)
	w.Severity, w.Urgency = cut(w.Severity), cut(w.Urgency)
	switch {
	case w.ID == "" || w.Event == "":
		return nil, errors.New("warning: no id or no event")
	case w.Level != LevelWarn && w.Level != LevelBlock:
		return nil, fmt.Errorf("warning %q: level %v is neither warn nor block", w.ID, w.Level)
	case w.UntilMs <= tMs:
		return nil, fmt.Errorf("warning %q: it is over", w.ID)
	case w.UntilMs > math.MaxInt64/4:
		return nil, fmt.Errorf("warning %q: its end is out of range", w.ID)
	}
	var err error
	events := j.change(tMs, func() {
		j.ev.warnings.expire(tMs)
		err = j.ev.warnings.put(w)
	})
	return events, err
}

// Withdraw ends the warning of that ID at tMs, as a cancel message asks, and
// returns what changed. One that is not in force changes nothing.
func (j *Judge) Withdraw(id string, tMs int64) []Event {
	return j.change(max(tMs, j.nowMs), func() {
		if i := j.ev.warnings.find(cut(id)); i >= 0 {
			j.ev.warnings.remove(i)
		}
	})
}

// change runs the timers due before tMs, applies do, and judges.
func (j *Judge) change(tMs int64, do func()) []Event {
	j.events = j.events[:0]
	if j.any {
		j.runTimers(tMs - 1)
	}
	j.nowMs, j.any = tMs, true
	do()
	j.judge(tMs)
	j.runTimers(tMs)
	return j.events
}

// cut bounds a text and keeps it whole UTF-8.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxWarningText {
		return s
	}
	n := maxWarningText
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// append writes the warnings in force with the time they have left.
func (x *warnings) append(b []byte, nowMs int64) []byte {
	live := 0
	for i := range x.n {
		if x.list[i].UntilMs > nowMs {
			live++
		}
	}
	b = binary.AppendUvarint(b, uint64(live))
	for i := range x.n {
		w := &x.list[i]
		if w.UntilMs <= nowMs {
			continue
		}
		for _, s := range [...]string{w.ID, w.Sender, w.Event, w.Severity, w.Urgency} {
			b = append(b, byte(len(s)))
			b = append(b, s...)
		}
		b = append(b, byte(w.Level))
		b = binary.AppendUvarint(b, uint64(min(w.UntilMs-nowMs, maxDuration)))
	}
	return b
}

// warnings reads what append wrote; each lasts for what it had left.
func (r *snapshotReader) warnings(nowMs int64) (warnings, error) {
	var x warnings
	n := r.number()
	if n > maxWarnings {
		return x, errSnapshot
	}
	for range n {
		w := Warning{ID: r.text(), Sender: r.text(), Event: r.text(), Severity: r.text(), Urgency: r.text()}
		w.Level = Level(r.octet())
		left := r.number()
		if r.bad || w.ID == "" || w.Level > LevelBlock || left > maxDuration {
			return x, errSnapshot
		}
		w.UntilMs = nowMs + int64(left)
		if err := x.put(w); err != nil {
			return x, err
		}
	}
	return x, nil
}
