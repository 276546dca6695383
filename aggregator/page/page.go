package page

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/history"
	"fairwatt/aggregator/intake"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

var _ console.Source = (*Page)(nil)

// Config says whose page it is and bounds it.
type Config struct {
	DA       string
	Software string // the version shown to people
	Genesis  *ledger.Genesis
	// History is kept beside the chain; nil: nothing is.
	History *history.History
	// Measures are for metrics alone; it may be nil.
	Measures *console.Measures
	// Trades and Blocks bound the page.
	Trades, Blocks int
	// Now is the wall clock.
	Now func() time.Time
}

// Needs are what a Page asks of the rest of the DA.
type Needs struct {
	// Agreement returns what the page shows of consensus.
	Agreement func() Agreement
	// Intake returns the counters of what came in.
	Intake func() intake.Stats
	// Receipts returns how many entries of receipts were sent.
	Receipts func() uint64
	// Nowcasts is what agents tell each other of the weather.
	Nowcasts Nowcasts
	// Brokers returns how many MQTT brokers are connected now, and of how many.
	Brokers func() (connected, all int)
	// CertificateEnds is when the DA's certificate ends; it may be nil.
	CertificateEnds func() time.Time
}

// Agreement is what the page shows of consensus.
type Agreement interface {
	Stats() consensus.Stats
	Tree() consensus.Tree
}

// A Page is what one DA shows.
type Page struct {
	cfg     Config
	chain   [32]byte
	state   *ledger.State
	store   *store.Store
	needs   Needs
	started time.Time

	views   views
	journal journal
	fault   atomic.Pointer[string]
	version *signal

	mu     sync.Mutex
	snap   *console.Snapshot // the newest made
	lostAt time.Time         // since when no broker is connected; zero: one is
	counts tradeCounts
	slots  slotTable

	keeping  error     // the newest, as Keep has told it
	observed time.Time // when the gates were looked at for the history
}

// New returns the page over a chain as it stands. The needs are asked for only
// when something is shown.
func New(cfg Config, state *ledger.State, s *store.Store, needs Needs) (*Page, error) {
	p := &Page{
		cfg: cfg, chain: cfg.Genesis.ChainID(), state: state, store: s, needs: needs, started: cfg.Now(), version: newSignal(),
		journal: journal{state: state, trades: cfg.Trades, shown: cfg.Blocks},
	}
	if err := p.journal.load(s); err != nil {
		return nil, fmt.Errorf("load the page: %w", err)
	}
	if err := p.catchUp(); err != nil {
		return nil, fmt.Errorf("load the history: %w", err)
	}
	return p, nil
}

// Added shows a committed block.
func (p *Page) Added(st *ledger.Staged, votes int) {
	p.journal.add(st, votes)
	p.tell(st)
	p.version.rise()
}

// Refresh makes a new version: ages, gate validity and counters change without
// a block.
func (p *Page) Refresh() { p.version.rise() }

// SetFault shows why the DA takes no part in agreement any more. The first
// reason stays.
func (p *Page) SetFault(err error) {
	text := err.Error()
	p.fault.CompareAndSwap(nil, &text)
	p.version.rise()
}

// Take reads one view of a device. It reports whether the device has just said
// that it is online.
func (p *Page) Take(m mqtt.Message) (cameOnline bool, device wire.Topics, err error) {
	online, t, err := p.views.take(m, p.cfg.Now(), p.registered)
	if err != nil {
		return false, t.Topics, err
	}
	if t.Class == wire.ClassTelemetry {
		p.measured(t.Topics, m.Retained)
		return false, t.Topics, nil // it is shown with the next version: many send often
	}
	p.version.rise()
	return online && !m.Retained, t.Topics, nil
}

func (p *Page) registered(site, device string) bool {
	who, ok := p.state.Participant(device)
	return ok && who.Site == site
}

// Measures implements console.Source.
func (p *Page) Measures() *console.Measures { return p.cfg.Measures }

// Wait implements console.Source.
func (p *Page) Wait(ctx context.Context, version uint64) error { return p.version.wait(ctx, version) }

// Trade implements console.Source.
func (p *Page) Trade(id string) (console.Trade, bool) { return p.journal.trade(id) }

// Blocks implements console.Source.
func (p *Page) Blocks(from uint64, limit int) ([]console.Block, error) {
	top := p.store.Height()
	if from == 0 || from > top || limit <= 0 {
		return nil, nil
	}
	if first := p.store.First(); from < first {
		return nil, fmt.Errorf("block %d: %w", from, notKept(first))
	}
	to := min(top, from+uint64(limit)-1)
	out := make([]console.Block, 0, to-from+1)
	err := p.store.Blocks(from, to, func(height uint64, cb *fairwattpb.CertifiedBlock) error {
		b, _, err := summary(cb)
		if err != nil {
			return fmt.Errorf("block %d: %w", height, err)
		}
		out = append(out, b)
		return nil
	})
	return out, err
}

// Snapshot implements console.Source. It is made once a version.
func (p *Page) Snapshot() *console.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	version := p.version.value()
	if p.snap != nil && p.snap.Version == version {
		if age := now.UnixMilli() - p.snap.TimeMs; age >= 0 && age < freshMs {
			return p.snap
		}
		p.version.rise() // nobody has asked for a refresh, and gates lapse
		version = p.version.value()
	}
	stats := p.needs.Agreement().Stats()
	s := &console.Snapshot{
		Version: version, TimeMs: now.UnixMilli(), Name: p.cfg.Genesis.Name, DA: p.cfg.DA, Software: p.cfg.Software,
		StartedMs: p.started.UnixMilli(), Generators: p.generators(now), TradeCount: p.tradeCount(), Auction: p.auction(),
		Nowcasts: nowcasts(p.needs.Nowcasts), Counters: p.counters(&stats), Tree: p.tree(), Agreement: p.agreement(&stats, now),
	}
	if p.needs.CertificateEnds != nil {
		s.CertificateEndsMs = p.needs.CertificateEnds().UnixMilli()
	}
	s.Fault = stats.Following
	if fault := p.fault.Load(); fault != nil {
		s.Fault = *fault
	}
	for _, gen := range s.Generators {
		s.Simulated = s.Simulated || gen.Simulated
	}
	s.Chain = console.Chain{
		ID: hex.EncodeToString(p.chain[:]), Height: p.state.Height(), TimeMs: p.state.TimeMs(),
		Epoch: stats.Epoch, View: stats.View, AccountingNode: stats.Leader, ViewChanges: stats.ViewChanges,
		Receipts: p.needs.Receipts(), Order: p.state.Order(),
	}
	j := &p.journal
	j.mu.Lock()
	s.Chain.Records = j.records
	s.Chain.Blocks = append([]console.Block{}, j.blocks...)
	s.Trades = append([]console.Trade{}, j.changed...)
	s.Words = append([]console.Word{}, j.words...)
	j.mu.Unlock()
	p.snap = s
	return s
}

func (p *Page) counters(agreement *consensus.Stats) console.Counters {
	in := p.needs.Intake()
	c := console.Counters{
		Received: in.Received, Accepted: in.Accepted, Duplicates: in.Duplicates, Refused: in.Refused, Dropped: in.Dropped, PutOff: in.PutOff,
		Pending: in.Pending, Forwarded: agreement.Forwarded, Pulled: agreement.Pulled, BadViews: p.views.badCount(),
		ATCT: console.Quantiles{N: len(in.FinalMs), P50: in.Quantile(0.50), P95: in.Quantile(0.95), P99: in.Quantile(0.99)},
	}
	for _, n := range agreement.Missed {
		c.Missed += n
	}
	if p.needs.Brokers != nil {
		c.BrokersConnected, c.Brokers = p.needs.Brokers()
	}
	return c
}

// freshMs is how long a snapshot may be shown while nothing happens.
const freshMs = 2000

// lost says what the way to the devices lacks, and since when.
func (p *Page) lost(now time.Time) (string, time.Time) {
	if p.needs.Brokers == nil {
		return "", time.Time{}
	}
	if connected, all := p.needs.Brokers(); connected > 0 || all == 0 {
		p.lostAt = time.Time{}
		return "", time.Time{}
	}
	if p.lostAt.IsZero() {
		p.lostAt = now
	}
	return "this data aggregator has no connection to a broker", p.lostAt
}

// generators joins what agents say of themselves with what is on the chain. A
// household that only buys judges its connection too, but generates nothing.
func (p *Page) generators(now time.Time) []console.Generator {
	lost, lostAt := p.lost(now)
	list := slices.DeleteFunc(p.views.list(now, lost, lostAt), func(g console.Generator) bool {
		who, ok := p.state.Participant(g.ID)
		return !ok || !who.Seller
	})
	offers := p.offers(now)
	for i := range list {
		g := &list[i]
		if o, ok := offers[g.ID]; ok {
			g.Offer = &o
		}
		if who, ok := p.state.Participant(g.ID); ok {
			g.Simulated = g.Simulated || who.Simulated
			g.Membership = membership(&who)
		}
		if gate, ok := p.state.GateOf(g.ID); ok {
			g.OnChain = gateWord(gate.State)
		}
		g.ContactorOnChain = contactorWords[p.state.ContactorOf(g.ID)]
	}
	return list
}

var contactorWords = map[fairwattpb.Contactor]string{
	fairwattpb.Contactor_CONTACTOR_NONE: "none", fairwattpb.Contactor_CONTACTOR_UNWATCHED: "unwatched",
	fairwattpb.Contactor_CONTACTOR_WATCHED: "watched",
}

func gateWord(s fairwattpb.GateState) string {
	switch s {
	case fairwattpb.GateState_GATE_STATE_INIT:
		return wire.GateInit
	case fairwattpb.GateState_GATE_STATE_BLOCKED:
		return wire.GateBlocked
	case fairwattpb.GateState_GATE_STATE_CLEARING:
		return wire.GateClearing
	case fairwattpb.GateState_GATE_STATE_OPEN:
		return wire.GateOpen
	default:
		return "unknown"
	}
}
