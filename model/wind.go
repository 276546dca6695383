package model

// WindLimits are the thresholds of the rules W03, W04, W05 and T01. Wind is in
// m/s, the mean over 10 minutes, the gust the highest 3-s mean.
type WindLimits struct {
	GustBlockMPS      float64 `yaml:"gust_block_mps"`       // W03
	GustArmedMPS      float64 `yaml:"gust_armed_mps"`       // W03 while W07 holds
	GustClearMPS      float64 `yaml:"gust_clear_mps"`       // W03
	GustHoldS         float64 `yaml:"gust_hold_s"`          // W03
	MeanWarnMPS       float64 `yaml:"mean_warn_mps"`        // W04
	MeanWarnClearMPS  float64 `yaml:"mean_warn_clear_mps"`  // W04
	MeanWarnHoldS     float64 `yaml:"mean_warn_hold_s"`     // W04
	MeanBlockMPS      float64 `yaml:"mean_block_mps"`       // W05
	MeanBlockClearMPS float64 `yaml:"mean_block_clear_mps"` // W05
	MeanBlockHoldS    float64 `yaml:"mean_block_hold_s"`    // W05
	CutOutMeanMPS     float64 `yaml:"cut_out_mean_mps"`     // T01
	CutOutGustMPS     float64 `yaml:"cut_out_gust_mps"`     // T01
	CutInMeanMPS      float64 `yaml:"cut_in_mean_mps"`      // T01
	CutInHoldS        float64 `yaml:"cut_in_hold_s"`        // T01
}

// windHazard is strong wind, in gusts and in the mean.
var windHazard = hazard{
	defaults: func(c *Config) {
		c.Weather.WindLimits = WindLimits{
			GustBlockMPS: 25.7, GustArmedMPS: 20, GustClearMPS: 18, GustHoldS: 1800,
			MeanWarnMPS: 17.2, MeanWarnClearMPS: 13.9, MeanWarnHoldS: 1800,
			MeanBlockMPS: 24.5, MeanBlockClearMPS: 17.2, MeanBlockHoldS: 3600,
			CutOutMeanMPS: 25, CutOutGustMPS: 30, CutInMeanMPS: 20, CutInHoldS: 600,
		}
	},
	fields: func(c *Config) []field {
		w := &c.Weather
		return []field{
			{"weather.gust_clear_mps", w.GustClearMPS, 0, 150},
			{"weather.gust_block_mps", w.GustBlockMPS, 0, 150},
			{"weather.gust_armed_mps", w.GustArmedMPS, 0, 150},
			{"weather.gust_hold_s", w.GustHoldS, 0, week},
			{"weather.mean_warn_clear_mps", w.MeanWarnClearMPS, 0, 150},
			{"weather.mean_warn_hold_s", w.MeanWarnHoldS, 0, week},
			{"weather.mean_block_clear_mps", w.MeanBlockClearMPS, 0, 150},
			{"weather.mean_block_hold_s", w.MeanBlockHoldS, 0, week},
			{"weather.cut_out_gust_mps", w.CutOutGustMPS, 0, 150},
			{"weather.cut_in_mean_mps", w.CutInMeanMPS, 0, 150},
			{"weather.cut_in_hold_s", w.CutInHoldS, 0, week},
		}
	},
	orders: func(c *Config) []order {
		w := &c.Weather
		return []order{
			{"weather.gust_armed_mps", w.GustArmedMPS, w.GustBlockMPS},
			{"weather.gust_clear_mps", w.GustClearMPS, w.GustArmedMPS},
			{"weather.mean_warn_clear_mps", w.MeanWarnClearMPS, w.MeanWarnMPS},
			{"weather.mean_block_clear_mps", w.MeanBlockClearMPS, w.MeanBlockMPS},
			{"weather.cut_in_mean_mps", w.CutInMeanMPS, w.CutOutMeanMPS},
		}
	},
	start: func(e *evidence) {
		e.wind = wind{speeds: newHistory(10_000, tenMinutesMs), gusts: newHistory(10_000, fifteenMinutesMs)}
	},
	take: takeWind,
	rules: []rule{
		{
			id: "W03", place: 210, kind: KindWind, level: LevelBlock,
			settings: "weather.gust_block_mps weather.gust_armed_mps weather.gust_clear_mps",
			source:   "NWS severe gust 50 kt (25.7 m/s), 10-min highest gust below 18 m/s for 30 min to clear",
			needs:    [][]Channel{{WindGustMPS}},
			absent: func(c *Config) string {
				if c.Generator == GeneratorWind {
					return "a turbine earns in such wind: T01 stands in its place"
				}
				return ""
			},
			windowMs: tenMinutesMs,
			holdS:    holdConst(func(c *Config) float64 { return c.Weather.GustHoldS }),
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				return above(e, tMs, WindGustMPS, e.wind.gustMax, was, LevelBlock, from(e.gustLimit()), from(e.cfg.Weather.GustClearMPS))
			},
			explain: func(x *explainer) {
				x.figure("gust", WindGustMPS, x.e.wind.gustMax, "m/s", from(x.e.gustLimit()), from(x.e.cfg.Weather.GustClearMPS))
			},
		},
		{
			id: "W04", place: 220, kind: KindWind, level: LevelWarn,
			settings: "weather.mean_warn_mps weather.mean_warn_clear_mps",
			source:   "10-min mean of Beaufort 8 (17.2 m/s)",
			needs:    [][]Channel{{WindSpeedMPS}},
			windowMs: tenMinutesMs,
			holdS:    holdConst(func(c *Config) float64 { return c.Weather.MeanWarnHoldS }),
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				w := &e.cfg.Weather
				return above(e, tMs, WindSpeedMPS, e.wind.mean, was, LevelWarn, from(w.MeanWarnMPS), from(w.MeanWarnClearMPS))
			},
			explain: func(x *explainer) {
				w := &x.e.cfg.Weather
				x.figure("wind_mean_10min", WindSpeedMPS, x.e.wind.mean, "m/s", from(w.MeanWarnMPS), from(w.MeanWarnClearMPS))
			},
		},
		{
			id: "W05", place: 230, kind: KindWind, level: LevelBlock,
			settings: "weather.mean_block_mps weather.mean_block_clear_mps",
			source:   "10-min mean of Beaufort 10 (24.5 m/s)",
			needs:    [][]Channel{{WindSpeedMPS}},
			windowMs: tenMinutesMs,
			holdS:    holdConst(func(c *Config) float64 { return c.Weather.MeanBlockHoldS }),
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				w := &e.cfg.Weather
				return above(e, tMs, WindSpeedMPS, e.wind.mean, was, LevelBlock, from(w.MeanBlockMPS), from(w.MeanBlockClearMPS))
			},
			explain: func(x *explainer) {
				w := &x.e.cfg.Weather
				x.figure("wind_mean_10min", WindSpeedMPS, x.e.wind.mean, "m/s", from(w.MeanBlockMPS), from(w.MeanBlockClearMPS))
			},
		},
		{
			id: "T01", place: 250, kind: KindWind, level: LevelBlock, only: GeneratorWind,
			settings: "weather.cut_out_mean_mps weather.cut_out_gust_mps weather.cut_in_mean_mps",
			source:   "wind turbine cut-out: 10-min mean 25 m/s or gust 30 m/s, back at 20 m/s for 10 min",
			needs:    [][]Channel{{WindSpeedMPS, WindGustMPS}},
			windowMs: tenMinutesMs,
			holdS:    holdConst(func(c *Config) float64 { return c.Weather.CutInHoldS }),
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				w := &e.cfg.Weather
				level := LevelNone
				if e.in.r[WindSpeedMPS].seen || was != LevelNone {
					level = above(e, tMs, WindSpeedMPS, e.wind.mean, was, LevelBlock, from(w.CutOutMeanMPS), over(w.CutInMeanMPS))
				}
				return max(level, above(e, tMs, WindGustMPS, e.wind.gustMax, LevelNone, LevelBlock, from(w.CutOutGustMPS), from(w.CutOutGustMPS)))
			},
			explain: func(x *explainer) {
				w := &x.e.cfg.Weather
				x.figure("wind_mean_10min", WindSpeedMPS, x.e.wind.mean, "m/s", from(w.CutOutMeanMPS), over(w.CutInMeanMPS))
				x.figure("gust", WindGustMPS, x.e.wind.gustMax, "m/s", from(w.CutOutGustMPS), from(w.CutOutGustMPS))
			},
		},
	},
}

// wind is what the rules on wind look at.
type wind struct {
	speeds, gusts history
	mean, gustMax figure // 10 min
	armed         bool   // W07 stands, so W03 blocks earlier
}

func takeWind(e *evidence, _ *Sample, _ int64) {
	w := &e.wind
	e.push(&w.speeds, WindSpeedMPS)
	e.push(&w.gusts, WindGustMPS)
	if s, ok := w.speeds.over(tenMinutesMs); ok {
		w.mean = figure{s.mean, true}
	}
	if s, ok := w.gusts.over(tenMinutesMs); ok {
		w.gustMax = figure{s.max, true}
	}
}

// gustLimit is W03's threshold: lower while W07 stands.
func (e *evidence) gustLimit() float64 {
	if e.wind.armed {
		return e.cfg.Weather.GustArmedMPS
	}
	return e.cfg.Weather.GustBlockMPS
}
