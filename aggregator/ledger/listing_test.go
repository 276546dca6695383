package ledger_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
)

// The list counts when f+1 of the members have signed the same of it.
func TestOpenList(t *testing.T) {
	w := newRobust(t, harsh)
	w.toPaid()
	w.wait(w.Genesis.Params.StartByMs)
	by := func(da, key string) []byte {
		t.Helper()
		sealed, _, err := w.State.SealList(da, ledgertest.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	one := by("da-1", "da-1")
	forge := func(da string, change func(*ledger.PublicList), chain [32]byte) []byte {
		t.Helper()
		_, payload, err := seal.Peek(one)
		if err != nil {
			t.Fatal(err)
		}
		var l ledger.PublicList
		if err := json.Unmarshal(payload, &l); err != nil {
			t.Fatal(err)
		}
		change(&l)
		if payload, err = json.Marshal(l); err != nil {
			t.Fatal(err)
		}
		sealed, err := seal.Seal(ledgertest.Key(da), da, seal.DomainList, chain, payload)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	chain := w.State.ChainID()
	newer := func(l *ledger.PublicList) { l.Version, l.Listed = 9, nil }
	other := func(l *ledger.PublicList) { l.ChainID = hex.EncodeToString(make([]byte, 32)) }
	for name, c := range map[string]struct {
		sealed [][]byte
		good   bool
	}{
		"two say so":                {[][]byte{one, by("da-2", "da-2")}, true},
		"one says so":               {[][]byte{one}, false},
		"one says so twice":         {[][]byte{one, one}, false},
		"a stranger says so too":    {[][]byte{one, by("da-9", "da-9")}, false},
		"a forged signature":        {[][]byte{one, by("da-2", "da-3")}, false},
		"an arbiter":                {[][]byte{one, by("judge-1", "judge-1")}, false},
		"another chain's signature": {[][]byte{one, forge("da-2", func(*ledger.PublicList) {}, [32]byte{1})}, false},
		"another chain's text":      {[][]byte{forge("da-1", other, chain), forge("da-2", other, chain)}, false},
		"they differ":               {[][]byte{one, forge("da-2", newer, chain)}, false},
		"one lies with a newer one": {[][]byte{one, by("da-2", "da-2"), forge("da-3", newer, chain)}, true},
		"garbage among them":        {[][]byte{one, nil, []byte("x"), by("da-4", "da-4")}, true},
		"nothing":                   {nil, false},
	} {
		l, err := ledger.OpenList(w.State.Members(), c.sealed)
		if c.good != (err == nil) || err != nil && !errors.Is(err, ledger.ErrList) {
			t.Errorf("%s: %v", name, err)
		}
		if c.good && err == nil && (l.Version != 1 || len(l.Listed) != 1 || l.Listed[0].Trade != "token-1" || l.Listed[0].UntilMs == 0) {
			t.Errorf("%s: %+v", name, l)
		}
	}
	// The newest of two versions that are said by enough counts.
	l, err := ledger.OpenList(w.State.Members(), [][]byte{forge("da-1", newer, chain), forge("da-2", newer, chain), by("da-3", "da-3"), by("da-4", "da-4")})
	if err != nil || l.Version != 9 {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestOpenListOfLaterMembers: behind changes of the members those count who vote now, with
// the keys that they have now, and as many of them as one of is honest.
func TestOpenListOfLaterMembers(t *testing.T) {
	w := newRobust(t, func(g *ledger.Genesis) { harsh(g); g.Params.EpochBlocks = 5 })
	w.toPaid()
	w.wait(w.Genesis.Params.StartByMs)
	first, err := w.Genesis.FirstMembers()
	if err != nil {
		t.Fatal(err)
	}
	w.fiveAndMore(7)
	w.must(mc, w.Retire("da-1"))
	w.must("da-2", w.Rekey("da-2", "da-2-2"))
	w.endEpoch()
	w.must(mc, w.Admit("da-8"))
	w.must("da-8", rejoin(w.State.Epoch()))
	now := w.State.Members() // da-2 to da-8: two may lie
	if now.Len() != 7 || now.Faulty() != 2 {
		t.Fatalf("%v", now.Names())
	}
	by := func(da, key string) []byte {
		t.Helper()
		sealed, _, err := w.State.SealList(da, ledgertest.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	for name, c := range map[string]struct {
		voters *members.Set
		sealed [][]byte
		good   bool
	}{
		"three that vote now":            {now, [][]byte{by("da-3", "da-3"), by("da-7", "da-7"), by("da-8", "da-8")}, true},
		"with another key since":         {now, [][]byte{by("da-2", "da-2-2"), by("da-7", "da-7"), by("da-8", "da-8")}, true},
		"two, enough in the genesis":     {now, [][]byte{by("da-3", "da-3"), by("da-7", "da-7")}, false},
		"with one that has left":         {now, [][]byte{by("da-1", "da-1"), by("da-7", "da-7"), by("da-8", "da-8")}, false},
		"with a key that is one no more": {now, [][]byte{by("da-2", "da-2"), by("da-7", "da-7"), by("da-8", "da-8")}, false},
		"by the genesis: its own":        {first, [][]byte{by("da-1", "da-1"), by("da-3", "da-3")}, true},
		"by the genesis: a later one":    {first, [][]byte{by("da-3", "da-3"), by("da-7", "da-7")}, false},
	} {
		l, err := ledger.OpenList(c.voters, c.sealed)
		if c.good != (err == nil) || err != nil && !errors.Is(err, ledger.ErrList) {
			t.Errorf("%s: %v", name, err)
		}
		if c.good && err == nil && (l.Version != 1 || len(l.Listed) != 1) {
			t.Errorf("%s: %+v", name, l)
		}
	}
}
