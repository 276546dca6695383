package model

import (
	"math"
	"strconv"
	"strings"
)

// maxExplained bounds the inputs a cause lists.
const maxExplained = 8

// An explainer fills one cause at one moment.
type explainer struct {
	e     *evidence
	tMs   int64
	state *ruleState
	cause *Cause
	texts []string
	plain []string // the same, for people
}

// explain describes a rule's state at tMs.
func (e *evidence) explain(r *rule, st *ruleState, latched bool, tMs int64) Cause {
	c := Cause{Rule: r.id, Kind: r.kind, Level: st.stands(), Latched: latched, Holding: st.holding}
	if latched {
		c.Level = LevelBlock
	}
	c.EndsInMs = -1
	x := explainer{e: e, tMs: tMs, state: st, cause: &c}
	r.explain(&x)
	c.Text, c.Says = strings.Join(x.texts, ", "), strings.Join(x.plain, "; ")
	switch {
	case st.holding && st.holdUntil == never:
		c.Text += "; held over a restart until a sample comes"
	case st.holding:
		c.Text += "; held for " + wholeSeconds(st.holdUntil-tMs) + " s"
	}
	if latched {
		c.Text += "; waits for acknowledgement"
	}
	return c
}

func wholeSeconds(ms int64) string { return strconv.FormatInt((ms+999)/1000, 10) }

func (x *explainer) say(text string) { x.says(text, text) }

// says has other words for people.
func (x *explainer) says(text, plain string) {
	x.texts, x.plain = append(x.texts, text), append(x.plain, plain)
}

// number formats a value for a sentence: at most two decimals.
func number(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// input lists one input, compared as "value op threshold"; op may be empty.
func (x *explainer) input(name string, v float64, unit string, ageS float64, op string, threshold float64) {
	if len(x.cause.Inputs) < maxExplained {
		x.cause.Inputs = append(x.cause.Inputs,
			Input{Name: name, Value: v, Unit: unit, AgeS: ageS, Threshold: threshold, Op: op, State: Valid})
	}
	text := strings.ReplaceAll(name, "_", " ") + " " + number(v) + unitText(unit)
	if op != "" {
		text += " (" + op + " " + number(threshold) + unitText(unit) + ")"
	}
	x.texts = append(x.texts, text)
	x.measured(name, v, unit, op, threshold)
}

func unitText(unit string) string {
	if unit == "" {
		return ""
	}
	return " " + unit
}

// unknown lists an input that cannot be used, with the reason.
func (x *explainer) unknown(name, unit string, ageS float64, why Validity) {
	if len(x.cause.Inputs) < maxExplained {
		x.cause.Inputs = append(x.cause.Inputs, Input{Name: name, Value: math.NaN(), Unit: unit, AgeS: ageS, State: why})
	}
	x.says(strings.ReplaceAll(name, "_", " ")+" "+why.text(), spoken(name)+" "+why.text())
}

func (v Validity) text() string {
	switch v {
	case Absent:
		return "has given no value"
	case Stale:
		return "is stale"
	case OutOfRange:
		return "is out of range"
	case Stuck:
		return "is stuck"
	case Jumped:
		return "jumped"
	case SensorError:
		return "cannot be read"
	case Disagrees:
		return "disagrees"
	case Saturated:
		return "is beyond its range"
	case Partial:
		return "cannot be read at every place"
	case Valid:
		return "is valid"
	}
	return "is unknown"
}

// channel lists one channel against a threshold.
func (x *explainer) channel(c Channel, op string, threshold float64) {
	ageS := x.e.in.ageS(c, x.tMs)
	v, ok := x.e.in.get(c, x.tMs)
	if !ok {
		x.unknown(c.String(), c.Info().Unit, ageS, x.e.in.validity(c, x.tMs))
		return
	}
	x.input(c.String(), v, c.Info().Unit, ageS, op, threshold)
	if x.e.in.validity(c, x.tMs) == Saturated {
		x.texts[len(x.texts)-1] += ", the end of its range"
		x.plain[len(x.plain)-1] += ", the end of its range"
		if n := len(x.cause.Inputs); x.cause.Inputs[n-1].Name == c.String() {
			x.cause.Inputs[n-1].State = Saturated
		}
	}
}

func (b bound) op() string {
	if b.strict {
		return ">"
	}
	return ">="
}

func (b bound) opposite() string {
	if b.strict {
		return "<="
	}
	return "<"
}

// figure lists a window's figure: against the bound that sets the rule when it
// is beyond that, else against the one that clears it.
func (x *explainer) figure(name string, c Channel, f figure, unit string, set, stay bound) {
	ageS := x.e.in.ageS(c, x.tMs)
	if v := x.e.in.validity(c, x.tMs); !v.counts() || !f.ok {
		if v.counts() {
			v = Absent // the channel is there, its past is not
		}
		x.unknown(name, unit, ageS, v)
		return
	}
	switch {
	case set.crossed(f.v):
		x.input(name, f.v, unit, ageS, set.op(), set.v)
	case stay.crossed(f.v):
		x.input(name, f.v, unit, ageS, stay.op(), stay.v)
	default:
		x.input(name, f.v, unit, ageS, stay.opposite(), stay.v)
	}
}

// threshold lists a channel against what set the rule where that holds,
// against what clears it where that does, and else by itself.
func (x *explainer) threshold(c Channel, set bool, setOp string, setAt float64, clearOp string, clearAt float64, stays bool) {
	switch {
	case set:
		x.channel(c, setOp, setAt)
	case !stays:
		x.channel(c, clearOp, clearAt)
	default:
		x.channel(c, "", 0)
	}
}
