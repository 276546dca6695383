package grid

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/outbox"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// backlog is about what an agent gathers in a week without a connection.
const backlog = 10_000

// A device that brings a week's outbox at once, over a real broker to four data
// aggregators, finds all of it on the chain: each record once, in the order of its
// counters, none refused.
func TestBacklogArrivesWhole(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Agents, cfg.Buyers, cfg.For, cfg.Links, cfg.Data = 1, 1, 0, "memory", t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	sent := make(map[[32]byte]uint64) // counters by id
	device := ""
	speak := func(people []*participant) {
		defer stop()
		p := people[0]
		device = p.id
		if err := fill(p, filepath.Join(cfg.Data, "da-1", mc.GenesisFile), sent); err != nil {
			t.Error(err)
			return
		}
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		for p.outbox.Stats().Records > 0 && ctx.Err() == nil {
			select {
			case <-ctx.Done():
				t.Errorf("%d records wait for their outcome", p.outbox.Stats().Records)
			case <-look.C:
			}
		}
	}
	log := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError}))
	report, _, err := run(ctx, cfg, Options{Software: "test", Logger: log, Out: io.Discard, speak: speak})
	if err != nil {
		t.Fatal(err)
	}
	onChain, overtaken, last := 0, 0, uint64(0)
	err = everyRecord(filepath.Join(cfg.Data, "da-1"), func(c *ledger.Checked, said *fairwattpb.Outcome) {
		if c.Record.GetSender() != device {
			return
		}
		if n := c.Record.GetCounter(); n <= last {
			overtaken++
		} else {
			last = n
		}
		if _, ours := sent[c.ID]; !ours {
			return
		}
		onChain++
		if !said.GetApplied() {
			t.Errorf("counter %d: refused with %s", c.Record.GetCounter(), said.GetCode())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// A new leader may lack what came to the one before, and takes it up later: within the
	// window of counters the ledger takes that, too.
	if onChain != backlog || overtaken > 0 && report.ViewChanges == 0 {
		t.Errorf("%d of %d records stand on the chain, %d behind a greater counter, %d view changes", onChain, backlog, overtaken, report.ViewChanges)
	}
}

// fill puts the backlog into the outbox of a running agent: what persons said, as
// it changes nothing else.
func fill(p *participant, genesis string, sent map[[32]byte]uint64) error {
	g, err := mc.ReadGenesis(genesis)
	if err != nil {
		return err
	}
	chain := g.ChainID()
	var all outbox.Commit
	for i := range backlog {
		all.Record = append(all.Record, outbox.Entry{Build: func(counter uint64) ([]byte, error) {
			payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
				ChainId: chain[:], Sender: p.id, Counter: counter, TimeMs: time.Now().UnixMilli(), Simulated: true,
				Body: &fairwattpb.Record_Word{Word: &fairwattpb.Word{
					Kind: fairwattpb.WordKind_WORD_KIND_ACK, Rule: "W01", By: "Ada", Why: fmt.Sprint("of the week, ", i),
				}},
			})
			if err != nil {
				return nil, err
			}
			sealed, err := seal.Seal(p.key, p.id, seal.DomainRecord, chain, payload)
			if err == nil {
				sent[seal.ID(sealed)] = counter
			}
			return sealed, err
		}})
	}
	_, err = p.outbox.Commit(time.Now().UnixMilli(), all)
	return err
}

// everyRecord reads the chain in a data aggregator's folder, with the outcomes that
// follow from it.
func everyRecord(dir string, look func(*ledger.Checked, *fairwattpb.Outcome)) error {
	g, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
	if err != nil {
		return err
	}
	s, err := store.Open(filepath.Join(dir, "chain.db"), g.ChainID())
	if err != nil {
		return err
	}
	defer s.Close() // read only: nothing to lose
	state, err := ledger.NewState(g)
	if err != nil {
		return err
	}
	return s.Blocks(1, s.Height(), func(_ uint64, cb *fairwattpb.CertifiedBlock) error {
		st, err := state.VerifyCertified(cb)
		if err != nil {
			return err
		}
		for i, c := range st.Records() {
			look(c, st.Outcomes()[i])
		}
		return state.Commit(st)
	})
}
