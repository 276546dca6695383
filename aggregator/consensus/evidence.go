package consensus

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"sync"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// This file finds two signatures of one member for one place. Nothing that is voted on
// depends on it: it looks at what has been checked, and tells.

// evidence is what a node remembers to find them, and has told.
type evidence struct {
	mu     sync.Mutex
	told   map[string]uint64 // the newest epoch, by member
	epoch  uint64            // of the votes
	newest uint64            // sequence
	votes  map[votingPlace]ballotPaper
	of     map[string]int // how many there are of each member
}

// votingPlace is what a member may vote once for: in the agreement view of the block, or in
// the later one that brought it along.
type votingPlace struct {
	da        string
	view, seq uint64
}

// ballotPaper is a vote with what it is for.
type ballotPaper struct{ header, metadata, aux, signature []byte }

func (b *ballotPaper) statement() *fairwattpb.Statement {
	hash := sha256.Sum256(b.metadata)
	return &fairwattpb.Statement{Header: b.header, MetadataHash: hash[:], Aux: b.aux, Signature: b.signature}
}

// Votes are kept for so many sequences, and so many of each member: a liar may vote in
// many rounds.
const (
	votesKept    = 4
	mostOfMember = 16
)

// tell hands evidence on, once for each member and epoch.
func (n *Node) tell(da string, epoch uint64, first, second *fairwattpb.Statement) {
	e := &n.evidence
	if n.cfg.Equivocated == nil || da == n.cfg.Self {
		return
	}
	e.mu.Lock()
	told := e.told[da] >= epoch
	e.mu.Unlock()
	if told || !n.cfg.Equivocated(&fairwattpb.Equivocation{Da: da, First: first, Second: second}) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.told == nil {
		e.told = make(map[string]uint64)
	}
	e.told[da] = max(e.told[da], epoch)
}

// twoBlocks tells of a leader's two blocks. Both signatures have been checked.
func (i *instance) twoBlocks(at guard.Place, first, second *peerpb.Relay) {
	i.node.tell(i.name(i.leader(at.View)), at.Epoch, &fairwattpb.Statement{Proposal: first.GetSeal()}, &fairwattpb.Statement{Proposal: second.GetSeal()})
}

// noteVote remembers a vote whose signature holds, and tells of it if the member has
// voted for another block there.
func (i *instance) noteVote(s types.Signature, p types.Proposal) {
	if i.node.cfg.Equivocated == nil || len(s.Msg) == 0 {
		return // without auxiliary data a vote does not tell its round
	}
	md, err := guard.Metadata(p.Metadata)
	if err != nil {
		return
	}
	key := votingPlace{i.name(s.ID), max(md.GetViewId(), wire.VoteRound(s.Msg)), md.GetLatestSequence()}
	now := ballotPaper{p.Header, p.Metadata, s.Msg, s.Value}
	if have, other := i.node.evidence.note(i.epoch.Number, key, now); other {
		i.node.tell(key.da, i.epoch.Number, have.statement(), now.statement())
	}
}

// note keeps a vote, and returns the one before for another block.
func (e *evidence) note(epoch uint64, key votingPlace, now ballotPaper) (have ballotPaper, other bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.epoch != epoch {
		e.epoch, e.newest, e.votes, e.of = epoch, 0, make(map[votingPlace]ballotPaper), make(map[string]int)
	}
	if key.seq > e.newest {
		e.newest = key.seq
		for k := range e.votes {
			if k.seq+votesKept <= key.seq {
				delete(e.votes, k)
				e.of[k.da]--
			}
		}
	}
	have, ok := e.votes[key]
	switch {
	case ok:
		return have, !bytes.Equal(have.header, now.header)
	case e.of[key.da] < mostOfMember && key.seq+votesKept > e.newest:
		e.votes[key] = now
		e.of[key.da]++
	}
	return have, false
}

// noteCertificate does the same with the votes of a block that others have decided.
func (i *instance) noteCertificate(cb *fairwattpb.CertifiedBlock) {
	if i.node.cfg.Equivocated == nil {
		return
	}
	p, votes, _, err := i.decisionOf(cb)
	if err != nil {
		return
	}
	for _, v := range votes {
		i.noteVote(v, p)
	}
}

// suspect looks at a vote for another block than the one that this node has of a place.
// Either the voter lies, or the leader has signed two: then the voter has the other. It
// is asked for it once a place.
func (i *instance) suspect(sender uint64, m *protos.Message) {
	digest := ""
	switch c := m.GetContent().(type) {
	case *protos.Message_Prepare:
		digest = c.Prepare.GetDigest()
	case *protos.Message_Commit:
		digest = c.Commit.GetDigest()
	default:
		return
	}
	view, _ := messageView(m)
	at := guard.Place{Epoch: i.epoch.Number, View: view, Seq: messageSeq(m)}
	if i.node.cfg.Equivocated == nil || at.View != i.view.Load() || at.Seq != i.last.Load()+1 || i.leader(at.View) == i.self {
		return
	}
	have := i.node.blocks.get(at)
	if have == nil || have.digest == digest {
		return
	}
	i.keepMu.Lock()
	if i.suspects.at != at {
		i.suspects.at, i.suspects.asked = at, make(map[uint64]bool)
	}
	asked := i.suspects.asked[sender]
	i.suspects.asked[sender] = true
	i.keepMu.Unlock()
	if asked {
		return
	}
	i.work.run(func() {
		err := i.pullFrom(at, voter{i.name(sender), digest})
		if err != nil && i.ctx.Err() == nil && !errors.Is(err, guard.ErrOutdated) {
			i.node.log.Debug("pull the other block", "seq", at.Seq, "from", i.name(sender), "err", err)
		}
	})
}

// suspects are the members that were asked for another block of a place.
type suspects struct {
	at    guard.Place
	asked map[uint64]bool
}
