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
	wct.OctBudget = env("B", 20000)
	wct.OctHot = int64(env("H", 64))
	wct.DBG=env("DBG",0);wct.CAP=env("CAP",4096);wct.HARD=env("HARD",0);wct.HT=env("HT",1);wct.UP=env("UP",4);wct.DN=env("DN",2);wct.K0=env("K0",64);wct.K1=env("K1",16);wct.K2=env("K2",16);wct.P0=env("P0",64);wct.P1=env("P1",960);wct.WF=env("WF",1000);n := env("N", 50)
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
				worse++; fmt.Println(s,mb.TimeLevelUs>ma.TimeLevelUs,mb.TrustSumE4<ma.TrustSumE4,*mb.Coverage-*ma.Coverage,mb.ConcurrencyExact-ma.ConcurrencyExact,mb.ConcurrencyLevel-ma.ConcurrencyLevel,mb.EdgesOverThreshold-ma.EdgesOverThreshold,len(b.Edges),len(b.Unattached), ma, mb)
			}
		}
		_ = t0
		f := float64(seeds)
		fmt.Printf("n=%d %s exact %.4f level %.4f abs %.0f worse %d fallback %d time/tree %v\n", n, m, re/f, rl/f, abs/f, worse, fall, spent/time.Duration(seeds))
	}
}
