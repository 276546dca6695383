package ledger

import (
	"crypto/sha256"
	"fmt"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The rules of this file hold with answers by the ledger: whom a buyer may choose from is
// what the state says, and no one's word.

// Who answers a request.
const (
	// AnswersFirst is that of chains made before there was a choice: the centre.
	AnswersFirst = ""
	// AnswersByCentre is the same, chosen by name.
	AnswersByCentre = "centre"
	// AnswersByLedger: every data aggregator finds the same answer in the state.
	AnswersByLedger = "ledger"
)

// LedgerAnswers are the numbers of [AnswersByLedger]; they are left out of a genesis with
// other answers.
type LedgerAnswers struct {
	// TokenMs is how long a Token may be paid with.
	TokenMs int64 `json:"token_ms,omitempty"`
	// KeepMs is how long the offer that an answer names first is kept for its buyer.
	KeepMs int64 `json:"keep_ms,omitempty"`
}

// WithAnswers returns the parameters with other answers, and the numbers that belong to
// them.
func (p Params) WithAnswers(mode string) Params {
	p.Answers, p.LedgerAnswers = mode, LedgerAnswers{}
	if mode == AnswersByLedger {
		p.LedgerAnswers = LedgerAnswers{TokenMs: 120_000, KeepMs: 15_000}
	}
	return p
}

func (p *Params) byLedger() bool { return p.Answers == AnswersByLedger }

func (p *Params) validateAnswers(year int64) error {
	switch p.Answers {
	case AnswersFirst, AnswersByCentre:
		if p.LedgerAnswers != (LedgerAnswers{}) {
			return fmt.Errorf("answers: %q, and numbers that belong to %q", p.Answers, AnswersByLedger)
		}
		if p.Answers == AnswersByCentre && p.Settlement == SettleFirst {
			return fmt.Errorf("answers: %q, want none with the first rules", p.Answers)
		}
		return nil
	case AnswersByLedger:
	default:
		return fmt.Errorf("answers: %s, want %q or %q", brief.Quote(p.Answers), AnswersByLedger, AnswersByCentre)
	}
	switch {
	case !p.byMeters():
		return fmt.Errorf("answers: %q needs settlement %q, not %q", p.Answers, SettleByMeters, p.Settlement)
	case p.TokenMs < 1 || p.TokenMs > year:
		return fmt.Errorf("token_ms: %d, want 1 to %d", p.TokenMs, year)
	case p.KeepMs < 0 || p.KeepMs > p.TokenMs:
		return fmt.Errorf("keep_ms: %d, want 0 to %d, which is token_ms", p.KeepMs, p.TokenMs)
	}
	return nil
}

// ofLedger tells whether a record belongs to answers by the ledger.
func ofLedger(r *fairwattpb.Record) bool {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Release:
		return true
	case *fairwattpb.Record_Response:
		return b.Response.Buyer != ""
	case *fairwattpb.Record_Pay:
		return len(b.Pay.Choices) > 0
	case *fairwattpb.Record_Offer:
		return b.Offer.MinLotWh > 0
	}
	return false
}

// MaxLedgerQuotes bounds the sellers in an answer of the ledger.
const MaxLedgerQuotes = 16

// kept is who an offer is kept for.
type kept struct {
	Token   string
	UntilMs int64
}

func (k *kept) fields(c codec) {
	c.str("token", &k.Token)
	c.i64("until_ms", &k.UntilMs)
}

// lookAt is an account as it is at block time. It changes nothing, so who is only looked
// at forgets nothing.
func (x *execution) lookAt(id string) Account {
	a, _ := x.account(id)
	if x.params.robust() {
		x.params.fade(&a, x.state.genesis.period(x.timeMs))
	}
	return a
}

func mayTrade(a *Account) bool { return !a.Blacklisted && a.FinesDueMicro == 0 }

// bears is the part of a volume that an account may still promise at a price.
func (p *Params) bears(a *Account, volumeWh, priceMicroPerKWh int64) int64 {
	if !p.robust() {
		return volumeWh
	}
	left := max(0, p.ExposureLimitMicro(a)-a.ExposureMicro)
	if left > volumeWh*priceMicroPerKWh/1000 {
		return volumeWh
	}
	return left * 1000 / priceMicroPerKWh // left is at most 1e15 here
}

// forSale is how much of an offer a Token's buyer can have now; 0, and why, for nothing.
// token is empty for a request that has none yet.
func (x *execution) forSale(o *Offer, buyer, token string) (volumeWh int64, a Account, why string) {
	a = x.lookAt(o.Seller)
	var k kept
	switch {
	case x.ranOut(o.ExpiresMs):
		return 0, a, "its offer has run out"
	case o.Seller == buyer:
		return 0, a, "it is the buyer"
	case !mayTrade(&a):
		return 0, a, "it may not trade"
	case !x.isOpen(o.Seller):
		return 0, a, "its gate is not open"
	case x.has(keySelling + o.Seller):
		return 0, a, "its meter is busy with another trade"
	case x.get(keyKept+o.Seller, &k) && k.Token != token && x.timeMs < k.UntilMs:
		return 0, a, "its offer is kept for another"
	}
	if volumeWh = x.params.bears(&a, o.VolumeWh, o.PriceMicroPerKWh); volumeWh < x.leastOf(o) {
		return 0, a, "its bond and credit bear no more"
	}
	return volumeWh, a, ""
}

// isOpen tells whether the newest gate change of a device is OPEN.
func (x *execution) isOpen(device string) bool {
	var g Gate
	return x.get(keyGate+device, &g) && g.State == fairwattpb.GateState_GATE_STATE_OPEN
}

// leastOf is the least that is sold of an offer in one trade.
func (x *execution) leastOf(o *Offer) int64 { return max(x.params.MinLotWh, o.MinLotWh) }

// quotes are the sellers that a buyer can choose from now, in the order in which it is
// told to: price, credit, offer, seller.
func (x *execution) quotes(buyer string, maxPriceMicroPerKWh int64) []*fairwattpb.Quote {
	var out []*fairwattpb.Quote
	x.inOrder(func(o *Offer) bool {
		if o.PriceMicroPerKWh > maxPriceMicroPerKWh {
			return false
		}
		if volume, a, _ := x.forSale(o, buyer, ""); volume > 0 {
			out = append(out, &fairwattpb.Quote{
				OfferId: o.ID, Seller: o.Seller, PriceMicroPerKwh: o.PriceMicroPerKWh, VolumeWh: volume, CreditE6: a.CreditE6,
			})
		}
		return len(out) < MaxLedgerQuotes
	})
	return out
}

// find returns the answer to a request at block time, or none and why.
func (x *execution) find(q *Request) (*fairwattpb.Response, string) {
	if r := x.takesPart(q.Buyer); r != nil {
		return nil, r.Reason
	}
	a := x.lookAt(q.Buyer)
	if !mayTrade(&a) {
		return nil, "the buyer may not trade, or has fines to pay"
	}
	volume := x.params.bears(&a, q.VolumeWh, q.MaxPriceMicroPerKWh)
	if volume < x.params.MinLotWh {
		return nil, fmt.Sprintf("the request is for %d Wh, of which bond and credit bear %d; at least %d are sold", q.VolumeWh, volume, x.params.MinLotWh)
	}
	escrow, err := EscrowFor(volume, q.MaxPriceMicroPerKWh)
	if err != nil || a.WalletMicro < escrow {
		return nil, fmt.Sprintf("the wallet holds %d micro, the escrow needs %d", a.WalletMicro, escrow)
	}
	quotes := x.quotes(q.Buyer, q.MaxPriceMicroPerKWh)
	if len(quotes) == 0 {
		return nil, fmt.Sprintf("no one who may deliver now sells at %d micro per kWh or less", q.MaxPriceMicroPerKWh)
	}
	return &fairwattpb.Response{RequestId: q.ID, Quotes: quotes, Token: &fairwattpb.Token{
		TokenId: tokenOf(q), Buyer: q.Buyer, EscrowMicro: escrow, VolumeWh: volume,
		ValidUntilMs: min(q.ExpiresMs, x.timeMs+x.params.TokenMs), Kept: a.Kept, Broken: a.Broken,
	}}, ""
}

// tokenOf is the Token of a request. It names the buyer for people, and tells apart a
// later request of the same id by its end.
func tokenOf(q *Request) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", q.Buyer, q.ID, q.ExpiresMs))
	return fmt.Sprintf("t-%s-%x", q.Buyer, sum[:12])
}

// answer makes the Token of a request where it can be answered, and says why where not.
// The offer named first is kept for the buyer for a while, so that two that choose the
// same one do not meet; but for one that let its newest Token lapse, which would hold
// sellers up for nothing.
func (x *execution) answer(q *Request) string {
	r, why := x.find(q)
	if r == nil {
		return why
	}
	q.Answered = true
	x.put(keyRequest+q.Buyer+"/"+q.ID, q)
	x.asks(q.Buyer, -1)
	t := &Trade{
		ID: r.Token.TokenId, Buyer: q.Buyer, RequestID: q.ID, TokenVolumeWh: r.Token.VolumeWh,
		MaxPriceMicroPerKWh: q.MaxPriceMicroPerKWh, OpenedMs: x.timeMs,
	}
	if !x.has(keyLapsed + q.Buyer) {
		t.KeptSeller = r.Quotes[0].Seller
		x.put(keyKept+t.KeptSeller, &kept{t.ID, min(r.Token.ValidUntilMs, x.timeMs+x.params.KeepMs)})
	}
	x.toEscrow(t, r.Token.EscrowMicro)
	x.turn(t, wire.StatusEscrowed, "", r.Token.ValidUntilMs)
	x.notices[len(x.notices)-1].Trade.Answer = r
	x.put(keyTrade+t.ID, t)
	return ""
}

// letGo ends that an offer is kept for a Token.
func (x *execution) letGo(t *Trade) {
	var k kept
	if t.KeptSeller != "" && x.get(keyKept+t.KeptSeller, &k) && k.Token == t.ID {
		x.remove(keyKept + t.KeptSeller)
	}
	t.KeptSeller = ""
}

// standingRequest is a request that waits for an answer.
func (x *execution) standingRequest(buyer, id string) (*Request, *Refusal) {
	q := &Request{}
	if !x.get(keyRequest+buyer+"/"+id, q) || x.ranOut(q.ExpiresMs) {
		return nil, refuse(wire.CodeRequestUnknown, "request_id %q of %q does not stand", id, buyer)
	}
	if q.Answered {
		return nil, refuse(wire.CodeRequestAnswered, "request_id %q of %q was answered", id, buyer)
	}
	return q, nil
}

// asked answers a request that waits, since someone says that it can be.
func (x *execution) asked(p *fairwattpb.Response) *Refusal {
	if p.Token != nil || len(p.Quotes) > 0 {
		return refuse(wire.CodeQuotesWrong, "token, quotes: the ledger makes them on this chain: say request_id and buyer, and nothing else")
	}
	q, r := x.standingRequest(p.Buyer, p.RequestId)
	if r != nil {
		return r
	}
	if why := x.answer(q); why != "" {
		return refuse(wire.CodeNoQuotes, "request_id %q of %q: %s", p.RequestId, p.Buyer, why)
	}
	return nil
}

// Answerable returns the answer that a waiting request would have in a block of the
// given time, or why it would have none. Only chains with answers by the ledger know.
func (s *State) Answerable(buyer, id string, timeMs int64) (*fairwattpb.Response, string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.genesis.Params.byLedger() {
		return nil, "the centre answers on this chain"
	}
	x := s.newExecution(timeMs)
	q, r := x.standingRequest(buyer, id)
	if r != nil {
		return nil, r.Reason
	}
	return x.find(q)
}
