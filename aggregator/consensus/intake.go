package consensus

import (
	"context"
	"errors"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/pool"
)

// This file takes in the records that other members hand over.

// queueRecords queues records of a peer for the check and does not wait: the link
// must not stand still for signature checks.
func (n *Node) queueRecords(from string, sealed [][]byte) {
	if len(sealed) > chunkRecords {
		n.refuse(from, guard.Refused("oversized", "%d records in a frame", len(sealed)))
		return
	}
	select {
	case n.intake <- incoming{from, sealed}:
	default:
		n.count.droppedIntake.Add(uint64(len(sealed)))
	}
}

// takeIn checks records of peers and keeps them.
func (n *Node) takeIn(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case in := <-n.intake:
			now := time.Now()
			for _, sealed := range in.sealed {
				if len(sealed) > n.cfg.RecordBytes {
					n.refuse(in.from, guard.Refused("oversized", "record of %d bytes", len(sealed)))
					continue
				}
				// After a change of leader, decided records often come again.
				// That is no fault of the sender.
				id, _, err := n.cfg.App.CheckRecord(sealed)
				if err != nil {
					continue
				}
				if err := n.pool.Add(id, sealed, false, now); errors.Is(err, pool.ErrBusy) {
					n.count.droppedIntake.Add(1)
				}
			}
		}
	}
}
