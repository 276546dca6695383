package model

import (
	"strconv"
	"strings"
)

// titles says of each rule, in words for people, what its cause is. The rules of
// a network are called by their kind.
var titles = map[string]string{
	"B01":  "A person has closed the gate",
	"INIT": "The agent has just started",
	"E01":  "The grid's voltage is out of range",
	"E02":  "The grid's voltage is far out of range",
	"E03":  "The grid's voltage has been high for ten minutes",
	"E04":  "The grid's frequency is out of range",
	"E05":  "The grid's frequency changes too fast",
	"E06":  "The phases are unbalanced",
	"E07":  "The voltage is distorted",
	"E08":  "The current is above the rating",
	"E09":  "Current leaks to earth",
	"E10":  "The insulation is too low",
	"E11":  "The inverter reports a fault in a string",
	"E12":  "The DC voltage is too high or reversed",
	"E13":  "The equipment is too hot",
	"E14":  "The inverter reports a fault",
	"E15":  "The grid is lost",
	"E16":  "A required sensor gives no good value",
	"E17":  "The contactor is welded or stuck",
	"E18":  "The contactor does not answer",
	"M00":  "The hazard network gives no score",
	"P01":  "The plant gives less power than its light",
	"S01":  "Sensors disagree",
	"S02":  "The meter drifts",
	"S03":  "A configured sensor gives nothing",
	"S04":  "The state kept of the last run is damaged",
	"T01":  "The wind is too strong for the turbine",
	"T02":  "The machine vibrates",
	"W01":  "Lightning is near",
	"W02":  "Lightning is in the region",
	"W03":  "Gusts are strong",
	"W04":  "The wind is strong",
	"W05":  "It blows a storm",
	"W06":  "A gust front is passing",
	"W07":  "The pressure falls fast",
	"W08":  "A tropical cyclone is near",
	"W09":  "An official warning is in force",
	"W10":  "Ice forms",
}

// title is the rule in words for people.
func (r *rule) title() string {
	if t, ok := titles[r.id]; ok {
		return t
	}
	if r.network {
		return "The hazard network expects " + r.kind.String()
	}
	return "Hazard of kind " + r.kind.String()
}

// RuleTitle is a rule in words for people, by its id, whether or not a judge serves it
// now; GateTimers too. It is the id itself of a rule that no longer exists.
func RuleTitle(id string) string {
	if t, ok := titles[id]; ok {
		return t
	}
	if id == GateTimers {
		return gateTitle
	}
	for k := range NumKinds {
		if networkRuleID(k) == id {
			return (&rule{id: id, kind: k, network: true}).title()
		}
	}
	return id
}

// names are inputs in words for people, where taking the unit off their name
// does not do.
var names = map[string]string{
	"current_a": "current", "current_a_a": "current of phase A", "current_b_a": "current of phase B", "current_c_a": "current of phase C",
	"current_n_a": "current of the neutral", "voltage_a_v": "voltage of phase A", "voltage_b_v": "voltage of phase B", "voltage_c_v": "voltage of phase C",
	"voltage_n_v": "voltage of the neutral", "dc_voltage_v": "DC voltage", "dc_current_a": "DC current", "thd_pct": "harmonic distortion",
	"thd_a_pct": "harmonic distortion of phase A", "thd_b_pct": "harmonic distortion of phase B", "thd_c_pct": "harmonic distortion of phase C",
	"wind_mean_10min": "mean wind of 10 min", "voltage_mean_10min": "mean voltage of 10 min", "thd_mean_10min": "mean harmonic distortion of 10 min",
	"pressure_fall_3h": "pressure fall in 3 h", "pressure_fall_24h": "pressure fall in 24 h", "pressure_rise_15min": "pressure rise in 15 min",
	"pressure_below_usual": "pressure below the usual", "cooling_15min": "cooling in 15 min", "gust_rise_15min": "rise of gusts in 15 min",
	"rocof": "change of frequency", "unbalance_1min": "unbalance of 1 min", "unbalance_10min": "unbalance of 10 min",
	"vibration_1min": "vibration of 1 min", "meter_error_10min": "meter's error over 10 min", "lightning_km": "lightning at",
	"lightning_count": "lightning count", "lightning_distance": "lightning at", "silence": "no sample for", "wind_speed_mps": "wind",
}

// spoken is the name of an input for people.
func spoken(name string) string {
	if s, ok := names[name]; ok {
		return s
	}
	if c, ok := channelByName[name]; ok && channels[c].Unit != "" {
		if i := strings.LastIndexByte(name, '_'); i > 0 {
			name = name[:i]
		}
	}
	return strings.ReplaceAll(name, "_", " ")
}

// spokenUnit is a unit for people.
func spokenUnit(unit string) string {
	switch unit {
	case "C":
		unit = "°C"
	case "m/s2":
		unit = "m/s²"
	case "W/m2":
		unit = "W/m²"
	}
	return unitText(unit)
}

// measured says an input in words for people. An input of a cause that is over
// stands on the good side of what it is compared with.
func (x *explainer) measured(name string, v float64, unit, op string, threshold float64) {
	text := spoken(name) + " " + number(v) + spokenUnit(unit)
	limit := number(threshold) + spokenUnit(unit)
	switch {
	case op == "":
	case !x.cause.Holding:
		text += ", limit " + limit
	case op[0] == '<':
		text += ", back below " + limit
	case op[0] == '>':
		text += ", back above " + limit
	}
	x.plain = append(x.plain, text)
}

// endsAt tells how the cause ends, and when, never where that is not known; the
// latest counts.
func (x *explainer) endsAt(tMs int64, how string) {
	x.cause.Ends = how
	if tMs != never {
		x.cause.EndsInMs = max(x.cause.EndsInMs, tMs-x.tMs)
	}
}

// cause explains a rule's state at tMs, for programs and for people.
func (j *Judge) cause(i int, tMs int64) Cause {
	r, st, latched := &j.rules[i], &j.states[i], j.gate.Latched().Has(i)
	c := j.explain(i, tMs)
	c.Title, c.StandsMs = r.title(), -1
	if at := j.begun[i]; at != never {
		c.StandsMs = max(tMs-at, 0)
	}
	if latched {
		c.Person = "agent ack --rule " + r.id + " --by NAME"
	}
	hold := seconds(r.holdS(&j.ev))
	switch over := st.level == LevelNone || !j.served.Has(i); {
	case latched && over:
		c.Ends, c.EndsInMs, c.ClearsInMs = "when a named person has acknowledged it: "+c.Person, -1, -1
	case latched:
		c.Ends, c.EndsInMs, c.ClearsInMs = "when it is over and a named person has acknowledged it: "+c.Person, -1, -1
	case st.holding && st.holdUntil == never:
		c.Ends, c.EndsInMs, c.ClearsInMs = "when a sample has come and its clear time has run", -1, -1
	case st.holding:
		c.Ends, c.EndsInMs = "with its clear time", max(st.holdUntil-tMs, 0)
		c.ClearsInMs = c.EndsInMs
	case c.EndsInMs >= 0:
		c.ClearsInMs = c.EndsInMs + hold
	case c.Ends != "":
		c.ClearsInMs = -1
	case hold == 0:
		c.Ends = "as soon as it is over"
	default:
		c.Ends, c.ClearsInMs = duration(hold)+" after it is over", hold
	}
	return c
}

// duration says a time in words.
func duration(ms int64) string {
	switch s := (ms + 999) / 1000; {
	case s >= 3600 && s%3600 == 0:
		return strconv.FormatInt(s/3600, 10) + " h"
	case s >= 60 && s%60 == 0:
		return strconv.FormatInt(s/60, 10) + " min"
	default:
		return strconv.FormatInt(s, 10) + " s"
	}
}

// opensInMs is the earliest opening from tMs: what it would be if every cause
// that stands were over now. It is -1 where a person or a first sample is waited
// for, and 0 when the gate is open.
func (j *Judge) opensInMs(causes []Cause, tMs int64) int64 {
	state, _ := j.gate.State()
	switch state {
	case StateOpen:
		return 0
	case StateClearing:
		return j.clearInMs(tMs)
	case StateInit, StateBlocked:
	}
	at := max(j.gate.couldOpenMs(tMs), j.sober.couldOpenMs(tMs))
	for i := range causes {
		if causes[i].ClearsInMs < 0 {
			return -1
		}
		at = max(at, tMs+causes[i].ClearsInMs)
	}
	return max(at-tMs, 0)
}

// couldOpenMs is when the gate would open by its own timers if every cause were
// over at tMs.
func (g *Gate) couldOpenMs(tMs int64) int64 {
	if g.state == StateOpen || g.state == StateInit {
		return tMs
	}
	if g.state == StateClearing {
		return g.OpensAtMs()
	}
	at := max(tMs, g.blockMs+seconds(g.times.MinBlockS))
	if g.openedWithin(tMs, hourMs) >= g.times.MaxReopens {
		at = max(at, tMs+seconds(g.times.ReopenClearS))
	}
	if g.hasFloor {
		at = max(at, g.floorMs)
	}
	return at
}

// begins notes since when a rule stands.
func (j *Judge) begins(i int, was, now Level, tMs int64) {
	switch {
	case was == LevelNone && now != LevelNone && !j.gate.Latched().Has(i):
		j.begun[i] = tMs
	case now == LevelNone && !j.gate.Latched().Has(i):
		j.begun[i] = never
	}
}
