package ledger_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/wire"
)

// TestFirstRulesStillVerify replays an export that a program made before there was
// a choice of settlement: a trade with a hold, a silent buyer, a dispute, a hold
// that no gate change bears out, a delivery that was never billed. The file is
// never written again.
func TestFirstRulesStillVerify(t *testing.T) {
	b, err := os.ReadFile("testdata/first.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	g, err := ledger.ParseGenesis(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := ledger.NewState(g)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines[1:] {
		cb, err := ledger.DecodeExportLine(line)
		if err != nil {
			t.Fatalf("line %d: %v", i+2, err)
		}
		st, err := s.VerifyCertified(cb)
		if err != nil {
			t.Fatalf("block %d: %v", i+1, err)
		}
		if err := s.Commit(st); err != nil {
			t.Fatal(err)
		}
	}
	root := s.Root()
	if got, want := hex.EncodeToString(root[:]), "fd68ef766634dddbe89c41d56cb874f16bc3ab47696d7f60e3fdbdedb29aa566"; got != want || s.Height() != 43 {
		t.Errorf("height %d, root %s; want 43, %s", s.Height(), got, want)
	}
	by := s.Totals().TradesByStatus
	for status, n := range map[string]int{wire.StatusSettled: 2, wire.StatusSettledPartly: 1, wire.StatusDisputed: 1, wire.StatusFailed: 1} {
		if by[status] != n {
			t.Errorf("%d trades are %s, want %d", by[status], status, n)
		}
	}
}
