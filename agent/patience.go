package agent

import (
	"context"
	"errors"
	"math/bits"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// A patience is how a sensor fared of late. A sensor that was well and fails is read
// once more before it counts as failed: a loose contact would close the gate for
// minutes otherwise, and a chip that has lost its supply for a moment is set up
// again. It happens once in five reads at most, within the same tick, and a fault that
// lasts closes the gate as soon as ever.
type patience struct {
	recent uint8 // of the last reads, the newest in bit 0: it failed at first
	known  bool  // there was a good reading
	goodMs int64 // when, on the sensing clock
}

const (
	patientReads = 5
	patientMs    = 3000
	// A second reading comes when a contact may have come to rest, and not after a
	// first that took long: the other sensors wait.
	patientPause = 50 * time.Millisecond
	patientTook  = 600 * time.Millisecond
)

// again takes the outcome of a first reading, and says whether there is a second.
func (p *patience) again(err error, tMs int64, took time.Duration) bool {
	p.recent = p.recent << 1 & (1<<patientReads - 1)
	if err == nil {
		p.known, p.goodMs = true, tMs
		return false
	}
	p.recent |= 1
	return passing(err) && took <= patientTook && p.known && tMs-p.goodMs <= patientMs && bits.OnesCount8(p.recent) == 1
}

// second takes the outcome of a second reading.
func (p *patience) second(err error, tMs int64) {
	if err == nil {
		p.goodMs = tMs
	}
}

// passing says whether an error may be that of a moment: one of the wire. What the
// chip itself says, that its input is beyond its range, that it is deaf, that
// nothing moves, is a finding.
func passing(err error) bool {
	for _, finding := range []error{sensor.ErrSaturated, sensor.ErrDegraded, sensor.ErrStuck} {
		if errors.Is(err, finding) {
			return false
		}
	}
	return true
}

// readPatiently reads sensor i.
func (s *Senses) readPatiently(ctx context.Context, i int, into *model.Sample) error {
	p, start := &s.patient[i], time.Now()
	err := readOne(ctx, s.sensors[i], into)
	if !p.again(err, into.TimeMs, time.Since(start)) {
		return err
	}
	select {
	case <-time.After(patientPause):
	case <-ctx.Done():
		return err
	}
	s.log.Info("sensor failed once and is read again", "sensor", s.status[i].Name, "err", err)
	err = readOne(ctx, s.sensors[i], into)
	p.second(err, into.TimeMs)
	return err
}
