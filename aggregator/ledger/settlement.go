package ledger

import (
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// creditSteps is how many steps of a register a trade must move, for less of it to
// count as a promise kept: below that, meters round.
const creditSteps = 10

// MaxTradeMs is T_max: with settlement by meters a trade has ended so long after its
// payment by time alone, whatever its parties do or leave undone.
func (p *Params) MaxTradeMs() int64 {
	return p.StartByMs + p.DeliverByMs + p.ResumeByMs + p.ConfirmByMs + p.SilenceMs
}

// sentFor returns the energy that has to leave the seller for receivedWh to reach
// the buyer, by the declared loss of the line, rounded up.
func (p *Params) sentFor(receivedWh int64) int64 {
	part := 10_000 - p.LossE4 // at least a half
	return (min(receivedWh, MaxEnergyWh)*10_000 + part - 1) / part
}

// beyondTolerance tells whether less reached the buyer than two honest meters can
// differ by: both classes and a step of the register at either end, after the
// declared loss. More at the buyer is no gap: its meter may count what came from
// elsewhere, and it only raises what the buyer owns to.
func (x *execution) beyondTolerance(t *Trade, claimWh, receivedWh int64) bool {
	var classes int64
	for _, id := range []string{t.SellerMeter, t.BuyerMeter} {
		var m meter
		x.get(keyMeter+id, &m)
		classes += int64(m.ClassE4)
	}
	tolerance := (claimWh*classes+9_999)/10_000 + 2*x.params.RegisterStepWh
	return claimWh*(10_000-x.params.LossE4)-min(receivedWh, MaxEnergyWh)*10_000 > tolerance*10_000
}

// price is what an energy of the trade costs, never more than its escrow holds.
func (x *execution) price(t *Trade, energyWh int64) int64 {
	amount, err := BillAmount(energyWh, t.PriceMicroPerKWh)
	if err != nil {
		x.fail(keyTrade+t.ID, err)
	}
	return min(amount, t.EscrowMicro)
}

// settleByMeters pays what both meters bear out: the least of what was paid for,
// what the seller's meter counted and the seller claims, and what the buyer's
// meter counted, grossed up by the loss. A gap beyond what the meters may differ
// by is paid to neither side: it goes into the fund, so that no one gains by
// making one, and no one's record is touched, for no one can say who did.
func (x *execution) settleByMeters(t *Trade, receivedWh int64) {
	claim := t.BilledWh
	energy := min(claim, x.params.sentFor(receivedWh))
	amount := x.price(t, energy)
	gap := x.price(t, claim) - amount
	differ := x.beyondTolerance(t, claim, receivedWh)
	t.BuyerMeteredWh = receivedWh
	x.payOut(t, amount, energy)
	if differ {
		x.toFund(t, gap)
	}
	x.giveBack(t, t.EscrowMicro)
	x.releaseMeter(t.BuyerMeter, t.ID)
	if differ {
		if x.params.robust() {
			x.openCase(t, claim-energy, gap)
		}
		x.endSale(t, true) // counts in the quota's period, uses none of it
		x.turn(t, wire.StatusDisputed, fmt.Sprintf("the meters differ: %d Wh left the seller, %d Wh reached the buyer; the gap is paid to neither", claim, receivedWh), 0)
		return
	}
	switch {
	case x.params.robust():
		if !t.Late {
			x.gain(t.Buyer, t.Seller, t, energy)
		}
		x.sold(t, energy, "")
		return
	case !t.Late && energy >= creditSteps*x.params.RegisterStepWh:
		x.judge(t, t.Buyer, true)
	}
	x.endByMeters(t, energy, "")
}

// endByMeters ends a trade of which energyWh is paid, and judges its seller.
func (x *execution) endByMeters(t *Trade, energyWh int64, reason string) {
	if energyWh*10_000 >= t.VolumeWh*x.params.SettleWholeE4 {
		x.endSale(t, true)
		if energyWh >= creditSteps*x.params.RegisterStepWh {
			x.judge(t, t.Seller, true)
		}
		x.turn(t, wire.StatusSettled, reason, 0)
		return
	}
	if x.wasReady(t) {
		x.endSale(t, true)
		reason = readyReason
	} else if !x.endSale(t, false) {
		x.judge(t, t.Seller, false)
	}
	x.turn(t, wire.StatusSettledPartly, reason, 0)
}

const readyReason = "the seller was ready, and nothing was drawn"

// wasReady tells whether the seller is not at fault for a trade in which next to
// nothing flowed: it has said how much it could have delivered, its gate was open
// all the while, and its meter moved no more than a rounding. Whose doing it was no
// meter shows; the buyer has its money back, and the seller has nothing of it.
func (x *execution) wasReady(t *Trade) bool {
	return x.params.byMeters() && t.Holds == 0 && t.BilledWh < creditSteps*x.params.RegisterStepWh &&
		t.AvailableWh*10_000 >= t.VolumeWh*x.params.SettleWholeE4
}

// overdueBill ends the wait for the buyer's meter. Silence is no proof for either
// side: the bill waits for the meter's next signed reading, and only when that does
// not come within silence_ms the seller's meter is all there is. The buyer has then
// broken its promise; the seller's record is not made by its own word.
func (x *execution) overdueBill(t *Trade) {
	switch {
	case t.BuyerReadMs != 0:
		x.settleByMeters(t, x.registerWh(t.BuyerMeter)-t.BuyerStartWh)
	case !t.Late:
		t.Late = true
		x.turn(t, wire.StatusBilled, "waits for the buyer's meter", x.after(x.params.SilenceMs))
	default:
		x.payOut(t, x.price(t, t.BilledWh), t.BilledWh)
		x.giveBack(t, t.EscrowMicro)
		x.releaseMeter(t.BuyerMeter, t.ID)
		if x.params.robust() {
			x.lose(t.Buyer, t, t.BilledWh, true, "its meter was silent")
		} else {
			x.judge(t, t.Buyer, false)
		}
		x.endSale(t, true)
		status := wire.StatusSettledPartly
		if t.BilledWh*10_000 >= t.VolumeWh*x.params.SettleWholeE4 {
			status = wire.StatusSettled
		}
		x.turn(t, status, "the buyer's meter was silent; settled by the seller's", 0)
	}
}

// buyerRead takes a reading of the buyer's meter, made with any record, for a trade
// that is billed: it ends the wait for one that is late.
func (x *execution) buyerRead(t *Trade, r *fairwattpb.MeterReading) {
	if t.Status != wire.StatusBilled {
		return
	}
	if t.BuyerReadMs = x.timeMs; t.Late {
		x.settleByMeters(t, r.RegisterWh-t.BuyerStartWh)
	}
	x.put(keyTrade+t.ID, t)
}

// settledByNext settles the billed trade that a buyer's meter still measures with
// the reading that begins the next one. The register only rises, so the reading
// bounds what the meter had counted for the older trade.
func (x *execution) settledByNext(owner, trade string, r *fairwattpb.MeterReading) bool {
	t := &Trade{}
	if !x.params.byMeters() || !x.get(keyTrade+trade, t) || t.Status != wire.StatusBilled || t.Buyer != owner || t.BuyerMeter != r.Meter {
		return false
	}
	x.settleByMeters(t, r.RegisterWh-t.BuyerStartWh)
	x.put(keyTrade+t.ID, t)
	return true
}

// unbilled ends a delivery whose seller went silent: its last signed reading is its
// bill.
func (x *execution) unbilled(t *Trade) {
	t.Unbilled = x.params.robust()
	t.SellerMeteredWh += x.registerWh(t.SellerMeter) - t.SegmentWh
	t.SegmentWh = x.registerWh(t.SellerMeter)
	energy := min(t.SellerMeteredWh, t.VolumeWh)
	if energy == 0 {
		x.billed(t, 0, 0, "")
		return
	}
	x.billed(t, energy, x.price(t, energy), "no bill in time; billed by the last reading")
}

// settleByWord is the paper's literal rule: the buyer's confirmation pays the bill,
// and without one nothing is paid and the seller has broken its promise. The
// buyer's payment was complete either way.
func (x *execution) settleByWord(t *Trade, accepted bool, reason string) {
	if accepted {
		x.settle(t, true, "")
		return
	}
	x.giveBack(t, t.EscrowMicro)
	x.releaseMeter(t.BuyerMeter, t.ID)
	x.endSale(t, true)
	x.judge(t, t.Buyer, true)
	x.judge(t, t.Seller, false)
	x.turn(t, wire.StatusFailed, reason, 0)
}

// toFund moves money out of the trade that neither side is to have.
func (x *execution) toFund(t *Trade, amountMicro int64) {
	t.GapMicro += amountMicro
	x.fromEscrow(t, amountMicro, Move{What: MoveGap})
	x.meta.FundMicro += amountMicro
}
