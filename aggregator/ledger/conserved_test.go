package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
)

// Money is conserved only if nothing is below zero and every sum is that of the
// others: what is in the wallets and in escrow, what the state keeps as their sums,
// and what was deposited.
func TestConservedSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t, nil)
	w.toEscrowed()
	const trade = "trade/token-1"
	wallet := func(id string, by int64) func(string, []byte) []byte {
		return func(key string, b []byte) []byte {
			if key != "account/"+id {
				return b
			}
			return ledger.AlteredAccount(b, func(a *ledger.Account) { a.WalletMicro += by })
		}
	}
	escrow := func(by int64) func(string, []byte) []byte {
		return func(key string, b []byte) []byte {
			if key != trade {
				return b
			}
			return ledger.AlteredTrade(b, func(t *ledger.Trade) { t.EscrowMicro += by })
		}
	}
	sums := func(deposited, wallets, escrow int64) func(string, []byte) []byte {
		return func(key string, b []byte) []byte {
			if key != "meta" {
				return b
			}
			return ledger.AlteredSums(b, deposited, wallets, escrow)
		}
	}
	type changes = []func(string, []byte) []byte
	for name, c := range map[string]struct {
		changes   changes
		conserved bool
	}{
		"as it was":                        {nil, true},
		"more everywhere":                  {changes{wallet(buyer, 7), sums(7, 7, 0)}, true},
		"moved into escrow":                {changes{wallet(buyer, -7), escrow(7), sums(0, -7, 7)}, true},
		"all of it in one wallet":          {changes{wallet(buyer, -400_000), wallet(seller, 400_000)}, true},
		"the first wallet below zero":      {changes{wallet(buyer, -400_001), wallet(seller, 400_001)}, false},
		"the last wallet below zero":       {changes{wallet(buyer, 1), wallet(seller, -1)}, false},
		"an escrow of nothing":             {changes{wallet(buyer, 600_000), escrow(-600_000), sums(0, 600_000, -600_000)}, true},
		"an escrow below zero":             {changes{wallet(buyer, 600_001), escrow(-600_001), sums(0, 600_001, -600_001)}, false},
		"a wallet that no sum knows":       {changes{wallet(buyer, 1)}, false},
		"an escrow that no sum knows":      {changes{escrow(1)}, false},
		"moved, and the sums do not know":  {changes{wallet(buyer, -1), escrow(1)}, false},
		"a deposit that went nowhere":      {changes{sums(1, 0, 0)}, false},
		"another sum of wallets":           {changes{sums(0, 1, 0)}, false},
		"another sum of escrows":           {changes{sums(0, 0, 1)}, false},
		"both sums, and no money for them": {changes{sums(1, 1, 0)}, false},
	} {
		entries := w.State.Entries()
		for i := range entries {
			for _, change := range c.changes {
				entries[i].Value = change(string(entries[i].Key), entries[i].Value)
			}
		}
		s, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), entries)
		if err != nil {
			t.Fatal(err)
		}
		if totals := s.Totals(); totals.Conserved != c.conserved {
			t.Errorf("%s: %+v", name, totals)
		}
	}
}

// A flag of the state is 0 or 1; any other byte would be a second form of a value.
func TestFlagsHaveOneForm(t *testing.T) {
	w := newWorld(t, nil)
	for flag, want := range map[byte]bool{0: true, 1: true, 2: false, 255: false} {
		entries := w.State.Entries()
		for i, e := range entries {
			if string(e.Key) == "participant/"+buyer {
				entries[i].Value = slices.Clone(e.Value)
				entries[i].Value[len(e.Value)-5] = flag // simulated, in front of the meter's class
			}
		}
		s, err := ledger.Restore(w.Genesis, 0, w.State.HeaderHash(), entries)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "flag is") {
			t.Errorf("flag %d: %v", flag, err)
		}
		if err != nil {
			continue
		}
		if p, ok := s.Participant(buyer); !ok || p.Simulated != (flag == 1) {
			t.Errorf("flag %d: %+v", flag, p)
		}
	}
}
