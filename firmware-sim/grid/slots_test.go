package grid

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
)

// What flows between two borders is kept to the moment, however the world's steps lie.
func TestSlotWorldKeepsBorders(t *testing.T) {
	start := time.UnixMilli(1_000_000_003_500)
	w := newWorld(90, slog.New(slog.DiscardHandler))
	w.slots = newSlotWorld(&ledger.Params{SlotRules: ledger.SlotRules{SlotMs: 10_000}})
	w.slots.gives["meter"] = 1000
	now := start
	w.now = func() time.Time { return now }
	w.begin()
	for _, ms := range []int64{100, 6_499, 6_501, 20_000, 47_000} {
		now = start.Add(time.Duration(ms) * time.Millisecond)
		w.mu.Lock()
		w.advance()
		w.mu.Unlock()
	}
	for border := int64(1_000_000_010_000); border < 1_000_000_050_000; border += 10_000 {
		// 1000 W over 10 s of a world that runs 90 times as fast.
		if wh, ok := w.slotFlow("meter", border); !ok || math.Abs(wh-250) > 0.01 {
			t.Errorf("slot %d: %.2f Wh, known %v; want 250", border, wh, ok)
		}
	}
	for _, border := range []int64{1_000_000_000_000, 1_000_000_050_000} {
		if wh, ok := w.slotFlow("meter", border); ok {
			t.Errorf("slot %d, which the run did not see whole: %.2f Wh", border, wh)
		}
	}
	if wh, ok := w.shownAt("meter", 1_000_000_010_000); !ok || wh != 162 {
		t.Errorf("the register showed %d, known %v; want 162", wh, ok)
	}
	if newSlotWorld(&ledger.Params{}) != nil {
		t.Error("slots without an auction")
	}
}
