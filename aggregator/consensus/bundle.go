package consensus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// This file carries votes along the tree. With many members a vote to each from each
// is most of what agreement costs: 4,900 messages a block with 50.
//
// A member hands its vote to its parent; a parent waits a moment for its children and
// hands all on in one frame; the root sends a quorum of them down. Each vote is signed
// by who gave it and is checked by each who carries it on. What the tree does not bring
// is asked of the leader (want), and then sent to all, as without a tree (again).

// ballotKey names the votes of one phase for one block.
type ballotKey struct {
	view, seq uint64
	commit    bool
	digest    string
}

// ballot is what this node has of such votes.
type ballot struct {
	voices map[uint64]*peerpb.Voice // that hold, by signer
	passed map[uint64]bool          // of them, those handed to the parent
	heard  map[string]bool          // children that have brought theirs
	whole  bool                     // a quorum is here, and on its way down
	since  time.Time                // of the own vote
	wait   *time.Timer              // for the children
	orphan *time.Timer              // for the quorum
	asked  int
	fed    int // votes that the library got
}

// bundles are the ballots of an instance.
type bundles struct {
	mu      sync.Mutex
	of      map[ballotKey]*ballot
	parked  map[guard.Place][]parked
	slow    map[string]bool   // children that did not come in time last
	adopted map[string]uint64 // members that the tree does not reach, until which sequence
	alone   uint64            // until which sequence the tree does not reach this node
	direct  uint64            // until which sequence votes go to all
	// distrust is for how many blocks that is after the next failure, and good counts
	// the blocks since the last one.
	distrust, good uint64
	answers        map[string]answers
	steady         uint64        // the view of the newest block
	mean           time.Duration // from the own vote to the block
	last           *protos.Message
}

// parked are commits that came before their block: without it no one can check them.
type parked struct {
	from   string
	bundle *peerpb.Bundle
}

type answers struct {
	seq   uint64
	count int
}

const (
	childWait   = 5 * time.Millisecond // at most so long for the children, at first
	mostWait    = 50 * time.Millisecond
	mostMean    = 90 * time.Millisecond
	mostAsked   = 4  // times that a node asks for the votes of a block
	mostAnswers = 8  // to a member, for one block
	mostParked  = 4  // bundles of one member, for one block
	adoptedFor  = 16 // blocks
	distrustMin = 2  // blocks
	distrustMax = 128
	forgetAfter = 64 // blocks that went well
)

func newBundles() bundles {
	return bundles{
		of: make(map[ballotKey]*ballot), parked: make(map[guard.Place][]parked), slow: make(map[string]bool),
		adopted: make(map[string]uint64), answers: make(map[string]answers), distrust: distrustMin,
	}
}

// voteOf takes a vote apart; ok is false for other messages, and for votes that help a
// member that lags.
func voteOf(m *protos.Message) (key ballotKey, ok bool) {
	if p := m.GetPrepare(); p != nil {
		return ballotKey{p.GetView(), p.GetSeq(), false, p.GetDigest()}, !p.GetAssist()
	}
	if c := m.GetCommit(); c != nil {
		return ballotKey{c.GetView(), c.GetSeq(), true, c.GetDigest()}, !c.GetAssist()
	}
	return ballotKey{}, false
}

// carries says whether the tree carries a vote of this node. It carries none in a view
// whose leader has not shown itself by a block, and none for a while after it failed.
func (i *instance) carries(key ballotKey, m *protos.Message) bool {
	if wire.VoteRound(m.GetCommit().GetSignature().GetMsg()) > 0 {
		return false // for a block that a view brought along: the tree may have carried an earlier one
	}
	if int(i.n()) < i.node.cfg.TreeVotes || key.view != i.view.Load() {
		return false
	}
	s := &i.bundles
	s.mu.Lock()
	defer s.mu.Unlock()
	return key.seq > s.direct && (key.view == 0 || key.view == s.steady)
}

// speak gives a vote of this node to the tree. The library sends it to each member in
// turn.
func (i *instance) speak(key ballotKey, m *protos.Message) {
	s := &i.bundles
	s.mu.Lock()
	again := s.last == m
	s.last = m
	s.mu.Unlock()
	if again {
		return
	}
	voice := &peerpb.Voice{Signer: i.self}
	if c := m.GetCommit(); c != nil {
		voice.Signature, voice.Aux = c.GetSignature().GetValue(), c.GetSignature().GetMsg()
	} else {
		payload, err := guard.PreparePayload(i.epoch.Number, key.view, key.seq, key.digest)
		if err != nil {
			i.fault(fmt.Errorf("encode prepare: %w", err))
			return
		}
		voice.Signature = i.sign(guard.DomainPrepare, payload)
	}
	i.sendMu.Lock()
	i.noteOwn(key, m)
	i.sendMu.Unlock()
	s.mu.Lock()
	b := s.ballot(key)
	b.voices[i.self], b.since = voice, time.Now()
	if b.orphan == nil && i.leader(key.view) != i.self {
		b.orphan = time.AfterFunc(i.orphanAfter(), func() { i.orphaned(key) })
	}
	out := i.advance(key, b, false)
	s.mu.Unlock()
	i.carry(out)
}

// orphanAfter is how long this node waits for a quorum to come down; s.mu is held.
func (i *instance) orphanAfter() time.Duration {
	return max(3*i.node.cfg.PullDelay, 3*i.bundles.mean)
}

// voteStall is after what time without a block the own votes go to all.
func (i *instance) voteStall() time.Duration {
	s := &i.bundles
	s.mu.Lock()
	defer s.mu.Unlock()
	return 4 * s.mean
}

func (s *bundles) ballot(key ballotKey) *ballot {
	b := s.of[key]
	if b == nil {
		b = &ballot{voices: make(map[uint64]*peerpb.Voice), passed: make(map[uint64]bool), heard: make(map[string]bool)}
		s.of[key] = b
	}
	return b
}

// spokeTwice says whether a member has voted for two blocks already: no third is kept.
func (s *bundles) spokeTwice(key ballotKey, signer uint64) bool {
	n := 0
	for k, b := range s.of {
		if k.view == key.view && k.seq == key.seq && k.commit == key.commit && k.digest != key.digest && b.voices[signer] != nil {
			n++
		}
	}
	return n > 1
}

// outgoing is what is to be sent: a bundle to each of some members.
type outgoing struct {
	bundle *peerpb.Bundle
	to     []string
}

func (i *instance) carry(all []outgoing) {
	n := i.node
	for _, o := range all {
		frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Mark: i.mark(), Body: &peerpb.Frame_Bundle{Bundle: o.bundle}})
		for _, to := range o.to {
			n.count.bundles.Add(1)
			n.send(to, frame)
		}
	}
}

// bundle is the votes of a ballot that pick wants.
func (b *ballot) bundle(key ballotKey, pick func(signer uint64) bool) *peerpb.Bundle {
	out := &peerpb.Bundle{View: key.view, Seq: key.seq, Digest: key.digest, Commit: key.commit}
	for _, signer := range slices.Sorted(maps.Keys(b.voices)) {
		if pick(signer) {
			out.Voices = append(out.Voices, b.voices[signer])
		}
	}
	return out
}

func all(uint64) bool { return true }

// advance says what is to be sent now: a quorum down, or what is new up. s.mu is held.
func (i *instance) advance(key ballotKey, b *ballot, late bool) []outgoing {
	switch {
	case b.whole:
		return nil
	case len(b.voices) >= i.seat.Quorum():
		b.whole = true
		b.stop()
		return i.spread(key, b)
	case i.leader(key.view) == i.self:
		return nil
	}
	s, t, self := &i.bundles, i.tree(key.view), i.node.cfg.Self
	news := b.bundle(key, func(signer uint64) bool { return !b.passed[signer] })
	if len(news.GetVoices()) == 0 {
		return nil
	}
	waiting := b.voices[i.self] == nil
	for _, child := range t.voteChildren(self) {
		if !b.heard[child] && late {
			s.slow[child] = true
		}
		waiting = waiting || !b.heard[child] && !s.slow[child]
	}
	if waiting && !late {
		if b.wait == nil {
			b.wait = time.AfterFunc(min(max(childWait, s.mean), mostWait), func() { i.waited(key) })
		}
		return nil
	}
	if b.wait != nil {
		b.wait.Stop()
		b.wait = nil
	}
	for _, v := range news.GetVoices() {
		b.passed[v.GetSigner()] = true
	}
	parent := t.voteParent(self)
	if key.seq <= s.alone || parent == "" {
		parent = i.name(i.leader(key.view))
	}
	return []outgoing{{news, []string{parent}}}
}

// spread sends a quorum down. The leader also tells all the others that there is a
// block, so that who is behind one that forwards nothing finds out. s.mu is held.
func (i *instance) spread(key ballotKey, b *ballot) (out []outgoing) {
	s, self := &i.bundles, i.node.cfg.Self
	down := slices.Clone(i.tree(key.view).voteChildren(self))
	leads := i.leader(key.view) == i.self
	for da, until := range s.adopted {
		if leads && key.seq <= until && !slices.Contains(down, da) {
			down = append(down, da)
		}
	}
	if len(down) > 0 {
		out = append(out, outgoing{b.bundle(key, all), down})
	}
	if !leads || key.commit {
		return out
	}
	note := &peerpb.Bundle{View: key.view, Seq: key.seq, Digest: key.digest, Holders: slices.Sorted(maps.Keys(b.voices))}
	var rest []string
	for _, da := range i.epoch.Order {
		if da != self && !slices.Contains(down, da) {
			rest = append(rest, da)
		}
	}
	return append(out, outgoing{note, rest})
}

// waited hands up what has come: the children had their time.
func (i *instance) waited(key ballotKey) {
	s := &i.bundles
	s.mu.Lock()
	if !i.work.begin() {
		s.mu.Unlock()
		return
	}
	defer i.work.done()
	var out []outgoing
	if b := s.of[key]; b != nil {
		b.wait = nil
		out = i.advance(key, b, true)
	}
	s.mu.Unlock()
	i.carry(out)
}

// orphaned asks the leader for the votes, and another member the next time: the tree has
// not brought a quorum.
func (i *instance) orphaned(key ballotKey) {
	s := &i.bundles
	s.mu.Lock()
	if !i.work.begin() {
		s.mu.Unlock()
		return
	}
	defer i.work.done()
	var out []outgoing
	if b := s.of[key]; b != nil && !b.whole && key.seq > i.last.Load() && key.view == i.view.Load() && b.asked < mostAsked {
		ask := b.bundle(key, all)
		ask.Want = true
		to := []string{i.name(i.leader(key.view))}
		if b.asked > 0 {
			other := (i.self+uint64(b.asked)*7)%i.n() + 1
			to = append(to, i.name(other))
		}
		b.asked++
		s.alone = key.seq + adoptedFor
		b.orphan.Reset(i.orphanAfter())
		i.node.count.orphaned.Add(1)
		out = append(out, outgoing{ask, to})
	}
	s.mu.Unlock()
	i.carry(out)
}

// takeBundle takes votes that a member carries.
func (i *instance) takeBundle(from string, in *peerpb.Bundle) error {
	if err := i.guard().Bundle(in).Err(); err != nil {
		return err
	}
	if in.GetWant() {
		i.answer(from, in)
	}
	if in.GetSeq() <= i.last.Load() {
		return nil
	}
	key := ballotKey{in.GetView(), in.GetSeq(), in.GetCommit(), in.GetDigest()}
	at := guard.Place{Epoch: i.epoch.Number, View: key.view, Seq: key.seq}
	have := i.node.blocks.get(at)
	if have == nil {
		i.expectFrom(at, key.digest, in)
	}
	if len(in.GetVoices()) == 0 {
		return nil
	}
	var header, metadata []byte
	if key.commit {
		if have == nil || have.digest != key.digest {
			i.park(at, from, in)
			return nil
		}
		p := have.msg.GetPrePrepare().GetProposal()
		header, metadata = p.GetHeader(), p.GetMetadata()
	}
	return i.count(from, key, in, header, metadata)
}

// count checks votes and counts those that hold.
func (i *instance) count(from string, key ballotKey, in *peerpb.Bundle, header, metadata []byte) error {
	s := &i.bundles
	s.mu.Lock()
	var news []*peerpb.Voice
	for _, v := range in.GetVoices() {
		have := s.of[key]
		if v.GetSigner() != i.self && (have == nil || have.voices[v.GetSigner()] == nil) && !s.spokeTwice(key, v.GetSigner()) {
			news = append(news, v)
		}
	}
	s.mu.Unlock()
	holds, err := i.guard().VerifyVoices(in, news, header, metadata)
	if err != nil {
		return guard.Refused("malformed", "bundle: %v", err)
	}
	good := news[:0:0]
	for k, v := range news {
		if holds[k] {
			good = append(good, v)
		}
	}
	s.mu.Lock()
	if len(good) == 0 && s.of[key] == nil {
		s.mu.Unlock() // a word that no vote bears out takes no room
		return refusedVoices(key, len(good), len(news))
	}
	b := s.ballot(key)
	for _, v := range good {
		b.voices[v.GetSigner()] = v
	}
	b.heard[from] = true
	delete(s.slow, from)
	out := i.advance(key, b, false)
	// The library needs a quorum with its own. It takes a vote that comes after that for
	// the call of a member that lags, and answers it. What it lacks all the same, of one
	// that voted twice, it gets when no block comes (again).
	feed := min(len(good), max(0, i.seat.Quorum()-1-b.fed))
	b.fed += feed
	s.mu.Unlock()
	i.carry(out)
	for k, v := range good {
		m := messageOf(key, v)
		i.node.noteVote(i.name(v.GetSigner()))
		i.keep(v.GetSigner(), m)
		if k < feed && key.seq > i.deciding.Load() {
			i.feed(v.GetSigner(), m)
		}
	}
	return refusedVoices(key, len(good), len(news))
}

// refusedVoices names votes that do not hold.
func refusedVoices(key ballotKey, good, all int) error {
	if good == all {
		return nil
	}
	return guard.Refused("bad_voice", "%d of %d votes of view %d, sequence %d do not hold", all-good, all, key.view, key.seq)
}

// messageOf is a vote as the library knows it.
func messageOf(key ballotKey, v *peerpb.Voice) *protos.Message {
	if !key.commit {
		return &protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{View: key.view, Seq: key.seq, Digest: key.digest}}}
	}
	return &protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{View: key.view, Seq: key.seq, Digest: key.digest,
		Signature: &protos.Signature{Signer: v.GetSigner(), Value: v.GetSignature(), Msg: v.GetAux()}}}}
}

// park keeps commits until their block is here.
func (i *instance) park(at guard.Place, from string, in *peerpb.Bundle) {
	s := &i.bundles
	s.mu.Lock()
	of := 0
	for _, p := range s.parked[at] {
		if p.from == from {
			of++
		}
	}
	if of < mostParked {
		s.parked[at] = append(s.parked[at], parked{from, in})
	}
	s.mu.Unlock()
	if i.node.blocks.get(at) != nil { // it came meanwhile
		i.unpark(at)
	}
}

// unpark counts the commits of a block that is here now.
func (i *instance) unpark(at guard.Place) {
	have := i.node.blocks.get(at)
	s := &i.bundles
	s.mu.Lock()
	waiting := s.parked[at]
	delete(s.parked, at)
	s.mu.Unlock()
	for _, p := range waiting {
		if have == nil || have.digest != p.bundle.GetDigest() {
			continue // for another block than the leader's: no one can check it
		}
		if err := i.takeBundle(p.from, p.bundle); err != nil && !errors.Is(err, guard.ErrOutdated) {
			i.node.refuse(p.from, err)
		}
	}
}

// answer sends a member the votes of a block that it lacks.
func (i *instance) answer(to string, in *peerpb.Bundle) {
	s := &i.bundles
	s.mu.Lock()
	a := s.answers[to]
	if a.seq != in.GetSeq() {
		a = answers{seq: in.GetSeq()}
	}
	a.count++
	s.answers[to] = a
	if a.count > mostAnswers {
		s.mu.Unlock()
		return
	}
	s.adopted[to] = in.GetSeq() + adoptedFor
	var out []outgoing
	for key, b := range s.of {
		if key.view == in.GetView() && key.seq == in.GetSeq() && len(b.voices) > 0 {
			out = append(out, outgoing{b.bundle(key, all), []string{to}})
		}
	}
	s.mu.Unlock()
	i.carry(out)
}

// expectFrom pulls a block that those who speak of it have.
func (i *instance) expectFrom(at guard.Place, digest string, in *peerpb.Bundle) {
	ids := slices.Clone(in.GetHolders())
	for _, v := range in.GetVoices() {
		ids = append(ids, v.GetSigner())
	}
	for k := range ids { // each asks another one first
		i.expect(at, ids[(k+int(i.self))%len(ids)], digest)
	}
}

func (b *ballot) stop() {
	for _, t := range []*time.Timer{b.wait, b.orphan} {
		if t != nil {
			t.Stop()
		}
	}
}

// settle forgets what a decision makes old, and learns from how long it took.
func (s *bundles) settle(view, seq uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steady = view
	for key, b := range s.of {
		if !key.commit && key.view == view && key.seq == seq && !b.since.IsZero() {
			took := min(now.Sub(b.since), mostMean)
			s.mean += (took - s.mean) / paceShare
			if s.good++; s.good == forgetAfter {
				s.distrust = distrustMin
			}
		}
		if key.seq+2 <= seq || key.view < view {
			b.stop()
			delete(s.of, key)
		} else if key.seq <= seq {
			b.stop()
		}
	}
	for at := range s.parked {
		if at.Seq <= seq || at.View < view {
			delete(s.parked, at)
		}
	}
	for da, until := range s.adopted {
		if seq > until {
			delete(s.adopted, da)
		}
	}
}

// failed notes that the tree brought no block in time: for some blocks the own votes go
// to all, and for more each time.
func (s *bundles) failed(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.direct {
		return
	}
	s.mean += (mostMean - s.mean) / paceShare
	s.direct, s.good = seq+s.distrust, 0
	s.distrust = min(2*s.distrust, distrustMax)
}
