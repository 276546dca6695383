package model

import (
	"math"
	"strconv"
)

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

// cyclone is what W08 looks at.
type cyclone struct {
	base    baseline
	anomaly figure // hPa, negative below usual
	days    int    // behind it
	setMs   int64  // since when both conditions hold, or never
}

func (e *evidence) takeCyclone(tMs int64) {
	c, y := &e.cyclone, &e.cfg.Cyclone
	if p := &e.in.r[PressureHPa]; p.fresh {
		c.base.push(p.measuredMs+e.wallOffsetMs, p.value)
		sum, days := c.base.usual(y.MaxDays)
		c.anomaly, c.days = figure{}, days
		if days >= y.MinDays {
			n := int64(days)
			c.anomaly = figure{float64(centi(p.value)*n-sum) / float64(100*n), true}
		}
	}
	both := c.anomaly.ok && c.anomaly.v <= -y.AnomalyHPa && e.windMean.ok && e.windMean.v >= y.MeanWindMPS
	_, okP := e.in.get(PressureHPa, tMs)
	_, okW := e.in.get(WindSpeedMPS, tMs)
	c.setMs = since(c.setMs, both && okP && okW, tMs)
}

// cycloneSetS is how long both conditions must hold: one reading is enough
// where it stands for as long.
func (e *evidence) cycloneSetS() float64 {
	if e.cfg.IntervalS >= e.cfg.Cyclone.SetS {
		return 0
	}
	return e.cfg.Cyclone.SetS
}

// beyondTropics says why W08 cannot be served at a position.
func (r *rule) beyondTropics(c *Config) string {
	switch {
	case r.id != "W08":
		return ""
	case c.Position == nil:
		return "no position is configured"
	case math.Abs(c.Position.Latitude) > c.Cyclone.MaxLatitudeDeg:
		return "only within " + number(c.Cyclone.MaxLatitudeDeg) + " degrees of the equator"
	}
	return ""
}

var cycloneRules = []rule{
	{
		id: "W08", kind: KindCyclone, level: LevelBlock,
		settings: "cyclone.anomaly_hpa cyclone.anomaly_clear_hpa cyclone.mean_wind_mps cyclone.set_s cyclone.min_days cyclone.max_days cyclone.max_latitude_deg",
		source:   "mariner's rule (Mariner's Handbook, recalled): pressure 5 hPa below the usual of the hour, with Beaufort 6; clears on pressure, wind and 60 min together",
		needs:    [][]Channel{{PressureHPa}, {WindSpeedMPS}},
		windowMs: tenMinutesMs,
		holdS:    holdConst(func(c *Config) float64 { return c.Cyclone.HoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			c, y := &e.cyclone, &e.cfg.Cyclone
			if was == LevelNone {
				return keep(lasted(c.setMs, tMs, e.cycloneSetS()), LevelBlock)
			}
			// In the eye it is calm, and at the edge pressure is usual: both must
			// be over, and both must be known.
			_, okP := e.in.get(PressureHPa, tMs)
			_, okW := e.in.get(WindSpeedMPS, tMs)
			over := okP && okW && c.anomaly.ok && e.windMean.ok &&
				c.anomaly.v > -y.AnomalyClearHPa && e.windMean.v < y.MeanWindMPS
			return keep(!over, LevelBlock)
		},
		explain: func(x *explainer) {
			c, y := &x.e.cyclone, &x.e.cfg.Cyclone
			below := figure{-c.anomaly.v, c.anomaly.ok}
			x.figure("pressure_below_usual", PressureHPa, below, "hPa", from(y.AnomalyHPa), from(y.AnomalyClearHPa))
			if below.ok {
				x.say("usual is the mean of this hour on " + strconv.Itoa(c.days) + " days")
			}
			x.figure("wind_mean_10min", WindSpeedMPS, x.e.windMean, "m/s", from(y.MeanWindMPS), from(y.MeanWindMPS))
		},
	},
	{
		id: "W10", kind: KindEquipment, level: LevelBlock,
		settings: "icing.low_c icing.high_c icing.humidity_pct icing.set_s icing.clear_c icing.humidity_clear_pct icing.block",
		source:   "icing: -10 to 1.5 C at 95 % humidity for 30 min; warns, or blocks where a site asks for it (hail and flood switches and a turbine's power curve have no channel)",
		needs:    [][]Channel{{TemperatureC}, {HumidityPct}},
		holdS:    holdConst(func(c *Config) float64 { return c.Icing.HoldS }),
		evaluate: func(e *evidence, tMs int64, was Level) Level {
			i, level := &e.cfg.Icing, LevelWarn
			if i.Block {
				level = LevelBlock
			}
			if was == LevelNone {
				return keep(lasted(e.icingMs, tMs, i.SetS), level)
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
	},
}

// threshold lists a channel against what set the rule where that holds,
// against what clears it where that does, and else by itself.
func (x *explainer) threshold(c Channel, set bool, setOp string, setAt float64, clearOp string, clearAt float64, stays bool) {
	switch {
	case set:
		x.channel(c, setOp, setAt)
	case !stays:
		x.channel(c, clearOp, clearAt)
	default:
		x.channel(c, "", 0)
	}
}

func (e *evidence) takeIcing(tMs int64) {
	i := &e.cfg.Icing
	t, okT := e.in.get(TemperatureC, tMs)
	h, okH := e.in.get(HumidityPct, tMs)
	e.icingMs = since(e.icingMs, okT && okH && t >= i.LowC && t <= i.HighC && h >= i.HumidityPct, tMs)
}
