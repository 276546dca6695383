package stretch

import "math"

// Options are what a recording's resolution decides.
type Options struct {
	// Tolerance is the difference that counts as none, as a share of the largest
	// magnitude compared, and TolAbs in the series' own unit.
	Tolerance float64
	TolAbs    float64
	// StaleRun is how many equal samples in a row are stale.
	StaleRun int
	// LineRun is how many samples between two measured ones must lie on their
	// straight line. Quantised readings often have one or two by chance.
	LineRun int
}

// Default suits readings of six or more significant digits at intervals of
// minutes: six equal samples are stale (the window of pvanalytics), three
// samples on a line between two others are drawn.
func Default() Options { return Options{Tolerance: 1e-7, TolAbs: 1e-10, StaleRun: 6, LineRun: 3} }

// near says whether d is negligible against values of magnitude m.
func (o Options) near(d, m float64) bool { return math.Abs(d) <= o.TolAbs+o.Tolerance*m }

// Stale marks every sample of each run of at least o.StaleRun equal values
// other than zero. A gap ends a run.
func Stale(v []float64, o Options) []bool {
	out := make([]bool, len(v))
	for i := 0; i < len(v); {
		j := i + 1
		for j < len(v) && o.near(v[j]-v[i], math.Abs(v[i])) {
			j++
		}
		if j-i >= o.StaleRun && !o.near(v[i], 0) {
			mark(out, i, j)
		}
		i = j // NaN is equal to nothing: its run has length 1
	}
	return out
}

// Interpolated marks the samples strictly inside each straight line of at
// least o.LineRun samples between its two ends, when the line has a slope. The
// ends were measured and are not marked.
func Interpolated(v []float64, o Options) []bool {
	out := make([]bool, len(v))
	for i := 1; i+1 < len(v); {
		j := i
		for j+1 < len(v) && o.onLine(v, j) {
			j++
		}
		// v[i..j-1] are collinear with their neighbours v[i-1] and v[j].
		if j-i >= o.LineRun {
			mark(out, i, j)
		}
		i = max(j, i+1)
	}
	return out
}

// onLine says whether sample i lies on the sloping line of its neighbours.
func (o Options) onLine(v []float64, i int) bool {
	a, b, c := v[i-1], v[i], v[i+1]
	m := max(math.Abs(a), math.Abs(b), math.Abs(c))
	// A slope below the rounding of the values cannot be told from rest.
	return o.near(a-b-(b-c), m) && math.Abs(c-a) > o.TolAbs+o.Tolerance*m
}

// PlainStale is the yardstick: a sample is stale when it and the run-1 samples
// before it are equal within 1e-5, marking all but the first of them, as
// pvanalytics does; zero is left out here too.
func PlainStale(v []float64, run int) []bool {
	out := make([]bool, len(v))
	equal := 0
	for i := 1; i < len(v); i++ {
		if math.Abs(v[i]-v[i-1]) <= 1e-8+1e-5*math.Abs(v[i-1]) && v[i] != 0 {
			equal++
		} else {
			equal = 0
		}
		if equal >= run-1 {
			mark(out, i-run+2, i+1)
		}
	}
	return out
}

// PlainInterpolated is the yardstick: the differences of run samples are equal
// within 1e-5 and not zero; all samples but the first are marked.
func PlainInterpolated(v []float64, run int) []bool {
	out := make([]bool, len(v))
	equal := 0
	for i := 2; i < len(v); i++ {
		d, before := v[i]-v[i-1], v[i-1]-v[i-2]
		if math.Abs(d-before) <= 1e-8+1e-5*math.Abs(before) && math.Abs(d) > 1e-8 {
			equal++
		} else {
			equal = 0
		}
		if equal >= run-2 {
			mark(out, i-run+2, i+1)
		}
	}
	return out
}

func mark(out []bool, from, to int) {
	for i := from; i < to; i++ {
		out[i] = true
	}
}
