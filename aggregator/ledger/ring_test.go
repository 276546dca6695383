package ledger_test

import (
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A ring are names of one person that trade with each other: their meters count what
// goes round in a wire between them.
type ring struct {
	*world
	names    []string
	register map[string]int64
	trades   int
}

// newRing is a chain of n names that sell and buy, each with so much in its bond from
// the period before, and a wallet.
func newRing(t testing.TB, n int, credit string, bond int64) *ring {
	g := ledgertest.Genesis(1, n, 0)
	ledgertest.Robust(g)
	if credit != ledger.CreditRobust {
		g.Params, g.Arbiters = g.Params.WithCredit(credit), nil
	}
	r := &ring{register: map[string]int64{}}
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
		if bond > 0 {
			r.must(mc, bonded(id, bond, "b-"+id))
		}
	}
	if credit == ledger.CreditRobust {
		r.nextPeriod()
	}
	return r
}

func (r *ring) read(meter string, by int64) *fairwattpb.MeterReading {
	r.register[meter] += by
	return at(meter, r.register[meter])
}

// paid brings a trade to its payment and returns its id and the code of the payment.
func (r *ring) paid(s, b string, volume int64) (string, string) {
	r.t.Helper()
	r.trades++
	id := fmt.Sprintf("t-%d", r.trades)
	r.must(s, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
		OfferId: "o-" + id, VolumeWh: volume, PriceMicroPerKwh: 200_000, ExpiresMs: r.NowMs + 600_000}}})
	r.must(b, &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: id, VolumeWh: volume, MaxPriceMicroPerKwh: 200_000, ExpiresMs: r.NowMs + 600_000}}})
	a, _ := r.State.Account(b)
	r.must(mc, &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{RequestId: id,
		Token: &fairwattpb.Token{TokenId: id, Buyer: b, EscrowMicro: volume * 200, VolumeWh: volume, ValidUntilMs: r.NowMs + 500_000, Kept: a.Kept, Broken: a.Broken}}}})
	return id, r.send(b, &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{TokenId: id, OfferId: "o-" + id, Seller: s, VolumeWh: volume,
		PriceMicroPerKwh: 200_000, AmountMicro: volume * 200, BuyerReading: r.read(b+"-meter", 0)}}})
}

// whole plays an honest trade, or one in which the seller sold invents sold Wh and the
// buyer says what reached it. It returns the code with which the payment was refused.
func (r *ring) whole(s, b string, volume, sold, received int64) string {
	r.t.Helper()
	id, code := r.paid(s, b, volume)
	if code != "" {
		return code
	}
	g, _ := r.State.GateOf(s)
	attestation, err := r.Attest(s, g.Seq, open, 60_000)
	if err != nil {
		r.t.Fatal(err)
	}
	r.must(s, &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{TradeId: id, Attestation: attestation, Reading: r.read(s+"-meter-2", 0)}}})
	r.NowMs += 60_000
	t, _ := r.State.Trade(id)
	r.must(s, &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{TradeId: id, Reading: r.read(s+"-meter-2", sold),
		EnergyWh: sold, AmountMicro: sold * 200, PayId: []byte(t.PayID)}}})
	if t, _ = r.State.Trade(id); t.Status != wire.StatusBilled {
		return ""
	}
	reading := r.read(b+"-meter", received)
	r.must(b, &fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{TradeId: id,
		Reading: reading, EnergyWh: reading.RegisterWh - t.BuyerStartWh, Accepted: received >= sold}}})
	return ""
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
			volume := int64(500)
			if code := r.whole(s, b, volume, volume, volume); code != "" {
				t.Fatal(code)
			}
		}
		if got := r.good(); got != perUnit {
			t.Errorf("%d names gained %d Wh, their money vouches for %d", n, got, perUnit)
		}
		// A name that fails pays its bond to another one, which bonds it again.
		for round := range n {
			s, b := r.names[round], r.names[(round+1)%n]
			before, _ := r.robust(b)
			if _, code := r.paid(s, b, 100); code != "" {
				t.Fatal(code)
			}
			r.wait(r.Genesis.Params.StartByMs)
			after, _ := r.robust(b)
			r.must(b, bond(after.WalletMicro-before.WalletMicro))
			r.whole(s, b, 100, 100, 100)
		}
		if got := r.good(); got != perUnit {
			t.Errorf("%d names gained %d Wh by passing a bond round", n, got)
		}
	}
	r := newRing(t, 3, ledger.CreditRobust, 0)
	if code := r.whole(r.names[0], r.names[1], 500, 500, 500); code != wire.CodeExposure {
		t.Errorf("a ring without money trades: %q", code)
	}
}
