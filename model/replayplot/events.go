package replayplot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Events are what a replay wrote, as far as they are drawn.
type Events struct {
	gate   []gateChange
	alerts []alertChange
	scores []score
}

type gateChange struct {
	at    time.Time
	state string
	rules []string
}

type alertChange struct {
	at              time.Time
	action, kind    string
	level, id, rule string
}

type score struct {
	at time.Time
	p  map[string]float64
}

// Limits of an events file.
const (
	maxEventBytes = 1 << 20
	maxEvents     = 5_000_000
)

// ReadEvents reads the JSON lines that `agent replay` writes. It skips an unknown
// type of event. A line that is no event is an error with its number.
func ReadEvents(r io.Reader) (*Events, error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 64<<10), maxEventBytes)
	e := &Events{}
	for n := 1; scan.Scan(); n++ {
		if n > maxEvents {
			return nil, fmt.Errorf("events line %d: more than %d", n, maxEvents)
		}
		if len(bytes.TrimSpace(scan.Bytes())) == 0 {
			continue
		}
		if err := e.add(scan.Bytes()); err != nil {
			return nil, fmt.Errorf("events line %d: %w", n, err)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return e, nil
}

func (e *Events) add(line []byte) error {
	var w struct {
		T      time.Time          `json:"t"`
		Type   string             `json:"type"`
		State  string             `json:"state"`
		Action string             `json:"action"`
		Kind   string             `json:"kind"`
		Level  string             `json:"level"`
		ID     string             `json:"id"`
		P      map[string]float64 `json:"p"`
		Causes []struct {
			Rule  string `json:"rule"`
			Level string `json:"level"`
		} `json:"causes"`
	}
	if err := json.Unmarshal(line, &w); err != nil {
		return err
	}
	var rules []string
	for _, c := range w.Causes {
		rules = append(rules, c.Rule)
	}
	switch w.Type {
	case "gate":
		e.gate = append(e.gate, gateChange{w.T, w.State, rules})
	case "alert":
		first := ""
		if len(rules) > 0 {
			first = rules[0]
		}
		for _, r := range rules[min(1, len(rules)):] {
			first += " " + r
		}
		e.alerts = append(e.alerts, alertChange{w.T, w.Action, w.Kind, w.Level, w.ID, first})
	case "score":
		e.scores = append(e.scores, score{w.T, w.P})
	case "":
		return errors.New("no type: is this what agent replay wrote?")
	}
	return nil
}
