package consensus

import (
	"context"
	"errors"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// This file pulls the blocks that did not come down the tree, and answers the
// pulls of others.

// want is a block that others have voted for and this node has not seen.
type want struct {
	voters []voter
	more   chan struct{}
}

type voter struct{ da, digest string }

// expectBlock notes from a vote that there is a block for a place; when it is
// not here a moment later, it is pulled from one who voted.
func (i *instance) expectBlock(sender uint64, m *protos.Message) {
	var view, seq uint64
	var digest string
	switch c := m.GetContent().(type) {
	case *protos.Message_Prepare:
		view, seq, digest = c.Prepare.GetView(), c.Prepare.GetSeq(), c.Prepare.GetDigest()
	case *protos.Message_Commit:
		view, seq, digest = c.Commit.GetView(), c.Commit.GetSeq(), c.Commit.GetDigest()
	default:
		return
	}
	i.expect(guard.Place{Epoch: i.epoch.Number, View: view, Seq: seq}, sender, digest)
}

// expect notes that a member has the block of a place.
func (i *instance) expect(at guard.Place, sender uint64, digest string) {
	last := i.last.Load()
	if at.View != i.view.Load() || at.Seq <= last || at.Seq > last+2 || i.leader(at.View) == i.self || sender == i.self || i.node.blocks.get(at) != nil {
		return
	}
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	w, ok := i.wants[at]
	if !ok {
		w = &want{more: make(chan struct{}, 1)}
		i.wants[at] = w
		i.work.run(func() { i.pull(at, w) })
	}
	for _, v := range w.voters {
		if v.da == i.name(sender) {
			return
		}
	}
	w.voters = append(w.voters, voter{i.name(sender), digest})
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// pull waits the delay out and then asks one voter after the other.
func (i *instance) pull(at guard.Place, w *want) {
	timer := time.NewTimer(i.node.cfg.PullDelay)
	defer timer.Stop()
	defer func() {
		i.keepMu.Lock()
		delete(i.wants, at)
		i.keepMu.Unlock()
	}()
	asked := 0
	for {
		select {
		case <-i.ctx.Done():
			return
		case <-timer.C:
		}
		for {
			if i.node.blocks.get(at) != nil || at.Seq <= i.last.Load() || at.View != i.view.Load() {
				return
			}
			i.keepMu.Lock()
			if asked >= len(w.voters) {
				i.keepMu.Unlock()
				break
			}
			v := w.voters[asked]
			i.keepMu.Unlock()
			asked++
			if err := i.pullFrom(at, v); err != nil && i.ctx.Err() == nil && !errors.Is(err, guard.ErrOutdated) {
				i.node.log.Debug("pull block", "seq", at.Seq, "from", v.da, "err", err)
			}
		}
		// All have been asked: go on when another votes, or ask again.
		timer.Reset(5 * i.node.cfg.PullDelay)
		select {
		case <-i.ctx.Done():
			return
		case <-w.more:
			timer.Reset(0)
		case <-timer.C:
			timer.Reset(0)
			asked = 0
		}
	}
}

func (i *instance) pullFrom(at guard.Place, v voter) error {
	ctx, cancel := context.WithTimeout(i.ctx, 150*time.Millisecond)
	defer cancel()
	r, err := i.node.cfg.Link.Pull(ctx, v.da, &peerpb.PullRequest{Epoch: at.Epoch, View: at.View, Seq: at.Seq, Digest: v.digest})
	if err != nil {
		return err
	}
	if err := i.takeRelay(v.da, r, v.digest); err != nil {
		var refused *guard.Refusal
		if errors.As(err, &refused) {
			i.node.refuse(v.da, err)
		}
		return err
	}
	return nil
}

var errNoBlock = errors.New("no such block")

// ServePull answers with a block that is on its way: a Pull handler for the
// link.
func (n *Node) ServePull(from string, ref *peerpb.PullRequest) (*peerpb.Relay, error) {
	b := n.blocks.get(guard.Place{Epoch: ref.GetEpoch(), View: ref.GetView(), Seq: ref.GetSeq()})
	if b == nil || b.digest != ref.GetDigest() {
		return nil, errNoBlock
	}
	return b.relay, nil
}
