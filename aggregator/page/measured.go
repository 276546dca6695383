package page

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"time"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/history"
	"fairwatt/proto/wire"
)

// Limits of what a device may measure, for the page: beyond them it is not shown.
const (
	maxMeters    = 8
	maxMeasured  = 1e9
	measuredKept = 5 * time.Minute
	observeEvery = 5 * time.Second
)

// readTelemetry takes what a device measures now.
func readTelemetry(g *device, payload []byte, retained bool, now time.Time) error {
	var w wire.Telemetry
	if err := json.Unmarshal(payload, &w); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	if w.Schema != "" && w.Schema != wire.SchemaTelemetry {
		return fmt.Errorf("telemetry: schema %.20q is not %s", w.Schema, wire.SchemaTelemetry)
	}
	if retained {
		return nil // no agent asks a broker to keep it, and it does not say when it was sent
	}
	if len(w.Energy) > maxMeters {
		return fmt.Errorf("telemetry: %d meters, at most %d", len(w.Energy), maxMeters)
	}
	value := func(of map[string]float64, name string) *float64 {
		v, ok := of[name]
		if !ok || !(math.Abs(v) <= maxMeasured) {
			return nil
		}
		return &v
	}
	m := &console.Measured{
		TimeMs: now.UnixMilli(), PowerW: value(w.AC, "power"), WindMPS: value(w.WX, "wind_speed"), GustMPS: value(w.WX, "wind_gust"),
		TemperatureC: value(w.WX, "temperature"), IrradianceWPM2: value(w.WX, "irradiance"),
	}
	if len(w.Energy) > 0 {
		m.EnergyWh = make(map[string]int64, len(w.Energy))
		for meter, wh := range w.Energy {
			m.EnergyWh[clip(meter)] = wh
		}
	}
	g.Now = m
	g.Simulated = g.Simulated || w.Simulated
	return nil
}

// measured keeps what a device has just said for its history.
func (p *Page) measured(t wire.Topics, retained bool) {
	if p.cfg.History == nil || retained {
		return
	}
	p.views.mu.Lock()
	d := p.views.byID[t.Site+"/"+t.Device]
	p.views.mu.Unlock()
	if d == nil || d.Now == nil {
		return
	}
	of := func(v *float64) float64 {
		if v == nil {
			return math.NaN()
		}
		return *v
	}
	m := d.Now // never changed once it is there
	p.cfg.History.Measured(t.Site+"/"+t.Device, history.Sample{
		PowerW: of(m.PowerW), WindMPS: of(m.WindMPS), GustMPS: of(m.GustMPS), TemperatureC: of(m.TemperatureC), IrradianceWPM2: of(m.IrradianceWPM2),
	}, p.cfg.Now())
}

// Keep notes how gates stand, and writes what is due. Call it about once a second. An
// error is told once, until it has ceased.
func (p *Page) Keep() error {
	if p.cfg.History == nil {
		return nil
	}
	now := p.cfg.Now()
	err := p.cfg.History.Turn(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.keeping != nil
	p.keeping = err
	if since := now.Sub(p.observed); since >= observeEvery || since < 0 {
		p.observed = now
		for _, g := range p.generators(now) {
			gate := history.GateClosed
			switch g.State {
			case wire.GateOpen:
				gate = history.GateOpen
			case wire.GateOffline, wire.GateExpired, wire.GateUnknown:
				gate = history.GateUnknown
			}
			p.cfg.History.Gate(g.Site+"/"+g.ID, gate, now)
		}
	}
	if told {
		return nil
	}
	return err
}

// tradeCounts are the trades by status at a height.
type tradeCounts struct {
	height   uint64
	byStatus map[string]int
}

// tradeCount counts trades once a block: a chain may have very many.
func (p *Page) tradeCount() map[string]int {
	if height := p.state.Height(); p.counts.byStatus == nil || p.counts.height != height {
		p.counts = tradeCounts{height, p.state.Totals().TradesByStatus}
	}
	return maps.Clone(p.counts.byStatus)
}

// offers are the standing offers by seller.
func (p *Page) offers(now time.Time) map[string]console.Offer {
	out := make(map[string]console.Offer)
	for _, o := range p.state.Offers() {
		if o.ExpiresMs > now.UnixMilli() {
			out[o.Seller] = console.Offer{VolumeWh: o.VolumeWh, PriceMicroPerKWh: o.PriceMicroPerKWh, ExpiresMs: o.ExpiresMs}
		}
	}
	return out
}
