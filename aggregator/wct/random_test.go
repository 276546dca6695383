package wct

import (
	"fmt"
	"testing"
)

func newSplitMix(seed uint64) *splitMix { s := splitMix(seed); return &s }

// randomInput draws n nodes as in section 4: links 3, 2, 1 for 5, 15 and 80 %,
// trust over 0.8 for four of five, overheads of 1 to 10 ms.
func randomInput(s *splitMix, n int) *Input {
	in := sparseInput(s, n)
	in.SparseOverheadUs, in.OverheadUs = nil, make([][]int64, n)
	for i := range in.OverheadUs {
		in.OverheadUs[i] = make([]int64, n)
		for j := range i {
			us := int64(1000 + s.below(9001))
			in.OverheadUs[i][j], in.OverheadUs[j][i] = us, us
		}
	}
	return in
}

// sparseInput is randomInput with the first node's overheads only.
func sparseInput(s *splitMix, n int) *Input {
	in := &Input{N: n, TrustWeight: 1, LinkWeight: 1, TrustThresholdE4: 8000, OverheadThresholdUs: 8000}
	for i := range n {
		links := 1
		if i < (n*5+50)/100 {
			links = 3
		} else if i < (n*20+50)/100 {
			links = 2
		}
		trust := int64(8001 + s.below(2000))
		if s.below(5) == 0 {
			trust = int64(s.below(8000))
		}
		in.TrustE4, in.Links = append(in.TrustE4, trust), append(in.Links, links)
		in.SparseOverheadUs = append(in.SparseOverheadUs, Overhead{0, i, int64(1000 + s.below(9001))})
	}
	for i := n - 1; i > 0; i-- {
		j := s.below(i + 1)
		in.Links[i], in.Links[j] = in.Links[j], in.Links[i]
	}
	return in
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		in := sparseInput(newSplitMix(1), n)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Build(in, WCT); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMeasure(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		in := sparseInput(newSplitMix(1), n)
		tree, err := Build(in, WCT)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				Measure(in, tree)
			}
		})
	}
}
