package ledger

import (
	"encoding/binary"
	"fmt"

	"fairwatt/proto/wire"
)

// Every centre looks at every request that stands, for as long as a day. So one
// buyer may have only so many of them unanswered. The first rules know no bound.

// mayAsk refuses one request more than a buyer may have, and else counts it.
func (x *execution) mayAsk(buyer string) *Refusal {
	if x.params.Settlement == SettleFirst {
		return nil
	}
	if n := x.asking(buyer); n >= x.params.MaxRequests {
		return refuse(wire.CodeTooManyRequests, "%d requests of %q stand unanswered, at most %d may: wait for an answer, or until one has run out", n, buyer, x.params.MaxRequests)
	}
	x.asks(buyer, 1)
	return nil
}

// endRequest removes a request that has run out.
func (x *execution) endRequest(id string) {
	var q Request
	if x.get(keyRequest+id, &q) && !q.Answered {
		x.asks(q.Buyer, -1)
	}
	x.remove(keyRequest + id)
}

// asking is how many requests of a buyer stand unanswered.
func (x *execution) asking(buyer string) int64 {
	b, ok := x.bytes(keyAsking + buyer)
	if !ok {
		return 0
	}
	if len(b) != 8 {
		x.fail(keyAsking+buyer, fmt.Errorf("count of %d bytes, want 8", len(b)))
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// asks changes that number.
func (x *execution) asks(buyer string, by int64) {
	if x.params.Settlement == SettleFirst {
		return
	}
	if n := x.asking(buyer) + by; n > 0 {
		x.putBytes(keyAsking+buyer, binary.BigEndian.AppendUint64(nil, uint64(n)))
	} else {
		x.remove(keyAsking + buyer)
	}
}
