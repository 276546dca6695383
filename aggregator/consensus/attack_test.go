package consensus

import (
	"context"
	"crypto"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/peer"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// The attacks of this file, and the faults that do the same without anyone's
// intent, once made the library go back on its word: see package book.

// sieve is a link that sends what the test lets through.
type sieve struct {
	Link
	pass func(to string, f *peerpb.Frame, m *protos.Message) bool
}

func (s *sieve) Send(to string, frame []byte) {
	f, m := &peerpb.Frame{}, &protos.Message{}
	if proto.Unmarshal(frame, f) == nil && proto.Unmarshal(f.GetMessage(), m) == nil && !s.pass(to, f, m) {
		return
	}
	s.Link.Send(to, frame)
}

// sieved lets pass decide on every frame that a node of the test's sends.
func (c *cluster) sieved(pass func(from, to string, f *peerpb.Frame, m *protos.Message) bool) {
	c.tweak = func(cfg *Config) {
		from := cfg.Self
		cfg.Link = &sieve{cfg.Link, func(to string, f *peerpb.Frame, m *protos.Message) bool { return pass(from, to, f, m) }}
	}
}

// asked tells whether a frame asks what is known of its sender's votes, or answers that: a member
// does not begin without.
func asked(f *peerpb.Frame) bool { return f.GetStatus().GetAsk() > 0 || f.GetStatus().GetTold() > 0 }

// answer has a member that starts hear of others that they know of no vote of it.
func (c *cluster) answer(da string, by ...string) { c.answerTo(da, c.node(da).question, by...) }

func (c *cluster) answerTo(da string, question uint64, by ...string) {
	for _, from := range by {
		raw, err := proto.Marshal(&peerpb.Frame{Epoch: 1, Sender: from, Body: &peerpb.Frame_Status{Status: &peerpb.Status{Told: question}}})
		if err != nil {
			c.t.Fatal(err)
		}
		c.node(da).Receive(from, raw)
	}
}

// liar is a member that the test plays by hand, and hears everything.
type liar struct {
	*rogue
	mu    sync.Mutex
	data  map[string]*protos.SignedViewData // of the others, by DA
	block *peerpb.Relay                     // the first that came
}

func newLiar(t *testing.T, c *cluster, name string) *liar {
	l := &liar{rogue: newRogue(c, name), data: make(map[string]*protos.SignedViewData)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.link.Run(ctx, peer.Handlers{Frame: l.hear}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *liar) hear(from string, raw []byte) {
	f, m := &peerpb.Frame{}, &protos.Message{}
	if proto.Unmarshal(raw, f) != nil || proto.Unmarshal(f.GetMessage(), m) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if vd := m.GetViewData(); vd != nil {
		l.data[from] = vd
	}
	if r := f.GetRelay(); r != nil && l.block == nil {
		l.block = r
	}
}

// heard is the view data that the others have given.
func (l *liar) heard() map[string]*protos.SignedViewData {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]*protos.SignedViewData)
	for da, vd := range l.data {
		out[da] = vd
	}
	return out
}

func (l *liar) relay() *peerpb.Relay {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.block
}

func (l *liar) sign(d seal.Domain, payload []byte) []byte {
	signature, err := l.c.keys[l.name].Sign(nil, seal.Preimage(d, testChain, l.name, payload), crypto.Hash(0))
	if err != nil {
		l.c.t.Fatal(err)
	}
	return signature
}

// viewData is the liar's own, for a view.
func (l *liar) viewData(id uint64, vd *protos.ViewData) *protos.SignedViewData {
	raw, err := proto.Marshal(vd)
	if err != nil {
		l.c.t.Fatal(err)
	}
	return &protos.SignedViewData{RawViewData: raw, Signer: id, Signature: l.sign(guard.DomainViewData, guard.ViewDataPayload(1, raw))}
}

// vote sends the liar's prepare and commit for a block.
func (l *liar) vote(id uint64, pp *protos.PrePrepare, to ...string) {
	digest, p := guard.Digest(pp), pp.GetProposal()
	for _, da := range to {
		l.message(da, l.name, 1, prepare(pp.GetView(), pp.GetSeq(), digest))
		l.message(da, l.name, 1, &protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{
			View: pp.GetView(), Seq: pp.GetSeq(), Digest: digest, Signature: &protos.Signature{
				Signer: id, Value: l.sign(seal.DomainVote, guard.VotePayload(p.GetHeader(), p.GetMetadata(), nil)),
			},
		}}})
	}
}

// propose makes a block of the liar's own for a view and sequence 1.
func (l *liar) propose(view uint64) (*peerpb.Relay, *protos.PrePrepare) {
	t := l.c.t
	payload, err := l.c.apps[l.name].Propose(context.Background(), 1, view, l.name, [][]byte{[]byte("record of a liar")})
	if err != nil {
		t.Fatal(err)
	}
	header, _, err := split(payload)
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := proto.Marshal(&protos.ViewMetadata{ViewId: view, LatestSequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	pp := &protos.PrePrepare{View: view, Seq: 1, Proposal: &protos.Proposal{Header: header, Payload: payload, Metadata: metadata}}
	raw, err := proto.Marshal(&protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: pp}})
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(raw)
	head, err := proto.Marshal(&peerpb.RelayHeader{Epoch: 1, View: view, Seq: 1, MessageSha256: hash[:]})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.Seal(l.c.keys[l.name], l.name, seal.DomainRelay, testChain, head)
	if err != nil {
		t.Fatal(err)
	}
	return &peerpb.Relay{Seal: sealed, Message: raw}, pp
}

func blockOf(t *testing.T, r *peerpb.Relay) *protos.PrePrepare {
	t.Helper()
	m := &protos.Message{}
	if err := proto.Unmarshal(r.GetMessage(), m); err != nil {
		t.Fatal(err)
	}
	return m.GetPrePrepare()
}

// The next leader keeps the view data that two members gave while the leader
// was silent, lets them vote for a block of the old view after all, and plays
// the view data then. They say that nothing was prepared.
func TestAttackStaleViewData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		// First da1 is cut off from da3 and da4, then from da4, then from both
		// again. It hears of no view change, and its commits reach no one.
		var stage atomic.Int32
		c.sieved(func(from, to string, f *peerpb.Frame, m *protos.Message) bool {
			switch {
			case from != "da1" && to != "da1" || to == "da2" || asked(f):
				return true
			case from == "da1" && to == "da3" && m.GetCommit() == nil:
				return stage.Load() == 1
			case from == "da3" && to == "da1" && m.GetViewChange() == nil:
				return stage.Load() == 1
			}
			return false
		})
		evil := newLiar(t, c, "da2")
		c.start("da1", "da3", "da4")
		victims := []string{"da3", "da4"}
		c.until("the view data of da3 and da4", func() bool {
			for _, v := range victims {
				evil.message(v, "da2", 1, &protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: 1}}})
			}
			return len(evil.heard()) == 2
		})
		stale := evil.heard()
		stage.Store(1)
		c.submit("da1", 100)
		c.until("a block of da1", func() bool { return evil.relay() != nil })
		begin := time.Now()
		c.until("da1 to decide, or not to", func() bool {
			evil.send("da3", &peerpb.Frame{Epoch: 1, Sender: "da2", Body: &peerpb.Frame_Relay{Relay: evil.relay()}})
			pp := blockOf(t, evil.relay())
			evil.vote(2, pp, "da1")
			evil.message("da3", "da2", 1, prepare(0, 1, guard.Digest(pp)))
			return c.apps["da1"].Height() == 1 || time.Since(begin) > 5*time.Second
		})
		stage.Store(2)
		c.stop("da1")
		own := evil.viewData(2, &protos.ViewData{NextView: 1, LastDecision: &protos.Proposal{}})
		nv := &protos.Message{Content: &protos.Message_NewView{NewView: &protos.NewView{
			SignedViewData: []*protos.SignedViewData{own, stale["da3"], stale["da4"]},
		}}}
		c.until("da3 and da4 to enter view 1", func() bool {
			for _, v := range victims {
				evil.message(v, "da2", 1, nv)
			}
			return c.node("da3").Stats().View == 1 && c.node("da4").Stats().View == 1
		})
		other, pp := evil.propose(1)
		c.until("a block of da2", func() bool {
			for _, v := range victims {
				evil.send(v, &peerpb.Frame{Epoch: 1, Sender: "da2", Body: &peerpb.Frame_Relay{Relay: other}})
			}
			evil.vote(2, pp, victims...)
			return c.apps["da3"].Height() == 1 && c.apps["da4"].Height() == 1
		})
		c.sameChain(c.names...)
		c.sameChain("da1", "da3")
	})
}

// spyWAL tells of the view changes that the library writes down.
type spyWAL struct {
	api.WriteAheadLog
	changed func()
}

func (s spyWAL) Append(entry []byte, truncateTo bool) error {
	err := s.WriteAheadLog.Append(entry, truncateTo)
	m := &protos.SavedMessage{}
	if proto.Unmarshal(entry, m) == nil && m.GetViewChange() != nil {
		s.changed()
	}
	return err
}

// Three members crash between the view change and the new view. All had voted
// for a block, and the fourth had decided it before it failed.
func TestCrashDuringViewChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		var mended atomic.Bool
		var mu sync.Mutex
		voted, changing := make(map[string]bool), make(map[string]bool)
		c.sieved(func(from, to string, _ *peerpb.Frame, m *protos.Message) bool {
			if mended.Load() {
				return true
			}
			if m.GetCommit() != nil {
				mu.Lock()
				defer mu.Unlock()
				voted[from] = true
				return to == "da1"
			}
			return m.GetViewData() == nil
		})
		c.mend = func(n *Node) {
			hasten := n.adjust
			n.adjust = func(bft *smart.Consensus) {
				hasten(bft)
				bft.WAL = spyWAL{bft.WAL, func() { mu.Lock(); defer mu.Unlock(); changing[n.cfg.Self] = true }}
			}
		}
		c.startAll()
		c.submit("da1", 100)
		all := func(who map[string]bool, n int) func() bool {
			return func() bool { mu.Lock(); defer mu.Unlock(); return len(who) == n }
		}
		c.until("all votes", all(voted, 4))
		c.until("da1 to decide", func() bool { return c.apps["da1"].Height() == 1 })
		c.stop("da1")
		rest := c.names[1:]
		c.submit("da2", 100)
		c.until("the view change", all(changing, 3))
		for _, da := range rest {
			c.stop(da)
		}
		mended.Store(true)
		c.start(rest...)
		c.submit("da2", 100)
		for _, da := range rest {
			c.until("a block at "+da, func() bool { return c.apps[da].Height() > 0 })
		}
		c.sameChain(c.names...)
		c.start("da1")
		c.submit("da3", 100)
		h := c.apps["da2"].Height()
		c.until("da1 to come along", func() bool { return c.apps["da1"].Height() >= h && h > 1 || c.apps["da1"].Height() > h })
		c.sameChain(c.names...)
	})
}

// A view change that does not come to an end makes the library begin the old
// view anew, without the block it had there. An honest leader then proposed
// another for the same place.
func TestLeaderProposesOncePerPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		var mended atomic.Bool
		var mu sync.Mutex
		blocks := make(map[guard.Place]map[string]bool)
		changes := make(map[string]uint64)
		c.sieved(func(from, _ string, f *peerpb.Frame, m *protos.Message) bool {
			mu.Lock()
			defer mu.Unlock()
			if origin, payload, err := seal.Peek(f.GetRelay().GetSeal()); err == nil && origin == from {
				h := &peerpb.RelayHeader{}
				if err := proto.Unmarshal(payload, h); err != nil {
					t.Error(err)
				}
				at := guard.Place{Epoch: h.GetEpoch(), View: h.GetView(), Seq: h.GetSeq()}
				if blocks[at] == nil {
					blocks[at] = make(map[string]bool)
				}
				blocks[at][string(h.GetMessageSha256())] = true
			}
			if vc := m.GetViewChange(); vc != nil {
				changes[from] = max(changes[from], vc.GetNextView())
			}
			return mended.Load() || m.GetPrepare() == nil && m.GetViewData() == nil
		})
		c.startAll()
		c.submit("da1", 100)
		// A second view change begins when the first has timed out.
		c.until("a view change to time out", func() bool { mu.Lock(); defer mu.Unlock(); return changes["da1"] >= 2 })
		c.submit("da1", 100)
		begin := time.Now()
		c.until("a while", func() bool { return time.Since(begin) > 2*time.Second })
		mended.Store(true)
		c.allDecided(c.names...)
		mu.Lock()
		defer mu.Unlock()
		for at, hashes := range blocks {
			if len(hashes) > 1 {
				t.Errorf("%d blocks of an honest leader for %+v", len(hashes), at)
			}
		}
	})
}

// A leader dies with a block under way whose records no one else has. Its kept
// messages, processed again and again, are no signs of life.
func TestLeaderDiesWithBlockUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		var mu sync.Mutex
		voted, changing := make(map[string]bool), false
		c.sieved(func(from, _ string, _ *peerpb.Frame, m *protos.Message) bool {
			mu.Lock()
			defer mu.Unlock()
			changing = changing || m.GetViewChange() != nil
			if m.GetCommit() == nil {
				return true
			}
			voted[from] = true
			return changing
		})
		c.startAll()
		c.submit("da1", 100)
		c.until("all votes", func() bool { mu.Lock(); defer mu.Unlock(); return len(voted) == 4 })
		c.stop("da1")
		c.allDecided(c.names[1:]...)
	})
}
