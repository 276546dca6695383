package consensus

import (
	"fmt"

	"fairwatt/aggregator/consensus/book"
	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// This file ends a standstill of the library. A leader that gives one block to most
// members and another to one can bring it about: most have prepared the first and do
// not decide it, since the leader falls silent. In the view changes that follow, the
// library counts the member with the other block against the first, although that
// one is not prepared. Neither block then has a quorum, in any view.
//
// So a member that has not prepared its block leaves it out of its view data once
// others have told of another one: more of them than can be faulty, one of them as
// prepared. That is safe. A block that is decided anywhere was prepared by more
// honest members than can be faulty, who go on telling of it; who has not prepared
// it says nothing that a decision rests on.

// The next leader brings another about by two new views that differ in its own word: one
// brings a block, and who is shown it votes; one brings none, and who is shown that gives the
// block up. Then too few tell of the block for it to be brought again. And who voted tells of
// it as prepared, so it is not passed over either.
//
// So a member that has nothing under way tells of the block that a new view brought, as not
// prepared, once it has seen that new view. That is safe: what a decision rests on is what
// members have prepared, and of that nothing is left out or added. Where another block was
// decided, more honest members than can be faulty tell of that as prepared, against this one.

// told is what a member said last of a block under way.
type told struct {
	seq      uint64
	digest   string
	prepared bool
}

// underWay is the block under way of view data, if there is one.
func underWay(vd *protos.ViewData) (told, bool) {
	p := vd.GetInFlightProposal()
	if p == nil {
		return told{}, false
	}
	md, err := guard.Metadata(p.GetMetadata())
	if err != nil {
		return told{}, false
	}
	return told{md.GetLatestSequence(), book.Digest(p), vd.GetInFlightPrepared()}, true
}

// noteViewData keeps what a member tells of its block under way. The guard has
// looked at it.
func (i *instance) noteViewData(sender uint64, svd *protos.SignedViewData) {
	vd := &protos.ViewData{}
	if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
		return // the guard refuses such
	}
	t, ok := underWay(vd)
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	if ok {
		i.told[sender] = t
	} else {
		delete(i.told, sender)
	}
}

// yields tells whether own view data is to leave its block out.
func (i *instance) yields(own told) bool {
	if own.prepared {
		return false
	}
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	members, prepared := make(map[string]int), make(map[string]bool)
	for _, t := range i.told {
		if t.seq == own.seq && t.digest != own.digest {
			members[t.digest]++
			prepared[t.digest] = prepared[t.digest] || t.prepared
		}
	}
	for digest, n := range members {
		if n > wire.Faulty(int(i.n())) && prepared[digest] {
			return true
		}
	}
	return false
}

// noteBrings keeps the block that a new view brings, of the newest such view. It was checked.
func (i *instance) noteBrings(p guard.Proof) {
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	if p.Brings != nil && (p.Seq > i.brings.Seq || p.Seq == i.brings.Seq && p.View > i.brings.View) {
		i.brings = p
	}
}

// vouching is own view data that tells of no block, with the one for the next sequence that an
// earlier view brought, else as it is.
func (i *instance) vouching(m *protos.Message, vd *protos.ViewData) *protos.Message {
	last, err := guard.Metadata(vd.GetLastDecision().GetMetadata())
	i.keepMu.Lock()
	p := i.brings
	i.keepMu.Unlock()
	if err != nil || p.Brings == nil || p.Seq != last.GetLatestSequence()+1 || p.View >= vd.GetNextView() ||
		i.yields(told{seq: p.Seq, digest: book.Digest(p.Brings)}) {
		return m
	}
	vd.InFlightProposal, vd.InFlightPrepared = p.Brings, false
	raw, err := proto.Marshal(vd)
	if err != nil {
		i.fault(fmt.Errorf("encode own view data: %w", err))
		return m
	}
	i.node.log.Info("tells of a block that a new view brought", "view", vd.GetNextView(), "seq", p.Seq)
	return &protos.Message{Content: &protos.Message_ViewData{ViewData: &protos.SignedViewData{
		RawViewData: raw, Signer: i.self, Signature: i.signViewData(raw),
	}}}
}

// yielding is own view data as it is to be sent: without a block that this node
// gives up for another one, else as it is.
func (i *instance) yielding(m *protos.Message) *protos.Message {
	svd, vd := m.GetViewData(), &protos.ViewData{}
	if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
		i.fault(fmt.Errorf("decode own view data: %w", err))
		return m
	}
	own, ok := underWay(vd)
	if !ok {
		return i.vouching(m, vd)
	}
	if !i.yields(own) {
		return m
	}
	vd.InFlightProposal = nil
	raw, err := proto.Marshal(vd)
	if err == nil {
		err = i.log.promise(vd) // the book may know of a vote all the same
	}
	if err != nil {
		i.node.log.Warn("keeps a block that others contradict", "view", vd.GetNextView(), "seq", own.seq, "err", err)
		return m
	}
	i.node.log.Info("leaves out a block that others contradict", "view", vd.GetNextView(), "seq", own.seq)
	return &protos.Message{Content: &protos.Message_ViewData{ViewData: &protos.SignedViewData{
		RawViewData: raw, Signer: svd.GetSigner(), Signature: i.signViewData(raw),
	}}}
}
