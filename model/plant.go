package model

import "math"

// YieldLimits are the thresholds of P01: what a PV plant gives, against what
// its rated power and the irradiance say.
type YieldLimits struct {
	ShortfallWarnPct  float64 `yaml:"shortfall_warn_pct"`
	ShortfallClearPct float64 `yaml:"shortfall_clear_pct"`
	MinIrradianceWPM2 float64 `yaml:"min_irradiance_wpm2"` // darker is not compared
	WindowS           float64 `yaml:"window_s"`            // of light without a break, and of the means
}

// MeterLimits are the thresholds of S02: the meter's power against that of
// voltage, current and power factor.
type MeterLimits struct {
	ErrorWarnPct  float64 `yaml:"error_warn_pct"`
	ErrorClearPct float64 `yaml:"error_clear_pct"`
	MinPowerW     float64 `yaml:"min_power_w"` // less is not compared
}

func defaultYield() YieldLimits {
	return YieldLimits{ShortfallWarnPct: 30, ShortfallClearPct: 25, MinIrradianceWPM2: 200, WindowS: 1800}
}

func defaultMeter() MeterLimits {
	return MeterLimits{ErrorWarnPct: 5, ErrorClearPct: 3, MinPowerW: 200}
}

// maxYieldWindowMs is what the histories of P01 reach back.
const maxYieldWindowMs = 2 * hourMs

// conditionFields are the ranges of the limits of this file.
func (c *Config) conditionFields() []field {
	const week = 7 * 86400
	y, m, e := &c.Yield, &c.Meter, &c.Equipment
	return []field{
		{"rated_power_w", c.RatedPowerW, 0, 1e9},
		{"yield.shortfall_warn_pct", y.ShortfallWarnPct, 0, 100},
		{"yield.shortfall_clear_pct", y.ShortfallClearPct, 0, 100},
		{"yield.min_irradiance_wpm2", y.MinIrradianceWPM2, 1, 1600},
		{"yield.window_s", y.WindowS, 10, maxYieldWindowMs / 1000},
		{"meter.error_warn_pct", m.ErrorWarnPct, 0, 100},
		{"meter.error_clear_pct", m.ErrorClearPct, 0, 100},
		{"meter.min_power_w", m.MinPowerW, 1, 1e9},
		{"equipment.vibration_warn_mps2", e.VibrationWarnMPS2, 0, 1e4},
		{"equipment.vibration_limit_mps2", e.VibrationLimitMPS2, 0, 1e4},
		{"equipment.vibration_clear_ratio", e.VibrationClearRatio, 0, 1},
		{"equipment.vibration_hold_s", e.VibrationHoldS, 0, week},
	}
}

func (c *Config) conditionOrders() []order {
	y, m, e := &c.Yield, &c.Meter, &c.Equipment
	return []order{
		{"yield.shortfall_clear_pct", y.ShortfallClearPct, y.ShortfallWarnPct},
		{"meter.error_clear_pct", m.ErrorClearPct, m.ErrorWarnPct},
		{"equipment.vibration_warn_mps2", e.VibrationWarnMPS2, e.VibrationLimitMPS2},
	}
}

// condition is what the rules on the plant's own condition look at.
type condition struct {
	power, light history // while it is bright
	brightMs     int64   // P01: since when it is, or never
	shortfall    figure  // %, of what was to be expected

	metered, product history // while there is load
	loadMs           int64   // S02: since when there is, or never
	meterError       figure  // %, of voltage x current x power factor

	vibration  history
	vibration1 figure // m/s2, mean of 1 min
}

func newCondition() condition {
	return condition{
		power: newHistory(30_000, maxYieldWindowMs), light: newHistory(30_000, maxYieldWindowMs), brightMs: never,
		metered: newHistory(10_000, tenMinutesMs), product: newHistory(10_000, tenMinutesMs), loadMs: never,
		vibration: newHistory(10_000, 60_000),
	}
}

// takeCondition runs after the cross checks: a reading that they refuse is not
// counted.
func (e *evidence) takeCondition(tMs int64) {
	c := &e.condition
	if r := &e.in.r[VibrationMPS2]; r.fresh {
		c.vibration.push(r.measuredMs, r.value)
		w, ok := c.vibration.over(60_000)
		c.vibration1 = figure{w.mean, ok}
	}
	e.takeYield(tMs)
	e.takeMeter(tMs)
}

func (e *evidence) takeYield(tMs int64) {
	c, y := &e.condition, &e.cfg.Yield
	if e.cfg.RatedPowerW == 0 || !e.in.r[PowerW].fresh {
		return
	}
	p, okP := e.in.get(PowerW, tMs)
	g, okG := e.in.get(IrradianceWPM2, tMs)
	bright := okP && okG && g >= y.MinIrradianceWPM2
	c.brightMs = since(c.brightMs, bright, tMs)
	if !bright {
		return // what was last known stays: the night repairs nothing
	}
	c.power.push(e.in.r[PowerW].measuredMs, p)
	c.light.push(e.in.r[PowerW].measuredMs, g)
	window := seconds(y.WindowS)
	mean, ok := c.power.over(window)
	light, okL := c.light.over(window)
	expected := float64(e.cfg.RatedPowerW*light.mean) / 1000
	if ok && okL && lasted(c.brightMs, tMs, y.WindowS) {
		c.shortfall = figure{float64(100*(expected-mean.mean)) / expected, true}
	}
}

func (e *evidence) takeMeter(tMs int64) {
	c := &e.condition
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

var conditionRules = []rule{
	{
		id: "P01", kind: KindEquipment, level: LevelWarn, only: GeneratorPV,
		settings: "rated_power_w yield.shortfall_warn_pct yield.shortfall_clear_pct yield.min_irradiance_wpm2 yield.window_s",
		source:   "PV plant gives less than its rated power and the irradiance say (measured against expected power, Sustainability 13(23) 13203): a string, a fuse, snow, shade or curtailment. The irradiance is to be that of the modules' plane",
		needs:    [][]Channel{{PowerW}, {IrradianceWPM2}},
		holdS:    func(*evidence) float64 { return 0 },
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			if _, ok := e.in.get(IrradianceWPM2, tMs); !ok {
				return min(was, LevelWarn)
			}
			y := &e.cfg.Yield
			return above(e, tMs, PowerW, e.condition.shortfall, was, LevelWarn, from(y.ShortfallWarnPct), from(y.ShortfallClearPct))
		},
		explain: func(x *explainer) {
			y := &x.e.cfg.Yield
			x.figure("power_shortfall", PowerW, x.e.condition.shortfall, "%", from(y.ShortfallWarnPct), from(y.ShortfallClearPct))
			x.channel(IrradianceWPM2, "", 0)
		},
	},
	{
		id: "T02", kind: KindEquipment, level: LevelBlock,
		settings: "equipment.vibration_warn_mps2 equipment.vibration_limit_mps2 equipment.vibration_clear_ratio",
		source:   "vibration of generator or bearing, 1-min mean of the RMS acceleration: zone limits of VDI 3834-1 for a wind turbine's generator (10 and 16 m/s2, recalled); a machine of another kind needs its maker's",
		needs:    [][]Channel{{VibrationMPS2}},
		windowMs: 60_000,
		holdS:    holdConst(func(c *Config) float64 { return c.Equipment.VibrationHoldS }),
		evaluate: evaluateVibration,
		explain: func(x *explainer) {
			q := &x.e.cfg.Equipment
			limit := q.VibrationWarnMPS2
			if max(x.state.level, x.state.held) == LevelBlock {
				limit = q.VibrationLimitMPS2
			}
			x.figure("vibration_1min", VibrationMPS2, x.e.condition.vibration1, "m/s2", from(limit), from(limit*q.VibrationClearRatio))
		},
	},
	{
		id: "S02", kind: KindSensor, level: LevelWarn,
		settings: "meter.error_warn_pct meter.error_clear_pct meter.min_power_w",
		source:   "power of the meter and of voltage, current and power factor drift apart, 10-min means: 5 % is beyond what a class 2 meter (IEC 62053-21, recalled) and two transformers may differ, and half of what the cross check refuses",
		needs:    [][]Channel{{PowerW}, {VoltageV}, {CurrentA}, {PowerFactor}},
		holdS:    func(*evidence) float64 { return 0 },
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			m := &e.cfg.Meter
			return above(e, tMs, PowerW, e.condition.meterError, was, LevelWarn, from(m.ErrorWarnPct), from(m.ErrorClearPct))
		},
		explain: func(x *explainer) {
			m := &x.e.cfg.Meter
			x.figure("meter_error_10min", PowerW, x.e.condition.meterError, "%", from(m.ErrorWarnPct), from(m.ErrorClearPct))
			x.channel(VoltageV, "", 0)
			x.channel(CurrentA, "", 0)
			x.channel(PowerFactor, "", 0)
		},
	},
}

func evaluateVibration(e *evidence, tMs int64, was Level) Level {
	q, v := &e.cfg.Equipment, e.condition.vibration1
	if _, ok := e.in.get(VibrationMPS2, tMs); !ok || !v.ok {
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
