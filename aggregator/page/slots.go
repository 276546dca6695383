package page

import (
	"cmp"
	"slices"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/wire"
)

// Bounds of the slots that are shown.
const (
	maxSlots = 2 * ledger.SlotHorizon
	// slotsSummed is how many open slots are shown with the sums of their orders: a slot may
	// have a thousand, and a page is made twice a second.
	slotsSummed = 8
)

// Words of a slot.
const (
	slotOpen    = "open"
	slotCleared = "cleared"
	slotEnded   = "ended"
)

// slotTable is what was shown of slots at a height.
type slotTable struct {
	height uint64
	shown  *console.Auction
}

// auction returns the slots, made once a block; nil where the chain has none.
func (p *Page) auction() *console.Auction {
	params := &p.cfg.Genesis.Params
	if params.SlotMs == 0 {
		return nil
	}
	height := p.state.Height()
	if p.slots.shown != nil && p.slots.height == height {
		return p.slots.shown
	}
	a := &console.Auction{Shared: params.Mechanism == ledger.MechanismSharing, SlotMs: params.SlotMs, GateClosureMs: params.GateClosureMs, Slots: []console.Slot{}}
	standing, summed := make(map[int64]bool), 0
	for _, s := range p.state.Slots() { // the next to close comes first
		standing[s.StartMs] = true
		shown := showSlot(&s, params.GateClosureMs)
		if shown.Status == slotOpen && summed < slotsSummed {
			summed++
			asks, bids := p.state.SlotOrders(s.StartMs)
			shown.Asked, shown.Bid = sumOrders(asks), sumOrders(bids)
		}
		a.Slots = append(a.Slots, shown)
	}
	for _, s := range p.journal.endedSlots(standing) {
		s.ClosesMs = s.StartMs - params.GateClosureMs
		a.Slots = append(a.Slots, s)
	}
	slices.SortFunc(a.Slots, func(x, y console.Slot) int { return cmp.Compare(x.StartMs, y.StartMs) })
	a.Slots = a.Slots[max(0, len(a.Slots)-maxSlots):]
	p.slots = slotTable{height, a}
	return a
}

func showSlot(s *ledger.Slot, closureMs int64) console.Slot {
	shown := console.Slot{
		StartMs: s.StartMs, Status: slotOpen, ClosesMs: s.StartMs - closureMs, Asks: int(s.Asks), Bids: int(s.Bids),
		PriceMicroPerKWh: s.PriceMicroPerKWh, SoldWh: s.EnergyWh, Trades: int(s.Trades), Waiting: int(s.Waiting), SettlesMs: s.SettleMs,
	}
	if s.Trades > 0 || s.Shared {
		shown.Status = slotCleared
	}
	return shown
}

// sumOrders adds up the orders of one side; nil where there is none.
func sumOrders(orders []ledger.SlotOrder) *console.Orders {
	if len(orders) == 0 {
		return nil
	}
	sum := console.Orders{BestMicroPerKWh: orders[0].PriceMicroPerKWh}
	for _, o := range orders {
		sum.EnergyWh += o.EnergyWh
		if o.Buys {
			sum.BestMicroPerKWh = max(sum.BestMicroPerKWh, o.PriceMicroPerKWh)
		} else {
			sum.BestMicroPerKWh = min(sum.BestMicroPerKWh, o.PriceMicroPerKWh)
		}
	}
	return &sum
}

// endedSlots adds up the slots that stand no more, by the trades that the journal still has. The
// oldest is left out where the journal is full: some of its trades may be gone.
func (j *journal) endedSlots(standing map[int64]bool) []console.Slot {
	j.mu.Lock()
	defer j.mu.Unlock()
	var ended []console.Slot
	for _, t := range j.changed {
		startMs, is := ledger.SlotOf(t.ID)
		if !is || standing[startMs] {
			continue
		}
		i := slices.IndexFunc(ended, func(s console.Slot) bool { return s.StartMs == startMs })
		if i < 0 {
			i = len(ended)
			ended = append(ended, console.Slot{StartMs: startMs, Status: slotEnded, PriceMicroPerKWh: t.PriceMicroPerKWh})
		}
		if t.Status == wire.StatusCleared { // divided, and paid by the next block
			ended[i].Status = slotCleared
		} else {
			ended[i].PaidWh += t.EnergyWh
		}
		ended[i].Trades++
		ended[i].SoldWh += t.VolumeWh
	}
	if len(j.changed) == j.trades && len(ended) > 0 {
		ended = ended[:len(ended)-1]
	}
	return ended
}
