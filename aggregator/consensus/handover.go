package consensus

import (
	"time"

	"fairwatt/aggregator/consensus/pool"
	"fairwatt/proto/peerpb"
)

// This file hands pending records over: to the leader, and to all members where
// the leader does not decide them.

// dispatch hands pending records over: to the library when this node leads,
// else to the leader.
func (i *instance) dispatch() {
	n := i.node
	retry := time.NewTicker(5 * tick)
	defer retry.Stop()
	for {
		select {
		case <-i.ctx.Done():
			return
		case <-n.pool.Wake():
		case <-retry.C:
		}
		for i.ctx.Err() == nil {
			view := i.view.Load()
			rs, again := n.pool.Take(pool.Term{Epoch: i.epoch.Number, View: view, Leader: i.name(i.leader(view))}, i.leader(view) == i.self, 4*chunkRecords, time.Now())
			n.count.resubmitted.Add(uint64(again))
			if len(rs) == 0 || !i.handOver(rs) {
				break
			}
		}
	}
}

// handOver gives records to the leader; false when there is no room there now.
func (i *instance) handOver(rs []*pool.Record) bool {
	n, view := i.node, i.view.Load()
	if leader := i.leader(view); leader != i.self {
		sealed := make([][]byte, len(rs))
		for k, r := range rs {
			sealed[k] = r.Sealed
		}
		for _, part := range chunks(sealed) {
			n.send(i.name(leader), n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: part}}}))
		}
		return true
	}
	for k, r := range rs {
		if i.ctx.Err() != nil {
			return false
		}
		if err := i.bft.SubmitRequest(r.Sealed); err != nil && !alreadyKnown(err) {
			n.pool.PutBack(rs[k:])
			return false
		}
	}
	return true
}

// shareRecords is how many records at a time go to all DAs.
const shareRecords = 64

// shareRecords sends records to all DAs.
func (n *Node) shareRecords(i *instance, rs []*pool.Record) {
	sealed := make([][]byte, len(rs))
	for k, r := range rs {
		sealed[k] = r.Sealed
	}
	for _, part := range chunks(sealed) {
		frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: part}}})
		for _, da := range i.epoch.Order {
			n.send(da, frame)
		}
	}
}

// Bounds of one frame of records.
const (
	chunkRecords = 128
	chunkBytes   = 512 << 10
)

func chunks(sealed [][]byte) [][][]byte {
	var out [][][]byte
	size, from := 0, 0
	for k, s := range sealed {
		if k > from && (k-from == chunkRecords || size+len(s) > chunkBytes) {
			out = append(out, sealed[from:k])
			from, size = k, 0
		}
		size += len(s)
	}
	if from < len(sealed) {
		out = append(out, sealed[from:])
	}
	return out
}
