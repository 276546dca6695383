package page

import (
	"reflect"
	"testing"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// A slotPage is the page of a chain that clears by an auction.
type slotPage struct {
	t *testing.T
	*ledgertest.Chain
	page *Page
}

func newSlotPage(t *testing.T, trades int, rules func(*ledger.Genesis)) *slotPage {
	t.Helper()
	g := ledgertest.Genesis(1, 2, 1)
	rules(g)
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	w := &slotPage{t: t, Chain: c, page: &Page{cfg: Config{Genesis: g}, state: c.State, journal: journal{state: c.State, trades: trades, shown: 5}}}
	for _, m := range g.Members {
		for _, bond := range []bool{true, false} {
			reference := "wallet-" + m.ID
			if bond {
				reference = "bond-" + m.ID
			}
			w.send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: m.ID, AmountMicro: 5_000_000, Reference: reference, Bond: bond}}})
		}
		w.send(m.ID, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}})
	}
	return w
}

func (w *slotPage) slot(n int64) int64 {
	ms := w.Genesis.Params.SlotMs
	return (ledgertest.StartMs/ms + 1 + n) * ms
}

// advance makes a block that the page sees.
func (w *slotPage) advance(sealed ...[]byte) {
	w.t.Helper()
	st, err := w.Advance(sealed...)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range st.Outcomes() {
		if !o.Applied {
			w.t.Fatal(o)
		}
	}
	w.page.journal.add(st, 1)
}

func (w *slotPage) until(ms int64) {
	w.t.Helper()
	w.NowMs = ms - 1
	w.advance()
}

func (w *slotPage) send(who string, r *fairwattpb.Record) {
	w.t.Helper()
	sealed, err := w.Seal(who, r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.advance(sealed)
}

func (w *slotPage) order(who string, n, wh, price int64) {
	w.t.Helper()
	if who == "buyer-1" {
		w.send(who, &fairwattpb.Record{Body: &fairwattpb.Record_Bid{Bid: &fairwattpb.Bid{Meter: who + "-meter", SlotStartMs: w.slot(n), EnergyWh: wh, PriceMicroPerKwh: price}}})
		return
	}
	w.send(who, &fairwattpb.Record{Body: &fairwattpb.Record_Ask{Ask: &fairwattpb.Ask{Meter: who + "-meter", SlotStartMs: w.slot(n), EnergyWh: wh, PriceMicroPerKwh: price}}})
}

// border has each meter show the same at the begin of a slot.
func (w *slotPage) border(n, wh int64) {
	w.t.Helper()
	w.until(w.slot(n))
	for _, who := range []string{"seller-1", "buyer-1"} {
		w.send(who, &fairwattpb.Record{Body: &fairwattpb.Record_SlotReading{SlotReading: &fairwattpb.SlotReading{
			Readings: []*fairwattpb.MeterReading{{Meter: who + "-meter", TimeMs: w.slot(n), RegisterWh: wh}},
		}}})
	}
}

func (w *slotPage) shows(what string, want ...console.Slot) {
	w.t.Helper()
	for i := range want {
		want[i].ClosesMs = want[i].StartMs - w.Genesis.Params.GateClosureMs
	}
	if got := w.page.auction().Slots; !reflect.DeepEqual(got, append([]console.Slot{}, want...)) {
		w.t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// A slot is shown from its first order until it is paid, and then by its trades; of the orders
// only sums are, and the best price of each side.
func TestSlotsAreShown(t *testing.T) {
	w := newSlotPage(t, 5, ledgertest.Auction)
	if a := w.page.auction(); a.SlotMs != 900_000 || a.GateClosureMs != w.Genesis.Params.GateClosureMs || a.Shared {
		t.Errorf("%+v", a)
	}
	w.shows("no order")
	w.order("seller-1", 1, 1000, 120_000)
	w.order("seller-2", 1, 500, 200_000)
	w.order("buyer-1", 1, 900, 180_000)
	w.order("buyer-1", 2, 300, 150_000)
	later := console.Slot{StartMs: w.slot(2), Status: "open", Bids: 1, Bid: &console.Orders{EnergyWh: 300, BestMicroPerKWh: 150_000}}
	w.shows("ordered", console.Slot{
		StartMs: w.slot(1), Status: "open", Asks: 2, Bids: 1,
		Asked: &console.Orders{EnergyWh: 1500, BestMicroPerKWh: 120_000}, Bid: &console.Orders{EnergyWh: 900, BestMicroPerKWh: 180_000},
	}, later)
	w.until(w.slot(1) - w.Genesis.Params.GateClosureMs)
	cleared := w.page.auction().Slots[0]
	if cleared.PriceMicroPerKWh < 120_000 || cleared.PriceMicroPerKWh > 180_000 || cleared.SettlesMs <= w.slot(2) {
		t.Fatalf("%+v", cleared)
	}
	now := console.Slot{
		StartMs: w.slot(1), Status: "cleared", PriceMicroPerKWh: cleared.PriceMicroPerKWh, SoldWh: 900, Trades: 1, Waiting: 4, SettlesMs: cleared.SettlesMs,
	}
	w.shows("cleared", now, later)
	w.border(1, 0)
	now.Waiting = 2
	w.shows("begun", now, later)
	w.border(2, 850)
	w.until(w.NowMs + 1000) // it is divided, and paid by the block behind
	w.shows("divided", console.Slot{StartMs: w.slot(1), Status: "cleared", PriceMicroPerKWh: cleared.PriceMicroPerKWh, SoldWh: 900, Trades: 1})
	w.until(w.NowMs + 1000)
	paid := console.Slot{StartMs: w.slot(1), Status: "ended", PriceMicroPerKWh: cleared.PriceMicroPerKWh, SoldWh: 900, PaidWh: 850, Trades: 1}
	w.shows("paid", paid)
	w.page.journal.trades = 1 // the journal may have lost others of this slot
	w.page.slots = slotTable{}
	w.shows("of what the journal may have in part")
}

// One that is shared is shown with those that share it, and by its trades when it is over.
func TestSharedSlotsAreShown(t *testing.T) {
	w := newSlotPage(t, 5, ledgertest.Sharing)
	w.send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_SharingTerms{SharingTerms: &fairwattpb.SharingTerms{
		PriceMicroPerKwh: 150_000, Shares: []*fairwattpb.Share{{Meter: "buyer-1-meter", ShareE4: 5_000}},
	}}})
	w.order("seller-1", 1, 1000, 120_000)
	w.order("buyer-1", 1, 900, 180_000)
	w.until(w.slot(1) - w.Genesis.Params.GateClosureMs)
	if a := w.page.auction(); !a.Shared {
		t.Errorf("%+v", a)
	}
	settles := w.slot(2) + w.Genesis.Params.SlotReadingsMs
	w.shows("joined", console.Slot{StartMs: w.slot(1), Status: "cleared", PriceMicroPerKWh: 150_000, Asks: 1, Bids: 1, Waiting: 4, SettlesMs: settles})
	w.border(1, 0)
	w.border(2, 800)
	w.until(w.NowMs + 1000)
	w.shows("divided", console.Slot{StartMs: w.slot(1), Status: "cleared", PriceMicroPerKWh: 150_000, SoldWh: 400, Trades: 1})
	w.until(w.NowMs + 1000)
	w.shows("paid", console.Slot{StartMs: w.slot(1), Status: "ended", PriceMicroPerKWh: 150_000, SoldWh: 400, PaidWh: 400, Trades: 1})
}

// Only the next slots are summed up: many slots may have many orders each.
func TestFewSlotsAreSummed(t *testing.T) {
	w := newSlotPage(t, 5, ledgertest.Auction)
	for n := range int64(slotsSummed + 2) {
		w.order("seller-1", n+1, 100, 100_000)
	}
	for i, s := range w.page.auction().Slots {
		if s.Asks != 1 || (s.Asked != nil) != (i < slotsSummed) {
			t.Errorf("slot %d: %+v", i, s)
		}
	}
}

// A chain without an auction shows no slots.
func TestNoSlotsWithoutAnAuction(t *testing.T) {
	g := ledgertest.Genesis(1, 1, 1)
	if g.Params.Mechanism == ledger.MechanismAuction {
		t.Fatal("it has one")
	}
	if a := (&Page{cfg: Config{Genesis: g}}).auction(); a != nil {
		t.Errorf("%+v", a)
	}
}
