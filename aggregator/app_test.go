package aggregator

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/peer"
)

// newDA returns a DA that is not run, and the clock it reads.
func newDA(t *testing.T, g *ledger.Genesis) (*app, *time.Time) {
	t.Helper()
	now := time.UnixMilli(ledgertest.StartMs + 60_000)
	net := peer.NewMemory(peer.MemoryConfig{Seed: 1})
	d, err := New(Config{ID: "da-1", Dir: t.TempDir()}, Deps{
		Genesis: g, Key: ledgertest.Key("da-1"), Link: net.Join("da-1"),
		Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d.app, &now
}

// TestVerifyLooksAtTheClock: a block is voted for when its time is skew_ms at
// most from this DA's own clock, either way.
func TestVerifyLooksAtTheClock(t *testing.T) {
	g := ledgertest.Genesis(4, 1, 1)
	a, now := newDA(t, g)
	at := now.UnixMilli()
	for _, c := range []struct {
		behind int64 // the block's time, behind the clock
		good   bool
	}{
		{g.Params.SkewMs, true}, {g.Params.SkewMs + 1, false}, {-g.Params.SkewMs, true}, {-g.Params.SkewMs - 1, false}, {0, true},
	} {
		other, err := ledger.NewState(g)
		if err != nil {
			t.Fatal(err)
		}
		st, _, err := other.Build(ledger.HeaderFields{Epoch: 1, AccountingNode: "da-1", TimeMs: at}, nil)
		if err != nil {
			t.Fatal(err)
		}
		*now = time.UnixMilli(at + c.behind)
		// Twice: a block that was staged before is held to the clock as well.
		for range 2 {
			if _, err := a.Verify(st.Block(), 1, 0, "da-1"); c.good != (err == nil) || !c.good && !strings.Contains(err.Error(), "skew_ms") {
				t.Errorf("%d ms behind the clock: %v", c.behind, err)
			}
		}
	}
}

// TestVerifyHoldsTheBlockToAgreement: epoch, view and accounting node are those
// agreed on.
func TestVerifyHoldsTheBlockToAgreement(t *testing.T) {
	a, _ := newDA(t, ledgertest.Genesis(4, 1, 1))
	block, err := a.Propose(t.Context(), 1, 0, "da-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		epoch, view uint64
		leader      string
		good        bool
	}{{1, 0, "da-1", true}, {2, 0, "da-1", false}, {1, 4, "da-1", false}, {1, 0, "da-2", false}} {
		if _, err := a.Verify(block, c.epoch, c.view, c.leader); c.good != (err == nil) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	// Other bytes under the same header are another block, staged or not.
	if _, err := a.Verify(append(block[:len(block):len(block)], 0x12, 1, 'x'), 1, 0, "da-1"); err == nil {
		t.Error("a block with a record more was taken for the one staged")
	}
}

// TestProposeAfterTheBlockBelow: block time is the clock, but always later than
// the block below.
func TestProposeAfterTheBlockBelow(t *testing.T) {
	a, now := newDA(t, ledgertest.Genesis(4, 1, 1))
	for clock, want := range map[int64]int64{
		ledgertest.StartMs + 5: ledgertest.StartMs + 5, ledgertest.StartMs: ledgertest.StartMs + 1, ledgertest.StartMs - 1000: ledgertest.StartMs + 1,
	} {
		*now = time.UnixMilli(clock)
		block, err := a.Propose(t.Context(), 1, 0, "da-1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if h, _, _, err := ledger.DecodeBlock(block); err != nil || h.GetTimeMs() != want {
			t.Errorf("clock %d: block time %d, want %d", clock, h.GetTimeMs(), want)
		}
	}
}

// TestFolderOfOneChain: a DA keeps its genesis in its folder, opens that folder
// again, and refuses it for another chain.
func TestFolderOfOneChain(t *testing.T) {
	g, other := ledgertest.Genesis(4, 1, 1), ledgertest.Genesis(4, 1, 1)
	other.Name = "other"
	dir := t.TempDir()
	path := filepath.Join(dir, GenesisFile)
	if err := keepGenesis(dir, g); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := ledger.ParseGenesis(want); err != nil || kept.ChainID() != g.ChainID() {
		t.Fatalf("kept %.80s, %v", want, err)
	}
	if err := keepGenesis(dir, g); err != nil {
		t.Errorf("the same chain again: %v", err)
	}
	if err := os.WriteFile(path, []byte(strings.TrimSuffix(string(want), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keepGenesis(dir, g); err != nil {
		t.Errorf("the same chain without the newline: %v", err)
	}
	if err := keepGenesis(dir, other); err == nil || !strings.Contains(err.Error(), "holds another chain") {
		t.Errorf("another chain: %v", err)
	}
	have, err := os.ReadFile(path)
	if kept, parseErr := ledger.ParseGenesis(have); err != nil || parseErr != nil || kept.ChainID() != g.ChainID() {
		t.Errorf("the genesis was changed: %v, %v", err, parseErr)
	}
	// What is in the way of the genesis is an error and not another chain.
	blocked := t.TempDir()
	if err := os.Mkdir(filepath.Join(blocked, GenesisFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := keepGenesis(blocked, g); err == nil || errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "another chain") {
		t.Errorf("a folder in place of the file: %v", err)
	}
}
