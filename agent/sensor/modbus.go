package sensor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"strings"
	"time"

	"fairwatt/agent/modbus"
	"fairwatt/model"
	"fairwatt/proto/brief"
)

// KindModbus is the kind of a [Modbus].
const KindModbus = "modbus"

// ModbusOpts are the settings of a device that speaks Modbus, in evcc's words
// where it has one. The address is its unit, 1 (default) to 247. Registers come
// from a map by its name, from the configuration, or from both; those of the
// configuration take the place of the map's with the same channel.
type ModbusOpts struct {
	// Map is the name of a ready map (configs/meters), such as eastron-sdm630. It
	// also gives the defaults of the line.
	Map string `yaml:"map,omitempty"`
	// Endpoint is "host:port", port 502 if left out; or else Port names a serial
	// line.
	Endpoint string `yaml:"endpoint,omitempty"`
	Port     string `yaml:"port,omitempty"`
	// RTU has a converter at the endpoint that passes the serial line's frames on
	// as they are.
	RTU bool `yaml:"rtu,omitempty"`
	// Baudrate and Comset set the serial line, default 9600 and 8N1.
	Baudrate int    `yaml:"baudrate,omitempty"`
	Comset   string `yaml:"comset,omitempty"`
	// Timeout of one exchange, default 500 ms on a line and 1 s on a network.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	// ConnectDelay is how long the device is left alone after a connection.
	ConnectDelay time.Duration `yaml:"connect_delay,omitempty"`
	// Channels are those to be read, default all that the registers give.
	Channels []model.Channel `yaml:"channels,omitempty"`
	// MaxPowerW is more than the meter can ever have measured, default 100 kW: its
	// energy register goes no faster.
	MaxPowerW float64 `yaml:"max_power_w,omitempty"`
	// Registers say where the numbers are.
	Registers []RegisterConfig `yaml:"registers,omitempty"`
}

// A RegisterConfig says how a channel comes from a register: Scale times the number,
// and Offset.
type RegisterConfig struct {
	Channel  model.Channel  `yaml:"channel"`
	Register ModbusRegister `yaml:"register"`
	Scale    float64        `yaml:"scale,omitempty"` // default 1
	Offset   float64        `yaml:"offset,omitempty"`
}

// A ModbusRegister is the place of a number. Addresses count from 0, as on the wire.
type ModbusRegister struct {
	Address *uint16 `yaml:"address"`
	Type    string  `yaml:"type"`             // holding, input, coil or discrete
	Decode  string  `yaml:"decode,omitempty"` // such as int16 or float32; none for a bit
}

// Limits of a device's settings.
const (
	maxModbusRegisters = 64
	maxConnectDelay    = 2 * time.Second // a Read takes 3 s at most
)

// functions are the types of registers. Nothing is ever written.
var functions = map[string]byte{"holding": modbus.Holding, "input": modbus.Input, "coil": modbus.Coils, "discrete": modbus.Discretes}

func (o ModbusOpts) withDefaults() Opts {
	if m, ok := readyMap(o.Map); ok {
		orDefault(&o.Baudrate, m.Baudrate)
		orDefault(&o.Comset, m.Comset)
		orDefault(&o.Timeout, m.Timeout)
		orDefault(&o.ConnectDelay, m.ConnectDelay)
		var merged []RegisterConfig
		for _, r := range m.Registers {
			if indexOf(o.Registers, r.Channel) < 0 {
				merged = append(merged, r)
			}
		}
		o.Registers = append(merged, o.Registers...)
	}
	orDefault(&o.Baudrate, modbus.DefaultLine.Baud)
	orDefault(&o.Comset, "8N1")
	orDefault(&o.MaxPowerW, maxPowerW)
	if o.Endpoint != "" {
		orDefault(&o.Timeout, time.Second)
		if !strings.Contains(o.Endpoint, ":") {
			o.Endpoint += ":502"
		}
	}
	orDefault(&o.Timeout, 500*time.Millisecond)
	o.Registers = append([]RegisterConfig(nil), o.Registers...)
	for i := range o.Registers {
		orDefault(&o.Registers[i].Scale, 1)
	}
	if len(o.Channels) == 0 {
		o.Channels = make([]model.Channel, len(o.Registers))
		for i, r := range o.Registers {
			o.Channels[i] = r.Channel
		}
	}
	return o
}

// indexOf is where a channel stands among registers; -1: nowhere.
func indexOf(registers []RegisterConfig, c model.Channel) int {
	for i, r := range registers {
		if r.Channel == c {
			return i
		}
	}
	return -1
}

func (o ModbusOpts) place() place {
	if o.Port == "" {
		return atNetwork(o.Endpoint)
	}
	p := atSerial(o.Port)
	p.end = 247
	return p
}

func (o ModbusOpts) check() error {
	if _, known := readyMap(o.Map); o.Map != "" && !known {
		return fmt.Errorf("map: %s is none of %s", brief.Quote(o.Map), strings.Join(ReadyMaps(), ", "))
	}
	_, _, err := net.SplitHostPort(o.Endpoint)
	switch {
	case o.Port != "" && o.Endpoint != "":
		return errors.New("endpoint: stands beside port; a device is on one of them")
	case o.Port == "" && err != nil:
		return fmt.Errorf("endpoint: %s is no host:port; or name a serial line with port", brief.Quote(o.Endpoint))
	case o.RTU && o.Port != "":
		return errors.New("rtu: is for a converter at an endpoint; a port speaks it always")
	}
	if _, err := modbus.ParseLine(o.Baudrate, o.Comset); err != nil {
		return err
	}
	switch {
	case o.Timeout < 50*time.Millisecond || o.Timeout > 3*time.Second:
		return fmt.Errorf("timeout: %v is not within 50ms and 3s", o.Timeout)
	case o.ConnectDelay < 0 || o.ConnectDelay > maxConnectDelay:
		return fmt.Errorf("connect_delay: %v is not within 0 and %v", o.ConnectDelay, maxConnectDelay)
	case len(o.Registers) == 0:
		return errors.New("registers: missing; name a map, or write channel and register")
	case len(o.Registers) > maxModbusRegisters:
		return fmt.Errorf("registers: %d of them, not 1 to %d", len(o.Registers), maxModbusRegisters)
	}
	if err := checkMaxPower(o.MaxPowerW); err != nil {
		return err
	}
	for i, r := range o.Registers {
		if err := r.check(); err != nil {
			return fmt.Errorf("registers[%d].%w", i, err)
		}
		if indexOf(o.Registers[:i], r.Channel) >= 0 {
			return fmt.Errorf("registers[%d].channel: %s twice", i, r.Channel)
		}
	}
	for i, c := range o.Channels {
		switch {
		case slices.Contains(o.Channels[:i], c):
			return fmt.Errorf("channels[%d]: %s twice", i, c)
		case indexOf(o.Registers, c) < 0:
			return fmt.Errorf("channels[%d]: no register gives %s", i, c)
		}
	}
	return nil
}

// check names the first field that is wrong.
func (r RegisterConfig) check() error {
	if err := checkQuantity(r.Channel); err != nil {
		return err
	}
	function, known := functions[r.Register.Type]
	bit := function == modbus.Coils || function == modbus.Discretes
	switch {
	case !known:
		return fmt.Errorf("register.type: %s is none of holding, input, coil, discrete", brief.Quote(r.Register.Type))
	case r.Register.Address == nil:
		return errors.New("register.address: missing")
	case bit && r.Register.Decode != "":
		return fmt.Errorf("register.decode: %s has no sense for a %s; leave it out", brief.Quote(r.Register.Decode), r.Register.Type)
	}
	if !bit {
		n, err := parseNumber(r.Register.Decode)
		if err != nil {
			return fmt.Errorf("register.decode: %w", err)
		}
		if int(*r.Register.Address)+n.words > 0x10000 {
			return fmt.Errorf("register.address: %d and %d registers go beyond 65535", *r.Register.Address, n.words)
		}
	}
	return linear{scale: r.Scale, offset: r.Offset}.check(r.Channel, "")
}

func (o ModbusOpts) open(cfg Config, buses Buses) (Sensor, error) { return newModbus(o, cfg, buses) }

// A Modbus is a meter, an inverter or a sensor of any maker whose registers are
// told by a map. It is only ever read.
//
// A register that the device refuses, or says it has no value for, fails its own
// channel. A device that does not answer fails them all.
type Modbus struct {
	register
	name     string
	link     link
	channels []model.Channel
	blocks   []block
}

// A block is registers that stand side by side and are asked for at once.
type block struct {
	function     byte
	start, count int
	points       []mapped
}

// A mapped is a channel in a block.
type mapped struct {
	channel model.Channel
	at      int // register in the block
	form    number
	linear
}

func newModbus(o ModbusOpts, cfg Config, buses Buses) (*Modbus, error) {
	line, err := modbus.ParseLine(o.Baudrate, o.Comset)
	if err != nil {
		return nil, err
	}
	d := &Modbus{
		name: cfg.Name, channels: slices.Clone(o.Channels), blocks: blocksOf(o),
		link: link{endpoint: o.Endpoint, port: o.Port, rtu: o.RTU, line: line, unit: byte(cfg.Address), timeout: o.Timeout, delay: o.ConnectDelay},
	}
	d.register = register{clock: clockOf(buses), maxPowerW: o.MaxPowerW}
	if err := d.link.open(buses); err != nil {
		return nil, d.fail("open", err)
	}
	return d, nil
}

// blocksOf puts the registers of the channels together that stand side by side: a
// register in between need not exist.
func blocksOf(o ModbusOpts) (blocks []block) {
	var regs []RegisterConfig
	for _, r := range o.Registers {
		if slices.Contains(o.Channels, r.Channel) {
			regs = append(regs, r)
		}
	}
	key := func(r RegisterConfig) int { return int(functions[r.Register.Type])<<16 | int(*r.Register.Address) }
	sort.SliceStable(regs, func(i, j int) bool { return key(regs[i]) < key(regs[j]) })
	for _, r := range regs {
		function, start := functions[r.Register.Type], int(*r.Register.Address)
		form, _ := parseNumber(r.Register.Decode) // checked; a bit has none
		count := max(form.words, 1)
		p := mapped{channel: r.Channel, form: form, linear: linear{scale: r.Scale, offset: r.Offset}}
		if form.form != 'f' {
			p.step = 1
		}
		if n := len(blocks); n > 0 && form.words > 0 {
			last := &blocks[n-1]
			end := max(last.start+last.count, start+count)
			if last.function == function && start <= last.start+last.count && end-last.start <= modbus.MaxRead {
				p.at, last.count = start-last.start, end-last.start
				last.points = append(last.points, p)
				continue
			}
		}
		blocks = append(blocks, block{function, start, count, []mapped{p}})
	}
	return blocks
}

func (d *Modbus) fail(op string, err error) error {
	return &Error{KindModbus, d.link.place(), uint16(d.link.unit), op, err}
}

// Name implements Sensor.
func (d *Modbus) Name() string { return d.name }

// Channels implements Sensor.
func (d *Modbus) Channels() []model.Channel { return d.channels }

// Halt implements Sensor: it closes the port or the connection.
func (d *Modbus) Halt() error {
	if err := d.link.close(); err != nil {
		return d.fail("close", err)
	}
	return nil
}

// Read implements Sensor. A network is asked again 5 s after a failed connection,
// or after three failures in a row.
func (d *Modbus) Read(ctx context.Context, s *model.Sample) error {
	for _, c := range d.channels {
		s.Fail(c, model.SensorError)
	}
	var bad []error
	for _, b := range d.blocks {
		regs, err := d.fetch(ctx, b)
		var refused *modbus.Exception
		if errors.As(err, &refused) {
			bad = append(bad, fmt.Errorf("%s at %d: %w", b.points[0].channel, b.start, err))
			continue
		}
		if err != nil {
			for _, c := range d.channels { // values of one moment, or none
				s.Fail(c, model.SensorError)
			}
			return d.fail(fmt.Sprintf("read registers at %d", b.start), err)
		}
		for _, p := range b.points {
			if err := d.take(s, p, regs[p.at:]); err != nil {
				bad = append(bad, err)
			}
		}
	}
	if len(bad) > 0 {
		return d.fail("read registers", errors.Join(bad...))
	}
	return nil
}

// fetch asks for a block; a bit counts as a register of 0 or 1.
func (d *Modbus) fetch(ctx context.Context, b block) ([]uint16, error) {
	if b.function == modbus.Holding || b.function == modbus.Input {
		return d.link.registers(ctx, b.function, uint16(b.start), uint16(b.count))
	}
	on, err := d.link.bit(ctx, b.function, uint16(b.start))
	if on {
		return []uint16{1}, err
	}
	return []uint16{0}, err
}

// take puts a point's value into the sample.
func (d *Modbus) take(s *model.Sample, p mapped, regs []uint16) error {
	raw := float64(regs[0])
	if p.form.words > 0 {
		var err error
		if raw, err = p.form.value(regs); err != nil {
			return fmt.Errorf("%s: %w: %w", p.channel, ErrSkipped, err)
		}
	}
	if c, bills := billing(d.channels); bills && c == p.channel {
		d.stepWh = p.scale * p.step
		return d.set(s, c, raw*p.scale)
	}
	return p.linear.set(s, p.channel, raw)
}
