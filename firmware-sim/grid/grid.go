package grid

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
	"fairwatt/model"
)

// Times of a run.
const (
	// quietEnd is how long before the end no buyer begins anything new.
	quietEnd = 5 * time.Second
	// drainLimit bounds the wait, after the end, for receipts still under way.
	drainLimit = 10 * time.Second
	// endLimit bounds the wait, after a whole run, for trades that are under way and cases
	// that judges look at: what has not ended says nothing of anyone.
	endLimit = 150 * time.Second
	// enrolLimit bounds the start: agreement up, every participant registered.
	enrolLimit = 30 * time.Second
	// outage is the time for which the broker stays away.
	outage = 10 * time.Second
)

// A grid is the whole system in one process.
type grid struct {
	cfg      Config
	log      *slog.Logger
	software string
	dataDir  string
	sources  int      // distinct traces or scenarios
	composed []string // channels computed for lack of a recording
	cut      []string // what is left out of long traces

	community *mc.Community
	broker    *broker
	nodes     []*aggregatorNode
	clients   []*peer.Client
	centre    *mc.Centre
	world     *world
	people    []*participant
	culprits  []*culprit
	judgeKeys map[string]ed25519.PrivateKey
	watch     *watch
	dropper   *dropper // the link that drops blocks, nil if none does
	newcomer  newcomer // with Members
	killed    killing
	// forgedRefused counts the stranger's submissions that were refused.
	forgedRefused atomic.Uint64
	// unansweredAtEnd counts the records without a final receipt when the
	// agents stopped.
	unansweredAtEnd int
}

// killing names the root that was killed, and when.
type killing struct {
	root string
	at   time.Time
}

// Options are what Run needs in addition to the configuration.
type Options struct {
	Software string
	Logger   *slog.Logger
	// Out tells people where the page is and how the run goes.
	Out io.Writer
	// Progress rewrites a line on Out every second.
	Progress bool
	// speak is told the people once their agents run; for tests.
	speak func([]*participant)
}

// Run composes the system, runs it until cfg.For is over or ctx ends, stops it,
// and reports. Everything it starts has ended when it returns.
func Run(ctx context.Context, cfg Config, opts Options) (*Report, error) {
	r, _, err := run(ctx, cfg, opts)
	return r, err
}

// run is Run, and also returns the page's last snapshot.
func run(ctx context.Context, cfg Config, opts Options) (_ *Report, _ *console.Snapshot, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	g := &grid{cfg: cfg, log: opts.Logger, software: opts.Software, dataDir: cfg.Data, watch: newWatch()}
	if g.dataDir == "" {
		if g.dataDir, err = os.MkdirTemp("", "fairwatt-grid-"); err != nil {
			return nil, nil, fmt.Errorf("make data folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(g.dataDir)) }()
	}
	weathers, err := loadWeather(ctx, &g.cfg, keptRows)
	if err != nil {
		return nil, nil, err
	}
	for i, w := range weathers {
		if w.part != "" && i < len(g.cfg.Traces) {
			g.cut = append(g.cut, w.part)
		}
	}
	g.sources = len(weatherNames(&g.cfg))
	if g.cfg.Storm != "" { // each generator is at a site of its own
		g.sources = g.cfg.Agents
	}
	if err := g.compose(weathers); err != nil {
		return nil, nil, errors.Join(err, g.stopRest())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, running := errgroup.WithContext(running)
	err = g.start(ctx, running, group, opts)
	if err == nil {
		err = g.play(ctx, running, opts)
	}
	g.stopAgents()
	g.awaitRest(running)
	snapshot := g.snapshot()
	stop()
	err = errors.Join(err, group.Wait(), g.stopRest())
	if err != nil {
		return nil, nil, err
	}
	r, err := g.report(snapshot)
	return r, snapshot, err
}

// compose makes every part without starting any.
func (g *grid) compose(weathers []weather) error {
	arbiters, judgeKeys, err := makeJudges(g.cfg.credit())
	if err != nil {
		return err
	}
	params, err := g.cfg.params()
	if err != nil {
		return err
	}
	community, listeners, err := newCommunity(&g.cfg, params, arbiters...)
	if err != nil {
		return err
	}
	g.community, g.judgeKeys = community, judgeKeys
	g.world = newWorld(g.cfg.Speed, g.log)
	g.world.slots = newSlotWorld(&params)
	if err := g.makeCulprits(); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	g.broker = newBroker(brokerTLS(community), g.cfg.MQTT, g.log)
	for _, who := range community.DAs {
		g.broker.Admit(who.ID, roleDA)
	}
	if err := g.broker.Start(); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	g.composed = composedIn(weathers)
	for i, w := range weathers {
		p, s, err := g.newGenerator(i, w)
		if err != nil {
			return errors.Join(err, closeAll(listeners))
		}
		g.people, g.world.sites = append(g.people, p), append(g.world.sites, s)
		g.broker.Admit(p.id, roleDevice)
	}
	for i := range g.cfg.Buyers {
		p, h, err := g.newHouse(i)
		if err != nil {
			return errors.Join(err, closeAll(listeners))
		}
		g.people = append(g.people, p)
		g.world.houses[h.id] = h
		g.broker.Admit(p.id, roleDevice)
	}
	return g.makeAggregators(listeners)
}

// start brings everything up in order: agreement, the centre, the page, the
// participants, then the weather and the agents.
func (g *grid) start(ctx, running context.Context, group *errgroup.Group, opts Options) error {
	g.runAggregators(running)
	for _, node := range g.nodes {
		if !node.joins {
			group.Go(func() error { return g.watch.follow(running, node) })
		}
	}
	if err := g.makeCentre(); err != nil {
		return err
	}
	group.Go(func() error { return g.centre.Run(running) })
	if g.cfg.HTTP != "" {
		listener, err := console.Listen(g.cfg.HTTP, false)
		if err != nil {
			return err
		}
		page := console.New(&source{g}, console.Options{})
		group.Go(func() error { return page.Serve(running, listener) })
		g.announce(opts.Out, listener.Addr())
	} else {
		g.announce(opts.Out, nil)
	}
	limited, cancel := context.WithTimeout(ctx, enrolLimit)
	defer cancel()
	all, enrolling := errgroup.WithContext(limited)
	for _, p := range g.people {
		all.Go(func() error { return g.enrol(enrolling, p) })
	}
	for _, c := range g.culprits {
		all.Go(func() error { return g.enrolCulprit(enrolling, c) })
	}
	err := all.Wait()
	if err == nil {
		err = g.warn(limited)
	}
	if err == nil {
		err = g.share(limited)
	}
	if err != nil {
		return fmt.Errorf("start the grid: %w", err)
	}
	g.world.begin()
	group.Go(func() error { return g.world.run(running) })
	group.Go(func() error { return g.arbitrate(running) })
	for _, p := range g.people {
		if err := g.composeAgent(p); err != nil {
			return err
		}
	}
	return nil
}

// makeCentre composes the management centre.
func (g *grid) makeCentre() error {
	cfg := mc.CentreConfig{ID: g.community.Centre.ID, Key: g.community.Centre.Key, Genesis: g.community.Genesis, Simulated: true, Logger: g.log}
	var err error
	if g.cfg.Members {
		cfg.Dial = g.dial
	} else if cfg.Chains, err = g.chains(); err != nil {
		return err
	}
	g.centre, err = mc.NewCentre(cfg)
	return err
}

// announce tells a person what runs and where to look.
func (g *grid) announce(out io.Writer, page net.Addr) {
	fmt.Fprintf(out, "fairwatt: %d data aggregators, %d generators and %d buyers in one process. All of it is simulated.\n",
		g.cfg.DAs, g.cfg.Agents, g.cfg.Buyers)
	if page != nil {
		fmt.Fprintf(out, "  page     http://%s\n", page)
	}
	fmt.Fprintf(out, "  weather  %s, %g trace seconds a second\n", strings.Join(baseNames(weatherNames(&g.cfg)), ", "), g.cfg.Speed)
	for _, cut := range g.cut {
		fmt.Fprintf(out, "  part     %s\n", cut)
	}
	if len(g.composed) > 0 {
		fmt.Fprintf(out, "  composed %s: computed from the weather, not recorded\n", strings.Join(g.composed, ", "))
	}
	if g.cfg.MQTT != "" {
		fmt.Fprintf(out, "  mqtt     tcp://%s (read only)\n", g.broker.openAddr)
	}
	if g.cfg.For == 0 {
		fmt.Fprintln(out, "Stop with Ctrl-C.")
	}
}

// play runs the agents until the end, with the troubles of the configuration.
// Then it waits until no record is under way.
func (g *grid) play(ctx, running context.Context, opts Options) error {
	agents, stopAgents := context.WithCancel(running)
	defer stopAgents()
	for _, p := range g.people {
		go func() {
			defer close(p.done)
			p.err = p.agent.Run(agents)
		}()
		p.stop = stopAgents
	}
	if opts.speak != nil {
		opts.speak(g.people)
	}
	var end, quiet <-chan time.Time
	if g.cfg.For > 0 {
		endTimer, quietTimer := time.NewTimer(g.cfg.For), time.NewTimer(max(0, g.cfg.For-quietEnd))
		defer endTimer.Stop()
		defer quietTimer.Stop()
		end, quiet = endTimer.C, quietTimer.C
	}
	troubles, stopTroubles := context.WithCancel(running)
	trouble := errgroup.Group{}
	trouble.Go(func() error { return g.killRoot(troubles) })
	trouble.Go(func() error { return g.breakBroker(troubles) })
	trouble.Go(func() error { return g.forge(troubles) })
	trouble.Go(func() error { return g.changeMembers(troubles, running) })
	cheats, stopCheats := context.WithCancel(running)
	defer stopCheats()
	cheating, over := errgroup.Group{}, make(chan struct{})
	cheating.Go(func() error { return g.cheat(cheats, over) })
	progress := newProgress(opts, g.cfg.For)
	defer progress.close()
	var err error
	limit := endLimit
	for done := false; !done; {
		select {
		case <-ctx.Done():
			limit, done = drainLimit, true
		case <-end:
			done = true
		case <-running.Done():
			err, done = errors.New("a part of the grid ended early"), true
		case <-quiet:
			g.stopRequests()
		case <-progress.tick():
			progress.show(g.snapshot())
		}
	}
	stopTroubles()
	err = errors.Join(err, trouble.Wait())
	g.stopRequests()
	close(over)
	g.drain(running, limit, g.unfinished)
	stopCheats()
	err = errors.Join(err, cheating.Wait())
	g.drain(running, drainLimit, g.unanswered)
	g.unansweredAtEnd = g.unanswered()
	return err
}

func (g *grid) stopRequests() {
	for _, p := range g.people {
		p.agent.StopRequests()
	}
}

// drain waits until nothing is left, or the limit. The report counts what is left then.
func (g *grid) drain(ctx context.Context, limit time.Duration, left func() int) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for left() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// unfinished counts trades that have not ended, and those that need a verdict.
func (g *grid) unfinished() int {
	state := g.alive()[0].da.State()
	return len(state.Trades(func(t *ledger.Trade) bool { return !t.Ended() })) + len(g.accused(state))
}

// awaitRest waits until every living data aggregator has the same chain, the
// page shows it, and no record waits for a block. Then the page's last snapshot
// equals what the report reads from the chains. It gives up after drainLimit.
func (g *grid) awaitRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !g.atRest() {
		select {
		case <-ctx.Done():
			return // the report reads the chains, whatever the page shows
		case <-look.C:
		}
	}
}

func (g *grid) atRest() bool {
	if len(g.nodes) == 0 {
		return true
	}
	height := g.snapshot().Chain.Height
	for _, n := range g.alive() {
		if n.da.State().Height() != height || n.da.Stats().Pending > 0 {
			return false
		}
	}
	return true
}

// unanswered counts the records that wait for a final receipt.
func (g *grid) unanswered() int {
	n := 0
	for _, p := range g.people {
		n += p.outbox.Stats().Records
	}
	return n
}

// stopAgents ends every agent that runs and waits for it.
func (g *grid) stopAgents() {
	for _, p := range g.people {
		if p.stop == nil {
			continue
		}
		p.stop()
		<-p.done
		p.onGate(model.StateInit) // an agent that is gone has no open gate
		if p.err != nil {
			g.log.Error("agent ended", "agent", p.id, "err", p.err)
		}
	}
}

// stopRest ends the parts outside the errgroup: data aggregators, links of the
// centre, networks and the broker.
func (g *grid) stopRest() error {
	var all error
	for _, c := range g.clients {
		all = errors.Join(all, c.Close())
	}
	if g.centre != nil {
		all = errors.Join(all, g.centre.Close())
	}
	for _, n := range g.nodes {
		if n.stop == nil {
			all = errors.Join(all, n.da.Close())
			continue
		}
		n.stop()
		<-n.done
		all = errors.Join(all, n.err)
	}
	for _, p := range g.people {
		if p.network != nil {
			all = errors.Join(all, p.network.Close())
		}
		all = errors.Join(all, p.ahead.Close())
	}
	if g.broker != nil {
		all = errors.Join(all, g.broker.Stop())
	}
	return all
}

// baseNames are file names without their folders.
func baseNames(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	return names
}
