package ledger_test

import (
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"pgregory.net/rapid"
)

// A gate change that is not OPEN holds what its device delivers, in its own block
// and without another word. What the meter was last read to have counted stands.
func TestGateChangeHolds(t *testing.T) {
	for _, state := range []fairwattpb.GateState{blocked, fairwattpb.GateState_GATE_STATE_INIT, fairwattpb.GateState_GATE_STATE_CLEARING} {
		w := newWorld(t, nil)
		w.toDelivering()
		w.must("seller-2", gate(1, state)) // another's gate holds nothing
		w.must(seller, readingOf("seller-1-meter", 1200))
		w.status(wire.StatusDelivering)
		w.must(seller, gate(2, state))
		if trade := w.status(wire.StatusHeld); !trade.Held || trade.SellerMeteredWh != 200 || trade.HoldSeq != 2 || !trade.HoldOwed {
			t.Errorf("%v: %+v", state, trade)
		}
		w.must(seller, gate(3, state)) // it is held already
		if trade := w.status(wire.StatusHeld); trade.Holds != 1 || trade.HoldSeq != 2 {
			t.Errorf("%v, twice: %+v", state, trade)
		}
	}
	w := newWorld(t, nil)
	w.toDelivering()
	w.must(seller, gate(2, open))
	w.status(wire.StatusDelivering)
}

// A18d: who delivers on through a hold delivers for nothing.
func TestNothingOfAHoldIsBillable(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(*world)
		wh   int64 // billable
	}{
		"with the reading of the hold": {func(w *world) { w.must(seller, hold(2, 1500)) }, 500},
		"with the bill for it":         {func(*world) {}, 1100}, // within a minute, a bill's reading is the hold's
		"without":                      {func(w *world) { w.wait(w.Genesis.Params.HoldReadingMs) }, 200},
	} {
		w := newWorld(t, nil)
		w.toDelivering()
		w.must(seller, readingOf("seller-1-meter", 1200))
		w.must(seller, gate(2, blocked))
		c.stop(w)
		if code := w.send(seller, w.bill(2100, c.wh+1, (c.wh+1)*200)); code != wire.CodeEnergyNotMetered {
			t.Errorf("%s: a bill for %d Wh: %q", name, c.wh+1, code)
		}
		w.must(seller, w.bill(2100, c.wh, c.wh*200))
	}
}

// A22: all holds of a delivery together last resume_by_ms at most, and there are
// max_holds at most. The last one ends by itself, and what was metered is billed.
func TestHoldsAreBounded(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.MaxHolds = 2 })
	w.toDelivering()
	begun := w.State.TimeMs()
	seq, wh, held := uint64(1), int64(1000), int64(0)
	again := func(pauseMs int64) {
		seq++
		wh += 100
		w.must(seller, gate(seq, blocked))
		from := w.State.TimeMs()
		w.must(seller, hold(seq, wh))
		seq++
		w.NowMs += pauseMs
		w.must(seller, gate(seq, open))
		w.must(seller, resume(w.attest(open, seq), wh))
		held += w.State.TimeMs() - from
	}
	again(1_000_000)
	again(1_500_000)
	if trade := w.status(wire.StatusDelivering); trade.HeldTotalMs != held || trade.DeadlineMs != begun+w.Genesis.Params.DeliverByMs+held {
		t.Errorf("held for %d ms: %+v", held, trade)
	}
	seq++
	w.must(seller, gate(seq, blocked))
	trade := w.status(wire.StatusHeld)
	if left := trade.DeadlineMs - w.State.TimeMs(); left != w.Genesis.Params.HoldReadingMs {
		t.Errorf("the third hold of two lasts %d ms", left)
	}
	w.wait(w.Genesis.Params.HoldReadingMs)
	if trade := w.trade(); trade.Status != wire.StatusBilled || trade.BilledWh != 200 {
		t.Errorf("%+v", trade)
	}

	w = newWorld(t, nil)
	w.toDelivering()
	seq, wh, held = 1, 1000, 0
	for range 3 {
		again(1_000_000)
	}
	w.must(seller, gate(8, blocked))
	trade = w.status(wire.StatusHeld)
	if left := trade.DeadlineMs - w.State.TimeMs(); left != w.Genesis.Params.ResumeByMs-held {
		t.Errorf("after holds of %d ms the next lasts %d ms", held, left)
	}
}

// A start or resume may bring the gate change that it stands on, when the chain has
// not got it yet.
func TestGateChangeComesAlong(t *testing.T) {
	w := newWorld(t, nil)
	w.toPaid()
	w.must(seller, carrying(start(w.attest(open, 2), 1000), w.sealed(seller, 90, gate(2, open))))
	w.status(wire.StatusDelivering)
	if g, _ := w.State.GateOf(seller); g.Seq != 2 || g.State != open {
		t.Errorf("%+v", g)
	}
	w.must(seller, gate(3, blocked))
	opens := w.sealed(seller, 91, gate(4, open))
	w.must(seller, carrying(resume(w.attest(open, 4), 1500), opens))
	w.status(wire.StatusDelivering)
	// One that the chain has overtaken changes nothing, and opens nothing.
	w.must(seller, gate(5, blocked))
	if code := w.send(seller, carrying(resume(w.attest(open, 4), 1500), opens)); code != wire.CodeAttestationOld {
		t.Errorf("resume with a gate change of before: %q", code)
	}
	w.must(seller, gate(6, open))
	w.must(seller, carrying(resume(w.attest(open, 6), 1500), opens))
}

// After a delivery its seller delivers the next.
func TestOneDeliveryAfterAnother(t *testing.T) {
	w := newWorld(t, nil)
	w.toSecondPaid()
	w.must(seller, w.bill(2000, 1000, 200_000))
	w.must(seller, of(start(w.attest(open, 1), 2000), "token-2"))
	w.must(seller, gate(2, blocked))
	if trade, _ := w.State.Trade("token-2"); trade.Status != wire.StatusHeld {
		t.Errorf("%+v", trade)
	}
	w.status(wire.StatusBilled)
}

// TestBilledEnergyFlowedUnderAnOpenGate: whatever a seller records, in whatever order,
// what counts for its trade is no more than what flowed while the chain's gate was
// OPEN. What flows within skew_ms of a gate change may be in the hold's reading: both
// are of one moment, and blocks are later than that.
func TestBilledEnergyFlowedUnderAnOpenGate(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		w := newWorld(outer, func(g *ledger.Genesis) { *g = *ledgertest.Genesis(1, 1, 1) })
		w.toDelivering()
		register, allowed, seq := int64(1000), int64(0), uint64(1)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			before := w.trade()
			flow := rapid.Int64Range(0, 60).Draw(t, "flow")
			w.NowMs += rapid.Int64Range(1, 90_000).Draw(t, "pause")
			register += flow
			if before.Status == wire.StatusDelivering || w.NowMs-before.HeldMs <= w.Genesis.Params.SkewMs {
				allowed += flow
			}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				seq++
				w.send(seller, gate(seq, open))
			case 1:
				seq++
				w.send(seller, gate(seq, fairwattpb.GateState(rapid.IntRange(1, 3).Draw(t, "state"))))
			case 2:
				w.send(seller, hold(seq, register))
			case 3:
				w.send(seller, resume(w.attest(open, seq), register))
			case 4:
				w.send(seller, readingOf("seller-1-meter", register))
			case 5:
				w.wait(0)
			}
			now := w.trade()
			if now.SellerMeteredWh > allowed {
				t.Fatalf("%d Wh count, %d flowed under an open gate: %+v", now.SellerMeteredWh, allowed, now)
			}
			if now.Status != wire.StatusDelivering && now.Status != wire.StatusHeld {
				break
			}
		}
		// And the bill: all that the ledger takes.
		for _, more := range []int64{1, 0} {
			energy := min(w.trade().SellerMeteredWh+register-w.trade().SegmentWh, allowed) + more
			if energy <= 2000 && w.send(seller, w.bill(register, energy, energy*200)) == "" {
				break
			}
		}
		if trade := w.trade(); trade.BilledWh > allowed {
			t.Fatalf("%d Wh are billed, %d flowed under an open gate", trade.BilledWh, allowed)
		}
	})
}
