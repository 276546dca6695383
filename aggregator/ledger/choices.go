package ledger

import (
	"fmt"
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The rules of this file hold with answers by the ledger: a buyer pays by choices, and
// has as much of them as there is.

// MaxChoices and MaxLots bound a payment: the offers that it names, and the trades that it
// becomes.
const (
	MaxChoices = 8
	MaxLots    = 4
)

func (l *limits) pay(p *fairwattpb.Pay) {
	l.id("token_id", p.TokenId)
	if len(p.Choices) == 0 {
		l.id("offer_id", p.OfferId)
		l.name("seller", p.Seller)
		l.between("volume_wh", p.VolumeWh, 1, MaxEnergyWh)
		l.between("price_micro_per_kwh", p.PriceMicroPerKwh, 1, MaxPriceMicroPerKWh)
		l.between("amount_micro", p.AmountMicro, 0, MaxMoneyMicro)
		l.reading(p.BuyerReading)
		l.check(len(p.MoreReadings) == 0, "more_readings", "none without choices")
		return
	}
	l.reading(p.BuyerReading)
	one := p.OfferId != "" || p.Seller != "" || p.VolumeWh != 0 || p.PriceMicroPerKwh != 0 || p.AmountMicro != 0
	l.check(!one, "offer_id", "no offer, seller, volume, price and amount beside choices")
	l.check(len(p.Choices) <= MaxChoices, "choices", "at most 8")
	for _, c := range p.Choices {
		l.id("choices.offer_id", c.OfferId)
		l.name("choices.seller", c.Seller)
		l.between("choices.price_micro_per_kwh", c.PriceMicroPerKwh, 1, MaxPriceMicroPerKWh)
		l.between("choices.max_wh", c.MaxWh, 1, MaxEnergyWh)
	}
	l.check(len(p.MoreReadings) < MaxLots, "more_readings", "at most 3")
	for _, r := range p.MoreReadings {
		l.reading(r)
	}
}

// ReasonGivenBack is the reason of a trade whose Token its buyer gave back.
const ReasonGivenBack = "the buyer gave the Token back"

// lotID is the id of a Token's trade: the Token's own of the first lot.
func lotID(token string, lot int) string {
	if lot == 0 {
		return token
	}
	return fmt.Sprintf("%s.%d", token, lot+1)
}

// takable is how much of a choice a Token can have, at most leftWh; 0, and why, for
// nothing. Of a seller with another offer by now it is that one, where it is no dearer.
func (x *execution) takable(t *Trade, c *fairwattpb.Choice, leftWh int64) (o Offer, volumeWh int64, why string) {
	if !x.get(keyOffer+c.Seller, &o) {
		return o, 0, "it offers nothing now"
	}
	if o.PriceMicroPerKWh > min(c.PriceMicroPerKwh, t.MaxPriceMicroPerKWh) {
		return o, 0, "its offer is dearer now"
	}
	volumeWh, _, why = x.forSale(&o, t.Buyer, t.ID)
	if why != "" {
		return o, 0, why
	}
	buyer := x.lookAt(t.Buyer)
	volumeWh = x.params.bears(&buyer, min(volumeWh, c.MaxWh, leftWh), o.PriceMicroPerKWh)
	if volumeWh < x.leastOf(&o) || volumeWh*o.PriceMicroPerKWh < 1000 {
		return o, 0, "too little is left for a lot"
	}
	return o, volumeWh, ""
}

// A choosing is a payment by choices half way.
type choosing struct {
	token   *Trade
	choices []*fairwattpb.Choice // not looked at yet
	passed  []string             // of those that were, which could not be taken, and why
	leftWh  int64
	lots    []*Trade
}

// takeLot makes one lot of the next choice that can be taken, measured by a meter of the
// buyer, and tells whether there was one.
func (x *execution) takeLot(c *choosing, r *fairwattpb.MeterReading) bool {
	for len(c.choices) > 0 {
		choice := c.choices[0]
		c.choices = c.choices[1:]
		o, volume, why := x.takable(c.token, choice, c.leftWh)
		if why != "" {
			c.passed = append(c.passed, choice.Seller+": "+why)
			continue
		}
		t := c.token
		amount := volume * o.PriceMicroPerKWh / 1000 // rounded down: all lots fit the escrow
		if n := len(c.lots); n > 0 {
			t = &Trade{
				ID: lotID(c.token.ID, n), Buyer: t.Buyer, RequestID: t.RequestID, TokenVolumeWh: c.leftWh,
				MaxPriceMicroPerKWh: t.MaxPriceMicroPerKWh, OpenedMs: x.timeMs,
			}
			x.toLot(c.token, t, o.Seller, amount)
		}
		t.Seller, t.OfferID, t.VolumeWh, t.PriceMicroPerKWh = o.Seller, o.ID, volume, o.PriceMicroPerKWh
		t.PayID = string(x.record.ID[:])
		t.BuyerMeter, t.BuyerStartWh = r.Meter, r.RegisterWh
		if x.params.robust() {
			x.expose(t, x.promised(t)) // no more than both bear: see takable
		}
		x.putBytes(keySelling+o.Seller, []byte(t.ID))
		if o.VolumeWh -= volume; o.VolumeWh >= x.leastOf(&o) {
			x.put(keyOffer+o.Seller, &o)
		} else {
			x.withdraw(o.Seller)
		}
		c.leftWh -= volume
		c.lots = append(c.lots, t)
		return true
	}
	return false
}

// toLot moves money of a Token into another trade that is paid with it.
func (x *execution) toLot(token, t *Trade, seller string, amountMicro int64) {
	token.EscrowMicro -= amountMicro
	t.EscrowMicro += amountMicro
	x.move(Move{Who: t.Buyer, What: MoveLot, Trade: token.ID, Other: seller, EscrowMicro: -amountMicro})
	x.move(Move{Who: t.Buyer, What: MoveLot, Trade: t.ID, Other: seller, EscrowMicro: amountMicro})
}

// choose pays by choices: each meter of the buyer that is free measures one lot, and what
// is left of the Token goes back at once. A choice that cannot be taken is passed over.
func (x *execution) choose(t *Trade, p *fairwattpb.Pay) *Refusal {
	c := &choosing{token: t, choices: p.Choices, leftWh: t.TokenVolumeWh}
	var busy *Refusal
	meters := append([]*fairwattpb.MeterReading{p.BuyerReading}, p.MoreReadings...)
	for _, m := range meters {
		if c.leftWh == 0 || len(c.choices) == 0 {
			break
		}
		lot := lotID(t.ID, len(c.lots))
		if r := x.readMeter(t.Buyer, lot, false, m); r != nil {
			if r.Code != wire.CodeMeterBusy {
				return r // what it says of its meter is wrong
			}
			busy = r
			continue
		}
		if !x.takeLot(c, m) {
			x.releaseMeter(m.Meter, lot)
		}
	}
	if len(c.lots) == 0 && busy != nil && len(c.passed) == 0 {
		return busy
	}
	if len(c.lots) == 0 {
		return refuse(wire.CodeNoneTaken, "choices: none can be taken: %s", strings.Join(c.passed, "; "))
	}
	x.letGo(t)
	if x.has(keyLapsed + t.Buyer) {
		x.remove(keyLapsed + t.Buyer)
	}
	x.giveBack(t, t.EscrowMicro-t.VolumeWh*t.PriceMicroPerKWh/1000)
	reason := ""
	if len(c.passed) > 0 {
		reason = "passed over: " + strings.Join(c.passed, "; ")
	}
	for _, lot := range c.lots {
		x.turn(lot, wire.StatusPaid, reason, x.timeMs+x.params.StartByMs)
		x.put(keyTrade+lot.ID, lot)
		text := fmt.Sprintf("%d Wh at %d micro/kWh", lot.VolumeWh, lot.PriceMicroPerKWh)
		if reason != "" {
			text += "; " + reason
		}
		x.step(Step{Who: lot.Buyer, Other: lot.Seller, Kind: StepChose, Trade: lot.ID, AmountMicro: lot.EscrowMicro, Text: text})
	}
	return nil
}

// freeSeller frees a seller for another buyer when its part of a trade is over.
func (x *execution) freeSeller(t *Trade) {
	if id, ok := x.bytes(keySelling + t.Seller); ok && string(id) == t.ID {
		x.remove(keySelling + t.Seller)
	}
}

// release gives a Token back that its buyer has no use for.
func (x *execution) release(buyer string, b *fairwattpb.Release) *Refusal {
	t, r := x.trade(b.TokenId, buyer, "buyer")
	if r == nil {
		r = t.in(wire.StatusEscrowed)
	}
	if r != nil {
		return r
	}
	x.letGo(t)
	x.giveBack(t, t.EscrowMicro)
	x.turn(t, wire.StatusRefunded, ReasonGivenBack, 0)
	x.put(keyTrade+t.ID, t)
	return nil
}
