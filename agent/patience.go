package agent

import (
	"errors"
	"math/bits"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// A patience is how a sensor fared of late. One failed reading among five is let
// pass: the reading before it counts on until it is too old, by the judge's own
// limits. A loose contact would close the gate for minutes otherwise. It never
// lasts: a second failure among the five, or three seconds without a good reading,
// is a failure.
type patience struct {
	recent uint8 // of the last reads, the newest in bit 0: it failed
	known  bool  // there was a good reading
	goodMs int64 // when, on the sensing clock
}

const (
	patientReads = 5
	patientMs    = 3000
)

// lets takes the outcome of a read and says whether its failure is let pass.
func (p *patience) lets(err error, tMs int64) bool {
	p.recent = p.recent << 1 & (1<<patientReads - 1)
	if err == nil {
		p.known, p.goodMs = true, tMs
		return false
	}
	p.recent |= 1
	return passing(err) && p.known && tMs-p.goodMs <= patientMs && bits.OnesCount8(p.recent) == 1
}

// passing says whether an error may be that of a moment: one of the wire. What the
// chip itself says, that its input is beyond its range, that it is deaf, that
// nothing moves, is a finding.
func passing(err error) bool {
	for _, finding := range []error{sensor.ErrSaturated, sensor.ErrDegraded, sensor.ErrStuck, sensor.ErrSkipped} {
		if errors.Is(err, finding) {
			return false
		}
	}
	return true
}

// spare makes what a sensor has failed a missing turn: the judge goes on with the
// reading before.
func spare(channels []model.Channel, s *model.Sample) {
	for _, c := range channels {
		if s.Validity[c] == model.SensorError {
			s.Fail(c, model.Absent)
		}
	}
}
