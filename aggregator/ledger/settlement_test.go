package ledger_test

import (
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"pgregory.net/rapid"
)

func paper(g *ledger.Genesis) { g.Params.Settlement, g.Meters = ledger.SettleByPaper, nil }

func lossy(lossE4 int64) func(*ledger.Genesis) {
	return func(g *ledger.Genesis) { g.Params.LossE4 = lossE4 }
}

// What is paid is the least of the payment, the seller's meter and the buyer's,
// grossed up by the declared loss. Two meters of class 1 may differ by 2 % and two
// steps; what lies beyond goes to neither side.
func TestSettlementByMeters(t *testing.T) {
	for _, c := range []struct {
		name             string
		loss             int64
		billed, received int64
		status           string
		paid, gap        int64
	}{
		{"all of it", 0, 2000, 2000, wire.StatusSettled, 400_000, 0},
		{"the buyer's meter is a little behind", 0, 2000, 1990, wire.StatusSettled, 398_000, 0},
		{"as far behind as may be", 0, 2000, 1958, wire.StatusSettled, 391_600, 0},
		{"a Wh further", 0, 2000, 1957, wire.StatusDisputed, 391_400, 8_600},
		{"nothing arrived", 0, 2000, 0, wire.StatusDisputed, 0, 400_000},
		{"the buyer's meter is ahead", 0, 2000, 2001, wire.StatusSettled, 400_000, 0},
		{"far ahead: it counts other power too", 0, 1000, 9999, wire.StatusSettledPartly, 200_000, 0},
		{"a line that loses what it says", 300, 2000, 1940, wire.StatusSettled, 400_000, 0},
		{"rounded up to what had to leave", 300, 2000, 1939, wire.StatusSettled, 399_800, 0},
		{"a line that loses more", 300, 2000, 1898, wire.StatusSettled, 391_400, 0},
		{"beyond loss and tolerance", 300, 2000, 1897, wire.StatusDisputed, 391_200, 8_800},
		{"a part", 0, 1899, 1899, wire.StatusSettledPartly, 379_800, 0},
		{"a whole", 0, 1900, 1900, wire.StatusSettled, 380_000, 0},
		{"a whole that arrives as a part", 0, 1900, 1899, wire.StatusSettledPartly, 379_800, 0},
	} {
		w := newWorld(t, lossy(c.loss))
		w.toDelivering()
		w.must(seller, w.bill(1000+c.billed, c.billed, c.billed*200))
		w.must(buyer, confirm(100+c.received, c.received))
		trade := w.trade()
		if trade.Status != c.status || trade.PaidMicro != c.paid || trade.GapMicro != c.gap || !trade.Ended() {
			t.Errorf("%s: %s, paid %d, gap %d; want %s, %d, %d", c.name, trade.Status, trade.PaidMicro, trade.GapMicro, c.status, c.paid, c.gap)
		}
		if totals := w.State.Totals(); totals.FundMicro != c.gap || trade.PaidMicro+trade.ReturnedMicro+c.gap != 600_000 {
			t.Errorf("%s: fund %d, %+v", c.name, totals.FundMicro, trade)
		}
		s, _ := w.State.Account(seller)
		b, _ := w.State.Account(buyer)
		untouched := c.status == wire.StatusDisputed
		short := c.status == wire.StatusSettledPartly
		if (s.Kept+s.Broken+b.Kept+b.Broken == 0) != untouched || (s.Broken == 1) != short || b.Broken != 0 {
			t.Errorf("%s: seller %+v, buyer %+v", c.name, s, b)
		}
	}
}

// The classes are those of the two meters: without them 2000 Wh may differ by two
// steps only.
func TestToleranceOfBothMeters(t *testing.T) {
	for _, c := range []struct {
		seller, buyer uint32
		received      int64
		want          string
	}{
		{0, 0, 1998, wire.StatusSettled}, {0, 0, 1997, wire.StatusDisputed},
		{50, 0, 1988, wire.StatusSettled}, {50, 0, 1987, wire.StatusDisputed},
		{0, 200, 1958, wire.StatusSettled}, {0, 200, 1957, wire.StatusDisputed},
	} {
		w := newWorld(t, func(g *ledger.Genesis) {
			g.Meters[0].ClassE4, g.Meters[4].ClassE4 = c.seller, c.buyer // seller-1-meter, buyer-1-meter
		})
		w.toBilled()
		w.must(buyer, confirm(100+c.received, c.received))
		if trade := w.trade(); trade.Status != c.want {
			t.Errorf("classes %d and %d, received %d: %s, want %s", c.seller, c.buyer, c.received, trade.Status, c.want)
		}
	}
}

// Silence of the buyer waits for its meter's next signed reading, whatever record
// carries it, and then for silence_ms at most.
func TestSilenceWaitsForTheMeter(t *testing.T) {
	for _, c := range []struct {
		name   string
		then   func(*world)
		status string
		paid   int64
		kept   uint64 // promises of the buyer
		broken uint64
	}{
		{"a reading, in time", func(w *world) {
			w.must(buyer, readingOf("buyer-1-meter", 2070))
			w.status(wire.StatusBilled) // the confirmation may still come
			w.wait(w.Genesis.Params.ConfirmByMs)
		}, wire.StatusSettled, 394_000, 1, 0},
		{"a reading, late", func(w *world) {
			w.wait(w.Genesis.Params.ConfirmByMs)
			w.must(buyer, readingOf("buyer-1-meter", 2100))
		}, wire.StatusSettled, 400_000, 0, 0},
		{"a late reading that belies the bill", func(w *world) {
			w.wait(w.Genesis.Params.ConfirmByMs)
			w.must(buyer, readingOf("buyer-1-meter", 100))
		}, wire.StatusDisputed, 0, 0, 0},
		{"a confirmation, late", func(w *world) {
			w.wait(w.Genesis.Params.ConfirmByMs)
			w.must(buyer, confirm(2100, 2000))
		}, wire.StatusSettled, 400_000, 0, 0},
		{"the next payment's reading", func(w *world) {
			w.toSecondToken()
			w.must(buyer, pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter", 2070) }))
		}, wire.StatusSettled, 394_000, 1, 0},
		{"nothing, for as long as may be", func(w *world) {
			w.wait(w.Genesis.Params.ConfirmByMs)
			w.NowMs = w.trade().DeadlineMs - 2
			w.wait(0)
			w.status(wire.StatusBilled)
			w.wait(0)
		}, wire.StatusSettled, 400_000, 0, 1},
	} {
		w := newWorld(t, nil)
		w.must(mc, deposit(buyer, 1_000_000, "more"))
		w.toBilled()
		c.then(w)
		trade := w.trade()
		a, _ := w.State.Account(buyer)
		if trade.Status != c.status || trade.PaidMicro != c.paid || a.Kept != c.kept || a.Broken != c.broken {
			t.Errorf("%s: %s, paid %d, buyer %+v", c.name, trade.Status, trade.PaidMicro, a)
		}
	}
}

// A payment whose reading settles the trade before it and which is then refused
// leaves that trade as it was.
func TestRefusedPaymentSettlesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.toBilled()
	w.toSecondToken()
	before, _ := w.State.Trade("token-1")
	if code := w.send(buyer, pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter", 99) })); code != wire.CodeRegisterBack {
		t.Fatalf("%q", code)
	}
	if after := w.trade(); after != before {
		t.Errorf("%+v, was %+v", after, before)
	}
}

// A seller that goes silent is billed by its last signed reading (R21).
func TestSilentSellerIsBilledByItsLastReading(t *testing.T) {
	w := newWorld(t, nil)
	w.toDelivering()
	w.must(seller, readingOf("seller-1-meter", 2950))
	w.wait(w.Genesis.Params.DeliverByMs)
	if trade := w.status(wire.StatusBilled); trade.BilledWh != 1950 || trade.BilledMicro != 390_000 {
		t.Errorf("%+v", trade)
	}
	w.must(buyer, confirm(2100, 2000))
	if trade := w.status(wire.StatusSettled); trade.PaidMicro != 390_000 {
		t.Errorf("%+v", trade)
	}
	w.account(seller, 390_000, 1, 0)
	// Without a reading there is nothing to bill.
	w = newWorld(t, nil)
	w.toDelivering()
	w.wait(w.Genesis.Params.DeliverByMs)
	w.status(wire.StatusFailed)
	w.account(seller, 0, 0, 1)
}

// A seller that was ready is not at fault for what was not drawn; one that delivered
// a part, or whose gate closed, or that was not ready, is.
func TestReadySellerIsNotAtFault(t *testing.T) {
	for _, c := range []struct {
		name             string
		billed, ready    int64
		received         int64
		status           string
		sellerBroken     uint64
		buyerKept, fault uint64
	}{
		{"nothing drawn", 0, 1900, 0, wire.StatusRefunded, 0, 0, 0},
		{"not ready", 0, 1899, 0, wire.StatusFailed, 1, 0, 0},
		{"it does not say", 0, 0, 0, wire.StatusFailed, 1, 0, 0},
		{"next to nothing drawn", 9, 2000, 9, wire.StatusSettledPartly, 0, 0, 0},
		{"ten steps drawn", 10, 2000, 10, wire.StatusSettledPartly, 1, 1, 0},
	} {
		w := newWorld(t, nil)
		w.toDelivering()
		r := w.bill(1000+c.billed, c.billed, c.billed*200)
		r.GetBill().AvailableWh = c.ready
		w.must(seller, r)
		if c.billed > 0 {
			w.must(buyer, confirm(100+c.received, c.received))
		}
		trade := w.trade()
		s, _ := w.State.Account(seller)
		b, _ := w.State.Account(buyer)
		if trade.Status != c.status || s.Broken != c.sellerBroken || b.Kept != c.buyerKept || b.Broken != 0 || s.Kept != 0 {
			t.Errorf("%s: %s (%s), seller %+v, buyer %+v", c.name, trade.Status, trade.Reason, s, b)
		}
	}
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.HoldQuota = 0 })
	w.toStopped()
	r := w.bill(1000, 0, 0)
	r.GetBill().AvailableWh = 2000
	w.must(seller, r)
	if a, _ := w.State.Account(seller); a.Broken != 1 {
		t.Errorf("a hold's seller says that it was ready: %+v", a)
	}
}

// A trade of a few Wh is a rounding, and earns no one credit (A08).
func TestRoundingEarnsNoCredit(t *testing.T) {
	for volume, kept := range map[int64]uint64{9: 0, 10: 1} {
		w := newWorld(t, func(g *ledger.Genesis) { g.Params.MinLotWh = 1 })
		w.toEscrowed()
		w.must(buyer, pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = volume, volume*200 }))
		w.must(seller, start(w.attest(open, 1), 1000))
		w.must(seller, w.bill(1000+volume, volume, volume*200))
		w.must(buyer, confirm(100+volume, volume))
		w.status(wire.StatusSettled)
		w.account(seller, volume*200, kept, 0)
		w.account(buyer, 1_000_000-volume*200, kept, 0)
	}
}

// The paper's literal rule: the buyer's word pays all of the bill, or nothing.
func TestSettlementByPaper(t *testing.T) {
	w := newWorld(t, paper)
	w.toBilled()
	w.must(buyer, confirm(100, 0)) // accepted, whatever the meter says
	w.status(wire.StatusSettled)
	w.account(seller, 400_000, 1, 0)
	w.account(buyer, 600_000, 1, 0)

	w = newWorld(t, paper)
	w.toBilled()
	r := confirm(2100, 2000)
	r.GetConfirm().Accepted, r.GetConfirm().Reason = false, "no"
	w.must(buyer, r)
	w.status(wire.StatusFailed)
	w.account(seller, 0, 0, 1)
	w.account(buyer, 1_000_000, 1, 0)

	w = newWorld(t, paper)
	w.toBilled()
	w.wait(w.Genesis.Params.ConfirmByMs)
	w.status(wire.StatusFailed)
	w.account(seller, 0, 0, 1)
	w.account(buyer, 1_000_000, 1, 0)
}

// TestEveryTradeEnds: by time alone, whatever was done before, every trade has ended
// within T_max of its payment.
func TestEveryTradeEnds(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		g := ledgertest.Genesis(1, 1, 1)
		g.Params.SilenceMs = 3_600_000
		c, err := ledgertest.New(g)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{c, outer}
		w.toPaid()
		end := w.State.TimeMs() + g.Params.MaxTradeMs()
		if rapid.Bool().Draw(t, "delivering") {
			w.must(seller, start(w.attest(open, 1), 0))
		}
		if rapid.Bool().Draw(t, "read") {
			w.send(seller, readingOf("seller-1-meter", 1000))
		}
		for range rapid.IntRange(0, 25).Draw(t, "records") {
			sender, r := w.randomRecord(t)
			sealed, err := w.Seal(sender, r)
			if err != nil {
				t.Fatal(err)
			}
			st, _, err := w.State.Build(w.Fields(), [][]byte{sealed})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.State.Commit(st); err != nil {
				t.Fatal(err)
			}
			w.NowMs = max(w.State.TimeMs(), min(w.State.TimeMs()+rapid.Int64Range(0, 20).Draw(t, "pause")*200_000, end))
		}
		// Blocks may be far between: that buys no one time.
		for range 5 {
			w.NowMs = max(w.NowMs, min(end, w.NowMs+rapid.Int64Range(1, g.Params.MaxTradeMs()).Draw(t, "block")))
			w.wait(0)
		}
		w.NowMs = max(w.NowMs, end)
		w.wait(0)
		if trade := w.trade(); !trade.Ended() {
			t.Fatalf("still %s", trade.Status)
		}
	})
}
