package consensus

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"fairwatt/aggregator/consensus/book"
	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/lockup"
	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// errBehind ends an instance whose peers have gone on without it.
var errBehind = errors.New("behind the other DAs")

// A faultError ends an instance for its own failing. A final one ends the node.
type faultError struct {
	err   error
	final bool
}

func (e *faultError) Error() string { return e.err.Error() }
func (e *faultError) Unwrap() error { return e.err }

// instance is SmartBFT for one epoch. Members have node ids 1 + position in
// the order; sequence s of it is block LastHeight + s.
type instance struct {
	node   *Node
	epoch  Epoch
	self   uint64
	key    crypto.Signer // of the epoch
	ids    map[string]uint64
	forest *forest
	seat   guard.Guard // without view and last

	ctx    context.Context
	cancel context.CancelFunc
	work   tasks
	bft    *smart.Consensus
	log    *keeper
	pulses [2]*pulse
	queues map[string]chan *peerpb.Frame
	large  map[string]chan struct{} // holds a token for each large frame in the queue
	resend *protos.PrePrepare       // to be sent once after a restart
	booted bool

	view     atomic.Uint64
	viewFrom atomic.Int64 // when the view began, Unix ns
	last     atomic.Uint64
	shown    atomic.Uint64 // the view of the newest block
	grown    atomic.Uint64 // trees are built below this view
	still    atomic.Int64  // how long ago the newest block or view came, in fair time, ns
	deciding atomic.Uint64 // the newest sequence that was decided and may not be stored yet
	below    atomic.Uint64 // proposals in a row that a promise forbade

	sendMu   sync.Mutex
	sentMsg  *protos.Message // the last message broadcast, and its frame
	sentRaw  []byte
	sentPP   *protos.Message
	wish     uint64                // the highest view that the library has wished for
	votes    map[votePlace]ownVote // of undecided sequences
	markMu   sync.Mutex
	marked   mark     // the newest signed
	offered  [2]offer // the newest new views, guarded by markMu
	keepMu   sync.Mutex
	kept     map[keptKey]*protos.Message
	bundles  bundles
	wishes   wishes
	proofs   proofs
	suspects suspects         // guarded by keepMu
	told     map[uint64]told  // of blocks under way, by member
	brings   guard.Proof      // of the newest new view that brings a block; guarded by keepMu
	early    map[uint64]early // by member
	wants    map[guard.Place]*want
	verified sync.Map // proposal hash -> struct{}: blocks the application accepted

	ended     chan struct{}
	endOnce   sync.Once
	endErr    error
	reported  atomic.Bool
	signs     lockup.Predictor
	turnstile *lockup.Turnstile
	inFlight  lockup.InFlight
	seized    seen // since when the library waits for a block under way; the watcher's alone
}

type votePlace struct {
	view, seq uint64
	commit    bool
}

// ownVote is a vote of this node, and when it first gave it.
type ownVote struct {
	msg *protos.Message
	at  time.Time
}

// noteOwn keeps a vote of this node, to send it again; i.sendMu is held.
func (i *instance) noteOwn(key ballotKey, m *protos.Message) {
	place := votePlace{key.view, key.seq, key.commit}
	at := time.Now()
	if have, ok := i.votes[place]; ok {
		at = have.at
	}
	i.votes[place] = ownVote{m, at}
}

func (i *instance) n() uint64 { return uint64(len(i.epoch.Order)) }

// leader returns the node id that leads a view.
func (i *instance) leader(view uint64) uint64 { return i.seat.Leader(view) }

// name returns the DA of a node id, or "".
func (i *instance) name(id uint64) string { return i.seat.Name(id) }

// guard is what the guard is told of the instance at this moment.
func (i *instance) guard() guard.Guard {
	g := i.seat
	g.View, g.Last, g.Promised = i.view.Load(), i.last.Load(), i.log.promised.Load()
	return g
}

// open prepares the instance of an epoch from the log and the stored blocks.
func (n *Node) open(ctx context.Context, epoch Epoch, entered bool, r *Resumption) (*instance, error) {
	i := &instance{
		node: n, epoch: epoch, key: n.cfg.signer(epoch), forest: n.forestOf(epoch), ids: make(map[string]uint64), queues: make(map[string]chan *peerpb.Frame), large: make(map[string]chan struct{}),
		votes: make(map[votePlace]ownVote), kept: make(map[keptKey]*protos.Message), wants: make(map[guard.Place]*want),
		wishes: wishes{view: make(map[uint64]uint64), helped: make(map[uint64]time.Time), answers: make(map[uint64]int), proved: make(map[uint64]time.Time)},
		told:   make(map[uint64]told), early: make(map[uint64]early), bundles: newBundles(),
		ended: make(chan struct{}), turnstile: lockup.NewTurnstile(), seat: guard.Guard{
			ChainID: n.cfg.ChainID, Self: n.cfg.Self, Keys: n.cfg.keysOf(epoch), BlockBytes: n.cfg.blockBytes(), Epoch: epoch.Number, Running: true, Order: epoch.Order,
			Held: n.cfg.Held,
		},
	}
	i.ctx, i.cancel = context.WithCancel(ctx)
	for k, da := range epoch.Order {
		i.ids[da] = uint64(k + 1)
		if da != n.cfg.Self {
			i.queues[da], i.large[da] = make(chan *peerpb.Frame, queuedFrames), make(chan struct{}, queuedLarge)
		}
	}
	i.self = i.ids[n.cfg.Self]
	lib := &logger{log: n.log, fail: i.fault, ended: i.ended, signs: &i.signs, turnstile: i.turnstile, inFlight: &i.inFlight}
	last, signatures, md, err := i.lastDecision()
	if err == nil {
		i.last.Store(md.GetLatestSequence())
		i.shown.Store(md.GetViewId())
		err = i.openBook(lib, md.GetLatestSequence(), entered, r)
	}
	if err != nil {
		i.cancel()
		return nil, err
	}
	initial, err := i.content(md)
	if err != nil {
		i.cancel()
		return nil, errors.Join(err, i.log.file.Close())
	}
	// The library looks for the view in the last entry alone.
	md.ViewId = max(md.GetViewId(), i.log.book.Entered())
	i.view.Store(md.GetViewId())
	i.viewFrom.Store(time.Now().UnixNano())
	i.pulses = [2]*pulse{n.newPulse(func() bool { return i.leader(i.view.Load()) == i.self }), n.newPulse(func() bool { return false })}
	i.bft = &smart.Consensus{
		Config: i.settings(i.log.book.Seq() > md.GetLatestSequence()+1), Application: i, Assembler: i,
		WAL: i.log, WALInitialContent: initial, Comm: i, Signer: i, Verifier: i, RequestInspector: i,
		Synchronizer: i, Logger: lib, Metadata: md, LastProposal: last, LastSignatures: signatures,
		Scheduler: i.pulses[0].c, ViewChangerTicker: i.pulses[1].c,
	}
	if n.adjust != nil {
		n.adjust(i.bft)
	}
	return i, nil
}

// readBook opens the log and makes the vote book of it.
func (i *instance) readBook(lib api.Logger, entered bool) error {
	file, content, err := i.node.logs.Open(lib, i.epoch.Number, i.node.cfg.App.Height(), entered)
	if err != nil {
		return err
	}
	k := &keeper{newView: i.newView, file: file, entered: i.entered, failed: func(err error) { i.finish(&faultError{err, true}) }}
	k.writes = func() func() {
		done := i.node.pace.begin(&i.node.pace.entries)
		i.node.cfg.Disk()
		return done
	}
	i.log = k
	if k.book, err = book.Read(content); err != nil {
		return fmt.Errorf("%w: %w", wal.ErrLost, err)
	}
	k.promised.Store(k.book.Promised())
	k.said.Store(k.book.Said())
	k.noteBrought()
	return nil
}

// content is what the library is to find in the log.
func (i *instance) content(md *protos.ViewMetadata) (initial [][]byte, err error) {
	// A leader that crashed before it sent its block sends it now.
	pp, err := i.log.book.Newest(md.GetLatestSequence())
	if err != nil {
		return nil, err
	}
	if pp != nil && i.leader(pp.GetView()) == i.self {
		i.resend = pp
	}
	return i.log.book.Content(md.GetLatestSequence(), md.GetViewId())
}

const tick = 20 * time.Millisecond

func (i *instance) settings(sync bool) types.Configuration {
	c := &i.node.cfg
	change := i.node.stretch(c.ViewChangeTimeout, time.Now())
	return types.Configuration{
		SelfID:               i.self,
		RequestBatchMaxCount: uint64(c.BatchRecords), RequestBatchMaxBytes: uint64(c.BatchBytes), RequestBatchMaxInterval: c.BatchInterval,
		// The library proposes in the order of arrival. Two blocks' worth wait there, and
		// the senders' turns are taken in our pool.
		IncomingMessageBufferSize: 5000, RequestPoolSize: uint64(2 * c.BatchRecords), RequestMaxBytes: uint64(c.RecordBytes),
		// The pool of this package watches over records; the library's timers
		// are far behind it.
		RequestForwardTimeout: 20 * time.Minute, RequestComplainTimeout: 40 * time.Minute, RequestAutoRemoveTimeout: time.Hour,
		RequestPoolSubmitTimeout: 500 * time.Millisecond,
		ViewChangeResendInterval: min(200*time.Millisecond, change), ViewChangeTimeout: change,
		LeaderHeartbeatTimeout: c.HeartbeatTimeout, LeaderHeartbeatCount: 5, NumOfTicksBehindBeforeSyncing: 10,
		CollectTimeout: 100 * time.Millisecond, SyncOnStart: sync,
	}
}

// lastDecision returns the newest stored block of the epoch in the library's
// form; an empty one before the first.
func (i *instance) lastDecision() (types.Proposal, []types.Signature, *protos.ViewMetadata, error) {
	height := i.node.cfg.App.Height()
	if height <= i.epoch.LastHeight {
		return types.Proposal{}, nil, &protos.ViewMetadata{}, nil
	}
	cb, err := i.node.cfg.App.Block(height)
	if err != nil {
		return types.Proposal{}, nil, nil, fmt.Errorf("read block %d: %w", height, err)
	}
	p, signatures, md, err := i.decisionOf(cb)
	if err != nil {
		return types.Proposal{}, nil, nil, fmt.Errorf("stored block %d: %w", height, err)
	}
	return p, signatures, md, nil
}

// start runs the instance. The library may end the goroutine it runs on.
func (i *instance) start() error {
	done := make(chan error, 1)
	go func() {
		err := error(&faultError{err: errors.New("agreement did not start")})
		defer func() { done <- err }()
		err = i.bft.Start()
	}()
	if err := <-done; err != nil {
		if cause := i.failure(); cause != nil {
			return cause
		}
		return &faultError{err: err}
	}
	i.booted = true
	for da, q := range i.queues {
		i.work.run(func() { i.serve(da, q) })
	}
	i.work.run(i.dispatch)
	i.growAhead(i.view.Load())
	i.resume()
	if i.resend != nil {
		i.originate(&protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: i.resend}})
	}
	return nil
}

// stopTimeout is how long the library may take to stop. It can lock itself up (a
// complaint while it closes). Then its goroutines are cut off from log and link,
// left behind, and that is logged.
const stopTimeout = 3 * time.Second

func (i *instance) stop() {
	i.work.end()
	i.cancel()
	i.finish(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if i.booted {
			i.bft.Stop()
		}
		i.work.wait()
	}()
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
		i.node.count.leftBehind.Add(1)
		i.node.log.Error("agreement did not stop, leaving it behind", "epoch", i.epoch.Number)
	}
	for _, p := range i.pulses {
		p.end()
	}
	if err := i.log.file.Close(); err != nil {
		i.node.log.Warn("close log", "epoch", i.epoch.Number, "err", err)
	}
}

// finish ends the instance; the first reason counts.
func (i *instance) finish(reason error) {
	i.endOnce.Do(func() {
		i.endErr = reason
		close(i.ended)
	})
}

// fault ends the instance for its own failing.
func (i *instance) fault(err error) { i.finish(&faultError{err: err}) }

func (i *instance) failure() error {
	select {
	case <-i.ended:
		return i.endErr
	default:
		return nil
	}
}

// entered notes that the library is in a view.
func (i *instance) entered(view uint64) {
	for {
		now := i.view.Load()
		if view <= now {
			return
		}
		if i.view.CompareAndSwap(now, view) {
			break
		}
	}
	i.viewFrom.Store(time.Now().UnixNano())
	i.node.count.viewChanges.Add(1)
	i.growAhead(view)
	i.node.log.Info("view changed", "epoch", i.epoch.Number, "view", view, "leader", i.name(i.leader(view)))
	i.node.pool.Notify()
}

// growAhead builds the tree of a view, so that no message has to wait for it: that of
// the view of now, and that of the next one when this one has shown by a block that
// there is time for it. With 50 members a tree takes a tenth of a second, and where
// views fail for want of time there is none for more of them.
func (i *instance) growAhead(view uint64) {
	for {
		grown := i.grown.Load()
		if view < grown {
			return
		}
		if i.grown.CompareAndSwap(grown, view+1) {
			break
		}
	}
	go i.tree(view)
}

// enqueue hands a frame to the sender's goroutine; a full queue slows the
// sender's link down.
func (i *instance) enqueue(from string, f *peerpb.Frame) {
	q, ok := i.queues[from]
	if !ok {
		i.handle(from, f) // only a guard that is off lets this happen
		return
	}
	if isLarge(f) {
		select {
		case i.large[from] <- struct{}{}:
		case <-i.ctx.Done():
		}
	}
	select {
	case q <- f:
	case <-i.ctx.Done():
	}
}

// Bounds of the frames of one member that wait for the instance, and of the large
// ones among them: a thousand votes are small, a thousand blocks are not.
const (
	queuedFrames = 1024
	queuedLarge  = 4
	largeBytes   = 64 << 10
)

func isLarge(f *peerpb.Frame) bool {
	return len(f.GetMessage())+len(f.GetRelay().GetMessage())+len(f.GetNewView()) > largeBytes
}

func (i *instance) serve(from string, q chan *peerpb.Frame) {
	for {
		select {
		case <-i.ctx.Done():
			return
		case f := <-q:
			i.handle(from, f)
			if isLarge(f) {
				<-i.large[from]
			}
		}
	}
}

func (i *instance) handle(from string, f *peerpb.Frame) {
	defer func() {
		if r := recover(); r != nil {
			i.fault(fmt.Errorf("panic on a message of %s: %v", from, r))
		}
	}()
	if nv := f.GetNewView(); nv != nil {
		if err := i.takeProof(nv); err != nil {
			i.node.refuse(from, err)
		}
		return
	}
	if r := f.GetRelay(); r != nil {
		if err := i.takeRelay(from, r, ""); err != nil && !errors.Is(err, guard.ErrOutdated) {
			i.node.refuse(from, err)
		}
		return
	}
	if b := f.GetBundle(); b != nil {
		if err := i.takeBundle(from, b); errors.Is(err, guard.ErrOutdated) {
			i.node.count.outdated.Add(1)
		} else if err != nil {
			i.node.refuse(from, err)
		}
		return
	}
	m := &protos.Message{}
	if err := proto.Unmarshal(f.GetMessage(), m); err != nil {
		i.node.refuse(from, guard.Refused("malformed", "message: %v", err))
		return
	}
	sender := i.ids[from]
	ruling := i.node.rules.message(i.guard(), sender, m)
	err := ruling.Err()
	for k := 0; err == nil && k < len(ruling.Check); k++ {
		err = i.checkDecision(ruling.Check[k])
	}
	switch {
	case errors.Is(err, guard.ErrOutdated):
		i.node.count.outdated.Add(1)
		i.leftBehind(sender, m)
		return
	case err != nil:
		i.node.refuse(from, err)
		return
	}
	if m.GetPrepare() != nil || m.GetCommit() != nil {
		i.node.noteVote(from)
	}
	if vc := m.GetViewChange(); vc != nil {
		i.wished(sender, vc)
	}
	if svd := m.GetViewData(); svd != nil {
		i.noteViewData(sender, svd)
	}
	if nv := m.GetNewView(); nv != nil {
		i.offer(nv)
	}
	if i.waits(sender, m) {
		return
	}
	i.keep(sender, m)
	i.expectBlock(sender, m)
	i.suspect(sender, m)
	i.feed(sender, m)
}

// feed hands a message to the library unless it is of a later view and from
// the current leader: on that the library would give the leader up. Nor does it
// get a block or a prepare of a view that this node has promised to keep out of:
// it would have to be kept from voting there.
func (i *instance) feed(sender uint64, m *protos.Message) {
	if view, ok := messageView(m); ok && view < i.log.promised.Load() && m.GetCommit() == nil {
		return
	}
	if view, ok := messageView(m); ok && view > i.view.Load() && sender == i.leader(i.view.Load()) {
		return // kept, and fed when the view has come
	}
	if c := m.GetCommit(); c != nil && !i.log.counts(c) {
		return // kept, and fed when the round has come
	}
	select {
	case <-i.ended:
	default:
		i.bft.HandleMessage(sender, m)
	}
}

func messageView(m *protos.Message) (uint64, bool) {
	switch c := m.GetContent().(type) {
	case *protos.Message_PrePrepare:
		return c.PrePrepare.GetView(), true
	case *protos.Message_Prepare:
		return c.Prepare.GetView(), true
	case *protos.Message_Commit:
		return c.Commit.GetView(), true
	}
	return 0, false
}

func messageSeq(m *protos.Message) uint64 {
	switch c := m.GetContent().(type) {
	case *protos.Message_PrePrepare:
		return c.PrePrepare.GetSeq()
	case *protos.Message_Prepare:
		return c.Prepare.GetSeq()
	case *protos.Message_Commit:
		return c.Commit.GetSeq()
	}
	return 0
}

// sign signs for this node, and ends the calling goroutine if it cannot.
func (i *instance) sign(d seal.Domain, payload []byte) []byte {
	n := i.node
	signature, err := i.key.Sign(nil, seal.Preimage(d, n.cfg.ChainID, n.cfg.Self, payload), crypto.Hash(0))
	if err != nil {
		i.die(&faultError{fmt.Errorf("sign: %w", err), true})
	}
	return signature
}

// die ends the instance and the goroutine that calls it: there is no way to tell
// the library no.
func (i *instance) die(err error) {
	i.finish(err)
	runtime.Goexit()
}
