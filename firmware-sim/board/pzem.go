package board

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"fairwatt/agent/sensor/simbus"
	"fairwatt/model"
)

// pzem is a PZEM-004T v3 (Peacefair, V3.0 user manual): Modbus RTU with one of
// the functions 0x03, 0x04 and 0x42. Its alarm and its calibration are not
// simulated.
type pzem struct {
	cfg       PZEM
	channels  [4]model.Channel
	nominalHz float64
	f         *faults

	present              bool
	volts, amps, watts   float64
	hz, factor, energyWh float64
	shown                [10]uint16
}

const (
	pzemThinks  = 20 * time.Millisecond
	pzemLeastV  = 60 // below, its own supply fails
	pzemAnyone  = 0xF8
	pzemMaxWh   = 9999990 // the register wraps to 0 after it
	pzemNoise   = 0.4     // watts below which it shows none
	pzemSilentA = 0.01
)

var pzemPhases = map[string][4]model.Channel{
	"":  {model.VoltageV, model.CurrentA, model.PowerW, model.PowerFactor},
	"a": {model.VoltageAV, model.CurrentAA, model.PowerAW, model.PowerFactorA},
	"b": {model.VoltageBV, model.CurrentBA, model.PowerBW, model.PowerFactorB},
	"c": {model.VoltageCV, model.CurrentCA, model.PowerCW, model.PowerFactorC},
}

func newPZEM(cfg PZEM, nominalHz float64) (*pzem, error) {
	ch, ok := pzemPhases[cfg.Phase]
	if !ok || cfg.Address < 1 || cfg.Address > 0xF7 || cfg.Port == "" || len(cfg.Port) > simbus.MaxNameBytes {
		return nil, fmt.Errorf("pzem@%s/0x%02x: port, address or phase %q out of bounds", cfg.Port, cfg.Address, cfg.Phase)
	}
	return &pzem{cfg: cfg, channels: ch, nominalHz: nominalHz, f: &faults{}}, nil
}

func (m *pzem) info() Part {
	p := Part{Chip: "pzem", Address: uint16(m.cfg.Address), Port: m.cfg.Port}
	p.Channels = append(append(p.Channels, m.channels[:]...), model.FrequencyHz)
	return p
}

func (m *pzem) feed(s *model.Sample) {
	v, okV := s.Get(m.channels[0])
	a, okA := s.Get(m.channels[1])
	m.present = okV && okA && v >= pzemLeastV
	m.volts, m.amps, m.hz = v, a, m.nominalHz
	if hz, ok := s.Get(model.FrequencyHz); ok && hz > 0 {
		m.hz = hz
	}
	w, okW := s.Get(m.channels[2])
	pf, okPF := s.Get(m.channels[3])
	if !okPF {
		pf = 1
	}
	m.watts, m.factor = math.Abs(w), math.Abs(pf)
	if !okW {
		m.watts = v * a * m.factor
	}
	if !okPF && okW && v*a > 0 {
		m.factor = min(m.watts/(v*a), 1)
	}
}

// run counts energy.
func (m *pzem) run(from, to time.Duration) {
	if m.present && !m.f.noAnswer && !m.f.stuckValue && m.watts >= pzemNoise {
		m.energyWh = math.Mod(m.energyWh+m.watts*(to-from).Hours(), pzemMaxWh)
	}
}

// answer is the meter's answer to a frame: nothing if the frame is damaged or for
// another meter.
func (m *pzem) answer(w []byte) []byte {
	if !m.present || m.f.noAnswer || len(w) < 4 || int(w[0]) != int(m.cfg.Address) && w[0] != pzemAnyone {
		return nil
	}
	body := w[:len(w)-2]
	if binary.LittleEndian.Uint16(w[len(w)-2:]) != crc16(body) {
		return nil
	}
	out := append([]byte{m.cfg.Address}, m.perform(body[1], body[2:])...)
	out = binary.LittleEndian.AppendUint16(out, crc16(out))
	if m.f.garbled {
		out[len(out)/2] ^= 4
	}
	return out
}

func (m *pzem) perform(function byte, args []byte) []byte {
	refuse := func(code byte) []byte { return []byte{function | 0x80, code} }
	var regs []uint16
	switch function {
	case 3:
		regs = []uint16{0, 23000, uint16(m.cfg.Address)} // the alarm's threshold
	case 4:
		regs = m.registers()
	case 0x42:
		m.energyWh = 0
		return []byte{function}
	default:
		return refuse(1)
	}
	if len(args) != 4 {
		return refuse(3)
	}
	start, n := int(binary.BigEndian.Uint16(args)), int(binary.BigEndian.Uint16(args[2:]))
	if m.f.wrongChip || n < 1 || start+n > len(regs) {
		return refuse(2)
	}
	out := []byte{function, byte(2 * n)}
	for _, v := range regs[start : start+n] {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}

func (m *pzem) registers() []uint16 {
	if m.f.stuckValue {
		return m.shown[:]
	}
	amps, watts := m.amps, m.watts
	if amps < pzemSilentA {
		amps = 0
	}
	if watts < pzemNoise {
		watts = 0
	}
	i, p, e := counts(amps/0.001), counts(watts/0.1), uint32(m.energyWh)
	m.shown = [10]uint16{
		uint16(min(counts(m.volts/0.1), math.MaxUint16)), uint16(i), uint16(i >> 16), uint16(p), uint16(p >> 16),
		uint16(e), uint16(e >> 16), uint16(min(counts(m.hz/0.1), math.MaxUint16)), uint16(counts(m.factor / 0.01)), 0,
	}
	return m.shown[:]
}

func counts(v float64) uint32 { return uint32(min(max(math.Round(v), 0), math.MaxUint32)) }

// crc16 is Modbus's checksum by division of the reflected message. It differs
// from the driver's code on purpose.
func crc16(b []byte) uint16 {
	rest := uint16(0xFFFF)
	for i := range 8 * len(b) {
		bit := uint16(b[i/8]>>(i%8))&1 ^ rest&1
		rest = rest>>1 ^ bit*0xA001
	}
	return rest
}
