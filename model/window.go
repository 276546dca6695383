package model

import (
	"math"
	"math/bits"
)

const (
	hourMs           = 3600 * 1000
	tenMinutesMs     = 600_000
	fifteenMinutesMs = 900_000
	threeHoursMs     = 3 * hourMs
)

// A figure is a number that may be unknown.
type figure struct {
	v  float64
	ok bool
}

// A slot holds what came in during one step of a history.
type slot struct {
	index    int64 // time / step; a slot with another index is empty
	sum      float64
	n        int32
	min, max float64
}

// A history keeps a channel's past in slots of equal length: constant memory
// at 10 samples a second and at one an hour. Its windows end at the newest
// reading, so that what they say changes with data only, never by waiting:
// between samples a judgement may be repeated at any time with the same
// result.
type history struct {
	stepMs int64
	ring   []slot
	last   int64
	any    bool
	closed [2]window // of the lengths asked for last
}

// A window is the sum of the slots of a stretch of time but for the newest
// slot, which readings still come into. Ten readings come into a slot at one a
// second; sixty slots need not be added up for each of them.
type window struct {
	spanMs, last int64
	sum          float64
	n            int64
	min, max     float64
}

// newHistory returns a history of at least spanMs in steps of stepMs.
func newHistory(stepMs, spanMs int64) history {
	return history{stepMs: stepMs, ring: make([]slot, spanMs/stepMs+2)}
}

func (h *history) at(index int64) *slot {
	n := int64(len(h.ring))
	return &h.ring[((index%n)+n)%n]
}

// find returns the slot of that index if it holds anything.
func (h *history) find(index int64) (*slot, bool) {
	if !h.any || index > h.last || index <= h.last-int64(len(h.ring)) {
		return nil, false
	}
	s := h.at(index)
	return s, s.index == index && s.n > 0
}

// push adds a reading. One that is older than the newest slot is left out.
func (h *history) push(tMs int64, v float64) {
	index := floorDiv(tMs, h.stepMs)
	if h.any && index < h.last {
		return
	}
	h.any, h.last = true, index
	s := h.at(index)
	if s.index != index || s.n == 0 {
		*s = slot{index: index, min: v, max: v}
	}
	s.sum += v
	s.n++
	s.min, s.max = min(s.min, v), max(s.max, v)
}

// A span is what a history says about a stretch of time.
type span struct{ mean, min, max float64 }

// over returns the last spanMs up to and including the newest slot. A window
// shorter than the sampling interval holds the newest reading alone.
func (h *history) over(spanMs int64) (span, bool) {
	s, ok := h.find(h.last)
	if !ok {
		return span{}, false
	}
	w := h.window(spanMs)
	// The newest last: the order of a float sum is part of the result.
	return span{
		mean: (w.sum + s.sum) / float64(w.n+int64(s.n)),
		min:  min(w.min, s.min), max: max(w.max, s.max),
	}, true
}

// window returns the closed slots of a stretch of time.
func (h *history) window(spanMs int64) *window {
	w := &h.closed[0]
	if w.spanMs != spanMs {
		w = &h.closed[1]
		if w.spanMs != spanMs {
			h.closed[0], h.closed[1] = h.closed[1], h.closed[0]
			w = &h.closed[0]
		}
	}
	if w.spanMs == spanMs && w.last == h.last {
		return w
	}
	*w = window{spanMs: spanMs, last: h.last, min: math.Inf(1), max: math.Inf(-1)}
	// Oldest first.
	first := max(h.last-spanMs/h.stepMs, h.last-int64(len(h.ring))) + 1
	at := int(((first % int64(len(h.ring))) + int64(len(h.ring))) % int64(len(h.ring)))
	for i := first; i < h.last; i++ {
		s := &h.ring[at]
		if at++; at == len(h.ring) {
			at = 0
		}
		if s.index == i && s.n > 0 {
			w.sum += s.sum
			w.n += int64(s.n)
			w.min, w.max = min(w.min, s.min), max(w.max, s.max)
		}
	}
	return w
}

// newest returns the mean of the newest slot.
func (h *history) newest() (float64, bool) { return h.meanAt(h.last) }

func (h *history) meanAt(index int64) (float64, bool) {
	s, ok := h.find(index)
	if !ok {
		return 0, false
	}
	return s.sum / float64(s.n), true
}

// ago returns the mean of the slot that lies lagMs before the newest, or the
// nearest one that lies within tolMs of it.
func (h *history) ago(lagMs, tolMs int64) (float64, bool) {
	index := h.last - lagMs/h.stepMs
	for d := int64(0); d <= tolMs/h.stepMs; d++ {
		if v, ok := h.meanAt(index - d); ok {
			return v, true
		}
		if v, ok := h.meanAt(index + d); ok {
			return v, true
		}
	}
	return 0, false
}

// persistence counts violations among the last readings ("3 of 5").
type persistence struct {
	bits uint8
	n, m int
}

func (p *persistence) push(violated bool) {
	p.bits <<= 1
	if violated {
		p.bits |= 1
	}
	p.bits &= 1<<p.m - 1
}

func (p *persistence) reached() bool { return bits.OnesCount8(p.bits) >= p.n }

// trackStepMs is the least time between two readings that a track keeps: with
// trackLen of them it reaches back over the longest ROCOF window at any rate.
const (
	trackStepMs = 10
	trackLen    = 64
)

// A track keeps the last readings of a channel with their times.
type track struct {
	tMs [trackLen]int64
	v   [trackLen]float64
	n   int
}

func (k *track) push(tMs int64, v float64) {
	if k.n > 0 && tMs < k.tMs[(k.n-1)%trackLen]+trackStepMs {
		return
	}
	k.tMs[k.n%trackLen], k.v[k.n%trackLen] = tMs, v
	k.n++
}

// before returns the newest reading of tMs or earlier.
func (k *track) before(tMs int64) (at int64, v float64, ok bool) {
	for i := k.n - 1; i >= max(k.n-trackLen, 0); i-- {
		if k.tMs[i%trackLen] <= tMs {
			return k.tMs[i%trackLen], k.v[i%trackLen], true
		}
	}
	return 0, 0, false
}

// lowest returns the smallest reading since tMs.
func (k *track) lowest(tMs int64) (float64, bool) {
	best, ok := 0.0, false
	for i := k.n - 1; i >= max(k.n-trackLen, 0) && k.tMs[i%trackLen] >= tMs; i-- {
		if v := k.v[i%trackLen]; !ok || v < best {
			best, ok = v, true
		}
	}
	return best, ok
}
