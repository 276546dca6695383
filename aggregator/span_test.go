package aggregator_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
)

// TestIdleEpochEndsByTime: where no one sends anything, an epoch ends when its time is
// over, and leaves a snapshot. An aggregator that starts again knows that it has ended,
// one whose folder is gone begins with the snapshot, and both vote.
func TestIdleEpochEndsByTime(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochMs = 24 * time.Hour.Milliseconds() // over long ago: the genesis is of 2023
	g.Params.EpochBlocks = 10_000
	w := newTown(t, g)
	w.config = func(c *aggregator.Config) { c.SnapshotEvery, c.SnapshotGain = time.Nanosecond, 1 }
	t.Run("town", func(t *testing.T) {
		w.t = t
		until := func(what string, ok func() bool) {
			t.Helper()
			for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("waited 3 minutes for %s", what)
				}
			}
		}
		w.startAll()
		ids := []string{"da-1", "da-2", "da-3", "da-4"}
		for _, id := range ids {
			until("the second epoch of "+id, func() bool { return w.da(id).State().Epoch() == 2 })
			if h := w.da(id).State().Height(); h > uint64(len(ids)) { // each may have asked for the block
				t.Errorf("%s: %d blocks", id, h)
			}
		}
		until("a snapshot", func() bool {
			p, err := w.da("da-1").SnapshotPiece(t.Context(), &peerpb.SnapshotRequest{})
			return err == nil && p.GetHeight() == 1
		})
		for _, id := range ids[:2] {
			w.halt(id)
			w.start(id)
		}
		seller := w.device("seller-1", "site-seller-1")
		applied(t, "gate", seller.send(seller.gate(1, fairwattpb.GateState_GATE_STATE_OPEN)))
		for _, id := range ids {
			until("the record at "+id, func() bool { return w.da(id).State().Height() >= 2 })
			if e := w.da(id).State().Epoch(); e != 2 {
				t.Errorf("%s: epoch %d ended before its time", id, e)
			}
		}
		w.halt("da-4")
		if err := os.RemoveAll(filepath.Join(w.dir, "da-4")); err != nil {
			t.Fatal(err)
		}
		w.start("da-4")
		until("da-4 to vote", func() bool { return w.da("da-4").Stats().Voting })
		if _, leapt := w.leaptWith("da-4"); !leapt {
			t.Error("da-4 did not begin with the snapshot")
		}
		w.halt("da-4")
		w.start("da-4")
		until("da-4 to have what da-1 has", func() bool { return w.da("da-4").State().Root() == w.da("da-1").State().Root() })
	})
}
