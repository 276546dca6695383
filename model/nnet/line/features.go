package line

import "math"

// NumFeatures is the length of a row's feature vector: the logarithms of the
// lowest apparent impedance and of the lowest voltage of a phase.
const NumFeatures = 2

// floor keeps logarithms finite: an amplitude this far under the largest is
// zero.
const floor = 1e-3

// features fills one vector per row. perCycle is how many rows a cycle has.
// The first row of a simulation has no predecessor and takes the second's.
func features(s Simulation, perCycle float64) [][]float32 {
	w := 2 * math.Pi / perCycle
	flat := make([]float32, len(s.Rows)*NumFeatures)
	out := make([][]float32, len(s.Rows))
	for k := range s.Rows {
		at := max(k, 1)
		if at >= len(s.Rows) {
			at = k // a simulation of one row: derivative 0
		}
		out[k] = flat[k*NumFeatures : (k+1)*NumFeatures]
		rowFeatures(s.Rows[at], s.Rows[max(at-1, 0)], w, out[k])
	}
	return out
}

// rowFeatures computes one vector from a row and the one before, w being the
// angle of the power frequency from row to row.
func rowFeatures(now, before Row, w float64, out []float32) {
	var i, v [3]float64
	for p := range 3 {
		i[p] = amplitude(now.I[p], before.I[p], w)
		v[p] = amplitude(now.V[p], before.V[p], w)
	}
	iMax, vMax := max(i[0], i[1], i[2], 1e-12), max(v[0], v[1], v[2], 1e-12)
	z := math.Inf(1)
	for p := range 3 {
		z = min(z, max(v[p], floor*vMax)/max(i[p], floor*iMax))
	}
	out[0] = float32(math.Log(z))
	out[1] = float32(math.Log(max(min(v[0], v[1], v[2]), floor*vMax)))
}

// amplitude is that of the sinusoid through two neighbouring samples: the
// cosine part is the middle of both, the sine part their difference (exact for
// a sinusoid of angle w a row).
func amplitude(now, before, w float64) float64 {
	return math.Hypot((now+before)/(2*math.Cos(w/2)), (now-before)/(2*math.Sin(w/2)))
}

// rowsPerCycle is estimated from the sign changes of the voltages in normal
// rows: the median distance of two is half a cycle. 0 when there are too few.
func rowsPerCycle(sims []Simulation) float64 {
	count := map[int]int{}
	total := 0
	for _, s := range sims {
		for p := range 3 {
			last := -1
			for k := 1; k < len(s.Rows); k++ {
				if s.Rows[k].Fault || s.Rows[k-1].Fault {
					last = -1
					continue
				}
				if (s.Rows[k].V[p] < 0) == (s.Rows[k-1].V[p] < 0) {
					continue
				}
				if last >= 0 {
					count[k-last]++
					total++
				}
				last = k
			}
		}
	}
	return 2 * float64(median(count, total))
}

// median is the middle of a histogram with total entries.
func median(count map[int]int, total int) int {
	seen, at := 0, 0
	for seen*2 < total || seen == 0 {
		if at > maxRows || total == 0 {
			return 0
		}
		seen += count[at]
		at++
	}
	return at - 1
}
