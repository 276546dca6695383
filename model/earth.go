package model

// EarthLimits are the thresholds of the rules E09, E10 and E12, all of which
// latch by default.
type EarthLimits struct {
	LeakageWarnMA        float64 `yaml:"leakage_warn_ma"`        // E09, a warning
	LeakageLimitMA       float64 `yaml:"leakage_limit_ma"`       // E09, continuous
	LeakageStepMA        float64 `yaml:"leakage_step_ma"`        // E09, a rise...
	LeakageStepS         float64 `yaml:"leakage_step_s"`         // ...within this time, or since the last reading; readings 5 s apart show none
	LeakageHoldS         float64 `yaml:"leakage_hold_s"`         // E09
	InsulationMinKOhm    float64 `yaml:"insulation_min_kohm"`    // E10; at least max_dc_voltage_v / 30 mA
	InsulationClearRatio float64 `yaml:"insulation_clear_ratio"` // E10, of the minimum
	InsulationHoldS      float64 `yaml:"insulation_hold_s"`      // E10
	MaxDCVoltageV        float64 `yaml:"max_dc_voltage_v"`       // E12; 0: only reversed polarity is served
	ReversedDCV          float64 `yaml:"reversed_dc_v"`          // E12, below minus this
	DCHoldS              float64 `yaml:"dc_hold_s"`              // E12
}

// earthHazard is a fault to earth, or a string's voltage out of bounds.
var earthHazard = hazard{
	defaults: func(c *Config) {
		c.Earth = EarthLimits{
			LeakageWarnMA: 150, LeakageLimitMA: 300, LeakageStepMA: 30, LeakageStepS: 1, LeakageHoldS: 300,
			InsulationMinKOhm: 33.3, InsulationClearRatio: 1.1, InsulationHoldS: 60, ReversedDCV: 10, DCHoldS: 60,
		}
		c.Latch = append(c.Latch, "E09", "E10", "E12")
	},
	fields: func(c *Config) []field {
		e := &c.Earth
		return []field{
			{"earth.leakage_warn_ma", e.LeakageWarnMA, 0, 1e5},
			{"earth.leakage_limit_ma", e.LeakageLimitMA, 0, 1e5},
			{"earth.leakage_step_ma", e.LeakageStepMA, 0.1, 1e5},
			{"earth.leakage_step_s", e.LeakageStepS, 0.01, 60},
			{"earth.leakage_hold_s", e.LeakageHoldS, 0, week},
			{"earth.insulation_min_kohm", e.InsulationMinKOhm, 0, 1e7},
			{"earth.insulation_clear_ratio", e.InsulationClearRatio, 1, 100},
			{"earth.insulation_hold_s", e.InsulationHoldS, 0, week},
			{"earth.max_dc_voltage_v", e.MaxDCVoltageV, 0, 2000},
			{"earth.reversed_dc_v", e.ReversedDCV, 0, 2000},
			{"earth.dc_hold_s", e.DCHoldS, 0, week},
		}
	},
	orders: func(c *Config) []order {
		return []order{{"earth.leakage_warn_ma", c.Earth.LeakageWarnMA, c.Earth.LeakageLimitMA}}
	},
	start:    func(e *evidence) { e.earth = earth{stepMs: longAgo} },
	take:     takeEarth,
	deadline: func(e *evidence, tMs int64) int64 { return pulseEndsAt(e.earth.stepMs, tMs) },
	rules: []rule{
		{
			id: "E09", place: 140, kind: KindLine, level: LevelBlock,
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
			id: "E10", place: 150, kind: KindLine, level: LevelBlock,
			settings: "earth.insulation_min_kohm earth.insulation_clear_ratio earth.max_dc_voltage_v",
			source:   "IEC 62109-2 4.8.2 (recalled): insulation of the array at least Vmax / 30 mA; or the inverter's ground fault, SunSpec event bit 0",
			needs:    [][]Channel{{InsulationKOhm, InverterEvents}},
			holdS:    holdConst(func(c *Config) float64 { return c.Earth.InsulationHoldS }),
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				r, ok := e.in.get(InsulationKOhm, tMs)
				limit := e.cfg.insulationLimit()
				if ok && (r < limit || was != LevelNone && r < limit*e.cfg.Earth.InsulationClearRatio) {
					return LevelBlock
				}
				if bits, known := e.inverterBits(tMs, inverterGround); known && bits != 0 {
					return LevelBlock
				}
				// Each of the two that has ever spoken must say that all is well.
				for _, c := range [...]Channel{InsulationKOhm, InverterEvents} {
					if e.in.r[c].seen && !e.usable(tMs, c) {
						return was
					}
				}
				return keep(was != LevelNone && !ok && !e.in.r[InverterEvents].seen, LevelBlock)
			},
			explain: func(x *explainer) {
				if x.e.in.r[InverterEvents].seen {
					x.inverter(inverterGround)
				}
				if !x.e.in.r[InsulationKOhm].seen {
					return
				}
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
			id: "E12", place: 160, kind: KindLine, level: LevelBlock,
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
	},
	absent: []Unserved{{"E11", "in part: no channel carries the flag of an arc detector of its own"}},
}

// earth is what the rules on earth faults look at.
type earth struct {
	leakage track
	stepMs  int64 // when the residual current last jumped, or before all time
	stepMA  float64
}

func takeEarth(e *evidence, _ *Sample, tMs int64) {
	r := &e.in.r[LeakageMA]
	if !r.fresh {
		return
	}
	before, ok := e.leakageBefore(r.measuredMs)
	e.earth.leakage.push(r.measuredMs, r.value)
	if ok && r.value-before >= e.cfg.Earth.LeakageStepMA {
		e.earth.stepMs, e.earth.stepMA = tMs, r.value-before
	}
}

// leakageBefore returns the residual current that a reading is compared with: the
// lowest within the step's time, or the last one before if there is none. A live
// tick is never to the millisecond, so the time of one tick has half of one more,
// and a reading that comes late is compared all the same. Readings farther apart
// than slowS show no step.
func (e *evidence) leakageBefore(tMs int64) (float64, bool) {
	within := e.cfg.Earth.LeakageStepS
	if e.cfg.IntervalS < slowS {
		within = max(within, float64(1.5*e.cfg.IntervalS))
	}
	if v, ok := e.earth.leakage.lowest(tMs - seconds(within)); ok {
		return v, true
	}
	at, v, ok := e.earth.leakage.before(tMs)
	return v, ok && tMs-at < slowS*1000
}

// insulationLimit is E10's threshold: the configured one, or R >= Vmax / 30 mA
// where that asks for more.
func (c *Config) insulationLimit() float64 {
	return max(c.Earth.InsulationMinKOhm, c.Earth.MaxDCVoltageV/30)
}
