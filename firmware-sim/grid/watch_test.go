package grid

import (
	"slices"
	"testing"
	"time"

	"fairwatt/proto/fairwattpb"
)

// saw has a watch see blocks of one record each: their accounting node, when
// the record was sealed, and when each data aggregator had the block.
func saw(w *watch, height uint64, accounting string, sentMs int64, finalMs map[string]int64) {
	b := &seenBlock{
		header: &fairwattpb.BlockHeader{Height: height, AccountingNode: accounting},
		sentMs: []int64{sentMs}, final: make(map[string]time.Time),
	}
	for da, at := range finalMs {
		b.final[da] = time.UnixMilli(at)
	}
	w.blocks[height] = b
}

func TestWatchConfirmationTimes(t *testing.T) {
	w := newWatch()
	saw(w, 1, "da-1", 1000, map[string]int64{"da-1": 1010, "da-2": 1025, "da-3": 1400})
	saw(w, 2, "da-1", 1100, map[string]int64{"da-1": 1150, "da-2": 1140})
	saw(w, 3, "da-2", 1200, map[string]int64{"da-1": 1230}) // da-2 never had it
	got := w.confirmationTimes([]string{"da-1", "da-2"})
	slices.Sort(got)
	// The last of those asked counts; the third data aggregator does not, nor
	// a block that one of them lacks.
	if want := []float64{25, 50}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := w.confirmationTimes([]string{"da-1", "da-2", "da-3"}); !slices.Equal(got, []float64{400}) {
		t.Errorf("%v at all three, want 400", got)
	}
}

func TestWatchFirstOtherAfter(t *testing.T) {
	w := newWatch()
	saw(w, 1, "da-1", 0, map[string]int64{"da-2": 1000})
	saw(w, 2, "da-2", 0, map[string]int64{"da-2": 1500, "da-3": 2100}) // seen by one before the kill
	saw(w, 3, "da-1", 0, map[string]int64{"da-2": 2050})               // of the killed one, still under way
	saw(w, 4, "da-3", 0, map[string]int64{"da-2": 2600, "da-3": 2500})
	at, ok := w.firstOtherAfter("da-1", time.UnixMilli(2200))
	if !ok || at.UnixMilli() != 2500 {
		t.Errorf("at %d (%v), want 2500", at.UnixMilli(), ok)
	}
	if _, ok := w.firstOtherAfter("da-1", time.UnixMilli(3000)); ok {
		t.Error("a block after the last")
	}
}

func TestWatchRefusesWhatIsNoBlock(t *testing.T) {
	w := newWatch()
	if err := w.see("da-1", []byte("no block"), time.Now()); err == nil {
		t.Error("bytes that are no block are taken")
	}
	if len(w.blocks) != 0 {
		t.Error("they are kept")
	}
}
