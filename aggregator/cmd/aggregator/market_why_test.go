package main

import (
	"os"
	"regexp"
	"testing"

	"fairwatt/aggregator/ledger"
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
