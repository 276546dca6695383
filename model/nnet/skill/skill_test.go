package skill

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestRanking(t *testing.T) {
	for _, tt := range []struct {
		name    string
		p       []float64
		label   []bool
		auc, ap float64
	}{
		{"perfect", []float64{.9, .8, .2, .1}, []bool{true, true, false, false}, 1, 1},
		{"reversed", []float64{.1, .2, .8, .9}, []bool{true, true, false, false}, 0, (1.0/3 + 2.0/4) / 2},
		{"all tied", []float64{.5, .5, .5, .5}, []bool{true, false, false, false}, .5, .25},
		// scikit-learn's example: roc_auc_score 0.75, average_precision_score 0.8333.
		{"mixed", []float64{.1, .4, .35, .8}, []bool{false, false, true, true}, .75, 5.0 / 6},
	} {
		if got := AUC(tt.p, tt.label); math.Abs(got-tt.auc) > 1e-12 {
			t.Errorf("%s: AUC %g, want %g", tt.name, got, tt.auc)
		}
		if got := AveragePrecision(tt.p, tt.label); math.Abs(got-tt.ap) > 1e-12 {
			t.Errorf("%s: AP %g, want %g", tt.name, got, tt.ap)
		}
	}
	if !math.IsNaN(AUC([]float64{1}, []bool{true})) || !math.IsNaN(AveragePrecision([]float64{1}, []bool{false})) {
		t.Error("one class alone has no ranking")
	}
	if got := Brier([]float64{1, .5}, []bool{true, false}); got != .125 {
		t.Errorf("Brier %g", got)
	}
}

// The AUC by ranks is the share of ordered pairs, counted one by one.
func TestAUCAgainstPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "n")
		p, label := make([]float64, n), make([]bool, n)
		for i := range p {
			p[i] = float64(rapid.IntRange(0, 8).Draw(t, "p"))
			label[i] = rapid.Bool().Draw(t, "label")
		}
		sum, pairs := 0.0, 0.0
		for i := range p {
			for j := range p {
				if label[i] && !label[j] {
					pairs++
					switch {
					case p[i] > p[j]:
						sum++
					case p[i] == p[j]:
						sum += 0.5
					}
				}
			}
		}
		got := AUC(p, label)
		if pairs == 0 {
			if !math.IsNaN(got) {
				t.Fatalf("AUC %g without pairs", got)
			}
		} else if math.Abs(got-sum/pairs) > 1e-9 {
			t.Fatalf("AUC %g, by pairs %g", got, sum/pairs)
		}
	})
}

func hours(p ...float64) (t Track) {
	for i, v := range p {
		t.TimeMs = append(t.TimeMs, int64(i)*HourMs)
		t.P = append(t.P, v)
	}
	return t
}

func TestJudge(t *testing.T) {
	//           0  1  2  3  4  5  6  7  8  9 10 11 12
	tr := hours(0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	tr.Onset = []int64{4 * HourMs, 12*HourMs + 1}
	a := Judge([]Track{tr}, 0.5, 3*HourMs)
	if a.Events != 2 || a.Caught != 1 || a.Alarms != 2 || a.FalseAlarms != 1 || a.AlarmHours != 3 {
		t.Errorf("%+v", a)
	}
	if a.LeadQuantileMs(0.5) != 3*HourMs {
		t.Errorf("lead %d ms, want 3 h", a.LeadQuantileMs(0.5))
	}
	if got := a.FalseAlarmsPerSiteDay(); math.Abs(got-24.0/13) > 1e-12 {
		t.Errorf("%g false alarms a site-day", got)
	}
	// An event that no row precedes cannot be foretold and does not count.
	tr.Onset = []int64{100 * HourMs}
	if a := Judge([]Track{tr}, 0.5, 3*HourMs); a.Events != 0 || a.FalseAlarms != 2 {
		t.Errorf("%+v", a)
	}
}

func TestThresholdKeepsTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := hours(rapid.SliceOfN(rapid.Float64Range(0, 1), 24, 400).Draw(t, "p")...)
		budget := rapid.Float64Range(0.01, 3).Draw(t, "budget")
		th := ThresholdFor([]Track{tr}, budget, 3*HourMs)
		if got := Judge([]Track{tr}, th, 3*HourMs).FalseAlarmsPerSiteDay(); got > budget {
			t.Fatalf("threshold %g: %g false alarms a site-day, budget %g", th, got, budget)
		}
	})
}
