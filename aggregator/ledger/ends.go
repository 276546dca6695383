package ledger

import (
	"math"
	"slices"

	"fairwatt/proto/wire"
)

// sweep ends what block time has run out on, in the order of the deadlines and
// then of their keys' bytes: max_sweep of them, so that no one can make a block that
// takes everyone long. The rest wait for the next block; until then they count as
// ended ([execution.ranOut]).
func (x *execution) sweep() {
	due := x.state.due.until(x.timeMs)
	slices.Sort(due)
	left := x.params.MaxSweep
	for _, key := range slices.Compact(due) {
		if _, ok := x.bytes(key); !ok {
			continue // was lifted before it came
		}
		if left--; left < 0 && x.params.Settlement != SettleFirst {
			break
		}
		deadlineMs, what, id, err := parseDeadlineKey(key)
		if err != nil {
			x.fail(key, err)
			return
		}
		x.remove(key)
		x.swept++
		x.dueMs = deadlineMs
		switch what {
		case dueOffer:
			x.remove(keyOffer + id)
		case dueRequest:
			x.endRequest(id)
		case dueTrade:
			t := &Trade{}
			if x.get(keyTrade+id, t) && t.DeadlineMs == deadlineMs {
				x.overdue(t)
				// Of a late block, what follows may be due too.
				for x.params.Settlement != SettleFirst && t.DeadlineMs != 0 && t.DeadlineMs <= x.timeMs {
					x.dueMs = t.DeadlineMs
					x.overdue(t)
				}
				x.put(keyTrade+t.ID, t)
			}
		case dueListing:
			x.unlist(id, deadlineMs)
		case dueBond:
			x.left(id, deadlineMs)
		case dueCase:
			x.caseOver(id, deadlineMs)
		case dueDeposit:
			x.lapse(id, deadlineMs)
		case dueEpoch:
			x.endsEpoch = true
		case dueOrders:
			x.clearSlot(id)
		case dueSlot:
			x.settleSlot(id)
		case dueWithdrawal:
			x.comesBack(id, deadlineMs)
		}
	}
	x.dueMs = 0
}

// ranOut tells whether what lasts until ms has ended at block time although no block
// has swept it yet. By the first rules every block sweeps all of it.
func (x *execution) ranOut(ms int64) bool {
	return x.params.Settlement != SettleFirst && ms != 0 && ms <= x.timeMs
}

// overdue ends or moves on a trade whose status has run out.
func (x *execution) overdue(t *Trade) {
	switch t.Status {
	case wire.StatusEscrowed:
		if x.params.byLedger() {
			x.letGo(t)
			x.putBytes(keyLapsed+t.Buyer, nil)
		}
		x.giveBack(t, t.EscrowMicro)
		x.turn(t, wire.StatusRefunded, "the Token was not used in time", 0)
	case wire.StatusPaid:
		x.undelivered(t, "no start in time")
	case wire.StatusDelivering:
		if x.params.byMeters() {
			x.unbilled(t)
			return
		}
		x.releaseMeter(t.SellerMeter, t.ID)
		x.undelivered(t, "no bill in time")
	case wire.StatusHeld:
		// What was metered before the hazard is settled all the same.
		energy := min(t.SellerMeteredWh, t.VolumeWh)
		amount, err := BillAmount(energy, t.PriceMicroPerKWh)
		if err != nil {
			x.fail(keyTrade+t.ID, err)
		}
		x.billed(t, energy, min(amount, t.EscrowMicro), "the hazard outlasted the hold; billed by the meter")
	case wire.StatusBilled:
		switch x.params.Settlement {
		case SettleByMeters:
			x.overdueBill(t)
			return
		case SettleByPaper:
			x.settleByWord(t, false, "no confirmation in time")
			return
		}
		x.settle(t, false, "no confirmation in time; settled by the seller's meter")
	case wire.StatusDisputed:
		x.splitDispute(t)
	case wire.StatusCleared:
		x.paySlot(t)
	}
}

// settle pays the bill, returns the rest, and keeps both sides' record.
func (x *execution) settle(t *Trade, confirmed bool, reason string) {
	x.payOut(t, t.BilledMicro, t.BilledWh)
	x.giveBack(t, t.EscrowMicro)
	x.releaseMeter(t.BuyerMeter, t.ID)
	whole := t.BilledWh*10_000 >= t.VolumeWh*x.params.SettleWholeE4
	status := wire.StatusSettledPartly
	if whole {
		status = wire.StatusSettled
	}
	x.judge(t, t.Buyer, confirmed)
	switch {
	case whole:
		x.endSale(t, true)
		x.judge(t, t.Seller, true)
	case !x.endSale(t, false):
		x.judge(t, t.Seller, false)
	}
	x.turn(t, status, reason, 0)
}

// undelivered returns the money of a trade in which nothing was delivered. A
// hazard excuses the seller, within its quota.
func (x *execution) undelivered(t *Trade, reason string) {
	x.giveBack(t, t.EscrowMicro)
	x.releaseMeter(t.BuyerMeter, t.ID)
	if x.params.robust() {
		x.sold(t, 0, reason)
		return
	}
	if x.wasReady(t) {
		x.endSale(t, true)
		x.turn(t, wire.StatusRefunded, readyReason, 0)
		return
	}
	if x.endSale(t, false) {
		x.turn(t, wire.StatusRefunded, reason+"; a hazard kept the seller from delivering", 0)
		return
	}
	x.judge(t, t.Seller, false)
	x.turn(t, wire.StatusFailed, reason, 0)
}

// splitDispute shares a disputed escrow by what the meters prove: the energy
// both of them counted is paid; the difference is proved by neither and is halved.
// Neither side has kept its promise provably, so both records say broken;
// otherwise understating one's meter would cost nothing.
func (x *execution) splitDispute(t *Trade) {
	agreed, err := BillAmount(min(t.BilledWh, t.BuyerMeteredWh), t.PriceMicroPerKWh)
	if err != nil {
		x.fail(keyTrade+t.ID, err)
	}
	agreed = min(agreed, t.BilledMicro)
	x.payOut(t, agreed+halfEven(t.BilledMicro-agreed, 2), min(t.BilledWh, t.BuyerMeteredWh))
	x.giveBack(t, t.EscrowMicro)
	x.endSale(t, true) // counts in the quota's period, uses none of it
	x.judge(t, t.Buyer, false)
	x.judge(t, t.Seller, false)
	x.turn(t, wire.StatusDisputed, "divided by what the meters agree on", 0)
}

// endSale counts an ended sale in the seller's quota period and reports
// whether a shortfall is forgiven: there was a hazard, by a hold in this trade
// or by the newest gate change, and the quota is not used up. There is no
// second witness in this version that could forgive without quota.
func (x *execution) endSale(t *Trade, whole bool) bool {
	a, ok := x.account(t.Seller)
	if !ok {
		return false
	}
	hazard := t.Held || x.closedNow(t)
	if a.QuotaTrades >= x.params.HoldQuotaTrades {
		a.QuotaTrades, a.QuotaUsed = 0, 0
	}
	a.QuotaTrades++
	forgiven := !whole && hazard && a.QuotaUsed < x.params.HoldQuota
	if forgiven {
		a.QuotaUsed++
	}
	x.put(keyAccount+t.Seller, &a)
	return forgiven
}

// judge is the paper's rule (formula 8): s or f counts one more, and
// credit ± w·volume; below the limit the participant is blacklisted (R25, R26,
// R28).
func (x *execution) judge(t *Trade, id string, kept bool) {
	a, ok := x.account(id)
	if !ok {
		return
	}
	step := halfEven(x.params.CreditWeightE6*t.VolumeWh, 1000) // at most 1e15
	kind, other := StepBroke, t.other(id)
	if kept {
		kind, other = StepKept, "" // no one vouched for it
		a.Kept++
		a.CreditE6 = min(a.CreditE6, math.MaxInt64-step) + step
	} else {
		a.Broken++
		a.CreditE6 = max(a.CreditE6, math.MinInt64+step) - step
	}
	x.step(Step{Who: id, Other: other, Kind: kind, Trade: t.ID, CreditE6: a.CreditE6})
	if a.CreditE6 < x.params.BlacklistBelowE6 && !a.Blacklisted {
		a.Blacklisted = true
		x.step(Step{Who: id, Kind: StepListed, Trade: t.ID, CreditE6: a.CreditE6})
	}
	x.put(keyAccount+id, &a)
}
