package ledger_test

import (
	"math"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
)

// A fine is taken of the bond, then of the bond that leaves, then of the wallet, and
// what is in none of them is owed. The other side has what was taken, and no more.
func TestAFineGoesThroughThePockets(t *testing.T) {
	type pockets struct{ bond, leaving, wallet, due int64 }
	for _, c := range []struct {
		name           string
		unbond, wallet int64   // of a bond of 200,000
		one, two       pockets // after a fine of 152,000, and one of 76,000
	}{
		{"a bond", 0, 0, pockets{48_000, 0, 0, 0}, pockets{0, 0, 0, 28_000}},
		{"a bond and a wallet", 0, 30_000, pockets{48_000, 0, 30_000, 0}, pockets{0, 0, 2_000, 0}},
		{"a small part leaves", 48_000, 30_000, pockets{0, 48_000, 30_000, 0}, pockets{0, 0, 2_000, 0}},
		{"a part leaves", 100_000, 0, pockets{0, 48_000, 0, 0}, pockets{0, 0, 0, 28_000}},
		{"all of it leaves", 200_000, 28_000, pockets{0, 48_000, 28_000, 0}, pockets{0, 0, 0, 0}},
		{"a millionth too little", 200_000, 27_999, pockets{0, 48_000, 27_999, 0}, pockets{0, 0, 0, 1}},
	} {
		w := newWorld(t, ledgertest.Robust)
		w.toTwoReady()
		if c.wallet > 0 {
			w.must(mc, deposit(seller, c.wallet, "wallet"))
		}
		if c.unbond > 0 {
			w.must(seller, unbond(c.unbond))
		}
		buyers := w.worth(buyer)
		for i, want := range []pockets{c.one, c.two} {
			w.foundNotReady([]string{"token-1", "token-2"}[i])
			a, _ := w.robust(seller)
			if got := (pockets{a.BondMicro, a.LeavingMicro, a.WalletMicro, a.FinesDueMicro}); got != want {
				t.Errorf("%s, fine %d: %+v, want %+v", c.name, i+1, got, want)
			}
			taken := 200_000 + c.wallet - a.BondMicro - a.LeavingMicro - a.WalletMicro
			if got := w.worth(buyer) - buyers; got != taken {
				t.Errorf("%s, fine %d: %d were taken, and the buyer has %d", c.name, i+1, taken, got)
			}
		}
	}
}

// A newcomer's credit is what robust credit makes of nothing, whatever the genesis
// says of the other kind.
func TestANewcomersCredit(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) {
		ledgertest.Robust(g)
		g.Params.CreditStartE6 = 900_000
	})
	w.must(mc, deposit(seller, 1, "r"))
	if a, _ := w.robust(seller); a.CreditE6 != 500_000 {
		t.Errorf("credit %d, want a half", a.CreditE6)
	}
	if a, _ := w.robust(buyer); a.CreditE6 != 500_000 {
		t.Errorf("credit %d of one with no account yet, want a half", a.CreditE6)
	}
}

// What a bond bears and vouches for stays a number where the product passes 64 bits, and
// more of a bond never bears less.
func TestTheGreatestBond(t *testing.T) {
	p := ledger.DefaultParams().WithCredit(ledger.CreditRobust)
	p.ChargeE4, p.VouchWh = 1, ledger.MaxEnergyWh
	var limit, budget int64
	for bond := int64(1); bond > 0; bond *= 2 {
		a := ledger.Account{BondMicro: bond, CreditE6: 1_000_000}
		if got := p.ExposureLimitMicro(&a); got < limit {
			t.Errorf("a bond of %d bears %d, half of it %d", bond, got, limit)
		} else {
			limit = got
		}
		if got := p.VouchBudgetWh(&a); got < budget {
			t.Errorf("a bond of %d vouches for %d Wh, half of it for %d", bond, got, budget)
		} else {
			budget = got
		}
	}
	if limit != math.MaxInt64 || budget != math.MaxInt64 {
		t.Errorf("the greatest bond bears %d and vouches for %d, want %d", limit, budget, int64(math.MaxInt64))
	}
}
