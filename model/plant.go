package model

// YieldLimits are the thresholds of P01: what a PV plant gives, against what
// its rated power and the irradiance say.
type YieldLimits struct {
	ShortfallWarnPct  float64 `yaml:"shortfall_warn_pct"`
	ShortfallClearPct float64 `yaml:"shortfall_clear_pct"`
	MinIrradianceWPM2 float64 `yaml:"min_irradiance_wpm2"` // darker is not compared
	WindowS           float64 `yaml:"window_s"`            // of light without a break, and of the means
}

// HeatLimits are the thresholds of E13.
type HeatLimits struct {
	TemperatureWarnC  float64 `yaml:"temperature_warn_c"`
	TemperatureLimitC float64 `yaml:"temperature_limit_c"`
	HysteresisK       float64 `yaml:"hysteresis_k"`
	TemperatureHoldS  float64 `yaml:"temperature_hold_s"`
}

// HeatPersistLimits say how many readings in a row E13 asks for.
type HeatPersistLimits struct {
	TemperatureN int `yaml:"temperature_persist_times"`
}

// VibrationLimits are the thresholds of T02.
type VibrationLimits struct {
	VibrationWarnMPS2   float64 `yaml:"vibration_warn_mps2"`
	VibrationLimitMPS2  float64 `yaml:"vibration_limit_mps2"`
	VibrationClearRatio float64 `yaml:"vibration_clear_ratio"` // of either
	VibrationHoldS      float64 `yaml:"vibration_hold_s"`
}

// maxYieldWindowMs is what the histories of P01 reach back.
const maxYieldWindowMs = 2 * hourMs

// plantHazard is the condition of the plant: heat, vibration, a yield too low.
var plantHazard = hazard{
	defaults: func(c *Config) {
		c.Yield = YieldLimits{ShortfallWarnPct: 30, ShortfallClearPct: 25, MinIrradianceWPM2: 200, WindowS: 1800}
		c.Equipment.HeatLimits = HeatLimits{TemperatureWarnC: 80, TemperatureLimitC: 90, HysteresisK: 5, TemperatureHoldS: 600}
		c.Equipment.VibrationLimits = VibrationLimits{VibrationWarnMPS2: 10, VibrationLimitMPS2: 16, VibrationClearRatio: 0.8, VibrationHoldS: 600}
		c.Quality.TemperatureN = 3
	},
	fields: func(c *Config) []field {
		y, q := &c.Yield, &c.Equipment
		return []field{
			{"rated_power_w", c.RatedPowerW, 0, 1e9},
			{"yield.shortfall_warn_pct", y.ShortfallWarnPct, 0, 100},
			{"yield.shortfall_clear_pct", y.ShortfallClearPct, 0, 100},
			{"yield.min_irradiance_wpm2", y.MinIrradianceWPM2, 1, 1600},
			{"yield.window_s", y.WindowS, 10, maxYieldWindowMs / 1000},
			{"equipment.hysteresis_k", q.HysteresisK, 0, 100},
			{"equipment.temperature_hold_s", q.TemperatureHoldS, 0, week},
			{"equipment.temperature_warn_c", q.TemperatureWarnC, -60, 400},
			{"equipment.vibration_warn_mps2", q.VibrationWarnMPS2, 0, 1e4},
			{"equipment.vibration_limit_mps2", q.VibrationLimitMPS2, 0, 1e4},
			{"equipment.vibration_clear_ratio", q.VibrationClearRatio, 0, 1},
			{"equipment.vibration_hold_s", q.VibrationHoldS, 0, week},
			{"quality.temperature_persist_times", float64(c.Quality.TemperatureN), 1, 8},
		}
	},
	orders: func(c *Config) []order {
		y, q := &c.Yield, &c.Equipment
		return []order{
			{"yield.shortfall_clear_pct", y.ShortfallClearPct, y.ShortfallWarnPct},
			{"equipment.temperature_warn_c", q.TemperatureWarnC, q.TemperatureLimitC},
			{"equipment.vibration_warn_mps2", q.VibrationWarnMPS2, q.VibrationLimitMPS2},
		}
	},
	start: func(e *evidence) { e.plant = newPlant(&e.cfg) },
	take:  takePlant,
	rules: []rule{
		{
			id: "E13", place: 80, kind: KindEquipment, level: LevelBlock,
			settings: "equipment.temperature_warn_c equipment.temperature_limit_c equipment.hysteresis_k quality.temperature_persist_times",
			source:   "equipment temperature: vendor's limit, warning below it; 5 K hysteresis",
			needs:    [][]Channel{{EquipmentTemperatureC}},
			holdS:    holdConst(func(c *Config) float64 { return c.Equipment.TemperatureHoldS }),
			evaluate: evaluateTemperature,
			explain:  explainTemperature,
		},
		{
			id: "P01", place: 170, kind: KindEquipment, level: LevelWarn, only: GeneratorPV,
			settings: "rated_power_w yield.shortfall_warn_pct yield.shortfall_clear_pct yield.min_irradiance_wpm2 yield.window_s",
			source:   "PV plant gives less than its rated power and the irradiance of the modules' plane say: a string, a fuse, snow, shade or curtailment",
			needs:    [][]Channel{{PowerW}, {IrradianceWPM2}},
			absent: func(c *Config) string {
				if c.RatedPowerW == 0 {
					return "no rated_power_w is configured"
				}
				return ""
			},
			holdS: noHold,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				if !e.usable(tMs, IrradianceWPM2) {
					return min(was, LevelWarn)
				}
				y := &e.cfg.Yield
				return above(e, tMs, PowerW, e.plant.shortfall, was, LevelWarn, from(y.ShortfallWarnPct), from(y.ShortfallClearPct))
			},
			explain: func(x *explainer) {
				y := &x.e.cfg.Yield
				x.figure("power_shortfall", PowerW, x.e.plant.shortfall, "%", from(y.ShortfallWarnPct), from(y.ShortfallClearPct))
				x.channel(IrradianceWPM2, "", 0)
			},
		},
		{
			id: "T02", place: 180, kind: KindEquipment, level: LevelBlock,
			settings: "equipment.vibration_warn_mps2 equipment.vibration_limit_mps2 equipment.vibration_clear_ratio",
			source:   "vibration of generator or bearing, 1-min mean of the RMS acceleration: zone limits of VDI 3834-1 for a wind turbine's generator, 10 and 16 m/s2",
			needs:    [][]Channel{{VibrationMPS2}},
			windowMs: 60_000,
			holdS:    holdConst(func(c *Config) float64 { return c.Equipment.VibrationHoldS }),
			evaluate: evaluateVibration,
			explain: func(x *explainer) {
				q := &x.e.cfg.Equipment
				limit := q.VibrationWarnMPS2
				if x.state.stands() == LevelBlock {
					limit = q.VibrationLimitMPS2
				}
				x.figure("vibration_1min", VibrationMPS2, x.e.plant.vibration1, "m/s2", from(limit), from(limit*q.VibrationClearRatio))
			},
		},
	},
}

// plant is what the rules on the plant's own condition look at.
type plant struct {
	hot, limit persistence // E13: warning and limit

	power, light history // while it is bright
	brightMs     int64   // P01: since when it is, or never
	shortfall    figure  // %, of what was to be expected

	vibration  history
	vibration1 figure // m/s2, mean of 1 min
}

func newPlant(c *Config) plant {
	heat := persistence{n: c.Quality.TemperatureN, m: c.Quality.TemperatureN}
	if c.IntervalS >= slowS {
		heat = persistence{n: 1, m: 1}
	}
	return plant{
		hot: heat, limit: heat,
		power: newHistory(30_000, maxYieldWindowMs), light: newHistory(30_000, maxYieldWindowMs), brightMs: never,
		vibration: newHistory(10_000, 60_000),
	}
}

// takePlant runs after the cross checks: a reading that they refuse is not
// counted.
func takePlant(e *evidence, _ *Sample, tMs int64) {
	p := &e.plant
	if r := &e.in.r[EquipmentTemperatureC]; r.fresh {
		p.hot.push(r.value >= e.cfg.Equipment.TemperatureWarnC)
		p.limit.push(r.value >= e.cfg.Equipment.TemperatureLimitC)
	}
	if r := &e.in.r[VibrationMPS2]; r.fresh {
		p.vibration.push(r.measuredMs, r.value)
		w, ok := p.vibration.over(60_000)
		p.vibration1 = figure{w.mean, ok}
	}
	takeYield(e, tMs)
}

func takeYield(e *evidence, tMs int64) {
	p, y := &e.plant, &e.cfg.Yield
	if e.cfg.RatedPowerW == 0 || !e.in.r[PowerW].fresh {
		return
	}
	power, okP := e.in.get(PowerW, tMs)
	g, okG := e.in.get(IrradianceWPM2, tMs)
	bright := okP && okG && g >= y.MinIrradianceWPM2
	p.brightMs = since(p.brightMs, bright, tMs)
	if !bright {
		return // what was last known stays: the night repairs nothing
	}
	p.power.push(e.in.r[PowerW].measuredMs, power)
	p.light.push(e.in.r[PowerW].measuredMs, g)
	window := seconds(y.WindowS)
	mean, ok := p.power.over(window)
	light, okL := p.light.over(window)
	expected := float64(e.cfg.RatedPowerW*light.mean) / 1000
	if ok && okL && lasted(p.brightMs, tMs, y.WindowS) {
		p.shortfall = figure{float64(100*(expected-mean.mean)) / expected, true}
	}
}

func evaluateTemperature(e *evidence, tMs int64, was Level) Level {
	q := &e.cfg.Equipment
	t, ok := e.in.get(EquipmentTemperatureC, tMs)
	if !ok {
		return was
	}
	switch {
	case e.plant.limit.reached(), was == LevelBlock && t >= q.TemperatureLimitC-q.HysteresisK:
		return LevelBlock
	case e.plant.hot.reached(), was != LevelNone && t >= q.TemperatureWarnC-q.HysteresisK:
		return LevelWarn
	}
	return LevelNone
}

func explainTemperature(x *explainer) {
	q := &x.e.cfg.Equipment
	t, _ := x.e.in.get(EquipmentTemperatureC, x.tMs)
	for _, limit := range [...]float64{
		q.TemperatureLimitC, q.TemperatureLimitC - q.HysteresisK,
		q.TemperatureWarnC, q.TemperatureWarnC - q.HysteresisK,
	} {
		if t >= limit {
			x.channel(EquipmentTemperatureC, ">=", limit)
			return
		}
	}
	x.channel(EquipmentTemperatureC, "<", q.TemperatureWarnC-q.HysteresisK)
}

func evaluateVibration(e *evidence, tMs int64, was Level) Level {
	q, v := &e.cfg.Equipment, e.plant.vibration1
	if !e.usable(tMs, VibrationMPS2) || !v.ok {
		return was
	}
	limit, warn := q.VibrationLimitMPS2, q.VibrationWarnMPS2
	if was == LevelBlock {
		limit *= q.VibrationClearRatio
	}
	if was != LevelNone {
		warn *= q.VibrationClearRatio
	}
	switch {
	case v.v >= limit:
		return LevelBlock
	case v.v >= warn:
		return LevelWarn
	}
	return LevelNone
}
