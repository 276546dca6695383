package ledger

import (
	"slices"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// judges tells whether a key is that of an arbiter or an auditor: who judges takes no
// part.
func (x *execution) judges(key string) bool {
	judges := x.state.genesis.Arbiters
	if m := x.state.genesis.Money; m != nil {
		judges = slices.Concat(judges, m.Auditors)
	}
	return slices.ContainsFunc(judges, func(a Arbiter) bool { return string(a.PublicKey) == key })
}

// register admits a participant (R6).
func (x *execution) register(r *fairwattpb.Registration) *Refusal {
	_, taken := x.bytes(keyParticipant + r.Id)
	if _, da := x.seat(r.Id); taken || da {
		return refuse(wire.CodeAlreadyRegistered, "id %q is taken", r.Id)
	}
	if _, arbiter := x.state.arbiters[r.Id]; arbiter {
		return refuse(wire.CodeAlreadyRegistered, "id %q is an arbiter's or an auditor's", r.Id)
	}
	if _, ok := x.bytes(keyPublicKey + r.PublicKey); ok {
		return refuse(wire.CodeAlreadyRegistered, "public_key of %q is taken", r.Id)
	}
	if x.judges(r.PublicKey) {
		return refuse(wire.CodeAlreadyRegistered, "public_key of %q is an arbiter's or an auditor's", r.Id)
	}
	for _, da := range x.state.genesis.Aggregators {
		if string(da.PublicKey) == r.PublicKey {
			return refuse(wire.CodeAlreadyRegistered, "public_key of %q is taken", r.Id)
		}
	}
	p := Participant{
		ID: r.Id, Site: r.Site, PublicKey: r.PublicKey, Simulated: r.Simulated, MeterClassE4: r.MeterClassE4,
		RecoveryHash: string(r.RecoveryHash), PayeeHash: string(r.PayeeHash),
	}
	for _, role := range r.Roles {
		p.Seller = p.Seller || role == fairwattpb.Role_ROLE_SELLER
		p.Buyer = p.Buyer || role == fairwattpb.Role_ROLE_BUYER
	}
	enrolment := wire.Enrolment(p.Seller, p.Buyer, r.RecoveryHash, r.PayeeHash)
	if len(r.Possession) > 0 && !wire.Possesses(r.PublicKey, x.state.chain, r.Id, enrolment, r.Possession) {
		return refuse(wire.CodePossessionWrong, "possession: the key of %q has not signed for this id, these roles and these hashes on this chain", r.Id)
	}
	a := x.params.newAccount()
	x.put(keyParticipant+p.ID, &p)
	x.putBytes(keyPublicKey+p.PublicKey, []byte(p.ID))
	x.put(keyAccount+p.ID, &a)
	x.tell(p.ID, nil)
	return nil
}

// deposit is the only source of money.
func (x *execution) deposit(d *fairwattpb.Deposit) *Refusal {
	if _, ok := x.account(d.To); !ok {
		return refuse(wire.CodeUnknownParticipant, "to: %q has no account", d.To)
	}
	reference := referenceKey(d.Reference)
	if _, used := x.bytes(reference); used {
		return refuse(wire.CodeReferenceUsed, "reference %q was used before", d.Reference)
	}
	if x.state.genesis.Money != nil {
		x.announce(d)
		return nil
	}
	if d.AmountMicro > MaxMoneyMicro-x.meta.DepositedMicro {
		return refuse(wire.CodeMoneyLimit, "%d micro more than the %d deposited would pass the limit", d.AmountMicro, x.meta.DepositedMicro)
	}
	x.credit(d.To, d.AmountMicro, d.Bond, d.Reference)
	x.putBytes(reference, nil)
	x.tell(d.To, nil)
	return nil
}

// credit brings money onto the chain.
func (x *execution) credit(to string, amountMicro int64, bond bool, reference string) {
	x.meta.DepositedMicro += amountMicro
	if bond {
		x.toBond(amountMicro, Move{Who: to, What: MoveDeposit})
		x.step(Step{Who: to, Kind: StepBonded, AmountMicro: amountMicro, Text: reference})
	} else {
		x.toWallet(amountMicro, Move{Who: to, What: MoveDeposit})
	}
}

// gateChange notes a device's newest gate state.
func (x *execution) gateChange(device string, c *fairwattpb.GateChange) *Refusal {
	var g Gate
	if x.get(keyGate+device, &g) && c.GateSeq <= g.Seq {
		return refuse(wire.CodeGateSeqOld, "gate_seq %d, the newest known is %d", c.GateSeq, g.Seq)
	}
	x.notesClosure(device, &g)
	g = Gate{Seq: c.GateSeq, State: c.State, ChangedMs: x.timeMs}
	x.put(keyGate+device, &g)
	if x.params.byMeters() && c.State != fairwattpb.GateState_GATE_STATE_OPEN {
		x.holdRunning(device, c)
	}
	if x.params.witnessed() {
		x.sees(device, c)
	}
	return nil
}

// standing checks that something may stand until expiresMs.
func (x *execution) standing(field string, expiresMs int64) *Refusal {
	switch {
	case expiresMs <= x.timeMs:
		return refuse(wire.CodeExpired, "%s: %d ms before block time", field, x.timeMs-expiresMs)
	case expiresMs-x.timeMs > x.params.MaxStandingMs:
		return refuse(wire.CodeTooFar, "%s: %d ms ahead, at most %d", field, expiresMs-x.timeMs, x.params.MaxStandingMs)
	}
	return nil
}

func (x *execution) refuseBlacklisted(id string) *Refusal {
	if r := x.takesPart(id); r != nil {
		return r
	}
	a, ok := x.account(id)
	if ok && a.Blacklisted && x.params.robust() {
		return refuse(wire.CodeBlacklisted, "%q is on the list for %d ms more", id, a.ListedUntilMs-x.timeMs)
	}
	if ok && a.FinesDueMicro > 0 {
		return refuse(wire.CodeFinesDue, "%q owes %d micro in fines: deposit them first", id, a.FinesDueMicro)
	}
	if ok && a.Blacklisted {
		return refuse(wire.CodeBlacklisted, "%q's credit of %d fell below %d", id, a.CreditE6, x.params.BlacklistBelowE6)
	}
	return nil
}

// offer replaces the seller's standing offer; volume 0 withdraws it (R9).
func (x *execution) offer(seller string, o *fairwattpb.Offer) *Refusal {
	if o.VolumeWh > 0 {
		if r := x.refuseBlacklisted(seller); r != nil {
			return r
		}
		if r := x.standing("expires_ms", o.ExpiresMs); r != nil {
			return r
		}
	}
	x.withdraw(seller)
	if o.VolumeWh > 0 {
		offer := Offer{ID: o.OfferId, Seller: seller, VolumeWh: o.VolumeWh, PriceMicroPerKWh: o.PriceMicroPerKwh, ExpiresMs: o.ExpiresMs, MinLotWh: o.MinLotWh}
		x.put(keyOffer+seller, &offer)
		x.putBytes(deadlineKey(o.ExpiresMs, dueOffer, seller), nil)
	}
	// An offer of an older program says nothing, and leaves the state as it left it.
	if o.Contactor != fairwattpb.Contactor_CONTACTOR_UNSPECIFIED {
		x.putBytes(keyContactor+seller, []byte{byte(o.Contactor)})
	}
	return nil
}

// withdraw takes a seller's offer off the market, if there is one.
func (x *execution) withdraw(seller string) {
	var old Offer
	if x.get(keyOffer+seller, &old) {
		x.remove(keyOffer + seller)
		x.remove(deadlineKey(old.ExpiresMs, dueOffer, seller))
	}
}

// request opens a request (R7, R8).
func (x *execution) request(buyer string, q *fairwattpb.Request) *Refusal {
	if r := x.refuseBlacklisted(buyer); r != nil {
		return r
	}
	if r := x.standing("expires_ms", q.ExpiresMs); r != nil {
		return r
	}
	key := keyRequest + buyer + "/" + q.RequestId
	if _, ok := x.bytes(key); ok {
		return refuse(wire.CodeRequestExists, "request_id %q stands already", q.RequestId)
	}
	// The paper broadcasts a request of anyone whose assets are not empty.
	if a, _ := x.account(buyer); a.WalletMicro <= 0 {
		return refuse(wire.CodeInsufficientFunds, "the wallet of %q is empty", buyer)
	}
	if r := x.mayAsk(buyer); r != nil {
		return r
	}
	request := Request{
		ID: q.RequestId, Buyer: buyer, VolumeWh: q.VolumeWh,
		MaxPriceMicroPerKWh: q.MaxPriceMicroPerKwh, ExpiresMs: q.ExpiresMs,
	}
	x.put(key, &request)
	x.putBytes(deadlineKey(q.ExpiresMs, dueRequest, buyer+"/"+q.RequestId), nil)
	for _, c := range x.state.genesis.Centres {
		x.tell(c.ID, nil)
	}
	if x.params.byLedger() {
		x.answer(&request) // or it waits
	}
	return nil
}

// response answers a request and puts the buyer's money in escrow (R10, R11).
func (x *execution) response(p *fairwattpb.Response) *Refusal {
	if x.params.byLedger() {
		return x.asked(p)
	}
	token := p.Token
	q, r := x.standingRequest(token.Buyer, p.RequestId)
	if r != nil {
		return r
	}
	if r := x.refuseBlacklisted(token.Buyer); r != nil {
		return r
	}
	if _, slots := SlotOf(token.TokenId); x.has(keyTrade+token.TokenId) || slots && x.params.bySlots() {
		return refuse(wire.CodeTokenExists, "token_id %q is taken", token.TokenId)
	}
	if r := x.standing("token.valid_until_ms", token.ValidUntilMs); r != nil {
		return r
	}
	if token.VolumeWh > q.VolumeWh {
		return refuse(wire.CodeVolumeWrong, "token.volume_wh: %d, requested were %d", token.VolumeWh, q.VolumeWh)
	}
	want, err := EscrowFor(token.VolumeWh, q.MaxPriceMicroPerKWh)
	if err != nil || token.EscrowMicro != want {
		return refuse(wire.CodeEscrowWrong, "token.escrow_micro: %d, want %d", token.EscrowMicro, want)
	}
	a, _ := x.account(token.Buyer)
	if a.WalletMicro < want {
		return refuse(wire.CodeInsufficientFunds, "the wallet of %q holds %d micro, the escrow needs %d", token.Buyer, a.WalletMicro, want)
	}
	// Both counts only rise, so those of any past state are no greater.
	if token.Kept > a.Kept || token.Broken > a.Broken {
		return refuse(wire.CodeComplianceWrong, "token.kept, token.broken: %d, %d; the chain has %d, %d", token.Kept, token.Broken, a.Kept, a.Broken)
	}
	for _, quote := range p.Quotes {
		if s, ok := x.state.participants[quote.Seller]; !ok || !s.Seller {
			return refuse(wire.CodeUnknownParticipant, "quotes: %q is no seller", quote.Seller)
		}
	}
	q.Answered = true
	x.put(keyRequest+q.Buyer+"/"+q.ID, q)
	x.asks(q.Buyer, -1)
	t := &Trade{
		ID: token.TokenId, Buyer: token.Buyer, RequestID: q.ID, TokenVolumeWh: token.VolumeWh,
		MaxPriceMicroPerKWh: q.MaxPriceMicroPerKWh, OpenedMs: x.timeMs,
	}
	x.toEscrow(t, want)
	x.turn(t, wire.StatusEscrowed, "", token.ValidUntilMs)
	x.put(keyTrade+t.ID, t)
	return nil
}

// pay binds the escrow to one seller, price and amount (R15, R16, R30).
func (x *execution) pay(buyer string, p *fairwattpb.Pay) *Refusal {
	t, r := x.trade(p.TokenId, buyer, "buyer")
	if r != nil {
		return r
	}
	if t.Status != wire.StatusEscrowed {
		if t.PayID != "" {
			return refuse(wire.CodeAlreadyPaid, "token_id %q was used", p.TokenId)
		}
		return refuse(wire.CodeExpired, "token_id %q ran out", p.TokenId)
	}
	if r := x.refuseBlacklisted(buyer); r != nil {
		return r
	}
	if x.params.byLedger() {
		return x.choose(t, p)
	}
	var o Offer
	if !x.get(keyOffer+p.Seller, &o) || o.ID != p.OfferId || x.ranOut(o.ExpiresMs) {
		return refuse(wire.CodeOfferUnknown, "offer_id %q of %q does not stand", p.OfferId, p.Seller)
	}
	if r := x.refuseBlacklisted(p.Seller); r != nil {
		return r
	}
	switch {
	case p.Seller == buyer:
		return refuse(wire.CodeOwnOffer, "offer_id %q is the buyer's own", p.OfferId)
	case p.VolumeWh > o.VolumeWh || p.VolumeWh > t.TokenVolumeWh:
		return refuse(wire.CodeVolumeWrong, "volume_wh: %d, offered are %d, the Token is for %d", p.VolumeWh, o.VolumeWh, t.TokenVolumeWh)
	case p.PriceMicroPerKwh != o.PriceMicroPerKWh || p.PriceMicroPerKwh > t.MaxPriceMicroPerKWh:
		return refuse(wire.CodePriceWrong, "price_micro_per_kwh: %d, offered at %d, at most %d", p.PriceMicroPerKwh, o.PriceMicroPerKWh, t.MaxPriceMicroPerKWh)
	case !exact(p.AmountMicro, p.VolumeWh, p.PriceMicroPerKwh):
		return refuse(wire.CodeAmountWrong, "amount_micro: %d is not %d Wh at %d micro/kWh", p.AmountMicro, p.VolumeWh, p.PriceMicroPerKwh)
	case p.AmountMicro > t.EscrowMicro:
		return refuse(wire.CodeInsufficientFunds, "amount_micro: %d, the escrow holds %d", p.AmountMicro, t.EscrowMicro)
	case x.params.byMeters() && p.VolumeWh < x.params.MinLotWh:
		return refuse(wire.CodeVolumeWrong, "volume_wh: %d, at least %d are paid for in one trade", p.VolumeWh, x.params.MinLotWh)
	case x.params.byMeters() && p.AmountMicro < 1:
		return refuse(wire.CodeAmountWrong, "amount_micro: 0, a trade costs something")
	}
	if r := x.readMeter(buyer, t.ID, false, p.BuyerReading); r != nil {
		return r
	}
	t.Seller, t.OfferID, t.VolumeWh, t.PriceMicroPerKWh = p.Seller, o.ID, p.VolumeWh, p.PriceMicroPerKwh
	t.PayID = string(x.record.ID[:])
	t.BuyerMeter, t.BuyerStartWh = p.BuyerReading.Meter, p.BuyerReading.RegisterWh
	if x.params.robust() {
		if r := x.bothPromise(t); r != nil {
			return r
		}
	}
	x.giveBack(t, t.EscrowMicro-p.AmountMicro)
	if o.VolumeWh -= p.VolumeWh; o.VolumeWh > 0 {
		x.put(keyOffer+o.Seller, &o)
	} else {
		x.withdraw(o.Seller)
	}
	x.turn(t, wire.StatusPaid, "", x.timeMs+x.params.StartByMs)
	x.put(keyTrade+t.ID, t)
	return nil
}
