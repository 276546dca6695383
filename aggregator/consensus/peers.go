package consensus

import (
	"errors"
	"sync"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// This file keeps what is known of the other members: how far they are, when they
// were heard, and what they did wrong.

// peerState is what is known of another DA.
type peerState struct {
	name string

	mu     sync.Mutex
	epoch  uint64
	height uint64
	heard  time.Time
	voted  time.Time
	// votedFor is the height that it said last that it had voted for.
	votedFor uint64
	refused  uint64
	mark     mark // the newest it sent
	kept     mark // the newest of those that are on disk

	// order keeps the frames of the peer in order while they are handed on. Whoever
	// has it may wait for room in the instance's queue, so nothing that empties the
	// queue may ask for it.
	order sync.Mutex
	held  []*peerpb.Frame
	bytes int

	reminded time.Time // of its mark
	withheld time.Time // when it last gave none of the blocks that it says it has
}

// A PeerStats is what a node knows of another member.
type PeerStats struct {
	// Height is that of its newest block, as it said last.
	Height uint64 `json:"height"`
	// Heard and Voted are when a frame and a vote of it last came; zero for never.
	Heard time.Time `json:"heard"`
	Voted time.Time `json:"voted"`
	// Refused counts what it sent against a rule.
	Refused uint64 `json:"refused"`
	// CutOff is until when nothing of it is looked at; zero if it is not cut off.
	CutOff time.Time `json:"cut_off"`
}

// Bounds of what is kept of peers while it is not their turn: frames of each, and
// bytes of all.
const (
	heldFrames = 1024
	heldBytes  = 64 << 20
)

func (ps *peerState) note(epoch, height uint64, now time.Time) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.epoch, ps.height, ps.heard = max(ps.epoch, epoch), max(ps.height, height), now
}

func (ps *peerState) claims() (epoch, height uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.epoch, ps.height
}

// hold keeps a frame, within bounds. Beyond them the newest are dropped: what
// follows a gap is of little use.
func (ps *peerState) hold(f *peerpb.Frame, most int) {
	size := proto.Size(f)
	if len(ps.held) >= heldFrames || ps.bytes+size > most {
		return
	}
	ps.held = append(ps.held, f)
	ps.bytes += size
}

// heldMost is how many bytes are held of one peer: its part of all, and room for a
// block in any case.
func (n *Node) heldMost() int {
	return max(heldBytes/max(1, len(*n.peers.Load())), 2*n.cfg.blockBytes())
}

// noteVote books that a member's vote came.
func (n *Node) noteVote(from string) {
	if ps := n.peer(from); ps != nil {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		ps.voted = time.Now()
	}
}

// noteVoted books that a member says that it has voted for a block: what the tree
// carries of it comes only as far as it is needed.
func (n *Node) noteVoted(ps *peerState, height uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if height > ps.votedFor {
		ps.votedFor, ps.voted = height, time.Now()
	}
}

// cutOff says whether a member is cut off.
func (n *Node) cutOff(from string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.conduct.Until(from, time.Now()).IsZero()
}

// refuse counts what a member sent against a rule. Who does so without end is cut
// off for a while.
func (n *Node) refuse(from string, err error) {
	var r *guard.Refusal
	rule := "other"
	if errors.As(err, &r) {
		rule = r.Rule
	}
	n.count.refused.Add(1)
	now := time.Now()
	n.mu.Lock()
	n.refused[rule]++
	first := n.refused[rule] == 1
	cut := n.conduct.Broke(from, rule, now)
	until := n.conduct.Until(from, now)
	n.mu.Unlock()
	if ps := n.peer(from); ps != nil {
		ps.mu.Lock()
		ps.refused++
		ps.mu.Unlock()
	}
	if first {
		n.log.Warn("refused a message", "from", from, "rule", rule, "err", err)
	}
	if cut {
		n.count.cutOffs.Add(1)
		n.log.Warn("member cut off: it breaks the rules again and again", "member", from, "rule", rule, "until", until)
	}
}

// faulty is how many members agreement bears.
func (c *Config) faulty() int { return wire.Faulty(len(c.App.Epoch().Order)) }

// blockBytes bounds an encoded block: the records, what each is wrapped in, and the
// header.
func (c *Config) blockBytes() int { return c.BatchBytes + 16*c.BatchRecords + 4096 }

func (n *Node) peerStats() map[string]PeerStats {
	epoch, _, _ := n.position()
	out := make(map[string]PeerStats, len(epoch.Order))
	now := time.Now()
	for _, id := range epoch.Order {
		ps := n.peer(id)
		if id == n.cfg.Self || ps == nil {
			continue
		}
		ps.mu.Lock()
		out[id] = PeerStats{Height: ps.height, Heard: ps.heard, Voted: ps.voted, Refused: ps.refused}
		ps.mu.Unlock()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, s := range out {
		s.CutOff = n.conduct.Until(id, now)
		out[id] = s
	}
	return out
}
