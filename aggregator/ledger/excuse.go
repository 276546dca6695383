package ledger

import (
	"encoding/hex"
	"fmt"
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// The rules of this file hold with witnessed excuses: a hold excuses fully what someone
// else bears out, and else as much energy as the seller's deliveries earn it.

// What excuses a shortfall by a hazard.
const (
	// ExcusesFirst is that of chains made before there was a choice: [ExcusesByHolds].
	ExcusesFirst = ""
	// ExcusesByHolds: of hold_quota_trades sales hold_quota are excused.
	ExcusesByHolds = "quota_of_holds"
	// ExcusesWitnessed: a second witness excuses, or a quota of energy.
	ExcusesWitnessed = "witnessed"
)

// WithExcuses returns the parameters with other excuses, and the numbers that belong to
// them.
func (p Params) WithExcuses(mode string) Params {
	p.Excuses, p.WitnessMs, p.ExcusedE4, p.WitnessActive = mode, 0, 0, false
	if mode == ExcusesWitnessed {
		p.WitnessMs, p.ExcusedE4, p.WitnessActive = 600_000, 1_000, true
	}
	return p
}

func (p *Params) witnessed() bool { return p.Excuses == ExcusesWitnessed }

func (p *Params) validateExcuses() error {
	switch p.Excuses {
	case ExcusesFirst, ExcusesByHolds:
		if p.WitnessMs != 0 || p.ExcusedE4 != 0 || p.WitnessActive {
			return fmt.Errorf("excuses: %q, and numbers that belong to %q", p.Excuses, ExcusesWitnessed)
		}
		if p.Excuses == ExcusesByHolds && !p.robust() {
			return fmt.Errorf("excuses: %q, want none with credit %q", p.Excuses, p.Credit)
		}
		return nil
	case ExcusesWitnessed:
	default:
		return fmt.Errorf("excuses: %.60q, want %q or %q", p.Excuses, ExcusesWitnessed, ExcusesByHolds)
	}
	l := &limits{}
	l.between("witness_ms", p.WitnessMs, 1, 24*3_600_000)
	l.between("excused_e4", p.ExcusedE4, 0, 10_000)
	if l.err == nil && !p.robust() {
		l.err = fmt.Errorf("excuses: %q needs credit %q, not %q", p.Excuses, CreditRobust, p.Credit)
	}
	return l.err
}

// maxWarningMs bounds how long an official warning lasts.
const maxWarningMs = 30 * 24 * 3_600_000

func (l *limits) warning(w *fairwattpb.WarningNotice) {
	l.name("area", w.Area)
	l.name("kind", w.Kind)
	l.time("from_ms", w.FromMs)
	l.time("until_ms", w.UntilMs)
	l.between("until_ms", w.UntilMs, w.FromMs+1, w.FromMs+maxWarningMs)
	l.check(len(w.SourceHash) == 32, "source_hash", "32 bytes")
}

// A hazard is the newest gate change that says BLOCKED of a device whose gate has not
// opened since.
type hazard struct {
	Seq     uint64
	Ms      int64  // block time
	Kinds   string // what it is of, with spaces between
	Witness string // who bears it out: a participant, or "warning:" and a record's id
}

func (h *hazard) fields(c codec) {
	c.u64("seq", &h.Seq)
	c.i64("ms", &h.Ms)
	c.str("kinds", &h.Kinds)
	c.str("witness", &h.Witness)
}

// A sighting are the newest two devices of a site whose gates one kind of hazard closed.
// One of the two is another than whoever looks for a witness.
type sighting struct {
	New, Old     string
	NewMs, OldMs int64
}

func (s *sighting) fields(c codec) {
	c.str("new", &s.New)
	c.i64("new_ms", &s.NewMs)
	c.str("old", &s.Old)
	c.i64("old_ms", &s.OldMs)
}

// note makes a device the newest one.
func (s *sighting) note(device string, ms int64) {
	if s.New != device {
		s.Old, s.OldMs = s.New, s.NewMs
	}
	s.New, s.NewMs = device, ms
}

// A warning is the newest official one of its area and kind.
type warning struct {
	FromMs, UntilMs int64
	Record          string // id of its record, as hex
}

func (w *warning) fields(c codec) {
	c.i64("from_ms", &w.FromMs)
	c.i64("until_ms", &w.UntilMs)
	c.str("record", &w.Record)
}

const byWarning = "warning:"

// hazardKinds are the kinds of a gate change that another device of the site can see too.
// What ails one device or is its owner's word is no hazard of the site.
func hazardKinds(causes []*fairwattpb.Cause) []string {
	var out []string
	for _, c := range causes {
		own := c.Kind == "sensor" || c.Kind == "equipment" || c.Kind == "external"
		if !own && seal.ValidName(c.Kind) && !containsWord(strings.Join(out, " "), c.Kind) && len(out) < 4 {
			out = append(out, c.Kind)
		}
	}
	return out
}

func containsWord(words, word string) bool {
	return strings.Contains(" "+words+" ", " "+word+" ")
}

// sees notes what a gate change says of a hazard: it looks for a witness of it, and is one
// for others.
func (x *execution) sees(device string, c *fairwattpb.GateChange) {
	switch c.State {
	case fairwattpb.GateState_GATE_STATE_OPEN:
		if x.has(keyHazard + device) {
			x.remove(keyHazard + device)
		}
		return
	case fairwattpb.GateState_GATE_STATE_BLOCKED:
	default:
		return
	}
	kinds := hazardKinds(c.Causes)
	h := hazard{Seq: c.GateSeq, Ms: x.timeMs, Kinds: strings.Join(kinds, " ")}
	site := x.state.participants[device].Site
	for _, kind := range kinds {
		var s sighting
		x.get(keySighting+site+"/"+kind, &s)
		for _, other := range []string{s.New, s.Old} {
			if other == "" || other == device {
				continue
			}
			// Who saw it before bears it out, and has a witness now itself.
			ms := s.NewMs
			if other == s.Old {
				ms = s.OldMs
			}
			if h.Witness == "" && x.timeMs-ms <= x.params.WitnessMs && x.standsForItself(other) {
				h.Witness = other
			}
			if x.standsForItself(device) {
				x.bearOut(other, kind, device)
			}
		}
		var w warning
		if h.Witness == "" && x.get(keyWarning+site+"/"+kind, &w) && w.covers(x.timeMs) {
			h.Witness = byWarning + w.Record
		}
		s.note(device, x.timeMs)
		x.put(keySighting+site+"/"+kind, &s)
	}
	x.put(keyHazard+device, &h)
	x.attach(device, &h)
}

func (w *warning) covers(ms int64) bool { return w.FromMs <= ms && ms < w.UntilMs }

// standsForItself tells whether a participant counts as a witness: it has a bond, and is
// not on the list. A second name is not had for nothing. Whose board was stolen may have
// told of a hazard a moment before it was suspended: on chains that have witness_active
// that counts for nothing.
func (x *execution) standsForItself(id string) bool {
	a, ok := x.account(id)
	if p, _ := x.participant(id); x.params.WitnessActive && p.Standing != Active {
		return false
	}
	return ok && !a.Blacklisted && a.BondMicro > 0
}

// bearOut gives a device's hazard a witness that came a little later than it.
func (x *execution) bearOut(device, kind, witness string) {
	var h hazard
	if !x.get(keyHazard+device, &h) || h.Witness != "" || x.timeMs-h.Ms > x.params.WitnessMs || !containsWord(h.Kinds, kind) {
		return
	}
	h.Witness = witness
	x.put(keyHazard+device, &h)
	x.attach(device, &h)
}

// attach notes the witness with the trade that the hazard holds: the gate may be open
// when the trade ends.
func (x *execution) attach(device string, h *hazard) {
	id, ok := x.bytes(keyRunning + device)
	t := &Trade{}
	if h.Witness == "" || !ok || !x.get(keyTrade+string(id), t) || t.Status != wire.StatusHeld || h.Seq < t.HoldSeq {
		return
	}
	x.putBytes(keyWitness+t.ID, []byte(h.Witness))
}

// warn takes an official warning. It bears out what it covers from now on, and what
// closed within witness_ms before it: one that is made up later excuses nothing.
func (x *execution) warn(n *fairwattpb.WarningNotice) *Refusal {
	if n.UntilMs <= x.timeMs {
		return refuse(wire.CodeExpired, "until_ms: the warning was over %d ms before block time", x.timeMs-n.UntilMs)
	}
	w := warning{n.FromMs, n.UntilMs, hex.EncodeToString(x.record.ID[:])}
	x.put(keyWarning+n.Area+"/"+n.Kind, &w)
	var s sighting
	x.get(keySighting+n.Area+"/"+n.Kind, &s)
	for _, device := range []string{s.New, s.Old} {
		var h hazard
		if device != "" && x.get(keyHazard+device, &h) && w.covers(h.Ms) {
			x.bearOut(device, n.Kind, byWarning+w.Record)
		}
	}
	return nil
}

// An earned is what a seller delivered, and what was excused of its promises, in this
// period and the one before.
type earned struct {
	Period                       int64
	DeliveredWh, ExcusedWh       int64
	DeliveredOldWh, ExcusedOldWh int64
}

func (e *earned) fields(c codec) {
	c.i64("period", &e.Period)
	c.i64("delivered_wh", &e.DeliveredWh)
	c.i64("excused_wh", &e.ExcusedWh)
	c.i64("delivered_old_wh", &e.DeliveredOldWh)
	c.i64("excused_old_wh", &e.ExcusedOldWh)
}

func (x *execution) earnedBy(seller string) earned {
	e, now := earned{}, x.timeMs/x.params.CreditPeriodMs
	x.get(keyEarned+seller, &e)
	switch now - e.Period {
	case 0:
	case 1:
		e = earned{now, 0, 0, e.DeliveredWh, e.ExcusedWh}
	default:
		e = earned{Period: now}
	}
	return e
}

// leftWh is how much more may be excused without a witness. Of the period before counts
// the part that is not a whole period ago.
func (x *execution) leftWh(e *earned) int64 {
	period := x.params.CreditPeriodMs
	rest := period - x.timeMs%period
	delivered := e.DeliveredWh + mulDiv(e.DeliveredOldWh, rest, period)
	return max(0, mulDiv(delivered, x.params.ExcusedE4, 10_000)-e.ExcusedWh-mulDiv(e.ExcusedOldWh, rest, period))
}

// delivers counts energy that a seller delivered.
func (x *execution) delivers(seller string, energyWh int64) {
	if !x.params.witnessed() || energyWh == 0 {
		return
	}
	e := x.earnedBy(seller)
	e.DeliveredWh += energyWh
	x.put(keyEarned+seller, &e)
}

// excuse returns how much of a shortfall no hazard excuses.
func (x *execution) excuse(t *Trade, shortWh int64) int64 {
	if !t.Held && !x.closedNow(t) {
		return shortWh
	}
	seq := x.hazardSeq(t)
	told := func(how string, args ...any) {
		x.step(Step{Who: t.Seller, Kind: StepExcused, Trade: t.ID, GateSeq: seq, Text: fmt.Sprintf("gate change %d kept it from delivering, ", seq) + fmt.Sprintf(how, args...)})
	}
	var h hazard
	witness, ok := x.bytes(keyWitness + t.ID)
	if !ok && !t.Held && x.get(keyHazard+t.Seller, &h) {
		witness = []byte(h.Witness)
	}
	if record, is := strings.CutPrefix(string(witness), byWarning); is {
		told("the official warning of record %.16s bears it out", record)
		return 0
	}
	if len(witness) > 0 {
		told("the gate of %s bears it out", witness)
		return 0
	}
	e := x.earnedBy(t.Seller)
	left := x.leftWh(&e)
	excused := min(left, shortWh)
	if excused == 0 {
		return shortWh
	}
	e.ExcusedWh += excused
	x.put(keyEarned+t.Seller, &e)
	x.notes(t.Seller, t, func(l *loss) { l.ExcusedWh, l.ExcusedIn = excused, e.Period })
	told("no one bears it out; excused %d of %d Wh, %d Wh are left of its quota", excused, shortWh, left-excused)
	return shortWh - excused
}
