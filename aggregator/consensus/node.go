package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/pool"
	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
)

// Node is one DA's part in agreement. Make it with [New], route what the link
// receives to Receive and the Serve methods, and call Run.
type Node struct {
	cfg   Config
	log   *slog.Logger
	pool  *pool.Pool
	peers atomic.Pointer[map[string]*peerState] // by DA id, this node's own included; replaced, never changed
	rules rules
	// adjust, set by tests alone, may change the library's surroundings before
	// it starts.
	adjust func(*smart.Consensus)
	ticks  func() (ticks <-chan time.Time, end func()) // newTicks, but in tests

	app    sync.Mutex // one call of the application at a time
	way    way        // of catching up; app guards it
	intake *handed
	wakeUp chan struct{} // the main loop is to look at peers' heights
	heard  chan struct{} // a peer has told what it knows of this node
	marks  chan struct{} // there are marks of peers to keep
	logs   logs
	// question is what this run asks the others for its marks by. Their answers to an earlier
	// one may still be on their way, and that said more meanwhile.
	question uint64

	mu       sync.Mutex
	epoch    Epoch
	forest   *forest   // of the epoch last asked for
	inst     *instance // nil while none runs
	lastView uint64    // of the newest block, for leading records there
	commits  chan struct{}
	missed   map[string]*edgeCount
	refused  map[string]uint64
	own      mark            // the newest of this node that others know of
	told     map[string]bool // who has told it, asked by this run of the node
	conduct  *guard.Conduct
	lastVote time.Time // when this node last voted, zero for never

	pace     pace
	blocks   blockStore
	sights   sights
	evidence evidence
	progress atomic.Int64  // when the newest block came, Unix ns
	failed   atomic.Uint64 // views that have begun, or were promised, since the newest block
	quiet    atomic.Int64  // how long ago that is in fair time, ns
	ahead    atomic.Int64  // for how long f + 1 peers have had a newer block, or been in a later epoch, in fair time, ns
	height   atomic.Uint64 // of the newest block, as the application last said
	votedFor atomic.Uint64 // the height of the newest block that this node voted for
	stopped  atomic.Bool
	// wholeIn is an epoch up to which this node knows all that it has said, and
	// beyond which it can have said nothing; 0 if there is none.
	wholeIn atomic.Uint64
	// following says why this node follows without voting, nil while it votes or
	// is about to.
	following atomic.Pointer[string]
	count     counters
}

type counters struct {
	blocks, fetched, epochs, viewChanges, complaints, restarts        atomic.Uint64
	forwarded, pulled, refused, outdated, reinjected                  atomic.Uint64
	resubmitted, droppedIntake, droppedLater, equivocated, relaysSent atomic.Uint64
	records                                                           atomic.Uint64
	rejoins, below, bundles, orphaned                                 atomic.Uint64
	cutOffs, cutFrames, leftBehind                                    atomic.Uint64
}

type edgeCount struct{ forwarded, pulled, missed uint64 }

// New checks the configuration. Nothing runs before Run.
func New(cfg Config) (*Node, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger.With("part", "consensus", "da", cfg.Self),
		pool: pool.New(cfg.poolLimits()), rules: strict,
		intake: newHanded(), wakeUp: make(chan struct{}, 1), heard: make(chan struct{}, 1), marks: make(chan struct{}, 1),
		ticks: newTicks, logs: wal.Dir(cfg.Dir), told: make(map[string]bool), question: 1 + rand.Uint64N(math.MaxUint64),
		commits: make(chan struct{}), missed: make(map[string]*edgeCount), refused: make(map[string]uint64),
		conduct: guard.NewConduct(cfg.faulty()),
	}
	n.epoch = cfg.App.Epoch()
	n.peers.Store(&map[string]*peerState{})
	n.meet(n.epoch)
	n.height.Store(cfg.App.Height())
	if err := n.epoch.validate(); err != nil {
		return nil, fmt.Errorf("consensus: %w", err)
	}
	for _, da := range cfg.Liars {
		n.refuse(da, guard.Refused("snapshot", "a snapshot that did not hold, before this data aggregator began anew"))
	}
	return n, nil
}

// Run takes part in agreement until ctx ends, which is a nil error, or until it
// cannot go on: the application could not store a block, or the log could not be
// written. An instance that fails is started again, after ever longer pauses.
func (n *Node) Run(ctx context.Context) error {
	defer n.stopped.Store(true)
	n.recallMarks()
	n.progressed(time.Now())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.loop(ctx) })
	group.Go(func() error { n.watch(ctx); return nil })
	group.Go(func() error { n.keepMarks(ctx); return nil })
	for range 2 {
		group.Go(func() error { n.takeIn(ctx); return nil })
	}
	return group.Wait()
}

// Submit keeps a record until a block decides it or no block can hold it any
// more. nil means kept. The caller has checked the record, in full, and Submit
// does not do so again; records of other DAs are checked when they come and, in
// proposals, by Verify. It returns [ErrBusy] when there is no room.
func (n *Node) Submit(ctx context.Context, sealed []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n.stopped.Load() {
		return ErrStopped
	}
	if len(sealed) > n.cfg.RecordBytes {
		return fmt.Errorf("consensus: record of %d bytes, at most %d", len(sealed), n.cfg.RecordBytes)
	}
	id, sender, err := n.cfg.App.RecordID(sealed)
	if err != nil {
		return err
	}
	return n.pool.Add(id, sender, sealed, "", time.Now())
}

// Receive takes a frame from the link. The link has proved that it comes from
// that DA. Frames of one sender must come one after the other.
func (n *Node) Receive(from string, raw []byte) {
	if n.cutOff(from) {
		n.count.cutFrames.Add(1)
		return
	}
	f, ruling := n.rules.frame(n.guard(), from, raw)
	if ruling.Action == guard.Refuse {
		n.refuse(from, ruling.Err())
		return
	}
	ps := n.peer(f.GetSender())
	ps.note(f.GetEpoch(), f.GetHeight(), time.Now())
	n.noteMark(ps, f.GetMark())
	switch f.GetBody().(type) {
	case *peerpb.Frame_Status:
		n.takeStatus(ps, f.GetStatus())
	case *peerpb.Frame_Records:
		n.queueRecords(ps.name, f.GetRecords().GetSealed())
	default:
		n.sort(ps, f, ruling.Action)
	}
}

func (n *Node) sort(ps *peerState, f *peerpb.Frame, action guard.Action) {
	ps.order.Lock()
	defer ps.order.Unlock()
	switch action {
	case guard.Take:
		inst := n.instance()
		if inst == nil {
			ps.hold(f, n.heldMost())
			return
		}
		n.releaseHeld(ps, inst)
		inst.enqueue(ps.name, f)
	case guard.Hold:
		ps.hold(f, n.heldMost())
	case guard.Drop:
		n.count.outdated.Add(1)
	}
}

// releaseHeld hands what was kept to the instance of its epoch, in order.
// ps.order is held.
func (n *Node) releaseHeld(ps *peerState, inst *instance) {
	if len(ps.held) == 0 {
		return
	}
	held := ps.held
	ps.held, ps.bytes = nil, 0
	for _, f := range held {
		switch {
		case f.GetEpoch() == inst.epoch.Number:
			inst.enqueue(ps.name, f)
		case f.GetEpoch() > inst.epoch.Number:
			ps.hold(f, n.heldMost())
		default:
			n.count.outdated.Add(1)
		}
	}
}

func (n *Node) instance() *instance {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.inst
}

// rules are the guard's two questions, as values: a test replaces them to show
// that each attack would work without them.
type rules struct {
	frame   func(g guard.Guard, from string, raw []byte) (*peerpb.Frame, guard.Ruling)
	message func(g guard.Guard, sender uint64, m *protos.Message) guard.Ruling
}

var strict = rules{frame: guard.Guard.Frame, message: guard.Guard.Message}

// guard is what the guard is told of the node at this moment.
func (n *Node) guard() guard.Guard {
	n.mu.Lock()
	defer n.mu.Unlock()
	return guard.Guard{
		ChainID: n.cfg.ChainID, Self: n.cfg.Self, Keys: n.cfg.keysOf(n.epoch), BlockBytes: n.cfg.blockBytes(),
		Epoch: n.epoch.Number, Running: n.inst != nil, Order: n.epoch.Order,
	}
}

// loop runs one instance an epoch, and in between what it takes to get there.
func (n *Node) loop(ctx context.Context) error {
	var faults faultHistory
	if err := n.wholeAtBoot(); err != nil {
		return err
	}
	if err := n.catchUp(ctx, false); err != nil {
		return err
	}
	if err := n.recall(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		epoch := n.enter()
		if err := epoch.validate(); err != nil {
			return fmt.Errorf("consensus: %w", err)
		}
		if epoch.Left {
			return n.linger(ctx, epoch)
		}
		err := n.runEpoch(ctx, epoch)
		if n.over(epoch) {
			n.wholeIn.Store(epoch.Number) // it has seen the end: it cannot have voted in the next one
		}
		var fault *faultError
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			continue
		case errors.Is(err, errBehind), errors.Is(err, errOverruled):
		case errors.As(err, &fault) && !fault.final:
			n.count.restarts.Add(1)
			pause := faults.add(time.Now())
			n.log.Warn("agreement restarts", "epoch", epoch.Number, "pause", pause, "err", err)
			rest(ctx, pause)
		default:
			return err
		}
		if err := n.catchUp(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// wholeAtBoot looks whether this node knows all that it has said in the epoch of
// the application, and can have said nothing beyond it.
func (n *Node) wholeAtBoot() error {
	n.app.Lock()
	epoch := n.cfg.App.Epoch().Number
	n.app.Unlock()
	whole, err := n.logs.Whole(epoch)
	if err != nil {
		return fmt.Errorf("consensus: %w", err)
	}
	if whole {
		n.wholeIn.Store(epoch)
	}
	return nil
}

// faultHistory holds the times of an instance's faults within a minute.
type faultHistory []time.Time

// add books a fault and returns how long to wait before the next start: nothing
// after the first three, then twice as long each time, up to 10 s. A node that is
// slow, or meets the same fault again and again, gets out of the others' way and
// ends by no fault of its own.
func (h *faultHistory) add(now time.Time) time.Duration {
	for len(*h) > 0 && now.Sub((*h)[0]) > time.Minute {
		*h = (*h)[1:]
	}
	*h = append(*h, now)
	const free, first, most = 3, 100 * time.Millisecond, 10 * time.Second
	if len(*h) <= free {
		return 0
	}
	return min(first<<min(len(*h)-free-1, 10), most)
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// enter makes the application's epoch the node's.
func (n *Node) enter() Epoch {
	n.app.Lock()
	epoch := n.cfg.App.Epoch()
	n.app.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.epoch.Number != epoch.Number {
		n.lastView = 0
		n.sights.turn(time.Now())
		n.count.epochs.Add(epoch.Number - n.epoch.Number)
	}
	n.epoch = epoch
	n.meet(epoch)
	return epoch
}

func (n *Node) runEpoch(ctx context.Context, epoch Epoch) error {
	known := n.wholeIn.Load()
	if err := n.mayVote(epoch); err != nil {
		n.mayNotVote(epoch, err)
		defer n.following.Store(nil)
		return n.follow(ctx, epoch, func() bool { return false })
	}
	resume, hold := n.resumption(epoch)
	var inst *instance
	var err error
	if hold == nil {
		inst, err = n.open(ctx, epoch, known > 0 && known < epoch.Number, resume)
	}
	switch {
	case hold != nil:
		n.mayNotVote(epoch, hold)
		defer n.following.Store(nil)
		return n.follow(ctx, epoch, func() bool { _, hold := n.resumption(epoch); return hold == nil })
	case errors.Is(err, wal.ErrLost):
		n.mayNotVote(epoch, err)
		defer n.following.Store(nil)
		if err := n.logs.Lose(epoch.Number, err.Error()); err != nil {
			return fmt.Errorf("consensus: %w", err)
		}
		return n.follow(ctx, epoch, func() bool { return false })
	}
	if err != nil {
		return err
	}
	n.wholeIn.Store(epoch.Number)
	if err := inst.start(); err != nil {
		inst.stop()
		return err
	}
	n.mu.Lock()
	n.inst = inst
	n.mu.Unlock()
	n.progressed(time.Now())
	for _, ps := range *n.peers.Load() {
		ps.order.Lock()
		n.releaseHeld(ps, inst)
		ps.order.Unlock()
	}
	n.pool.Notify()
	for {
		select {
		case <-ctx.Done():
		case <-inst.ended:
		case <-n.wakeUp:
			if !n.behind(epoch) {
				continue
			}
			inst.finish(errBehind)
		}
		break
	}
	n.mu.Lock()
	n.inst = nil
	n.mu.Unlock()
	inst.stop()
	return inst.failure()
}

// frame encodes a frame with the node's epoch unless one is given.
func (n *Node) frame(f *peerpb.Frame) []byte {
	if f.Epoch == 0 {
		epoch, _, _ := n.position()
		f.Epoch = epoch.Number
	}
	f.Height, f.Sender = n.height.Load(), n.cfg.Self
	raw, err := proto.Marshal(f)
	if err != nil {
		// Only a string that is not UTF-8 could be the cause; ids are.
		n.log.Error("encode frame", "err", err)
		return nil
	}
	return raw
}

func (n *Node) send(to string, frame []byte) {
	if frame != nil && to != n.cfg.Self {
		n.cfg.Link.Send(to, frame)
	}
}

// Stats returns the node's counts at this moment.
func (n *Node) Stats() Stats {
	c := &n.count
	s := Stats{
		At:     time.Now(),
		Height: n.height.Load(),
		Blocks: c.blocks.Load(), Fetched: c.fetched.Load(), Epochs: c.epochs.Load(),
		ViewChanges: c.viewChanges.Load(), Complaints: c.complaints.Load(), Restarts: c.restarts.Load(), LeftBehind: c.leftBehind.Load(),
		Forwarded: c.forwarded.Load(), Pulled: c.pulled.Load(),
		Refused: c.refused.Load(), Outdated: c.outdated.Load(), Reinjected: c.reinjected.Load(),
		Resubmitted: c.resubmitted.Load(), DroppedIntake: c.droppedIntake.Load(), DroppedLater: c.droppedLater.Load(),
		Rejoins: c.rejoins.Load(), Withheld: c.below.Load(),
		Bundles: c.bundles.Load(), Orphaned: c.orphaned.Load(),
		Equivocated: c.equivocated.Load(), Missed: make(map[string]uint64),
		CutOffs: c.cutOffs.Load(), CutFrames: c.cutFrames.Load(), Peers: n.peerStats(),
	}
	s.Pending, s.PendingBytes = n.pool.Size()
	s.OldestPending, _ = n.pool.Oldest()
	if at := n.progress.Load(); at != 0 {
		s.LastBlock = time.Unix(0, at)
	}
	epoch, view, voting := n.position()
	s.Epoch, s.View, s.Voting = epoch.Number, view, voting
	if why := n.following.Load(); why != nil {
		s.Following = *why
	}
	s.Leader = epoch.Order[view%uint64(len(epoch.Order))]
	n.mu.Lock()
	defer n.mu.Unlock()
	for da, e := range n.missed {
		if e.missed > 0 {
			s.Missed[da] = e.missed
		}
	}
	s.RefusedBy = maps.Clone(n.refused)
	s.LastVote = n.lastVote
	return s
}

// position returns the epoch and view the node is in.
func (n *Node) position() (epoch Epoch, view uint64, voting bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.inst != nil {
		return n.inst.epoch, n.inst.view.Load(), true
	}
	return n.epoch, n.lastView, false
}

// Tree returns the communication tree of the view the node is in.
func (n *Node) Tree() Tree {
	epoch, view, _ := n.position()
	t := n.forestOf(epoch).tree(view)
	out := Tree{
		Epoch: epoch.Number, View: view, Root: t.order[0], Order: t.order, Direct: t.direct,
		Members: epoch.Order, Network: epoch.Network, Built: t.built,
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range t.edges {
		edge := Edge{From: e[0], To: e[1]}
		if e[1] == n.cfg.Self && n.missed[e[0]] != nil {
			edge.Pulled, edge.Missed = n.missed[e[0]].pulled, n.missed[e[0]].missed
		}
		if e[0] == n.cfg.Self && n.missed[e[1]] != nil {
			edge.Forwarded = n.missed[e[1]].forwarded
		}
		out.Edges = append(out.Edges, edge)
	}
	return out
}

// edge returns the counts between this node and another; n.mu is held.
func (n *Node) edge(da string) *edgeCount {
	e, ok := n.missed[da]
	if !ok {
		e = &edgeCount{}
		n.missed[da] = e
	}
	return e
}

// ServeFetch sends the stored blocks lo..hi: a Fetch handler for the link.
func (n *Node) ServeFetch(ctx context.Context, lo, hi uint64, send func(*fairwattpb.CertifiedBlock) error) error {
	for h := max(lo, 1); h <= min(hi, n.height.Load()); h++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		cb, err := n.cfg.App.Block(h)
		if err != nil {
			return fmt.Errorf("read block %d: %w", h, err)
		}
		if err := send(cb); err != nil {
			return err
		}
	}
	return nil
}

// ServeFollow sends stored blocks from a height on and then each new one until
// ctx ends: a Follow handler for the link.
func (n *Node) ServeFollow(ctx context.Context, from uint64, send func(*fairwattpb.CertifiedBlock) error) error {
	next := max(from, 1)
	for {
		n.mu.Lock()
		more := n.commits
		n.mu.Unlock()
		height := n.height.Load()
		if next <= height {
			if err := n.ServeFetch(ctx, next, height, send); err != nil {
				return err
			}
			next = height + 1
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}
