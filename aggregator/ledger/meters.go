package ledger

import (
	"encoding/hex"
	"fmt"
	"math/bits"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// The rules of this file hold with settlement by meters: a meter is registered by
// the centre, with its owner, and no one comes to a meter by naming it first.

// ofMeters tells whether a record is about the registry of meters.
func ofMeters(r *fairwattpb.Record) bool {
	switch r.Body.(type) {
	case *fairwattpb.Record_MeterRegistration, *fairwattpb.Record_MeterChange, *fairwattpb.Record_MeterRetire:
		return true
	}
	return false
}

// meter checks the fields of a meter's registration.
func (l *limits) meter(r *fairwattpb.MeterRegistration) {
	l.id("meter", r.Meter)
	l.name("owner", r.Owner)
	l.name("site", r.Site)
	l.between("direction", int64(r.Direction), 1, 3)
	if r.PublicKey != "" {
		if _, err := seal.ParseKey(r.PublicKey); err != nil && l.err == nil {
			l.err = fmt.Errorf("public_key: %w", err)
		}
	}
	l.id("serial", r.Serial)
	l.between("rated_w", r.RatedW, 1, MaxRatedW)
	l.between("class_e4", int64(r.ClassE4), 0, MaxMeterClassE4)
	l.between("start_wh", r.StartWh, 0, MaxRegisterWh)
}

func serialKey(serial string) string { return keySerial + hex.EncodeToString([]byte(serial)) }

// registerMeter admits a meter of a participant.
func (x *execution) registerMeter(r *fairwattpb.MeterRegistration) *Refusal {
	if _, ok := x.account(r.Owner); !ok {
		return refuse(wire.CodeUnknownParticipant, "owner: %q is not registered", r.Owner)
	}
	if _, ok := x.bytes(keyMeter + r.Meter); ok {
		return refuse(wire.CodeMeterExists, "meter: %q is registered", r.Meter)
	}
	if id, ok := x.bytes(serialKey(r.Serial)); ok {
		return refuse(wire.CodeMeterExists, "serial: %q is that of meter %q", r.Serial, id)
	}
	m := meter{
		Owner: r.Owner, RegisterWh: r.StartWh, Site: r.Site, Direction: uint32(r.Direction), PublicKey: r.PublicKey,
		Serial: r.Serial, RatedW: r.RatedW, ClassE4: r.ClassE4, ReadMs: x.timeMs,
	}
	x.put(keyMeter+r.Meter, &m)
	x.putBytes(serialKey(r.Serial), []byte(r.Meter))
	x.tell(r.Owner, nil)
	return nil
}

// changeMeter puts a meter in another one's place.
func (x *execution) changeMeter(c *fairwattpb.MeterChange) *Refusal {
	if r := x.retireMeter(c.Old, c.OldEndWh); r != nil {
		return r
	}
	var old meter
	x.get(keyMeter+c.Old, &old)
	if old.Owner != c.New.Owner {
		return refuse(wire.CodeMeterNotYours, "new.owner: %q, meter %q is %q's", c.New.Owner, c.Old, old.Owner)
	}
	return x.registerMeter(c.New)
}

// retireMeter takes a meter out of use. Its serial number is free again: it may be
// put up elsewhere, under another id.
func (x *execution) retireMeter(id string, endWh int64) *Refusal {
	var m meter
	switch known := x.get(keyMeter+id, &m); {
	case !known:
		return refuse(wire.CodeMeterUnknown, "meter %q is not registered", id)
	case m.Retired:
		return refuse(wire.CodeMeterRetired, "meter %q was taken out of use", id)
	case m.Trade != "":
		return refuse(wire.CodeMeterBusy, "meter %q measures trade %q: it stays until that has ended", id, m.Trade)
	case x.has(keySlotted + id):
		return refuse(wire.CodeMeterBusy, "meter %q trades in a slot: it stays until that is settled", id)
	case endWh < m.RegisterWh:
		return refuse(wire.CodeRegisterBack, "the last register of meter %q is %d Wh, was %d Wh", id, endWh, m.RegisterWh)
	}
	m.RegisterWh, m.Retired = endWh, true
	x.put(keyMeter+id, &m)
	x.remove(serialKey(m.Serial))
	x.tell(m.Owner, nil)
	return nil
}

// readRegistered checks a reading of owner's meter, which gives or takes, and
// stores it.
func (x *execution) readRegistered(owner, trade string, gives bool, r *fairwattpb.MeterReading) *Refusal {
	way := fairwattpb.MeterDirection_METER_DIRECTION_IMPORT
	if gives {
		way = fairwattpb.MeterDirection_METER_DIRECTION_EXPORT
	}
	m, refusal := x.ownMeter(owner, r.Meter, way)
	if refusal != nil {
		return refusal
	}
	startMs, taken := x.taken(r.Meter)
	off := r.TimeMs - x.timeMs
	switch {
	case off > x.params.ReadingSkewMs || -off > x.params.ReadingSkewMs:
		return refuse(wire.CodeReadingTime, "reading of meter %q: its time is %d ms from block time, at most %d: set the clock, read again", r.Meter, off, x.params.ReadingSkewMs)
	case r.RegisterWh < m.RegisterWh:
		return refuse(wire.CodeRegisterBack, "register of meter %q is %d Wh, was %d Wh", r.Meter, r.RegisterWh, m.RegisterWh)
	case x.tooFast(&m, r):
		return refuse(wire.CodeOverRatedPower, "meter %q: %d Wh in %d ms, at %d W rated", r.Meter, r.RegisterWh-m.RegisterWh, max(0, r.TimeMs-m.ReadMs), m.RatedW)
	case m.Trade != "" && m.Trade != trade && !x.settledByNext(owner, m.Trade, r):
		return refuse(wire.CodeMeterBusy, "meter %q measures trade %q", r.Meter, m.Trade)
	case m.Trade == "" && trade != "" && taken:
		return refuse(wire.CodeMeterBusy, "meter %q trades in the slot of %d, which is not settled", r.Meter, startMs)
	}
	m.RegisterWh, m.ReadMs, m.Trade = r.RegisterWh, max(m.ReadMs, r.TimeMs), trade
	x.put(keyMeter+r.Meter, &m)
	return nil
}

// ownMeter is owner's meter, which counts one way.
func (x *execution) ownMeter(owner, id string, way fairwattpb.MeterDirection) (m meter, r *Refusal) {
	known := x.get(keyMeter+id, &m)
	switch {
	case !known:
		r = refuse(wire.CodeMeterUnknown, "meter %q is not registered: the centre does that", id)
	case m.Owner != owner:
		r = refuse(wire.CodeMeterNotYours, "meter %q is %q's", id, m.Owner)
	case m.Retired:
		r = refuse(wire.CodeMeterRetired, "meter %q was taken out of use", id)
	case m.Direction&uint32(way) == 0:
		r = refuse(wire.CodeMeterDirection, "meter %q counts %v, the trade needs %v", id, fairwattpb.MeterDirection(m.Direction), way)
	}
	return m, r
}

// tooFast tells whether a register has risen by more than its branch can carry since
// the reading before, by the readings' own times, with a tenth and a step on top.
// The products pass 64 bits.
func (x *execution) tooFast(m *meter, r *fairwattpb.MeterReading) bool {
	rise := r.RegisterWh - m.RegisterWh - x.params.RegisterStepWh
	if rise <= 0 {
		return false
	}
	const perWh = 3_600_000 * 10 // a tenth of a W·ms in a Wh
	high, low := bits.Mul64(uint64(rise), perWh)
	mostHigh, mostLow := bits.Mul64(uint64(m.RatedW)*11, uint64(max(0, r.TimeMs-m.ReadMs)))
	return high > mostHigh || high == mostHigh && low > mostLow
}

// directions are the ways a meter counts, as the genesis names them.
var directions = map[string]fairwattpb.MeterDirection{
	"import": fairwattpb.MeterDirection_METER_DIRECTION_IMPORT,
	"export": fairwattpb.MeterDirection_METER_DIRECTION_EXPORT,
	"both":   fairwattpb.MeterDirection_METER_DIRECTION_BOTH,
}

// validateMeters checks the meters of a genesis as the registry would.
func (g *Genesis) validateMeters() error {
	if len(g.Meters) > 0 && !g.Params.byMeters() {
		return fmt.Errorf("meters: %d of them, want none with settlement %q", len(g.Meters), g.Params.Settlement)
	}
	if len(g.Meters) > 4*MaxMembers {
		return fmt.Errorf("meters: %d of them, at most %d", len(g.Meters), 4*MaxMembers)
	}
	members, seen := make(map[string]bool, len(g.Members)), make(map[string]bool, 2*len(g.Meters))
	for _, m := range g.Members {
		members[m.ID] = true
	}
	for i, m := range g.Meters {
		l := &limits{}
		l.meter(&fairwattpb.MeterRegistration{
			Meter: m.ID, Owner: m.Owner, Site: "site", Direction: directions[m.Direction], PublicKey: string(m.PublicKey),
			Serial: m.Serial, RatedW: m.RatedW, ClassE4: m.ClassE4, StartWh: m.StartWh,
		})
		l.check(directions[m.Direction] != 0, "direction", `"import", "export" or "both"`)
		l.check(members[m.Owner], "owner", "a member of this genesis")
		l.check(!seen["id "+m.ID], "id", "each id once")
		l.check(!seen["serial "+m.Serial], "serial", "each serial number once")
		if l.err != nil {
			return fmt.Errorf("meters[%d]: %w", i, l.err)
		}
		seen["id "+m.ID], seen["serial "+m.Serial] = true, true
	}
	return nil
}

// meterEntries are the entries of the genesis' meters in the first state.
func (g *Genesis) meterEntries() []Entry {
	sites := make(map[string]string, len(g.Members))
	for _, m := range g.Members {
		sites[m.ID] = m.Site
	}
	var out []Entry
	for _, m := range g.Meters {
		v := meter{
			Owner: m.Owner, RegisterWh: m.StartWh, Site: sites[m.Owner], Direction: uint32(directions[m.Direction]), PublicKey: string(m.PublicKey),
			Serial: m.Serial, RatedW: m.RatedW, ClassE4: m.ClassE4, ReadMs: g.CreatedMs,
		}
		out = append(out, Entry{[]byte(keyMeter + m.ID), encodeValue(&v)}, Entry{[]byte(serialKey(m.Serial)), []byte(m.ID)})
	}
	return out
}
