package model

// SquallLimits are the thresholds of W06, all within 15 min.
type SquallLimits struct {
	SquallRiseHPa     float64 `yaml:"squall_rise_hpa"`  // also confirms a stroke (W01)
	SquallCoolingK    float64 `yaml:"squall_cooling_k"` // a fall, positive
	SquallGustMPS     float64 `yaml:"squall_gust_mps"`
	SquallGustRiseMPS float64 `yaml:"squall_gust_rise_mps"`
	SquallHoldS       float64 `yaml:"squall_hold_s"`
}

// squallHazard is a gust front.
var squallHazard = hazard{
	defaults: func(c *Config) {
		c.Weather.SquallLimits = SquallLimits{SquallRiseHPa: 1, SquallCoolingK: 3, SquallGustMPS: 11, SquallGustRiseMPS: 8, SquallHoldS: 1800}
	},
	fields: func(c *Config) []field {
		w := &c.Weather
		return []field{
			{"weather.squall_rise_hpa", w.SquallRiseHPa, 0, 100},
			{"weather.squall_cooling_k", w.SquallCoolingK, 0, 100},
			{"weather.squall_gust_mps", w.SquallGustMPS, 0, 150},
			{"weather.squall_gust_rise_mps", w.SquallGustRiseMPS, 0, 150},
			{"weather.squall_hold_s", w.SquallHoldS, 0, week},
		}
	},
	start: func(e *evidence) { e.squall = squall{temperature: newHistory(60_000, fifteenMinutesMs)} },
	take:  takeSquall,
	rules: []rule{{
		id: "W06", place: 240, kind: KindWind, level: LevelBlock,
		settings: "weather.squall_rise_hpa weather.squall_cooling_k weather.squall_gust_mps weather.squall_gust_rise_mps",
		source:   "gust front: pressure jump, cooling and wind jump within 15 min",
		needs:    [][]Channel{{PressureHPa}, {TemperatureC}, {WindGustMPS}},
		windowMs: fifteenMinutesMs,
		absent: func(c *Config) string {
			if c.IntervalS > 450 {
				return "needs samples less than 450 s apart"
			}
			return ""
		},
		holdS: holdConst(func(c *Config) float64 { return c.Weather.SquallHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			if !e.usable(tMs, PressureHPa, TemperatureC, WindGustMPS) {
				return was
			}
			q, w := &e.squall, &e.cfg.Weather
			return keep(q.rise.ok && q.cooling.ok && q.gustRise.ok &&
				q.rise.v >= w.SquallRiseHPa && q.cooling.v >= w.SquallCoolingK &&
				q.gustMax.v >= w.SquallGustMPS && q.gustRise.v >= w.SquallGustRiseMPS, LevelBlock)
		},
		explain: func(x *explainer) {
			q, w := &x.e.squall, &x.e.cfg.Weather
			x.figure("pressure_rise_15min", PressureHPa, q.rise, "hPa", from(w.SquallRiseHPa), from(w.SquallRiseHPa))
			x.figure("cooling_15min", TemperatureC, q.cooling, "K", from(w.SquallCoolingK), from(w.SquallCoolingK))
			x.figure("gust", WindGustMPS, q.gustMax, "m/s", from(w.SquallGustMPS), from(w.SquallGustMPS))
			x.figure("gust_rise_15min", WindGustMPS, q.gustRise, "m/s", from(w.SquallGustRiseMPS), from(w.SquallGustRiseMPS))
		},
	}},
}

// squall is what happened within 15 min.
type squall struct {
	temperature             history
	rise, cooling, gustRise figure
	gustMax                 figure
}

// takeSquall reads the histories of gusts and pressure, which wind and cyclone
// keep.
func takeSquall(e *evidence, _ *Sample, _ int64) {
	q := &e.squall
	e.push(&q.temperature, TemperatureC)
	if g, ok := e.wind.gusts.over(fifteenMinutesMs); ok {
		q.gustMax, q.gustRise = figure{g.max, true}, figure{g.max - g.min, true}
	}
	if p, ok := e.cyclone.pressure.newest(); ok {
		w, _ := e.cyclone.pressure.over(fifteenMinutesMs)
		q.rise = figure{p - w.min, true}
	}
	if t, ok := q.temperature.newest(); ok {
		w, _ := q.temperature.over(fifteenMinutesMs)
		q.cooling = figure{w.max - t, true}
	}
}

// pressureJumped reports whether the pressure shows a gust front.
func (e *evidence) pressureJumped(tMs int64) bool {
	return e.usable(tMs, PressureHPa) && e.squall.rise.ok && e.squall.rise.v >= e.cfg.Weather.SquallRiseHPa
}
