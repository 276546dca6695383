package guard

import (
	"fmt"

	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// viewData demands what the library only sometimes does: that the named signer
// is a member and signed exactly these bytes, and that a last decision carries
// its quorum of votes.
func (g Guard) viewData(svd *protos.SignedViewData) (*protos.ViewData, Ruling) {
	if err := g.VerifyViewData(svd.GetSigner(), svd.GetRawViewData(), svd.GetSignature()); err != nil {
		return nil, refuse("view_data_signature", "%v", err)
	}
	vd := &protos.ViewData{}
	if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
		return nil, refuse("view_data_malformed", "%v", err)
	}
	if vd.GetLastDecision() == nil {
		return nil, refuse("view_data_decision", "node %d names no last decision", svd.GetSigner())
	}
	ruling := g.decision(vd)
	if ruling.Action != Take {
		return nil, ruling
	}
	if p := vd.GetInFlightProposal(); p != nil {
		if _, err := Metadata(p.GetMetadata()); err != nil || len(p.GetMetadata()) == 0 {
			return nil, refuse("view_data_in_flight", "metadata of node %d", svd.GetSigner())
		}
	}
	return vd, ruling
}

// decision looks at the votes for the last decision in view data.
func (g Guard) decision(vd *protos.ViewData) Ruling {
	p := vd.GetLastDecision()
	if len(p.GetMetadata()) == 0 {
		return take // nothing decided yet
	}
	md, err := Metadata(p.GetMetadata())
	if err != nil {
		return refuse("view_data_decision", "%v", err)
	}
	votes, auxes := make(map[uint64]bool), make([][]byte, 0, len(vd.GetLastDecisionSignatures()))
	for _, s := range vd.GetLastDecisionSignatures() {
		if votes[s.GetSigner()] {
			continue
		}
		if err := g.VerifyVote(s.GetSigner(), p.GetHeader(), p.GetMetadata(), s.GetMsg(), s.GetValue()); err != nil {
			return refuse("view_data_decision", "%v", err)
		}
		votes[s.GetSigner()], auxes = true, append(auxes, s.GetMsg())
	}
	if !wire.OneRound(auxes) {
		return refuse("view_data_decision", "the votes for sequence %d are of several rounds", md.GetLatestSequence())
	}
	if len(votes) < g.Quorum() {
		return refuse("view_data_decision", "%d votes for sequence %d, the quorum is %d", len(votes), md.GetLatestSequence(), g.Quorum())
	}
	// The library will store a decision one ahead of ours as it is.
	if seq := md.GetLatestSequence(); seq == g.Last+1 {
		return Ruling{Action: Take, Check: []Decision{{Proposal: p, Votes: vd.GetLastDecisionSignatures(), Seq: seq}}}
	}
	return take
}

// newView demands a quorum of distinct members, every entry signed, all for one
// view, and that the sender leads it.
func (g Guard) newView(sender uint64, nv *protos.NewView) Ruling {
	entries := nv.GetSignedViewData()
	if len(entries) > len(g.Order) {
		return refuse("new_view_entries", "%d entries of %d members", len(entries), len(g.Order))
	}
	out := take
	signers := make(map[uint64]bool)
	var view, newest uint64
	for k, svd := range entries {
		vd, ruling := g.viewData(svd)
		if ruling.Action != Take {
			return ruling
		}
		if k > 0 && vd.GetNextView() != view {
			return refuse("new_view_entries", "for views %d and %d", view, vd.GetNextView())
		}
		view = vd.GetNextView()
		if md, err := Metadata(vd.GetLastDecision().GetMetadata()); err == nil { // checked above
			newest = max(newest, md.GetLatestSequence())
		}
		if signers[svd.GetSigner()] {
			return refuse("new_view_entries", "node %d twice", svd.GetSigner())
		}
		signers[svd.GetSigner()] = true
		out.Check = append(out.Check, ruling.Check...)
	}
	if len(signers) < g.Quorum() {
		return refuse("new_view_quorum", "%d members, the quorum is %d", len(signers), g.Quorum())
	}
	if leader := g.Leader(view); leader != sender {
		return refuse("new_view_leader", "view %d is led by node %d, not node %d", view, leader, sender)
	}
	// A second new view for the view that the node is in would make it vote for
	// what the first one did not bring; one below a promise, to break that.
	if view <= g.View || view < g.Promised {
		return drop
	}
	// One that comes late may bring a block that was decided long ago. The library
	// finds that impossible and ends. The node gets into the view by the votes of
	// the others there.
	if newest < g.Last {
		return drop
	}
	return out
}

// A Proof is what a new view proves of the views below it: that no block but the
// one it brings was decided there for a sequence, and none at all if it brings none.
type Proof struct {
	View, Seq uint64
	Brings    *protos.Proposal
}

// Prove looks at a new view that may come from anyone. Its entries prove by
// themselves what [Guard.Conclude] finds: a quorum of members has given up all views
// below, and has told what it voted for last.
func (g Guard) Prove(nv *protos.NewView) (Proof, error) {
	if n := len(nv.GetSignedViewData()); n > len(g.Order) {
		return Proof{}, Refused("new_view_entries", "%d entries of %d members", n, len(g.Order))
	}
	for _, svd := range nv.GetSignedViewData() {
		if _, ruling := g.viewData(svd); ruling.Action != Take {
			return Proof{}, ruling.Err()
		}
	}
	return g.Conclude(nv)
}

// Conclude says what a new view proves whose entries were checked one by one.
func (g Guard) Conclude(nv *protos.NewView) (Proof, error) {
	var p Proof
	var told []*protos.ViewData
	signers := make(map[uint64]bool)
	for k, svd := range nv.GetSignedViewData() {
		vd := &protos.ViewData{}
		if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
			return p, Refused("view_data_malformed", "%v", err)
		}
		if k > 0 && vd.GetNextView() != p.View {
			return p, Refused("new_view_entries", "for views %d and %d", p.View, vd.GetNextView())
		}
		if signers[svd.GetSigner()] {
			return p, Refused("new_view_entries", "node %d twice", svd.GetSigner())
		}
		signers[svd.GetSigner()], p.View = true, vd.GetNextView()
		md, err := Metadata(vd.GetLastDecision().GetMetadata())
		if err != nil {
			return p, Refused("view_data_decision", "%v", err)
		}
		p.Seq, told = max(p.Seq, md.GetLatestSequence()+1), append(told, vd)
	}
	if len(signers) < g.Quorum() {
		return p, Refused("new_view_quorum", "%d members, the quorum is %d", len(signers), g.Quorum())
	}
	brings, ok := g.inFlight(told, p.Seq)
	if !ok {
		return p, Refused("new_view_undecided", "the entries for view %d leave open what was decided for sequence %d", p.View, p.Seq)
	}
	p.Brings = brings
	return p, nil
}

// inFlight is the library's CheckInFlight: the block that a quorum does not speak
// against and f + 1 have taken; none, if a quorum has voted for none.
func (g Guard) inFlight(told []*protos.ViewData, seq uint64) (brings *protos.Proposal, ok bool) {
	at := make([]*protos.Proposal, len(told)) // of the sequence; nil: nothing is told of it
	none := 0
	for k, vd := range told {
		if md, err := Metadata(vd.GetInFlightProposal().GetMetadata()); err == nil && vd.GetInFlightProposal() != nil && md.GetLatestSequence() == seq {
			at[k] = vd.GetInFlightProposal()
		}
		if at[k] == nil || !vd.GetInFlightPrepared() {
			none++
		}
	}
	for k, vd := range told {
		if at[k] == nil || !vd.GetInFlightPrepared() {
			continue
		}
		taken, against := 0, 0
		for _, other := range at {
			switch {
			case other == nil:
			case proto.Equal(other, at[k]):
				taken++
			default:
				against++
			}
		}
		if taken > wire.Faulty(len(g.Order)) && len(told)-against >= g.Quorum() {
			return at[k], true
		}
	}
	return nil, none >= g.Quorum()
}

// Metadata decodes what a proposal says of its place in the agreement.
func Metadata(raw []byte) (*protos.ViewMetadata, error) {
	md := &protos.ViewMetadata{}
	if err := proto.Unmarshal(raw, md); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return md, nil
}
