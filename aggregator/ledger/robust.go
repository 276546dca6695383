package ledger

import (
	"fmt"

	"fairwatt/proto/wire"
)

// The rules of this file hold with robust credit: what becomes of credit and bonds when
// a trade ends.

// wholeWh is the least energy that counts as all of a trade.
func (x *execution) wholeWh(t *Trade) int64 {
	return (t.VolumeWh*x.params.SettleWholeE4 + 9_999) / 10_000
}

func (x *execution) valueOf(t *Trade, energyWh int64) int64 {
	amount, err := BillAmount(energyWh, t.PriceMicroPerKWh)
	if err != nil {
		x.fail(keyTrade+t.ID, err)
	}
	return amount
}

// sold ends a trade of which energyWh was paid, maybe none: the seller gains credit for
// what it delivered, and answers for what is missing. What is missing weighs by the
// Wh, without a step.
//
// A seller that says in its bill that it was ready, and whose gate stayed open, is not
// fined for what was not drawn: no meter shows whose doing that was. It has nothing of
// saying so but that, and a verdict makes a false word dearer than the fine.
func (x *execution) sold(t *Trade, energyWh int64, reason string) {
	t.MissingWh = max(0, x.wholeWh(t)-energyWh)
	short := t.MissingWh
	if t.Holds == 0 && !t.Unbilled {
		short = max(0, x.wholeWh(t)-max(energyWh, t.AvailableWh))
	}
	status := wire.StatusSettled
	switch {
	case energyWh == 0:
		status = wire.StatusRefunded
	case t.MissingWh > 0:
		status = wire.StatusSettledPartly
	}
	if !t.bySellerAlone() {
		x.gain(t.Seller, t.Buyer, t, energyWh)
		x.delivers(t.Seller, energyWh)
	}
	switch {
	case short == 0:
		x.endSale(t, true)
		if t.MissingWh > 0 && t.Status != wire.StatusCleared {
			reason = readyReason
		}
	case x.wasBusy(t):
		x.endSale(t, true)
		x.step(Step{Who: t.Seller, Kind: StepExcused, Trade: t.ID, Text: "it delivered another trade"})
		reason += "; the seller delivered another trade"
	case x.params.witnessed():
		x.endSale(t, true)
		left := x.excuse(t, short)
		if left > 0 && energyWh == 0 {
			status = wire.StatusFailed
		}
		if left > 0 {
			x.fellShort(t, left, reason)
		} else if energyWh == 0 {
			reason += excusedReason
		}
	case x.endSale(t, false):
		seq := x.hazardSeq(t)
		a, _ := x.account(t.Seller)
		x.step(Step{Who: t.Seller, Kind: StepExcused, Trade: t.ID, GateSeq: seq, Text: fmt.Sprintf(
			"gate change %d kept it from delivering, excuse %d of %d in %d sales", seq, a.QuotaUsed, x.params.HoldQuota, x.params.HoldQuotaTrades)})
		if energyWh == 0 {
			reason += excusedReason
		}
	default:
		if energyWh == 0 {
			status = wire.StatusFailed
		}
		x.fellShort(t, short, reason)
	}
	x.turn(t, status, reason, 0)
}

const excusedReason = "; a hazard kept the seller from delivering"

// hazardSeq is the gate change that kept a seller from delivering: the newest that held
// the trade, or the newest of all where it could not begin.
func (x *execution) hazardSeq(t *Trade) uint64 {
	if t.Held {
		return t.HoldSeq
	}
	var g Gate
	x.get(keyGate+t.Seller, &g)
	return g.Seq
}

// fellShort has the seller pay for what it promised and did not deliver. To leave its
// part undone, without a start or a bill, is grave; to deliver less and say so is not.
func (x *execution) fellShort(t *Trade, shortWh int64, reason string) {
	if reason == "" {
		reason = "less was delivered than was paid for"
	}
	t.FineMicro = part(x.valueOf(t, shortWh), x.params.FineE4)
	x.fine(t, t.Seller, t.Buyer, t.FineMicro, reason)
	x.lose(t.Seller, t, shortWh, t.Unbilled || t.SellerMeter == "", reason)
}

// wasBusy tells whether the seller could not start since it delivered another trade:
// it delivers one at a time, and cannot help what buyers pay for meanwhile.
func (x *execution) wasBusy(t *Trade) bool {
	if t.SellerMeter != "" {
		return false // it did start
	}
	a, _ := x.account(t.Seller)
	return x.has(keyRunning+t.Seller) || a.FreeMs > t.DeadlineMs-x.params.StartByMs
}

// ended releases what both sides had promised.
func (x *execution) ended(t *Trade) {
	t.EndedMs = x.timeMs
	if x.has(keyWitness + t.ID) {
		x.remove(keyWitness + t.ID)
	}
	if t.Seller != "" {
		x.expose(t, -x.promised(t))
	}
}

// stopped notes that the seller may deliver another trade.
func (x *execution) stopped(seller string) {
	if !x.has(keyRunning + seller) {
		return
	}
	x.remove(keyRunning + seller)
	if x.params.robust() {
		a := x.faded(seller)
		a.FreeMs = x.timeMs
		x.put(keyAccount+seller, &a)
	}
}
