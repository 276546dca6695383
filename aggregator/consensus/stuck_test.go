package consensus

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/peerpb"

	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// da4 alone has voted for the block of view 0. da2 leads view 1, of which no one
// else has heard, and has taken another block there; da1 is dead. What da4 has to
// tell speaks against the block of da2, and no view change of the three can end:
// until da4 gets the new view of da2, which overrules its vote.
func TestVoteOfAnOldView(t *testing.T) {
	for name, restart := range map[string]string{"running": "", "the one that voted restarted": "da4", "the one ahead restarted": "da2"} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testVoteOfAnOldView(t, restart) }) })
	}
}

func testVoteOfAnOldView(t *testing.T, restart string) {
	c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
	c.wait = time.Minute
	var healed, voted atomic.Bool
	c.sieved(func(from, to string, f *peerpb.Frame, m *protos.Message) bool {
		last := from == "da4" || to == "da4"
		switch {
		case healed.Load():
			return true
		case m.GetCommit() != nil:
			voted.Store(voted.Load() || from == "da4")
			return false
		case m.GetPrepare() != nil:
			return last
		case m.GetNewView() != nil || m.GetHeartBeat() != nil && from == "da2":
			return false
		}
		return !last || f.GetMessage() == nil
	})
	c.cut.Store(true) // no one tells of its state either
	c.startAll()
	c.submit("da1", 100)
	c.until("da4 to vote", voted.Load)
	c.until("da2 to lead", func() bool { return c.node("da2").Stats().View == 1 })
	c.stop("da1")
	c.submit("da2", 100)
	c.until("a block of view 1", func() bool {
		i := c.node("da2").instance() // nil between two of them
		return i != nil && i.log.underWay(0)
	})
	if restart != "" {
		c.stop(restart)
		c.start(restart)
	}
	healed.Store(true)
	c.cut.Store(false)
	c.until("a block", func() bool { return c.apps["da4"].Height() > 0 })
	c.submit("da4", 100)
	c.sent = c.sent[2:] // those before may have waited in memory only
	c.until("a record of da4", func() bool { return c.apps["da2"].has(c.sent[0]) && c.apps["da3"].has(c.sent[0]) })
	c.sameChain("da2", "da3", "da4")
}

// A leader that has missed that the others went on to the next view wishes for no view
// itself, and neither does the leader of that one: the third of four wishes alone, and
// nothing comes any more. One run in six of this seed ended so.
func TestALeaderLeftBehind(t *testing.T) {
	for range 15 {
		synctest.Test(t, func(t *testing.T) { newSimulation(t, 201147).run() })
	}
}

// The same where the others have taken over, by a new view, a block for which two of
// them had voted: the third vote is that of da4, which has to forget another block.
func TestVoteAgainstABlockBroughtAlong(t *testing.T) {
	for name, restart := range map[string]string{"running": "", "the one that voted restarted": "da4", "one ahead restarted": "da3"} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testBroughtAlong(t, restart) }) })
	}
}

func testBroughtAlong(t *testing.T, restart string) {
	c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
	c.wait = time.Minute
	var healed, voted, proposed atomic.Bool
	c.sieved(func(from, to string, f *peerpb.Frame, m *protos.Message) bool {
		last := from == "da4" || to == "da4"
		switch {
		case healed.Load() || asked(f):
			return true
		case m.GetCommit() != nil:
			voted.Store(voted.Load() || from == "da4")
			return false
		case m.GetPrepare() != nil && m.GetPrepare().GetView() == 0:
			return last
		case m.GetHeartBeat() != nil && from != "da1":
			return false
		}
		if f.GetRelay() != nil && from == "da2" && !last {
			proposed.Store(true)
		}
		return !last || f.GetRelay() != nil && from == "da1"
	})
	c.cut.Store(true)
	c.startAll()
	c.submit("da1", 100)
	c.until("da4 to vote", voted.Load)
	c.until("a block of view 1", proposed.Load)
	brought := func(name string) func() bool {
		return func() bool {
			i := c.node(name).instance()
			if i == nil {
				return false
			}
			i.log.mu.Lock()
			defer i.log.mu.Unlock()
			return i.log.book.Promised() == 2 && i.log.book.Seq() == 1 && len(i.log.book.Proof()) > 0 && i.log.book.Entered() < 2
		}
	}
	c.until("da2 to take the block over", brought("da2"))
	c.until("da3 to take the block over", brought("da3"))
	c.stop("da1")
	if restart != "" {
		c.stop(restart)
		c.start(restart)
	}
	healed.Store(true)
	c.cut.Store(false)
	c.until("a block", func() bool { return c.apps["da4"].Height() > 0 && c.apps["da2"].Height() > 0 })
	if view := c.apps["da4"].header(t, 1).View; view != 1 {
		t.Errorf("the block of view %d was decided, that of view 1 was brought along", view)
	}
	c.submit("da4", 100)
	last := c.sent[len(c.sent)-1]
	c.until("a record of da4", func() bool { return c.apps["da2"].has(last) && c.apps["da3"].has(last) })
	c.sameChain("da2", "da3", "da4")
}

// A change of the view brings a block along for which no quorum votes in time. The others give
// that view up; the library of da4 has no timer left for it (in seed 606275 of the simulation it
// had run out just before) and looks at nothing else. With a fourth member gone no one gets
// anywhere without da4, until its instance ends.
func TestABlockUnderWayIsNotWaitedForForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		c.wait = time.Minute
		var healed, spent atomic.Bool
		c.mend = func(n *Node) {
			hasten := n.adjust
			n.adjust = func(bft *smart.Consensus) {
				hasten(bft)
				if n.cfg.Self == "da4" && spent.CompareAndSwap(false, true) {
					bft.Config.ViewChangeTimeout = time.Hour
				}
			}
		}
		waits := func(name string) bool { i := c.node(name).instance(); return i != nil && i.inFlight.Waits() > 0 }
		c.sieved(func(_, to string, _ *peerpb.Frame, m *protos.Message) bool {
			return m.GetCommit() == nil || healed.Load() && !(to == "da4" && waits("da4"))
		})
		c.startAll()
		c.submit("da1", 100)
		c.until("all to wait for the block", func() bool { return waits("da1") && waits("da2") && waits("da4") })
		c.stop("da3")
		c.until("the others to give that view up", func() bool { return !waits("da1") && !waits("da2") })
		if !waits("da4") {
			t.Fatal("da4 waits no more")
		}
		healed.Store(true)
		c.allDecided("da1", "da2", "da4")
		if n := c.node("da4").Stats().Restarts; n != 1 {
			t.Errorf("da4 began again %d times", n)
		}
		c.submit("da4", 100)
		c.allDecided("da1", "da2", "da4")
	})
}

// logLines collects what a node logs.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// A leader that the library lets lead a view which this node has given up says so
// once, however often it is asked, and counts.
func TestLeaderBelowItsPromiseSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &logLines{}
		_, i := newIdle(t, func(cfg *Config) {
			if cfg.Self == "da3" {
				cfg.Logger = slog.New(slog.NewTextHandler(lines, nil))
			}
		})
		metadata, err := proto.Marshal(&protos.ViewMetadata{ViewId: 2, LatestSequence: 2})
		if err != nil {
			t.Fatal(err)
		}
		i.log.promised.Store(3)
		for range 20 {
			if p := i.AssembleProposal(metadata, [][]byte{[]byte("record")}); len(p.Payload) > 0 {
				t.Fatal("it proposed")
			}
		}
		i.log.promised.Store(2)
		if p := i.AssembleProposal(metadata, [][]byte{[]byte("record")}); len(p.Payload) == 0 {
			t.Error("it proposes no more")
		}
		if n := lines.count("proposes nothing for now"); n != 1 || lines.count("refused=20") != 1 || i.node.Stats().Withheld != 20 {
			t.Errorf("said %d times, counted %d", n, i.node.Stats().Withheld)
		}
	})
}

// A member that wishes for one view and another in turn, as a liar with two machines
// does, gets a few answers in a while, not one to each wish: its own answers would
// be wishes again, without an end.
func TestWishesAreAnsweredWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers atomic.Int32
		c, _ := newIdle(t)
		c.sieved(func(_, to string, _ *peerpb.Frame, m *protos.Message) bool {
			if to == "da4" && m.GetViewChange() != nil {
				answers.Add(1)
			}
			return true
		})
		c.stop("da3")
		c.start("da3")
		c.untilVoting("da3")
		i := c.node("da3").instance()
		i.log.promised.Store(9)
		for k := range 1000 {
			i.wished(4, &protos.ViewChange{NextView: 1 + uint64(k%2)})
		}
		if n := answers.Load(); n < 1 || n > 10 {
			t.Errorf("%d answers", n)
		}
	})
}

// Of its own the library answers a wish for a view that it has passed with a wish for
// that view, to all. Members that did not hear of each other's newest wish would answer
// one another without an end.
func TestPassedWishesAreNotSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var again, newest atomic.Int32
		var alone atomic.Bool
		c, _ := newIdle(t)
		var i *instance
		wish := func(sender, view uint64) {
			i.bft.HandleMessage(sender, &protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: view}}})
			synctest.Wait()
		}
		c.sieved(func(from, to string, _ *peerpb.Frame, m *protos.Message) bool {
			if vc := m.GetViewChange(); from == "da3" && vc != nil {
				if vc.GetNextView() == 3 {
					newest.Add(1)
				} else if newest.Load() > 0 {
					again.Add(1)
				}
			}
			return !alone.Load() || from != "da3" && to != "da3"
		})
		c.stop("da3")
		c.start("da3")
		c.untilVoting("da3")
		i = c.node("da3").instance()
		alone.Store(true)
		for view := uint64(1); view <= 2; view++ {
			wish(1, view)
			wish(2, view)
		}
		complain(i.bft, 2)
		synctest.Wait()
		for range 100 {
			wish(1, 2)
		}
		if newest.Load() == 0 || again.Load() > 0 {
			t.Errorf("wished %d times for view 3, and %d times for an earlier one after that", newest.Load(), again.Load())
		}
	})
}

// A node that has waited long for a new view gives that one up, not the view before:
// the library takes a complaint about an older view than it is at for an old one.
func TestAwaitedViewIsGivenUp(t *testing.T) {
	i := &instance{node: &Node{cfg: Config{ViewChangeTimeout: time.Second}}, log: &keeper{}}
	for _, c := range []struct {
		view, changing uint64
		still          time.Duration
		want           uint64
	}{
		{view: 1, changing: 0, still: time.Hour, want: 1},
		{view: 1, changing: 1, still: time.Hour, want: 1},
		{view: 1, changing: 3, still: 2*time.Second - 1, want: 1},
		{view: 1, changing: 3, still: 2 * time.Second, want: 3},
	} {
		i.log.changing.Store(c.changing)
		i.still.Store(int64(c.still))
		if got := i.awaited(c.view); got != c.want {
			t.Errorf("in view %d, view data sent for %d, still for %v: gives up %d, want %d", c.view, c.changing, c.still, got, c.want)
		}
	}
}

// Some members at a time send the new view to one that has missed it, and all have their
// turn within some seconds.
func TestProofsTakeTurns(t *testing.T) {
	for _, n := range []int{4, 7, 50, 200} {
		i := &instance{epoch: Epoch{Order: make([]string, n)}}
		for sender := uint64(1); sender <= uint64(n); sender += 3 {
			all, begin := make(map[uint64]bool), time.Unix(1_700_000_000, 0)
			for s := range (n + proveMost - 1) / proveMost {
				at := 0
				for i.self = 1; i.self <= uint64(n); i.self++ {
					if i.turn(sender, begin.Add(time.Duration(s)*proveEvery)) {
						at++
						all[i.self] = true
					}
				}
				if at != min(n, proveMost) {
					t.Fatalf("%d members: %d send to %d in second %d, want %d", n, at, sender, s, min(n, proveMost))
				}
			}
			if len(all) != n {
				t.Errorf("%d members: the turn of %d came for sending to %d", n, len(all), sender)
			}
		}
	}
}

// A new view that gained nothing is looked at again after a while: it may gain later.
func TestProofsAreNotLookedAtTwice(t *testing.T) {
	var p proofs
	one, other, now := [32]byte{1}, [32]byte{2}, time.Unix(1_700_000_000, 0)
	if p.known(one, now) {
		t.Fatal("known before it was noted")
	}
	p.note(one)
	if !p.known(one, now.Add(proveEvery-1)) || p.known(other, now) {
		t.Error("the one is not known, or the other is")
	}
	if p.known(one, now.Add(proveEvery)) {
		t.Error("known for longer than the others wait")
	}
}
