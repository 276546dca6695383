package aggregator

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/exchange"
	"fairwatt/aggregator/history"
	"fairwatt/aggregator/intake"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/page"
	"fairwatt/aggregator/peer"
	"fairwatt/aggregator/receipt"
	"fairwatt/aggregator/store"
	"fairwatt/proto/certfile"
	"fairwatt/proto/durable"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/nowcast"
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
	// RecordsPerS and Burst bound what one device may bring (1000 a second, 4000
	// at once). More is dropped and counted.
	RecordsPerS float64
	Burst       int
	// NowcastKM is how far an agent's nowcast is handed to others; 0 hands none on.
	NowcastKM float64
	// NowcastEvery is how often an honest agent tells one (10 min); more is dropped
	// and counted.
	NowcastEvery time.Duration
	// FromBlocks lets a DA without a block fetch all since the genesis, and begin with a
	// snapshot only where no one has them any more. Without it such a DA begins with a
	// snapshot.
	FromBlocks bool
	// SnapshotGain is how many blocks a snapshot must save a DA without a block (256):
	// fewer it fetches, and keeps, as all others do that were there from the beginning.
	SnapshotGain uint64
	// SnapshotEvery is how far snapshots are apart at least (10 min).
	SnapshotEvery time.Duration
	// ShownTrades and ShownBlocks bound the page (40 and 12).
	ShownTrades, ShownBlocks int
}

// Deps are what a DA stands on.
type Deps struct {
	Genesis *ledger.Genesis
	// Key signs votes and receipts: the key that the chain names for the DA.
	Key crypto.Signer
	// MoreKeys are keys that the DA is to have, or had: it signs with the one that the
	// chain names.
	MoreKeys []crypto.Signer
	// Observers may fetch, follow and submit beside the centres.
	Observers []string
	Link      Link
	Pipes     []mqtt.Pipe
	// Liars are the other data aggregators that [Liars] names, for a DA that is made again.
	Liars []string
	// BrokerNames name the pipes in metrics, without passwords; else they are numbered.
	BrokerNames []string
	// CertificateEnds is when the DA's TLS certificate ends; nil: it has none.
	CertificateEnds func() time.Time
	// AuthorityEnds is when the first certificate authority ends; zero: there is none.
	AuthorityEnds time.Time
	// Now is the wall clock: block times and skew are measured on it. Nil
	// means time.Now.
	Now func() time.Time
	// Disk, if not nil, is called once for each time that a write waits for the
	// disk. A program that plays a slow disk waits in it; no configuration file
	// reaches it.
	Disk func()
	// Alive, if not nil, is called once a second by a loop that has just looked at
	// the chain and the page: it stops when the aggregator hangs.
	Alive func()
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
	if c.NowcastEvery == 0 {
		c.NowcastEvery = nowcast.EveryMs * time.Millisecond
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = 10 * time.Minute
	}
	if c.SnapshotGain == 0 {
		c.SnapshotGain = 256
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

// A DA is one data aggregator. It wires its parts together: what comes in
// (package intake), what is agreed on (app, package consensus), what senders hear
// (package receipt) and what people see (package page).
type DA struct {
	console.Source // the page, for who shows it
	cfg            Config
	deps           Deps
	log            *slog.Logger

	state *ledger.State
	store *store.Store
	app   *app
	// agreement is what agreement was configured with.
	agreement   consensus.Config
	node        *consensus.Node
	intake      *intake.Intake
	mail        *receipt.Mailer
	exchange    *exchange.Exchange
	history     *history.History
	page        *page.Page
	measures    *console.Measures
	warned      time.Time // of the certificate's end
	reports     reports
	accusations accusations
	tickedAt    time.Time        // pulse's own: when this aggregator last asked for a block
	kept        time.Time        // when the state was last handed over to be kept; committed's own
	liars       []string         // who handed out snapshots that do not hold; leap's own
	states      chan taken       // to be kept
	listed      chan struct{}    // the list has changed, or a broker is there again
	told        chan wire.Topics // who is to hear who the members are
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
	if deps.Disk == nil {
		deps.Disk = func() {}
	}
	if deps.Alive == nil {
		deps.Alive = func() {}
	}
	if deps.Genesis == nil || deps.Key == nil || deps.Link == nil {
		return nil, errors.New("aggregator: genesis, key and link are required")
	}
	d := &DA{cfg: cfg, deps: deps, reports: reports{self: cfg.ID, wake: make(chan struct{}, 1)}, accusations: accusations{wake: make(chan struct{}, 1)}, listed: make(chan struct{}, 1), states: make(chan taken, 1), told: make(chan wire.Topics, maxTold), log: deps.Logger.With("da", cfg.ID)}
	d.measure()
	if err := d.open(); err != nil {
		return nil, fmt.Errorf("aggregator %s: %w", cfg.ID, err)
	}
	return d, nil
}

func (d *DA) open() error {
	if err := os.MkdirAll(d.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := keepGenesis(d.cfg.Dir, d.deps.Genesis); err != nil {
		return err
	}
	var err error
	if d.store, err = store.Open(filepath.Join(d.cfg.Dir, StoreFile), d.deps.Genesis.ChainID()); err != nil {
		return err
	}
	if err = d.beginAnew(); err == nil {
		err = d.connect()
	}
	if err != nil {
		return errors.Join(err, d.Close())
	}
	return nil
}

// connect makes the parts over the open store.
func (d *DA) connect() error {
	chain := d.deps.Genesis.ChainID()
	var err error
	if d.state, err = d.store.LoadState(d.deps.Genesis); err != nil {
		return err
	}
	key := &signer{self: d.cfg.ID, state: d.state, keys: append([]crypto.Signer{d.deps.Key}, d.deps.MoreKeys...)}
	d.setPeers()
	outcomes, err := receipt.Open(filepath.Join(d.cfg.Dir, receipt.File), d.store)
	if err != nil {
		return err
	}
	if aside := outcomes.Damaged(); aside != "" {
		d.log.Warn("answers.db was damaged and begins again: outcomes of before are not told a second time", "aside", aside)
	}
	d.mail = receipt.NewMailer(receipt.Config{
		DA: d.cfg.ID, Key: key, Chain: chain, Pipes: d.deps.Pipes, SiteOf: d.siteOf, Now: d.deps.Now, Log: d.log,
	}, outcomes)
	d.exchange = exchange.New(exchange.Config{
		DA: d.cfg.ID, Key: key, Chain: chain, Pipes: d.deps.Pipes, Participant: d.deviceOf,
		DistanceKM: d.cfg.NowcastKM, Every: d.cfg.NowcastEvery, Now: d.deps.Now, Log: d.log,
	})
	if d.history, err = history.Open(filepath.Join(d.cfg.Dir, history.File), history.Bounds{}, d.deps.Now()); err != nil {
		return err
	}
	if aside := d.history.Damaged(); aside != "" {
		d.log.Warn("history.db could not be read and begins again: charts and stories of before are gone, the chain is not", "aside", aside)
	}
	d.page, err = page.New(page.Config{
		History: d.history, Measures: d.measures, DA: d.cfg.ID, Software: d.cfg.Software, Genesis: d.deps.Genesis, Trades: d.cfg.ShownTrades, Blocks: d.cfg.ShownBlocks, Now: d.deps.Now,
	}, d.state, d.store, page.Needs{
		Agreement:       func() page.Agreement { return d.node },
		Intake:          func() intake.Stats { return d.intake.Stats() },
		Receipts:        d.mail.Sent,
		Nowcasts:        d.exchange,
		Brokers:         d.brokers,
		CertificateEnds: d.deps.CertificateEnds,
	})
	if err != nil {
		return err
	}
	d.Source = d.page
	d.app = &app{
		self: d.cfg.ID, key: key,
		genesis: d.deps.Genesis, now: d.deps.Now, state: d.state, store: d.store, outcomes: outcomes,
		committed: d.committed, failed: d.page.SetFault, disk: d.deps.Disk, held: new(consensus.Held), took: d.measures.BlockCommit,
		verified: intake.NewRecent[uint64](keptSignatures), staged: make(map[[32]byte]*ledger.Staged),
	}
	d.intake = intake.New(intake.Config{
		QueueMessages: d.cfg.QueueMessages, RecordsPerS: d.cfg.RecordsPerS, Burst: d.cfg.Burst, Now: d.deps.Now, Log: d.log, Took: d.measures.RecordToBlock.Observe,
	}, intake.Needs{Check: d.app.check, Last: d.state.LastCounter, Submit: d.agree, Receipts: d.mail})
	d.agreement = consensus.Config{
		Self: d.cfg.ID, Key: d.deps.Key, ChainID: chain, MoreKeys: d.deps.MoreKeys, Dir: filepath.Join(d.cfg.Dir, "agreement"),
		App: d.app, Link: d.deps.Link, Leap: d.leap, Liars: d.deps.Liars, Dropped: d.intake.Discarded, Disk: d.deps.Disk, Held: d.app.held, Logger: d.log, Equivocated: d.takeEvidence,
		RecordBytes: d.deps.Genesis.Params.MaxRecordBytes, BatchRecords: min(500, d.deps.Genesis.Params.MaxRecordsPerBlock),
	}
	d.node, err = consensus.New(d.agreement)
	return err
}

// agree hands a checked record to agreement.
func (d *DA) agree(ctx context.Context, sealed []byte) error {
	err := d.node.Submit(ctx, sealed)
	if errors.Is(err, consensus.ErrStopped) {
		return fmt.Errorf("%w: %w", intake.ErrStopped, err)
	}
	return err
}

// siteOf returns where a registered device listens. A management centre has no
// site: it follows the chain itself.
func (d *DA) siteOf(device string) (string, bool) {
	p, ok := d.state.Participant(device)
	return p.Site, ok && p.Site != ""
}

// deviceOf returns the site and key under which a device is registered that takes part.
func (d *DA) deviceOf(id string) (site string, key ed25519.PublicKey, ok bool) {
	p, ok := d.state.Participant(id)
	if !ok || p.Site == "" || p.Standing != ledger.Active {
		return "", nil, false
	}
	key, ok = d.state.Key(id)
	return p.Site, key, ok
}

// committed tells everyone who waits for a block.
func (d *DA) committed(st *ledger.Staged, votes int) {
	d.mail.Add(st)
	d.intake.Final(st)
	d.mail.Block(st)
	d.page.Added(st, votes)
	d.logDeeds(st)
	d.reports.added(d, st)
	d.accusations.look()
	d.listMoved(st)
	if st.Reseats() || st.EndsEpoch() { // guests stay for some epochs
		d.setPeers()
	}
	d.turned(st)
	if st.EndsEpoch() {
		d.keepState()
	}
}

// keepGenesis puts the genesis next to the chain, so that the folder can be
// exported and verified alone, and refuses a folder of another chain.
func keepGenesis(dir string, g *ledger.Genesis) error {
	want, err := g.Marshal()
	if err != nil {
		return err
	}
	want = append(want, '\n')
	path := filepath.Join(dir, GenesisFile)
	have, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(bytes.TrimSuffix(have, []byte("\n")), bytes.TrimSuffix(want, []byte("\n"))):
		return nil
	case err == nil:
		return fmt.Errorf("%s holds another chain: its %s is not the genesis configured", dir, GenesisFile)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read genesis: %w", err)
	}
	if err := durable.WriteBytes(path, 0o644, want); err != nil {
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
		p.OnUp(d.wakeList)
		p.Subscribe(wire.EveryDevice(wire.ClassRecord), d.intake.Take)
		p.Subscribe(wire.EveryDevice(wire.ClassStatus), d.takeView)
		p.Subscribe(wire.EveryDevice(wire.ClassGate), d.takeView)
		p.Subscribe(wire.EveryDevice(wire.ClassInfo), d.takeView)
		p.Subscribe(wire.EveryDevice(wire.ClassTelemetry), d.takeView)
		p.Subscribe(wire.EveryDevice(wire.ClassHazard+"+"), d.takeView)
		if d.cfg.NowcastKM > 0 {
			p.Subscribe(wire.EveryDevice(wire.ClassNowcast), d.exchange.Take)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.deps.Link.Run(ctx, d.handlers()) })
	g.Go(func() error { return d.node.Run(ctx) })
	g.Go(func() error { return d.intake.Run(ctx) })
	g.Go(func() error { return d.mail.Run(ctx) })
	g.Go(func() error { return d.exchange.Run(ctx) })
	g.Go(func() error { return d.pulse(ctx) })
	g.Go(func() error { return d.tellList(ctx) })
	g.Go(func() error { return d.report(ctx) })
	g.Go(func() error { return d.accuse(ctx) })
	g.Go(func() error { return d.handTurns(ctx) })
	g.Go(func() error { return d.keepSnapshots(ctx) })
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
	switch {
	case errors.Is(err, context.Canceled):
		err = nil
	case errors.Is(err, ErrRetired):
		d.log.Info("this data aggregator has retired: it may be shut down for good", "height", d.state.Height())
		err = nil
	case errors.Is(err, ErrLeap):
		err = fmt.Errorf("aggregator %s: %w", d.cfg.ID, &leapError{d.liars})
	case err != nil:
		d.page.SetFault(err)
		err = fmt.Errorf("aggregator %s: %w", d.cfg.ID, err)
	}
	for _, p := range d.deps.Pipes {
		p.Close()
	}
	return errors.Join(err, d.Close())
}

// Close closes a DA that was never run.
func (d *DA) Close() error {
	err := d.store.Close()
	if d.history != nil {
		err = errors.Join(d.history.Close(), err)
	}
	if d.mail != nil {
		err = errors.Join(d.mail.Close(), err)
	}
	return err
}

// Submit takes one sealed record past the brokers: from the management centre,
// or a load generator. The error is a refusal, or says to try again by a method
// Temporary.
func (d *DA) Submit(ctx context.Context, sealed []byte) error {
	return d.intake.Submit(ctx, sealed)
}

// Stats returns agreement's counters.
func (d *DA) Stats() consensus.Stats { return d.node.Stats() }

// State is the DA's verified state; read it only.
func (d *DA) State() *ledger.State { return d.state }

// pulse does once a second what needs no block: old marks go, and the page shows
// new ages and counters.
func (d *DA) pulse(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			d.intake.Forget()
			d.page.Refresh()
			if err := d.page.Keep(); err != nil {
				d.log.Warn("the page's history is not kept", "err", err)
			}
			d.warnOfEnd()
			d.reports.look(d)
			if err := d.tick(ctx); err != nil {
				d.log.Warn("no tick", "err", err)
			}
			d.accusations.look()
			d.deps.Alive()
		}
	}
}

// warnOfEnd logs once a day that the certificate ends soon.
func (d *DA) warnOfEnd() {
	now := d.deps.Now()
	if d.deps.CertificateEnds == nil || now.Sub(d.warned) < 24*time.Hour {
		return
	}
	d.warned = now
	if ends := d.deps.CertificateEnds(); ends.Sub(now) < certfile.Warn {
		d.log.Warn("the TLS certificate ends: put a new one in its place", "ends", ends, "days_left", certfile.DaysLeft(ends, now))
	}
}

// takeView shows a device's view. One that comes online may have missed receipts
// and nowcasts.
func (d *DA) takeView(m mqtt.Message) {
	online, device, err := d.page.Take(m)
	if err != nil {
		d.log.Debug("view", "err", err)
	} else if online {
		d.mail.Again(device)
		d.tellTurns(device)
		d.exchange.Again(device)
	}
}

// handlers answer the other aggregators and the observers.
func (d *DA) handlers() peer.Handlers {
	return peer.Handlers{
		Frame:    d.node.Receive,
		Pull:     d.node.ServePull,
		Fetch:    d.node.ServeFetch,
		Follow:   d.node.ServeFollow,
		Snapshot: d.servePiece,
		Submit:   func(ctx context.Context, _ string, sealed []byte) error { return d.Submit(ctx, sealed) },
	}
}

// Follow hands over certified blocks from a height on, and each new one, until
// the context ends. With Submit it makes a DA a chain for the management centre
// in the same process.
func (d *DA) Follow(ctx context.Context, from uint64, send func(*fairwattpb.CertifiedBlock) error) error {
	return d.node.ServeFollow(ctx, from, send)
}

// brokers counts the connections that stand.
func (d *DA) brokers() (connected, all int) {
	for _, p := range d.deps.Pipes {
		if p.Connected() {
			connected++
		}
	}
	return connected, len(d.deps.Pipes)
}
