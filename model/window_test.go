package model

import (
	"testing"

	"pgregory.net/rapid"
)

// overAgain adds every slot up again, oldest first.
func (h *history) overAgain(spanMs int64) (span, bool) {
	newest, ok := h.find(h.last)
	if !ok {
		return span{}, false
	}
	out := span{min: newest.min, max: newest.max}
	sum, n := 0.0, int64(0)
	for i := min(max(h.last-spanMs/h.stepMs, h.last-int64(len(h.ring)))+1, h.last); i <= h.last; i++ {
		if s, ok := h.find(i); ok {
			sum, n = sum+s.sum, n+int64(s.n)
			out.min, out.max = min(out.min, s.min), max(out.max, s.max)
		}
	}
	out.mean = sum / float64(n)
	return out, true
}

// What a history keeps added up is, bit for bit, what adding it up again gives.
func TestHistoryKeepsItsSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(10_000, 900_000)
		at := rapid.Int64Range(-1e6, 1e6).Draw(t, "start")
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			at += rapid.SampledFrom([]int64{1, 1000, 3000, 10_000, 25_000, 600_000, 2_000_000, -5000}).Draw(t, "gap")
			h.push(at, rapid.Float64Range(-1e3, 1e3).Draw(t, "value"))
			for _, spanMs := range []int64{600_000, 900_000, 60_000, 1} {
				if !rapid.Bool().Draw(t, "ask") {
					continue
				}
				got, okGot := h.over(spanMs)
				want, okWant := h.overAgain(spanMs)
				if got != want || okGot != okWant {
					t.Fatalf("last %d ms at %d: %+v, added up again %+v", spanMs, at, got, want)
				}
			}
		}
	})
}
