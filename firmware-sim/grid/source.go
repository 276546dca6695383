package grid

import (
	"context"
	"fmt"
	"io"
	"time"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/wire"
)

// A source shows the page one data aggregator's snapshot, and another's when that
// one is gone.
type source struct{ g *grid }

func (s *source) node() console.Source {
	alive := s.g.alive()
	// The last one is never the root, so the page outlives a killed root. One that joins in
	// the run has counted less.
	last := len(alive) - 1
	if alive[last].joins {
		last--
	}
	return alive[last].da
}

// Snapshot implements console.Source.
func (s *source) Snapshot() *console.Snapshot { return s.g.snapshot() }

// Wait implements console.Source.
func (s *source) Wait(ctx context.Context, version uint64) error { return s.node().Wait(ctx, version) }

// Blocks implements console.Source.
func (s *source) Blocks(from uint64, limit int) ([]console.Block, error) {
	return s.node().Blocks(from, limit)
}

// Trade implements console.Source.
func (s *source) Trade(id string) (console.Trade, bool) { return s.node().Trade(id) }

// Standing implements console.Source.
func (s *source) Standing(da string) (*ledger.Standing, bool) { return s.node().Standing(da) }

// TreeSVG implements console.Source.
func (s *source) TreeSVG() ([]byte, error) { return s.node().TreeSVG() }

// Archive implements console.Source.
func (s *source) Archive() console.Archive { return s.node().Archive() }

// Measures implements console.Source.
func (s *source) Measures() *console.Measures { return s.node().Measures() }

// snapshot is what the page shows: one data aggregator's snapshot, with the
// relay's counts of all of them.
func (g *grid) snapshot() *console.Snapshot {
	if len(g.nodes) == 0 {
		return &console.Snapshot{}
	}
	snap := *(&source{g}).node().Snapshot()
	relay := g.relay()
	snap.Counters.Forwarded, snap.Counters.Pulled = relay.Forwarded, relay.Pulled
	return &snap
}

// relay sums the blocks that all data aggregators forwarded and pulled.
func (g *grid) relay() Relay {
	var r Relay
	for _, n := range g.nodes {
		stats := n.da.Stats()
		r.Forwarded += stats.Forwarded
		r.Pulled += stats.Pulled
	}
	if g.dropper != nil {
		r.Forwarded -= min(r.Forwarded, g.dropper.withheld.Load())
	}
	return r
}

// A progress rewrites one line on a terminal.
type progress struct {
	out     io.Writer
	ticker  *time.Ticker
	started time.Time
	length  time.Duration
}

func newProgress(opts Options, length time.Duration) *progress {
	p := &progress{out: opts.Out, started: time.Now(), length: length}
	if opts.Progress {
		p.ticker = time.NewTicker(time.Second)
	}
	return p
}

// tick never fires if Options.Progress is false.
func (p *progress) tick() <-chan time.Time {
	if p.ticker == nil {
		return nil
	}
	return p.ticker.C
}

func (p *progress) show(s *console.Snapshot) {
	open := 0
	for _, g := range s.Generators {
		if g.State == wire.GateOpen {
			open++
		}
	}
	of := ""
	if p.length > 0 {
		of = fmt.Sprintf(" of %v", p.length)
	}
	fmt.Fprintf(p.out, "\r\033[K%v%s: block %d, epoch %d, %d trades settled, %d of %d gates open",
		time.Since(p.started).Round(time.Second), of, s.Chain.Height, s.Chain.Epoch,
		s.TradeCount[wire.StatusSettled]+s.TradeCount[wire.StatusSettledPartly], open, len(s.Generators))
}

func (p *progress) close() {
	if p.ticker != nil {
		p.ticker.Stop()
		fmt.Fprintln(p.out)
	}
}
