package consensus

import (
	"context"
	"errors"
	"time"

	"fairwatt/proto/peerpb"

	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
)

// watch is the node's clock: it looks for stalls, gives up leaders that are
// alive but useless, and lets others know where this node is.
func (n *Node) watch(ctx context.Context) {
	ticks, end := n.ticks()
	defer end()
	w := watcher{node: n}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			w.tick(time.Now())
		}
	}
}

// watcher is what watch remembers from tick to tick.
type watcher struct {
	node                                  *Node
	status, stall, complain, check, share time.Time
	look                                  time.Time
	told                                  news
	ping                                  time.Time
	complaints                            int // not long ago
	leader                                string
	leads                                 time.Time // since when, over views and epochs
	fair                                  fairTime
	block, sign                           seen // the newest block; that or the newest view
	underWay, ahead                       seen // the block under way; the block here that peers have gone beyond
}

// failedViews is how many views have come to nothing since the newest block.
func (n *Node) failedViews() uint64 {
	i := n.instance()
	if i == nil {
		return 0
	}
	shown := i.shown.Load()
	return max(shown, i.view.Load(), i.log.promised.Load()) - shown
}

// ledSince is when the leader of now began to lead. A leader must not escape from
// patience by short epochs, each of which begins a view.
func (w *watcher) ledSince(i *instance, now time.Time) time.Time {
	if leader := i.name(i.leader(i.view.Load())); leader != w.leader {
		w.leader, w.leads = leader, now
	}
	return w.leads
}

func due(last *time.Time, now time.Time, every time.Duration) bool {
	if now.Sub(*last) < every {
		return false
	}
	*last = now
	return true
}

// How often a node tells where it is: when that has changed, and otherwise as a sign of
// life. With 50 members each status goes 2,450 ways.
const (
	newsEvery = 100 * time.Millisecond
	lifeEvery = 500 * time.Millisecond
)

// tell sends the status to all if there is news in it, or none was sent for a while.
func (w *watcher) tell(epoch Epoch, now time.Time) {
	n := w.node
	s := &peerpb.Status{Voted: n.votedFor.Load()}
	f := &peerpb.Frame{Body: &peerpb.Frame_Status{Status: s}}
	is := news{epoch: epoch.Number, height: n.height.Load(), voted: s.GetVoted()}
	if i := n.instance(); i != nil {
		f.Mark = i.mark()
		is.mark = string(f.GetMark())
	}
	if due(&w.ping, now, max(time.Second, time.Duration(len(epoch.Order))*tick)) {
		s.Ping = n.sights.ping(now)
	}
	if is == w.told && s.GetPing() == 0 && now.Sub(w.status) < lifeEvery {
		return
	}
	w.told, w.status = is, now
	status := n.frame(f)
	for _, da := range n.hearers(epoch) {
		n.send(da, status)
	}
}

// news is what a status tells.
type news struct {
	epoch, height, voted uint64
	mark                 string
}

func (w *watcher) tick(now time.Time) {
	n := w.node
	n.failed.Store(n.failedViews())
	w.fair.turn(now, false, n.failed.Load())
	n.quiet.Store(int64(w.block.past(n.progress.Load(), w.fair.now)))
	epoch, _, _ := n.position()
	ahead := w.passed(epoch)
	n.ahead.Store(int64(ahead))
	if due(&w.look, now, newsEvery) {
		w.tell(epoch, now)
		n.sights.settle(now)
	}
	if ahead > 0 && n.behind(epoch) {
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

// mostInFlight is for how many timeouts of a view change the library may wait for a block
// under way. It gives up by itself after one, or a few where views fail.
const mostInFlight = 5

var errWaits = errors.New("smartbft waits for a block under way without an end")

// seized ends an instance whose library looks at nothing until a block under way is decided,
// for which no one votes any more.
func (w *watcher) seized(i *instance, now time.Time) bool {
	number := i.inFlight.Waits()
	waited := i.seized.past(int64(number), now)
	if number == 0 || waited < w.node.stretch(mostInFlight*w.node.cfg.ViewChangeTimeout, now) {
		return false
	}
	i.fault(errWaits)
	return true
}

// tend looks after the running instance.
func (w *watcher) tend(i *instance, now time.Time) {
	n := w.node
	if w.seized(i, now) {
		return
	}
	for sender, m := range i.arrived() {
		i.work.run(func() { i.feed(sender, m) })
	}
	led := w.ledSince(i, now)
	quiet := w.sign.past(max(n.progress.Load(), i.viewFrom.Load()), w.fair.now)
	i.still.Store(int64(quiet))
	young := now.Sub(time.Unix(0, i.viewFrom.Load())) < n.cfg.StallTimeout && i.view.Load() > 0
	// What is sent again while a slow disk is at work makes it no faster.
	stall := max(n.cfg.StallTimeout, min(max(n.pace.block(now), i.voteStall()), n.cfg.ComplainTimeout))
	if time.Duration(n.quiet.Load()) > stall || young {
		every := stall
		if young {
			every = tick // a view has just begun: the library may have missed its first messages
		}
		if due(&w.stall, w.fair.now, every) {
			i.work.run(func() { i.again(!young, stall) })
		}
	}
	oldest, waiting := n.pool.Oldest()
	if !waiting {
		// The records of a block under way may be known to the leader alone, and
		// the library does not see its silence: messages of it that are processed
		// again count as signs of life. One that has just begun after a quiet time is
		// not late.
		number, began := w.begun(i)
		if number == 0 {
			return
		}
		oldest = now.Add(-min(quiet, began))
	}
	wait, patience, overtaken := now.Sub(oldest), w.patience(now), n.stretch(n.cfg.ForwardTimeout, now)
	if wait > patience/2 && quiet > patience/2 && due(&w.share, w.fair.now, patience) {
		// One DA alone cannot give a leader up: the others have to wait for
		// these records too.
		n.shareRecords(i, n.pool.Front(shareRecords, now))
	}
	if wait > patience && quiet > patience && due(&w.complain, w.fair.now, patience) {
		w.complaints++
		n.giveUp(i, "no block while records wait", min(wait, quiet))
	} else if r, yes := n.pool.Overtaken(overtaken, led, now); yes && due(&w.complain, w.fair.now, overtaken) {
		if _, _, err := n.cfg.App.CheckRecord(r.Sealed); err != nil {
			n.discard(i, r.ID, r.Sealed, err)
			return
		}
		n.giveUp(i, "it leaves out a record that others overtake", quiet)
	}
}

// passed is for how long others have been ahead of this node: after a quiet time that is not
// since its newest block.
func (w *watcher) passed(epoch Epoch) time.Duration {
	n := w.node
	number, height := n.vouched(epoch)
	var at int64 // 0: they are not
	if own := n.height.Load(); number > epoch.Number || height > own {
		at = int64(own) + 1
	}
	since := w.ahead.past(at, w.fair.now)
	if at == 0 {
		return 0
	}
	return since
}

// begun is the number of the block under way, 0 if there is none, and how long that has been so.
// It waits for a write of the log that is going on.
func (w *watcher) begun(i *instance) (number int64, since time.Duration) {
	if last := i.last.Load(); i.log.underWay(last) {
		number = int64(last) + 1
	}
	return number, w.underWay.past(number, w.fair.now)
}

// patience is how long the node bears no block. It follows from how long this node's
// own writes take. It doubles with each complaint, and falls back after a while
// without one; otherwise a machine too busy to make a block in time would give up one
// leader after the other. All in all it grows up to eight times.
func (w *watcher) patience(now time.Time) time.Duration {
	timeout := w.node.cfg.ComplainTimeout
	if w.fair.now.Sub(w.complain) > calmAfter*timeout {
		w.complaints = 0
	}
	return min(w.node.stretch(timeout, now)<<min(w.complaints, 3), mostStretch*timeout)
}

// calmAfter complain timeouts without a complaint, earlier ones are forgotten.
const calmAfter = 20

// aloneFor is for how many complain timeouts a leader bears that no block comes of what it
// leads: twice as long as the others bear it at most.
const aloneFor = 2 * mostStretch

// giveUp votes for the next leader. The view goes on until a quorum votes so: a
// node that suspects alone stays useful. A leader gives itself up late, but it does:
// two members may each lead a view that the others have left or not come to, and with
// those that follow neither of them too few are left to move on.
func (n *Node) giveUp(i *instance, why string, waited time.Duration) {
	view := i.view.Load()
	at := i.awaited(view)
	if at == view && i.leader(view) == i.self && waited < aloneFor*n.cfg.ComplainTimeout {
		return
	}
	n.count.complaints.Add(1)
	n.log.Warn("giving the leader up", "epoch", i.epoch.Number, "view", at, "leader", i.name(i.leader(at)), "why", why)
	complain(i.bft, at)
}

// awaited is the view that a complaint is about: the one that this node is in, or the one
// that it has sent view data for and that has not come for a while. The library has a
// timer for that. But the complaint that the timer makes is dropped while two others
// wait, and then the timer is spent: complaints about the view before count as old there.
func (i *instance) awaited(view uint64) uint64 {
	if changing := i.log.changing.Load(); changing > view && time.Duration(i.still.Load()) >= 2*i.node.cfg.ViewChangeTimeout {
		return changing
	}
	return view
}

// complain does not wait: the library may hold its lock for a while.
func complain(bft *smart.Consensus, view uint64) { go bft.Complain(view, false) }

// recheck drops old records that no block can hold any more. It sends records to
// all members that the leader should have decided long ago.
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
	if late := n.pool.Overdue(n.stretch(n.cfg.ForwardTimeout, now), shareRecords, now); len(late) > 0 {
		n.count.resubmitted.Add(uint64(len(late)))
		n.shareRecords(inst, late)
		inst.handOver(late)
	}
}
