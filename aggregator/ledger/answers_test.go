package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// answering is a chain whose ledger answers, with three sellers and three buyers that have
// money; change may change its rules.
func answering(t testing.TB, change func(*ledger.Genesis)) *world {
	t.Helper()
	g := ledgertest.Genesis(4, 3, 3)
	g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
	if change != nil {
		change(g)
	}
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{c, t}
	for _, m := range g.Members {
		w.must(mc, deposit(m.ID, 10_000_000, "of-"+m.ID))
		if g.Params.Credit == ledger.CreditRobust {
			w.must(mc, bonded(m.ID, aBond, "bond-of-"+m.ID))
		}
	}
	return w
}

// sells opens a seller's gate and makes its offer, with the id o-SELLER-PRICE.
func (w *world) sells(id string, volume, price int64) {
	w.t.Helper()
	w.gateOf(id, open)
	w.must(id, w.offerOf(id, volume, price))
}

func (w *world) gateOf(id string, state fairwattpb.GateState) {
	w.t.Helper()
	g, _ := w.State.GateOf(id)
	w.must(id, gate(g.Seq+1, state))
}

func (w *world) offerOf(id string, volume, price int64) record {
	r := w.offer(volume, price)
	r.GetOffer().OfferId = fmt.Sprintf("o-%s-%d", id, price)
	return r
}

func (w *world) asks(id string, volume, price int64) record {
	r := w.request(volume, price)
	r.GetRequest().RequestId = "r-" + id
	return r
}

// answered sends a record and returns the answer that its block made, if any.
func (w *world) answered(sender string, r record) *fairwattpb.Response {
	w.t.Helper()
	sealed, err := w.Seal(sender, r)
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := w.Advance(sealed)
	if err != nil {
		w.t.Fatal(err)
	}
	if o := st.Outcomes()[0]; !o.Applied {
		w.t.Fatalf("%s refused: %s: %s", ledger.Kind(r), o.Code, o.Reason)
	}
	for _, n := range st.Notices() {
		if n.Trade.GetAnswer() != nil {
			return n.Trade.Answer
		}
	}
	return nil
}

// token has the ledger answer a request for a volume at a price, and fails where it does
// not.
func (w *world) token(id string, volume, price int64) *fairwattpb.Response {
	w.t.Helper()
	a := w.answered(id, w.asks(id, volume, price))
	if a == nil {
		w.t.Fatalf("the request of %s waits", id)
	}
	return a
}

// wish asks for the answer to a request that waits.
func wish(id string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{RequestId: "r-" + id, Buyer: id}}}
}

func release(token string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Release{Release: &fairwattpb.Release{TokenId: token}}}
}

// choice is an offer that world.sells has made, at its price and for all of it.
func choice(seller string, price, maxWh int64) *fairwattpb.Choice {
	return &fairwattpb.Choice{OfferId: fmt.Sprintf("o-%s-%d", seller, price), Seller: seller, PriceMicroPerKwh: price, MaxWh: maxWh}
}

func chosen(token, meter string, choices ...*fairwattpb.Choice) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{TokenId: token, BuyerReading: at(meter, 0), Choices: choices}}}
}

// twice measures one lot more by another meter.
func twice(r record, meter string) record {
	r.GetPay().MoreReadings = append(r.GetPay().MoreReadings, at(meter, 0))
	return r
}

func (w *world) tradeIs(id, status string) ledger.Trade {
	w.t.Helper()
	t, ok := w.State.Trade(id)
	if !ok || t.Status != status {
		w.t.Fatalf("trade %s is %q (%s), want %q", id, t.Status, t.Reason, status)
	}
	return t
}

func quoted(r *fairwattpb.Response) (out []string) {
	for _, q := range r.GetQuotes() {
		out = append(out, q.Seller)
	}
	return out
}

func want(t *testing.T, got []string, sellers ...string) {
	t.Helper()
	if !slices.Equal(got, sellers) {
		t.Errorf("quoted are %v, want %v", got, sellers)
	}
}

func TestALedgersAnswerQuotesByPriceThenCreditThenOffer(t *testing.T) {
	w := answering(t, nil)
	w.sells("seller-1", 1000, 300_000)
	w.sells("seller-2", 1000, 200_000)
	w.sells("seller-3", 1000, 300_000)
	a := w.token(buyer, 500, 300_000)
	want(t, quoted(a), "seller-2", "seller-1", "seller-3")
	tok := a.Token
	if tok.EscrowMicro != 150_000 || tok.VolumeWh != 500 || tok.Buyer != buyer || !strings.HasPrefix(tok.TokenId, "t-buyer-1-") {
		t.Errorf("the Token is %v", tok)
	}
	if q := a.Quotes[0]; q.OfferId != "o-seller-2-200000" || q.PriceMicroPerKwh != 200_000 || q.VolumeWh != 1000 || q.CreditE6 != 1_000_000 {
		t.Errorf("the first quote is %v", q)
	}
	if got := w.tradeIs(tok.TokenId, wire.StatusEscrowed); got.EscrowMicro != 150_000 || got.DeadlineMs != tok.ValidUntilMs {
		t.Errorf("the Token's trade is %+v", got)
	}
}

func TestCreditDecidesBetweenEqualPrices(t *testing.T) {
	w := answering(t, nil)
	w.sells("seller-1", 1000, 200_000)
	tok := w.token("buyer-2", 1000, 200_000).Token.TokenId
	w.must("buyer-2", chosen(tok, "buyer-2-meter", choice("seller-1", 200_000, 1000)))
	w.wait(w.Genesis.Params.StartByMs) // seller-1 never starts
	w.sells("seller-1", 1000, 200_000)
	w.sells("seller-2", 1000, 200_000)
	want(t, quoted(w.token(buyer, 500, 300_000)), "seller-2", "seller-1")
}

func TestALedgersAnswerQuotesOnlyWhoMayDeliverNow(t *testing.T) {
	for _, c := range []struct {
		why   string
		spoil func(w *world)
	}{
		{"its gate is BLOCKED", func(w *world) { w.gateOf(seller, blocked) }},
		{"its offer is gone", func(w *world) { w.must(seller, w.offerOf(seller, 0, 200_000)) }},
		{"its offer has run out", func(w *world) { w.NowMs += 3_600_001 }},
		{"it asks more than the buyer gives", func(w *world) { w.must(seller, w.offerOf(seller, 1000, 300_001)) }},
		{"it sells to another", func(w *world) {
			tok := w.token("buyer-2", 500, 300_000).Token.TokenId
			w.must("buyer-2", chosen(tok, "buyer-2-meter", choice(seller, 200_000, 500)))
		}},
		{"its offer is kept for another", func(w *world) { w.token("buyer-2", 500, 300_000) }},
		{"less than a lot is left", func(w *world) { w.must(seller, w.offerOf(seller, 9, 200_000)) }},
	} {
		w := answering(t, nil)
		w.sells(seller, 1000, 200_000)
		c.spoil(w)
		if a := w.answered(buyer, w.asks(buyer, 500, 300_000)); a != nil {
			t.Errorf("%s: the answer quotes %v", c.why, quoted(a))
		}
		if w.State.Balance(buyer) != 10_000_000 {
			t.Errorf("%s: money went into escrow without a quote", c.why)
		}
	}
}

func TestNoOneIsQuotedToItself(t *testing.T) {
	w := answering(t, func(g *ledger.Genesis) {
		for i := range g.Members {
			g.Members[i].Roles = []string{"seller", "buyer"}
		}
	})
	w.sells(seller, 1000, 200_000)
	if a := w.answered(seller, w.asks(seller, 500, 300_000)); a != nil {
		t.Errorf("it can choose %v", quoted(a))
	}
	w.sells("seller-2", 1000, 250_000)
	want(t, quoted(w.answered(mc, wish(seller))), "seller-2")
}

func TestTheFirstSixteenAreQuoted(t *testing.T) {
	g := func(g *ledger.Genesis) {
		*g = *ledgertest.Genesis(4, 18, 1)
		g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
	}
	w := answering(t, g)
	for n := 18; n > 0; n-- {
		w.sells(fmt.Sprintf("seller-%d", n), 1000, 200_000)
	}
	got := quoted(w.token(buyer, 500, 300_000))
	if len(got) != 16 || got[0] != "seller-1" || got[1] != "seller-10" || got[15] != "seller-7" {
		t.Errorf("quoted are %v", got)
	}
}

func TestASellerIsQuotedForWhatItsBondBears(t *testing.T) {
	w := answering(t, ledgertest.Robust)
	w.sells(seller, 5_000_000, 200_000)
	a := w.token(buyer, 5000, 200_000)
	// A bond of 1,000,000 at a credit of a half bears 2,000,000: 10 kWh.
	if a.Quotes[0].VolumeWh != 10_000 {
		t.Errorf("quoted are %d Wh, want 10000", a.Quotes[0].VolumeWh)
	}
	w.must(mc, deposit("buyer-2", 100_000_000, "much"))
	w.sells("seller-2", 5000, 200_000)
	if b := w.token("buyer-2", 50_000, 200_000); b.Token.VolumeWh != 10_000 {
		t.Errorf("the Token is for %d Wh, the buyer's bond bears 10000", b.Token.VolumeWh)
	}
}

func TestATokenLastsTwoMinutesAndNoLongerThanItsRequest(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 1000, 200_000)
	a := w.token(buyer, 500, 300_000)
	if d := a.Token.ValidUntilMs - w.State.TimeMs(); d != 120_000 {
		t.Errorf("the Token lasts %d ms", d)
	}
	w.sells("seller-2", 1000, 200_000)
	short := w.asks("buyer-2", 500, 300_000)
	short.GetRequest().ExpiresMs = w.NowMs + 5_000
	if b := w.answered("buyer-2", short); b.GetToken().GetValidUntilMs() != short.GetRequest().ExpiresMs {
		t.Errorf("the Token lasts until %d, its request until %d", b.GetToken().GetValidUntilMs(), short.GetRequest().ExpiresMs)
	}
}

// A request that finds no one waits, and is answered when someone says that it can be; who
// says so has no say in the answer.
func TestAWaitingRequestIsAnsweredWhenAsked(t *testing.T) {
	for _, asks := range []string{mc, buyer} {
		w := answering(t, nil)
		if a := w.answered(buyer, w.asks(buyer, 500, 300_000)); a != nil {
			t.Fatalf("no one sells, and quoted are %v", quoted(a))
		}
		if code := w.send(asks, wish(buyer)); code != wire.CodeNoQuotes {
			t.Fatalf("asked too early: %q", code)
		}
		w.sells(seller, 1000, 200_000)
		found, why := w.State.Answerable(buyer, "r-"+buyer, w.NowMs+1)
		got := w.answered(asks, wish(buyer))
		want(t, quoted(got), seller)
		if found == nil || found.String() != got.String() {
			t.Errorf("the state foretold %v (%s), the answer is %v", found, why, got)
		}
		if code := w.send(mc, wish(buyer)); code != wire.CodeRequestAnswered {
			t.Errorf("answered twice: %q", code)
		}
	}
}

func TestAnOfferIsKeptForAWhileAndForWhoPays(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 1000, 200_000)
	first := w.token(buyer, 500, 300_000)
	w.must("buyer-2", w.asks("buyer-2", 500, 300_000))
	w.wait(w.Genesis.Params.KeepMs - 3)
	if _, why := w.State.Answerable("buyer-2", "r-buyer-2", w.NowMs); why == "" {
		t.Error("the offer is quoted to two within the time that it is kept")
	}
	w.NowMs += 2
	want(t, quoted(w.answered(mc, wish("buyer-2"))), seller)
	// It is kept for buyer-2 now; buyer-1 is passed over, and loses nothing.
	pays := chosen(first.Token.TokenId, "buyer-1-meter", choice(seller, 200_000, 500))
	if code := w.send(buyer, pays); code != wire.CodeNoneTaken {
		t.Errorf("an offer kept for another is taken: %q", code)
	}
	w.tradeIs(first.Token.TokenId, wire.StatusEscrowed)
}

func TestWhoLetsATokenLapseIsKeptNothingUntilItPays(t *testing.T) {
	w := answering(t, nil)
	w.sells(seller, 5000, 200_000)
	tok := w.token(buyer, 500, 300_000).Token
	w.wait(tok.ValidUntilMs - w.NowMs)
	w.tradeIs(tok.TokenId, wire.StatusRefunded)
	again := w.asks(buyer, 500, 300_000)
	again.GetRequest().RequestId = "again"
	second := w.answered(buyer, again)
	if w.token("buyer-2", 500, 300_000) == nil {
		t.Fatal("a buyer that let its Token lapse holds a seller up")
	}
	w.must("buyer-2", release(w.mustToken("buyer-2")))
	w.must(buyer, chosen(second.Token.TokenId, "buyer-1-meter", choice(seller, 200_000, 500)))
	w.sells("seller-2", 5000, 200_000)
	again.GetRequest().RequestId = "third"
	w.answered(buyer, again)
	if a := w.answered("buyer-3", w.asks("buyer-3", 500, 300_000)); a != nil {
		t.Errorf("a buyer that paid is kept nothing: %v is quoted to another", quoted(a))
	}
}

// mustToken is the Token that a buyer has not paid with.
func (w *world) mustToken(id string) string {
	w.t.Helper()
	open := w.State.Trades(func(t *ledger.Trade) bool { return t.Buyer == id && t.Status == wire.StatusEscrowed })
	if len(open) != 1 {
		w.t.Fatalf("%s has %d Tokens", id, len(open))
	}
	return open[0].ID
}

// What is forgotten by now does not count in a quote, though no one has looked at the
// account since.
func TestAQuoteHasTheCreditOfItsTime(t *testing.T) {
	w := answering(t, ledgertest.Robust)
	w.sells(seller, 1000, 200_000)
	tok := w.token(buyer, 1000, 200_000).Token.TokenId
	w.must(buyer, chosen(tok, "buyer-1-meter", choice(seller, 200_000, 1000)))
	w.must(seller, started(tok, "seller-1-meter", w.attests(seller)))
	w.must(seller, billed(w.tradeIs(tok, wire.StatusDelivering), "seller-1-meter", 1000))
	w.must(buyer, confirmed(tok, "buyer-1-meter", 1000))
	w.wait(w.Genesis.Params.CreditPeriodMs)
	w.sells(seller, 1000, 200_000)
	then, _ := w.State.Account(seller)
	now, _, _ := w.State.AccountAt(seller, w.State.TimeMs())
	if got := w.token("buyer-2", 500, 200_000).Quotes[0].CreditE6; got != now.CreditE6 || got >= then.CreditE6 {
		t.Errorf("quoted is a credit of %d, it was %d and is %d", got, then.CreditE6, now.CreditE6)
	}
}

func TestASuspendedBuyersRequestIsNotAnsweredUntilItIsReinstated(t *testing.T) {
	w := answering(t, nil)
	if a := w.answered(buyer, w.asks(buyer, 1_000, 200_000)); a != nil {
		t.Fatalf("answered %v, where no one sells", a)
	}
	w.must(mc, ledgertest.Suspend(buyer))
	w.sells(seller, 2_000, 200_000)
	if code := w.send(mc, wish(buyer)); code != wire.CodeNoQuotes {
		t.Errorf("a suspended buyer's request: %q, want %s", code, wire.CodeNoQuotes)
	}
	if a, why := w.State.Answerable(buyer, "r-"+buyer, w.NowMs); a != nil || !strings.Contains(why, "is suspended") {
		t.Errorf("answerable with %v, %q", a, why)
	}
	w.must(mc, ledgertest.Reinstate(buyer))
	if w.answered(mc, wish(buyer)) == nil {
		t.Error("a reinstated buyer's request waits still")
	}
}

// Who is put on the list while its request waits is not answered, though others sell now.
func TestAListedBuyersRequestIsNotAnswered(t *testing.T) {
	w := answering(t, func(g *ledger.Genesis) { ledgertest.Robust(g); harsh(g) })
	w.must(mc, ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: seller, Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_SELLER, fairwattpb.Role_ROLE_BUYER}}))
	if a := w.answered(seller, w.asks(seller, 500, 200_000)); a != nil {
		t.Fatalf("answered %v, where no one sells", a)
	}
	w.sells(seller, 1000, 200_000)
	tok := w.token(buyer, 500, 300_000).Token.TokenId
	w.must(buyer, chosen(tok, buyer+"-meter", choice(seller, 200_000, 500)))
	w.sells("seller-2", 1000, 150_000)
	if a, why := w.State.Answerable(seller, "r-"+seller, w.NowMs); a == nil {
		t.Fatalf("before it is listed: %q", why)
	}
	w.wait(w.Genesis.Params.StartByMs) // it does not deliver
	if a, _ := w.State.Account(seller); !a.Blacklisted {
		t.Fatalf("%+v", a)
	}
	w.gateOf("seller-2", open)
	w.must("seller-2", w.offerOf("seller-2", 1000, 150_000))
	if a, why := w.State.Answerable(seller, "r-"+seller, w.NowMs); a != nil || !strings.Contains(why, "may not trade") {
		t.Errorf("answerable with %v, %q", a, why)
	}
}
