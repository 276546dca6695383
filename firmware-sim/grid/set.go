package grid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/brief"
)

// applySet takes what Set says of settlement, credit, tree, answers, excuses and mechanism over into the
// fields that hold it, and leaves the numbers.
func (c *Config) applySet() error {
	left := make([]string, 0, len(c.Set))
	for _, one := range c.Set {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" || value == "" {
			return fmt.Errorf("set: %s, want NAME=VALUE with a name of the genesis, as credit=paper", brief.Quote(one))
		}
		switch name {
		case "settlement":
			c.Settlement = value
		case "credit":
			c.Credit = value
		case "excuses":
			c.Excuses = value
		case "tree":
			c.Tree = value
		case "answers":
			c.Answers = value
		case "mechanism":
			c.Mechanism = value
		default:
			left = append(left, one)
		}
	}
	c.Set = left
	return nil
}

// params are the numbers of the genesis: the grid's, with those that Set changes.
func (c *Config) params() (ledger.Params, error) {
	p := c.suited(gridParams(c))
	known, err := json.Marshal(&p)
	if err != nil {
		return p, fmt.Errorf("set: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(known, &fields); err != nil {
		return p, fmt.Errorf("set: %w", err)
	}
	for _, one := range c.Set {
		name, value, _ := strings.Cut(one, "=")
		if was, ok := fields[name]; !ok {
			return p, fmt.Errorf("set: %s is no number of this genesis, want one of %s", brief.Quote(name), strings.Join(numbers(fields), ", "))
		} else if _, number := was.(float64); !number {
			return p, fmt.Errorf("set: %s is chosen by other flags", brief.Quote(name))
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return p, fmt.Errorf("set: %s=%s, want a whole number", name, brief.Quote(value))
		}
		change, err := json.Marshal(map[string]int64{name: n})
		if err != nil {
			return p, fmt.Errorf("set: %w", err)
		}
		d := json.NewDecoder(bytes.NewReader(change))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil {
			return p, fmt.Errorf("set: %s=%s: %w", name, brief.Quote(value), err)
		}
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("set: %w", err)
	}
	return p, nil
}

// numbers lists the fields that are numbers.
func numbers(fields map[string]any) (names []string) {
	for name, v := range fields {
		if _, ok := v.(float64); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
