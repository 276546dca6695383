package model

import "math"

// PowerLimits are the thresholds of the power-quality rules E03 and E05 to E07,
// the same for both grid profiles.
type PowerLimits struct {
	MeanHighPU             float64 `yaml:"mean_high_pu"`             // E03, 10-min mean of a phase
	MeanHighClearPU        float64 `yaml:"mean_high_clear_pu"`       // E03
	ROCOFHzPS              float64 `yaml:"rocof_hz_per_s"`           // E05, either direction
	ROCOFClearHzPS         float64 `yaml:"rocof_clear_hz_per_s"`     // E05
	ROCOFWindowS           float64 `yaml:"rocof_window_s"`           // E05; needs readings at least this often
	ROCOFHoldS             float64 `yaml:"rocof_hold_s"`             // E05
	UnbalanceWarnPct       float64 `yaml:"unbalance_warn_pct"`       // E06, 10-min mean
	UnbalanceBlockPct      float64 `yaml:"unbalance_block_pct"`      // E06, 1-min mean
	UnbalanceHysteresisPct float64 `yaml:"unbalance_hysteresis_pct"` // E06
	THDWarnPct             float64 `yaml:"thd_warn_pct"`             // E07, 10-min mean
	THDClearPct            float64 `yaml:"thd_clear_pct"`            // E07
}

// qualityHazard is poor power: a voltage too high for long, a frequency that
// runs away, unbalance, harmonics.
var qualityHazard = hazard{
	defaults: func(c *Config) {
		c.Quality.PowerLimits = PowerLimits{
			MeanHighPU: 1.10, MeanHighClearPU: 1.08,
			ROCOFHzPS: 1, ROCOFClearHzPS: 0.5, ROCOFWindowS: 0.5, ROCOFHoldS: 60,
			UnbalanceWarnPct: 2, UnbalanceBlockPct: 5, UnbalanceHysteresisPct: 0.5,
			THDWarnPct: 8, THDClearPct: 7,
		}
	},
	fields: func(c *Config) []field {
		q := &c.Quality
		return []field{
			{"quality.mean_high_pu", q.MeanHighPU, 0.5, 2},
			{"quality.mean_high_clear_pu", q.MeanHighClearPU, 0.5, 2},
			{"quality.rocof_hz_per_s", q.ROCOFHzPS, 0.01, 100},
			{"quality.rocof_clear_hz_per_s", q.ROCOFClearHzPS, 0, 100},
			{"quality.rocof_window_s", q.ROCOFWindowS, 0.1, 0.6}, // what the track of readings can hold
			{"quality.rocof_hold_s", q.ROCOFHoldS, 0, week},
			{"quality.unbalance_warn_pct", q.UnbalanceWarnPct, 0, 100},
			{"quality.unbalance_block_pct", q.UnbalanceBlockPct, 0, 100},
			{"quality.unbalance_hysteresis_pct", q.UnbalanceHysteresisPct, 0, 100},
			{"quality.thd_warn_pct", q.THDWarnPct, 0, 1000},
			{"quality.thd_clear_pct", q.THDClearPct, 0, 1000},
		}
	},
	orders: func(c *Config) []order {
		q := &c.Quality
		return []order{
			{"quality.mean_high_clear_pu", q.MeanHighClearPU, q.MeanHighPU},
			{"quality.rocof_clear_hz_per_s", q.ROCOFClearHzPS, q.ROCOFHzPS},
			{"quality.unbalance_warn_pct", q.UnbalanceWarnPct, q.UnbalanceBlockPct},
			{"quality.thd_clear_pct", q.THDClearPct, q.THDWarnPct},
		}
	},
	start: func(e *evidence) { e.quality = newQuality() },
	take:  takeQuality,
	rules: []rule{
		{
			id: "E03", place: 100, kind: KindLine, level: LevelBlock,
			settings: "quality.mean_high_pu quality.mean_high_clear_pu",
			source:   "EN 50549-1 / VDE-AR-N 4105 (recalled): 10-min mean above 1.10 pu; back below 1.08 pu and enter service",
			needs:    [][]Channel{phases[:]},
			windowMs: tenMinutesMs,
			holdS:    holdEnter,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				q := &e.cfg.Quality
				_, mean := e.highestMean()
				if was != LevelNone {
					return keep(!mean.ok || mean.v >= q.MeanHighClearPU*e.cfg.NominalVoltageV || !e.mayEnter(tMs), LevelBlock)
				}
				return keep(mean.ok && e.anyVoltage(tMs) && mean.v > q.MeanHighPU*e.cfg.NominalVoltageV, LevelBlock)
			},
			explain: func(x *explainer) {
				q, nominal := &x.e.cfg.Quality, x.e.cfg.NominalVoltageV
				c, mean := x.e.highestMean()
				x.figure("voltage_mean_10min", c, mean, "V", over(q.MeanHighPU*nominal), from(q.MeanHighClearPU*nominal))
				if !x.e.mayEnter(x.tMs) {
					x.enterService()
				}
			},
		},
		{
			id: "E05", place: 110, kind: KindLine, level: LevelBlock,
			settings: "quality.rocof_hz_per_s quality.rocof_clear_hz_per_s quality.rocof_window_s",
			source:   "loss-of-mains ROCOF of 1 Hz/s over 500 ms (EREC G99, recalled)",
			needs:    [][]Channel{{FrequencyHz}},
			absent: func(c *Config) string {
				if c.IntervalS > c.Quality.ROCOFWindowS {
					return "needs a frequency at least every " + number(c.Quality.ROCOFWindowS) + " s"
				}
				return ""
			},
			holdS: holdConst(func(c *Config) float64 { return c.Quality.ROCOFHoldS }),
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				q := &e.cfg.Quality
				return above(e, tMs, FrequencyHz, e.quality.rocof, was, LevelBlock, over(q.ROCOFHzPS), from(q.ROCOFClearHzPS))
			},
			explain: func(x *explainer) {
				q := &x.e.cfg.Quality
				x.figure("rocof", FrequencyHz, x.e.quality.rocof, "Hz/s", over(q.ROCOFHzPS), from(q.ROCOFClearHzPS))
			},
		},
		{
			id: "E06", place: 120, kind: KindLine, level: LevelBlock,
			settings: "quality.unbalance_warn_pct quality.unbalance_block_pct quality.unbalance_hysteresis_pct",
			source:   "EN 50160 voltage unbalance of 2 % (recalled), by the formula of IEC 61000-4-30; blocks at 5 %",
			needs:    [][]Channel{{VoltageAV}, {VoltageBV}, {VoltageCV}},
			windowMs: tenMinutesMs,
			holdS:    noHold,
			evaluate: evaluateUnbalance,
			explain: func(x *explainer) {
				q := &x.e.cfg.Quality
				x.figure("unbalance_1min", VoltageAV, x.e.quality.unbalance1, "%", over(q.UnbalanceBlockPct), over(q.UnbalanceBlockPct-q.UnbalanceHysteresisPct))
				x.figure("unbalance_10min", VoltageAV, x.e.quality.unbalance10, "%", over(q.UnbalanceWarnPct), over(q.UnbalanceWarnPct-q.UnbalanceHysteresisPct))
			},
		},
		{
			id: "E07", place: 130, kind: KindLine, level: LevelWarn,
			settings: "quality.thd_warn_pct quality.thd_clear_pct",
			source:   "EN 50160 total harmonic distortion of 8 % (recalled), 10-min mean of the worst phase",
			needs:    [][]Channel{thds[:]},
			windowMs: tenMinutesMs,
			holdS:    noHold,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				q := &e.cfg.Quality
				return above(e, tMs, e.thdChannel(tMs), e.quality.thd10, was, LevelWarn, over(q.THDWarnPct), from(q.THDClearPct))
			},
			explain: func(x *explainer) {
				q := &x.e.cfg.Quality
				x.figure("thd_mean_10min", x.e.thdChannel(x.tMs), x.e.quality.thd10, "%", over(q.THDWarnPct), from(q.THDClearPct))
			},
		},
	},
}

// quality is what the power-quality rules look at.
type quality struct {
	volts       [len(phases)]history
	means       [len(phases)]figure // 10 min, of each phase
	unbalance   history
	unbalance1  figure // mean of 1 min
	unbalance10 figure // mean of 10 min
	thd         history
	thd10       figure
	frequency   track
	rocof       figure // magnitude, Hz/s
}

func newQuality() quality {
	q := quality{unbalance: newHistory(10_000, tenMinutesMs), thd: newHistory(10_000, tenMinutesMs)}
	for i := range q.volts {
		q.volts[i] = newHistory(10_000, tenMinutesMs)
	}
	return q
}

// thds are the channels of total harmonic distortion of the voltage.
var thds = [...]Channel{THDPct, THDAPct, THDBPct, THDCPct}

func takeQuality(e *evidence, _ *Sample, _ int64) {
	q := &e.quality
	for i, c := range phases {
		if r := &e.in.r[c]; r.fresh && r.state == Valid { // one reading beyond the range would be the mean for long
			q.volts[i].push(r.measuredMs, r.value)
			w, ok := q.volts[i].over(tenMinutesMs)
			q.means[i] = figure{w.mean, ok}
		}
	}
	a, b, c := &e.in.r[VoltageAV], &e.in.r[VoltageBV], &e.in.r[VoltageCV]
	// Below half the nominal voltage E02 and E15 speak; a ratio of next to
	// nothing means nothing.
	known := a.state == Valid && b.state == Valid && c.state == Valid
	if known && a.fresh && b.fresh && c.fresh && max(a.value, b.value, c.value) >= e.cfg.NominalVoltageV/2 {
		q.unbalance.push(a.measuredMs, float64(100*PhaseUnbalance(a.value, b.value, c.value)))
		w1, ok1 := q.unbalance.over(60_000)
		w10, ok10 := q.unbalance.over(tenMinutesMs)
		q.unbalance1, q.unbalance10 = figure{w1.mean, ok1}, figure{w10.mean, ok10}
	}
	worst, at := -1.0, int64(0)
	for _, c := range thds {
		if r := &e.in.r[c]; r.fresh {
			worst, at = max(worst, r.value), r.measuredMs
		}
	}
	if worst >= 0 {
		q.thd.push(at, worst)
		w, ok := q.thd.over(tenMinutesMs)
		q.thd10 = figure{w.mean, ok}
	}
	e.takeROCOF()
}

// takeROCOF compares the frequency with the one a window ago, or up to twice
// as long where readings are that far apart.
func (e *evidence) takeROCOF() {
	q, r := &e.quality, &e.in.r[FrequencyHz]
	if !r.fresh {
		return
	}
	window := seconds(e.cfg.Quality.ROCOFWindowS)
	at, v, ok := q.frequency.before(r.measuredMs - window)
	q.frequency.push(r.measuredMs, r.value)
	if !ok || r.measuredMs-at > 2*window {
		q.rocof = figure{}
		return
	}
	q.rocof = figure{math.Abs(r.value-v) * 1000 / float64(r.measuredMs-at), true}
}

// Unbalance returns the ratio of negative- to positive-sequence voltage from
// the three line-to-line RMS voltages (IEC 61000-4-30, as recalled). It is
// exact because these three phasors add up to zero. Lengths that form no
// triangle, and zeros, give 1.
func Unbalance(u12, u23, u31 float64) float64 {
	// The conversions round every product: no target may fuse it with the sum,
	// which would change the last bit.
	a, b, c := float64(u12*u12), float64(u23*u23), float64(u31*u31)
	sum := a + b + c
	if !(sum > 0) {
		return 1
	}
	beta := (float64(a*a) + float64(b*b) + float64(c*c)) / float64(sum*sum)
	root := math.Sqrt(min(max(3-float64(6*beta), 0), 1))
	return math.Sqrt((1 - root) / (1 + root))
}

// PhaseUnbalance is Unbalance from phase-to-neutral RMS voltages, taken to
// stand 120 degrees apart: RMS values carry no angle. It is exact for phases
// that differ in magnitude, and says nothing of wrong angles.
func PhaseUnbalance(a, b, c float64) float64 {
	line := func(x, y float64) float64 {
		return math.Sqrt(float64(x*x) + float64(y*y) + float64(x*y))
	}
	return Unbalance(line(a, b), line(b, c), line(c, a))
}

// highestMean returns the phase with the highest 10-min mean.
func (e *evidence) highestMean() (Channel, figure) {
	var at Channel
	var best figure
	for i, f := range e.quality.means {
		if f.ok && (!best.ok || f.v > best.v) {
			at, best = phases[i], f
		}
	}
	return at, best
}

// thdChannel returns the THD channel that is worst now, or any.
func (e *evidence) thdChannel(tMs int64) Channel {
	if c, _, ok := e.extreme(thds[:], tMs, false); ok {
		return c
	}
	return THDPct
}

func evaluateUnbalance(e *evidence, tMs int64, was Level) Level {
	for _, c := range [...]Channel{VoltageAV, VoltageBV, VoltageCV} {
		if _, ok := e.in.get(c, tMs); !ok {
			return was
		}
	}
	q, u := &e.cfg.Quality, &e.quality
	if !u.unbalance1.ok {
		return was
	}
	blockAt, warnAt := q.UnbalanceBlockPct, q.UnbalanceWarnPct
	if was == LevelBlock {
		blockAt -= q.UnbalanceHysteresisPct
	}
	if was != LevelNone {
		warnAt -= q.UnbalanceHysteresisPct
	}
	switch {
	case u.unbalance1.v > blockAt:
		return LevelBlock
	case u.unbalance10.v > warnAt:
		return LevelWarn
	}
	return LevelNone
}
