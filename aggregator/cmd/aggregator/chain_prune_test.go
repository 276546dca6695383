package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/snapshot"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// TestChainPrune: old blocks go into archives that verify together with the rest, joined
// by hash; what needs them says so; what needs the members alone does not.
func TestChainPrune(t *testing.T) { byBlocksAndByTime(t, chainPrune) }

func chainPrune(t *testing.T, dir string) {
	genesis := filepath.Join(dir, genesisFile)
	var ids []string
	if err := withChainRecords(t, dir, func(id string) { ids = append(ids, id) }); err != nil {
		t.Fatal(err)
	}
	whole, err := runChain("verify", "--genesis", genesis, "--data", dir, "--json")
	if err != nil {
		t.Fatal(err)
	}
	first, second, third := filepath.Join(t.TempDir(), "1.jsonl"), filepath.Join(t.TempDir(), "2.jsonl"), filepath.Join(t.TempDir(), "3.jsonl")
	if _, err := runChain("prune", "--data", dir, "--archive", first, "--keep", "1"); err == nil || !strings.Contains(err.Error(), "no snapshot") {
		t.Fatalf("without a snapshot: %v", err)
	}
	snapshotAt(t, dir, 7)
	out, err := runChain("prune", "--data", dir, "--archive", first, "--keep", "1")
	if err != nil || !strings.Contains(out, "blocks 1 to 7 ") { // not beyond the snapshot
		t.Fatalf("%v\n%s", err, out)
	}
	snapshotAt(t, dir, 15, first)
	if _, err := runChain("prune", "--data", dir, "--archive", first, "--keep", "1"); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Fatalf("over an archive: %v", err)
	}
	out, err = runChain("prune", "--data", dir, "--archive", second, "--keep", "2")
	if err != nil || !strings.Contains(out, "blocks 8 to 11 ") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err = runChain("prune", "--data", dir, "--archive", third, "--keep", "2"); err != nil || !strings.Contains(out, "nothing to prune") {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(third); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an archive of nothing: %v", err)
	}
	joined, err := runChain("verify", "--genesis", genesis, "--archive", first, "--archive", second, "--data", dir, "--json")
	if err != nil || joined != whole || !json.Valid([]byte(joined)) {
		t.Errorf("joined: %v\n%s\nwhole:\n%s", err, joined, whole)
	}
	for name, args := range map[string][]string{
		"without the archives":  {"--data", dir},
		"without the second":    {"--archive", first, "--data", dir},
		"without the first":     {"--archive", second, "--data", dir},
		"in the wrong order":    {"--archive", second, "--archive", first, "--data", dir},
		"one of them twice":     {"--archive", first, "--archive", first, "--archive", second, "--data", dir},
		"of another chain":      {"--archive", otherExport(t), "--data", dir},
		"an archive, no chain":  {"--archive", first},
		"the second as a whole": {"--export", second},
	} {
		if out, err := runChain(append([]string{"verify", "--genesis", genesis}, args...)...); err == nil {
			t.Errorf("%s: valid\n%s", name, out)
		}
	}
	if out, err := runChain("verify", "--genesis", genesis, "--export", first); err != nil || !strings.Contains(out, "height      7") {
		t.Errorf("the first archive alone: %v\n%s", err, out)
	}
	if _, err := runChain("verify", "--genesis", genesis, "--data", dir); err == nil || !strings.Contains(err.Error(), "blocks 1 to 11 are not kept here") {
		t.Errorf("without the archives: %v", err)
	}
	proof, err := runChain("prove", "--archive", first, "--archive", second, "--data", dir, "--record", ids[9])
	if err != nil {
		t.Fatal(err)
	}
	if out, err := runChain("verify", "--genesis", genesis, "--proof", writeText(t, proof)); err != nil {
		t.Errorf("a proof from an archive: %v\n%s", err, out)
	}
	if _, err := runChain("show", "--data", dir, "--height", "4"); !errors.Is(err, store.ErrArchived) {
		t.Errorf("show: %v", err)
	}
	if _, err := runChain("show", "--data", dir); err != nil {
		t.Errorf("show what is there: %v", err)
	}
	light, err := runChain("export", "--light", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := runChain("verify", "--light", "--genesis", genesis, "--export", writeText(t, light)); err != nil || !strings.Contains(out, "3 changes") {
		t.Errorf("light: %v\n%s", err, out)
	}
}

// snapshotAt keeps in a data directory the snapshot behind a block of its chain.
func snapshotAt(t *testing.T, dir string, height uint64, archives ...string) {
	t.Helper()
	c := chainSource{data: dir, archives: archives}
	err := c.withStore(func(g *ledger.Genesis, s *store.Store, next chainReader) error {
		state, err := execute(g, next, func(state *ledger.State, _ *ledger.Staged, _ *fairwattpb.CertifiedBlock) (bool, error) {
			return state.Height() < height, nil
		})
		if err != nil {
			return err
		}
		turns, err := state.TurnsBelow(height, s.Turn)
		if err != nil {
			return err
		}
		cb, err := s.Block(height)
		if err != nil {
			return err
		}
		return snapshot.Folder(filepath.Join(dir, aggregator.SnapshotFolder)).Keep(height,
			&snapshot.Snapshot{Chain: state.ChainID(), Turns: turns, Block: cb, Entries: state.Entries()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func otherExport(t *testing.T) string {
	t.Helper()
	export, err := runChain("export", "--data", dataDir(t, ledgertest.Genesis(4, 1, 2), 3, func(c *ledgertest.Chain, i int) ([]byte, error) {
		return c.Seal("seller-1", &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: uint64(i) + 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}})
	}))
	if err != nil {
		t.Fatal(err)
	}
	return writeText(t, export)
}
