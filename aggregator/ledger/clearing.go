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
	if x.params.sharing() {
		x.joinSlot(&c.head)
		return
	}
	asks, bids := x.state.standingOrders(startMs)
	for _, o := range slices.Concat(asks, bids) {
		if why := x.leftOut(&o); why != "" {
			x.leaves(&o, why)
		} else if o.Buys {
			c.bids = append(c.bids, o)
		} else {
			c.asks = append(c.asks, o)
		}
	}
	c.feeMax = x.state.genesis.Money.feeMax()
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

// leaves tells that an order takes no part, or has none of what was divided.
func (x *execution) leaves(o *SlotOrder, why string) {
	x.step(Step{Who: o.Sender, Kind: StepLeftOut, Text: fmt.Sprintf("its order of %d Wh on meter %s: %s", o.EnergyWh, o.Meter, why)})
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
	fee, left := m.feeMax(), 10_000-m.LevyE4
	return ((ask+fee)*10_000+left-1)/left - fee
}

// feeMax is the greatest fee for the grid of a kWh; nil has none.
func (m *Money) feeMax() int64 {
	if m == nil {
		return 0
	}
	return max(m.FeeMicroPerKWh, m.FeeBetweenMicroPerKWh)
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
				x.leaves(&o, "bond and credit do not bear it at the slot's price")
			}
			return over
		})
		if len(c.asks) == n || x.err != nil {
			return
		}
	}
}

// trade makes the trades.
func (c *clearing) trade(left map[string]int64) {
	x, end := c.x, c.head.StartMs+c.x.params.SlotMs
	c.head.SettleMs = end + x.params.SlotReadingsMs
	for i, pair := range c.out.Trades {
		if t := x.pairUp(&c.head, &c.asks[pair.Ask], &c.bids[pair.Bid], pair.Wh, c.prices[i], left); t != nil {
			x.turn(t, wire.StatusCleared, "", c.head.SettleMs)
			x.put(keyTrade+t.ID, t)
			x.takes(&c.head, t.Seller, t.SellerMeter, true)
			x.takes(&c.head, t.Buyer, t.BuyerMeter, false)
		}
	}
}

// pairUp makes a trade of two orders, its money out of what is left of the bid's escrow. Two
// orders of one member make none: both lose it, and no one else does.
func (x *execution) pairUp(head *Slot, ask, bid *SlotOrder, wh, price int64, left map[string]int64) *Trade {
	amount := wh * price / 1000 // rounded down: all fit the bid's escrow
	if ask.Sender == bid.Sender || amount < 1 {
		why := "it would trade with itself"
		if ask.Sender != bid.Sender {
			why = "it would cost nothing"
		}
		x.step(Step{Who: ask.Sender, Other: bid.Sender, Kind: StepLeftOut, Text: fmt.Sprintf("%d Wh of meter %s for meter %s: %s", wh, ask.Meter, bid.Meter, why)})
		return nil
	}
	head.Trades++
	head.EnergyWh += wh
	t := &Trade{
		ID: SlotTradeID(head.StartMs, int(head.Trades)), Buyer: bid.Sender, Seller: ask.Sender, TokenVolumeWh: wh,
		MaxPriceMicroPerKWh: bid.PriceMicroPerKWh, VolumeWh: wh, PriceMicroPerKWh: price, EscrowMicro: amount,
		OpenedMs: x.timeMs, SellerMeter: ask.Meter, BuyerMeter: bid.Meter,
	}
	left[bid.Meter] -= amount
	x.move(Move{Who: t.Buyer, What: MoveLot, Trade: slotName(head.StartMs), Other: t.Seller, EscrowMicro: -amount})
	x.move(Move{Who: t.Buyer, What: MoveLot, Trade: t.ID, Other: t.Seller, EscrowMicro: amount})
	x.expose(t, x.promised(t))
	for _, who := range [][2]string{{t.Seller, t.Buyer}, {t.Buyer, t.Seller}} {
		x.step(Step{Who: who[0], Other: who[1], Kind: StepCleared, Trade: t.ID, AmountMicro: amount, Text: fmt.Sprintf("%d Wh at %d micro/kWh", t.VolumeWh, t.PriceMicroPerKWh)})
	}
	return t
}

// takes notes that a meter trades in the slot: it measures nothing else until that is settled.
func (x *execution) takes(head *Slot, owner, meter string, sells bool) {
	startMs := head.StartMs
	if key := slotKey(startMs, slotMeters+meter); !x.has(key) {
		x.put(key, &SlotMeter{Meter: meter, Owner: owner})
		x.putBytes(keySlotted+meter, startsBytes(startMs))
		head.Waiting += 2
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
