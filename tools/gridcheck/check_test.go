package main

import (
	"slices"
	"strings"
	"testing"
)

func good() report {
	var r report
	r.Epochs, r.Money, r.Energy, r.Chain = 3, true, true, true
	r.Contactors = new(int)
	return r
}

func TestAlways(t *testing.T) {
	if err := always(good()); err != nil {
		t.Errorf("a good report: %v", err)
	}
	for want, spoil := range map[string]func(*report){
		"2 or more epochs": func(r *report) { r.Epochs = 1 },
		"nothing dropped":  func(r *report) { r.Dropped = 1 },
		"money conserved":  func(r *report) { r.Money, r.Problems = false, []string{"a coin is missing"} },
		"energy conserved": func(r *report) { r.Energy = false },
		"chain verified":   func(r *report) { r.Chain = false },
		"no contactor is closed while its gate is not open": func(r *report) { *r.Contactors = 1 },
		"no contactor is closed":                            func(r *report) { r.Contactors = nil }, // the relays were not asked
	} {
		r := good()
		spoil(&r)
		err := always(r)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if len(r.Problems) > 0 && !strings.Contains(err.Error(), r.Problems[0]) {
			t.Errorf("error %v does not say why", err)
		}
	}
}

// Each scenario's own check refuses a report in which nothing happened.
func TestScenariosRefuseAnEmptyReport(t *testing.T) {
	for _, s := range scenarios {
		if s.check(good()) == nil {
			t.Errorf("%s: a run in which nothing settles is in order", s.name)
		}
	}
}

func TestAlterations(t *testing.T) {
	lines := []string{"genesis", `{"block":"AAAA"}`, `{"block":"BBBB"}`}
	if got := swapped(lines, 1, 2); !slices.Equal(got, []string{lines[0], lines[2], lines[1]}) {
		t.Errorf("swapped: %q", got)
	}
	if got := altered(lines, 1, `"block":"`); got[1] != `{"block":"AABA"}` || got[2] != lines[2] {
		t.Errorf("altered: %q", got)
	}
	if got := altered(lines, 2, `"block":"`); got[2] != `{"block":"BBAB"}` {
		t.Errorf("altered: %q", got)
	}
	if !slices.Equal(lines, []string{"genesis", `{"block":"AAAA"}`, `{"block":"BBBB"}`}) {
		t.Errorf("the original changed: %q", lines)
	}
}
