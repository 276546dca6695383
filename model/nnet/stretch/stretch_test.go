package stretch

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

var nan = math.NaN()

func TestStale(t *testing.T) {
	o := Default()
	v := []float64{1, 2, 3, 3, 3, 3, 3, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5, nan, 5, 5, 5}
	for i, got := range Stale(v, o) {
		if want := i >= 2 && i < 8; got != want {
			t.Errorf("sample %d: stale %v, want %v", i, got, want)
		}
	}
}

func TestInterpolated(t *testing.T) {
	o := Default()
	v := []float64{4, 7, 6.5, 6, 5.5, 5, 9, 2, 2, 2, 2, 2, 2, 8, nan, 1, 2, 3}
	for i, got := range Interpolated(v, o) {
		if want := i >= 2 && i < 5; got != want {
			t.Errorf("sample %d: interpolated %v, want %v", i, got, want)
		}
	}
	for _, v := range [][]float64{nil, {1}, {1, 2}, {1, 2, 3}, {nan, nan, nan, nan}} {
		for i, got := range Interpolated(v, o) {
			if got {
				t.Errorf("%v: sample %d marked", v, i)
			}
		}
	}
}

// Noise is neither; a gap of any length put into it and filled either way is
// found whole, whatever the scale.
func TestFilledGapIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := math.Pow(10, rapid.Float64Range(-3, 6).Draw(t, "scale"))
		n := rapid.IntRange(30, 80).Draw(t, "n")
		v := make([]float64, n)
		for i := range v {
			v[i] = scale * rapid.Float64Range(0.1, 1).Draw(t, "v")
		}
		from := rapid.IntRange(2, n-20).Draw(t, "from")
		length := rapid.IntRange(6, 15).Draw(t, "length")
		to := from + length
		stale, line := append([]float64(nil), v...), append([]float64(nil), v...)
		line[from-1], line[to] = 0.2*scale, 0.9*scale
		for i := from; i < to; i++ {
			stale[i] = stale[from]
			line[i] = line[from-1] + (line[to]-line[from-1])*float64(i-from+1)/float64(length+1)
		}
		s, l := Stale(stale, Default()), Interpolated(line, Default())
		for i := from; i < to; i++ {
			if !s[i] || !l[i] {
				t.Fatalf("sample %d of %d..%d: stale %v, interpolated %v", i, from, to, s[i], l[i])
			}
		}
	})
}

func TestPlainRulesLeaveTheBeginning(t *testing.T) {
	v := []float64{9, 1, 1, 1, 1, 1, 1, 8}
	got := PlainStale(v, 6)
	if got[1] || !got[2] || !got[6] || got[7] {
		t.Errorf("plain stale: %v", got)
	}
	got = PlainInterpolated([]float64{9, 1, 2, 3, 4, 5, 6, 0}, 6)
	if got[1] || !got[2] || !got[6] || got[7] {
		t.Errorf("plain interpolated: %v", got)
	}
}

func ExampleInterpolated() {
	// A line of five samples was drawn between 20 and 14; 13 was measured.
	v := []float64{17, 20, 19, 18, 17, 16, 15, 14, 21, 13}
	fmt.Println(Interpolated(v, Default()))
	// Output: [false false true true true true true false false false]
}
