package model

// crossTimes is how many readings in a row must contradict each other before
// a channel is refused: two sensors are never read at the same moment.
const crossTimes = 3

// checks counts contradictions in a row.
type checks struct {
	power, phases, gust, night, turbine int
}

// cross compares channels with each other after each has been judged alone,
// and refuses the one that cannot be right: the state Disagrees is a reason
// for the gate where the channel is required.
func (e *evidence) cross(s *Sample, tMs int64) {
	k := &e.sensor.checks
	e.refuse(s, &k.power, e.powerContradicts(tMs), PowerW)
	e.refuse(s, &k.phases, e.phasesContradict(tMs), PowerW)
	e.refuse(s, &k.gust, e.gustContradicts(tMs), WindGustMPS)
	e.refuse(s, &k.night, e.sunAtNight(tMs), IrradianceWPM2)
	e.refuse(s, &k.turbine, e.turbineContradicts(tMs), WindGustMPS, WindSpeedMPS)
}

func (e *evidence) refuse(s *Sample, n *int, contradicts bool, channels ...Channel) {
	if *n = run(*n, contradicts); *n < crossTimes {
		return
	}
	for _, c := range channels {
		if e.in.r[c].seen {
			e.in.r[c].state, e.in.r[c].fresh = Disagrees, false
			s.Fail(c, Disagrees)
		}
	}
}

// run counts what happens in a row.
func run(n int, more bool) int {
	if !more {
		return 0
	}
	return min(n+1, 1<<20)
}

// powerFloorW is what a meter at rest may show.
const powerFloorW = 50

// powerContradicts compares power with voltage times current, 10 % apart: it
// cannot be more than that, and with a power factor it is that share of it.
func (e *evidence) powerContradicts(tMs int64) bool {
	p, okP := e.in.get(PowerW, tMs)
	v, okV := e.in.get(VoltageV, tMs)
	i, okI := e.in.get(CurrentA, tMs)
	if !okP || !okV || !okI {
		return false
	}
	apparent, p := float64(v*i), max(p, -p)
	if p > float64(1.1*apparent)+powerFloorW {
		return true
	}
	f, ok := e.in.get(PowerFactor, tMs)
	return ok && p < float64(max(f, -f)*apparent)-float64(0.1*apparent)-powerFloorW
}

// phasesContradict compares power with the sum of the phases, 10 % apart.
func (e *evidence) phasesContradict(tMs int64) bool {
	p, ok := e.in.get(PowerW, tMs)
	a, okA := e.in.get(PowerAW, tMs)
	b, okB := e.in.get(PowerBW, tMs)
	c, okC := e.in.get(PowerCW, tMs)
	if !ok || !okA || !okB || !okC {
		return false
	}
	d := p - (a + b + c)
	return max(d, -d) > float64(0.1*max(p, -p))+powerFloorW
}

// gustContradicts: the highest gust of ten minutes is never below their mean.
// A blocked or iced cup shows itself so.
func (e *evidence) gustContradicts(tMs int64) bool {
	_, okW := e.in.get(WindSpeedMPS, tMs)
	_, okG := e.in.get(WindGustMPS, tMs)
	return okW && okG && e.wind.mean.ok && e.wind.gustMax.ok && e.wind.gustMax.v < float64(0.9*e.wind.mean.v)-0.5
}

// turbineW is what no turbine gives without wind, and stillMPS the wind below
// which none turns.
const (
	turbineW = 500
	stillMPS = 1
)

// turbineContradicts: a turbine that gives power turns in the wind, whatever the
// cups say. A cut cable shows itself so long before a calm is too long.
func (e *evidence) turbineContradicts(tMs int64) bool {
	if e.cfg.Generator != GeneratorWind {
		return false
	}
	p, ok := e.in.get(PowerW, tMs)
	_, okG := e.in.get(WindGustMPS, tMs)
	_, okW := e.in.get(WindSpeedMPS, tMs)
	still := okG && e.wind.gustMax.v < stillMPS || !okG && okW && e.wind.mean.v < stillMPS
	return ok && p >= turbineW && still
}

// sunAtNight: light that a pyranometer cannot see with the sun well below the
// horizon.
func (e *evidence) sunAtNight(tMs int64) bool {
	g, ok := e.in.get(IrradianceWPM2, tMs)
	if !ok || !e.wallKnown || e.cfg.Position == nil || g <= 20 {
		return false
	}
	// Twice: at both ends of what the reading may be a mean of.
	p, unix := e.cfg.Position, tMs+e.wallOffsetMs
	return e.sun.sine(p, unix) < nightSine && e.sun.sine(p, unix-seconds(e.cfg.IntervalS)) < nightSine
}

// nightSine is the sine of 6 degrees below the horizon, the end of civil
// twilight.
const nightSine = -0.10452846

// A sun gives the sine of the sun's height above the horizon over one place,
// within about a degree (declination and equation of time after Cooper and
// Spencer, as textbooks give them). It is made of products that no target may
// fuse, because it is compared. What holds for a whole day is kept: every reading
// of light asks.
type sun struct {
	day                  int64 // since 1970; what follows holds for it
	known                bool
	eotMin, level, swing float64 // the height is level + swing * cos(hour angle)
	decl                 float64 // degrees, positive in the northern summer
}

const dayMs = 86_400_000

func (s *sun) sine(p *Position, unixMs int64) float64 {
	hour := s.hour(p, unixMs)
	return s.level + float64(s.swing*cosDeg(hour))
}

// hour is the local solar time in degrees from noon.
func (s *sun) hour(p *Position, unixMs int64) float64 {
	if day := floorDiv(unixMs, dayMs); !s.known || s.day != day {
		*s = sunOn(p, day)
	}
	ofDay := float64(unixMs-s.day*dayMs) / 60_000 // minutes
	return float64((ofDay+s.eotMin-720)*0.25) + p.Longitude
}

func sunOn(p *Position, day int64) sun {
	const yearE4 = 3_652_425                     // days of a mean year, in 1e-4
	ofYear := float64(day*10_000%yearE4)/1e4 + 1 // within a day or so
	turn := float64(float64(ofYear-81) * (360.0 / 365.0))
	decl := float64(23.45 * sinDeg(turn))
	return sun{
		day: day, known: true,
		eotMin: float64(9.87*sinDeg(2*turn)) - float64(7.53*cosDeg(turn)) - float64(1.5*sinDeg(turn)), // minutes
		level:  float64(sinDeg(p.Latitude) * sinDeg(decl)),
		swing:  float64(cosDeg(p.Latitude) * cosDeg(decl)),
		decl:   decl,
	}
}

func cosDeg(d float64) float64 { return sinDeg(d + 90) }

// sinDeg is the sine of an angle in degrees, within 1e-6: a Taylor polynomial
// over a quarter turn. math.Sin may differ in its last bit between targets.
func sinDeg(d float64) float64 {
	const toRadians = 0.017453292519943295
	for d > 180 {
		d -= 360
	}
	for d < -180 {
		d += 360
	}
	switch {
	case d > 90:
		d = 180 - d
	case d < -90:
		d = -180 - d
	}
	x := float64(d * toRadians)
	x2 := float64(x * x)
	sum, term := x, x
	for n := 3.0; n <= 11; n += 2 {
		term = -float64(term*x2) / (n * (n - 1))
		sum += term
	}
	return sum
}
