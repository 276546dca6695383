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

// Bootstrap draws whole blocks with replacement (rows of one day hang
// together: 24 rows are not 24 samples) and returns the central 90 % of AUC and
// average precision over draws. block numbers each row's block. It is
// deterministic; NaN where every draw lacks a kind of row.
func Bootstrap(p []float64, label []bool, block []int, draws int) (auc, ap Interval) {
	members := map[int][]int{}
	var names []int
	for i, b := range block {
		if _, ok := members[b]; !ok {
			names = append(names, b)
		}
		members[b] = append(members[b], i)
	}
	rng := rand.New(rand.NewPCG(20261123, 1))
	var aucs, aps []float64
	bp, bl := make([]float64, 0, len(p)), make([]bool, 0, len(p))
	for range draws {
		bp, bl = bp[:0], bl[:0]
		for range names {
			for _, i := range members[names[rng.IntN(len(names))]] {
				bp, bl = append(bp, p[i]), append(bl, label[i])
			}
		}
		if a := AUC(bp, bl); !math.IsNaN(a) {
			aucs, aps = append(aucs, a), append(aps, AveragePrecision(bp, bl))
		}
	}
	return central(aucs), central(aps)
}

func central(v []float64) Interval {
	if len(v) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	slices.Sort(v)
	at := func(q float64) float64 { return v[int(math.Round(q*float64(len(v)-1)))] }
	return Interval{at(0.05), at(0.95)}
}
