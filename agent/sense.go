package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/model"
	"fairwatt/proto/wire"
)

// A MissingSensor is a configured sensor that could not even be set up.
type MissingSensor struct {
	Name string
	Err  error
}

// readTimeout bounds the read of one sensor: a chip that hangs must not stop
// the judgement of the others.
const readTimeout = 3 * time.Second

// Senses reads all sensors in their order into one sample; where several give
// one channel, they vote. One goroutine owns it.
type Senses struct {
	sensors []sensor.Sensor
	status  []wire.Sensor   // of sensors, then of the missing ones
	patient []patience      // by sensor
	votes   []ballot        // in the order of the channels
	shares  []bool          // by sensor: it votes on something
	mute    []int64         // by sensor: since when it gives nothing, or heard
	silent  []string        // names of those that give nothing for long
	guarded []model.Channel // that a relayed sensor gives which may not stand alone
	warming bool
	supply  *supply // nil: it cannot be cut
	log     *slog.Logger
}

// NewSenses prepares the reading of sensors. judge gives the limits
// that tell which of two voltages is the unsafe one. It fails when more sensors
// give a channel than can vote.
func NewSenses(sensors []sensor.Sensor, missing []MissingSensor, judge model.Config, log *slog.Logger) (*Senses, error) {
	s := &Senses{sensors: sensors, log: log, shares: make([]bool, len(sensors)), mute: make([]int64, len(sensors)), patient: make([]patience, len(sensors))}
	for i, one := range sensors {
		s.mute[i] = heard
		s.status = append(s.status, wire.Sensor{Name: one.Name(), OK: true})
	}
	for _, m := range missing {
		log.Error("sensor missing; the agent starts without it", "sensor", m.Name, "err", m.Err)
		s.status = append(s.status, wire.Sensor{Name: m.Name, Error: m.Err.Error(), Failures: 1})
	}
	for i, one := range sensors {
		s.status[i].Relayed = relayed(one)
	}
	for c := range model.NumChannels {
		if slices.ContainsFunc(sensors, func(one sensor.Sensor) bool { return mayNotStandAlone(one, c) }) {
			s.guarded = append(s.guarded, c)
		}
		b := ballot{Ballot: judge.Ballot(c), outlier: -1}
		for i, one := range sensors {
			if slices.Contains(one.Channels(), c) {
				b.voters = append(b.voters, i)
			}
		}
		if len(b.voters) < 2 || c == model.EnergyExportWh || c == model.EnergyImportWh {
			continue
		}
		if len(b.voters) > model.MaxVoters {
			return nil, fmt.Errorf("sensors: %d give %s; at most %d can vote", len(b.voters), c, model.MaxVoters)
		}
		b.readings = make([]model.Reading, len(b.voters))
		for _, i := range b.voters {
			s.shares[i] = true
		}
		s.votes = append(s.votes, b)
	}
	return s, nil
}

// Channels returns what the sensors give together, each once, in order.
func (s *Senses) Channels() []model.Channel {
	var out []model.Channel
	for c := range model.NumChannels {
		if slices.ContainsFunc(s.sensors, func(one sensor.Sensor) bool { return slices.Contains(one.Channels(), c) }) {
			out = append(out, c)
		}
	}
	return out
}

// Read fills the sample. A sensor that fails marks its channels and is logged
// once, and once again when it is back.
func (s *Senses) Read(ctx context.Context, sample *model.Sample) {
	s.warming = false
	var own model.Sample
	for i := range s.sensors {
		status := &s.status[i]
		into := sample
		if s.shares[i] {
			own = model.Sample{TimeMs: sample.TimeMs}
			into = &own
		}
		start := time.Now()
		err := s.read(ctx, i, into)
		status.TookMS = float64(time.Since(start).Microseconds()) / 1000
		switch {
		case err != nil:
			s.warming = s.warming || errors.Is(err, sensor.ErrTooFewSamples)
			status.Failures++
			if status.OK || status.Error != err.Error() {
				s.log.Warn("sensor", "sensor", status.Name, "err", err)
			}
			status.OK, status.Error = false, err.Error()
		case !status.OK:
			s.log.Info("sensor is back", "sensor", status.Name)
			status.OK, status.Error = true, ""
		}
		s.listen(i, into)
		if s.shares[i] {
			s.hand(i, &own, sample)
		}
	}
	s.tellSilent(sample.TimeMs)
	for _, c := range s.guarded {
		s.guard(c, sample)
	}
	for i := range s.votes {
		s.vote(&s.votes[i], sample)
	}
}

// heard stands for a sensor that gave something at its last reading.
const heard = -1

// silentAfterMs is how long a sensor may give nothing before that is told: longer
// than a read again, or a line that is plugged in.
const silentAfterMs = 60_000

// listen notes whether sensor i gave anything at all.
func (s *Senses) listen(i int, sample *model.Sample) {
	gives := slices.ContainsFunc(s.sensors[i].Channels(), func(c model.Channel) bool {
		return sample.Validity[c] == model.Valid || sample.Validity[c] == model.Saturated
	})
	switch {
	case gives:
		s.mute[i] = heard
	case s.mute[i] == heard:
		s.mute[i] = sample.TimeMs
	}
}

// tellSilent lists the sensors that give nothing for long, and those that could not
// even be set up.
func (s *Senses) tellSilent(nowMs int64) {
	s.silent = s.silent[:0]
	for i := range s.status {
		if missing := i >= len(s.sensors); missing || s.mute[i] != heard && nowMs-s.mute[i] >= silentAfterMs {
			s.silent = append(s.silent, s.status[i].Name)
		}
	}
}

// hand passes on what sensor i said: to the ballots it votes in, else to the
// sample.
func (s *Senses) hand(i int, own, sample *model.Sample) {
	for _, c := range s.sensors[i].Channels() {
		if own.Coarse.Has(c) {
			sample.Coarse = sample.Coarse.With(c)
		}
		b := slices.IndexFunc(s.votes, func(b ballot) bool { return b.Channel == c })
		if b < 0 {
			sample.Values[c], sample.Validity[c], sample.AgeMs[c] = own.Values[c], own.Validity[c], own.AgeMs[c]
			continue
		}
		at := slices.Index(s.votes[b].voters, i)
		s.votes[b].readings[at] = model.Reading{Value: own.Values[c], Validity: own.Validity[c], AgeMs: own.AgeMs[c]}
	}
}

// Warming says that a sensor of the last Read has not counted for long enough
// to say anything: it is not broken, it has just been started.
func (s *Senses) Warming() bool { return s.warming }

func readOne(ctx context.Context, one sensor.Sensor, sample *model.Sample) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return one.Read(ctx, sample)
}

// anyValid says whether the sample holds a usable value at all.
func anyValid(s *model.Sample) bool {
	for c := range model.NumChannels {
		if s.Validity[c] == model.Valid {
			return true
		}
	}
	return false
}

// powerW returns the generator's power from the best source there is: a power
// channel, the phases, V times I, the DC side.
func powerW(s *model.Sample) (float64, bool) {
	if p, ok := s.Get(model.PowerW); ok {
		return p, true
	}
	sum, phases := 0.0, 0
	for _, c := range []model.Channel{model.PowerAW, model.PowerBW, model.PowerCW} {
		if p, ok := s.Get(c); ok {
			sum += p
			phases++
		}
	}
	if phases > 0 {
		return sum, true
	}
	for _, pair := range [][2]model.Channel{{model.VoltageV, model.CurrentA}, {model.DCVoltageV, model.DCCurrentA}} {
		v, okV := s.Get(pair[0])
		i, okI := s.Get(pair[1])
		if okV && okI {
			return v * i, true
		}
	}
	return 0, false
}
