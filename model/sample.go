package model

import "math"

// A Validity says what a reading is worth. Only Valid values reach features;
// every other state is a reason for the gate (fail closed), and none but Saturated
// and Partial is a number for the rules.
type Validity uint8

// The states of one channel in a Sample.
const (
	Absent      Validity = iota // no sensor gives it, or the trace's cell is empty
	Valid                       // read, in range
	OutOfRange                  // outside the channel's physical range, NaN or Inf
	Stale                       // older than the channel's limit
	Stuck                       // the same raw value for too long
	Jumped                      // changed faster than physics allows
	SensorError                 // the driver returned an error
	Disagrees                   // contradicts another channel or sensor
	Saturated                   // beyond the channel's range, where the hazard lies; rules use it
	Partial                     // not read at all of its places; rules use the others
)

var validityNames = [...]string{"absent", "valid", "out_of_range", "stale", "stuck", "jumped", "sensor_error", "disagrees", "saturated", "partial"}

// String returns the state's name in messages and files.
func (v Validity) String() string {
	if int(v) < len(validityNames) {
		return validityNames[v]
	}
	return "unknown"
}

// counts reports whether rules may use a reading: what is saturated or known of some
// places only is at least as bad as its value.
func (v Validity) counts() bool { return v == Valid || v == Saturated || v == Partial }

// A Sample is what is known of all channels at one moment of the sensing
// clock. The zero value knows nothing.
type Sample struct {
	// TimeMs is the sensing clock in milliseconds: since start when live
	// (monotonic), Unix time in a replay. It never goes back.
	TimeMs int64
	// Values, Validity and AgeMs are indexed by Channel. A value whose Validity
	// is not Valid must not be used as a number. AgeMs is how long before
	// TimeMs the value was measured.
	Values   [NumChannels]float64
	Validity [NumChannels]Validity
	AgeMs    [NumChannels]int64
	// Disagree holds the channels whose value several sensors did not agree on
	// (see Vote).
	Disagree ChannelSet
	// Coarse holds the channels whose sensor has too large steps to show the noise
	// of what it measures (see SetStep).
	Coarse ChannelSet
}

// Set stores a fresh reading. NaN, Inf and values outside the channel's range
// are kept for the explanation but marked OutOfRange, or Saturated where a hazard
// lies beyond the range.
func (s *Sample) Set(c Channel, v float64) {
	info := &channels[c]
	s.Values[c], s.AgeMs[c] = v, 0
	// The comparison is written so that NaN fails it.
	switch {
	case v >= info.Min && v <= info.Max:
		s.Validity[c] = Valid
	case c.beyond(v):
		s.Validity[c] = Saturated
	default:
		s.Validity[c] = OutOfRange
	}
}

// Saturate stores that a sensor is at the end of what it can tell, the high end or
// the low one. Where a hazard lies there, the rules see the end of the channel's
// range; else the reading is a sensor's error.
func (s *Sample) Saturate(c Channel, high bool) {
	side, info := unsafeSides[c], &channels[c]
	switch {
	case high && side&unsafeHigh != 0:
		s.Values[c], s.AgeMs[c], s.Validity[c] = info.Max, 0, Saturated
	case !high && side&unsafeLow != 0:
		s.Values[c], s.AgeMs[c], s.Validity[c] = info.Min, 0, Saturated
	default:
		s.Fail(c, SensorError)
	}
}

// Fail marks a channel as not to be used, with the reason.
func (s *Sample) Fail(c Channel, why Validity) {
	s.Values[c], s.Validity[c] = math.NaN(), why
}

// Get returns the value and whether it may be used.
func (s *Sample) Get(c Channel) (float64, bool) {
	return s.Values[c], s.Validity[c] == Valid
}
