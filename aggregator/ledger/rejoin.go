package ledger

import (
	"encoding/binary"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// RejoinBlocks is how many blocks lie at least between two rejoins of one data
// aggregator. A faulty one must not be able to end every epoch.
const RejoinBlocks = 100

// rejoin ends the epoch at this block: a data aggregator that may not vote in it,
// because it does not know all that it has said, votes in the next.
func (x *execution) rejoin(da string, r *fairwattpb.Rejoin) *Refusal {
	if r.Epoch != x.meta.Epoch {
		return refuse(wire.CodeEpochOver, "epoch: %d, the present one is %d", r.Epoch, x.meta.Epoch)
	}
	height := x.state.meta.Height + 1
	b, ok := x.bytes(keyRejoin + da)
	if next, err := nextRejoin(b, ok); err != nil {
		x.fail(keyRejoin+da, err)
	} else if height < next {
		return refuse(wire.CodeTooSoon, "%q may rejoin from block %d on, this is block %d", da, next, height)
	}
	x.putBytes(keyRejoin+da, binary.BigEndian.AppendUint64(nil, height))
	x.join(da)
	x.endsEpoch = true
	return nil
}

// nextRejoin is the first height that may hold a rejoin again.
func nextRejoin(b []byte, ok bool) (uint64, error) {
	switch {
	case !ok:
		return 0, nil
	case len(b) != 8:
		return 0, fmt.Errorf("height of %d bytes, want 8", len(b))
	}
	return binary.BigEndian.Uint64(b) + RejoinBlocks, nil
}

// Rejoining tells a data aggregator that wants to rejoin the counter for its
// record, and from what height on the chain takes it.
func (s *State) Rejoining(da string) (counter, from uint64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if from, err = nextRejoin(s.tree.get(keyRejoin + da)); err != nil {
		return 0, 0, fmt.Errorf("state entry %q: %w", keyRejoin+da, err)
	}
	var w seal.Window
	if w, err = decodeWindow(s.tree.get(keyWindow + da)); err != nil {
		return 0, 0, fmt.Errorf("state entry %q: %w", keyWindow+da, err)
	}
	return w.Last() + 1, from, nil
}
