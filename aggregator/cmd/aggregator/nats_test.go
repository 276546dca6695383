package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A sent record, and what was said of it.
type sent struct {
	id     [32]byte
	sealed []byte
	at     time.Time
	said   map[string]uint64 // height by data aggregator
	height uint64            // at which two say that it is final; 0: not yet
}

// A sender makes records and sends what is not final again, in order, as an agent's
// outbox does.
type sender struct {
	t     *testing.T
	id    string
	key   ed25519.PrivateKey
	chain [32]byte
	das   map[string]ed25519.PublicKey

	mu      sync.Mutex
	counter uint64
	records []*sent
	byID    map[[32]byte]*sent
	finals  int
	told    chan struct{} // of each change, at most one waiting
}

const (
	senderEvery  = 40 * time.Millisecond
	senderResend = 3 * time.Second
	senderMost   = 100 // waiting
)

func newSender(t *testing.T, dir, centre, id string) *sender {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	command(t, "mc", "register", "--config", centre, "--enrolment", enrolmentOf(t, dir, id, private, wire.RoleSeller), "--site", "harbour")
	g, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{t: t, id: id, key: private, chain: g.ChainID(), byID: make(map[[32]byte]*sent), told: make(chan struct{}, 1)}
	if s.das, err = g.Keys(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sender) topics() wire.Topics { return wire.Topics{Site: "harbour", Device: s.id} }

// record makes the next one.
func (s *sender) record(now time.Time) (*sent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter++
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: s.chain[:], Sender: s.id, Counter: s.counter, TimeMs: now.UnixMilli(),
		Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: s.counter, State: fairwattpb.GateState_GATE_STATE_OPEN, ValidUntilMs: now.UnixMilli() + 60_000,
		}},
	})
	if err != nil {
		return nil, err
	}
	r := &sent{at: now, said: make(map[string]uint64)}
	if r.sealed, err = seal.Seal(s.key, s.id, seal.DomainRecord, s.chain, payload); err != nil {
		return nil, err
	}
	r.id = seal.ID(r.sealed)
	s.records, s.byID[r.id] = append(s.records, r), r
	return r, nil
}

// send publishes records. An error is not the end of them: they are sent again.
func (s *sender) send(ctx context.Context, pipe *mqtt.Client, sealed [][]byte) error {
	batch, err := proto.Marshal(&fairwattpb.RecordBatch{Sealed: sealed})
	if err != nil {
		return err
	}
	return pipe.Publish(ctx, s.topics().Of(wire.ClassRecord), 1, false, batch)
}

// late are the records to send again.
func (s *sender) late(now time.Time) (late [][]byte, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.height != 0 {
			continue
		}
		waiting++
		if now.Sub(r.at) > senderResend && len(late) < 64 {
			late = append(late, r.sealed)
			r.at = now
		}
	}
	return late, waiting
}

// run makes records until fresh ends, and sends again until ctx ends.
func (s *sender) run(ctx, fresh context.Context, pipe *mqtt.Client) {
	tick := time.NewTicker(senderEvery)
	defer tick.Stop()
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
		batch, waiting := s.late(now)
		if fresh.Err() == nil && waiting < senderMost {
			r, err := s.record(now)
			if err != nil {
				s.t.Errorf("%s: %v", s.id, err)
				return
			}
			batch = append(batch, r.sealed)
		}
		if len(batch) > 0 {
			_ = s.send(ctx, pipe, batch) // no broker now: it is sent again
		}
	}
}

// receipt takes what a data aggregator says.
func (s *sender) receipt(m mqtt.Message) {
	da := m.Topic[strings.LastIndex(m.Topic, "/")+1:]
	signer, payload, err := seal.Open(m.Payload, seal.DomainReceipt, s.chain, func(id string) (ed25519.PublicKey, bool) {
		key, ok := s.das[id]
		return key, ok
	})
	r := &fairwattpb.Receipt{}
	if err == nil {
		err = proto.Unmarshal(payload, r)
	}
	if err != nil || signer != da {
		s.t.Errorf("%s: receipt of %s by %q: %v", s.id, da, signer, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range r.GetEntries() {
		record := s.byID[[32]byte(e.GetRecordId())]
		if record == nil || r.GetHeight() == 0 || record.height != 0 { // a copy that was refused stands in no block
			continue
		}
		// A gate change that came after a later one stands in its block as old.
		if code := e.GetOutcome().GetCode(); !e.GetOutcome().GetApplied() && code != wire.CodeGateSeqOld {
			s.t.Errorf("%s: %s says %s: %s", s.id, da, code, e.GetOutcome().GetReason())
		}
		record.said[da] = r.GetHeight()
		same := 0
		for _, h := range record.said {
			if h == r.GetHeight() {
				same++
			}
		}
		if same == 2 {
			record.height = r.GetHeight()
			s.finals++
		}
	}
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// await waits until so many more records are final; all of them if more is negative.
func (s *sender) await(more int) {
	s.t.Helper()
	s.mu.Lock()
	want := s.finals + more
	s.mu.Unlock()
	patience := time.After(natsPatience)
	for {
		s.mu.Lock()
		have, all := s.finals, len(s.records)
		s.mu.Unlock()
		if more >= 0 && have >= want || have == all {
			return
		}
		select {
		case <-s.told:
		case <-patience:
			s.t.Fatalf("%s: %d records of %d are final, want %d", s.id, have, all, want)
		}
	}
}

// Three NATS servers as one broker, as mc init writes them. Records of two agents come
// through our own client and the data aggregators' intake while each server in turn is
// killed: one that follows, then the one that leads the stream of the messages. Every
// record is final, once, at all data aggregators; what was retained and what a session
// waits for is still there.
func TestCommunityOnNATS(t *testing.T) {
	program := natsServer(t)
	dir := filepath.Join(t.TempDir(), "c")
	port := freePorts(t, 20)
	command(t, "mc", "init", "--dir", dir, "--port", fmt.Sprint(port+12), "--broker", "nats")
	issue := func(id, role string) *tls.Config {
		own := filepath.Join(dir, id)
		command(t, "mc", "issue", "--dir", dir, "--id", id, "--role", role, "--out", own)
		return certificate(t, dir, own)
	}
	certs := map[string]*tls.Config{"pv-1": issue("pv-1", "agent"), "pv-2": issue("pv-2", "agent"), "pv-3": issue("pv-3", "agent"), "ha-1": issue("ha-1", "viewer")}
	began := time.Now()
	nodes := natsCluster(t, program, dir, port)
	t.Logf("three servers are up after %.1f s", time.Since(began).Seconds())
	var stops []func()
	for i := range 4 {
		config := filepath.Join(dir, fmt.Sprintf("da-%d", i+1), "da.yaml")
		rewrite(t, config, fmt.Sprintf("http: 127.0.0.1:%d", 8080+i), fmt.Sprintf("http: 127.0.0.1:%d", port+16+i))
		stops = append(stops, background(t, "da", "--config", config))
	}
	centre := filepath.Join(dir, "mc-1", "mc.yaml")
	background(t, "mc", "run", "--config", centre)
	everywhere := everyURL(nodes)

	ctx, cancel := context.WithCancel(t.Context())
	fresh, enough := context.WithCancel(ctx)
	defer enough()
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	var senders []*sender
	for _, id := range []string{"pv-1", "pv-2"} {
		s := newSender(t, dir, centre, id)
		pipe := opened(t, mqtt.Config{URL: everywhere, ClientID: id, TLS: certs[id], PublishTimeout: 5 * time.Second},
			map[string]func(mqtt.Message){s.topics().Receipt("+"): s.receipt})
		acknowledged(t, func() error {
			return pipe.Publish(ctx, s.topics().Of(wire.ClassGate), 1, true, []byte("view of "+id))
		})
		group.Go(func() { s.run(ctx, fresh, pipe) })
		senders = append(senders, s)
	}
	away := newSender(t, dir, centre, "pv-3")
	session := mqtt.Config{URL: everywhere, ClientID: "pv-3", TLS: certs["pv-3"]}
	opened(t, session, map[string]func(mqtt.Message){away.topics().Receipt("+"): away.receipt}).Close()

	await := func(more int) {
		t.Helper()
		for _, s := range senders {
			s.await(more)
		}
	}
	rounds := 1
	if os.Getenv("FAIRWATT_LONG") != "" {
		rounds = 5
	}
	await(20)
	for round := range rounds {
		for _, led := range []bool{false, true} {
			victim := leader(t, nodes)
			if !led {
				victim = (victim + 1) % len(nodes)
			}
			began := time.Now()
			nodes[victim].kill()
			await(2) // may have been on their way
			await(1)
			pause := time.Since(began)
			if round == 0 && !led {
				tx := opened(t, mqtt.Config{URL: everywhere, ClientID: "pv-3-once", TLS: certs["pv-3"]}, nil)
				r, err := away.record(time.Now())
				if err != nil {
					t.Fatal(err)
				}
				acknowledged(t, func() error { return away.send(ctx, tx, [][]byte{r.sealed}) })
				tx.Close()
			}
			await(20)
			nodes[victim].start()
			nodes[victim].awaitHealth()
			t.Logf("%s (leads: %v) killed: 3 more records of each sender final after %.1f s, well again after %.1f s", nodes[victim].name, led, pause.Seconds(), time.Since(began).Seconds())
		}
	}
	await(20)
	enough()
	await(-1)
	opened(t, session, map[string]func(mqtt.Message){away.topics().Receipt("+"): away.receipt})
	away.await(-1) // by what the session kept alone: it is not sent again
	for _, n := range nodes {
		seesRetained(t, n, certs["ha-1"], "pv-1", "pv-2")
	}
	cancel()
	group.Wait()
	for _, stop := range stops {
		stop()
	}
	standOnce(t, dir, append(senders, away))
}

// acknowledged publishes until the broker says that it has the message, as an agent does
// with what it must not lose: a server loses an acknowledgement when the leader of a
// stream changes, and it makes its streams with the first message that it gets.
func acknowledged(t *testing.T, publish func() error) {
	t.Helper()
	for began, tries := time.Now(), 1; ; tries++ {
		err := publish()
		if err == nil {
			return
		}
		t.Logf("published in vain, try %d: %v", tries, err)
		if time.Since(began) > natsPatience {
			t.Fatalf("no acknowledgement after %d tries: %v", tries, err)
		}
	}
}

// seesRetained looks at one server whether it still holds what devices retained. A server
// gives what it holds when someone subscribes, and one that is back from a power cut may
// still be fetching it then: so it is asked again.
func seesRetained(t *testing.T, n *node, cert *tls.Config, ids ...string) {
	t.Helper()
	began, held := time.Now(), map[string]bool{}
	for ask := 1; time.Since(began) < natsPatience; ask++ {
		look(t, n, cert, held, len(ids))
		if len(held) == len(ids) {
			t.Logf("%s holds the retained views, asked %d times in %.1f s", n.name, ask, time.Since(began).Seconds())
			return
		}
	}
	t.Fatalf("%s holds the retained views of %v alone, want %v", n.name, slices.Sorted(maps.Keys(held)), ids)
}

// look notes whose views a server gives to someone new, until it has given all or no more comes.
func look(t *testing.T, n *node, cert *tls.Config, held map[string]bool, all int) {
	t.Helper()
	views := make(chan mqtt.Message, 64)
	c := opened(t, mqtt.Config{URL: n.mqtt, TLS: cert}, map[string]func(mqtt.Message){wire.EveryDevice(wire.ClassGate): func(m mqtt.Message) { views <- m }})
	defer c.Close()
	for quiet := time.After(natsPatience / 10); len(held) < all; {
		select {
		case m := <-views:
			device := strings.Split(m.Topic, "/")[3]
			if string(m.Payload) != "view of "+device || !m.Retained {
				t.Errorf("%s: %s holds %q, retained %v", n.name, m.Topic, m.Payload, m.Retained)
			}
			held[device] = true
		case <-quiet:
			return
		}
	}
}

// standOnce looks in the chain of each data aggregator for each record.
func standOnce(t *testing.T, dir string, senders []*sender) {
	t.Helper()
	for k := range 4 {
		chain, err := store.OpenReadOnly(filepath.Join(dir, fmt.Sprintf("da-%d", k+1), "data", aggregator.StoreFile))
		if err != nil {
			t.Fatal(err)
		}
		stands := make(map[[32]byte][]uint64)
		for h := uint64(1); h <= chain.Height(); h++ {
			b, err := chain.Block(h)
			if err != nil {
				t.Fatal(err)
			}
			_, _, records, err := ledger.DecodeBlock(b.GetBlock())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				stands[seal.ID(r)] = append(stands[seal.ID(r)], h)
			}
		}
		height := chain.Height()
		if err := chain.Close(); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range senders {
			for i, r := range s.records {
				n++
				at := stands[r.id]
				if len(at) == 0 && r.height > height {
					continue // this one was stopped before the last block
				}
				if len(at) != 1 || at[0] != r.height {
					t.Errorf("da-%d: record %d of %s stands in blocks %d, told final at %d", k+1, i+1, s.id, at, r.height)
				}
			}
		}
		t.Logf("da-%d: %d records, each once, in %d blocks", k+1, n, height)
	}
}
