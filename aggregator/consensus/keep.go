package consensus

import (
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// This file keeps messages and own votes, and processes or sends them again
// after a stall.

// keptKey is one sender's message of one kind for one place.
type keptKey struct {
	sender, view, seq uint64
	kind              uint8
	round             uint64 // of a commit
}

// keptMessages bounds the kept messages, in all.
const keptMessages = 4096

// keep remembers a message of an undecided sequence. It is processed again if
// the library was in no state to take it: the library discards the first messages
// of a new leader while it still writes down the new view, and they are not sent
// again.
func (i *instance) keep(sender uint64, m *protos.Message) {
	view, ok := messageView(m)
	if !ok {
		return
	}
	key := keptKey{sender: sender, view: view, seq: messageSeq(m)}
	switch {
	case m.GetPrepare() != nil:
		key.kind = 1
	case m.GetCommit() != nil:
		key.kind, key.round = 2, wire.VoteRound(m.GetCommit().GetSignature().GetMsg())
	}
	last := i.last.Load()
	if key.seq <= last || key.seq > last+2 || view > i.view.Load()+i.n() {
		return
	}
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	if _, have := i.kept[key]; !have && len(i.kept) < keptMessages {
		i.kept[key] = m
	}
}

// forget drops what is kept of decided sequences.
func (i *instance) forget(seq uint64) {
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	for key := range i.kept {
		if key.seq <= seq {
			delete(i.kept, key)
		}
	}
}

// again processes the kept messages of the current view once more, blocks first,
// and sends the own votes to all that are older than stall; those too for a block that
// the view to come brings along. A block that has just begun
// after a time without any is not late.
func (i *instance) again(resend bool, stall time.Duration) {
	view, last := i.view.Load(), i.last.Load()
	var feed [3][]keptKey
	i.keepMu.Lock()
	msgs := make(map[keptKey]*protos.Message)
	for key, m := range i.kept {
		if (key.view == view || key.round > view) && key.seq > last {
			feed[key.kind] = append(feed[key.kind], key)
			msgs[key] = m
		}
	}
	i.keepMu.Unlock()
	for _, keys := range feed {
		for _, key := range keys {
			i.node.count.reinjected.Add(1)
			i.feed(key.sender, msgs[key])
		}
	}
	if !resend {
		return
	}
	i.sendMu.Lock()
	var own []*protos.Message
	for at, v := range i.votes {
		round := wire.VoteRound(v.msg.GetCommit().GetSignature().GetMsg())
		if (at.view == view || round > view) && at.seq > last && time.Since(v.at) >= stall {
			own = append(own, v.msg)
		}
	}
	i.sendMu.Unlock()
	if len(own) == 0 {
		return
	}
	i.bundles.failed(last + 1)
	for _, m := range own {
		for id := uint64(1); id <= i.n(); id++ {
			if id != i.self {
				i.sendTo(id, m)
			}
		}
	}
	i.node.resendBlock(i, view, last+1)
}

// resendBlock sends a block of this node straight to all members when no votes
// come. It may have been lost in the tree.
func (n *Node) resendBlock(i *instance, view, seq uint64) {
	if i.leader(view) != i.self {
		return
	}
	b := n.blocks.get(guard.Place{Epoch: i.epoch.Number, View: view, Seq: seq})
	if b == nil {
		return
	}
	frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Mark: i.mark(), Body: &peerpb.Frame_Relay{Relay: b.relay}})
	for _, da := range i.epoch.Order {
		n.send(da, frame)
	}
}
