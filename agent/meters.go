package agent

import (
	"context"
	"encoding/json"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// An energyMeter is a sensor with an energy register (S0 pulses). The
// register is kept across restarts by the agent.
type energyMeter interface {
	sensor.Sensor
	EnergyWh() uint64
	RestoreRegister(wh uint64)
}

// A meter is an energyMeter by its configured name.
type meter struct {
	name string
	energyMeter
	ok bool // the last read succeeded
}

// restoreMeters finds the meters among the sensors and gives them back the
// registers of the last run.
func (a *Agent) restoreMeters() error {
	for _, s := range a.deps.Sensors {
		if m, ok := s.(energyMeter); ok {
			a.meters = append(a.meters, meter{name: s.Name(), energyMeter: m})
		}
	}
	return a.readState(stateMeters, func(b []byte) error {
		var kept map[string]uint64
		if err := json.Unmarshal(b, &kept); err != nil {
			return err
		}
		for _, m := range a.meters {
			if wh, ok := kept[m.name]; ok {
				m.RestoreRegister(wh)
			}
		}
		return nil
	})
}

// readMeters reads the registers again, because traders never act on an older
// reading. The tick has read the meters for the sample and reports their
// failures.
func (a *Agent) readMeters(ctx context.Context) {
	var sample model.Sample
	for i := range a.meters {
		a.meters[i].ok = readOne(ctx, a.meters[i].energyMeter, &sample) == nil
	}
}

// registers returns the meters' registers by name.
func (a *Agent) registers() map[string]uint64 {
	out := make(map[string]uint64, len(a.meters))
	for _, m := range a.meters {
		out[m.name] = m.EnergyWh()
	}
	return out
}

// register returns one meter's register; false when it could not be read.
func (a *Agent) register(name string) (int64, bool) {
	for _, m := range a.meters {
		if m.name == name {
			return int64(m.EnergyWh()), m.ok
		}
	}
	return 0, false
}

// MeterID is a meter's name on the chain.
func MeterID(device, name string) string { return device + "-" + name }
