package intake

import "sync"

// A Recent is a bounded map by record id that forgets the oldest. It has two
// generations and drops the older one when the newer one is full. An entry is
// found for at least half the bound's worth of newer ids. It is safe for
// concurrent use.
type Recent[V any] struct {
	mu       sync.RWMutex
	half     int
	now, old map[[32]byte]V
}

// NewRecent returns an empty map for bound entries.
func NewRecent[V any](bound int) *Recent[V] {
	return &Recent[V]{half: bound / 2, now: make(map[[32]byte]V)}
}

// Get returns the entry of an id.
func (r *Recent[V]) Get(id [32]byte) (V, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok := r.now[id]; ok {
		return v, true
	}
	v, ok := r.old[id]
	return v, ok
}

// Put sets the entry of an id.
func (r *Recent[V]) Put(id [32]byte, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) >= r.half {
		r.old, r.now = r.now, make(map[[32]byte]V, r.half)
	}
	r.now[id] = v
}
