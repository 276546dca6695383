package trade

import (
	"fmt"
	"testing"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// choosy is a buyer on a chain whose ledger answers, at its first request.
func choosy(t *testing.T) (*Buyer, BuyerInput, *fairwattpb.Record) {
	t.Helper()
	cfg := testBuyer
	cfg.ByLedger = true
	b := NewBuyer(cfg)
	in := BuyerInput{WallMs: 1000, ClockSynced: true, Registers: map[string]int64{"kitchen": 50}}
	actions := b.Step(in)
	wantKinds(t, actions, "Request")
	return b, in, actions[0].Record
}

// answer is the outcome of a request that the ledger answered in its block.
func answer(request *fairwattpb.Record, quotes ...*fairwattpb.Quote) Outcome {
	r := response(request.GetRequest().GetRequestId(), "tok-1", quotes...).GetResponse()
	v := final(request, true)
	v.Trade = &fairwattpb.TradeNotice{TradeId: "tok-1", Status: wire.StatusEscrowed, Answer: r}
	return v
}

func offered(id, seller string, price int64) *fairwattpb.Quote {
	return &fairwattpb.Quote{OfferId: id, Seller: seller, PriceMicroPerKwh: price, VolumeWh: 250}
}

func TestABuyerNamesChoicesWhereTheLedgerAnswers(t *testing.T) {
	b, in, request := choosy(t)
	in.Outcomes = []Outcome{answer(request, offered("b", "s2", 250_000), offered("dear", "s3", 400_000), offered("a", "s1", 200_000))}
	actions := b.Step(in)
	wantKinds(t, actions, "Pay")
	pay := actions[0].Record.GetPay()
	if pay.GetOfferId() != "" || pay.GetVolumeWh() != 0 || pay.GetTokenId() != "tok-1" || pay.GetBuyerReading().GetRegisterWh() != 50 {
		t.Errorf("the payment is %v", pay)
	}
	if got := fmt.Sprint(pay.GetChoices()); len(pay.GetChoices()) != 2 || pay.Choices[0].GetSeller() != "s1" || pay.Choices[1].GetSeller() != "s2" ||
		pay.Choices[0].GetOfferId() != "a" || pay.Choices[0].GetPriceMicroPerKwh() != 200_000 || pay.Choices[0].GetMaxWh() != 300 {
		t.Errorf("the choices are %s", got)
	}
	if w := actions[0].Why; w == nil || w.Chosen != "a" || len(w.Candidates) != 3 {
		t.Errorf("why: %v", w)
	}
	// The ledger passed the first over, and took a newer offer of the second.
	v := final(actions[0].Record, true)
	v.Trade = &fairwattpb.TradeNotice{TradeId: "tok-1", Status: wire.StatusPaid, Reason: "passed over: s1: its gate is not open",
		Lot: &fairwattpb.Lot{Seller: "s2", OfferId: "b2", VolumeWh: 240, PriceMicroPerKwh: 240_000}}
	in.Outcomes = []Outcome{v}
	wantKinds(t, b.Step(in))
	in.Outcomes = []Outcome{{Height: 9, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: "tok-1", Status: wire.StatusFailed, ReturnedMicro: 90_000}}}
	actions = b.Step(in)
	if len(actions) != 1 || actions[0].Ended == nil {
		t.Fatalf("actions %v", actions)
	}
	if e := actions[0].Ended; e.With != "s2" || e.VolumeWh != 240 || e.PriceMicroPerKWh != 240_000 || e.Passed != "s1: its gate is not open" {
		t.Errorf("the history says %+v", e)
	}
}

func TestAPaymentNamesAtMostEightChoices(t *testing.T) {
	b, in, request := choosy(t)
	var quotes []*fairwattpb.Quote
	for n := range 12 {
		quotes = append(quotes, offered(fmt.Sprint("o", n), fmt.Sprint("s", n), 200_000+int64(n)))
	}
	in.Outcomes = []Outcome{answer(request, quotes...)}
	actions := b.Step(in)
	wantKinds(t, actions, "Pay")
	if c := actions[0].Record.GetPay().GetChoices(); len(c) != 8 || c[7].GetSeller() != "s7" {
		t.Errorf("named are %v", c)
	}
}

// A Token that is not paid with goes back at once, whatever the reason.
func TestABuyerGivesBackWhatItCannotUse(t *testing.T) {
	for _, c := range []struct {
		why    string
		change func(*BuyerInput)
		quotes []*fairwattpb.Quote
	}{
		{"no quote can be chosen", func(*BuyerInput) {}, []*fairwattpb.Quote{offered("a", "s1", 400_000)}},
		{"the owner paused", func(in *BuyerInput) { in.Terms.Stop = true }, []*fairwattpb.Quote{offered("a", "s1", 200_000)}},
		{"the owner tries it out", func(in *BuyerInput) { in.Terms.DryRun = true }, []*fairwattpb.Quote{offered("a", "s1", 200_000)}},
	} {
		b, in, request := choosy(t)
		c.change(&in)
		in.Outcomes = []Outcome{answer(request, c.quotes...)}
		actions := b.Step(in)
		if got := kinds(actions); len(got) == 0 || got[0] != "Release" || actions[0].Record.GetRelease().GetTokenId() != "tok-1" {
			t.Errorf("%s: %v", c.why, got)
		}
		if !b.Circuits["kitchen"].Idle() {
			t.Errorf("%s: the circuit waits on", c.why)
		}
	}
}

func TestAPaymentThatIsRefusedGivesTheTokenBackAndAsksAgain(t *testing.T) {
	b, in, request := choosy(t)
	in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000))}
	pay := b.Step(in)
	in.Outcomes = []Outcome{{Own: true, Height: 6, Code: wire.CodeNoneTaken, Record: pay[0].Record}}
	wantKinds(t, b.Step(in), "Release")
	in.Outcomes, in.WallMs = nil, in.WallMs+testBuyer.RetryMs
	wantKinds(t, b.Step(in), "Request")
	if b.Today.Wh != 0 {
		t.Errorf("%d Wh count as bought", b.Today.Wh)
	}
}

func TestAnAnswerThatComesTooLateIsGivenBack(t *testing.T) {
	b, in, request := choosy(t)
	in.WallMs += testBuyer.RequestTTLMs
	wantKinds(t, b.Step(in), "Request") // the next one
	in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000))}
	wantKinds(t, b.Step(in), "Release")
}

// An answer that a centre asked for comes with the centre's record.
func TestAnAnswerThatWasAskedForCounts(t *testing.T) {
	b, in, request := choosy(t)
	v := answer(request, offered("a", "s1", 200_000))
	v.Own, v.Record = false, &fairwattpb.Record{Sender: "mc-1", Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{
		RequestId: request.GetRequest().GetRequestId(), Buyer: "home-1"}}}
	in.Outcomes = []Outcome{v}
	wantKinds(t, b.Step(in), "Pay")
}

// Without its meter a buyer waits, but not beyond the time in which it can give back.
func TestABuyerWithoutItsMeterGivesBackInTime(t *testing.T) {
	b, in, request := choosy(t)
	in.Registers = nil
	in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000))}
	wantKinds(t, b.Step(in))
	in.Outcomes, in.WallMs = nil, 100_000-testBuyer.RetryMs-1
	wantKinds(t, b.Step(in))
	in.WallMs++
	wantKinds(t, b.Step(in), "Release")
}

func TestASellerDeliversTheLotThatTheLedgerTook(t *testing.T) {
	s := NewSeller(testSeller)
	in := SellerInput{SensingMs: 1000, WallMs: 1_000_000, ClockSynced: true, GateOpen: true, GateSeq: 3, MeterOK: true, RegisterWh: 100, ExpectedWh: 400}
	wantKinds(t, s.Step(in), "Offer")
	pay := payRecord("tok", "", 0)
	pay.GetPay().Seller, pay.GetPay().Choices = "", []*fairwattpb.Choice{{Seller: "pv-1"}}
	lot := &fairwattpb.Lot{Seller: "pv-1", Buyer: "home-1", BuyerMeter: "m", OfferId: s.OfferID, VolumeWh: 300, PriceMicroPerKwh: 190_000, PayId: []byte{7}}
	for _, not := range []*fairwattpb.TradeNotice{
		{TradeId: "tok.2", Status: wire.StatusBilled, Lot: lot},
		{TradeId: "tok.2", Status: wire.StatusPaid, Lot: &fairwattpb.Lot{Seller: "pv-2", VolumeWh: 300}},
		{TradeId: "tok.2", Status: wire.StatusPaid, Lot: &fairwattpb.Lot{Seller: "pv-1"}},
	} {
		v := final(pay, false)
		v.Trade = not
		in.Outcomes = []Outcome{v}
		wantKinds(t, s.Step(in))
	}
	v := final(pay, false)
	v.Trade = &fairwattpb.TradeNotice{TradeId: "tok.2", Status: wire.StatusPaid, Lot: lot}
	in.Outcomes = []Outcome{v, v}
	actions := s.Step(in)
	wantKinds(t, actions, "Offer", "Start")
	if len(s.Trades) != 1 || s.OfferWh != 0 {
		t.Fatalf("%d trades", len(s.Trades))
	}
	got := s.Trades[0]
	if got.TradeID != "tok.2" || got.Buyer != "home-1" || got.BuyerMeter != "m" || got.VolumeWh != 300 || got.PriceMicroPerKWh != 190_000 || string(got.PayID) != "\x07" {
		t.Errorf("the sale is %+v", got)
	}
}

// Whichever circuit an answer is for, the others do not have it given back.
func TestAnAnswerIsWantedByOneOfSeveralCircuits(t *testing.T) {
	for range 20 { // circuits are looked at in any order
		cfg := testBuyer
		cfg.ByLedger, cfg.Circuits = true, nil
		for n := range 4 {
			c := testBuyer.Circuits[0]
			c.Name, c.Meter = fmt.Sprint("room-", n), fmt.Sprint("home-1-room-", n)
			cfg.Circuits = append(cfg.Circuits, c)
		}
		b := NewBuyer(cfg)
		in := BuyerInput{WallMs: 1000, ClockSynced: true, Registers: map[string]int64{"room-0": 1, "room-1": 1, "room-2": 1, "room-3": 1}}
		actions := b.Step(in)
		wantKinds(t, actions, "Request", "Request", "Request", "Request")
		in.Outcomes = []Outcome{answer(actions[1].Record, offered("a", "s1", 200_000))}
		wantKinds(t, b.Step(in), "Pay")
	}
}

// Where a centre answers, an answer of the ledger is nobody's: it is neither paid by
// choices nor given back.
func TestWhereACentreAnswersNothingIsGivenBack(t *testing.T) {
	b := NewBuyer(testBuyer)
	in := BuyerInput{WallMs: 1000, ClockSynced: true, Registers: map[string]int64{"kitchen": 50}}
	request := b.Step(in)[0].Record
	v := answer(request, offered("a", "s1", 200_000))
	in.Outcomes = []Outcome{v}
	wantKinds(t, b.Step(in))
	v.Trade.Answer.RequestId = "another"
	wantKinds(t, b.Step(in))
}

// An answer counts when it is final, and once.
func TestAnAnswerCountsOnceAndWhenItIsFinal(t *testing.T) {
	b, in, request := choosy(t)
	early := answer(request, offered("a", "s1", 200_000))
	early.Height = 0
	in.Outcomes = []Outcome{early}
	if got := kinds(b.Step(in)); len(got) > 0 && got[0] == "Pay" {
		t.Error("paid on an answer that is in no block")
	}
	b, in, request = choosy(t)
	in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000))}
	wantKinds(t, b.Step(in), "Pay")
	wantKinds(t, b.Step(in)) // the same one again
}

// What the history says of a trade is what was taken for it: a notice without a lot, as
// where a centre answers, changes nothing, and neither does another trade's.
func TestANoticeWithoutItsLotChangesNothing(t *testing.T) {
	for name, notice := range map[string]*fairwattpb.TradeNotice{
		"no lot":        {TradeId: "tok-1", Status: wire.StatusPaid},
		"another trade": {TradeId: "tok-1-2", Status: wire.StatusPaid, Lot: &fairwattpb.Lot{Seller: "s9", OfferId: "z", VolumeWh: 1, PriceMicroPerKwh: 1}},
	} {
		b, in, request := choosy(t)
		in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000))}
		v := final(b.Step(in)[0].Record, true)
		v.Trade = notice
		before := *b.Circuits["kitchen"]
		in.Outcomes = []Outcome{v}
		wantKinds(t, b.Step(in))
		if c := b.Circuits["kitchen"]; c.Offer != "a" || c.Seller != before.Seller || c.PriceMicro != before.PriceMicro || c.PaidWh != before.PaidWh {
			t.Errorf("%s: %+v, before %+v", name, c, before)
		}
	}
}

// A payment is taken whole or not at all: where none of its choices could be taken, no
// second payment is made with the Token, though more quotes are known.
func TestAPaymentOfWhichNothingWasTakenIsNotTriedAgain(t *testing.T) {
	b, in, request := choosy(t)
	in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000), offered("b", "s2", 250_000))}
	pay := b.Step(in)
	in.Outcomes = []Outcome{{Own: true, Height: 6, Code: wire.CodeNoneTaken, Record: pay[0].Record}}
	wantKinds(t, b.Step(in), "Release")
}

// An answer that the ledger refused is none, and without a clock that is right nothing is
// paid: the reading would be of another time.
func TestABuyerPaysOnWhatHolds(t *testing.T) {
	b, in, request := choosy(t)
	refused := answer(request, offered("a", "s1", 200_000))
	refused.Own, refused.Applied = false, false
	in.Outcomes = []Outcome{refused}
	if got := kinds(b.Step(in)); len(got) > 0 && got[0] == "Pay" {
		t.Error("paid on an answer that was refused")
	}
	b, in, request = choosy(t)
	in.ClockSynced = false
	in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000))}
	wantKinds(t, b.Step(in))
	in.Outcomes, in.ClockSynced = nil, true
	wantKinds(t, b.Step(in), "Pay")
}

// What was paid for counts as bought in the day where no one has said that less came.
func TestATradeThatNobodyEndsCountsAsBought(t *testing.T) {
	b, in, request := choosy(t)
	in.Outcomes = []Outcome{answer(request, offered("a", "s1", 200_000))}
	pay := final(b.Step(in)[0].Record, true)
	in.Outcomes = []Outcome{pay}
	b.Step(in)
	in.Outcomes, in.WallMs = nil, in.WallMs+testBuyer.GiveUpMs
	b.Step(in)
	if c := b.Circuits["kitchen"]; !c.Idle() && c.Phase != buyRequesting || b.Today.Wh != 300 {
		t.Errorf("%s, %d Wh count as bought, want 300", c.Phase, b.Today.Wh)
	}
}

// Where a centre answers, an owner that tries it out pays nothing either.
func TestADryRunPaysNothing(t *testing.T) {
	b := NewBuyer(testBuyer)
	in := BuyerInput{WallMs: 1000, ClockSynced: true, Registers: map[string]int64{"kitchen": 50}}
	request := b.Step(in)[0].Record.GetRequest()
	in.Terms.DryRun = true
	r := response(request.GetRequestId(), "tok-1", offered("a", "s1", 200_000))
	in.Outcomes = []Outcome{{Height: 5, Applied: true, Record: r}}
	for _, kind := range kinds(b.Step(in)) {
		if kind == "Pay" {
			t.Error("it paid")
		}
	}
	in.Outcomes, in.Terms.DryRun = nil, false
	wantKinds(t, b.Step(in), "Pay")
}

// A lot is sold when it is final, and is no longer on offer then if it is of the offer
// that stands.
func TestALotIsSoldOnceItIsFinal(t *testing.T) {
	sold := func(offer string, change func(*Outcome)) *Seller {
		s := NewSeller(testSeller)
		s.OfferID, s.OfferWh, s.OfferEndMs = "o", 400, sellerNowMs+1
		v := Outcome{Height: 5, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: "tok.2", Status: wire.StatusPaid,
			Lot: &fairwattpb.Lot{Seller: testSeller.Device, OfferId: offer, VolumeWh: 300}}}
		change(&v)
		s.lot(sellerMoment(), v)
		return s
	}
	for name, c := range map[string]struct {
		offer  string
		change func(*Outcome)
		trades int
		left   int64
	}{
		"final":                 {"o", func(*Outcome) {}, 1, 100},
		"of an offer of before": {"p", func(*Outcome) {}, 1, 400},
		"in no block":           {"o", func(v *Outcome) { v.Height = 0 }, 0, 400},
		"refused":               {"o", func(v *Outcome) { v.Applied = false }, 0, 400},
	} {
		if s := sold(c.offer, c.change); len(s.Trades) != c.trades || s.OfferWh != c.left {
			t.Errorf("%s: %d trades, %d Wh on offer", name, len(s.Trades), s.OfferWh)
		}
	}
}
