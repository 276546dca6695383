package reconcile

import (
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// Books gather what a chain settled, block by block, in the slots of some time.
type Books struct {
	fromMs, toMs int64
	lossE4       int64
	meters       map[string]*meter
	sellers      map[string]*flow  // by trade, while it runs
	buyers       map[string]*flow  // likewise
	measures     map[string]string // the trade that a buyer's meter measures, by meter
	slots        map[place]*span
	whole        map[series]*span // of all the time
	height       uint64
}

// A meter is what the chain says of a meter.
type meter struct {
	owner, serial string
	ways          fairwattpb.MeterDirection
	classE4       int64
}

// A series is one way of one meter.
type series struct {
	meter string
	way   Direction
}

type place struct {
	series
	beginMs int64
}

// NewBooks begins books of the slots that begin in [fromMs, toMs), for the chain of a
// genesis. Both times are bounds of slots.
func NewBooks(g *ledger.Genesis, fromMs, toMs int64) *Books {
	b := &Books{
		fromMs: fromMs, toMs: toMs, lossE4: g.Params.LossE4,
		meters: make(map[string]*meter), sellers: make(map[string]*flow), buyers: make(map[string]*flow),
		measures: make(map[string]string), slots: make(map[place]*span), whole: make(map[series]*span),
	}
	ways := map[string]fairwattpb.MeterDirection{
		"import": fairwattpb.MeterDirection_METER_DIRECTION_IMPORT, "export": fairwattpb.MeterDirection_METER_DIRECTION_EXPORT,
		"both": fairwattpb.MeterDirection_METER_DIRECTION_BOTH,
	}
	for _, m := range g.Meters {
		b.meters[m.ID] = &meter{m.Owner, m.Serial, ways[m.Direction], int64(m.ClassE4)}
	}
	return b
}

// Take takes the next block of the chain, behind which state is.
func (b *Books) Take(state *ledger.State, st *ledger.Staged) {
	b.height = st.Header().GetHeight()
	moves := st.Moves()
	settle := func(index int) {
		for len(moves) > 0 && moves[0].Index <= index {
			if m := &moves[0]; m.What == ledger.MoveBought && m.EnergyWh > 0 {
				b.settled(m, st.Header().GetTimeMs())
			}
			moves = moves[1:]
		}
	}
	settle(-1)
	for i, r := range st.Records() {
		if !st.Outcomes()[i].GetApplied() {
			continue
		}
		b.read(r.Record)
		settle(i)
		b.begin(r.Record)
	}
	for _, n := range st.Notices() {
		if t := n.Trade; t != nil {
			if now, ok := state.Trade(t.GetTradeId()); !ok || now.DeadlineMs == 0 {
				b.ended(t.GetTradeId())
			}
		}
	}
}

// read adds the reading of a record to the trade that it is about.
func (b *Books) read(r *fairwattpb.Record) {
	seller := func(trade string, m *fairwattpb.MeterReading, counts bool) {
		if f := b.sellers[trade]; f != nil && f.meter == m.GetMeter() {
			f.read(m.GetTimeMs(), m.GetRegisterWh(), counts)
		}
	}
	buyer := func(trade string, m *fairwattpb.MeterReading) {
		if f := b.buyers[trade]; f != nil && f.meter == m.GetMeter() {
			f.read(m.GetTimeMs(), m.GetRegisterWh(), true)
		}
	}
	switch {
	case r.GetMeterRegistration() != nil:
		b.register(r.GetMeterRegistration())
	case r.GetMeterChange() != nil:
		b.register(r.GetMeterChange().GetNew())
	case r.GetPay() != nil: // its reading ends the wait of a trade before
		if m := r.GetPay().GetBuyerReading(); b.measures[m.GetMeter()] != "" {
			buyer(b.measures[m.GetMeter()], m)
		}
	case r.GetHold() != nil:
		seller(r.GetHold().GetTradeId(), r.GetHold().GetReading(), true)
	case r.GetResume() != nil:
		seller(r.GetResume().GetTradeId(), r.GetResume().GetReading(), false)
	case r.GetReading() != nil:
		seller(r.GetReading().GetTradeId(), r.GetReading().GetReading(), true)
		buyer(r.GetReading().GetTradeId(), r.GetReading().GetReading())
	case r.GetBill() != nil:
		seller(r.GetBill().GetTradeId(), r.GetBill().GetReading(), true)
	case r.GetConfirm() != nil:
		buyer(r.GetConfirm().GetTradeId(), r.GetConfirm().GetReading())
	}
}

// begin begins the flow that a record begins.
func (b *Books) begin(r *fairwattpb.Record) {
	if p := r.GetPay(); p != nil {
		m := p.GetBuyerReading()
		b.buyers[p.GetTokenId()] = newFlow(m.GetMeter(), m.GetTimeMs(), m.GetRegisterWh())
		b.measures[m.GetMeter()] = p.GetTokenId()
	}
	if s := r.GetStart(); s != nil {
		m := s.GetReading()
		b.sellers[s.GetTradeId()] = newFlow(m.GetMeter(), m.GetTimeMs(), m.GetRegisterWh())
	}
}

func (b *Books) register(m *fairwattpb.MeterRegistration) {
	b.meters[m.GetMeter()] = &meter{m.GetOwner(), m.GetSerial(), m.GetDirection(), int64(m.GetClassE4())}
}

// settled books what was paid for.
func (b *Books) settled(m *ledger.Move, timeMs int64) {
	seller, buyer := b.sellers[m.Trade], b.buyers[m.Trade]
	if seller != nil {
		b.book(series{seller.meter, Export}, seller, m.EnergyWh, timeMs)
	}
	if buyer != nil {
		b.book(series{buyer.meter, Import}, buyer, m.EnergyWh*(10_000-b.lossE4)/10_000, timeMs)
	}
}

// book shares energy out over the slots that it flowed in.
func (b *Books) book(s series, f *flow, energyWh, timeMs int64) {
	if energyWh == 0 {
		return // the line took it
	}
	if f.total() == 0 { // of a silent meter: some time until now
		f.read(timeMs, f.register+energyWh, true)
	}
	from, to := max(b.fromMs, f.points[0].ms), min(b.toMs, f.points[len(f.points)-1].ms+1)
	for begin := from - from%SlotMs; begin < to; begin += SlotMs {
		add(b.slots, place{s, begin}, f.share(energyWh, begin, begin+SlotMs))
	}
	if from < to {
		add(b.whole, s, f.share(energyWh, b.fromMs, b.toMs))
	}
}

func add[K comparable](m map[K]*span, key K, s span) {
	if s == (span{}) {
		return
	}
	if m[key] == nil {
		m[key] = &span{}
	}
	m[key].add(s)
}

// ended forgets a trade.
func (b *Books) ended(trade string) {
	if f := b.buyers[trade]; f != nil && b.measures[f.meter] == trade {
		delete(b.measures, f.meter)
	}
	delete(b.buyers, trade)
	delete(b.sellers, trade)
}
