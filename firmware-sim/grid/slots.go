package grid

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairwatt/agent"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/slot"
	"fairwatt/proto/fairwattpb"
)

// Slots of a grid: as short as the chain lets them be.
const (
	slotMs         = 10_000
	slotClosureMs  = 3_000
	slotReadingsMs = 10_000
	// houseDrawW is what each circuit draws where the neighbourhood trades by slots.
	houseDrawW = 1_500
)

// A slotWorld is a neighbourhood without wires between two of its members: a generator's
// meter counts all that it gives, a circuit's all that is drawn. It keeps what truly
// flowed from the beginning to each border of slots. Nil is a world without slots.
type slotWorld struct {
	slotMs  int64
	nextMs  int64                        // the border that comes, by the wall's clock; 0 before the first step
	gives   map[string]float64           // W of generators without a board, by meter
	flowed  map[string]float64           // Wh so far, by meter
	borders map[int64]map[string]float64 // the same at each border
}

func newSlotWorld(p *ledger.Params) *slotWorld {
	if p.SlotMs == 0 {
		return nil
	}
	return &slotWorld{slotMs: p.SlotMs, gives: make(map[string]float64), flowed: make(map[string]float64), borders: make(map[int64]map[string]float64)}
}

// until ends a step at the border that comes, if it is in it.
func (s *slotWorld) until(next time.Duration, w *world) time.Duration {
	if s == nil {
		return next
	}
	if s.nextMs == 0 {
		now := w.started.UnixMilli()
		s.nextMs = now - now%s.slotMs + s.slotMs
	}
	if at := s.at(w); at > w.at && at < next {
		return at
	}
	return next
}

// at is the trace time of the border that comes.
func (s *slotWorld) at(w *world) time.Duration {
	return time.Duration(float64(time.UnixMilli(s.nextMs).Sub(w.started)) * w.speed)
}

// note keeps what has flowed if a border is now.
func (s *slotWorld) note(w *world) {
	for s != nil && w.at >= s.at(w) {
		s.borders[s.nextMs] = maps.Clone(s.flowed)
		s.nextMs += s.slotMs
	}
}

// carry lets every generator feed the neighbourhood and every circuit draw from it.
func (s *slotWorld) carry(dt time.Duration, w *world) {
	if s == nil {
		return
	}
	for _, from := range w.sites {
		if wh := max(0, from.powerW) * dt.Hours(); wh > 0 {
			s.flowed[agent.MeterID(from.id, sellerMeter)] += wh
			if err := from.board.AddEnergyWh(from.meter, wh); err != nil {
				w.log.Error("seller's meter", "site", from.id, "err", err)
			}
		}
	}
	for meter, powerW := range s.gives {
		s.flowed[meter] += powerW * dt.Hours()
	}
	for _, h := range w.houses {
		for meter, pin := range h.pins {
			wh := houseDrawW * dt.Hours()
			s.flowed[meter] += wh
			if err := h.board.AddEnergyWh(pin, wh); err != nil {
				w.log.Error("buyer's meter", "house", h.id, "err", err)
			}
		}
	}
}

// slotFlow is what truly flowed through a meter in a slot; false where the run did not last
// from one of its borders to the other.
func (w *world) slotFlow(meter string, startMs int64) (wh float64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slots == nil {
		return 0, false
	}
	from, begun := w.slots.borders[startMs]
	to, ended := w.slots.borders[startMs+w.slots.slotMs]
	return to[meter] - from[meter], begun && ended
}

// share has the centre say, where energy is shared, that every buyer's meter has the same part.
func (g *grid) share(ctx context.Context) error {
	if g.cfg.Mechanism != ledger.MechanismSharing {
		return nil
	}
	var meters []string
	for _, p := range g.people {
		if buy := p.config.Buy; buy != nil {
			for _, c := range buy.Circuits {
				meters = append(meters, agent.MeterID(p.id, c.Meter))
			}
		}
	}
	for _, c := range g.culprits {
		if !c.seller {
			meters = append(meters, c.meter)
		}
	}
	slices.Sort(meters)
	t := &fairwattpb.SharingTerms{PriceMicroPerKwh: sharePriceMicro}
	for _, m := range meters {
		t.Shares = append(t.Shares, &fairwattpb.Share{Meter: m, ShareE4: uint32(slot.WholeE4 / len(meters))})
	}
	return g.centre.Share(ctx, t)
}

// Slots tells of trade by slots.
type Slots struct {
	SlotMs    int64          `json:"slot_ms"`
	Asks      int            `json:"asks"`     // records that stood
	Bids      int            `json:"bids"`     // likewise
	Readings  int            `json:"readings"` // likewise
	Refused   map[string]int `json:"refused"`  // of all three, by code
	Cleared   int            `json:"cleared"`  // slots in which something was traded
	Settled   int            `json:"settled"`  // of those, the ones of which every trade has ended
	Trades    int            `json:"trades"`
	Open      int            `json:"open"` // trades that have not ended
	TradedWh  int64          `json:"traded_wh"`
	PaidWh    int64          `json:"paid_wh"`
	UnpaidWh  int64          `json:"unpaid_wh"`  // of trades that have ended, the three below together
	ShortWh   int64          `json:"short_wh"`   // not delivered while the gate was open
	HeldWh    int64          `json:"held_wh"`    // of sellers whose gate was not open all the while
	UntakenWh int64          `json:"untaken_wh"` // delivered and not drawn
	PaidMicro int64          `json:"paid_micro"`
}

// String tells it in one line.
func (s *Slots) String() string {
	refused := 0
	for _, n := range s.Refused {
		refused += n
	}
	return fmt.Sprintf("slots of %d s: %d cleared, %d settled; %d trades of %d Wh, %d Wh paid, %d Wh unpaid (%d short, %d behind a gate, %d not drawn), %d trades open; %d asks, %d bids, %d readings, %d refused\n",
		s.SlotMs/1000, s.Cleared, s.Settled, s.Trades, s.TradedWh, s.PaidWh, s.UnpaidWh, s.ShortWh, s.HeldWh, s.UntakenWh, s.Open, s.Asks, s.Bids, s.Readings, refused)
}

// noteSlots counts a record about slots and what became of it.
func (t *tally) noteSlots(r *fairwattpb.Record, o *fairwattpb.Outcome) {
	var count *int
	switch r.Body.(type) {
	case *fairwattpb.Record_Ask:
		count = &t.slots.Asks
	case *fairwattpb.Record_Bid:
		count = &t.slots.Bids
	case *fairwattpb.Record_SlotReading:
		count = &t.slots.Readings
	default:
		return
	}
	if o.GetApplied() {
		*count++
	} else {
		t.slots.Refused[o.GetCode()]++
	}
}

// countSlots reports the trade by slots, and holds what was paid against what flowed.
func (g *grid) countSlots(r *Report, state *ledger.State, counts *tally) {
	if !g.cfg.bySlots() {
		return
	}
	out := counts.slots
	out.SlotMs = g.community.Genesis.Params.SlotMs
	open, paid := make(map[int64]int), make(map[slotMeter]int64)
	for _, t := range state.Trades(nil) {
		start, ok := ledger.SlotOf(t.ID)
		if !ok {
			continue
		}
		out.Trades++
		out.TradedWh += t.VolumeWh
		if open[start] += 0; !t.Ended() {
			open[start]++
			out.Open++
			continue
		}
		wh := min(t.BilledWh, t.BuyerMeteredWh) // both meters bear it out
		out.PaidWh += wh
		out.UnpaidWh += t.VolumeWh - wh
		if out.UntakenWh += t.BilledWh - wh; t.Held {
			out.HeldWh += t.VolumeWh - t.BilledWh
		} else {
			out.ShortWh += t.VolumeWh - t.BilledWh
		}
		out.PaidMicro += t.PaidMicro
		paid[slotMeter{t.SellerMeter, start}] += wh
		paid[slotMeter{t.BuyerMeter, start}] += wh
	}
	for _, n := range open {
		out.Cleared++
		if n == 0 {
			out.Settled++
		}
	}
	r.Slots = &out
	for at, wh := range paid {
		if flowed, ok := g.world.slotFlow(at.meter, at.startMs); !ok || float64(wh) > flowed*(1+slotTolerance)+slotToleranceWh {
			r.problem(&r.EnergyConserved, "slot %d: %d Wh paid by meter %s, %.1f Wh flowed (known: %v)", at.startMs, wh, at.meter, flowed, ok)
		}
	}
}

// slotTolerance is by what part the readings of two borders may be wrong together: an agent
// looks ten times a slot, and the power may change between two looks. slotToleranceWh are
// the pulses that are cut off.
const (
	slotTolerance   = 0.05
	slotToleranceWh = 2
)

type slotMeter struct {
	meter   string
	startMs int64
}
