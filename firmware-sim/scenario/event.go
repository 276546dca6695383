package scenario

import (
	"math"
	"time"
)

// The scenarios.
const (
	Calm   = "calm"   // a fair day with a light breeze: nothing happens
	Squall = "squall" // a squall line: pressure jump, gust front, cooling, then rain and lightning
	Sag    = "sag"    // a fair day on which the grid's voltage drops to 0.8 of nominal for a while
	Storm  = "storm"  // a gale that builds, blows for hours and goes

	Cyclone    = "cyclone"     // a typhoon whose eye passes over the place
	LostString = "lost-string" // a PV plant loses one of three strings for some hours
	HotBearing = "hot-bearing" // a turbine's bearing runs hot and shakes until it is stopped
	MeterDrift = "meter-drift" // the meter's power drifts away from voltage times current
)

// Names lists the scenarios.
func Names() []string { return append(Everyday(), Cyclone, LostString, HotBearing, MeterDrift) }

// Everyday lists the scenarios that a neighbourhood sees now and then. A grid
// plays these by default.
func Everyday() []string { return []string{Calm, Squall, Sag, Storm} }

// Describe says in a line what happens in a scenario; "" if the name is unknown.
func Describe(name string) string {
	switch name {
	case Calm:
		return "a fair day with a light breeze"
	case Squall:
		return "a squall line: pressure jump, gust front, cooling, then rain and lightning"
	case Sag:
		return "a fair day on which the voltage drops to 0.8 of nominal for a while"
	case Storm:
		return "a gale that builds, blows for hours and goes"
	case Cyclone:
		return "a typhoon (Holland 1980) whose calm eye passes over the place"
	case LostString:
		return "a fair day on which a PV plant loses one of three strings for some hours"
	case HotBearing:
		return "a breezy day on which a turbine's bearing heats and shakes until it is stopped"
	case MeterDrift:
		return "a fair day on which the meter's power drifts 25 % away from voltage times current"
	}
	return ""
}

// An event is the effect of a scenario on the weather and the grid, and its time.
type event struct {
	name       string
	cloudiness float64 // logit of the usual cloud cover
	startS     float64 // start of the event, in seconds from the trace's start
	lengthS    float64 // of the sag or the fault, or the deviation of the storm
	strength   float64 // of gusts, 0..1 within the scenario's range
	vortex     vortex  // of the cyclone
}

// newEvent places the event: on the middle day of the span, so that there is
// fair weather before and after it.
func newEvent(o Options) event {
	e := event{name: o.Name, cloudiness: -1.2, strength: newRand(o.Seed, "event").Float64()}
	day := 86400 * math.Floor(o.Span.Hours()/24/2)
	switch o.Name {
	case Squall:
		e.cloudiness, e.startS = -0.4, day+15.5*3600
	case Sag:
		e.startS = day + 11*3600
		// Long enough for a rule that wants three bad readings of five.
		e.lengthS = max(20*60, 4*o.Interval.Seconds())
	case Storm:
		e.cloudiness = 0.3
		e.startS = 0.53 * o.Span.Seconds()
		e.lengthS = max(2.2*3600, 0.09*o.Span.Seconds())
	case Cyclone:
		// Late: the rule needs the usual pressure first.
		e.cloudiness, e.startS, e.vortex = -0.8, 0.7*o.Span.Seconds(), newVortex(e.strength)
		e.vortex.missKM -= o.BesideKM
	case LostString:
		e.startS, e.lengthS = day+10.5*3600, max(6*3600, 4*o.Interval.Seconds())
	case HotBearing:
		e.startS, e.lengthS = day+9*3600, max(5*3600, 4*o.Interval.Seconds())
	case MeterDrift:
		e.startS, e.lengthS = day+8*3600, max(7*3600, 4*o.Interval.Seconds())
	}
	e.startS += o.Late.Seconds()
	if e.startS >= o.Span.Seconds() { // a span shorter than a day
		e.startS = o.Span.Seconds() / 2
	}
	return e
}

// An action is the event's addition to the weather at one moment.
type action struct {
	cover                  float64 // cloud cover at least this
	calms                  float64 // share of the usual breeze that it takes away
	fromDeg, turns         float64 // wind's direction, and its share against the usual one
	coolingK, pressureHPa  float64
	windMPS, gustiness     float64
	veerDeg, rainMMH       float64
	flashesPerMin, flashKM float64
}

func (e event) at(sinceS float64) action {
	switch e.name {
	case Squall:
		return e.squall((sinceS - e.startS) / 60)
	case Storm:
		return e.storm((sinceS - e.startS) / e.lengthS)
	case Cyclone:
		return e.vortex.at((sinceS - e.startS) / 3600)
	case HotBearing:
		return action{windMPS: 3 * bell((sinceS-e.startS-e.lengthS/2)/e.lengthS)}
	}
	return action{}
}

// squall is the passage of a squall line, in minutes from the gust front's
// arrival. First come the anvil's cloud and a slow fall of pressure; then, within
// ten minutes, jump, wind, veer and cooling; then rain and lightning.
func (e event) squall(min float64) action {
	var a action
	a.cover = 0.97 * rise((min+75)/60) * (1 - rise((min-120)/90))
	cold := rise(min/9) * math.Exp(-max(0, min-60)/240)
	a.coolingK = 8.5 * cold
	a.pressureHPa = -1.6*rise((min+180)/170)*(1-rise((min-60)/240)) + 4.2*rise(min/8)*math.Exp(-max(0, min-25)/45)
	front := bell((min - 6) / 4)
	tail := rise(min/6) * math.Exp(-max(0, min)/35)
	a.windMPS = 8*front + 4.5*tail
	// The front's gusts reach 28 m/s and more, whatever the breeze before.
	a.gustiness = (0.25 + 0.08*e.strength) * front
	a.veerDeg = 110 * rise(min/10) * (1 - 0.5*rise((min-60)/180))
	a.rainMMH = 48*rise((min-6)/8)*math.Exp(-max(0, min-14)/22) + 2*rise((min-6)/8)*(1-rise((min-60)/60))
	if min >= -25 && min <= 75 {
		a.flashesPerMin = 6 * bell((min-15)/22)
		a.flashKM = 3 + math.Round(math.Abs(min-12)*0.45)
	}
	return a
}

// storm is a gale, in deviations from its peak.
func (e event) storm(x float64) action {
	b := bell(x)
	return action{
		cover:       0.95 * bell(x/1.6),
		coolingK:    3 * b,
		pressureHPa: -16 * bell(x/1.3),
		windMPS:     (12.8 + 1.5*e.strength) * b,
		gustiness:   0.06 * b,
		veerDeg:     70 * rise((x+1.5)/3),
		rainMMH:     5 * b,
	}
}

// voltagePU is the grid's voltage in units of nominal over the interval that
// ends at sinceS.
func (e event) voltagePU(since, interval time.Duration) float64 {
	if e.name != Sag {
		return 1
	}
	end, begin := since.Seconds(), (since - interval).Seconds()
	if begin >= e.startS && end <= e.startS+e.lengthS+interval.Seconds()/2 {
		return 0.80
	}
	return 1
}
