package reconcile

import (
	"math/bits"
	"sort"
)

// A flow is what a meter counted for one trade, as its readings say.
type flow struct {
	meter    string
	register int64   // newest
	points   []point // by time
}

// A point is what had flowed by a moment.
type point struct{ ms, wh int64 }

func newFlow(meter string, ms, register int64) *flow {
	return &flow{meter, register, []point{{ms, 0}}}
}

// read takes a reading. What is counted between a hold and its end is none of the trade's.
func (f *flow) read(ms, register int64, counts bool) {
	last := f.points[len(f.points)-1]
	rise := max(0, register-f.register)
	f.register = max(f.register, register)
	if !counts {
		rise = 0
	}
	f.points = append(f.points, point{max(ms, last.ms), last.wh + rise})
}

func (f *flow) total() int64 { return f.points[len(f.points)-1].wh }

// atMost and atLeast bound what had flowed by a moment.
func (f *flow) atMost(ms int64) int64 {
	i := sort.Search(len(f.points), func(i int) bool { return f.points[i].ms >= ms })
	if i == len(f.points) {
		return f.total()
	}
	return f.points[i].wh
}

func (f *flow) atLeast(ms int64) int64 {
	i := sort.Search(len(f.points), func(i int) bool { return f.points[i].ms > ms })
	if i == 0 {
		return 0
	}
	return f.points[i-1].wh
}

// evenly is what had flowed by a moment, spread evenly between readings.
func (f *flow) evenly(ms int64) int64 {
	i := sort.Search(len(f.points), func(i int) bool { return f.points[i].ms >= ms })
	switch {
	case i == len(f.points):
		return f.total()
	case i == 0 || f.points[i].ms == ms:
		return f.points[i].wh
	}
	a, b := f.points[i-1], f.points[i]
	return a.wh + mulDiv(b.wh-a.wh, ms-a.ms, b.ms-a.ms)
}

// mulDiv is a·b/c, rounded down, of numbers that are not negative, with a·b/c in 63 bits.
func mulDiv(a, b, c int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(high, low, uint64(c))
	return int64(q)
}

// A span is the energy of some time: what is spread evenly, and the least and the most
// that the readings allow.
type span struct{ even, least, most int64 }

func (s *span) add(o span) {
	s.even, s.least, s.most = s.even+o.even, s.least+o.least, s.most+o.most
}

// share returns the part of energyWh, all of which was settled of this flow, in [from, to).
// What the meter counted beyond it, or less, may have been at any time.
func (f *flow) share(energyWh, from, to int64) span {
	all := f.total()
	part := func(ms int64) int64 { return mulDiv(energyWh, f.evenly(ms), all) }
	slack := max(all-energyWh, energyWh-all)
	return span{
		even:  part(to) - part(from),
		least: max(0, f.atLeast(to)-f.atMost(from)-slack),
		most:  min(energyWh, f.atMost(to)-f.atLeast(from)+slack),
	}
}
