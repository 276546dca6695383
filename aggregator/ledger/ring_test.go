package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/wire"
)

// A ring are names of one person that trade with each other: their meters count what
// goes round in a wire between them.
type ring struct {
	*world
	names  []string
	trades int
}

// newRing is a chain of n names that sell and buy, each with so much in its bond from
// the period before, and a wallet.
func newRing(t testing.TB, n int, credit string, bond int64) *ring {
	g := ledgertest.Genesis(1, n, 0)
	ledgertest.Robust(g)
	if credit != ledger.CreditRobust {
		g.Params, g.Arbiters = g.Params.WithCredit(credit), nil
	}
	r := &ring{}
	for i := range g.Members {
		g.Members[i].Roles = []string{"seller", "buyer"}
		r.names = append(r.names, g.Members[i].ID)
	}
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	r.world = &world{c, t}
	for _, id := range r.names {
		r.must(mc, deposit(id, 100_000_000, "d-"+id))
		r.must(seller, gate(uint64(r.State.Height()+1), open))
		if id != seller {
			r.must(id, gate(1, open))
		}
		if bond > 0 && credit == ledger.CreditRobust {
			r.must(mc, bonded(id, bond, "b-"+id))
		}
	}
	if credit == ledger.CreditRobust {
		r.nextPeriod()
	}
	return r
}

// deal is the next trade of the ring.
func (r *ring) deal(s, b string, volume int64) *ledgertest.Deal {
	r.trades++
	return &ledgertest.Deal{Chain: r.Chain, ID: fmt.Sprintf("t-%d", r.trades), Seller: s, Buyer: b, VolumeWh: volume, PriceMicroPerKWh: 200_000}
}

func (r *ring) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// good is the credit that all of them have gained together.
func (r *ring) good() (sum int64) {
	for _, id := range r.names {
		a, _ := r.robust(id)
		sum += a.GoodWh
	}
	return sum
}

// A ring gains what its money vouches for and no more, however it splits the money over
// names, however often it trades in a period, and whatever way the money goes from name
// to name meanwhile.
func TestRingGainsNoMoreThanItsMoney(t *testing.T) {
	const units, perUnit = 600_000, 6_000 // all bonds, and the credit that they vouch for
	for _, n := range []int{2, 3, 6} {
		r := newRing(t, n, ledger.CreditRobust, units/int64(n))
		for round := range 40 {
			s, b := r.names[round%n], r.names[(round+1)%n]
			r.do(r.deal(s, b, 500).Whole())
		}
		if got := r.good(); got != perUnit {
			t.Errorf("%d names gained %d Wh, their money vouches for %d", n, got, perUnit)
		}
		// A name that fails pays its bond to another one, which bonds it again.
		for round := range n {
			s, b := r.names[round], r.names[(round+1)%n]
			before, _ := r.robust(b)
			r.do(r.deal(s, b, 100).Pay())
			r.wait(r.Genesis.Params.StartByMs)
			after, _ := r.robust(b)
			r.must(b, bond(after.WalletMicro-before.WalletMicro))
			r.do(r.deal(s, b, 100).Whole())
		}
		if got := r.good(); got != perUnit {
			t.Errorf("%d names gained %d Wh by passing a bond round", n, got)
		}
	}
	r := newRing(t, 3, ledger.CreditRobust, 0)
	if err := r.deal(r.names[0], r.names[1], 500).Whole(); err == nil || !strings.Contains(err.Error(), wire.CodeExposure) {
		t.Errorf("a ring without money trades: %v", err)
	}
}
