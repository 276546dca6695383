package agent

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/trade"
	"fairwatt/agent/view"
	"fairwatt/agent/word"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// An agent on a chain with an auction asks for slots and offers nothing to one buyer; it
// tells what its meter showed at the borders of a slot in which it trades, and its owner
// what was paid. A restart between two borders loses nothing of it.
func TestAgentSellsBySlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		p := &s.town.chain.Params
		p.Mechanism, p.SlotMs, p.GateClosureMs, p.SlotReadingsMs, p.MinLotWh = "auction", 900_000, 300_000, 600_000, 1
		s.open()
		if len(s.offers()) != 0 {
			t.Errorf("offered %v", s.offers())
		}
		s.town.mu.Lock()
		var asks []*fairwattpb.Ask
		for _, r := range s.town.log {
			if a := r.GetAsk(); a != nil {
				asks = append(asks, a)
			}
		}
		s.town.mu.Unlock()
		if len(asks) < 2 || asks[0].GetEnergyWh() < 10 || asks[0].GetPriceMicroPerKwh() != 200_000 || asks[1].GetSlotStartMs() != asks[0].GetSlotStartMs()+900_000 {
			t.Fatalf("asked %v", asks)
		}
		ask := asks[0]
		meter := MeterID("pv-1", meterName(t))
		s.town.tell("pv-1", nil, &fairwattpb.TradeNotice{TradeId: "slot-1-0001", Status: wire.StatusCleared, Lot: &fairwattpb.Lot{
			Seller: "pv-1", Buyer: "home-1", SellerMeter: meter, BuyerMeter: "home-1-used", SlotStartMs: ask.GetSlotStartMs(),
			VolumeWh: 100, PriceMicroPerKwh: 250_000}})
		s.wait(2 * time.Second)
		lines, err := view.ParseTrades("fairwatt/v1/farm-1/pv-1/trade", s.broker.Retained("fairwatt/v1/farm-1/pv-1/trade"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(lines, func(l view.TradeLine) bool {
			return l.Phase == wire.StatusCleared && l.With == "home-1" && l.VolumeWh == 100
		}) ||
			!slices.ContainsFunc(lines, func(l view.TradeLine) bool {
				return l.Side == "ask" && l.Phase == "standing" && l.VolumeWh == ask.GetEnergyWh()
			}) {
			t.Errorf("shown: %+v", lines)
		}
		s.wait(time.Until(time.UnixMilli(ask.GetSlotStartMs())) + 5*time.Second)
		s.end()
		s.open() // ten minutes
		s.wait(time.Until(time.UnixMilli(ask.GetSlotStartMs()+900_000)) + 5*time.Second)
		var borders []int64
		s.town.mu.Lock()
		for _, r := range s.town.log {
			for _, one := range r.GetSlotReading().GetReadings() {
				if one.GetMeter() != meter {
					t.Errorf("a reading of %s", one.GetMeter())
				}
				borders = append(borders, one.GetTimeMs()-ask.GetSlotStartMs())
			}
		}
		s.town.mu.Unlock()
		if fmt.Sprint(borders) != "[0 900000]" {
			t.Errorf("borders %v, want the slot's", borders)
		}
		s.town.tell("pv-1", nil, &fairwattpb.TradeNotice{TradeId: "slot-1-0001", Status: wire.StatusSettledPartly, PaidMicro: 20_000, ReturnedMicro: 5_000})
		s.wait(2 * time.Second)
		past := s.said(wire.Command{Do: word.DoHistory}).Trading.Ended
		if len(past) != 1 || past[0].EnergyWh != 80 || past[0].With != "home-1" || past[0].Side != wire.SideSell {
			t.Errorf("history %+v", past)
		}
		if v := s.view(); v.Sell == nil || v.Sell.TodayWh != 80 || len(v.Deals) != 0 {
			t.Errorf("the view %+v", v)
		}
		s.end()
	})
}

// Places are what the configuration sells and buys at, with the owner's limits.
func TestAuctionPlaces(t *testing.T) {
	a := &Agent{cfg: Config{Device: "farm-1", Sell: &SellConfig{Meter: "sold", MinWh: 5, MaxWh: 900, PriceMicroPerKWh: 7, Care: 6},
		Buy: &BuyConfig{Circuits: []BuyCircuit{{Name: "barn", Meter: "barn-meter", VolumeWh: 300, MaxPriceMicroPerKWh: 9}}}},
		deps: Deps{Chain: &Chain{Params: ChainParams{Mechanism: "auction", SlotMs: 1, GateClosureMs: 2, SlotReadingsMs: 3, MinLotWh: 4}}}}
	got := a.auctionConfig()
	want := trade.AuctionConfig{Device: "farm-1", SlotMs: 1, GateClosureMs: 2, ReadingsMs: 3, MinLotWh: 4, RetryMs: retryMs, Places: []trade.Place{
		{Side: wire.SideSell, Meter: "farm-1-sold", MinWh: 5, MaxWh: 900, PriceMicroPerKWh: 7, Care: 6},
		{Side: wire.SideBuy, Meter: "farm-1-barn-meter", MaxWh: 300, PriceMicroPerKWh: 9}}}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for params, want := range map[ChainParams]bool{
		{}: false, {Mechanism: "bilateral"}: false, {Mechanism: "auction"}: false,
		{Mechanism: "auction", SlotMs: 1, GateClosureMs: 1, SlotReadingsMs: 1}: true,
		{SlotMs: 1, GateClosureMs: 1, SlotReadingsMs: 1}:                       false,
	} {
		if params.auction() != want {
			t.Errorf("%+v: an auction is %v", params, !want)
		}
	}
}
