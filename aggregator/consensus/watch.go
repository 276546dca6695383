package consensus

import (
	"context"
	"errors"
	"time"

	"fairwatt/aggregator/consensus/pool"
	"fairwatt/proto/peerpb"

	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// keptKey is one sender's message of one kind for one place.
type keptKey struct {
	sender, view, seq uint64
	kind              uint8
}

// keptMessages bounds the kept messages, in all.
const keptMessages = 4096

// keep remembers a message of an undecided sequence, to be processed again
// when the library was in no state to take it the first time (it discards the
// first messages of a new leader while it still writes down the new view, and
// nobody sends them again).
func (i *instance) keep(sender uint64, m *protos.Message) {
	view, ok := messageView(m)
	if !ok {
		return
	}
	key := keptKey{sender: sender, view: view, seq: messageSeq(m)}
	switch {
	case m.GetPrepare() != nil:
		key.kind = 1
	case m.GetCommit() != nil:
		key.kind = 2
	}
	last := i.last.Load()
	if key.seq <= last || key.seq > last+2 || view > i.view.Load()+i.n() {
		return
	}
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	if _, have := i.kept[key]; !have && len(i.kept) < keptMessages {
		i.kept[key] = m
	}
}

// forget drops what is kept of decided sequences.
func (i *instance) forget(seq uint64) {
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	for key := range i.kept {
		if key.seq <= seq {
			delete(i.kept, key)
		}
	}
}

// again hands the kept messages of the current view in once more, blocks
// first, and sends the own votes to all once more.
func (i *instance) again(resend bool) {
	view, last := i.view.Load(), i.last.Load()
	var feed [3][]keptKey
	i.keepMu.Lock()
	msgs := make(map[keptKey]*protos.Message)
	for key, m := range i.kept {
		if key.view == view && key.seq > last {
			feed[key.kind] = append(feed[key.kind], key)
			msgs[key] = m
		}
	}
	i.keepMu.Unlock()
	for _, keys := range feed {
		for _, key := range keys {
			i.node.count.reinjected.Add(1)
			i.feed(key.sender, msgs[key])
		}
	}
	if !resend {
		return
	}
	i.sendMu.Lock()
	var own []*protos.Message
	for at, m := range i.votes {
		if at.view == view && at.seq > last {
			own = append(own, m)
		}
	}
	i.sendMu.Unlock()
	for _, m := range own {
		for id := uint64(1); id <= i.n(); id++ {
			if id != i.self {
				i.SendConsensus(id, m)
			}
		}
	}
	i.node.resendBlock(i, view, last+1)
}

// resendBlock sends a block of this node's own to all directly when its votes
// do not come: by the tree it may have been lost.
func (n *Node) resendBlock(i *instance, view, seq uint64) {
	if i.leader(view) != i.self {
		return
	}
	b := n.blocks.get(relayKey{i.epoch.Number, view, seq})
	if b == nil {
		return
	}
	frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Relay{Relay: b.relay}})
	for _, da := range i.epoch.Order {
		n.send(da, frame)
	}
}

// watch is the node's clock: it looks for stalls, gives up leaders that are
// alive but useless, and lets others know where this node is.
func (n *Node) watch(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	w := watcher{node: n}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			w.tick(now)
		}
	}
}

// watcher is what watch remembers from tick to tick.
type watcher struct {
	node                                  *Node
	status, stall, complain, check, share time.Time
	complaints                            int // not long ago
}

func due(last *time.Time, now time.Time, every time.Duration) bool {
	if now.Sub(*last) < every {
		return false
	}
	*last = now
	return true
}

func (w *watcher) tick(now time.Time) {
	n := w.node
	epoch, _, _ := n.position()
	if due(&w.status, now, 100*time.Millisecond) {
		status := n.frame(&peerpb.Frame{Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}})
		for _, da := range epoch.Order {
			n.send(da, status)
		}
	}
	if n.behind(epoch) {
		select {
		case n.wakeUp <- struct{}{}:
		default:
		}
	}
	if due(&w.check, now, time.Second) {
		n.recheck(now)
	}
	if inst := n.instance(); inst != nil {
		w.tend(inst, now)
	}
}

// tend looks after the running instance.
func (w *watcher) tend(i *instance, now time.Time) {
	n := w.node
	quiet := now.Sub(time.Unix(0, max(n.progress.Load(), i.viewFrom.Load())))
	young := now.Sub(time.Unix(0, i.viewFrom.Load())) < n.cfg.StallTimeout && i.view.Load() > 0
	if noBlock := now.Sub(time.Unix(0, n.progress.Load())); noBlock > n.cfg.StallTimeout || young {
		every := n.cfg.StallTimeout
		if young {
			every = tick // a view has just begun: the library may have missed its first messages
		}
		if due(&w.stall, now, every) {
			i.work.Go(func() { i.again(!young) })
		}
	}
	oldest, waiting := n.pool.Oldest()
	if !waiting {
		return
	}
	wait := now.Sub(oldest)
	if wait > n.cfg.ComplainTimeout/2 && quiet > n.cfg.ComplainTimeout/2 && due(&w.share, now, n.cfg.ComplainTimeout) {
		// Alone nobody gets rid of a leader: the others are to wait for these
		// records too.
		n.shareRecords(i, n.pool.Front(shareRecords, now))
	}
	if patience := w.patience(now); wait > patience && quiet > patience && due(&w.complain, now, patience) {
		w.complaints++
		n.giveUp(i, "no block while records wait")
	} else if r, yes := n.pool.Overtaken(n.cfg.ForwardTimeout, time.Unix(0, i.viewFrom.Load()), now); yes && due(&w.complain, now, n.cfg.ForwardTimeout) {
		if _, _, err := n.cfg.App.CheckRecord(r.Sealed); err != nil {
			n.discard(i, r.ID, r.Sealed, err)
			return
		}
		n.giveUp(i, "it leaves out a record that others overtake")
	}
}

// patience is how long the node bears no block: twice as long after each
// complaint, up to eight times, until a while has passed without one. On a
// machine too busy to make a block in time, one leader after the other would
// be given up otherwise.
func (w *watcher) patience(now time.Time) time.Duration {
	timeout := w.node.cfg.ComplainTimeout
	if now.Sub(w.complain) > calmAfter*timeout {
		w.complaints = 0
	}
	return timeout << min(w.complaints, 3)
}

// calmAfter is after how many complain timeouts without a complaint all is
// forgotten.
const calmAfter = 20

// giveUp votes for the next leader. The view goes on until a quorum does: one
// that suspects alone stays useful.
func (n *Node) giveUp(i *instance, why string) {
	view := i.view.Load()
	if i.leader(view) == i.self {
		return
	}
	n.count.complaints.Add(1)
	n.log.Warn("giving the leader up", "epoch", i.epoch.Number, "view", view, "leader", i.name(i.leader(view)), "why", why)
	complain(i.bft, view)
}

// complain does not wait: the library may hold its lock for a while.
func complain(bft *smart.Consensus, view uint64) { go bft.Complain(view, false) }

// shareRecords is how many records at a time go to all DAs.
const shareRecords = 64

// recheck drops old records that can not stand in a block any more, and sends
// those around that the leader should have had long ago.
func (n *Node) recheck(now time.Time) {
	inst := n.instance()
	for _, r := range n.pool.Front(4*shareRecords, now.Add(-time.Second)) {
		if _, _, err := n.cfg.App.CheckRecord(r.Sealed); err != nil {
			n.discard(inst, r.ID, r.Sealed, err)
		}
	}
	if inst == nil {
		return
	}
	if late := n.pool.Overdue(n.cfg.ForwardTimeout, shareRecords, now); len(late) > 0 {
		n.count.resubmitted.Add(uint64(len(late)))
		n.shareRecords(inst, late)
		inst.handOver(late)
	}
}

// shareRecords sends records to all DAs.
func (n *Node) shareRecords(i *instance, rs []*pool.Record) {
	sealed := make([][]byte, len(rs))
	for k, r := range rs {
		sealed[k] = r.Sealed
	}
	for _, part := range chunks(sealed) {
		frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: part}}})
		for _, da := range i.epoch.Order {
			n.send(da, frame)
		}
	}
}

// Bounds of one frame of records.
const (
	chunkRecords = 128
	chunkBytes   = 512 << 10
)

func chunks(sealed [][]byte) [][][]byte {
	var out [][][]byte
	size, from := 0, 0
	for k, s := range sealed {
		if k > from && (k-from == chunkRecords || size+len(s) > chunkBytes) {
			out = append(out, sealed[from:k])
			from, size = k, 0
		}
		size += len(s)
	}
	if from < len(sealed) {
		out = append(out, sealed[from:])
	}
	return out
}

// queueRecords puts records of a peer before the door without waiting: the
// link must not stand still for signature checks.
func (n *Node) queueRecords(from string, sealed [][]byte) {
	if len(sealed) > chunkRecords {
		n.refuse(from, refuse("oversized", "%d records in a frame", len(sealed)))
		return
	}
	select {
	case n.intake <- incoming{from, sealed}:
	default:
		n.count.droppedDoor.Add(uint64(len(sealed)))
	}
}

// takeIn checks records of peers and keeps them.
func (n *Node) takeIn(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case in := <-n.intake:
			now := time.Now()
			for _, sealed := range in.sealed {
				if len(sealed) > n.cfg.RecordBytes {
					n.refuse(in.from, refuse("oversized", "record of %d bytes", len(sealed)))
					continue
				}
				// One that is decided already comes here often, after a
				// change of leader: no reason to complain of the sender.
				id, _, err := n.cfg.App.CheckRecord(sealed)
				if err != nil {
					continue
				}
				if err := n.pool.Add(id, sealed, false, now); errors.Is(err, pool.ErrBusy) {
					n.count.droppedDoor.Add(1)
				}
			}
		}
	}
}

// dispatch hands pending records over: to the library when this node leads,
// else to the leader.
func (i *instance) dispatch() {
	n := i.node
	retry := time.NewTicker(5 * tick)
	defer retry.Stop()
	for {
		select {
		case <-i.ctx.Done():
			return
		case <-n.pool.Wake():
		case <-retry.C:
		}
		for i.ctx.Err() == nil {
			view := i.view.Load()
			rs, again := n.pool.Take(pool.Term{Epoch: i.epoch.Number, View: view}, i.leader(view) == i.self, 4*chunkRecords, time.Now())
			n.count.resubmitted.Add(uint64(again))
			if len(rs) == 0 || !i.handOver(rs) {
				break
			}
		}
	}
}

// handOver gives records to the leader; false when there is no room there now.
func (i *instance) handOver(rs []*pool.Record) bool {
	n, view := i.node, i.view.Load()
	if leader := i.leader(view); leader != i.self {
		sealed := make([][]byte, len(rs))
		for k, r := range rs {
			sealed[k] = r.Sealed
		}
		for _, part := range chunks(sealed) {
			n.send(i.name(leader), n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: part}}}))
		}
		return true
	}
	for k, r := range rs {
		if i.ctx.Err() != nil {
			return false
		}
		if err := i.bft.SubmitRequest(r.Sealed); err != nil && !alreadyKnown(err) {
			n.pool.PutBack(rs[k:])
			return false
		}
	}
	return true
}
