package ledger_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
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

// A block whose effect on money does not add up is no block, whatever its rules did:
// each account and escrow moves as the sums do, nothing goes below zero, and what is
// held for cases is in the fund.
func TestABlockThatDoesNotAddUp(t *testing.T) {
	w := newRobust(t, nil)
	w.toBilled()
	w.must(buyer, confirm(100, 0)) // 600,000 are in the fund, all of them held
	w.must(buyer, unbond(300_000))
	w.must(buyer, func() record { r := w.request(1, 1); r.GetRequest().RequestId = "request-2"; return r }())
	w.must(mc, w.response(func(r *fairwattpb.Response) {
		r.RequestId, r.Token.TokenId, r.Token.VolumeWh, r.Token.EscrowMicro = "request-2", "token-2", 1, 1
	}))
	entry := func(key string) []byte {
		for _, e := range w.State.Entries() {
			if string(e.Key) == key {
				return e.Value
			}
		}
		t.Fatalf("no entry %q", key)
		return nil
	}
	const escrowed = "trade/token-2"
	account := func(id string, wallet, bond, leaving int64) map[string][]byte {
		key := "account/" + id
		return map[string][]byte{key: ledger.AlteredAccount(entry(key), func(a *ledger.Account) {
			a.WalletMicro += wallet
			a.BondMicro += bond
			a.LeavingMicro += leaving
		})}
	}
	both := func(a, b map[string][]byte) map[string][]byte { maps.Copy(a, b); return a }
	escrow := func(by int64) map[string][]byte {
		return map[string][]byte{escrowed: ledger.AlteredTrade(entry(escrowed), func(t *ledger.Trade) { t.EscrowMicro += by })}
	}
	a, _ := w.robust(buyer)
	all := w.State.Totals()
	for _, c := range []struct {
		name    string
		by      ledger.Sums
		entries map[string][]byte
		want    string // in the refusal, "" for none
	}{
		{"nothing", ledger.Sums{}, nil, ""},
		{"an account written as it was", ledger.Sums{}, account(buyer, 0, 0, 0), ""},
		{"a deposit", ledger.Sums{Deposited: 5, Wallets: 5}, account(buyer, 5, 0, 0), ""},
		{"a deposit that no sum of deposits knows", ledger.Sums{Wallets: 5}, account(buyer, 5, 0, 0), "deposited"},
		{"a millionth made", ledger.Sums{}, account(buyer, 1, 0, 0), "the block leaves"},
		{"a millionth lost", ledger.Sums{}, account(buyer, -1, 0, 0), "the block leaves"},
		{"the sums alone", ledger.Sums{Deposited: 1, Wallets: 1}, nil, "the block leaves"},
		{"bonded", ledger.Sums{Wallets: -5, Bonds: 5}, account(buyer, -5, 5, 0), ""},
		{"bonded, and no sum knows", ledger.Sums{}, account(buyer, -5, 5, 0), "the block leaves"},
		{"a bond begins to leave", ledger.Sums{}, account(buyer, 0, -5, 5), ""},
		{"a bond has left", ledger.Sums{Wallets: 5, Bonds: -5}, account(buyer, 5, 0, -5), ""},
		{"a bond that leaves is lost", ledger.Sums{}, account(buyer, 0, 0, -5), "the block leaves"},
		{"from one to another", ledger.Sums{}, both(account(buyer, -5, 0, 0), account(seller, 5, 0, 0)), ""},
		{"from one to no one", ledger.Sums{}, both(account(buyer, -5, 0, 0), account(seller, 4, 0, 0)), "the block leaves"},
		{"out of escrow", ledger.Sums{Wallets: 1, Escrow: -1}, both(account(seller, 1, 0, 0), escrow(-1)), ""},
		{"out of escrow, into nothing", ledger.Sums{}, escrow(-1), "the block leaves"},
		{"an escrow removed with its money", ledger.Sums{Wallets: 1}, both(account(seller, 1, 0, 0), map[string][]byte{escrowed: nil}), "deposited"},
		{"an escrow removed when it is empty", ledger.Sums{Wallets: 1, Escrow: -1}, both(account(seller, 1, 0, 0), map[string][]byte{escrowed: nil}), ""},
		{"a wallet below zero", ledger.Sums{Bonds: a.WalletMicro + 1, Wallets: -a.WalletMicro - 1}, account(buyer, -a.WalletMicro-1, a.WalletMicro+1, 0), "is below zero"},
		{"a wallet of nothing", ledger.Sums{Bonds: a.WalletMicro, Wallets: -a.WalletMicro}, account(buyer, -a.WalletMicro, a.WalletMicro, 0), ""},
		{"a bond below zero", ledger.Sums{}, account(buyer, 0, -a.BondMicro-1, a.BondMicro+1), "is below zero"},
		{"what leaves a bond below zero", ledger.Sums{}, account(buyer, 0, a.LeavingMicro+1, -a.LeavingMicro-1), "is below zero"},
		{"an escrow below zero", ledger.Sums{Wallets: 2, Escrow: -2}, both(account(seller, 2, 0, 0), escrow(-2)), "the escrow of trade/token-2 is below zero"},
		{"less is held than the fund has", ledger.Sums{Held: -1}, nil, ""},
		{"more is held than the fund has", ledger.Sums{Held: 1}, nil, "is held"},
		{"less than nothing is held", ledger.Sums{Held: -all.FundMicro - 1}, nil, "is held"},
		{"paid out of what is held", ledger.Sums{Wallets: 1, Fund: -1}, account(seller, 1, 0, 0), "is held"},
		{"an account that is none", ledger.Sums{}, map[string][]byte{"account/x": {1}}, "cut off"},
		{"a trade that is none", ledger.Sums{}, map[string][]byte{"trade/x": {1}}, "cut off"},
	} {
		err := w.State.Conserves(c.by, c.entries)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A value whose later fields are all zero leaves them out; that they are written is a
// second form of it.
func TestTailsHaveOneForm(t *testing.T) {
	tails := ledger.EmptyTails()
	if len(tails) != 7 {
		t.Errorf("tails of %d kinds of values, want 7", len(tails))
	}
	for key, err := range tails {
		if err == nil || !strings.Contains(err.Error(), "a tail of zeros") {
			t.Errorf("%s with a tail of zeros: %v", key, err)
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
