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

// A history begins with its first reading, wherever the clock stands.
func TestHistoryBeginsWithItsFirstReading(t *testing.T) {
	for _, at := range []int64{-15_000, -1, 0, 5000, 10_000} {
		for _, v := range []float64{-3, 3} {
			h := newHistory(10_000, 60_000)
			if _, ok := h.newest(); ok {
				t.Error("an empty history has a newest reading")
			}
			h.push(at, v)
			if got, ok := h.over(60_000); !ok || got != (span{v, v, v}) {
				t.Errorf("%v at %d ms: %+v, %v", v, at, got, ok)
			}
		}
	}
}

// A lagging value is the nearest within the tolerance, of two the older one, and
// never one that has left the ring.
func TestHistoryAgo(t *testing.T) {
	h := newHistory(10_000, 100_000)
	for _, slot := range []int64{0, 3, 7, 11} {
		h.push(slot*10_000, float64(slot))
	}
	for _, c := range []struct {
		lag, tol int64
		want     float64
		ok       bool
	}{
		{0, 0, 11, true}, {40_000, 0, 7, true}, {50_000, 0, 0, false}, {50_000, 9_999, 0, false},
		{50_000, 10_000, 7, true}, {30_000, 10_000, 7, true}, {60_000, 20_000, 3, true},
		{110_000, 0, 0, true}, {120_000, 0, 0, false}, {120_000, 10_000, 0, true},
	} {
		if got, ok := h.ago(c.lag, c.tol); got != c.want || ok != c.ok {
			t.Errorf("%d ms ago within %d: %v, %v; want %v, %v", c.lag, c.tol, got, ok, c.want, c.ok)
		}
	}
	h.push(130_000, 13)
	if got, ok := h.ago(130_000, 0); ok {
		t.Errorf("a reading that is older than the ring is long: %v", got)
	}
	h = newHistory(10_000, 100_000)
	h.push(30_000, 3)
	if got, ok := h.ago(30_000, 0); ok {
		t.Errorf("a reading of the first slot, which has none: %v", got)
	}
}
