package trade

import (
	"testing"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// saleOf is a trade of 100 Wh that has been in its phase for some time.
func saleOf(id, phase string, forMs int64) *Sale {
	return &Sale{Delivery: Delivery{TradeID: id, VolumeWh: 100}, Phase: phase, SinceWallMs: agedMs(forMs)}
}

func phases(s *Seller) (out []string) {
	for _, t := range s.Trades {
		out = append(out, t.TradeID+" "+t.Phase)
	}
	return out
}

// A trade that is billed holds nothing up and lives as long as it may; one that
// runs keeps offers and starts back, wherever it stands in the queue.
func TestSellerTurns(t *testing.T) {
	for _, r := range []struct {
		rule     string
		trades   []*Sale
		outcomes []Outcome
		actions  []string
		phases   []string
	}{
		{"a billed trade behind a running one is kept", []*Sale{saleOf("t", sellStarting, 5), saleOf("u", sellBilled, testSeller.StartWindowMs)}, nil,
			nil, []string{"t starting", "u billed"}},
		{"a running trade in front of a billed one keeps the third back", []*Sale{saleOf("t", sellStarting, 5), saleOf("u", sellBilled, 5), saleOf("v", sellPaid, 5)}, nil,
			nil, []string{"t starting", "u billed", "v paid"}},
		{"a billed trade lets the next begin", []*Sale{saleOf("u", sellBilled, 5), saleOf("v", sellPaid, 5)}, nil,
			[]string{"Start"}, []string{"u billed", "v starting"}},
		{"the step that ends the last trade offers again", []*Sale{saleOf("t", sellHeld, 5)}, []Outcome{notice("t", wire.StatusRefunded)},
			[]string{"Offer"}, nil},
		{"a refused bill of an unknown trade changes nothing", []*Sale{saleOf("t", sellBilled, 5)}, []Outcome{refused(bill("u", 1))},
			[]string{"Offer"}, []string{"t billed"}},
	} {
		t.Run(r.rule, func(t *testing.T) {
			s := NewSeller(testSeller)
			s.Trades = r.trades
			in := sellerMoment()
			in.ExpectedWh, in.Outcomes = 100, r.outcomes
			wantKinds(t, s.Step(in), r.actions...)
			equal(t, phases(s), r.phases)
		})
	}
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The hold of a delivery counts a register that was read, and no other.
func TestSellerHoldWithoutAMeter(t *testing.T) {
	for read, want := range map[bool]int64{true: 130, false: 100} {
		s := NewSeller(testSeller)
		sale := saleOf("t", sellDelivering, 5)
		sale.VolumeWh, sale.DeliveredWh, sale.RunFromWh = 500, 100, 1000
		s.Trades = []*Sale{sale}
		in := sellerMoment()
		in.GateOpen, in.MeterOK, in.RegisterWh = false, read, 1030
		wantKinds(t, s.Step(in), "open", "Hold")
		if sale.DeliveredWh != want {
			t.Errorf("meter read %v: %d Wh counted, want %d", read, sale.DeliveredWh, want)
		}
	}
}

// A hold that the chain has no gate change for yet is stated again, with the
// reading of then: the chain takes it for a minute.
func TestSellerStatesAHoldAgain(t *testing.T) {
	hold := &fairwattpb.Record{Body: &fairwattpb.Record_Hold{Hold: &fairwattpb.Hold{
		TradeId: "t", GateSeq: 4, Reading: &fairwattpb.MeterReading{Meter: "pv-1-meter", RegisterWh: 1030},
	}}}
	early := Outcome{Own: true, Height: 4, Code: wire.CodeHoldWithoutHazard, Record: hold}
	over := early
	over.Record = &fairwattpb.Record{Body: &fairwattpb.Record_Hold{Hold: &fairwattpb.Hold{TradeId: "over", GateSeq: 4}}}
	for _, c := range []struct {
		name    string
		phase   string
		age     int64
		outcome Outcome
		again   bool
	}{
		{"held", sellHeld, 1000, early, true},
		{"resuming", sellResuming, 1000, early, true},
		{"just in time", sellHeld, holdAgainMs - 1, early, true},
		{"too late", sellHeld, holdAgainMs, early, false},
		{"billed", sellBilled, 1000, early, false},
		{"another reason", sellHeld, 1000, refused(hold), false},
		{"another's", sellHeld, 1000, foreign(early), false},
		{"applied", sellHeld, 1000, final(hold, true), false},
		{"of a trade that is over", sellHeld, 1000, over, false},
	} {
		s := NewSeller(testSeller)
		in := sellerMoment()
		in.GateOpen, in.RegisterWh = false, 1100
		in.Outcomes = []Outcome{c.outcome}
		sale := saleOf("t", c.phase, 5)
		sale.SinceWallMs = in.WallMs - c.age
		s.Trades = []*Sale{sale}
		var got []*fairwattpb.Hold
		for _, a := range s.Step(in) {
			if h := a.Record.GetHold(); h != nil {
				got = append(got, h)
			}
		}
		if c.again != (len(got) == 1) || c.again && (got[0].GetReading().GetRegisterWh() != 1030 || got[0].GetGateSeq() != 4) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A running delivery states its register once a minute, so that a seller that falls
// silent is paid what it has delivered.
func TestSellerReadsOnceAMinute(t *testing.T) {
	s := NewSeller(testSeller)
	sale := saleOf("t", sellDelivering, 5)
	sale.VolumeWh, sale.RunFromWh, sale.StartedWallMs, sale.ReadWallMs = 5000, 1000, sellerNowMs, sellerNowMs
	s.Trades = []*Sale{sale}
	in := sellerMoment()
	for i, c := range []struct {
		after   int64
		meterOK bool
		want    []string
	}{
		{readEveryMs - 1, true, nil}, {0, true, nil}, {1, false, nil}, {0, true, []string{"Reading"}}, {readEveryMs - 1, true, nil}, {1, true, []string{"Reading"}},
	} {
		in.WallMs, in.MeterOK, in.RegisterWh = in.WallMs+c.after, c.meterOK, in.RegisterWh+1
		actions := s.Step(in)
		if wantKinds(t, actions, c.want...); len(actions) == 1 {
			if r := actions[0].Record.GetReading(); r.GetTradeId() != "t" || r.GetReading().GetRegisterWh() != in.RegisterWh {
				t.Errorf("step %d: %v", i, r)
			}
		}
	}
}

// Where the chain gives a delivery seconds, once a minute would be never.
func TestSellerReadsInAShortWindow(t *testing.T) {
	c := testSeller
	c.DeliverWindowMs = 48_000
	s := NewSeller(c)
	sale := saleOf("t", sellDelivering, 5)
	sale.VolumeWh, sale.RunFromWh, sale.StartedWallMs, sale.ReadWallMs = 5000, 1000, sellerNowMs, sellerNowMs
	s.Trades = []*Sale{sale}
	in := sellerMoment()
	in.WallMs += 7_999
	wantKinds(t, s.Step(in))
	in.WallMs++
	wantKinds(t, s.Step(in), "Reading")
}

// A seller says what it could have delivered while its contactor was closed.
func TestSellerSaysWhatStoodBy(t *testing.T) {
	for _, c := range []struct{ expected, ran, delivered, want int64 }{
		{400, testSeller.DeliveryMs, 0, 400},
		{400, testSeller.DeliveryMs / 2, 0, 200},
		{400, testSeller.DeliveryMs / 2, 300, 300},
		{0, testSeller.DeliveryMs, 0, 0},
		{testSeller.MaxWh * 9, testSeller.DeliveryMs, 0, testSeller.MaxWh},
	} {
		s := NewSeller(testSeller)
		sale := saleOf("t", sellDelivering, 5)
		sale.VolumeWh, sale.DeliveredWh, sale.RunFromWh, sale.lastSensingMs = 1_000_000, c.delivered, 1000, 1
		sale.StartedWallMs, sale.ReadWallMs = sellerNowMs, sellerNowMs
		s.Trades = []*Sale{sale}
		in := sellerMoment()
		in.SensingMs, in.ExpectedWh = 1+c.ran, c.expected
		s.Step(in)
		if got := s.available(sale); got != c.want {
			t.Errorf("%+v: %d Wh", c, got)
		}
	}
}

// A buyer states its meter also where the ledger itself made the bill.
func TestBuyerConfirmsABillOfTheLedger(t *testing.T) {
	b := NewBuyer(testBuyer)
	b.Circuits["kitchen"] = &Circuit{Phase: buyPaid, SinceWallMs: buyerNowMs, StartWh: 100, Token: &fairwattpb.Token{TokenId: "t"}}
	in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, NoRequests: true, Registers: map[string]int64{"kitchen": 150}}
	in.Outcomes = []Outcome{notice("other", wire.StatusBilled)}
	wantKinds(t, b.Step(in))
	if c := b.Circuits["kitchen"]; c.Phase != buyPaid {
		t.Fatalf("after another's bill: %+v", c)
	}
	in.Outcomes = []Outcome{notice("t", wire.StatusBilled)}
	wantKinds(t, b.Step(in))
	in.Outcomes = nil
	for range 2 {
		in.WallMs += testBuyer.SettleMs
		if actions := b.Step(in); len(actions) == 1 {
			if c := actions[0].Record.GetConfirm(); c.GetEnergyWh() != 50 || c.GetTradeId() != "t" || !c.GetAccepted() {
				t.Errorf("%v", c)
			}
			return
		}
	}
	t.Error("no confirmation")
}

// A buyer that shall begin nothing gives up a request without an answer, as any
// other does.
func TestBuyerGivesUpARequest(t *testing.T) {
	b := NewBuyer(testBuyer)
	b.Circuits["kitchen"] = &Circuit{Phase: buyRequesting, RequestID: "r", EndMs: buyerNowMs}
	in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, NoRequests: true, Registers: map[string]int64{"kitchen": 150}}
	wantKinds(t, b.Step(in))
	if c := b.Circuits["kitchen"]; !c.Idle() || c.RequestID != "" || c.SinceWallMs != buyerNowMs {
		t.Errorf("after its end: %+v", c)
	}
}

// Only the refusal of an own request ends it: ids of other devices may be equal.
func TestBuyerIgnoresForeignRefusals(t *testing.T) {
	request := &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{RequestId: "r"}}}
	b := NewBuyer(testBuyer)
	b.Circuits["kitchen"] = &Circuit{Phase: buyRequesting, RequestID: "r", EndMs: buyerNowMs + 1}
	in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, Registers: map[string]int64{"kitchen": 150}, Outcomes: []Outcome{foreign(refused(request))}}
	wantKinds(t, b.Step(in))
	if c := b.Circuits["kitchen"]; c.Phase != buyRequesting {
		t.Errorf("phase %s", c.Phase)
	}
}

// A bill so small that a meter need not show it is still compared like any other:
// the meter must be readable, and stand still for its time at 0 Wh too.
func TestBuyerComparesASmallBill(t *testing.T) {
	token := &fairwattpb.Token{TokenId: "tok", Buyer: "home-1"}
	for name, registers := range map[string]map[string]int64{"a meter at 0 Wh": {"kitchen": 0}, "no meter": {}} {
		b := NewBuyer(testBuyer)
		c := &Circuit{Phase: buyBilled, SinceWallMs: buyerNowMs - 1, Token: token, BilledWh: 1}
		b.Circuits["kitchen"] = c
		in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, Registers: registers}
		wantKinds(t, b.Step(in))
		if c.Phase != buyBilled || c.SeenMs != buyerNowMs {
			t.Fatalf("%s: after the first look %+v", name, c)
		}
		in.WallMs += testBuyer.SettleMs
		actions := b.Step(in)
		if len(registers) == 0 {
			if c.Phase != buyBilled || len(actions) != 0 {
				t.Errorf("%s: %+v before the time to dispute is over", name, c)
			}
			continue
		}
		wantKinds(t, actions, "Confirm")
		if cf := actions[0].Record.GetConfirm(); !cf.GetAccepted() || cf.GetEnergyWh() != 0 {
			t.Errorf("%s: %v", name, cf)
		}
	}
}
