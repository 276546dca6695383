package nnet_test

import (
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"fairwatt/model"
	"fairwatt/model/nnet"
)

// newJudge is a judge of a site with every weather sensor and the shipped
// network, which scores whenever periodS have passed.
func newJudge(tb testing.TB, periodS float64) *model.Judge {
	tb.Helper()
	n, err := nnet.Shipped()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := n.Close(); err != nil {
			tb.Error(err)
		}
	})
	cfg := model.DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.RatedCurrentA = 25
	cfg.Position = &model.Position{Latitude: 25, Longitude: 121}
	cfg.Required = []model.Channel{model.VoltageV, model.WindGustMPS, model.PressureHPa}
	cfg.Score.PeriodS = periodS
	j, err := model.NewJudge(cfg, n)
	if err != nil {
		tb.Fatal(err)
	}
	if err := j.SetWall(1_790_000_000_000, 0); err != nil {
		tb.Fatal(err)
	}
	return j
}

// fill is a made-up moment of a site with all that a board measures: every
// value moves, and every few hours the wind is a storm's.
func fill(s *model.Sample, tMs int64) {
	s.TimeMs = tMs
	slow := math.Sin(float64(tMs) / 1.3e7)
	fast := math.Sin(float64(tMs) / 7.1e3)
	wind := 6 + 3*slow + fast
	if slow > 0.98 {
		wind += 18
	}
	for _, v := range []struct {
		c model.Channel
		v float64
	}{
		{model.TemperatureC, 15 + 8*slow + 0.01*fast}, {model.HumidityPct, 70 - 20*slow}, {model.PressureHPa, 1010 + 6*slow + 0.02*fast},
		{model.WindSpeedMPS, wind}, {model.WindGustMPS, 1.5 * wind}, {model.WindDirectionDeg, 180 + 90*slow}, {model.RainMM, 0},
		{model.Raining, 0}, {model.IrradianceWPM2, 300 + 200*slow}, {model.VoltageV, 230 + 2*fast}, {model.CurrentA, 10 + fast},
		{model.FrequencyHz, 50 + 0.02*fast}, {model.PowerW, (230 + 2*fast) * (10 + fast)}, {model.EquipmentTemperatureC, 40 + 5*slow},
		{model.LeakageMA, 5 + fast}, {model.VibrationMPS2, 2 + 0.1*fast},
	} {
		s.Set(v.c, v.v)
	}
}

// One judgement of a live agent (features, rules, network, gate) at ten a
// second, the network asked each time.
func BenchmarkJudgement(b *testing.B) {
	j := newJudge(b, 0)
	var s model.Sample
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for i := range b.N {
		fill(&s, int64(i)*100)
		begin := time.Now()
		j.Step(&s)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50_us")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99_us")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "pct_of_10Hz") // of 100 ms, in per cent
}

// Replays of seconds on as many processors as there are, a trace each, with
// the network at its usual period: what a night's recordings cost.
func BenchmarkReplaySeconds(b *testing.B) {
	workers := runtime.GOMAXPROCS(0)
	judges := make([]*model.Judge, workers)
	for k := range judges {
		judges[k] = newJudge(b, model.DefaultConfig().Score.PeriodS)
	}
	each := (b.N + workers - 1) / workers
	samples := make([]model.Sample, 3600)
	for i := range samples {
		fill(&samples[i], int64(i)*1000)
	}
	b.ResetTimer()
	var group sync.WaitGroup
	for _, j := range judges {
		group.Go(func() {
			var s model.Sample
			for i := range each {
				s = samples[i%len(samples)]
				s.TimeMs = int64(i) * 1000
				j.Step(&s)
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(each*workers)/b.Elapsed().Seconds(), "samples/s")
}

// The network's answers to rows that are there already, as evaluation scores
// them: plain arithmetic, as many processors as there are.
func BenchmarkScoreRows(b *testing.B) {
	w, err := nnet.ShippedWeights()
	if err != nil {
		b.Fatal(err)
	}
	head, err := w.Head(nnet.TaskThunder, "rain")
	if err != nil {
		b.Fatal(err)
	}
	x := model.NewExtractor()
	features := make([]model.Features, 1000)
	var s model.Sample
	for i := range features {
		fill(&s, int64(i)*3_600_000)
		x.Push(&s)
		x.Features(&features[i])
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, ok := head.Probability(&features[i%len(features)]); !ok {
				b.Error("no score")
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// heapBytes is what lives after a collection.
func heapBytes() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A judge does not grow: what lives after many judgements is what lived after
// few. FAIRWATT_LONG=1 makes it a million.
func TestJudgementDoesNotGrow(t *testing.T) {
	few, many := 5_000, 30_000
	if os.Getenv("FAIRWATT_LONG") != "" {
		few, many = 100_000, 1_000_000
	}
	j := newJudge(t, 1)
	var s model.Sample
	step := func(from, to int) {
		for i := from; i < to; i++ {
			fill(&s, int64(i)*1000)
			j.Step(&s)
		}
	}
	step(0, few)
	before := heapBytes()
	step(few, many)
	after := heapBytes()
	t.Logf("%d kB after %d judgements, %d kB after %d", before/1024, few, after/1024, many)
	if after > before+256<<10 {
		t.Errorf("grown by %d kB", (after-before)/1024)
	}
	runtime.KeepAlive(j)
}
