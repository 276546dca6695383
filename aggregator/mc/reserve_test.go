package mc

import (
	"fmt"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// ask has a buyer ask for 1000 Wh.
func (d *desk) ask(buyer, id string) {
	d.t.Helper()
	d.on(buyer, &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: id, VolumeWh: 1000, MaxPriceMicroPerKwh: 200_000, ExpiresMs: d.chain.NowMs + hourMs,
	}}})
}

// quoted puts the answers of this moment on the chain, and returns the offers that they name.
func (d *desk) quoted() string {
	d.t.Helper()
	var got []string
	for _, r := range d.answers() {
		for _, q := range r.GetQuotes() {
			got = append(got, q.GetOfferId())
		}
		d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: r}})
	}
	clear(d.pending) // they stand on the chain, under other counters
	return fmt.Sprint(got)
}

// look makes the centre look at all requests again, as it does after a while.
func (d *desk) look(after time.Duration) string {
	d.t.Helper()
	d.chain.NowMs += after.Milliseconds()
	d.now = time.UnixMilli(d.chain.NowMs)
	return d.quoted()
}

// deskOfTwo has buyers with money and two sellers.
func deskOfTwo(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t, func(g *ledger.Genesis) { *g = *ledgertest.Genesis(4, 2, 3) })
	for i := range 3 {
		d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
			To: fmt.Sprintf("buyer-%d", i+1), AmountMicro: 1_000_000, Reference: fmt.Sprint("r", i)}}})
	}
	d.seller("seller-1", 150_000, gateOpen)
	d.seller("seller-2", 180_000, gateOpen)
	return d
}

// TestOffersAreQuotedToOneBuyerFirst: the offer that a buyer will choose is quoted to no
// one else until it has paid.
func TestOffersAreQuotedToOneBuyerFirst(t *testing.T) {
	d := deskOfTwo(t)
	d.ask("buyer-1", "q")
	if got := d.quoted(); got != "[o-seller-1 o-seller-2]" {
		t.Fatalf("the first is quoted %s", got)
	}
	d.ask("buyer-2", "q")
	if got := d.look(0); got != "[o-seller-2]" {
		t.Fatalf("the second is quoted %s", got)
	}
	d.ask("buyer-3", "q")
	if got := d.look(0); got != "[]" {
		t.Fatalf("the third is quoted %s", got)
	}
	// A payment ends it, applied or not: what is left of the offer is for others.
	d.pays("buyer-1", &fairwattpb.Pay{TokenId: d.reserved["seller-1/o-seller-1"].token})
	d.changed = true
	if got := d.look(0); got != "[o-seller-1]" {
		t.Fatalf("after the payment the third is quoted %s", got)
	}
}

// TestNobodyHoldsOffersUp: a buyer that does not pay keeps an offer for a quarter of a
// minute, once, and none after that until it pays.
func TestNobodyHoldsOffersUp(t *testing.T) {
	d := deskOfTwo(t)
	d.ask("buyer-1", "q")
	d.quoted()
	d.ask("buyer-2", "q")
	d.look(0)
	d.ask("buyer-3", "q")
	if got := d.look(reservedFor - 100*time.Millisecond); got != "[]" {
		t.Fatalf("a moment before the end the third is quoted %s", got)
	}
	d.changed = true
	if got := d.look(200 * time.Millisecond); got != "[o-seller-1 o-seller-2]" {
		t.Fatalf("at the end the third is quoted %s", got)
	}
	d.look(reservedFor)
	d.ask("buyer-1", "again")
	d.look(0)
	d.ask("buyer-2", "again")
	if got := d.look(0); got != "[o-seller-1 o-seller-2]" {
		t.Fatalf("behind one that let its offer lapse, another is quoted %s", got)
	}
	d.pays("buyer-1", &fairwattpb.Pay{})
	d.ask("buyer-1", "third")
	d.look(0)
	d.ask("buyer-3", "third")
	if got := d.look(0); got != "[o-seller-2]" {
		t.Fatalf("behind one that paid again, another is quoted %s", got)
	}
}
