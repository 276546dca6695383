package grid

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

const (
	culpritEvery  = 100 * time.Millisecond
	culpritLasts  = 1_500 // ms that it delivers, or pretends to
	culpritPause  = 3_000 // ms between its trades
	culpritQuiet  = 20 * time.Second
	culpritAnswer = 5 * time.Second
	culpritTTLMs  = 6_000 // of a request
)

// cheat plays the culprits until the context ends. In the last seconds, and when quiet is
// closed, they end what runs and begin nothing.
func (g *grid) cheat(ctx context.Context, quiet <-chan struct{}) error {
	all, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for _, c := range g.culprits {
		if c.idle {
			continue
		}
		all.Go(func() error {
			for after(ctx, culpritEvery) {
				ends := g.cfg.For > 0 && time.Since(begun) > max(g.cfg.For-culpritQuiet, g.cfg.For/2)
				select {
				case <-quiet:
					ends = true
				default:
				}
				if err := g.cheatOnce(ctx, c, ends); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// cheatOnce does the next thing that a culprit has to do.
func (g *grid) cheatOnce(ctx context.Context, c *culprit, quiet bool) error {
	state := g.alive()[0].da.State()
	now := time.Now().UnixMilli()
	if c.seller && c.counter == 0 {
		return g.turnGate(ctx, state, c, fairwattpb.GateState_GATE_STATE_OPEN)
	}
	if c.slots {
		return g.cheatInSlots(ctx, state, c, now, quiet)
	}
	trades := state.Trades(func(t *ledger.Trade) bool { return (t.Seller == c.id || t.Buyer == c.id) && !t.Ended() })
	if len(trades) > 0 {
		t := trades[0]
		if t.ID != c.trade {
			c.trade, c.done = t.ID, make(map[string]bool)
			c.trades++
		}
		c.idleFromMs = now
		if c.seller {
			return g.sellFalsely(ctx, state, c, &t, now)
		}
		return g.buyFalsely(ctx, state, c, &t, now)
	}
	if c.blocked {
		return g.turnGate(ctx, state, c, fairwattpb.GateState_GATE_STATE_OPEN)
	}
	a, _ := state.Account(c.id)
	if quiet || a.Blacklisted || now-c.idleFromMs < culpritPause {
		return nil
	}
	if c.seller {
		return g.offerFalsely(ctx, state, c, now)
	}
	if q, ok := state.Request(c.id, c.request()); ok && !q.Answered {
		return nil
	}
	c.orders++
	price := int64(maxPriceMicro)
	if c.amongItself {
		price = culpritHighPrice
	}
	return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: c.request(), VolumeWh: culpritVolumeWh, MaxPriceMicroPerKwh: price, ExpiresMs: now + culpritTTLMs}}})
}

func (c *culprit) request() string { return fmt.Sprintf("%s-request-%d", c.id, c.orders) }

func (g *grid) offerFalsely(ctx context.Context, state *ledger.State, c *culprit, now int64) error {
	if slices.ContainsFunc(state.Offers(), func(o ledger.Offer) bool { return o.Seller == c.id }) {
		return nil
	}
	price := int64(culpritPrice)
	if c.amongItself {
		price = culpritHighPrice
	}
	c.orders++
	return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
		OfferId: fmt.Sprintf("%s-offer-%d", c.id, c.orders), VolumeWh: culpritVolumeWh, PriceMicroPerKwh: price, ExpiresMs: now + 60_000}}})
}

// turnGate says what a culprit likes of its gate.
func (g *grid) turnGate(ctx context.Context, state *ledger.State, c *culprit, to fairwattpb.GateState) error {
	c.gateSeq++
	c.blocked = to != fairwattpb.GateState_GATE_STATE_OPEN
	change := &fairwattpb.GateChange{GateSeq: c.gateSeq, State: to}
	if c.blocked && c.kind != HoldAbuse && c.kind != FalseClear { // those give no reason
		change.Causes = []*fairwattpb.Cause{{Rule: "W03", Kind: "wind", Level: "block", Text: "a gust that there was not"}}
	}
	return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: change}})
}

// holds tells whether a culprit closes its gate in the trade that it is in.
func (c *culprit) holds() bool {
	switch c.kind {
	case HoldAbuse:
		return true
	case HoldOften, OwnWitness, FalseWarning:
		return c.trades%2 == 0
	}
	return false
}

// hold closes a culprit's gate, behind what is to excuse it.
func (g *grid) hold(ctx context.Context, state *ledger.State, c *culprit, now int64) error {
	if c.witness != nil {
		if err := g.turnGate(ctx, state, c.witness, fairwattpb.GateState_GATE_STATE_BLOCKED); err != nil {
			return err
		}
	}
	if c.kind == FalseWarning && g.cfg.excuses() == ledger.ExcusesWitnessed {
		if err := g.warnFalsely(ctx, state, c, now); err != nil {
			return err
		}
	}
	return g.turnGate(ctx, state, c, fairwattpb.GateState_GATE_STATE_BLOCKED)
}

// warnFalsely sends a warning that a member may not send, and has the centre believe in
// one of another place and in one that is over.
func (g *grid) warnFalsely(ctx context.Context, state *ledger.State, c *culprit, now int64) error {
	warning := func(area string, fromMs, untilMs int64) *fairwattpb.WarningNotice {
		return &fairwattpb.WarningNotice{Area: area, Kind: "wind", FromMs: fromMs, UntilMs: untilMs, SourceHash: make([]byte, 32)}
	}
	own, err := c.seal(state, &fairwattpb.Record{Body: &fairwattpb.Record_WarningNotice{WarningNotice: warning(c.site, now-1, now+60_000)}})
	if err != nil {
		return err
	}
	if err := g.submit(ctx, own); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, culpritAnswer)
	defer cancel()
	for _, w := range []*fairwattpb.WarningNotice{warning("nowhere", now-1, now+60_000), warning(c.site, now-60_000, now-30_000)} {
		if err := g.centre.Warn(limited, w); err != nil && ctx.Err() == nil {
			g.log.Debug("a culprit's warning", "err", err)
		}
	}
	return nil
}

// flows is what a culprit delivers, bills, and says that it could have delivered.
func (c *culprit) flows(volumeWh int64) (deliverWh, billWh, availableWh int64) {
	if c.holds() {
		return 0, 0, 0
	}
	switch c.kind {
	case Tamper, Wash, Sybil:
		return 0, volumeWh, volumeWh
	case TamperHalf:
		return volumeWh / 2, volumeWh, volumeWh
	case Skim:
		return volumeWh * 98 / 100, volumeWh, volumeWh
	case Short:
		return volumeWh / 2, volumeWh / 2, volumeWh / 2
	case FalseReady:
		return 0, 0, volumeWh
	}
	return volumeWh, volumeWh, volumeWh
}

// sellFalsely does the next thing in a sale.
func (g *grid) sellFalsely(ctx context.Context, state *ledger.State, c *culprit, t *ledger.Trade, now int64) error {
	switch t.Status {
	case wire.StatusPaid:
		if c.kind == NoStart || c.kind == OnOff && c.trades%2 == 0 || c.done["start"] {
			return nil
		}
		seq := c.gateSeq
		if c.kind == FalseClear {
			if !c.blocked {
				return g.turnGate(ctx, state, c, fairwattpb.GateState_GATE_STATE_BLOCKED)
			}
			seq++ // an all-clear that no one else has
			c.done["start"] = true
		}
		attestation, err := c.attest(state.ChainID(), seq, now)
		if err != nil {
			return err
		}
		return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{
			TradeId: t.ID, Attestation: attestation, Reading: c.reading(now)}}})
	case wire.StatusDelivering:
		if c.kind == NoBill || now-(t.DeliverByMs-g.community.Genesis.Params.DeliverByMs) < culpritLasts {
			return nil
		}
		if c.holds() && !c.blocked {
			return g.hold(ctx, state, c, now)
		}
		return g.billFalsely(ctx, state, c, t, now)
	case wire.StatusHeld:
		return g.billFalsely(ctx, state, c, t, now)
	case wire.StatusBilled:
		if c.kind == Replay {
			return g.submit(ctx, c.bill)
		}
	}
	return nil
}

// billFalsely is the lie.
func (g *grid) billFalsely(ctx context.Context, state *ledger.State, c *culprit, t *ledger.Trade, now int64) error {
	deliver, bill, available := c.flows(t.VolumeWh)
	if !c.done["deliver"] {
		c.done["deliver"] = true
		c.registerWh += bill
		if err := g.world.give(t.ID, t.Buyer, t.BuyerMeter, float64(deliver)); err != nil {
			return err
		}
	}
	err := g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{
		TradeId: t.ID, PayId: []byte(t.PayID), EnergyWh: bill, AmountMicro: bill * t.PriceMicroPerKWh / 1000,
		AvailableWh: available, Reading: c.reading(now)}}})
	return err
}

// buyFalsely does the next thing in a purchase.
func (g *grid) buyFalsely(ctx context.Context, state *ledger.State, c *culprit, t *ledger.Trade, now int64) error {
	switch t.Status {
	case wire.StatusEscrowed:
		if c.kind != LatePayer && !c.done["pay"] {
			return g.payFalsely(ctx, state, c, t, now)
		}
	case wire.StatusBilled:
		if c.kind == SilentBuyer || c.done["confirm"] {
			return nil
		}
		c.done["confirm"] = true
		if err := g.look(c, t); err != nil {
			return err
		}
		return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{
			TradeId: t.ID, Reading: c.reading(now), EnergyWh: c.registerWh - t.BuyerStartWh, Accepted: c.registerWh > t.BuyerStartWh}}})
	}
	return nil
}

// look reads a buyer's meter, or what it says instead.
func (g *grid) look(c *culprit, t *ledger.Trade) error {
	switch {
	case c.kind == HidingBuyer:
	case c.amongItself:
		c.registerWh += t.BilledWh
	default:
		n, _, err := c.house.board.PulseCount(c.house.pins[c.meter])
		if err != nil {
			return fmt.Errorf("meter of %s: %w", c.id, err)
		}
		c.registerWh = int64(n)
	}
	return nil
}

// payFalsely pays an honest seller, or its own other name.
func (g *grid) payFalsely(ctx context.Context, state *ledger.State, c *culprit, t *ledger.Trade, now int64) error {
	offers := state.Offers()
	slices.SortFunc(offers, func(a, b ledger.Offer) int { return cmp.Compare(a.PriceMicroPerKWh, b.PriceMicroPerKWh) })
	if err := g.look(c, t); err != nil {
		return err
	}
	for _, o := range offers {
		seller := g.culprit(o.Seller)
		if o.PriceMicroPerKWh > t.MaxPriceMicroPerKWh || (seller != nil) != c.amongItself || seller != nil && seller.kind != c.kind {
			continue
		}
		volume := min(t.TokenVolumeWh, o.VolumeWh)
		reading := c.reading(now)
		if c.kind == Squat {
			c.done["pay"] = true
			reading.Meter = c.victimsMeter(g, o.Seller)
		}
		pay := func() error {
			p := &fairwattpb.Pay{
				TokenId: t.ID, OfferId: o.ID, Seller: o.Seller, VolumeWh: volume, PriceMicroPerKwh: o.PriceMicroPerKWh,
				AmountMicro: volume * o.PriceMicroPerKWh / 1000, BuyerReading: reading}
			if g.cfg.answers() == ledger.AnswersByLedger {
				p = &fairwattpb.Pay{TokenId: t.ID, BuyerReading: reading, Choices: []*fairwattpb.Choice{
					{OfferId: o.ID, Seller: o.Seller, PriceMicroPerKwh: o.PriceMicroPerKWh, MaxWh: volume}}}
			}
			return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: p}})
		}
		err := pay()
		if err == nil && c.kind == DoubleSpend {
			err = pay()
		}
		return err
	}
	return nil
}

// victimsMeter is a seller's own meter.
func (c *culprit) victimsMeter(g *grid, seller string) string {
	for _, p := range g.people {
		if p.id == seller {
			return p.id + "-" + sellerMeter
		}
	}
	return c.meter
}

func (c *culprit) reading(nowMs int64) *fairwattpb.MeterReading {
	return &fairwattpb.MeterReading{Meter: c.meter, RegisterWh: c.registerWh, TimeMs: nowMs}
}

func (c *culprit) attest(chain [32]byte, seq uint64, nowMs int64) ([]byte, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.GateAttestation{
		ChainId: chain[:], Device: c.id, GateSeq: seq, State: fairwattpb.GateState_GATE_STATE_OPEN, IssuedMs: nowMs, ValidUntilMs: nowMs + 30_000})
	if err != nil {
		return nil, fmt.Errorf("encode a culprit's attestation: %w", err)
	}
	return seal.Seal(c.key, c.id, seal.DomainAttestation, chain, payload)
}

// send puts a culprit's record to every data aggregator and waits for its block.
func (g *grid) send(ctx context.Context, state *ledger.State, c *culprit, r *fairwattpb.Record) error {
	sealed, err := c.seal(state, r)
	if err != nil {
		return err
	}
	if r.GetBill() != nil {
		c.bill = sealed
	}
	if err := g.submit(ctx, sealed); err != nil {
		return err
	}
	for limit := time.Now().Add(culpritAnswer); state.LastCounter(c.id) < c.counter && time.Now().Before(limit); {
		if !after(ctx, 20*time.Millisecond) {
			return nil
		}
	}
	return nil
}

// seal signs a culprit's next record.
func (c *culprit) seal(state *ledger.State, r *fairwattpb.Record) ([]byte, error) {
	chain := state.ChainID()
	c.counter++
	r.ChainId, r.Sender, r.Counter, r.TimeMs, r.Simulated = chain[:], c.id, c.counter, time.Now().UnixMilli(), true
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a culprit's record: %w", err)
	}
	sealed, err := seal.Seal(c.key, c.id, seal.DomainRecord, chain, payload)
	if err != nil {
		return nil, fmt.Errorf("sign a culprit's record: %w", err)
	}
	return sealed, nil
}

// submit offers a record to all. What they refuse at the door has no effect, which is
// what the report looks at.
func (g *grid) submit(ctx context.Context, sealed []byte) error {
	for _, node := range g.alive() {
		if err := node.da.Submit(ctx, sealed); err != nil && ctx.Err() == nil {
			g.log.Debug("a culprit's record", "da", node.id, "err", err)
		}
	}
	return nil
}
