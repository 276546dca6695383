package model

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func tollOf(t *testing.T, j *Judge, rule string) Toll {
	t.Helper()
	list, _ := j.Tolls()
	for _, c := range list {
		if c.Rule == rule {
			return c
		}
	}
	return Toll{}
}

// A rule costs the time for which it stands or holds, and the energy that was
// there meanwhile; alone where no other stands.
func TestTolls(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.IntervalS, c.Limits.EnterServiceS = 60, 60 })
	calm := map[Channel]float64{WindGustMPS: 3, PowerW: 2000}
	for range 30 {
		r.step(60_000, calm)
	}
	r.wantOpen()
	before, _ := r.j.Tolls()
	began := r.now + 60_000
	r.step(60_000, map[Channel]float64{WindGustMPS: 30, PowerW: 2000})
	for r.j.State() != StateOpen {
		r.step(60_000, calm)
	}
	v := r.j.View()
	got := tollOf(t, r.j, "W03")
	if want := v.SinceMs - began; got.ClosedMs != want || got.AloneMs != want || math.Abs(got.ClosedWh-2000*float64(want)/3_600_000) > 1e-6 {
		t.Errorf("%+v, want %d ms", got, want)
	}
	for _, c := range before {
		if now := tollOf(t, r.j, c.Rule); now != c {
			t.Errorf("%s went on: %+v, then %+v", c.Rule, c, now)
		}
	}
	// Two at once: neither is alone.
	r.step(60_000, map[Channel]float64{WindGustMPS: 30, WindSpeedMPS: 30, PowerW: 2000})
	r.step(600_000, map[Channel]float64{WindGustMPS: 30, WindSpeedMPS: 30, PowerW: 2000})
	after := tollOf(t, r.j, "W03")
	if after.ClosedMs != got.ClosedMs+600_000 || after.AloneMs != got.AloneMs {
		t.Errorf("with W05: %+v, before %+v", after, got)
	}
}

// The energy is that of the power measured, else of the rating and the light,
// else of the rating.
func TestTollsOfARating(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values map[Channel]float64
		rating float64
		wh     float64
		from   string
	}{
		{map[Channel]float64{PowerW: 500, IrradianceWPM2: 400}, 1000, 500, "power_w"},
		{map[Channel]float64{PowerW: -3}, 1000, 0, "power_w"},
		{map[Channel]float64{IrradianceWPM2: 400}, 1000, 400, "rating and irradiance_wpm2"},
		{map[Channel]float64{WindGustMPS: 3}, 1000, 1000, "rating, at most"},
		{map[Channel]float64{WindGustMPS: 3}, 0, 0, ""},
	} {
		r := quietRig(t, func(cfg *Config) { cfg.IntervalS = 3600 })
		r.j.RateEnergy(c.rating)
		c.values[WindSpeedMPS] = 30
		r.step(3_600_000, c.values)
		r.step(3_600_000, c.values)
		_, from := r.j.Tolls()
		if got := tollOf(t, r.j, "W05"); got.ClosedMs != 3_600_000 || math.Abs(got.ClosedWh-c.wh) > 1e-9 || from != c.from {
			t.Errorf("%v: %+v from %q, want %v Wh from %q", c.values, got, from, c.wh, c.from)
		}
	}
}

// Over random weather no rule costs more time than the gate was closed, all time
// closed is some rule's or the gate's own, and how often time is let pass
// without a sample changes nothing.
func TestTollsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		cfg.IntervalS, cfg.Limits.EnterServiceS = 60, 60
		cfg.Stale = StaleLimits{week, week, week, week, week}
		often, err := NewJudge(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		seldom, err := NewJudge(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		var sum Summary
		for i := range rapid.IntRange(1, 80).Draw(t, "samples") {
			s := Sample{TimeMs: int64(i) * 600_000}
			s.Set(WindGustMPS, rapid.SampledFrom([]float64{3, 3, 3, 40}).Draw(t, "gust"))
			s.Set(WindSpeedMPS, rapid.SampledFrom([]float64{3, 3, 3, 30}).Draw(t, "wind"))
			sum.Sample(s.TimeMs)
			if i > 0 {
				for _, e := range often.Advance(s.TimeMs - 1000) {
					sum.Event(&e)
				}
			}
			for _, e := range often.Step(&s) {
				sum.Event(&e)
			}
			seldom.Step(&s)
		}
		list, _ := often.Tolls()
		other, _ := seldom.Tolls()
		var alone, most, all int64
		for i, c := range list {
			if c.AloneMs > c.ClosedMs || len(other) != len(list) || other[i] != c {
				t.Fatalf("%+v, and with fewer calls %+v", list, other)
			}
			alone, most, all = alone+c.AloneMs, max(most, c.ClosedMs), all+c.ClosedMs
		}
		if closed := int64(math.Round(sum.BlockedS() * 1000)); most > closed || alone > closed || all < closed {
			t.Fatalf("closed for %d ms: %+v", closed, list)
		}
	})
}

func TestTollsInTheSummary(t *testing.T) {
	t.Parallel()
	s := Summary{Cost: []Toll{{"W08", 7_200_000, 3_600_000, 4000, 1500}}, EnergyFrom: "power_w", Price: 0.25}
	want := `,"cost":[{"rule":"W08","closed_h":2,"alone_h":1,"kwh":4,"alone_kwh":1.5,"money":1,"alone_money":0.375}],"energy_from":"power_w","price_per_kwh":0.25}`
	if got := string(s.AppendJSON(nil)); !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
	s = Summary{}
	if got := string(s.AppendJSON(nil)); strings.Contains(got, "cost") {
		t.Errorf("%s", got)
	}
}
