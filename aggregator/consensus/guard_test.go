package consensus

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// openGuard lets everything pass, believes what a frame says of its sender and
// takes every frame for one of the running epoch. Each attack below is run
// behind it too, to show that it would do harm.
var openGuard = guard{
	frame: func(_ *Node, _ string, f *peerpb.Frame) (string, verdict, error) {
		return f.GetSender(), verdictNow, nil
	},
	message: func(*instance, uint64, *protos.Message) error { return nil },
}

// attack runs f once behind the guard and once without it.
func attack(t *testing.T, f func(t *testing.T, guarded bool)) {
	t.Run("guarded", func(t *testing.T) { f(t, true) })
	t.Run("open", func(t *testing.T) { f(t, false) })
}

func guardOf(guarded bool) func(*Node) {
	return func(n *Node) {
		if !guarded {
			n.guard = openGuard
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

// The next leader answers the view change with a new view of its own making:
// unsigned view data of members and of nobody, all from before the first
// block. The library takes such entries without looking at a signature, and
// with them forgets what was decided or prepared.
func TestGuardForgingNextLeader(t *testing.T) {
	attack(t, func(t *testing.T, guarded bool) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		c.mend = guardOf(guarded)
		c.start(c.names...)
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
		junk := &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{
			View: 0, Seq: 1, Proposal: &protos.Proposal{},
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
func newIdle(t *testing.T) (*cluster, *instance) {
	c := newCluster(t, 4, 1000, lan)
	c.start(c.names...)
	c.submit("da1", 100)
	c.allDecided(c.names...)
	c.until("it to run", func() bool { return c.node("da3").instance() != nil })
	i := c.node("da3").instance()
	return c, i
}

func TestGuardRules(t *testing.T) {
	c, i := newIdle(t)
	sign := func(name string, epoch uint64, vd *protos.ViewData) *protos.SignedViewData {
		raw, err := proto.Marshal(vd)
		if err != nil {
			t.Fatal(err)
		}
		payload := append([]byte{0, 0, 0, 0, 0, 0, 0, byte(epoch)}, raw...)
		sig, err := c.keys[name].Sign(nil, seal.Preimage(domainViewData, testChain, name, payload), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		return &protos.SignedViewData{RawViewData: raw, Signer: i.ids[name], Signature: sig}
	}
	p, votes, _, err := i.lastDecision()
	if err != nil {
		t.Fatal(err)
	}
	decision := &protos.Proposal{Header: p.Header, Payload: p.Payload, Metadata: p.Metadata}
	var signatures []*protos.Signature
	for _, v := range votes {
		signatures = append(signatures, &protos.Signature{Signer: v.ID, Value: v.Value, Msg: v.Msg})
	}
	good := &protos.ViewData{NextView: 1, LastDecision: decision, LastDecisionSignatures: signatures}
	bare := &protos.ViewData{NextView: 1, LastDecision: decision, LastDecisionSignatures: signatures[:2]}
	twice := &protos.ViewData{NextView: 1, LastDecision: decision, LastDecisionSignatures: []*protos.Signature{signatures[0], signatures[0], signatures[0]}}
	other := &protos.ViewData{NextView: 2, LastDecision: decision, LastDecisionSignatures: signatures}
	spoilt := proto.Clone(sign("da2", 1, good)).(*protos.SignedViewData)
	spoilt.Signature[3] ^= 1
	viewData := func(s *protos.SignedViewData) *protos.Message {
		return &protos.Message{Content: &protos.Message_ViewData{ViewData: s}}
	}
	newView := func(s ...*protos.SignedViewData) *protos.Message {
		return &protos.Message{Content: &protos.Message_NewView{NewView: &protos.NewView{SignedViewData: s}}}
	}
	three := []*protos.SignedViewData{sign("da2", 1, good), sign("da3", 1, good), sign("da4", 1, good)}
	commit := &protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{Seq: 2, Digest: otherDigest, Signature: &protos.Signature{Signer: 4}}}}
	for _, tc := range []struct {
		name   string
		sender uint64
		msg    *protos.Message
		rule   string // "" passes
	}{
		{"view data", 2, viewData(sign("da2", 1, good)), ""},
		{"view data of another", 2, viewData(sign("da4", 1, good)), "view_data_signer"},
		{"view data of another epoch", 2, viewData(sign("da2", 2, good)), "view_data_signature"},
		{"view data with a spoilt signature", 2, viewData(spoilt), "view_data_signature"},
		{"view data without a decision", 2, viewData(sign("da2", 1, &protos.ViewData{NextView: 1})), "view_data_decision"},
		{"view data with two votes", 2, viewData(sign("da2", 1, bare)), "view_data_decision"},
		{"view data with one vote thrice", 2, viewData(sign("da2", 1, twice)), "view_data_decision"},
		{"new view", 2, newView(three...), ""},
		{"new view of too few", 2, newView(three[:2]...), "new_view_quorum"},
		{"new view with one twice", 2, newView(three[0], three[1], three[1]), "new_view_entries"},
		{"new view for two views", 2, newView(three[0], three[1], sign("da4", 1, other)), "new_view_entries"},
		{"new view not by its leader", 4, newView(three...), "new_view_leader"},
		{"new view with a bad entry", 2, newView(three[0], three[1], three[2], spoilt), "view_data_signature"},
		{"empty new view", 2, newView(), "new_view_quorum"},
		{"prepare", 2, prepare(0, 2, otherDigest), ""},
		{"prepare of an outsider", 9, prepare(0, 2, otherDigest), "non_member"},
		{"prepare from oneself", 3, prepare(0, 2, otherDigest), "own_sender"},
		{"prepare with a short digest", 2, prepare(0, 2, "ff"), "bad_vote"},
		{"prepare far ahead", 2, prepare(1<<40, 2, otherDigest), "vote_ahead"},
		{"commit", 4, commit, ""},
		{"commit with another's signature", 2, commit, "forged_vote"},
		{"pre-prepare outside the tree", 1, &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{}}}, "unsigned_block"},
		{"nothing", 2, &protos.Message{}, "unknown_message"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := admitMessage(i, tc.sender, tc.msg)
			got := ""
			if r, ok := err.(*refusal); ok {
				got = r.rule
			} else if err != nil {
				t.Fatalf("not a refusal: %v", err)
			}
			if got != tc.rule {
				t.Errorf("rule %q (%v), want %q", got, err, tc.rule)
			}
		})
	}
}

// A block down the tree must be its leader's, of this epoch and unchanged.
func TestGuardRelay(t *testing.T) {
	c, i := newIdle(t)
	pp := &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{Seq: 2, Proposal: &protos.Proposal{Payload: []byte("x")}}}}
	raw, err := proto.Marshal(pp)
	if err != nil {
		t.Fatal(err)
	}
	relay := func(by string, d seal.Domain, epoch, view, seq uint64, message []byte) *peerpb.Relay {
		hash := sha256.Sum256(raw)
		header, err := proto.Marshal(&peerpb.RelayHeader{Epoch: epoch, View: view, Seq: seq, MessageSha256: hash[:]})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := seal.Seal(c.keys[by], by, d, testChain, header)
		if err != nil {
			t.Fatal(err)
		}
		return &peerpb.Relay{Seal: sealed, Message: message}
	}
	for _, tc := range []struct {
		name  string
		relay *peerpb.Relay
		rule  string
	}{
		{"not by the leader", relay("da2", seal.DomainRelay, 1, 0, 2, raw), "block_origin"},
		{"in another domain", relay("da1", seal.DomainVote, 1, 0, 2, raw), "block_signature"},
		{"of another epoch", relay("da1", seal.DomainRelay, 2, 0, 2, raw), "block_epoch"},
		{"changed on the way", relay("da1", seal.DomainRelay, 1, 0, 2, append(bytes.Clone(raw), 0x20)), "block_hash"},
		{"of another place inside", relay("da1", seal.DomainRelay, 1, 0, 3, raw), "block_malformed"},
		{"unsigned", &peerpb.Relay{Message: raw}, "block_signature"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := i.takeRelay("da2", tc.relay, "")
			r, ok := err.(*refusal)
			if !ok || r.rule != tc.rule {
				t.Errorf("got %v, want rule %q", err, tc.rule)
			}
		})
	}
	t.Run("equivocating leader", func(t *testing.T) {
		second := proto.Clone(pp).(*protos.Message)
		second.GetPrePrepare().Proposal.Payload = []byte("y")
		if err := i.takeRelay("da2", relay("da1", seal.DomainRelay, 1, 0, 2, raw), ""); err != nil {
			t.Fatal(err)
		}
		if raw, err = proto.Marshal(second); err != nil {
			t.Fatal(err)
		}
		err := i.takeRelay("da2", relay("da1", seal.DomainRelay, 1, 0, 2, raw), "")
		if r, ok := err.(*refusal); !ok || r.rule != "equivocation" || i.node.Stats().Equivocated != 1 {
			t.Errorf("second block: %v", err)
		}
	})
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
	c := newCluster(f, 4, 1000, peer.MemoryConfig{})
	c.start("da1")
	c.until("da1 to run", func() bool { return c.node("da1").Stats().Voting })
	f.Fuzz(func(t *testing.T, raw []byte) {
		c.node("da1").Receive("da2", raw)
		if c.apps["da1"].Height() > 0 {
			t.Fatal("a block out of nothing")
		}
	})
}
