package grid

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// The load of BenchmarkThroughBroker.
const (
	loadClients  = 10
	loadBatch    = 16
	loadInFlight = 2000
	loadLimit    = 50 * time.Second // for all of the records
	// overtakenCode is the ledger's word for a gate change that came late.
	overtakenCode = wire.CodeGateSeqOld
)

// BenchmarkThroughBroker measures the whole path of a record: sealed by one of
// ten clients, published in batches of 16 over MQTT with mutual TLS, taken from
// the broker by four data aggregators, agreed on over gRPC with mutual TLS, and
// synced at each. All of it shares this machine's cores, the clients' sealing
// and TLS included. It reports records/s and the quantiles of the time from
// sealing to final at every data aggregator, with 2,000 records in flight. View
// changes mean that the machine was too busy for the timeouts of agreement:
//
//	go test ./firmware-sim/grid -run - -bench ThroughBroker -benchtime 30000x
func BenchmarkThroughBroker(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	g := startLoadGrid(ctx, b)
	l := newLoad(b.N, len(g.nodes))
	var followers sync.WaitGroup
	for _, n := range g.nodes {
		followers.Go(func() { _ = n.da.Follow(ctx, 1, l.block) }) // ends with ctx
	}
	b.Cleanup(func() {
		cancel()
		followers.Wait()
		if err := g.stopRest(); err != nil {
			b.Error(err)
		}
	})
	clients := make([]paho.Client, loadClients)
	for i, p := range g.people {
		clients[i] = loadClient(b, g.broker.URL(), p.id, g.clientTLS(p.tls))
		b.Cleanup(func() { clients[i].Disconnect(0) })
	}
	b.ResetTimer()
	began := time.Now()
	var senders sync.WaitGroup
	for i, p := range g.people {
		share := b.N / loadClients
		if i < b.N%loadClients {
			share++
		}
		senders.Go(func() {
			if err := l.send(clients[i], p, g.community.Genesis.ChainID(), share); err != nil {
				b.Error(err)
			}
		})
	}
	select {
	case <-l.all:
	case <-time.After(loadLimit):
		b.Fatalf("%d of %d records final after %v; dropped by the broker: %d", l.count(), b.N, loadLimit, g.broker.Dropped.Load())
	}
	b.StopTimer()
	elapsed := time.Since(began)
	senders.Wait()
	// A batch that another of its sender overtakes is final, but its gate
	// changes are older than what stands.
	refused := g.snapshot().Counters.Refused
	overtaken := refused[overtakenCode]
	delete(refused, overtakenCode)
	// And one that comes to a data aggregator after the block that holds it: all
	// records are final by now, each once.
	late := refused[wire.CodeReplayed]
	delete(refused, wire.CodeReplayed)
	if len(refused) > 0 {
		b.Errorf("records were refused: %v", refused)
	}
	slices.Sort(l.tookMs)
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "records/s")
	b.ReportMetric(l.tookMs[len(l.tookMs)/2], "p50_ms")
	b.ReportMetric(l.tookMs[len(l.tookMs)*99/100], "p99_ms")
	b.ReportMetric(float64(overtaken), "overtaken")
	b.ReportMetric(float64(late), "late")
	b.ReportMetric(float64(g.nodes[0].da.Stats().ViewChanges), "view_changes")
	b.ReportMetric(0, "ns/op")
}

// startLoadGrid is a grid without world and agents: its people are keys and
// certificates, registered with the centre. It is ready when every data
// aggregator says that it reads from the broker.
func startLoadGrid(ctx context.Context, b *testing.B) *grid {
	b.Helper()
	cfg := DefaultConfig()
	cfg.MQTT = "127.0.0.1:0"
	g := &grid{cfg: cfg, log: slog.New(slog.DiscardHandler), software: "bench", dataDir: b.TempDir(), watch: newWatch()}
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	community, listeners, err := newCommunity(&g.cfg, g.cfg.suited(ledger.DefaultParams()))
	must(err)
	g.community = community
	g.broker = newBroker(brokerTLS(community), g.cfg.MQTT, g.log)
	for _, who := range community.DAs {
		g.broker.Admit(who.ID, roleDA)
	}
	for i := range loadClients {
		p, err := g.newParticipant(fmt.Sprint("load-", i+1), "bench")
		must(err)
		p.seller = true
		g.broker.Admit(p.id, roleDevice)
		g.people = append(g.people, p)
	}
	must(g.broker.Start())
	must(g.makeAggregators(listeners))
	online := awaitOnline(b, g)
	g.runAggregators(ctx)
	must(g.makeCentre())
	go func() { _ = g.centre.Run(ctx) }() // ends with ctx
	enrolling, cancel := context.WithTimeout(ctx, enrolLimit)
	defer cancel()
	for _, p := range g.people {
		must(g.enrol(enrolling, p))
	}
	<-online
	return g
}

// awaitOnline returns what is closed when every data aggregator has said on the
// broker that it is online, which it does once its subscriptions stand.
func awaitOnline(b *testing.B, g *grid) <-chan struct{} {
	b.Helper()
	all := make(chan struct{})
	var mu sync.Mutex
	seen := make(map[string]bool)
	watcher := loadClient(b, "tcp://"+g.broker.openAddr, "watcher", nil)
	b.Cleanup(func() { watcher.Disconnect(0) })
	token := watcher.Subscribe(wire.StatusOfDA("+"), 1, func(_ paho.Client, m paho.Message) {
		mu.Lock()
		defer mu.Unlock()
		if string(m.Payload()) == wire.Online && !seen[m.Topic()] {
			seen[m.Topic()] = true
			if len(seen) == len(g.nodes) {
				close(all)
			}
		}
	})
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		b.Fatalf("watch the data aggregators: %v", token.Error())
	}
	return all
}

func loadClient(b *testing.B, url, id string, config *tls.Config) paho.Client {
	b.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID(id).SetTLSConfig(config).SetAutoReconnect(false))
	if token := c.Connect(); !token.WaitTimeout(time.Minute) || token.Error() != nil {
		b.Fatalf("connect %s: %v", id, token.Error())
	}
	return c
}

// A load notes when each record is sealed and when it is final at the last data
// aggregator.
type load struct {
	want, das int
	room      chan struct{} // a place for each record in flight
	all       chan struct{} // closed when every record is final

	mu     sync.Mutex
	sealed map[[32]byte]time.Time
	seen   map[[32]byte]int
	tookMs []float64
}

func newLoad(n, das int) *load {
	return &load{
		want: n, das: das, room: make(chan struct{}, loadInFlight), all: make(chan struct{}),
		sealed: make(map[[32]byte]time.Time, n), seen: make(map[[32]byte]int, n),
	}
}

// send seals a number of gate changes and publishes them, each batch when the
// broker has the one before.
func (l *load) send(c paho.Client, p *participant, chain [32]byte, records int) error {
	for seq := 1; seq <= records; {
		batch := new(fairwattpb.RecordBatch)
		for ; len(batch.Sealed) < loadBatch && seq <= records; seq++ {
			l.room <- struct{}{}
			sealed, err := sealGateChange(p, chain, uint64(seq))
			if err != nil {
				return err
			}
			l.mu.Lock()
			l.sealed[seal.ID(sealed)] = time.Now()
			l.mu.Unlock()
			batch.Sealed = append(batch.Sealed, sealed)
		}
		payload, err := proto.Marshal(batch)
		if err != nil {
			return err
		}
		token := c.Publish(wire.Topics{Site: p.site, Device: p.id}.Of(wire.ClassRecord), 1, false, payload)
		if !token.WaitTimeout(loadLimit) || token.Error() != nil {
			return fmt.Errorf("%s publishes: %w", p.id, token.Error())
		}
	}
	return nil
}

func sealGateChange(p *participant, chain [32]byte, seq uint64) ([]byte, error) {
	now := time.Now().UnixMilli()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: chain[:], Sender: p.id, Counter: seq, TimeMs: now, Simulated: true,
		Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: seq, State: fairwattpb.GateState_GATE_STATE_OPEN, ValidUntilMs: now + 60_000,
		}},
	})
	if err != nil {
		return nil, err
	}
	return seal.Seal(p.key, p.id, seal.DomainRecord, chain, payload)
}

// block counts a block at one data aggregator.
func (l *load) block(cb *fairwattpb.CertifiedBlock) error {
	now := time.Now()
	_, _, records, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sealed := range records {
		id := seal.ID(sealed)
		at, ours := l.sealed[id]
		if l.seen[id]++; !ours || l.seen[id] != l.das { // a new leader may put it into a block once more
			continue
		}
		l.tookMs = append(l.tookMs, float64(now.Sub(at).Microseconds())/1000)
		<-l.room
		if len(l.tookMs) == l.want {
			close(l.all)
		}
	}
	return nil
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tookMs)
}
