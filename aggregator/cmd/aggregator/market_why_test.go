package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// Each kind of step that the ledger tells is a sentence, and not its name.
func TestEachStepIsASentence(t *testing.T) {
	history, err := os.ReadFile("../../ledger/history.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`(?m)^\tStep\w+ += "(\w+)"`).FindAllStringSubmatch(string(history), -1)
	if len(kinds) < 20 {
		t.Fatalf("read %d kinds", len(kinds))
	}
	for _, k := range kinds {
		if s := (&whyStep{Kind: k[1]}); s.sentence() == k[1] {
			t.Errorf("no words for %q", k[1])
		}
	}
	s := whyStep{Kind: ledger.StepRestored, Trade: "t-1", BadWh: -9500, CreditE6: 500_000, Text: "the arbiters find: the buyer is at fault"}
	const want = "has its credit back: the promise does not count as broken, 9500 Wh weighted are taken back, trade t-1: the arbiters find: the buyer is at fault (credit 0.500000)"
	if got := s.sentence(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Credit that a verdict gives back is told with the verdict's record.
func TestMarketWhyTellsWhatAVerdictGivesBack(t *testing.T) {
	g := ledgertest.Genesis(1, 1, 1)
	ledgertest.Robust(g)
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	d := ledgertest.Deal{Chain: c, ID: "wronged", Seller: "seller-1", Buyer: "buyer-1", VolumeWh: 2000, PriceMicroPerKWh: 200_000}
	verdict := &fairwattpb.Record{Body: &fairwattpb.Record_Verdict{Verdict: &fairwattpb.Verdict{
		TradeId: d.ID, Finding: fairwattpb.Finding_FINDING_BUYER, TextHash: make([]byte, 32)}}}
	money := func(to string, bond bool) *fairwattpb.Record {
		return &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: to, AmountMicro: 3_000_000, Reference: fmt.Sprint(to, bond), Bond: bond}}}
	}
	for _, step := range []func() error{
		sends(c, ledgertest.Centre, money("seller-1", true)), sends(c, ledgertest.Centre, money("buyer-1", true)), sends(c, ledgertest.Centre, money("buyer-1", false)),
		sends(c, "seller-1", &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}}),
		d.Pay, d.Start, func() error { return d.Bill(0, 0) }, // nothing was drawn, and the seller is fined for it
		sends(c, ledgertest.Arbiters[0], verdict), sends(c, ledgertest.Arbiters[1], verdict),
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := runMarket("market", "why", "--export", exportOf(t, c), "--user", "seller-1")
	if err != nil {
		t.Fatal(err)
	}
	newest := seal.ID(lastRecord(t, c))
	for _, want := range []string{
		"broke a promise, 9500 Wh weighted, trade wronged",
		hex.EncodeToString(newest[:])[:16] + "  has its credit back: the promise does not count as broken, 9500 Wh weighted are taken back, trade wronged: the arbiters find: the buyer is at fault (credit 0.500000)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not said: %s\n%s", want, text)
		}
	}
}

// sends is a step that sends a record, and fails if the chain refuses it.
func sends(c *ledgertest.Chain, sender string, r *fairwattpb.Record) func() error {
	return func() error {
		o, err := c.Send(sender, proto.Clone(r).(*fairwattpb.Record))
		if err == nil && !o.Applied {
			err = fmt.Errorf("%s: %s", o.Code, o.Reason)
		}
		return err
	}
}

// lastRecord is the only record of the newest block.
func lastRecord(t *testing.T, c *ledgertest.Chain) []byte {
	t.Helper()
	_, _, records, err := ledger.DecodeBlock(c.Blocks[len(c.Blocks)-1].Block)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	return records[0]
}
