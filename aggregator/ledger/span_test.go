package ledger_test

import (
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/wire"
)

const hour = 3_600_000

// TestEpochEndsByTime: an epoch with few blocks ends an hour after it began, not a
// millisecond before, by a tick that anyone of the members may send; the next hour
// counts from there.
func TestEpochEndsByTime(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochMs, g.Params.EpochBlocks = hour, 1000 })
	ends := w.Genesis.CreatedMs + hour
	for epoch := uint64(1); epoch < 4; epoch++ {
		if got := w.State.NextDeadline(); got != ends {
			t.Fatalf("epoch %d ends at %s, want %s", epoch, since(got), since(ends))
		}
		w.NowMs = ends - 2
		if code := w.send("da-1", tick()); code != wire.CodeNothingDue || w.State.Epoch() != epoch {
			t.Fatalf("a millisecond early: %q, epoch %d, want %d", code, w.State.Epoch(), epoch)
		}
		w.NowMs = ends - 1
		w.must("da-2", tick())
		if w.State.Epoch() != epoch+1 || w.State.EpochFirstHeight() != w.State.Height()+1 || w.State.TimeMs() != ends {
			t.Fatalf("at its end: epoch %d from block %d at %s, want %d", w.State.Epoch(), w.State.EpochFirstHeight(), since(w.State.TimeMs()), epoch+1)
		}
		again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
		if err != nil || again.NextDeadline() != w.State.NextDeadline() {
			t.Fatalf("restored: %v", err)
		}
		ends = w.State.TimeMs() + hour
	}
}

// TestBlocksEndAnEpochBeforeItsTime: then the time counts from there, and the end that
// was set before is gone.
func TestBlocksEndAnEpochBeforeItsTime(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochMs, g.Params.EpochBlocks = hour, 2 })
	w.wait(hour / 4)
	if !w.wait(hour/4).EndsEpoch() || w.State.Epoch() != 2 {
		t.Fatalf("two blocks of two: epoch %d", w.State.Epoch())
	}
	began := w.State.TimeMs()
	if got := w.State.NextDeadline(); got != began+hour {
		t.Errorf("the next epoch ends at %s, want %s", since(got), since(began+hour))
	}
	w.NowMs = w.Genesis.CreatedMs + hour + 10
	if w.wait(0).EndsEpoch() {
		t.Error("the end of the epoch before ends this one")
	}
	w.NowMs = began + hour - 1
	if st := w.wait(0); !st.EndsEpoch() || w.State.Epoch() != 3 || w.State.NextDeadline() != w.State.TimeMs()+hour {
		t.Errorf("both at once: ends %v, epoch %d, the next one at %s", st.EndsEpoch(), w.State.Epoch(), since(w.State.NextDeadline()))
	}
	// By a rejoin too.
	w.must("da-1", rejoin(3))
	if got := w.State.NextDeadline(); w.State.Epoch() != 4 || got != w.State.TimeMs()+hour {
		t.Errorf("after a rejoin: epoch %d ends at %s", w.State.Epoch(), since(got))
	}
}

// TestHalfOver: half of the blocks or half of the time, whichever is first.
func TestHalfOver(t *testing.T) {
	for _, epochMs := range []int64{0, hour} {
		w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochMs, g.Params.EpochBlocks = epochMs, 6 })
		half := w.Genesis.CreatedMs + hour/2
		if w.State.HalfOver(half-1) || w.State.HalfOver(half) != (epochMs > 0) {
			t.Errorf("epoch_ms %d: by time: %v, %v", epochMs, w.State.HalfOver(half-1), w.State.HalfOver(half))
		}
		for block := range 3 {
			if w.State.HalfOver(half - 1) {
				t.Errorf("epoch_ms %d: half of 6 blocks after %d", epochMs, block)
			}
			w.wait(1)
		}
		if !w.State.HalfOver(0) {
			t.Errorf("epoch_ms %d: 3 of 6 blocks are no half", epochMs)
		}
	}
}

// TestNoTimeNoTrace: a chain whose genesis says nothing of time ends epochs by blocks
// alone, and its state is what it was.
func TestNoTimeNoTrace(t *testing.T) {
	w := newWorld(t, nil)
	if w.wait(365*24*hour).EndsEpoch() || w.State.NextDeadline() != 0 {
		t.Errorf("an epoch ended after one block, the next at %s", since(w.State.NextDeadline()))
	}
	for _, e := range w.State.Entries() {
		if string(e.Key) == "epoch_ends" {
			t.Errorf("an entry %q", e.Key)
		}
	}
}

// TestDamagedSpan: a state whose end of the epoch is damaged makes no block that would
// need it, and says which entry it is.
func TestDamagedSpan(t *testing.T) {
	for _, damaged := range [][]byte{nil, {1, 2, 3}} {
		w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochMs, g.Params.EpochBlocks = hour, 1 })
		entries := w.State.Entries()
		for i := range entries {
			if string(entries[i].Key) == "epoch_ends" {
				entries[i].Value = damaged
			}
		}
		state, err := ledger.Restore(w.Genesis, 0, w.State.HeaderHash(), entries)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := state.Build(w.Fields(), nil); err == nil {
			t.Errorf("%x: a block", damaged)
		}
	}
}
