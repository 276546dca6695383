package trade

import (
	"cmp"
	"maps"
	"slices"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// AuctionConfig is a device's share in an auction of slots. All times are of the wall
// clock.
type AuctionConfig struct {
	Device        string
	SlotMs        int64
	GateClosureMs int64 // so long before its begin no order for a slot is taken
	ReadingsMs    int64 // so long behind a border its reading is taken
	MinLotWh      int64 // the chain's smallest order
	RetryMs       int64 // between attempts at a refused record
	// Shared: what comes is divided when a slot is over, so an order promises nothing. It says
	// how much takes part at most.
	Shared bool
	Places []Place
}

// A Place is a meter at which energy is sold or bought.
type Place struct {
	Side             string // wire.SideSell or wire.SideBuy
	Meter            string // its id on the chain; no two places have the same
	MinWh, MaxWh     int64  // of an order for one slot
	PriceMicroPerKWh int64  // the least, or the most where it buys
	// Care is in how many of its last eight slots, 0 to 8, a seller would have delivered what it
	// asks for: it keeps back as much as that needs.
	Care int
}

// AuctionInput is what the auction's side of a device sees at one step.
type AuctionInput struct {
	SensingMs, WallMs int64
	ClockSynced       bool // without it nothing is sent
	GateOpen          bool
	NoOrders          bool // finish what runs, begin nothing
	// Registers are in Wh, by the meter's id; a missing one cannot be read.
	Registers  map[string]int64
	ExpectedWh int64 // what the generator gives in one slot, if its power stays as it is
	Outcomes   []Outcome
	// Terms are the owner's for a side, at the hour in which a slot begins. Nil wants what is
	// configured.
	Terms       func(side string, slotStartMs int64) Terms
	Day         int64  // number of the local day
	WalletMicro *int64 // nil: not known
}

// The phases of an order.
const (
	orderSent     = "sent"     // no one has answered yet
	orderStanding = "standing" // on the chain
	orderRefused  = "refused"  // tried again, a few times
	orderBack     = "back"     // taken back; none is made for that slot again
	orderDry      = "dry_run"  // would have been made
	orderNoTrade  = "no_trade" // the chain made no trade of it
)

// An Order is what the device asks or bids for one slot at one meter.
type Order struct {
	Side             string `json:"side"`
	Meter            string `json:"meter"`
	StartMs          int64  `json:"start_ms"`            // of the slot
	Wh               int64  `json:"wh"`                  // of the newest record
	StandsWh         int64  `json:"stands_wh,omitempty"` // on the chain
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
	Phase            string `json:"phase"`
	Tries            int    `json:"tries"` // records so far
	RetryWallMs      int64  `json:"retry_wall_ms,omitempty"`
}

// binds says whether an order may have become a trade.
func (o *Order) binds() bool { return o.Phase == orderSent || o.StandsWh > 0 }

// A Border is what a meter showed where one slot ends and the next begins, until the chain
// has it.
type Border struct {
	Meter       string `json:"meter"`
	TimeMs      int64  `json:"time_ms"`
	RegisterWh  int64  `json:"register_wh"`
	Sent        bool   `json:"sent,omitempty"`
	Tries       int    `json:"tries,omitempty"`
	RetryWallMs int64  `json:"retry_wall_ms,omitempty"`
}

// A Deal is a trade that a clearing made of an order of this device.
type Deal struct {
	TradeID          string `json:"trade_id"`
	Side             string `json:"side"`
	With             string `json:"with"`
	Meter            string `json:"meter"`    // this device's
	StartMs          int64  `json:"start_ms"` // of the slot
	VolumeWh         int64  `json:"volume_wh"`
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
}

// Counted is what a meter counted in slots that are over.
type Counted struct {
	BorderMs   int64   `json:"border_ms"` // the newest that was seen
	RegisterWh int64   `json:"register_wh"`
	SlotsWh    []int64 `json:"slots_wh,omitempty"` // up to that border, the newest last
	// Of a seller: what it foresees, and by how much less came in its last slots.
	Foreseen []Foreseen `json:"foreseen,omitempty"`
	ShortWh  []int64    `json:"short_wh,omitempty"`
}

const (
	// slotsAhead is for how many slots orders stand at once.
	slotsAhead = 2
	// slotsCounted is by how many slots the next ones are foreseen.
	slotsCounted = 2
	maxTries     = 5
	// askedE4 is the part of what is foreseen that a seller asks for: what falls short is
	// fined, what is left over is paid by its supplier.
	askedE4  = 9_000
	maxDeals = 4096
	// dealGraceMs is how long behind its due time the end of a trade may be told.
	dealGraceMs = 600_000
	// maxLeadMs bounds how long before the gate closure the last order for a slot is sent.
	maxLeadMs = 10_000
)

// An Auction is a device's side of an auction of slots as a state machine: no clock, no
// I/O. Its exported fields are its whole state, kept by the agent in the same transaction
// as the records it asks for.
type Auction struct {
	cfg AuctionConfig

	Orders  []*Order            `json:"orders,omitempty"`
	Borders []*Border           `json:"borders,omitempty"`
	Deals   []*Deal             `json:"deals,omitempty"`
	Meters  map[string]*Counted `json:"meters,omitempty"`
	Sold    Day                 `json:"sold,omitzero"`   // paid for today
	Bought  Day                 `json:"bought,omitzero"` // likewise
	Outlook outlook             `json:"outlook"`

	last   map[string]seen // the newest reading of each meter in this run
	before map[string]seen // likewise, before the newest step
	out    []Action
}

// seen is what a meter showed at a moment.
type seen struct{ ms, wh int64 }

// NewAuction returns one without orders; unmarshal a kept state into it.
func NewAuction(cfg AuctionConfig) *Auction {
	return &Auction{cfg: cfg, Meters: make(map[string]*Counted), last: make(map[string]seen)}
}

// Undo takes over what an earlier machine of this run had seen of the meters before its
// newest step, which was not kept.
func (a *Auction) Undo(earlier *Auction) { a.last = earlier.before }

// Step takes what happened and returns what to do, in order.
func (a *Auction) Step(in AuctionInput) []Action {
	a.out, a.before = nil, maps.Clone(a.last)
	a.Sold.turn(in.Day, in.ClockSynced)
	a.Bought.turn(in.Day, in.ClockSynced)
	for _, v := range in.Outcomes {
		a.outcome(in, v)
	}
	a.Outlook.step(in.SensingMs, a.cfg.SlotMs, in.ExpectedWh)
	if !in.ClockSynced { // a border would be at another moment
		clear(a.last)
		return a.out
	}
	for i := range a.cfg.Places {
		a.look(in, a.cfg.Places[i].Meter)
	}
	a.forget(in.WallMs)
	for i := range a.cfg.Places {
		a.place(in, &a.cfg.Places[i])
	}
	a.read(in)
	return a.out
}

func (a *Auction) send(record *fairwattpb.Record) { a.out = append(a.out, Action{Record: record}) }

// find returns the order of a meter for a slot; nil for none.
func (a *Auction) find(meter string, startMs int64) *Order {
	for _, o := range a.Orders {
		if o.Meter == meter && o.StartMs == startMs {
			return o
		}
	}
	return nil
}

// outcome takes one outcome.
func (a *Auction) outcome(in AuctionInput, v Outcome) {
	if v.Own {
		switch body := v.Record.GetBody().(type) {
		case *fairwattpb.Record_Ask:
			a.answered(in, v, a.find(body.Ask.GetMeter(), body.Ask.GetSlotStartMs()))
		case *fairwattpb.Record_Bid:
			a.answered(in, v, a.find(body.Bid.GetMeter(), body.Bid.GetSlotStartMs()))
		case *fairwattpb.Record_SlotReading:
			for _, r := range body.SlotReading.GetReadings() {
				a.readTaken(in, v, r)
			}
		}
	}
	if v.Trade != nil {
		a.deal(v)
	}
}

// answered notes what became of the newest record of an order. Where it was refused, what
// stood before still stands.
func (a *Auction) answered(in AuctionInput, v Outcome, o *Order) {
	switch {
	case o == nil || o.Phase != orderSent:
	case v.Applied:
		o.Phase, o.StandsWh = orderStanding, o.Wh
		if o.Wh == 0 {
			o.Phase = orderBack
		}
	default:
		o.Phase, o.Wh, o.RetryWallMs = orderStanding, o.StandsWh, in.WallMs+a.cfg.RetryMs
		if o.StandsWh == 0 {
			o.Phase = orderRefused
		}
	}
}

func (a *Auction) readTaken(in AuctionInput, v Outcome, r *fairwattpb.MeterReading) {
	i := slices.IndexFunc(a.Borders, func(b *Border) bool { return b.Meter == r.GetMeter() && b.TimeMs == r.GetTimeMs() })
	if i < 0 {
		return
	}
	b := a.Borders[i]
	if !v.Applied && v.Code == wire.CodeSlotUnknown {
		// When a slot has begun no trade is made in it any more: none of its orders became one.
		for _, o := range a.beside(b) {
			o.Phase, o.StandsWh = orderNoTrade, 0
		}
		b.Tries = maxTries
	}
	if b.Tries++; v.Applied || v.Code == wire.CodeReadingExists || b.Tries >= maxTries {
		a.Borders = slices.Delete(a.Borders, i, i+1)
		return
	}
	b.Sent, b.RetryWallMs = false, in.WallMs+a.cfg.RetryMs
}

// deal follows the trades that clearings make of this device's orders.
func (a *Auction) deal(v Outcome) {
	n := v.Trade
	i := slices.IndexFunc(a.Deals, func(d *Deal) bool { return d.TradeID == n.GetTradeId() })
	lot := n.GetLot()
	if i < 0 && n.GetStatus() == wire.StatusCleared && len(a.Deals) < maxDeals {
		d := &Deal{TradeID: n.GetTradeId(), StartMs: lot.GetSlotStartMs(), VolumeWh: lot.GetVolumeWh(), PriceMicroPerKWh: lot.GetPriceMicroPerKwh()}
		switch a.cfg.Device {
		case lot.GetSeller():
			d.Side, d.With, d.Meter = wire.SideSell, lot.GetBuyer(), lot.GetSellerMeter()
		case lot.GetBuyer():
			d.Side, d.With, d.Meter = wire.SideBuy, lot.GetSeller(), lot.GetBuyerMeter()
		default:
			return
		}
		a.Deals = append(a.Deals, d)
	}
	if i < 0 || !wire.Ended(n.GetStatus()) {
		return
	}
	d := a.Deals[i]
	a.Deals = slices.Delete(a.Deals, i, i+1)
	e := ended(v, d.Side, d.With, d.VolumeWh, d.PriceMicroPerKWh)
	a.today(d.Side).Wh += e.EnergyWh
	a.out = append(a.out, Action{Ended: e})
}

func (a *Auction) today(side string) *Day {
	if side == wire.SideSell {
		return &a.Sold
	}
	return &a.Bought
}

// look takes the reading of a meter, and what it showed at a border that has passed since
// the last one. Between two readings around a border the meter is taken to have run
// evenly. They are a quarter of a slot apart at most, or no one knows the border's.
func (a *Auction) look(in AuctionInput, meter string) {
	wh, ok := in.Registers[meter]
	if !ok {
		return // the last reading is still the last
	}
	before := a.last[meter] // long ago, where there is none
	a.last[meter] = seen{in.WallMs, wh}
	border := in.WallMs - in.WallMs%a.cfg.SlotMs
	ran := in.WallMs - before.ms
	switch {
	case in.WallMs == border:
	case before.ms > border || ran > a.cfg.SlotMs/4 || wh < before.wh:
		return
	default:
		// A rise is cut so that no product leaves 64 bits: slots are an hour at most.
		wh = before.wh + min(wh-before.wh, 1<<40)*(border-before.ms)/ran
	}
	a.border(meter, border, wh)
}

// border takes what a meter showed at a border.
func (a *Auction) border(meter string, ms, wh int64) {
	c := a.Meters[meter]
	switch {
	case c == nil:
		c = &Counted{}
		a.Meters[meter] = c
	case c.BorderMs == ms:
		return
	case c.BorderMs == ms-a.cfg.SlotMs && wh >= c.RegisterWh:
		c.SlotsWh = append(c.SlotsWh, wh-c.RegisterWh)
		c.SlotsWh = c.SlotsWh[max(0, len(c.SlotsWh)-slotsCounted):]
		c.came(c.BorderMs, wh-c.RegisterWh)
	default:
		c.SlotsWh = nil
	}
	c.BorderMs, c.RegisterWh = ms, wh
	c.over(ms)
	if b := (&Border{Meter: meter, TimeMs: ms, RegisterWh: wh}); a.awaited(b) {
		a.Borders = append(a.Borders, b)
	}
}

// forget drops what no record can change any more.
func (a *Auction) forget(nowMs int64) {
	over := func(endMs int64) bool { return nowMs-endMs > a.cfg.ReadingsMs }
	a.Orders = slices.DeleteFunc(a.Orders, func(o *Order) bool { return over(o.StartMs + a.cfg.SlotMs) })
	a.Borders = slices.DeleteFunc(a.Borders, func(b *Border) bool { return over(b.TimeMs) })
	// A trade ends with its slot's readings. One whose end was never told is not waited for.
	a.Deals = slices.DeleteFunc(a.Deals, func(d *Deal) bool { return over(d.StartMs + a.cfg.SlotMs + dealGraceMs) })
}

// place orders for the next slots at one meter, once for each, and takes back what no
// longer holds.
func (a *Auction) place(in AuctionInput, p *Place) {
	lead := min(a.cfg.SlotMs/20, maxLeadMs)
	closed := in.WallMs + a.cfg.GateClosureMs + lead // slots that begin until then are closed
	first := closed - closed%a.cfg.SlotMs + a.cfg.SlotMs
	for start := first; start < first+slotsAhead*a.cfg.SlotMs; start += a.cfg.SlotMs {
		o, terms := a.find(p.Meter, start), in.terms(p.Side, start)
		if c := a.Meters[p.Meter]; c != nil && p.Side == wire.SideSell {
			c.foresee(start, a.expected(in, p))
		}
		wh := a.wanted(in, p, terms, o)
		switch {
		case o == nil && wh > 0:
			o = &Order{Side: p.Side, Meter: p.Meter, StartMs: start}
			a.Orders = append(a.Orders, o)
			a.order(terms, p, o, wh)
		case o == nil || o.Phase == orderSent || o.Tries >= maxTries || in.WallMs < o.RetryWallMs:
		case o.Phase == orderRefused && wh > 0:
			a.order(terms, p, o, wh)
		case wh < o.Wh-o.Wh/10:
			// Less is to be had than was thought, the gate has closed, or the owner wants none.
			a.order(terms, p, o, wh)
		}
	}
}

func (in *AuctionInput) terms(side string, startMs int64) Terms {
	if in.Terms == nil {
		return Terms{}
	}
	return in.Terms(side, startMs)
}

// wanted is how much is ordered for one slot: 0 for nothing. But is the order for that slot
// itself, nil for none.
func (a *Auction) wanted(in AuctionInput, p *Place, t Terms, but *Order) int64 {
	if t.Stop || in.NoOrders || t.DryRun && but != nil {
		return 0
	}
	wh := a.foreseen(p.Meter)
	switch {
	case p.Side == wire.SideSell && !in.GateOpen:
		return 0
	case a.cfg.Shared:
		wh = a.sharable(in, p, t)
	case p.Side == wire.SideSell:
		wh = a.forSale(in, p, t)
	}
	if _, ok := in.Registers[p.Meter]; !ok {
		return 0 // who cannot read its meter will not be believed
	}
	wh = min(wh, p.MaxWh)
	if t.DailyWh > 0 {
		wh = min(wh, t.DailyWh-a.today(p.Side).Wh-a.promised(p.Side, but))
	}
	stands := but != nil && but.StandsWh > 0 // its money has left the wallet
	if p.Side == wire.SideBuy && t.ReserveMicro > 0 && !stands && !a.leaves(in, t, AmountMicro(max(wh, 0), price(t, p))+1) {
		return 0
	}
	if wh < max(p.MinWh, a.cfg.MinLotWh, 1) {
		return 0
	}
	return wh
}

// foreseen is the least that a meter counted in one of the last slots; -1 where none is
// known. Less than that is not likely in the next ones, and more is not promised.
func (a *Auction) foreseen(meter string) int64 {
	if c := a.Meters[meter]; c != nil && len(c.SlotsWh) > 0 {
		return slices.Min(c.SlotsWh)
	}
	return -1
}

// expected is what a seller's meter is thought to count in one of the next slots.
func (a *Auction) expected(in AuctionInput, p *Place) int64 {
	power := a.Outlook.promise(in.ExpectedWh)
	if wh := a.foreseen(p.Meter); wh >= 0 {
		return min(wh, power)
	}
	return power
}

// forSale is how much of what is expected a seller asks for: a tenth less, or what its care
// keeps back where that is more.
func (a *Auction) forSale(in AuctionInput, p *Place, t Terms) int64 {
	reserved := t.ReserveW * a.cfg.SlotMs / 3_600_000
	wh, back := min(a.expected(in, p), a.Outlook.promise(in.ExpectedWh)-reserved), int64(0)
	if c := a.Meters[p.Meter]; c != nil {
		back = c.keptBack(p.Care)
	}
	return min(wh*askedE4/10_000, wh-back)
}

// sharable is how much of what a meter will count takes part: twice the most of the last slots,
// or of a generator's power, since nothing is promised by it and more may come. What the
// owner keeps back of that power takes no part.
func (a *Auction) sharable(in AuctionInput, p *Place, t Terms) int64 {
	most := int64(0)
	if c := a.Meters[p.Meter]; c != nil && len(c.SlotsWh) > 0 {
		most = slices.Max(c.SlotsWh)
	}
	if p.Side == wire.SideBuy {
		return 2 * most
	}
	return 2*max(most, a.Outlook.promise(in.ExpectedWh)) - t.ReserveW*a.cfg.SlotMs/3_600_000
}

// promised is what one side has ordered or traded and not been paid for.
func (a *Auction) promised(side string, but *Order) (wh int64) {
	for _, o := range a.Orders {
		if o.Side == side && o != but && o.binds() {
			wh += o.Wh
		}
	}
	return wh
}

// leaves says whether a bid leaves the money that the wallet is to keep. What was sent and
// not answered is in the wallet still.
func (a *Auction) leaves(in AuctionInput, t Terms, micro int64) bool {
	if in.WalletMicro == nil {
		return false // money that no one has told of yet keeps nothing
	}
	for _, o := range a.Orders {
		if o.Side == wire.SideBuy && o.Phase == orderSent {
			micro += AmountMicro(o.Wh, o.PriceMicroPerKWh) + 1
		}
	}
	return *in.WalletMicro-micro >= t.ReserveMicro
}

func price(t Terms, p *Place) int64 { return cmp.Or(t.PriceMicroPerKWh, p.PriceMicroPerKWh) }

// order makes the record of an order, a first one or one that takes its place.
func (a *Auction) order(t Terms, p *Place, o *Order, wh int64) {
	o.Wh, o.PriceMicroPerKWh = wh, price(t, p)
	if t.DryRun && wh > 0 {
		o.Phase, o.Tries = orderDry, maxTries
		a.out = append(a.out, Action{Would: &Would{p.Side, wh, o.PriceMicroPerKWh}})
		return
	}
	o.Phase = orderSent
	o.Tries++
	if p.Side == wire.SideSell {
		a.send(&fairwattpb.Record{Body: &fairwattpb.Record_Ask{Ask: &fairwattpb.Ask{
			Meter: p.Meter, SlotStartMs: o.StartMs, EnergyWh: wh, PriceMicroPerKwh: o.PriceMicroPerKWh}}})
		return
	}
	a.send(&fairwattpb.Record{Body: &fairwattpb.Record_Bid{Bid: &fairwattpb.Bid{
		Meter: p.Meter, SlotStartMs: o.StartMs, EnergyWh: wh, PriceMicroPerKwh: o.PriceMicroPerKWh}}})
}

// read sends what meters showed at the borders of slots in which they may trade. It does not
// wait to be told of a trade: what a clearing made is told once, and who has not heard of it
// would be unpaid, and so would the other side. Of a slot without one the chain says so.
func (a *Auction) read(in AuctionInput) {
	for _, b := range a.Borders {
		if b.Sent || in.WallMs < b.RetryWallMs || !a.awaited(b) {
			continue
		}
		b.Sent = true
		a.send(&fairwattpb.Record{Body: &fairwattpb.Record_SlotReading{SlotReading: &fairwattpb.SlotReading{
			Readings: []*fairwattpb.MeterReading{{Meter: b.Meter, RegisterWh: b.RegisterWh, TimeMs: b.TimeMs}}}}})
	}
}

// beside returns the orders of a border's meter for the slots that end and begin there.
func (a *Auction) beside(b *Border) (out []*Order) {
	for _, start := range []int64{b.TimeMs - a.cfg.SlotMs, b.TimeMs} {
		if o := a.find(b.Meter, start); o != nil {
			out = append(out, o)
		}
	}
	return out
}

// awaited says whether an order beside a border may have become a trade.
func (a *Auction) awaited(b *Border) bool { return slices.ContainsFunc(a.beside(b), (*Order).binds) }
