package trade

import (
	"fmt"
	"testing"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// Each order has one record under way, and none behind what no longer is to be had.
func TestAuctionWaitsForAnswers(t *testing.T) {
	a, in := NewAuction(only(wire.SideSell)), slotsMoment()
	sent := a.Step(in)
	in.GateOpen = false
	equal(t, ordered(a.Step(in)), nil)
	in.Outcomes = []Outcome{refused(sent[0].Record)}
	equal(t, ordered(a.Step(in)), nil)
	in.Outcomes = nil
	in.WallMs += testAuction.RetryMs
	equal(t, ordered(a.Step(in)), nil) // refused, and not wanted
	in.GateOpen = true
	in.WallMs--
	equal(t, ordered(a.Step(in)), nil)
	in.WallMs++
	equal(t, ordered(a.Step(in)), []string{"ask 1: 360 Wh at 100000"})
	stands := final(sent[1].Record, true)
	in.Outcomes = []Outcome{stands}
	a.Step(in)
	in.Outcomes = []Outcome{refused(sent[1].Record), refused(&fairwattpb.Record{Body: &fairwattpb.Record_Ask{Ask: &fairwattpb.Ask{Meter: "pv-1-sold", SlotStartMs: 7}}})}
	a.Step(in)
	if o := a.find("pv-1-sold", slotZero+2*slotMs); o.Phase != orderStanding || o.StandsWh != 360 || o.RetryWallMs != 0 {
		t.Errorf("told twice, or of no order: %+v", o)
	}
}

// A lead of a twentieth of a slot is enough where slots are short.
func TestAuctionOfShortSlots(t *testing.T) {
	cfg := only(wire.SideSell)
	cfg.SlotMs, cfg.GateClosureMs, cfg.ReadingsMs = 10_000, 3_000, 10_000
	for atMs, want := range map[int64]int64{6_499: 10_000, 6_500: 20_000} {
		in := slotsMoment()
		in.WallMs = slotZero + atMs
		if start := NewAuction(cfg).Step(in)[0].Record.GetAsk().GetSlotStartMs() - slotZero; start != want {
			t.Errorf("at %d: the slot at %d, want %d", atMs, start, want)
		}
	}
}

// Both sides of a device, and its circuits, are kept apart.
func TestAuctionOfManyMeters(t *testing.T) {
	cfg := testAuction
	cfg.Places = append([]Place{{Side: wire.SideBuy, Meter: "pv-1-barn", MaxWh: 500, PriceMicroPerKWh: 250_000}}, cfg.Places...)
	wallet := int64(150_006)
	a, in := counted(cfg, 200), slotsMoment()
	in.Registers["pv-1-barn"] = 1
	in.WalletMicro = &wallet
	in.Terms = func(side string, _ int64) Terms {
		if side == wire.SideSell {
			return Terms{DailyWh: 360}
		}
		return Terms{DailyWh: 700, ReserveMicro: 2}
	}
	sent := a.Step(in)
	equal(t, ordered(sent), []string{"bid 1: 200 Wh at 250000", "bid 2: 200 Wh at 250000", "ask 1: 180 Wh at 100000", "ask 2: 180 Wh at 100000", "bid 1: 200 Wh at 250000"})
	for _, action := range sent {
		in.Outcomes = append(in.Outcomes, final(action.Record, true))
	}
	wallet = 0
	a.Step(in)
	for _, o := range a.Orders {
		if o.Phase != orderStanding {
			t.Errorf("%+v, want it to stand", o)
		}
	}
	in.Outcomes = nil
	wallet = 25_003 // what stands has left it
	equal(t, ordered(a.Step(in)), []string{"bid 2: 100 Wh at 250000"})
	bought := cleared("slot-1", 1, wire.StatusCleared)
	bought.Trade.Lot = &fairwattpb.Lot{Seller: "pv-2", Buyer: "pv-1", SellerMeter: "pv-2-sold", BuyerMeter: "pv-1-used", SlotStartMs: slotZero + slotMs, VolumeWh: 200, PriceMicroPerKwh: 100_000}
	in.WallMs, in.Outcomes, in.NoOrders = slotZero+slotMs, []Outcome{bought}, true
	tellings := a.Step(in)
	equal(t, readings(tellings), []string{"pv-1-barn at 1: 1 Wh", "pv-1-sold at 1: 10000 Wh", "pv-1-used at 1: 20000 Wh"})
	if len(a.Borders) != 3 {
		t.Errorf("%d borders wait, want one of each meter", len(a.Borders))
	}
	in.Outcomes = []Outcome{final(tellings[len(tellings)-1].Record, true), final(&fairwattpb.Record{Body: &fairwattpb.Record_SlotReading{SlotReading: &fairwattpb.SlotReading{
		Readings: []*fairwattpb.MeterReading{{Meter: "pv-1-used", TimeMs: 9}}}}}, true)}
	a.Step(in)
	if len(a.Borders) != 2 || a.Borders[0].Meter != "pv-1-barn" || a.Borders[1].Meter != "pv-1-sold" {
		t.Errorf("%d borders wait, want those without a trade", len(a.Borders))
	}
	if d := a.Deals[0]; d.Side != wire.SideBuy || d.With != "pv-2" || d.Meter != "pv-1-used" {
		t.Errorf("the trade is told as %+v", d)
	}
	bought.Trade.Status = wire.StatusSettledPartly
	in.Outcomes = []Outcome{bought}
	a.Step(in)
	if a.Bought.Wh != 200 || a.Sold.Wh != 0 {
		t.Errorf("bought %d, sold %d", a.Bought.Wh, a.Sold.Wh)
	}
}

func readingOf(actions []Action) *fairwattpb.Record {
	for _, a := range actions {
		if a.Record.GetSlotReading() != nil {
			return a.Record
		}
	}
	return nil
}

// Two borders of one meter wait each for its own answer.
func TestAuctionTwoBorders(t *testing.T) {
	a, in := asked(t)
	in.NoOrders, a.cfg.ReadingsMs = true, slotMs
	at(a, in, 3000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	at(a, in, slotMs, 10_010)
	second := at(a, in, 2*slotMs, 10_020)
	at(a, in, 2*slotMs, 10_020, final(readingOf(second), true))
	if len(a.Borders) != 1 || a.Borders[0].TimeMs != slotZero+slotMs {
		t.Errorf("%+v waits, want the first border", a.Borders)
	}
}

// The end of a slot is told where the next one has no order, and nothing of a slot whose
// orders were refused; a border is seen once, and a meter that cannot be read shows nothing.
func TestAuctionBordersOfOrders(t *testing.T) {
	a, in := asked(t)
	in.NoOrders, a.Orders = true, a.Orders[:1]
	at(a, in, slotMs, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	equal(t, readings(at(a, in, 2*slotMs, 10_300)), []string{"pv-1-sold at 2: 10300 Wh"})
	equal(t, readings(at(a, in, 2*slotMs, 10_300)), nil)
	if len(a.Borders) != 1 || fmt.Sprint(a.Meters["pv-1-sold"].SlotsWh) != "[300]" {
		t.Errorf("%d borders, counted %v", len(a.Borders), a.Meters["pv-1-sold"].SlotsWh)
	}
	a, in = asked(t)
	in.NoOrders = true
	for _, o := range a.Orders {
		o.Phase, o.StandsWh = orderRefused, 0
	}
	at(a, in, slotMs, 10_000)
	if len(a.Borders) != 0 {
		t.Errorf("%d borders wait of refused orders", len(a.Borders))
	}
	a, in = asked(t)
	in.NoOrders = true
	at(a, in, slotMs-2000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	in.Registers = nil
	in.WallMs = slotZero + slotMs - 1000
	a.Step(in)
	equal(t, readings(at(a, in, slotMs+2000, 10_008)), []string{"pv-1-sold at 1: 10004 Wh"})
}

// A clock that no one vouches for places no border, not between two that were good either.
func TestAuctionWithoutClock(t *testing.T) {
	a, in := asked(t)
	in.NoOrders = true
	at(a, in, slotMs-2000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
	in.ClockSynced = false
	at(a, in, slotMs-1000, 10_002)
	in.ClockSynced = true
	equal(t, readings(at(a, in, slotMs+1000, 10_008)), nil)
}

// A trade is one of a clearing, and there are not more than so many.
func TestAuctionDeals(t *testing.T) {
	a, in := asked(t)
	at(a, in, 3000, 10_000, cleared("slot-1", 1, wire.StatusSettled), cleared("slot-2", 1, wire.StatusPaid))
	if len(a.Deals) != 0 {
		t.Errorf("%d trades that no clearing made", len(a.Deals))
	}
	for i := range maxDeals - 1 {
		a.Deals = append(a.Deals, &Deal{TradeID: fmt.Sprint("many-", i), StartMs: slotZero})
	}
	at(a, in, 3000, 10_000, cleared("slot-1", 1, wire.StatusCleared), cleared("slot-2", 1, wire.StatusCleared))
	if len(a.Deals) != maxDeals {
		t.Errorf("%d trades, want %d", len(a.Deals), maxDeals)
	}
}

// Nothing is kept longer than the chain takes readings, and a while for the end of trades.
func TestAuctionForgets(t *testing.T) {
	end := int64(2*slotMs) + testAuction.ReadingsMs
	for ms, want := range map[int64][2]int{end: {1, 1}, end + 1: {0, 1}, end + dealGraceMs: {0, 1}, end + dealGraceMs + 1: {0, 0}} {
		a, in := asked(t)
		in.NoOrders, a.Orders = true, a.Orders[:1]
		at(a, in, 3000, 10_000, cleared("slot-1", 1, wire.StatusCleared))
		at(a, in, ms, 10_000)
		if got := [2]int{len(a.Orders), len(a.Deals)}; got != want {
			t.Errorf("%d ms behind the last reading: %d orders and trades, want %d", ms-end, got, want)
		}
	}
}

// A day's amount begins anew with the day, and what is paid for counts in it.
func TestAuctionDays(t *testing.T) {
	a, in := NewAuction(only(wire.SideSell)), slotsMoment()
	in.Day, in.Terms = 3, always(Terms{DailyWh: 500})
	a.Sold, a.Bought = Day{No: 3, Wh: 300}, Day{No: 3, Wh: 7}
	equal(t, ordered(a.Step(in)), []string{"ask 1: 200 Wh at 100000"})
	in.Day = 4
	a.Step(in)
	if a.Sold != (Day{No: 4}) || a.Bought != (Day{No: 4}) {
		t.Errorf("sold %+v, bought %+v on the next day", a.Sold, a.Bought)
	}
}

// What stands is not taken back for the day's amount that it fills, and what was refused
// fills none.
func TestAuctionFillsTheDay(t *testing.T) {
	a, in := asked(t)
	in.Terms = always(Terms{DailyWh: 720})
	equal(t, ordered(a.Step(in)), nil)
	a, in = NewAuction(only(wire.SideSell)), slotsMoment()
	in.Terms = always(Terms{DailyWh: 360})
	sent := a.Step(in)
	equal(t, ordered(sent), []string{"ask 1: 360 Wh at 100000"})
	in.Outcomes = []Outcome{refused(sent[0].Record)}
	equal(t, ordered(a.Step(in)), []string{"ask 2: 360 Wh at 100000"})
}

// A forecast that was too good is trusted less.
func TestAuctionTrustsWhatCame(t *testing.T) {
	a, in := NewAuction(only(wire.SideSell)), slotsMoment()
	in.NoOrders, in.Registers = true, nil
	for _, expected := range []int64{400, 100, 100, 100, 400} {
		in.ExpectedWh = expected
		a.Step(in)
		in.SensingMs += slotMs / 3
	}
	in.NoOrders, in.Registers = false, slotsMoment().Registers
	if got := a.Step(in)[0].Record.GetAsk().GetEnergyWh(); got != 180 {
		t.Errorf("asked for %d Wh, want nine tenths of the half that came", got)
	}
}

// A dry run's order is told as such.
func TestAuctionShowsDryRuns(t *testing.T) {
	a, in := NewAuction(only(wire.SideSell)), slotsMoment()
	in.Terms = always(Terms{DryRun: true})
	a.Step(in)
	if o := a.Orders[0]; o.Phase != orderDry || o.binds() {
		t.Errorf("%+v", o)
	}
}
