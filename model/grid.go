package model

// A GridProfile names a set of voltage, frequency and return limits.
type GridProfile string

// The profiles. The limits are recalled from the standards named at
// GridProfile.Limits and may all be overridden: the grid operator decides, and
// nothing here claims conformity.
const (
	GridIEEE1547 GridProfile = "ieee1547-60"
	GridEU50     GridProfile = "eu-50"
)

// GridLimits are the electrical limits of the rules E01, E02, E04 and E15 and
// the criteria for coming back ("enter service"). A zero field means the
// profile's value.
type GridLimits struct {
	VoltageLowPU       float64 `yaml:"voltage_low_pu"`        // E01
	VoltageHighPU      float64 `yaml:"voltage_high_pu"`       // E01
	VoltageFarLowPU    float64 `yaml:"voltage_far_low_pu"`    // E02
	VoltageFarHighPU   float64 `yaml:"voltage_far_high_pu"`   // E02
	VoltageLostPU      float64 `yaml:"voltage_lost_pu"`       // E15
	FrequencyLowHz     float64 `yaml:"frequency_low_hz"`      // E04
	FrequencyHighHz    float64 `yaml:"frequency_high_hz"`     // E04
	EnterVoltageLowPU  float64 `yaml:"enter_voltage_low_pu"`  // enter service
	EnterVoltageHighPU float64 `yaml:"enter_voltage_high_pu"` // enter service
	EnterFreqLowHz     float64 `yaml:"enter_frequency_low_hz"`
	EnterFreqHighHz    float64 `yaml:"enter_frequency_high_hz"`
	EnterServiceS      float64 `yaml:"enter_service_s"` // all criteria true for this long
}

// PersistLimits say how many readings outside the limits E01 and E04 ask for.
type PersistLimits struct {
	PersistN int `yaml:"persist_readings"` // of the last...
	PersistM int `yaml:"persist_of"`       // ...so many, at one a second
}

// Limits returns the profile's limits.
//
// ieee1547-60: continuous operation and enter-service defaults of IEEE
// 1547-2018. eu-50: voltage as above, 49.0 to 51.0 Hz, and the return criteria
// of EN 50549-1 (49.5 to 50.2 Hz for 60 s), its voltage band narrowed to the
// band in which the gate may be open at all.
func (g GridProfile) Limits() (GridLimits, bool) {
	switch g {
	case GridIEEE1547:
		return GridLimits{0.88, 1.10, 0.50, 1.20, 0.10, 58.8, 61.2, 0.917, 1.05, 59.5, 60.1, 300}, true
	case GridEU50:
		return GridLimits{0.88, 1.10, 0.50, 1.20, 0.10, 49.0, 51.0, 0.88, 1.10, 49.5, 50.2, 60}, true
	}
	return GridLimits{}, false
}

// override replaces each limit that is given.
func (l *GridLimits) override(by GridLimits) {
	for _, p := range []struct{ dst, src *float64 }{
		{&l.VoltageLowPU, &by.VoltageLowPU},
		{&l.VoltageHighPU, &by.VoltageHighPU},
		{&l.VoltageFarLowPU, &by.VoltageFarLowPU},
		{&l.VoltageFarHighPU, &by.VoltageFarHighPU},
		{&l.VoltageLostPU, &by.VoltageLostPU},
		{&l.FrequencyLowHz, &by.FrequencyLowHz},
		{&l.FrequencyHighHz, &by.FrequencyHighHz},
		{&l.EnterVoltageLowPU, &by.EnterVoltageLowPU},
		{&l.EnterVoltageHighPU, &by.EnterVoltageHighPU},
		{&l.EnterFreqLowHz, &by.EnterFreqLowHz},
		{&l.EnterFreqHighHz, &by.EnterFreqHighHz},
		{&l.EnterServiceS, &by.EnterServiceS},
	} {
		if *p.src != 0 {
			*p.dst = *p.src
		}
	}
}

// gridHazard is voltage and frequency outside their limits, or gone.
var gridHazard = hazard{
	defaults: func(c *Config) { c.Quality.PersistLimits = PersistLimits{PersistN: 3, PersistM: 5} },
	fields: func(c *Config) []field {
		l := c.limitsInForce()
		return []field{
			{"limits.enter_service_s", l.EnterServiceS, 0, week},
			{"limits.voltage_lost_pu", l.VoltageLostPU, 0, 1},
			{"limits.voltage_far_high_pu", l.VoltageFarHighPU, 1, 10},
			{"limits.frequency_low_hz", l.FrequencyLowHz, 1, 500},
			{"limits.frequency_high_hz", l.FrequencyHighHz, 1, 500},
			{"quality.persist_of", float64(c.Quality.PersistM), 1, 8},
			{"quality.persist_readings", float64(c.Quality.PersistN), 1, 8},
		}
	},
	orders: func(c *Config) []order {
		l := c.limitsInForce()
		return []order{
			{"limits.voltage_low_pu", l.VoltageLowPU, l.VoltageHighPU},
			{"limits.voltage_far_low_pu", l.VoltageFarLowPU, l.VoltageLowPU},
			{"limits.voltage_lost_pu", l.VoltageLostPU, l.VoltageLowPU},
			{"limits.voltage_high_pu", l.VoltageHighPU, l.VoltageFarHighPU},
			{"limits.voltage_low_pu", l.VoltageLowPU, l.EnterVoltageLowPU},
			{"limits.enter_voltage_low_pu", l.EnterVoltageLowPU, l.EnterVoltageHighPU},
			{"limits.enter_voltage_high_pu", l.EnterVoltageHighPU, l.VoltageHighPU},
			{"limits.frequency_low_hz", l.FrequencyLowHz, l.EnterFreqLowHz},
			{"limits.enter_frequency_low_hz", l.EnterFreqLowHz, l.EnterFreqHighHz},
			{"limits.enter_frequency_high_hz", l.EnterFreqHighHz, l.FrequencyHighHz},
			{"quality.persist_readings", float64(c.Quality.PersistN), float64(c.Quality.PersistM)},
		}
	},
	start: func(e *evidence) {
		p := persistence{n: e.cfg.Quality.PersistN, m: e.cfg.Quality.PersistM}
		if e.cfg.IntervalS >= slowS {
			p = persistence{n: 1, m: 1}
		}
		e.grid = grid{voltage: p, frequency: p}
	},
	take: takeGrid,
	rules: []rule{
		{
			id: "E01", place: 40, kind: KindLine, level: LevelBlock,
			settings: "limits.voltage_low_pu limits.voltage_high_pu quality.persist_readings quality.persist_of",
			source:   "IEEE 1547-2018 continuous operation 0.88 to 1.10 pu; clears by enter service",
			needs:    [][]Channel{phases[:]},
			holdS:    holdEnter,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				if was != LevelNone {
					return keep(!e.voltageReturned(tMs), LevelBlock)
				}
				return keep(e.grid.voltage.reached() && e.anyVoltage(tMs), LevelBlock)
			},
			explain: explainVoltage(func(l *GridLimits) (float64, float64) { return l.VoltageLowPU, l.VoltageHighPU }),
		},
		{
			id: "E02", place: 50, kind: KindLine, level: LevelBlock,
			settings: "limits.voltage_far_low_pu limits.voltage_far_high_pu",
			source:   "far outside the ride-through region of IEEE 1547-2018: one reading is enough",
			needs:    [][]Channel{phases[:]},
			holdS:    holdEnter,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				if was != LevelNone {
					return keep(!e.voltageReturned(tMs), LevelBlock)
				}
				_, low, ok := e.extreme(phases[:], tMs, true)
				_, high, _ := e.extreme(phases[:], tMs, false)
				return keep(ok && (e.outside(low, e.limits.VoltageFarLowPU, e.limits.VoltageFarHighPU) ||
					e.outside(high, e.limits.VoltageFarLowPU, e.limits.VoltageFarHighPU)), LevelBlock)
			},
			explain: explainVoltage(func(l *GridLimits) (float64, float64) { return l.VoltageFarLowPU, l.VoltageFarHighPU }),
		},
		{
			id: "E04", place: 60, kind: KindLine, level: LevelBlock,
			settings: "limits.frequency_low_hz limits.frequency_high_hz quality.persist_readings quality.persist_of",
			source:   "IEEE 1547-2018 continuous operation 58.8 to 61.2 Hz; 49.0 to 51.0 Hz at 50 Hz",
			needs:    [][]Channel{{FrequencyHz}},
			holdS:    holdEnter,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				if was != LevelNone {
					return keep(!e.in.r[FrequencyHz].seen || !e.mayEnter(tMs), LevelBlock)
				}
				return keep(e.usable(tMs, FrequencyHz) && e.grid.frequency.reached(), LevelBlock)
			},
			explain: explainFrequency,
		},
		{
			id: "E15", place: 90, kind: KindLine, level: LevelBlock,
			settings: "limits.voltage_lost_pu",
			source:   "grid lost: every phase below 0.10 pu",
			needs:    [][]Channel{phases[:]},
			holdS:    holdEnter,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				if was != LevelNone {
					return keep(!e.voltageReturned(tMs), LevelBlock)
				}
				_, high, ok := e.extreme(phases[:], tMs, false)
				return keep(ok && high < e.limits.VoltageLostPU*e.cfg.NominalVoltageV, LevelBlock)
			},
			explain: explainVoltage(func(l *GridLimits) (float64, float64) { return l.VoltageLostPU, 0 }),
		},
	},
	absent: []Unserved{{"E15", "in part: no channel carries an island flag"}},
}

// phases are the voltage channels; any of them outside the limits counts
// (IEEE 1547-2018: the applicable voltage is the worst phase).
var phases = [...]Channel{VoltageV, VoltageAV, VoltageBV, VoltageCV}

// slowS is the interval from which one reading is enough: N of M counts windows
// of a second or so, and a reading that stands for longer than that whole
// window speaks for itself.
const slowS = 5

// grid counts the readings outside the limits.
type grid struct {
	voltage, frequency persistence // E01, E04
}

func takeGrid(e *evidence, _ *Sample, _ int64) {
	fresh, violated := false, false
	for _, c := range phases {
		if r := &e.in.r[c]; r.fresh {
			fresh = true
			violated = violated || e.outside(r.value, e.limits.VoltageLowPU, e.limits.VoltageHighPU)
		}
	}
	if fresh {
		e.grid.voltage.push(violated)
	}
	if r := &e.in.r[FrequencyHz]; r.fresh {
		e.grid.frequency.push(r.value < e.limits.FrequencyLowHz || r.value > e.limits.FrequencyHighHz)
	}
}

func holdEnter(e *evidence) float64 { return e.limits.EnterServiceS }

func (e *evidence) anyVoltage(tMs int64) bool {
	_, _, ok := e.extreme(phases[:], tMs, true)
	return ok
}

// outside compares a voltage with limits in per unit of nominal. Multiplying
// the limit rather than dividing the voltage keeps 1.10 x 230 V exact enough
// to name in the explanation; no sum follows the product, so nothing fuses.
func (e *evidence) outside(v, lowPU, highPU float64) bool {
	return v < lowPU*e.cfg.NominalVoltageV || v > highPU*e.cfg.NominalVoltageV
}

// mayEnter reports whether voltage and frequency meet the enter-service
// criteria: every such channel that the site has ever shown is usable and
// inside the narrower band.
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

// voltageReturned reports whether a voltage is seen and the grid may be
// entered again.
func (e *evidence) voltageReturned(tMs int64) bool {
	return e.seenAny(phases[:]) && e.mayEnter(tMs)
}

// enterService lists what keeps voltage or frequency out of the enter-service
// band, or that nothing does.
func (x *explainer) enterService() {
	l, n := &x.e.limits, len(x.texts)
	nominal := x.e.cfg.NominalVoltageV
	for _, c := range phases {
		if x.e.in.r[c].seen {
			x.band(c, l.EnterVoltageLowPU*nominal, l.EnterVoltageHighPU*nominal)
		}
	}
	if x.e.in.r[FrequencyHz].seen {
		x.band(FrequencyHz, l.EnterFreqLowHz, l.EnterFreqHighHz)
	}
	if len(x.texts) == n {
		x.say("voltage and frequency are within the enter-service limits")
	}
}

// band lists a channel only when it is unusable or outside.
func (x *explainer) band(c Channel, low, high float64) {
	v, ok := x.e.in.get(c, x.tMs)
	switch {
	case !ok, v < low:
		x.channel(c, "<", low)
	case v > high:
		x.channel(c, ">", high)
	}
}

// explainVoltage explains a rule on the worst phase; high 0 means that there
// is no upper limit.
func explainVoltage(limits func(*GridLimits) (low, high float64)) func(*explainer) {
	return func(x *explainer) {
		low, high := limits(&x.e.limits)
		n := len(x.texts)
		for _, c := range phases {
			if v, ok := x.e.in.get(c, x.tMs); ok {
				if lim := low * x.e.cfg.NominalVoltageV; v < lim {
					x.channel(c, "<", lim)
				} else if lim := high * x.e.cfg.NominalVoltageV; high > 0 && v > lim {
					x.channel(c, ">", lim)
				}
			}
		}
		if len(x.texts) == n {
			x.enterService()
		}
	}
}

func explainFrequency(x *explainer) {
	l := &x.e.limits
	v, ok := x.e.in.get(FrequencyHz, x.tMs)
	switch {
	case ok && v < l.FrequencyLowHz:
		x.channel(FrequencyHz, "<", l.FrequencyLowHz)
	case ok && v > l.FrequencyHighHz:
		x.channel(FrequencyHz, ">", l.FrequencyHighHz)
	default:
		x.enterService()
	}
}
