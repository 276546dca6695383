package model

import (
	"fmt"
	"slices"
	"strings"
)

// A rule is one entry of the table: what it is called, what it speaks of,
// where it comes from, what it needs, and two functions. evaluate gets the
// level the rule has at the moment, so that a rule clears at another threshold
// than it sets (hysteresis), and must keep that level when it no longer knows:
// a sensor that goes away never opens the gate. explain fills the cause's
// inputs; it runs only when something is told.
type rule struct {
	id       string
	kind     Kind
	level    Level // the highest it may reach
	source   string
	settings string      // the settings it reads, besides its clear time
	needs    [][]Channel // of every group at least one channel
	holdS    func(e *evidence) float64
	windowMs int64 // of the past that its clear condition looks at
	evaluate func(e *evidence, tMs int64, was Level) Level
	explain  func(x *explainer)
	only     Generator // only for this generator; empty: all
	// until, where the clear time counts from something that happened rather
	// than from the end of the condition, says when it ends.
	until func(e *evidence) (tMs int64, known bool)
}

// Rule indexes that code names.
const (
	ruleInit = iota
	ruleSensor
)

// rules is the table. Rules that arm others stand before them. Its order is
// the order of causes in events.
var rules = slices.Concat(sensorRules, votingRules, electricalRules, qualityRules, earthRules,
	conditionRules, weatherRules, lightningRules, cycloneRules, scoreRules(), externalRules())

// RuleInfo describes one rule for help texts, status pages and the manual.
type RuleInfo struct {
	ID       string
	Kind     Kind
	Level    Level // the highest it may reach
	Source   string
	Needs    [][]Channel // of every group at least one channel
	Settings []string    // names of the settings it reads, as in Config's YAML
}

// Rules lists the rule table.
func Rules() []RuleInfo {
	out := make([]RuleInfo, len(rules))
	for i, r := range rules {
		out[i] = RuleInfo{r.id, r.kind, r.level, r.source, r.needs, strings.Fields(r.settings)}
	}
	return out
}

func ruleIndex(id string) (int, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.id == id })
	return i, i >= 0
}

// HoldS returns the clear time of a rule under a configuration: how long it
// stands after its condition is over. The configuration must be valid.
func (c *Config) HoldS(ruleID string) (float64, error) {
	i, ok := ruleIndex(ruleID)
	if !ok {
		return 0, fmt.Errorf("no rule %q", ruleID)
	}
	limits, err := c.GridLimits()
	if err != nil {
		return 0, err
	}
	e := newEvidence(c, limits)
	e.score = newScoreState(c)
	return rules[i].holdS(&e), nil
}

// NoChannel lists the rules of the hazard table that no channel can feed at
// any site.
func NoChannel() []Unserved { return slices.Clone(noChannel) }

// An Unserved rule cannot fire at this site, with the reason.
type Unserved struct {
	Rule string
	Why  string
}

// unserved returns why a rule cannot be served, or "".
func (r *rule) unserved(c *Config) string {
	if r.only != "" && r.only != c.Generator {
		return "only for a generator of kind " + string(r.only)
	}
	if r.id == "E08" && c.RatedCurrentA == 0 {
		return "no rated_current_a is configured"
	}
	if r.id == "P01" && c.RatedPowerW == 0 {
		return "no rated_power_w is configured"
	}
	if r.id == "W06" && c.IntervalS > 450 {
		return "needs samples less than 450 s apart"
	}
	if r.id == "E05" && c.IntervalS > c.Quality.ROCOFWindowS {
		return "needs a frequency at least every " + number(c.Quality.ROCOFWindowS) + " s"
	}
	if why := r.beyondTropics(c); why != "" {
		return why
	}
	if c.Channels == nil {
		return ""
	}
	for _, group := range r.needs {
		if !slices.ContainsFunc(group, func(ch Channel) bool { return slices.Contains(c.Channels, ch) }) {
			return "no channel " + group[0].String()
		}
	}
	return ""
}

// A ruleState is where one rule stands. level is what its condition says now;
// held is what it still stands for while its clear time runs.
type ruleState struct {
	level     Level
	held      Level
	holding   bool
	holdUntil int64
}

// update moves the state to level at tMs.
func (s *ruleState) update(r *rule, e *evidence, level Level, tMs int64) {
	s.level = level
	if level >= s.held {
		s.held, s.holding = level, false
		return
	}
	untilMs, known := int64(0), false
	if r.until != nil {
		untilMs, known = r.until(e)
	}
	switch {
	case s.holding && known:
		s.holdUntil = max(s.holdUntil, untilMs)
	case known:
		s.holding, s.holdUntil = true, untilMs
	case !s.holding:
		s.holding, s.holdUntil = true, tMs+seconds(r.holdS(e))
	}
	if tMs >= s.holdUntil {
		s.held, s.holding = level, false
	}
}

func holdConst(pick func(c *Config) float64) func(*evidence) float64 {
	return func(e *evidence) float64 { return pick(&e.cfg) }
}

func initHoldS(e *evidence) float64 { return max(e.cfg.Gate.ValidS, e.limits.EnterServiceS) }

func holdEnter(e *evidence) float64 { return e.limits.EnterServiceS }

// keep returns the level a rule has while its condition is not known to be
// over.
func keep(stands bool, level Level) Level {
	if stands {
		return level
	}
	return LevelNone
}

var sensorRules = []rule{
	{
		id: "INIT", kind: KindSensor, level: LevelBlock,
		settings: "gate.valid_s limits.enter_service_s",
		source:   "fail closed at power-up: all required inputs valid for 60 s and the enter-service time",
		holdS:    initHoldS,
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			// Once its time has run it never comes back: only a start sets it.
			return keep(was != LevelNone && (e.blind(tMs) || !e.mayEnter(tMs)), LevelBlock)
		},
		explain: explainInit,
	},
	{
		id: "E16", kind: KindSensor, level: LevelBlock,
		settings: "gate.valid_s stale.electrical_s stale.temperature_s stale.wind_s stale.rain_s stale.lightning_s stuck_s stuck_readings",
		source:   "fail closed: a required input is missing, stale or implausible",
		holdS:    holdConst(func(c *Config) float64 { return c.Gate.ValidS }),
		evaluate: func(e *evidence, tMs int64, _ Level) Level {
			return keep(e.blind(tMs), LevelBlock)
		},
		explain: explainSensor,
	},
}

var electricalRules = []rule{
	{
		id: "E01", kind: KindLine, level: LevelBlock,
		settings: "limits.voltage_low_pu limits.voltage_high_pu quality.persist_readings quality.persist_of",
		source:   "IEEE 1547-2018 continuous operation 0.88 to 1.10 pu; clears by enter service",
		needs:    [][]Channel{phases[:]},
		holdS:    holdEnter,
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			if was != LevelNone {
				return keep(!e.seenAny(phases[:]) || !e.mayEnter(tMs), LevelBlock)
			}
			return keep(e.voltage.reached() && e.anyVoltage(tMs), LevelBlock)
		},
		explain: explainVoltage(func(l *GridLimits) (float64, float64) { return l.VoltageLowPU, l.VoltageHighPU }),
	},
	{
		id: "E02", kind: KindLine, level: LevelBlock,
		settings: "limits.voltage_far_low_pu limits.voltage_far_high_pu",
		source:   "far outside the ride-through region of IEEE 1547-2018: one reading is enough",
		needs:    [][]Channel{phases[:]},
		holdS:    holdEnter,
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			if was != LevelNone {
				return keep(!e.seenAny(phases[:]) || !e.mayEnter(tMs), LevelBlock)
			}
			_, low, ok := e.extreme(phases[:], tMs, true)
			_, high, _ := e.extreme(phases[:], tMs, false)
			return keep(ok && (e.outside(low, e.limits.VoltageFarLowPU, e.limits.VoltageFarHighPU) ||
				e.outside(high, e.limits.VoltageFarLowPU, e.limits.VoltageFarHighPU)), LevelBlock)
		},
		explain: explainVoltage(func(l *GridLimits) (float64, float64) { return l.VoltageFarLowPU, l.VoltageFarHighPU }),
	},
	{
		id: "E04", kind: KindLine, level: LevelBlock,
		settings: "limits.frequency_low_hz limits.frequency_high_hz quality.persist_readings quality.persist_of",
		source:   "IEEE 1547-2018 continuous operation 58.8 to 61.2 Hz; 49.0 to 51.0 Hz at 50 Hz",
		needs:    [][]Channel{{FrequencyHz}},
		holdS:    holdEnter,
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			if was != LevelNone {
				return keep(!e.in.r[FrequencyHz].seen || !e.mayEnter(tMs), LevelBlock)
			}
			_, ok := e.in.get(FrequencyHz, tMs)
			return keep(ok && e.frequency.reached(), LevelBlock)
		},
		explain: explainFrequency,
	},
	{
		id: "E08", kind: KindLine, level: LevelBlock,
		settings: "rated_current_a equipment.overload_ratio equipment.overload_s equipment.far_overload_ratio equipment.far_overload_s",
		source:   "sustained overload of the rating: 1.10 for 60 s, 1.25 for 5 s",
		needs:    [][]Channel{currents[:]},
		holdS:    holdConst(func(c *Config) float64 { return c.Equipment.OverloadHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			_, i, ok := e.extreme(currents[:], tMs, false)
			if was != LevelNone {
				return keep(!ok || i >= e.cfg.RatedCurrentA, LevelBlock)
			}
			q := &e.cfg.Equipment
			return keep(ok && (lasted(e.overMs, tMs, q.OverloadS) || lasted(e.farOverMs, tMs, q.FarOverloadS)), LevelBlock)
		},
		explain: explainOverload,
	},
	{
		id: "E13", kind: KindEquipment, level: LevelBlock,
		settings: "equipment.temperature_warn_c equipment.temperature_limit_c equipment.hysteresis_k quality.temperature_persist_times",
		source:   "equipment temperature: vendor's limit, warning below it; 5 K hysteresis",
		needs:    [][]Channel{{EquipmentTemperatureC}},
		holdS:    holdConst(func(c *Config) float64 { return c.Equipment.TemperatureHoldS }),
		evaluate: evaluateTemperature,
		explain:  explainTemperature,
	},
	{
		id: "E15", kind: KindLine, level: LevelBlock,
		settings: "limits.voltage_lost_pu",
		source:   "grid lost: every phase below 0.10 pu",
		needs:    [][]Channel{phases[:]},
		holdS:    holdEnter,
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			if was != LevelNone {
				return keep(!e.seenAny(phases[:]) || !e.mayEnter(tMs), LevelBlock)
			}
			_, high, ok := e.extreme(phases[:], tMs, false)
			return keep(ok && high < e.limits.VoltageLostPU*e.cfg.NominalVoltageV, LevelBlock)
		},
		explain: explainVoltage(func(l *GridLimits) (float64, float64) { return l.VoltageLostPU, 0 }),
	},
}

func (e *evidence) anyVoltage(tMs int64) bool {
	_, _, ok := e.extreme(phases[:], tMs, true)
	return ok
}

func lasted(since, tMs int64, s float64) bool {
	return since != never && tMs-since >= seconds(s)
}

func evaluateTemperature(e *evidence, tMs int64, was Level) Level {
	q := &e.cfg.Equipment
	t, ok := e.in.get(EquipmentTemperatureC, tMs)
	if !ok {
		return was
	}
	switch {
	case e.limit.reached(), was == LevelBlock && t >= q.TemperatureLimitC-q.HysteresisK:
		return LevelBlock
	case e.temp.reached(), was != LevelNone && t >= q.TemperatureWarnC-q.HysteresisK:
		return LevelWarn
	}
	return LevelNone
}

// noChannel lists the rules of the hazard notes that no channel can feed, and
// the parts of rules.
var noChannel = []Unserved{
	{"E10", "in part: no channel carries an inverter's ground fault bit"},
	{"E11", "no channel carries an arc detector's flag"},
	{"E14", "no channel carries an inverter's status and event bits"},
	{"E15", "in part: no channel carries an island flag"},
	{"W02", "in part: no channel carries the electric field"},
	{"W10", "in part: no channel carries a hail or flood switch; a turbine's power curve is not known"},
}

var weatherRules = []rule{
	{
		id: "W07", kind: KindCyclone, level: LevelWarn,
		settings: "weather.fall_warn_hpa weather.fall_clear_hpa",
		source:   "Met Office: falling very rapidly, more than 6.0 hPa in 3 h; arms W03 at 20 m/s",
		needs:    [][]Channel{{PressureHPa}},
		holdS:    func(*evidence) float64 { return 0 },
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			level := above(e, tMs, PressureHPa, e.fall3h, was, LevelWarn, over(e.cfg.Weather.FallWarnHPa), from(e.cfg.Weather.FallClearHPa))
			e.armed = level != LevelNone
			return level
		},
		explain: func(x *explainer) {
			w := &x.e.cfg.Weather
			x.figure("pressure_fall_3h", PressureHPa, x.e.fall3h, "hPa", over(w.FallWarnHPa), from(w.FallClearHPa))
		},
	},
	{
		id: "W03", kind: KindWind, level: LevelBlock,
		settings: "weather.gust_block_mps weather.gust_armed_mps weather.gust_clear_mps",
		source:   "NWS severe gust 50 kt (25.7 m/s), 10-min highest gust below 18 m/s for 30 min to clear",
		needs:    [][]Channel{{WindGustMPS}},
		windowMs: tenMinutesMs,
		holdS:    holdConst(func(c *Config) float64 { return c.Weather.GustHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			return above(e, tMs, WindGustMPS, e.gustMax, was, LevelBlock, from(e.gustLimit()), from(e.cfg.Weather.GustClearMPS))
		},
		explain: func(x *explainer) {
			x.figure("gust", WindGustMPS, x.e.gustMax, "m/s", from(x.e.gustLimit()), from(x.e.cfg.Weather.GustClearMPS))
		},
	},
	{
		id: "W04", kind: KindWind, level: LevelWarn,
		settings: "weather.mean_warn_mps weather.mean_warn_clear_mps",
		source:   "10-min mean of Beaufort 8 (17.2 m/s)",
		needs:    [][]Channel{{WindSpeedMPS}},
		windowMs: tenMinutesMs,
		holdS:    holdConst(func(c *Config) float64 { return c.Weather.MeanWarnHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			w := &e.cfg.Weather
			return above(e, tMs, WindSpeedMPS, e.windMean, was, LevelWarn, from(w.MeanWarnMPS), from(w.MeanWarnClearMPS))
		},
		explain: func(x *explainer) {
			w := &x.e.cfg.Weather
			x.figure("wind_mean_10min", WindSpeedMPS, x.e.windMean, "m/s", from(w.MeanWarnMPS), from(w.MeanWarnClearMPS))
		},
	},
	{
		id: "W05", kind: KindWind, level: LevelBlock,
		settings: "weather.mean_block_mps weather.mean_block_clear_mps",
		source:   "10-min mean of Beaufort 10 (24.5 m/s)",
		needs:    [][]Channel{{WindSpeedMPS}},
		windowMs: tenMinutesMs,
		holdS:    holdConst(func(c *Config) float64 { return c.Weather.MeanBlockHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			w := &e.cfg.Weather
			return above(e, tMs, WindSpeedMPS, e.windMean, was, LevelBlock, from(w.MeanBlockMPS), from(w.MeanBlockClearMPS))
		},
		explain: func(x *explainer) {
			w := &x.e.cfg.Weather
			x.figure("wind_mean_10min", WindSpeedMPS, x.e.windMean, "m/s", from(w.MeanBlockMPS), from(w.MeanBlockClearMPS))
		},
	},
	{
		id: "W06", kind: KindWind, level: LevelBlock,
		settings: "weather.squall_rise_hpa weather.squall_cooling_k weather.squall_gust_mps weather.squall_gust_rise_mps",
		source:   "gust front: pressure jump, cooling and wind jump within 15 min",
		needs:    [][]Channel{{PressureHPa}, {TemperatureC}, {WindGustMPS}},
		windowMs: fifteenMinutesMs,
		holdS:    holdConst(func(c *Config) float64 { return c.Weather.SquallHoldS }),
		evaluate: evaluateSquall,
		explain: func(x *explainer) {
			w, e := &x.e.cfg.Weather, x.e
			x.figure("pressure_rise_15min", PressureHPa, e.rise15, "hPa", from(w.SquallRiseHPa), from(w.SquallRiseHPa))
			x.figure("cooling_15min", TemperatureC, e.cooling15, "K", from(w.SquallCoolingK), from(w.SquallCoolingK))
			x.figure("gust", WindGustMPS, e.gustMax15, "m/s", from(w.SquallGustMPS), from(w.SquallGustMPS))
			x.figure("gust_rise_15min", WindGustMPS, e.gustRise15, "m/s", from(w.SquallGustRiseMPS), from(w.SquallGustRiseMPS))
		},
	},
	{
		id: "T01", kind: KindWind, level: LevelBlock, only: GeneratorWind,
		settings: "weather.cut_out_mean_mps weather.cut_out_gust_mps weather.cut_in_mean_mps",
		source:   "wind turbine cut-out: 10-min mean 25 m/s or gust 30 m/s, back at 20 m/s for 10 min",
		needs:    [][]Channel{{WindSpeedMPS, WindGustMPS}},
		windowMs: tenMinutesMs,
		holdS:    holdConst(func(c *Config) float64 { return c.Weather.CutInHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			w := &e.cfg.Weather
			level := LevelNone
			if e.in.r[WindSpeedMPS].seen || was != LevelNone {
				level = above(e, tMs, WindSpeedMPS, e.windMean, was, LevelBlock, from(w.CutOutMeanMPS), over(w.CutInMeanMPS))
			}
			return max(level, above(e, tMs, WindGustMPS, e.gustMax, LevelNone, LevelBlock, from(w.CutOutGustMPS), from(w.CutOutGustMPS)))
		},
		explain: func(x *explainer) {
			w := &x.e.cfg.Weather
			x.figure("wind_mean_10min", WindSpeedMPS, x.e.windMean, "m/s", from(w.CutOutMeanMPS), over(w.CutInMeanMPS))
			x.figure("gust", WindGustMPS, x.e.gustMax, "m/s", from(w.CutOutGustMPS), from(w.CutOutGustMPS))
		},
	},
}

// A bound is a threshold that is crossed at its value, or only above it.
type bound struct {
	v      float64
	strict bool
}

func from(v float64) bound { return bound{v, false} }
func over(v float64) bound { return bound{v, true} }

func (b bound) crossed(v float64) bool { return v > b.v || v == b.v && !b.strict }

// above is the shape of most weather rules: set by crossing one bound, kept
// while beyond the other, and kept while the channel is unknown.
func above(e *evidence, tMs int64, c Channel, f figure, was, level Level, set, stay bound) Level {
	_, ok := e.in.get(c, tMs)
	if !ok || !f.ok {
		return min(was, level)
	}
	if was != LevelNone {
		set = stay
	}
	return keep(set.crossed(f.v), level)
}

// gustLimit is W03's threshold: lower while W07 stands.
func (e *evidence) gustLimit() float64 {
	if e.armed {
		return e.cfg.Weather.GustArmedMPS
	}
	return e.cfg.Weather.GustBlockMPS
}

func evaluateSquall(e *evidence, tMs int64, was Level) Level {
	w := &e.cfg.Weather
	for _, c := range [...]Channel{PressureHPa, TemperatureC, WindGustMPS} {
		if _, ok := e.in.get(c, tMs); !ok {
			return was
		}
	}
	return keep(e.rise15.ok && e.cooling15.ok && e.gustRise15.ok &&
		e.rise15.v >= w.SquallRiseHPa && e.cooling15.v >= w.SquallCoolingK &&
		e.gustMax15.v >= w.SquallGustMPS && e.gustRise15.v >= w.SquallGustRiseMPS, LevelBlock)
}
