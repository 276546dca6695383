package ledger_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
)

// Both sides of a trade read in their history who appealed it, what is at stake and until
// when arbiters have time.
func TestAppealIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		play func(*world)
		by   string
		gap  int64
	}{
		"meters that differ, by the buyer":  {(*world).toDisputed, buyer, 400_000},
		"meters that differ, by the seller": {(*world).toDisputed, seller, 400_000},
		"a trade that is settled":           {func(w *world) { w.toBilled(); w.must(buyer, confirm(2100, 2000)) }, buyer, 0},
	} {
		w := newRobust(t, nil)
		c.play(w)
		st := w.step(c.by, appeal("token-1"))
		var want []ledger.Step
		for _, who := range []string{seller, buyer} {
			want = append(want, ledger.Step{
				Who: who, Other: c.by, Kind: ledger.StepCase, Trade: "token-1", AmountMicro: c.gap,
				UntilMs: w.State.TimeMs() + w.Genesis.Params.VerdictMs, Text: "appealed by " + c.by,
			})
		}
		if got := st.Steps(); !slices.Equal(got, want) {
			t.Errorf("%s: told %+v, want %+v", name, got, want)
		}
	}
}

// Who is cleared has back into its bond what was charged to it, and the other's charge in
// its wallet. The two differ where one bond was too small for its part.
func TestTheClearedHaveTheirOwnChargeBack(t *testing.T) {
	for _, c := range []struct {
		cleared      string
		bond, wallet int64 // more than before the meters differed
	}{{seller, 0, 200_000 + 50_000}, {buyer, 0, 48_000}} {
		w := newWorld(t, ledgertest.Robust)
		w.toTwoPaid()
		w.foundNotReady("token-1") // a fine of 152,000 out of a bond of 200,000
		before, _ := w.robust(c.cleared)
		trade, _ := w.State.Trade("token-2")
		r := of(w.bill(2000, 1000, 200_000), "token-2")
		r.GetBill().PayId = []byte(trade.PayID)
		w.must(seller, r)
		w.must(buyer, of(confirm(100, 0), "token-2"))
		if k := w.State.Cases(); len(k) != 1 || k[0].GapMicro != 200_000 || k[0].SellerMicro != 48_000 || k[0].BuyerMicro != 50_000 {
			t.Fatalf("%+v", k)
		}
		finding, back := sellerLied, int64(200_000) // the gap was the buyer's, out of the escrow
		if c.cleared == seller {
			finding, back = buyerLied, 0
		}
		w.must("judge-1", verdict("token-2", finding))
		w.must("judge-2", verdict("token-2", finding))
		after, _ := w.robust(c.cleared)
		if bond, wallet := after.BondMicro-before.BondMicro, after.WalletMicro-before.WalletMicro; bond != c.bond || wallet != c.wallet+back {
			t.Errorf("%s is cleared: %d more in its bond, %d in its wallet, want %d and %d", c.cleared, bond, wallet, c.bond, c.wallet+back)
		}
	}
}

// A chain without any bond keeps the version of its list: a data aggregator that reads its
// state back would build another block otherwise.
func TestTheListsVersionIsKept(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { ledgertest.Robust(g); harsh(g) })
	for _, id := range []string{seller, buyer} {
		w.must(mc, bonded(id, 200_000, "bond-"+id))
	}
	w.toPaid()
	w.wait(w.Genesis.Params.StartByMs)
	for _, id := range []string{seller, buyer} {
		a, _ := w.robust(id)
		w.must(id, unbond(a.BondMicro))
	}
	w.wait(2 * w.Genesis.Params.VerdictMs)
	w.wait(1)
	list, version := w.State.List()
	if sums := w.State.Totals(); sums.BondsMicro != 0 || sums.HeldMicro != 0 || version == 0 {
		t.Fatalf("version %d, %+v", version, sums)
	}
	s, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
	if err != nil {
		t.Fatal(err)
	}
	if again, v := s.List(); v != version || !slices.Equal(again, list) {
		t.Errorf("version %d of the list became %d when it was read back", version, v)
	}
}

// A seat of a status that there is none of, as damage to a disk makes it, is refused by
// the name of whose it is.
func TestADamagedSeatIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.must(mc, w.Admit("da-5"))
	for status, want := range map[uint32]bool{0: false, 1: true, 3: true, 4: false, 1 << 31: false} {
		entries := w.State.Entries()
		k := slices.IndexFunc(entries, func(e ledger.Entry) bool { return string(e.Key) == "member/da-5" })
		if k < 0 {
			t.Fatal("a candidate has no seat")
		}
		v := slices.Clone(entries[k].Value) // its place, its status and more
		binary.BigEndian.PutUint32(v[4:], status)
		entries[k].Value = v
		_, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), entries)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), `data aggregator "da-5"`) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

// An appeal that is refused says why: a trade that runs still is not one that ended long
// ago, and a late one says how late.
func TestWhyAnAppealIsRefused(t *testing.T) {
	want := map[string]string{
		"appeal a running trade": "one that was paid and has ended",
		"appeal late":            "ended 1209600000 ms ago, at most 1209600000",
	}
	for _, c := range robustRows {
		if text, ok := want[c.name]; ok {
			if got := c.run(t); !strings.Contains(got.reason, text) {
				t.Errorf("%s: %q, want %q", c.name, got.reason, text)
			}
			delete(want, c.name)
		}
	}
	if len(want) > 0 {
		t.Errorf("no rows of these names: %v", want)
	}
}

// What a promise did to a paper credit is told: of a broken one with whom it was; a kept one
// no one vouched for, so it names no one.
func TestPaperCreditIsTold(t *testing.T) {
	w := newWorld(t, nil)
	w.toBilled()
	told := w.step(buyer, confirm(2100, 2000)).Steps()
	want := []ledger.Step{
		{Who: buyer, Kind: ledger.StepKept, Trade: "token-1", CreditE6: 1_020_000},
		{Who: seller, Kind: ledger.StepKept, Trade: "token-1", CreditE6: 1_020_000},
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	w = newWorld(t, nil)
	w.toPaid()
	want = []ledger.Step{{Who: seller, Other: buyer, Kind: ledger.StepBroke, Trade: "token-1", Index: -1, CreditE6: 980_000}}
	if told := w.wait(w.Genesis.Params.StartByMs).Steps(); !slices.Equal(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
}
