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

// A slotTown is a town that trades in slots beside its wired trades.
type slotTown struct {
	*town
	seq      map[string]uint64
	isOpen   map[string]bool
	closed   map[string][][2]int64      // of a gate, from and until
	showed   map[string]map[int64]int64 // meter: border: register
	accepted int                        // orders
}

func newSlotTown(outer testing.TB, t *rapid.T, mechanism string) *slotTown {
	w := &slotTown{
		town: newTown(outer, t, func(g *ledger.Genesis) { g.Params = g.Params.WithMechanism(mechanism) }),
		seq:  map[string]uint64{}, isOpen: map[string]bool{}, closed: map[string][][2]int64{}, showed: map[string]map[int64]int64{},
	}
	for _, id := range w.members {
		w.seq[id], w.isOpen[id] = 1, true
		w.block(mc, bonded(id, 5_000_000, "first-"+id))
	}
	return w
}

func (w *slotTown) order() {
	who := w.member("who")
	meter := who + rapid.SampledFrom([]string{"-meter", "-meter-2"}).Draw(w.r, "meter")
	startMs := (w.NowMs/slotMs + int64(w.draw(5, "slot")/3) + 1) * slotMs
	wh, price := rapid.Int64Range(100, 800).Draw(w.r, "wh"), rapid.Int64Range(1, 4).Draw(w.r, "price")*50_000
	if w.draw(8, "back") == 0 {
		wh = 0
	}
	r := ask(meter, startMs, wh, price)
	if w.draw(2, "buys") == 1 {
		r = bid(meter, startMs, wh, price+100_000)
	}
	if w.block(who, r) == "" {
		w.accepted++
	}
}

func (w *slotTown) turnGate() {
	who := w.member("who")
	w.seq[who]++
	state := blocked
	if !w.isOpen[who] {
		state = open
	}
	if code := w.block(who, gate(w.seq[who], state)); code != "" {
		w.r.Fatal(code)
	}
	if w.isOpen[who] {
		w.closed[who] = append(w.closed[who], [2]int64{w.State.TimeMs(), 1 << 60})
	} else {
		w.closed[who][len(w.closed[who])-1][1] = w.State.TimeMs()
	}
	w.isOpen[who] = !w.isOpen[who]
}

// pass goes to the next gate closure or border, where meters that trade say what they show, or not.
func (w *slotTown) pass() {
	next := (w.NowMs/slotMs + 1) * slotMs
	if closure := next - w.Genesis.Params.GateClosureMs; closure > w.NowMs+1 {
		next = closure
	}
	w.NowMs = next - 1
	w.block("", nil)
	if next%slotMs != 0 {
		return
	}
	for _, who := range w.members {
		for _, meter := range []string{who + "-meter", who + "-meter-2"} {
			_, before := w.State.SlotMeter(next-slotMs, meter)
			_, behind := w.State.SlotMeter(next, meter)
			if !before && !behind || w.draw(8, "silent") == 0 {
				continue
			}
			// Some count all that an order can have promised, some a part of it: rapid's own draws are mostly near 0.
			most := rapid.SampledFrom([]int64{0, 150, 300, 1500}).Draw(w.r, "most")
			w.register[meter] += max(0, most-rapid.Int64Range(-100, 200).Draw(w.r, "less"))
			if code := w.block(who, slotReading(at2(meter, next, w.register[meter]))); code != "" {
				w.r.Fatalf("reading of %s: %s", meter, code)
			}
			if w.showed[meter] == nil {
				w.showed[meter] = map[int64]int64{}
			}
			w.showed[meter][next] = w.register[meter]
		}
	}
}

// counted is what a meter said to have counted in a slot.
func (w *slotTown) counted(meter string, startMs int64) int64 {
	begin, ok := w.showed[meter][startMs]
	end, too := w.showed[meter][startMs+slotMs]
	if !ok || !too {
		return 0
	}
	return end - begin
}

// checkSlots: no Wh of a meter is billed twice, nothing is where the gate was not open, and
// no one pays or is paid worse than it said.
func (w *slotTown) checkSlots() (ended map[string]int) {
	ended = map[string]int{}
	billed, taken := map[string]int64{}, map[string]int64{}
	for _, t := range w.State.Trades(nil) {
		startMs, is := ledger.SlotOf(t.ID)
		if !is {
			continue
		}
		ended[t.Status]++
		if t.Seller == t.Buyer || t.PriceMicroPerKWh > t.MaxPriceMicroPerKWh {
			w.r.Fatalf("%+v", t)
		}
		billed[fmt.Sprint(startMs, t.SellerMeter)] += t.BilledWh
		if billed[fmt.Sprint(startMs, t.SellerMeter)] > w.counted(t.SellerMeter, startMs) {
			w.r.Fatalf("billed twice: %+v", t)
		}
		if taken[fmt.Sprint(startMs, t.BuyerMeter)] += t.BuyerMeteredWh; !t.Late && taken[fmt.Sprint(startMs, t.BuyerMeter)] > w.counted(t.BuyerMeter, startMs) {
			w.r.Fatalf("taken twice: %+v", t)
		}
		for _, c := range w.closed[t.Seller] {
			if t.BilledWh > 0 && c[0] < startMs+slotMs && c[1] > startMs {
				w.r.Fatalf("billed while the gate was not open, from %d until %d: %+v", c[0]-startMs, c[1]-startMs, t)
			}
		}
	}
	return ended
}

// endSlots lets the last orders' closures and borders come, and time end the rest.
func (w *slotTown) endSlots() {
	for range 6 {
		w.pass()
	}
	w.endAll()
	w.check()
	for _, trade := range w.State.Trades(nil) {
		if !trade.Ended() {
			w.r.Fatalf("%s is still %s", trade.ID, trade.Status)
		}
	}
	for _, e := range w.State.Entries() {
		if kind, _, _ := strings.Cut(string(e.Key), "/"); kind == "deadline" || kind == "slotted" || kind == "inslots" || strings.HasPrefix(kind, "slot-") {
			w.r.Fatalf("%s is left", e.Key)
		}
	}
}

// TestSlotBooks: over random histories of orders, wired trades, gates and readings, what the blocks
// say adds up to the state, no energy is paid twice or where a gate was not open, and time alone
// ends all.
func TestSlotBooks(outer *testing.T) {
	outcomes, runs := map[string]int{}, 0
	rapid.Check(outer, func(t *rapid.T) {
		runs++
		w := newSlotTown(outer, t, ledger.MechanismAuction)
		for range rapid.IntRange(20, 60).Draw(t, "steps") {
			switch w.draw(12, "step") {
			case 0:
				w.turnGate()
			case 1:
				w.trade()
			case 2, 3:
				w.pass()
			default:
				w.order()
			}
			w.check()
			w.checkSlots()
		}
		w.endSlots()
		for status, n := range w.checkSlots() {
			outcomes[status] += n
		}
	})
	for _, status := range []string{wire.StatusSettled, wire.StatusSettledPartly, wire.StatusFailed, wire.StatusRefunded} {
		if outcomes[status] == 0 && enough(runs) {
			outer.Errorf("no trade of a slot was %s: %v", status, outcomes)
		}
	}
}

// TestNoWordOnASlotPays: who keeps a reading back, or says that its meter counted less than it did,
// or that a buyer's counted something else, has no more money of it, whatever the others do. A seller
// cannot say more than it promised with any effect either. (A seller whose meter counts more than
// it gave, up to what it promised, is paid for it as in a wired trade: see docs/market.md.)
func TestNoWordOnASlotPays(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		meters := []string{"seller-1-meter", "seller-2-meter", "buyer-1-meter", "buyer-2-meter"}
		promised, counted := map[string]int64{}, map[string]int64{}
		for _, m := range meters {
			promised[m] = rapid.Int64Range(10, 1200).Draw(t, "promised")
			counted[m] = rapid.Int64Range(0, 1500).Draw(t, "counted")
		}
		const silent = -1
		liar := rapid.SampledFrom(meters).Draw(t, "liar")
		lie := rapid.Int64Range(silent, counted[liar]).Draw(t, "lie")
		if strings.HasPrefix(liar, "buyer") || counted[liar] >= promised[liar] {
			lie = rapid.Int64Range(silent, 3000).Draw(t, "any lie")
		}
		run := func(says map[string]int64) int64 {
			w := newAuction(outer, func(g *ledger.Genesis) { g.Aggregators, g.OverheadUs = g.Aggregators[:1], [][]int64{{0}} })
			for _, m := range meters {
				who, r := strings.TrimSuffix(m, "-meter"), ask(m, w.slot(1), promised[m], 100_000)
				if strings.HasPrefix(m, "buyer") {
					r = bid(m, w.slot(1), promised[m], 300_000)
				}
				w.must(who, r)
			}
			w.until(w.closure())
			for n, border := range []int64{w.slot(1), w.slot(2)} {
				w.until(border)
				for _, m := range meters {
					if _, trades := w.State.SlotMeter(w.slot(1), m); trades && says[m] != silent {
						w.must(strings.TrimSuffix(m, "-meter"), slotReading(at2(m, border, int64(n)*says[m])))
					}
				}
			}
			w.until(w.slot(2) + 600_000)
			w.wait(0)
			for _, trade := range w.State.Trades(nil) {
				if !trade.Ended() {
					t.Fatalf("%+v", trade)
				}
			}
			who := strings.TrimSuffix(liar, "-meter")
			return w.worth(who)
		}
		lies := maps.Clone(counted)
		lies[liar] = lie
		honest := run(counted)
		if got := run(lies); got > honest+2 { // amounts are rounded for each trade
			t.Fatalf("%s says %d for %d, and has %d more: promised %v, counted %v", liar, lie, counted[liar], got-honest, promised, counted)
		}
	})
}

// The order in which orders of one block stand does not matter.
func TestOrdersCommute(t *testing.T) {
	run := func(order []int) [32]byte {
		w := newAuction(t, nil)
		var block, sealed [][]byte
		for i, r := range []record{
			ask(sellerMeter, w.slot(1), 700, 100_000), ask("seller-2-meter", w.slot(1), 500, 100_000),
			bid(buyerMeter, w.slot(1), 900, 200_000), bid("buyer-2-meter", w.slot(1), 600, 200_000),
		} {
			b, err := w.Seal([]string{seller, "seller-2", buyer, "buyer-2"}[i], r)
			if err != nil {
				t.Fatal(err)
			}
			block = append(block, b)
		}
		for _, i := range order {
			sealed = append(sealed, block[i])
		}
		if _, err := w.Advance(sealed...); err != nil {
			t.Fatal(err)
		}
		w.until(w.closure())
		if n := len(w.State.Trades(nil)); n < 2 {
			t.Fatalf("%d trades", n)
		}
		return w.State.Root()
	}
	for _, order := range [][]int{{3, 2, 1, 0}, {1, 0, 3, 2}, {2, 0, 3, 1}} {
		if run([]int{0, 1, 2, 3}) != run(order) {
			t.Errorf("another state by %v", order)
		}
	}
}

// A state that is restored with orders clears them as the one that was not.
func TestARestoredStateClearsTheSame(t *testing.T) {
	w := newAuction(t, nil)
	w.toOrdered()
	again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
	if err != nil {
		t.Fatal(err)
	}
	st := w.until(w.closure())
	if _, err := again.Verify(st.Block()); err != nil {
		t.Error(err)
	}
}

// A bid's escrow is money like any other.
func TestABidsEscrowIsCounted(t *testing.T) {
	w := newAuction(t, nil)
	w.toOrdered()
	key := ""
	var bytes []byte
	for _, e := range w.State.Entries() {
		if strings.HasSuffix(string(e.Key), "/bid/"+buyerMeter) {
			key, bytes = string(e.Key), e.Value
		}
	}
	by := func(micro int64) []byte {
		return ledger.AlteredOrder(bytes, func(o *ledger.SlotOrder) { o.PromisedMicro += micro })
	}
	for _, c := range []struct {
		escrow int64
		value  []byte
		want   string
	}{
		{0, by(0), ""},
		{0, by(1), "the block leaves"},
		{-300_000, nil, "the block leaves"},
		{-300_001, by(-300_001), "below zero"},
		{0, []byte{1}, "cut off"},
	} {
		err := w.State.Conserves(ledger.Sums{Escrow: c.escrow, Wallets: -c.escrow}, map[string][]byte{key: c.value})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d: %v", c.escrow, err)
		}
	}
	if all := w.State.Totals(); all.EscrowMicro != 300_000 || !all.Conserved {
		t.Errorf("%+v", all)
	}
}

// The fields of orders and readings have limits at the door.
func TestSlotRecordsHaveLimits(t *testing.T) {
	w := newWorld(t, ledgertest.Auction)
	for _, kind := range []string{"ask", "bid"} {
		for _, c := range []struct {
			field     string
			low, high int64
		}{
			{"slot_start_ms", 1, ledger.MaxTimeMs}, {"energy_wh", 0, ledger.MaxEnergyWh}, {"price_micro_per_kwh", 1, ledger.MaxPriceMicroPerKWh},
		} {
			w.allowed(kind, kind+"."+c.field, c.low)
			w.allowed(kind, kind+"."+c.field, c.high)
			w.malformed(kind, kind+"."+c.field, c.field, c.low-1)
			w.malformed(kind, kind+"."+c.field, c.field, c.high+1)
		}
		w.malformed(kind, kind+".meter", "meter", "a/b")
	}
	var many []*fairwattpb.MeterReading
	for i := range ledger.SlotHorizon + 1 {
		many = append(many, at2("m", int64(i)+1, 1))
	}
	for name, c := range map[string]struct {
		readings []*fairwattpb.MeterReading
		good     bool
	}{
		"none":                {nil, false},
		"as many as may":      {many[1:], true},
		"more":                {many, false},
		"of two meters":       {[]*fairwattpb.MeterReading{at2("m", 1, 1), at2("n", 2, 1)}, false},
		"one time twice":      {[]*fairwattpb.MeterReading{at2("m", 1, 1), at2("m", 1, 1)}, false},
		"descending":          {[]*fairwattpb.MeterReading{at2("m", 2, 1), at2("m", 1, 1)}, false},
		"of no meter":         {[]*fairwattpb.MeterReading{at2("", 1, 1)}, false},
		"a register too high": {[]*fairwattpb.MeterReading{at2("m", 1, ledger.MaxRegisterWh+1)}, false},
	} {
		_, err := w.State.CheckRecord(w.sealed(seller, 1, slotReading(c.readings...)))
		if c.good != (err == nil) || err != nil && (code(err) != wire.CodeMalformed || !strings.Contains(err.Error(), "reading")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// benchSlot is a chain on which 500 members ask and 500 bid for slot 1.
func benchSlot(b *testing.B) *world {
	b.Helper()
	g := ledgertest.Genesis(4, 500, 500)
	ledgertest.Auction(g)
	c, err := ledgertest.New(g)
	if err != nil {
		b.Fatal(err)
	}
	w := &world{c, b}
	var sealed [][]byte
	seal := func(who string, r record) {
		s, err := w.Seal(who, r)
		if err != nil {
			b.Fatal(err)
		}
		sealed = append(sealed, s)
	}
	block := func() {
		for chunk := range slices.Chunk(sealed, 2000) {
			st, err := w.Advance(chunk...)
			if err != nil {
				b.Fatal(err)
			}
			for _, o := range st.Outcomes() {
				if !o.Applied {
					b.Fatal(o)
				}
			}
		}
		sealed = nil
	}
	for _, m := range g.Members {
		seal(mc, bonded(m.ID, 1_000_000, "bond-"+m.ID))
		seal(mc, deposit(m.ID, 1_000_000, "wallet-"+m.ID))
		seal(m.ID, gate(1, open))
	}
	block()
	for i, m := range g.Members {
		if i < 500 {
			seal(m.ID, ask(m.ID+"-meter", w.slot(1), 400+int64(i*7%300), 100_000+int64(i*37%1000)*100))
		} else {
			seal(m.ID, bid(m.ID+"-meter", w.slot(1), 400+int64(i*11%300), 300_000-int64(i*41%1000)*100))
		}
	}
	block()
	return w
}

// BenchmarkSlot measures a block that clears a slot of 1000 orders, and one that settles its trades.
func BenchmarkSlot(b *testing.B) {
	w := benchSlot(b)
	fields := w.Fields()
	fields.TimeMs = w.closure()
	b.Run("clear", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := w.State.Build(fields, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	w.until(w.closure())
	b.Run("settle", func(b *testing.B) {
		fields := w.Fields()
		fields.TimeMs = w.slot(2) + 600_000
		for b.Loop() {
			if _, _, err := w.State.Build(fields, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(w.State.Trades(nil))), "trades")
	})
}
