package wct

import (
	"fmt"
	"runtime"
	"testing"
)

// measuredInput draws n nodes as in section 4, each with so many measured
// receivers, at 1 to 10 ms.
func measuredInput(n, each int) *Input {
	rng := newSplitMix(uint64(n))
	in := sparseInput(rng, n)
	in.SparseOverheadUs = make([]Overhead, 0, n*each)
	for i := range n {
		seen := make(map[int]bool, each)
		for len(seen) < min(each, n-1) {
			if j := rng.below(n); j != i && !seen[j] {
				seen[j] = true
				in.SparseOverheadUs = append(in.SparseOverheadUs, Overhead{i, j, int64(1000 + rng.below(9001))})
			}
		}
	}
	return in
}

// BenchmarkScaleWCT and BenchmarkScaleOCT build trees over sparse overheads
// and report the time and the bytes allocated by node.
func BenchmarkScaleWCT(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		benchmarkScale(b, n, 4, WCT)
	}
}

func BenchmarkScaleOCT(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		benchmarkScale(b, n, 16, OCT)
	}
}

func benchmarkScale(b *testing.B, n, each int, a Algorithm) {
	in := measuredInput(n, each)
	b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for b.Loop() {
			if _, err := Build(in, a); err != nil {
				b.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(n), "B/node")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/node")
	})
}

// BenchmarkOCTDense is our tree of 200 nodes with all overheads measured.
func BenchmarkOCTDense(b *testing.B) {
	for _, n := range []int{4, 50, 200, 1000} {
		in := randomInput(newSplitMix(7), n)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Build(in, OCT); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDeepChain: with one link each the tree is a chain; building it must not
// cost the square of its depth.
func TestDeepChain(t *testing.T) {
	in := measuredInput(30_000, 2)
	for i := range in.Links {
		in.Links[i] = 1
	}
	for _, a := range []Algorithm{WCT, OCT} {
		if m := Measure(in, build(t, in, a)); m.Depth != in.N-1 {
			t.Errorf("%s: depth %d", a, m.Depth)
		}
	}
}
