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

// yielding is own view data as it is to be sent: without a block that this node
// gives up for another one, else as it is.
func (i *instance) yielding(m *protos.Message) *protos.Message {
	svd, vd := m.GetViewData(), &protos.ViewData{}
	if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
		i.fault(fmt.Errorf("decode own view data: %w", err))
		return m
	}
	own, ok := underWay(vd)
	if !ok || !i.yields(own) {
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
