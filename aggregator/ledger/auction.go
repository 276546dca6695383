package ledger

import (
	"errors"
	"fmt"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The rules of slots hold on a chain with an auction, beside requests and offers: members ask and
// bid for the energy of a slot (slots.go), the ledger matches them when its gate closes
// (clearing.go), and pays by what their meters showed at its borders (slotsettle.go). On a
// chain that shares, the ledger divides by a key what they showed (sharing.go).

// How buyers and sellers find each other.
const (
	// MechanismFirst is that of chains made before there was a choice: [MechanismBilateral].
	MechanismFirst = ""
	// MechanismBilateral: a buyer pays one seller's offer.
	MechanismBilateral = "bilateral"
	// MechanismAuction: that, and beside it one price for all in each slot.
	MechanismAuction = "auction"
	// MechanismSharing: likewise, but what was produced in a slot is divided by a key when it
	// is over, at the community's price.
	MechanismSharing = "sharing"
)

// SlotRules are the numbers of [MechanismAuction] and [MechanismSharing]; they are left out of a
// genesis with another mechanism.
type SlotRules struct {
	// SlotMs is how long a slot lasts, a whole number of seconds. Slots are counted from 1970.
	SlotMs int64 `json:"slot_ms,omitempty"`
	// GateClosureMs is how long before its begin a slot's orders are matched.
	GateClosureMs int64 `json:"gate_closure_ms,omitempty"`
	// SlotReadingsMs is how long a reading of a slot's border is waited for.
	SlotReadingsMs int64 `json:"slot_readings_ms,omitempty"`
}

const (
	// SlotHorizon is how many slots beyond the gate closure take orders.
	SlotHorizon = 96
	// MaxSlotOrders bounds the orders of a slot, and by that the work of its clearing.
	MaxSlotOrders = 1_000
)

// WithMechanism returns the parameters with another mechanism, and the numbers that belong
// to it.
func (p Params) WithMechanism(mode string) Params {
	p.Mechanism, p.SlotRules = mode, SlotRules{}
	if p.bySlots() {
		p.SlotRules = SlotRules{SlotMs: 900_000, GateClosureMs: 300_000, SlotReadingsMs: 600_000}
	}
	return p
}

// bySlots tells whether energy is traded by slots, beside offers and requests.
func (p *Params) bySlots() bool {
	return p.Mechanism == MechanismAuction || p.Mechanism == MechanismSharing
}

func (p *Params) sharing() bool { return p.Mechanism == MechanismSharing }

func (p *Params) validateMechanism() error {
	switch p.Mechanism {
	case MechanismFirst, MechanismBilateral:
		if p.SlotRules != (SlotRules{}) {
			return fmt.Errorf("mechanism: %q, and numbers that belong to %q and %q", p.Mechanism, MechanismAuction, MechanismSharing)
		}
		if p.Mechanism == MechanismBilateral && p.Settlement == SettleFirst {
			return fmt.Errorf("mechanism: %q, want none with the first rules", p.Mechanism)
		}
		return nil
	case MechanismAuction, MechanismSharing:
	default:
		return fmt.Errorf("mechanism: %s, want %q, %q or %q", brief.Quote(p.Mechanism), MechanismBilateral, MechanismAuction, MechanismSharing)
	}
	l := &limits{}
	l.between("slot_ms", p.SlotMs, 10_000, 3_600_000)
	l.check(p.SlotMs%1000 == 0, "slot_ms", "a whole number of seconds")
	l.between("gate_closure_ms", p.GateClosureMs, 1_000, 24*3_600_000)
	l.between("slot_readings_ms", p.SlotReadingsMs, 1_000, 3_600_000)
	if l.err == nil && !p.robust() {
		l.err = fmt.Errorf("mechanism: %q needs credit %q, not %q", p.Mechanism, CreditRobust, p.Credit)
	}
	return l.err
}

// ofSlots tells whether a record is about slots.
func ofSlots(r *fairwattpb.Record) bool {
	switch r.Body.(type) {
	case *fairwattpb.Record_Ask, *fairwattpb.Record_Bid, *fairwattpb.Record_SlotReading, *fairwattpb.Record_SharingTerms:
		return true
	}
	return false
}

func (l *limits) slots(r *fairwattpb.Record) {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Ask:
		l.order(b.Ask.Meter, b.Ask.SlotStartMs, b.Ask.EnergyWh, b.Ask.PriceMicroPerKwh)
	case *fairwattpb.Record_Bid:
		l.order(b.Bid.Meter, b.Bid.SlotStartMs, b.Bid.EnergyWh, b.Bid.PriceMicroPerKwh)
	case *fairwattpb.Record_SlotReading:
		readings := b.SlotReading.Readings
		l.check(len(readings) > 0 && len(readings) <= SlotHorizon, "readings", "1 to 96")
		for i, one := range readings {
			l.reading(one)
			l.check(one.Meter == readings[0].Meter, "readings", "those of one meter")
			l.check(i == 0 || one.TimeMs > readings[i-1].TimeMs, "readings", "ascending times")
		}
	case *fairwattpb.Record_SharingTerms:
		l.sharing(b.SharingTerms)
	default:
		l.err = errors.New("body: none")
	}
}

// order checks an ask or a bid. Who takes one back need not name a price.
func (l *limits) order(meter string, startMs, energyWh, price int64) {
	l.id("meter", meter)
	l.time("slot_start_ms", startMs)
	l.between("energy_wh", energyWh, 0, MaxEnergyWh)
	l.between("price_micro_per_kwh", price, min(1, energyWh), MaxPriceMicroPerKWh)
}

// dispatchSlots lets a record about slots have its effect.
func (x *execution) dispatchSlots(r *fairwattpb.Record) *Refusal {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Ask:
		return x.order(&SlotOrder{
			Meter: b.Ask.Meter, Sender: r.Sender, StartMs: b.Ask.SlotStartMs, EnergyWh: b.Ask.EnergyWh, PriceMicroPerKWh: b.Ask.PriceMicroPerKwh,
		})
	case *fairwattpb.Record_Bid:
		return x.order(&SlotOrder{
			Meter: b.Bid.Meter, Sender: r.Sender, StartMs: b.Bid.SlotStartMs, Buys: true, EnergyWh: b.Bid.EnergyWh, PriceMicroPerKWh: b.Bid.PriceMicroPerKwh,
		})
	case *fairwattpb.Record_SlotReading:
		return x.slotReadings(r.Sender, b.SlotReading)
	case *fairwattpb.Record_SharingTerms:
		return x.shareBy(b.SharingTerms)
	}
	return refuse(wire.CodeMalformed, "body: none") // the check lets none of these in
}

// A Slot is the market of one slot, from its first order until it is settled.
type Slot struct {
	StartMs int64
	Asks    uint32 // that stand; 0 behind the gate closure, where nothing is shared
	Bids    uint32
	// Of a slot whose gate has closed, and in which something is traded:
	PriceMicroPerKWh int64  // what each seller is paid for a kWh, after its fee for the grid
	EnergyWh         int64  // in all trades
	Trades           uint32 // their ids are [SlotTradeID] of 1 to this
	Waiting          uint32 // readings of borders that are not known yet
	SettleMs         int64  // when it is settled, with or without them
	Shared           bool   // its orders stand until then, and are divided by a key
}

func (s *Slot) fields(c codec) {
	c.i64("start_ms", &s.StartMs)
	c.u32("asks", &s.Asks)
	c.u32("bids", &s.Bids)
	c.i64("price_micro_per_kwh", &s.PriceMicroPerKWh)
	c.i64("energy_wh", &s.EnergyWh)
	c.u32("trades", &s.Trades)
	c.u32("waiting", &s.Waiting)
	c.i64("settle_ms", &s.SettleMs)
	c.tail(func() bool { return s.Shared }, func() { c.flag("shared", &s.Shared) })
}

// A SlotOrder is a standing ask or bid.
type SlotOrder struct {
	Meter            string
	Sender           string
	StartMs          int64
	Buys             bool
	EnergyWh         int64
	PriceMicroPerKWh int64
	Height           uint64 // of its block
	// PromisedMicro counts in its sender's exposure as long as it stands, and is what a bid has
	// in escrow.
	PromisedMicro int64
	ShareE4       uint32 // of a bid that shares: its meter's share when the gate closed
}

func (o *SlotOrder) fields(c codec) {
	c.str("meter", &o.Meter)
	c.str("sender", &o.Sender)
	c.i64("start_ms", &o.StartMs)
	c.flag("buys", &o.Buys)
	c.i64("energy_wh", &o.EnergyWh)
	c.i64("price_micro_per_kwh", &o.PriceMicroPerKWh)
	c.u64("height", &o.Height)
	c.i64("promised_micro", &o.PromisedMicro)
	c.tail(func() bool { return o.ShareE4 > 0 }, func() { c.u32("share_e4", &o.ShareE4) })
}

// escrowMicro is what an order has in escrow.
func (o *SlotOrder) escrowMicro() int64 {
	if !o.Buys {
		return 0
	}
	return o.PromisedMicro
}

// A SlotMeter is what a meter that trades in a slot has shown at its borders.
type SlotMeter struct {
	Meter   string
	Owner   string
	Began   bool // StartWh is known
	StartWh int64
	Ended   bool // EndWh is known
	EndWh   int64
}

func (m *SlotMeter) fields(c codec) {
	c.str("meter", &m.Meter)
	c.str("owner", &m.Owner)
	c.flag("began", &m.Began)
	c.i64("start_wh", &m.StartWh)
	c.flag("ended", &m.Ended)
	c.i64("end_wh", &m.EndWh)
}

// A slotSeller says of a seller in a slot whether its gate was OPEN all the while.
type slotSeller struct {
	Closed  bool
	Seq     uint64 // newest gate change that closed it
	Witness string // who bears all of them out
}

func (s *slotSeller) fields(c codec) {
	c.flag("closed", &s.Closed)
	c.u64("seq", &s.Seq)
	c.str("witness", &s.Witness)
}

// The keys of a slot: a kind of its own for each, so that its orders are found together.
const (
	slotHead   = "head"    // Slot
	slotAsk    = "ask/"    // meter: SlotOrder
	slotBid    = "bid/"    // meter: SlotOrder
	slotMeters = "meter/"  // meter: SlotMeter
	slotGate   = "seller/" // seller: slotSeller
)

func slotKey(startMs int64, what string) string {
	return fmt.Sprintf("%s%d/%s", keySlot, startMs, what)
}

func orderKey(startMs int64, buys bool, meter string) string {
	if buys {
		return slotKey(startMs, slotBid+meter)
	}
	return slotKey(startMs, slotAsk+meter)
}

// SlotTradeID is the id of a slot's trade, from 1. No Token may have one that begins so.
func SlotTradeID(startMs int64, number int) string {
	return fmt.Sprintf("%s%d-%04d", keySlot, startMs, number)
}

// SlotOf returns the start of the slot of which a trade is, by its id.
func SlotOf(trade string) (startMs int64, ok bool) {
	var number int
	n, err := fmt.Sscanf(trade, keySlot+"%d-%d", &startMs, &number)
	return startMs, err == nil && n == 2 && trade == SlotTradeID(startMs, number)
}
