package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

func TestAPaymentTakesTheFirstChoiceThatCanBeTaken(t *testing.T) {
	for _, c := range []struct {
		why   string // of seller-1, that it is passed over
		spoil func(w *world)
	}{
		{"", func(*world) {}},
		{"its gate is not open", func(w *world) { w.gateOf(seller, blocked) }},
		{"it offers nothing now", func(w *world) { w.must(seller, w.offerOf(seller, 0, 200_000)) }},
		{"its offer is dearer now", func(w *world) { w.must(seller, w.offerOf(seller, 1000, 200_001)) }},
		{"", func(w *world) { w.must(seller, w.offerOf(seller, 1000, 199_999)) }},
		{"too little is left for a lot", func(w *world) {
			r := w.offerOf(seller, 1000, 200_000)
			r.GetOffer().MinLotWh = 501
			w.must(seller, r)
		}},
		{"", func(w *world) {
			r := w.offerOf(seller, 1000, 200_000)
			r.GetOffer().MinLotWh = 500
			w.must(seller, r)
		}},
		{"its bond and credit bear no more", func(w *world) { w.must(seller, w.offerOf(seller, 9, 200_000)) }},
	} {
		w := answering(t, nil)
		w.sells(seller, 1000, 200_000)
		w.sells("seller-2", 1000, 250_000)
		tok := w.token(buyer, 500, 300_000).Token.TokenId
		c.spoil(w)
		w.must(buyer, chosen(tok, "buyer-1-meter", choice(seller, 200_000, 500), choice("seller-2", 250_000, 500)))
		got := w.tradeIs(tok, wire.StatusPaid)
		if taken := got.Seller == seller; taken != (c.why == "") {
			t.Errorf("%q: %s is taken (%s)", c.why, got.Seller, got.Reason)
		}
		if c.why != "" && got.Reason != "passed over: seller-1: "+c.why {
			t.Errorf("the reason is %q, want %q", got.Reason, c.why)
		}
	}
}

func TestWhatIsLeftOfATokenGoesBackAtOnce(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 400, 200_000)
	tok := w.token(buyer, 500, 300_000).Token.TokenId
	w.must(buyer, chosen(tok, "buyer-1-meter", choice(seller, 200_000, 500)))
	got := w.tradeIs(tok, wire.StatusPaid)
	if got.VolumeWh != 400 || got.EscrowMicro != 80_000 || w.State.Balance(buyer) != 10_000_000-80_000 {
		t.Errorf("%d Wh for %d are paid, the wallet holds %d", got.VolumeWh, got.EscrowMicro, w.State.Balance(buyer))
	}
	if len(w.State.Offers()) != 0 {
		t.Errorf("an offer that is sold out stands: %+v", w.State.Offers())
	}
}

// Each meter of the buyer measures one lot, so no watt-hour is sold twice.
func TestEachFreeMeterOfTheBuyerMeasuresOneLot(t *testing.T) {
	w := answering(t, nil)
	for n, id := range []string{"seller-1", "seller-2", "seller-3"} {
		w.sells(id, 300, 200_000+int64(n))
	}
	all := []*fairwattpb.Choice{choice("seller-1", 200_000, 300), choice("seller-2", 200_001, 300), choice("seller-3", 200_002, 300)}
	tok := w.token(buyer, 700, 300_000).Token.TokenId
	w.must(buyer, twice(chosen(tok, "buyer-1-meter", all...), "buyer-1-meter-2"))
	one, two := w.tradeIs(tok, wire.StatusPaid), w.tradeIs(tok+".2", wire.StatusPaid)
	if one.Seller != "seller-1" || one.BuyerMeter != "buyer-1-meter" || one.EscrowMicro != 60_000 || one.VolumeWh != 300 {
		t.Errorf("the first lot is %+v", one)
	}
	if two.Seller != "seller-2" || two.BuyerMeter != "buyer-1-meter-2" || two.EscrowMicro != 60_000 || two.VolumeWh != 300 || two.PayID != one.PayID {
		t.Errorf("the second lot is %+v", two)
	}
	if _, three := w.State.Trade(tok + ".3"); three || w.State.Balance(buyer) != 10_000_000-120_000 {
		t.Errorf("two meters measure three lots, or the wallet of %d has not the rest", w.State.Balance(buyer))
	}
	// Both are lots of their own: one is delivered, the other never begins.
	w.must("seller-2", started(tok+".2", "seller-2-meter", w.attests("seller-2")))
	w.must("seller-2", billed(two, "seller-2-meter", 300))
	w.must(buyer, confirmed(tok+".2", "buyer-1-meter-2", 300))
	if got := w.tradeIs(tok+".2", wire.StatusSettled); got.PaidMicro != 60_000 {
		t.Errorf("%d are paid", got.PaidMicro)
	}
	w.wait(w.Genesis.Params.StartByMs)
	w.tradeIs(tok, wire.StatusFailed)
	if w.State.Balance(buyer) != 10_000_000-60_000 {
		t.Errorf("the wallet holds %d", w.State.Balance(buyer))
	}
}

func (w *world) attests(id string) []byte {
	w.t.Helper()
	g, _ := w.State.GateOf(id)
	a, err := w.Attest(id, g.Seq, open, 60_000)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func started(trade, meter string, attestation []byte) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{TradeId: trade, Attestation: attestation, Reading: at(meter, 0)}}}
}

func billed(t ledger.Trade, meter string, wh int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{
		TradeId: t.ID, Reading: at(meter, wh), EnergyWh: wh, AmountMicro: wh * t.PriceMicroPerKWh / 1000, PayId: []byte(t.PayID)}}}
}

func confirmed(trade, meter string, wh int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{
		TradeId: trade, Reading: at(meter, wh), EnergyWh: wh, Accepted: true}}}
}

func TestABusyMeterLeavesTheLotToTheNext(t *testing.T) {
	w := answering(t, nil)
	w.sells("seller-1", 300, 200_000)
	w.sells("seller-2", 300, 200_000)
	tok := w.token(buyer, 300, 300_000).Token.TokenId
	w.must(buyer, chosen(tok, "buyer-1-meter", choice("seller-1", 200_000, 300)))
	again := w.asks(buyer, 300, 300_000)
	again.GetRequest().RequestId = "again"
	tok = w.answered(buyer, again).Token.TokenId
	w.must(buyer, twice(chosen(tok, "buyer-1-meter", choice("seller-2", 200_000, 300)), "buyer-1-meter-2"))
	if got := w.tradeIs(tok, wire.StatusPaid); got.BuyerMeter != "buyer-1-meter-2" {
		t.Errorf("meter %s measures it", got.BuyerMeter)
	}
}

// A meter that found no choice is free for the next payment.
func TestAMeterThatFoundNoChoiceStaysFree(t *testing.T) {
	w := answering(t, nil)
	w.sells("seller-1", 300, 200_000)
	w.sells("seller-2", 300, 200_000)
	tok := w.token(buyer, 600, 300_000).Token.TokenId
	w.gateOf("seller-2", blocked)
	w.must(buyer, twice(chosen(tok, "buyer-1-meter", choice("seller-1", 200_000, 300), choice("seller-2", 200_000, 300)), "buyer-1-meter-2"))
	w.gateOf("seller-2", open)
	again := w.asks(buyer, 300, 300_000)
	again.GetRequest().RequestId = "again"
	tok = w.answered(buyer, again).Token.TokenId
	w.must(buyer, chosen(tok, "buyer-1-meter-2", choice("seller-2", 200_000, 300)))
}

func TestASellerIsFreeAgainWhenItHasBilledOrFailed(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 1000, 200_000)
	tok := w.token(buyer, 300, 300_000).Token.TokenId
	w.must(buyer, chosen(tok, "buyer-1-meter", choice(seller, 200_000, 300)))
	if got := w.State.Offers(); len(got) != 1 || got[0].VolumeWh != 700 {
		t.Fatalf("the rest of its offer is %+v", got)
	}
	w.must("buyer-2", w.asks("buyer-2", 300, 300_000))
	w.must(seller, started(tok, "seller-1-meter", w.attests(seller)))
	if code := w.send(mc, wish("buyer-2")); code != wire.CodeNoQuotes {
		t.Fatalf("it delivers, and is quoted: %q", code)
	}
	w.must(seller, billed(w.tradeIs(tok, wire.StatusDelivering), "seller-1-meter", 300))
	tok = w.answered(mc, wish("buyer-2")).Token.TokenId
	w.must("buyer-2", chosen(tok, "buyer-2-meter", choice(seller, 200_000, 300)))
	w.wait(w.Genesis.Params.StartByMs)
	w.tradeIs(tok, wire.StatusFailed)
	w.sells(seller, 1000, 200_000)
	w.token("buyer-3", 300, 300_000)
}

func TestATokenThatIsGivenBackFreesMoneyAndSeller(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 1000, 200_000)
	tok := w.token(buyer, 500, 300_000).Token.TokenId
	w.must("buyer-2", w.asks("buyer-2", 500, 300_000))
	w.must(buyer, release(tok))
	got := w.tradeIs(tok, wire.StatusRefunded)
	if got.ReturnedMicro != 150_000 || w.State.Balance(buyer) != 10_000_000 {
		t.Errorf("%d came back, the wallet holds %d", got.ReturnedMicro, w.State.Balance(buyer))
	}
	want(t, quoted(w.answered(mc, wish("buyer-2"))), seller)
}

func TestALotIsToldToBothSides(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 1000, 200_000)
	tok := w.token(buyer, 500, 300_000).Token.TokenId
	sealed, err := w.Seal(buyer, chosen(tok, "buyer-1-meter", choice(seller, 200_000, 500)))
	if err != nil {
		t.Fatal(err)
	}
	st, err := w.Advance(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if s := st.Steps(); len(s) != 1 || s[0].Kind != ledger.StepChose || s[0].Who != buyer || s[0].Other != seller || s[0].AmountMicro != 100_000 ||
		s[0].Text != "500 Wh at 200000 micro/kWh" {
		t.Errorf("the history says %+v", s)
	}
	told := make(map[string]*fairwattpb.Lot)
	for _, n := range st.Notices() {
		told[n.To] = n.Trade.GetLot()
	}
	for _, id := range []string{seller, buyer} {
		l := told[id]
		if l.GetSeller() != seller || l.GetBuyer() != buyer || l.GetBuyerMeter() != "buyer-1-meter" || l.GetVolumeWh() != 500 ||
			l.GetPriceMicroPerKwh() != 200_000 || l.GetOfferId() != "o-seller-1-200000" || string(l.GetPayId()) != w.tradeIs(tok, wire.StatusPaid).PayID {
			t.Errorf("%s is told %v", id, l)
		}
	}
}

// ledgerly begins again on a chain whose ledger answers.
func ledgerly(to func(*world)) func(*world) {
	return func(w *world) {
		*w = *answering(w.t, nil)
		to(w)
	}
}

// toToken has seller-1 sell and buyer-1 ask; its Token is the only one.
func (w *world) toToken() { w.sells(seller, 1000, 200_000); w.token(buyer, 500, 300_000) }

func (w *world) anyToken() string { return w.State.Trades(nil)[0].ID }

func (w *world) payment(meter string) record {
	return chosen(w.anyToken(), meter, choice(seller, 200_000, 500))
}

// answerRows are the refusals of answers by the ledger.
var answerRows = []marketRow{
	{"a centre's own quotes", wire.CodeQuotesWrong, ledgerly(func(w *world) { w.sells(seller, 1000, 200_000); w.must(buyer, w.asks(buyer, 500, 300_000)) }), mc,
		func(w *world) record { return w.response(func(r *fairwattpb.Response) { r.RequestId = "r-" + buyer }) }},
	{"no one sells", wire.CodeNoQuotes, ledgerly(func(w *world) { w.must(buyer, w.asks(buyer, 500, 300_000)) }), mc,
		func(*world) record { return wish(buyer) }},
	{"none of the choices can be taken", wire.CodeNoneTaken, ledgerly(func(w *world) { w.toToken(); w.gateOf(seller, blocked) }), buyer,
		func(w *world) record { return w.payment("buyer-1-meter") }},
	{"no meter is free", wire.CodeMeterBusy, ledgerly(func(w *world) {
		w.toToken()
		w.must(buyer, w.payment("buyer-1-meter"))
		w.sells("seller-2", 1000, 200_000)
		again := w.asks(buyer, 500, 300_000)
		again.GetRequest().RequestId = "again"
		w.answered(buyer, again)
	}), buyer, func(w *world) record {
		return chosen(w.mustToken(buyer), "buyer-1-meter", choice("seller-2", 200_000, 500))
	}},
	{"a payment by another's meter", wire.CodeMeterNotYours, ledgerly((*world).toToken), buyer, func(w *world) record { return w.payment("buyer-2-meter") }},
	{"give back what is paid", wire.CodeWrongStatus, ledgerly(func(w *world) { w.toToken(); w.must(buyer, w.payment("buyer-1-meter")) }), buyer,
		func(w *world) record { return release(w.anyToken()) }},
	{"give back another's", wire.CodeNotYours, ledgerly((*world).toToken), "buyer-2", func(w *world) record { return release(w.anyToken()) }},
}

// answerCheckRows are what may stand in no block for its answers.
var answerCheckRows = []checkRow{
	{"a Token given back where the centre answers", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(buyer, 1, release("token-1")) }},
	{"a wish where the centre answers", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(mc, 1, wish(buyer)) }},
	{"choices where the centre answers", wire.CodeNotAllowed, func(w *world) []byte {
		return w.sealed(buyer, 1, chosen("token-1", "buyer-1-meter", choice(seller, 1, 1)))
	}},
	{"a least lot where the centre answers", wire.CodeNotAllowed, func(w *world) []byte {
		r := w.offer(1, 1)
		r.GetOffer().MinLotWh = 1
		return w.sealed(seller, 1, r)
	}},
	{"a payment of one offer where the ledger answers", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *answering(w.t, nil)
		return w.sealed(buyer, 1, pay(nil))
	}},
	{"a wish for another's answer", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *answering(w.t, nil)
		return w.sealed("buyer-2", 1, wish(buyer))
	}},
	{"a wish with quotes", wire.CodeMalformed, func(w *world) []byte {
		return w.sealed(mc, 1, w.response(func(r *fairwattpb.Response) { r.Buyer = buyer }))
	}},
	{"a wish of no one", wire.CodeMalformed, func(w *world) []byte { return w.sealed(mc, 1, wish("No One")) }},
	{"choices beside an offer", wire.CodeMalformed, func(w *world) []byte {
		return w.sealed(buyer, 1, pay(func(p *fairwattpb.Pay) { p.Choices = []*fairwattpb.Choice{choice(seller, 1, 1)} }))
	}},
	{"nine choices", wire.CodeMalformed, func(w *world) []byte {
		return w.sealed(buyer, 1, chosen("token-1", "m", make9()...))
	}},
	{"five lots", wire.CodeMalformed, func(w *world) []byte {
		r := chosen("token-1", "m", choice(seller, 1, 1))
		for range 4 {
			twice(r, "m")
		}
		return w.sealed(buyer, 1, r)
	}},
	{"lots without choices", wire.CodeMalformed, func(w *world) []byte { return w.sealed(buyer, 1, twice(pay(nil), "m")) }},
	{"a choice of nothing", wire.CodeMalformed, func(w *world) []byte { return w.sealed(buyer, 1, chosen("token-1", "m", choice(seller, 1, 0))) }},
	{"a choice for nothing", wire.CodeMalformed, func(w *world) []byte { return w.sealed(buyer, 1, chosen("token-1", "m", choice(seller, 0, 1))) }},
	{"a choice of no one", wire.CodeMalformed, func(w *world) []byte { return w.sealed(buyer, 1, chosen("token-1", "m", choice("No One", 1, 1))) }},
	{"give back nothing", wire.CodeMalformed, func(w *world) []byte { return w.sealed(buyer, 1, release("")) }},
	{"a least lot above the offer", wire.CodeMalformed, func(w *world) []byte {
		r := w.offer(10, 1)
		r.GetOffer().MinLotWh = 11
		return w.sealed(seller, 1, r)
	}},
}

func make9() (out []*fairwattpb.Choice) {
	for n := range 9 {
		out = append(out, choice(fmt.Sprintf("seller-%d", n), 1, 1))
	}
	return out
}

// The bounds of a payment are allowed themselves.
func TestAPaymentMayNameEightChoicesAndFourMeters(t *testing.T) {
	w := answering(t, nil)
	r := chosen("token-1", "m", make9()[:8]...)
	for range 3 {
		twice(r, "m")
	}
	if _, err := w.State.CheckRecord(w.sealed(buyer, 2, r)); err != nil {
		t.Error(err)
	}
}

// Whatever sellers offer, ask and close, and however buyers choose: no more leaves an
// escrow than was in it, no one has promised more than its bond bears, no meter of a
// seller has two trades, and money is conserved (world.send looks at that).
func TestLotsConserveMoneyAndBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := answering(t, ledgertest.Robust)
		ids := []string{"1", "2", "3"}
		n := 0
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			n++
			s, b := "seller-"+rapid.SampledFrom(ids).Draw(rt, "seller"), "buyer-"+rapid.SampledFrom(ids).Draw(rt, "buyer")
			switch rapid.IntRange(0, 5).Draw(rt, "deed") {
			case 0, 1:
				g, _ := w.State.GateOf(s)
				w.send(s, gate(g.Seq+1, rapid.SampledFrom([]fairwattpb.GateState{open, open, blocked}).Draw(rt, "gate")))
				r := w.offerOf(s, rapid.Int64Range(1, 20_000).Draw(rt, "wh"), rapid.Int64Range(1, 400_000).Draw(rt, "price"))
				r.GetOffer().MinLotWh = rapid.Int64Range(0, r.GetOffer().VolumeWh).Draw(rt, "least")
				w.send(s, r)
			case 2:
				r := w.asks(b, rapid.Int64Range(1, 20_000).Draw(rt, "wh"), rapid.Int64Range(1, 400_000).Draw(rt, "most"))
				r.GetRequest().RequestId = fmt.Sprintf("r-%d", n)
				w.send(b, r)
			case 3, 4:
				w.paysSome(rt, b)
			case 5:
				w.wait(rapid.Int64Range(1, 1_000_000).Draw(rt, "ms"))
			}
			w.bounded(rt)
		}
		w.wait(1 << 33)
		w.wait(1 << 33)
		if got := w.State.Totals(); got.EscrowMicro != 0 || !got.Conserved {
			rt.Fatalf("time alone does not end all lots: %+v", got)
		}
	})
}

// paysSome pays with any Token of a buyer, by any choices and meters.
func (w *world) paysSome(rt *rapid.T, b string) {
	tokens := w.State.Trades(func(t *ledger.Trade) bool { return t.Buyer == b && t.Status == wire.StatusEscrowed })
	if len(tokens) == 0 {
		return
	}
	var choices []*fairwattpb.Choice
	for range rapid.IntRange(1, 4).Draw(rt, "choices") {
		s := fmt.Sprintf("seller-%d", rapid.IntRange(1, 3).Draw(rt, "of"))
		choices = append(choices, choice(s, rapid.Int64Range(1, 400_000).Draw(rt, "at"), rapid.Int64Range(1, 20_000).Draw(rt, "max")))
	}
	r := chosen(tokens[0].ID, b+"-meter", choices...)
	if rapid.Bool().Draw(rt, "twice") {
		twice(r, b+"-meter-2")
	}
	before := w.State.Balance(b) + tokens[0].EscrowMicro
	if w.send(b, r) != "" {
		return
	}
	var in int64
	for _, t := range w.State.Trades(func(t *ledger.Trade) bool { return strings.HasPrefix(t.ID, tokens[0].ID) }) {
		in += t.EscrowMicro
		for _, id := range []string{t.Seller, b} {
			if a, limit, _ := w.State.AccountAt(id, w.State.TimeMs()); a.ExposureMicro > limit {
				rt.Fatalf("%s has promised %d, its bond bears %d", id, a.ExposureMicro, limit)
			}
		}
	}
	if in > tokens[0].EscrowMicro || w.State.Balance(b)+in != before {
		rt.Fatalf("%d of an escrow of %d are in lots, the wallet holds %d of %d", in, tokens[0].EscrowMicro, w.State.Balance(b), before)
	}
}

func (w *world) bounded(rt *rapid.T) {
	selling := make(map[string]string)
	promised := make(map[string]int64)
	for _, t := range w.State.Trades(nil) {
		if t.Status != wire.StatusPaid {
			continue
		}
		if other := selling[t.Seller]; other != "" {
			rt.Fatalf("%s sells %s and %s at a time", t.Seller, other, t.ID)
		}
		selling[t.Seller] = t.ID
		amount, err := ledger.BillAmount(t.VolumeWh, t.PriceMicroPerKWh)
		if err != nil {
			rt.Fatal(err)
		}
		promised[t.Seller] += amount
		promised[t.Buyer] += amount
	}
	for id, amount := range promised {
		if a, _ := w.State.Account(id); a.ExposureMicro != amount {
			rt.Fatalf("%s has promised %d, its account says %d", id, amount, a.ExposureMicro)
		}
	}
}

// Payments of buyers that want other sellers come to the same in any order.
func TestTheOrderOfIndependentPaymentsDoesNotMatter(t *testing.T) {
	var roots []string
	for _, order := range [][]int{{1, 2, 3}, {3, 2, 1}, {2, 3, 1}} {
		w := answering(t, ledgertest.Robust)
		tokens := make(map[int]string)
		for _, n := range []int{1, 2, 3} {
			w.sells(fmt.Sprintf("seller-%d", n), 1000, 200_000)
			tokens[n] = w.token(fmt.Sprintf("buyer-%d", n), 500, 300_000).Token.TokenId
		}
		var sealed [][]byte
		for _, n := range order {
			b := fmt.Sprintf("buyer-%d", n)
			one, err := w.Seal(b, chosen(tokens[n], b+"-meter", choice(fmt.Sprintf("seller-%d", n), 200_000, 500)))
			if err != nil {
				t.Fatal(err)
			}
			sealed = append(sealed, one)
		}
		if _, err := w.Advance(sealed...); err != nil {
			t.Fatal(err)
		}
		root := w.State.Root()
		roots = append(roots, string(root[:]))
		for _, id := range tokens {
			w.tradeIs(id, wire.StatusPaid)
		}
	}
	if roots[0] != roots[1] || roots[1] != roots[2] {
		t.Error("the state depends on the order")
	}
}

// A payment names choices or one offer, and nothing of the one beside the other.
func TestChoicesStandAlone(t *testing.T) {
	w := answering(t, nil)
	for name, change := range map[string]func(*fairwattpb.Pay){
		"offer_id": func(p *fairwattpb.Pay) { p.OfferId = "o" }, "seller": func(p *fairwattpb.Pay) { p.Seller = seller },
		"volume_wh": func(p *fairwattpb.Pay) { p.VolumeWh = 1 }, "price": func(p *fairwattpb.Pay) { p.PriceMicroPerKwh = 1 },
		"amount": func(p *fairwattpb.Pay) { p.AmountMicro = 1 },
	} {
		r := chosen("token-1", "m", choice(seller, 1, 1))
		change(r.GetPay())
		if _, err := w.State.CheckRecord(w.sealed(buyer, 9, r)); err == nil || !strings.HasPrefix(err.Error(), "malformed: offer_id: ") {
			t.Errorf("%s beside choices: %v", name, err)
		}
	}
}

// A lot costs a millionth at least, as any trade.
func TestALotCostsSomething(t *testing.T) {
	for price, taken := range map[int64]bool{1: false, 2: true} {
		w := answering(t, nil)
		w.sells(seller, 500, price)
		tok := w.token(buyer, 500, 1000).Token.TokenId
		if code := w.send(buyer, chosen(tok, "buyer-1-meter", choice(seller, price, 500))); (code == "") != taken {
			t.Errorf("500 Wh at %d micro/kWh: %q", price, code)
		}
	}
}

// The second lot is what the first has left of the Token.
func TestLotsTogetherAreNoMoreThanTheToken(t *testing.T) {
	w := answering(t, nil)
	w.sells("seller-1", 300, 200_000)
	w.sells("seller-2", 300, 200_000)
	tok := w.token(buyer, 500, 200_000).Token.TokenId
	w.must(buyer, twice(chosen(tok, "buyer-1-meter", choice("seller-1", 200_000, 300), choice("seller-2", 200_000, 300)), "buyer-1-meter-2"))
	if got := w.tradeIs(tok+".2", wire.StatusPaid); got.VolumeWh != 200 || got.TokenVolumeWh != 200 {
		t.Errorf("the second lot is %d Wh of %d", got.VolumeWh, got.TokenVolumeWh)
	}
}

// A wrong reading refuses the payment, and only one that is looked at.
func TestAWrongReadingRefusesThePayment(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 500, 200_000)
	tok := w.token(buyer, 500, 200_000).Token.TokenId
	one := choice(seller, 200_000, 500)
	if code := w.send(buyer, twice(chosen(tok, "buyer-2-meter", one), "buyer-1-meter")); code != wire.CodeMeterNotYours {
		t.Errorf("another's meter first: %q", code)
	}
	w.must(buyer, twice(chosen(tok, "buyer-1-meter", choice(seller, 200_000, 400)), "buyer-2-meter"))
	w.sells("seller-2", 500, 200_000)
	tok = w.token("buyer-3", 500, 200_000).Token.TokenId
	w.must("buyer-3", twice(chosen(tok, "buyer-3-meter", choice("seller-2", 200_000, 500), choice("seller-3", 200_000, 500)), "buyer-2-meter"))
}

// The end of a trade that was billed does not free a seller that sells the next one.
func TestAnOlderTradeFreesNoSeller(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 1000, 200_000)
	first := w.token(buyer, 300, 300_000).Token.TokenId
	w.must(buyer, chosen(first, "buyer-1-meter", choice(seller, 200_000, 300)))
	w.must(seller, started(first, "seller-1-meter", w.attests(seller)))
	w.must(seller, billed(w.tradeIs(first, wire.StatusDelivering), "seller-1-meter", 300))
	w.must("buyer-2", chosen(w.token("buyer-2", 300, 300_000).Token.TokenId, "buyer-2-meter", choice(seller, 200_000, 300)))
	w.must(buyer, confirmed(first, "buyer-1-meter", 300))
	w.tradeIs(first, wire.StatusSettled)
	if a := w.answered("buyer-3", w.asks("buyer-3", 300, 300_000)); a != nil {
		t.Errorf("%v sells two at a time", quoted(a))
	}
}
