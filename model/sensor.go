package model

import (
	"math"
	"slices"
)

// StaleLimits are the ages beyond which a reading is worth nothing, by group of
// channels. In a trace the limit is never below 1.5 times the interval.
type StaleLimits struct {
	ElectricalS  float64 `yaml:"electrical_s"`
	TemperatureS float64 `yaml:"temperature_s"` // air and equipment
	WindS        float64 `yaml:"wind_s"`        // wind and pressure
	RainS        float64 `yaml:"rain_s"`        // rain and light
	LightningS   float64 `yaml:"lightning_s"`
}

func (s *StaleLimits) of(g Group) float64 {
	switch g {
	case GroupTemperature, GroupEquipment:
		return s.TemperatureS
	case GroupWind:
		return s.WindS
	case GroupRain, GroupLight:
		return s.RainS
	case GroupLightning:
		return s.LightningS
	case GroupElectrical, GroupWaveform:
		return s.ElectricalS
	}
	return s.ElectricalS
}

// MeterLimits are the thresholds of S02: the meter's power against that of
// voltage, current and power factor.
type MeterLimits struct {
	ErrorWarnPct  float64 `yaml:"error_warn_pct"`
	ErrorClearPct float64 `yaml:"error_clear_pct"`
	MinPowerW     float64 `yaml:"min_power_w"` // less is not compared
}

// sensorHazard is the judge's own blindness: required readings that are
// missing, stale or implausible, and sensors that contradict each other.
var sensorHazard = hazard{
	defaults: func(c *Config) {
		c.Stale = StaleLimits{ElectricalS: 5, TemperatureS: 60, WindS: 180, RainS: 180, LightningS: 60}
		c.StuckS, c.StuckReadings = 1800, 120
		c.StuckCalmS, c.StuckWindS, c.StuckSlowS = 43_200, 10_800, 86_400
		c.Meter = MeterLimits{ErrorWarnPct: 5, ErrorClearPct: 3, MinPowerW: 200}
	},
	fields: func(c *Config) []field {
		m := &c.Meter
		return []field{
			{"stale.electrical_s", c.Stale.ElectricalS, 0.01, week},
			{"stale.temperature_s", c.Stale.TemperatureS, 0.01, week},
			{"stale.wind_s", c.Stale.WindS, 0.01, week},
			{"stale.rain_s", c.Stale.RainS, 0.01, week},
			{"stale.lightning_s", c.Stale.LightningS, 0.01, week},
			{"stuck_s", c.StuckS, 0, week},
			{"stuck_calm_s", c.StuckCalmS, 0, week},
			{"stuck_wind_s", c.StuckWindS, 0, week},
			{"stuck_slow_s", c.StuckSlowS, 0, week},
			{"stuck_readings", float64(c.StuckReadings), 0, 1e9},
			{"meter.error_warn_pct", m.ErrorWarnPct, 0, 100},
			{"meter.error_clear_pct", m.ErrorClearPct, 0, 100},
			{"meter.min_power_w", m.MinPowerW, 1, 1e9},
		}
	},
	orders: func(c *Config) []order {
		return []order{{"meter.error_clear_pct", c.Meter.ErrorClearPct, c.Meter.ErrorWarnPct}}
	},
	start: func(e *evidence) {
		e.sensor = sensor{metered: newHistory(10_000, tenMinutesMs), product: newHistory(10_000, tenMinutesMs), loadMs: never}
	},
	take: takeSensor,
	rules: []rule{
		{
			id: "INIT", place: 10, kind: KindSensor, level: LevelBlock,
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
			id: "E16", place: 20, kind: KindSensor, level: LevelBlock,
			settings: "gate.valid_s stale.electrical_s stale.temperature_s stale.wind_s stale.rain_s stale.lightning_s stuck_s stuck_readings stuck_calm_s stuck_wind_s stuck_slow_s",
			source:   "fail closed: a required input is missing, stale or implausible",
			holdS:    holdValid,
			evaluate: func(e *evidence, tMs int64, _ Level) Level {
				return keep(e.blind(tMs), LevelBlock)
			},
			explain: explainSensor,
		},
		{
			id: "S01", place: 30, kind: KindSensor, level: LevelWarn,
			settings: "gate.valid_s",
			source:   "voting: of two sensors the unsafe one counts, of three at one place the middle one, of three at several places the worst; a disagreement warns",
			holdS:    holdValid,
			evaluate: func(e *evidence, _ int64, _ Level) Level {
				return keep(e.sensor.disagree != 0, LevelWarn)
			},
			explain: func(x *explainer) {
				for c := range NumChannels {
					if x.e.sensor.disagree.Has(c) {
						x.says("sensors of "+c.String()+" disagree", "sensors of "+spoken(c.String())+" disagree")
						x.channel(c, "", 0)
					}
				}
				if x.e.sensor.disagree == 0 {
					x.say("all sensors agree again")
				}
			},
		},
		{
			id: "S03", place: 32, kind: KindSensor, level: LevelWarn,
			settings: "gate.valid_s",
			source:   "a configured sensor is missing, or has given nothing for a minute: where it is not required, nothing else says so",
			holdS:    holdValid,
			evaluate: func(e *evidence, _ int64, _ Level) Level {
				return keep(len(e.sensor.silent) > 0, LevelWarn)
			},
			explain: func(x *explainer) {
				for i, name := range x.e.sensor.silent {
					if i == maxExplained {
						x.say("and others")
						break
					}
					x.say(cut(name) + " gives nothing")
				}
				if len(x.e.sensor.silent) == 0 {
					x.say("every configured sensor gives something again")
				}
			},
		},
		{
			id: "S02", place: 190, kind: KindSensor, level: LevelWarn,
			settings: "meter.error_warn_pct meter.error_clear_pct meter.min_power_w",
			source:   "10-min means of the meter's power and of voltage, current and power factor drift apart: 5 % is more than a class 2 meter and two transformers may differ",
			needs:    [][]Channel{{PowerW}, {VoltageV}, {CurrentA}, {PowerFactor}},
			holdS:    noHold,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				m := &e.cfg.Meter
				return above(e, tMs, PowerW, e.sensor.meterError, was, LevelWarn, from(m.ErrorWarnPct), from(m.ErrorClearPct))
			},
			explain: func(x *explainer) {
				m := &x.e.cfg.Meter
				x.figure("meter_error_10min", PowerW, x.e.sensor.meterError, "%", from(m.ErrorWarnPct), from(m.ErrorClearPct))
				x.channel(VoltageV, "", 0)
				x.channel(CurrentA, "", 0)
				x.channel(PowerFactor, "", 0)
			},
		},
	},
}

// sensor is what is known of the sensors themselves.
type sensor struct {
	checks   checks
	disagree ChannelSet // of the last sample
	silent   []string   // names of sensors

	metered, product history // while there is load
	loadMs           int64   // S02: since when there is, or never
	meterError       figure  // %, of voltage x current x power factor
}

// takeSensor compares channels with each other, and then counts what is left.
func takeSensor(e *evidence, s *Sample, tMs int64) {
	e.sensor.disagree = s.Disagree
	e.cross(s, tMs)
	takeMeter(e, tMs)
}

func takeMeter(e *evidence, tMs int64) {
	c := &e.sensor
	if !e.in.r[PowerW].fresh {
		return
	}
	p, okP := e.in.get(PowerW, tMs)
	v, okV := e.in.get(VoltageV, tMs)
	i, okI := e.in.get(CurrentA, tMs)
	f, okF := e.in.get(PowerFactor, tMs)
	s := float64(float64(v*i) * math.Abs(f))
	load := okP && okV && okI && okF && s >= e.cfg.Meter.MinPowerW
	c.loadMs = since(c.loadMs, load, tMs)
	if !load {
		return
	}
	c.metered.push(e.in.r[PowerW].measuredMs, math.Abs(p))
	c.product.push(e.in.r[PowerW].measuredMs, s)
	m, okM := c.metered.over(tenMinutesMs)
	w, okW := c.product.over(tenMinutesMs)
	if okM && okW && lasted(c.loadMs, tMs, tenMinutesMs/1000) {
		c.meterError = figure{100 * math.Abs(m.mean-w.mean) / w.mean, true}
	}
}

func holdValid(e *evidence) float64 { return e.cfg.Gate.ValidS }

func initHoldS(e *evidence) float64 { return max(e.cfg.Gate.ValidS, e.limits.EnterServiceS) }

// blind reports whether a required input cannot be used at tMs.
func (e *evidence) blind(tMs int64) bool {
	bad := func(c Channel) bool { return e.in.validity(c, tMs) != Valid } // what is saturated too
	return e.in.silent(tMs) || slices.ContainsFunc(e.required, bad)
}

func explainInit(x *explainer) {
	x.say("start: needs " + number(initHoldS(x.e)) + " s of valid required inputs and of a grid within its limits")
	if x.e.blind(x.tMs) {
		explainSensor(x)
	}
	if !x.e.mayEnter(x.tMs) {
		x.enterService()
	}
}

func explainSensor(x *explainer) {
	switch {
	case !x.e.in.any:
		x.say("no sample yet")
		return
	case x.e.in.silent(x.tMs):
		x.input("silence", float64(x.tMs-x.e.in.lastMs)/1000, "s", 0, ">", float64(x.e.in.silenceMs)/1000)
	}
	bad := 0
	for _, c := range x.e.required {
		if v := x.e.in.validity(c, x.tMs); v != Valid {
			bad++
			x.unknown(c.String(), c.Info().Unit, x.e.in.ageS(c, x.tMs), v)
		}
	}
	if bad == 0 && !x.e.in.silent(x.tMs) {
		x.say("all required inputs are valid again")
	}
}

// Silent tells which configured sensors give nothing, by their names. It counts
// from the next Step or Advance on.
func (j *Judge) Silent(names []string) {
	if !slices.Equal(j.ev.sensor.silent, names) {
		j.ev.sensor.silent = slices.Clone(names)
	}
}
