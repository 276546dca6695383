package model

import (
	"encoding/json"
	"math"
	"strconv"
)

// An Input is one measured quantity behind a cause, with what it was compared
// to. Op is the comparison that made the cause (">=", "<", ...); it is empty
// where nothing was compared, as for an input that is missing.
type Input struct {
	Name      string
	Value     float64 // NaN when there is no usable value
	Unit      string
	AgeS      float64 // how long before the event it was measured
	Threshold float64
	Op        string
	State     Validity // Valid, or why the input cannot be used
}

// A Cause is one reason for the gate's state or an alert: the rule, what it
// saw, and a sentence for people that names the inputs.
type Cause struct {
	Rule    string
	Kind    Kind
	Level   Level
	Latched bool // needs Ack before it can go
	Holding bool // the condition is over; its clear time still runs
	Text    string
	Inputs  []Input

	// For people; events do not carry it. Title says what the cause is, Says what
	// was measured and its limit, Ends what ends it.
	Title, Says, Ends string
	StandsMs          int64 // since when it stands; -1: since before the start
	EndsInMs          int64 // when it ends by itself; -1: that is not known
	// Person is the command by which a named person ends it; empty: none does.
	Person string
	// ClearsInMs is how long it holds the gate at least; -1: until a person or a
	// sample comes.
	ClearsInMs int64
}

// AppendJSON appends the cause as one JSON object. It uses no reflection and
// formats numbers the same way on every architecture.
func (c *Cause) AppendJSON(b []byte) []byte {
	b = append(b, `{"rule":`...)
	b = appendString(b, c.Rule)
	b = append(b, `,"kind":`...)
	b = appendString(b, c.Kind.String())
	b = append(b, `,"level":`...)
	b = appendString(b, c.Level.String())
	b = append(b, `,"latched":`...)
	b = strconv.AppendBool(b, c.Latched)
	if c.Holding {
		b = append(b, `,"holding":true`...)
	}
	b = append(b, `,"text":`...)
	b = appendString(b, c.Text)
	b = append(b, `,"inputs":[`...)
	for i := range c.Inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.Inputs[i].appendJSON(b)
	}
	return append(b, "]}"...)
}

// MarshalJSON implements json.Marshaler.
func (c Cause) MarshalJSON() ([]byte, error) { return c.AppendJSON(nil), nil }

func (in *Input) appendJSON(b []byte) []byte {
	b = append(b, `{"name":`...)
	b = appendString(b, in.Name)
	b = append(b, `,"value":`...)
	b = appendNumber(b, in.Value)
	b = append(b, `,"unit":`...)
	b = appendString(b, in.Unit)
	b = append(b, `,"age_s":`...)
	b = appendNumber(b, in.AgeS)
	if in.Op != "" {
		b = append(b, `,"op":`...)
		b = appendString(b, in.Op)
		b = append(b, `,"threshold":`...)
		b = appendNumber(b, in.Threshold)
	}
	if in.State != Valid {
		b = append(b, `,"state":`...)
		b = appendString(b, in.State.String())
	}
	return append(b, '}')
}

// appendNumber writes v with at most three decimals and no trailing zeros, so
// that a difference in the last bits never shows; NaN and Inf become null.
func appendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	start := len(b)
	b = strconv.AppendFloat(b, v, 'f', 3, 64)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	if string(b[start:]) == "-0" {
		b = append(b[:start], '0')
	}
	return b
}

// appendString quotes s. Rule ids, names and texts are plain ASCII, which is
// copied as it is; anything else takes encoding/json's way.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always marshals; say so rather than lose it
				return append(b, `"unprintable"`...)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
