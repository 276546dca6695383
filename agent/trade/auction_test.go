package trade

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

const (
	slotMs   = 900_000
	slotZero = 1_000 * slotMs // a border
)

var testAuction = AuctionConfig{
	Device: "pv-1", SlotMs: slotMs, GateClosureMs: 300_000, ReadingsMs: 600_000, MinLotWh: 1, RetryMs: 1000,
	Places: []Place{
		{Side: wire.SideSell, Meter: "pv-1-sold", MinWh: 10, MaxWh: 1000, PriceMicroPerKWh: 100_000},
		{Side: wire.SideBuy, Meter: "pv-1-used", MaxWh: 500, PriceMicroPerKWh: 250_000},
	},
}

// asking is an auction that sells only; bidding one that buys only.
func only(side string) AuctionConfig {
	cfg := testAuction
	cfg.Places = nil
	for _, p := range testAuction.Places {
		if p.Side == side {
			cfg.Places = append(cfg.Places, p)
		}
	}
	return cfg
}

// slotsMoment is just behind a border, with an open gate and both meters.
func slotsMoment() AuctionInput {
	return AuctionInput{
		SensingMs: 5000, WallMs: slotZero + 1000, ClockSynced: true, GateOpen: true, ExpectedWh: 400,
		Registers: map[string]int64{"pv-1-sold": 10_000, "pv-1-used": 20_000},
	}
}

// counted is an auction whose meters counted so much in each of the last slots.
func counted(cfg AuctionConfig, slotsWh ...int64) *Auction {
	a := NewAuction(cfg)
	for _, p := range cfg.Places {
		a.Meters[p.Meter] = &Counted{BorderMs: slotZero, RegisterWh: 1000, SlotsWh: slotsWh}
	}
	return a
}

// ordered are the orders among actions: slot, counted from slotZero, and Wh.
func ordered(actions []Action) (out []string) {
	for _, a := range actions {
		if b := a.Record.GetAsk(); b != nil {
			out = append(out, fmt.Sprintf("ask %d: %d Wh at %d", (b.GetSlotStartMs()-slotZero)/slotMs, b.GetEnergyWh(), b.GetPriceMicroPerKwh()))
		}
		if b := a.Record.GetBid(); b != nil {
			out = append(out, fmt.Sprintf("bid %d: %d Wh at %d", (b.GetSlotStartMs()-slotZero)/slotMs, b.GetEnergyWh(), b.GetPriceMicroPerKwh()))
		}
		if a.Would != nil {
			out = append(out, fmt.Sprintf("would %s %d Wh at %d", a.Would.Side, a.Would.VolumeWh, a.Would.PriceMicroPerKWh))
		}
	}
	return out
}

func always(t Terms) func(string, int64) Terms { return func(string, int64) Terms { return t } }

// What is asked and bid, rule by rule.
func TestAuctionOrders(t *testing.T) {
	wallet := int64(120_000)
	asks := func(wh int) []string {
		return []string{fmt.Sprintf("ask 1: %d Wh at 100000", wh), fmt.Sprintf("ask 2: %d Wh at 100000", wh)}
	}
	bids := func(wh int) []string {
		return []string{fmt.Sprintf("bid 1: %d Wh at 250000", wh), fmt.Sprintf("bid 2: %d Wh at 250000", wh)}
	}
	for _, r := range []struct {
		rule   string
		side   string
		slots  []int64
		change func(*AuctionInput)
		want   []string
	}{
		{"a generator asks for nine tenths of what its power gives, for two slots", wire.SideSell, nil, nil, asks(360)},
		{"of no more than its meter counted in the worse of two slots", wire.SideSell, []int64{350, 300}, nil, asks(270)},
		{"nothing where its meter counted nothing", wire.SideSell, []int64{300, 0}, nil, nil},
		{"money that is kept back is a buyer's", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{ReserveMicro: 1}) }, asks(360)},
		{"of no more than its power gives", wire.SideSell, []int64{900, 900}, nil, asks(360)},
		{"no more than max_wh", wire.SideSell, nil, func(in *AuctionInput) { in.ExpectedWh = 5000 }, asks(1000)},
		{"nothing below min_wh", wire.SideSell, nil, func(in *AuctionInput) { in.ExpectedWh = 11 }, nil},
		{"min_wh itself", wire.SideSell, nil, func(in *AuctionInput) { in.ExpectedWh = 12 }, asks(10)},
		{"nothing while the gate is not open", wire.SideSell, nil, func(in *AuctionInput) { in.GateOpen = false }, nil},
		{"nothing without a meter", wire.SideSell, nil, func(in *AuctionInput) { in.Registers = nil }, nil},
		{"nothing without a clock", wire.SideSell, nil, func(in *AuctionInput) { in.ClockSynced = false }, nil},
		{"nothing when nothing new is to begin", wire.SideSell, nil, func(in *AuctionInput) { in.NoOrders = true }, nil},
		{"nothing while the owner pauses", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{Stop: true}) }, nil},
		{"the owner's price", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{PriceMicroPerKWh: 7}) }, []string{"ask 1: 360 Wh at 7", "ask 2: 360 Wh at 7"}},
		{"the owner's price of the slot's hour", wire.SideSell, nil, func(in *AuctionInput) {
			in.Terms = func(_ string, ms int64) Terms { return Terms{PriceMicroPerKWh: (ms - slotZero) / slotMs} }
		}, []string{"ask 1: 360 Wh at 1", "ask 2: 360 Wh at 2"}},
		{"the power that is kept back, over the slot's time", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{ReserveW: 1000}) }, asks(135)},
		{"the daily amount, over all slots", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{DailyWh: 500}) },
			[]string{"ask 1: 360 Wh at 100000", "ask 2: 140 Wh at 100000"}},
		{"a dry run says what it would do, once", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{DryRun: true}) },
			[]string{"would sell 360 Wh at 100000", "would sell 360 Wh at 100000"}},

		{"a household bids for what its meter counted", wire.SideBuy, []int64{200, 300}, nil, bids(200)},
		{"not before a slot was counted", wire.SideBuy, nil, nil, nil},
		{"no more than volume_wh", wire.SideBuy, []int64{900}, nil, bids(500)},
		{"with a closed gate, too", wire.SideBuy, []int64{200}, func(in *AuctionInput) { in.GateOpen = false }, bids(200)},
		{"its wallet bears the reserve with one bid, not with two", wire.SideBuy, []int64{200}, func(in *AuctionInput) {
			in.WalletMicro, in.Terms = &wallet, always(Terms{ReserveMicro: 69_999})
		}, []string{"bid 1: 200 Wh at 250000"}},
		{"it bears two bids", wire.SideBuy, []int64{200}, func(in *AuctionInput) {
			in.WalletMicro, in.Terms = &wallet, always(Terms{ReserveMicro: 19_998})
		}, bids(200)},
		{"a micro more to be kept, and it bears one", wire.SideBuy, []int64{200}, func(in *AuctionInput) {
			in.WalletMicro, in.Terms = &wallet, always(Terms{ReserveMicro: 19_999})
		}, bids(200)[:1]},
		{"a micro less in the wallet bears none", wire.SideBuy, []int64{200}, func(in *AuctionInput) {
			in.WalletMicro, in.Terms = &wallet, always(Terms{ReserveMicro: 70_000})
		}, nil},
		{"a wallet that no one has told of bears none", wire.SideBuy, []int64{200}, func(in *AuctionInput) { in.Terms = always(Terms{ReserveMicro: 1}) }, nil},
	} {
		t.Run(r.rule, func(t *testing.T) {
			a, in := counted(only(r.side), r.slots...), slotsMoment()
			if r.change != nil {
				r.change(&in)
			}
			equal(t, ordered(a.Step(in)), r.want)
			equal(t, ordered(a.Step(in)), nil) // once a slot
		})
	}
}

// An order is sent a little before the gate closes, and not later.
// Where slots are shared, an order says how much takes part at most.
func TestAuctionShares(t *testing.T) {
	for _, r := range []struct {
		rule   string
		side   string
		slots  []int64
		change func(*AuctionInput)
		want   string // for the first slot
	}{
		{"a generator offers twice what its power gives", wire.SideSell, nil, nil, "ask 1: 800 Wh at 100000"},
		{"or twice what its meter counted in the better of two slots", wire.SideSell, []int64{450, 0}, nil, "ask 1: 900 Wh at 100000"},
		{"no more than max_wh", wire.SideSell, []int64{900, 900}, nil, "ask 1: 1000 Wh at 100000"},
		{"without the power that is kept back", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{ReserveW: 1000}) }, "ask 1: 550 Wh at 100000"},
		{"nothing while the gate is not open", wire.SideSell, nil, func(in *AuctionInput) { in.GateOpen = false }, ""},
		{"nothing while the owner pauses", wire.SideSell, nil, func(in *AuctionInput) { in.Terms = always(Terms{Stop: true}) }, ""},
		{"a household bids for twice what its meter counted in the better slot", wire.SideBuy, []int64{100, 0}, nil, "bid 1: 200 Wh at 250000"},
		{"no more than volume_wh", wire.SideBuy, []int64{300, 300}, nil, "bid 1: 500 Wh at 250000"},
		{"not before a slot was counted", wire.SideBuy, nil, nil, ""},
	} {
		cfg := only(r.side)
		cfg.Shared = true
		a, in := counted(cfg, r.slots...), slotsMoment()
		if r.change != nil {
			r.change(&in)
		}
		got := ""
		if all := ordered(a.Step(in)); len(all) > 0 {
			got = all[0]
		}
		if got != r.want {
			t.Errorf("%s: %q, want %q", r.rule, got, r.want)
		}
	}
}

func TestAuctionKnowsTheGateClosure(t *testing.T) {
	for atMs, want := range map[int64][]string{
		slotMs - 300_000 - maxLeadMs - 1: {"ask 1: 360 Wh at 100000", "ask 2: 360 Wh at 100000"},
		slotMs - 300_000 - maxLeadMs:     {"ask 2: 360 Wh at 100000", "ask 3: 360 Wh at 100000"},
		slotMs:                           {"ask 2: 360 Wh at 100000", "ask 3: 360 Wh at 100000"},
	} {
		in := slotsMoment()
		in.WallMs = slotZero + atMs
		equal(t, ordered(NewAuction(only(wire.SideSell)).Step(in)), want)
	}
}

// asked is an auction with asks of 360 Wh for two slots, that stand.
func asked(t *testing.T) (*Auction, AuctionInput) {
	t.Helper()
	a, in := NewAuction(only(wire.SideSell)), slotsMoment()
	for _, action := range a.Step(in) {
		in.Outcomes = append(in.Outcomes, final(action.Record, true))
	}
	in.WallMs += 1000
	equal(t, ordered(a.Step(in)), nil)
	in.Outcomes = nil
	in.WallMs += 1000
	return a, in
}

// A standing ask is taken back, or made smaller, and never made larger.
func TestAuctionTakesBack(t *testing.T) {
	back := []string{"ask 1: 0 Wh at 100000", "ask 2: 0 Wh at 100000"}
	for _, r := range []struct {
		rule   string
		change func(*AuctionInput)
		want   []string
	}{
		{"when the gate closes", func(in *AuctionInput) { in.GateOpen = false }, back},
		{"when the owner pauses", func(in *AuctionInput) { in.Terms = always(Terms{Stop: true}) }, back},
		{"when a dry run begins", func(in *AuctionInput) { in.Terms = always(Terms{DryRun: true}) }, back},
		{"when the program is to end", func(in *AuctionInput) { in.NoOrders = true }, back},
		{"when less is to be had", func(in *AuctionInput) { in.ExpectedWh = 359 }, []string{"ask 1: 323 Wh at 100000", "ask 2: 323 Wh at 100000"}},
		{"not for a tenth", func(in *AuctionInput) { in.ExpectedWh = 360 }, nil},
		{"not for more", func(in *AuctionInput) { in.ExpectedWh = 900 }, nil},
		{"only what no gate closure has reached", func(in *AuctionInput) { in.GateOpen, in.WallMs = false, slotZero+slotMs-300_000 }, back[1:]},
	} {
		t.Run(r.rule, func(t *testing.T) {
			a, in := asked(t)
			r.change(&in)
			equal(t, ordered(a.Step(in)), r.want)
			equal(t, ordered(a.Step(in)), nil)
		})
	}
}

// What was taken back is not ordered again, and none of it is owed a reading.
func TestAuctionTakenBackStaysSo(t *testing.T) {
	a, in := asked(t)
	in.GateOpen = false
	for _, action := range a.Step(in) {
		in.Outcomes = append(in.Outcomes, final(action.Record, true))
	}
	in.GateOpen = true
	equal(t, ordered(a.Step(in)), nil)
	for _, o := range a.Orders {
		if o.binds() || o.Phase != orderBack {
			t.Errorf("%+v binds", o)
		}
	}
}

// A refused order is tried again after a pause, a few times; where a smaller one was refused,
// the larger one still stands.
func TestAuctionRefused(t *testing.T) {
	a, in := NewAuction(only(wire.SideSell)), slotsMoment()
	sent := 0
	for range 20 {
		in.Outcomes = nil
		for _, action := range a.Step(in) {
			sent++
			in.Outcomes = append(in.Outcomes, refused(action.Record))
		}
		a.Step(AuctionInput{WallMs: in.WallMs, ClockSynced: true, GateOpen: true, ExpectedWh: 400, Registers: in.Registers, Outcomes: in.Outcomes})
		in.WallMs += testAuction.RetryMs
	}
	if sent != 2*maxTries {
		t.Errorf("%d records for two slots, want %d", sent, 2*maxTries)
	}
	a, in = asked(t)
	in.ExpectedWh = 100
	for _, action := range a.Step(in) {
		in.Outcomes = append(in.Outcomes, refused(action.Record))
	}
	in.ExpectedWh = 400
	a.Step(in)
	for _, o := range a.Orders {
		if !o.binds() || o.Wh != 360 {
			t.Errorf("%+v, want 360 Wh that bind", o)
		}
	}
}

// cleared is the notice of a trade of pv-1 in a slot, counted from slotZero.
func cleared(id string, slot int64, status string) Outcome {
	return Outcome{Height: 7, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: id, Status: status, PaidMicro: 20_000, ReturnedMicro: 20_000,
		Lot: &fairwattpb.Lot{Seller: "pv-1", Buyer: "home-1", SellerMeter: "pv-1-sold", BuyerMeter: "home-1-used", SlotStartMs: slotZero + slot*slotMs,
			VolumeWh: 400, PriceMicroPerKwh: 100_000}}}
}

// readings are those among actions: the border, counted from slotZero, and the register.
func readings(actions []Action) (out []string) {
	for _, a := range actions {
		for _, r := range a.Record.GetSlotReading().GetReadings() {
			out = append(out, fmt.Sprintf("%s at %d: %d Wh", r.GetMeter(), (r.GetTimeMs()-slotZero)/slotMs, r.GetRegisterWh()))
		}
	}
	return out
}

// at steps to a moment behind slotZero, with a register.
func at(a *Auction, in AuctionInput, ms, registerWh int64, outcomes ...Outcome) []Action {
	in.WallMs, in.Registers = slotZero+ms, map[string]int64{"pv-1-sold": registerWh}
	in.Outcomes = outcomes
	return a.Step(in)
}

// A meter with a trade tells what it showed at both borders, between two readings evenly,
// and once.
func TestAuctionReadsBorders(t *testing.T) {
	a, in := asked(t)
	in.NoOrders = true
	at(a, in, slotMs-1000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	first := at(a, in, slotMs+3000, 10_008)
	equal(t, readings(first), []string{"pv-1-sold at 1: 10002 Wh"})
	equal(t, readings(at(a, in, slotMs+3500, 10_008)), nil) // no one has answered yet
	equal(t, readings(at(a, in, slotMs+4000, 10_009, final(first[0].Record, true))), nil)
	if len(a.Borders) != 0 {
		t.Errorf("%d readings wait, and the chain has them", len(a.Borders))
	}
	at(a, in, 2*slotMs-500, 10_399)
	second := at(a, in, 2*slotMs, 10_400)
	equal(t, readings(second), []string{"pv-1-sold at 2: 10400 Wh"})
	again := refused(second[0].Record)
	equal(t, readings(at(a, in, 2*slotMs+500, 10_401, again)), nil)
	equal(t, readings(at(a, in, 2*slotMs+1499, 10_401)), nil)
	equal(t, readings(at(a, in, 2*slotMs+1500, 10_401)), []string{"pv-1-sold at 2: 10400 Wh"})
	again.Code = wire.CodeReadingExists
	equal(t, readings(at(a, in, 2*slotMs+9000, 10_401, again)), nil)
	if len(a.Borders) != 0 {
		t.Errorf("%d readings wait for nothing", len(a.Borders))
	}
}

// A reading that is refused for ever is given up.
func TestAuctionGivesReadingsUp(t *testing.T) {
	a, in := asked(t)
	in.NoOrders = true
	at(a, in, slotMs-1000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	sent := 0
	var outcomes []Outcome
	for i := range int64(30) {
		actions := at(a, in, slotMs+i*2000, 10_008, outcomes...)
		outcomes = nil
		for _, action := range actions {
			if action.Record.GetSlotReading() != nil {
				sent++
				outcomes = append(outcomes, refused(action.Record))
			}
		}
	}
	if sent != maxTries {
		t.Errorf("%d records of one reading, want %d", sent, maxTries)
	}
}

// Borders of which nothing is known, or that no one waits for, are not told.
func TestAuctionTellsNoOtherBorders(t *testing.T) {
	deal := cleared("slot-1", 1, wire.StatusCleared)
	back := final(&fairwattpb.Record{Body: &fairwattpb.Record_Ask{Ask: &fairwattpb.Ask{Meter: "pv-1-sold", SlotStartMs: slotZero + slotMs}}}, true)
	for _, r := range []struct {
		rule     string
		outcome  Outcome
		beforeMs int64 // of the border
		afterMs  int64
		wh       int64
		want     []string
	}{
		{"a quarter of a slot between two readings is the most", deal, slotMs / 4, 0, 10_010, []string{"pv-1-sold at 1: 10010 Wh"}},
		{"a quarter of a slot, both sides together", deal, slotMs / 8, slotMs / 8, 10_010, []string{"pv-1-sold at 1: 10005 Wh"}},
		{"a millisecond more is too long", deal, slotMs / 8, slotMs/8 + 1, 10_010, nil},
		{"a register that stood still", deal, 1000, 1000, 10_000, []string{"pv-1-sold at 1: 10000 Wh"}},
		{"a register that fell", deal, 1000, 1000, 9_999, nil},
		{"an order of which no one told", Outcome{}, 1000, 1000, 10_010, []string{"pv-1-sold at 1: 10005 Wh"}},
		{"an order that was taken back", back, 1000, 1000, 10_010, nil},
	} {
		t.Run(r.rule, func(t *testing.T) {
			a, in := asked(t)
			in.NoOrders = true
			if r.outcome.Own {
				o := a.find("pv-1-sold", slotZero+slotMs)
				o.Phase, o.Wh = orderSent, 0
			}
			at(a, in, slotMs-r.beforeMs, 10_000, r.outcome)
			equal(t, readings(at(a, in, slotMs+r.afterMs, r.wh)), r.want)
		})
	}
}

// Of what a clearing made the chain tells once. Who was not told, since the notice was lost or
// the program was down then, tells both borders of the slot all the same, and so both sides
// are paid.
func TestAuctionOfWhichNoOneTold(t *testing.T) {
	a, in := asked(t)
	in.NoOrders = true
	at(a, in, slotMs-1000, 10_000)
	kept, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	a = NewAuction(only(wire.SideSell)) // it was down for a moment
	if err := json.Unmarshal(kept, a); err != nil {
		t.Fatal(err)
	}
	first := at(a, in, slotMs, 10_008)
	equal(t, readings(first), []string{"pv-1-sold at 1: 10008 Wh"})
	second := at(a, in, 2*slotMs, 10_400, final(readingOf(first), true))
	equal(t, readings(second), []string{"pv-1-sold at 2: 10400 Wh"})
	equal(t, readings(at(a, in, 3*slotMs, 10_800, final(readingOf(second), true))), []string{"pv-1-sold at 3: 10800 Wh"})
	if len(a.Deals) != 0 || len(a.Borders) != 1 {
		t.Errorf("%d trades known, %d readings wait", len(a.Deals), len(a.Borders))
	}
}

// A slot in which the meter has no trade is asked about once: the chain says so, the slot's
// end is kept back, and what was ordered counts in the owner's day no more.
func TestAuctionHearsOfNoTrade(t *testing.T) {
	unknown := func(actions []Action) Outcome {
		v := refused(readingOf(actions))
		v.Code = wire.CodeSlotUnknown
		return v
	}
	a, in := asked(t)
	in.NoOrders, a.Orders = true, a.Orders[:1]
	begin := at(a, in, slotMs, 10_008)
	equal(t, readings(begin), []string{"pv-1-sold at 1: 10008 Wh"})
	if wh := a.promised(wire.SideSell, nil); wh != 360 {
		t.Errorf("%d Wh promised before anyone has answered, want 360", wh)
	}
	equal(t, readings(at(a, in, slotMs+1000, 10_009, unknown(begin))), nil)
	if o := a.Orders[0]; o.binds() || o.Phase != orderNoTrade || len(a.Borders) != 0 || a.promised(wire.SideSell, nil) != 0 {
		t.Errorf("%+v binds; %d readings wait, %d Wh promised", o, len(a.Borders), a.promised(wire.SideSell, nil))
	}
	equal(t, readings(at(a, in, 2*slotMs, 10_400)), nil)

	// One word tells of both slots beside the border, and nothing of those behind it.
	a, in = asked(t)
	third := *a.Orders[1]
	third.StartMs += slotMs
	a.Orders = append(a.Orders, &third)
	end := at(a, in, 2*slotMs, 10_400)
	equal(t, readings(end), []string{"pv-1-sold at 2: 10400 Wh"})
	at(a, in, 2*slotMs+1000, 10_400, unknown(end))
	if a.Orders[0].binds() || a.Orders[1].binds() || !a.Orders[2].binds() {
		t.Errorf("%+v, %+v bind, or %+v does not", a.Orders[0], a.Orders[1], a.Orders[2])
	}
	equal(t, readings(at(a, in, 3*slotMs, 10_800)), []string{"pv-1-sold at 3: 10800 Wh"})

	// A word that was applied is no refusal, whatever code it bears.
	a, in = asked(t)
	in.NoOrders = true
	taken := unknown(at(a, in, slotMs, 10_008))
	taken.Applied = true
	at(a, in, slotMs+1000, 10_008, taken)
	if o := a.Orders[0]; !o.binds() || len(a.Borders) != 0 {
		t.Errorf("%+v, %d readings wait", o, len(a.Borders))
	}
}

// A reading that waits to be sent again is kept back when its order turns out to have been
// taken back.
func TestAuctionKeepsBackWhatNoOneWaitsFor(t *testing.T) {
	a, in := asked(t)
	in.NoOrders, a.Orders = true, a.Orders[:1]
	back := at(a, in, 3000, 10_000)
	first := at(a, in, slotMs, 10_008)
	equal(t, readings(first), []string{"pv-1-sold at 1: 10008 Wh"})
	at(a, in, slotMs+1000, 10_009, refused(readingOf(first)), final(back[0].Record, true))
	equal(t, readings(at(a, in, slotMs+1000+testAuction.RetryMs, 10_010)), nil)
	if len(a.Borders) != 1 || a.Borders[0].Sent {
		t.Errorf("%+v", a.Borders)
	}
}

// A bid that was refused has its money in the wallet still: it is made again only where that
// bears the reserve.
func TestAuctionRefusedBidNeedsItsMoney(t *testing.T) {
	wallet := int64(150_000)
	a, in := counted(only(wire.SideBuy), 200), slotsMoment()
	in.WalletMicro, in.Terms = &wallet, always(Terms{ReserveMicro: 1000})
	for _, action := range a.Step(in) {
		in.Outcomes = append(in.Outcomes, refused(action.Record))
	}
	a.Step(in)
	in.Outcomes, in.WallMs = nil, in.WallMs+testAuction.RetryMs
	wallet = 50_999
	equal(t, ordered(a.Step(in)), nil)
	wallet = 51_001
	equal(t, ordered(a.Step(in)), []string{"bid 1: 200 Wh at 250000"})
}

// A reading that no one has answered is dropped when the chain takes it no more.
func TestAuctionReadsInTime(t *testing.T) {
	for lateMs, want := range map[int64][]string{600_000: {"pv-1-sold at 1: 10008 Wh"}, 600_001: nil} {
		a, in := asked(t)
		in.NoOrders = true
		first := at(a, in, slotMs, 10_008)
		at(a, in, slotMs+1000, 10_008, refused(readingOf(first)))
		equal(t, readings(at(a, in, slotMs+lateMs, 10_100)), want)
	}
}

// What a slot's trade was paid for is told, and counts in the day.
func TestAuctionTellsEnds(t *testing.T) {
	a, in := asked(t)
	in.NoOrders = true
	at(a, in, 9000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	if len(a.Deals) != 1 {
		t.Fatalf("%d trades, want one", len(a.Deals))
	}
	at(a, in, 9500, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	actions := at(a, in, 2*slotMs, 10_400, cleared("slot-1", 1, wire.StatusSettledPartly))
	var told []*wire.PastTrade
	for _, action := range actions {
		if action.Ended != nil {
			told = append(told, action.Ended)
		}
	}
	if len(told) != 1 || told[0].With != "home-1" || told[0].Side != wire.SideSell || told[0].EnergyWh != 200 || told[0].VolumeWh != 400 {
		t.Fatalf("%+v", told)
	}
	if a.Sold.Wh != 200 || a.Bought.Wh != 0 || len(a.Deals) != 0 {
		t.Errorf("sold %d, bought %d, %d trades left", a.Sold.Wh, a.Bought.Wh, len(a.Deals))
	}
}

// What a meter counts from border to border is what the next slots are foreseen by; a border
// that no one saw begins anew.
func TestAuctionCounts(t *testing.T) {
	a, in := NewAuction(only(wire.SideSell)), slotsMoment()
	in.NoOrders = true
	for i, wh := range []int64{0, 100, 300, 350} {
		at(a, in, int64(i)*slotMs, 10_000+wh)
	}
	if got := fmt.Sprint(a.Meters["pv-1-sold"].SlotsWh); got != "[200 50]" {
		t.Errorf("counted %s", got)
	}
	at(a, in, 4*slotMs, 10_350)
	at(a, in, 5*slotMs, 10_340)
	if n := len(a.Meters["pv-1-sold"].SlotsWh); n != 0 {
		t.Errorf("%d slots counted by a register that fell", n)
	}
	at(a, in, 6*slotMs, 10_340)
	if got := fmt.Sprint(a.Meters["pv-1-sold"].SlotsWh); got != "[0]" {
		t.Errorf("counted %s of a meter that stood still", got)
	}
	at(a, in, 8*slotMs, 10_400)
	if n := len(a.Meters["pv-1-sold"].SlotsWh); n != 0 {
		t.Errorf("%d slots counted over a gap", n)
	}
}

// After the disk has refused, the border is seen again.
func TestAuctionUndo(t *testing.T) {
	a, in := asked(t)
	in.NoOrders = true
	at(a, in, slotMs-1000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	kept, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"pv-1-sold at 1: 10002 Wh"}
	equal(t, readings(at(a, in, slotMs+3000, 10_008)), want)
	back := NewAuction(only(wire.SideSell))
	back.Undo(a)
	if err := json.Unmarshal(kept, back); err != nil {
		t.Fatal(err)
	}
	equal(t, readings(at(back, in, slotMs+3000, 10_008)), want)
}

// Over any history: no order for a slot whose gate has closed, none above the limits, none
// for sale behind a closed gate, readings that never fall, and a state that stays small.
func TestAuctionProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		cfg := testAuction
		cfg.Shared = rapid.Bool().Draw(r, "shared")
		a := NewAuction(cfg)
		in := slotsMoment()
		shown := make(map[string]int64)
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			in.WallMs += rapid.SampledFrom([]int64{1, 1000, 60_000, 200_000, slotMs}).Draw(r, "passes")
			in.SensingMs = in.WallMs
			in.GateOpen, in.ClockSynced = rapid.Bool().Draw(r, "open"), rapid.IntRange(0, 9).Draw(r, "clock") > 0
			in.ExpectedWh = rapid.Int64Range(0, 2000).Draw(r, "expected")
			for m := range in.Registers {
				in.Registers[m] += rapid.Int64Range(0, 300).Draw(r, "counts")
			}
			actions := a.Step(in)
			in.Outcomes = nil
			for _, action := range actions {
				checkAuctionRecord(r, in, action.Record, shown)
				v := final(action.Record, true)
				v.Applied = rapid.Bool().Draw(r, "applied")
				in.Outcomes = append(in.Outcomes, v)
				if start := action.Record.GetAsk().GetSlotStartMs(); start > 0 && rapid.Bool().Draw(r, "cleared") {
					in.Outcomes = append(in.Outcomes, cleared(fmt.Sprint("slot-", start), (start-slotZero)/slotMs, wire.StatusCleared))
				}
			}
			if len(a.Orders) > 20 || len(a.Borders) > 20 || len(a.Deals) > 20 {
				r.Fatalf("%d orders, %d borders, %d trades", len(a.Orders), len(a.Borders), len(a.Deals))
			}
		}
	})
}

func checkAuctionRecord(r *rapid.T, in AuctionInput, record *fairwattpb.Record, shown map[string]int64) {
	order := func(startMs, wh, most int64) {
		if in.WallMs >= startMs-testAuction.GateClosureMs || startMs%slotMs != 0 || wh < 0 || wh > most {
			r.Fatalf("at %d: %v", in.WallMs, record)
		}
	}
	if b := record.GetAsk(); b != nil {
		order(b.GetSlotStartMs(), b.GetEnergyWh(), 1000)
		if b.GetEnergyWh() > 0 && !in.GateOpen {
			r.Fatalf("for sale behind a closed gate: %v", record)
		}
	}
	if b := record.GetBid(); b != nil {
		order(b.GetSlotStartMs(), b.GetEnergyWh(), 500)
	}
	for _, one := range record.GetSlotReading().GetReadings() {
		key := fmt.Sprint(one.GetMeter(), one.GetTimeMs())
		if was, ok := shown[key]; ok && was != one.GetRegisterWh() {
			r.Fatalf("%s showed %d and %d", key, was, one.GetRegisterWh())
		}
		shown[key] = one.GetRegisterWh()
		if one.GetTimeMs()%slotMs != 0 || one.GetTimeMs() > in.WallMs || one.GetRegisterWh() > in.Registers[one.GetMeter()] {
			r.Fatalf("at %d: %v", in.WallMs, record)
		}
	}
}
