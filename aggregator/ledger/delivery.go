package ledger

import (
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// trade returns a trade in which the sender has the part it claims.
func (x *execution) trade(id, sender, part string) (*Trade, *Refusal) {
	t := &Trade{}
	if !x.get(keyTrade+id, t) {
		return nil, refuse(wire.CodeTradeUnknown, "there is no trade %q", id)
	}
	if part == "seller" && t.Seller != sender || part == "buyer" && t.Buyer != sender {
		return nil, refuse(wire.CodeNotYours, "%q is not the %s of trade %q", sender, part, id)
	}
	if x.ranOut(t.DeadlineMs) {
		return nil, refuse(wire.CodeExpired, "trade %q was %s until %d ms ago", id, t.Status, x.timeMs-t.DeadlineMs)
	}
	return t, nil
}

func (t *Trade) in(statuses ...string) *Refusal {
	for _, s := range statuses {
		if t.Status == s {
			return nil
		}
	}
	return refuse(wire.CodeWrongStatus, "trade %q is %s", t.ID, t.Status)
}

// attested checks the seller's attestation of its gate (R17): signed by the seller,
// OPEN, valid at block time and for no longer than allowed, and not overtaken
// by a gate change on the chain.
func (x *execution) attested(seller string, sealed []byte) (uint64, *Refusal) {
	signer, payload, err := seal.Open(sealed, seal.DomainAttestation, x.state.chain, x.state.key)
	if err != nil {
		return 0, refuse(wire.CodeAttestationInvalid, "attestation: %v", err)
	}
	a := &fairwattpb.GateAttestation{}
	if err := unmarshal(payload, a); err != nil {
		return 0, refuse(wire.CodeAttestationInvalid, "attestation: %v", err)
	}
	switch {
	case signer != seller || a.Device != seller:
		return 0, refuse(wire.CodeAttestationInvalid, "attestation: of device %q, signed by %q, not %q's own", a.Device, signer, seller)
	case string(a.ChainId) != string(x.state.chain[:]):
		return 0, refuse(wire.CodeAttestationInvalid, "attestation: chain_id is of another chain")
	case a.State != fairwattpb.GateState_GATE_STATE_OPEN:
		return 0, refuse(wire.CodeGateNotOpen, "attestation: the gate is %v", a.State)
	case a.IssuedMs < 0 || a.ValidUntilMs > MaxTimeMs || a.ValidUntilMs-a.IssuedMs > x.params.AttestationMaxMs:
		return 0, refuse(wire.CodeAttestationExpired, "attestation: valid for more than %d ms", x.params.AttestationMaxMs)
	case a.ValidUntilMs < x.timeMs:
		return 0, refuse(wire.CodeAttestationExpired, "attestation: ran out %d ms before block time", x.timeMs-a.ValidUntilMs)
	case a.IssuedMs > x.timeMs+x.params.SkewMs:
		return 0, refuse(wire.CodeAttestationExpired, "attestation: issued %d ms after block time", a.IssuedMs-x.timeMs)
	}
	var g Gate
	known := x.get(keyGate+seller, &g)
	switch {
	case known && a.GateSeq < g.Seq:
		return 0, refuse(wire.CodeAttestationOld, "attestation: gate_seq %d, the chain knows %d", a.GateSeq, g.Seq)
	case known && a.GateSeq == g.Seq && g.State != fairwattpb.GateState_GATE_STATE_OPEN:
		return 0, refuse(wire.CodeGateNotOpen, "gate change %d of %q on the chain says %v", g.Seq, seller, g.State)
	case x.params.byMeters() && !known:
		return 0, refuse(wire.CodeGateUnknown, "attestation: gate_seq %d, and no gate change of %q is on the chain", a.GateSeq, seller)
	case x.params.byMeters() && a.GateSeq > g.Seq:
		return 0, refuse(wire.CodeGateUnknown, "attestation: gate_seq %d, the newest on the chain is %d: send the gate change first, or with this record", a.GateSeq, g.Seq)
	}
	return a.GateSeq, nil
}

func (x *execution) start(seller string, s *fairwattpb.Start) *Refusal {
	t, r := x.trade(s.TradeId, seller, "seller")
	if r == nil {
		r = t.in(wire.StatusPaid)
	}
	if r != nil {
		return r
	}
	r = x.carried(seller, s.GateChange)
	if r == nil {
		r = x.notDelivering(seller)
	}
	if r != nil {
		return r
	}
	seq, r := x.attested(seller, s.Attestation)
	if r == nil {
		r = x.readMeter(seller, t.ID, true, s.Reading)
	}
	if r != nil {
		return r // the buyer's own meter among others: it is the buyer's since the payment
	}
	t.GateSeq, t.SellerMeter, t.SegmentWh = seq, s.Reading.Meter, s.Reading.RegisterWh
	t.DeliverByMs = x.timeMs + x.params.DeliverByMs
	if x.params.byMeters() {
		x.putBytes(keyRunning+seller, []byte(t.ID))
	}
	x.turn(t, wire.StatusDelivering, "", t.DeliverByMs)
	x.put(keyTrade+t.ID, t)
	return nil
}

// sellerReading reads the seller's meter of a running trade.
func (x *execution) sellerReading(t *Trade, r *fairwattpb.MeterReading) *Refusal {
	if r.Meter != t.SellerMeter {
		return refuse(wire.CodeMeterNotYours, "meter %q does not measure trade %q", r.Meter, t.ID)
	}
	return x.readMeter(t.Seller, t.ID, true, r)
}

func (x *execution) hold(seller string, h *fairwattpb.Hold) *Refusal {
	t, r := x.trade(h.TradeId, seller, "seller")
	if r == nil && x.params.byMeters() {
		return x.holdReading(t, h)
	}
	if r == nil {
		r = t.in(wire.StatusDelivering)
	}
	if r != nil {
		return r
	}
	var g Gate
	known := x.get(keyGate+seller, &g) && g.Seq == h.GateSeq
	if h.GateSeq <= t.GateSeq || known && g.State == fairwattpb.GateState_GATE_STATE_OPEN {
		return refuse(wire.CodeHoldWithoutHazard, "gate_seq %d does not stop a delivery begun at %d", h.GateSeq, t.GateSeq)
	}
	if r := x.sellerReading(t, h.Reading); r != nil {
		return r
	}
	t.SellerMeteredWh += h.Reading.RegisterWh - t.SegmentWh
	t.SegmentWh = h.Reading.RegisterWh
	t.Held, t.HeldMs = true, x.timeMs
	x.turn(t, wire.StatusHeld, firstCause(h.Causes), x.timeMs+x.params.ResumeByMs)
	x.put(keyTrade+t.ID, t)
	return nil
}

func (x *execution) resume(seller string, s *fairwattpb.Resume) *Refusal {
	t, r := x.trade(s.TradeId, seller, "seller")
	if r == nil {
		r = t.in(wire.StatusHeld)
	}
	if r == nil {
		r = x.mayResume(t)
	}
	if r == nil {
		r = x.carried(seller, s.GateChange)
	}
	if r != nil {
		return r
	}
	seq, r := x.attested(seller, s.Attestation)
	if r == nil {
		r = x.sellerReading(t, s.Reading)
	}
	if r != nil {
		return r
	}
	if x.params.byMeters() {
		t.HeldTotalMs, t.HoldOwed = t.HeldTotalMs+x.timeMs-t.HeldMs, false
	}
	t.GateSeq, t.SegmentWh = seq, s.Reading.RegisterWh
	t.DeliverByMs += x.timeMs - t.HeldMs // the hold does not count
	x.turn(t, wire.StatusDelivering, "", t.DeliverByMs)
	x.put(keyTrade+t.ID, t)
	return nil
}

// tradeOf is a trade in which id is the seller or the buyer.
func (x *execution) tradeOf(id, trade string) (*Trade, *Refusal) {
	t := &Trade{}
	if !x.get(keyTrade+trade, t) {
		return nil, refuse(wire.CodeTradeUnknown, "there is no trade %q", trade)
	}
	if id != t.Seller && id != t.Buyer {
		return nil, refuse(wire.CodeNotYours, "%q has no part in trade %q", id, t.ID)
	}
	return t, nil
}

// reading stores a signed reading of either side while the trade runs.
func (x *execution) reading(sender string, m *fairwattpb.Reading) *Refusal {
	t, r := x.tradeOf(sender, m.TradeId)
	if r != nil {
		return r
	}
	if x.ranOut(t.DeadlineMs) {
		return refuse(wire.CodeExpired, "trade %q was %s until %d ms ago", t.ID, t.Status, x.timeMs-t.DeadlineMs)
	}
	if r := t.in(wire.StatusPaid, wire.StatusDelivering, wire.StatusHeld, wire.StatusBilled); r != nil {
		return r
	}
	if sender == t.Seller {
		if r := t.in(wire.StatusDelivering, wire.StatusHeld); r != nil {
			return r
		}
		if r := x.sellerReading(t, m.Reading); r != nil {
			return r
		}
		x.tell(t.Buyer, nil)
		return nil
	}
	if m.Reading.Meter != t.BuyerMeter {
		return refuse(wire.CodeMeterNotYours, "meter %q does not measure trade %q", m.Reading.Meter, t.ID)
	}
	if r := x.readMeter(t.Buyer, t.ID, false, m.Reading); r != nil {
		return r
	}
	if x.params.byMeters() {
		x.buyerRead(t, m.Reading)
	}
	x.tell(t.Seller, nil)
	return nil
}

// bill claims what the seller's meter counted (R18, R20, R22).
func (x *execution) bill(seller string, b *fairwattpb.Bill) *Refusal {
	t, r := x.trade(b.TradeId, seller, "seller")
	if r == nil {
		r = t.in(wire.StatusDelivering, wire.StatusHeld)
	}
	if r != nil {
		return r
	}
	if string(b.PayId) != t.PayID {
		return refuse(wire.CodePayIDWrong, "pay_id is not the payment of trade %q", t.ID)
	}
	if r := x.sellerReading(t, b.Reading); r != nil {
		return r
	}
	if t.Status == wire.StatusDelivering || x.isHoldReading(t, b.Reading) {
		t.SellerMeteredWh += b.Reading.RegisterWh - t.SegmentWh
	}
	t.SegmentWh = b.Reading.RegisterWh
	switch {
	case b.EnergyWh > t.SellerMeteredWh:
		return refuse(wire.CodeEnergyNotMetered, "energy_wh: %d, the meter counted %d", b.EnergyWh, t.SellerMeteredWh)
	case b.EnergyWh > t.VolumeWh:
		return refuse(wire.CodeVolumeWrong, "energy_wh: %d, paid for were %d", b.EnergyWh, t.VolumeWh)
	case !exact(b.AmountMicro, b.EnergyWh, t.PriceMicroPerKWh):
		return refuse(wire.CodeAmountWrong, "amount_micro: %d is not %d Wh at %d micro/kWh", b.AmountMicro, b.EnergyWh, t.PriceMicroPerKWh)
	case b.AmountMicro > t.EscrowMicro:
		return refuse(wire.CodeInsufficientFunds, "amount_micro: %d, the escrow holds %d", b.AmountMicro, t.EscrowMicro)
	}
	if x.params.byMeters() {
		t.AvailableWh = b.AvailableWh
	}
	x.billed(t, b.EnergyWh, b.AmountMicro, "")
	x.put(keyTrade+t.ID, t)
	return nil
}

// billed ends the delivery with a claim, by bill or by the ledger itself.
func (x *execution) billed(t *Trade, energyWh, amountMicro int64, reason string) {
	x.releaseMeter(t.SellerMeter, t.ID)
	if x.params.byMeters() {
		x.stopped(t.Seller)
	}
	t.BilledWh, t.BilledMicro = energyWh, amountMicro
	if energyWh == 0 {
		x.undelivered(t, "nothing was delivered")
		return
	}
	x.turn(t, wire.StatusBilled, reason, x.after(x.params.ConfirmByMs))
}

// confirm compares the bill with the buyer's meter and settles (R19, R20).
func (x *execution) confirm(buyer string, c *fairwattpb.Confirm) *Refusal {
	t, r := x.trade(c.TradeId, buyer, "buyer")
	if r == nil {
		r = t.in(wire.StatusBilled)
	}
	if r != nil {
		return r
	}
	if c.Reading.Meter != t.BuyerMeter {
		return refuse(wire.CodeMeterNotYours, "meter %q does not measure trade %q", c.Reading.Meter, t.ID)
	}
	if r := x.readMeter(buyer, t.ID, false, c.Reading); r != nil {
		return r
	}
	if received := c.Reading.RegisterWh - t.BuyerStartWh; c.EnergyWh != received {
		return refuse(wire.CodeEnergyNotMetered, "energy_wh: %d, the meter counted %d", c.EnergyWh, received)
	}
	t.BuyerMeteredWh = c.EnergyWh
	switch {
	case x.params.byMeters():
		x.settleByMeters(t, c.EnergyWh)
	case x.params.Settlement == SettleByPaper:
		x.settleByWord(t, c.Accepted, "the buyer does not confirm: "+c.Reason)
	case x.metersAgree(t):
		x.settle(t, true, "")
	default:
		x.releaseMeter(t.BuyerMeter, t.ID)
		x.turn(t, wire.StatusDisputed, "the meters differ: "+c.Reason, x.timeMs+x.params.DisputeMs)
	}
	x.put(keyTrade+t.ID, t)
	return nil
}

// metersAgree tells whether the buyer's meter bears the bill out, within line
// loss, both meters' classes and the registers' resolution. More than the
// whole volume at the buyer is the seller's gift and no dispute.
func (x *execution) metersAgree(t *Trade) bool {
	var classes [2]uint32
	for i, id := range []string{t.Seller, t.Buyer} {
		if p, ok := x.state.participants[id]; ok {
			classes[i] = p.MeterClassE4
		}
	}
	d := t.BuyerMeteredWh - t.BilledWh
	if d > 0 && t.BilledWh == t.VolumeWh {
		return true
	}
	return max(d, -d) <= x.params.ToleranceWh(t.BilledWh, classes[0], classes[1])
}
