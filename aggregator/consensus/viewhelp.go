package consensus

import (
	"slices"
	"time"

	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// This file brings together members whose view changes are apart. The library
// moves one view at a time, and only when a quorum wishes for that very view;
// members that lost messages, or were restarted, would wish for different ones.

// helpEvery bounds the answers to one member's wish for a view, and how often
// this node is hurried on.
const helpEvery = 100 * time.Millisecond

// wishes are the views that others wished for last.
type wishes struct {
	view    map[uint64]uint64
	helped  map[uint64]time.Time
	hurried time.Time
}

// wished takes note of a member's wish for a view. A view that this node has
// come to before it wishes for again, to that member alone, which may have been
// cut off or down at the time.
func (i *instance) wished(sender uint64, vc *protos.ViewChange) {
	next, now := vc.GetNextView(), time.Now()
	view, promised := i.view.Load(), i.log.promised.Load()
	i.keepMu.Lock()
	same := i.wishes.view[sender] == next
	i.wishes.view[sender] = next
	help := next <= promised && !(same && now.Sub(i.wishes.helped[sender]) < helpEvery)
	if help {
		i.wishes.helped[sender] = now
	}
	i.keepMu.Unlock()
	if help {
		i.SendConsensus(sender, &protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: next}}})
	}
	at := max(view, i.log.changing.Load())
	if at >= i.target() {
		return
	}
	i.keepMu.Lock()
	hurry := now.Sub(i.wishes.hurried) >= helpEvery
	if hurry {
		i.wishes.hurried = now
	}
	i.keepMu.Unlock()
	if hurry {
		complain(i.bft, at)
	}
}

// target is the view this node is to come to without waiting: the one it has
// promised, or the highest that at least one honest member wishes for.
func (i *instance) target() uint64 {
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	var views []uint64
	for _, view := range i.wishes.view {
		views = append(views, view)
	}
	f := wire.Faulty(int(i.n()))
	slices.Sort(views)
	if len(views) <= f {
		return i.log.promised.Load()
	}
	return max(i.log.promised.Load(), views[len(views)-1-f])
}

// resume goes on with a view change that a restart broke off.
func (i *instance) resume() {
	if view := i.view.Load(); view < i.log.promised.Load() {
		complain(i.bft, view)
	}
}
