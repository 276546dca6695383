package mc

import (
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// ledgerDesk is a centre of a chain whose ledger answers, with three buyers that have money.
func ledgerDesk(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t, func(g *ledger.Genesis) {
		*g = *ledgertest.Genesis(4, 3, 3)
		g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
	})
	for _, id := range []string{"buyer-1", "buyer-2", "buyer-3"} {
		d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: id, AmountMicro: 10_000_000, Reference: id}}})
	}
	return d
}

func (d *desk) later(ms int64) { d.now = time.UnixMilli(d.chain.NowMs + ms) }

// What the ledger answers in its own block is no business of the centre's.
func TestACentreLeavesAnsweredRequestsAlone(t *testing.T) {
	d := ledgerDesk(t)
	d.seller("seller-1", 200_000, gateOpen)
	d.asks("buyer-1", 300_000)
	if got := d.answers(); len(got) != 0 || d.Stats().Waiting != 0 {
		t.Errorf("it sends %v, %d wait", got, d.Stats().Waiting)
	}
}

// A wish says whose request waits, and nothing of the answer.
func TestACentreAsksForTheAnswerToWhatWaits(t *testing.T) {
	d := ledgerDesk(t)
	d.asks("buyer-1", 300_000)
	d.later(1)
	if got := d.answers(); len(got) != 0 || d.Stats().Waiting != 1 {
		t.Fatalf("no one sells, it sends %v, %d wait", got, d.Stats().Waiting)
	}
	d.seller("seller-1", 200_000, gateOpen)
	d.later(2)
	got := d.answers()
	if len(got) != 1 || got[0].GetBuyer() != "buyer-1" || got[0].GetRequestId() != "q" || got[0].GetToken() != nil || len(got[0].GetQuotes()) != 0 {
		t.Fatalf("it sends %v", got)
	}
	d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: got[0]}})
	if trades := d.state.Trades(nil); len(trades) != 1 || d.Stats().Waiting != 0 || d.Stats().Responses != 0 {
		t.Errorf("the Token: %+v, %+v", trades, d.Stats())
	}
}

// A Token ends with its request, and would hold a seller up that no one has the time to pay.
func TestACentreAsksNothingForARequestThatIsNearlyOver(t *testing.T) {
	d := ledgerDesk(t)
	d.asks("buyer-1", 300_000)
	end := d.chain.NowMs - 1 + hourMs
	d.seller("seller-1", 200_000, gateOpen)
	for _, c := range []struct {
		leftMs int64
		want   int
	}{{payMs, 0}, {payMs + 1, 1}} {
		d.now, d.changed = time.UnixMilli(end-c.leftMs), true
		if got := d.answers(); len(got) != c.want {
			t.Errorf("%d ms before its end it asks for %v", c.leftMs, got)
		}
	}
}

// Of those that would be quoted the same seller first the one that ends first is asked for.
func TestACentreAsksForOneBuyerASeller(t *testing.T) {
	d := ledgerDesk(t)
	for n, id := range []string{"buyer-3", "buyer-1", "buyer-2"} {
		d.on(id, &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
			RequestId: "q", VolumeWh: 1000, MaxPriceMicroPerKwh: 300_000, ExpiresMs: d.chain.NowMs + hourMs - int64(n)*60_000}}})
	}
	d.seller("seller-1", 200_000, gateOpen)
	d.later(2)
	first := d.answers()
	if len(first) != 1 || first[0].GetBuyer() != "buyer-2" {
		t.Fatalf("it asks for %v", first)
	}
	d.changed = true
	if again := d.answers(); len(again) != 0 {
		t.Errorf("while that is on its way it asks for %v", again)
	}
	d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: first[0]}})
	d.seller("seller-2", 250_000, gateOpen)
	d.later(2)
	d.changed = true
	if next := d.answers(); len(next) != 1 || next[0].GetBuyer() != "buyer-1" {
		t.Errorf("then it asks for %v", next)
	}
}
