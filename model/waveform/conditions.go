package waveform

import (
	"fmt"
	"math"

	"fairwatt/model"
)

// Rule ids of the alerts.
const (
	RuleDip             = "L01"
	RuleSwell           = "L02"
	RuleInterruption    = "L03"
	RuleResidualVoltage = "L04"
	RuleResidualCurrent = "L05"
	RuleOverCurrent     = "L06"
)

// A reference is what a signal was before a disturbance.
type reference struct {
	value      float64
	known      bool
	n          int // steady half cycles so far
	sum        float64
	low, high  float64
	configured bool
}

// learn takes a half cycle towards a first reference: n in a row that differ by
// no more than tolerance of the highest.
func (r *reference) learn(v, tolerance float64, n int) {
	r.low, r.high = min(r.low, v), max(r.high, v)
	if r.n == 0 || r.high-r.low > float64(tolerance*r.high) {
		r.n, r.sum, r.low, r.high = 0, 0, v, v
	}
	r.n++
	r.sum += v
	if r.n >= n {
		r.value, r.known, r.n = r.sum/float64(r.n), true, 0
	}
}

// A condition is one thing that may be wrong on one signal, or on all phases.
type condition struct {
	rule   string
	signal signal
	active bool
	good   int   // half cycles since it was last true
	since  int64 // ms
	value  float64
	limit  float64
}

// watch sets up references and conditions for the signals there are.
func (d *Detector) watch() {
	add := func(rule string, s signal) { d.conds = append(d.conds, condition{rule: rule, signal: s}) }
	for _, s := range d.phasesV {
		if d.cfg.NominalV > 0 {
			d.refs[s] = reference{value: d.cfg.NominalV, known: true, configured: true}
		}
		add(RuleDip, s)
		add(RuleSwell, s)
	}
	if len(d.phasesV) > 0 {
		add(RuleInterruption, d.phasesV[0])
	}
	if d.has[sumVoltage] && len(d.phasesV) > 0 {
		add(RuleResidualVoltage, sumVoltage)
	}
	if d.has[sumCurrent] {
		add(RuleResidualCurrent, sumCurrent)
	}
	for _, s := range d.phasesI {
		add(RuleOverCurrent, s)
	}
}

func (d *Detector) value(s signal) float64 {
	switch s {
	case sumVoltage:
		return d.half.ResidualV
	case sumCurrent:
		return d.half.ResidualA
	}
	return d.half.RMS[s]
}

// mean returns the mean reference of those of the signals that have one.
func (d *Detector) mean(of []signal) (float64, bool) {
	sum, n := 0.0, 0
	for _, s := range of {
		if d.refs[s].known {
			sum += d.refs[s].value
			n++
		}
	}
	return sum / float64(max(n, 1)), n > 0
}

// A finding is what one half cycle says about one condition.
type finding uint8

const (
	unknown  finding = iota // nothing changes
	good                    // beyond the hysteresis
	between                 // neither starts nor ends
	disturbs                // over the threshold
)

// test compares; it sets what the condition saw and the limit.
func (d *Detector) test(c *condition) finding {
	v, ref := d.value(c.signal), &d.refs[c.signal]
	var start, end float64
	over := true
	switch c.rule {
	case RuleDip:
		start, end, over = float64(d.cfg.Dip*ref.value), float64((d.cfg.Dip+d.cfg.Hysteresis)*ref.value), false
	case RuleSwell:
		start, end = float64(d.cfg.Swell*ref.value), float64((d.cfg.Swell-d.cfg.Hysteresis)*ref.value)
	case RuleInterruption:
		// All phases are low when the highest part of its reference is.
		v = 0
		for _, s := range d.phasesV {
			if !d.refs[s].known {
				return unknown
			}
			v = maxNaN(v, d.half.RMS[s]/d.refs[s].value)
		}
		v = float64(v * ref.value)
		start, end, over = float64(d.cfg.Interruption*ref.value), float64((d.cfg.Interruption+d.cfg.Hysteresis)*ref.value), false
	case RuleResidualVoltage:
		mean, ok := d.mean(d.phasesV)
		if !ok {
			return unknown
		}
		// Three times the zero-sequence voltage is the sum of the phases.
		start, end = float64(3*d.cfg.ResidualVoltage*mean), float64(3*(d.cfg.ResidualVoltage-d.cfg.Hysteresis)*mean)
	case RuleResidualCurrent:
		mean, _ := d.mean(d.phasesI)
		rise := max(float64(d.cfg.ResidualCurrent*mean), d.cfg.MinA)
		start, end = ref.value+rise, ref.value+float64(.8*rise)
	case RuleOverCurrent:
		start = max(float64(d.cfg.OverCurrent*max(ref.value, d.cfg.MinA)), d.cfg.RatedA)
		end = float64(.9 * start)
	}
	if math.IsNaN(v) || !ref.known && c.rule != RuleResidualVoltage {
		return unknown
	}
	c.value, c.limit = v, start
	switch {
	case over && v > start || !over && v < start:
		return disturbs
	case over && v <= end || !over && v >= end:
		return good
	}
	return between
}

func maxNaN(a, b float64) float64 {
	if math.IsNaN(b) {
		return b
	}
	return math.Max(a, b) // NaN where either is
}

// judge compares the newest half cycle with the references and updates the
// conditions. Then the references follow.
func (d *Detector) judge() []model.Event {
	healthy, changed := true, false
	for i := range d.conds {
		c := &d.conds[i]
		switch d.test(c) {
		case disturbs:
			c.good = 0
			if !c.active {
				c.active, c.since, changed = true, d.half.TimeMs, true
			}
		case between:
			c.good = 0
		case good:
			c.good++
			if c.active && c.good >= 2*d.cfg.ClearCycles {
				c.active, changed = false, true
			}
		}
		healthy = healthy && !c.active
	}
	d.window.flag(healthy)
	d.follow(healthy)
	if !changed {
		return nil
	}
	return d.alert.events(d)
}

// Tolerances of a first reference, and the least voltage that can be one: a
// dead line is no reference.
const (
	steadyVoltage = .05
	steadyCurrent = .25
	leastVoltage  = 1
)

// follow learns unknown references. The others follow slowly while nothing is
// wrong.
func (d *Detector) follow(healthy bool) {
	pace := .5 / float64(d.cfg.NominalHz*d.cfg.ReferenceS)
	each := func(signals []signal, tolerance, least float64) {
		for _, s := range signals {
			v, ref := d.value(s), &d.refs[s]
			switch {
			case math.IsNaN(v) || ref.configured || !healthy:
			case !ref.known && v >= least:
				ref.learn(v, tolerance, 2*d.cfg.LearnCycles-1)
			case !ref.known:
				ref.n = 0
			default:
				ref.value += float64((v - ref.value) * pace)
			}
		}
	}
	each(d.phasesV, steadyVoltage, leastVoltage)
	each(d.phasesI, steadyCurrent, 0)
	if d.has[sumCurrent] {
		// A sum that is small against the phase currents need not be steady.
		tolerance, mean := steadyCurrent, 0.0
		mean, _ = d.mean(d.phasesI)
		if v := d.half.ResidualA; v < max(float64(.05*mean), d.cfg.MinA) {
			tolerance = 1
		}
		each([]signal{sumCurrent}, tolerance, 0)
	}
	d.relearnCurrents()
}

// relearnCurrents takes a current that stays high for long, with nothing else
// wrong, for a new load.
func (d *Detector) relearnCurrents() {
	var longest int64 = -1
	for i := range d.conds {
		c := &d.conds[i]
		if !c.active {
			continue
		}
		if c.rule != RuleOverCurrent {
			return
		}
		longest = max(longest, d.half.TimeMs-c.since)
	}
	if float64(longest) < 1000*d.cfg.CurrentRelearnS {
		return
	}
	for _, s := range d.phasesI {
		if v := d.half.RMS[s]; !math.IsNaN(v) && (d.cfg.RatedA == 0 || v <= d.cfg.RatedA) {
			d.refs[s].value = v
		}
	}
}

// alertState keeps the one alert that a detector has at a time.
type alertState struct {
	out    []model.Event
	count  int
	rev    int
	up     bool
	active []model.Cause
}

// events reports a change of the conditions as an alert of kind line: raised with
// the first, updated with each, cleared with the last.
func (a *alertState) events(d *Detector) []model.Event {
	var causes []model.Cause
	for i := range d.conds {
		if d.conds[i].active {
			causes = append(causes, d.cause(&d.conds[i]))
		}
	}
	e := model.Event{TimeMs: d.half.TimeMs, Type: model.EventAlert, Kind: model.KindLine, Level: model.LevelWarn, Causes: causes}
	switch {
	case !a.up:
		a.up, a.rev, e.Action = true, 1, model.ActionRaise
		a.count++
	case len(causes) == 0:
		// The conditions that ended.
		a.up, e.Action, e.Causes = false, model.ActionClear, a.active
		a.rev++
	default:
		e.Action = model.ActionUpdate
		a.rev++
	}
	a.active = causes
	e.ID, e.Rev = fmt.Sprintf("line-w%d", a.count), a.rev
	a.out = append(a.out[:0], e)
	return a.out
}

var phaseNames = [...]string{"", "phase A ", "phase B ", "phase C ", "neutral "}

func (d *Detector) cause(c *condition) (out model.Cause) {
	out = model.Cause{Rule: c.rule, Kind: model.KindLine, Level: model.LevelWarn, Holding: c.good > 0}
	in := model.Input{Value: c.value, Threshold: c.limit, Unit: "V", Op: ">", State: model.Valid}
	part := func() float64 { return 100 * c.value / d.refs[c.signal].value }
	basis := "what it was before"
	if d.cfg.NominalV > 0 {
		basis = "nominal"
	}
	defer func() {
		if out.Holding {
			out.Text = "Over, waiting for good cycles: " + out.Text
		}
	}()
	switch c.rule {
	case RuleDip:
		in.Op = "<"
		out.Text = fmt.Sprintf("Voltage dip: %svoltage over one cycle is %.1f %% of %s", phaseNames[c.signal], part(), basis)
	case RuleSwell:
		out.Text = fmt.Sprintf("Voltage swell: %svoltage over one cycle is %.1f %% of %s", phaseNames[c.signal], part(), basis)
	case RuleInterruption:
		in.Op = "<"
		out.Text = fmt.Sprintf("Interruption: the voltage of every phase over one cycle is at most %.1f %% of %s", part(), basis)
	case RuleResidualVoltage:
		mean, _ := d.mean(d.phasesV)
		out.Text = fmt.Sprintf("Residual voltage: the zero-sequence voltage over one cycle is %.1f %% of %s: an earth fault or an open phase", 100*c.value/(3*mean), basis)
	case RuleResidualCurrent:
		in.Unit = "A"
		out.Text = fmt.Sprintf("Residual current: the sum of the currents over one cycle is %.1f A, %.1f A before: an earth fault or an open phase", c.value, d.refs[sumCurrent].value)
	case RuleOverCurrent:
		in.Unit = "A"
		out.Text = fmt.Sprintf("Over-current: %scurrent over one cycle is %.1f A, %.1f A before", phaseNames[c.signal-current1], c.value, d.refs[c.signal].value)
	}
	switch c.signal {
	case sumVoltage:
		in.Name = "residual_voltage"
	case sumCurrent:
		in.Name = "residual_current"
	default:
		in.Name = c.signal.channel().String()
	}
	out.Inputs = []model.Input{in}
	return out
}
