package ledger

import (
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// ExposureLimitMicro is how much an account may have promised in open trades, as seller
// and buyer together: so much that its bond bears the charge for all of it, times its
// credit.
func (p *Params) ExposureLimitMicro(a *Account) int64 {
	return mulDiv(mulDiv(a.BondMicro, 10_000, p.ChargeE4), max(0, min(a.CreditE6, creditE6)), creditE6)
}

// promised is what a trade counts as in the exposure of both sides.
func (x *execution) promised(t *Trade) int64 {
	amount, err := BillAmount(t.VolumeWh, t.PriceMicroPerKWh)
	if err != nil {
		x.fail(keyTrade+t.ID, err)
	}
	return amount
}

// mayPromise refuses a promise that bond and credit do not bear.
func (x *execution) mayPromise(id string, amountMicro int64) *Refusal {
	a := x.faded(id)
	if limit := x.params.ExposureLimitMicro(&a); amountMicro > limit-a.ExposureMicro {
		return refuse(wire.CodeExposure, "%q has promised %d micro and may promise %d with a bond of %d and a credit of %d: %d more is too much, bond more or trade less",
			id, a.ExposureMicro, limit, a.BondMicro, a.CreditE6, amountMicro)
	}
	return nil
}

// bothPromise counts a paid trade in both sides' exposure.
func (x *execution) bothPromise(t *Trade) *Refusal {
	amount := x.promised(t)
	for _, id := range []string{t.Seller, t.Buyer} {
		if r := x.mayPromise(id, amount); r != nil {
			return r
		}
	}
	x.expose(t, amount)
	return nil
}

func (x *execution) expose(t *Trade, amountMicro int64) {
	for _, id := range []string{t.Seller, t.Buyer} {
		a := x.faded(id)
		a.ExposureMicro += amountMicro
		x.put(keyAccount+id, &a)
	}
}

// bond moves money of the wallet into the bond.
func (x *execution) bond(id string, b *fairwattpb.Bond) *Refusal {
	a := x.faded(id)
	if a.WalletMicro < b.AmountMicro {
		return refuse(wire.CodeInsufficientFunds, "amount_micro: %d, the wallet of %q holds %d", b.AmountMicro, id, a.WalletMicro)
	}
	a.WalletMicro -= b.AmountMicro
	x.meta.WalletsMicro -= b.AmountMicro
	x.put(keyAccount+id, &a)
	x.toBond(b.AmountMicro, Move{Who: id, What: MoveBonded, WalletMicro: -b.AmountMicro})
	x.step(Step{Who: id, Kind: StepBonded, AmountMicro: b.AmountMicro})
	return nil
}

// toBond adds money to a bond. It vouches from the next period on, for it may have
// vouched in this one already, in another bond; what a deposit brings onto the chain has
// not.
func (x *execution) toBond(amountMicro int64, what Move) {
	a := x.faded(what.Who)
	a.BondMicro += amountMicro
	if what.What != MoveDeposit {
		a.FreshMicro += amountMicro
	}
	x.meta.BondsMicro += amountMicro
	x.put(keyAccount+what.Who, &a)
	what.BondMicro = amountMicro
	x.move(what)
}

// unbond asks for money of the bond. From now on it bears no promise, but what was
// promised before can be charged to it for as long as a verdict may come.
func (x *execution) unbond(id string, u *fairwattpb.Unbond) *Refusal {
	if u.Member != "" {
		if r := x.isRevoked(u.Member); r != nil {
			return r
		}
		id = u.Member
	}
	a := x.faded(id)
	if u.AmountMicro > a.BondMicro {
		return refuse(wire.CodeBondWrong, "amount_micro: %d, the bond of %q holds %d", u.AmountMicro, id, a.BondMicro)
	}
	a.BondMicro -= u.AmountMicro
	a.FreshMicro = min(a.FreshMicro, a.BondMicro)
	if limit := x.params.ExposureLimitMicro(&a); a.ExposureMicro > limit {
		return refuse(wire.CodeBondWrong, "amount_micro: %d, %q has promised %d micro, and what is left would bear %d: wait for its trades to end", u.AmountMicro, id, a.ExposureMicro, limit)
	}
	if a.LeavingMs != 0 {
		x.remove(deadlineKey(a.LeavingMs, dueBond, id))
	}
	a.LeavingMicro += u.AmountMicro
	a.LeavingMs = x.timeMs + 2*x.params.VerdictMs
	x.put(keyAccount+id, &a)
	x.putBytes(deadlineKey(a.LeavingMs, dueBond, id), nil)
	x.step(Step{Who: id, Kind: StepUnbonded, AmountMicro: u.AmountMicro, UntilMs: a.LeavingMs})
	return nil
}

// left pays a bond out that was asked back.
func (x *execution) left(id string, deadlineMs int64) {
	a := x.faded(id)
	if a.LeavingMs != deadlineMs {
		return
	}
	amount := a.LeavingMicro
	a.LeavingMicro, a.LeavingMs = 0, 0
	x.meta.BondsMicro -= amount
	x.put(keyAccount+id, &a)
	x.step(Step{Who: id, Kind: StepLeft, AmountMicro: amount})
	x.toWallet(amount, Move{Who: id, What: MoveUnbonded, BondMicro: -amount})
	x.tellOf(id)
}

// toWallet pays money to a participant. What it owes in fines goes into the fund first.
func (x *execution) toWallet(amountMicro int64, what Move) {
	if amountMicro == 0 {
		return
	}
	id := what.Who
	a, _ := x.account(id)
	due := min(a.FinesDueMicro, amountMicro)
	a.FinesDueMicro -= due
	a.WalletMicro += amountMicro - due
	x.meta.WalletsMicro += amountMicro - due
	x.meta.FundMicro += due
	x.put(keyAccount+id, &a)
	what.WalletMicro = amountMicro
	x.move(what)
	if due > 0 {
		x.move(Move{Who: id, What: MoveDue, WalletMicro: -due})
		x.step(Step{Who: id, Kind: StepDuePaid, AmountMicro: due})
	}
}

// take collects money from a participant: of its bond, then of what leaves it, then of
// its wallet. It returns what could be had. The caller has to put it somewhere.
func (x *execution) take(amountMicro int64, what Move) int64 {
	a := x.faded(what.Who)
	left := amountMicro
	part := func(from *int64) int64 {
		n := min(left, *from)
		*from -= n
		left -= n
		return n
	}
	what.BondMicro = -part(&a.BondMicro) - part(&a.LeavingMicro)
	what.WalletMicro = -part(&a.WalletMicro)
	x.meta.BondsMicro += what.BondMicro
	x.meta.WalletsMicro += what.WalletMicro
	a.FreshMicro = min(a.FreshMicro, a.BondMicro)
	x.put(keyAccount+what.Who, &a)
	x.move(what)
	return amountMicro - left
}

// fine has one side of a trade pay the other. What it cannot pay now it owes.
func (x *execution) fine(t *Trade, from, to string, amountMicro int64, why string) {
	if amountMicro <= 0 {
		return
	}
	got := x.take(amountMicro, Move{Who: from, What: MoveFined, Trade: t.ID, Other: to})
	a := x.faded(from)
	a.FinesDueMicro += amountMicro - got
	x.put(keyAccount+from, &a)
	x.step(Step{Who: from, Other: to, Kind: StepFined, Trade: t.ID, AmountMicro: got, DueMicro: amountMicro - got, Text: why})
	x.step(Step{Who: to, Other: from, Kind: StepMadeGood, Trade: t.ID, AmountMicro: got, Text: why})
	x.toWallet(got, Move{Who: to, What: MoveMadeGood, Trade: t.ID, Other: from})
}
