package model

import (
	"encoding/binary"
	"math"
	"strconv"
)

// FallLimits are the thresholds of W07.
type FallLimits struct {
	FallWarnHPa  float64 `yaml:"fall_warn_hpa"` // over 3 h, positive
	FallClearHPa float64 `yaml:"fall_clear_hpa"`
}

// CycloneLimits are the thresholds of W08.
type CycloneLimits struct {
	AnomalyHPa      float64 `yaml:"anomaly_hpa"`       // below the usual pressure of the hour, positive
	AnomalyClearHPa float64 `yaml:"anomaly_clear_hpa"` // positive
	MeanWindMPS     float64 `yaml:"mean_wind_mps"`     // Beaufort 6
	DewPointC       float64 `yaml:"dew_point_c"`       // drier air is none of a cyclone's; where it is not known it is humid
	SetS            float64 `yaml:"set_s"`             // all for this long
	HoldS           float64 `yaml:"hold_s"`            // over for this long: an eye passes in 20 to 60 min
	GaleMPS         float64 `yaml:"gale_mps"`          // Beaufort 8: as long as it blows, usual pressure ends nothing
	CalmS           float64 `yaml:"calm_s"`            // less than MeanWindMPS for this long ends it at any pressure
	MinDays         int     `yaml:"min_days"`          // of past pressure
	MaxDays         int     `yaml:"max_days"`          // at most 30
	MaxLatitudeDeg  float64 `yaml:"max_latitude_deg"`  // on either side of the equator
	Block           bool    `yaml:"block"`             // false: the site is warned only
}

// cycloneHazard is a falling pressure, and one far below what is usual.
var cycloneHazard = hazard{
	defaults: func(c *Config) {
		c.Weather.FallLimits = FallLimits{FallWarnHPa: 6, FallClearHPa: 3.5}
		c.Cyclone = CycloneLimits{
			AnomalyHPa: 5, AnomalyClearHPa: 3, MeanWindMPS: 10.8, DewPointC: 18, SetS: 600, HoldS: 3600, GaleMPS: 17.2, CalmS: 10_800,
			MinDays: 3, MaxDays: 30, MaxLatitudeDeg: 35, Block: true,
		}
	},
	fields: func(c *Config) []field {
		y := &c.Cyclone
		return []field{
			{"weather.fall_clear_hpa", c.Weather.FallClearHPa, 0, 100},
			{"cyclone.anomaly_hpa", y.AnomalyHPa, 0, 100},
			{"cyclone.anomaly_clear_hpa", y.AnomalyClearHPa, 0, 100},
			{"cyclone.mean_wind_mps", y.MeanWindMPS, 0, 150},
			{"cyclone.dew_point_c", y.DewPointC, -60, 25},
			{"cyclone.gale_mps", y.GaleMPS, 0, 150},
			{"cyclone.calm_s", y.CalmS, 0, week},
			{"cyclone.set_s", y.SetS, 0, week},
			{"cyclone.hold_s", y.HoldS, 0, week},
			{"cyclone.min_days", float64(y.MinDays), 1, baselineDays},
			{"cyclone.max_days", float64(y.MaxDays), 1, baselineDays},
			{"cyclone.max_latitude_deg", y.MaxLatitudeDeg, 0, 90},
		}
	},
	orders: func(c *Config) []order {
		y := &c.Cyclone
		return []order{
			{"weather.fall_clear_hpa", c.Weather.FallClearHPa, c.Weather.FallWarnHPa},
			{"cyclone.anomaly_clear_hpa", y.AnomalyClearHPa, y.AnomalyHPa},
			{"cyclone.mean_wind_mps", y.MeanWindMPS, y.GaleMPS},
			{"cyclone.hold_s", y.HoldS, y.CalmS},
			{"cyclone.min_days", float64(y.MinDays), float64(y.MaxDays)},
		}
	},
	start: func(e *evidence) {
		e.cyclone = cyclone{pressure: newHistory(60_000, threeHoursMs+tenMinutesMs), setMs: never, calmMs: never}
	},
	take: takeCyclone,
	deadline: func(e *evidence, tMs int64) int64 {
		return min(lastsAt(e.cyclone.setMs, tMs, e.cycloneSetS()), lastsAt(e.cyclone.calmMs, tMs, e.cycloneCalmS()))
	},
	rules: []rule{
		{
			id: "W07", place: 200, kind: KindCyclone, level: LevelWarn,
			settings: "weather.fall_warn_hpa weather.fall_clear_hpa",
			source:   "Met Office: falling very rapidly, more than 6.0 hPa in 3 h; arms W03 at 20 m/s",
			needs:    [][]Channel{{PressureHPa}},
			holdS:    noHold,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				w := &e.cfg.Weather
				return above(e, tMs, PressureHPa, e.cyclone.fall, was, LevelWarn, over(w.FallWarnHPa), from(w.FallClearHPa))
			},
			note: func(e *evidence, _ int64, level Level) { e.wind.armed = level != LevelNone },
			explain: func(x *explainer) {
				w := &x.e.cfg.Weather
				x.figure("pressure_fall_3h", PressureHPa, x.e.cyclone.fall, "hPa", over(w.FallWarnHPa), from(w.FallClearHPa))
			},
		},
		{
			id: "W08", place: 280, kind: KindCyclone, level: LevelBlock,
			settings: "cyclone.anomaly_hpa cyclone.anomaly_clear_hpa cyclone.mean_wind_mps cyclone.dew_point_c cyclone.set_s cyclone.gale_mps cyclone.calm_s cyclone.block cyclone.min_days cyclone.max_days cyclone.max_latitude_deg",
			source:   "mariner's rule: pressure 5 hPa below the usual of the hour, with Beaufort 6, in air with a dew point of 18 C; clears on usual pressure below a gale for 60 min, or on 3 h below Beaufort 6",
			needs:    [][]Channel{{PressureHPa}, {WindSpeedMPS}},
			windowMs: tenMinutesMs,
			absent:   beyondTropics,
			holdS:    holdConst(func(c *Config) float64 { return c.Cyclone.HoldS }),
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				c, y, level := &e.cyclone, &e.cfg.Cyclone, LevelWarn
				if y.Block {
					level = LevelBlock
				}
				if was == LevelNone {
					return keep(lasted(c.setMs, tMs, e.cycloneSetS()), level)
				}
				// In the eye it is calm, for up to an hour, and at the edge pressure is
				// usual while it blows. What ends the rule must be known.
				known := e.usable(tMs, PressureHPa, WindSpeedMPS) && c.anomaly.ok && e.wind.mean.ok
				gone := c.anomaly.v > -y.AnomalyClearHPa && e.wind.mean.v < y.GaleMPS
				return keep(!known || !gone && !lasted(c.calmMs, tMs, e.cycloneCalmS()), level)
			},
			explain: func(x *explainer) {
				c, y := &x.e.cyclone, &x.e.cfg.Cyclone
				below := figure{-c.anomaly.v, c.anomaly.ok}
				x.figure("pressure_below_usual", PressureHPa, below, "hPa", from(y.AnomalyHPa), from(y.AnomalyClearHPa))
				if below.ok {
					x.say("usual is the mean of this hour on " + strconv.Itoa(c.days) + " days")
				}
				x.figure("wind_mean_10min", WindSpeedMPS, x.e.wind.mean, "m/s", from(y.MeanWindMPS), from(y.MeanWindMPS))
				if dew, ok := x.e.dewPoint(x.tMs); ok {
					op := from(y.DewPointC).op()
					if dew < y.DewPointC {
						op = ""
					}
					x.input("dew_point", dew, "C", x.e.in.ageS(HumidityPct, x.tMs), op, y.DewPointC)
				}
			},
		},
	},
}

// cyclone is what W07 and W08 look at.
type cyclone struct {
	pressure history
	fall     figure // over 3 h, positive when the pressure falls

	base    baseline
	kept    baseline // of the run before, while the wall clock is not known
	anomaly figure   // hPa, negative below usual
	days    int      // behind it
	setMs   int64    // since when all conditions hold, or never
	calmMs  int64    // since when it blows less than Beaufort 6, or never
}

func takeCyclone(e *evidence, _ *Sample, tMs int64) {
	c, y := &e.cyclone, &e.cfg.Cyclone
	e.push(&c.pressure, PressureHPa)
	if p, ok := c.pressure.newest(); ok {
		before, known := c.pressure.ago(threeHoursMs, tenMinutesMs)
		c.fall = figure{before - p, known}
	}
	if p := &e.in.r[PressureHPa]; p.fresh {
		c.base.push(p.measuredMs+e.wallOffsetMs, p.value)
		sum, days := c.base.usual(y.MaxDays)
		c.anomaly, c.days = figure{}, days
		if days >= y.MinDays {
			n := int64(days)
			c.anomaly = figure{float64(centi(p.value)*n-sum) / float64(100*n), true}
		}
	}
	both := c.anomaly.ok && c.anomaly.v <= -y.AnomalyHPa && e.wind.mean.ok && e.wind.mean.v >= y.MeanWindMPS
	known := e.usable(tMs, PressureHPa, WindSpeedMPS)
	dew, ok := e.dewPoint(tMs)
	c.setMs = since(c.setMs, both && known && !(ok && dew < y.DewPointC), tMs)
	c.calmMs = since(c.calmMs, known && e.wind.mean.ok && e.wind.mean.v < y.MeanWindMPS, tMs)
}

// dewPoint is the dew point of the air in C, where it is known.
func (e *evidence) dewPoint(tMs int64) (float64, bool) {
	t, okT := e.in.get(TemperatureC, tMs)
	h, okH := e.in.get(HumidityPct, tMs)
	if !okT || !okH {
		return 0, false
	}
	return DewPointC(t, h)
}

// cycloneCalmS is how long it must be calm before the clear time begins.
func (e *evidence) cycloneCalmS() float64 { return e.cfg.Cyclone.CalmS - e.cfg.Cyclone.HoldS }

// cycloneSetS is how long both conditions must hold: one reading is enough
// where it stands for as long.
func (e *evidence) cycloneSetS() float64 {
	if e.cfg.IntervalS >= e.cfg.Cyclone.SetS {
		return 0
	}
	return e.cfg.Cyclone.SetS
}

// beyondTropics says why W08 cannot be served at a position.
func beyondTropics(c *Config) string {
	switch {
	case c.Position == nil:
		return "no position is configured"
	case math.Abs(c.Position.Latitude) > c.Cyclone.MaxLatitudeDeg:
		return "only within " + number(c.Cyclone.MaxLatitudeDeg) + " degrees of the equator"
	}
	return ""
}

// baselineDays is how far back the usual pressure reaches.
const baselineDays = 30

const baselineHours = (baselineDays + 1) * 24

// A baseline keeps the mean pressure of each of the last hours in hundredths
// of hPa, 0 where there is none. Integers, because the anomaly is compared
// with a threshold: sums of them are the same on every machine.
type baseline struct {
	hours  [baselineHours]int32
	hour   int64 // the present one
	sum, n int64 // of the present one
	any    bool

	usualSum  int64 // of the present hour, over usualDays; see usual
	usualDays int
	usualMax  int // the maxDays these were counted with, 0 for none yet
}

func (b *baseline) slot(hour int64) *int32 {
	return &b.hours[((hour%baselineHours)+baselineHours)%baselineHours]
}

func centi(p float64) int64 { return int64(math.Round(float64(p * 100))) }

func (b *baseline) push(tMs int64, p float64) {
	hour := floorDiv(tMs, hourMs)
	switch {
	case b.any && hour < b.hour:
		return
	case !b.any:
		b.hour, b.any = hour, true
	case hour > b.hour:
		b.advance(hour)
	}
	b.sum += centi(p)
	b.n++
}

// advance closes the present hour and empties those that no reading fell in.
func (b *baseline) advance(hour int64) {
	if b.n > 0 {
		*b.slot(b.hour) = int32(b.sum / b.n)
	}
	for h := max(b.hour+1, hour-baselineHours+1); h <= hour; h++ {
		*b.slot(h) = 0
	}
	b.hour, b.sum, b.n, b.usualMax = hour, 0, 0, 0
}

// usual returns the mean of the same hour of the past days, in hundredths of
// hPa as a sum and a count of days. Pressure follows the sun by 1.5 to 3 hPa a
// day in the tropics; comparing like hours takes all of that out, without
// fitting a curve to it. Only the past counts, and none of the last 23 hours.
func (b *baseline) usual(maxDays int) (sum int64, days int) {
	if b.usualMax == maxDays {
		return b.usualSum, b.usualDays
	}
	for d := 1; d <= min(maxDays, baselineDays); d++ {
		if p := int64(*b.slot(b.hour - int64(24*d))); p != 0 {
			sum += p
			days++
		}
	}
	b.usualSum, b.usualDays, b.usualMax = sum, days, maxDays
	return sum, days
}

// fill takes over the hours that another baseline has and b does not, of those
// before b's present hour.
func (b *baseline) fill(from *baseline) {
	if !from.any {
		return
	}
	for h := max(b.hour, from.hour) - baselineHours + 1; h < min(b.hour, from.hour); h++ {
		if s := b.slot(h); *s == 0 {
			*s = *from.slot(h)
		}
	}
	b.usualMax = 0
}

// later returns b as it would be if its clock had shown so many hours more.
func (b *baseline) later(hours int64) baseline {
	out := baseline{hour: b.hour + hours, sum: b.sum, n: b.n, any: b.any}
	for h := b.hour - baselineHours + 1; h < b.hour; h++ {
		*out.slot(h + hours) = *b.slot(h)
	}
	return out
}

// setHours puts the usual pressure on the hours of the wall clock, which has become
// known: what was measured since the start, and what the run before knew.
func (c *cyclone) setHours(offsetMs int64) {
	kept := c.kept
	c.kept = baseline{}
	if !c.base.any {
		c.base = kept
		return
	}
	c.base = c.base.later(floorDiv(offsetMs+hourMs/2, hourMs))
	c.base.fill(&kept)
}

// restore takes over the usual pressure of the run before, at unixMs. Without a wall
// clock it is kept for when that is known.
func (c *cyclone) restore(kept baseline, unixMs int64, wallKnown bool) {
	now := floorDiv(unixMs, hourMs)
	switch {
	case !wallKnown:
		c.kept = kept
	case kept.any && kept.hour > now+1: // it was written under a clock that was ahead
		c.base = baseline{hour: now, any: true}
		c.base.fill(&kept)
	default:
		c.base = kept
	}
}

// appendBaseline writes the usual pressure. Without a wall clock it is that of the
// run before: after a stop of unknown length the hour of the day of an entry of this
// run is not known.
func (e *evidence) appendBaseline(b []byte) []byte {
	base := &e.cyclone.base
	if !e.wallKnown {
		base = &e.cyclone.kept
	}
	if !base.any || base.hour < baselineHours {
		return binary.AppendUvarint(b, 0)
	}
	return base.append(b)
}

// append writes the Unix hour of the newest entry and how many hours, then each as
// a step from the one before.
func (b *baseline) append(out []byte) []byte {
	closed := *b
	if closed.n > 0 {
		closed.advance(closed.hour + 1)
	}
	first := closed.hour - baselineHours + 1
	for first < closed.hour && *closed.slot(first) == 0 {
		first++
	}
	out = binary.AppendUvarint(out, uint64(closed.hour))
	out = binary.AppendUvarint(out, uint64(closed.hour-first))
	last := int64(0)
	for h := first; h < closed.hour; h++ {
		v := int64(*closed.slot(h))
		out = binary.AppendVarint(out, v-last)
		last = v
	}
	return out
}

func (r *snapshotReader) baseline() (baseline, error) {
	var out baseline
	hour := int64(r.number())
	if r.bad || hour == 0 {
		return out, nil
	}
	n := int64(r.number())
	if r.bad || n >= baselineHours || hour < n {
		return out, errSnapshot
	}
	out.hour, out.any = hour, true
	last := int64(0)
	for h := hour - n; h < hour; h++ {
		d, size := binary.Varint(r.b)
		last += d
		// Nothing outside the channel's range was ever written.
		if size <= 0 || last < 0 || last > centi(channels[PressureHPa].Max) || last > 0 && last < centi(channels[PressureHPa].Min) {
			return out, errSnapshot
		}
		r.b = r.b[size:]
		*out.slot(h) = int32(last)
	}
	return out, nil
}
