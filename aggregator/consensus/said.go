package consensus

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// This file finds out that the log is an old one, put back from a backup. A node
// signs how much it has said ([peerpb.Mark]) and sends that along with blocks and votes.
// The others keep the newest, over their own restarts too, and tell it back. So a single
// honest one of them suffices, and a liar can prove nothing that the node did not say.

// recallFor is how long a node waits at its start for more of the others to tell what they know
// of it than make a quorum with it. They may be down themselves.
const recallFor = time.Second

// mark is how much a node has said, and its signed form.
type mark struct {
	epoch, said uint64
	sealed      []byte
}

func (m mark) newer(than mark) bool {
	return m.epoch > than.epoch || m.epoch == than.epoch && m.said > than.said
}

func decodeMark(sealed, payload []byte) (mark, error) {
	m := &peerpb.Mark{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return mark{}, fmt.Errorf("decode mark: %w", err)
	}
	return mark{epoch: m.GetEpoch(), said: m.GetSaid(), sealed: sealed}, nil
}

// mark signs how much this node has said, or returns nil if it cannot: it is sent
// with the next message then.
func (i *instance) mark() []byte {
	said := i.log.said.Load()
	i.markMu.Lock()
	defer i.markMu.Unlock()
	if said == 0 || i.marked.said == said {
		return i.marked.sealed
	}
	n := i.node
	payload, err := proto.Marshal(&peerpb.Mark{Epoch: i.epoch.Number, Said: said})
	if err == nil {
		payload, err = seal.Seal(i.key, n.cfg.Self, guard.DomainMark, n.cfg.ChainID, payload)
	}
	if err != nil {
		n.log.Warn("sign mark", "err", err)
		return nil
	}
	i.marked = mark{i.epoch.Number, said, payload}
	return payload
}

// noteMark keeps the newest mark of a peer. The peer that comes with less than it
// once had is told: it looks at the signature, which is its own.
func (n *Node) noteMark(ps *peerState, sealed []byte) {
	if len(sealed) == 0 {
		return
	}
	signer, payload, err := seal.Peek(sealed)
	if err != nil || signer != ps.name {
		n.refuse(ps.name, guard.Refused("malformed", "mark of %.64q: %v", signer, err))
		return
	}
	m, err := decodeMark(sealed, payload)
	if err != nil {
		n.refuse(ps.name, guard.Refused("malformed", "%v", err))
		return
	}
	now := time.Now()
	ps.mu.Lock()
	known := ps.mark
	if m.newer(known) {
		ps.mark = m
	}
	if m.newer(ps.kept) {
		n.keep()
	}
	remind := known.newer(m) && now.Sub(ps.reminded) >= 5*tick
	if remind {
		ps.reminded = now
	}
	ps.mu.Unlock()
	if remind {
		n.send(ps.name, n.frame(&peerpb.Frame{Body: &peerpb.Frame_Status{Status: &peerpb.Status{Yours: known.sealed}}}))
	}
}

// keep has the new marks brought to disk. Marks are written for those who come back with an
// old log just when this node has started anew, so nothing waits for them.
func (n *Node) keep() {
	select {
	case n.marks <- struct{}{}:
	default:
	}
}

// keepMarks writes the newest marks of all peers whenever there are new ones. A disk that
// takes none of them is told once: they are in memory as well.
func (n *Node) keepMarks(ctx context.Context) {
	failed := false
	for turn := uint64(0); ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-n.marks:
		}
		marks := make(map[string][]byte)
		for _, ps := range *n.peers.Load() {
			ps.mu.Lock()
			if ps.kept = ps.mark; len(ps.mark.sealed) > 0 {
				marks[ps.name] = ps.mark.sealed
			}
			ps.mu.Unlock()
		}
		if err := n.logs.PutMarks(turn, marks); err != nil && !failed {
			n.log.Warn("what others have said is not kept over a restart", "err", err)
			failed = true
		}
	}
}

// recallMarks reads what this node has kept of others before it was started. What of it
// does not read like a mark of its peer is left out: who told it would blame this node.
func (n *Node) recallMarks() {
	kept, err := n.logs.Marks()
	if err != nil {
		n.log.Warn("what others had said before this start is not known", "err", err)
	}
	for _, marks := range kept {
		for name, sealed := range marks {
			ps := n.peer(name)
			signer, payload, err := seal.Peek(sealed)
			if ps == nil || err != nil || signer != name {
				continue
			}
			m, err := decodeMark(sealed, payload)
			if err != nil {
				continue
			}
			ps.mu.Lock()
			if m.newer(ps.mark) {
				ps.mark, ps.kept = m, m
			}
			ps.mu.Unlock()
		}
	}
}

// takeStatus answers what a peer wants to know of its own marks, and learns of this
// node's.
func (n *Node) takeStatus(ps *peerState, s *peerpb.Status) {
	if s.GetAsk() > 0 {
		ps.mu.Lock()
		known := ps.mark.sealed
		ps.mu.Unlock()
		n.send(ps.name, n.frame(&peerpb.Frame{Body: &peerpb.Frame_Status{Status: &peerpb.Status{Told: s.GetAsk(), Yours: known}}}))
	}
	if s.GetPing() > 0 {
		n.send(ps.name, n.frame(&peerpb.Frame{Body: &peerpb.Frame_Status{Status: &peerpb.Status{Pong: s.GetPing()}}}))
	}
	if s.GetPong() > 0 {
		n.sights.answered(ps.name, s.GetPong(), time.Now())
	}
	if s.GetVoted() > 0 {
		n.noteVoted(ps, s.GetVoted())
	}
	if len(s.GetYours()) > 0 {
		if err := n.learn(s.GetYours()); err != nil {
			n.refuse(ps.name, guard.Refused("forged_mark", "%v", err))
			return
		}
	}
	if s.GetTold() == n.question {
		n.mu.Lock()
		n.told[ps.name] = true
		n.mu.Unlock()
		select {
		case n.heard <- struct{}{}:
		default:
		}
	}
}

// learn takes a mark of this node's own from a peer. One that the running instance
// does not know of ends it: the log is an old one. What it said in an epoch that is over
// says nothing of this one, and may have been signed by an older key.
func (n *Node) learn(sealed []byte) error {
	if _, payload, err := seal.Peek(sealed); err == nil {
		if m, err := decodeMark(sealed, payload); err == nil && m.epoch < n.guard().Epoch {
			return nil
		}
	}
	keys := n.guard().Keys
	signer, payload, err := seal.Open(sealed, guard.DomainMark, n.cfg.ChainID, func(da string) (ed25519.PublicKey, bool) {
		key, ok := keys[da]
		return key, ok && da == n.cfg.Self
	})
	if err != nil {
		return fmt.Errorf("mark of %.64q: %w", signer, err)
	}
	m, err := decodeMark(sealed, payload)
	if err != nil {
		return err
	}
	n.mu.Lock()
	if m.newer(n.own) {
		n.own = m
	}
	inst := n.inst
	n.mu.Unlock()
	if inst != nil {
		if err := n.older(inst.epoch.Number, inst.log.said.Load()); err != nil {
			inst.log.lose(err)
			inst.fault(err)
		}
	}
	return nil
}

// recall asks the others what they know of this node's marks, until all have answered: one
// alone may have heard of the newest, where the tree carries votes. After a while as many are
// enough as make a quorum with this node: others may be down for long. With fewer nothing can be
// decided, so nothing is lost where a log that may be an old one says nothing until then.
func (n *Node) recall(ctx context.Context) error {
	defer n.following.Store(nil)
	for ctx.Err() == nil {
		epoch, _, _ := n.position()
		if !n.known(epoch) {
			return nil // nobody has heard anything of it
		}
		members := len(epoch.Order)
		least := wire.Quorum(members) - 1
		told := n.askMarks(ctx, epoch, members-1)
		if told >= least {
			return nil
		}
		if n.following.Load() == nil && ctx.Err() == nil {
			text := fmt.Sprintf("waits for word of what this DA has said before its start: %d of the others have answered, %d are needed", told, least)
			n.following.Store(&text)
			n.log.Warn("no word of enough others about what this DA has said before", "told", told, "want", least)
		}
		if err := n.catchUp(ctx, true); err != nil { // the epoch may be over
			return err
		}
	}
	return nil
}

// askMarks asks all members until so many have answered, at most for recallFor, and returns how
// many have.
func (n *Node) askMarks(ctx context.Context, epoch Epoch, want int) int {
	ask := n.frame(&peerpb.Frame{Body: &peerpb.Frame_Status{Status: &peerpb.Status{Ask: n.question}}})
	deadline := time.NewTimer(recallFor)
	defer deadline.Stop()
	again := time.NewTicker(5 * tick)
	defer again.Stop()
	for {
		for _, da := range n.hearers(epoch) {
			n.send(da, ask)
		}
		for waiting := true; waiting; {
			if told := n.answeredBy(epoch); told >= want {
				return told
			}
			select {
			case <-ctx.Done():
				return n.answeredBy(epoch)
			case <-deadline.C:
				return n.answeredBy(epoch)
			case <-again.C:
				waiting = false
			case <-n.heard:
			}
		}
	}
}

// answeredBy counts the members that have answered what they know of this node's marks.
func (n *Node) answeredBy(epoch Epoch) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, da := range epoch.Order {
		if n.told[da] {
			count++
		}
	}
	return count
}

// older is an error if others know that this node has said more in an epoch than
// its log tells, or that it has been in a later one.
func (n *Node) older(epoch, said uint64) error {
	n.mu.Lock()
	own := n.own
	n.mu.Unlock()
	if !own.newer(mark{epoch: epoch, said: said}) {
		return nil
	}
	return fmt.Errorf("%w: an old one was put back: it tells of %d entries in epoch %d, and others know of %d in epoch %d",
		wal.ErrLost, said, epoch, own.said, own.epoch)
}
