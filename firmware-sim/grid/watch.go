package grid

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// A watch sees every block become final at every data aggregator and keeps the
// moments. The times in the report come from them.
type watch struct {
	mu     sync.Mutex
	blocks map[uint64]*seenBlock
}

type seenBlock struct {
	header *fairwattpb.BlockHeader
	sentMs []int64              // the time at which each record was sealed
	final  map[string]time.Time // by DA
}

func newWatch() *watch {
	return &watch{blocks: make(map[uint64]*seenBlock)}
}

// follow stamps the blocks of one data aggregator until the context ends.
func (w *watch) follow(ctx context.Context, node *aggregatorNode) error {
	err := node.da.Follow(ctx, 1, func(cb *fairwattpb.CertifiedBlock) error {
		return w.see(node.id, cb.GetBlock(), time.Now())
	})
	if ctx.Err() != nil || node.isKilled() {
		return nil
	}
	return err
}

func (w *watch) see(da string, block []byte, at time.Time) error {
	header, _, records, err := ledger.DecodeBlock(block)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.blocks[header.GetHeight()]
	if b == nil {
		b = &seenBlock{header: header, final: make(map[string]time.Time)}
		for _, sealed := range records {
			sent, err := sealedAtMs(sealed)
			if err != nil {
				return err
			}
			b.sentMs = append(b.sentMs, sent)
		}
		w.blocks[header.GetHeight()] = b
	}
	b.final[da] = at
	return nil
}

// sealedAtMs is the sender's time in a record. All senders of the grid share this
// machine's clock.
func sealedAtMs(sealed []byte) (int64, error) {
	_, payload, err := seal.Peek(sealed)
	if err != nil {
		return 0, err
	}
	var r fairwattpb.Record
	if err := proto.Unmarshal(payload, &r); err != nil {
		return 0, err
	}
	return r.GetTimeMs(), nil
}

// confirmationTimes returns, for every record, the time in ms from its sealing
// until it is final at all the data aggregators given. It leaves out blocks that
// one of them has not stored.
func (w *watch) confirmationTimes(honest []string) []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []float64
	for _, b := range w.blocks {
		var last time.Time
		complete := true
		for _, da := range honest {
			at, ok := b.final[da]
			complete = complete && ok
			if at.After(last) {
				last = at
			}
		}
		if !complete {
			continue
		}
		for _, sent := range b.sentMs {
			out = append(out, float64(last.UnixMicro())/1000-float64(sent))
		}
	}
	return out
}

// firstOtherAfter returns the time at which, after a moment, the first block of
// another accounting node than the given one became final anywhere; false if none
// did.
func (w *watch) firstOtherAfter(node string, after time.Time) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first time.Time
	for _, b := range w.blocks {
		if b.header.GetAccountingNode() == node {
			continue
		}
		for _, at := range b.final {
			if at.After(after) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	return first, !first.IsZero()
}
