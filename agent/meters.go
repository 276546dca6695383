package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// An energyMeter is a sensor with an energy register. The register is kept across
// restarts by the agent.
type energyMeter interface {
	sensor.Sensor
	EnergyWh() uint64
	RestoreRegister(wh uint64)
}

// A facedMeter is one that counts by itself: what it showed at the last reading is
// kept too, so that what it counts while the agent is away is counted, and another
// meter in its place is not.
type facedMeter interface {
	FaceWh() uint64
	RestoreFace(wh, faceWh uint64)
}

// stateFaces is the key of what the meters that count by themselves showed.
const stateFaces = "meter-faces"

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
		if m, ok := s.(energyMeter); ok && isMeter(s) {
			a.meters = append(a.meters, meter{name: s.Name(), energyMeter: m})
		}
	}
	var faces map[string]uint64
	if err := a.readState(stateFaces, func(b []byte) error { return json.Unmarshal(b, &faces) }); err != nil {
		return err
	}
	return a.readState(stateMeters, func(b []byte) error {
		var kept map[string]uint64
		if err := json.Unmarshal(b, &kept); err != nil {
			return err
		}
		for _, m := range a.meters {
			wh, ok := kept[m.name]
			faced, counts := m.energyMeter.(facedMeter)
			face, shown := faces[m.name]
			switch {
			case ok && counts && shown:
				faced.RestoreFace(wh, face)
			case ok:
				m.RestoreRegister(wh)
			}
		}
		return nil
	})
}

// isMeter says whether a sensor gives one energy register: with two it is not said
// which of them bills.
func isMeter(s sensor.Sensor) bool {
	channels := s.Channels()
	return slices.Contains(channels, model.EnergyExportWh) != slices.Contains(channels, model.EnergyImportWh)
}

// marshalMeters returns what is kept of the meters: the registers, and what those that
// count by themselves showed.
func (a *Agent) marshalMeters() (registers, faces []byte, err error) {
	shown := map[string]uint64{}
	for _, m := range a.meters {
		if f, ok := m.energyMeter.(facedMeter); ok {
			shown[m.name] = f.FaceWh()
		}
	}
	registers, err = json.Marshal(a.registers())
	if err == nil {
		faces, err = json.Marshal(shown)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("marshal meters: %w", err)
	}
	return registers, faces, nil
}

// readMeters reads the registers again, because traders never act on an older
// reading. The tick has read the meters for the sample and reports their
// failures.
func (a *Agent) readMeters(ctx context.Context) {
	for i := range a.meters {
		var sample model.Sample
		_ = readOne(ctx, a.meters[i].energyMeter, &sample) // a register may be read although another channel is not
		_, export := sample.Get(model.EnergyExportWh)
		_, imported := sample.Get(model.EnergyImportWh)
		a.meters[i].ok = export || imported
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
