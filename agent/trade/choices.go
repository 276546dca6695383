package trade

import (
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The buyer's steps of this file are those on a chain whose ledger answers: it pays by
// choices, and gives a Token back that it has no use for.

// maxChoices bounds the offers that a payment names.
const maxChoices = 8

// byLedger takes the ledger's answer to a circuit's request, and tells whether it is
// that, or was: an answer may be told more than once.
func (b *Buyer) byLedger(in BuyerInput, v Outcome, c *Circuit) bool {
	r := v.Trade.GetAnswer()
	if !b.cfg.ByLedger || r == nil || !v.Applied || v.Height == 0 {
		return false
	}
	if c.Phase == buyRequesting && r.GetRequestId() == c.RequestID {
		b.answered(in, c, r)
	}
	return c.Token.GetTokenId() == r.GetToken().GetTokenId()
}

// took notes what the ledger has taken of the choices.
func (c *Circuit) took(n *fairwattpb.TradeNotice) {
	if l := n.GetLot(); l != nil && n.GetTradeId() == c.Token.GetTokenId() {
		c.Offer, c.Seller, c.PriceMicro, c.PaidWh = l.GetOfferId(), l.GetSeller(), l.GetPriceMicroPerKwh(), l.GetVolumeWh()
		c.Passed = strings.TrimPrefix(n.GetReason(), "passed over: ")
	}
}

func (b *Buyer) release(token string) {
	b.send(&fairwattpb.Record{Body: &fairwattpb.Record_Release{Release: &fairwattpb.Release{TokenId: token}}}, nil)
}

// giveBack ends a Token that was not paid with.
func (b *Buyer) giveBack(in BuyerInput, c *Circuit) {
	b.release(c.Token.GetTokenId())
	c.Phase = buyChoosing // nothing was paid
	b.free(in, c, b.cfg.RetryMs)
}

// payByChoices names the quotes that can be chosen, best first, or gives the Token back
// where there is none, where the owner begins nothing, or where its time is nearly over.
func (b *Buyer) payByChoices(in BuyerInput, cfg CircuitConfig, c *Circuit, quotes []Candidate) {
	register, meterOK := in.Registers[cfg.Name]
	var choices []*fairwattpb.Choice
	for _, q := range quotes[:min(len(quotes), maxChoices)] {
		if q.Refused == "" {
			choices = append(choices, &fairwattpb.Choice{
				OfferId: q.OfferID, Seller: q.Seller, PriceMicroPerKwh: q.PriceMicroPerKWh, MaxWh: c.Token.GetVolumeWh(),
			})
		}
	}
	switch {
	case len(choices) == 0 || in.Terms.Stop || in.Terms.DryRun || in.WallMs >= c.EndMs-b.cfg.RetryMs:
		b.giveBack(in, c)
		return
	case !meterOK || !in.ClockSynced:
		return // soon, maybe
	}
	why := &Choice{RequestID: c.RequestID, Rule: choiceRule, Chosen: choices[0].OfferId, Candidates: quotes}
	c.enter(buyPaying, in.WallMs)
	c.Offer, c.StartWh, c.PaidWh = choices[0].OfferId, register, c.Token.GetVolumeWh()
	b.send(&fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{
		TokenId: c.Token.GetTokenId(), Choices: choices,
		BuyerReading: &fairwattpb.MeterReading{Meter: cfg.Meter, RegisterWh: register, TimeMs: in.WallMs},
	}}}, why)
}

// lot admits a trade that the ledger took of a payment by choices.
func (s *Seller) lot(in SellerInput, v Outcome) {
	l, id := v.Trade.GetLot(), v.Trade.GetTradeId()
	if !v.Applied || v.Height == 0 || v.Trade.GetStatus() != wire.StatusPaid || l.GetSeller() != s.cfg.Device || l.GetVolumeWh() <= 0 || s.trade(id) != nil {
		return
	}
	s.Trades = append(s.Trades, &Sale{
		Delivery: Delivery{TradeID: id, Buyer: l.GetBuyer(), BuyerMeter: l.GetBuyerMeter(), VolumeWh: l.GetVolumeWh()},
		PayID:    append([]byte(nil), l.GetPayId()...), PriceMicroPerKWh: l.GetPriceMicroPerKwh(),
		Phase: sellPaid, SinceWallMs: in.WallMs,
	})
	if l.GetOfferId() == s.OfferID {
		s.OfferWh -= l.GetVolumeWh()
	}
}
