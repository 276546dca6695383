package aggregator_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// TestCatchUpRecords measures how long an aggregator whose folder is deleted takes to
// have FAIRWATT_RECORDS records again, 2,000 without it: by all blocks, and with a
// snapshot.
func TestCatchUpRecords(t *testing.T) {
	records := 2000
	if text := os.Getenv("FAIRWATT_RECORDS"); text != "" {
		var err error
		if records, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	const sellers = 8
	g := ledgertest.Genesis(4, sellers, 1)
	g.Params.EpochBlocks = max(3, uint64(records)/5000)
	w := newTown(t, g)
	w.config = func(c *aggregator.Config) { c.SnapshotEvery, c.SnapshotGain = time.Second, 1 }
	w.startAll()
	began := time.Now()
	var all sync.WaitGroup
	for k := range sellers {
		d := w.device(fmt.Sprintf("seller-%d", k+1), fmt.Sprintf("site-seller-%d", k+1))
		all.Go(func() { sendMany(t, w, d, records/sellers, fmt.Sprintf("da-%d", k%4+1)) })
	}
	all.Wait()
	has := func(id string) bool { return w.da(id).State().Totals().Records >= uint64(records/sellers*sellers) }
	within := time.Minute + time.Duration(records)*20*time.Millisecond
	await := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited %v for %s", within, what)
			}
		}
	}
	await("the records", func() bool { return has("da-1") && has("da-2") && has("da-3") && has("da-4") })
	t.Logf("%d records final in %v, %d blocks", records, time.Since(began).Round(time.Millisecond), w.da("da-1").State().Height())
	for _, way := range []struct {
		name   string
		blocks bool
	}{{"by all blocks", true}, {"with a snapshot", false}} {
		w.halt("da-4")
		if err := os.RemoveAll(filepath.Join(w.dir, "da-4")); err != nil {
			t.Fatal(err)
		}
		w.config = func(c *aggregator.Config) { c.SnapshotEvery, c.SnapshotGain, c.FromBlocks = time.Second, 1, way.blocks }
		began := time.Now()
		w.start("da-4")
		await("da-4 to have the records "+way.name, func() bool { return has("da-4") })
		took := time.Since(began)
		if _, leapt := w.leaptWith("da-4"); leapt == way.blocks {
			t.Errorf("%s: began with a snapshot: %v", way.name, leapt)
		}
		if a, b := w.da("da-4").State(), w.da("da-1").State(); a.Height() == b.Height() && a.Root() != b.Root() {
			t.Errorf("%s: another state", way.name)
		}
		t.Logf("%d records %s in %v: %.0f records/s", records, way.name, took.Round(time.Millisecond), float64(records)/took.Seconds())
	}
}

// inFlight is over how many records a device goes on while the oldest of them is not final, as
// an agent's outbox does: the chain tells no more than some hundred counters back which of a
// sender's were used.
const inFlight = 256

// sendMany hands in gate changes of one device, in order, as fast as one aggregator takes
// them.
func sendMany(t *testing.T, w *town, d *device, n int, to string) {
	var sent [][]byte // that may not be final yet
	for seq := uint64(1); seq <= uint64(n); seq++ {
		r := d.gate(seq, fairwattpb.GateState_GATE_STATE_OPEN)
		sealed := d.seal(d.id, seq, r)
		if sent = append(sent, sealed); len(sent) > inFlight {
			if !untilFinal(w, to, sent[0]) {
				t.Errorf("%s: record %d is not final", d.id, seq-inFlight)
				return
			}
			sent = sent[1:]
		}
		for end := time.Now().Add(5 * time.Minute); ; {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			err := w.da(to).Submit(ctx, sealed)
			cancel()
			var again interface{ Temporary() bool }
			if err == nil {
				break
			}
			if !errors.As(err, &again) || !again.Temporary() || time.Now().After(end) {
				t.Errorf("%s, record %d: %v", d.id, seq, err)
				return
			}
			time.Sleep(10 * time.Millisecond) // it asks for a pause, and there is no event for its end
		}
	}
}

// untilFinal waits until the chain of an aggregator has a record: it is then refused as one
// that was used.
func untilFinal(w *town, at string, sealed []byte) bool {
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var refused *ledger.Refusal
		if _, err := w.da(at).State().CheckRecord(sealed); errors.As(err, &refused) && refused.Code == wire.CodeReplayed {
			return true
		}
	}
	return false
}
