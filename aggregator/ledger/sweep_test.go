package ledger_test

import (
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// crowded is a chain whose sweeps end one deadline a block, and on which an older
// deadline stands in front of those of a test.
func crowded(to func(*world)) func(*world) {
	return func(w *world) {
		*w = *newWorld(w.t, func(g *ledger.Genesis) { g.Params.MaxSweep = 1 })
		early := w.offer(1, 1)
		early.GetOffer().ExpiresMs = w.NowMs + 60_000
		w.must("seller-2", early)
		to(w)
	}
}

// late passes a time, and the sweep of the record's block has room for the older
// deadline only.
func late(to func(*world), ms func(*ledger.Params) int64) func(*world) {
	return crowded(func(w *world) {
		to(w)
		w.NowMs += ms(&w.Genesis.Params)
	})
}

func tick() record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Tick{Tick: &fairwattpb.Tick{}}}
}

// A tick stands in the block that its deadline needs, and only there. Deadlines that
// were lifted are none.
func TestTick(t *testing.T) {
	w := newWorld(t, nil)
	if code := w.send("da-1", tick()); code != wire.CodeNothingDue {
		t.Errorf("a tick of nothing: %q", code)
	}
	if w.State.NextDeadline() != 0 {
		t.Errorf("a deadline at %s", since(w.State.NextDeadline()))
	}
	w.must(seller, w.offer(5000, 200_000))
	w.must(seller, w.offer(0, 1))
	if w.State.NextDeadline() != 0 {
		t.Errorf("a withdrawn offer ends at %s", since(w.State.NextDeadline()))
	}
	w.must(seller, w.offer(5000, 200_000))
	ends := w.State.NextDeadline()
	w.NowMs = ends - 2
	if code := w.send("da-1", tick()); code != wire.CodeNothingDue {
		t.Errorf("a millisecond early: %q", code)
	}
	w.must("da-1", tick())
	if len(w.State.Offers()) != 0 || w.State.NextDeadline() != 0 {
		t.Errorf("%+v, next at %d", w.State.Offers(), w.State.NextDeadline())
	}
}

// sweepRows meet what has ended and is not swept yet.
var sweepRows = []marketRow{
	{"answer a request that ran out", wire.CodeRequestUnknown, late((*world).toRequested, func(*ledger.Params) int64 { return 3_600_000 }), mc,
		func(w *world) record { return w.response(nil) }},
	{"pay with a Token that ran out", wire.CodeExpired, late((*world).toEscrowed, func(*ledger.Params) int64 { return 600_000 }), buyer,
		func(*world) record { return pay(nil) }},
	{"pay an offer that ran out", wire.CodeOfferUnknown, late(func(w *world) {
		w.toEscrowed()
		short := w.offer(5000, 200_000)
		short.GetOffer().ExpiresMs = w.NowMs + 120_000
		w.must(seller, short)
	}, func(*ledger.Params) int64 { return 120_000 }), buyer, func(*world) record { return pay(nil) }},
	{"start too late", wire.CodeExpired, late((*world).toPaid, func(p *ledger.Params) int64 { return p.StartByMs }), seller,
		func(w *world) record { return start(w.attest(open, 1), 1000) }},
	{"read too late", wire.CodeExpired, late((*world).toPaid, func(p *ledger.Params) int64 { return p.StartByMs }), buyer,
		func(*world) record { return readingOf("buyer-1-meter", 100) }},
	{"a tick of nothing", wire.CodeNothingDue, nil, "da-1", func(*world) record { return tick() }},
	{"pay for less than the least", wire.CodeVolumeWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = 9, 1800 })
	}},
	{"pay nothing", wire.CodeAmountWrong, func(w *world) { w.toEscrowed(); w.must(seller, w.offer(5000, 1)) }, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.PriceMicroPerKwh, p.AmountMicro = 499, 1, 0 })
	}},
}

// A53: however much ends at once, a block ends max_sweep of it, and the next ones
// the rest, also in a state that was stored meanwhile.
func TestSweepIsBounded(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.MaxSweep, g.Params.MaxRequests = 10, 25 })
	w.must(mc, deposit(buyer, 1_000_000, "d"))
	ends := w.NowMs + 60_000
	var sealed [][]byte
	for i := range 25 {
		q := w.request(10, 1)
		q.GetRequest().RequestId, q.GetRequest().ExpiresMs = fmt.Sprintf("r-%02d", i), ends
		b, err := w.Seal(buyer, q)
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, b)
	}
	if _, err := w.Advance(sealed...); err != nil {
		t.Fatal(err)
	}
	if got := w.State.NextDeadline(); got != ends {
		t.Errorf("the next deadline is at %s", since(got))
	}
	w.NowMs = ends
	for _, want := range []int{15, 5, 0} {
		w.wait(0)
		if n := len(w.State.Requests()); n != want {
			t.Fatalf("%d requests stand, want %d", n, want)
		}
		if got := w.State.NextDeadline(); (got == 0) != (want == 0) {
			t.Errorf("with %d requests the next deadline is at %s", want, since(got))
		}
		again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
		if err != nil {
			t.Fatal(err)
		}
		w.State = again
	}
	w = newWorld(t, ledgertest.FirstRules)
	w.must(mc, deposit(buyer, 1_000_000, "d"))
	for i := range 3 {
		q := w.request(10, 1)
		q.GetRequest().RequestId, q.GetRequest().ExpiresMs = fmt.Sprintf("r-%02d", i), w.NowMs+60_000
		w.must(buyer, q)
	}
	if w.wait(60_000); len(w.State.Requests()) != 0 {
		t.Error("by the first rules a block ends all that is due")
	}
}
