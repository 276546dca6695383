package model

import "math"

// The past days: hourly means, so that a station can be compared with itself.
// What is ordinary at a place (its height, sensors, season and climate) cancels
// in a difference to its own mean, and a network that sees the difference
// carries over to another climate better than one that sees the value. Now is
// compared with means over an hour of the clock: live, where an hour has 3,600
// samples, a change over 24 h reaches back up to half an hour more or less.
const (
	daysHours   = 5 * 24 // how far back the mean reaches
	numHours    = daysHours + 1
	minHours    = 24 // fewer known hours give no anomaly: half a day has one half of the daily course
	halfDay     = 12
	day         = 24
	minSpread   = 0.1 // below this spread in the channel's unit an anomaly has no scale
	minDayHours = 12  // known hours of the last 24 for their lowest and highest
)

// The quantities kept per hour.
const (
	hourTemperature = iota
	hourHumidity
	hourPressure
	hourWind
	numHourly
)

var hourChannels = [numHourly]Channel{TemperatureC, HumidityPct, PressureHPa, WindSpeedMPS}

// An hourly is what came in during one hour of the clock.
type hourly struct {
	index      int64
	sum        [numHourly]float64
	n          [numHourly]int32
	dewPoint   float64 // of the hour's mean temperature and humidity, when closed
	hasDew     bool
	raining    bool
	hasRaining bool
}

// days is a ring of hours. Its size is fixed (about 11 kB).
type days struct {
	ring [numHours]hourly
	last int64
	any  bool
	// Sums over the closed hours, brought up to date when an hour closes: mean
	// and spread of temperature, dew point, pressure and wind.
	mean, spread [numDaily]optional
	minT, maxT   optional // of the last 24 closed hours
	rainHours    optional // of the last 24 hours, with rain
}

// The quantities with a mean over the past days.
const (
	dailyTemperature = iota
	dailyDewPoint
	dailyPressure
	dailyWind
	numDaily
)

func (d *days) slot(index int64) *hourly {
	return &d.ring[((index%numHours)+numHours)%numHours]
}

// push adds a sample that is not older than the newest hour.
func (d *days) push(s *Sample) {
	index := floorDiv(s.TimeMs, hourMs)
	if !d.any {
		for i := range d.ring {
			d.ring[i].index = index - 2*numHours
		}
	}
	h := d.slot(index)
	if h.index != index {
		if d.any {
			d.close()
		}
		*h = hourly{index: index}
	}
	d.any, d.last = true, index
	for k, c := range hourChannels {
		if v, ok := s.Get(c); ok {
			h.sum[k] += v
			h.n[k]++
		}
	}
	if v, ok := s.Get(Raining); ok {
		h.hasRaining, h.raining = true, h.raining || v > 0
	}
	if v, ok := s.Get(RainMM); ok {
		h.hasRaining, h.raining = true, h.raining || v > 0
	}
}

func (h *hourly) value(k int) optional {
	return optional{h.sum[k] / float64(h.n[k]), h.n[k] > 0}
}

func (h *hourly) daily(k int) optional {
	switch k {
	case dailyTemperature:
		return h.value(hourTemperature)
	case dailyDewPoint:
		return optional{h.dewPoint, h.hasDew}
	case dailyPressure:
		return h.value(hourPressure)
	default:
		return h.value(hourWind)
	}
}

// close ends the newest hour and computes the figures of the past days again:
// once an hour, over at most 120 hours.
func (d *days) close() {
	h := d.slot(d.last)
	t, rh := h.value(hourTemperature), h.value(hourHumidity)
	if t.ok && rh.ok {
		h.dewPoint, h.hasDew = DewPointC(t.v, rh.v)
	}
	for k := range numDaily {
		d.mean[k], d.spread[k] = d.moments(k)
	}
	d.minT, d.maxT, d.rainHours = optional{}, optional{}, optional{}
	known, rain, rainKnown := 0, 0.0, 0
	lo, hi := math.Inf(1), math.Inf(-1)
	for lag := range int64(day) {
		h := d.hour(lag)
		if h == nil {
			continue
		}
		if t := h.value(hourTemperature); t.ok {
			known++
			lo, hi = min(lo, t.v), max(hi, t.v)
		}
		if h.hasRaining {
			rainKnown++
			if h.raining {
				rain++
			}
		}
	}
	if known >= minDayHours {
		d.minT, d.maxT = optional{lo, true}, optional{hi, true}
	}
	d.rainHours = optional{rain, rainKnown >= minDayHours}
}

// moments are mean and standard deviation over the closed hours that are known.
func (d *days) moments(k int) (mean, spread optional) {
	n, sum := 0.0, 0.0
	for lag := range int64(daysHours) {
		if h := d.hour(lag); h != nil {
			if o := h.daily(k); o.ok {
				n++
				sum += o.v
			}
		}
	}
	if n < minHours {
		return optional{}, optional{}
	}
	m, sq := sum/n, 0.0
	for lag := range int64(daysHours) {
		if h := d.hour(lag); h != nil {
			if o := h.daily(k); o.ok {
				sq += float64((o.v - m) * (o.v - m))
			}
		}
	}
	return optional{m, true}, optional{math.Sqrt(sq / n), true}
}

// hour returns the hour of lag hours ago, nil when nothing came in then.
func (d *days) hour(lag int64) *hourly {
	h := d.slot(d.last - lag)
	if h.index != d.last-lag {
		return nil
	}
	return h
}

// ago is a quantity's hourly mean of lag hours ago, missing where unknown.
func (d *days) ago(k int, lag int64) optional {
	if h := d.hour(lag); h != nil {
		return h.daily(k)
	}
	return optional{}
}

// features sets what compares now with the past days.
func (d *days) features(f *Features, t, td, p, w optional) {
	now := [numDaily]optional{t, td, p, w}
	anomaly := [numDaily]int{FeatureTemperatureAnomaly, FeatureDewPointAnomaly, FeaturePressureAnomaly, FeatureWindAnomaly}
	scaled := [numDaily]int{FeatureTemperatureScore, FeatureDewPointScore, FeaturePressureScore, FeatureWindScore}
	for k := range now {
		a := now[k].minus(d.mean[k])
		f.set(anomaly[k], a)
		if a.ok && d.spread[k].v >= minSpread {
			f.set(scaled[k], optional{a.v / d.spread[k].v, true})
		}
	}
	f.set(FeatureTemperatureChange24h, t.minus(d.ago(dailyTemperature, day)))
	f.set(FeatureDewPointChange24h, td.minus(d.ago(dailyDewPoint, day)))
	f.set(FeaturePressureChange24h, p.minus(d.ago(dailyPressure, day)))
	f.set(FeaturePressureChange12h, p.minus(d.ago(dailyPressure, halfDay)))
	f.set(FeatureAboveMinimum24h, t.minus(d.minT))
	f.set(FeatureBelowMaximum24h, d.maxT.minus(t))
	f.set(FeatureTemperatureMean, d.mean[dailyTemperature])
	f.set(FeatureDewPointMean, d.mean[dailyDewPoint])
	f.set(FeatureTemperatureSpread, d.spread[dailyTemperature])
	f.set(FeaturePressureSpread, d.spread[dailyPressure])
	f.set(FeatureRainHours24h, d.rainHours)
}
