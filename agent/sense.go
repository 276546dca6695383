package agent

import (
	"context"
	"log/slog"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// A SensorStatus is the health of one configured sensor.
type SensorStatus struct {
	Name     string  `json:"name"`
	OK       bool    `json:"ok"`
	Error    string  `json:"error,omitempty"`
	Failures uint64  `json:"failures"`
	TookMS   float64 `json:"took_ms"` // of the last read
}

// A MissingSensor is a configured sensor that could not even be set up.
type MissingSensor struct {
	Name string
	Err  error
}

// readTimeout bounds the read of one sensor: a chip that hangs must not stop
// the judgement of the others.
const readTimeout = 3 * time.Second

// senses reads all sensors in their order into one sample.
type senses struct {
	sensors []sensor.Sensor
	status  []SensorStatus // of sensors, then of the missing ones
	log     *slog.Logger
}

func newSenses(sensors []sensor.Sensor, missing []MissingSensor, log *slog.Logger) *senses {
	s := &senses{sensors: sensors, log: log}
	for _, one := range sensors {
		s.status = append(s.status, SensorStatus{Name: one.Name(), OK: true})
	}
	for _, m := range missing {
		log.Error("sensor missing; the agent starts without it", "sensor", m.Name, "err", m.Err)
		s.status = append(s.status, SensorStatus{Name: m.Name, Error: m.Err.Error(), Failures: 1})
	}
	return s
}

// read fills the sample. A sensor that fails marks its channels and is logged
// once, and once again when it is back.
func (s *senses) read(ctx context.Context, sample *model.Sample) {
	for i, one := range s.sensors {
		status := &s.status[i]
		start := time.Now()
		err := readOne(ctx, one, sample)
		status.TookMS = float64(time.Since(start).Microseconds()) / 1000
		switch {
		case err != nil:
			status.Failures++
			if status.OK || status.Error != err.Error() {
				s.log.Warn("sensor", "sensor", status.Name, "err", err)
			}
			status.OK, status.Error = false, err.Error()
		case !status.OK:
			s.log.Info("sensor is back", "sensor", status.Name)
			status.OK, status.Error = true, ""
		}
	}
}

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
