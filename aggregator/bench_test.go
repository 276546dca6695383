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

// BenchmarkDoor measures records from the door of a DA to final at all four
// (fsync at each, links in memory without delay): `go test -run - -bench Door
// -benchtime 50000x`. It reports records/s, and the quantiles of the time from
// a record's submit until its block is synced at every DA. The submitters keep
// 2,000 records in flight, so that the quantiles are those under full load;
// BenchmarkDoorPaced gives those at 4,000 records/s.
func BenchmarkDoor(b *testing.B) { measureDoor(b, 2000, 0) }

// BenchmarkDoorPaced is BenchmarkDoor at 4,000 records a second.
func BenchmarkDoorPaced(b *testing.B) { measureDoor(b, 100_000, 4000) }

// measureDoor submits b.N signed records of 40 senders to the DAs in turn, at
// most inFlight at once, perS a second when it is not 0.
func measureDoor(b *testing.B, inFlight, perS int) {
	const senders = 40
	g := ledgertest.Genesis(4, senders, 0)
	g.Params.EpochBlocks = 100
	w := newTown(b, g)
	w.startAll()
	records := sealGateChanges(b, w, senders, b.N)

	var mu sync.Mutex
	submitted := make(map[[32]byte]time.Time, b.N)
	seen := make(map[[32]byte]int, b.N)
	var took []float64
	room := make(chan struct{}, inFlight)
	all := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	var followers sync.WaitGroup
	for _, da := range g.DAs() {
		followers.Go(func() {
			_ = w.da(da.ID).Follow(ctx, 1, func(cb *fairwattpb.CertifiedBlock) error {
				now := time.Now()
				var block fairwattpb.Block
				if err := proto.Unmarshal(cb.GetBlock(), &block); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				for _, sealed := range block.GetRecords() {
					id := seal.ID(sealed)
					if seen[id]++; seen[id] < len(g.Aggregators) {
						continue
					}
					took = append(took, float64(now.Sub(submitted[id]).Microseconds())/1000)
					<-room
					if len(took) == b.N {
						close(all)
					}
				}
				return nil
			})
		})
	}
	b.ResetTimer()
	began := time.Now()
	for i, sealed := range records {
		if perS > 0 {
			if ahead := time.Duration(i)*time.Second/time.Duration(perS) - time.Since(began); ahead > time.Millisecond {
				time.Sleep(ahead) // the pace is what is measured at
			}
		}
		room <- struct{}{}
		mu.Lock()
		submitted[seal.ID(sealed)] = time.Now()
		mu.Unlock()
		if err := w.da(fmt.Sprintf("da-%d", i%4+1)).Submit(ctx, sealed); err != nil {
			b.Fatal(err)
		}
	}
	<-all
	b.StopTimer()
	elapsed := time.Since(began)
	cancel()
	followers.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "records/s")
	b.ReportMetric(took[len(took)/2], "p50_ms")
	b.ReportMetric(took[len(took)*99/100], "p99_ms")
	b.ReportMetric(0, "ns/op")
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
