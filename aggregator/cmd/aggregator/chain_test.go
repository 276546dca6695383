package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"

	"github.com/spf13/cobra"
)

// chainDir makes a data directory with a chain of the given height.
func chainDir(t *testing.T, blocks int) string {
	t.Helper()
	return dataDir(t, ledgertest.Genesis(4, 1, 1), blocks, func(c *ledgertest.Chain, i int) ([]byte, error) {
		return c.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
			To: "buyer-1", AmountMicro: 5, Reference: fmt.Sprintf("deposit-%d", i),
		}}})
	})
}

// dataDir makes a data directory with a chain of blocks of one record each.
func dataDir(t *testing.T, g *ledger.Genesis, blocks int, record func(c *ledgertest.Chain, i int) ([]byte, error)) string {
	t.Helper()
	dir := t.TempDir()
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Genesis.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, genesisFile), append(b, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(dir, chainFile), c.State.ChainID())
	if err != nil {
		t.Fatal(err)
	}
	for i := range blocks {
		sealed, err := record(c, i)
		if err != nil {
			t.Fatal(err)
		}
		st, err := c.Advance(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(st, c.Blocks[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runChain(args ...string) (string, error) {
	root := &cobra.Command{Use: "aggregator", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(chainCommand())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(append([]string{"chain"}, args...))
	err := root.Execute()
	return out.String(), err
}

func verifyText(t *testing.T, dir, export string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chain.jsonl")
	if err := os.WriteFile(path, []byte(export), 0o600); err != nil {
		t.Fatal(err)
	}
	return runChain("verify", "--genesis", filepath.Join(dir, genesisFile), "--export", path)
}

func TestChainExportVerify(t *testing.T) {
	dir := chainDir(t, 4)
	export, err := runChain("export", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(export, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	if len(lines) != 5 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, args := range [][]string{{"--data", dir}, {"--data", dir, "--genesis", filepath.Join(dir, genesisFile)}} {
		out, err := runChain(append([]string{"verify"}, args...)...)
		if err != nil || !strings.Contains(out, "height      4") {
			t.Errorf("verify %v: %v\n%s", args, err, out)
		}
	}
	if out, err := verifyText(t, dir, export); err != nil || !strings.Contains(out, "0.000020 deposited") {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, tampered := range map[string]string{
		"a block left out":    lines[0] + lines[1] + lines[3] + lines[4],
		"two blocks swapped":  lines[0] + lines[1] + lines[3] + lines[2] + lines[4],
		"a block twice":       lines[0] + lines[1] + lines[2] + lines[2] + lines[3],
		"the last line cut":   export[:len(export)-1],
		"cut inside a line":   export[:len(export)-100],
		"another height":      strings.Replace(export, `{"height":3,`, `{"height":4,`, 1),
		"another decoded sum": strings.Replace(export, `"amount_micro":5`, `"amount_micro":6`, 1),
		"an empty line":       lines[0] + "\n" + lines[1],
		"no genesis":          lines[1],
	} {
		_, err := verifyText(t, dir, tampered)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), "height ") && name != "no genesis" {
			t.Errorf("%s: no height in %q", name, err)
		}
	}
	if _, err := runChain("verify", "--data", dir, "--height", "5"); err == nil {
		t.Error("a chain that is too short was accepted")
	}
	if out, err := runChain("show", "--data", dir); err != nil || !strings.Contains(out, "da-1") {
		t.Errorf("show: %v\n%s", err, out)
	}
	if out, err := runChain("show", "--data", dir, "--height", "2"); err != nil || !strings.Contains(out, "deposit-1") {
		t.Errorf("show --height 2: %v\n%s", err, out)
	}
}

// TestEveryByteCounts changes every byte of one export, one at a time.
func TestEveryByteCounts(t *testing.T) {
	dir := chainDir(t, 1)
	export, err := runChain("export", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifyText(t, dir, export); err != nil {
		t.Fatal(err)
	}
	genesis, err := readGenesis(filepath.Join(dir, genesisFile))
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(export, '\n') + 1
	for i := first; i < len(export); i++ {
		tampered := []byte(export)
		tampered[i] ^= byte(1 + i%255)
		g, next, err := readExport(bytes.NewReader(tampered))
		if err != nil {
			t.Fatal(err) // the genesis line is untouched
		}
		if g.ChainID() != genesis.ChainID() {
			t.Fatal("genesis changed")
		}
		state, err := ledger.NewState(g)
		if err != nil {
			t.Fatal(err)
		}
		cb, err := next()
		if err == nil {
			_, err = state.VerifyCertified(cb)
		}
		if err == nil {
			t.Fatalf("byte %d (%q) changed to %q: accepted", i-first, export[i], tampered[i])
		}
	}
}

func TestChainUsage(t *testing.T) {
	dir := chainDir(t, 0)
	for _, args := range [][]string{
		{"verify"},
		{"verify", "--data", dir, "--export", "x"},
		{"verify", "--data", filepath.Join(dir, "none")},
		{"verify", "--export", filepath.Join(dir, "none")},
		{"export"},
		{"export", "--data", dir, "--from", "3", "--to", "2"},
		{"show"},
		{"show", "--data", dir, "--height", "9"},
	} {
		if _, err := runChain(args...); err == nil {
			t.Errorf("chain %v: no error", args)
		}
	}
	if out, err := runChain("verify", "--data", dir); err != nil || !strings.Contains(out, "height      0") {
		t.Errorf("empty chain: %v\n%s", err, out)
	}
}

// A proof made of a chain stands with the genesis alone, and no longer when it is
// changed.
func TestChainProve(t *testing.T) {
	dir := chainDir(t, 3)
	decoded, err := runChain("show", "--data", dir, "--height", "2", "--json")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(decoded, `"records":[{"id":"`)
	id := rest[:64]
	genesis := filepath.Join(dir, genesisFile)
	for _, record := range []string{id, strings.ToUpper(id), id[:16], id[:17]} {
		proof, err := runChain("prove", "--record", record, "--data", dir)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "proof.json")
		if err := os.WriteFile(path, []byte(proof), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := runChain("verify", "--genesis", genesis, "--proof", path)
		for _, want := range []string{"proven", id, "applied", "height   2", "da-1, da-2, da-3"} {
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("verify: %v, no %q in\n%s", err, want, out)
			}
		}
		if out, err := runChain("verify", "--genesis", genesis, "--proof", path, "--json"); err != nil || !strings.Contains(out, `"proven":true`) {
			t.Errorf("verify --json: %v\n%s", err, out)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(proof, `"applied":true`, `"applied":false`, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := runChain("verify", "--genesis", genesis, "--proof", path); err == nil {
			t.Errorf("a changed proof is taken:\n%s", out)
		}
	}
	for name, args := range map[string][]string{
		"no genesis":      {"verify", "--proof", genesis},
		"no proof":        {"verify", "--genesis", genesis, "--proof", genesis},
		"two sources":     {"verify", "--genesis", genesis, "--proof", genesis, "--data", dir},
		"a short id":      {"prove", "--record", id[:15], "--data", dir},
		"not hex":         {"prove", "--record", "x" + id[1:], "--data", dir},
		"no such record":  {"prove", "--record", strings.Repeat("0", 64), "--data", dir},
		"no place named":  {"prove", "--record", id},
		"a long id":       {"prove", "--record", id + "00", "--data", dir},
		"a missing chain": {"prove", "--record", id, "--export", filepath.Join(dir, "none")},
	} {
		if out, err := runChain(args...); err == nil {
			t.Errorf("%s: no error\n%s", name, out)
		}
	}
}
