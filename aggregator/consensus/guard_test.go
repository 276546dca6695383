package consensus

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/peer"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// open are rules that let everything pass, believe what a frame says of its
// sender and take every frame for one of the running epoch. Each attack below is
// run behind them too, to show that it would do harm.
var open = rules{
	frame: func(_ guard.Guard, _ string, raw []byte) (*peerpb.Frame, guard.Ruling) {
		f := &peerpb.Frame{}
		if err := proto.Unmarshal(raw, f); err != nil {
			return nil, guard.Ruling{}
		}
		return f, guard.Ruling{Action: guard.Take}
	},
	message: func(guard.Guard, uint64, *protos.Message) guard.Ruling { return guard.Ruling{Action: guard.Take} },
}

// attack runs f once behind the guard and once without it.
func attack(t *testing.T, f func(t *testing.T, guarded bool)) {
	for name, guarded := range map[string]bool{"guarded": true, "open": false} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, guarded) }) })
	}
}

func guardOf(guarded bool) func(*Node) {
	return func(n *Node) {
		if !guarded {
			n.rules = open
		}
	}
}

// rogue is a member that the test plays by hand.
type rogue struct {
	c     *cluster
	name  string
	link  *peer.MemoryLink
	epoch uint64
}

func newRogue(c *cluster, name string) *rogue {
	return &rogue{c: c, name: name, link: c.net.Join(name), epoch: 1}
}

func (r *rogue) send(to string, f *peerpb.Frame) {
	raw, err := proto.Marshal(f)
	if err != nil {
		r.c.t.Fatal(err)
	}
	r.link.Send(to, raw)
}

func (r *rogue) message(to, as string, epoch uint64, m *protos.Message) {
	raw, err := proto.Marshal(m)
	if err != nil {
		r.c.t.Fatal(err)
	}
	r.send(to, &peerpb.Frame{Epoch: epoch, Sender: as, Body: &peerpb.Frame_Message{Message: raw}})
}

// listen runs the rogue's link and returns how many members have sent it their
// view data.
func (r *rogue) listen(t *testing.T) (asked func() int) {
	var mu sync.Mutex
	from := make(map[string]bool)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	take := func(sender string, raw []byte) {
		f, m := &peerpb.Frame{}, &protos.Message{}
		if proto.Unmarshal(raw, f) == nil && proto.Unmarshal(f.GetMessage(), m) == nil && m.GetViewData() != nil {
			mu.Lock()
			defer mu.Unlock()
			from[sender] = true
		}
	}
	go func() { done <- r.link.Run(ctx, peer.Handlers{Frame: take}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(from)
	}
}

func prepare(view, seq uint64, digest string) *protos.Message {
	return &protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{View: view, Seq: seq, Digest: digest}}}
}

const otherDigest = "00000000000000000000000000000000000000000000000000000000000000ff"

// The next leader answers the view change with a forged new view: unsigned view
// data of members and of no member, all from before the first block. The library
// takes such entries without looking at a signature, and then forgets what was
// decided or prepared.
func TestGuardForgingNextLeader(t *testing.T) {
	attack(t, func(t *testing.T, guarded bool) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		c.mend = guardOf(guarded)
		c.startAll()
		for range 10 {
			c.submit("da1", 100)
		}
		c.allDecided(c.names...)
		// da1 dies; from here da2, the next leader, is ours.
		c.stop("da2")
		evil := newRogue(c, "da2")
		asked := evil.listen(t)
		c.stop("da1")
		vd := &protos.ViewData{NextView: 1, LastDecision: &protos.Proposal{}}
		raw, err := proto.Marshal(vd)
		if err != nil {
			t.Fatal(err)
		}
		nv := &protos.NewView{}
		for _, signer := range []uint64{1, 2, 77} {
			nv.SignedViewData = append(nv.SignedViewData, &protos.SignedViewData{RawViewData: raw, Signer: signer, Signature: []byte("none")})
		}
		victims := []string{"da3", "da4"}
		change := &protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: 1}}}
		forged := &protos.Message{Content: &protos.Message_NewView{NewView: nv}}
		inView := func() (n int) {
			for _, v := range victims {
				if c.node(v).Stats().View == 1 {
					n++
				}
			}
			return n
		}
		// A forged new view is of use from the moment the victims have given
		// their view data and wait for one.
		c.until("the victims to wait for a new view", func() bool {
			for _, v := range victims {
				evil.message(v, "da2", 1, change)
			}
			return asked() == len(victims)
		})
		before := c.node("da4").Stats().RefusedBy["view_data_signature"]
		c.until("the forged views to be seen", func() bool {
			for _, v := range victims {
				evil.message(v, "da2", 1, forged)
			}
			if !guarded {
				return inView() == 2
			}
			return c.node("da4").Stats().RefusedBy["view_data_signature"] > before+5
		})
		if guarded && inView() > 0 {
			t.Error("a forged new view was accepted")
		}
	})
}

// A prepare in another member's name with another digest: the library counts
// one prepare a sender, so the forged one takes the real one's place.
func TestGuardForgedPrepare(t *testing.T) {
	attack(t, func(t *testing.T, guarded bool) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		c.tweak = func(cfg *Config) { // what the attack costs is not to be mended here
			cfg.ComplainTimeout, cfg.HeartbeatTimeout = time.Minute, time.Minute
		}
		c.mend = guardOf(guarded)
		c.start("da1", "da2", "da3")
		evil := newRogue(c, "da4")
		c.until("all to vote", func() bool {
			for _, n := range c.names[:3] {
				if !c.node(n).Stats().Voting {
					return false
				}
			}
			return true
		})
		// da1, da2 and da3 are exactly a quorum: each needs every other's vote.
		for _, to := range []string{"da1", "da2", "da3"} {
			for _, as := range []string{"da1", "da2", "da3"} {
				if to != as {
					evil.message(to, as, 1, prepare(0, 1, otherDigest))
				}
			}
		}
		hit := func() bool {
			for _, n := range c.names[:3] {
				if guarded && c.node(n).Stats().RefusedBy["forged_sender"] < 2 {
					return false
				}
				if inst := c.node(n).instance(); !guarded && (inst == nil || keptCount(inst) < 2) {
					return false
				}
			}
			return true
		}
		c.until("the forged prepares to arrive", hit)
		c.submit("da1", 100)
		if guarded {
			c.allDecided("da1", "da2", "da3")
			return
		}
		begin := time.Now()
		c.until("a second without the block", func() bool { return time.Since(begin) > time.Second || c.apps["da1"].Height() > 0 })
		if c.apps["da1"].Height() > 0 {
			t.Error("decided in spite of forged prepares: the test shows nothing")
		}
	})
}

func keptCount(i *instance) int {
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	return len(i.kept)
}

// A pre-prepare in the leader's own name, sent to the leader: the library takes
// it for its own proposal.
func TestGuardMessageFromOneself(t *testing.T) {
	attack(t, func(t *testing.T, guarded bool) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		c.mend = guardOf(guarded)
		c.start("da1", "da2", "da3")
		evil := newRogue(c, "da4")
		c.until("da1 to vote", func() bool { return c.node("da1").Stats().Voting })
		metadata, err := proto.Marshal(&protos.ViewMetadata{LatestSequence: 1})
		if err != nil {
			t.Fatal(err)
		}
		junk := &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{
			View: 0, Seq: 1, Proposal: &protos.Proposal{Metadata: metadata},
		}}}
		evil.message("da1", "da1", 1, junk)
		if !guarded {
			// The leader finds "its own" block bad, gives itself up and stops
			// its view: it did process the message.
			c.until("the leader to refuse its own block", func() bool {
				inst := c.node("da1").instance()
				return inst == nil || c.node("da1").Stats().Restarts > 0 || c.apps["da1"].refusals() > 0
			})
			return
		}
		c.until("the refusal", func() bool { return c.node("da1").Stats().RefusedBy["forged_sender"] == 1 })
		c.submit("da2", 100)
		c.allDecided("da1", "da2", "da3")
		if n := c.apps["da1"].refusals(); n != 0 {
			t.Errorf("%d blocks verified and refused at the leader, want none", n)
		}
		// By a link that itself claims to be this node, likewise.
		raw, err := proto.Marshal(&peerpb.Frame{Epoch: 1, Sender: "da1", Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}})
		if err != nil {
			t.Fatal(err)
		}
		c.node("da1").Receive("da1", raw)
		if c.node("da1").Stats().RefusedBy["own_sender"] != 1 {
			t.Error("a frame in this node's own name passed")
		}
	})
}

func (a *fakeApp) refusals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// Votes of another epoch, from their true sender, must not count in this one:
// the library's messages do not say what epoch they are of.
func TestGuardForeignEpoch(t *testing.T) {
	attack(t, func(t *testing.T, guarded bool) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		c.tweak = func(cfg *Config) { cfg.ComplainTimeout, cfg.HeartbeatTimeout = time.Minute, time.Minute }
		c.mend = guardOf(guarded)
		c.start("da1", "da2", "da3", "da4")
		c.until("da1 to vote", func() bool { return c.node("da1").Stats().Voting })
		// What da2..da4 said in an earlier epoch is replayed to da1 by their links.
		for _, from := range []string{"da2", "da3", "da4"} {
			raw, err := proto.Marshal(prepare(0, 1, otherDigest))
			if err != nil {
				t.Fatal(err)
			}
			frame, err := proto.Marshal(&peerpb.Frame{Epoch: 7, Sender: from, Body: &peerpb.Frame_Message{Message: raw}})
			if err != nil {
				t.Fatal(err)
			}
			c.node("da1").Receive(from, frame)
		}
		if !guarded {
			c.until("the votes to count in this epoch", func() bool {
				inst := c.node("da1").instance()
				return inst != nil && keptCount(inst) == 3
			})
			return
		}
		if s := c.node("da1").Stats(); s.Outdated != 3 {
			t.Errorf("%d frames dropped, want 3", s.Outdated)
		}
		c.submit("da2", 100)
		c.until("the block", func() bool { return c.apps["da1"].Height() == 1 })
	})
}

// newIdle returns a started instance to ask the guard's rules of.
func newIdle(t *testing.T, tweak ...func(*Config)) (*cluster, *instance) {
	c := newCluster(t, 4, 1000, lan)
	for _, f := range tweak {
		c.tweak = f
	}
	c.startAll()
	c.submit("da1", 100)
	c.allDecided(c.names...)
	c.until("it to run", func() bool { return c.node("da3").instance() != nil })
	i := c.node("da3").instance()
	return c, i
}

// relayOf is a block of da1 for sequence 2 of epoch 1, on its way.
func relayOf(c *cluster, payload string) *peerpb.Relay {
	c.t.Helper()
	raw, err := proto.Marshal(&protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{
		Seq: 2, Proposal: &protos.Proposal{Payload: []byte(payload)},
	}}})
	if err != nil {
		c.t.Fatal(err)
	}
	hash := sha256.Sum256(raw)
	header, err := proto.Marshal(&peerpb.RelayHeader{Epoch: 1, Seq: 2, MessageSha256: hash[:]})
	if err != nil {
		c.t.Fatal(err)
	}
	sealed, err := seal.Seal(c.keys["da1"], "da1", seal.DomainRelay, testChain, header)
	if err != nil {
		c.t.Fatal(err)
	}
	return &peerpb.Relay{Seal: sealed, Message: raw}
}

// A voter names the block it voted for by its digest. Another one in answer to a
// pull is refused and not kept, though its leader signed it: it is not the block
// the others agree on.
func TestPulledBlockOfAnotherDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := &answering{}
		c, i := newIdle(t, func(cfg *Config) {
			if cfg.Self == "da3" {
				link.Link = cfg.Link
				cfg.Link = link
			}
		})
		at := guard.Place{Epoch: 1, Seq: 2}
		m := &protos.Message{}
		if err := proto.Unmarshal(relayOf(c, "x").GetMessage(), m); err != nil {
			t.Fatal(err)
		}
		asked := guard.Digest(m.GetPrePrepare())
		link.relay.Store(relayOf(c, "y"))
		var r *guard.Refusal
		if err := i.pullFrom(at, voter{"da2", asked}); !errors.As(err, &r) || r.Rule != "block_digest" {
			t.Errorf("another block: %v", err)
		}
		if i.node.blocks.get(at) != nil || i.node.Stats().Pulled != 0 {
			t.Error("another block was kept")
		}
		link.relay.Store(relayOf(c, "x"))
		if err := i.pullFrom(at, voter{"da2", asked}); err != nil {
			t.Errorf("the block asked for: %v", err)
		}
		if b := i.node.blocks.get(at); b == nil || b.digest != asked || i.node.Stats().Pulled != 1 {
			t.Errorf("the block asked for was not kept")
		}
	})
}

// answering is a link that answers pulls as the test wants.
type answering struct {
	Link
	relay atomic.Pointer[peerpb.Relay]
}

func (a *answering) Pull(ctx context.Context, from string, ref *peerpb.PullRequest) (*peerpb.Relay, error) {
	if r := a.relay.Load(); r != nil {
		return r, nil
	}
	return a.Link.Pull(ctx, from, ref)
}

// A leader that signs two blocks for one place is found out by the second, and
// the first stays.
func TestEquivocatingLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, i := newIdle(t)
		if err := i.takeRelay("", relayOf(c, "x"), ""); err != nil {
			t.Fatal(err)
		}
		first := i.node.blocks.get(guard.Place{Epoch: 1, Seq: 2})
		err := i.takeRelay("", relayOf(c, "y"), "")
		var r *guard.Refusal
		if !errors.As(err, &r) || r.Rule != "equivocation" || i.node.Stats().Equivocated != 1 {
			t.Errorf("second block: %v", err)
		}
		if i.node.blocks.get(guard.Place{Epoch: 1, Seq: 2}) != first {
			t.Error("the second block took the place of the first")
		}
	})
}

// The store of blocks on their way is bounded. Two leaders that sign blocks for many later places
// push no block out that is for the next one; what was decided goes first, the oldest before.
func TestLiarsPushNoBlockOut(t *testing.T) {
	var s blockStore
	add := func(view, seq, last uint64) {
		s.add(guard.Place{Epoch: 2, View: view, Seq: seq}, &relayed{}, guard.Place{Epoch: 2, Seq: last})
	}
	s.add(guard.Place{Epoch: 1, Seq: 90}, &relayed{}, guard.Place{Epoch: 1, Seq: 89})
	for seq := uint64(1); seq <= 10; seq++ {
		add(0, seq, seq-1)
	}
	at := func(epoch, view, seq uint64) bool {
		return s.get(guard.Place{Epoch: epoch, View: view, Seq: seq}) != nil
	}
	for seq := uint64(11); seq < 11+21; seq++ { // one leader, as far as the guard lets it
		add(0, seq, 9)
	}
	if len(s.order) != keptBlocks || len(s.blocks) != keptBlocks || !at(1, 0, 90) {
		t.Fatalf("%d places, %d blocks", len(s.order), len(s.blocks))
	}
	for view := uint64(1); view < 3; view++ { // and another
		for seq := uint64(10); seq < 10+16; seq++ {
			add(view, seq, 9)
		}
	}
	if len(s.order) != keptBlocks || len(s.blocks) != keptBlocks {
		t.Errorf("%d places, %d blocks", len(s.order), len(s.blocks))
	}
	for view := range uint64(3) {
		if !at(2, view, 10) || at(1, 0, 90) || at(2, view, 9) {
			t.Errorf("view %d: the next block is there: %v, the last of the epoch before: %v, the one decided: %v", view, at(2, view, 10), at(1, 0, 90), at(2, view, 9))
		}
	}
	for seq := uint64(100); seq < 100+keptBlocks; seq++ { // all goes well again
		add(3, seq, seq-1)
	}
	if !at(2, 3, 100) || !at(2, 3, 100+keptBlocks-1) || at(2, 0, 10) {
		t.Errorf("%+v", s.order)
	}
}

// Whatever arrives, a node neither dies nor decides by it.
func FuzzReceive(f *testing.F) {
	frame := func(m *peerpb.Frame) []byte {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	message, err := proto.Marshal(prepare(0, 1, otherDigest))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame(&peerpb.Frame{Epoch: 1, Sender: "da2", Body: &peerpb.Frame_Message{Message: message}}))
	f.Add(frame(&peerpb.Frame{Epoch: 1, Sender: "da2", Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{Seal: []byte{1}, Message: message}}}))
	f.Add(frame(&peerpb.Frame{Epoch: 2, Sender: "da2", Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: [][]byte{{1}}}}}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 4, 1000, peer.MemoryConfig{})
			c.start("da1")
			c.answer("da1", "da2", "da3")
			c.until("da1 to run", func() bool { return c.node("da1").Stats().Voting })
			c.node("da1").Receive("da2", raw)
			time.Sleep(time.Second)
			if c.apps["da1"].Height() > 0 {
				t.Fatal("a block out of nothing")
			}
		})
	})
}
