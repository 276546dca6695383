package model

import "math"

// DewPointC is the dew point in C of air at tC with relative humidity rhPct in
// (0, 100], by the Magnus formula g = ln(RH/100) + 17.625 T / (243.04 + T),
// Td = 243.04 g / (17.625 - g) (Alduchov and Eskridge 1996). ok is false for
// a humidity of 0 or less, where it has no value.
//
// Every product is rounded by a conversion before it is added: the language
// then forbids fused multiply-add, and all architectures give the same number.
func DewPointC(tC, rhPct float64) (td float64, ok bool) {
	if !(rhPct > 0) {
		return math.NaN(), false
	}
	g := math.Log(rhPct/100) + float64(17.625*tC)/(243.04+tC)
	return float64(243.04*g) / (17.625 - g), true
}

// optional is a number that may be missing.
type optional struct {
	v  float64
	ok bool
}

func (a optional) minus(b optional) optional { return optional{a.v - b.v, a.ok && b.ok} }

// at returns the quantity's mean over the 5 to 10 minutes that ended lag
// buckets ago, or, when none was measured then, over a quarter of an hour on
// either side (never later than now).
func (e *Extractor) at(m int, lag int64) optional {
	if o := e.mean(m, lag, bucketsNow); o.ok {
		return o
	}
	newest := max(lag-bucketsSlack, 0)
	return e.mean(m, newest, lag+bucketsSlack-newest+1)
}

// mean averages n buckets, the newest of them lag buckets ago. Buckets weigh
// alike however many samples each holds: a gap must not shift the mean.
func (e *Extractor) mean(m int, lag, n int64) optional {
	sum, count := 0.0, 0
	for i := range n {
		if b := e.bucket(lag + i); b != nil && b.n[m] > 0 {
			sum += b.sum[m] / float64(b.n[m])
			count++
		}
	}
	return optional{sum / float64(count), count > 0}
}

// bucket returns the bucket of lag buckets ago, nil when it is empty.
func (e *Extractor) bucket(lag int64) *bucket {
	if lag >= numBuckets {
		return nil
	}
	b := e.slot(e.last - lag)
	if b.index != e.last-lag {
		return nil
	}
	return b
}

// gustMax is the highest gust of n buckets, the newest lag buckets ago.
func (e *Extractor) gustMax(lag, n int64) (o optional) {
	for i := range n {
		if b := e.bucket(lag + i); b != nil && b.hasGust && (!o.ok || b.gust > o.v) {
			o = optional{b.gust, true}
		}
	}
	return o
}

// rainSum is the rain of the last n buckets; ok when the gauge has spoken in
// the last hour.
func (e *Extractor) rainSum(n int64) (o optional) {
	for i := range n {
		b := e.bucket(i)
		if b == nil || !b.hasRain {
			continue
		}
		o.v += b.rain
		o.ok = o.ok || i < bucketsHour
	}
	return o
}

// rainingNow says whether it rained in the last 5 to 10 minutes.
func (e *Extractor) rainingNow() (o optional) {
	for i := range int64(bucketsNow) {
		if b := e.bucket(i); b != nil && b.hasRaining {
			o.ok = true
			if b.raining {
				o.v = 1
			}
		}
	}
	return o
}

func (e *Extractor) lightning6h() (o optional) {
	for i := range int64(6 * bucketsHour) {
		if b := e.bucket(i); b != nil && b.hasLightning {
			o.ok = o.ok || i < bucketsHour
			if b.lightning {
				o.v = 1
			}
		}
	}
	return o
}

// directionChange returns sine and cosine of the turn of the wind between lag
// buckets ago and now, both from vector means over an hour. They are missing
// where the wind turned so much within an hour that it had no direction.
func (e *Extractor) directionChange(lag int64) (sin, cos optional) {
	s1, c1, ok1 := e.direction(0)
	s0, c0, ok0 := e.direction(lag)
	if !ok0 || !ok1 {
		return optional{}, optional{}
	}
	return optional{float64(s1*c0) - float64(c1*s0), true}, optional{float64(c1*c0) + float64(s1*s0), true}
}

func (e *Extractor) direction(lag int64) (sin, cos float64, ok bool) {
	s, c := e.mean(meanSin, lag, bucketsHour), e.mean(meanCos, lag, bucketsHour)
	if !s.ok || !c.ok {
		return 0, 0, false
	}
	r := math.Hypot(s.v, c.v)
	if r < 0.1 {
		return 0, 0, false
	}
	return s.v / r, c.v / r, true
}

// dewPoint is the dew point of lag buckets ago.
func (e *Extractor) dewPoint(lag int64) optional {
	t, rh := e.at(meanTemperature, lag), e.at(meanHumidity, lag)
	if !t.ok || !rh.ok {
		return optional{}
	}
	td, ok := DewPointC(t.v, rh.v)
	return optional{td, ok}
}

// Features fills f with what is known at the newest sample. It overwrites all
// of f; before the first sample everything is missing.
func (e *Extractor) Features(f *Features) {
	*f = Features{}
	for i := range f.Missing {
		f.Missing[i] = true
	}
	if !e.any {
		return
	}
	const h = bucketsHour
	t, td := e.at(meanTemperature, 0), e.dewPoint(0)
	p, w := e.at(meanPressure, 0), e.at(meanWind, 0)
	f.set(FeatureTemperature, t)
	f.set(FeatureHumidity, e.at(meanHumidity, 0))
	f.set(FeatureDewPoint, td)
	f.set(FeatureDewPointDepression, t.minus(td))
	f.set(FeatureTemperatureChange1h, t.minus(e.at(meanTemperature, h)))
	f.set(FeatureTemperatureChange3h, t.minus(e.at(meanTemperature, 3*h)))
	f.set(FeatureDewPointChange3h, td.minus(e.dewPoint(3*h)))
	f.set(FeatureTemperatureChange6h, t.minus(e.at(meanTemperature, 6*h)))
	f.set(FeatureDewPointChange6h, td.minus(e.dewPoint(6*h)))
	f.set(FeaturePressureChange1h, p.minus(e.at(meanPressure, h)))
	f.set(FeaturePressureChange3h, p.minus(e.at(meanPressure, 3*h)))
	f.set(FeaturePressureChange6h, p.minus(e.at(meanPressure, 6*h)))
	f.set(FeatureWindSpeed, w)
	f.set(FeatureWindChange1h, w.minus(e.at(meanWind, h)))
	f.set(FeatureWindChange3h, w.minus(e.at(meanWind, 3*h)))
	e.gusts(f)
	sin, cos := e.directionChange(3 * h)
	f.set(FeatureDirectionChangeSin, sin)
	f.set(FeatureDirectionChangeCos, cos)
	f.set(FeatureRain1h, e.rainSum(h))
	f.set(FeatureRain3h, e.rainSum(3*h))
	f.set(FeatureRaining, e.rainingNow())
	f.set(FeatureIrradiance, e.mean(meanIrradiance, 0, h))
	f.set(FeatureLightning6h, e.lightning6h())
	e.days.features(f, t, td, p, w)
	e.place.features(f, e.gustMax(0, h))
}

func (e *Extractor) gusts(f *Features) {
	const h = bucketsHour
	g := e.gustMax(0, h)
	if !g.ok {
		return // no gust in the last hour: older ones alone would mislead
	}
	f.set(FeatureGust, g)
	f.set(FeatureGustMax3h, e.gustMax(0, 3*h))
	f.set(FeatureGustMax6h, e.gustMax(0, 6*h))
	f.set(FeatureGustChange1h, g.minus(e.gustMax(h, h)))
	if w := e.mean(meanWind, 0, h); w.ok && w.v >= gustFactorMinMPS {
		f.set(FeatureGustFactor, optional{g.v / w.v, true})
	}
}

func (f *Features) set(i int, o optional) {
	if o.ok {
		f.X[i], f.Missing[i] = float32(o.v), false
	}
}
