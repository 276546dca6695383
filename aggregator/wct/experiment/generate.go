package experiment

import "fairwatt/aggregator/wct"

// An Overheads names a way to draw the overheads.
type Overheads string

// The overhead models.
const (
	Uniform    Overheads = "uniform"    // symmetric, 1 to 10 ms
	Planar     Overheads = "planar"     // points on a square, distance and 0.5 ms
	Asymmetric Overheads = "asymmetric" // 1 to 10 ms, drawn for each direction
)

// splitMix is SplitMix64, the generator of the reference.
type splitMix uint64

func (s *splitMix) below(m int) int {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(m))
}

func (s *splitMix) shuffle(v []int) {
	for i := len(v) - 1; i > 0; i-- {
		j := s.below(i + 1)
		v[i], v[j] = v[j], v[i]
	}
}

// Generate draws one network of n nodes with the parameters of section 4:
// links 3, 2 and 1 for 5, 15 and 80 % of the nodes, rounded half up, and eight
// honest ones of ten. Weights are 1:1, the thresholds 0.8 and 8 ms.
func Generate(n int, seed uint64, model Overheads) *wct.Input {
	in, rng := generateNodes(n, seed)
	in.OverheadUs = make([][]int64, n)
	for i := range n {
		in.OverheadUs[i] = make([]int64, n)
	}
	drawOverheads(in, rng, model)
	return in
}

// generateNodes draws everything but the overheads.
func generateNodes(n int, seed uint64) (*wct.Input, *splitMix) {
	state := splitMix(seed*1000003 + uint64(n))
	rng := &state
	in := &wct.Input{
		N: n, TrustE4: make([]int64, n), Links: make([]int, n),
		TrustWeight: 1, LinkWeight: 1, TrustThresholdE4: 8000, OverheadThresholdUs: 8000,
	}
	three, two := (5*n+50)/100, (15*n+50)/100
	honest := make([]int, n)
	for i := range n {
		in.Links[i] = 1
		if i < three {
			in.Links[i] = 3
		} else if i < three+two {
			in.Links[i] = 2
		}
		if i < (80*n+50)/100 {
			honest[i] = 1
		}
	}
	rng.shuffle(in.Links)
	rng.shuffle(honest)
	for i := range n {
		if honest[i] == 1 {
			in.TrustE4[i] = int64(8001 + rng.below(2000))
		} else {
			in.TrustE4[i] = int64(rng.below(8000))
		}
	}
	return in, rng
}

func drawOverheads(in *wct.Input, rng *splitMix, model Overheads) {
	w, n := in.OverheadUs, in.N
	switch model {
	case Planar:
		x, y := make([]int, n), make([]int, n)
		for i := range n {
			x[i] = rng.below(10000)
			y[i] = rng.below(10000)
		}
		for i := range n {
			for j := range n {
				if i != j {
					dx, dy := int64(x[i]-x[j]), int64(y[i]-y[j])
					w[i][j] = 500 + isqrt(dx*dx+dy*dy)
				}
			}
		}
	case Asymmetric:
		for i := range n {
			for j := range n {
				if i != j {
					w[i][j] = int64(1000 + rng.below(9001))
				}
			}
		}
	default:
		for i := range n {
			for j := i + 1; j < n; j++ {
				w[i][j] = int64(1000 + rng.below(9001))
				w[j][i] = w[i][j]
			}
		}
	}
}

// isqrt returns the square root rounded down.
func isqrt(v int64) int64 {
	lo, hi := int64(0), int64(20000)
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if mid*mid <= v {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}
