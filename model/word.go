package model

import (
	"errors"
	"fmt"

	"fairwatt/proto/brief"
	"fairwatt/proto/person"
)

// A WordKind is what a person's word does.
type WordKind uint8

// The kinds of words. None opens the gate while a cause stands.
const (
	WordAck     WordKind = iota // acknowledges a latched rule whose condition is over
	WordBlock                   // closes the gate
	WordUnblock                 // takes a block back
	numWordKinds
)

var wordKindNames = [numWordKinds]string{"ack", "block", "unblock"}

// String returns the kind's name in events, commands and topics.
func (k WordKind) String() string {
	if k < numWordKinds {
		return wordKindNames[k]
	}
	return fmt.Sprintf("word(%d)", uint8(k))
}

// ParseWordKind returns the kind of that name.
func ParseWordKind(name string) (WordKind, error) {
	for k, n := range wordKindNames {
		if n == name {
			return WordKind(k), nil
		}
	}
	return 0, brief.Errorf("unknown word %q; use ack, block or unblock", name)
}

// A Word is what a named person says of the gate.
type Word struct {
	Kind WordKind
	Rule string // WordAck: which rule
	By   string // who speaks
	Why  string // the reason; a block needs one
	// A block ends at UntilUnixMs, or after ForMs; one of them is 0.
	UntilUnixMs int64
	ForMs       int64
}

// The codes of refused words.
const (
	WordBadName     = "bad_name"     // no name, or one that cannot be shown
	WordBadWhy      = "bad_why"      // likewise the reason
	WordBadUntil    = "bad_until"    // no end, one that is past, or one too far ahead
	WordUnknownRule = "unknown_rule" // there is no such rule
	WordNotLatched  = "not_latched"  // nothing waits for this acknowledgement
	WordStillActive = "still_active" // the condition still stands
	WordShorter     = "shorter"      // a longer block stands
	WordNotBlocked  = "not_blocked"  // there is no block to take back
	WordNotJudged   = "not_judged"   // there was no sample yet
)

// A WordRefusal says why a word has no effect.
type WordRefusal struct {
	Code string // for programs
	Text string // for people: what is wrong and what to do
}

func (r *WordRefusal) Error() string { return r.Text }

func refuse(code, format string, args ...any) *WordRefusal {
	return &WordRefusal{code, brief.Sprintf(format, args...)}
}

// Check returns why a word can never have an effect, or nil: what can be seen by
// looking at the word alone.
func (w *Word) Check() *WordRefusal {
	if err := person.CheckName(w.By); err != nil {
		return &WordRefusal{WordBadName, err.Error()}
	}
	if err := person.CheckWhy(w.Why); err != nil {
		return &WordRefusal{WordBadWhy, err.Error()}
	}
	if w.Kind != WordBlock {
		return nil
	}
	switch {
	case w.Why == "":
		return refuse(WordBadWhy, "no reason given; say why the gate is to be closed")
	case (w.UntilUnixMs == 0) == (w.ForMs == 0):
		return refuse(WordBadUntil, "say either until when or how long the gate is to be closed")
	case w.ForMs < 0 || w.ForMs > maxBlockMs:
		return refuse(WordBadUntil, "%d s is not between 0 and 366 days", w.ForMs/1000)
	case w.UntilUnixMs < 0 || w.UntilUnixMs > maxUnixMs:
		return refuse(WordBadUntil, "until %d ms after 1970 is out of range", w.UntilUnixMs)
	}
	return nil
}

// Say takes a person's word at tMs of the sensing clock and returns what changed, as
// Advance does. A word that has no effect is a *WordRefusal; what time has changed
// until tMs is returned all the same. A word may close the gate, or take away
// what only a person can take away; it never opens the gate over a cause.
func (j *Judge) Say(w Word, tMs int64) ([]Event, error) {
	if r := w.Check(); r != nil {
		return nil, r
	}
	if !j.any {
		return nil, refuse(WordNotJudged, "nothing has been judged yet; try again in some seconds")
	}
	var err error
	events := j.change(max(tMs, j.nowMs), func() {
		switch w.Kind {
		case WordAck:
			err = j.ackWord(&w)
		case WordBlock:
			if err = j.ev.block.ask(&w, j.nowMs); err == nil {
				w.UntilUnixMs = j.ev.block.untilUnixMs
				j.tellWord(EventBlock, &w)
			}
		default:
			err = j.unblock(&w)
		}
	})
	return events, err
}

func (j *Judge) ackWord(w *Word) error {
	if err := j.Ack(w.Rule, w.By); err != nil {
		return err
	}
	i, _ := ruleIndex(j.rules, w.Rule)
	k := j.rules[i].kind
	e := Event{TimeMs: j.nowMs, Type: EventAck, Action: ActionAck, Kind: k, Level: LevelBlock, Word: *w}
	if a := &j.alerts[k]; a.level != LevelNone {
		a.rev++
		e.ID, e.Rev = a.id, a.rev
	}
	e.Causes = []Cause{j.explain(i, j.nowMs)}
	e.Causes[0].Level = LevelBlock // what was acknowledged, not what is left
	j.events = append(j.events, e)
	return nil
}

func (j *Judge) unblock(w *Word) error {
	if !j.ev.block.set {
		return refuse(WordNotBlocked, "no person has closed the gate; there is nothing to take back")
	}
	j.ev.block.clear()
	j.note = "block taken back by " + w.By
	j.tellWord(EventUnblock, w)
	return nil
}

// tellWord appends the event of a block or of its end.
func (j *Judge) tellWord(t EventType, w *Word) {
	w.Rule = ruleBlock
	j.events = append(j.events, Event{TimeMs: j.nowMs, Type: t, Kind: KindExternal, Level: LevelBlock, Word: *w})
}

// Ack acknowledges the latch of a rule in the name of a person, by the rule's id,
// whether or not the site still serves it. It fails, with a *WordRefusal, when the
// rule is not latched or its condition still stands. The gate moves at the next
// Step or Advance. [Judge.Say] does the same and tells of it.
func (j *Judge) Ack(ruleID, by string) error {
	w := Word{Kind: WordAck, Rule: ruleID, By: by}
	if r := w.Check(); r != nil {
		return &WordRefusal{r.Code, brief.Sprintf("acknowledge %q: %s", ruleID, r.Text)}
	}
	i, ok := ruleIndex(j.rules, ruleID)
	if !ok {
		return refuse(WordUnknownRule, "acknowledge %q: no such rule; the gate's causes name the rules", ruleID)
	}
	// What a restart left standing is not in the gate before the first sample.
	if j.gate.Latched().Has(i) && j.served.Has(i) && j.states[i].level == LevelBlock {
		return j.stillActive(i)
	}
	switch err := j.gate.Ack(i); {
	case errors.Is(err, errStillActive):
		return j.stillActive(i)
	case err != nil:
		return refuse(WordNotLatched, "acknowledge %s: %v; %s", ruleID, err, j.waiting())
	}
	// The sober gate holds no latch of a score rule; then there is nothing to do.
	if err := j.sober.Ack(i); err != nil && !errors.Is(err, errNotLatched) {
		return j.stillActive(i)
	}
	if !j.served.Has(i) { // the word is all that can end it
		j.states[i] = ruleState{}
		j.sortStates()
	}
	j.note = ruleID + " acknowledged by " + by
	return nil
}

func (j *Judge) stillActive(i int) error {
	c := j.ev.explain(&j.rules[i], &j.states[i], false, j.nowMs)
	return &WordRefusal{WordStillActive, "acknowledge " + c.Rule + ": " + errStillActive.Error() + ": " + c.Text}
}

// waiting says which rules wait for an acknowledgement.
func (j *Judge) waiting() string {
	text := ""
	for i := range j.rules {
		if j.gate.Latched().Has(i) {
			if text != "" {
				text += ", "
			}
			text += j.rules[i].id
		}
	}
	if text == "" {
		return "no rule waits for an acknowledgement"
	}
	return "these wait for an acknowledgement: " + text
}
