package ledger_test

import (
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// reads has meters show their registers at the begin and the end of slot 1; the slot is settled.
func (w *world) reads(counted map[string]int64) {
	w.t.Helper()
	for n := int64(1); n <= 2; n++ {
		w.until(w.slot(n))
		for _, meter := range []string{sellerMeter, "seller-2-meter", buyerMeter, "buyer-2-meter"} {
			if wh, ok := counted[meter]; ok {
				w.border(meter, n, (n-1)*wh)
			}
		}
	}
	if w.State.Totals().TradesByStatus[wire.StatusCleared] > 0 {
		w.until(w.slot(2) + 600_000)
	}
	w.wait(0)
	w.wait(0)
}

// newSlotsWithFees is a chain with slots on which money is under two keys; the seller and the buyer
// have bonds, and the buyer a unit.
func newSlotsWithFees(t testing.TB, mechanism string, change func(*ledger.Genesis)) *world {
	w := newWorld(t, func(g *ledger.Genesis) {
		ledgertest.TwoKeys(g)
		g.Params = g.Params.WithMechanism(mechanism)
		change(g)
	})
	for _, id := range []string{seller, buyer} {
		w.must(mc, bonded(id, aBond, "bond-"+id))
		w.must(ledgertest.Auditor, approve("bond-"+id))
		w.must(id, gate(1, open))
	}
	w.must(mc, deposit(buyer, 1_000_000, "wallet"))
	w.must(ledgertest.Auditor, approve("wallet"))
	return w
}

// Behind the fee for the grid and the levy a seller has what it asked at least, and a buyer pays
// what it bid at most; the fee is that of the pair.
func TestFeesOfASlot(t *testing.T) {
	for _, c := range []struct {
		name                  string
		fee, between, levy    int64
		oneSite               bool
		price, paid, fees, to int64 // of 1000 Wh; to: what the fund has of it
	}{
		{"none", 0, 0, 0, false, 200_000, 200_000, 0, 0},
		// An ask of 100,000 counts as (100,000+40,000)/0.9-40,000 = 115,556; the price is (115,556+300,000-40,000)/2.
		{"between sites, with a levy", 20_000, 40_000, 1_000, false, 187_778, 227_778, 40_000, 22_777},
		{"within a site, with a levy", 20_000, 40_000, 1_000, true, 187_778, 207_778, 20_000, 20_777},
	} {
		w := newSlotsWithFees(t, ledger.MechanismAuction, func(g *ledger.Genesis) {
			g.Money.FeeMicroPerKWh, g.Money.FeeBetweenMicroPerKWh, g.Money.LevyE4 = c.fee, c.between, c.levy
			if c.oneSite {
				for i := range g.Members {
					g.Members[i].Site = "hill"
				}
			}
		})
		w.toCleared()
		if head, _ := w.State.Slot(w.slot(1)); head.PriceMicroPerKWh != c.price {
			t.Errorf("%s: the price is %d", c.name, head.PriceMicroPerKWh)
		}
		w.reads(map[string]int64{sellerMeter: 1000, buyerMeter: 1000})
		trade, all := w.slotTrade(), w.State.Totals()
		a, _ := w.robust(seller)
		if trade.PaidMicro != c.paid || all.FeesMicro != c.fees || all.FundMicro != c.to || a.WalletMicro != c.paid-c.fees-c.to || a.WalletMicro < 100_000 || trade.PaidMicro > 300_000 {
			t.Errorf("%s: %+v, %+v, the seller has %d", c.name, trade, all, a.WalletMicro)
		}
	}
}

// An ask whose price with fee and levy no bid may name is left out.
func TestAnAskThatNoPriceLeaves(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) {
		ledgertest.TwoKeys(g)
		g.Params = g.Params.WithMechanism(ledger.MechanismAuction)
		g.Params.ChargeE4, g.Params.FineE4 = 1, 1
		g.Money.LevyE4 = 1
	})
	w.must(mc, bonded(seller, aBond, "bond"))
	w.must(ledgertest.Auditor, approve("bond"))
	w.must(seller, gate(1, open))
	w.must(seller, ask(sellerMeter, w.slot(1), 10, ledger.MaxPriceMicroPerKWh))
	w.must(seller, ask("seller-1-meter-2", w.slot(1), 10, ledger.MaxPriceMicroPerKWh-100_000)) // just
	var told []string
	for _, s := range w.until(w.closure()).Steps() {
		told = append(told, s.Text)
	}
	if len(told) != 1 || !strings.Contains(told[0], "no price leaves the seller so much") {
		t.Errorf("%q", told)
	}
}

// What a buyer draws is divided among those who delivered: who has drawn all that came pays for
// no one's silence but the silent one's own.
func TestASilentSellerCostsItsBuyerNothing(t *testing.T) {
	w := newAuction(t, nil)
	w.must(seller, ask(sellerMeter, w.slot(1), 500, 100_000))
	w.must("seller-2", ask("seller-2-meter", w.slot(1), 500, 100_000))
	w.must(buyer, bid(buyerMeter, w.slot(1), 1000, 300_000))
	w.until(w.closure())
	w.reads(map[string]int64{sellerMeter: 500, buyerMeter: 600})
	for _, trade := range w.State.Trades(nil) {
		want := wire.StatusSettled
		if trade.Seller != seller {
			want = wire.StatusFailed
		}
		if trade.Status != want || trade.GapMicro != 0 {
			t.Errorf("%+v", trade)
		}
	}
	if a, _ := w.robust(buyer); a.Broken != 0 || a.Kept != 1 {
		t.Errorf("%+v", a)
	}
}

// A slot may have more trades than a block ends deadlines: they end in the blocks behind it, and
// each by what was settled.
func TestASlotEndsInManyBlocks(t *testing.T) {
	w := newAuction(t, func(g *ledger.Genesis) { g.Params.MaxSweep = 1 })
	w.must("seller-2", ask("seller-2-meter", w.slot(1), 500, 100_000))
	w.must("buyer-2", bid("buyer-2-meter", w.slot(1), 500, 300_000))
	w.toCleared()
	w.until(w.slot(2) + 600_000)
	for cleared := 2; cleared >= 0; cleared-- {
		if n := w.State.Totals().TradesByStatus[wire.StatusCleared]; n != cleared {
			t.Fatalf("%d of two trades wait, want %d", n, cleared)
		}
		w.wait(0)
	}
}

// The last reading of a slot settles it in the block behind; one border less, and it waits.
func TestTheLastReadingSettles(t *testing.T) {
	w := newAuction(t, nil)
	w.toRead()
	w.until(w.slot(2))
	w.border(sellerMeter, 2, 1000)
	if head, _ := w.State.Slot(w.slot(1)); head.Waiting != 1 || w.State.NextDeadline() != w.slot(2)+600_000 {
		t.Errorf("%+v", head)
	}
	w.border(buyerMeter, 2, 1000)
	if w.State.NextDeadline() > w.State.TimeMs() || w.slotTrade().Status != wire.StatusCleared {
		t.Errorf("%+v", w.slotTrade())
	}
	w.wait(0)
	w.wait(0)
	if trade := w.slotTrade(); trade.Status != wire.StatusSettled {
		t.Errorf("%+v", trade)
	}
	if a, _ := w.robust(seller); a.Kept != 1 || a.GoodWh != 1000 {
		t.Errorf("%+v", a)
	}
	if a, _ := w.robust(buyer); a.Kept != 1 || a.GoodWh != 1000 {
		t.Errorf("%+v", a)
	}
}

// A word that no meter but the seller's bears out makes it no credit.
func TestASilentBuyerMakesNoCredit(t *testing.T) {
	w := newAuction(t, nil)
	w.toCleared()
	w.reads(map[string]int64{sellerMeter: 1000})
	if a, _ := w.robust(seller); a.Kept != 0 || a.GoodWh != 0 || a.WalletMicro != 1_200_000 {
		t.Errorf("%+v", a)
	}
}

// A slot's register is its meter's newest, and one reading ends a slot and begins the next.
func TestOneReadingOfTwoSlots(t *testing.T) {
	w := newAuction(t, nil)
	w.toOrdered()
	w.must(seller, ask(sellerMeter, w.slot(2), 500, 100_000))
	w.must(buyer, bid(buyerMeter, w.slot(2), 500, 300_000))
	w.until(w.closure())
	w.until(w.slot(1))
	w.border(sellerMeter, 1, 10)
	w.border(buyerMeter, 1, 20)
	w.until(w.slot(2) - w.Genesis.Params.GateClosureMs)
	w.until(w.slot(2))
	w.border(sellerMeter, 2, 1010)
	w.border(buyerMeter, 2, 1020)
	if m, ok := w.State.SlotMeter(w.slot(2), sellerMeter); !ok || !m.Began || m.StartWh != 1010 || m.Ended {
		t.Errorf("%+v", m)
	}
	w.until(w.slot(3))
	w.border(sellerMeter, 3, 1510)
	w.border(buyerMeter, 3, 1520)
	w.wait(0)
	w.wait(0)
	for _, startMs := range []int64{w.slot(1), w.slot(2)} {
		if trade, ok := w.State.Trade(ledger.SlotTradeID(startMs, 1)); !ok || trade.Status != wire.StatusSettled {
			t.Errorf("%+v", trade)
		}
	}
	w.must(mc, meterRetired(sellerMeter, 1510)) // it is free, and its register is the slot's
}

// An end that comes before the begin bounds it as well.
func TestBordersInAnySequence(t *testing.T) {
	for wh, want := range map[int64]string{500: "", 501: wire.CodeRegisterBack} {
		w := newAuction(t, func(g *ledger.Genesis) { g.Params.SlotMs, g.Params.GateClosureMs = 300_000, 60_000 })
		first := (w.NowMs/300_000 + 2) * 300_000
		w.must(seller, ask(sellerMeter, first, 500, 100_000))
		w.must(buyer, bid(buyerMeter, first, 500, 300_000))
		w.until(first - 60_000)
		w.until(first + 300_000)
		w.must(seller, slotReading(at2(sellerMeter, first+300_000, 500)))
		if got := w.send(seller, slotReading(at2(sellerMeter, first, wh))); got != want {
			t.Errorf("%d Wh at the begin: %q, want %q", wh, got, want)
		}
	}
	// Of two readings in one record either both count or none.
	w := newAuction(t, func(g *ledger.Genesis) { g.Params.SlotMs, g.Params.GateClosureMs = 300_000, 60_000 })
	first := (w.NowMs/300_000 + 2) * 300_000
	w.must(seller, ask(sellerMeter, first, 500, 100_000))
	w.must(buyer, bid(buyerMeter, first, 500, 300_000))
	w.until(first - 60_000)
	w.until(first + 300_000)
	if got := w.send(seller, slotReading(at2(sellerMeter, first, 500), at2(sellerMeter, first+300_000, 499))); got != wire.CodeRegisterBack {
		t.Error(got)
	}
	w.must(seller, slotReading(at2(sellerMeter, first, 500), at2(sellerMeter, first+300_000, 900)))
}

// What a buyer paid into the fund an appeal can bring to the seller, as far as the fund has it.
func TestAnAppealOfASlot(t *testing.T) {
	for finding, want := range map[fairwattpb.Finding][2]int64{ // to the seller, to the buyer, of 120,000; a missing half of 550 Wh at a fifth goes to whom it was kept from
		buyerLied:  {120_000 + 22_000, -22_000},
		neither:    {60_000, 60_000},
		sellerLied: {-44_000, 120_000 + 44_000},
	} {
		w := newAuction(t, nil)
		w.toCleared()
		w.reads(map[string]int64{sellerMeter: 1000, buyerMeter: 400})
		a, b := w.worth(seller), w.worth(buyer)
		id := w.slotTrade().ID
		w.must(seller, appeal(id))
		if held := w.State.Totals().HeldMicro; held != 120_000 {
			t.Errorf("%d are held", held)
		}
		w.must("judge-1", verdict(id, finding))
		w.must("judge-3", verdict(id, finding))
		if a, b := w.worth(seller)-a, w.worth(buyer)-b; a != want[0] || b != want[1] {
			t.Errorf("%v: the seller has %d more, the buyer %d", finding, a, b)
		}
		// It drew 600 Wh less than it had bought; arbiters that find so add the missing 550.
		bad := map[fairwattpb.Finding]int64{buyerLied: 5 * (600 + 600), neither: 0, sellerLied: 0}[finding]
		if b, _ := w.robust(buyer); b.BadWh != bad || (b.Broken == 0) != (bad == 0) {
			t.Errorf("%v: the buyer %+v", finding, b)
		}
	}
	// Where two arbiters gave the money to someone else meanwhile, there is none to hold.
	w := newAuction(t, nil)
	w.toCleared()
	w.reads(map[string]int64{sellerMeter: 1000, buyerMeter: 400})
	w.must("judge-1", granted("g", "buyer-2", 100_000))
	w.must("judge-3", granted("g", "buyer-2", 100_000))
	w.must(seller, appeal(w.slotTrade().ID))
	if held := w.State.Totals().HeldMicro; held != 20_000 {
		t.Errorf("%d are held", held)
	}
}

// A closure in a slot is borne out as a hold is; two of which one is not are not.
func TestAWitnessOfASlot(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*world)
		fine int64
	}{
		{"borne out, and open again", func(w *world) {
			w.must("seller-2", closes(2, "wind"))
			w.must(seller, closes(2, "wind"))
			w.must(seller, gate(3, open))
		}, 0},
		{"borne out, and closed still", func(w *world) {
			w.must("seller-2", closes(2, "wind"))
			w.must(seller, closes(2, "wind"))
		}, 0},
		{"no one bears it out", func(w *world) { w.must(seller, closes(2, "wind")); w.must(seller, gate(3, open)) }, 38_000},
		{"one of two is borne out, the first", func(w *world) {
			w.must("seller-2", closes(2, "wind"))
			w.must(seller, closes(2, "wind"))
			w.must(seller, gate(3, open))
			w.must(seller, closes(4, "fire"))
		}, 38_000},
		{"one of two is borne out, the second", func(w *world) {
			w.must(seller, closes(2, "fire"))
			w.must(seller, gate(3, open))
			w.must("seller-2", closes(2, "wind"))
			w.must(seller, closes(4, "wind"))
		}, 38_000},
	} {
		w := newAuction(t, func(g *ledger.Genesis) {
			for i := range g.Members {
				g.Members[i].Site = "hill"
			}
			g.Params = g.Params.WithExcuses(ledger.ExcusesWitnessed)
		})
		w.toCleared()
		w.until(w.slot(1) + 1000)
		c.do(w)
		w.until(w.slot(2) + 600_000)
		w.wait(0)
		if trade := w.slotTrade(); trade.FineMicro != c.fine || trade.PaidMicro != 0 {
			t.Errorf("%s: %+v", c.name, trade)
		}
	}
}

// A gate that closes before the slot and is open when it begins was open all the while; one that
// opens when the slot has begun was not.
func TestAGateThatOpensAtTheBorder(t *testing.T) {
	for late, want := range map[int64]string{0: wire.StatusSettled, 1: wire.StatusRefunded} {
		w := newAuction(t, nil)
		w.toCleared()
		w.must(seller, gate(2, blocked))
		sealed, err := w.Seal(seller, gate(3, open))
		if err != nil {
			t.Fatal(err)
		}
		w.NowMs = w.slot(1) + late - 1
		if _, err := w.Advance(sealed); err != nil {
			t.Fatal(err)
		}
		w.border(sellerMeter, 1, 0)
		w.border(buyerMeter, 1, 0)
		w.until(w.slot(2))
		w.border(sellerMeter, 2, 1000)
		w.border(buyerMeter, 2, 1000)
		w.wait(0)
		w.wait(0)
		if trade := w.slotTrade(); trade.Status != want {
			t.Errorf("%d ms late: %+v", late, trade)
		}
	}
}

// The id of a slot's trade tells the slot, and nothing else has its form.
func TestSlotTradeIDs(t *testing.T) {
	for id, want := range map[string]int64{
		ledger.SlotTradeID(900_000, 1): 900_000, ledger.SlotTradeID(900_000, 12_345): 900_000,
		"slot-900000-1": 0, "slot-900000-0001x": 0, "slot-900000": 0, "token-1": 0, "slot--1-0001": -1,
	} {
		if ms, ok := ledger.SlotOf(id); ok != (want != 0) || ok && ms != want {
			t.Errorf("%s: %d, %v", id, ms, ok)
		}
	}
}

// FuzzSlotRecord is FuzzRecord on a chain with an auction, in the midst of a slot.
func FuzzSlotRecord(f *testing.F) {
	w := newAuction(f, nil)
	w.toOrdered()
	w.must(seller, ask("seller-1-meter-2", w.slot(2), 1000, 100_000))
	w.until(w.closure())
	w.until(w.slot(1))
	w.border(sellerMeter, 1, 0)
	for _, cb := range w.Blocks {
		_, _, records, err := ledger.DecodeBlock(cb.Block)
		if err != nil {
			f.Fatal(err)
		}
		for _, sealed := range records {
			f.Add(sealed)
		}
	}
	always := ledger.WithVerified(func([32]byte) bool { return true })
	f.Fuzz(func(t *testing.T, sealed []byte) {
		st, dropped, err := w.State.Build(w.Fields(), [][]byte{sealed}, always)
		if err != nil || len(st.Records())+len(dropped) != 1 {
			t.Fatalf("%v", err)
		}
		if _, err := w.State.Verify(st.Block(), always); err != nil {
			t.Fatalf("own block refused: %v", err)
		}
	})
}
