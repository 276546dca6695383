package aggregator_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
)

// broker passes messages between the pipes of one process.
type broker struct {
	mu   sync.Mutex
	down bool
	subs []subscription
}

type subscription struct {
	owner  any
	filter string
	handle func(mqtt.Message)
}

func (b *broker) publish(topic string, retained bool, payload []byte) error {
	b.mu.Lock()
	if b.down {
		b.mu.Unlock()
		return mqtt.ErrNotConnected
	}
	var to []func(mqtt.Message)
	for _, s := range b.subs {
		if mqtt.TopicMatches(s.filter, topic) {
			to = append(to, s.handle)
		}
	}
	b.mu.Unlock()
	for _, handle := range to {
		handle(mqtt.Message{Topic: topic, Payload: payload, Retained: retained})
	}
	return nil
}

func (b *broker) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// pipe is a DA's end of a broker.
type pipe struct {
	b      *broker
	subs   []subscription
	opened chan struct{}
}

func (p *pipe) Subscribe(filter string, handle func(mqtt.Message)) {
	p.subs = append(p.subs, subscription{p, filter, handle})
}

func (p *pipe) OnUp(func()) {}

func (p *pipe) Open() error {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	p.b.subs = append(p.b.subs, p.subs...)
	close(p.opened)
	return nil
}

func (p *pipe) Connected() bool {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return !p.b.down
}

func (p *pipe) Publish(_ context.Context, topic string, _ byte, retained bool, payload []byte) error {
	return p.b.publish(topic, retained, payload)
}

func (p *pipe) Close() {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	keep := p.b.subs[:0:0]
	for _, s := range p.b.subs {
		if s.owner != any(p) {
			keep = append(keep, s)
		}
	}
	p.b.subs = keep
}

// town is four aggregators, a centre and a broker in one process.
type town struct {
	t      testing.TB
	g      *ledger.Genesis
	chain  [32]byte
	dir    string
	broker *broker
	net    *peer.Memory
	pipe   func(id string) mqtt.Pipe                          // nil: the broker's
	link   func(id string, l aggregator.Link) aggregator.Link // nil: as it is
	log    map[string]slog.Handler                            // by data aggregator; without one nothing is logged
	config func(c *aggregator.Config)                         // nil: nothing to change
	leapt  map[string][]string                                // who began anew with a snapshot, and whom it names; mu guards it

	mu   sync.Mutex
	das  map[string]*aggregator.DA
	runs map[string]*running
	stop map[string]func() error
}

func newTown(t testing.TB, g *ledger.Genesis) *town {
	w := &town{t: t, g: g, chain: g.ChainID(), dir: t.TempDir(), broker: &broker{}, das: map[string]*aggregator.DA{}, runs: map[string]*running{}, leapt: map[string][]string{},
		stop: map[string]func() error{}, net: peer.NewMemory(peer.MemoryConfig{Seed: 1, MinDelay: 100 * time.Microsecond, MaxDelay: time.Millisecond})}
	return w
}

func (w *town) startAll() {
	for _, da := range w.g.DAs() {
		w.start(da.ID)
	}
	w.t.Cleanup(func() {
		for id := range w.stop {
			w.halt(id)
		}
	})
}

func (w *town) start(id string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{ended: make(chan struct{})}
	da, opened := w.build(id, nil)
	w.mu.Lock()
	w.das[id], w.runs[id] = da, run
	w.mu.Unlock()
	go func() {
		defer close(run.ended)
		for {
			run.err = da.Run(ctx)
			if !errors.Is(run.err, aggregator.ErrLeap) {
				return
			}
			liars := aggregator.Liars(run.err)
			da, _ = w.build(id, liars)
			w.mu.Lock()
			w.das[id], w.leapt[id] = da, append([]string{}, liars...)
			w.mu.Unlock()
		}
	}()
	w.stop[id] = func() error { cancel(); <-run.ended; return run.err }
	<-opened
}

// build makes an aggregator. opened is closed when it listens.
func (w *town) build(id string, liars []string) (da *aggregator.DA, opened chan struct{}) {
	own := &pipe{b: w.broker, opened: make(chan struct{})}
	pipes := []mqtt.Pipe{own}
	if w.pipe != nil {
		pipes[0] = w.pipe(id)
		close(own.opened)
	}
	var link aggregator.Link = w.net.Join(id)
	if w.link != nil {
		link = w.link(id, link)
	}
	cfg := aggregator.Config{ID: id, Dir: filepath.Join(w.dir, id), RecordsPerS: 1e6, Burst: 1e6}
	if w.config != nil {
		w.config(&cfg)
	}
	da, err := aggregator.New(cfg, aggregator.Deps{
		Genesis: w.g, Liars: liars, Key: ledgertest.Key(id), MoreKeys: []crypto.Signer{ledgertest.Key(id + "-2")}, Link: link, Pipes: pipes,
		Logger: slog.New(cmp.Or[slog.Handler](w.log[id], slog.DiscardHandler))})
	if err != nil {
		panic(fmt.Sprintf("%s: %v", id, err)) // not on the test's goroutine, perhaps
	}
	return da, own.opened
}

type running struct {
	ended chan struct{}
	err   error
}

// wait returns what an aggregator's Run returns by itself.
func (w *town) wait(id string) error {
	w.mu.Lock()
	run := w.runs[id]
	w.mu.Unlock()
	<-run.ended
	return run.err
}

// halt stops one aggregator; a clean stop is part of every test.
func (w *town) halt(id string) {
	w.t.Helper()
	if stop := w.stop[id]; stop != nil {
		delete(w.stop, id)
		if err := stop(); err != nil {
			w.t.Errorf("%s ended: %v", id, err)
		}
	}
}

func (w *town) da(id string) *aggregator.DA {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.das[id]
}

// through reaches an aggregator by its name, whichever instance runs now.
type through struct {
	w  *town
	id string
}

func (c through) Follow(ctx context.Context, from uint64, f func(*fairwattpb.CertifiedBlock) error) error {
	return c.w.da(c.id).Follow(ctx, from, f)
}

func (c through) Submit(ctx context.Context, sealed []byte) error {
	return c.w.da(c.id).Submit(ctx, sealed)
}

// centre runs a management centre until the test ends or stop is called.
func (w *town) centre(counterFile string) (c *mc.Centre, stop func()) {
	w.t.Helper()
	var chains []mc.Chain
	for _, da := range w.g.DAs() {
		chains = append(chains, through{w, da.ID})
	}
	c, err := mc.NewCentre(mc.CentreConfig{ID: ledgertest.Centre, Key: ledgertest.Key(ledgertest.Centre), Genesis: w.g, Chains: chains,
		CounterFile: counterFile, Simulated: true})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("centre ended: %v", err)
			}
		})
	}
	w.t.Cleanup(stop)
	return c, stop
}

// device is an agent as the aggregators see one: it seals, publishes and
// listens.
type device struct {
	w        *town
	id, site string
	counter  uint64

	mu    sync.Mutex
	heard chan struct{} // closed at the next receipt
	// said is what each DA said, by record id or trade/status.
	said    map[string]map[string]*fairwattpb.ReceiptEntry
	heights map[string]uint64
	records [][]byte // of others, as receipts brought them
	turns   []byte   // the newest changes of members
}

func (w *town) device(id, site string) *device {
	d := &device{w: w, id: id, site: site, heard: make(chan struct{}), said: map[string]map[string]*fairwattpb.ReceiptEntry{},
		heights: map[string]uint64{}}
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	w.broker.subs = append(w.broker.subs, subscription{d, "fairwatt/v1/" + site + "/" + id + "/down/receipt/+", d.receipt})
	return d
}

func (d *device) receipt(m mqtt.Message) {
	if members.AreTurns(m.Payload) {
		d.mu.Lock()
		d.turns = m.Payload
		d.mu.Unlock()
		return
	}
	da := m.Topic[strings.LastIndex(m.Topic, "/")+1:]
	signer, payload, err := seal.Open(m.Payload, seal.DomainReceipt, d.w.chain, func(id string) (ed25519.PublicKey, bool) {
		return ledgertest.Key(id).Public().(ed25519.PublicKey), strings.HasPrefix(id, "da-")
	})
	var forged *seal.InvalidSignatureError
	if errors.As(err, &forged) { // its key was changed
		signer, payload, err = seal.Open(m.Payload, seal.DomainReceipt, d.w.chain, func(id string) (ed25519.PublicKey, bool) {
			return ledgertest.Key(id + "-2").Public().(ed25519.PublicKey), strings.HasPrefix(id, "da-")
		})
	}
	var r fairwattpb.Receipt
	if err == nil {
		err = proto.Unmarshal(payload, &r)
	}
	if err != nil || signer != da || r.GetDa() != da {
		d.w.t.Errorf("receipt on %s by %q: %v", m.Topic, signer, err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range r.GetEntries() {
		keys := []string{fmt.Sprintf("%x", e.GetRecordId())}
		if n := e.GetTrade(); n != nil {
			keys = append(keys, n.GetTradeId()+"/"+n.GetStatus())
		}
		for _, key := range keys {
			if d.said[key] == nil {
				d.said[key] = map[string]*fairwattpb.ReceiptEntry{}
			}
			d.said[key][da] = e
			d.heights[key] = r.GetHeight()
		}
		if len(e.GetRecord()) > 0 {
			d.records = append(d.records, e.GetRecord())
		}
	}
	close(d.heard)
	d.heard = make(chan struct{})
}

// wait returns what f+1 aggregators said of a key.
func (d *device) wait(key string) (*fairwattpb.ReceiptEntry, uint64) {
	d.w.t.Helper()
	deadline := time.After(90 * time.Second)
	for {
		d.mu.Lock()
		said, heard, height := d.said[key], d.heard, d.heights[key]
		var one *fairwattpb.ReceiptEntry
		for _, e := range said {
			one = e
		}
		n := len(said)
		d.mu.Unlock()
		if n >= d.w.g.Faulty()+1 {
			return one, height
		}
		select {
		case <-heard:
		case <-deadline:
			d.w.t.Fatalf("%s: %d aggregators answered about %s", d.id, n, key)
		}
	}
}

func (d *device) forgetReceipts() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said, d.heights = map[string]map[string]*fairwattpb.ReceiptEntry{}, map[string]uint64{}
}

func (d *device) seal(key string, counter uint64, r *fairwattpb.Record) []byte {
	d.w.t.Helper()
	r.ChainId, r.Sender, r.Counter, r.TimeMs, r.Simulated = d.w.chain[:], d.id, counter, time.Now().UnixMilli(), true
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		d.w.t.Fatal(err)
	}
	sealed, err := seal.Seal(ledgertest.Key(key), d.id, seal.DomainRecord, d.w.chain, payload)
	if err != nil {
		d.w.t.Fatal(err)
	}
	return sealed
}

func (d *device) publish(sealed ...[]byte) {
	d.w.t.Helper()
	payload, err := proto.Marshal(&fairwattpb.RecordBatch{Sealed: sealed})
	if err == nil {
		err = d.w.broker.publish("fairwatt/v1/"+d.site+"/"+d.id+"/up/record", false, payload)
	}
	if err != nil {
		d.w.t.Fatal(err)
	}
}

// send seals and publishes one record and returns what became of it.
func (d *device) send(r *fairwattpb.Record) *fairwattpb.Outcome {
	d.w.t.Helper()
	d.counter++
	sealed := d.seal(d.id, d.counter, r)
	d.publish(sealed)
	e, _ := d.wait(idOf(sealed))
	return e.GetOutcome()
}

func idOf(sealed []byte) string {
	id := seal.ID(sealed)
	return fmt.Sprintf("%x", id[:])
}

func (d *device) attest(seq uint64, state fairwattpb.GateState) []byte {
	d.w.t.Helper()
	now := time.Now().UnixMilli()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.GateAttestation{ChainId: d.w.chain[:], Device: d.id,
		GateSeq: seq, State: state, IssuedMs: now, ValidUntilMs: now + 60_000})
	if err != nil {
		d.w.t.Fatal(err)
	}
	sealed, err := seal.Seal(ledgertest.Key(d.id), d.id, seal.DomainAttestation, d.w.chain, payload)
	if err != nil {
		d.w.t.Fatal(err)
	}
	return sealed
}

func (d *device) gate(seq uint64, state fairwattpb.GateState) *fairwattpb.Record {
	g := &fairwattpb.GateChange{GateSeq: seq, State: state, ValidUntilMs: time.Now().UnixMilli() + 60_000}
	if state != fairwattpb.GateState_GATE_STATE_OPEN {
		g.Causes = []*fairwattpb.Cause{{Rule: "W03", Kind: "wind", Level: "block", Text: "gust 31 m/s (>= 25 m/s)"}}
	}
	return &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: g}}
}

func reading(meter string, wh int64) *fairwattpb.MeterReading {
	return &fairwattpb.MeterReading{Meter: meter, RegisterWh: wh, TimeMs: time.Now().UnixMilli()}
}
