package aggregator

import "sync"

// recent is a bounded map by record id that forgets the oldest: two
// generations, of which the older is dropped when the newer is full. What was
// put in is found again for at least half the bound's worth of newer ids.
type recent[V any] struct {
	mu       sync.RWMutex
	half     int
	now, old map[[32]byte]V
}

func newRecent[V any](bound int) *recent[V] {
	return &recent[V]{half: bound / 2, now: make(map[[32]byte]V)}
}

func (r *recent[V]) get(id [32]byte) (V, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok := r.now[id]; ok {
		return v, true
	}
	v, ok := r.old[id]
	return v, ok
}

func (r *recent[V]) put(id [32]byte, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) >= r.half {
		r.old, r.now = r.now, make(map[[32]byte]V, r.half)
	}
	r.now[id] = v
}
