package aggregator

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

var _ console.Source = (*DA)(nil)

// history is what the page shows of the chain beyond the state: the newest
// blocks, and when each trade last changed.
type history struct {
	mu      sync.Mutex
	bound   int
	shown   int
	blocks  []console.Block // newest first
	trades  []console.Trade // newest change first
	records uint64
}

type snapshotCache struct {
	version uint64
	snap    *console.Snapshot
}

// load fills the page from the store, so that a restarted DA does not show an
// empty chain.
func (h *history) load(d *DA) error {
	h.bound, h.shown = d.cfg.ShownTrades, d.cfg.ShownBlocks
	top := d.store.Height()
	h.records = d.state.Totals().Records
	from := uint64(1)
	if top > uint64(h.shown) {
		from = top - uint64(h.shown) + 1
	}
	err := d.store.Blocks(from, top, func(height uint64, cb *fairwattpb.CertifiedBlock) error {
		b, err := summary(cb)
		if err != nil {
			return fmt.Errorf("block %d: %w", height, err)
		}
		h.blocks = slices.Insert(h.blocks, 0, b)
		return nil
	})
	if err != nil {
		return err
	}
	trades := d.state.Trades(nil)
	slices.SortFunc(trades, func(a, b ledger.Trade) int {
		return cmp.Or(cmp.Compare(b.OpenedMs, a.OpenedMs), cmp.Compare(a.ID, b.ID))
	})
	for _, t := range trades[:min(len(trades), h.bound)] {
		h.trades = append(h.trades, showTrade(t, 0, t.OpenedMs))
	}
	return nil
}

func (h *history) add(d *DA, st *ledger.Staged, cb *fairwattpb.CertifiedBlock) error {
	b, err := summary(cb)
	if err != nil {
		return err
	}
	changed := make(map[string]bool)
	for _, n := range st.Notices() {
		if n.Trade != nil {
			changed[n.Trade.GetTradeId()] = true
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.blocks = slices.Insert(h.blocks, 0, b)
	h.blocks = h.blocks[:min(len(h.blocks), h.shown)]
	h.records += uint64(b.Records)
	if len(changed) == 0 {
		return nil
	}
	h.trades = slices.DeleteFunc(h.trades, func(t console.Trade) bool { return changed[t.ID] })
	for id := range changed {
		if t, ok := d.state.Trade(id); ok {
			h.trades = slices.Insert(h.trades, 0, showTrade(t, b.Height, b.TimeMs))
		}
	}
	h.trades = h.trades[:min(len(h.trades), h.bound)]
	return nil
}

func summary(cb *fairwattpb.CertifiedBlock) (console.Block, error) {
	header, hash, records, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return console.Block{}, err
	}
	var cert fairwattpb.Certificate
	if err := proto.Unmarshal(cb.GetCertificate(), &cert); err != nil {
		return console.Block{}, fmt.Errorf("certificate: %w", err)
	}
	return console.Block{
		Height: header.GetHeight(), Hash: hex.EncodeToString(hash[:]), TimeMs: header.GetTimeMs(),
		Epoch: header.GetEpoch(), View: header.GetView(), AccountingNode: header.GetAccountingNode(),
		Records: len(records), Bytes: len(cb.GetBlock()), Votes: len(cert.GetVotes()),
	}, nil
}

func showTrade(t ledger.Trade, height uint64, atMs int64) console.Trade {
	volume := t.VolumeWh
	if volume == 0 {
		volume = t.TokenVolumeWh
	}
	return console.Trade{
		ID: t.ID, Status: t.Status, Seller: t.Seller, Buyer: t.Buyer, VolumeWh: volume, EnergyWh: t.BilledWh,
		PriceMicroPerKWh: t.PriceMicroPerKWh, EscrowMicro: t.EscrowMicro, PaidMicro: t.PaidMicro, ReturnedMicro: t.ReturnedMicro,
		HeldByHazard: t.Held, Reason: t.Reason, Height: height, UpdatedMs: atMs,
	}
}

// Wait implements console.Source.
func (d *DA) Wait(ctx context.Context, version uint64) error { return d.version.wait(ctx, version) }

// Trade implements console.Source.
func (d *DA) Trade(id string) (console.Trade, bool) {
	d.history.mu.Lock()
	i := slices.IndexFunc(d.history.trades, func(t console.Trade) bool { return t.ID == id })
	if i >= 0 {
		defer d.history.mu.Unlock()
		return d.history.trades[i], true
	}
	d.history.mu.Unlock()
	t, ok := d.state.Trade(id)
	return showTrade(t, 0, t.OpenedMs), ok
}

// Blocks implements console.Source.
func (d *DA) Blocks(from uint64, limit int) ([]console.Block, error) {
	top := d.app.Height()
	if from == 0 || from > top || limit <= 0 {
		return nil, nil
	}
	to := min(top, from+uint64(limit)-1)
	out := make([]console.Block, 0, to-from+1)
	err := d.store.Blocks(from, to, func(height uint64, cb *fairwattpb.CertifiedBlock) error {
		b, err := summary(cb)
		if err != nil {
			return fmt.Errorf("block %d: %w", height, err)
		}
		out = append(out, b)
		return nil
	})
	return out, err
}

// Snapshot implements console.Source. It is made once a version.
func (d *DA) Snapshot() *console.Snapshot {
	d.snapMu.Lock()
	defer d.snapMu.Unlock()
	version := d.version.value()
	if d.snap.snap != nil && d.snap.version == version {
		return d.snap.snap
	}
	g := d.deps.Genesis
	stats := d.node.Stats()
	s := &console.Snapshot{
		Version: version, TimeMs: d.now().UnixMilli(), Name: g.Name, DA: d.cfg.ID, Software: d.cfg.Software,
		StartedMs: d.started.UnixMilli(), Generators: d.generators(), TradeCount: d.state.Totals().TradesByStatus,
		Counters: d.door.counters(), Tree: d.tree(),
	}
	if fault := d.fault.Load(); fault != nil {
		s.Fault = *fault
	}
	for _, gen := range s.Generators {
		s.Simulated = s.Simulated || gen.Simulated
	}
	s.Counters.Forwarded, s.Counters.Pulled = stats.Forwarded, stats.Pulled
	for _, n := range stats.Missed {
		s.Counters.Missed += n
	}
	s.Counters.BadViews = d.views.badCount()
	s.Chain = console.Chain{
		ID: hex.EncodeToString(d.chain[:]), Height: d.state.Height(), TimeMs: d.state.TimeMs(),
		Epoch: stats.Epoch, View: stats.View, AccountingNode: stats.Leader, ViewChanges: stats.ViewChanges,
		Receipts: d.outbox.sent.Load(), Order: d.state.Order(),
	}
	h := &d.history
	h.mu.Lock()
	s.Chain.Records = h.records
	s.Chain.Blocks = append([]console.Block{}, h.blocks...)
	s.Trades = append([]console.Trade{}, h.trades...)
	h.mu.Unlock()
	d.snap = snapshotCache{version: version, snap: s}
	return s
}

// generators joins what agents say of themselves with what is on the chain. A
// household that only buys judges its connection too, but generates nothing.
func (d *DA) generators() []console.Generator {
	list := slices.DeleteFunc(d.views.list(d.now()), func(g console.Generator) bool {
		p, ok := d.state.Participant(g.ID)
		return !ok || !p.Seller
	})
	for i := range list {
		g := &list[i]
		if p, ok := d.state.Participant(g.ID); ok {
			g.Simulated = g.Simulated || p.Simulated
		}
		if gate, ok := d.state.GateOf(g.ID); ok {
			g.OnChain = gateWord(gate.State)
		}
	}
	return list
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

// tree is the communication tree of the running view, with what the genesis
// says of its nodes and edges.
func (d *DA) tree() console.Tree {
	t := d.node.Tree()
	failed := failedIn(&t)
	index := make(map[string]int, len(t.Members))
	for k, id := range t.Members {
		index[id] = k
	}
	out := console.Tree{Algorithm: string(t.Built.Algorithm), Nodes: []console.Node{}, Edges: []console.Edge{}, Unattached: t.Direct}
	for _, id := range t.Order {
		k := index[id]
		out.Nodes = append(out.Nodes, console.Node{
			ID: id, TrustE4: t.Network.TrustE4[k], Links: t.Network.Links[k], Root: id == t.Root,
			Failed: failed[k], Self: id == d.cfg.ID,
		})
	}
	for _, e := range t.Edges {
		out.Edges = append(out.Edges, console.Edge{
			Parent: e.From, Child: e.To,
			OverheadUs: t.Network.OverheadUs[index[e.From]][index[e.To]], Forwarded: e.Forwarded, Pulled: e.Pulled, Missed: e.Missed,
		})
	}
	return out
}

// failedIn marks the leaders of views 0..k-1 of an epoch, which have failed in
// it, by place in the epoch's order.
func failedIn(t *consensus.Tree) map[int]bool {
	failed := make(map[int]bool)
	for k := range min(t.View, uint64(len(t.Members))) {
		failed[int(k)] = t.Members[k] != t.Root
	}
	return failed
}

// TreeSVG implements console.Source.
func (d *DA) TreeSVG() ([]byte, error) {
	t := d.node.Tree()
	failed := failedIn(&t)
	marks := make(map[int]string)
	for k, id := range t.Members {
		var words []string
		if id == t.Root {
			words = append(words, "root")
		}
		if failed[k] {
			words = append(words, "failed")
		}
		if id == d.cfg.ID {
			words = append(words, "this one")
		}
		marks[k] = strings.Join(words, ", ")
	}
	return wct.SVG(t.Network, t.Built, marks)
}
