package board

import (
	"time"

	"fairwatt/model"
)

// amount is a quantity that a sample gives for its whole time: rain, strokes. It
// flows while the board's clock runs, for as long as the sample's time was.
// Nothing is lost: what is left when the next sample comes flows with that one. A
// sample that repeats an older reading (model.Sample.AgeMs) adds nothing.
type amount struct {
	known      bool
	measuredMs int64
	left       float64
	perSecond  float64
}

// firstSpan is the time of the first sample, which has none before it.
const firstSpan = time.Second

// feed takes the channel's value. False if it is missing.
func (a *amount) feed(s *model.Sample, ch model.Channel) bool {
	v, ok := s.Get(ch)
	if !ok {
		return false
	}
	measured := s.TimeMs - s.AgeMs[ch]
	if a.known && measured <= a.measuredMs {
		return true
	}
	span := firstSpan
	if a.known {
		span = time.Duration(measured-a.measuredMs) * time.Millisecond
	}
	a.known, a.measuredMs = true, measured
	a.left += v
	a.perSecond = a.left / span.Seconds()
	return true
}

// take returns what flows in d.
func (a *amount) take(d time.Duration) float64 {
	v := min(a.left, a.perSecond*d.Seconds())
	a.left -= v
	return v
}
