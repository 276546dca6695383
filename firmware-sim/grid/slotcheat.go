package grid

import (
	"context"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// culpritPowerW is what a culprit's generator gives all the time.
const culpritPowerW = 500

// cheatInSlots has a culprit order for the next slot, and tell of borders what it likes.
func (g *grid) cheatInSlots(ctx context.Context, state *ledger.State, c *culprit, nowMs int64, quiet bool) error {
	p := &g.community.Genesis.Params
	if c.kind != SilentAsker && c.kind != SilentBidder {
		if err := g.tellBorders(ctx, state, c, nowMs); err != nil {
			return err
		}
	}
	const lead = 1_000
	start := (nowMs+p.GateClosureMs+lead)/p.SlotMs*p.SlotMs + p.SlotMs
	if a, _ := state.Account(c.id); quiet || a.Blacklisted || start <= c.slotMs {
		return nil
	}
	c.slotMs = start
	wh := g.slotWh(c)
	if c.kind == OverAsker || c.kind == UnderTaker {
		wh *= 2
	}
	if c.seller {
		return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Ask{Ask: &fairwattpb.Ask{
			Meter: c.meter, SlotStartMs: start, EnergyWh: wh, PriceMicroPerKwh: culpritPrice}}})
	}
	return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Bid{Bid: &fairwattpb.Bid{
		Meter: c.meter, SlotStartMs: start, EnergyWh: wh, PriceMicroPerKwh: maxPriceMicro}}})
}

// slotWh is what truly flows through a culprit's meter in a slot.
func (g *grid) slotWh(c *culprit) int64 {
	powerW := float64(houseDrawW)
	if c.seller {
		powerW = culpritPowerW
	}
	return int64(powerW * g.cfg.Speed * float64(g.community.Genesis.Params.SlotMs) / 3_600_000)
}

// tellBorders tells what a culprit's meter showed at the borders that the chain waits for.
func (g *grid) tellBorders(ctx context.Context, state *ledger.State, c *culprit, nowMs int64) error {
	slot := g.community.Genesis.Params.SlotMs
	border := nowMs / slot * slot
	ends, inOld := state.SlotMeter(border-slot, c.meter)
	begins, inNew := state.SlotMeter(border, c.meter)
	wh, known := g.world.shownAt(c.meter, border)
	if !known || (!inOld || ends.Ended) && (!inNew || begins.Began) {
		return nil
	}
	return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_SlotReading{SlotReading: &fairwattpb.SlotReading{
		Readings: []*fairwattpb.MeterReading{{Meter: c.meter, RegisterWh: wh, TimeMs: border}}}}})
}

// shownAt is what a meter's register truly showed at a border; false where none has been.
func (w *world) shownAt(meter string, borderMs int64) (wh int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.slots.borders[borderMs]
	return int64(at[meter]), ok
}
