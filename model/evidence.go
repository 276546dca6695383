package model

import "math/bits"

const (
	tenMinutesMs     = 600_000
	fifteenMinutesMs = 900_000
	threeHoursMs     = 3 * hourMs
)

// persistence counts violations among the last readings ("3 of 5").
type persistence struct {
	bits uint8
	n, m int
}

func (p *persistence) push(violated bool) {
	p.bits <<= 1
	if violated {
		p.bits |= 1
	}
	p.bits &= 1<<p.m - 1
}

func (p *persistence) reached() bool { return bits.OnesCount8(p.bits) >= p.n }

// A figure is a number that may be unknown.
type figure struct {
	v  float64
	ok bool
}

// evidence is all that the rules look at: the inputs, the windows over them,
// and the configuration. It changes in take only; what the rules read besides
// is the time.
type evidence struct {
	cfg      Config
	limits   GridLimits
	required []Channel
	in       inputs

	wind, gust, pressure, temperature history

	windMean, gustMax               figure // 10 min
	fall3h                          figure // positive when the pressure falls
	rise15, cooling15, gustRise15   figure
	gustMax15                       figure
	voltage, frequency, temp, limit persistence // E01, E04, E13 warn and limit
	overMs, farOverMs               int64       // E08: since when, or never
	armed                           bool        // W07 stands, so W03 blocks earlier

	quality      quality
	earth        earth
	condition    condition
	lightning    lightning
	cyclone      cyclone
	icingMs      int64 // W10: since when, or never
	external     external
	checks       checks
	disagree     ChannelSet // of the last sample
	wallOffsetMs int64      // Unix time less the sensing clock, as told at the start
	wallKnown    bool

	score scoreState
}

func newEvidence(c *Config, limits GridLimits) evidence {
	// N of M counts windows of a second or so. Where a reading stands for
	// longer than that whole window, it speaks for itself.
	n, m, n3 := c.Quality.PersistN, c.Quality.PersistM, c.Quality.TemperatureN
	if c.IntervalS >= 5 {
		n, m, n3 = 1, 1, 1
	}
	return evidence{
		cfg: *c, limits: limits, required: c.Required, in: newInputs(c),
		wind:        newHistory(10_000, tenMinutesMs),
		gust:        newHistory(10_000, fifteenMinutesMs),
		pressure:    newHistory(60_000, threeHoursMs+tenMinutesMs),
		temperature: newHistory(60_000, fifteenMinutesMs),
		voltage:     persistence{n: n, m: m}, frequency: persistence{n: n, m: m},
		temp: persistence{n: n3, m: n3}, limit: persistence{n: n3, m: n3},
		overMs: never, farOverMs: never,
		quality: newQuality(), earth: earth{stepMs: longAgo}, lightning: newLightning(),
		cyclone: cyclone{setMs: never}, icingMs: never, condition: newCondition(),
	}
}

// take judges a sample and updates the windows. The verdict on each channel is
// written into the sample.
func (e *evidence) take(s *Sample, tMs int64) {
	e.in.take(s, tMs)
	e.disagree = s.Disagree
	e.takeWeather()
	e.cross(s, tMs)
	e.takeElectrical(tMs)
	e.takeQuality()
	e.takeEarth(tMs)
	e.takeCondition(tMs)
	e.takeLightning(tMs)
	e.takeCyclone(tMs)
	e.takeIcing(tMs)
	if r := &e.in.r[EquipmentTemperatureC]; r.fresh {
		e.temp.push(r.value >= e.cfg.Equipment.TemperatureWarnC)
		e.limit.push(r.value >= e.cfg.Equipment.TemperatureLimitC)
	}
}

func (e *evidence) takeWeather() {
	for _, p := range [...]struct {
		c Channel
		h *history
	}{{WindSpeedMPS, &e.wind}, {WindGustMPS, &e.gust}, {PressureHPa, &e.pressure}, {TemperatureC, &e.temperature}} {
		if r := &e.in.r[p.c]; r.fresh {
			p.h.push(r.measuredMs, r.value)
		}
	}
	if w, ok := e.wind.over(tenMinutesMs); ok {
		e.windMean = figure{w.mean, true}
	}
	if g, ok := e.gust.over(tenMinutesMs); ok {
		e.gustMax = figure{g.max, true}
	}
	if g, ok := e.gust.over(fifteenMinutesMs); ok {
		e.gustMax15, e.gustRise15 = figure{g.max, true}, figure{g.max - g.min, true}
	}
	if p, ok := e.pressure.newest(); ok {
		before, known := e.pressure.ago(threeHoursMs, tenMinutesMs)
		e.fall3h = figure{before - p, known}
		w, _ := e.pressure.over(fifteenMinutesMs)
		e.rise15 = figure{p - w.min, true}
	}
	if t, ok := e.temperature.newest(); ok {
		w, _ := e.temperature.over(fifteenMinutesMs)
		e.cooling15 = figure{w.max - t, true}
	}
}

// phases are the voltage channels; any of them outside the limits counts
// (IEEE 1547-2018: the applicable voltage is the worst phase).
var phases = [...]Channel{VoltageV, VoltageAV, VoltageBV, VoltageCV}

// currents are the current channels of the conductors that carry power.
var currents = [...]Channel{CurrentA, CurrentAA, CurrentBA, CurrentCA}

func (e *evidence) takeElectrical(tMs int64) {
	fresh, violated := false, false
	for _, c := range phases {
		if r := &e.in.r[c]; r.fresh {
			fresh = true
			violated = violated || e.outside(r.value, e.limits.VoltageLowPU, e.limits.VoltageHighPU)
		}
	}
	if fresh {
		e.voltage.push(violated)
	}
	if r := &e.in.r[FrequencyHz]; r.fresh {
		e.frequency.push(r.value < e.limits.FrequencyLowHz || r.value > e.limits.FrequencyHighHz)
	}
	_, i, ok := e.extreme(currents[:], tMs, false)
	if !ok || e.cfg.RatedCurrentA == 0 {
		e.overMs, e.farOverMs = never, never
		return
	}
	e.overMs = since(e.overMs, i > e.cfg.RatedCurrentA*e.cfg.Equipment.OverloadRatio, tMs)
	e.farOverMs = since(e.farOverMs, i > e.cfg.RatedCurrentA*e.cfg.Equipment.FarOverloadRatio, tMs)
}

// outside compares a voltage with limits in per unit of nominal. Multiplying
// the limit rather than dividing the voltage keeps 1.10 x 230 V exact enough
// to name in the explanation; no sum follows the product, so nothing fuses.
func (e *evidence) outside(v, lowPU, highPU float64) bool {
	return v < lowPU*e.cfg.NominalVoltageV || v > highPU*e.cfg.NominalVoltageV
}

func since(was int64, stands bool, tMs int64) int64 {
	if !stands {
		return never
	}
	return min(was, tMs)
}

// extreme returns the lowest or highest usable value among channels.
func (e *evidence) extreme(cs []Channel, tMs int64, lowest bool) (Channel, float64, bool) {
	var at Channel
	var best float64
	found := false
	for _, c := range cs {
		v, ok := e.in.get(c, tMs)
		if ok && (!found || (lowest && v < best) || (!lowest && v > best)) {
			at, best, found = c, v, true
		}
	}
	return at, best, found
}

// mayEnter reports whether voltage and frequency meet the enter-service
// criteria: every such channel the site has ever shown is usable and inside
// the narrower band.
func (e *evidence) mayEnter(tMs int64) bool {
	for _, c := range phases {
		if !e.in.r[c].seen {
			continue
		}
		v, ok := e.in.get(c, tMs)
		if !ok || e.outside(v, e.limits.EnterVoltageLowPU, e.limits.EnterVoltageHighPU) {
			return false
		}
	}
	if e.in.r[FrequencyHz].seen {
		f, ok := e.in.get(FrequencyHz, tMs)
		if !ok || f < e.limits.EnterFreqLowHz || f > e.limits.EnterFreqHighHz {
			return false
		}
	}
	return true
}

func (e *evidence) seenAny(cs []Channel) bool {
	for _, c := range cs {
		if e.in.r[c].seen {
			return true
		}
	}
	return false
}

// blind reports whether a required input cannot be used at tMs.
func (e *evidence) blind(tMs int64) bool {
	if e.in.silent(tMs) {
		return true
	}
	for _, c := range e.required {
		if e.in.validity(c, tMs) != Valid {
			return true
		}
	}
	return false
}

// deadline returns the next moment after tMs at which a rule may say something
// else although no sample comes.
func (e *evidence) deadline(tMs int64) int64 {
	at := e.in.deadline(tMs)
	for _, d := range [...]struct {
		since int64
		s     float64
	}{
		{e.overMs, e.cfg.Equipment.OverloadS}, {e.farOverMs, e.cfg.Equipment.FarOverloadS},
		{e.cyclone.setMs, e.cycloneSetS()}, {e.icingMs, e.cfg.Icing.SetS},
	} {
		if d.since != never && d.since+seconds(d.s) > tMs {
			at = min(at, d.since+seconds(d.s))
		}
	}
	// What acts at its own moment only is over a millisecond later.
	l := &e.lightning
	for _, pulse := range [...]int64{l.blockMs, l.warnMs, l.farMs, e.earth.stepMs} {
		if pulse >= tMs {
			at = min(at, pulse+1)
		}
	}
	return min(at, e.external.deadline(tMs))
}
