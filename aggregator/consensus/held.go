package consensus

import (
	"sync"

	"fairwatt/proto/seal"
)

var _ seal.Memory = (*Held)(nil)

// Held is a bounded set of signatures that hold, a [seal.Memory] that many may use at
// once. It has two generations and forgets the older one when the newer one is full.
type Held struct {
	mu       sync.Mutex
	now, old map[[32]byte]struct{}
}

// heldMost bounds each generation: the votes of 50 members for 160 blocks.
const heldMost = 8192

// Has implements seal.Memory.
func (h *Held) Has(key [32]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.now[key]; ok {
		return true
	}
	_, ok := h.old[key]
	return ok
}

// Put implements seal.Memory.
func (h *Held) Put(key [32]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil || len(h.now) >= heldMost {
		h.old, h.now = h.now, make(map[[32]byte]struct{})
	}
	h.now[key] = struct{}{}
}
