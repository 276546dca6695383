package model

// OverloadLimits are the thresholds of E08.
type OverloadLimits struct {
	OverloadRatio    float64 `yaml:"overload_ratio"`     // of the rating...
	OverloadS        float64 `yaml:"overload_s"`         // ...for this long
	FarOverloadRatio float64 `yaml:"far_overload_ratio"` // of the rating...
	FarOverloadS     float64 `yaml:"far_overload_s"`     // ...for this long
	OverloadHoldS    float64 `yaml:"overload_hold_s"`    // below the rating
}

// overloadHazard is a current beyond the rating for too long.
var overloadHazard = hazard{
	defaults: func(c *Config) {
		c.Equipment.OverloadLimits = OverloadLimits{
			OverloadRatio: 1.10, OverloadS: 60, FarOverloadRatio: 1.25, FarOverloadS: 5, OverloadHoldS: 300,
		}
	},
	fields: func(c *Config) []field {
		q := &c.Equipment
		return []field{
			{"rated_current_a", c.RatedCurrentA, 0, 1e5},
			{"equipment.overload_ratio", q.OverloadRatio, 0.1, 100},
			{"equipment.overload_s", q.OverloadS, 0, week},
			{"equipment.far_overload_s", q.FarOverloadS, 0, week},
			{"equipment.overload_hold_s", q.OverloadHoldS, 0, week},
		}
	},
	orders: func(c *Config) []order {
		return []order{{"equipment.overload_ratio", c.Equipment.OverloadRatio, c.Equipment.FarOverloadRatio}}
	},
	start: func(e *evidence) { e.overload = overload{overMs: never, farOverMs: never} },
	take:  takeOverload,
	deadline: func(e *evidence, tMs int64) int64 {
		q := &e.cfg.Equipment
		return min(lastsAt(e.overload.overMs, tMs, q.OverloadS), lastsAt(e.overload.farOverMs, tMs, q.FarOverloadS))
	},
	rules: []rule{{
		id: "E08", place: 70, kind: KindLine, level: LevelBlock,
		settings: "rated_current_a equipment.overload_ratio equipment.overload_s equipment.far_overload_ratio equipment.far_overload_s",
		source:   "sustained overload of the rating: 1.10 for 60 s, 1.25 for 5 s",
		needs:    [][]Channel{currents[:]},
		absent: func(c *Config) string {
			if c.RatedCurrentA == 0 {
				return "no rated_current_a is configured"
			}
			return ""
		},
		holdS: holdConst(func(c *Config) float64 { return c.Equipment.OverloadHoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			_, i, ok := e.extreme(currents[:], tMs, false)
			if was != LevelNone {
				return keep(!ok || i >= e.cfg.RatedCurrentA, LevelBlock)
			}
			o, q := &e.overload, &e.cfg.Equipment
			return keep(ok && (lasted(o.overMs, tMs, q.OverloadS) || lasted(o.farOverMs, tMs, q.FarOverloadS)), LevelBlock)
		},
		explain: explainOverload,
	}},
}

// currents are the current channels of the conductors that carry power.
var currents = [...]Channel{CurrentA, CurrentAA, CurrentBA, CurrentCA}

// overload is since when the current is too high, or never.
type overload struct{ overMs, farOverMs int64 }

func takeOverload(e *evidence, _ *Sample, tMs int64) {
	o, q := &e.overload, &e.cfg.Equipment
	_, i, ok := e.extreme(currents[:], tMs, false)
	ok = ok && e.cfg.RatedCurrentA != 0
	o.overMs = since(o.overMs, ok && i > e.cfg.RatedCurrentA*q.OverloadRatio, tMs)
	o.farOverMs = since(o.farOverMs, ok && i > e.cfg.RatedCurrentA*q.FarOverloadRatio, tMs)
}

func explainOverload(x *explainer) {
	rating, o, q := x.e.cfg.RatedCurrentA, &x.e.overload, &x.e.cfg.Equipment
	c, i, ok := x.e.extreme(currents[:], x.tMs, false)
	switch {
	case !ok:
		for _, c := range currents {
			if x.e.in.r[c].seen {
				x.channel(c, "", 0)
			}
		}
	case lasted(o.farOverMs, x.tMs, q.FarOverloadS):
		x.channel(c, ">", rating*q.FarOverloadRatio)
	case lasted(o.overMs, x.tMs, q.OverloadS):
		x.channel(c, ">", rating*q.OverloadRatio)
	case i >= rating:
		x.channel(c, ">=", rating)
	default:
		x.channel(c, "<", rating)
	}
}
