package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fairwatt/aggregator/ledger/slot"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The rules of this file hold on a chain that shares: members ask and bid for slots as in an
// auction, but an order only bounds how much of what a meter counts takes part, and at which
// price at the worst. When a slot is over, what the sellers' meters counted is divided among
// the buyers' by the shares that the centre has said, at the community's price, and paid.
// No one has promised anything, so no one is fined: what a meter does not show is not shared.
//
// The key is the static one. By the dynamic one, which divides by what each consumes, a
// buyer would have more of what is scarce by inventing consumption, at the cost of others;
// by fixed shares it has nothing of it.

// maxShares bounds the shares of a community, which are in one record and one entry.
const maxShares = 500

// SharingTerms are how energy is shared.
type SharingTerms struct {
	PriceMicroPerKWh int64
	Height           uint64 // of the block that holds them
	// Shares are the lines "METER SHARE", a share in 1e-4, ascending by meter.
	Shares string
}

func (s *SharingTerms) fields(c codec) {
	c.i64("price_micro_per_kwh", &s.PriceMicroPerKWh)
	c.u64("height", &s.Height)
	c.str("shares", &s.Shares)
}

// ByMeter returns the share of each meter that has one, in 1e-4.
func (s *SharingTerms) ByMeter() map[string]uint32 {
	out := make(map[string]uint32)
	for line := range strings.Lines(s.Shares) {
		meter, share, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if n, err := strconv.ParseUint(share, 10, 32); err == nil { // as shareBy has written it
			out[meter] = uint32(n)
		}
	}
	return out
}

// SharingTerms returns how energy is shared; false before a centre has said so.
func (s *State) SharingTerms() (SharingTerms, bool) {
	var t SharingTerms
	ok := s.lookup(keyTerms, &t)
	return t, ok
}

func (l *limits) sharing(t *fairwattpb.SharingTerms) {
	l.between("price_micro_per_kwh", t.PriceMicroPerKwh, 1, MaxPriceMicroPerKWh)
	l.between("shares", int64(len(t.Shares)), 1, maxShares)
	left := int64(slot.WholeE4)
	for i, s := range t.Shares {
		l.id("shares.meter", s.GetMeter())
		l.check(i == 0 || s.GetMeter() > t.Shares[i-1].GetMeter(), "shares", "ascending by meter")
		l.between("shares.share_e4", int64(s.GetShareE4()), 1, left)
		left -= int64(s.GetShareE4())
	}
}

// shareBy takes the terms for all slots whose gate has not closed.
func (x *execution) shareBy(t *fairwattpb.SharingTerms) *Refusal {
	terms := SharingTerms{PriceMicroPerKWh: t.PriceMicroPerKwh, Height: x.state.meta.Height + 1}
	// No trade may cost more a kWh: its price would be none.
	if fee := x.state.genesis.Money.feeMax(); terms.PriceMicroPerKWh+fee > MaxPriceMicroPerKWh {
		return refuse(wire.CodePriceWrong, "price_micro_per_kwh: %d, and a fee for the grid of up to %d: together at most %d", t.PriceMicroPerKwh, fee, MaxPriceMicroPerKWh)
	}
	var lines strings.Builder
	for _, s := range t.Shares {
		var m meter
		switch known := x.get(keyMeter+s.Meter, &m); {
		case !known || m.Retired:
			return refuse(wire.CodeMeterUnknown, "shares: meter %q is not registered, or was taken out of use", s.Meter)
		case m.Direction == uint32(fairwattpb.MeterDirection_METER_DIRECTION_EXPORT):
			return refuse(wire.CodeMeterUnknown, "shares: meter %q counts what its owner gives, not what it takes", s.Meter)
		}
		fmt.Fprintf(&lines, "%s %d\n", s.Meter, s.ShareE4)
	}
	terms.Shares = lines.String()
	x.put(keyTerms, &terms)
	return nil
}

// joinSlot says when a slot's gate closes whose orders take part in sharing it. They stand
// until it is over.
func (x *execution) joinSlot(head *Slot) {
	var terms SharingTerms
	known := x.get(keyTerms, &terms)
	shares := terms.ByMeter()
	asks, bids := x.state.standingOrders(head.StartMs)
	var in []SlotOrder
	for _, o := range slices.Concat(asks, bids) {
		why := x.leftOut(&o)
		switch {
		case why != "":
		case !known:
			why = "no centre has said yet how energy is shared"
		default:
			why = x.joins(&o, &terms, shares)
		}
		if why != "" {
			x.leaves(&o, why)
			x.dropOrder(head, &o)
			continue
		}
		in = append(in, o)
	}
	if head.Asks == 0 || head.Bids == 0 {
		for _, o := range in {
			x.leaves(&o, "there is no one on the other side")
			x.dropOrder(head, &o)
		}
		x.remove(slotKey(head.StartMs, slotHead))
		return
	}
	for _, o := range in {
		x.put(orderKey(o.StartMs, o.Buys, o.Meter), &o)
		x.takes(head, o.Sender, o.Meter, !o.Buys)
	}
	head.Shared, head.PriceMicroPerKWh = true, terms.PriceMicroPerKWh
	head.SettleMs = head.StartMs + x.params.SlotMs + x.params.SlotReadingsMs
	x.put(slotKey(head.StartMs, slotHead), head)
	x.putBytes(deadlineKey(head.SettleMs, dueSlot, strconv.FormatInt(head.StartMs, 10)), nil)
}

// joins says why an order cannot be shared at the community's price. One of a seller stands
// for as much as that brings from now on, which may be more than it asked for.
func (x *execution) joins(o *SlotOrder, terms *SharingTerms, shares map[string]uint32) string {
	price := terms.PriceMicroPerKWh + x.state.genesis.Money.feeMax()
	if o.Buys {
		if o.ShareE4 = shares[o.Meter]; o.ShareE4 == 0 {
			return "the meter has no share"
		}
		if o.PriceMicroPerKWh < price {
			return fmt.Sprintf("it bids less than the community's price and fee, %d micro/kWh", price)
		}
		return ""
	}
	if x.params.floor(x.state.genesis.Money, o.PriceMicroPerKWh) > terms.PriceMicroPerKWh {
		return fmt.Sprintf("it asks for more than the community's price leaves it, of %d micro/kWh", terms.PriceMicroPerKWh)
	}
	promised, err := EscrowFor(o.EnergyWh, price)
	if err != nil {
		x.fail(orderKey(o.StartMs, o.Buys, o.Meter), err) // both are bounded
	}
	a := x.faded(o.Sender)
	more := promised - o.PromisedMicro
	if more > 0 && a.ExposureMicro+more > x.params.ExposureLimitMicro(&a) {
		return "bond and credit do not bear it at the community's price"
	}
	a.ExposureMicro += more
	x.put(keyAccount+o.Sender, &a)
	o.PromisedMicro = promised
	return ""
}

// share divides a slot that is over, and pays it.
func (s *settling) share(head *Slot) {
	x := s.x
	asks, bids := x.state.standingOrders(s.startMs)
	exported, wanted, shares := make([]int64, len(asks)), make([]int64, len(bids)), make([]int64, len(bids))
	for i := range asks {
		exported[i] = s.exported(&asks[i])
	}
	left := make(map[string]int64, len(bids)) // of each bid's escrow, by meter
	for i := range bids {
		wanted[i], shares[i] = s.wanted(&bids[i]), int64(bids[i].ShareE4)
		left[bids[i].Meter] = bids[i].escrowMicro()
	}
	pairs, err := slot.Share(exported, wanted, shares)
	if err != nil {
		x.fail(slotName(s.startMs), err)
		return
	}
	for _, o := range slices.Concat(asks, bids) {
		x.remove(orderKey(s.startMs, o.Buys, o.Meter))
		a := x.faded(o.Sender)
		a.ExposureMicro -= o.PromisedMicro
		x.put(keyAccount+o.Sender, &a)
	}
	for _, p := range pairs {
		ask, bid := &asks[p.Ask], &bids[p.Bid]
		t := x.pairUp(head, ask, bid, p.Wh, head.PriceMicroPerKWh+x.feeRate(ask.Sender, bid.Sender), left)
		if t == nil {
			continue
		}
		t.BilledWh, t.AvailableWh, t.SellerMeteredWh, t.BuyerMeteredWh = p.Wh, p.Wh, p.Wh, p.Wh
		x.turn(t, wire.StatusCleared, "", x.dueMs) // paid by the next block, so that max_sweep bounds each
		x.put(keyTrade+t.ID, t)
	}
	for _, o := range bids {
		x.bidBack(&o, left[o.Meter])
	}
	s.forget()
}

// exported is what of a seller's meter is shared: nothing where its gate was not OPEN all the
// while, or its registers are not known.
func (s *settling) exported(o *SlotOrder) int64 {
	s.sides[o.Meter] = 0
	if _, known := s.sellers[o.Sender]; !known {
		s.sellers[o.Sender] = s.x.gateIn(s.startMs, o.Sender)
	}
	wh, heard := s.counted(o.Meter)
	switch {
	case s.sellers[o.Sender].Closed:
		s.x.leaves(o, "the seller's gate was not open all the while")
		return 0
	case !heard:
		s.x.leaves(o, "no readings of its meter in time")
		return 0
	}
	return min(wh, o.EnergyWh)
}

// wanted is what a buyer's meter may have of what is shared, with the loss on the way.
func (s *settling) wanted(o *SlotOrder) int64 {
	s.sides[o.Meter] = 0
	wh, heard := s.counted(o.Meter)
	if !heard {
		s.x.leaves(o, "no readings of its meter in time")
		return 0
	}
	return min(s.x.params.sentFor(wh), o.EnergyWh)
}
