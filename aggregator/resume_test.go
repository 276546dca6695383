package aggregator_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator"
	"fairwatt/aggregator/consensus/wal"
	"fairwatt/aggregator/ledger/ledgertest"
)

// patience bounds waits on aggregators that run by the wall clock.
const patience = 2 * time.Minute

func (w *town) until(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); !ok(); {
		select {
		case <-ctx.Done():
			tick.Stop()
			w.t.Fatalf("waited %v for %s", patience, what)
		case <-tick.C:
		}
	}
}

func (w *town) loseLog(id string) {
	w.t.Helper()
	epoch := w.da(id).State().Epoch()
	w.halt(id)
	if err := os.RemoveAll(wal.Folder(filepath.Join(w.dir, id, "agreement"), epoch)); err != nil {
		w.t.Fatal(err)
	}
}

// The logs of two of four aggregators are lost, one after the other: each ends the
// epoch by a record of its own and votes again, once in 100 blocks.
func TestLostLogs(t *testing.T) {
	g := testGenesis()
	g.Params.EpochBlocks = 10_000
	w := newTown(t, g)
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	applied(t, "gate", seller.send(seller.gate(1, open)))
	for k, id := range []string{"da-3", "da-4"} {
		w.together() // it may be behind those that have answered, and in the epoch before
		w.loseLog(id)
		w.start(id)
		w.until(id+" to vote", func() bool { return w.da(id).Stats().Voting })
		if epoch := w.da(id).State().Epoch(); epoch != uint64(k)+2 {
			t.Errorf("%s votes in epoch %d", id, epoch)
		}
		applied(t, "gate", seller.send(seller.gate(uint64(k)+2, open)))
	}
	// Again so soon it has to follow. The others go on.
	w.together()
	w.loseLog("da-3")
	w.start("da-3")
	w.until("da-3 to say that it follows", func() bool { return w.da("da-3").Stats().Following != "" })
	applied(t, "gate", seller.send(seller.gate(4, open)))
	if s := w.da("da-3").Stats(); s.Voting || s.Rejoins != 0 || s.Epoch != 3 {
		t.Errorf("%+v", s)
	}
	if said := w.da("da-3").Snapshot().Fault; !strings.Contains(said, "does not vote") {
		t.Errorf("the page says %q", said)
	}
}

// state makes the statement of a stopped aggregator.
func (w *town) state(id string, height, round uint64, others ...[]byte) (aggregator.Statement, error) {
	w.t.Helper()
	da, err := aggregator.New(aggregator.Config{ID: id, Dir: filepath.Join(w.dir, id)}, aggregator.Deps{
		Genesis: w.g, Key: ledgertest.Key(id), Link: w.net.Join(id), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	said, err := da.Resume(height, round, others...)
	if err := da.Close(); err != nil {
		w.t.Fatal(err)
	}
	return said, err
}

// The logs of all are lost at once: nothing comes until the operators state where
// to go on. The record that waited is decided then.
func TestResume(t *testing.T) {
	g := testGenesis()
	g.Params.EpochBlocks = 10_000
	w := newTown(t, g)
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	applied(t, "gate", seller.send(seller.gate(1, open)))
	var ids []string
	for _, da := range g.DAs() {
		ids = append(ids, da.ID)
	}
	w.together()
	for _, id := range ids {
		w.loseLog(id)
	}
	for _, id := range ids {
		w.start(id)
	}
	for _, id := range ids {
		w.until(id+" to say so", func() bool { return strings.Contains(w.da(id).Snapshot().Fault, "does not vote") })
	}
	height := w.da("da-1").State().Height()
	for _, id := range ids {
		w.halt(id)
	}
	if _, err := w.state("da-1", height-1, 1); err == nil || !strings.Contains(err.Error(), "no block may be given up") {
		t.Errorf("a block less: %v", err)
	}
	var said [][]byte
	for k, id := range ids {
		s, err := w.state(id, height, 1)
		if err != nil || len(s.Signers) != 1 || s.Need != 3 {
			t.Fatalf("%s: %v of %d, %v", id, s.Signers, s.Need, err)
		}
		said = append(said, s.Text)
		if k > 0 { // one by one, and those of before are kept
			if s, err = w.state("da-1", height, 1, s.Text); err != nil || len(s.Signers) != k+1 {
				t.Fatalf("da-1 has those of %v: %v", s.Signers, err)
			}
		}
	}
	if _, err := w.state("da-2", height, 2, said[0]); err == nil || !strings.Contains(err.Error(), "all must name the same height and round") {
		t.Errorf("another round: %v", err)
	}
	for _, id := range ids[1:] {
		if s, err := w.state(id, height, 1, said...); err != nil || fmt.Sprint(s.Signers) != fmt.Sprint(ids) {
			t.Fatalf("%s: %v, %v", id, s.Signers, err)
		}
	}
	for _, id := range ids {
		w.start(id)
	}
	applied(t, "gate", seller.send(seller.gate(2, open)))
	for _, id := range ids {
		w.until(id+" to vote", func() bool { return w.da(id).Stats().Voting })
	}
}
