package experiment

import (
	"fairwatt/aggregator/wct"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

func env(k string, d int) int {
	if v, err := strconv.Atoi(os.Getenv(k)); err == nil {
		return v
	}
	return d
}
func TestTune(t *testing.T) {

	n := env("N", 50)
	seeds := env("S", 40)
	for _, m := range []Overheads{Uniform, Planar} {
		var re, rl, abs float64
		worse := 0
		fall := 0
		t0 := time.Now()
		var spent time.Duration
		for s := 1; s <= seeds; s++ {
			in := Generate(n, uint64(s), m)
			a, _ := wct.Build(in, wct.WCT)
			ma := wct.Measure(in, a)
			t1 := time.Now()
			b, err := wct.Build(in, wct.OCT)
			spent += time.Since(t1)
			if err != nil {
				t.Fatal(err)
			}
			mb := wct.Measure(in, b)
			re += float64(mb.TimeExactUs) / float64(ma.TimeExactUs)
			rl += float64(mb.TimeLevelUs) / float64(ma.TimeLevelUs)
			abs += float64(mb.TimeExactUs)
			if mb.TimeExactUs >= ma.TimeExactUs {
				fall++
			}
			if mb.TimeLevelUs > ma.TimeLevelUs || mb.TrustSumE4 < ma.TrustSumE4 || *mb.Coverage < *ma.Coverage || mb.ConcurrencyExact < ma.ConcurrencyExact || mb.ConcurrencyLevel < ma.ConcurrencyLevel || mb.EdgesOverThreshold > ma.EdgesOverThreshold {
				worse++
				fmt.Println(s, mb.TimeLevelUs > ma.TimeLevelUs, mb.TrustSumE4 < ma.TrustSumE4, *mb.Coverage-*ma.Coverage, mb.ConcurrencyExact-ma.ConcurrencyExact, mb.ConcurrencyLevel-ma.ConcurrencyLevel, mb.EdgesOverThreshold-ma.EdgesOverThreshold, len(b.Edges), len(b.Unattached), ma, mb)
			}
		}
		_ = t0
		f := float64(seeds)
		fmt.Printf("n=%d %s exact %.4f level %.4f abs %.0f worse %d fallback %d time/tree %v\n", n, m, re/f, rl/f, abs/f, worse, fall, spent/time.Duration(seeds))
	}
}
