package model

// MachineLimits are the thresholds of P01 and T02: what a generator gives
// against what it should, and how it shakes.
type MachineLimits struct {
	RatedPowerW       float64 `yaml:"rated_power_w"`        // of the PV plant at 1000 W/m2 and 25 C; 0: P01 cannot be served
	YieldWarnRatio    float64 `yaml:"yield_warn_ratio"`     // P01: of the expected power, mean of 30 min
	YieldClearRatio   float64 `yaml:"yield_clear_ratio"`    // P01
	YieldLeastRatio   float64 `yaml:"yield_least_ratio"`    // P01 looks only where this share of the rating is expected
	VibrationWarnMPS2 float64 `yaml:"vibration_warn_mps2"`  // T02, RMS
	VibrationMPS2     float64 `yaml:"vibration_limit_mps2"` // T02, RMS
	VibrationClear    float64 `yaml:"vibration_clear"`      // T02: cleared below this ratio of either
	VibrationHoldS    float64 `yaml:"vibration_hold_s"`     // T02
}

func defaultMachine() MachineLimits {
	return MachineLimits{
		YieldWarnRatio: 0.75, YieldClearRatio: 0.85, YieldLeastRatio: 0.2,
		VibrationWarnMPS2: 10, VibrationMPS2: 16, VibrationClear: 0.9, VibrationHoldS: 600,
	}
}

func (m *MachineLimits) fields() []field {
	const week = 7 * 86400
	return []field{
		{"machine.rated_power_w", m.RatedPowerW, 0, 1e9},
		{"machine.yield_warn_ratio", m.YieldWarnRatio, 0, 1},
		{"machine.yield_clear_ratio", m.YieldClearRatio, 0, 2},
		{"machine.yield_least_ratio", m.YieldLeastRatio, 0.01, 1},
		{"machine.vibration_warn_mps2", m.VibrationWarnMPS2, 0, 1e4},
		{"machine.vibration_limit_mps2", m.VibrationMPS2, 0, 1e4},
		{"machine.vibration_clear", m.VibrationClear, 0, 1},
		{"machine.vibration_hold_s", m.VibrationHoldS, 0, week},
	}
}

func (m *MachineLimits) orders() []order {
	return []order{
		{"machine.yield_warn_ratio", m.YieldWarnRatio, m.YieldClearRatio},
		{"machine.vibration_warn_mps2", m.VibrationWarnMPS2, m.VibrationMPS2},
	}
}

// machine is what P01 and T02 look at.
type machine struct {
	yield     history // measured over expected power
	yield30   figure
	vibration persistence // at or above the limit
	warning   persistence // at or above the warning
}

const yieldWindowMs = 30 * 60_000

func newMachine(n int) machine {
	return machine{
		yield: newHistory(10_000, yieldWindowMs), vibration: persistence{n: n, m: n}, warning: persistence{n: n, m: n},
	}
}

// expectedPowerW is what a PV plant should give: its rating times irradiance,
// less 0.4 % a kelvin of the cells above 25 C, which stand some 30 K above the
// air at 1000 W/m2 (a plain model: inverter, wiring and dirt are left to the
// threshold).
func (e *evidence) expectedPowerW(tMs int64) (float64, bool) {
	g, okG := e.in.get(IrradianceWPM2, tMs)
	t, okT := e.in.get(TemperatureC, tMs)
	if !okG || !okT {
		return 0, false
	}
	cell := t + float64(0.03*g)
	loss := float64(0.004 * (cell - 25))
	return float64(e.cfg.Machine.RatedPowerW*g/1000) * (1 - loss), true
}

func (e *evidence) takeMachine(tMs int64) {
	m := &e.machine
	if r := &e.in.r[VibrationMPS2]; r.fresh {
		m.vibration.push(r.value >= e.cfg.Machine.VibrationMPS2)
		m.warning.push(r.value >= e.cfg.Machine.VibrationWarnMPS2)
	}
	p := &e.in.r[PowerW]
	rated := e.cfg.Machine.RatedPowerW
	if !p.fresh || rated == 0 {
		return
	}
	expected, ok := e.expectedPowerW(tMs)
	// By night and at dawn the ratio of two small numbers says nothing.
	if ok && expected >= e.cfg.Machine.YieldLeastRatio*rated {
		m.yield.push(p.measuredMs, p.value/expected)
	}
	w, known := m.yield.over(yieldWindowMs)
	// Not before there is half an hour of it: a cloud that meets the meter a
	// moment before the pyranometer is no fault.
	_, full := m.yield.ago(yieldWindowMs-5*60_000, 10*60_000)
	m.yield30 = figure{w.mean, known && (full || seconds(e.cfg.IntervalS) >= yieldWindowMs)}
}

var machineRules = []rule{
	{
		id: "P01", kind: KindEquipment, level: LevelWarn,
		settings: "machine.rated_power_w machine.yield_warn_ratio machine.yield_clear_ratio machine.yield_least_ratio",
		source:   "PV yield: measured over expected power, the usual baseline of fault detection; a third of the strings lost is 0.67",
		needs:    [][]Channel{{PowerW}, {IrradianceWPM2}, {TemperatureC}},
		only:     GeneratorPV,
		windowMs: yieldWindowMs,
		holdS:    func(*evidence) float64 { return 0 },
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			m, f := &e.cfg.Machine, e.machine.yield30
			if _, ok := e.in.get(PowerW, tMs); !ok || !f.ok {
				return was
			}
			if was != LevelNone {
				return keep(f.v < m.YieldClearRatio, LevelWarn)
			}
			return keep(f.v < m.YieldWarnRatio, LevelWarn)
		},
		explain: func(x *explainer) {
			m, f := &x.e.cfg.Machine, x.e.machine.yield30
			ageS := x.e.in.ageS(PowerW, x.tMs)
			switch {
			case !f.ok:
				x.unknown("yield_mean_30min", "", ageS, Absent)
			case f.v < m.YieldWarnRatio:
				x.input("yield_mean_30min", f.v, "", ageS, "<", m.YieldWarnRatio)
			case f.v < m.YieldClearRatio:
				x.input("yield_mean_30min", f.v, "", ageS, "<", m.YieldClearRatio)
			default:
				x.input("yield_mean_30min", f.v, "", ageS, ">=", m.YieldClearRatio)
			}
		},
	},
	{
		id: "T02", kind: KindEquipment, level: LevelBlock,
		settings: "machine.vibration_warn_mps2 machine.vibration_limit_mps2 machine.vibration_clear quality.temperature_persist_times",
		source:   "vibration of a machine, RMS acceleration: VDI 3834-1 generator with rolling bearings, 10 and 16 m/s2 (recalled)",
		needs:    [][]Channel{{VibrationMPS2}},
		holdS:    holdConst(func(c *Config) float64 { return c.Machine.VibrationHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			v, ok := e.in.get(VibrationMPS2, tMs)
			m := &e.cfg.Machine
			switch {
			case !ok:
				return was
			case e.machine.vibration.reached(), was == LevelBlock && v >= m.VibrationMPS2*m.VibrationClear:
				return LevelBlock
			case e.machine.warning.reached(), was != LevelNone && v >= m.VibrationWarnMPS2*m.VibrationClear:
				return LevelWarn
			}
			return LevelNone
		},
		explain: func(x *explainer) {
			m := &x.e.cfg.Machine
			v, _ := x.e.in.get(VibrationMPS2, x.tMs)
			for _, limit := range []float64{m.VibrationMPS2, m.VibrationMPS2 * m.VibrationClear, m.VibrationWarnMPS2, m.VibrationWarnMPS2 * m.VibrationClear} {
				if v >= limit {
					x.channel(VibrationMPS2, ">=", limit)
					return
				}
			}
			x.channel(VibrationMPS2, "<", m.VibrationWarnMPS2*m.VibrationClear)
		},
	},
}
