package consensus

import (
	"time"

	"fairwatt/proto/wire"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// The tests run in bubbles: time is the bubble's, and passes only while every
// goroutine waits for it or for another. A wait for a lock is none that the
// bubble knows of, so no one may hold a lock and wait for time. The library does
// in four places, and each is seen to here:
//
//   - It fetches blocks under a lock (Sync). The links of these tests answer such
//     questions at once.
//   - It asks the others for their state under the same lock, and waits for
//     answers. hasten gives it answers at once.
//   - It waits for two ticks of its clock under another lock, before it commits
//     a block in flight in a view change. hasten gives it both at once.
//   - It stops under a lock, while another goroutine of it wants the lock to take
//     itself apart, as it was told that the epoch ends. hasten lets the stop go first.
//
// hasten is told of the last three by the library's log.
type hasten struct {
	api.Logger
	ticks    chan time.Time
	answer   func()
	stopping <-chan struct{} // the node stops this instance
}

func (h hasten) Debugf(format string, args ...any) {
	h.Logger.Debugf(format, args...)
	switch format {
	case "Waiting two ticks before starting in-flight view":
		for range cap(h.ticks) {
			select {
			case h.ticks <- time.Now():
			default:
			}
		}
	case "Node %d started collecting state responses":
		go h.answer()
	case "Starting reconfig":
		<-h.stopping
		time.Sleep(time.Millisecond)
	}
}

// hastenLibrary puts hasten between the library and its clock.
func (c *cluster) hastenLibrary(bft *smart.Consensus) {
	ticks, clock := make(chan time.Time, 2), bft.ViewChangerTicker
	bft.ViewChangerTicker = ticks
	bft.Logger = hasten{bft.Logger, ticks, func() { c.answerState(bft) }, bft.Comm.(*instance).ctx.Done()}
	c.helpers.Go(func() {
		for {
			select {
			case <-c.done:
				return
			case now := <-clock:
				select {
				case ticks <- now:
				default: // a ticker drops what no one takes, too
				}
			}
		}
	})
}

// answerState answers a question for the state for f + 1 members: with what all
// that can be reached have, or with nothing if too few can be.
func (c *cluster) answerState(bft *smart.Consensus) {
	var view, seq uint64
	self, epoch, up := bft.Config.SelfID, bft.Comm.(*instance).epoch.Number, 0
	if !c.cut.Load() {
		for id, name := range bft.Comm.(*instance).epoch.Order {
			n := c.node(name)
			if n == nil || uint64(id+1) == self || c.evil[name] {
				continue
			}
			i := n.instance()
			if i == nil || i.epoch.Number != epoch {
				continue
			}
			if v, s := i.view.Load(), i.last.Load()+1; up == 0 || v < view || v == view && s < seq {
				view, seq = v, s
			}
			up++
		}
	}
	faulty := wire.Faulty(len(c.names))
	if up <= faulty {
		view, seq = 0, 0
	}
	for id := uint64(1); id <= uint64(faulty)+2; id++ {
		if id != self {
			bft.HandleMessage(id, &protos.Message{Content: &protos.Message_StateTransferResponse{
				StateTransferResponse: &protos.StateTransferResponse{ViewNum: view, Sequence: seq},
			}})
		}
	}
}

func (c *cluster) partition(groups ...[]string) {
	c.cut.Store(true)
	c.net.Partition(groups...)
}

func (c *cluster) heal() {
	c.net.Heal()
	c.cut.Store(false)
}
