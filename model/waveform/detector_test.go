package waveform_test

import (
	"math"
	"math/cmplx"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/model/waveform"
)

var threePhase = []model.Channel{
	model.VoltageAVInst, model.VoltageBVInst, model.VoltageCVInst,
	model.CurrentAAInst, model.CurrentBAInst, model.CurrentCAInst,
}

// A network is a made-up three-phase network: what a fault changes is the
// factor of each phase's voltage and current.
type network struct {
	rate, hz, start float64 // start is the phase at time 0, rad
	u, i            [3]float64
	gap             bool
}

func healthy(rate, hz float64) network {
	return network{rate: rate, hz: hz, u: [3]float64{230, 230, 230}, i: [3]float64{10, 10, 10}}
}

// run pushes samples from..to of the network and returns the alerts with the
// sample at which each came.
func (n *network) run(d *waveform.Detector, from, to int) (out []alert) {
	for k := from; k < to; k++ {
		s := model.Sample{TimeMs: int64(1000 * float64(k) / n.rate)}
		for p := range 3 {
			angle := n.start + 2*math.Pi*(n.hz*float64(k)/n.rate-float64(p)/3)
			if !n.gap {
				s.Set(model.VoltageAVInst+model.Channel(p), math.Sqrt2*n.u[p]*math.Sin(angle))
				s.Set(model.CurrentAAInst+model.Channel(p), math.Sqrt2*n.i[p]*math.Sin(angle-.3))
			}
		}
		for _, e := range d.Push(&s, n.rate) {
			out = append(out, alert{k, 1000 * float64(k) / n.rate, e})
		}
	}
	return out
}

func detector(t interface{ Fatal(...any) }, hz, nominal float64) *waveform.Detector {
	cfg := waveform.DefaultConfig()
	cfg.NominalHz, cfg.NominalV = hz, nominal
	d, err := waveform.New(cfg, threePhase)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Whatever the rate, the frequency and the moment of the fault: nothing before
// it, the right rule within two cycles, and all over after recovery.
func TestFaultsWithinTwoCycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nominal := rapid.SampledFrom([]float64{50, 60}).Draw(t, "nominal")
		n := healthy(rapid.Float64Range(1000, 10000).Draw(t, "rate"), nominal*rapid.Float64Range(.99, 1.01).Draw(t, "frequency"))
		n.start = rapid.Float64Range(0, 2*math.Pi).Draw(t, "phase")
		udin := rapid.SampledFrom([]float64{0, 230}).Draw(t, "udin")
		d := detector(t, nominal, udin)
		cycle := n.rate / nominal
		fault := int(cycle * rapid.Float64Range(6, 20).Draw(t, "cycles before"))
		if early := n.run(d, 0, fault); len(early) > 0 {
			t.Fatalf("healthy network: %s", rules(&early[0].event))
		}
		bad, p := n, rapid.IntRange(0, 2).Draw(t, "phase hit")
		var want string
		switch rapid.IntRange(0, 4).Draw(t, "fault") {
		case 0:
			bad.u[p] *= rapid.Float64Range(.1, .8).Draw(t, "dip")
			want = "L01:voltage_" + string("abc"[p])
		case 1:
			bad.u[p] *= rapid.Float64Range(1.2, 1.8).Draw(t, "swell")
			want = "L02:voltage_" + string("abc"[p])
		case 2:
			bad.u, want = [3]float64{1, 2, 3}, "L03:"
		case 3:
			bad.i[p] *= rapid.Float64Range(3, 50).Draw(t, "over-current")
			want = "L06:current_" + string("abc"[p])
		case 4:
			bad.i[p] *= rapid.Float64Range(.1, .6).Draw(t, "residual")
			want = "L05:residual_current"
		}
		end := fault + int(30*cycle)
		alerts := bad.run(d, fault, end)
		found := -1
		for _, a := range alerts {
			if strings.Contains(rules(&a.event), want) {
				found = a.sample
				break
			}
		}
		if found < 0 || float64(found-fault) > 2*cycle {
			t.Fatalf("%s: found at %d; the fault begins at %d and a cycle is %.1f samples", want, found, fault, cycle)
		}
		alerts = n.run(d, end, end+int(20*cycle))
		if len(alerts) == 0 || alerts[len(alerts)-1].event.Action != model.ActionClear {
			t.Fatalf("%s: %d events after recovery and no clear", want, len(alerts))
		}
		if again := n.run(d, end+int(20*cycle), end+int(40*cycle)); len(again) > 0 {
			t.Fatalf("after recovery: %s", rules(&again[0].event))
		}
	})
}

// After millions of samples the detector is what it was: nothing raised, and a
// dip found as fast.
func TestLongRun(t *testing.T) {
	n, d := healthy(1003, 50), detector(t, 50, 0)
	const long = 1_300_000
	if got := n.run(d, 0, long); len(got) > 0 {
		t.Fatalf("sample %d: %s", got[0].sample, rules(&got[0].event))
	}
	n.u[1] = 60
	if got := n.run(d, long, long+40); len(got) == 0 {
		t.Error("a dip is not found within two cycles")
	}
}

// Ids stay, revisions rise, the first event raises.
func TestAlertLife(t *testing.T) {
	n := healthy(2000, 50)
	d := detector(t, 50, 0)
	at, seen := 0, 0
	step := func(cycles int) []alert {
		out := n.run(d, at, at+40*cycles)
		at += 40 * cycles
		return out
	}
	step(10)
	for round, id := range []string{"line-w1", "line-w2"} {
		n.u = [3]float64{100, 230, 230}
		events := step(5)
		n.u = [3]float64{230, 230, 230}
		events = append(events, step(20)...)
		for i, a := range events {
			seen++
			e := a.event
			if e.ID != id || e.Rev != i+1 || e.Kind != model.KindLine || len(e.Causes) == 0 || e.Causes[0].Text == "" ||
				(e.Action == model.ActionRaise) != (i == 0) || (e.Action == model.ActionClear) != (i == len(events)-1) {
				t.Errorf("round %d, event %d: %s %s rev %d, %d causes", round, i, e.Action, e.ID, e.Rev, len(e.Causes))
			}
		}
	}
	if seen < 4 {
		t.Errorf("%d events", seen)
	}
}

func TestDipThresholdAndHysteresis(t *testing.T) {
	for _, c := range []struct {
		pu   float64
		flag bool
	}{{.92, false}, {.905, false}, {.895, true}, {1.095, false}, {1.105, true}} {
		n, d := healthy(4000, 50), detector(t, 50, 230)
		n.run(d, 0, 800)
		n.u = [3]float64{230 * c.pu, 230 * c.pu, 230 * c.pu}
		if got := n.run(d, 800, 2400); (len(got) > 0) != c.flag {
			t.Errorf("%v pu: %d events", c.pu, len(got))
		}
		if !c.flag || c.pu > 1 {
			continue
		}
		// 91 % is above the threshold and within the hysteresis: the dip stays.
		n.u = [3]float64{230 * .91, 230 * .91, 230 * .91}
		if got := n.run(d, 2400, 6400); len(got) > 0 {
			t.Errorf("within the hysteresis: %s", rules(&got[0].event))
		}
	}
}

func TestMissingSamplesNeitherRaiseNorClear(t *testing.T) {
	n, d := healthy(2000, 50), detector(t, 50, 0)
	n.run(d, 0, 1000)
	n.gap = true
	if got := n.run(d, 1000, 1400); len(got) > 0 {
		t.Errorf("missing samples: %s", rules(&got[0].event))
	}
	n.gap, n.u[1] = false, 20
	if got := n.run(d, 1400, 1600); len(got) == 0 {
		t.Error("after missing samples a dip is not seen")
	}
	n.gap = true
	if got := n.run(d, 1600, 3600); len(got) > 0 {
		t.Errorf("missing samples cleared: %s", rules(&got[0].event))
	}
	if h, ok := d.Half(); !ok || !math.IsNaN(h.RMS[1]) {
		t.Errorf("half cycle of missing samples: %+v", h)
	}
}

// A new load is learnt; one above the rating is not.
func TestLoadIsLearnt(t *testing.T) {
	for _, rated := range []float64{0, 16} {
		cfg := waveform.DefaultConfig()
		cfg.RatedA = rated
		d, err := waveform.New(cfg, threePhase)
		if err != nil {
			t.Fatal(err)
		}
		n := healthy(1000, 50)
		n.i = [3]float64{4, 4, 4}
		n.run(d, 0, 500)
		n.i = [3]float64{20, 20, 20}
		got := n.run(d, 500, 12000)
		if cleared := len(got) > 0 && got[len(got)-1].event.Action == model.ActionClear; cleared != (rated == 0) {
			t.Errorf("rated %v A: %d events, cleared %v", rated, len(got), cleared)
		}
	}
}

func TestRatesThatCannotBeJudged(t *testing.T) {
	n, d := healthy(300, 50), detector(t, 50, 230)
	n.u = [3]float64{}
	for _, rate := range []float64{300, 1e6, math.NaN(), -1} {
		n.rate = rate
		s := model.Sample{}
		s.Set(model.VoltageAVInst, 0)
		before := d.Skipped()
		if got := d.Push(&s, rate); len(got) > 0 || d.Skipped() != before+1 {
			t.Errorf("rate %v: %d events, %d skipped", rate, len(got), d.Skipped())
		}
	}
	if _, err := waveform.New(waveform.DefaultConfig(), []model.Channel{model.VoltageV}); err == nil {
		t.Error("a detector without a waveform channel")
	}
	bad := waveform.DefaultConfig()
	bad.Dip = math.NaN()
	if _, err := waveform.New(bad, threePhase); err == nil || !strings.Contains(err.Error(), "waveform.dip") {
		t.Errorf("dip NaN: %v", err)
	}
}

func TestSingleNeutralAndConductor(t *testing.T) {
	cfg := waveform.DefaultConfig()
	cfg.NeutralConductor = true
	d, err := waveform.New(cfg, append(threePhase[:6:6], model.CurrentNAInst))
	if err != nil {
		t.Fatal(err)
	}
	// An unbalanced load whose current returns in the neutral is no residual.
	for k := range 4000 {
		s := model.Sample{TimeMs: int64(k / 4)}
		load := [3]float64{10, 10, 10}
		if k > 2000 {
			load[0] = 16
		}
		var sum float64
		for p := range 3 {
			angle := 2 * math.Pi * (float64(k)/80 - float64(p)/3)
			s.Set(model.VoltageAVInst+model.Channel(p), 325*math.Sin(angle))
			v := load[p] * math.Sin(angle)
			sum += v
			s.Set(model.CurrentAAInst+model.Channel(p), v)
		}
		s.Set(model.CurrentNAInst, -sum)
		if got := d.Push(&s, 4000); len(got) > 0 {
			t.Fatalf("sample %d: %s", k, rules(&got[0]))
		}
	}
}

func TestWindow(t *testing.T) {
	for _, nominal := range []float64{50, 60} {
		n, d := healthy(6400, nominal*1.004), detector(t, nominal, 0)
		n.u[2] = 207
		n.run(d, 0, 6400)
		w, ok := d.Window()
		if !ok || math.Abs(w.FrequencyHz-n.hz) > .003 || math.Abs(w.RMS[1]-230) > .3 || math.Abs(w.Crest[1]-math.Sqrt2) > .01 || w.THD[1] > .01 {
			t.Errorf("%v Hz: %+v", nominal, w)
		}
		// 230, 230, 207 V: V1 222.333, V2 and V0 7.667 V, u2 3.448 %.
		if math.Abs(w.PositiveV-222.333) > .2 || math.Abs(w.NegativeV-7.667) > .1 || math.Abs(w.ZeroV-7.667) > .1 || math.Abs(w.UnbalanceV-.03448) > 5e-4 {
			t.Errorf("%v Hz: V1 %v V2 %v V0 %v", nominal, w.PositiveV, w.NegativeV, w.ZeroV)
		}
	}
}

func TestSymmetricalVector(t *testing.T) {
	deg := math.Pi / 180
	zero, positive, negative := waveform.Symmetrical(230, cmplx.Rect(230, -120*deg), cmplx.Rect(207, 120*deg))
	for _, c := range []struct{ got, want float64 }{
		{cmplx.Abs(positive), 222.333}, {cmplx.Abs(negative), 7.667}, {cmplx.Abs(zero), 7.667},
		{100 * cmplx.Abs(negative) / cmplx.Abs(positive), 3.448},
	} {
		if math.Abs(c.got-c.want) > 1e-3 {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}

func TestSpectrum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(47, 53).Draw(t, "f")
		rate := rapid.Float64Range(4800, 10000).Draw(t, "rate")
		h3, h5 := rapid.Float64Range(0, .3).Draw(t, "h3"), rapid.Float64Range(0, .3).Draw(t, "h5")
		shift := rapid.Float64Range(0, 6).Draw(t, "shift")
		x := make([]float64, int(math.Round(10*rate/f)))
		for i := range x {
			a := 2*math.Pi*f*float64(i)/rate + shift
			x[i] = 325 * (math.Sin(a) + h3*math.Sin(3*a) + h5*math.Sin(5*a+1))
		}
		got, ok := waveform.Frequency(x, rate, 50)
		if !ok || math.Abs(got-f) > .02 {
			t.Fatalf("frequency %v (%v), want %v", got, ok, f)
		}
		if thd := waveform.THD(x, rate, f); math.Abs(thd-math.Hypot(h3, h5)) > .01 {
			t.Fatalf("THD %v, want %v", thd, math.Hypot(h3, h5))
		}
	})
}

func FuzzPush(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 100, 0, 255}, 1000.0, 50.0)
	f.Add([]byte{0, 0, 0, 9}, 2401.5, 60.0)
	f.Fuzz(func(t *testing.T, data []byte, rate, hz float64) {
		cfg := waveform.DefaultConfig()
		cfg.NominalHz = hz
		d, err := waveform.New(cfg, threePhase)
		if err != nil || len(data) > 5000 {
			return
		}
		up := false
		for i := range 4 * len(data) {
			b := data[i%len(data)]
			s := model.Sample{TimeMs: int64(i)}
			for p, c := range threePhase {
				if int(b)%7 != p {
					s.Set(c, math.Ldexp(float64(int8(b)), int(b)%9+p))
				}
			}
			if b == 255 {
				rate *= 1.1
			}
			for _, e := range d.Push(&s, rate) {
				if e.Action == model.ActionRaise == up || len(e.Causes) == 0 {
					t.Fatalf("%s with an alert up: %v", e.Action, up)
				}
				up = e.Action != model.ActionClear
				if len(e.AppendJSON(nil)) == 0 {
					t.Fatal("no JSON")
				}
			}
		}
	})
}

func TestPushAllocatesNothing(t *testing.T) {
	n, d := healthy(10000, 50), detector(t, 50, 0)
	n.run(d, 0, 10000)
	var s model.Sample
	k := 10000
	if got := testing.AllocsPerRun(4000, func() {
		for p := range 3 {
			s.Set(model.VoltageAVInst+model.Channel(p), 325*math.Sin(2*math.Pi*(float64(k)/200-float64(p)/3)))
		}
		s.TimeMs = int64(k / 10)
		k++
		d.Push(&s, 10000)
	}); got > 0.01 {
		t.Errorf("%v allocations a sample", got)
	}
}

func BenchmarkPush(b *testing.B) {
	for _, rate := range []float64{1000, 10000} {
		b.Run(map[float64]string{1000: "1kHz", 10000: "10kHz"}[rate], func(b *testing.B) {
			d := detector(b, 50, 230)
			samples := make([]model.Sample, int(rate/50))
			for k := range samples {
				for p, c := range threePhase {
					samples[k].Set(c, 325*math.Sin(2*math.Pi*(float64(k)/float64(len(samples))-float64(p)/3)))
				}
			}
			b.ReportAllocs()
			k := 0
			for b.Loop() {
				s := &samples[k%len(samples)]
				s.TimeMs = int64(float64(k) * 1000 / rate)
				d.Push(s, rate)
				k++
			}
			b.ReportMetric(float64(k)/b.Elapsed().Seconds()/rate, "times_live")
		})
	}
}
