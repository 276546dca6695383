package aggregator

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/peer"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// A Link is how a DA reaches the others and is reached: package peer over gRPC
// or in memory.
type Link interface {
	consensus.Link
	// Run answers until the context ends.
	Run(ctx context.Context, h peer.Handlers) error
}

// Config describes a DA. Only ID and Dir have no default.
type Config struct {
	// ID is the DA's, as in the genesis.
	ID string
	// Dir is a folder of the DA's own for chain, state and logs.
	Dir string
	// Software is the version shown to people.
	Software string

	// QueueMessages bounds the messages taken from the brokers and not yet
	// looked at (16384); beyond it they are dropped and counted.
	QueueMessages int
	// RecordsPerS and Burst bound what one device may bring to the door (1000
	// a second, 4000 at once). More is dropped and counted.
	RecordsPerS float64
	Burst       int
	// ShownTrades and ShownBlocks bound the page (40 and 12).
	ShownTrades, ShownBlocks int
}

// Deps are what a DA stands on.
type Deps struct {
	Genesis *ledger.Genesis
	// Key signs votes and receipts: the key the genesis names for the DA.
	Key   crypto.Signer
	Link  Link
	Pipes []mqtt.Pipe
	// Now is the wall clock: block times and skew are measured on it. Nil
	// means time.Now.
	Now func() time.Time
	// Logger may be nil: then the default one.
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.QueueMessages == 0 {
		c.QueueMessages = 16384
	}
	if c.RecordsPerS == 0 {
		c.RecordsPerS = 1000
	}
	if c.Burst == 0 {
		c.Burst = 4000
	}
	if c.ShownTrades == 0 {
		c.ShownTrades = 40
	}
	if c.ShownBlocks == 0 {
		c.ShownBlocks = 12
	}
	if c.Software == "" {
		c.Software = "(devel)"
	}
}

// A DA is one data aggregator.
type DA struct {
	cfg   Config
	deps  Deps
	chain [32]byte
	now   func() time.Time
	log   *slog.Logger

	state   *ledger.State
	store   *store.Store
	node    *consensus.Node
	app     *app
	answers *answers
	outbox  *mailer
	door    *door
	views   views
	history history

	started time.Time
	fault   atomic.Pointer[string]
	version *signal // of the snapshot
	blocks  *signal // of the chain

	snapMu sync.Mutex
	snap   snapshotCache
}

// New opens the store and makes a DA that continues where the store ends. Close
// it when Run is not called.
func New(cfg Config, deps Deps) (*DA, error) {
	cfg.setDefaults()
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	if deps.Genesis == nil || deps.Key == nil || deps.Link == nil {
		return nil, errors.New("aggregator: genesis, key and link are required")
	}
	d := &DA{
		cfg: cfg, deps: deps, chain: deps.Genesis.ChainID(), now: deps.Now, log: deps.Logger.With("da", cfg.ID),
		started: deps.Now(), version: newSignal(), blocks: newSignal(),
	}
	if err := d.open(); err != nil {
		return nil, fmt.Errorf("aggregator %s: %w", cfg.ID, err)
	}
	return d, nil
}

func (d *DA) open() error {
	if err := os.MkdirAll(d.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := d.keepGenesis(); err != nil {
		return err
	}
	keys, err := d.deps.Genesis.Keys()
	if err != nil {
		return err
	}
	if d.store, err = store.Open(filepath.Join(d.cfg.Dir, StoreFile), d.chain); err != nil {
		return err
	}
	if d.state, err = d.store.LoadState(d.deps.Genesis); err != nil {
		return errors.Join(err, d.store.Close())
	}
	if d.answers, err = openAnswers(filepath.Join(d.cfg.Dir, AnswersFile), d.store); err != nil {
		return errors.Join(err, d.store.Close())
	}
	d.outbox = newMailer(d)
	d.door = newDoor(d)
	d.app = newApp(d)
	if err := d.history.load(d); err != nil {
		return errors.Join(err, d.Close())
	}
	cc := consensus.Config{
		Self: d.cfg.ID, Key: d.deps.Key, ChainID: d.chain, Keys: keys, Dir: filepath.Join(d.cfg.Dir, "agreement"),
		App: d.app, Link: d.deps.Link, Dropped: d.door.droppedLater, Logger: d.log,
		RecordBytes: d.deps.Genesis.Params.MaxRecordBytes,
	}
	cc.BatchRecords = min(500, d.deps.Genesis.Params.MaxRecordsPerBlock)
	if d.node, err = consensus.New(cc); err != nil {
		return errors.Join(err, d.Close())
	}
	return nil
}

// keepGenesis puts the genesis beside the chain, so that the folder can be
// exported and verified by itself, and refuses a folder of another chain.
func (d *DA) keepGenesis() error {
	want, err := d.deps.Genesis.Marshal()
	if err != nil {
		return err
	}
	want = append(want, '\n')
	path := filepath.Join(d.cfg.Dir, GenesisFile)
	have, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(bytes.TrimSuffix(have, []byte("\n")), bytes.TrimSuffix(want, []byte("\n"))):
		return nil
	case err == nil:
		return fmt.Errorf("%s holds another chain: its %s is not the genesis configured", d.cfg.Dir, GenesisFile)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read genesis: %w", err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, want, 0o644); err != nil {
		return fmt.Errorf("keep genesis: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("keep genesis: %w", err)
	}
	return nil
}

// MQTTOf completes a broker connection of data aggregator da. A sender's records
// must reach the pool in the order it sent them: a gate change before the start
// that needs it.
func MQTTOf(da string, cfg mqtt.Config) mqtt.Config {
	cfg.ClientID, cfg.Presence = da, wire.StatusOfDA(da)
	cfg.Ordered, cfg.Resend = true, true
	return cfg
}

// Names of files in a DA's folder.
const (
	StoreFile   = "chain.db"
	GenesisFile = "genesis.json"
)

// Run takes part until the context ends or the DA can go on no more. It closes
// the store; a DA runs once.
func (d *DA) Run(ctx context.Context) error {
	for _, p := range d.deps.Pipes {
		p.Subscribe(wire.EveryDevice(wire.ClassRecord), d.door.take)
		p.Subscribe(wire.EveryDevice(wire.ClassStatus), d.takeView)
		p.Subscribe(wire.EveryDevice(wire.ClassGate), d.takeView)
		p.Subscribe(wire.EveryDevice(wire.ClassHazard+"+"), d.takeView)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.deps.Link.Run(ctx, d.handlers()) })
	g.Go(func() error { return d.node.Run(ctx) })
	g.Go(func() error { return d.door.run(ctx) })
	g.Go(func() error { return d.outbox.run(ctx) })
	g.Go(func() error { return d.pulse(ctx) })
	g.Go(func() error {
		for _, p := range d.deps.Pipes {
			if err := p.Open(); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if err != nil {
		d.setFault(err)
		err = fmt.Errorf("aggregator %s: %w", d.cfg.ID, err)
	}
	for _, p := range d.deps.Pipes {
		p.Close()
	}
	return errors.Join(err, d.Close())
}

// Close closes a DA that was never run.
func (d *DA) Close() error { return errors.Join(d.answers.close(), d.store.Close()) }

// Submit takes one sealed record past the brokers: from the management centre,
// or a load generator. The error is a refusal, or says to try again by a method
// Temporary.
func (d *DA) Submit(ctx context.Context, sealed []byte) error {
	return d.door.submit(ctx, sealed)
}

// Stats returns agreement's counters.
func (d *DA) Stats() consensus.Stats { return d.node.Stats() }

// State is the DA's verified state; read it only.
func (d *DA) State() *ledger.State { return d.state }

// pulse makes a new snapshot version each second: ages, gate validity and
// counters change without a block.
func (d *DA) pulse(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			d.door.forget()
			d.version.bump()
		}
	}
}

func (d *DA) setFault(err error) {
	text := err.Error()
	d.fault.CompareAndSwap(nil, &text)
	d.version.bump()
}

func (d *DA) takeView(m mqtt.Message) {
	online, t, err := d.views.take(m, d.now(), d.registered)
	if err != nil {
		d.log.Debug("view", "err", err)
		return
	}
	if online && !m.Retained {
		d.outbox.again(t.Site, t.Device)
	}
	d.version.bump()
}

func (d *DA) registered(site, device string) bool {
	p, ok := d.state.Participant(device)
	return ok && p.Site == site
}

// handlers answer the other aggregators and the observers.
func (d *DA) handlers() peer.Handlers {
	return peer.Handlers{
		Frame:  d.node.Receive,
		Pull:   d.node.ServePull,
		Fetch:  d.node.ServeFetch,
		Follow: d.node.ServeFollow,
		Submit: func(ctx context.Context, _ string, sealed []byte) error { return d.Submit(ctx, sealed) },
	}
}

// Follow hands over certified blocks from a height on, and each new one, until
// the context ends. With Submit it makes a DA a chain for the management centre
// in the same process.
func (d *DA) Follow(ctx context.Context, from uint64, send func(*fairwattpb.CertifiedBlock) error) error {
	return d.node.ServeFollow(ctx, from, send)
}

// A signal is a number that rises, and those who wait for it to.
type signal struct {
	mu sync.Mutex
	n  uint64
	ch chan struct{} // closed at the next rise
}

func newSignal() *signal { return &signal{n: 1, ch: make(chan struct{})} }

func (s *signal) bump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	close(s.ch)
	s.ch = make(chan struct{})
}

func (s *signal) value() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *signal) wait(ctx context.Context, seen uint64) error {
	s.mu.Lock()
	n, ch := s.n, s.ch
	s.mu.Unlock()
	if n != seen {
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
