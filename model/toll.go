package model

import (
	"strconv"
	"strings"
)

// A Toll is what one rule has cost: how long it kept the gate closed, or held it
// closed, and the energy that was not sold meanwhile. Several rules may stand at
// once: then each has the time in full, and none has it alone.
type Toll struct {
	Rule              string // its id, or GateTimers
	Title             string // in words for people
	ClosedMs, AloneMs int64
	ClosedWh, AloneWh float64
}

// GateTimers stands for a rule where the gate's own times kept it closed: the
// shortest block, the time after too many openings.
const GateTimers = "gate"

const gateTitle = "The gate waits by its own times"

// An energyBasis is what an energy that was not sold is reckoned from.
type energyBasis uint8

const (
	byPower      energyBasis = 1 << iota // the power measured
	byIrradiance                         // the rating and the light
	byRating                             // the rating: it is at most this
)

// tolls counts what rules cost. It is no part of the judgement.
type tolls struct {
	ratingW float64
	blind   bool // the power measured is not what could be sold
	any     bool
	atMs    int64   // until when it has counted
	closed  bool    // the gate, then
	set     RuleSet // what stood then
	powerW  float64 // what could have been sold then
	basis   energyBasis
	used    energyBasis
	byRule  [maxRules + 1]Toll // the last: the gate's timers
}

// RateEnergy has the energy that was not sold reckoned from a rating in W where no
// power is measured: with the light of an irradiance channel, or all of it. The
// default is the configuration's rated power. measured says that the power channel
// shows what could be sold also while the gate is closed; behind an open contactor
// it does not.
func (j *Judge) RateEnergy(ratingW float64, measured bool) {
	j.tolls.ratingW, j.tolls.blind = ratingW, !measured
}

// passed counts the time up to tMs, in which nothing changed.
func (t *tolls) passed(tMs int64) {
	ms := tMs - t.atMs
	if !t.any || !t.closed || ms <= 0 {
		t.atMs = tMs
		return
	}
	wh := float64(t.powerW*float64(ms)) / 3_600_000
	t.used |= t.basis
	set := t.set
	if set == 0 {
		t.byRule[maxRules].add(ms, wh, true)
	}
	for i := range maxRules {
		if set.Has(i) {
			t.byRule[i].add(ms, wh, set == RuleSet(0).With(i))
		}
	}
	t.atMs = tMs
}

func (t *Toll) add(ms int64, wh float64, alone bool) {
	t.ClosedMs += ms
	t.ClosedWh += wh
	if alone {
		t.AloneMs += ms
		t.AloneWh += wh
	}
}

// count notes what stands after a judgement at tMs.
func (j *Judge) count(tMs int64) {
	t := &j.tolls
	t.any, t.atMs, t.set = true, tMs, 0
	if t.closed = j.State() != StateOpen; !t.closed {
		return
	}
	t.set = j.gate.Latched()
	for i := range (j.standing & j.served).Rules {
		if j.states[i].stands() == LevelBlock {
			t.set = t.set.With(i)
		}
	}
	t.powerW, t.basis = j.ev.sellable(tMs, t.ratingW, t.blind)
}

// sellable is the power that could be sold, as far as it is known.
func (e *evidence) sellable(tMs int64, ratingW float64, blind bool) (float64, energyBasis) {
	if w, ok := e.in.get(PowerW, tMs); ok && !blind {
		return max(w, 0), byPower
	}
	if ratingW <= 0 {
		return 0, 0
	}
	if light, ok := e.in.get(IrradianceWPM2, tMs); ok {
		return float64(ratingW*max(light, 0)) / 1000, byIrradiance
	}
	return ratingW, byRating
}

// Tolls lists what each rule has cost since the first judgement, up to the last
// one; rules that cost nothing are left out. from says what the energy was
// reckoned from; empty where none is known.
func (j *Judge) Tolls() (list []Toll, from string) {
	t := &j.tolls
	for i := range t.byRule {
		c := t.byRule[i]
		if c.ClosedMs == 0 {
			continue
		}
		c.Rule, c.Title = GateTimers, gateTitle
		if i < len(j.rules) {
			c.Rule, c.Title = j.rules[i].id, j.rules[i].title()
		}
		list = append(list, c)
	}
	var names []string
	for _, b := range [...]struct {
		basis energyBasis
		name  string
	}{{byPower, "power_w"}, {byIrradiance, "rating and irradiance_wpm2"}, {byRating, "rating, at most"}} {
		if t.used&b.basis != 0 {
			names = append(names, b.name)
		}
	}
	return list, strings.Join(names, "; ")
}

// appendTolls writes what rules cost; price is money for a kWh, 0 for none.
func appendTolls(b []byte, list []Toll, from string, price float64) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, `,"cost":[`...)
	for i, c := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"rule":`...)
		b = appendString(b, c.Rule)
		b = append(b, `,"closed_h":`...)
		b = appendNumber(b, float64(c.ClosedMs)/3_600_000)
		b = append(b, `,"alone_h":`...)
		b = appendNumber(b, float64(c.AloneMs)/3_600_000)
		if from != "" {
			b = append(b, `,"kwh":`...)
			b = appendNumber(b, c.ClosedWh/1000)
			b = append(b, `,"alone_kwh":`...)
			b = appendNumber(b, c.AloneWh/1000)
			if price > 0 {
				b = append(b, `,"money":`...)
				b = appendNumber(b, float64(c.ClosedWh*price)/1000)
				b = append(b, `,"alone_money":`...)
				b = appendNumber(b, float64(c.AloneWh*price)/1000)
			}
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if from != "" {
		b = append(b, `,"energy_from":`...)
		b = appendString(b, from)
	}
	if price > 0 {
		b = append(b, `,"price_per_kwh":`...)
		b = strconv.AppendFloat(b, price, 'f', -1, 64)
	}
	return b
}
