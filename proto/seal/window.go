package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// WindowSize is how many counters back a [Window] still tells seen from unseen.
const WindowSize = 1024

const windowWords = WindowSize / 64

// A Window is a replay filter over one signer's counters: it accepts every
// counter once, in any order, as long as it is no more than WindowSize-1 behind
// the greatest one accepted, and refuses what is older because it can no longer
// tell. Counters start at 1. The zero Window has accepted nothing and is ready
// for use. It is a value: assigning it copies it.
//
// It follows RFC 6479 in idea; the bitmap here is relative to the newest
// counter, because it has to have one canonical encoding.
//
// A Window is not safe for concurrent use.
type Window struct {
	last uint64
	seen [windowWords]uint64 // bit i: counter last-i was accepted
}

// Accepts reports whether counter is new, without recording it.
func (w *Window) Accepts(counter uint64) bool {
	switch {
	case counter == 0:
		return false
	case counter > w.last:
		return true
	}
	back := w.last - counter
	return back < WindowSize && w.seen[back/64]&(1<<(back%64)) == 0
}

// Accept records counter and reports true when it is new; otherwise it changes
// nothing and reports false.
func (w *Window) Accept(counter uint64) bool {
	if !w.Accepts(counter) {
		return false
	}
	if counter > w.last {
		w.shift(counter - w.last)
		w.last = counter
	}
	back := w.last - counter
	w.seen[back/64] |= 1 << (back % 64)
	return true
}

// Last returns the greatest counter accepted, 0 when there is none.
func (w *Window) Last() uint64 { return w.last }

// shift moves the bitmap n counters into the past.
func (w *Window) shift(n uint64) {
	if n >= WindowSize {
		w.seen = [windowWords]uint64{}
		return
	}
	words, rest := int(n/64), n%64
	for i := windowWords - 1; i >= 0; i-- {
		var v uint64
		if i >= words {
			v = w.seen[i-words] << rest
			if rest > 0 && i > words {
				v |= w.seen[i-words-1] >> (64 - rest)
			}
		}
		w.seen[i] = v
	}
}

// inWindow returns the mask of the bits of word i that stand for counters of 1
// and above.
func (w *Window) inWindow(i int) uint64 {
	n := w.last - min(w.last, uint64(i)*64) // counters from this word back to 1
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}

// MarshalBinary returns the canonical encoding: the greatest counter (8 bytes,
// big endian), then a bitmap of the counters below it that were skipped (bit k
// of byte j, from the least, is counter last - 8j - k), without its trailing
// zero bytes. A signer that never skipped a counter costs 8 bytes.
func (w *Window) MarshalBinary() ([]byte, error) {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, 8+WindowSize/8), w.last)
	for i, word := range w.seen {
		out = binary.LittleEndian.AppendUint64(out, ^word&w.inWindow(i))
	}
	n := len(out)
	for n > 8 && out[n-1] == 0 {
		n--
	}
	return out[:n], nil
}

var errWindow = errors.New("seal: malformed replay window")

// UnmarshalBinary is the inverse of MarshalBinary and refuses every encoding
// MarshalBinary would not write.
func (w *Window) UnmarshalBinary(b []byte) error {
	if len(b) < 8 || len(b) > 8+WindowSize/8 {
		return fmt.Errorf("%w: %d bytes", errWindow, len(b))
	}
	if len(b) > 8 && b[len(b)-1] == 0 {
		return fmt.Errorf("%w: trailing zero", errWindow)
	}
	next := Window{last: binary.BigEndian.Uint64(b)}
	var skipped [WindowSize / 8]byte
	copy(skipped[:], b[8:])
	for i := range next.seen {
		word := binary.LittleEndian.Uint64(skipped[8*i:])
		mask := next.inWindow(i)
		if word&^mask != 0 {
			return fmt.Errorf("%w: skipped counters below 1", errWindow)
		}
		next.seen[i] = ^word & mask
	}
	if next.last > 0 && bits.TrailingZeros64(next.seen[0]) != 0 {
		return fmt.Errorf("%w: its greatest counter is marked as skipped", errWindow)
	}
	*w = next
	return nil
}
