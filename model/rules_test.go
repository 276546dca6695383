package model

import (
	"slices"
	"testing"
)

// The table fits a RuleSet with a network that scores every kind, INIT stands
// first, and no two rules share a place: the order of causes is fixed.
func TestTableFits(t *testing.T) {
	var kinds []Kind
	for k := range NumKinds {
		kinds = append(kinds, k)
	}
	table := inPlace(slices.Concat(rules, networkRules(kinds)))
	if n := len(table); n > maxRules {
		t.Errorf("%d rules, a RuleSet holds %d", n, maxRules)
	}
	if table[ruleInit].id != "INIT" {
		t.Errorf("the first rule is %s", table[ruleInit].id)
	}
	for i := 1; i < len(table); i++ {
		if table[i].place <= table[i-1].place {
			t.Errorf("%s and %s stand at %d and %d", table[i-1].id, table[i].id, table[i-1].place, table[i].place)
		}
	}
	if last := RuleSet(0).With(maxRules - 1); !last.Has(maxRules-1) || last.Has(0) || last == 0 {
		t.Errorf("the last rule gives the set %b", last)
	}
}

// The order of the causes in an event is that of the rule table, which events
// written before depend on.
func TestOrderOfCauses(t *testing.T) {
	want := []string{
		"INIT", "B01", "E16", "S01", "S03", "S04", "E01", "E02", "E04", "E08", "E13", "E15", "E03", "E05", "E06", "E07", "E09", "E10", "E11", "E12",
		"E14", "P01", "T02", "E17", "E18", "S02", "W07", "W03", "W04", "W05", "W06", "T01", "W01", "W02", "W08", "W10", "M00",
		"M-thunderstorm", "M-wind", "W09",
	}
	var got []string
	for _, r := range inPlace(manualRules()) {
		got = append(got, r.id)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table is %v, want %v", got, want)
	}
}

type kindsScorer struct {
	fakeScorer
	kinds []Kind
}

func (s *kindsScorer) Kinds() []Kind { return s.kinds }

// Only the kinds that a network says it scores have a rule.
func TestRulesOfTheKindsANetworkScores(t *testing.T) {
	r := newRig(t, &kindsScorer{kinds: []Kind{KindHeat}}, nil)
	var got []string
	for i := range r.j.rules {
		if r.j.rules[i].network {
			got = append(got, r.j.rules[i].id)
		}
	}
	if !slices.Equal(got, []string{"M00", "M-heat"}) {
		t.Errorf("a network for heat has the rules %v", got)
	}
	for _, kinds := range [][]Kind{{NumKinds}, {KindWind, KindHeat, KindWind}} {
		if _, err := NewJudge(DefaultConfig(), &kindsScorer{kinds: kinds}); err == nil {
			t.Errorf("a network of the kinds %v was accepted", kinds)
		}
	}
}

// A channel is guarded where a rule that may block looks at it. One that only warns
// makes no channel one that needs a witness of the site's own.
func TestGuardsAreOfRulesThatBlock(t *testing.T) {
	t.Parallel()
	for c, want := range map[Channel]bool{WindGustMPS: true, VoltageV: true, THDPct: false, THDAPct: false} {
		if Guards(c) != want {
			t.Errorf("%v: guarded %v", c, Guards(c))
		}
	}
}
