package model

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestDewPointVectors(t *testing.T) {
	for _, tt := range []struct{ tC, rh, want float64 }{
		{25, 60, 16.698},
		{30, 80, 26.171},
		{12.5, 100, 12.5}, // saturated air is at its dew point
	} {
		got, ok := DewPointC(tt.tC, tt.rh)
		if !ok || math.Abs(got-tt.want) > 5e-4 {
			t.Errorf("DewPointC(%g, %g) = %.4f, %v, want %.3f", tt.tC, tt.rh, got, ok, tt.want)
		}
	}
	if _, ok := DewPointC(20, 0); ok {
		t.Error("dry air has no dew point")
	}
}

// a weather is a smooth day as a function of time in ms.
func weather(ms int64) *Sample {
	s := &Sample{TimeMs: ms}
	h := float64(ms) / 3.6e6
	s.Set(TemperatureC, 20+0.8*h)
	s.Set(HumidityPct, 60-h)
	s.Set(PressureHPa, 1010-1.5*h)
	s.Set(WindSpeedMPS, 5+0.5*h)
	s.Set(WindGustMPS, 8+h)
	s.Set(WindDirectionDeg, math.Mod(200+20*h, 360))
	s.Set(Raining, 0)
	s.Set(IrradianceWPM2, 300)
	return s
}

func features24(stepMs int64) (f Features) {
	e := NewExtractor()
	for ms := int64(0); ms <= 8*3_600_000; ms += stepMs {
		e.Push(weather(ms))
	}
	e.Features(&f)
	return f
}

func TestHourlyFeaturesAreWhatTheySay(t *testing.T) {
	f := features24(3_600_000)
	want := map[int]float64{
		FeatureTemperature: 26.4, FeatureHumidity: 52, FeatureTemperatureChange1h: 0.8,
		FeatureTemperatureChange3h: 2.4, FeaturePressureChange1h: -1.5, FeaturePressureChange3h: -4.5,
		FeaturePressureChange6h: -9, FeatureWindSpeed: 9, FeatureWindChange1h: 0.5, FeatureWindChange3h: 1.5,
		FeatureGust: 16, FeatureGustMax3h: 16, FeatureGustMax6h: 16, FeatureGustChange1h: 1, FeatureGustFactor: 16.0 / 9,
		FeatureDirectionChangeSin: math.Sin(math.Pi / 3), FeatureDirectionChangeCos: 0.5,
		FeatureRaining: 0, FeatureIrradiance: 300,
	}
	names := FeatureNames()
	for i, w := range want {
		if f.Missing[i] || math.Abs(float64(f.X[i])-w) > 1e-4 {
			t.Errorf("%s = %g (missing %v), want %g", names[i], f.X[i], f.Missing[i], w)
		}
	}
	for _, i := range []int{FeatureRain1h, FeatureRain3h, FeatureLightning6h} {
		if !f.Missing[i] {
			t.Errorf("%s = %g without a sensor", names[i], f.X[i])
		}
	}
}

// The same weather sampled every second and every hour gives nearly the same
// features: windows are in time. What is left is the averaging over 5 to 10
// minutes of live samples.
func TestSecondlyAgreesWithHourly(t *testing.T) {
	live, hourly := features24(1000), features24(3_600_000)
	tolerance := map[int]float64{
		FeatureGustFactor: 0.1, FeatureWindSpeed: 0.1, FeatureHumidity: 0.2, FeatureDirectionChangeSin: 0.02,
		FeatureDirectionChangeCos: 0.02,
	}
	for i, name := range FeatureNames() {
		if live.Missing[i] != hourly.Missing[i] {
			t.Errorf("%s: missing live %v, hourly %v", name, live.Missing[i], hourly.Missing[i])
			continue
		}
		tol := tolerance[i]
		if tol == 0 {
			tol = 0.15
		}
		if d := math.Abs(float64(live.X[i] - hourly.X[i])); d > tol {
			t.Errorf("%s: live %g, hourly %g", name, live.X[i], hourly.X[i])
		}
	}
}

func TestInvalidReadingsAreMissing(t *testing.T) {
	e := NewExtractor()
	s := weather(0)
	s.Fail(PressureHPa, SensorError)
	s.Set(TemperatureC, math.NaN())
	e.Push(s)
	var f Features
	e.Features(&f)
	for _, i := range []int{FeatureTemperature, FeatureDewPoint, FeaturePressureChange1h} {
		if !f.Missing[i] || f.X[i] != 0 {
			t.Errorf("feature %d: %g, missing %v", i, f.X[i], f.Missing[i])
		}
	}
	if f.Missing[FeatureHumidity] {
		t.Error("humidity was valid")
	}
}

func TestRainIsCountedOnce(t *testing.T) {
	e := NewExtractor()
	for sec := int64(0); sec < 60; sec++ {
		s := &Sample{TimeMs: sec * 1000}
		s.Set(RainMM, 0.2)
		s.AgeMs[RainMM] = sec % 10 * 1000 // the gauge is read every 10 s
		e.Push(s)
	}
	var f Features
	e.Features(&f)
	if got := f.X[FeatureRain1h]; math.Abs(float64(got)-1.2) > 1e-6 || f.X[FeatureRaining] != 1 {
		t.Errorf("rain %g mm, raining %g; want 1.2 mm, 1", got, f.X[FeatureRaining])
	}
}

func TestGapForgets(t *testing.T) {
	e := NewExtractor()
	e.Push(weather(0))
	e.Push(weather(7 * 3_600_000))
	var f Features
	e.Features(&f)
	if !f.Missing[FeaturePressureChange6h] || !f.Missing[FeaturePressureChange1h] || f.Missing[FeatureTemperature] {
		t.Errorf("after a gap of 7 h: %+v", f)
	}
	if f.X[FeatureGustMax6h] != 15 {
		t.Errorf("gust of the last 6 h = %g, want the newest, 15", f.X[FeatureGustMax6h])
	}
}

// Whatever is pushed, features are finite, missing ones are 0, and shifting
// the clock by whole buckets changes nothing (also over zero, in 1969).
func TestExtractorProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.Int64Range(-400, 400).Draw(t, "shift") * bucketMs
		a, b := NewExtractor(), NewExtractor()
		at := int64(0)
		for range rapid.IntRange(1, 80).Draw(t, "n") {
			at += rapid.Int64Range(0, 40*60_000).Draw(t, "step")
			s := Sample{TimeMs: at}
			for c := TemperatureC; c < NumChannels; c++ {
				if rapid.Bool().Draw(t, "has") {
					s.Set(c, rapid.Float64().Draw(t, "v"))
				}
			}
			a.Push(&s)
			s.TimeMs += shift
			b.Push(&s)
		}
		var fa, fb Features
		a.Features(&fa)
		b.Features(&fb)
		if fa != fb {
			t.Fatalf("shift of %d ms changes the features", shift)
		}
		for i := range fa.X {
			v := float64(fa.X[i])
			if math.IsNaN(v) || math.IsInf(v, 0) || (fa.Missing[i] && v != 0) {
				t.Fatalf("feature %d = %g, missing %v", i, v, fa.Missing[i])
			}
		}
	})
}

// The hash changes with the schema: weights trained on other features are
// refused. A change here needs new weights.
func TestFeatureSchema(t *testing.T) {
	names, units := FeatureNames(), FeatureUnits()
	seen := map[string]bool{}
	for i, n := range names {
		if n == "" || seen[n] {
			t.Errorf("feature %d is named %q", i, n)
		}
		seen[n] = true
	}
	if units[FeatureGust] != "m/s" {
		t.Errorf("unit of the gust is %q", units[FeatureGust])
	}
	if first, second := FeatureSchemaHash(), FeatureSchemaHash(); first != second {
		t.Error("hash is not stable")
	}
}

func TestPushDoesNotAllocate(t *testing.T) {
	e := NewExtractor()
	s := weather(0)
	var f Features
	if n := testing.AllocsPerRun(100, func() { s.TimeMs += 1000; e.Push(s); e.Features(&f) }); n != 0 {
		t.Errorf("%g allocations per push", n)
	}
}

func BenchmarkExtractorPush(b *testing.B) {
	e := NewExtractor()
	s := weather(0)
	b.ReportAllocs()
	for b.Loop() {
		s.TimeMs += 1000
		e.Push(s)
	}
}

func BenchmarkExtractorFeatures(b *testing.B) {
	e := NewExtractor()
	for ms := int64(0); ms <= 8*3_600_000; ms += 60_000 {
		e.Push(weather(ms))
	}
	var f Features
	b.ReportAllocs()
	for b.Loop() {
		e.Features(&f)
	}
}
