package model

import (
	"math"
	"strconv"
	"strings"
)

// maxExplained bounds the inputs a cause lists.
const maxExplained = 8

// An explainer fills one cause at one moment.
type explainer struct {
	e     *evidence
	tMs   int64
	state *ruleState
	cause *Cause
	texts []string
}

// explain describes a rule's state at tMs.
func (e *evidence) explain(i int, st *ruleState, latched bool, tMs int64) Cause {
	r := &rules[i]
	c := Cause{Rule: r.id, Kind: r.kind, Level: max(st.level, st.held), Latched: latched, Holding: st.holding}
	if latched {
		c.Level = LevelBlock
	}
	x := explainer{e: e, tMs: tMs, state: st, cause: &c}
	r.explain(&x)
	c.Text = strings.Join(x.texts, ", ")
	switch {
	case st.holding && st.holdUntil == never:
		c.Text += "; held over a restart until a sample comes"
	case st.holding:
		c.Text += "; held for " + wholeSeconds(st.holdUntil-tMs) + " s"
	}
	if latched {
		c.Text += "; waits for acknowledgement"
	}
	return c
}

func wholeSeconds(ms int64) string { return strconv.FormatInt((ms+999)/1000, 10) }

func (x *explainer) say(text string) { x.texts = append(x.texts, text) }

// number formats a value for a sentence: one decimal, two for small numbers.
func number(v float64) string {
	prec := 1
	if math.Abs(v) < 2 || v != math.Round(v*10)/10 {
		prec = 2
	}
	s := strconv.FormatFloat(v, 'f', prec, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// input lists one input, compared as "value op threshold"; op may be empty.
func (x *explainer) input(name string, v float64, unit string, ageS float64, op string, threshold float64) {
	if len(x.cause.Inputs) < maxExplained {
		x.cause.Inputs = append(x.cause.Inputs,
			Input{Name: name, Value: v, Unit: unit, AgeS: ageS, Threshold: threshold, Op: op, State: Valid})
	}
	text := strings.ReplaceAll(name, "_", " ") + " " + number(v) + unitText(unit)
	if op != "" {
		text += " (" + op + " " + number(threshold) + unitText(unit) + ")"
	}
	x.say(text)
}

func unitText(unit string) string {
	if unit == "" {
		return ""
	}
	return " " + unit
}

// unknown lists an input that cannot be used, with the reason.
func (x *explainer) unknown(name, unit string, ageS float64, why Validity) {
	if len(x.cause.Inputs) < maxExplained {
		x.cause.Inputs = append(x.cause.Inputs, Input{Name: name, Value: math.NaN(), Unit: unit, AgeS: ageS, State: why})
	}
	x.say(strings.ReplaceAll(name, "_", " ") + " " + why.text())
}

func (v Validity) text() string {
	switch v {
	case Absent:
		return "has given no value"
	case Stale:
		return "is stale"
	case OutOfRange:
		return "is out of range"
	case Stuck:
		return "is stuck"
	case Jumped:
		return "jumped"
	case SensorError:
		return "cannot be read"
	case Disagrees:
		return "disagrees"
	case Valid:
		return "is valid"
	}
	return "is unknown"
}

// channel lists one channel against a threshold.
func (x *explainer) channel(c Channel, op string, threshold float64) {
	ageS := x.e.in.ageS(c, x.tMs)
	v, ok := x.e.in.get(c, x.tMs)
	if !ok {
		x.unknown(c.String(), c.Info().Unit, ageS, x.e.in.validity(c, x.tMs))
		return
	}
	x.input(c.String(), v, c.Info().Unit, ageS, op, threshold)
}

func (b bound) op() string {
	if b.strict {
		return ">"
	}
	return ">="
}

func (b bound) opposite() string {
	if b.strict {
		return "<="
	}
	return "<"
}

// figure lists a window's figure: against the bound that sets the rule when it
// is beyond that, else against the one that clears it.
func (x *explainer) figure(name string, c Channel, f figure, unit string, set, stay bound) {
	ageS := x.e.in.ageS(c, x.tMs)
	if v := x.e.in.validity(c, x.tMs); v != Valid || !f.ok {
		if v == Valid {
			v = Absent // the channel is there, its past is not
		}
		x.unknown(name, unit, ageS, v)
		return
	}
	switch {
	case set.crossed(f.v):
		x.input(name, f.v, unit, ageS, set.op(), set.v)
	case stay.crossed(f.v):
		x.input(name, f.v, unit, ageS, stay.op(), stay.v)
	default:
		x.input(name, f.v, unit, ageS, stay.opposite(), stay.v)
	}
}

func explainInit(x *explainer) {
	x.say("start: needs " + number(initHoldS(x.e)) + " s of valid required inputs and of a grid within its limits")
	if x.e.blind(x.tMs) {
		explainSensor(x)
	}
	if !x.e.mayEnter(x.tMs) {
		x.enterService()
	}
}

func explainSensor(x *explainer) {
	switch {
	case !x.e.in.any:
		x.say("no sample yet")
		return
	case x.e.in.silent(x.tMs):
		x.input("silence", float64(x.tMs-x.e.in.lastMs)/1000, "s", 0, ">", float64(x.e.in.silenceMs)/1000)
	}
	bad := 0
	for _, c := range x.e.required {
		if v := x.e.in.validity(c, x.tMs); v != Valid {
			bad++
			x.unknown(c.String(), c.Info().Unit, x.e.in.ageS(c, x.tMs), v)
		}
	}
	if bad == 0 && !x.e.in.silent(x.tMs) {
		x.say("all required inputs are valid again")
	}
}

// enterService lists what keeps voltage or frequency out of the enter-service
// band, or that nothing does.
func (x *explainer) enterService() {
	l, n := &x.e.limits, len(x.texts)
	nominal := x.e.cfg.NominalVoltageV
	for _, c := range phases {
		if x.e.in.r[c].seen {
			x.band(c, l.EnterVoltageLowPU*nominal, l.EnterVoltageHighPU*nominal)
		}
	}
	if x.e.in.r[FrequencyHz].seen {
		x.band(FrequencyHz, l.EnterFreqLowHz, l.EnterFreqHighHz)
	}
	if len(x.texts) == n {
		x.say("voltage and frequency are within the enter-service limits")
	}
}

// band lists a channel only when it is unusable or outside.
func (x *explainer) band(c Channel, low, high float64) {
	v, ok := x.e.in.get(c, x.tMs)
	switch {
	case !ok, v < low:
		x.channel(c, "<", low)
	case v > high:
		x.channel(c, ">", high)
	}
}

// explainVoltage explains a rule on the worst phase; high 0 means that there
// is no upper limit.
func explainVoltage(limits func(*GridLimits) (low, high float64)) func(*explainer) {
	return func(x *explainer) {
		low, high := limits(&x.e.limits)
		n := len(x.texts)
		for _, c := range phases {
			if v, ok := x.e.in.get(c, x.tMs); ok {
				if lim := low * x.e.cfg.NominalVoltageV; v < lim {
					x.channel(c, "<", lim)
				} else if lim := high * x.e.cfg.NominalVoltageV; high > 0 && v > lim {
					x.channel(c, ">", lim)
				}
			}
		}
		if len(x.texts) == n {
			x.enterService()
		}
	}
}

func explainFrequency(x *explainer) {
	l := &x.e.limits
	v, ok := x.e.in.get(FrequencyHz, x.tMs)
	switch {
	case ok && v < l.FrequencyLowHz:
		x.channel(FrequencyHz, "<", l.FrequencyLowHz)
	case ok && v > l.FrequencyHighHz:
		x.channel(FrequencyHz, ">", l.FrequencyHighHz)
	default:
		x.enterService()
	}
}

func explainOverload(x *explainer) {
	rating, q := x.e.cfg.RatedCurrentA, &x.e.cfg.Equipment
	c, i, ok := x.e.extreme(currents[:], x.tMs, false)
	switch {
	case !ok:
		for _, c := range currents {
			if x.e.in.r[c].seen {
				x.channel(c, "", 0)
			}
		}
	case lasted(x.e.farOverMs, x.tMs, q.FarOverloadS):
		x.channel(c, ">", rating*q.FarOverloadRatio)
	case lasted(x.e.overMs, x.tMs, q.OverloadS):
		x.channel(c, ">", rating*q.OverloadRatio)
	case i >= rating:
		x.channel(c, ">=", rating)
	default:
		x.channel(c, "<", rating)
	}
}

func explainTemperature(x *explainer) {
	q := &x.e.cfg.Equipment
	t, _ := x.e.in.get(EquipmentTemperatureC, x.tMs)
	for _, limit := range [...]float64{
		q.TemperatureLimitC, q.TemperatureLimitC - q.HysteresisK,
		q.TemperatureWarnC, q.TemperatureWarnC - q.HysteresisK,
	} {
		if t >= limit {
			x.channel(EquipmentTemperatureC, ">=", limit)
			return
		}
	}
	x.channel(EquipmentTemperatureC, "<", q.TemperatureWarnC-q.HysteresisK)
}

// score explains a network score by the measured inputs that moved it. The
// probability itself is left to score events: its last digit differs between
// architectures, and gate and alert events must not.
func (x *explainer) score(k Kind) {
	l := x.e.score.limits[k]
	limit := l.Warn
	if x.state.held == LevelBlock || x.state.level == LevelBlock {
		limit = l.Block
	}
	x.say("network: " + k.String() + " likely (threshold " + number(limit) + ")")
	for i, t := range x.e.score.scores.Top {
		if i == 3 {
			break
		}
		x.input(t.Name, t.Value, t.Unit, 0, "", 0)
	}
}
