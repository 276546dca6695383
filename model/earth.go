package model

// earth is what the rules on earth faults look at.
type earth struct {
	leakage track
	stepMs  int64 // when the residual current last jumped, or before all time
	stepMA  float64
}

func (e *evidence) takeEarth(tMs int64) {
	r := &e.in.r[LeakageMA]
	if !r.fresh {
		return
	}
	before, ok := e.earth.leakage.lowest(r.measuredMs - seconds(e.cfg.Earth.LeakageStepS))
	e.earth.leakage.push(r.measuredMs, r.value)
	if ok && r.value-before >= e.cfg.Earth.LeakageStepMA {
		e.earth.stepMs, e.earth.stepMA = tMs, r.value-before
	}
}

// insulationLimit is E10's threshold: the configured one, or R >= Vmax / 30 mA
// where that asks for more.
func (c *Config) insulationLimit() float64 {
	return max(c.Earth.InsulationMinKOhm, c.Earth.MaxDCVoltageV/30)
}

var earthRules = []rule{
	{
		id: "E09", kind: KindLine, level: LevelBlock,
		settings: "earth.leakage_warn_ma earth.leakage_limit_ma earth.leakage_step_ma earth.leakage_step_s",
		source:   "IEC 62109-2 residual current: 300 mA continuous or a sudden step of 30 mA; warns at half",
		needs:    [][]Channel{{LeakageMA}},
		holdS:    holdConst(func(c *Config) float64 { return c.Earth.LeakageHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			if tMs <= e.earth.stepMs {
				return LevelBlock
			}
			i, ok := e.in.get(LeakageMA, tMs)
			l := &e.cfg.Earth
			switch {
			case !ok:
				return was
			case i >= l.LeakageLimitMA:
				return LevelBlock
			case i >= l.LeakageWarnMA, was != LevelNone && i >= l.LeakageWarnMA*0.9:
				return LevelWarn
			}
			return LevelNone
		},
		explain: func(x *explainer) {
			l := &x.e.cfg.Earth
			if ms := x.e.earth.stepMs; ms != longAgo && x.tMs-ms <= seconds(l.LeakageHoldS) {
				x.input("leakage_step", x.e.earth.stepMA, "mA", float64(x.tMs-ms)/1000, ">=", l.LeakageStepMA)
			}
			i, _ := x.e.in.get(LeakageMA, x.tMs)
			switch {
			case i >= l.LeakageLimitMA:
				x.channel(LeakageMA, ">=", l.LeakageLimitMA)
			case i >= l.LeakageWarnMA:
				x.channel(LeakageMA, ">=", l.LeakageWarnMA)
			default:
				x.channel(LeakageMA, "<", l.LeakageLimitMA)
			}
		},
	},
	{
		id: "E10", kind: KindLine, level: LevelBlock,
		settings: "earth.insulation_min_kohm earth.insulation_clear_ratio earth.max_dc_voltage_v",
		source:   "IEC 62109-2 4.8.2 (recalled): insulation of the array at least Vmax / 30 mA",
		needs:    [][]Channel{{InsulationKOhm}},
		holdS:    holdConst(func(c *Config) float64 { return c.Earth.InsulationHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			r, ok := e.in.get(InsulationKOhm, tMs)
			if !ok {
				return was
			}
			limit := e.cfg.insulationLimit()
			return keep(r < limit || was != LevelNone && r < limit*e.cfg.Earth.InsulationClearRatio, LevelBlock)
		},
		explain: func(x *explainer) {
			limit := x.e.cfg.insulationLimit()
			r, _ := x.e.in.get(InsulationKOhm, x.tMs)
			clear := limit * x.e.cfg.Earth.InsulationClearRatio
			switch {
			case r < limit:
				x.channel(InsulationKOhm, "<", limit)
			case r < clear:
				x.channel(InsulationKOhm, "<", clear)
			default:
				x.channel(InsulationKOhm, ">=", clear)
			}
		},
	},
	{
		id: "E12", kind: KindLine, level: LevelBlock,
		settings: "earth.max_dc_voltage_v earth.reversed_dc_v",
		source:   "string voltage above the array's maximum, or reversed",
		needs:    [][]Channel{{DCVoltageV}},
		holdS:    holdConst(func(c *Config) float64 { return c.Earth.DCHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			v, ok := e.in.get(DCVoltageV, tMs)
			if !ok {
				return was
			}
			l := &e.cfg.Earth
			return keep(v < -l.ReversedDCV || l.MaxDCVoltageV > 0 && v > l.MaxDCVoltageV, LevelBlock)
		},
		explain: func(x *explainer) {
			l := &x.e.cfg.Earth
			v, _ := x.e.in.get(DCVoltageV, x.tMs)
			switch {
			case v < -l.ReversedDCV:
				x.channel(DCVoltageV, "<", -l.ReversedDCV)
			case l.MaxDCVoltageV > 0 && v > l.MaxDCVoltageV:
				x.channel(DCVoltageV, ">", l.MaxDCVoltageV)
			case l.MaxDCVoltageV > 0:
				x.channel(DCVoltageV, "<=", l.MaxDCVoltageV)
			default:
				x.channel(DCVoltageV, ">=", -l.ReversedDCV)
			}
		},
	},
}
