package ledger

import (
	"encoding/hex"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A Case is a trade that arbiters may look at: one whose meters differ, or one that a
// party appealed. What is held for it is in the fund.
type Case struct {
	Trade       string
	GapWh       int64
	GapMicro    int64 // held: what the meters differ by
	SellerMicro int64 // held: charged to the seller
	BuyerMicro  int64 // held: charged to the buyer
	UntilMs     int64
	Appealed    bool
	By          string // who appealed
	TextHash    string // of the appeal
}

func (k *Case) fields(c codec) {
	c.str("trade", &k.Trade)
	c.i64("gap_wh", &k.GapWh)
	c.i64("gap_micro", &k.GapMicro)
	c.i64("seller_micro", &k.SellerMicro)
	c.i64("buyer_micro", &k.BuyerMicro)
	c.i64("until_ms", &k.UntilMs)
	c.flag("appealed", &k.Appealed)
	c.str("by", &k.By)
	c.str("text_hash", &k.TextHash)
}

// HeldMicro is what the fund holds for the case.
func (k *Case) HeldMicro() int64 { return k.GapMicro + k.SellerMicro + k.BuyerMicro }

// part is amount * e4 / 10^4, rounded down.
func part(amountMicro, e4 int64) int64 { return mulDiv(amountMicro, e4, 10_000) }

// openCase holds a gap, and charges both bonds for it: no one can say who lied, so it
// must not be free to make a gap that costs the other side.
func (x *execution) openCase(t *Trade, gapWh, gapMicro int64) {
	k := Case{Trade: t.ID, GapWh: gapWh, GapMicro: gapMicro}
	charge := part(gapMicro, x.params.ChargeE4)
	k.SellerMicro, k.BuyerMicro = x.charge(t, t.Seller, charge), x.charge(t, t.Buyer, charge)
	x.meta.HeldMicro += k.HeldMicro()
	x.setCase(&k, x.timeMs+x.params.VerdictMs)
	for _, id := range []string{t.Seller, t.Buyer} {
		x.step(Step{Who: id, Kind: StepCase, Trade: t.ID, AmountMicro: gapMicro, UntilMs: k.UntilMs, Text: "the meters differ"})
	}
}

func (x *execution) charge(t *Trade, id string, amountMicro int64) int64 {
	got := x.take(amountMicro, Move{Who: id, What: MoveCharged, Trade: t.ID})
	x.meta.FundMicro += got
	x.step(Step{Who: id, Kind: StepCharged, Trade: t.ID, AmountMicro: got, Text: "the meters differ"})
	return got
}

func (x *execution) setCase(k *Case, untilMs int64) {
	if k.UntilMs != 0 {
		x.remove(deadlineKey(k.UntilMs, dueCase, k.Trade))
	}
	k.UntilMs = untilMs
	x.putBytes(deadlineKey(untilMs, dueCase, k.Trade), nil)
	x.put(keyCase+k.Trade, k)
}

// appeal asks the arbiters to look at a trade, or gives them more time.
func (x *execution) appeal(id string, a *fairwattpb.Appeal) *Refusal {
	t, r := x.tradeOf(id, a.TradeId)
	if r != nil {
		return r
	}
	k := Case{Trade: t.ID}
	open := x.get(keyCase+t.ID, &k)
	switch {
	case len(x.state.genesis.Arbiters) == 0:
		return refuse(wire.CodeAppealWrong, "the genesis names no arbiters")
	case t.EndedMs == 0 || t.Seller == "":
		return refuse(wire.CodeAppealWrong, "trade %q is %s: one that was paid and has ended can be appealed", t.ID, t.Status)
	case t.Judged || open && k.Appealed:
		return refuse(wire.CodeAppealWrong, "trade %q was appealed before", t.ID)
	case x.timeMs >= t.EndedMs+x.params.VerdictMs:
		return refuse(wire.CodeAppealWrong, "trade %q ended %d ms ago, at most %d", t.ID, x.timeMs-t.EndedMs, x.params.VerdictMs)
	}
	x.openAppeal(t, &k, id, a.TextHash)
	return nil
}

// openAppeal has arbiters look at a trade from now on, or for longer.
func (x *execution) openAppeal(t *Trade, k *Case, by string, textHash []byte) {
	if k.UntilMs == 0 && t.GapMicro > 0 {
		// Of a slot: no case was opened for it, and what the fund has spent meanwhile is gone.
		k.GapWh, k.GapMicro = t.BilledWh-t.BuyerMeteredWh, min(t.GapMicro, x.meta.FundMicro-x.meta.HeldMicro)
		x.meta.HeldMicro += k.GapMicro
	}
	k.Appealed, k.By, k.TextHash = true, by, string(textHash)
	x.setCase(k, x.timeMs+x.params.VerdictMs)
	for _, who := range []string{t.Seller, t.Buyer} {
		x.step(Step{Who: who, Other: by, Kind: StepCase, Trade: t.ID, AmountMicro: k.GapMicro, UntilMs: k.UntilMs, Text: "appealed by " + by})
		if who != by {
			x.tellOf(who)
		}
	}
}

func findingKey(trade, arbiter string) string { return keyFinding + arbiter + "/" + trade }

// appealable tells whether a party, or an arbiter whom it asked, may still have a trade
// looked at.
func (x *execution) appealable(t *Trade) bool {
	return t.EndedMs != 0 && t.Seller != "" && !t.Judged && x.timeMs < t.EndedMs+x.params.VerdictMs
}

// verdict notes what an arbiter finds; the second one that finds the same decides. The
// first finding of a trade that can be appealed is an appeal too: a party may ask an
// arbiter by word of mouth, where its device sends no appeal.
func (x *execution) verdict(arbiter string, v *fairwattpb.Verdict) *Refusal {
	k := Case{Trade: v.TradeId}
	t := &Trade{}
	known := x.get(keyTrade+v.TradeId, t)
	switch open := known && x.get(keyCase+v.TradeId, &k); {
	case open && !x.ranOut(k.UntilMs):
	case !open && known && x.appealable(t):
		x.openAppeal(t, &k, arbiter, v.TextHash)
	default:
		return refuse(wire.CodeCaseUnknown, "no case is open about trade %q, and none can be", v.TradeId)
	}
	own := findingKey(t.ID, arbiter)
	if _, said := x.bytes(own); said {
		return refuse(wire.CodeVerdictGiven, "%q has found of trade %q before", arbiter, t.ID)
	}
	agree := false
	for _, other := range x.state.genesis.Arbiters {
		b, said := x.bytes(findingKey(t.ID, other.ID))
		agree = agree || said && len(b) == 1 && b[0] == byte(v.Finding)
	}
	if !agree {
		x.putBytes(own, []byte{byte(v.Finding)})
		return nil
	}
	x.closeCase(t, &k)
	x.found(t, &k, v.Finding)
	x.put(keyTrade+t.ID, t)
	return nil
}

// closeCase ends a case; what was held for it is still in the fund.
func (x *execution) closeCase(t *Trade, k *Case) {
	x.remove(keyCase + k.Trade)
	x.remove(deadlineKey(k.UntilMs, dueCase, k.Trade))
	for _, a := range x.state.genesis.Arbiters {
		if key := findingKey(k.Trade, a.ID); x.has(key) {
			x.remove(key)
		}
	}
	x.meta.HeldMicro -= k.HeldMicro()
	t.Judged = true
}

func (x *execution) has(key string) bool {
	_, ok := x.bytes(key)
	return ok
}

// found gives back to whom the verdict clears, money and credit, and has the other side pay for it.
func (x *execution) found(t *Trade, k *Case, finding fairwattpb.Finding) {
	text := "the arbiters find: neither has lied"
	if finding != fairwattpb.Finding_FINDING_NEITHER {
		text = "the arbiters find: the " + sideName[finding] + " is at fault"
	}
	for _, id := range []string{t.Seller, t.Buyer} {
		x.step(Step{Who: id, Kind: StepFound, Trade: t.ID, Text: text})
		x.tellOf(id)
	}
	missing := x.valueOf(t, t.MissingWh)
	if finding != fairwattpb.Finding_FINDING_SELLER {
		x.clearName(t.Seller, t, text)
	}
	if finding != fairwattpb.Finding_FINDING_BUYER {
		x.clearName(t.Buyer, t, text)
	}
	switch finding {
	case fairwattpb.Finding_FINDING_SELLER:
		x.clear(t, k, t.Buyer, t.Seller, text)
		// Whoever said that it was ready, and was not, pays twice.
		x.fine(t, t.Seller, t.Buyer, 2*part(missing, x.params.FineE4)-t.FineMicro, text)
		x.lose(t.Seller, t, max(k.GapWh, t.MissingWh), true, text)
	case fairwattpb.Finding_FINDING_BUYER:
		x.clear(t, k, t.Seller, t.Buyer, text)
		x.fine(t, t.Buyer, t.Seller, part(missing, x.params.FineE4)+t.FineMicro, text)
		x.lose(t.Buyer, t, max(k.GapWh, t.MissingWh), true, text)
	default:
		x.give(t, t.Buyer, k.GapMicro-k.GapMicro/2, text)
		x.give(t, t.Seller, k.GapMicro/2, text)
		x.backToBond(t, t.Seller, k.SellerMicro)
		x.backToBond(t, t.Buyer, k.BuyerMicro)
		x.fine(t, t.Buyer, t.Seller, t.FineMicro, text)
	}
}

var sideName = map[fairwattpb.Finding]string{
	fairwattpb.Finding_FINDING_SELLER: "seller", fairwattpb.Finding_FINDING_BUYER: "buyer",
}

// clear gives one side the gap, its own charge and the other's.
func (x *execution) clear(t *Trade, k *Case, cleared, culprit, text string) {
	own, other := k.SellerMicro, k.BuyerMicro
	if cleared == t.Buyer {
		own, other = other, own
	}
	x.give(t, cleared, k.GapMicro+other, text)
	x.backToBond(t, cleared, own)
}

// give pays money of the fund to a participant.
func (x *execution) give(t *Trade, to string, amountMicro int64, text string) {
	if amountMicro == 0 {
		return
	}
	x.meta.FundMicro -= amountMicro
	x.step(Step{Who: to, Kind: StepMadeGood, Trade: t.ID, AmountMicro: amountMicro, Text: text})
	x.toWallet(amountMicro, Move{Who: to, What: MoveMadeGood, Trade: t.ID})
}

func (x *execution) backToBond(t *Trade, id string, amountMicro int64) {
	if amountMicro == 0 {
		return
	}
	x.meta.FundMicro -= amountMicro
	x.step(Step{Who: id, Kind: StepReturned, Trade: t.ID, AmountMicro: amountMicro})
	x.toBond(amountMicro, Move{Who: id, What: MoveChargeOff, Trade: t.ID})
}

// caseOver ends a case that no verdict came for. What was held stays in the fund: to
// give it back would make it free to harm the other side, to divide it would make it
// pay.
func (x *execution) caseOver(trade string, deadlineMs int64) {
	var k Case
	t := &Trade{}
	if !x.get(keyCase+trade, &k) || !x.get(keyTrade+trade, t) || k.UntilMs != deadlineMs {
		return
	}
	x.closeCase(t, &k)
	x.put(keyTrade+t.ID, t)
	for _, id := range []string{t.Seller, t.Buyer} {
		x.step(Step{Who: id, Kind: StepClosed, Trade: t.ID, AmountMicro: k.HeldMicro(), Text: "no verdict in time"})
		x.tellOf(id)
	}
}

// A grant is money of the fund for a member, named by one arbiter so far.
type grant struct {
	By          string
	To          string
	AmountMicro int64
	Done        bool
}

func (g *grant) fields(c codec) {
	c.str("by", &g.By)
	c.str("to", &g.To)
	c.i64("amount_micro", &g.AmountMicro)
	c.flag("done", &g.Done)
}

// grant is the way out of the fund for what no case is open about.
func (x *execution) grant(arbiter string, r *fairwattpb.Grant) *Refusal {
	if _, ok := x.account(r.To); !ok {
		return refuse(wire.CodeUnknownParticipant, "to: %q has no account", r.To)
	}
	key, g := keyGrant+hex.EncodeToString([]byte(r.Reference)), grant{}
	known := x.get(key, &g)
	switch free := x.meta.FundMicro - x.meta.HeldMicro; {
	case known && g.Done:
		return refuse(wire.CodeReferenceUsed, "reference %q was used before", r.Reference)
	case known && (g.By == arbiter || g.To != r.To || g.AmountMicro != r.AmountMicro):
		return refuse(wire.CodeVerdictGiven, "%q has said of reference %q: %d micro to %q", g.By, r.Reference, g.AmountMicro, g.To)
	case r.AmountMicro > free:
		return refuse(wire.CodeInsufficientFunds, "amount_micro: %d, the fund holds %d that no case is open about", r.AmountMicro, free)
	case !known:
		x.put(key, &grant{By: arbiter, To: r.To, AmountMicro: r.AmountMicro})
		return nil
	}
	g.Done = true
	x.put(key, &g)
	x.meta.FundMicro -= r.AmountMicro
	x.step(Step{Who: r.To, Kind: StepGranted, AmountMicro: r.AmountMicro, Text: r.Reference})
	x.toWallet(r.AmountMicro, Move{Who: r.To, What: MoveGranted})
	x.tellOf(r.To)
	return nil
}
