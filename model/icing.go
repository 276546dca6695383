package model

// IcingLimits are the thresholds of W10.
type IcingLimits struct {
	LowC             float64 `yaml:"low_c"`
	HighC            float64 `yaml:"high_c"`
	HumidityPct      float64 `yaml:"humidity_pct"`
	SetS             float64 `yaml:"set_s"`
	ClearC           float64 `yaml:"clear_c"` // above, or drier than HumidityClearPct
	HumidityClearPct float64 `yaml:"humidity_clear_pct"`
	HoldS            float64 `yaml:"hold_s"`
	Block            bool    `yaml:"block"` // ice throw endangers; else it warns
}

// icingHazard is ice on blades and sensors.
var icingHazard = hazard{
	defaults: func(c *Config) {
		c.Icing = IcingLimits{
			LowC: -10, HighC: 1.5, HumidityPct: 95, SetS: 1800,
			ClearC: 3, HumidityClearPct: 90, HoldS: 1800,
		}
	},
	fields: func(c *Config) []field {
		i := &c.Icing
		return []field{
			{"icing.low_c", i.LowC, -60, 65},
			{"icing.high_c", i.HighC, -60, 65},
			{"icing.clear_c", i.ClearC, -60, 65},
			{"icing.humidity_pct", i.HumidityPct, 0, 100},
			{"icing.humidity_clear_pct", i.HumidityClearPct, 0, 100},
			{"icing.set_s", i.SetS, 0, week},
			{"icing.hold_s", i.HoldS, 0, week},
		}
	},
	orders: func(c *Config) []order {
		i := &c.Icing
		return []order{
			{"icing.low_c", i.LowC, i.HighC},
			{"icing.high_c", i.HighC, i.ClearC},
			{"icing.humidity_clear_pct", i.HumidityClearPct, i.HumidityPct},
		}
	},
	start:    func(e *evidence) { e.icing = icing{setMs: never} },
	take:     takeIcing,
	deadline: func(e *evidence, tMs int64) int64 { return lastsAt(e.icing.setMs, tMs, e.cfg.Icing.SetS) },
	rules: []rule{{
		id: "W10", place: 290, kind: KindEquipment, level: LevelBlock,
		settings: "icing.low_c icing.high_c icing.humidity_pct icing.set_s icing.clear_c icing.humidity_clear_pct icing.block",
		source:   "icing: -10 to 1.5 C at 95 % humidity for 30 min; warns, or blocks where a site asks for it",
		needs:    [][]Channel{{TemperatureC}, {HumidityPct}},
		holdS:    holdConst(func(c *Config) float64 { return c.Icing.HoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			i, level := &e.cfg.Icing, LevelWarn
			if i.Block {
				level = LevelBlock
			}
			if was == LevelNone {
				return keep(lasted(e.icing.setMs, tMs, i.SetS), level)
			}
			t, okT := e.in.get(TemperatureC, tMs)
			h, okH := e.in.get(HumidityPct, tMs)
			return keep(!(okT && okH) || t <= i.ClearC && h >= i.HumidityClearPct, was)
		},
		explain: func(x *explainer) {
			i := &x.e.cfg.Icing
			t, _ := x.e.in.get(TemperatureC, x.tMs)
			h, _ := x.e.in.get(HumidityPct, x.tMs)
			x.threshold(TemperatureC, t <= i.HighC, "<=", i.HighC, ">", i.ClearC, t <= i.ClearC)
			x.threshold(HumidityPct, h >= i.HumidityPct, ">=", i.HumidityPct, "<", i.HumidityClearPct, h >= i.HumidityClearPct)
		},
	}},
	absent: []Unserved{{"W10", "in part: no channel carries a hail or flood switch; a turbine's power curve is not known"}},
}

// icing is since when it is cold and wet enough, or never.
type icing struct{ setMs int64 }

func takeIcing(e *evidence, _ *Sample, tMs int64) {
	i := &e.cfg.Icing
	t, okT := e.in.get(TemperatureC, tMs)
	h, okH := e.in.get(HumidityPct, tMs)
	e.icing.setMs = since(e.icing.setMs, okT && okH && t >= i.LowC && t <= i.HighC && h >= i.HumidityPct, tMs)
}
