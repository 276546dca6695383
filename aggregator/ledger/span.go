package ledger

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// This file lets an epoch end by time too, where the genesis says so. A community that
// makes few blocks would else keep its tree, its leader and what waits for the next
// epoch for weeks. The end is a deadline like others: who leads asks for a block when
// it has come and no record makes one.

// firstSpan are the entries that say when the first epoch ends.
func (g *Genesis) firstSpan() []Entry {
	if g.Params.EpochMs == 0 {
		return nil
	}
	ends := g.CreatedMs + g.Params.EpochMs
	return []Entry{
		{[]byte(keyEpochEnds), binary.BigEndian.AppendUint64(nil, uint64(ends))},
		{[]byte(deadlineKey(ends, dueEpoch, "1")), nil},
	}
}

// nextSpan says when the epoch that begins behind this block ends. The end of the one
// before is lifted where its blocks ended it first.
func (x *execution) nextSpan() {
	if x.params.EpochMs == 0 {
		return
	}
	ends, err := spanEnds(x.bytes(keyEpochEnds))
	if err != nil {
		x.fail(keyEpochEnds, err)
		return
	}
	x.remove(deadlineKey(ends, dueEpoch, strconv.FormatUint(x.meta.Epoch-1, 10)))
	ends = x.timeMs + x.params.EpochMs
	x.putBytes(keyEpochEnds, binary.BigEndian.AppendUint64(nil, uint64(ends)))
	x.putBytes(deadlineKey(ends, dueEpoch, strconv.FormatUint(x.meta.Epoch, 10)), nil)
}

func spanEnds(b []byte, ok bool) (int64, error) {
	if !ok || len(b) != 8 {
		return 0, fmt.Errorf("end of the epoch: %d bytes, want 8", len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// HalfOver tells whether half of the epoch of the next block is over at a time in
// milliseconds: half of its blocks, or half of its time.
func (s *State) HalfOver(nowMs int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := &s.genesis.Params
	if s.meta.Height+1-s.meta.EpochFirst >= p.EpochBlocks/2 {
		return true
	}
	if p.EpochMs == 0 {
		return false
	}
	ends, err := spanEnds(s.tree.get(keyEpochEnds))
	return err == nil && nowMs >= ends-p.EpochMs/2
}
