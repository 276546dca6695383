package skill

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestBrierSkill(t *testing.T) {
	label := []bool{true, false, false, false}
	if got := BrierSkill([]float64{.25, .25, .25, .25}, label); math.Abs(got) > 1e-12 {
		t.Errorf("the base rate has skill %g", got)
	}
	if got := BrierSkill([]float64{1, 0, 0, 0}, label); got != 1 {
		t.Errorf("a perfect forecast has skill %g", got)
	}
}

func TestReliability(t *testing.T) {
	bins := Reliability([]float64{.9, .1, .2, .8}, []bool{true, false, true, true}, 2)
	if len(bins) != 2 || math.Abs(bins[0].Mean-.15) > 1e-12 || bins[0].Frequency != .5 || bins[1].Frequency != 1 || bins[1].Rows != 2 {
		t.Errorf("%+v", bins)
	}
}

// Rows copied 24 times in a block carry no more than one: the interval by block
// is wider than by row and holds the truth.
func TestBootstrapByBlockIsWider(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var p []float64
	var label []bool
	var byDay, byRow []int
	for d := range 60 {
		l := d%6 == 0
		v := rng.NormFloat64()
		if l {
			v++
		}
		for range 24 {
			p, label = append(p, v), append(label, l)
			byDay, byRow = append(byDay, d), append(byRow, len(byRow))
		}
	}
	day, _ := Bootstrap(p, label, byDay, 200)
	row, _ := Bootstrap(p, label, byRow, 200)
	if auc := AUC(p, label); day.High-day.Low < 2*(row.High-row.Low) || auc < day.Low || auc > day.High {
		t.Errorf("by day %+v, by row %+v, AUC %.3f", day, row, auc)
	}
	if again, _ := Bootstrap(p, label, byDay, 200); again != day {
		t.Error("not deterministic")
	}
}
