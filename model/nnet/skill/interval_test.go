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

func TestCalibrationError(t *testing.T) {
	// Two bins: says .1 and a fifth comes; says .6 and all come.
	p, label := make([]float64, 20), make([]bool, 20)
	for i := range p {
		p[i], label[i] = 0.1, i < 2
		if i >= 10 {
			p[i], label[i] = 0.6, true
		}
	}
	if got, want := CalibrationError(p, label, 2), (0.1+0.4)/2; math.Abs(got-want) > 1e-12 {
		t.Errorf("error %g, want %g", got, want)
	}
}

// A score that is better everywhere is so in every draw; against itself it is even.
func TestBootstrapOfADifference(t *testing.T) {
	good, bad, label, block := make([]float64, 400), make([]float64, 400), make([]bool, 400), make([]int, 400)
	for i := range good {
		label[i], block[i] = i%10 == 0, i/20
		bad[i] = float64(i * 7 % 400)
		if good[i] = bad[i] / 1000; label[i] {
			good[i]++
		}
	}
	if auc, ap := BootstrapDifference(good, bad, label, block, 100); !(auc.Low > 0.2) || !(ap.Low > 0.5) {
		t.Errorf("gains %+v and %+v", auc, ap)
	}
	if auc, ap := BootstrapDifference(good, good, label, block, 100); auc != (Interval{}) || ap != (Interval{}) {
		t.Errorf("against itself %+v and %+v", auc, ap)
	}
}

// Rows that count as often as their weight are those rows so many times.
func TestWeighedSkillIsThatOfRepeatedRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		n := 2 + rng.IntN(40)
		p, label, weight := make([]float64, n), make([]bool, n), make([]float64, n)
		var rp []float64
		var rl []bool
		for i := range p {
			p[i], label[i], weight[i] = float64(rng.IntN(6)), rng.IntN(3) == 0, float64(rng.IntN(4))
			for range int(weight[i]) {
				rp, rl = append(rp, p[i]), append(rl, label[i])
			}
		}
		if b := BaseRate(rl); !(b > 0 && b < 1) {
			continue
		}
		auc, ap := rank(p).skill(label, weight)
		if math.Abs(auc-AUC(rp, rl)) > 1e-12 || math.Abs(ap-AveragePrecision(rp, rl)) > 1e-12 {
			t.Fatalf("%v %v %v: %g and %g, want %g and %g", p, label, weight, auc, ap, AUC(rp, rl), AveragePrecision(rp, rl))
		}
	}
}
