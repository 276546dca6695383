package consensus

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// A flooder is a member that the test plays by hand. It says one kind of thing without
// end, signed with its own true key where that is signed.
type flooder struct {
	*liar
	id       uint64
	rng      *rand.Rand
	sees     *instance // of an honest member, looked into for views and sequences that fit
	said     uint64
	signed   []byte             // a true signature of a vote
	proposal *protos.PrePrepare // its newest block
}

func newFlooder(t *testing.T, c *cluster, name string) *flooder {
	id := uint64(slices.Index(c.names, name) + 1)
	return &flooder{liar: newLiar(t, c, name), id: id, rng: rand.New(rand.NewPCG(id, 1))}
}

// near is a number around one, mostly not below.
func (f *flooder) near(n uint64) uint64 {
	step := f.rng.Uint64N(8)
	if step == 7 {
		return n - min(n, 1+f.rng.Uint64N(2))
	}
	return n + step
}

func (f *flooder) view() uint64 { return f.near(f.sees.view.Load()) }
func (f *flooder) seq() uint64  { return f.near(f.sees.last.Load() + 1) }

func (f *flooder) digest() string {
	return fmt.Sprintf("%016x%s", f.rng.Uint64(), strings.Repeat("0", 48))
}

func (f *flooder) says(m *protos.Message) *peerpb.Frame {
	raw, err := proto.Marshal(m)
	if err != nil {
		f.c.t.Error(err)
	}
	return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_Message{Message: raw}}
}

// ballot is a prepare or commit for a block that no one knows.
func (f *flooder) ballot(view, seq uint64, commit, assist bool, round uint64) *peerpb.Frame {
	if !commit {
		return f.says(&protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{View: view, Seq: seq, Digest: f.digest(), Assist: assist}}})
	}
	if f.signed == nil {
		f.signed = f.sign(seal.DomainVote, []byte("a block of its own"))
	}
	s := &protos.Signature{Signer: f.id, Value: f.signed}
	if round > 0 {
		s.Msg = wire.RoundAux(round)
	}
	return f.says(&protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{View: view, Seq: seq, Digest: f.digest(), Assist: assist, Signature: s}}})
}

// tells is view data: what was decided last, or nothing, and often a block under way.
func (f *flooder) tells(view uint64) *protos.SignedViewData {
	vd := &protos.ViewData{NextView: view, LastDecision: &protos.Proposal{}}
	if f.rng.IntN(2) == 0 {
		p, votes, _, err := f.sees.lastDecision()
		if err == nil {
			vd.LastDecision = &protos.Proposal{Header: p.Header, Payload: p.Payload, Metadata: p.Metadata}
			for _, v := range votes {
				vd.LastDecisionSignatures = append(vd.LastDecisionSignatures, &protos.Signature{Signer: v.ID, Value: v.Value, Msg: v.Msg})
			}
		}
	}
	if f.rng.IntN(2) == 0 {
		metadata, err := proto.Marshal(&protos.ViewMetadata{ViewId: f.view(), LatestSequence: f.seq()})
		if err != nil {
			f.c.t.Error(err)
		}
		vd.InFlightProposal = &protos.Proposal{Header: []byte("no header"), Payload: []byte("no payload"), Metadata: metadata}
		vd.InFlightPrepared = f.rng.IntN(2) == 0
	}
	return f.signs(vd)
}

// signs is view data with its signature.
func (f *flooder) signs(vd *protos.ViewData) *protos.SignedViewData {
	raw, err := proto.Marshal(vd)
	if err != nil {
		f.c.t.Error(err)
	}
	return &protos.SignedViewData{RawViewData: raw, Signer: f.id, Signature: f.sign(guard.DomainViewData, guard.ViewDataPayload(f.epoch, raw))}
}

// shows is a new view: of what it was told by the others, where there is that.
func (f *flooder) shows(own bool) *protos.NewView {
	data := f.heard()
	view := f.view()
	for _, svd := range data {
		if next, ok := changes(&protos.Message{Content: &protos.Message_ViewData{ViewData: svd}}); ok && own {
			view = next
		}
	}
	nv := &protos.NewView{SignedViewData: []*protos.SignedViewData{f.tells(view)}}
	for _, da := range slices.Sorted(maps.Keys(data)) {
		nv.SignedViewData = append(nv.SignedViewData, data[da])
	}
	return nv
}

// block is one of its own for a place of a view that it leads.
func (f *flooder) block() *peerpb.Frame {
	t, n := f.c.t, uint64(len(f.c.names))
	view := f.sees.view.Load()
	view += (f.id - 1 + n - view%n) % n // the next that it leads
	seq := f.seq()
	metadata, err := proto.Marshal(&protos.ViewMetadata{ViewId: view, LatestSequence: seq})
	if err != nil {
		t.Error(err)
	}
	return f.relays(view, seq, &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{
		View: view, Seq: seq, Proposal: &protos.Proposal{Header: []byte("no header"), Payload: fmt.Append(nil, f.rng.Uint64()), Metadata: metadata},
	}}})
}

// relays is a block on its way, signed.
func (f *flooder) relays(view, seq uint64, m *protos.Message) *peerpb.Frame {
	raw, err := proto.Marshal(m)
	if err != nil {
		f.c.t.Error(err)
	}
	hash := sha256.Sum256(raw)
	return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{
		Seal: f.seals(seal.DomainRelay, &peerpb.RelayHeader{Epoch: f.epoch, View: view, Seq: seq, MessageSha256: hash[:]}), Message: raw,
	}}}
}

func (f *flooder) seals(d seal.Domain, m proto.Message) []byte {
	payload, err := proto.Marshal(m)
	if err != nil {
		f.c.t.Error(err)
	}
	sealed, err := seal.Seal(f.c.keys[f.name], f.name, d, testChain, payload)
	if err != nil {
		f.c.t.Error(err)
	}
	return sealed
}

// status asks everything that a status can ask, with a mark that grows or falls.
func (f *flooder) status() *peerpb.Frame {
	f.said++
	mark := f.seals(guard.DomainMark, &peerpb.Mark{Epoch: 1 + f.rng.Uint64N(3), Said: f.near(f.said)})
	s := &peerpb.Status{Ask: f.rng.Uint64(), Told: f.rng.Uint64(), Ping: f.rng.Uint64(), Pong: f.rng.Uint64(), Voted: f.rng.Uint64()}
	return &peerpb.Frame{Epoch: 1 + f.rng.Uint64N(3), Height: f.rng.Uint64N(1 << 40), Mark: mark, Body: &peerpb.Frame_Status{Status: s}}
}

// bundle carries its own votes, for blocks that no one knows, with a true signature.
func (f *flooder) bundle() *peerpb.Frame {
	view, seq := f.sees.view.Load(), f.sees.last.Load()+1+f.rng.Uint64N(2)
	if f.rng.IntN(4) == 0 {
		view, seq = f.view(), f.seq()
	}
	b := &peerpb.Bundle{View: view, Seq: seq, Digest: f.digest(), Commit: f.rng.IntN(2) == 0, Want: f.rng.IntN(2) == 0}
	payload, err := guard.PreparePayload(f.epoch, b.GetView(), b.GetSeq(), b.GetDigest())
	if err != nil {
		f.c.t.Error(err)
	}
	v := &peerpb.Voice{Signer: f.id, Signature: f.sign(guard.DomainPrepare, payload)}
	if b.GetCommit() {
		v.Signature, v.Aux = f.sign(seal.DomainVote, payload), []byte("aux")
	}
	b.Voices = append(b.Voices, v)
	for id := range f.c.names {
		if f.rng.IntN(2) == 0 {
			b.Holders = append(b.Holders, uint64(id+1))
		}
	}
	return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_Bundle{Bundle: b}}
}

func (f *flooder) records() *peerpb.Frame {
	r := &peerpb.Records{}
	for range 5 {
		f.said++
		r.Sealed = append(r.Sealed, fmt.Appendf(nil, "record %d by flood-%d ", f.said, f.said%8))
	}
	return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_Records{Records: r}}
}

// kinds are the kinds of things that a member can say.
var kinds = map[string]func(f *flooder) *peerpb.Frame{
	"heartbeats": func(f *flooder) *peerpb.Frame {
		return f.says(&protos.Message{Content: &protos.Message_HeartBeat{HeartBeat: &protos.HeartBeat{View: f.view(), Seq: f.seq()}}})
	},
	"answers to heartbeats": func(f *flooder) *peerpb.Frame {
		return f.says(&protos.Message{Content: &protos.Message_HeartBeatResponse{HeartBeatResponse: &protos.HeartBeatResponse{View: f.view()}}})
	},
	"view changes": func(f *flooder) *peerpb.Frame {
		next := f.view()
		if f.rng.IntN(4) == 0 {
			next = f.rng.Uint64N(1 << 16)
		}
		return f.says(&protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: next}}})
	},
	"view data": func(f *flooder) *peerpb.Frame {
		return f.says(&protos.Message{Content: &protos.Message_ViewData{ViewData: f.tells(f.view())}})
	},
	"new views": func(f *flooder) *peerpb.Frame {
		return f.says(&protos.Message{Content: &protos.Message_NewView{NewView: f.shows(true)}})
	},
	"new views as proofs": func(f *flooder) *peerpb.Frame {
		raw, err := proto.Marshal(f.shows(f.rng.IntN(2) == 0))
		if err != nil {
			f.c.t.Error(err)
		}
		return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_NewView{NewView: raw}}
	},
	"state requests": func(f *flooder) *peerpb.Frame {
		return f.says(&protos.Message{Content: &protos.Message_StateTransferRequest{StateTransferRequest: &protos.StateTransferRequest{}}})
	},
	"state": func(f *flooder) *peerpb.Frame {
		return f.says(&protos.Message{Content: &protos.Message_StateTransferResponse{
			StateTransferResponse: &protos.StateTransferResponse{ViewNum: f.view(), Sequence: f.seq()},
		}})
	},
	"prepares": func(f *flooder) *peerpb.Frame { return f.ballot(f.view(), f.seq(), false, f.rng.IntN(2) == 0, 0) },
	"commits":  func(f *flooder) *peerpb.Frame { return f.ballot(f.view(), f.seq(), true, f.rng.IntN(2) == 0, 0) },
	"commits of rounds": func(f *flooder) *peerpb.Frame {
		view, seq := f.sees.view.Load(), f.sees.last.Load()+1
		return f.ballot(view, seq, true, false, view+1+f.rng.Uint64N(1<<16-1))
	},
	"statuses": (*flooder).status,
	"bundles":  (*flooder).bundle,
	"blocks":   (*flooder).block,
	"records":  (*flooder).records,
	"votes of the next epoch": func(f *flooder) *peerpb.Frame {
		b := f.ballot(f.view(), f.seq(), f.rng.IntN(2) == 0, false, 0)
		b.Epoch++
		return b
	},
}

// Bounds of a flood and of what it may do.
const (
	floodIdle  = 400 * time.Millisecond // while nothing is decided, so that what waits for a decision gathers
	floodFor   = 600 * time.Millisecond
	floodEvery = 10 * time.Millisecond
	calmWithin = 10 * time.Second // after a flood all is as before
)

// flood sends one kind to all the others until it is stopped, so many each time.
func (f *flooder) flood(burst int, next func(f *flooder) *peerpb.Frame) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			for range burst {
				frame := next(f)
				frame.Sender = f.name
				for _, da := range f.c.names {
					if da != f.name {
						f.send(da, frame)
					}
				}
			}
			time.Sleep(floodEvery)
		}
	})
	return func() { cancel(); done.Wait() }
}

// decides has each of the members hand in records, one after the other, for a time, and
// returns the longest time until all of them had one.
func (c *cluster) decides(d time.Duration, members []string) (worst time.Duration) {
	c.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, da := range members {
			begin, id := time.Now(), c.submit(da, 100)
			c.until("a record of "+da, func() bool {
				return !slices.ContainsFunc(members, func(at string) bool { return !c.apps[at].has(id) })
			})
			worst = max(worst, time.Since(begin))
		}
	}
	return worst
}

// keepsLittle looks at all that a node keeps of what a member has sent.
func (c *cluster) keepsLittle(da, of string) {
	n := c.node(da)
	i, ps := n.instance(), n.peer(of)
	members := len(c.names)
	if i == nil {
		c.t.Errorf("%s: no instance runs", da)
		return
	}
	counts := make(map[string][2]int)
	ps.order.Lock()
	counts["frames held"], counts["bytes held"] = [2]int{len(ps.held), heldFrames}, [2]int{ps.bytes, n.heldMost()}
	ps.order.Unlock()
	n.blocks.mu.Lock()
	counts["blocks"] = [2]int{len(n.blocks.blocks), keptBlocks}
	n.blocks.mu.Unlock()
	n.sights.mu.Lock()
	counts["trips"] = [2]int{len(n.sights.trips), members}
	n.sights.mu.Unlock()
	i.keepMu.Lock()
	counts["messages"], counts["early"] = [2]int{len(i.kept), keptMessages}, [2]int{len(i.early), members}
	// A pull for a block decided meanwhile ends with its question.
	counts["wanted"], counts["wishes"] = [2]int{len(i.wants), 16}, [2]int{len(i.wishes.view), members}
	i.keepMu.Unlock()
	i.proofs.mu.Lock()
	counts["proofs"] = [2]int{len(i.proofs.seen), 1}
	i.proofs.mu.Unlock()
	i.bundles.mu.Lock()
	waiting, voices := 0, 0
	for _, all := range i.bundles.parked {
		waiting += len(all)
	}
	id := i.ids[of]
	for _, b := range i.bundles.of {
		if b.voices[id] != nil {
			voices++
		}
	}
	counts["bundles parked"], counts["votes carried"] = [2]int{waiting, 2 * mostParked * members}, [2]int{voices, 2 * 4 * 3}
	i.bundles.mu.Unlock()
	records, _ := n.pool.Size()
	counts["records"] = [2]int{records, n.cfg.poolLimits().PeerRecords + 100}
	for what, have := range counts {
		if have[0] > have[1] {
			c.t.Errorf("%s keeps %d %s, at most %d are to be", da, have[0], what, have[1])
		}
	}
}

// A member that says one kind of thing without end, whatever it is, stops no one: the
// others decide record after record, no instance faults, no honest leader is given up,
// what is kept of the flood is bounded, and after it all is as before. Time in a bubble
// tells what waits for what, and not what the flood costs of a processor.
func TestFloodOfKinds(t *testing.T) {
	for _, who := range []string{"da4", "da1"} { // one that follows, and the first leader
		for kind, next := range kinds {
			t.Run(who+" "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 4, 100_000, lan)
					testFlood(t, c, who, bursts(kind), next)
				})
			})
		}
	}
	for _, kind := range []string{"bundles", "blocks"} { // where the tree carries votes
		t.Run("da7 "+kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 7, 100_000, lan)
				c.tweak = func(cfg *Config) { cfg.TreeVotes = 4 }
				testFlood(t, c, "da7", bursts(kind), kinds[kind])
			})
		})
	}
}

// bursts is how many of a kind come at once: where the others keep many, so many that their
// bound is reached.
func bursts(kind string) int {
	switch kind {
	case "commits of rounds":
		return 2 * keptMessages / int(floodIdle/floodEvery)
	case "votes of the next epoch":
		return 2 * heldFrames / int(floodIdle/floodEvery)
	}
	return 10
}

func testFlood(t *testing.T, c *cluster, who string, burst int, next func(f *flooder) *peerpb.Frame) {
	c.wait = calmWithin
	f := newFlooder(t, c, who)
	honest := slices.DeleteFunc(slices.Clone(c.names), func(da string) bool { return da == who })
	c.start(honest...)
	c.decides(100*time.Millisecond, honest) // until all vote, and a leader that is silent was given up
	before := c.decides(100*time.Millisecond, honest)
	views := c.node("da2").Stats().View
	f.sees = c.node(honest[0]).instance()
	stop := f.flood(burst, next)
	time.Sleep(floodIdle)
	for _, da := range honest {
		c.keepsLittle(da, who)
	}
	during := c.decides(floodFor, honest)
	for _, da := range honest {
		c.keepsLittle(da, who)
		p := c.node(da).Stats().Peers[who]
		if time.Since(p.Heard) > 10*floodEvery && p.CutOff.IsZero() {
			t.Errorf("%s has not heard the flood for %v", da, time.Since(p.Heard))
		}
	}
	stop()
	for _, da := range honest {
		c.until("an empty pool at "+da, func() bool { return c.node(da).Stats().Pending == 0 })
	}
	after := c.decides(100*time.Millisecond, honest)
	t.Logf("a record took at most %v before, %v in the flood, %v after", before, during, after)
	if during > 500*time.Millisecond || after > 3*before {
		t.Errorf("a record took %v before the flood, %v in it, %v after it", before, during, after)
	}
	for _, da := range honest {
		s := c.node(da).Stats()
		if s.Restarts > 0 || s.LeftBehind > 0 || s.View != views || !s.Voting {
			t.Errorf("%s: %+v", da, s)
		}
	}
	c.start(who) // it comes back honest, without anything, and follows
	c.allHave(who)
	c.sameChain(c.names...)
}

// A leader dies in a flood. With the one that floods and the one that is dead all the
// others are just a quorum, so each of them has to get through the change of view.
func TestLeaderDiesInAFlood(t *testing.T) {
	for _, kind := range []string{
		"heartbeats", "view changes", "view data", "new views", "new views as proofs", "commits", "commits of rounds", "bundles", "blocks",
	} {
		next := kinds[kind]
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 7, 100_000, lan)
				c.wait = calmWithin
				f := newFlooder(t, c, "da7")
				c.start(c.names[:6]...)
				c.decides(50*time.Millisecond, c.names[:6])
				f.sees = c.node("da2").instance()
				stop := f.flood(bursts(kind), next)
				defer stop()
				time.Sleep(floodIdle)
				c.stop("da1")
				rest := c.names[1:6]
				took := c.decides(200*time.Millisecond, rest)
				t.Logf("a record took at most %v", took)
				for _, da := range rest {
					if s := c.node(da).Stats(); s.Restarts > 0 || s.LeftBehind > 0 {
						t.Errorf("%s: %+v", da, s)
					}
				}
				c.sameChain(rest...)
			})
		})
	}
}

// allHave waits until a member has all that another has by now.
func (c *cluster) allHave(who string) {
	c.t.Helper()
	var most uint64
	for _, da := range c.names {
		most = max(most, c.apps[da].Height())
	}
	c.until(who+" to have all blocks", func() bool { return c.apps[who].Height() >= most })
}
