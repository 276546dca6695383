package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"

	"pgregory.net/rapid"
)

// A town is a chain of members that sell and buy, some of them liars, and the books
// that a test keeps of it from outside.
type town struct {
	*world
	r        *rapid.T
	members  []string
	register map[string]int64 // by meter
	trades   int
	bonded   int // bonds deposited

	has    map[string]ledger.Move // what each has, by its moves
	good   map[string]int64       // by its steps, since the newest period
	bad    map[string]int64
	broken map[string]uint64
	given  int // times that credit was given back
	period int64
	// Of the present period: who gained how much by whom, and what each had in its bond
	// when the period began.
	gained map[[2]string]int64
	began  map[string]int64
}

func newTown(outer testing.TB, r *rapid.T, change func(*ledger.Genesis)) *town {
	g := ledgertest.Genesis(1, 2, 3)
	ledgertest.Robust(g)
	p := &g.Params
	p.CreditPeriodMs, p.VerdictMs, p.ListMs, p.SilenceMs = 4*3_600_000, 2*3_600_000, 5*3_600_000, 3_600_000
	p.VouchWh, p.TradeCapWh, p.PairCapWh, p.CreditPriorWh = 5_000, 1_500, 4_000, 1_000
	if change != nil {
		change(g)
	}
	w := &town{r: r, register: map[string]int64{}, has: map[string]ledger.Move{}, good: map[string]int64{}, bad: map[string]int64{}, broken: map[string]uint64{},
		gained: map[[2]string]int64{}, began: map[string]int64{}, period: 1}
	for i := range g.Members {
		g.Members[i].Roles = []string{"seller", "buyer"}
		w.members = append(w.members, g.Members[i].ID)
	}
	c, err := ledgertest.New(g)
	if err != nil {
		r.Fatal(err)
	}
	w.world = &world{c, outer}
	for _, id := range w.members {
		w.block(ledgertest.Centre, deposit(id, 20_000_000, "d-"+id))
		w.block(id, gate(1, open))
	}
	return w
}

func (w *town) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.r, what) }
func (w *town) member(what string) string   { return rapid.SampledFrom(w.members).Draw(w.r, what) }

// block puts one record, or none, into a block, and keeps the books.
func (w *town) block(sender string, r record) string {
	w.r.Helper()
	var sealed [][]byte
	if r != nil {
		b, err := w.Seal(sender, r)
		if err != nil {
			w.r.Fatal(err)
		}
		sealed = append(sealed, b)
	}
	st, dropped, err := w.State.Build(w.Fields(), sealed)
	if err != nil || len(dropped) > 0 {
		w.r.Fatalf("%v, %v", dropped, err)
	}
	if err := w.State.Commit(st); err != nil {
		w.r.Fatal(err)
	}
	w.NowMs = w.State.TimeMs()
	w.book(st)
	if r == nil {
		return ""
	}
	return st.Outcomes()[0].GetCode()
}

// book adds up what the block says that it did.
func (w *town) book(st *ledger.Staged) {
	p := &w.Genesis.Params
	if now := (w.State.TimeMs()-w.Genesis.CreatedMs)/p.CreditPeriodMs + 1; now != w.period {
		w.checkVouched()
		for ; w.period < now; w.period++ {
			for _, id := range w.members {
				w.good[id], w.bad[id] = w.good[id]*9/10, w.bad[id]*9/10
			}
		}
		clear(w.gained)
		for _, id := range w.members {
			w.began[id] = w.has[id].BondMicro // with what leaves it: as much as can have been there
		}
	}
	for _, m := range st.Moves() {
		if m.What == ledger.MoveDeposit {
			w.began[m.Who] += m.BondMicro // new money vouches at once
		}
		h := w.has[m.Who]
		h.WalletMicro += m.WalletMicro
		h.EscrowMicro += m.EscrowMicro
		h.BondMicro += m.BondMicro
		w.has[m.Who] = h
	}
	for _, s := range st.Steps() {
		if s.Kind == ledger.StepForgot {
			continue // forgotten above, whoever looked
		}
		w.good[s.Who] += s.GoodWh
		w.bad[s.Who] += s.BadWh
		switch s.Kind {
		case ledger.StepBroke:
			w.broken[s.Who]++
		case ledger.StepRestored:
			w.broken[s.Who]--
			w.given++
		case ledger.StepKept:
			w.gained[[2]string{s.Who, s.Other}] += s.GoodWh
		}
	}
}

// checkVouched: whatever set of names is looked at, they gained no more from each other
// in a period than the money vouches for that was in their bonds when it began.
func (w *town) checkVouched() {
	for set := range 1 << len(w.members) {
		in := func(id string) bool { return set&(1<<slices.Index(w.members, id)) != 0 }
		gained, money := int64(0), int64(0)
		for pair, wh := range w.gained {
			if in(pair[0]) && in(pair[1]) {
				gained += wh
			}
		}
		for _, id := range w.members {
			if in(id) {
				money += w.began[id]
			}
		}
		if most := money * w.Genesis.Params.VouchWh / 1_000_000; gained > most {
			w.r.Fatalf("set %b gained %d Wh from itself, its bonds vouch for %d", set, gained, most)
		}
	}
}

// check compares the state with the books.
func (w *town) check() {
	p := &w.Genesis.Params
	if totals := w.State.Totals(); !totals.Conserved {
		w.r.Fatalf("money not conserved: %+v", totals)
	}
	open, escrow := map[string]int64{}, map[string]int64{}
	for _, t := range w.State.Trades(nil) {
		escrow[t.Buyer] += t.EscrowMicro
		if t.Ended() || t.Seller == "" {
			continue
		}
		amount, err := ledger.BillAmount(t.VolumeWh, t.PriceMicroPerKWh)
		if err != nil {
			w.r.Fatal(err)
		}
		open[t.Seller] += amount
		open[t.Buyer] += amount
	}
	for _, one := range w.State.Slots() {
		asks, bids := w.State.SlotOrders(one.StartMs)
		for _, o := range asks {
			open[o.Sender] += o.PromisedMicro
		}
		for _, o := range bids {
			open[o.Sender] += o.PromisedMicro
			escrow[o.Sender] += o.PromisedMicro
		}
	}
	for _, id := range w.members {
		a, _, _ := w.State.AccountAt(id, w.State.TimeMs())
		h := w.has[id]
		if h.WalletMicro != a.WalletMicro || h.EscrowMicro != escrow[id] || h.BondMicro != a.BondMicro+a.LeavingMicro {
			w.r.Fatalf("%s has %+v and %d in escrow, its moves say %+v", id, a, escrow[id], h)
		}
		if a.ExposureMicro != open[id] {
			w.r.Fatalf("%s is exposed to %d, its open trades are %d", id, a.ExposureMicro, open[id])
		}
		// The bond bears the charge for all that is promised, whatever the credit became.
		if a.ExposureMicro*p.ChargeE4/10_000 > a.BondMicro {
			w.r.Fatalf("%s has promised %d with a bond of %d", id, a.ExposureMicro, a.BondMicro)
		}
		if a.GoodWh != w.good[id] || a.BadWh != w.bad[id] || a.BadWh < 0 || a.Broken != w.broken[id] || a.CreditE6 != p.CreditOf(a.GoodWh, a.BadWh) {
			w.r.Fatalf("%s: %+v; its steps say good %d, bad %d, broken %d", id, a, w.good[id], w.bad[id], w.broken[id])
		}
	}
	w.checkVouched()
}

// meter is a reading of a meter that rose.
func (w *town) meter(id string, by int64) *fairwattpb.MeterReading {
	w.register[id] += by
	return at(id, w.register[id])
}

// trade plays a trade between two members, honest or not, up to some point.
func (w *town) trade() {
	s, b := w.member("seller"), w.member("buyer")
	w.trades++
	id := fmt.Sprintf("t-%d", w.trades)
	volume := rapid.Int64Range(100, 2500).Draw(w.r, "volume")
	const price = 200_000
	sold := volume
	if w.draw(3, "short") == 0 {
		sold = rapid.Int64Range(0, volume).Draw(w.r, "sold")
	}
	until := w.draw(9, "until") // most go to the end
	steps := []func() string{
		func() string {
			return w.block(s, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
				OfferId: "o-" + id, VolumeWh: volume, PriceMicroPerKwh: price, ExpiresMs: w.NowMs + 600_000}}})
		},
		func() string {
			return w.block(b, &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
				RequestId: id, VolumeWh: volume, MaxPriceMicroPerKwh: price, ExpiresMs: w.NowMs + 600_000}}})
		},
		func() string {
			return w.block(mc, &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{RequestId: id,
				Token: &fairwattpb.Token{TokenId: id, Buyer: b, EscrowMicro: volume * price / 1000, VolumeWh: volume, ValidUntilMs: w.NowMs + 500_000}}}})
		},
		func() string {
			return w.block(b, &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{TokenId: id, OfferId: "o-" + id, Seller: s, VolumeWh: volume,
				PriceMicroPerKwh: price, AmountMicro: volume * price / 1000, BuyerReading: w.meter(b+"-meter", 0)}}})
		},
		func() string {
			a, err := w.Attest(s, 1, open, 60_000)
			if err != nil {
				w.r.Fatal(err)
			}
			return w.block(s, &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{TradeId: id, Attestation: a, Reading: w.meter(s+"-meter-2", 0)}}})
		},
		func() string { w.NowMs += 60_000; return w.block(s, w.billOf(id, s, sold)) },
		func() string {
			received := sold
			if w.draw(4, "the buyer hides") == 0 {
				received = rapid.Int64Range(0, sold).Draw(w.r, "received")
			}
			t, _ := w.State.Trade(id)
			reading := w.meter(b+"-meter", received)
			return w.block(b, &fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{TradeId: id,
				Reading: reading, EnergyWh: reading.RegisterWh - t.BuyerStartWh, Accepted: true}}})
		},
	}
	for i, step := range steps {
		if i > until && until > 1 || step() != "" {
			return
		}
	}
}

func (w *town) billOf(id, s string, sold int64) record {
	said := sold
	if w.draw(4, "the seller invents") == 0 {
		said = rapid.Int64Range(0, 2500).Draw(w.r, "said")
	}
	t, _ := w.State.Trade(id)
	said = min(said, t.VolumeWh)
	available := int64(0)
	if w.draw(3, "ready") == 0 {
		available = t.VolumeWh
	}
	return &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{TradeId: id, Reading: w.meter(s+"-meter-2", said),
		EnergyWh: said, AmountMicro: said * 200, PayId: []byte(t.PayID), AvailableWh: available}}}
}

// judge has two arbiters look at a trade that went wrong, whoever asked them.
func (w *town) judge() {
	wrong := w.State.Trades(func(t *ledger.Trade) bool {
		return t.EndedMs > 0 && !t.Judged && t.MissingWh > 0 && w.State.TimeMs() < t.EndedMs+w.Genesis.Params.VerdictMs
	})
	if len(wrong) == 0 {
		return
	}
	trade, finding := wrong[w.draw(len(wrong), "wrong")].ID, fairwattpb.Finding(w.draw(3, "finding")+1)
	w.block("judge-1", verdict(trade, finding))
	w.block("judge-2", verdict(trade, finding))
}

// step does one thing of many.
func (w *town) step() {
	switch w.draw(12, "step") {
	case 0:
		w.bonded++
		w.block(mc, bonded(w.member("who"), rapid.Int64Range(1, 2_000_000).Draw(w.r, "bond"), fmt.Sprintf("b-%d", w.bonded)))
	case 1:
		w.block(w.member("who"), bond(rapid.Int64Range(1, 2_000_000).Draw(w.r, "bond")))
	case 2:
		w.block(w.member("who"), unbond(rapid.Int64Range(1, 2_000_000).Draw(w.r, "bond")))
	case 3:
		if w.trades > 0 {
			w.block(w.member("who"), appeal(fmt.Sprintf("t-%d", w.draw(w.trades, "trade")+1)))
		}
		w.judge()
	case 4, 5:
		if k := w.State.Cases(); len(k) > 0 {
			trade, finding := k[w.draw(len(k), "case")].Trade, fairwattpb.Finding(w.draw(3, "finding")+1)
			w.block("judge-1", verdict(trade, finding))
			w.block("judge-2", verdict(trade, finding))
		}
	case 6:
		w.NowMs += rapid.Int64Range(1, 5*3_600_000).Draw(w.r, "pause")
		w.block("", nil)
	default:
		w.trade()
	}
}

// enough says whether so many histories must have shown all. Rapid draws a hundred, and fewer
// where the time of the tests comes to its end.
func enough(runs int) bool { return runs >= 50 }

// endAll lets time alone end every trade and every case, and last what stands longest: a name on the list.
func (w *town) endAll() {
	p := w.Genesis.Params
	for range 8 {
		w.NowMs += p.MaxTradeMs() + 2*p.VerdictMs
		w.block("", nil)
	}
	w.NowMs += p.ListMs << 6 // the time on the list doubles with each listing, six times at most
	w.block("", nil)
}

// TestRobustBooks: over random histories with liars, what the blocks say that they did
// adds up to the state: money, exposure, credit; the bond bears all that is promised;
// and no set of names gains more than its money vouches for.
func TestRobustBooks(outer *testing.T) {
	var kinds, outcomes = map[string]int{}, map[string]int{}
	runs, given := 0, 0
	rapid.Check(outer, func(t *rapid.T) {
		runs++
		w := newTown(outer, t, nil)
		defer func() { given += w.given }()
		for _, id := range w.members {
			w.block(mc, bonded(id, rapid.SampledFrom([]int64{50_000, 800_000, 5_000_000}).Draw(t, "bond"), "first-"+id))
		}
		w.NowMs += w.Genesis.Params.CreditPeriodMs
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			w.step()
			w.check()
		}
		w.endAll()
		w.check()
		for _, trade := range w.State.Trades(nil) {
			if !trade.Ended() {
				t.Fatalf("%s is still %s", trade.ID, trade.Status)
			}
			outcomes[trade.Status]++
		}
		if k := w.State.Cases(); len(k) > 0 {
			t.Fatalf("still open: %+v", k)
		}
		for _, e := range w.State.Entries() {
			kind, _, _ := strings.Cut(string(e.Key), "/")
			kinds[kind]++
		}
		if kinds["finding"] > 0 || kinds["deadline"] > 0 {
			t.Fatalf("findings or deadlines are left: %v", kinds)
		}
	})
	for _, status := range []string{"settled", "settled_partly", "disputed", "failed", "refunded"} {
		if outcomes[status] == 0 && enough(runs) {
			outer.Errorf("no trade was %s: %v", status, outcomes)
		}
	}
	if given == 0 && enough(runs) {
		outer.Error("no verdict gave credit back")
	}
}

// TestRobustOrder: the order of records that do not touch each other's parties does not
// matter: the state is the same.
func TestRobustOrder(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		g := ledgertest.Genesis(1, 2, 2)
		ledgertest.Robust(g)
		run := func(swap bool) ([32]byte, []ledger.Entry) {
			c, err := ledgertest.New(g)
			if err != nil {
				t.Fatal(err)
			}
			w := &world{c, outer}
			for _, m := range g.Members {
				w.must(mc, bonded(m.ID, aBond, "bond-"+m.ID))
			}
			w.nextPeriod()
			w.toDisputed()
			w.must(mc, deposit("seller-2", 500, "more"))
			w.must(mc, deposit("buyer-2", 500, "more-2"))
			block := [][]byte{
				w.sealed("judge-1", 1, verdict("token-1", sellerLied)), w.sealed("seller-2", 1, unbond(7)),
				w.sealed("buyer-2", 1, bond(300)), w.sealed("judge-2", 1, verdict("token-1", sellerLied)),
			}
			order := []int{0, 1, 2, 3}
			if swap {
				order = rapid.Permutation(order).Draw(t, "order")
			}
			var records [][]byte
			for _, i := range order {
				records = append(records, block[i])
			}
			if _, err := w.Advance(records...); err != nil {
				t.Fatal(err)
			}
			return w.State.Root(), w.State.Entries()
		}
		one, entries := run(false)
		if other, _ := run(true); one != other {
			t.Fatalf("another state of %d entries", len(entries))
		}
	})
}
