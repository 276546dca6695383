package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// A warning has a begin before its end, and begins now where nothing is said.
func TestWarningOf(t *testing.T) {
	now := time.Date(2026, 11, 27, 6, 0, 0, 0, time.UTC)
	n, err := warningOf("hill", "wind", "", "2026-11-28T07:00:00+01:00", now)
	if err != nil || n.Area != "hill" || n.Kind != "wind" || n.FromMs != now.UnixMilli() || n.UntilMs != now.Add(24*time.Hour).UnixMilli() {
		t.Errorf("%v, %v", n, err)
	}
	if n, err = warningOf("hill", "wind", "2026-11-27T05:00:00Z", "2026-11-27T06:00:00Z", now); err != nil || n.FromMs != now.Add(-time.Hour).UnixMilli() {
		t.Errorf("%v, %v", n, err)
	}
	for _, c := range [][2]string{{"", "tomorrow"}, {"today", "2026-11-28T06:00:00Z"}, {"", "2026-11-27T06:00:00Z"}, {"2026-11-29T06:00:00Z", "2026-11-28T06:00:00Z"}} {
		if _, err := warningOf("hill", "wind", c[0], c[1], now); !isUsage(err) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// The hash is that of the file as it is; there has to be one.
func TestHashOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gale.xml")
	if err := os.WriteFile(file, []byte("<alert/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256([]byte("<alert/>"))
	if h, err := hashOf(file, "source", 8); err != nil || string(h) != string(want[:]) {
		t.Errorf("%x, %v", h, err)
	}
	if _, err := hashOf(file, "source", 7); err == nil {
		t.Error("a file that is too long")
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + "-2"} {
		if _, err := hashOf(name, "source", 8); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A new chain has the excuses that it is told, and none where nothing is said.
func TestInitExcuses(t *testing.T) {
	for excuses, want := range map[string]int64{"": 0, ledger.ExcusesByHolds: 0, ledger.ExcusesWitnessed: 600_000} {
		p, err := initParams("oct", ledger.SettleByMeters, ledger.CreditRobust, ledger.AnswersByCentre, excuses, 0, false)
		if err != nil || p.Excuses != excuses || p.WitnessMs != want || p.Validate() != nil {
			t.Errorf("%s: %v, %+v", excuses, err, p)
		}
	}
	for credit, excuses := range map[string]string{ledger.CreditRobust: "luck", ledger.CreditPaper: ledger.ExcusesWitnessed} {
		if _, err := initParams("oct", ledger.SettleByMeters, credit, ledger.AnswersByCentre, excuses, 0, false); !isUsage(err) {
			t.Errorf("%s with %s: %v", excuses, credit, err)
		}
	}
}

// market why names who bears a hold out, with the hazard that it was.
func TestMarketWhyNamesTheWitness(t *testing.T) {
	g := ledgertest.Genesis(1, 2, 1)
	ledgertest.Robust(g)
	g.Params = g.Params.WithExcuses(ledger.ExcusesWitnessed)
	for i := range g.Members {
		g.Members[i].Site = "hill"
	}
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	send := func(sender string, r *fairwattpb.Record) {
		t.Helper()
		if o, err := c.Send(sender, r); err != nil || !o.Applied {
			t.Fatalf("%v, %v", o, err)
		}
	}
	gate := func(sender string, seq uint64, state fairwattpb.GateState) {
		send(sender, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: seq, State: state,
			Causes: []*fairwattpb.Cause{{Rule: "W03", Kind: "wind", Level: "block", Text: "a gust of 26 m/s"}}}}})
	}
	for _, m := range g.Members {
		for reference, bond := range map[string]bool{"money-": false, "bond-": true} {
			send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: m.ID, AmountMicro: 3_000_000, Reference: reference + m.ID, Bond: bond}}})
		}
	}
	gate("seller-1", 1, fairwattpb.GateState_GATE_STATE_OPEN)
	d := &ledgertest.Deal{Chain: c, ID: "held", Seller: "seller-1", Buyer: "buyer-1", VolumeWh: 2000, PriceMicroPerKWh: 200_000}
	for _, step := range []func() error{d.Pay, d.Start} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	gate("seller-1", 2, fairwattpb.GateState_GATE_STATE_BLOCKED)
	gate("seller-2", 1, fairwattpb.GateState_GATE_STATE_BLOCKED)
	if err := d.Bill(0, 0); err != nil {
		t.Fatal(err)
	}
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	export := append(b, '\n')
	for _, cb := range c.Blocks {
		line, err := ledger.EncodeExportLine(cb)
		if err != nil {
			t.Fatal(err)
		}
		export = append(append(export, line...), '\n')
	}
	file := filepath.Join(t.TempDir(), "chain.jsonl")
	if err := os.WriteFile(file, export, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := runMarket("market", "why", "--export", file, "--user", "seller-1")
	if err != nil || !strings.Contains(out, "was excused, trade held: gate change 2 kept it from delivering, the gate of seller-2 bears it out: W03 a gust of 26 m/s") {
		t.Errorf("%v\n%s", err, out)
	}
}
