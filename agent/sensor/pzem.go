package sensor

import (
	"context"
	"errors"
	"fmt"
	"io"

	"fairwatt/agent/modbus"
	"fairwatt/model"
)

// KindPZEM is the kind of a [PZEM].
const KindPZEM = "pzem"

// PZEMOpts are the settings of a PZEM. Its address is the Modbus address, 1 (default) to 247, or
// 248 for the only one on its line.
type PZEMOpts struct {
	// Direction is "export" (default) or "import".
	Direction string `yaml:"direction,omitempty"`
	// Port is the serial line, as the application's Buses name it: "/dev/ttyUSB0".
	Port string `yaml:"port,omitempty"`
	// Phase is "a", "b" or "c" if three meters measure three phases: voltage_a_v
	// and so on, the frequency from phase a, no energy.
	Phase string `yaml:"phase,omitempty"`
}

func (o PZEMOpts) withDefaults() Opts {
	orDefault(&o.Direction, "export")
	return o
}

func (o PZEMOpts) place() place { return atSerial(o.Port) }

func (o PZEMOpts) check() error {
	if _, ok := pzemPhases[o.Phase]; !ok {
		return fmt.Errorf("phase: %q is none of a, b, c", o.Phase)
	}
	return checkDirection(o.Direction)
}

func (o PZEMOpts) open(cfg Config, buses Buses) (Sensor, error) { return newPZEM(o, cfg, buses) }

// A PZEM is a PZEM-004T v3: voltage, current, power, energy, frequency and
// power factor of one phase over Modbus RTU at 9600 Bd (Peacefair, PZEM-004T
// V3.0 user manual, chapter 2). It lives off the line that it measures: on a
// dead line it is silent, as it is with a cut cable.
//
// It knows no direction: power is positive always, and the energy register
// counts both ways up. Which of the two is meant is configured. The meter's
// register begins again after 9999.99 kWh and after a reset, ours goes on. This driver
// never resets it.
type PZEM struct {
	register
	name, portName string
	addr           byte
	lines          Serials
	port           io.ReadWriteCloser // nil after a broken exchange
	clock          Clock
	channels       []model.Channel // in the order of pzemValues
	values         []pzemValue
}

// A pzemValue is where a quantity stands in the answer: one register, or two
// with the low word first.
type pzemValue struct {
	reg  int
	wide bool
	unit float64
}

const pzemRegisters = 10

var (
	pzemVoltage   = pzemValue{0, false, 0.1}
	pzemCurrent   = pzemValue{1, true, 0.001}
	pzemPower     = pzemValue{3, true, 0.1}
	pzemEnergy    = pzemValue{5, true, 1}
	pzemFrequency = pzemValue{7, false, 0.1}
	pzemFactor    = pzemValue{8, false, 0.01}
)

// pzemPhases are the channels of a phase: voltage, current, power, factor.
var pzemPhases = map[string][4]model.Channel{
	"":  {model.VoltageV, model.CurrentA, model.PowerW, model.PowerFactor},
	"a": {model.VoltageAV, model.CurrentAA, model.PowerAW, model.PowerFactorA},
	"b": {model.VoltageBV, model.CurrentBA, model.PowerBW, model.PowerFactorB},
	"c": {model.VoltageCV, model.CurrentCA, model.PowerCW, model.PowerFactorC},
}

func newPZEM(o PZEMOpts, cfg Config, buses Buses) (*PZEM, error) {
	d := &PZEM{name: cfg.Name, portName: o.Port, addr: byte(cfg.Address), clock: clockOf(buses)}
	lines, ok := buses.(Serials)
	if !ok {
		return nil, d.fail("open port", errors.New("no serial lines here"))
	}
	d.lines = lines
	d.register = register{clock: d.clock, maxPowerW: maxPowerW, stepWh: pzemEnergy.unit}
	ch := pzemPhases[o.Phase]
	d.channels = append(d.channels, ch[:]...)
	d.values = []pzemValue{pzemVoltage, pzemCurrent, pzemPower, pzemFactor}
	if o.Phase == "" || o.Phase == "a" { // three phases have one frequency
		d.channels = append(d.channels, model.FrequencyHz)
		d.values = append(d.values, pzemFrequency)
	}
	if o.Phase == "" { // there is no channel for the energy of one phase
		energy := model.EnergyExportWh
		if o.Direction == "import" {
			energy = model.EnergyImportWh
		}
		d.channels = append(d.channels, energy)
		d.values = append(d.values, pzemEnergy)
	}
	return d, d.open()
}

func (d *PZEM) fail(op string, err error) error {
	return &Error{KindPZEM, d.portName, uint16(d.addr), op, err}
}

func (d *PZEM) open() error {
	p, err := d.lines.Serial(d.portName)
	if err != nil {
		return d.fail("open port", err)
	}
	d.port = p
	return nil
}

// Name implements Sensor.
func (d *PZEM) Name() string { return d.name }

// Channels implements Sensor.
func (d *PZEM) Channels() []model.Channel { return d.channels }

// Halt implements Sensor: it closes the port.
func (d *PZEM) Halt() error {
	if d.port == nil {
		return nil
	}
	p := d.port
	d.port = nil
	if err := p.Close(); err != nil {
		return d.fail("close port", err)
	}
	return nil
}

// Read implements Sensor; it takes about 60 ms, and half a second without an
// answer. A port that broke (an adapter that was pulled) is opened again.
func (d *PZEM) Read(ctx context.Context, s *model.Sample) error {
	if d.port == nil {
		if err := d.open(); err != nil {
			return failAll(s, d.channels, err)
		}
	}
	regs, err := d.registers(ctx)
	if err != nil {
		if errors.Is(err, modbus.ErrPort) {
			err = errors.Join(err, d.Halt())
		}
		return failAll(s, d.channels, d.fail("read registers", err))
	}
	var jumped error
	for i, v := range d.values {
		raw := uint32(regs[v.reg])
		if v.wide {
			raw |= uint32(regs[v.reg+1]) << 16
		}
		if v == pzemEnergy {
			jumped = d.set(s, d.channels[i], float64(raw)*v.unit)
			continue
		}
		s.SetStep(d.channels[i], float64(raw)*v.unit, v.unit)
	}
	if jumped != nil {
		return d.fail("read registers", jumped)
	}
	return nil
}

func (d *PZEM) registers(ctx context.Context) ([]uint16, error) {
	ask := modbus.ReadRegisters(modbus.Input, 0, pzemRegisters)
	answer, err := modbus.OverSerial(ctx, d.port, d.clock, d.addr, ask)
	if err != nil {
		return nil, modbusClass(err)
	}
	return ask.Registers(answer)
}
