package trade

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/proto/fairwattpb"
)

var testSeller = SellerConfig{
	Device: "pv-1", Meter: "pv-1-s0", PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000,
	DeliveryMs: 3_600_000, OfferTTLMs: 60_000, StartWindowMs: 100_000, DeliverWindowMs: 1 << 40, ResumeWindowMs: 60_000, RetryMs: 1000, GiveUpMs: 300_000,
}

func payRecord(trade, offer string, volume int64) *fairwattpb.Record {
	return &fairwattpb.Record{Sender: "home-1", Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{
		TokenId: trade, OfferId: offer, Seller: "pv-1", VolumeWh: volume, PriceMicroPerKwh: 200_000,
		AmountMicro: AmountMicro(volume, 200_000), BuyerReading: &fairwattpb.MeterReading{Meter: "home-1-kitchen"},
	}}}
}

func final(record *fairwattpb.Record, own bool) Outcome {
	return Outcome{ID: [32]byte{9}, Own: own, Height: 5, Applied: true, Record: record}
}

// kinds names the actions of a step, in order.
func kinds(actions []Action) []string {
	out := []string{}
	for _, a := range actions {
		switch {
		case a.CloseFor != nil:
			out = append(out, "close")
		case a.OpenFor != "":
			out = append(out, "open")
		case a.Would != nil:
			out = append(out, "would")
		case a.Ended != nil: // for the owner; the machines do nothing by it
		default:
			out = append(out, fmt.Sprintf("%T", a.Record.Body)[len("*fairwattpb.Record_"):])
		}
	}
	return out
}

func wantKinds(t *testing.T, actions []Action, want ...string) {
	t.Helper()
	if got := kinds(actions); fmt.Sprint(got) != fmt.Sprint(append([]string{}, want...)) {
		t.Fatalf("actions %v, want %v", got, want)
	}
}

// One delivery with a hazard in the middle, step by step.
func TestSellerDeliversHoldsResumesAndBills(t *testing.T) {
	s := NewSeller(testSeller)
	in := SellerInput{SensingMs: 1000, WallMs: 1_000_000, ClockSynced: true, GateOpen: true, GateSeq: 3, MeterOK: true, RegisterWh: 100, ExpectedWh: 400}
	step := func(wallMs int64, outcomes ...Outcome) []Action {
		in.WallMs += wallMs
		in.SensingMs += wallMs * 10
		in.Outcomes = outcomes
		return s.Step(in)
	}
	actions := step(0)
	wantKinds(t, actions, "Offer")
	offer := actions[0].Record.GetOffer()
	if offer.GetVolumeWh() != 400 || offer.GetExpiresMs() != in.WallMs+60_000 || offer.GetOfferId() != "pv-1-offer-1" {
		t.Fatalf("offer %v", offer)
	}
	wantKinds(t, step(1000)) // one standing offer is enough

	actions = step(1000, final(payRecord("token-1", offer.GetOfferId(), 400), false))
	wantKinds(t, actions, "Offer", "Start") // withdrawn, then begun
	if actions[0].Record.GetOffer().GetVolumeWh() != 0 || !actions[1].Attest || actions[1].Record.GetStart().GetReading().GetRegisterWh() != 100 {
		t.Fatalf("withdrawal and start: %v", actions)
	}
	wantKinds(t, step(1000)) // the contactor waits for the chain
	wantKinds(t, step(1000, final(actions[1].Record, true)), "close")

	in.RegisterWh = 250
	wantKinds(t, step(1000))
	in.GateOpen, in.GateSeq, in.Causes = false, 4, []*fairwattpb.Cause{{Rule: "W03"}}
	actions = step(1000)
	wantKinds(t, actions, "open", "Hold")
	hold := actions[1].Record.GetHold()
	if hold.GetGateSeq() != 4 || hold.GetReading().GetRegisterWh() != 250 || len(hold.GetCauses()) != 1 {
		t.Fatalf("hold %v", hold)
	}
	in.RegisterWh = 300 // what flows elsewhere meanwhile is not the trade's
	wantKinds(t, step(1000))
	in.GateOpen = true
	actions = step(1000)
	wantKinds(t, actions, "Resume")
	refused := Outcome{Own: true, Height: 6, Code: "gate_not_open", Record: actions[0].Record}
	wantKinds(t, step(100, refused)) // tried again, but not at once
	actions = step(1000)
	wantKinds(t, actions, "Resume")
	wantKinds(t, step(100, final(actions[0].Record, true)), "close")
	in.RegisterWh = 460 // 150 + 160 < 400
	wantKinds(t, step(1000))
	in.RegisterWh = 560
	wantKinds(t, step(1000), "open")
	actions = step(0)
	wantKinds(t, actions, "Bill")
	wantKinds(t, step(1000), "Offer") // free again
	bill := actions[0].Record.GetBill()
	if bill.GetEnergyWh() != 400 || bill.GetAmountMicro() != 80_000 || bill.GetReading().GetRegisterWh() != 560 || bill.GetPayId()[0] != 9 {
		t.Fatalf("bill %v", bill)
	}
	step(1000, Outcome{Height: 9, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: "token-1", Status: "settled"}})
	if len(s.Trades) != 0 {
		t.Fatalf("trades left: %+v", s.Trades[0])
	}
}

func TestSellerBillsThePartWhenTheHazardStays(t *testing.T) {
	s := NewSeller(testSeller)
	in := SellerInput{WallMs: 1, ClockSynced: true, GateOpen: true, MeterOK: true, Outcomes: []Outcome{final(payRecord("t", "o", 500), false)}}
	start := s.Step(in)
	in.Outcomes = []Outcome{final(start[0].Record, true)}
	wantKinds(t, s.Step(in), "close")
	in.Outcomes, in.RegisterWh, in.GateOpen = nil, 120, false
	wantKinds(t, s.Step(in), "open", "Hold")
	in.WallMs += testSeller.ResumeWindowMs - 1
	wantKinds(t, s.Step(in))
	in.WallMs++
	actions := s.Step(in)
	wantKinds(t, actions, "Bill")
	if e := actions[0].Record.GetBill().GetEnergyWh(); e != 120 {
		t.Fatalf("billed %d Wh, metered 120", e)
	}
}

func TestSellerSignsNothingTimedWithoutAClock(t *testing.T) {
	s := NewSeller(testSeller)
	in := SellerInput{WallMs: 1, GateOpen: true, MeterOK: true, ExpectedWh: 400, Outcomes: []Outcome{final(payRecord("t", "o", 500), false)}}
	wantKinds(t, s.Step(in))
	in.Outcomes, in.ClockSynced = nil, true
	wantKinds(t, s.Step(in), "Start")
}

// Whatever the gate, the meter and the chain do: no delivery begins while the
// gate is not open, no energy flows without a final Start, nothing is billed
// that was not metered, and no Bill follows one that the chain took.
func TestSellerInvariants(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := NewSeller(testSeller)
		in := SellerInput{SensingMs: 1, WallMs: 1, ClockSynced: true, MeterOK: true}
		closed := ""                  // trade whose contactor is closed
		justOpened := ""              // trade whose contactor opened at this moment
		metered := map[string]int64{} // by trade, while closed
		volume := map[string]int64{}
		started, billed := map[string]bool{}, map[string]bool{}
		var unanswered []*fairwattpb.Record
		trades := 0
		for range rapid.IntRange(5, 60).Draw(r, "steps") {
			in.Outcomes = nil
			wait := rapid.Int64Range(0, 30_000).Draw(r, "wait_ms")
			in.WallMs += wait
			in.SensingMs += wait * 60
			in.GateOpen = rapid.IntRange(0, 3).Draw(r, "gate") > 0
			in.MeterOK = rapid.IntRange(0, 9).Draw(r, "meter") > 0
			in.ExpectedWh = rapid.Int64Range(-5, 2000).Draw(r, "expected")
			flow := rapid.Int64Range(0, 300).Draw(r, "flow_wh")
			in.RegisterWh += flow
			if wait > 0 {
				justOpened = ""
			}
			if took := closed + justOpened; took != "" { // one of the two at most
				metered[took] += flow
			}
			in.Interrupted = ""
			if closed != "" && !in.GateOpen {
				closed = "" // the agent's reflex
			} else if closed != "" && rapid.IntRange(0, 9).Draw(r, "opened by itself") == 0 {
				in.Interrupted, closed = closed, ""
			}
			if rapid.IntRange(0, 4).Draw(r, "pay") == 0 {
				trades++
				id := fmt.Sprint("token-", trades)
				volume[id] = rapid.Int64Range(1, 800).Draw(r, "volume")
				in.Outcomes = append(in.Outcomes, final(payRecord(id, s.OfferID, volume[id]), false))
			}
			for len(unanswered) > 0 && rapid.Bool().Draw(r, "answer") {
				v := final(unanswered[0], true)
				v.Applied = rapid.IntRange(0, 3).Draw(r, "applied") > 0
				unanswered = unanswered[1:]
				if v.Applied {
					if id := v.Record.GetStart().GetTradeId(); id != "" {
						started[id] = true
					}
					if id := v.Record.GetBill().GetTradeId(); id != "" {
						billed[id] = true
					}
				}
				in.Outcomes = append(in.Outcomes, v)
			}
			if rapid.IntRange(0, 9).Draw(r, "restart") == 0 {
				b, err := json.Marshal(s)
				if err != nil {
					r.Fatal(err)
				}
				s = NewSeller(testSeller)
				if err := json.Unmarshal(b, s); err != nil {
					r.Fatal(err)
				}
				s.Restarted(in.RegisterWh)
				closed, in.GateOpen = "", false // a gate starts closed
			}
			for _, a := range s.Step(in) {
				switch {
				case a.CloseFor != nil:
					if !in.GateOpen || !started[a.CloseFor.TradeID] || closed != "" {
						r.Fatalf("closed for %s: gate open %v, started %v, closed %q", a.CloseFor.TradeID, in.GateOpen, started[a.CloseFor.TradeID], closed)
					}
					closed, justOpened = a.CloseFor.TradeID, ""
				case a.OpenFor != "":
					closed, justOpened = "", a.OpenFor
				default:
					unanswered = append(unanswered, a.Record)
					if a.Attest && (!in.GateOpen || !in.MeterOK) {
						r.Fatalf("%T while gate open is %v", a.Record.Body, in.GateOpen)
					}
					if b := a.Record.GetBill(); b != nil {
						if b.GetEnergyWh() > metered[b.GetTradeId()] || b.GetEnergyWh() > volume[b.GetTradeId()] {
							r.Fatalf("billed %d Wh of %s: metered %d, paid for %d", b.GetEnergyWh(), b.GetTradeId(), metered[b.GetTradeId()], volume[b.GetTradeId()])
						}
						if billed[b.GetTradeId()] {
							r.Fatalf("%s billed again after the chain took a bill", b.GetTradeId())
						}
					}
					if o := a.Record.GetOffer(); o != nil && o.GetVolumeWh() > 0 && !in.GateOpen {
						r.Fatal("offer while the gate is not open")
					}
				}
			}
		}
	})
}

var testBuyer = BuyerConfig{
	Device: "home-1", RequestTTLMs: 10_000, RequestEveryMs: 5_000, SettleMs: 100, DisputeAfterMs: 20_000, LossE4: 300, ClassE4: 200,
	ToleranceWh: 2, RetryMs: 1000, GiveUpMs: 600_000,
	Circuits: []CircuitConfig{{Name: "kitchen", Meter: "home-1-kitchen", VolumeWh: 300, MaxPriceMicroPerKWh: 300_000}},
}

func response(request, token string, quotes ...*fairwattpb.Quote) *fairwattpb.Record {
	return &fairwattpb.Record{Sender: "mc-1", Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{
		RequestId: request, Quotes: quotes,
		Token: &fairwattpb.Token{TokenId: token, Buyer: "home-1", EscrowMicro: 90_000, VolumeWh: 300, ValidUntilMs: 100_000},
	}}}
}

func TestBuyerChoosesByPriceThenCredit(t *testing.T) {
	b := NewBuyer(testBuyer)
	in := BuyerInput{WallMs: 1000, ClockSynced: true, Registers: map[string]int64{"kitchen": 50}}
	actions := b.Step(in)
	wantKinds(t, actions, "Request")
	in.Outcomes = []Outcome{final(response(actions[0].Record.GetRequest().GetRequestId(), "tok-1",
		&fairwattpb.Quote{OfferId: "dear", Seller: "s1", PriceMicroPerKwh: 400_000, VolumeWh: 300, CreditE6: 9},
		&fairwattpb.Quote{OfferId: "low-credit", Seller: "s2", PriceMicroPerKwh: 200_000, VolumeWh: 300, CreditE6: 1},
		&fairwattpb.Quote{OfferId: "best", Seller: "s3", PriceMicroPerKwh: 200_000, VolumeWh: 250, CreditE6: 5},
		&fairwattpb.Quote{OfferId: "empty", Seller: "s4", PriceMicroPerKwh: 1, VolumeWh: 0},
	), false)}
	in.WallMs += 100
	actions = b.Step(in)
	wantKinds(t, actions, "Pay")
	pay := actions[0].Record.GetPay()
	if pay.GetOfferId() != "best" || pay.GetVolumeWh() != 250 || pay.GetAmountMicro() != 50_000 || pay.GetBuyerReading().GetRegisterWh() != 50 {
		t.Fatalf("pay %v", pay)
	}
	why, err := json.Marshal(actions[0].Why)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"request_id":"home-1-request-1","rule":"lowest price, then highest credit, then largest volume, then offer id","chosen":"best",` +
		`"candidates":[{"offer_id":"best","seller":"s3","price_micro_per_kwh":200000,"credit_e6":5,"volume_wh":250},` +
		`{"offer_id":"low-credit","seller":"s2","price_micro_per_kwh":200000,"credit_e6":1,"volume_wh":300},` +
		`{"offer_id":"empty","seller":"s4","price_micro_per_kwh":1,"credit_e6":0,"volume_wh":0,"refused":"not_for_us"},` +
		`{"offer_id":"dear","seller":"s1","price_micro_per_kwh":400000,"credit_e6":9,"volume_wh":300,"refused":"over_max_price"}]}`
	if string(why) != want {
		t.Fatalf("why:\n%s\nwant\n%s", why, want)
	}
	// The offer was taken by another: the next quote, with the same token.
	in.Outcomes = []Outcome{{Own: true, Height: 4, Code: "offer_taken", Record: actions[0].Record}}
	actions = b.Step(in)
	wantKinds(t, actions, "Pay")
	if pay := actions[0].Record.GetPay(); pay.GetOfferId() != "low-credit" || pay.GetTokenId() != "tok-1" {
		t.Fatalf("second pay %v", pay)
	}
	// That one too: nothing is left, and the token's end frees the circuit.
	in.Outcomes = []Outcome{{Own: true, Height: 5, Code: "offer_taken", Record: actions[0].Record}}
	wantKinds(t, b.Step(in))
	in.Outcomes, in.WallMs = nil, 100_000
	wantKinds(t, b.Step(in))
	in.WallMs++
	wantKinds(t, b.Step(in), "Request")
}

// billedBuyer returns a buyer whose trade was billed 200 Wh at register 50.
func billedBuyer(t *testing.T) (*Buyer, BuyerInput) {
	t.Helper()
	b := NewBuyer(testBuyer)
	in := BuyerInput{WallMs: 1000, ClockSynced: true, Registers: map[string]int64{"kitchen": 50}}
	b.Step(in)
	in.Outcomes = []Outcome{final(response("home-1-request-1", "tok-1", &fairwattpb.Quote{OfferId: "o", Seller: "s", PriceMicroPerKwh: 1, VolumeWh: 300}), false)}
	pay := b.Step(in)
	in.Outcomes = []Outcome{final(pay[0].Record, true)}
	wantKinds(t, b.Step(in))
	in.Outcomes = []Outcome{final(&fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{TradeId: "tok-1", EnergyWh: 200}}}, false)}
	wantKinds(t, b.Step(in)) // the meter is read after the bill, not before
	in.Outcomes = nil
	return b, in
}

func TestBuyerConfirmsByItsOwnMeter(t *testing.T) {
	b, in := billedBuyer(t)
	in.WallMs += 100
	in.Registers["kitchen"] = 50 + 187 // 200 less 5 % and 2 Wh is 188
	wantKinds(t, b.Step(in))
	in.WallMs += 100
	in.Registers["kitchen"]++
	wantKinds(t, b.Step(in)) // enough, but still moving
	in.WallMs += 100
	actions := b.Step(in)
	wantKinds(t, actions, "Confirm")
	if c := actions[0].Record.GetConfirm(); !c.GetAccepted() || c.GetEnergyWh() != 188 || c.GetReading().GetRegisterWh() != 238 {
		t.Fatalf("confirm %v", c)
	}
	in.NoRequests = true
	in.Outcomes = []Outcome{{Height: 8, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: "tok-1", Status: "settled"}}}
	wantKinds(t, b.Step(in))
	in.Outcomes, in.WallMs = nil, in.WallMs+100_000
	wantKinds(t, b.Step(in)) // told to begin nothing
	in.NoRequests = false
	wantKinds(t, b.Step(in), "Request")
}

func TestBuyerDisputesWhatItsMeterNeverSaw(t *testing.T) {
	b, in := billedBuyer(t)
	in.Registers["kitchen"] = 60
	in.WallMs += testBuyer.DisputeAfterMs - 1
	wantKinds(t, b.Step(in))
	in.WallMs++
	actions := b.Step(in)
	wantKinds(t, actions, "Confirm")
	c := actions[0].Record.GetConfirm()
	if c.GetAccepted() || c.GetEnergyWh() != 10 || c.GetReason() != "own meter counted 10 Wh of 200 Wh billed, at least 188 Wh expected" {
		t.Fatalf("confirm %v", c)
	}
}

// Whatever comes, in whatever order: a token is paid again only after its
// last payment was refused, never beyond its escrow, never above the price
// limit, and a trade is confirmed once unless the confirmation was refused.
func TestBuyerInvariants(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := NewBuyer(testBuyer)
		in := BuyerInput{WallMs: 1, ClockSynced: true, Registers: map[string]int64{"kitchen": 0}}
		open := map[string]bool{}     // token or trade: a record of ours is not refused yet
		escrow := map[string]int64{}  // by token
		requested := map[string]int{} // how often answered
		var unanswered []*fairwattpb.Record
		lastRequest := ""
		for range rapid.IntRange(5, 80).Draw(r, "steps") {
			in.Outcomes = nil
			in.WallMs += rapid.Int64Range(0, 15_000).Draw(r, "wait_ms")
			in.Registers["kitchen"] += rapid.Int64Range(0, 100).Draw(r, "wh")
			for len(unanswered) > 0 && rapid.Bool().Draw(r, "answer") {
				v := final(unanswered[0], true)
				v.Applied = rapid.Bool().Draw(r, "applied")
				unanswered = unanswered[1:]
				if !v.Applied {
					delete(open, "pay "+v.Record.GetPay().GetTokenId())
					delete(open, "confirm "+v.Record.GetConfirm().GetTradeId())
				}
				in.Outcomes = append(in.Outcomes, v)
			}
			token := fmt.Sprintf("%s-token", lastRequest)
			switch rapid.IntRange(0, 4).Draw(r, "word") {
			case 0:
				if lastRequest != "" && requested[lastRequest] == 0 {
					requested[lastRequest]++
					var quotes []*fairwattpb.Quote
					for i := range rapid.IntRange(0, 4).Draw(r, "quotes") {
						quotes = append(quotes, &fairwattpb.Quote{
							OfferId: fmt.Sprint("o", i), Seller: fmt.Sprint("s", i),
							PriceMicroPerKwh: rapid.Int64Range(0, 500_000).Draw(r, "price"), VolumeWh: rapid.Int64Range(0, 400).Draw(r, "volume"),
						})
					}
					rec := response(lastRequest, token, quotes...)
					rec.GetResponse().Token.ValidUntilMs = in.WallMs + 30_000
					escrow[token] = rec.GetResponse().GetToken().GetEscrowMicro()
					in.Outcomes = append(in.Outcomes, final(rec, false))
				}
			case 1:
				in.Outcomes = append(in.Outcomes, final(&fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{TradeId: token, EnergyWh: 100}}}, false))
			case 2:
				in.Outcomes = append(in.Outcomes, Outcome{Height: 9, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: token, Status: "refunded"}})
			}
			for _, a := range b.Step(in) {
				unanswered = append(unanswered, a.Record)
				if q := a.Record.GetRequest(); q != nil {
					lastRequest = q.GetRequestId()
				}
				if p := a.Record.GetPay(); p != nil {
					if open["pay "+p.GetTokenId()] {
						r.Fatalf("token %s paid again", p.GetTokenId())
					}
					open["pay "+p.GetTokenId()] = true
					if p.GetAmountMicro() > escrow[p.GetTokenId()] || p.GetPriceMicroPerKwh() > 300_000 || p.GetVolumeWh() <= 0 {
						r.Fatalf("pay %v against escrow %d", p, escrow[p.GetTokenId()])
					}
				}
				if c := a.Record.GetConfirm(); c != nil {
					if open["confirm "+c.GetTradeId()] {
						r.Fatalf("trade %s confirmed again", c.GetTradeId())
					}
					open["confirm "+c.GetTradeId()] = true
				}
			}
		}
	})
}

func TestAmountMicro(t *testing.T) {
	for _, c := range []struct{ wh, price, want int64 }{
		{0, 200_000, 0}, {1, 200_000, 200}, {1, 999, 0}, {999, 1, 0}, {1001, 999, 999}, {1_000_000_000, 1_000_000_000, 1_000_000_000_000_000},
	} {
		if got := AmountMicro(c.wh, c.price); got != c.want {
			t.Errorf("%d Wh at %d: %d, want %d", c.wh, c.price, got, c.want)
		}
	}
}
