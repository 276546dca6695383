package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"periph.io/x/conn/v3/i2c/i2creg"

	"fairwatt/agent"
	"fairwatt/agent/modbus"
	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/model"
)

// detectAsk bounds one exchange with what may be there.
const detectAsk = 200 * time.Millisecond

// A search is where to look, and what was found.
type search struct {
	buses     sensor.Buses
	sim       string   // the board's address; empty on this machine
	i2c       []string // names of I2C buses
	ports     []string
	units     int // unit numbers tried on a serial line, from 1
	endpoints []string
	sys       string // the folder of /sys
	found     []string
	notes     []string // what may be there, as comments
}

func detectCommand() *cobra.Command {
	var s search
	var bus, out, site, device, broker, username, passwordFile string
	var most, listen time.Duration
	cmd := &cobra.Command{
		Use:   "detect",
		Short: "Look for sensors and write a first configuration",
		Long: `Looks at the I2C buses, the serial ports (/dev/ttyUSB*, /dev/ttyACM*), the
kernel's 1-Wire thermometers, and the endpoints and the broker that are named, and
writes a first configuration with what it found. It changes nothing on any device:
it reads registers, and listens. Stop the agent first, and pull out what must
not get bytes on a serial port. What was relayed over MQTT, and what cannot be
told for sure, stands in comments.`,
		Example: `  agent detect --site harbour --device pv-1 --out agent.yaml
  agent detect --endpoint 192.168.1.40:502 --broker tcp://192.168.1.5:1883`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, cancel := context.WithTimeout(cmd.Context(), most)
			defer cancel()
			closer, err := s.open(ctx, bus)
			if err != nil {
				return err
			}
			s.look(ctx)
			err = closer.Close()
			if broker != "" {
				links := brokerLinks{URLs: []string{broker}, Auth: agent.MQTTAuthConfig{Username: username, PasswordFile: passwordFile}}
				err = errors.Join(err, s.listen(ctx, links, listen))
			}
			text := s.config(site, device)
			if err != nil {
				return err
			}
			if _, err := agent.ParseConfig(strings.NewReader(text)); err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "not complete yet:", err)
			}
			if out == "" {
				_, err = io.WriteString(cmd.OutOrStdout(), text)
				return err
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("write configuration: %w", err)
			}
			_, err = f.WriteString(text)
			return errors.Join(err, f.Close())
		},
	}
	f := cmd.Flags()
	f.StringVar(&bus, "bus", "", "a simulated board, sim://host:port, instead of this machine")
	f.StringVar(&out, "out", "", "file to write, which must not exist; default is the terminal")
	f.StringVar(&site, "site", "my-site", "id of the site")
	f.StringVar(&device, "device", "my-device", "id of the device")
	f.StringSliceVar(&s.ports, "port", nil, "serial port to look at, instead of all (repeatable)")
	f.IntVar(&s.units, "units", 3, "unit numbers to try on a serial line, 1 to 247")
	f.StringSliceVar(&s.endpoints, "endpoint", nil, "host:port of a device that speaks Modbus TCP (repeatable)")
	f.StringVar(&broker, "broker", "", "broker to listen to, tcp://host:1883")
	f.StringVar(&username, "username", "", "login at the broker")
	f.StringVar(&passwordFile, "password-file", "", "file with its password")
	f.DurationVar(&listen, "listen", 15*time.Second, "how long to listen to the broker")
	f.DurationVar(&most, "within", 3*time.Minute, "how long it may take at most")
	return cmd
}

// open opens the buses.
func (s *search) open(ctx context.Context, bus string) (io.Closer, error) {
	if s.units < 1 || s.units > 247 {
		return nil, usageError{fmt.Errorf("--units: %d is not within 1 and 247", s.units)}
	}
	if address, ok := strings.CutPrefix(bus, agent.SimScheme); ok {
		client, err := simbus.Dial(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("simulated board %s: %w", address, err)
		}
		s.buses, s.sim, s.i2c = client, bus, []string{""}
		return client, nil
	}
	if bus != "" {
		return nil, usageError{fmt.Errorf("--bus: %.60q; leave it out for this machine, or use sim://host:port", bus)}
	}
	host, err := newHostBuses()
	if err != nil {
		return nil, err
	}
	s.buses, s.sys = host, "/sys"
	for _, ref := range i2creg.All() {
		s.i2c = append(s.i2c, fmt.Sprint(ref.Number))
	}
	if s.ports == nil {
		for _, pattern := range []string{"/dev/ttyUSB*", "/dev/ttyACM*"} {
			ports, err := filepath.Glob(pattern)
			if err != nil {
				return nil, err
			}
			s.ports = append(s.ports, ports...)
		}
	}
	return host, nil
}

// look looks at everything but the broker. What cannot be opened is noted.
func (s *search) look(ctx context.Context) {
	for _, name := range s.i2c {
		bus, err := s.buses.I2C(name)
		if err != nil {
			s.notes = append(s.notes, err.Error())
			continue
		}
		for _, c := range chips {
			if c.answers(bus.Tx) {
				s.chip(c, name)
			}
		}
	}
	if s.sys != "" {
		s.oneWire()
	}
	for _, port := range s.ports {
		s.serial(ctx, port)
	}
	for _, endpoint := range s.endpoints {
		s.network(ctx, endpoint)
	}
	if ctx.Err() != nil {
		s.notes = append(s.notes, "the time was over before all was looked at: give more by --within, or name --port")
	}
}

// A knownChip is how a chip on an I2C bus is told from others: by what a register
// holds. Nothing but the number of a register is written, and to no address where an
// expander of pins might take that for their levels.
type knownChip struct {
	kind      string
	address   uint16
	register  byte
	mask, has uint16 // of the register's two bytes
	sure      bool   // the register is the chip's identity
}

func (c knownChip) answers(tx func(addr uint16, w, r []byte) error) bool {
	var b [2]byte
	return tx(c.address, []byte{c.register}, b[:]) == nil && (uint16(b[0])<<8|uint16(b[1]))&c.mask == c.has
}

// chips are those with an identity (BST-BME280-DS002 5.4.1, ADXL345 rev. G register 0,
// DS25095A 5.1.5), and those whose settings after power-up tell (SBOS448G 8.6.2.1,
// SBAS444D 9.6.3, SBOS397 7.5.3).
var chips = func() (out []knownChip) {
	each := func(c knownChip, addresses ...uint16) {
		for _, c.address = range addresses {
			out = append(out, c)
		}
	}
	each(knownChip{sensor.KindBME280, 0, 0xD0, 0xFF00, 0x6000, true}, 0x76, 0x77)
	each(knownChip{sensor.KindADXL345, 0, 0, 0xFF00, 0xE500, true}, 0x53, 0x1D)
	each(knownChip{sensor.KindMCP9808, 0, 6, 0xFFFF, 0x0054, true}, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F)
	each(knownChip{sensor.KindINA219, 0, 0, 0xFFFF, 0x399F, false}, 0x40, 0x41, 0x44, 0x45)
	each(knownChip{sensor.KindADS1115, 0, 1, 0xFFFF, 0x8583, false}, 0x48, 0x49, 0x4A, 0x4B)
	each(knownChip{sensor.KindTMP102, 0, 1, 0xFFEF, 0x60A0, false}, 0x48, 0x49, 0x4A, 0x4B)
	return out
}()

func (s *search) chip(c knownChip, bus string) {
	line := fmt.Sprintf("{kind: %s, bus: %q, address: 0x%02x}", c.kind, bus, c.address)
	switch {
	case c.kind == sensor.KindADS1115: // nobody can see what its inputs are wired to
		s.notes = append(s.notes, fmt.Sprintf("an ads1115 at 0x%02x of bus %q: write its inputs (a wind vane too), as in docs/agent.md", c.address, bus))
	case c.sure:
		s.found = append(s.found, line)
	default:
		s.found = append(s.found, line+"   # by its settings after power-up")
	}
}

// oneWire lists the thermometers that the kernel reads.
func (s *search) oneWire() {
	names, err := filepath.Glob(s.sys + "/bus/w1/devices/28-*/w1_slave")
	if err != nil {
		return // the pattern is right
	}
	for _, name := range names {
		s.found = append(s.found, fmt.Sprintf("{kind: sysfs, files: [{channel: equipment_temperature_c, path: %s, scale: 0.001}]}", name))
	}
}

// detectLines are the lines that the ready maps' devices leave the factory with, and a
// PZEM's.
var detectLines = []modbus.Line{modbus.DefaultLine, {Baud: 2400, Parity: 'E', Stop: 1}, {Baud: 19200, Parity: 'E', Stop: 1}, {Baud: 9600, Parity: 'E', Stop: 1}}

// serial looks for units on a serial line, and which map they fit.
func (s *search) serial(ctx context.Context, port string) {
	for _, line := range detectLines {
		for unit := 1; unit <= s.units && ctx.Err() == nil; unit++ {
			opts := sensor.ModbusOpts{Port: port, Baudrate: line.Baud, Comset: strings.Fields(line.String())[1], Timeout: detectAsk}
			there, err := s.speaks(ctx, opts, uint16(unit))
			if err != nil {
				s.notes = append(s.notes, err.Error())
				return
			}
			if !there {
				continue
			}
			if line == modbus.DefaultLine && s.reads(ctx, sensor.Config{Kind: sensor.KindPZEM, Address: uint16(unit), Opts: sensor.PZEMOpts{Port: port}}) {
				s.found = append(s.found, fmt.Sprintf("{kind: pzem, port: %s, address: %d}", port, unit))
				continue
			}
			s.fits(ctx, opts, uint16(unit), fmt.Sprintf("port: %s, baudrate: %d, comset: %s", port, line.Baud, opts.Comset))
		}
	}
}

// network looks at a device on a network: SunSpec, or a map.
func (s *search) network(ctx context.Context, endpoint string) {
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		endpoint += ":502"
	}
	for _, unit := range []uint16{1, 126} {
		if s.reads(ctx, sensor.Config{Kind: sensor.KindSunSpec, Address: unit, Opts: sensor.SunSpecOpts{Endpoint: endpoint, Channels: []model.Channel{model.PowerW, model.FrequencyHz}}}) {
			s.found = append(s.found, fmt.Sprintf("{kind: sunspec, endpoint: %q, address: %d}", endpoint, unit))
			return
		}
	}
	s.fits(ctx, sensor.ModbusOpts{Endpoint: endpoint, Timeout: time.Second}, 1, fmt.Sprintf("endpoint: %q", endpoint))
}

// fits finds the ready map whose registers the device has all of, with numbers that can
// be true; of several the one with the most.
func (s *search) fits(ctx context.Context, opts sensor.ModbusOpts, unit uint16, where string) {
	best, most := "", 0
	for _, name := range sensor.ReadyMaps() {
		opts.Map = name
		c := sensor.Config{Kind: sensor.KindModbus, Address: unit, Opts: opts}
		channels, err := c.Channels()
		if err == nil && len(channels) > most && s.reads(ctx, c) {
			best, most = name, len(channels)
		}
	}
	if best == "" {
		s.notes = append(s.notes, fmt.Sprintf("unit %d at %s speaks Modbus and fits no ready map: write its registers", unit, where))
		return
	}
	s.found = append(s.found, fmt.Sprintf("{kind: modbus, %s, address: %d, map: %s}   # compare with its display", where, unit, best))
}

// speaks asks a unit for one register: any answer shows that it is there, a refusal too.
func (s *search) speaks(ctx context.Context, opts sensor.ModbusOpts, unit uint16) (bool, error) {
	at := uint16(0)
	opts.Registers = []sensor.RegisterConfig{{Channel: model.VoltageV, Register: sensor.ModbusRegister{Address: &at, Type: "input", Decode: "uint16"}}}
	one, err := sensor.New(sensor.Config{Kind: sensor.KindModbus, Address: unit, Opts: opts}, s.buses)
	if err != nil {
		return false, err
	}
	var sample model.Sample
	err = one.Read(ctx, &sample)
	var refused *modbus.Exception
	return err == nil || errors.As(err, &refused) || errors.Is(err, sensor.ErrSkipped), one.Halt()
}

// reads says whether a sensor gives all of its channels, with values that can be true
// and, of the mains, that are.
func (s *search) reads(ctx context.Context, c sensor.Config) bool {
	one, err := sensor.New(c, s.buses)
	if err != nil {
		return false
	}
	var sample model.Sample
	err = one.Read(ctx, &sample)
	if errors.Join(err, one.Halt()) != nil {
		return false
	}
	for _, ch := range one.Channels() {
		v, ok := sample.Get(ch)
		info := ch.Info()
		low, high := info.Min, info.Max
		switch {
		case ch == model.FrequencyHz:
			low, high = 40, 70
		case ch == model.VoltageV || ch == model.VoltageAV || ch == model.VoltageBV || ch == model.VoltageCV:
			low, high = 50, 500
		}
		if !ok || v < low || v > high {
			return false
		}
	}
	return true
}

// config writes the configuration.
func (s *search) config(site, device string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# A first configuration, written by agent detect. docs/agent.md explains each key: say what\n"+
		"# each sensor is for, what your plant is, who buys or sells, and the broker.\nsite: %s\ndevice: %s\ndata: data\n", site, device)
	if s.sim != "" {
		fmt.Fprintf(&b, "simulated: true\nbus: %q\n", s.sim)
	}
	b.WriteString("judge: {grid: eu-50, generator: pv, nominal_voltage_v: 230, nominal_frequency_hz: 50}\n")
	if len(s.found) == 0 {
		b.WriteString("sensors: []   # none was found\n")
	} else {
		b.WriteString("sensors:\n")
	}
	for _, line := range s.found {
		fmt.Fprintln(&b, "  -", line)
	}
	for _, note := range s.notes {
		fmt.Fprintln(&b, "#", strings.ReplaceAll(note, "\n", "\n# "))
	}
	return b.String()
}
