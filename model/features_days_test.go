package model

import (
	"math"
	"testing"
)

// sixDays pushes six days of a daily course, one sample every step, and
// returns the features at the end: 24 C at noon, 8 C at midnight, shifted by
// offset.
func sixDays(stepMs int64, offset float64) (f Features) {
	e := NewExtractor()
	for ms := int64(0); ms <= 6*24*hourMs; ms += stepMs {
		h := float64(ms) / hourMs
		s := &Sample{TimeMs: ms}
		s.Set(TemperatureC, 16+offset-8*math.Cos(2*math.Pi*h/24))
		s.Set(HumidityPct, 60)
		s.Set(PressureHPa, 1000+offset)
		s.Set(WindSpeedMPS, 5)
		s.Set(RainMM, 0)
		e.Push(s)
	}
	e.Features(&f)
	return f
}

func TestDaysOfADailyCourse(t *testing.T) {
	f := sixDays(hourMs, 0) // ends at midnight: the day's lowest temperature
	for i, want := range map[int]float64{
		FeatureTemperatureChange24h: 0, FeatureTemperatureChange6h: -8, FeatureTemperatureAnomaly: -8,
		FeatureTemperatureMean: 16, FeatureTemperatureSpread: 8 / math.Sqrt2, FeatureTemperatureScore: -math.Sqrt2,
		FeatureAboveMinimum24h: 0, FeatureBelowMaximum24h: 16, FeaturePressureAnomaly: 0, FeaturePressureChange24h: 0,
		FeatureWindAnomaly: 0, FeatureRainHours24h: 0,
	} {
		if f.Missing[i] || math.Abs(float64(f.X[i])-want) > 0.02 {
			t.Errorf("%s = %g (missing %v), want %g", FeatureNames()[i], f.X[i], f.Missing[i], want)
		}
	}
	// A spread of nothing scales nothing.
	for _, i := range []int{FeaturePressureScore, FeatureWindScore} {
		if !f.Missing[i] {
			t.Errorf("%s = %g with a spread of 0", FeatureNames()[i], f.X[i])
		}
	}
}

// A station that is ten degrees and ten hPa off is told from another by its
// means only, not by what compares it with itself.
func TestAnomaliesDoNotNameTheStation(t *testing.T) {
	a, b := sixDays(hourMs, 0), sixDays(hourMs, 10)
	for _, i := range []int{
		FeatureTemperatureAnomaly, FeatureTemperatureScore, FeaturePressureAnomaly, FeatureTemperatureChange24h,
		FeatureAboveMinimum24h, FeatureBelowMaximum24h, FeatureTemperatureSpread,
	} {
		if math.Abs(float64(a.X[i]-b.X[i])) > 1e-4 {
			t.Errorf("%s: %g and %g", FeatureNames()[i], a.X[i], b.X[i])
		}
	}
}

func TestDaysNeedADay(t *testing.T) {
	e := NewExtractor()
	for h := range int64(23) {
		e.Push(weather(h * hourMs))
	}
	var f Features
	e.Features(&f)
	if !f.Missing[FeatureTemperatureAnomaly] || !f.Missing[FeatureTemperatureChange24h] {
		t.Error("an anomaly after less than a day")
	}
	if f.Missing[FeatureTemperatureChange6h] {
		t.Error("no change over 6 h after 23")
	}
	// A gap longer than the ring forgets the past.
	e.Push(weather(40 * 24 * hourMs))
	e.Push(weather(40*24*hourMs + hourMs))
	e.Features(&f)
	if !f.Missing[FeatureTemperatureMean] || !f.Missing[FeatureTemperatureChange6h] {
		t.Error("hours of weeks ago count")
	}
}

// One sample a minute gives what one an hour does, up to the means over an hour.
func TestDaysOfMinutes(t *testing.T) {
	a, b := sixDays(hourMs, 0), sixDays(60_000, 0)
	for i := FeatureTemperatureChange6h; i < NumFeatures; i++ {
		if a.Missing[i] != b.Missing[i] || math.Abs(float64(a.X[i]-b.X[i])) > 1.1 {
			t.Errorf("%s: hourly %g (missing %v), by the minute %g (%v)", FeatureNames()[i], a.X[i], a.Missing[i], b.X[i], b.Missing[i])
		}
	}
}
