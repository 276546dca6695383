package word

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"fairwatt/model"
	"fairwatt/proto/brief"
)

// A Moment is a time in a list of words: a time of day, or seconds from the start of
// the trace.
type Moment struct {
	UnixMs int64
	AfterS float64 // seconds from the start
	Unix   bool    // UnixMs counts
}

// UnmarshalJSON reads RFC 3339 or a number of seconds.
func (m *Moment) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return brief.Errorf("time %q; use RFC 3339, or seconds from the start", text)
		}
		*m = Moment{UnixMs: t.UnixMilli(), Unix: true}
		return nil
	}
	var s float64
	if err := json.Unmarshal(b, &s); err != nil || !(s >= 0 && s < 1e10) {
		return brief.Errorf("time %q; use RFC 3339, or seconds from the start", b)
	}
	*m = Moment{AfterS: s}
	return nil
}

// At returns the moment on the clock of a trace whose times are Unix times or not,
// and whose first sample is at firstMs. A time of day has no place in a trace
// without one.
func (m Moment) At(firstMs int64, unix bool) (int64, error) {
	switch {
	case m.Unix && !unix:
		return 0, fmt.Errorf("%s: the trace has no time of day; use seconds from its start", time.UnixMilli(m.UnixMs).UTC().Format(time.RFC3339))
	case m.Unix:
		return m.UnixMs, nil
	case unix:
		return firstMs + int64(math.Round(m.AfterS*1000)), nil
	}
	return int64(math.Round(m.AfterS * 1000)), nil
}

// A Line is one word of a list, with its time.
type Line struct {
	T     Moment
	Word  model.Word
	Until *Moment // of a block
}

// line is a Line as it is written.
type line struct {
	T       *Moment `json:"t"`
	Ack     string  `json:"ack"`
	Block   bool    `json:"block"`
	Unblock bool    `json:"unblock"`
	By      string  `json:"by"`
	Why     string  `json:"why"`
	Until   *Moment `json:"until"`
	ForS    float64 `json:"for_s"`
}

// maxLines bounds a list of words.
const maxLines = 10_000

// ReadScript reads words for a replay, one JSON object a line:
//
//	{"t":3600,"ack":"E12","by":"Ada"}
//	{"t":"2026-01-01T12:00:00Z","block":true,"by":"Ada","why":"repair","until":"2026-01-01T14:00:00Z"}
//	{"t":7200,"unblock":true,"by":"Ada"}
//
// Empty lines are passed over. An error names the line.
func ReadScript(r io.Reader) ([]Line, error) {
	var out []Line
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<16)
	for n := 1; s.Scan(); n++ {
		b := bytes.TrimSpace(s.Bytes())
		if len(b) == 0 {
			continue
		}
		l, err := parseLine(b)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if out = append(out, l); len(out) > maxLines {
			return nil, fmt.Errorf("line %d: more than %d words", n, maxLines)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("after %d words: %w", len(out), err)
	}
	return out, nil
}

func parseLine(b []byte) (Line, error) {
	var l line
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return Line{}, err
	}
	out := Line{Word: model.Word{Rule: l.Ack, By: l.By, Why: l.Why}, Until: l.Until}
	said := 0
	for kind, is := range []bool{l.Ack != "", l.Block, l.Unblock} {
		if is {
			out.Word.Kind = model.WordKind(kind)
			said++
		}
	}
	switch {
	case l.T == nil:
		return out, fmt.Errorf("t: missing; use RFC 3339, or seconds from the start")
	case said != 1:
		return out, fmt.Errorf("want one of ack, block and unblock, got %d of them", said)
	case !l.Block && (l.Until != nil || l.ForS != 0):
		return out, fmt.Errorf("until: only a block has an end")
	case !(l.ForS >= 0 && l.ForS < 1e9):
		return out, fmt.Errorf("for_s: %v; use seconds above 0", l.ForS)
	}
	out.T, out.Word.ForMs = *l.T, int64(math.Round(l.ForS*1000))
	return out, nil
}
