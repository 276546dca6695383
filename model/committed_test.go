package model_test

import (
	"path/filepath"
	"slices"
	"testing"

	"fairwatt/model"
)

// The committed, generated days must be judged as what they are.
func TestReplayCommittedTraces(t *testing.T) {
	for name, want := range map[string][]string{
		"calm":          nil,
		"calm-hourly":   nil,
		"sag":           {"E01"},
		"squall":        {"W03", "W06"},
		"squall-hourly": {"W03"},
		"storm":         {"W03"},
		"storm-hourly":  {"W03"},
	} {
		t.Run(name, func(t *testing.T) {
			r := replay(t, filepath.Join("..", "configs", "traces", name+".csv"), nil)
			checkReasons(t, &r)
			var blocked []string
			for _, e := range r.events {
				for _, c := range e.Causes {
					if e.Type == model.EventGate && e.State == model.StateBlocked && c.Rule != "INIT" && !slices.Contains(blocked, c.Rule) {
						blocked = append(blocked, c.Rule)
					}
				}
			}
			for _, rule := range want {
				if !slices.Contains(blocked, rule) {
					t.Errorf("never blocked by %s", rule)
				}
			}
			if want == nil && blocked != nil {
				t.Errorf("a calm day was blocked by %v", blocked)
			}
			if e := r.at(r.lastMs); want == nil && e.State != model.StateOpen {
				t.Errorf("%s: want OPEN at the end", e.AppendJSON(nil))
			}
			t.Logf("blocked by %v; %s", blocked, r.summary.AppendJSON(nil))
		})
	}
}
