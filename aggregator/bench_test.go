package aggregator_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// BenchmarkDoor measures records from the intake of a DA to final at all four
// (fsync at each, links in memory without delay): `go test -run - -bench Door
// -benchtime 50000x`. It reports records/s, and the quantiles of the time from
// a record's submit until its block is synced at every DA. The submitters keep
// 2,000 records in flight, so that the quantiles are those under full load;
// BenchmarkDoorPaced gives those at 4,000 records/s.
func BenchmarkDoor(b *testing.B) { measureDoor(b, 2000, 0) }

// BenchmarkDoorPaced is BenchmarkDoor at 4,000 records a second.
func BenchmarkDoorPaced(b *testing.B) { measureDoor(b, 100_000, 4000) }

func measureDoor(b *testing.B, inFlight, perS int) {
	w := newTown(b, ledgertest.Genesis(4, 40, 0))
	w.startAll()
	next := 0
	measure(b, w, 40, inFlight, perS, 1, func(ctx context.Context, _ int, sealed [][]byte) error {
		next++ // the DAs in turn
		return w.da(fmt.Sprintf("da-%d", next%4+1)).Submit(ctx, sealed[0])
	})
}

// measure submits b.N signed records of so many senders, in batches of one
// sender, at most inFlight records at once, perS a second when it is not 0. It
// reports how many a second became final at all DAs, and how long that took.
func measure(b *testing.B, w *town, senders, inFlight, perS, batch int, submit func(ctx context.Context, sender int, sealed [][]byte) error) {
	records := sealGateChanges(b, w, senders, b.N)
	f := newFinality(b, w, inFlight)
	ctx, cancel := context.WithCancel(context.Background())
	var followers sync.WaitGroup
	for _, da := range w.g.DAs() {
		followers.Go(func() { _ = w.da(da.ID).Follow(ctx, 1, f.block) }) // ends with ctx
	}
	b.ResetTimer()
	began := time.Now()
	for i := 0; i < b.N; i += senders * batch {
		for s := range senders {
			var sealed [][]byte
			for k := i + s; k < min(b.N, i+senders*batch); k += senders {
				sealed = append(sealed, records[k])
			}
			if len(sealed) == 0 {
				continue
			}
			if perS > 0 {
				if ahead := time.Duration(f.sent())*time.Second/time.Duration(perS) - time.Since(began); ahead > time.Millisecond {
					time.Sleep(ahead) // the pace is what is measured at
				}
			}
			f.submitted(sealed)
			if err := submit(ctx, s, sealed); err != nil {
				b.Fatal(err)
			}
		}
	}
	<-f.all
	b.StopTimer()
	elapsed := time.Since(began)
	cancel()
	followers.Wait()
	slices.Sort(f.took)
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "records/s")
	b.ReportMetric(f.took[len(f.took)/2], "p50_ms")
	b.ReportMetric(f.took[len(f.took)*99/100], "p99_ms")
	b.ReportMetric(0, "ns/op")
}

// finality notes when each record is final at the last DA.
type finality struct {
	want, das int
	room      chan struct{}
	all       chan struct{}

	mu   sync.Mutex
	at   map[[32]byte]time.Time
	seen map[[32]byte]int
	took []float64 // ms
}

func newFinality(b *testing.B, w *town, inFlight int) *finality {
	return &finality{want: b.N, das: len(w.g.Aggregators), room: make(chan struct{}, inFlight), all: make(chan struct{}),
		at: make(map[[32]byte]time.Time, b.N), seen: make(map[[32]byte]int, b.N)}
}

func (f *finality) sent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.at)
}

func (f *finality) submitted(sealed [][]byte) {
	for range sealed {
		f.room <- struct{}{}
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range sealed {
		f.at[seal.ID(s)] = now
	}
}

func (f *finality) block(cb *fairwattpb.CertifiedBlock) error {
	now := time.Now()
	var block fairwattpb.Block
	if err := proto.Unmarshal(cb.GetBlock(), &block); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sealed := range block.GetRecords() {
		id := seal.ID(sealed)
		if _, ours := f.at[id]; !ours {
			continue // a data aggregator's report, from the middle of an epoch on
		}
		// A new leader may put a record into a block once more: the rules refuse it there.
		if f.seen[id]++; f.seen[id] != f.das {
			continue
		}
		f.took = append(f.took, float64(now.Sub(f.at[id]).Microseconds())/1000)
		<-f.room
		if len(f.took) == f.want {
			close(f.all)
		}
	}
	return nil
}

// sealGateChanges makes n signed records, dealt to the senders in turn.
func sealGateChanges(b *testing.B, w *town, senders, n int) [][]byte {
	b.Helper()
	out := make([][]byte, n)
	var g sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		g.Go(func() {
			for i := k; i < n; i += workers {
				d := &device{w: w, id: fmt.Sprintf("seller-%d", i%senders+1)}
				turn := uint64(i/senders + 1)
				out[i] = d.seal(d.id, turn, d.gate(turn, open))
			}
		})
	}
	g.Wait()
	return out
}
