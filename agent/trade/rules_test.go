package trade

import (
	"fmt"
	"slices"
	"testing"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// notice is a block that changed a trade without a record.
func notice(trade, status string) Outcome {
	return Outcome{Height: 9, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: trade, Status: status}}
}

// refused is the refusal of an own record.
func refused(record *fairwattpb.Record) Outcome {
	return Outcome{Own: true, Height: 4, Code: wire.CodeWrongStatus, Record: record}
}

// unplaced is an outcome before any block: nothing of it is final.
func unplaced(o Outcome) Outcome {
	o.Height = 0
	return o
}

// foreign is an outcome of another device's record.
func foreign(o Outcome) Outcome {
	o.Own = false
	return o
}

func bill(trade string, energyWh int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{TradeId: trade, EnergyWh: energyWh}}}
}

func start(trade string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{TradeId: trade}}}
}

func resume(trade string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Resume{Resume: &fairwattpb.Resume{TradeId: trade}}}
}

func offer(id string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{OfferId: id}}}
}

// sellerRow is one rule: a trade in a phase, what happens, what follows.
type sellerRow struct {
	rule     string
	sale     Sale               // of trade "t", 500 Wh
	change   func(*SellerInput) // of the quiet moment; nil: none
	outcomes []Outcome
	want     []string // actions
	phase    string   // "": the trade is gone
	check    func(*testing.T, *Sale, []Action)
}

const sellerNowMs = 1_000_000

// sellerMoment has the gate open and everything readable, and sells nothing new.
func sellerMoment() SellerInput {
	return SellerInput{SensingMs: 5000, WallMs: sellerNowMs, ClockSynced: true, GateOpen: true, GateSeq: 3, MeterOK: true, RegisterWh: 1000}
}

// billedWh checks the energy of the first action's Bill.
func billedWh(want int64) func(*testing.T, *Sale, []Action) {
	return func(t *testing.T, _ *Sale, actions []Action) {
		if e := actions[0].Record.GetBill().GetEnergyWh(); e != want {
			t.Errorf("billed %d Wh, want %d", e, want)
		}
	}
}

func agedMs(ms int64) int64 { return sellerNowMs - ms }

func TestSellerRules(t *testing.T) {
	c := testSeller
	waiting := c.StartWindowMs + c.ResumeWindowMs + c.GiveUpMs
	gateShut := func(in *SellerInput) { in.GateOpen = false }
	noMeter := func(in *SellerInput) { in.MeterOK = false }
	noClock := func(in *SellerInput) { in.ClockSynced = false }
	delivering := Sale{Phase: sellDelivering, SinceWallMs: agedMs(10), StartedWallMs: agedMs(10), ReadWallMs: agedMs(10), RunFromWh: 1000, DeliveredWh: 100, lastSensingMs: 4000}
	with := func(s Sale, f func(*Sale)) Sale { f(&s); return s }
	for _, r := range []sellerRow{
		{rule: "a paid trade starts at once", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(0)}, want: []string{"Start"}, phase: sellStarting},
		{rule: "but not while the gate is shut", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(0)}, change: gateShut, phase: sellPaid},
		{rule: "nor without a meter", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(0)}, change: noMeter, phase: sellPaid},
		{rule: "nor without a clock", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(0)}, change: noClock, phase: sellPaid},
		{rule: "nor a moment before its retry", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(0), RetryWallMs: sellerNowMs + 1}, phase: sellPaid},
		{rule: "but at its retry", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(0), RetryWallMs: sellerNowMs}, want: []string{"Start"}, phase: sellStarting},
		{rule: "it may start until the window ends", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(c.StartWindowMs - 1)}, want: []string{"Start"}, phase: sellStarting},
		{rule: "and is given up when it ends", sale: Sale{Phase: sellPaid, SinceWallMs: agedMs(c.StartWindowMs)}},

		{rule: "a final start closes the contactor", sale: Sale{Phase: sellStarting, SinceWallMs: agedMs(5)}, outcomes: []Outcome{final(start("t"), true)}, want: []string{"close"}, phase: sellDelivering,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.StartedWallMs != sellerNowMs || s.RunFromWh != 1000 || s.SinceWallMs != sellerNowMs || s.lastSensingMs != 5000 {
					t.Errorf("begun as %+v", s)
				}
			}},
		{rule: "a start that another device sent closes nothing", sale: Sale{Phase: sellStarting, SinceWallMs: agedMs(5)}, outcomes: []Outcome{foreign(final(start("t"), true))}, phase: sellStarting},
		{rule: "a start of another trade closes nothing", sale: Sale{Phase: sellStarting, SinceWallMs: agedMs(5)}, outcomes: []Outcome{final(start("u"), true)}, phase: sellStarting},
		{rule: "a start that comes late closes nothing", sale: Sale{Phase: sellBilled, SinceWallMs: agedMs(5)}, outcomes: []Outcome{final(start("t"), true)}, phase: sellBilled},
		{rule: "a refused start is tried again after a pause", sale: Sale{Phase: sellStarting, SinceWallMs: agedMs(5)}, outcomes: []Outcome{refused(start("t"))}, phase: sellPaid,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.RetryWallMs != sellerNowMs+c.RetryMs {
					t.Errorf("retry at %d", s.RetryWallMs)
				}
			}},
		{rule: "a start whose outcome does not come is waited for", sale: Sale{Phase: sellStarting, SinceWallMs: agedMs(waiting - 1)}, phase: sellStarting},
		{rule: "until the ledger has long ended the trade", sale: Sale{Phase: sellStarting, SinceWallMs: agedMs(waiting)}},
		{rule: "and so is a resume", sale: Sale{Phase: sellResuming, SinceWallMs: agedMs(waiting)}},

		{rule: "a delivery counts what the meter adds", sale: delivering, change: func(in *SellerInput) { in.RegisterWh = 1030 }, phase: sellDelivering,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.DeliveredWh != 130 || s.RunFromWh != 1030 || s.RanMs != 1000 || s.lastSensingMs != 5000 {
					t.Errorf("counted %+v", s)
				}
			}},
		{rule: "a register that goes back counts nothing", sale: delivering, change: func(in *SellerInput) { in.RegisterWh = 900 }, phase: sellDelivering,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.DeliveredWh != 100 || s.RunFromWh != 1000 {
					t.Errorf("counted %+v", s)
				}
			}},
		{rule: "a meter that cannot be read counts nothing", sale: delivering, change: func(in *SellerInput) { in.MeterOK, in.RegisterWh = false, 1030 }, phase: sellDelivering,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.DeliveredWh != 100 {
					t.Errorf("counted %+v", s)
				}
			}},
		{rule: "a first step of a run has no time behind it", sale: with(delivering, func(s *Sale) { s.lastSensingMs, s.RanMs = 0, 7 }), phase: sellDelivering,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.RanMs != 7 {
					t.Errorf("ran %d ms", s.RanMs)
				}
			}},
		{rule: "one Wh short is not delivered", sale: with(delivering, func(s *Sale) { s.DeliveredWh = 499 }), phase: sellDelivering},
		{rule: "all of it is", sale: with(delivering, func(s *Sale) { s.DeliveredWh = 500 }), want: []string{"open"}, phase: sellStopping},
		{rule: "a delivery that stood ready lasts its time", sale: with(delivering, func(s *Sale) { s.RanMs, s.AvailableWhMs = c.DeliveryMs-1001, 500*c.DeliveryMs }), phase: sellDelivering},
		{rule: "and no longer", sale: with(delivering, func(s *Sale) { s.RanMs, s.AvailableWhMs = c.DeliveryMs-1000, 500*c.DeliveryMs }), want: []string{"open"}, phase: sellStopping},
		{rule: "one that had less power than promised lasts longer", sale: with(delivering, func(s *Sale) { s.RanMs, s.AvailableWhMs = 3*c.DeliveryMs, 500*c.DeliveryMs-1 }), phase: sellDelivering},
		{rule: "a delivery whose contactor was opened is billed", sale: delivering, change: func(in *SellerInput) { in.Interrupted = "t" }, want: []string{"open"}, phase: sellStopping},
		{rule: "another's contactor changes nothing", sale: delivering, change: func(in *SellerInput) { in.Interrupted = "u" }, phase: sellDelivering},
		{rule: "a shut gate holds even then", sale: delivering, change: func(in *SellerInput) { in.GateOpen, in.Interrupted = false, "t" }, want: []string{"open", "Hold"}, phase: sellHeld},
		{rule: "a resume that is final too late does not close", sale: Sale{Phase: sellResuming, SinceWallMs: agedMs(5), StartedWallMs: 1}, outcomes: []Outcome{final(resume("t"), true)}, change: func(in *SellerInput) { in.WallMs += c.DeliverWindowMs }, want: []string{"open"}, phase: sellStopping},
		{rule: "nor does one under a shut gate", sale: Sale{Phase: sellResuming, SinceWallMs: agedMs(5)}, outcomes: []Outcome{final(resume("t"), true)}, change: gateShut, want: []string{"open", "Hold"}, phase: sellHeld},
		{rule: "a shut gate opens the contactor and holds", sale: delivering, change: func(in *SellerInput) { in.GateOpen, in.RegisterWh = false, 1010 }, want: []string{"open", "Hold"}, phase: sellHeld,
			check: func(t *testing.T, s *Sale, actions []Action) {
				h := actions[1].Record.GetHold()
				if s.DeliveredWh != 110 || s.lastSensingMs != 0 || s.SinceWallMs != sellerNowMs || h.GetGateSeq() != 3 || h.GetTradeId() != "t" ||
					h.GetReading().GetRegisterWh() != 1010 || h.GetReading().GetMeter() != c.Meter || h.GetReading().GetTimeMs() != sellerNowMs || actions[0].OpenFor != "t" {
					t.Errorf("held as %+v with %v", s, h)
				}
			}},

		{rule: "a held trade resumes when the gate opens", sale: Sale{Phase: sellHeld, SinceWallMs: agedMs(c.ResumeWindowMs - 1)}, want: []string{"Resume"}, phase: sellResuming},
		{rule: "it waits while the gate is shut", sale: Sale{Phase: sellHeld, SinceWallMs: agedMs(c.ResumeWindowMs - 1)}, change: gateShut, phase: sellHeld},
		{rule: "it is billed when its window ends", sale: Sale{Phase: sellHeld, SinceWallMs: agedMs(c.ResumeWindowMs), DeliveredWh: 40}, want: []string{"Bill"}, phase: sellBilled,
			check: func(t *testing.T, _ *Sale, actions []Action) {
				if e := actions[0].Record.GetBill().GetEnergyWh(); e != 40 {
					t.Errorf("billed %d Wh", e)
				}
			}},
		{rule: "a final resume keeps the first start's time", sale: Sale{Phase: sellResuming, SinceWallMs: agedMs(5), StartedWallMs: 17}, outcomes: []Outcome{final(resume("t"), true)}, want: []string{"close"}, phase: sellDelivering,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.StartedWallMs != 17 {
					t.Errorf("started at %d", s.StartedWallMs)
				}
			}},
		{rule: "a refused resume holds on", sale: Sale{Phase: sellResuming, SinceWallMs: agedMs(5)}, outcomes: []Outcome{refused(resume("t"))}, phase: sellHeld},

		{rule: "a stopped delivery is billed", sale: Sale{Phase: sellStopping, DeliveredWh: 600, PriceMicroPerKWh: 100_000, PayID: []byte{9}}, want: []string{"Bill"}, phase: sellBilled,
			check: func(t *testing.T, s *Sale, actions []Action) {
				b := actions[0].Record.GetBill()
				if b.GetEnergyWh() != 500 || b.GetAmountMicro() != 50_000 || b.GetPayId()[0] != 9 || b.GetReading().GetRegisterWh() != 1000 || s.Bills != 1 || s.SinceWallMs != sellerNowMs {
					t.Errorf("billed %v of %+v", b, s)
				}
			}},
		{rule: "the pulses that came while it opened are billed", sale: Sale{Phase: sellStopping, SinceWallMs: agedMs(0), DeliveredWh: 40, RunFromWh: 998, opened: true}, want: []string{"Bill"}, phase: sellBilled, check: billedWh(42)},
		{rule: "what flows later is another's", sale: Sale{Phase: sellStopping, SinceWallMs: agedMs(1), DeliveredWh: 40, RunFromWh: 998, opened: true}, want: []string{"Bill"}, phase: sellBilled, check: billedWh(40)},
		{rule: "what flows before a second bill is another's", sale: Sale{Phase: sellStopping, SinceWallMs: agedMs(0), DeliveredWh: 40, RunFromWh: 998, Bills: 1}, want: []string{"Bill"}, phase: sellBilled, check: billedWh(40)},
		{rule: "what flows during a hold is another's", sale: Sale{Phase: sellHeld, SinceWallMs: agedMs(c.ResumeWindowMs), DeliveredWh: 40, RunFromWh: 998}, want: []string{"Bill"}, phase: sellBilled, check: billedWh(40)},
		{rule: "not without a meter", sale: Sale{Phase: sellStopping}, change: noMeter, phase: sellStopping},
		{rule: "not a moment before its retry", sale: Sale{Phase: sellStopping, RetryWallMs: sellerNowMs + 1}, phase: sellStopping},
		{rule: "but at its retry", sale: Sale{Phase: sellStopping, RetryWallMs: sellerNowMs}, want: []string{"Bill"}, phase: sellBilled},
		{rule: "the last bill is tried", sale: Sale{Phase: sellStopping, Bills: maxBills - 1}, want: []string{"Bill"}, phase: sellBilled},
		{rule: "one more is not", sale: Sale{Phase: sellStopping, Bills: maxBills}},
		{rule: "a refused bill is tried again after a pause", sale: Sale{Phase: sellBilled, SinceWallMs: agedMs(5)}, outcomes: []Outcome{refused(bill("t", 1))}, phase: sellStopping,
			check: func(t *testing.T, s *Sale, _ []Action) {
				if s.RetryWallMs != sellerNowMs+c.RetryMs {
					t.Errorf("retry at %d", s.RetryWallMs)
				}
			}},
		{rule: "a bill refused late changes nothing", sale: Sale{Phase: sellHeld, SinceWallMs: agedMs(5)}, change: gateShut, outcomes: []Outcome{refused(bill("t", 1))}, phase: sellHeld},
		{rule: "another's refused bill changes nothing", sale: Sale{Phase: sellBilled, SinceWallMs: agedMs(5)}, outcomes: []Outcome{foreign(refused(bill("t", 1)))}, phase: sellBilled},
		{rule: "a final bill waits for the settlement", sale: Sale{Phase: sellBilled, SinceWallMs: agedMs(5)}, outcomes: []Outcome{final(bill("t", 1), true)}, phase: sellBilled},
		{rule: "a billed trade is waited for", sale: Sale{Phase: sellBilled, SinceWallMs: agedMs(c.GiveUpMs - 1)}, phase: sellBilled},
		{rule: "and then forgotten", sale: Sale{Phase: sellBilled, SinceWallMs: agedMs(c.GiveUpMs)}},

		{rule: "a trade that ended on the chain stops flowing", sale: delivering, change: func(in *SellerInput) { in.RegisterWh = 1001 }, outcomes: []Outcome{notice("t", wire.StatusFailed)}, want: []string{"open"}},
		{rule: "a trade that is on its way goes on", sale: delivering, outcomes: []Outcome{notice("t", wire.StatusDelivering)}, phase: sellDelivering},
		{rule: "another trade's end changes nothing", sale: delivering, outcomes: []Outcome{notice("u", wire.StatusFailed)}, phase: sellDelivering},
	} {
		t.Run(r.rule, func(t *testing.T) {
			sale := r.sale
			sale.TradeID, sale.VolumeWh = "t", 500
			s := NewSeller(c)
			s.Trades = []*Sale{&sale}
			in := sellerMoment()
			in.Outcomes = r.outcomes
			if r.change != nil {
				r.change(&in)
			}
			actions := s.Step(in)
			if got := kinds(actions); !slices.Equal(got, r.want) {
				t.Fatalf("actions %v, want %v", got, r.want)
			}
			switch {
			case r.phase == "" && len(s.Trades) > 0:
				t.Fatalf("the trade stays in phase %s", s.Trades[0].Phase)
			case r.phase != "" && (len(s.Trades) != 1 || s.Trades[0].Phase != r.phase):
				t.Fatalf("trades %+v, want one in phase %s", s.Trades, r.phase)
			}
			if r.check != nil {
				r.check(t, &sale, actions)
			}
		})
	}
}

// The whole time from the first start to the bill is bounded by the wall clock.
func TestSellerDeliverWindow(t *testing.T) {
	c := testSeller
	c.DeliverWindowMs = 50_000
	for started, want := range map[int64]string{agedMs(49_999): sellDelivering, agedMs(50_000): sellStopping} {
		s := NewSeller(c)
		s.Trades = []*Sale{{Delivery: Delivery{TradeID: "t", VolumeWh: 500}, Phase: sellDelivering, StartedWallMs: started, RunFromWh: 1000}}
		s.Step(sellerMoment())
		if got := s.Trades[0].Phase; got != want {
			t.Errorf("started %d ms ago: %s, want %s", sellerNowMs-started, got, want)
		}
	}
}

// A Start whose receipt comes late leaves less of the chain's time to deliver, and one that
// comes too late closes nothing: what flowed after the chain's time would be paid by no one.
func TestSellerDeliverWindowBeginsWithTheStart(t *testing.T) {
	c := testSeller
	c.DeliverWindowMs = 50_000
	for lateMs, want := range map[int64][]string{49_999: {"close"}, 50_000: {"open"}} {
		s := NewSeller(c)
		s.Trades = []*Sale{{Delivery: Delivery{TradeID: "t", VolumeWh: 500}, Phase: sellPaid, SinceWallMs: agedMs(0), StartedWallMs: 7}}
		in := sellerMoment()
		actions := s.Step(in)
		wantKinds(t, actions, "Start")
		in.WallMs += lateMs
		in.Outcomes = []Outcome{final(actions[0].Record, true)}
		wantKinds(t, s.Step(in), want...)
	}
}

func TestSellerTakesPayments(t *testing.T) {
	pay := func(seller string, volumeWh int64) *fairwattpb.Record {
		r := payRecord("t", "o", volumeWh)
		r.GetPay().Seller = seller
		return r
	}
	for _, r := range []struct {
		rule  string
		o     Outcome
		taken bool
	}{
		{"a payment in a block", final(pay("pv-1", 1), false), true},
		{"a payment that is in no block", unplaced(final(pay("pv-1", 1), false)), false},
		{"a refused payment", Outcome{Height: 5, Record: pay("pv-1", 1)}, false},
		{"a payment of another seller", final(pay("pv-2", 1), false), false},
		{"a payment for nothing", final(pay("pv-1", 0), false), false},
		{"a payment for less than nothing", final(pay("pv-1", -1), false), false},
	} {
		s := NewSeller(testSeller)
		in := sellerMoment()
		in.GateOpen, in.Outcomes = false, []Outcome{r.o}
		s.Step(in)
		if (len(s.Trades) == 1) != r.taken {
			t.Errorf("%s: trades %+v", r.rule, s.Trades)
		}
	}
	// The payment tells what is delivered to whom, and at what price.
	s := NewSeller(testSeller)
	in := sellerMoment()
	in.GateOpen, in.Outcomes = false, []Outcome{final(pay("pv-1", 300), false), final(pay("pv-1", 300), false)}
	s.Step(in)
	if len(s.Trades) != 1 {
		t.Fatalf("a payment seen twice makes %d trades", len(s.Trades))
	}
	got, want := *s.Trades[0], Delivery{TradeID: "t", Buyer: "home-1", BuyerMeter: "home-1-kitchen", VolumeWh: 300}
	if got.Delivery != want || got.PriceMicroPerKWh != 200_000 || got.PayID[0] != 9 || len(got.PayID) != 32 || got.SinceWallMs != sellerNowMs {
		t.Errorf("paid as %+v", got)
	}
}

func TestSellerOffers(t *testing.T) {
	c := testSeller
	for _, r := range []struct {
		rule   string
		seller Seller
		change func(*SellerInput)
		want   []string
		check  func(*testing.T, *Seller, []Action)
	}{
		{rule: "the least volume is offered", change: func(in *SellerInput) { in.ExpectedWh = c.MinWh }, want: []string{"Offer"},
			check: func(t *testing.T, s *Seller, actions []Action) {
				o := actions[0].Record.GetOffer()
				if o.GetVolumeWh() != c.MinWh || o.GetPriceMicroPerKwh() != c.PriceMicroPerKWh || o.GetExpiresMs() != sellerNowMs+c.OfferTTLMs || s.OfferWh != c.MinWh || s.OfferEndMs != sellerNowMs+c.OfferTTLMs {
					t.Errorf("offer %v of %+v", o, s)
				}
			}},
		{rule: "less is not", change: func(in *SellerInput) { in.ExpectedWh = c.MinWh - 1 }},
		{rule: "more than the most is cut", change: func(in *SellerInput) { in.ExpectedWh = c.MaxWh + 1 }, want: []string{"Offer"},
			check: func(t *testing.T, _ *Seller, actions []Action) {
				if v := actions[0].Record.GetOffer().GetVolumeWh(); v != c.MaxWh {
					t.Errorf("offered %d Wh", v)
				}
			}},
		{rule: "nothing without a meter", change: func(in *SellerInput) { in.ExpectedWh, in.MeterOK = 100, false }},
		{rule: "nothing without a clock", change: func(in *SellerInput) { in.ExpectedWh, in.ClockSynced = 100, false }},
		{rule: "nothing while the gate is shut", change: func(in *SellerInput) { in.ExpectedWh, in.GateOpen = 100, false }},
		{rule: "nothing before the pause is over", seller: Seller{NextOfferMs: sellerNowMs + 1}, change: func(in *SellerInput) { in.ExpectedWh = 100 }},
		{rule: "an offer when it is over", seller: Seller{NextOfferMs: sellerNowMs}, change: func(in *SellerInput) { in.ExpectedWh = 100 }, want: []string{"Offer"}},
		{rule: "one offer stands until its end", seller: Seller{OfferID: "o", OfferEndMs: sellerNowMs + 1}, change: func(in *SellerInput) { in.ExpectedWh = 100 }},
		{rule: "and then comes the next", seller: Seller{OfferID: "o", OfferEndMs: sellerNowMs}, change: func(in *SellerInput) { in.ExpectedWh = 100 }, want: []string{"Offer"},
			check: func(t *testing.T, s *Seller, _ []Action) {
				if s.OfferID != "pv-1-offer-1" {
					t.Errorf("offer %q", s.OfferID)
				}
			}},
		{rule: "a shut gate withdraws it", seller: Seller{OfferID: "o", OfferWh: 100, OfferEndMs: sellerNowMs + 1}, change: func(in *SellerInput) { in.GateOpen = false }, want: []string{"Offer"},
			check: func(t *testing.T, s *Seller, actions []Action) {
				if o := actions[0].Record.GetOffer(); o.GetOfferId() != "o" || o.GetVolumeWh() != 0 || o.GetExpiresMs() != sellerNowMs+1 || s.OfferID != "" || s.OfferWh != 0 {
					t.Errorf("withdrawn as %v of %+v", o, s)
				}
			}},
		{rule: "a refused offer pauses", seller: Seller{OfferID: "o", OfferEndMs: sellerNowMs + 1}, change: func(in *SellerInput) { in.Outcomes, in.ExpectedWh = []Outcome{refused(offer("o"))}, 100 },
			check: func(t *testing.T, s *Seller, _ []Action) {
				if s.OfferID != "" || s.NextOfferMs != sellerNowMs+c.RetryMs {
					t.Errorf("after the refusal: %+v", s)
				}
			}},
		{rule: "an accepted offer stands", seller: Seller{OfferID: "o", OfferEndMs: sellerNowMs + 1}, change: func(in *SellerInput) { in.Outcomes = []Outcome{final(offer("o"), true)} }, check: stands},
		{rule: "another offer's refusal leaves it", seller: Seller{OfferID: "o", OfferEndMs: sellerNowMs + 1}, change: func(in *SellerInput) { in.Outcomes = []Outcome{refused(offer("p"))} }, check: stands},
		{rule: "another device's refusal leaves it", seller: Seller{OfferID: "o", OfferEndMs: sellerNowMs + 1}, change: func(in *SellerInput) { in.Outcomes = []Outcome{foreign(refused(offer("o")))} }, check: stands},
		{rule: "a billed trade does not keep it back", seller: Seller{Trades: []*Sale{{Delivery: Delivery{TradeID: "t"}, Phase: sellBilled, SinceWallMs: sellerNowMs}}}, change: func(in *SellerInput) { in.ExpectedWh = 100 }, want: []string{"Offer"}},
		{rule: "a running one does", seller: Seller{Trades: []*Sale{{Delivery: Delivery{TradeID: "t"}, Phase: sellStarting, SinceWallMs: sellerNowMs}}}, change: func(in *SellerInput) { in.ExpectedWh = 100 }},
	} {
		t.Run(r.rule, func(t *testing.T) {
			s := r.seller
			s.cfg = c
			in := sellerMoment()
			if r.change != nil {
				r.change(&in)
			}
			actions := s.Step(in)
			if got := kinds(actions); !slices.Equal(got, r.want) {
				t.Fatalf("actions %v, want %v", got, r.want)
			}
			if r.check != nil {
				r.check(t, &s, actions)
			}
		})
	}
	// What is paid for is no longer on offer.
	s := NewSeller(c)
	s.OfferID, s.OfferWh, s.OfferEndMs = "o", 400, sellerNowMs+1
	s.paid(sellerMoment(), final(payRecord("t", "o", 300), false), payRecord("t", "o", 300).GetPay())
	s.paid(sellerMoment(), final(payRecord("u", "p", 50), false), payRecord("u", "p", 50).GetPay())
	if s.OfferWh != 100 {
		t.Errorf("%d Wh left of 400 after 300 were paid for", s.OfferWh)
	}
	c.MinWh = 0
	if s, in := NewSeller(c), sellerMoment(); len(s.Step(in)) != 0 {
		t.Error("nothing is expected, and it is offered")
	}
}

func stands(t *testing.T, s *Seller, _ []Action) {
	if s.OfferID != "o" {
		t.Errorf("the offer is gone: %+v", s)
	}
}

// One trade delivers at a time; the next waits its turn, and is given up when
// that takes too long.
func TestSellerQueue(t *testing.T) {
	s := NewSeller(testSeller)
	for i, since := range []int64{agedMs(0), agedMs(testSeller.StartWindowMs - 1), agedMs(testSeller.StartWindowMs)} {
		s.Trades = append(s.Trades, &Sale{Delivery: Delivery{TradeID: fmt.Sprint("t", i), VolumeWh: 100}, Phase: sellPaid, SinceWallMs: since})
	}
	wantKinds(t, s.Step(sellerMoment()), "Start")
	if len(s.Trades) != 2 || s.Trades[0].Phase != sellStarting || s.Trades[1].Phase != sellPaid || s.Active() != nil {
		t.Fatalf("trades %+v", s.Trades)
	}
	s.Trades[0].Phase = sellDelivering
	if s.Active() != s.Trades[0] {
		t.Errorf("active: %+v", s.Active())
	}
}

// After a restart the meter's count since the last step is the trade's, and the
// time in between is not.
func TestSellerRestarted(t *testing.T) {
	s := NewSeller(testSeller)
	s.Trades = []*Sale{
		{Delivery: Delivery{TradeID: "t"}, Phase: sellDelivering, RunFromWh: 100, DeliveredWh: 5, lastSensingMs: 7},
		{Delivery: Delivery{TradeID: "u"}, Phase: sellHeld, RunFromWh: 100, DeliveredWh: 5},
	}
	s.Restarted(130)
	if t0 := s.Trades[0]; t0.DeliveredWh != 35 || t0.RunFromWh != 130 || t0.lastSensingMs != 0 {
		t.Errorf("delivering: %+v", t0)
	}
	if t1 := s.Trades[1]; t1.DeliveredWh != 5 {
		t.Errorf("held: %+v", t1)
	}
}

const buyerNowMs = 500_000

func TestBuyerRules(t *testing.T) {
	c := testBuyer
	token := &fairwattpb.Token{TokenId: "tok", Buyer: "home-1", EscrowMicro: 90_000, VolumeWh: 300, ValidUntilMs: buyerNowMs + 1}
	aged := func(ms int64) int64 { return buyerNowMs - ms }
	request := &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{RequestId: "r"}}}
	pay := &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{TokenId: "tok"}}}
	otherPay := &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{TokenId: "tik"}}}
	confirm := func(id string) *fairwattpb.Record {
		return &fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{TradeId: id}}}
	}
	answer := func(request, token, buyer string) *fairwattpb.Record {
		r := response(request, token)
		r.GetResponse().Token.Buyer, r.GetResponse().Token.ValidUntilMs = buyer, buyerNowMs+1000
		return r
	}
	requesting := Circuit{Phase: buyRequesting, SinceWallMs: aged(5), RequestID: "r", EndMs: buyerNowMs + 1}
	paying := Circuit{Phase: buyPaying, SinceWallMs: aged(5), Token: token, Offer: "o", StartWh: 50}
	billed := Circuit{Phase: buyBilled, SinceWallMs: aged(200), Token: token, StartWh: 50, BilledWh: 100, SeenWh: 150, SeenMs: aged(100)}
	with := func(c Circuit, f func(*Circuit)) Circuit { f(&c); return c }
	register := func(wh int64) func(*BuyerInput) { return func(in *BuyerInput) { in.Registers["kitchen"] = wh } }
	noMeter := func(in *BuyerInput) { delete(in.Registers, "kitchen") }
	quote := func(price, volume int64) []Candidate {
		return []Candidate{{OfferID: "o", Seller: "s", PriceMicroPerKWh: price, VolumeWh: volume}}
	}
	choosing := Circuit{Phase: buyChoosing, SinceWallMs: aged(5), RequestID: "r", Token: token, EndMs: buyerNowMs + 1, Quotes: quote(300_000, 300)}
	for _, r := range []struct {
		rule     string
		circuit  Circuit
		change   func(*BuyerInput)
		outcomes []Outcome
		want     []string
		phase    string
		check    func(*testing.T, *Circuit, []Action)
	}{
		{rule: "an idle circuit asks", circuit: Circuit{Phase: buyIdle}, want: []string{"Request"}, phase: buyRequesting,
			check: func(t *testing.T, got *Circuit, actions []Action) {
				q := actions[0].Record.GetRequest()
				if q.GetVolumeWh() != 300 || q.GetMaxPriceMicroPerKwh() != 300_000 || q.GetExpiresMs() != buyerNowMs+c.RequestTTLMs || q.GetRequestId() != "home-1-request-1" ||
					got.EndMs != q.GetExpiresMs() || got.RequestID != q.GetRequestId() || got.SinceWallMs != buyerNowMs {
					t.Errorf("request %v of %+v", q, got)
				}
			}},
		{rule: "not before its pause is over", circuit: Circuit{Phase: buyIdle, RetryWallMs: buyerNowMs + 1}, phase: buyIdle},
		{rule: "but when it is", circuit: Circuit{Phase: buyIdle, RetryWallMs: buyerNowMs}, want: []string{"Request"}, phase: buyRequesting},
		{rule: "not without a clock", circuit: Circuit{Phase: buyIdle}, change: func(in *BuyerInput) { in.ClockSynced = false }, phase: buyIdle},
		{rule: "not without a meter", circuit: Circuit{Phase: buyIdle}, change: noMeter, phase: buyIdle},
		{rule: "not when told to begin nothing", circuit: Circuit{Phase: buyIdle}, change: func(in *BuyerInput) { in.NoRequests = true }, phase: buyIdle},

		{rule: "a request waits for its answer", circuit: requesting, phase: buyRequesting},
		{rule: "and is made again when it expires", circuit: with(requesting, func(c *Circuit) { c.EndMs = buyerNowMs }), want: []string{"Request"}, phase: buyRequesting},
		{rule: "a refused request pauses", circuit: requesting, outcomes: []Outcome{refused(request)}, phase: buyIdle,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.RetryWallMs != buyerNowMs+c.RetryMs || got.SinceWallMs != buyerNowMs {
					t.Errorf("freed as %+v", got)
				}
			}},
		{rule: "another request's refusal changes nothing", circuit: with(requesting, func(c *Circuit) { c.RequestID = "q" }), outcomes: []Outcome{refused(request)}, phase: buyRequesting},
		{rule: "a late refusal changes nothing", circuit: with(paying, func(c *Circuit) { c.RequestID = "r" }), outcomes: []Outcome{refused(request)}, phase: buyPaying},
		{rule: "an accepted request waits on", circuit: requesting, outcomes: []Outcome{final(request, true)}, phase: buyRequesting},

		{rule: "an answer in a block gives the token", circuit: requesting, outcomes: []Outcome{final(answer("r", "tok", "home-1"), false)}, phase: buyChoosing,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.Token.GetTokenId() != "tok" || got.EndMs != buyerNowMs+1000 || got.SinceWallMs != buyerNowMs {
					t.Errorf("answered as %+v", got)
				}
			}},
		{rule: "an answer in no block gives none", circuit: requesting, outcomes: []Outcome{unplaced(final(answer("r", "tok", "home-1"), false))}, phase: buyRequesting},
		{rule: "a refused answer gives none", circuit: requesting, outcomes: []Outcome{{Height: 4, Record: answer("r", "tok", "home-1")}}, phase: buyRequesting},
		{rule: "another request's answer gives none", circuit: requesting, outcomes: []Outcome{final(answer("q", "tok", "home-1"), false)}, phase: buyRequesting},
		{rule: "an answer that comes late gives none", circuit: with(paying, func(c *Circuit) { c.RequestID = "r" }), outcomes: []Outcome{final(answer("r", "tuk", "home-1"), false)}, phase: buyPaying},
		{rule: "another buyer's token is none", circuit: requesting, outcomes: []Outcome{final(answer("r", "tok", "home-2"), false)}, phase: buyRequesting},
		{rule: "a token without a name is none", circuit: requesting, outcomes: []Outcome{final(answer("r", "", "home-1"), false)}, phase: buyRequesting},

		{rule: "a quote at the price limit is paid", circuit: choosing, want: []string{"Pay"}, phase: buyPaying,
			check: func(t *testing.T, got *Circuit, actions []Action) {
				p := actions[0].Record.GetPay()
				if p.GetTokenId() != "tok" || p.GetOfferId() != "o" || p.GetSeller() != "s" || p.GetVolumeWh() != 300 || p.GetAmountMicro() != 90_000 || p.GetPriceMicroPerKwh() != 300_000 ||
					p.GetBuyerReading().GetRegisterWh() != 150 || p.GetBuyerReading().GetMeter() != "home-1-kitchen" || p.GetBuyerReading().GetTimeMs() != buyerNowMs || got.StartWh != 150 || got.Offer != "o" {
					t.Errorf("pay %v of %+v", p, got)
				}
			}},
		{rule: "one above it is not", circuit: with(choosing, func(c *Circuit) { c.Quotes = quote(300_001, 300) }), phase: buyChoosing},
		{rule: "a quote for nothing is not", circuit: with(choosing, func(c *Circuit) { c.Quotes = quote(1, 0) }), phase: buyChoosing},
		{rule: "an own quote is not", circuit: with(choosing, func(c *Circuit) { c.Quotes = []Candidate{{OfferID: "o", Seller: "home-1", VolumeWh: 300}} }), phase: buyChoosing},
		{rule: "a quote that refused this token is not", circuit: with(choosing, func(c *Circuit) { c.Tried = []string{"o"} }), phase: buyChoosing},
		{rule: "a quote beyond the escrow is not", circuit: with(choosing, func(c *Circuit) { c.Token = &fairwattpb.Token{TokenId: "tok", EscrowMicro: 89_999, VolumeWh: 300} }), phase: buyChoosing},
		{rule: "nothing is paid without a meter", circuit: choosing, change: noMeter, phase: buyChoosing},
		{rule: "nor without a clock", circuit: choosing, change: func(in *BuyerInput) { in.ClockSynced = false }, phase: buyChoosing},
		{rule: "nor after the token's end", circuit: with(choosing, func(c *Circuit) { c.EndMs = buyerNowMs }), phase: buyIdle},

		{rule: "a final payment waits for the bill", circuit: paying, outcomes: []Outcome{final(pay, true)}, phase: buyPaid,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.SinceWallMs != buyerNowMs {
					t.Errorf("paid as %+v", got)
				}
			}},
		{rule: "another device's payment changes nothing", circuit: paying, outcomes: []Outcome{foreign(final(pay, true))}, phase: buyPaying},
		{rule: "another token's payment changes nothing", circuit: paying, outcomes: []Outcome{final(otherPay, true)}, phase: buyPaying},
		{rule: "a payment seen late changes nothing", circuit: with(paying, func(c *Circuit) { c.Phase = buyPaid }), outcomes: []Outcome{refused(pay)}, phase: buyPaid},
		{rule: "a refused payment tries another quote", circuit: with(paying, func(c *Circuit) { c.EndMs = buyerNowMs + 1 }), outcomes: []Outcome{refused(pay)}, phase: buyChoosing,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if !slices.Equal(got.Tried, []string{"o"}) {
					t.Errorf("tried %v", got.Tried)
				}
			}},
		{rule: "a payment is waited for", circuit: with(paying, func(c2 *Circuit) { c2.SinceWallMs = aged(c.GiveUpMs - 1) }), phase: buyPaying},
		{rule: "and then forgotten", circuit: with(paying, func(c2 *Circuit) { c2.SinceWallMs = aged(c.GiveUpMs) }), phase: buyIdle},
		{rule: "so is a bill", circuit: with(paying, func(c2 *Circuit) { c2.Phase, c2.SinceWallMs = buyPaid, aged(c.GiveUpMs) }), phase: buyIdle},

		{rule: "a bill in a block is compared", circuit: with(paying, func(c *Circuit) { c.Phase = buyPaid }), outcomes: []Outcome{final(bill("tok", 100), false)}, phase: buyBilled,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.BilledWh != 100 || got.SinceWallMs != buyerNowMs {
					t.Errorf("billed as %+v", got)
				}
			}},
		{rule: "a bill may overtake the payment's receipt", circuit: paying, outcomes: []Outcome{final(bill("tok", 100), false)}, phase: buyBilled},
		{rule: "a bill in no block is none", circuit: paying, outcomes: []Outcome{unplaced(final(bill("tok", 100), false))}, phase: buyPaying},
		{rule: "a refused bill is none", circuit: paying, outcomes: []Outcome{{Height: 4, Record: bill("tok", 100)}}, phase: buyPaying},
		{rule: "another trade's bill is none", circuit: paying, outcomes: []Outcome{final(bill("tik", 100), false)}, phase: buyPaying},
		{rule: "a second bill changes nothing", circuit: with(billed, func(c *Circuit) { c.Phase = buyConfirming }), outcomes: []Outcome{final(bill("tok", 7), false)}, phase: buyConfirming,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.BilledWh != 100 {
					t.Errorf("billed as %+v", got)
				}
			}},

		{rule: "a meter that stands still is believed", circuit: billed, want: []string{"Confirm"}, phase: buyConfirming,
			check: func(t *testing.T, got *Circuit, actions []Action) {
				cf := actions[0].Record.GetConfirm()
				if !cf.GetAccepted() || cf.GetEnergyWh() != 100 || cf.GetReason() != "" || cf.GetTradeId() != "tok" || cf.GetReading().GetTimeMs() != buyerNowMs || got.SinceWallMs != aged(200) || got.Confirms != 1 {
					t.Errorf("confirm %v of %+v", cf, got)
				}
			}},
		{rule: "one that stood a moment less is not", circuit: with(billed, func(c *Circuit) { c.SeenMs = aged(99) }), phase: buyBilled},
		{rule: "one that moved begins again", circuit: billed, change: register(151), phase: buyBilled,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.SeenWh != 151 || got.SeenMs != buyerNowMs {
					t.Errorf("seen as %+v", got)
				}
			}},
		{rule: "one that keeps moving is believed after a quarter of the time", circuit: with(billed, func(c2 *Circuit) { c2.SinceWallMs = aged(c.DisputeAfterMs / 4) }), change: register(151), want: []string{"Confirm"}, phase: buyConfirming},
		{rule: "and not before", circuit: with(billed, func(c2 *Circuit) { c2.SinceWallMs = aged(c.DisputeAfterMs/4 - 1) }), change: register(151), phase: buyBilled},
		{rule: "nothing is confirmed in the step of the bill", circuit: with(billed, func(c *Circuit) { c.SinceWallMs = buyerNowMs }), phase: buyBilled},
		{rule: "nor before a retry", circuit: with(billed, func(c *Circuit) { c.RetryWallMs = buyerNowMs + 1 }), phase: buyBilled},
		{rule: "but at it", circuit: with(billed, func(c *Circuit) { c.RetryWallMs = buyerNowMs }), want: []string{"Confirm"}, phase: buyConfirming},
		// 100 Wh less 5 % and 2 Wh is 93.
		{rule: "what the line may lose is accepted", circuit: with(billed, func(c *Circuit) { c.SeenWh = 143 }), change: register(143), want: []string{"Confirm"}, phase: buyConfirming},
		{rule: "a Wh less waits", circuit: with(billed, func(c *Circuit) { c.SeenWh = 142 }), change: register(142), phase: buyBilled},
		{rule: "a Wh less is disputed in time", circuit: with(billed, func(c2 *Circuit) { c2.SeenWh, c2.SinceWallMs = 142, aged(c.DisputeAfterMs) }), change: register(142), want: []string{"Confirm"}, phase: buyConfirming,
			check: func(t *testing.T, _ *Circuit, actions []Action) {
				if cf := actions[0].Record.GetConfirm(); cf.GetAccepted() || cf.GetReason() == "" || cf.GetEnergyWh() != 92 {
					t.Errorf("confirm %v", cf)
				}
			}},
		{rule: "a meter that went back saw nothing", circuit: with(billed, func(c2 *Circuit) { c2.SeenWh, c2.SinceWallMs = 40, aged(c.DisputeAfterMs) }), change: register(40), want: []string{"Confirm"}, phase: buyConfirming,
			check: func(t *testing.T, _ *Circuit, actions []Action) {
				if cf := actions[0].Record.GetConfirm(); cf.GetEnergyWh() != 0 {
					t.Errorf("confirm %v", cf)
				}
			}},
		{rule: "without a meter the seller's reading settles", circuit: with(billed, func(c2 *Circuit) { c2.SeenWh, c2.SinceWallMs = 0, aged(c.DisputeAfterMs) }), change: noMeter, phase: buyIdle,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.RetryWallMs != buyerNowMs+c.RequestEveryMs {
					t.Errorf("freed as %+v", got)
				}
			}},
		{rule: "the last confirmation is tried", circuit: with(billed, func(c *Circuit) { c.Confirms = maxConfirms - 1 }), want: []string{"Confirm"}, phase: buyConfirming},
		{rule: "one more is not", circuit: with(billed, func(c *Circuit) { c.Confirms = maxConfirms }), phase: buyIdle},
		{rule: "a refused confirmation is tried again after a pause", circuit: with(billed, func(c *Circuit) { c.Phase = buyConfirming }), outcomes: []Outcome{refused(confirm("tok"))}, phase: buyBilled,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.RetryWallMs != buyerNowMs+c.RetryMs {
					t.Errorf("retry at %d", got.RetryWallMs)
				}
			}},
		{rule: "another trade's refused confirmation changes nothing", circuit: with(billed, func(c *Circuit) { c.Phase = buyConfirming }), outcomes: []Outcome{refused(confirm("tik"))}, phase: buyConfirming},
		{rule: "a confirmation refused late changes nothing", circuit: with(paying, func(c *Circuit) { c.Phase = buyPaid }), outcomes: []Outcome{refused(confirm("tok"))}, phase: buyPaid},

		{rule: "a trade that ended frees the circuit", circuit: paying, outcomes: []Outcome{notice("tok", wire.StatusRefunded)}, phase: buyIdle,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.RetryWallMs != buyerNowMs+c.RequestEveryMs || !got.Idle() {
					t.Errorf("freed as %+v", got)
				}
			}},
		{rule: "one that is on its way does not", circuit: paying, outcomes: []Outcome{notice("tok", wire.StatusHeld)}, phase: buyPaying,
			check: func(t *testing.T, got *Circuit, _ []Action) {
				if got.Idle() {
					t.Error("a circuit that pays is idle")
				}
			}},
		{rule: "a trade that the ledger billed is compared", circuit: with(paying, func(c *Circuit) { c.Phase = buyPaid }), outcomes: []Outcome{notice("tok", wire.StatusBilled)}, phase: buyBilled},
		{rule: "the ledger's bill may overtake the payment's receipt", circuit: paying, outcomes: []Outcome{notice("tok", wire.StatusBilled)}, phase: buyBilled},
		{rule: "another trade's bill of the ledger is none", circuit: paying, outcomes: []Outcome{notice("tik", wire.StatusBilled)}, phase: buyPaying},
		{rule: "the ledger's bill of a trade that is confirmed changes nothing", circuit: with(billed, func(c *Circuit) { c.Phase = buyConfirming }), outcomes: []Outcome{notice("tok", wire.StatusBilled)}, phase: buyConfirming},
		{rule: "another trade's end does not", circuit: paying, outcomes: []Outcome{notice("tik", wire.StatusRefunded)}, phase: buyPaying},
		{rule: "a circuit without a token has no end", circuit: requesting, outcomes: []Outcome{notice("", wire.StatusRefunded)}, phase: buyRequesting},
	} {
		t.Run(r.rule, func(t *testing.T) {
			circuit := r.circuit
			b := NewBuyer(c)
			b.Circuits["kitchen"] = &circuit
			in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, Registers: map[string]int64{"kitchen": 150}, Outcomes: r.outcomes}
			if r.change != nil {
				r.change(&in)
			}
			actions := b.Step(in)
			if got := kinds(actions); !slices.Equal(got, r.want) {
				t.Fatalf("actions %v, want %v", got, r.want)
			}
			if circuit.Phase != r.phase {
				t.Fatalf("phase %s, want %s", circuit.Phase, r.phase)
			}
			if r.check != nil {
				r.check(t, &circuit, actions)
			}
		})
	}
}

// Quotes are bounded, and every word of them is shown.
func TestBuyerTakesQuotes(t *testing.T) {
	b := NewBuyer(testBuyer)
	var quotes []*fairwattpb.Quote
	for i := range maxQuotes + 1 {
		quotes = append(quotes, &fairwattpb.Quote{OfferId: fmt.Sprint("o", i), Seller: "s", PriceMicroPerKwh: 7, CreditE6: 8, VolumeWh: 9})
	}
	c := &Circuit{}
	b.answered(BuyerInput{WallMs: 1}, c, response("r", "tok", quotes...).GetResponse())
	if len(c.Quotes) != maxQuotes || c.Quotes[3] != (Candidate{OfferID: "o3", Seller: "s", PriceMicroPerKWh: 7, CreditE6: 8, VolumeWh: 9}) {
		t.Errorf("%d quotes, the fourth %+v", len(c.Quotes), c.Quotes[3])
	}
}

// Every tie is broken by the next measure, the last of them by the offer's id. What is
// alike stays as the management centre ordered it.
func TestBuyerRanksQuotes(t *testing.T) {
	b := NewBuyer(testBuyer)
	c := &Circuit{Token: &fairwattpb.Token{EscrowMicro: 1 << 40, VolumeWh: 300}, Tried: []string{"tried"}}
	c.Quotes = []Candidate{
		{OfferID: "tried", Seller: "s", PriceMicroPerKWh: 1, CreditE6: 99, VolumeWh: 300},
		{OfferID: "z", Seller: "s", PriceMicroPerKWh: 5, CreditE6: 2, VolumeWh: 30},
		{OfferID: "a", Seller: "s", PriceMicroPerKWh: 5, CreditE6: 2, VolumeWh: 30},
		{OfferID: "small", Seller: "s", PriceMicroPerKWh: 5, CreditE6: 2, VolumeWh: 20},
		{OfferID: "trusted", Seller: "s", PriceMicroPerKWh: 5, CreditE6: 3, VolumeWh: 1},
		{OfferID: "cheap", Seller: "s", PriceMicroPerKWh: 4, CreditE6: 0, VolumeWh: 1},
		{OfferID: "same", Seller: "one", PriceMicroPerKWh: 6, CreditE6: 0, VolumeWh: 1},
		{OfferID: "same", Seller: "two", PriceMicroPerKWh: 6, CreditE6: 0, VolumeWh: 1},
	}
	var got []string
	for _, q := range b.rank(Terms{}, testBuyer.Circuits[0], c) {
		got = append(got, q.Seller+" "+q.OfferID+q.Refused)
	}
	if want := []string{"s cheap", "s trusted", "s a", "s z", "s small", "one same", "two same", "s triedalready_refused"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestNoContactor(t *testing.T) {
	var c Contactor = NoContactor{}
	if err := c.Close(Delivery{}); err != nil {
		t.Error(err)
	}
	if err := c.Open("t"); err != nil {
		t.Error(err)
	}
}

// A contactor may be closed for a trade that delivers, and for no other.
func TestDelivering(t *testing.T) {
	for _, phase := range []string{sellStarting, sellDelivering, sellHeld, sellStopping, sellBilled} {
		s := Seller{Trades: []*Sale{{Delivery: Delivery{TradeID: "t"}, Phase: phase}}}
		if got := len(s.Delivering()); (got == 1) != (phase == sellDelivering) {
			t.Errorf("%s: %d trades deliver", phase, got)
		}
	}
}
