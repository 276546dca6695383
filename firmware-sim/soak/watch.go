package soak

import (
	"slices"
	"sync"
	"time"
)

// A watch notes when records become final.
type watch struct {
	mu      sync.Mutex
	began   time.Time
	last    time.Time // the newest final record, or the end of an excuse
	longest time.Duration
	at      time.Time // when the longest standstill ended
	seconds map[int64]bool
	tookMs  []float64
}

func newWatch(now time.Time) *watch {
	return &watch{began: now, last: now, seconds: make(map[int64]bool)}
}

// begin begins to count.
func (w *watch) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began, w.last, w.longest = now, now, 0
}

// final notes a record that was made once and is final now.
func (w *watch) final(made, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tookMs = append(w.tookMs, float64(now.Sub(made).Microseconds())/1000)
	w.seconds[int64(now.Sub(w.began)/time.Second)] = true
	w.stand(now)
	w.last = now
}

// stand books the standstill that ends now; w.mu is held.
func (w *watch) stand(now time.Time) {
	if gap := now.Sub(w.last); gap > w.longest {
		w.longest, w.at = gap, now
	}
}

// excuse says that no one can expect a record to be final now: too few are up.
func (w *watch) excuse(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = now
}

func (w *watch) gap(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Sub(w.last)
}

func (w *watch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.tookMs)
}

// sum closes the books at the end of the load.
func (w *watch) sum(r *Report, lasted time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := w.began.Add(lasted)
	if w.last.Before(end) {
		w.stand(end)
	}
	r.LongestStallS = w.longest.Seconds()
	if !w.at.IsZero() {
		r.StallEndsS = w.at.Sub(w.began).Seconds()
	}
	seconds, with := int64(lasted/time.Second), 0
	for s := range seconds {
		if w.seconds[s] {
			with++
		}
	}
	if seconds > 0 {
		r.Availability = float64(with) / float64(seconds)
	}
	r.Final = len(w.tookMs)
	r.RecordsPerS = float64(len(w.tookMs)) / lasted.Seconds()
	if slices.Sort(w.tookMs); len(w.tookMs) > 0 {
		at := func(q float64) float64 { return w.tookMs[int(q*float64(len(w.tookMs)-1))] }
		r.P50Ms, r.P99Ms, r.MaxMs = at(0.5), at(0.99), at(1)
	}
}
