package ledger

import (
	"fmt"
	"slices"
	"strconv"

	"fairwatt/aggregator/ledger/slot"
	"fairwatt/proto/wire"
)

// A clearing is the matching of a slot's orders.
type clearing struct {
	x          *execution
	head       Slot
	asks, bids []SlotOrder // that take part
	feeMax     int64       // the greatest fee for the grid
	out        slot.Clearing
	prices     []int64 // of each trade, with the fee of its pair
}

// clearSlot matches the orders of a slot when its gate closes. One deadline does all of it: a price
// for all needs all orders at once, and there are at most [MaxSlotOrders]. In a block that comes so late that
// the slot has begun, nothing is traded, since no one could know what to deliver.
func (x *execution) clearSlot(id string) {
	startMs, err := strconv.ParseInt(id, 10, 64)
	c := &clearing{x: x}
	if err != nil || !x.get(slotKey(startMs, slotHead), &c.head) {
		x.fail(slotName(startMs), fmt.Errorf("a gate closes of no slot: %v", err))
		return
	}
	asks, bids := x.state.standingOrders(startMs)
	for _, o := range slices.Concat(asks, bids) {
		if why := x.leftOut(&o); why != "" {
			x.step(Step{Who: o.Sender, Kind: StepLeftOut, Text: fmt.Sprintf("its order of %d Wh on meter %s: %s", o.EnergyWh, o.Meter, why)})
		} else if o.Buys {
			c.bids = append(c.bids, o)
		} else {
			c.asks = append(c.asks, o)
		}
	}
	if m := x.state.genesis.Money; m != nil {
		c.feeMax = max(m.FeeMicroPerKWh, m.FeeBetweenMicroPerKWh)
	}
	c.match()
	left := make(map[string]int64, len(bids)) // of each bid's escrow, by meter
	for _, o := range slices.Concat(asks, bids) {
		x.remove(orderKey(startMs, o.Buys, o.Meter))
		a := x.faded(o.Sender)
		a.ExposureMicro -= o.PromisedMicro
		x.put(keyAccount+o.Sender, &a)
		left[o.Meter] = o.escrowMicro()
	}
	c.trade(left)
	for _, o := range bids {
		x.bidBack(&o, left[o.Meter])
	}
	c.keep()
}

// leftOut says why an order takes no part in the clearing.
func (x *execution) leftOut(o *SlotOrder) string {
	p, _ := x.participant(o.Sender)
	a := x.lookAt(o.Sender)
	var m meter
	x.get(keyMeter+o.Meter, &m)
	switch {
	case x.timeMs >= o.StartMs:
		return "no block came before the slot began"
	case p.Standing != Active || o.Buys && !p.Buyer || !o.Buys && !p.Seller:
		return "its member takes no part now"
	case !mayTrade(&a):
		return "its member may not trade now"
	case m.Retired:
		return "the meter was taken out of use"
	case m.Trade != "":
		return "the meter measures trade " + m.Trade
	case !o.Buys && !x.isOpen(o.Sender):
		return "the gate is not open"
	case !o.Buys && x.params.floor(x.state.genesis.Money, o.PriceMicroPerKWh) > MaxPriceMicroPerKWh:
		return "no price leaves the seller so much"
	}
	return ""
}

// floor is the least price at which a seller is left with what it asks, after the greatest fee for
// the grid and the levy. The buyer pays the fee above the price.
func (p *Params) floor(m *Money, ask int64) int64 {
	if m == nil {
		return ask
	}
	fee, left := max(m.FeeMicroPerKWh, m.FeeBetweenMicroPerKWh), 10_000-m.LevyE4
	return ((ask+fee)*10_000+left-1)/left - fee
}

// match finds price and trades. The price may be more than a seller asked, and then its promise is
// worth more: one whose bond and credit do not bear it is left out, and the others are matched
// anew. Without it the price only rises, so no one is left out that need not be.
func (c *clearing) match() {
	x := c.x
	for {
		asks, bids := make([]slot.Order, len(c.asks)), make([]slot.Order, len(c.bids))
		for i, o := range c.asks {
			asks[i] = slot.Order{ID: o.Meter, Height: o.Height, PriceMicroPerKWh: x.params.floor(x.state.genesis.Money, o.PriceMicroPerKWh), Wh: o.EnergyWh}
		}
		for i, o := range c.bids {
			bids[i] = slot.Order{ID: o.Meter, Height: o.Height, PriceMicroPerKWh: o.PriceMicroPerKWh, Wh: o.EnergyWh}
		}
		var err error
		if c.out, err = slot.Clear(asks, bids, c.feeMax); err != nil {
			x.fail(slotName(c.head.StartMs), err)
			return
		}
		more := make(map[string]int64) // what each seller promises more than with its asks
		for _, o := range c.asks {
			more[o.Sender] -= o.PromisedMicro
		}
		c.prices = make([]int64, len(c.out.Trades))
		for i, t := range c.out.Trades {
			ask, bid := &c.asks[t.Ask], &c.bids[t.Bid]
			c.prices[i] = c.out.PriceMicroPerKWh + x.feeRate(ask.Sender, bid.Sender)
			amount, err := BillAmount(t.Wh, c.prices[i])
			if err != nil {
				x.fail(slotName(c.head.StartMs), err)
			}
			more[ask.Sender] += amount
		}
		n := len(c.asks)
		c.asks = slices.DeleteFunc(c.asks, func(o SlotOrder) bool {
			a := x.lookAt(o.Sender)
			over := more[o.Sender] > 0 && a.ExposureMicro+more[o.Sender] > x.params.ExposureLimitMicro(&a)
			if over {
				x.step(Step{Who: o.Sender, Kind: StepLeftOut, Text: fmt.Sprintf("its order of %d Wh on meter %s: bond and credit do not bear it at the slot's price", o.EnergyWh, o.Meter)})
			}
			return over
		})
		if len(c.asks) == n || x.err != nil {
			return
		}
	}
}

// trade makes the trades. Two orders of one member make none: both lose it, and no one else does.
func (c *clearing) trade(left map[string]int64) {
	x, end := c.x, c.head.StartMs+c.x.params.SlotMs
	c.head.SettleMs = end + x.params.SlotReadingsMs
	for i, pair := range c.out.Trades {
		ask, bid := &c.asks[pair.Ask], &c.bids[pair.Bid]
		amount := pair.Wh * c.prices[i] / 1000 // rounded down: all fit the bid's escrow
		if ask.Sender == bid.Sender || amount < 1 {
			why := "it would trade with itself"
			if ask.Sender != bid.Sender {
				why = "it would cost nothing"
			}
			x.step(Step{Who: ask.Sender, Other: bid.Sender, Kind: StepLeftOut, Text: fmt.Sprintf("%d Wh of meter %s for meter %s: %s", pair.Wh, ask.Meter, bid.Meter, why)})
			continue
		}
		c.head.Trades++
		c.head.EnergyWh += pair.Wh
		t := &Trade{
			ID: SlotTradeID(c.head.StartMs, int(c.head.Trades)), Buyer: bid.Sender, Seller: ask.Sender, TokenVolumeWh: pair.Wh,
			MaxPriceMicroPerKWh: bid.PriceMicroPerKWh, VolumeWh: pair.Wh, PriceMicroPerKWh: c.prices[i], EscrowMicro: amount,
			OpenedMs: x.timeMs, SellerMeter: ask.Meter, BuyerMeter: bid.Meter,
		}
		left[bid.Meter] -= amount
		x.move(Move{Who: t.Buyer, What: MoveLot, Trade: slotName(c.head.StartMs), Other: t.Seller, EscrowMicro: -amount})
		x.move(Move{Who: t.Buyer, What: MoveLot, Trade: t.ID, Other: t.Seller, EscrowMicro: amount})
		x.expose(t, x.promised(t))
		x.turn(t, wire.StatusCleared, "", c.head.SettleMs)
		x.put(keyTrade+t.ID, t)
		for _, who := range [][2]string{{t.Seller, t.Buyer}, {t.Buyer, t.Seller}} {
			x.step(Step{Who: who[0], Other: who[1], Kind: StepCleared, Trade: t.ID, AmountMicro: amount, Text: fmt.Sprintf("%d Wh at %d micro/kWh", t.VolumeWh, t.PriceMicroPerKWh)})
		}
		c.takes(t.Seller, t.SellerMeter, true)
		c.takes(t.Buyer, t.BuyerMeter, false)
	}
}

// takes notes that a meter trades in the slot: it measures nothing else until that is settled.
func (c *clearing) takes(owner, meter string, sells bool) {
	x, startMs := c.x, c.head.StartMs
	if key := slotKey(startMs, slotMeters+meter); !x.has(key) {
		x.put(key, &SlotMeter{Meter: meter, Owner: owner})
		x.putBytes(keySlotted+meter, startsBytes(startMs))
		c.head.Waiting += 2
	}
	if key := slotKey(startMs, slotGate+owner); sells && !x.has(key) {
		x.put(key, &slotSeller{})
		x.putBytes(keyInSlots+owner, startsBytes(append(starts(x.bytes(keyInSlots+owner)), startMs)...))
	}
}

// keep keeps what the slot's settlement needs, or nothing where nothing is traded.
func (c *clearing) keep() {
	x, key := c.x, slotKey(c.head.StartMs, slotHead)
	c.head.Asks, c.head.Bids = 0, 0
	if c.head.Trades == 0 {
		x.remove(key)
		return
	}
	c.head.PriceMicroPerKWh = c.out.PriceMicroPerKWh
	x.put(key, &c.head)
	x.putBytes(deadlineKey(c.head.SettleMs, dueSlot, strconv.FormatInt(c.head.StartMs, 10)), nil)
}

// feeRate is the fee for the grid of a kWh between two members.
func (x *execution) feeRate(seller, buyer string) int64 {
	m := x.state.genesis.Money
	if m == nil {
		return 0
	}
	s, known := x.participant(seller)
	b, too := x.participant(buyer)
	if known && too && s.Site != b.Site {
		return m.FeeBetweenMicroPerKWh
	}
	return m.FeeMicroPerKWh
}
