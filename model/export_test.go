package model

import (
	"fmt"
	"slices"
	"strings"
)

// What the manual's page of rules is written from.

// RuleInfo describes one rule.
type RuleInfo struct {
	ID       string
	Kind     Kind
	Level    Level // the highest it may reach
	Source   string
	Needs    [][]Channel // of every group at least one channel
	Settings []string    // names of the settings it reads, as in Config's YAML
}

// manualRules is the table with the rules of the shipped network; a test of
// model/nnet compares the page with what that network scores.
func manualRules() []rule {
	return slices.Concat(rules, networkRules([]Kind{KindThunderstorm, KindWind}))
}

// Rules lists the rule table.
func Rules() []RuleInfo {
	var out []RuleInfo
	for _, r := range manualRules() {
		out = append(out, RuleInfo{r.id, r.kind, r.level, r.source, r.needs, strings.Fields(r.settings)})
	}
	return out
}

// HoldS returns the clear time of a rule under a configuration: how long it
// stands after its condition is over.
func (c *Config) HoldS(ruleID string) (float64, error) {
	table := manualRules()
	i, ok := ruleIndex(table, ruleID)
	if !ok {
		return 0, fmt.Errorf("no rule %q", ruleID)
	}
	limits, err := c.GridLimits()
	if err != nil {
		return 0, err
	}
	e := newEvidence(c, limits)
	return table[i].holdS(&e), nil
}

// NoChannel lists the rules that no channel can feed at any site.
func NoChannel() []Unserved { return noChannel() }
