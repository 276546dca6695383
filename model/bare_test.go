package model

import "testing"

// bare is evidence without a judge: a test sets what its rules look at.
type bare struct {
	*evidence
	t testing.TB
}

const bareMs = 50_000_000 // the present moment of a bare evidence

func newBare(t testing.TB, change func(*Config)) bare {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SetNominal(230, 50)
	if change != nil {
		change(&cfg)
	}
	limits, err := cfg.GridLimits()
	if err != nil {
		t.Fatal(err)
	}
	e := newEvidence(&cfg, limits)
	return bare{&e, t}
}

// set gives channels values read at this moment.
func (b bare) set(values map[Channel]float64) bare {
	for c, v := range values {
		b.in.r[c] = reading{value: v, measuredMs: bareMs, seen: true, state: Valid, fresh: true}
	}
	return b
}

// lose makes a channel unusable; its last value stays in memory.
func (b bare) lose(c Channel) bare {
	b.in.r[c].state, b.in.r[c].fresh = SensorError, false
	return b
}

// judge evaluates one rule of the table.
func (b bare) judge(id string, was Level) Level {
	b.t.Helper()
	i, ok := ruleIndex(rules, id)
	if !ok {
		b.t.Fatalf("no rule %s", id)
	}
	return rules[i].evaluate(b.evidence, bareMs, was)
}
