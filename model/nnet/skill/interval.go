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
	r := rank(p)
	var aucs, aps []float64
	resample(label, block, draws, func(weight []float64) {
		u, v := r.skill(label, weight)
		aucs, aps = append(aucs, u), append(aps, v)
	})
	return central(aucs), central(aps)
}

// BootstrapDifference is Bootstrap for how much p is better than o on the same rows.
func BootstrapDifference(p, o []float64, label []bool, block []int, draws int) (auc, ap Interval) {
	r, other := rank(p), rank(o)
	var aucs, aps []float64
	resample(label, block, draws, func(weight []float64) {
		u, v := r.skill(label, weight)
		ou, ov := other.skill(label, weight)
		aucs, aps = append(aucs, u-ou), append(aps, v-ov)
	})
	return central(aucs), central(aps)
}

// resample tells each draw that has both kinds of rows how often it holds each row.
func resample(label []bool, block []int, draws int, use func(weight []float64)) {
	number := map[int]int{}
	of := make([]int, len(block))
	for i, b := range block {
		k, ok := number[b]
		if !ok {
			k = len(number)
			number[b] = k
		}
		of[i] = k
	}
	rng := rand.New(rand.NewPCG(20261123, 1))
	times, weight := make([]float64, len(number)), make([]float64, len(block))
	for range draws {
		clear(times)
		for range times {
			times[rng.IntN(len(times))]++
		}
		pos, neg := 0.0, 0.0
		for i, k := range of {
			weight[i] = times[k]
			if label[i] {
				pos += weight[i]
			} else {
				neg += weight[i]
			}
		}
		if pos > 0 && neg > 0 {
			use(weight)
		}
	}
}

// A ranking is rows in falling order of their score, cut where it changes. Rows are
// sorted once and weighed in each draw.
type ranking struct {
	order []int
	ends  []int // one past the last row of equal scores
}

func rank(p []float64) ranking {
	r := ranking{order: make([]int, len(p))}
	for i := range r.order {
		r.order[i] = i
	}
	slices.SortStableFunc(r.order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	for k := range r.order {
		if k+1 == len(p) || p[r.order[k]] != p[r.order[k+1]] {
			r.ends = append(r.ends, k+1)
		}
	}
	return r
}

// skill is AUC and AveragePrecision of rows that count as often as their weight.
func (r ranking) skill(label []bool, weight []float64) (auc, ap float64) {
	var pos, neg, above, sum float64
	from := 0
	for _, to := range r.ends {
		dp, dn := 0.0, 0.0
		for _, i := range r.order[from:to] {
			if label[i] {
				dp += weight[i]
			} else {
				dn += weight[i]
			}
		}
		from = to
		above += dn * (pos + dp/2)
		pos += dp
		neg += dn
		if dp > 0 {
			sum += dp * pos / (pos + neg)
		}
	}
	return above / (pos * neg), sum / pos
}

func central(v []float64) Interval {
	if len(v) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	slices.Sort(v)
	at := func(q float64) float64 { return v[int(math.Round(q*float64(len(v)-1)))] }
	return Interval{at(0.05), at(0.95)}
}
