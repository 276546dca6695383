package aggregator_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fairwatt/aggregator"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/snapshot"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
)

// liar is a link on which one aggregator hands out snapshots that are not true.
type liar struct {
	aggregator.Link
	of string
}

func (l *liar) Snapshot(ctx context.Context, from string, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	if from == l.of { // the newest of all, at once: it is asked first
		return &peerpb.SnapshotPiece{Height: 1_000_000, Size: 4096, Data: append([]byte(snapshot.Magic), make([]byte, 4096-len(snapshot.Magic))...)}, nil
	}
	return l.Link.(aggregator.SnapshotLink).Snapshot(ctx, from, req)
}

// leapTown is a town with short epochs, each of which leaves a snapshot; load sends one
// record and waits for its block, until goes on so.
func leapTown(t *testing.T) (w *town, load func(), until func(what string, ok func() bool)) {
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochBlocks = 5
	w = newTown(t, g)
	w.config = func(c *aggregator.Config) { c.SnapshotEvery, c.SnapshotGain = time.Nanosecond, 5 }
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	seq := uint64(0)
	load = func() {
		t.Helper()
		seq++
		if o := seller.send(seller.gate(seq, fairwattpb.GateState_GATE_STATE_OPEN)); !o.GetApplied() {
			t.Fatalf("gate change %d: %v", seq, o)
		}
	}
	until = func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(180 * time.Second); !ok(); load() {
			if time.Now().After(end) {
				t.Fatalf("waited 180 s for %s", what)
			}
		}
	}
	load()
	for _, da := range g.DAs() { // all have the chain from its first block on
		for end := time.Now().Add(180 * time.Second); w.da(da.ID).State().Height() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited 180 s for the first block of %s", da.ID)
			}
		}
	}
	return w, load, until
}

func (w *town) leaptWith(id string) (liars []string, leapt bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	liars, leapt = w.leapt[id]
	return liars, leapt
}

func snapshotsOf(w *town, id string) int {
	files, err := filepath.Glob(filepath.Join(w.dir, id, aggregator.SnapshotFolder, "*.snapshot"))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(files)
}

// TestBeginsWithASnapshot: a new aggregator, and one whose folder is gone, begin with a
// snapshot of the others behind a change of the members, and vote. A member that hands
// out another state is refused and named, and the next is asked. What is older than the
// snapshot is said to be elsewhere.
func TestBeginsWithASnapshot(t *testing.T) {
	w, load, until := leapTown(t)
	newest := func(id string) uint64 {
		p, err := w.da(id).SnapshotPiece(t.Context(), &peerpb.SnapshotRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return p.GetHeight()
	}
	until("snapshots", func() bool { return newest("da-1") > 5 && newest("da-2") > 5 && newest("da-3") > 5 })
	w.start("da-5")
	w.change(ledgertest.Centre, 1, &fairwattpb.Record{Body: &fairwattpb.Record_Admit{Admit: &fairwattpb.Admit{
		Id: "da-5", Role: fairwattpb.Role_ROLE_DA, PublicKey: string(ledgertest.PublicKey("da-5")), Proof: proofOf(t, w, "da-5", "da-5"),
		Address: "127.0.0.1:9005", Links: 2, TrustE4: 8500, OverheadUs: 1000,
	}}})
	until("da-5 to vote", func() bool { return w.da("da-5").Stats().Voting })
	if _, leapt := w.leaptWith("da-5"); !leapt {
		t.Error("da-5 did not begin with a snapshot")
	}
	joined := w.da("da-5").State().Height()
	until("snapshots behind the change", func() bool { return newest("da-1") > joined && newest("da-2") > joined && newest("da-3") > joined })

	w.halt("da-4")
	if err := os.RemoveAll(filepath.Join(w.dir, "da-4")); err != nil {
		t.Fatal(err)
	}
	w.link = func(id string, l aggregator.Link) aggregator.Link {
		if id != "da-4" {
			return l
		}
		return &liar{l, "da-1"}
	}
	w.start("da-4")
	until("da-4 to vote", func() bool { return w.da("da-4").Stats().Voting })
	liars, leapt := w.leaptWith("da-4")
	if !leapt || !slices.Contains(liars, "da-1") {
		t.Errorf("da-4 began with a snapshot: %v; it names %v", leapt, liars)
	}
	if s := w.da("da-4").Stats(); s.RefusedBy["snapshot"] == 0 || s.Peers["da-1"].Refused == 0 {
		t.Errorf("refused are %v, of da-1 %d", s.RefusedBy, s.Peers["da-1"].Refused)
	}
	load()
	archive := w.da("da-4").Archive()
	if _, _, err := archive.Block(1); !errors.Is(err, console.ErrNotKept) {
		t.Errorf("block 1: %v", err)
	}
	if _, err := w.da("da-4").Blocks(1, 10); !errors.Is(err, console.ErrNotKept) {
		t.Errorf("blocks from 1 on: %v", err)
	}
	if err := w.da("da-4").Follow(t.Context(), 1, func(*fairwattpb.CertifiedBlock) error { return nil }); !errors.Is(err, store.ErrArchived) {
		t.Errorf("followed from block 1 on: %v", err)
	}
	until("da-4 to have what da-1 has", func() bool { return w.da("da-4").State().Root() == w.da("da-1").State().Root() })
	w.halt("da-4") // what it keeps is enough to go on from
	w.start("da-4")
	until("da-4 to vote again", func() bool { return w.da("da-4").Stats().Voting })
	if turns, err := w.da("da-4").State().Turns(); err != nil || len(turns) != 1 {
		t.Errorf("%d changes of members, %v", len(turns), err)
	}
}

// TestLeftBehindByAll: an aggregator that was away until no one has its next block any
// more goes on with a snapshot. One that is new and wants all blocks does so too where no
// one has them.
func TestLeftBehindByAll(t *testing.T) {
	w, _, until := leapTown(t)
	all := []string{"da-1", "da-2", "da-3"}
	until("da-4 to have blocks", func() bool { return w.da("da-4").State().Height() > 3 })
	w.halt("da-4")
	left := w.da("da-4").State().Height()
	until("the others to be ahead", func() bool { return w.da("da-1").State().Height() > left+12 && snapshotsOf(w, "da-1") > 0 })
	for _, id := range all {
		w.halt(id)
		s, err := store.Open(filepath.Join(w.dir, id, aggregator.StoreFile), w.chain)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Prune(left+6, nil), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range all {
		w.start(id)
	}
	w.config = func(c *aggregator.Config) { c.SnapshotEvery, c.SnapshotGain, c.FromBlocks = time.Nanosecond, 5, true }
	w.start("da-4")
	// At first it may vote in the epoch that it was in: it does not know how far the others are.
	until("da-4 to begin with a snapshot", func() bool { _, leapt := w.leaptWith("da-4"); return leapt })
	until("da-4 to vote", func() bool { return w.da("da-4").Stats().Voting })
	if s := w.da("da-4").Stats(); s.RefusedBy["snapshot"] != 0 {
		t.Errorf("refused are %v", s.RefusedBy)
	}
}

// TestFromBlocks: an aggregator that is told to fetches every block, whatever snapshots
// there are.
func TestFromBlocks(t *testing.T) {
	w, _, until := leapTown(t)
	until("snapshots", func() bool { return snapshotsOf(w, "da-1") > 0 })
	w.halt("da-4")
	if err := os.RemoveAll(filepath.Join(w.dir, "da-4")); err != nil {
		t.Fatal(err)
	}
	w.config = func(c *aggregator.Config) { c.SnapshotEvery, c.SnapshotGain, c.FromBlocks = time.Nanosecond, 5, true }
	w.start("da-4")
	until("da-4 to vote", func() bool { return w.da("da-4").Stats().Voting })
	if _, leapt := w.leaptWith("da-4"); leapt {
		t.Error("da-4 began with a snapshot")
	}
	if _, ok, err := w.da("da-4").Archive().Block(1); err != nil || !ok {
		t.Errorf("block 1: %v", err)
	}
}
