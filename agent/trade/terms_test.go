package trade

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

func ptr[T any](v T) *T { return &v }

// hours is the mask of some hours of the day.
func hours(list ...int) (out uint32) {
	for _, h := range list {
		out |= 1 << h
	}
	return out
}

func TestTermsOfAWish(t *testing.T) {
	w := wire.Wish{PriceMicroPerKWh: 200_000, Hours: hours(0, 8, 23), DailyWh: 9, ReserveW: 8, ReserveMicro: 7}
	w.ByHour[8] = 300_000
	for hour, want := range map[int]Terms{
		0: {PriceMicroPerKWh: 200_000}, 8: {PriceMicroPerKWh: 300_000}, 23: {PriceMicroPerKWh: 200_000},
		1: {PriceMicroPerKWh: 200_000, Stop: true}, 22: {PriceMicroPerKWh: 200_000, Stop: true},
	} {
		want.DailyWh, want.ReserveW, want.ReserveMicro = 9, 8, 7
		if got := TermsOf(&w, hour); got != want {
			t.Errorf("at %d: %+v, want %+v", hour, got, want)
		}
	}
	if got := TermsOf(&wire.Wish{}, 5); got != (Terms{}) {
		t.Errorf("no wish: %+v", got)
	}
	if got := TermsOf(&wire.Wish{Paused: true, DryRun: true}, 5); got != (Terms{Stop: true, DryRun: true}) {
		t.Errorf("paused: %+v", got)
	}
}

func TestChangeOfAWish(t *testing.T) {
	var w wire.Wish
	change := func(c wire.WishChange) {
		t.Helper()
		if err := Change(&w, &c); err != nil {
			t.Fatal(err)
		}
	}
	change(wire.WishChange{Side: wire.SideSell, PriceMicroPerKWh: ptr(int64(5)), DailyWh: ptr(int64(6)), Reserve: ptr(int64(7)), Hours: ptr(hours(1, 2)), Paused: ptr(true), DryRun: ptr(true)})
	if w != (wire.Wish{PriceMicroPerKWh: 5, DailyWh: 6, ReserveW: 7, Hours: 6, Paused: true, DryRun: true}) {
		t.Errorf("%+v", w)
	}
	change(wire.WishChange{Side: wire.SideSell, PriceMicroPerKWh: ptr(int64(9)), PriceHours: hours(17, 23), Paused: ptr(false)})
	if w.PriceMicroPerKWh != 5 || w.ByHour[17] != 9 || w.ByHour[23] != 9 || w.ByHour[16] != 0 || w.Paused || !w.DryRun {
		t.Errorf("a price of hours: %+v", w)
	}
	change(wire.WishChange{Side: wire.SideSell, PriceMicroPerKWh: ptr(int64(4))})
	if w.PriceMicroPerKWh != 4 || w.ByHour != [24]int64{} {
		t.Errorf("a price of the whole day: %+v", w)
	}
	change(wire.WishChange{Side: wire.SideBuy, Reserve: ptr(int64(2e9))})
	if w.ReserveMicro != 2e9 || w.ReserveW != 7 {
		t.Errorf("a buyer's reserve: %+v", w)
	}
	was := w
	for want, c := range map[string]wire.WishChange{
		"price_micro_per_kwh: -1; use 0 to 1000000000": {PriceMicroPerKWh: ptr(int64(-1))},
		"price_micro_per_kwh: 1000000001":              {PriceMicroPerKWh: ptr(int64(1_000_000_001))},
		"daily_wh: -1":                                 {DailyWh: ptr(int64(-1)), Paused: ptr(true)},
		"reserve: 1000000001; use 0 to 1000000000":     {Reserve: ptr(int64(1_000_000_001))},
		"hours: more than 24":                          {Hours: ptr(uint32(1 << 24))},
		"hours: more than 24; use a bit for each hour": {PriceHours: 1 << 24, PriceMicroPerKWh: ptr(int64(1))},
		"price_hours: without a price":                 {PriceHours: 1},
	} {
		if err := Change(&w, &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if w != was {
		t.Errorf("a refused change changed %+v to %+v", was, w)
	}
}

func TestSellerKeepsToItsTerms(t *testing.T) {
	c := testSeller
	c.DeliveryMs = 3_600_000
	for _, r := range []struct {
		rule   string
		change func(*SellerInput, *Seller)
		want   []string
		wh     int64
		price  int64
	}{
		{rule: "as configured", want: []string{"Offer"}, wh: 400, price: c.PriceMicroPerKWh},
		{rule: "its own price", change: func(in *SellerInput, _ *Seller) { in.Terms.PriceMicroPerKWh = 7 }, want: []string{"Offer"}, wh: 400, price: 7},
		{rule: "stopped", change: func(in *SellerInput, _ *Seller) { in.Terms.Stop = true }},
		{rule: "a dry run says it only", change: func(in *SellerInput, _ *Seller) { in.Terms.DryRun = true }, want: []string{"would"}},
		{rule: "a reserve stays at home", change: func(in *SellerInput, _ *Seller) { in.Terms.ReserveW = 150 }, want: []string{"Offer"}, wh: 250, price: c.PriceMicroPerKWh},
		{rule: "a reserve of all", change: func(in *SellerInput, _ *Seller) { in.Terms.ReserveW = 400 }},
		{rule: "the rest of the day", change: func(in *SellerInput, s *Seller) { in.Terms.DailyWh, s.Today.Wh = 1000, 700 }, want: []string{"Offer"}, wh: 300, price: c.PriceMicroPerKWh},
		{rule: "the day's amount is sold", change: func(in *SellerInput, s *Seller) { in.Terms.DailyWh, s.Today.Wh = 1000, 1000 }},
		{rule: "a new day", change: func(in *SellerInput, s *Seller) { in.Terms.DailyWh, s.Today.Wh, in.Day = 1000, 1000, 1 }, want: []string{"Offer"}, wh: 400, price: c.PriceMicroPerKWh},
		{rule: "changed terms replace the offer", change: func(in *SellerInput, s *Seller) {
			s.OfferID, s.OfferEndMs, in.Terms.PriceMicroPerKWh = "o", sellerNowMs+1, 7
		}, want: []string{"Offer", "Offer"}, wh: 400, price: 7},
		{rule: "a stop withdraws it", change: func(in *SellerInput, s *Seller) { s.OfferID, s.OfferEndMs, in.Terms.Stop = "o", sellerNowMs+1, true }, want: []string{"Offer"}, price: c.PriceMicroPerKWh},
		{rule: "a stop lets a paid trade start", change: func(in *SellerInput, s *Seller) {
			in.Terms.Stop = true
			s.Trades = []*Sale{{Delivery: Delivery{TradeID: "t", VolumeWh: 9}, Phase: sellPaid, SinceWallMs: sellerNowMs}}
		}, want: []string{"Start"}},
	} {
		t.Run(r.rule, func(t *testing.T) {
			s, in := NewSeller(c), sellerMoment()
			in.ExpectedWh = 400
			if r.change != nil {
				r.change(&in, s)
			}
			actions := s.Step(in)
			if got := kinds(actions); !slices.Equal(got, r.want) {
				t.Fatalf("actions %v, want %v", got, r.want)
			}
			if len(actions) == 0 || actions[len(actions)-1].Record.GetOffer() == nil {
				return
			}
			if o := actions[len(actions)-1].Record.GetOffer(); o.GetVolumeWh() != r.wh || o.GetPriceMicroPerKwh() != r.price {
				t.Errorf("offered %v", o)
			}
		})
	}
}

// What a trade was is told when the ledger ends it: the seller's side, its buyer, and the
// energy that was paid for.
func TestSellerTellsWhatEnded(t *testing.T) {
	s, in := NewSeller(testSeller), sellerMoment()
	s.Trades = []*Sale{{Delivery: Delivery{TradeID: "t", Buyer: "home-1", VolumeWh: 500}, PriceMicroPerKWh: 200_000, Phase: sellBilled, Bills: 1, SinceWallMs: in.WallMs}}
	end := notice("t", wire.StatusSettledPartly)
	end.Trade.PaidMicro, end.Trade.ReturnedMicro, end.Trade.Reason = 20_000, 80_000, "why"
	in.Outcomes = []Outcome{end}
	var past []wire.PastTrade
	for _, a := range s.Step(in) {
		if a.Ended != nil {
			past = append(past, *a.Ended)
		}
	}
	want := wire.PastTrade{Height: 9, Trade: "t", Side: wire.SideSell, With: "home-1", VolumeWh: 500, EnergyWh: 100,
		PriceMicroPerKWh: 200_000, PaidMicro: 20_000, ReturnedMicro: 80_000, Status: wire.StatusSettledPartly, Reason: "why"}
	if len(past) != 1 || past[0] != want {
		t.Errorf("ended %+v, want %+v", past, want)
	}
}

// A dry run says its offer once in the life of an offer; when it is over, the next step
// offers.
func TestDryRunOfASeller(t *testing.T) {
	s, in := NewSeller(testSeller), sellerMoment()
	in.ExpectedWh, in.Terms.DryRun = 400, true
	if a := s.Step(in); len(a) != 1 || *a[0].Would != (Would{wire.SideSell, 400, testSeller.PriceMicroPerKWh}) {
		t.Fatalf("said %+v", a)
	}
	in.WallMs += testSeller.OfferTTLMs - 1
	wantKinds(t, s.Step(in))
	in.WallMs++
	wantKinds(t, s.Step(in), "would")
	in.Terms.DryRun = false
	wantKinds(t, s.Step(in), "Offer")
}

// Whatever is delivered in a day and whoever bills it, the daily amount holds: a seller
// never offers more than what is left of it.
func TestDailyAmountHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, in := NewSeller(testSeller), sellerMoment()
		in.ExpectedWh = 400
		in.Terms.DailyWh = rapid.Int64Range(50, 3000).Draw(t, "daily")
		for i := range 12 {
			offered := int64(0)
			for _, a := range s.Step(in) {
				offered = max(offered, a.Record.GetOffer().GetVolumeWh())
			}
			if offered > in.Terms.DailyWh-s.Today.Wh {
				t.Fatalf("offered %d Wh after %d of %d", offered, s.Today.Wh, in.Terms.DailyWh)
			}
			if offered == 0 {
				break
			}
			trade, wh, before := fmt.Sprint("t", i), rapid.Int64Range(0, offered).Draw(t, "delivered"), s.Today.Wh
			sale := &Sale{Delivery: Delivery{TradeID: trade, VolumeWh: offered}, PriceMicroPerKWh: 200_000, Phase: sellHeld, DeliveredWh: wh}
			s.Trades, s.OfferID = []*Sale{sale}, ""
			if rapid.Bool().Draw(t, "by the ledger") {
				end := notice(trade, wire.StatusSettledPartly)
				end.Trade.PaidMicro = AmountMicro(wh, 200_000)
				in.Outcomes = []Outcome{end}
			} else {
				sale.Phase, in.Outcomes = sellStopping, nil
			}
			s.Step(in)
			s.Trades, in.Outcomes, s.OfferID = nil, nil, ""
			if s.Today.Wh != before+wh {
				t.Fatalf("%d Wh today after %d and %d", s.Today.Wh, before, wh)
			}
		}
	})
}

func TestBuyerKeepsToItsTerms(t *testing.T) {
	c := testBuyer
	cfg := c.Circuits[0]
	cost := AmountMicro(cfg.VolumeWh, cfg.MaxPriceMicroPerKWh) + 1
	for _, r := range []struct {
		rule   string
		change func(*BuyerInput, *Buyer)
		want   []string
		price  int64
	}{
		{rule: "as configured", want: []string{"Request"}, price: cfg.MaxPriceMicroPerKWh},
		{rule: "its own highest price", change: func(in *BuyerInput, _ *Buyer) { in.Terms.PriceMicroPerKWh = 7 }, want: []string{"Request"}, price: 7},
		{rule: "stopped", change: func(in *BuyerInput, _ *Buyer) { in.Terms.Stop = true }},
		{rule: "a dry run says it only", change: func(in *BuyerInput, _ *Buyer) { in.Terms.DryRun = true }, want: []string{"would"}},
		{rule: "the day has room", change: func(in *BuyerInput, b *Buyer) { in.Terms.DailyWh, b.Today.Wh = 1000, 1000-cfg.VolumeWh }, want: []string{"Request"}, price: cfg.MaxPriceMicroPerKWh},
		{rule: "the day has none", change: func(in *BuyerInput, b *Buyer) { in.Terms.DailyWh, b.Today.Wh = 1000, 1001-cfg.VolumeWh }},
		{rule: "the reserve stays", change: func(in *BuyerInput, _ *Buyer) { in.Terms.ReserveMicro, in.WalletMicro = 50, ptr(cost+50) }, want: []string{"Request"}, price: cfg.MaxPriceMicroPerKWh},
		{rule: "the reserve would not", change: func(in *BuyerInput, _ *Buyer) { in.Terms.ReserveMicro, in.WalletMicro = 50, ptr(cost+49) }},
		{rule: "a wallet that no one has told of keeps no reserve", change: func(in *BuyerInput, _ *Buyer) { in.Terms.ReserveMicro = 1 }},
		{rule: "a stop lets a Token lapse", change: func(in *BuyerInput, b *Buyer) { in.Terms.Stop = true; b.Circuits["kitchen"] = choosing(in.WallMs) }},
		{rule: "without it the Token pays", change: func(in *BuyerInput, b *Buyer) { b.Circuits["kitchen"] = choosing(in.WallMs) }, want: []string{"Pay"}},
		{rule: "a lower highest price holds for a Token", change: func(in *BuyerInput, b *Buyer) {
			in.Terms.PriceMicroPerKWh = 199_999
			b.Circuits["kitchen"] = choosing(in.WallMs)
		}},
	} {
		t.Run(r.rule, func(t *testing.T) {
			b := NewBuyer(c)
			in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, Registers: map[string]int64{"kitchen": 150}}
			if r.change != nil {
				r.change(&in, b)
			}
			actions := b.Step(in)
			if got := kinds(actions); !slices.Equal(got, r.want) && len(got)+len(r.want) > 0 {
				t.Fatalf("actions %v, want %v", got, r.want)
			}
			if len(actions) > 0 && r.price != 0 && actions[0].Record.GetRequest().GetMaxPriceMicroPerKwh() != r.price {
				t.Errorf("asked %v", actions[0].Record)
			}
		})
	}
}

// A dry run says its request once a minute, or once in the configured pause where that
// is longer.
func TestDryRunOfABuyer(t *testing.T) {
	for everyMs, want := range map[int64]int64{1000: 60_000, 90_000: 90_000} {
		c := testBuyer
		c.RequestEveryMs = everyMs
		b := NewBuyer(c)
		in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, Registers: map[string]int64{"kitchen": 150}, Terms: Terms{DryRun: true}}
		wantKinds(t, b.Step(in), "would")
		in.WallMs += want - 1
		wantKinds(t, b.Step(in))
		in.WallMs++
		wantKinds(t, b.Step(in), "would")
	}
}

// The owner's bounds hold for all circuits together. A circuit that asks may cost its
// highest price yet; what another one has paid is out of the wallet already, and its
// energy counts still.
func TestBuyersBoundsHoldForAllCircuits(t *testing.T) {
	c := testBuyer
	kitchen := c.Circuits[0]
	heater := CircuitConfig{Name: "heater", Meter: "home-1-heater", VolumeWh: 70, MaxPriceMicroPerKWh: 250_000}
	c.Circuits = []CircuitConfig{kitchen, heater}
	cost := func(cfg CircuitConfig) int64 { return AmountMicro(cfg.VolumeWh, cfg.MaxPriceMicroPerKWh) + 1 }
	asks := &Circuit{Phase: buyRequesting, RequestID: "r", EndMs: buyerNowMs + 1}
	paid := &Circuit{Phase: buyPaid, SinceWallMs: buyerNowMs, Token: &fairwattpb.Token{TokenId: "tok", VolumeWh: 50}, PaidWh: 50}
	for _, r := range []struct {
		rule    string
		heater  *Circuit // nil: it has not had its first step
		dailyWh int64
		reserve int64 // 0: none
		wallet  int64
		want    []string
	}{
		{"one that asks leaves room in the day", asks, kitchen.VolumeWh + 70, 0, 0, []string{"Request"}},
		{"one that asks leaves none", asks, kitchen.VolumeWh + 69, 0, 0, nil},
		{"one that asks leaves the reserve", asks, 0, 50, cost(kitchen) + cost(heater) + 50, []string{"Request"}},
		{"one that asks would not", asks, 0, 50, cost(kitchen) + cost(heater) + 49, nil},
		{"one that has paid leaves room in the day", paid, kitchen.VolumeWh + 50, 0, 0, []string{"Request"}},
		{"one that has paid leaves none", paid, kitchen.VolumeWh + 49, 0, 0, nil},
		{"one that has paid costs nothing more", paid, 0, 50, cost(kitchen) + 50, []string{"Request"}},
		{"an idle one counts nothing", &Circuit{Phase: buyIdle, RetryWallMs: buyerNowMs + 1}, kitchen.VolumeWh, 50, cost(kitchen) + 50, []string{"Request"}},
		{"two in one step: the second sees what the first asked", nil, kitchen.VolumeWh + 69, 0, 0, []string{"Request"}},
		{"two in one step: there is money for one", nil, 0, 50, cost(kitchen) + cost(heater) + 49, []string{"Request"}},
		{"two in one step: there is room for both", nil, kitchen.VolumeWh + 70, 50, cost(kitchen) + cost(heater) + 50, []string{"Request", "Request"}},
	} {
		t.Run(r.rule, func(t *testing.T) {
			b := NewBuyer(c)
			if r.heater != nil {
				other := *r.heater
				b.Circuits["heater"] = &other
			}
			wantKinds(t, b.Step(BuyerInput{
				WallMs: buyerNowMs, ClockSynced: true, Registers: map[string]int64{"kitchen": 150, "heater": 20},
				Terms: Terms{DailyWh: r.dailyWh, ReserveMicro: r.reserve}, WalletMicro: &r.wallet,
			}), r.want...)
		})
	}
}

// choosing is a circuit with a Token and one quote of 200000.
func choosing(nowMs int64) *Circuit {
	b := NewBuyer(testBuyer)
	c := &Circuit{Phase: buyRequesting, RequestID: "r", EndMs: nowMs + 1}
	r := response("r", "tok", &fairwattpb.Quote{OfferId: "o", Seller: "pv-1", PriceMicroPerKwh: 200_000, VolumeWh: 300}).GetResponse()
	b.answered(BuyerInput{WallMs: nowMs}, c, r)
	c.EndMs = nowMs + 1
	return c
}

// What a circuit paid for counts until a bill says less, and the end tells what it was.
func TestBuyersDay(t *testing.T) {
	b := NewBuyer(testBuyer)
	in := BuyerInput{WallMs: buyerNowMs, ClockSynced: true, Registers: map[string]int64{"kitchen": 150}, Day: 3}
	b.Circuits["kitchen"] = choosing(in.WallMs)
	wantKinds(t, b.Step(in), "Pay")
	c := b.Circuits["kitchen"]
	end := notice("tok", wire.StatusSettledPartly)
	end.Trade.PaidMicro, end.Trade.ReturnedMicro, end.Height = 20_000, 9, 12
	in.Outcomes = []Outcome{end}
	var past []wire.PastTrade
	volume := c.PaidWh
	for _, a := range b.Step(in) {
		if a.Ended != nil {
			past = append(past, *a.Ended)
		}
	}
	want := wire.PastTrade{Height: 12, Trade: "tok", Side: wire.SideBuy, With: "pv-1", VolumeWh: volume, EnergyWh: 100,
		PriceMicroPerKWh: 200_000, PaidMicro: 20_000, ReturnedMicro: 9, Status: wire.StatusSettledPartly}
	if len(past) != 1 || past[0] != want || b.Today != (Day{No: 3, Wh: 100}) {
		t.Errorf("ended %+v, today %+v", past, b.Today)
	}
	kept, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	again := NewBuyer(testBuyer)
	if err := json.Unmarshal(kept, again); err != nil || again.Today != b.Today {
		t.Errorf("after a restart %+v: %v", again.Today, err)
	}
	in.Day, in.ClockSynced, in.Outcomes = 4, false, nil
	if again.Step(in); again.Today.Wh != 100 {
		t.Error("a clock that no one vouches for began a day")
	}
}

func TestEnergyOfAPrice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Int64Range(1000, 1e9).Draw(t, "price")
		wh := rapid.Int64Range(0, 1e9).Draw(t, "wh")
		if got := energyWh(AmountMicro(wh, price), price); got != wh && got != wh-1 {
			t.Fatalf("%d Wh at %d cost %d, which is %d Wh", wh, price, AmountMicro(wh, price), got)
		}
	})
}
