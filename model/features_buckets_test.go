package model

import (
	"math"
	"testing"
)

// wantFeature compares one feature; NaN means that it is missing.
func wantFeature(t *testing.T, when string, f Features, i int, want float64) {
	t.Helper()
	if f.Missing[i] != math.IsNaN(want) || !f.Missing[i] && math.Abs(float64(f.X[i])-want) > 1e-5 {
		t.Errorf("%s: %s = %g (missing %v), want %g", when, FeatureNames()[i], f.X[i], f.Missing[i], want)
	}
}

// Several readings fall into one bucket: the highest gust counts, rain adds up, and
// what happened once has happened.
func TestReadingsOfOneBucket(t *testing.T) {
	missing := math.NaN()
	for _, c := range []struct {
		name    string
		channel Channel
		values  []float64
		feature int
		want    float64
	}{
		{"the highest gust", WindGustMPS, []float64{8, 12, 10}, FeatureGust, 12},
		{"a gust of nothing", WindGustMPS, []float64{0, 0}, FeatureGust, 0},
		{"no gust", TemperatureC, []float64{8}, FeatureGust, missing},
		{"no gust", TemperatureC, []float64{8}, FeatureGustMax3h, missing},
		{"a strike, then none", LightningCount, []float64{1, 0}, FeatureLightning6h, 1},
		{"none, then a strike", LightningCount, []float64{0, 2}, FeatureLightning6h, 1},
		{"no strike", LightningCount, []float64{0, 0}, FeatureLightning6h, 0},
		{"a distance", LightningKM, []float64{20}, FeatureLightning6h, 1},
		{"rain, then none", RainMM, []float64{0.2, 0}, FeatureRaining, 1},
		{"none, then rain", RainMM, []float64{0, 0.2}, FeatureRaining, 1},
		{"no rain", RainMM, []float64{0, 0}, FeatureRaining, 0},
		{"the sum of rain", RainMM, []float64{0.2, 0, 0.3}, FeatureRain1h, 0.5},
		{"raining, then not", Raining, []float64{1, 0}, FeatureRaining, 1},
		{"not, then raining", Raining, []float64{0, 1}, FeatureRaining, 1},
		{"not raining", Raining, []float64{0, 0}, FeatureRaining, 0},
	} {
		e := NewExtractor()
		for i, v := range c.values {
			pushAt(e, 100*bucketMs+int64(i)*1000, map[Channel]float64{c.channel: v})
		}
		wantFeature(t, c.name, featuresOf(e), c.feature, c.want)
	}
}

// How far back a reading still counts, in buckets of five minutes.
func TestReachOfReadings(t *testing.T) {
	missing := math.NaN()
	pick := func(known bool, v float64) float64 {
		if known {
			return v
		}
		return missing
	}
	for lag := range int64(numBuckets + 5) {
		past := func(values map[Channel]float64) *Extractor {
			e := NewExtractor()
			pushAt(e, (1000-lag)*bucketMs, values)
			return e
		}
		e := past(map[Channel]float64{TemperatureC: 10, WindGustMPS: 7, RainMM: 0.4})
		pushAt(e, 1000*bucketMs, map[Channel]float64{PressureHPa: 1000})
		f := featuresOf(e)
		wantFeature(t, "the present", f, FeatureTemperature, pick(lag <= bucketsSlack, 10))
		wantFeature(t, "a gust", f, FeatureGust, pick(lag < bucketsHour, 7))
		wantFeature(t, "a gust of three hours", f, FeatureGustMax3h, pick(lag < bucketsHour, 7))
		wantFeature(t, "rain of three hours", f, FeatureRain3h, pick(lag < bucketsHour, 0.4))
		if lag == 0 {
			continue
		}
		e = past(map[Channel]float64{TemperatureC: 10})
		pushAt(e, 1000*bucketMs, map[Channel]float64{TemperatureC: 16})
		f = featuresOf(e)
		hourAgo := lag >= bucketsHour-bucketsSlack && lag <= bucketsHour+bucketsSlack
		if lag > bucketsNow { // else it is part of the present mean
			wantFeature(t, "an hour ago", f, FeatureTemperatureChange1h, pick(hourAgo, 6))
		}
	}
}

// A vane alone gives a direction: the wind's speed only says when there is none.
func TestDirectionWithoutSpeed(t *testing.T) {
	for name, c := range map[string]struct {
		speed []float64
		want  float64
	}{"unknown": {nil, 1}, "a wind": {[]float64{calmMPS}, 1}, "calm": {[]float64{calmMPS - 0.1}, math.NaN()}} {
		e := NewExtractor()
		for _, p := range []struct {
			ms  int64
			deg float64
		}{{0, 10}, {3 * hourMs, 100}} {
			values := map[Channel]float64{WindDirectionDeg: p.deg}
			for _, v := range c.speed {
				values[WindSpeedMPS] = v
			}
			pushAt(e, p.ms, values)
		}
		wantFeature(t, name, featuresOf(e), FeatureDirectionChangeSin, c.want)
	}
}

// Features overwrites all it is given, and Reset forgets all there was.
func TestFeaturesStartClean(t *testing.T) {
	e := NewExtractor()
	e.Push(weather(0))
	e.Reset()
	f := Features{}
	for i := range f.X {
		f.X[i] = 7
	}
	e.Features(&f)
	for i := range f.X {
		if f.X[i] != 0 || !f.Missing[i] {
			t.Errorf("%s = %g after a reset", FeatureNames()[i], f.X[i])
		}
	}
}

// courseOf pushes hours of a daily course from an hour on.
func courseOf(from, hours int64) *Extractor {
	e := NewExtractor()
	for h := range hours {
		pushAt(e, (from+h)*hourMs, map[Channel]float64{
			TemperatureC: 16 - 8*math.Cos(2*math.Pi*float64(h)/24), HumidityPct: 60, PressureHPa: 1000 + float64(h%24), Raining: float64(h / 100 % 2),
		})
	}
	return e
}

// Days before 1970 are like others, and so is the hour between.
func TestDaysOver1970(t *testing.T) {
	const hours = 145
	want := featuresOf(courseOf(240, hours))
	for _, from := range []int64{-300, -145, -144, -143, -100, -48, -24, -1, 0} {
		if got := featuresOf(courseOf(from, hours)); got != want {
			t.Errorf("from hour %d: %+v, want %+v", from, got, want)
		}
	}
}

// What fell into a gap is missing, also where the ring still holds older hours,
// and a quantity that is not known now is compared with nothing.
func TestDaysWithGaps(t *testing.T) {
	missing := math.NaN()
	e := courseOf(0, 145)
	pushAt(e, (144+30)*hourMs, map[Channel]float64{TemperatureC: 16, PressureHPa: 1000})
	f := featuresOf(e)
	wantFeature(t, "24 h ago is in the gap", f, FeatureTemperatureChange24h, missing)
	wantFeature(t, "12 h ago is in the gap", f, FeaturePressureChange12h, missing)
	wantFeature(t, "humidity is not known now", f, FeatureDewPointScore, missing)
	if f.Missing[FeatureTemperatureScore] {
		t.Error("temperature is known now and has no score")
	}
	// Past the gap the lowest and highest of the day are those of too few hours.
	for h := range int64(3) {
		pushAt(e, (144+60+h)*hourMs, map[Channel]float64{TemperatureC: 16, PressureHPa: 1000})
	}
	f = featuresOf(e)
	wantFeature(t, "three hours of a day", f, FeatureAboveMinimum24h, missing)
	wantFeature(t, "three hours of a day", f, FeatureBelowMaximum24h, missing)
	wantFeature(t, "three hours of a day", f, FeatureRainHours24h, missing)
}

// An hour in which it rained once is an hour of rain.
func TestHoursOfRain(t *testing.T) {
	for _, c := range []Channel{Raining, RainMM} {
		e := NewExtractor()
		for h := range int64(30) {
			for _, minute := range []int64{0, 20, 40} {
				v := 0.0
				if h%2 == 1 && minute == 20 {
					v = 1
				}
				pushAt(e, h*hourMs+minute*60_000, map[Channel]float64{c: v})
			}
		}
		wantFeature(t, c.String(), featuresOf(e), FeatureRainHours24h, 12)
	}
}
