package scenario

import (
	"math"
	"math/rand/v2"
	"time"

	"fairwatt/model"
)

// The scenarios play in the middle of the mainland coast of the East China Sea,
// where all of them happen.
const (
	latitude  = 30.0
	longitude = 120.0
)

// weather is the state of the sky at one place.
type weather struct {
	opts   Options
	event  event
	flash  *rand.Rand
	cover  *noise
	warmth *noise
	dew    *noise
	press  *noise
	breeze *noise
	gusty  *noise
	veer   *noise
	shower *noise
}

func newWeather(o Options, e event) *weather {
	n := func(name string, tau time.Duration) *noise { return newNoise(o.Seed, name, tau.Seconds()) }
	return &weather{
		opts: o, event: e, flash: newRand(o.Seed, "lightning"),
		cover: n("cloud", 40*time.Minute), warmth: n("temperature", 3*time.Hour), dew: n("dew point", 6*time.Hour),
		press: n("pressure", 12*time.Hour), breeze: n("wind", 45*time.Minute), gusty: n("gust", 3*time.Minute),
		veer: n("direction", 30*time.Minute), shower: n("rain", 10*time.Minute),
	}
}

// moment is the weather over one step.
type moment struct {
	temperatureC, dewC, pressureHPa float64
	windMPS, gustMPS, directionDeg  float64
	rainMM, irradianceWPM2          float64
	flashes                         float64
	flashKM                         float64
}

// at returns the weather over the dtS seconds that end at t.
func (w *weather) at(t time.Time, dtS float64) moment {
	sinceS := t.Sub(w.opts.Start).Seconds()
	a := w.event.at(sinceS)
	middle := t.Add(-time.Duration(dtS / 2 * float64(time.Second)))
	solarHour := math.Mod(float64(middle.Unix()%86400)/3600+longitude/15, 24)

	cover := 1 / (1 + math.Exp(-(w.event.cloudiness + 1.2*w.cover.within(dtS, 3))))
	cover = max(cover, a.cover)
	var m moment
	m.irradianceWPM2 = clearSkyWPM2(sinElevation(middle, latitude, longitude)) * cloudFactor(cover)

	daily := math.Cos((solarHour - 14.5) * math.Pi / 12)
	m.temperatureC = 25 + 4.5*daily*(1-0.4*a.cover) + 0.7*w.warmth.within(dtS, 3) - a.coolingK
	// Rain moistens the air until it is nearly saturated.
	m.dewC = 17.5 + 0.8*w.dew.within(dtS, 3) - 0.3*a.coolingK
	m.dewC += (m.temperatureC - 1 - m.dewC) * 0.9 * rise(a.rainMMH/10)
	m.dewC = min(m.dewC, m.temperatureC-0.2)

	m.pressureHPa = 1011 + 1.2*math.Cos((solarHour-10)*math.Pi/6) + 0.9*w.press.within(dtS, 3) + a.pressureHPa

	breeze := 5.8 + 1.4*daily + 1.1*w.breeze.within(dtS, 2.5)
	m.windMPS = max(0.4, breeze*(1-a.calms)+a.windMPS)
	// Gust over mean: 1.3 to 1.7 over open land, more in an outflow.
	m.gustMPS = m.windMPS * (1.5 + 0.1*w.gusty.within(dtS, 2) + a.gustiness)
	m.directionDeg = math.Mod(140+25*w.veer.within(dtS, 3)+a.veerDeg+360, 360)
	if a.turns > 0 {
		m.directionDeg = between(m.directionDeg, a.fromDeg, a.turns)
	}

	m.rainMM = a.rainMMH * max(0, 1+0.4*w.shower.within(dtS, 2)) * dtS / 3600
	if a.flashesPerMin > 0 {
		m.flashes = poisson(w.flash, a.flashesPerMin*dtS/60)
		m.flashKM = a.flashKM
	}
	return m
}

// between is the direction of the weighted mean of two winds of equal strength.
func between(aDeg, bDeg, shareOfB float64) float64 {
	aSin, aCos := math.Sincos(aDeg * math.Pi / 180)
	bSin, bCos := math.Sincos(bDeg * math.Pi / 180)
	sin, cos := aSin+shareOfB*(bSin-aSin), aCos+shareOfB*(bCos-aCos)
	return math.Mod(math.Atan2(sin, cos)*180/math.Pi+360, 360)
}

// poisson draws a number of events by Knuth's product. The mean is below 100
// here.
func poisson(rng *rand.Rand, mean float64) float64 {
	limit, product, n := math.Exp(-mean), rng.Float64(), 0.0
	for product > limit {
		product *= rng.Float64()
		n++
	}
	return n
}

// farKM is a lightning sensor's "out of range" (AS3935, register 0x07: 0x3F).
const farKM = 63

// A tally gathers the moments of one interval into a row.
type tally struct {
	sum     moment
	seconds float64
	gustMPS float64
	sin     float64
	cos     float64
	nearKM  float64
}

func newTally() *tally { return &tally{nearKM: farKM} }

func (y *tally) add(m moment, dtS float64) {
	y.seconds += dtS
	y.sum.temperatureC += m.temperatureC * dtS
	y.sum.dewC += m.dewC * dtS
	y.sum.pressureHPa += m.pressureHPa * dtS
	y.sum.windMPS += m.windMPS * dtS
	y.sum.irradianceWPM2 += m.irradianceWPM2 * dtS
	y.sum.rainMM += m.rainMM
	y.sum.flashes += m.flashes
	y.gustMPS = max(y.gustMPS, m.gustMPS)
	rad := m.directionDeg * math.Pi / 180
	y.sin += math.Sin(rad) * m.windMPS
	y.cos += math.Cos(rad) * m.windMPS
	if m.flashes > 0 {
		y.nearKM = min(y.nearKM, m.flashKM)
	}
}

// into writes the interval's weather, rounded like an instrument's.
func (y *tally) into(s *model.Sample) {
	temperature := round(y.sum.temperatureC/y.seconds, 2)
	s.Set(model.TemperatureC, temperature)
	s.Set(model.HumidityPct, round(min(100, humidityPct(temperature, min(y.sum.dewC/y.seconds, temperature))), 2))
	s.Set(model.PressureHPa, round(y.sum.pressureHPa/y.seconds, 2))
	wind := round(y.sum.windMPS/y.seconds, 2)
	s.Set(model.WindSpeedMPS, wind)
	s.Set(model.WindGustMPS, max(wind, round(y.gustMPS, 2)))
	direction := math.Mod(math.Atan2(y.sin, y.cos)*180/math.Pi+360, 360)
	s.Set(model.WindDirectionDeg, round(direction, 0))
	rain := round(y.sum.rainMM, 2)
	s.Set(model.RainMM, rain)
	s.Set(model.Raining, boolean(rain > 0))
	s.Set(model.IrradianceWPM2, round(y.sum.irradianceWPM2/y.seconds, 1))
	s.Set(model.LightningKM, y.nearKM)
	s.Set(model.LightningCount, y.sum.flashes)
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
