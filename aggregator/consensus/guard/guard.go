package guard

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// A Guard is what a node knows when something comes in. Methods do not change
// it.
type Guard struct {
	// ChainID binds every signature to the chain.
	ChainID [32]byte
	// Self is this node's DA id.
	Self string
	// Keys holds the public keys of all DAs of the chain: who is no member may tell how
	// far it is, and bring records.
	Keys map[string]ed25519.PublicKey
	// BlockBytes bounds an encoded block.
	BlockBytes int
	// Epoch is the number of the epoch the node is in, and Running says whether
	// its instance runs.
	Epoch   uint64
	Running bool
	// Order holds the epoch's members. The node id of Order[k] is k + 1.
	Order []string
	// View is the agreement view the node is in, Last the sequence of the newest
	// decision it has.
	View, Last uint64
	// Promised is the agreement view below which the node neither takes blocks
	// nor votes.
	Promised uint64
	// Held remembers signatures that hold, so that none is checked twice: the same
	// votes come in the view data of every member. Nil remembers nothing.
	Held seal.Memory
}

// An Action is what becomes of what came in.
type Action uint8

// The actions. The zero value is the safe one.
const (
	Refuse Action = iota // it breaks a rule: count it against the sender
	Take                 // hand it on
	Hold                 // keep it for the next epoch, or this one once it runs
	Drop                 // late, or too early to keep; honest members do that too
)

// A Ruling is the guard's answer.
type Ruling struct {
	Action Action
	// Refusal says which rule was broken, if the action is Refuse.
	Refusal Refusal
	// Check holds decisions that the library would store unseen. The application
	// has to verify them first.
	Check []Decision
}

// A Decision is a block with its votes, as view data carries it.
type Decision struct {
	Proposal *protos.Proposal
	Votes    []*protos.Signature
	Seq      uint64
}

// A Refusal names the rule that was broken.
type Refusal struct{ Rule, Detail string }

func (r *Refusal) Error() string { return r.Rule + ": " + r.Detail }

// ErrOutdated stands for Drop where an error is wanted.
var ErrOutdated = errors.New("of an earlier epoch or agreement view")

// Err is nil for Take and Hold, [ErrOutdated] for Drop, else the refusal.
func (r Ruling) Err() error {
	switch r.Action {
	case Take, Hold:
		return nil
	case Drop:
		return ErrOutdated
	}
	return &r.Refusal
}

// Refused makes a refusal.
func Refused(rule, format string, args ...any) *Refusal {
	return &Refusal{rule, fmt.Sprintf(format, args...)}
}

var (
	take = Ruling{Action: Take}
	hold = Ruling{Action: Hold}
	drop = Ruling{Action: Drop}
)

func refuse(rule, format string, args ...any) Ruling {
	return Ruling{Action: Refuse, Refusal: *Refused(rule, format, args...)}
}

// Bounds of what is taken.
const (
	maxViewsAhead = 1 << 16
	maxSeqsAhead  = 1 << 20
	maxMarkBytes  = 512
	// An honest leader's signature of a block has half of it. What the chain takes as
	// evidence is bounded, so no block may come with more.
	maxSealBytes  = 512
	maxRelayAhead = 16 // sequences; what is further ahead is caught up with
	digestLen     = 64
)

// Frame decodes a frame that the link got from a DA and sorts it by epoch.
// Records and statuses are of use in any epoch.
func (g Guard) Frame(from string, raw []byte) (*peerpb.Frame, Ruling) {
	if len(raw) > MaxFrameBytes {
		return nil, refuse("oversized", "frame of %d bytes", len(raw))
	}
	_, known := g.Keys[from]
	switch {
	case from == g.Self:
		return nil, refuse("own_sender", "a message in this node's own name")
	case !known:
		return nil, refuse("unknown_sender", "%q", from)
	}
	// Before anything is decoded: a frame may be as large as what it carries.
	kind, ok := kindOf(raw)
	if !ok {
		return nil, refuse("malformed", "frame of %d bytes without one body", len(raw))
	}
	if most := g.most(kind); len(raw) > most {
		return nil, refuse("oversized", "%s of %d bytes, at most %d", kind, len(raw), most)
	}
	f := &peerpb.Frame{}
	if err := proto.Unmarshal(raw, f); err != nil {
		return nil, refuse("malformed", "frame: %v", err)
	}
	switch {
	case f.GetSender() != from:
		return nil, refuse("forged_sender", "the link says %q, the frame %q", from, f.GetSender())
	case len(f.GetMark()) > maxMarkBytes || len(f.GetStatus().GetYours()) > maxMarkBytes:
		return nil, refuse("oversized", "mark of more than %d bytes", maxMarkBytes)
	}
	switch f.GetBody().(type) {
	case *peerpb.Frame_Status, *peerpb.Frame_Records:
		return f, take
	}
	switch {
	case f.GetEpoch() == g.Epoch && !slices.Contains(g.Order, from):
		return nil, refuse("non_member", "%q is no member of epoch %d", from, g.Epoch)
	case f.GetEpoch() == g.Epoch && g.Running:
		return f, take
	case f.GetEpoch() == g.Epoch || f.GetEpoch() == g.Epoch+1:
		return f, hold
	}
	return f, drop
}

// Message looks at one message of the library from the member with a node id.
func (g Guard) Message(sender uint64, m *protos.Message) Ruling {
	switch name := g.Name(sender); name {
	case "":
		return refuse("non_member", "node %d of %d", sender, len(g.Order))
	case g.Self:
		return refuse("own_sender", "a message in this node's own name")
	}
	switch c := m.GetContent().(type) {
	case *protos.Message_PrePrepare:
		return refuse("unsigned_block", "a pre-prepare outside the tree has no signature of its origin")
	case *protos.Message_Prepare:
		return g.vote(sender, c.Prepare.GetView(), c.Prepare.GetSeq(), c.Prepare.GetDigest(), 0)
	case *protos.Message_Commit:
		if signer := c.Commit.GetSignature().GetSigner(); signer != sender {
			return refuse("forged_vote", "commit of node %d signed by node %d", sender, signer)
		}
		return g.vote(sender, c.Commit.GetView(), c.Commit.GetSeq(), c.Commit.GetDigest(), wire.VoteRound(c.Commit.GetSignature().GetMsg()))
	case *protos.Message_ViewChange:
		if next := c.ViewChange.GetNextView(); next > g.View+maxViewsAhead {
			return refuse("view_ahead", "view change to %d in view %d", next, g.View)
		}
		return take
	case *protos.Message_ViewData:
		if signer := c.ViewData.GetSigner(); signer != sender {
			return refuse("view_data_signer", "node %d sent view data of node %d", sender, signer)
		}
		_, ruling := g.viewData(c.ViewData)
		return ruling
	case *protos.Message_NewView:
		return g.newView(sender, c.NewView)
	case *protos.Message_HeartBeat, *protos.Message_HeartBeatResponse, *protos.Message_StateTransferRequest, *protos.Message_StateTransferResponse:
		return take
	default:
		return refuse("unknown_message", "%T", c)
	}
}

// vote looks at a prepare or commit. The library verifies a commit's signature. A commit
// with a round is for a block of an earlier view, which the view of that number brings
// along. Who has been in another view since counts it all the same.
func (g Guard) vote(sender, view, seq uint64, digest string, round uint64) Ruling {
	if round > 0 && view >= round {
		return refuse("bad_vote", "view %d from node %d for a block of view %d", round, sender, view)
	}
	view = max(view, round)
	switch {
	case len(digest) != digestLen:
		return refuse("bad_vote", "digest of %d bytes from node %d", len(digest), sender)
	case view > g.View+maxViewsAhead || seq > g.Last+maxSeqsAhead:
		return refuse("vote_ahead", "view %d, sequence %d from node %d", view, seq, sender)
	case view < g.View || round > 0 && round == g.View:
		return drop
	}
	return take
}

// Name returns the member with a node id, or "".
func (g Guard) Name(id uint64) string {
	if id == 0 || id > uint64(len(g.Order)) {
		return ""
	}
	return g.Order[id-1]
}

// Leader returns the node id of an agreement view's leader.
func (g Guard) Leader(view uint64) uint64 { return view%uint64(len(g.Order)) + 1 }

// Quorum is how many members decide, as in the library.
func (g Guard) Quorum() int { return wire.Quorum(len(g.Order)) }
