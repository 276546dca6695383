package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/peerpb"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
)

// This file is for a node that may not vote in an epoch. It follows, and asks by a
// record that the epoch ends: in the next one it votes. So the logs of some members
// may be lost one after the other in what was one epoch.

// logs keep what this node has said: wal.Dir.
type logs interface {
	Whole(epoch uint64) (bool, error)
	Open(log api.Logger, epoch, height uint64, entered bool) (wal.Log, [][]byte, error)
	Prepare(epoch uint64) error
	Lose(epoch uint64, why string) error
	Renew(epoch uint64) error
	Resumption() ([]byte, error)
	PastResumption() ([]byte, error)
	Resumed() error
	Marks() ([2]map[string][]byte, error)
	PutMarks(turn uint64, marks map[string][]byte) error
}

// askEvery is how often a node that follows asks for the end of the epoch, and
// looks for blocks that one peer alone may have.
const askEvery = time.Second

// follow takes over the blocks of others, without voting, until the epoch ends or
// the node may vote after all.
func (n *Node) follow(ctx context.Context, epoch Epoch, enough func() bool) error {
	poll := time.NewTicker(behindFor)
	defer poll.Stop()
	var asked time.Time
	for ctx.Err() == nil && !n.over(epoch) && !enough() {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
		case <-n.wakeUp:
		}
		ask := due(&asked, time.Now(), askEvery)
		if _, height := n.vouched(epoch); height > n.height.Load() || ask {
			if err := n.catchUp(ctx, n.known(epoch)); err != nil {
				return err
			}
		}
		if ask && !n.over(epoch) {
			n.askToRejoin(epoch)
		}
	}
	return nil
}

// askToRejoin sends the record to all: the leader alone might leave it out.
func (n *Node) askToRejoin(epoch Epoch) {
	sealed, err := n.cfg.App.Rejoin(epoch.Number)
	if err != nil {
		n.log.Debug("no end of the epoch asked for", "epoch", epoch.Number, "err", err)
		return
	}
	n.count.rejoins.Add(1)
	frame := n.frame(&peerpb.Frame{Epoch: epoch.Number, Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: [][]byte{sealed}}}})
	for _, da := range epoch.Order {
		n.send(da, frame)
	}
}

// mayNotVote says why this node follows in an epoch.
func (n *Node) mayNotVote(epoch Epoch, why error) {
	n.wholeIn.Store(0)
	n.log.Error("not voting in this epoch", "epoch", epoch.Number, "err", why)
	text := fmt.Sprintf("does not vote until epoch %d ends: %v", epoch.Number, why)
	n.following.Store(&text)
}

// openBook makes the vote book of the log. Where members take part again, it
// begins anew, and so does a log that was lost.
func (i *instance) openBook(lib api.Logger, last uint64, entered bool, r *Resumption) error {
	err := i.readBook(lib, entered)
	if err == nil {
		err = i.checkBook(last)
	}
	lost := errors.Is(err, wal.ErrLost)
	if r != nil && (lost || err == nil && i.log.book.Promised() < r.View) {
		if lost {
			err = i.renewBook(lib)
		}
		if err == nil {
			err = i.log.resume(r, i.epoch)
		}
		if err == nil {
			err = i.checkBook(last)
		}
	}
	if err == nil && r != nil {
		i.node.log.Warn("taking part again by the operators' word", "from", r.String())
		err = i.node.logs.Resumed()
	}
	if err != nil && i.log != nil {
		err = errors.Join(err, i.log.file.Close())
	}
	return err
}

func (i *instance) renewBook(lib api.Logger) error {
	if i.log != nil {
		if err := i.log.file.Close(); err != nil {
			return err
		}
		i.log = nil
	}
	if err := i.node.logs.Renew(i.epoch.Number); err != nil {
		return err
	}
	return i.readBook(lib, true)
}

// checkBook looks whether the book knows all that this node has said, as far as
// stored blocks and the other members can tell.
func (i *instance) checkBook(last uint64) error {
	if err := i.lookBack(last); err != nil {
		return err
	}
	return i.node.older(i.epoch.Number, i.log.book.Said())
}
