package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"pgregory.net/rapid"
)

// A share is of what is produced in a slot, in 1e-4.
type share struct {
	meter string
	e4    uint32
}

func shareBy(price int64, shares ...share) record {
	t := &fairwattpb.SharingTerms{PriceMicroPerKwh: price}
	for _, s := range shares {
		t.Shares = append(t.Shares, &fairwattpb.Share{Meter: s.meter, ShareE4: s.e4})
	}
	return &fairwattpb.Record{Body: &fairwattpb.Record_SharingTerms{SharingTerms: t}}
}

// newSharing is a chain whose slots are shared; no one has said how yet.
func newSharing(t testing.TB, change func(*ledger.Genesis)) *world {
	return newAuction(t, func(g *ledger.Genesis) {
		g.Params = g.Params.WithMechanism(ledger.MechanismSharing)
		if change != nil {
			change(g)
		}
	})
}

// toShared has one roof and two homes share slot 1, at 200,000 micro/kWh: three quarters and one.
func (w *world) toShared() {
	w.must(mc, shareBy(200_000, share{"buyer-1-meter", 7_500}, share{"buyer-2-meter", 2_500}))
	w.must(seller, ask(sellerMeter, w.slot(1), 1000, 100_000))
	w.must(buyer, bid(buyerMeter, w.slot(1), 900, 300_000))
	w.must("buyer-2", bid("buyer-2-meter", w.slot(1), 900, 200_000))
	w.until(w.closure())
}

func onSharing(to func(*world)) func(*world) {
	return func(w *world) { *w = *newSharing(w.t, nil); to(w) }
}

// the refusals of the terms of sharing.
var sharingRows = []marketRow{
	{"a share of a meter that there is not", wire.CodeMeterUnknown, onSharing(nothing), mc, func(*world) record { return shareBy(1, share{buyerMeter, 1}, share{"ghost", 1}) }},
	{"a share of a meter out of use", wire.CodeMeterUnknown, onSharing(func(w *world) { w.must(mc, meterRetired(buyerMeter, 0)) }), mc, func(*world) record { return shareBy(1, share{buyerMeter, 1}) }},
	{"a share of a meter that only gives", wire.CodeMeterUnknown, func(w *world) {
		*w = *newSharing(w.t, func(g *ledger.Genesis) { g.Meters[0].Direction = "export" })
	}, mc, func(*world) record { return shareBy(1, share{sellerMeter, 1}) }},
	{"a price that leaves no room for the fee", wire.CodePriceWrong, func(w *world) { *w = *newSharingWithFees(w.t) }, mc,
		func(*world) record { return shareBy(ledger.MaxPriceMicroPerKWh-20_000+1, share{buyerMeter, 1}) }},
	{"change an order that is shared", wire.CodeSlotClosed, onSharing((*world).toShared), buyer, func(w *world) record { return bid(buyerMeter, w.slot(1), 0, 0) }},
	{"take a meter out of use that shares", wire.CodeMeterBusy, onSharing((*world).toShared), mc, func(*world) record { return meterRetired(buyerMeter, 0) }},
}

// saysTerms is a row of a sender and its terms.
func saysTerms(sender string, r record) func(*world) []byte {
	return func(w *world) []byte {
		*w = *newSharing(w.t, nil)
		return w.seal(sender, r)
	}
}

// what of them does not come through the door.
var sharingCheckRows = []checkRow{
	{"share on a chain with an auction", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newAuction(w.t, nil)
		return w.seal(mc, shareBy(1, share{buyerMeter, 1}))
	}},
	{"a member says how energy is shared", wire.CodeNotAllowed, saysTerms(buyer, shareBy(1, share{buyerMeter, 1}))},
	{"shares of more than all", wire.CodeMalformed, saysTerms(mc, shareBy(1, share{buyerMeter, 5_000}, share{"buyer-2-meter", 5_001}))},
	{"a meter with two shares", wire.CodeMalformed, saysTerms(mc, shareBy(1, share{buyerMeter, 1}, share{buyerMeter, 1}))},
	{"no shares", wire.CodeMalformed, saysTerms(mc, shareBy(1))},
	{"a share of nothing", wire.CodeMalformed, saysTerms(mc, shareBy(1, share{buyerMeter, 0}))},
	{"energy for nothing", wire.CodeMalformed, saysTerms(mc, shareBy(0, share{buyerMeter, 1}))},
	{"a share of a meter without a name", wire.CodeMalformed, saysTerms(mc, shareBy(1, share{"", 1}))},
	{"too many shares", wire.CodeMalformed, saysTerms(mc, shareBy(1, manyShares(501)...))},
}

func manyShares(n int) (all []share) {
	for i := range n {
		all = append(all, share{fmt.Sprintf("m-%03d", i), 1})
	}
	return all
}

// What was produced is divided by the shares, each paid what was divided, at the one price,
// and the rest of each escrow goes back. No one is fined, whatever did not come.
func TestSharing(t *testing.T) {
	const silent = -1
	for _, c := range []struct {
		name                   string
		sold, first, second    int64 // counted
		closes                 bool  // the seller's gate, for a moment
		has1, has2             int64 // Wh
		none                   string
		sellerKept, buyer2Kept uint64
	}{
		{"by the shares", 800, 900, 900, false, 600, 200, "", 2, 1},
		{"at most what is drawn, and the rest is no one's", 800, 100, 900, false, 100, 200, "", 2, 1},
		{"at most what was asked to be shared", 2000, 900, 900, false, 750, 250, "", 2, 1},
		{"at most what was bid for", 1000, 5000, 100, false, 750, 100, "", 2, 1},
		{"nothing was produced", 0, 900, 900, false, 0, 0, "", 0, 0},
		{"nothing was drawn", 800, 0, 0, false, 0, 0, "", 0, 0},
		{"a home's meter is silent", 800, 900, silent, false, 600, 0, "its order of 900 Wh on meter buyer-2-meter: no readings of its meter in time", 1, 0},
		{"the roof's meter is silent", silent, 900, 900, false, 0, 0, "its order of 1000 Wh on meter seller-1-meter: no readings of its meter in time", 0, 0},
		{"the gate was not open all the while", 800, 900, 900, true, 0, 0, "its order of 1000 Wh on meter seller-1-meter: the seller's gate was not open all the while", 0, 0},
	} {
		w := newSharing(t, nil)
		s, b1, b2 := w.worth(seller), w.worth(buyer), w.worth("buyer-2")
		w.toShared()
		if e := w.State.Totals().EscrowMicro; e != 270_000+180_000 {
			t.Fatalf("%s: %d in escrow", c.name, e)
		}
		from := len(w.Blocks)
		counted := map[string]int64{sellerMeter: c.sold, buyerMeter: c.first, "buyer-2-meter": c.second}
		for n := int64(1); n <= 2; n++ {
			w.until(w.slot(n))
			for meter, wh := range counted {
				if wh != silent {
					w.border(meter, n, (n-1)*wh)
				}
			}
			if c.closes && n == 1 {
				w.must(seller, gate(2, blocked))
				w.must(seller, gate(3, open))
			}
		}
		w.until(w.slot(2) + 600_000)
		w.wait(0)
		if s, b1, b2 := w.worth(seller)-s, w.worth(buyer)-b1, w.worth("buyer-2")-b2; s != (c.has1+c.has2)*200 || b1 != -c.has1*200 || b2 != -c.has2*200 {
			t.Errorf("%s: the seller has %d more, the homes %d and %d, want %d and %d Wh", c.name, s, b1, b2, c.has1, c.has2)
		}
		if all := w.State.Totals(); all.EscrowMicro != 0 || !all.Conserved {
			t.Errorf("%s: %+v", c.name, all)
		}
		for _, trade := range w.State.Trades(nil) {
			if trade.Status != wire.StatusSettled || trade.PriceMicroPerKWh != 200_000 || trade.FineMicro != 0 {
				t.Errorf("%s: %+v", c.name, trade)
			}
		}
		a, _ := w.robust(seller)
		h, _ := w.robust("buyer-2")
		if a.Kept != c.sellerKept || h.Kept != c.buyer2Kept || a.Broken+h.Broken != 0 || a.ExposureMicro+h.ExposureMicro != 0 {
			t.Errorf("%s: the seller %+v, the second home %+v", c.name, a, h)
		}
		if told := w.toldOf(from, ledger.StepLeftOut); c.none != "" && !slices.Contains(told, c.none) || c.none == "" && len(told) > 0 {
			t.Errorf("%s: told %q, want %q", c.name, told, c.none)
		}
		for _, e := range w.State.Entries() {
			if kind, _, _ := strings.Cut(string(e.Key), "/"); kind == "slotted" || kind == "inslots" || strings.HasPrefix(kind, "slot-") {
				t.Errorf("%s: %s is left", c.name, e.Key)
			}
		}
	}
}

// toldOf replays the chain for the texts of one kind of step, from a block on.
func (w *world) toldOf(from int, kind string) (out []string) {
	w.t.Helper()
	s, err := ledger.NewState(w.Genesis)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, cb := range w.Blocks {
		st, err := s.VerifyCertified(cb)
		if err == nil {
			err = s.Commit(st)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, step := range st.Steps() {
			if i >= from && step.Kind == kind {
				out = append(out, step.Text)
			}
		}
	}
	return out
}

// Who takes no part when a slot's gate closes is told why, and has its money back.
func TestWhoDoesNotShare(t *testing.T) {
	terms := func(w *world) {
		w.must(mc, shareBy(200_000, share{buyerMeter, 5_000}, share{"buyer-2-meter", 5_000}))
	}
	for _, c := range []struct {
		name   string
		change func(*ledger.Genesis)
		play   func(*world)
		want   []string
	}{
		{"no terms yet", nil, func(w *world) { w.toOrdered() }, []string{
			"its order of 1000 Wh on meter seller-1-meter: no centre has said yet how energy is shared",
			"its order of 1000 Wh on meter buyer-1-meter: no centre has said yet how energy is shared",
		}},
		{"a seller that wants more", nil, func(w *world) {
			terms(w)
			w.must(seller, ask(sellerMeter, w.slot(1), 1000, 200_001))
			w.must(buyer, bid(buyerMeter, w.slot(1), 1000, 300_000))
		}, []string{
			"its order of 1000 Wh on meter seller-1-meter: it asks for more than the community's price leaves it, of 200000 micro/kWh",
			"its order of 1000 Wh on meter buyer-1-meter: there is no one on the other side",
		}},
		{"a buyer that pays less", nil, func(w *world) {
			terms(w)
			w.must(seller, ask(sellerMeter, w.slot(1), 1000, 200_000))
			w.must(buyer, bid(buyerMeter, w.slot(1), 1000, 199_999))
		}, []string{
			"its order of 1000 Wh on meter buyer-1-meter: it bids less than the community's price and fee, 200000 micro/kWh",
			"its order of 1000 Wh on meter seller-1-meter: there is no one on the other side",
		}},
		{"a meter without a share", nil, func(w *world) {
			w.must(mc, shareBy(200_000, share{"buyer-2-meter", 10_000}))
			w.toOrdered()
		}, []string{
			"its order of 1000 Wh on meter buyer-1-meter: the meter has no share",
			"its order of 1000 Wh on meter seller-1-meter: there is no one on the other side",
		}},
		{"a share that was taken away", nil, func(w *world) {
			terms(w)
			w.toOrdered()
			w.must(mc, shareBy(200_000, share{"buyer-2-meter", 10_000}))
		}, []string{
			"its order of 1000 Wh on meter buyer-1-meter: the meter has no share",
			"its order of 1000 Wh on meter seller-1-meter: there is no one on the other side",
		}},
		{"a bond that does not bear the price", nil, func(w *world) {
			w.must(mc, shareBy(1_000_000, share{buyerMeter, 10_000}))
			w.must(seller, ask(sellerMeter, w.slot(1), 2001, 100_000))
			w.must(buyer, bid(buyerMeter, w.slot(1), 900, 1_000_000))
		}, []string{
			"its order of 2001 Wh on meter seller-1-meter: bond and credit do not bear it at the community's price",
			"its order of 900 Wh on meter buyer-1-meter: there is no one on the other side",
		}},
		{"a gate that is not open", nil, func(w *world) {
			terms(w)
			w.toOrdered()
			w.must(seller, gate(2, blocked))
		}, []string{
			"its order of 1000 Wh on meter seller-1-meter: the gate is not open",
			"its order of 1000 Wh on meter buyer-1-meter: there is no one on the other side",
		}},
		{"a gate that is not open, and no terms", nil, func(w *world) {
			w.toOrdered()
			w.must(seller, gate(2, blocked))
		}, []string{
			"its order of 1000 Wh on meter seller-1-meter: the gate is not open",
			"its order of 1000 Wh on meter buyer-1-meter: no centre has said yet how energy is shared",
		}},
	} {
		w := newSharing(t, c.change)
		s, b := w.worth(seller), w.worth(buyer)
		c.play(w)
		from := len(w.Blocks)
		w.until(w.closure())
		if told := w.toldOf(from, ledger.StepLeftOut); !slices.Equal(told, c.want) {
			t.Errorf("%s: told %q, want %q", c.name, told, c.want)
		}
		a, _ := w.robust(seller)
		if all := w.State.Totals(); all.EscrowMicro != 0 || !all.Conserved || a.ExposureMicro != 0 || w.worth(seller) != s || w.worth(buyer) != b {
			t.Errorf("%s: %+v, exposed to %d", c.name, all, a.ExposureMicro)
		}
		if slots := w.State.Slots(); len(slots) > 0 {
			t.Errorf("%s: %+v", c.name, slots)
		}
	}
}

// An ask that brings more at the community's price than it asked for needs a bond that bears
// that; one that brings as much stays, whatever became of its sender's credit.
func TestABondBearsWhatIsShared(t *testing.T) {
	const whole = 1_000_000 // micro/kWh
	for _, c := range []struct {
		name      string
		wh, asked int64
		fails     bool // a wired trade of 400,000 before
		shares    bool
	}{
		{"just what the bond bears", 2000, whole / 2, false, true},
		{"a Wh more", 2001, whole / 2, false, false},
		{"its credit has fallen, and it asked for less", 1500, whole / 2, true, false},
		{"its credit has fallen, and it asked for as much", 1500, whole, true, true},
	} {
		w := newSharing(t, nil)
		const n = 4 // a slot behind the time in which the trade begins
		closes := w.slot(n) - w.Genesis.Params.GateClosureMs
		w.must(mc, shareBy(whole, share{"buyer-2-meter", 10_000}))
		w.must(seller, ask(sellerMeter, w.slot(n), c.wh, c.asked))
		w.must("buyer-2", bid("buyer-2-meter", w.slot(n), 100, whole))
		if c.fails {
			w.toRequested2()
			w.must(mc, w.response(nil))
			w.must(buyer, pay(nil))
		}
		w.until(closes)
		w.wait(0)
		head, _ := w.State.Slot(w.slot(n))
		a, limit := w.robust(seller)
		if head.Shared != c.shares || c.fails && (a.Broken != 1 || limit >= c.wh*1000) {
			t.Errorf("%s: %+v, the seller %+v with a limit of %d", c.name, head, a, limit)
		}
		if want := c.wh * 1000; c.shares && a.ExposureMicro != want || !c.shares && a.ExposureMicro != 0 {
			t.Errorf("%s: exposed to %d", c.name, a.ExposureMicro)
		}
	}
}

// The terms that stand when a slot's gate closes are its own; the next slots have the newer.
func TestTermsOfASlotStay(t *testing.T) {
	w := newSharing(t, nil)
	before := w.worth(buyer)
	w.toShared()
	w.must(mc, shareBy(300_000, share{"buyer-2-meter", 10_000}))
	saidAt := w.State.Height()
	w.reads(map[string]int64{sellerMeter: 800, buyerMeter: 900, "buyer-2-meter": 900})
	if paid := before - w.worth(buyer); paid != 600*200 {
		t.Errorf("the first home paid %d", paid)
	}
	terms, ok := w.State.SharingTerms()
	if !ok || terms.Height != saidAt || terms.PriceMicroPerKWh != 300_000 || !maps.Equal(terms.ByMeter(), map[string]uint32{"buyer-2-meter": 10_000}) {
		t.Errorf("%+v, %v", terms, ok)
	}
}

// newSharingWithFees is one with a fee of 10,000 micro/kWh within a site and 20,000 between sites,
// and a levy of a tenth.
func newSharingWithFees(t testing.TB) *world {
	return newSlotsWithFees(t, ledger.MechanismSharing, func(g *ledger.Genesis) {
		g.Money.FeeMicroPerKWh, g.Money.FeeBetweenMicroPerKWh, g.Money.LevyE4 = 10_000, 20_000, 1_000
	})
}

// The greatest price with the greatest fee stops no chain: who bids as much shares at it.
func TestTheGreatestPriceIsShared(t *testing.T) {
	w := newSharingWithFees(t)
	const greatest = ledger.MaxPriceMicroPerKWh
	w.must(mc, shareBy(greatest-20_000, share{buyerMeter, 10_000}))
	w.must(seller, ask(sellerMeter, w.slot(1), 10, 1))
	w.must(mc, deposit(buyer, 20_000_000, "more"))
	w.must(ledgertest.Auditor, approve("more"))
	for _, id := range []string{seller, buyer} {
		w.must(mc, bonded(id, 20_000_000, "more-"+id))
		w.must(ledgertest.Auditor, approve("more-"+id))
	}
	w.must(buyer, bid(buyerMeter, w.slot(1), 10, greatest))
	w.until(w.closure())
	before := w.worth(buyer)
	w.reads(map[string]int64{sellerMeter: 10, buyerMeter: 10})
	if trade := w.slotTrade(); trade.Status != wire.StatusSettled || trade.PaidMicro != 10*(greatest/1000) || w.worth(buyer) != before {
		t.Errorf("%+v", trade)
	}
}

// The price, the fee of the pair and the levy are what they are in an auction; a bid has to
// bear the greatest fee, and an ask what the levy leaves.
func TestFeesOfSharing(t *testing.T) {
	for _, c := range []struct {
		name     string
		ask, bid int64
		told     string
	}{
		{"just enough", 160_000, 220_000, ""},
		{"the bid does not bear the fee", 160_000, 219_999, "its order of 1000 Wh on meter buyer-1-meter: it bids less than the community's price and fee, 220000 micro/kWh"},
		// (160,000 + 20,000) / 0.9 - 20,000 is 180,000; of 220,000 the levy leaves 178,000 and not 178,001.
		{"as much as the levy leaves", 178_000, 220_000, ""},
		{"more than the levy leaves", 178_001, 220_000, "its order of 1000 Wh on meter seller-1-meter: it asks for more than the community's price leaves it, of 200000 micro/kWh"},
	} {
		w := newSharingWithFees(t)
		s, b := w.worth(seller), w.worth(buyer)
		w.must(mc, shareBy(200_000, share{buyerMeter, 10_000}))
		w.must(seller, ask(sellerMeter, w.slot(1), 1000, c.ask))
		w.must(buyer, bid(buyerMeter, w.slot(1), 1000, c.bid))
		from := len(w.Blocks)
		w.until(w.closure())
		told := w.toldOf(from, ledger.StepLeftOut)
		if c.told != "" {
			if !slices.Contains(told, c.told) || w.worth(buyer) != b {
				t.Errorf("%s: told %q", c.name, told)
			}
			continue
		}
		w.reads(map[string]int64{sellerMeter: 1000, buyerMeter: 1000})
		all := w.State.Totals()
		if s, b := w.worth(seller)-s, w.worth(buyer)-b; len(told) > 0 || b != -220_000 || s != 220_000-20_000-22_000 || all.FeesMicro != 20_000 || all.FundMicro != 22_000 {
			t.Errorf("%s: the seller has %d more, the buyer %d: %+v, told %q", c.name, s, b, all, told)
		}
	}
}

// A state that is restored while a slot is shared divides it as the one that was not.
func TestARestoredStateSharesTheSame(t *testing.T) {
	w := newSharing(t, nil)
	w.toShared()
	w.until(w.slot(1))
	for _, m := range []string{sellerMeter, buyerMeter, "buyer-2-meter"} {
		w.border(m, 1, 0)
	}
	w.until(w.slot(2))
	for _, m := range []string{sellerMeter, buyerMeter, "buyer-2-meter"} {
		w.border(m, 2, 700)
	}
	again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		st := w.wait(0)
		staged, err := again.Verify(st.Block())
		if err == nil {
			err = again.Commit(staged)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := w.State.Totals().TradesByStatus[wire.StatusSettled]; n != 2 || again.Root() != w.State.Root() {
		t.Errorf("%d trades are settled", n)
	}
}

// No buyer gains by what it says that its meter counted, or by saying nothing, whatever the
// others consume. Beside the community everyone has a supplier: what a buyer's share does not
// cover costs it as much as it bid, and what it has too much is worth nothing.
func TestNoWordOnASharePays(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		meters := []string{sellerMeter, buyerMeter, "buyer-2-meter"}
		counted := map[string]int64{}
		for _, m := range meters {
			counted[m] = rapid.Int64Range(0, 1500).Draw(t, "counted")
		}
		first := rapid.Uint32Range(1, 9_999).Draw(t, "share")
		const silent, price, supplier = -1, 200, 300 // micro a Wh
		lie := rapid.Int64Range(silent, 3000).Draw(t, "lie")
		run := func(says int64) int64 {
			w := newSharing(outer, func(g *ledger.Genesis) { g.Aggregators, g.OverheadUs = g.Aggregators[:1], [][]int64{{0}} })
			w.must(mc, shareBy(price*1000, share{buyerMeter, first}, share{"buyer-2-meter", 10_000 - first}))
			w.must(seller, ask(sellerMeter, w.slot(1), 1500, 100_000))
			w.must(buyer, bid(buyerMeter, w.slot(1), 1500, supplier*1000))
			w.must("buyer-2", bid("buyer-2-meter", w.slot(1), 1500, supplier*1000))
			w.until(w.closure())
			before := w.worth(buyer)
			shows := maps.Clone(counted)
			if shows[buyerMeter] = says; says == silent {
				delete(shows, buyerMeter)
			}
			w.reads(shows)
			w.until(w.slot(2) + 600_000)
			w.wait(0)
			w.wait(0)
			has := int64(0)
			for _, trade := range w.State.Trades(nil) {
				if !trade.Ended() {
					t.Fatalf("%+v", trade)
				}
				if trade.Buyer == buyer {
					has += trade.BuyerMeteredWh
				}
			}
			return w.worth(buyer) - before - max(0, counted[buyerMeter]-has)*supplier
		}
		honest := run(counted[buyerMeter])
		if got := run(lie); got > honest {
			t.Fatalf("it says %d and has %d more: share %d, counted %v", lie, got-honest, first, counted)
		}
	})
}

// terms has the centre say how energy is shared: all meters, or some of them, at one of the
// prices that orders have.
func (w *slotTown) terms() {
	var all []share
	left := 10_000
	for _, who := range slices.Sorted(slices.Values(w.members)) {
		for _, meter := range []string{who + "-meter", who + "-meter-2"} {
			if e4 := w.draw(left/2, "share"); e4 > 0 {
				all = append(all, share{meter, uint32(e4)})
				left -= e4
			}
		}
	}
	if len(all) == 0 {
		all = []share{{w.members[0] + "-meter", 10_000}}
	}
	if code := w.block(mc, shareBy(int64(w.draw(3, "price")+2)*50_000, all...)); code != "" {
		w.r.Fatal(code)
	}
}

// checkShares: no meter took part on both sides of a slot, and each trade is all paid. It
// returns how many there are.
func (w *slotTown) checkShares() (settled int) {
	gave, took := map[string]int64{}, map[string]int64{}
	for _, t := range w.State.Trades(nil) {
		startMs, is := ledger.SlotOf(t.ID)
		if !is {
			continue
		}
		gave[fmt.Sprint(startMs, t.SellerMeter)] += t.BilledWh
		took[fmt.Sprint(startMs, t.BuyerMeter)] += t.BuyerMeteredWh
		switch {
		case t.VolumeWh != t.BilledWh || t.BilledWh != t.BuyerMeteredWh || t.FineMicro != 0 || t.Held || t.Late:
			w.r.Fatalf("%+v", t)
		case t.Ended() && (t.Status != wire.StatusSettled || t.EscrowMicro != 0):
			w.r.Fatalf("%+v", t)
		case t.Ended():
			settled++
		}
	}
	for meter := range gave {
		if took[meter] > 0 {
			w.r.Fatalf("%s gave %d Wh and took %d in one slot", meter, gave[meter], took[meter])
		}
	}
	return settled
}

// TestSharedBooks: over random histories of orders, wired trades, terms, gates and readings,
// what the blocks say adds up to the state, no energy is paid twice or where a gate was not
// open, no home has more than its share, and time alone ends all.
func TestSharedBooks(outer *testing.T) {
	settled, runs := 0, 0
	rapid.Check(outer, func(t *rapid.T) {
		runs++
		w := newSlotTown(outer, t, ledger.MechanismSharing)
		w.terms()
		for range rapid.IntRange(20, 60).Draw(t, "steps") {
			switch w.draw(16, "step") {
			case 0:
				w.turnGate()
			case 1:
				w.trade()
			case 2:
				w.terms()
			case 3, 4, 5:
				w.pass()
			default:
				w.order()
			}
			w.check()
			w.checkSlots()
			w.checkShares()
		}
		w.endSlots()
		settled += w.checkShares()
	})
	if settled == 0 && enough(runs) {
		outer.Error("nothing was shared")
	}
}
