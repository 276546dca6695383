package agent

import (
	"encoding/json"
	"fmt"
	"time"

	"fairwatt/agent/trade"
	"fairwatt/proto/wire"
)

// auctionConfig joins the owner's configuration with the chain's slots. A sale's max_wh and
// a circuit's volume_wh are the most for one slot.
func (a *Agent) auctionConfig() trade.AuctionConfig {
	p := a.deps.Chain.Params
	cfg := trade.AuctionConfig{
		Device: a.cfg.Device, SlotMs: p.SlotMs, GateClosureMs: p.GateClosureMs, ReadingsMs: p.SlotReadingsMs,
		MinLotWh: p.MinLotWh, RetryMs: retryMs, Shared: p.Mechanism == mechanismSharing,
	}
	if s := a.cfg.Sell; s != nil {
		cfg.Places = append(cfg.Places, trade.Place{
			Side: wire.SideSell, Meter: MeterID(a.cfg.Device, s.Meter), MinWh: s.MinWh, MaxWh: s.MaxWh, PriceMicroPerKWh: s.PriceMicroPerKWh, Care: s.Care,
		})
	}
	if b := a.cfg.Buy; b != nil {
		for _, c := range b.Circuits {
			cfg.Places = append(cfg.Places, trade.Place{
				Side: wire.SideBuy, Meter: MeterID(a.cfg.Device, c.Meter), MaxWh: c.VolumeWh, PriceMicroPerKWh: c.MaxPriceMicroPerKWh,
			})
		}
	}
	return cfg
}

// restoreAuction makes the share in an auction, where the chain has one, and gives it back
// its state.
func (a *Agent) restoreAuction() error {
	if a.cfg.Sell == nil && a.cfg.Buy == nil || !a.deps.Chain.Params.auction() {
		return nil
	}
	if c := a.cfg.Contactor; a.cfg.Sell != nil && c != nil && !c.None {
		a.log.Warn("this chain sells by slots, without a wire: the contactor stays open, and what is sold is what the meter counts all the same")
	}
	a.trade.auction = trade.NewAuction(a.auctionConfig())
	return a.readState(stateAuction, func(b []byte) error {
		kept := trade.NewAuction(a.auctionConfig())
		err := json.Unmarshal(b, kept)
		if err == nil {
			a.trade.auction, a.trade.auctionState = kept, b
		}
		return err
	})
}

// rollbackAuction returns the share in an auction to its state on disk.
func (a *Agent) rollbackAuction() error {
	was := a.trade.auction
	if was == nil {
		return nil
	}
	a.trade.auction = trade.NewAuction(a.auctionConfig())
	a.trade.auction.Undo(was)
	if len(a.trade.auctionState) > 0 {
		if err := json.Unmarshal(a.trade.auctionState, a.trade.auction); err != nil {
			return fmt.Errorf("roll auction back: %w", err)
		}
	}
	return nil
}

// stepAuction runs the share in an auction on the present moment.
func (a *Agent) stepAuction(open bool) []trade.Action {
	if a.trade.auction == nil {
		return nil
	}
	in := trade.AuctionInput{
		SensingMs: a.now.sensingMs, WallMs: a.now.wallMs(), ClockSynced: a.now.synced, GateOpen: open,
		NoOrders: a.noRequests.Load(), Registers: make(map[string]int64), Outcomes: a.outcomes, Terms: a.slotTerms,
	}
	_, in.Day = a.terms(&a.saved.Wishes.Sell)
	for _, m := range a.meters {
		if m.ok {
			in.Registers[MeterID(a.cfg.Device, m.name)] = int64(m.EnergyWh())
		}
	}
	if p, ok := powerW(&a.sample); ok && p > 0 {
		// Persistence forecast: as much power as now, for one slot.
		hours := float64(a.deps.Chain.Params.SlotMs) / 3_600_000
		if a.now.speed > 0 {
			hours *= a.now.speed
		}
		in.ExpectedWh = int64(min(p*hours, 1e9))
	}
	if p := a.saved.Purse; p != nil {
		in.WalletMicro = &p.WalletMicro
	}
	return a.trade.auction.Step(in)
}

// slotTerms are the owner's for a side, at the hour in which a slot begins.
func (a *Agent) slotTerms(side string, startMs int64) trade.Terms {
	w := &a.saved.Wishes.Buy
	if side == wire.SideSell {
		w = &a.saved.Wishes.Sell
	}
	return trade.TermsOf(w, time.UnixMilli(startMs).Local().Hour())
}
