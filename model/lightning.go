package model

import "math"

// LightningLimits are the thresholds of W01 and W02.
type LightningLimits struct {
	NearKM         float64 `yaml:"near_km"`         // W01
	FarKM          float64 `yaml:"far_km"`          // W02, and what keeps W01 from clearing
	HoldS          float64 `yaml:"hold_s"`          // without a stroke within FarKM
	ConfirmStrikes int     `yaml:"confirm_strikes"` // W01 blocks at so many; 1: the detector is trusted alone
	ConfirmS       float64 `yaml:"confirm_s"`       // within this time, or one and a second witness
}

// lightningHazard is a thunderstorm within hearing.
var lightningHazard = hazard{
	defaults: func(c *Config) {
		c.Lightning = LightningLimits{NearKM: 10, FarKM: 20, HoldS: 1800, ConfirmStrikes: 2, ConfirmS: 900}
	},
	fields: func(c *Config) []field {
		l := &c.Lightning
		return []field{
			{"lightning.near_km", l.NearKM, 0, 100},
			{"lightning.far_km", l.FarKM, 0, 100},
			{"lightning.hold_s", l.HoldS, 0, week},
			{"lightning.confirm_strikes", float64(l.ConfirmStrikes), 1, 1000},
			{"lightning.confirm_s", l.ConfirmS, 0, strokeWindowMs / 1000}, // what the count of strokes can hold
		}
	},
	orders: func(c *Config) []order {
		return []order{{"lightning.near_km", c.Lightning.NearKM, c.Lightning.FarKM}}
	},
	start: func(e *evidence) { e.lightning = newLightning() },
	take:  takeLightning,
	deadline: func(e *evidence, tMs int64) int64 {
		l := &e.lightning
		return min(pulseEndsAt(l.blockMs, tMs), pulseEndsAt(l.warnMs, tMs), pulseEndsAt(l.farMs, tMs))
	},
	rules: []rule{
		{
			id: "W01", place: 260, kind: KindThunderstorm, level: LevelBlock,
			settings: "lightning.near_km lightning.far_km lightning.confirm_strikes lightning.confirm_s",
			source:   "30/30 rule (NOAA): stroke within 10 km, confirmed; 30 min without one within 20 km. A single unconfirmed one warns",
			needs:    [][]Channel{{LightningKM}},
			holdS:    holdConst(func(c *Config) float64 { return c.Lightning.HoldS }),
			until:    strokesClear,
			note:     noteDeafness,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				acts := LevelNone
				switch {
				case tMs <= e.lightning.blockMs:
					acts = LevelBlock
				case tMs <= e.lightning.warnMs:
					acts = LevelWarn
				}
				return strokeLevel(e, tMs, was, acts)
			},
			explain: func(x *explainer) {
				l, cfg := &x.e.lightning, &x.e.cfg.Lightning
				x.stroke(l.nearMs, l.nearKM, cfg.NearKM)
				if n := l.recent(x.tMs, seconds(cfg.ConfirmS)); l.nearMs != longAgo {
					op := "<"
					if n >= cfg.ConfirmStrikes {
						op = ">="
					}
					x.input("strokes", float64(n), "", 0, op, float64(cfg.ConfirmStrikes))
				}
				if x.e.pressureJumped(x.tMs) {
					x.input("pressure_rise_15min", x.e.squall.rise.v, "hPa", x.e.in.ageS(PressureHPa, x.tMs), ">=", x.e.cfg.Weather.SquallRiseHPa)
				}
				if l.rangeMs > l.nearMs {
					x.stroke(l.rangeMs, l.rangeKM, cfg.FarKM)
				}
				if x.e.deaf(x.tMs) {
					x.channel(LightningCount, "", 0)
				}
			},
		},
		{
			id: "W02", place: 270, kind: KindThunderstorm, level: LevelWarn,
			settings: "lightning.near_km lightning.far_km",
			source:   "stroke within 10 to 20 km; 30 min without one (the electric field has no channel)",
			needs:    [][]Channel{{LightningKM}},
			holdS:    holdConst(func(c *Config) float64 { return c.Lightning.HoldS }),
			until:    strokesClear,
			note:     noteDeafness,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				return strokeLevel(e, tMs, was, keep(tMs <= e.lightning.farMs, LevelWarn))
			},
			explain: func(x *explainer) {
				x.stroke(x.e.lightning.rangeMs, x.e.lightning.rangeKM, x.e.cfg.Lightning.FarKM)
				if x.e.deaf(x.tMs) {
					x.channel(LightningCount, "", 0)
				}
			},
		},
	},
	absent: []Unserved{{"W02", "in part: no channel carries the electric field"}},
}

// longAgo is a time before all others.
const longAgo = -1 << 62

// outOfRangeKM is what an AS3935 gives where nothing is in range (datasheet: register
// 0x07 at 0x3F). Traces hold it in rows without a stroke.
const outOfRangeKM = 63

// isStroke says whether a distance without a count is that of a stroke.
func isStroke(km float64) bool { return km != outOfRangeKM }

// lightning is what W01 and W02 look at. A stroke is a reading of
// lightning_km in range, unless lightning_count says in the same sample that there
// was none; a count alone is strokes at an unknown distance, which confirm another
// and do nothing else. All times are of the sensing clock, or longAgo.
type lightning struct {
	strokes history // how many, over the time in which they confirm

	nearMs    int64   // last stroke within NearKM
	nearKM    float64 // its distance
	confirmed int64   // the near stroke that has been confirmed
	rangeMs   int64   // last stroke within FarKM
	rangeKM   float64

	blockMs, warnMs, farMs int64 // last time W01 blocked, W01 warned, W02 warned
	// quietMs is since when a detector that hears has heard no stroke within
	// FarKM. Deafness counts as a stroke.
	quietMs int64
}

// strokeWindowMs is how far the count of strokes reaches back.
const strokeWindowMs = fifteenMinutesMs

func newLightning() lightning {
	return lightning{
		strokes: newHistory(1000, strokeWindowMs),
		nearMs:  longAgo, confirmed: longAgo, rangeMs: longAgo,
		blockMs: longAgo, warnMs: longAgo, farMs: longAgo, quietMs: longAgo,
	}
}

// recent counts the strokes within the confirming time before tMs.
func (l *lightning) recent(tMs int64, withinMs int64) int {
	n := 0.0
	for i := floorDiv(tMs-withinMs, l.strokes.stepMs) + 1; i <= l.strokes.last; i++ {
		if s, ok := l.strokes.find(i); ok {
			n += s.sum
		}
	}
	return int(n)
}

func takeLightning(e *evidence, _ *Sample, tMs int64) {
	l, cfg := &e.lightning, &e.cfg.Lightning
	km, count := &e.in.r[LightningKM], &e.in.r[LightningCount]
	strokes := 0.0
	switch {
	case count.fresh:
		strokes = count.value
	case km.fresh && isStroke(km.value):
		strokes = 1
	}
	if strokes > 0 {
		l.strokes.push(tMs, strokes)
	}
	if strokes > 0 && km.fresh && km.value <= cfg.FarKM {
		l.rangeMs, l.rangeKM, l.quietMs = tMs, km.value, tMs
		if km.value <= cfg.NearKM {
			l.nearMs, l.nearKM, l.warnMs = tMs, km.value, tMs
		} else {
			l.farMs = tMs
		}
	}
	if l.nearMs != longAgo && l.confirmed != l.nearMs && tMs-l.nearMs <= seconds(cfg.ConfirmS) && e.strokeIsConfirmed(tMs) {
		l.confirmed, l.blockMs = l.nearMs, tMs
	}
}

// strokeIsConfirmed asks for a second witness: inverters and switched
// supplies near the antenna make false strokes. Witnesses are other strokes, a
// pressure jump, and an official warning in force.
func (e *evidence) strokeIsConfirmed(tMs int64) bool {
	cfg := &e.cfg.Lightning
	return e.lightning.recent(tMs, seconds(cfg.ConfirmS)) >= cfg.ConfirmStrikes ||
		e.pressureJumped(tMs) || e.warnings.level(tMs) != LevelNone
}

// deaf reports whether a detector that gives a count (which it does also
// without strokes) has fallen silent: what stands then stays.
func (e *evidence) deaf(tMs int64) bool {
	return e.in.r[LightningCount].seen && e.in.validity(LightningCount, tMs) != Valid
}

// strokeLevel is the shape of both lightning rules: a stroke acts at its own
// moment, the clear time does the rest. While the detector is deaf, what stands
// stays.
func strokeLevel(e *evidence, tMs int64, was Level, acts Level) Level {
	if was > acts && e.deaf(tMs) {
		return was
	}
	return acts
}

// noteDeafness lets the clear time begin again when the detector hears again:
// what it did not hear may have been a stroke.
func noteDeafness(e *evidence, tMs int64, _ Level) {
	if e.deaf(tMs) {
		e.lightning.quietMs = max(e.lightning.quietMs, tMs)
	}
}

// strokesClear says when the clear time ends: it begins again with every stroke
// within FarKM.
func strokesClear(e *evidence) (int64, bool) {
	l := &e.lightning
	return l.quietMs + seconds(e.cfg.Lightning.HoldS), l.quietMs != longAgo
}

// stroke lists one stroke, or that it was before a restart.
func (x *explainer) stroke(tMs int64, km, limit float64) {
	if tMs == longAgo {
		x.say("a stroke before the last start")
		return
	}
	x.input("lightning_distance", km, "km", float64(x.tMs-tMs)/1000, "<=", limit)
}

// The names under which strokes stand in a snapshot. No rule has such a name.
const (
	strokeEntry = "@stroke" // flags: how many, at most 255
	nearEntry   = "@near"   // level: confirmed; flags: distance in half kilometres
)

// strokeBinMs joins strokes in a snapshot. They count as old as the newest of them,
// so that a restart ages none.
const strokeBinMs = 30_000

// append writes the strokes that may confirm another one.
func (l *lightning) append(b []byte, nowMs int64) []byte {
	h := &l.strokes
	bin, sum, newest := int64(math.MinInt64), 0.0, int64(0)
	flush := func() {
		if sum > 0 {
			b = appendEntry(b, strokeEntry, 0, byte(min(sum, 255)), min(max(nowMs-newest*h.stepMs, 0), maxDuration))
		}
		sum = 0
	}
	for i := floorDiv(nowMs-strokeWindowMs, h.stepMs) + 1; h.any && i <= h.last; i++ {
		s, ok := h.find(i)
		if !ok {
			continue
		}
		if at := floorDiv(i*h.stepMs, strokeBinMs); at != bin {
			flush()
			bin = at
		}
		sum += s.sum
		newest = i
	}
	flush()
	if l.nearMs != longAgo && nowMs-l.nearMs <= strokeWindowMs {
		confirmed := byte(0)
		if l.confirmed == l.nearMs {
			confirmed = 1
		}
		b = appendEntry(b, nearEntry, confirmed, byte(math.Round(float64(2*l.nearKM))), max(nowMs-l.nearMs, 0))
	}
	return b
}

// restore takes one entry of a snapshot, of atMs, if it is one of strokes.
func (l *lightning) restore(id string, level, flags byte, atMs int64) bool {
	switch id {
	case strokeEntry:
		l.strokes.push(atMs, float64(flags))
	case nearEntry:
		l.nearMs, l.nearKM = atMs, float64(flags)/2
		if level != 0 {
			l.confirmed = atMs
		}
	default:
		return false
	}
	return true
}
