package scenario

import (
	"slices"
	"testing"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// TestJudgementOfCommittedTraces runs the shipped traces through the judgement:
// each scenario meets the rule that it was made for and no other hazard, and
// its gate is open before and after.
func TestJudgementOfCommittedTraces(t *testing.T) {
	allowed := map[string][]string{ // the first is a must
		Squall: {"W03", "W06", "W01"}, Sag: {"E01"}, Storm: {"W03", "W05"},
		Cyclone: {"W08", "W03", "W05"}, HotBearing: {"E13", "T02"}, MeterDrift: {"E16"},
	}
	for file, o := range committed() {
		tr := mustNew(t, o)
		cfg := model.DefaultConfig()
		trace.Configure(&cfg, tr.Meta, tr.Channels)
		cfg.Position = &model.Position{Latitude: tr.Meta.Latitude, Longitude: tr.Meta.Longitude}
		judge, err := model.NewJudge(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		var rules []string
		var openHours, firstBlock float64
		openLast, wasOpen := false, false
		for i := range tr.Rows {
			judge.Step(&tr.Rows[i].Sample)
			v := judge.View()
			openLast = v.State == model.StateOpen
			if openLast {
				openHours += o.Interval.Hours()
				wasOpen = true
			}
			if !wasOpen {
				continue // warming up
			}
			for _, c := range v.Causes {
				if c.Level != model.LevelBlock {
					continue
				}
				if firstBlock == 0 {
					firstBlock = float64(i+1) * o.Interval.Hours()
				}
				if !slices.Contains(rules, c.Rule) {
					rules = append(rules, c.Rule)
				}
			}
		}
		t.Logf("%s: open %.1f h, blocked first at %.1f h by %v", file, openHours, firstBlock, rules)
		want := allowed[o.Name]
		if len(want) > 0 && !slices.Contains(rules, want[0]) {
			t.Errorf("%s: blocked by %v, want %s", file, rules, want[0])
		}
		for _, r := range rules {
			if !slices.Contains(want, r) {
				t.Errorf("%s: blocked by %s too", file, r)
			}
		}
		if !openLast || openHours < o.Span.Hours()/2 {
			t.Errorf("%s: open %.1f h, and at the end %v", file, openHours, openLast)
		}
	}
}
