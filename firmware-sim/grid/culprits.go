package grid

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
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

// The traders that a run can have beside the honest ones (--misbehave): sellers that
// ask less than anyone and deliver nothing.
const (
	// NoStart is paid and never starts.
	NoStart = "no-start"
	// Tamper starts, and bills energy that its meter invented.
	Tamper = "tamper"
	// FalseReady starts, bills nothing, and says that all of it was there to be taken.
	FalseReady = "false-ready"
)

var culpritKinds = []string{NoStart, Tamper, FalseReady}

const (
	culpritVolumeWh = 2_000
	culpritPrice    = basePriceMicro / 2 // a kWh: buyers choose it first
	culpritEvery    = 100 * time.Millisecond
	culpritLasts    = 1_500 // ms that it pretends to deliver
	culpritQuiet    = 12 * time.Second
	culpritAnswer   = 5 * time.Second
)

// judges are the arbiters of a chain with robust credit.
var judges = []string{"judge-1", "judge-2"}

// A culprit is a seller without a board: it sends what it likes.
type culprit struct {
	kind, id, meter string
	key             ed25519.PrivateKey

	counter    uint64
	registerWh int64
	offers     int
}

// makeCulprits makes the keys of the culprits that the configuration asks for.
func (g *grid) makeCulprits() error {
	for _, kind := range culpritKinds {
		if !g.cfg.misbehaves(kind) {
			continue
		}
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return fmt.Errorf("make a culprit's key: %w", err)
		}
		g.culprits = append(g.culprits, &culprit{kind: kind, id: "culprit-" + kind, meter: "culprit-" + kind + "-sold", key: key})
	}
	return nil
}

// makeJudges gives a community with robust credit its arbiters.
func makeJudges(credit string) (arbiters []ledger.Arbiter, keys map[string]ed25519.PrivateKey, err error) {
	if credit != ledger.CreditRobust {
		return nil, nil, nil
	}
	keys = make(map[string]ed25519.PrivateKey)
	for _, id := range judges {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, fmt.Errorf("make an arbiter's key: %w", err)
		}
		keys[id] = key
		arbiters = append(arbiters, ledger.Arbiter{ID: id, PublicKey: seal.FormatKey(public)})
	}
	return arbiters, keys, nil
}

// enrolCulprit registers a culprit as anyone else; the centre knows of nothing.
func (g *grid) enrolCulprit(ctx context.Context, c *culprit) error {
	err := g.centre.Register(ctx, &fairwattpb.Registration{
		Id: c.id, Site: "site-" + c.id, Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_SELLER}, Simulated: true, MeterClassE4: gridMeterClassE4,
		PublicKey: string(seal.FormatKey(c.key.Public().(ed25519.PublicKey))),
	})
	if err == nil && g.cfg.Settlement == ledger.SettleByMeters {
		err = g.centre.RegisterMeter(ctx, &fairwattpb.MeterRegistration{
			Meter: c.meter, Owner: c.id, Site: "site-" + c.id, Direction: fairwattpb.MeterDirection_METER_DIRECTION_EXPORT, Serial: c.meter,
			ClassE4: gridMeterClassE4, RatedW: ledger.MaxRatedW,
		})
	}
	if err == nil && g.cfg.credit() == ledger.CreditRobust {
		err = g.centre.Deposit(ctx, &fairwattpb.Deposit{To: c.id, AmountMicro: openingBond, Reference: "bond-" + c.id, Bond: true})
	}
	if err != nil {
		return fmt.Errorf("register %s: %w", c.id, err)
	}
	return nil
}

// cheat plays the culprits until the context ends, and the judges look at what they did.
func (g *grid) cheat(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for _, c := range g.culprits {
		all.Go(func() error {
			for after(ctx, culpritEvery) {
				// What is open at the end says nothing of anyone.
				quiet := g.cfg.For > 0 && time.Since(begun) > g.cfg.For-culpritQuiet
				if err := g.cheatOnce(ctx, c, quiet); err != nil {
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
	if c.counter == 0 {
		return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}})
	}
	now := time.Now().UnixMilli()
	trades := state.Trades(func(t *ledger.Trade) bool { return t.Seller == c.id && !t.Ended() })
	for _, t := range trades {
		switch {
		case c.kind == NoStart:
		case t.Status == wire.StatusPaid:
			attestation, err := c.attest(state.ChainID(), now)
			if err != nil {
				return err
			}
			return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{
				TradeId: t.ID, Attestation: attestation, Reading: c.reading(now)}}})
		case t.Status == wire.StatusDelivering && state.TimeMs() >= t.DeliverByMs-g.community.Genesis.Params.DeliverByMs && now-(t.DeliverByMs-g.community.Genesis.Params.DeliverByMs) > culpritLasts:
			return g.send(ctx, state, c, c.bill(&t, now))
		}
	}
	standing := slices.ContainsFunc(state.Offers(), func(o ledger.Offer) bool { return o.Seller == c.id })
	if a, _ := state.Account(c.id); len(trades) > 0 || standing || quiet || a.Blacklisted {
		return nil
	}
	c.offers++
	return g.send(ctx, state, c, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
		OfferId: fmt.Sprintf("%s-offer-%d", c.id, c.offers), VolumeWh: culpritVolumeWh, PriceMicroPerKwh: culpritPrice, ExpiresMs: now + 60_000}}})
}

func (c *culprit) reading(nowMs int64) *fairwattpb.MeterReading {
	return &fairwattpb.MeterReading{Meter: c.meter, RegisterWh: c.registerWh, TimeMs: nowMs}
}

// bill is the lie.
func (c *culprit) bill(t *ledger.Trade, nowMs int64) *fairwattpb.Record {
	b := &fairwattpb.Bill{TradeId: t.ID, PayId: []byte(t.PayID)}
	if c.kind == Tamper {
		c.registerWh += t.VolumeWh
		b.EnergyWh, b.AmountMicro = t.VolumeWh, t.VolumeWh*t.PriceMicroPerKWh/1000
	} else {
		b.AvailableWh = t.VolumeWh
	}
	b.Reading = c.reading(nowMs)
	return &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: b}}
}

func (c *culprit) attest(chain [32]byte, nowMs int64) ([]byte, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.GateAttestation{
		ChainId: chain[:], Device: c.id, GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN, IssuedMs: nowMs, ValidUntilMs: nowMs + 30_000})
	if err != nil {
		return nil, fmt.Errorf("encode a culprit's attestation: %w", err)
	}
	return seal.Seal(c.key, c.id, seal.DomainAttestation, chain, payload)
}

// send puts a culprit's record to every data aggregator and waits for its block.
func (g *grid) send(ctx context.Context, state *ledger.State, c *culprit, r *fairwattpb.Record) error {
	chain := state.ChainID()
	c.counter++
	r.ChainId, r.Sender, r.Counter, r.TimeMs, r.Simulated = chain[:], c.id, c.counter, time.Now().UnixMilli(), true
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a culprit's record: %w", err)
	}
	sealed, err := seal.Seal(c.key, c.id, seal.DomainRecord, chain, payload)
	if err != nil {
		return fmt.Errorf("sign a culprit's record: %w", err)
	}
	for _, node := range g.alive() {
		if err := node.da.Submit(ctx, sealed); err != nil && ctx.Err() == nil {
			g.log.Debug("a culprit's record", "da", node.id, "err", err)
		}
	}
	for limit := time.Now().Add(culpritAnswer); state.LastCounter(c.id) < c.counter && time.Now().Before(limit); {
		if !after(ctx, 20*time.Millisecond) {
			return nil
		}
	}
	return nil
}

// arbitrate has both judges find what is true of the culprits' trades, until the context
// ends.
func (g *grid) arbitrate(ctx context.Context) error {
	if len(g.judgeKeys) == 0 || len(g.culprits) == 0 {
		return nil
	}
	tried := make(map[string]time.Time)
	for after(ctx, culpritEvery) {
		for _, id := range g.accused(g.alive()[0].da.State()) {
			if time.Since(tried[id]) < culpritAnswer {
				continue
			}
			tried[id] = time.Now()
			for _, judge := range judges {
				v := &fairwattpb.Verdict{TradeId: id, Finding: fairwattpb.Finding_FINDING_SELLER, TextHash: make([]byte, 32)}
				limited, cancel := context.WithTimeout(ctx, culpritAnswer)
				if err := g.centre.Verdict(limited, judge, g.judgeKeys[judge], v); err != nil && ctx.Err() == nil {
					g.log.Debug("verdict", "err", err)
				}
				cancel()
			}
		}
	}
	return nil
}

// accused are the culprits' trades that need a verdict: of a gap, or of a false word.
func (g *grid) accused(state *ledger.State) (ids []string) {
	if state.Genesis().Params.Credit != ledger.CreditRobust {
		return nil
	}
	kinds := make(map[string]string, len(g.culprits))
	for _, c := range g.culprits {
		kinds[c.id] = c.kind
	}
	lied := func(t *ledger.Trade) bool {
		kind := kinds[t.Seller]
		return t.EndedMs != 0 && !t.Judged && (kind == Tamper && t.GapMicro > 0 || kind == FalseReady && t.AvailableWh > 0)
	}
	for _, t := range state.Trades(lied) {
		ids = append(ids, t.ID)
	}
	return ids
}

// A Culprit is what became of a trader that lied.
type Culprit struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Trades int    `json:"trades"` // that it was paid for
	// GainMicro is all that its trades brought it; it delivered nothing.
	GainMicro int64 `json:"gain_micro"`
	// LossMicro is the most that one buyer lost by its trades, -1 times what it gained.
	LossMicro int64 `json:"loss_micro"`
	Barred    bool  `json:"barred"`
	Open      int   `json:"open"` // trades not ended, or without the verdict that is due
}

// countCulprits adds up what the culprits' trades moved.
func (g *grid) countCulprits(r *Report, state *ledger.State, moves []ledger.Move) {
	waiting := make(map[string]bool)
	for _, id := range g.accused(state) {
		waiting[id] = true
	}
	for _, c := range g.culprits {
		out := Culprit{Kind: c.kind, ID: c.id}
		mine := make(map[string]bool)
		for _, t := range state.Trades(func(t *ledger.Trade) bool { return t.Seller == c.id }) {
			if !t.Ended() || waiting[t.ID] {
				out.Open++
				continue
			}
			out.Trades++
			mine[t.ID] = true
		}
		sums := make(map[string]int64)
		for _, m := range moves {
			if mine[m.Trade] {
				sums[m.Who] += m.WalletMicro + m.EscrowMicro + m.BondMicro
			}
		}
		out.GainMicro = sums[c.id]
		delete(sums, c.id)
		first := true
		for _, sum := range sums {
			if first || -sum > out.LossMicro {
				out.LossMicro, first = -sum, false
			}
		}
		a, _ := state.Account(c.id)
		out.Barred = a.Blacklisted
		r.Culprits = append(r.Culprits, out)
	}
}
