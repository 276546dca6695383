package consensus

import (
	"errors"
	"fmt"

	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// The guard stands before everything that comes in from other DAs. SmartBFT
// trusts its callers in places where a Byzantine member can profit; here is
// decided what it gets to see.

// A verdict says what becomes of a frame.
type verdict uint8

const (
	verdictNow  verdict = iota // for the running instance
	verdictHold                // for the next epoch, or this one once it runs
	verdictDrop                // of an earlier epoch, or too far ahead to keep
)

// A refusal names the rule of the guard that a message broke.
type refusal struct{ rule, detail string }

func (r *refusal) Error() string { return r.rule + ": " + r.detail }

func refuse(rule, format string, args ...any) error {
	return &refusal{rule, fmt.Sprintf(format, args...)}
}

// guard is the two questions asked of whatever comes in, as values: tests
// replace them to show that each attack works without them.
type guard struct {
	// frame decides who sent a frame and what becomes of it.
	frame func(n *Node, from string, f *peerpb.Frame) (sender string, v verdict, err error)
	// message decides whether the library may see a message.
	message func(i *instance, sender uint64, m *protos.Message) error
}

var strictGuard = guard{frame: admitFrame, message: admitMessage}

// admitFrame takes the sender from the link, which has proved it, refuses what
// claims to come from somebody else or from this node itself, and sorts by
// epoch.
func admitFrame(n *Node, from string, f *peerpb.Frame) (string, verdict, error) {
	switch {
	case from == n.cfg.Self:
		return "", verdictDrop, refuse("own_sender", "a message in this node's own name")
	case n.peers[from] == nil:
		return "", verdictDrop, refuse("unknown_sender", "%q", from)
	case f.GetSender() != from:
		return "", verdictDrop, refuse("forged_sender", "the link says %q, the frame %q", from, f.GetSender())
	}
	epoch, running := n.running()
	switch {
	case f.GetEpoch() == epoch && running:
		return from, verdictNow, nil
	case f.GetEpoch() == epoch || f.GetEpoch() == epoch+1:
		return from, verdictHold, nil
	}
	return from, verdictDrop, nil
}

// admitMessage looks at one message of the library from a member.
func admitMessage(i *instance, sender uint64, m *protos.Message) error {
	if sender == i.self {
		return refuse("own_sender", "a message in this node's own name")
	}
	if sender == 0 || sender > i.n() {
		return refuse("non_member", "node %d of %d", sender, i.n())
	}
	switch c := m.GetContent().(type) {
	case *protos.Message_PrePrepare:
		return refuse("unsigned_block", "a pre-prepare outside the tree has no signature of its origin")
	case *protos.Message_Prepare:
		return i.admitVote(sender, c.Prepare.GetView(), c.Prepare.GetSeq(), c.Prepare.GetDigest())
	case *protos.Message_Commit:
		if c.Commit.GetSignature().GetSigner() != sender {
			return refuse("forged_vote", "commit of node %d signed by node %d", sender, c.Commit.GetSignature().GetSigner())
		}
		return i.admitVote(sender, c.Commit.GetView(), c.Commit.GetSeq(), c.Commit.GetDigest())
	case *protos.Message_ViewChange:
		if c.ViewChange.GetNextView() > i.view.Load()+maxViewsAhead {
			return refuse("view_ahead", "view change to %d in view %d", c.ViewChange.GetNextView(), i.view.Load())
		}
		return nil
	case *protos.Message_ViewData:
		_, err := i.admitViewData(c.ViewData, sender)
		return err
	case *protos.Message_NewView:
		return i.admitNewView(sender, c.NewView)
	case *protos.Message_HeartBeat, *protos.Message_HeartBeatResponse, *protos.Message_StateTransferRequest, *protos.Message_StateTransferResponse:
		return nil
	default:
		return refuse("unknown_message", "%T", c)
	}
}

const (
	// maxViewsAhead and maxSeqsAhead bound what is kept of the future.
	maxViewsAhead = 1 << 16
	maxSeqsAhead  = 1 << 20
	digestLen     = 64
)

// errOutdated is not a refusal: honest members are sometimes late.
var errOutdated = errors.New("of an earlier view")

func (i *instance) admitVote(sender, view, seq uint64, digest string) error {
	switch {
	case len(digest) != digestLen:
		return refuse("bad_vote", "digest of %d bytes from node %d", len(digest), sender)
	case view > i.view.Load()+maxViewsAhead || seq > i.last.Load()+maxSeqsAhead:
		return refuse("vote_ahead", "view %d, sequence %d from node %d", view, seq, sender)
	case view < i.view.Load():
		return errOutdated
	}
	return nil
}

// admitViewData demands what the library only sometimes does: that the named
// signer is a member and signed exactly these bytes, and that a last decision
// carries its quorum of votes.
func (i *instance) admitViewData(svd *protos.SignedViewData, sender uint64) (*protos.ViewData, error) {
	if sender != 0 && svd.GetSigner() != sender {
		return nil, refuse("view_data_signer", "node %d sent view data of node %d", sender, svd.GetSigner())
	}
	if err := i.verifySigned(svd.GetSigner(), svd.GetRawViewData(), svd.GetSignature()); err != nil {
		return nil, refuse("view_data_signature", "%v", err)
	}
	vd := &protos.ViewData{}
	if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
		return nil, refuse("view_data_malformed", "%v", err)
	}
	if vd.GetLastDecision() == nil {
		return nil, refuse("view_data_decision", "node %d names no last decision", svd.GetSigner())
	}
	if err := i.admitDecision(vd); err != nil {
		return nil, err
	}
	if p := vd.GetInFlightProposal(); p != nil {
		if _, err := viewMetadata(p.GetMetadata()); err != nil || len(p.GetMetadata()) == 0 {
			return nil, refuse("view_data_in_flight", "metadata of node %d", svd.GetSigner())
		}
	}
	return vd, nil
}

func (i *instance) admitDecision(vd *protos.ViewData) error {
	p := vd.GetLastDecision()
	if len(p.GetMetadata()) == 0 {
		return nil // nothing decided yet
	}
	md, err := viewMetadata(p.GetMetadata())
	if err != nil {
		return refuse("view_data_decision", "%v", err)
	}
	votes := make(map[uint64]bool)
	for _, s := range vd.GetLastDecisionSignatures() {
		if votes[s.GetSigner()] {
			continue
		}
		if err := i.verifyVote(s.GetSigner(), p.GetHeader(), p.GetMetadata(), s.GetMsg(), s.GetValue()); err != nil {
			return refuse("view_data_decision", "%v", err)
		}
		votes[s.GetSigner()] = true
	}
	if len(votes) < i.quorum() {
		return refuse("view_data_decision", "%d votes for sequence %d, the quorum is %d", len(votes), md.GetLatestSequence(), i.quorum())
	}
	// The library will store a decision one ahead of ours as it is.
	if md.GetLatestSequence() == i.last.Load()+1 {
		return i.admitBlock(p, vd.GetLastDecisionSignatures(), md.GetLatestSequence())
	}
	return nil
}

// admitNewView demands a quorum of distinct members, every entry signed, all
// for one view, and that the sender leads it.
func (i *instance) admitNewView(sender uint64, nv *protos.NewView) error {
	entries := nv.GetSignedViewData()
	if len(entries) > int(i.n()) {
		return refuse("new_view_entries", "%d entries of %d members", len(entries), i.n())
	}
	signers := make(map[uint64]bool)
	var view uint64
	for k, svd := range entries {
		vd, err := i.admitViewData(svd, 0)
		if err != nil {
			return err
		}
		if k > 0 && vd.GetNextView() != view {
			return refuse("new_view_entries", "for views %d and %d", view, vd.GetNextView())
		}
		view = vd.GetNextView()
		if signers[svd.GetSigner()] {
			return refuse("new_view_entries", "node %d twice", svd.GetSigner())
		}
		signers[svd.GetSigner()] = true
	}
	if len(signers) < i.quorum() {
		return refuse("new_view_quorum", "%d members, the quorum is %d", len(signers), i.quorum())
	}
	if leader := i.leader(view); leader != sender {
		return refuse("new_view_leader", "view %d is led by node %d, not node %d", view, leader, sender)
	}
	return nil
}

func viewMetadata(raw []byte) (*protos.ViewMetadata, error) {
	md := &protos.ViewMetadata{}
	if err := proto.Unmarshal(raw, md); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return md, nil
}
