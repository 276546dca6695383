package ledger

import (
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// The rules of this file hold with settlement by meters: the gate on the chain
// decides what may be delivered, and no one's word on it does.

// carried applies the sealed gate change that a start or resume brings along. One
// that the chain has, or has overtaken, changes nothing: it may have come by
// itself in the meantime.
func (x *execution) carried(device string, sealed []byte) *Refusal {
	if len(sealed) == 0 {
		return nil
	}
	signer, payload, err := seal.Open(sealed, seal.DomainRecord, x.state.chain, x.state.key)
	if err != nil {
		return refuse(wire.CodeGateChangeInvalid, "gate_change: %v", err)
	}
	r := &fairwattpb.Record{}
	if err := unmarshal(payload, r); err != nil {
		return refuse(wire.CodeGateChangeInvalid, "gate_change: %v", err)
	}
	c := r.GetGateChange()
	switch err := validateRecord(r, signer); {
	case err != nil:
		return refuse(wire.CodeGateChangeInvalid, "gate_change: %v", err)
	case signer != device || c == nil || string(r.ChainId) != string(x.state.chain[:]):
		return refuse(wire.CodeGateChangeInvalid, "gate_change: a %s of %q, want a gate_change of %q for this chain", Kind(r), signer, device)
	}
	var g Gate
	if x.get(keyGate+device, &g) && c.GateSeq <= g.Seq {
		return nil
	}
	return x.gateChange(device, c)
}

// notDelivering refuses a second delivery at a time: one gate, and one seller's
// word on it, stand for one delivery.
func (x *execution) notDelivering(seller string) *Refusal {
	if id, ok := x.bytes(keyRunning + seller); ok && x.params.byMeters() {
		return refuse(wire.CodeAlreadyDelivering, "%q delivers trade %q, or it is held", seller, id)
	}
	return nil
}

// holdRunning holds what the device delivers, in the block that closes its gate.
// What its meter was last read to have counted stands; the seller may state the
// rest within hold_reading_ms.
func (x *execution) holdRunning(device string, c *fairwattpb.GateChange) {
	id, ok := x.bytes(keyRunning + device)
	t := &Trade{}
	if !ok || !x.get(keyTrade+string(id), t) || t.Status != wire.StatusDelivering {
		return
	}
	register := x.registerWh(t.SellerMeter)
	t.SellerMeteredWh += register - t.SegmentWh
	t.SegmentWh = register
	t.Held, t.HeldMs = true, x.timeMs
	t.Holds++
	t.HoldSeq, t.HoldOwed = c.GateSeq, true
	if x.has(keyWitness + t.ID) {
		x.remove(keyWitness + t.ID) // of a hold before
	}
	left := max(1, x.params.ResumeByMs-t.HeldTotalMs)
	if t.Holds > uint64(x.params.MaxHolds) {
		left = min(left, x.params.HoldReadingMs) // it cannot be resumed
	}
	x.turn(t, wire.StatusHeld, firstCause(c.Causes), x.timeMs+left)
	x.put(keyTrade+t.ID, t)
}

// holdReading takes what the seller's meter showed when the delivery was held.
func (x *execution) holdReading(t *Trade, h *fairwattpb.Hold) *Refusal {
	if r := t.in(wire.StatusDelivering, wire.StatusHeld); r != nil {
		return r
	}
	var g Gate
	x.get(keyGate+t.Seller, &g)
	switch {
	case t.Status == wire.StatusDelivering:
		return refuse(wire.CodeHoldWithoutHazard, "gate_seq %d: no gate change on the chain since %d holds trade %q", h.GateSeq, t.GateSeq, t.ID)
	case h.GateSeq < t.HoldSeq || h.GateSeq > g.Seq:
		return refuse(wire.CodeHoldWithoutHazard, "gate_seq %d: trade %q was held by gate change %d, the newest on the chain is %d", h.GateSeq, t.ID, t.HoldSeq, g.Seq)
	case !t.HoldOwed:
		return refuse(wire.CodeWrongStatus, "trade %q has its reading of the hold", t.ID)
	case x.timeMs-t.HeldMs > x.params.HoldReadingMs:
		return refuse(wire.CodeExpired, "the reading comes %d ms after the hold, at most %d", x.timeMs-t.HeldMs, x.params.HoldReadingMs)
	case !x.isHoldReading(t, h.Reading):
		return refuse(wire.CodeReadingTime, "reading.time_ms: %d ms after the hold, at most %d: state what the meter showed then", h.Reading.TimeMs-t.HeldMs, x.params.SkewMs)
	}
	if r := x.sellerReading(t, h.Reading); r != nil {
		return r
	}
	t.SellerMeteredWh += h.Reading.RegisterWh - t.SegmentWh
	t.SegmentWh, t.HoldOwed = h.Reading.RegisterWh, false
	if t.Reason == "" {
		t.Reason = firstCause(h.Causes)
	}
	x.put(keyTrade+t.ID, t)
	return nil
}

// isHoldReading tells whether a reading that comes now counts as that of the hold: it
// comes soon, and says that it was made when the delivery was held.
func (x *execution) isHoldReading(t *Trade, r *fairwattpb.MeterReading) bool {
	return t.Status == wire.StatusHeld && t.HoldOwed && x.timeMs-t.HeldMs <= x.params.HoldReadingMs &&
		r.TimeMs-t.HeldMs <= x.params.SkewMs
}

// mayResume refuses what was held too often.
func (x *execution) mayResume(t *Trade) *Refusal {
	if x.params.byMeters() && t.Holds > uint64(x.params.MaxHolds) {
		return refuse(wire.CodeHoldLimit, "trade %q was held %d times, at most %d", t.ID, t.Holds, x.params.MaxHolds)
	}
	return nil
}

func (x *execution) registerWh(id string) int64 {
	var m meter
	x.get(keyMeter+id, &m)
	return m.RegisterWh
}

// firstCause is a hold's reason, for people.
func firstCause(causes []*fairwattpb.Cause) string {
	if len(causes) == 0 {
		return ""
	}
	return causes[0].Rule + " " + causes[0].Text
}
