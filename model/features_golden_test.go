package model

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// changeable is weather in which every quantity moves on its own.
func changeable(ms int64) *Sample {
	s := &Sample{TimeMs: ms}
	h := float64(ms) / 3.6e6
	s.Set(TemperatureC, 15+8*math.Sin(h/4)+h/30)
	s.Set(HumidityPct, 60+25*math.Sin(h/5+1))
	s.Set(PressureHPa, 1005+7*math.Sin(h/9+2))
	s.Set(WindSpeedMPS, 4+3*math.Sin(h/3))
	s.Set(WindGustMPS, 7+5*math.Sin(h/3+0.3))
	s.Set(WindDirectionDeg, math.Mod(400+17*h, 360))
	s.Set(RainMM, max(0, math.Round(10*math.Sin(h/6))/10))
	s.Set(IrradianceWPM2, max(0, 700*math.Sin(h/4)))
	s.Set(LightningCount, math.Max(0, math.Round(math.Sin(h/7)-0.4)))
	return s
}

// The features of a changeable week at three rates are those of
// testdata/features.txt, to five digits.
func TestFeaturesGolden(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, c := range []struct {
		stepMs int64
		ends   []int64 // hours
	}{{hourMs, []int64{0, 1, 6, 12, 24, 30, 150}}, {600_000, []int64{2, 30}}, {17_000, []int64{7}}} {
		for _, end := range c.ends {
			e := NewExtractor()
			for ms := int64(0); ms <= end*hourMs; ms += c.stepMs {
				e.Push(changeable(ms))
			}
			var f Features
			e.Features(&f)
			fmt.Fprintf(&b, "every %d s, after %d h\n", c.stepMs/1000, end)
			for i, name := range FeatureNames() {
				if f.Missing[i] {
					fmt.Fprintf(&b, "  %s missing\n", name)
				} else {
					fmt.Fprintf(&b, "  %s %.5g\n", name, f.X[i])
				}
			}
		}
	}
	// A station whose sensors fail in turn.
	e := NewExtractor()
	for h := range int64(60) {
		s := changeable(h * hourMs)
		for i, c := range []Channel{TemperatureC, HumidityPct, PressureHPa, WindSpeedMPS, WindGustMPS, WindDirectionDeg, RainMM, IrradianceWPM2} {
			if h%int64(i+3) == 0 && h < 59 {
				s.Fail(c, SensorError)
			}
		}
		e.Push(s)
	}
	fmt.Fprintf(&b, "with failures %.5g\n", featuresOf(e).X)
	golden(t, "features.txt", b.String())
}

// pushAt gives an extractor one sample of some channels.
func pushAt(e *Extractor, ms int64, values map[Channel]float64) {
	s := &Sample{TimeMs: ms}
	for c, v := range values {
		s.Set(c, v)
	}
	e.Push(s)
}

func featuresOf(e *Extractor) (f Features) {
	e.Features(&f)
	return f
}

// Limits inside the features: what is calm, what has no direction, how long a
// gauge is remembered.
func TestFeatureEdges(t *testing.T) {
	t.Parallel()
	known := func(f Features, i int) bool { return !f.Missing[i] }
	for _, c := range []struct {
		wind float64
		want bool
	}{{0.5, true}, {0.49, false}} {
		e := NewExtractor()
		for h := range int64(4) {
			pushAt(e, h*hourMs, map[Channel]float64{WindDirectionDeg: 90, WindSpeedMPS: c.wind})
		}
		if got := known(featuresOf(e), FeatureDirectionChangeSin); got != c.want {
			t.Errorf("direction at %v m/s known %v", c.wind, got)
		}
	}
	for _, c := range []struct {
		wind float64
		want bool
	}{{1, true}, {0.99, false}} {
		e := NewExtractor()
		pushAt(e, 0, map[Channel]float64{WindSpeedMPS: c.wind, WindGustMPS: 3})
		if got := known(featuresOf(e), FeatureGustFactor); got != c.want {
			t.Errorf("gust factor at %v m/s known %v", c.wind, got)
		}
	}
	// A wind that turned all round within the hour has no direction.
	e := NewExtractor()
	pushAt(e, 0, map[Channel]float64{WindDirectionDeg: 90})
	pushAt(e, 3*hourMs, map[Channel]float64{WindDirectionDeg: 0})
	pushAt(e, 3*hourMs+1, map[Channel]float64{WindDirectionDeg: 180})
	if known(featuresOf(e), FeatureDirectionChangeSin) {
		t.Error("a direction of nothing")
	}
	// The gauge speaks for an hour, lightning for six.
	for _, c := range []struct {
		laterMs              int64
		rain, flash, raining bool
	}{{55 * 60_000, true, true, false}, {60 * 60_000, false, false, false}, {5 * 60_000, true, true, true}, {10 * 60_000, true, true, false}} {
		e := NewExtractor()
		pushAt(e, 0, map[Channel]float64{RainMM: 2, LightningKM: 30})
		pushAt(e, c.laterMs, map[Channel]float64{TemperatureC: 20})
		f := featuresOf(e)
		if known(f, FeatureRain1h) != c.rain || known(f, FeatureLightning6h) != c.flash || known(f, FeatureRaining) != c.raining {
			t.Errorf("after %d ms: rain %v, lightning %v, raining %v", c.laterMs, known(f, FeatureRain1h), known(f, FeatureLightning6h), known(f, FeatureRaining))
		}
		if c.rain && f.X[FeatureRain1h] != 2 || c.flash && f.X[FeatureLightning6h] != 1 {
			t.Errorf("after %d ms: %v mm, lightning %v", c.laterMs, f.X[FeatureRain1h], f.X[FeatureLightning6h])
		}
	}
	// A sample older than the newest five minutes is left out.
	e = NewExtractor()
	pushAt(e, bucketMs, map[Channel]float64{TemperatureC: 20})
	pushAt(e, bucketMs-1, map[Channel]float64{TemperatureC: 40})
	if f := featuresOf(e); f.X[FeatureTemperature] != 20 {
		t.Errorf("temperature %v, want 20", f.X[FeatureTemperature])
	}
	// Half a day of temperatures has a lowest and a highest, and a day a mean.
	for _, c := range []struct {
		hours    int64
		lowest   bool
		mean     bool
		rain     bool
		wantRain float32
	}{{11, false, false, false, 0}, {12, true, false, true, 12}, {23, true, false, true, 23}, {24, true, true, true, 24}, {40, true, true, true, 24}} {
		e := NewExtractor()
		for h := range c.hours + 1 { // the newest hour is not closed
			pushAt(e, h*hourMs, map[Channel]float64{TemperatureC: float64(h), Raining: 1})
		}
		f := featuresOf(e)
		if known(f, FeatureAboveMinimum24h) != c.lowest || known(f, FeatureTemperatureMean) != c.mean || known(f, FeatureRainHours24h) != c.rain ||
			f.X[FeatureRainHours24h] != c.wantRain {
			t.Errorf("after %d hours: lowest %v, mean %v, rain %v of %v hours", c.hours, known(f, FeatureAboveMinimum24h), known(f, FeatureTemperatureMean),
				known(f, FeatureRainHours24h), f.X[FeatureRainHours24h])
		}
	}
	// A spread of a tenth scales an anomaly, less does not.
	for _, c := range []struct {
		swing float64
		want  bool
	}{{0.1001, true}, {0.0999, false}} {
		e := NewExtractor()
		for h := range int64(30) {
			pushAt(e, h*hourMs, map[Channel]float64{PressureHPa: 1000 + c.swing*float64(h%2*2)})
		}
		if got := known(featuresOf(e), FeaturePressureScore); got != c.want {
			t.Errorf("a spread of %v scales %v", c.swing, got)
		}
	}
	for a, want := range map[[2]int64]int64{{7, 2}: 3, {-7, 2}: -4, {-8, 2}: -4, {0, 5}: 0, {-1, 5}: -1} {
		if got := floorDiv(a[0], a[1]); got != want {
			t.Errorf("floorDiv(%d, %d) = %d, want %d", a[0], a[1], got, want)
		}
	}
}
