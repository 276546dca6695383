package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// byBlocksAndByTime runs a test over a chain whose epochs end by blocks, and over one
// whose epochs end at the same blocks by time.
func byBlocksAndByTime(t *testing.T, test func(t *testing.T, dir string)) {
	for name, byTime := range map[string]bool{"by blocks": false, "by time": true} {
		t.Run(name, func(t *testing.T) { test(t, changedChain(t, byTime)) })
	}
}

// changedChain is a chain on which a fifth aggregator joins, a key is changed and a
// member leaves. Its epochs end with the blocks 3, 7, 11, 15 and 19.
func changedChain(t *testing.T, byTime bool) string {
	const hour = 3_600_000
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochBlocks = 4
	if byTime {
		g.Params.EpochBlocks, g.Params.EpochMs = 1000, hour
	}
	steps := []func(c *ledgertest.Chain) (string, *fairwattpb.Record){
		1: func(c *ledgertest.Chain) (string, *fairwattpb.Record) { return ledgertest.Centre, c.Admit("da-5") },
		2: func(c *ledgertest.Chain) (string, *fairwattpb.Record) {
			return "da-5", &fairwattpb.Record{Body: &fairwattpb.Record_Rejoin{Rejoin: &fairwattpb.Rejoin{Epoch: c.State.Epoch()}}}
		},
		4:  func(c *ledgertest.Chain) (string, *fairwattpb.Record) { return "da-2", c.Rekey("da-2", "da-2-2") },
		11: func(c *ledgertest.Chain) (string, *fairwattpb.Record) { return ledgertest.Centre, c.Retire("da-1") },
	}
	return dataDir(t, g, 20, func(c *ledgertest.Chain, i int) ([]byte, error) {
		if ended := c.State.Height() > 3 && c.State.EpochFirstHeight() == c.State.Height()+1; ended != slices.Contains([]uint64{7, 11, 15, 19}, c.State.Height()) {
			t.Errorf("block %d ends an epoch: %v", c.State.Height(), ended)
		}
		if byTime {
			c.NowMs += hour / 4
		}
		if i < len(steps) && steps[i] != nil {
			return c.Seal(steps[i](c))
		}
		return c.Seal("seller-1", &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: uint64(i) + 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}})
	})
}

func writeText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestChainVerifyLight: the members are followed from the genesis by the certificates
// alone, and a line that is changed, left out or moved is told.
func TestChainVerifyLight(t *testing.T) { byBlocksAndByTime(t, verifyLight) }

func verifyLight(t *testing.T, dir string) {
	genesis := filepath.Join(dir, genesisFile)
	export, err := runChain("export", "--data", dir, "--light")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(export, "\n")
	lines = lines[:len(lines)-1]
	if len(lines) != 5 { // genesis, three changes, the newest block
		t.Fatalf("%d lines", len(lines))
	}
	verify := func(text string) (string, error) {
		return runChain("verify", "--light", "--genesis", genesis, "--export", writeText(t, text))
	}
	out, err := verify(export)
	if err != nil || !strings.Contains(out, "height     20,") || !strings.Contains(out, "da-2, da-3, da-4, da-5; 3 votes") || !strings.Contains(out, "3 changes") {
		t.Fatalf("%v\n%s", err, out)
	}
	other := ledgertest.Genesis(4, 1, 2)
	otherLine, err := other.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	stranger := string(seal.FormatKey(ledgertest.Key("stranger").Public().(ed25519.PublicKey)))
	for name, text := range map[string]string{
		"another genesis":             string(otherLine) + "\n" + strings.Join(lines[1:], ""),
		"a change again":              lines[0] + lines[1] + lines[1] + strings.Join(lines[2:], ""),
		"changes swapped":             lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""),
		"no change, the newest block": lines[0] + lines[4],
		"another key":                 strings.Replace(export, string(ledgertest.PublicKey("da-5")), stranger, 1),
		"a line behind the newest":    export + lines[3],
		"a line cut off":              export[:len(export)-10],
		"nothing":                     "",
	} {
		if out, err := verify(text); err == nil {
			t.Errorf("%s: valid\n%s", name, out)
		}
	}
	if _, err := runChain("verify", "--light", "--genesis", genesis, "--height", "21", "--export", writeText(t, export)); err == nil || !strings.Contains(err.Error(), "must reach 21") {
		t.Errorf("--height: %v", err)
	}
}

// TestProofBehindAChangeOfMembers: the proof carries the changes, and a genesis alone
// is enough.
func TestProofBehindAChangeOfMembers(t *testing.T) { byBlocksAndByTime(t, proofBehindAChange) }

func proofBehindAChange(t *testing.T, dir string) {
	var ids []string
	err := withChainRecords(t, dir, func(id string) { ids = append(ids, id) })
	if err != nil {
		t.Fatal(err)
	}
	genesis := filepath.Join(dir, genesisFile)
	for height, changes := range map[int]int{1: 0, 3: 0, 4: 1, 20: 3} {
		proof, err := runChain("prove", "--data", dir, "--record", ids[height-1])
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(proof, `"turns"`); (n > 0) != (changes > 0) {
			t.Errorf("height %d: %d times turns in the proof", height, n)
		}
		if out, err := runChain("verify", "--genesis", genesis, "--proof", writeText(t, proof)); err != nil {
			t.Errorf("height %d: %v\n%s", height, err, out)
		}
	}
}

func withChainRecords(t *testing.T, dir string, fn func(id string)) error {
	t.Helper()
	out, err := runChain("export", "--data", dir)
	if err != nil {
		return err
	}
	_, next, err := readExport(strings.NewReader(out))
	if err != nil {
		return err
	}
	for {
		cb, err := next()
		if cb == nil || err != nil {
			return err
		}
		_, _, records, err := ledger.DecodeBlock(cb.GetBlock())
		if err != nil {
			return err
		}
		for _, r := range records {
			id := seal.ID(r)
			fn(hex.EncodeToString(id[:]))
		}
	}
}

// TestJoinRequest: what da join writes is what mc admit reads, with a certificate that
// fits the key; a request of another chain, or with another's proof, is refused.
func TestJoinRequest(t *testing.T) {
	community := filepath.Join(t.TempDir(), "community")
	var out, errOut strings.Builder
	call := func(args ...string) int {
		out.Reset()
		errOut.Reset()
		return run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	}
	if code := call("mc", "init", "--dir", community); code != 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	genesis, ca := filepath.Join(community, "genesis.json"), filepath.Join(community, "ca.crt")
	dir := filepath.Join(t.TempDir(), "da-5")
	join := []string{"da", "join", "--dir", dir, "--id", "da-5", "--address", "127.0.0.1:9005", "--genesis", genesis, "--ca", ca}
	if code := call(join...); code != 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	if code := call(join...); code != 1 {
		t.Errorf("again in the same folder: exit %d, want 1: a key must not be overwritten", code)
	}
	g, err := readGenesis(genesis)
	if err != nil {
		t.Fatal(err)
	}
	j, err := mc.ReadJoin(filepath.Join(dir, mc.RequestFile), g)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := mc.OpenAuthority(community)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.SignJoin(j, filepath.Join(dir, "tls.crt"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := mc.ReadPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")); err != nil {
		t.Error(err)
	}
	config := newDAConfig()
	if err := readConfig(filepath.Join(dir, "da.yaml"), &config); err != nil {
		t.Errorf("da.yaml: %v", err)
	}
	if code := call("da", "rekey", "--config", filepath.Join(dir, "da.yaml")); code != 0 {
		t.Errorf("exit %d: %s", code, errOut.String())
	}
	if _, err := mc.ReadJoin(filepath.Join(dir, "rekey-"+mc.RequestFile), g); err != nil {
		t.Error(err)
	}
	if _, err := mc.ReadJoin(filepath.Join(dir, mc.RequestFile), ledgertest.Genesis(4, 1, 1)); err == nil || !strings.Contains(err.Error(), "chain") {
		t.Errorf("a request of another chain: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, mc.RequestFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mc.ReadJoin(writeText(t, strings.Replace(string(b), `"da-5"`, `"da-6"`, 1)), g); err == nil || !strings.Contains(err.Error(), "proof") {
		t.Errorf("a request in another name: %v", err)
	}
}
