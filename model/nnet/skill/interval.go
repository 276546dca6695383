package skill

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// BrierSkill is 1 - Brier / Brier of the constant base rate: 0 for a forecast
// that says the base rate every hour, 1 for a perfect one. The base rate is
// that of the judged rows themselves, the hardest constant.
func BrierSkill(p []float64, label []bool) float64 {
	b := BaseRate(label)
	return 1 - Brier(p, label)/(b*(1-b))
}

// A Bin is one point of a reliability diagram.
type Bin struct {
	Rows      int     `json:"rows"`
	Mean      float64 `json:"mean"`      // of the probabilities
	Frequency float64 `json:"frequency"` // of the outcome
}

// Reliability sorts the rows by probability into n bins of equal numbers of
// rows: hazards are rare, and bins of equal width would leave nine of ten
// empty. Equal probabilities may be parted.
func Reliability(p []float64, label []bool, n int) []Bin {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	var out []Bin
	for k := range n {
		var b Bin
		for _, i := range order[k*len(order)/n : (k+1)*len(order)/n] {
			b.Rows++
			b.Mean += p[i]
			if label[i] {
				b.Frequency++
			}
		}
		if b.Rows > 0 {
			b.Mean /= float64(b.Rows)
			b.Frequency /= float64(b.Rows)
			out = append(out, b)
		}
	}
	return out
}

// An Interval is the central 90 % of a bootstrap.
type Interval struct{ Low, High float64 }

// CalibrationError is the expected calibration error: the mean distance of what was
// said from what came over the bins of Reliability, weighted by their rows.
func CalibrationError(p []float64, label []bool, bins int) float64 {
	sum := 0.0
	for _, b := range Reliability(p, label, bins) {
		sum += float64(b.Rows) * math.Abs(b.Mean-b.Frequency)
	}
	return sum / float64(len(p))
}

// Bootstrap draws whole blocks with replacement (rows of one day hang
// together: 24 rows are not 24 samples) and returns the central 90 % of AUC and
// average precision over draws. block numbers each row's block. It is
// deterministic; NaN where every draw lacks a kind of row.
func Bootstrap(p []float64, label []bool, block []int, draws int) (auc, ap Interval) {
	var aucs, aps []float64
	resample(label, block, draws, [][]float64{p}, func(q [][]float64, l []bool) {
		aucs, aps = append(aucs, AUC(q[0], l)), append(aps, AveragePrecision(q[0], l))
	})
	return central(aucs), central(aps)
}

// BootstrapDifference is Bootstrap for how much p is better than o on the same rows.
func BootstrapDifference(p, o []float64, label []bool, block []int, draws int) (auc, ap Interval) {
	var aucs, aps []float64
	resample(label, block, draws, [][]float64{p, o}, func(q [][]float64, l []bool) {
		aucs = append(aucs, AUC(q[0], l)-AUC(q[1], l))
		aps = append(aps, AveragePrecision(q[0], l)-AveragePrecision(q[1], l))
	})
	return central(aucs), central(aps)
}

// resample hands each draw that has both kinds of rows to use.
func resample(label []bool, block []int, draws int, scores [][]float64, use func([][]float64, []bool)) {
	members := map[int][]int{}
	var names []int
	for i, b := range block {
		if _, ok := members[b]; !ok {
			names = append(names, b)
		}
		members[b] = append(members[b], i)
	}
	rng := rand.New(rand.NewPCG(20261123, 1))
	drawn, l := make([][]float64, len(scores)), make([]bool, 0, len(label))
	for range draws {
		for k := range drawn {
			drawn[k] = drawn[k][:0]
		}
		l = l[:0]
		for range names {
			for _, i := range members[names[rng.IntN(len(names))]] {
				for k := range drawn {
					drawn[k] = append(drawn[k], scores[k][i])
				}
				l = append(l, label[i])
			}
		}
		if b := BaseRate(l); b > 0 && b < 1 {
			use(drawn, l)
		}
	}
}

func central(v []float64) Interval {
	if len(v) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	slices.Sort(v)
	at := func(q float64) float64 { return v[int(math.Round(q*float64(len(v)-1)))] }
	return Interval{at(0.05), at(0.95)}
}
