package sensor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fairwatt/agent/modbus"
	"fairwatt/firmware-sim/modbusdevice"
	"fairwatt/model"
)

// world is plausible numbers, each another.
func world() *model.Sample {
	s := &model.Sample{}
	for c, v := range map[model.Channel]float64{
		model.VoltageV: 230.5, model.VoltageAV: 231.5, model.VoltageBV: 229.4, model.VoltageCV: 230.1,
		model.CurrentA: 4.25, model.CurrentAA: 4.31, model.CurrentBA: 5.12, model.CurrentCA: 6.07,
		model.PowerW: -3512, model.PowerAW: -1021, model.PowerBW: -1204, model.PowerCW: -1287,
		model.PowerFactor: -0.981, model.PowerFactorA: -0.972, model.PowerFactorB: 0.963, model.PowerFactorC: 0.954,
		model.FrequencyHz: 49.9, model.EnergyImportWh: 12345600, model.EnergyExportWh: 345678900,
		model.THDAPct: 2.5, model.THDBPct: 3.25, model.THDCPct: 1.75, model.DCVoltageV: 611.3, model.DCCurrentA: -5.21,
		model.EquipmentTemperatureC: 41.5, model.InsulationKOhm: 1250, model.IrradianceWPM2: 812,
	} {
		s.Set(c, v)
	}
	return s
}

// memLine is a serial line in memory with devices on it, in the time of a clock that
// the sleeps and the waits of its reader drive.
type memLine struct {
	fakeBuses
	devices []*modbusdevice.Device
	line    modbus.Line
	wait    time.Duration // of the next Read
	pending []byte
	opened  int
}

func (m *memLine) SerialAt(_ string, line modbus.Line) (io.ReadWriteCloser, error) {
	m.line = line
	m.opened++
	return m, nil
}
func (m *memLine) Serial(string) (io.ReadWriteCloser, error) {
	return nil, errors.New("not by its settings")
}
func (m *memLine) Close() error                         { return nil }
func (m *memLine) SetReadTimeout(d time.Duration) error { m.wait = d; return nil }
func (m *memLine) Write(b []byte) (int, error) {
	for _, d := range m.devices {
		m.pending = append(m.pending, d.Frame(b)...)
	}
	return len(b), nil
}
func (m *memLine) Read(b []byte) (int, error) {
	if len(m.pending) == 0 {
		m.now += m.wait
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b[:min(len(b), 7)], m.pending)
	m.pending = m.pending[n:]
	return n, nil
}

// Each ready map reads each value of its device as the maker's table has it, over a
// serial line and over TCP; nothing is written; the line is the factory's.
func TestReadyMapsReadTheirDevices(t *testing.T) {
	if !slices.Equal(ReadyMaps(), modbusdevice.Names()) || len(ReadyMaps()) < 8 {
		t.Fatalf("maps %v, devices %v", ReadyMaps(), modbusdevice.Names())
	}
	for _, name := range ReadyMaps() {
		device, err := modbusdevice.New(name, 7)
		if err != nil {
			t.Fatal(err)
		}
		device.Feed(world())
		here, there := net.Pipe()
		go func() {
			l := &oneListener{conn: there}
			_ = device.Serve(t.Context(), l, false)
		}()
		line := &memLine{devices: []*modbusdevice.Device{device}}
		for how, c := range map[string]struct {
			opts  ModbusOpts
			buses Buses
		}{
			"line": {ModbusOpts{Map: name, Port: "tty"}, line},
			"TCP":  {ModbusOpts{Map: name, Endpoint: "h", ConnectDelay: time.Nanosecond}, &pipeBuses{dial: func() (net.Conn, error) { return here, nil }}},
		} {
			cfg := Config{Kind: KindModbus, Address: 7, Opts: c.opts}
			d, err := New(cfg, c.buses)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				t.Errorf("%s on %s: %v", name, how, err)
			}
			if got, want := slices.Sorted(slices.Values(d.Channels())), slices.Sorted(slices.Values(modbusdevice.Channels(name))); !slices.Equal(got, want) {
				t.Errorf("%s gives %v, its device %v", name, got, want)
			}
			for _, ch := range d.Channels() {
				got, ok := s.Get(ch)
				want, _ := world().Get(ch)
				if !ok || math.Abs(got-want) > 1e-3*math.Abs(want) {
					t.Errorf("%s on %s: %s is %g %v, want %g", name, how, ch, got, ok, want)
				}
			}
			if err := d.Halt(); err != nil {
				t.Error(err)
			}
		}
		if device.Refused() != 0 {
			t.Errorf("%s: %d requests were no reads", name, device.Refused())
		}
		m, _ := readyMap(name)
		if want := fmt.Sprintf("%d %s", m.Baudrate, m.Comset); m.Baudrate != 0 && line.line.String() != want {
			t.Errorf("%s: line %s, want %s", name, line.line, want)
		}
		if m.Device == "" {
			t.Errorf("%s names no device", name)
		}
	}
}

// oneListener accepts one connection.
type oneListener struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn, l.done = nil, make(chan struct{})
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *oneListener) Close() error   { close(l.done); return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }

// Whatever the device does wrong, no channel has a value, the reason is told, and it
// comes back by itself.
func TestModbusFailsClosed(t *testing.T) {
	for _, network := range []bool{false, true} {
		for fault, want := range map[modbusdevice.Fault]error{
			modbusdevice.Silent: ErrNoChip, modbusdevice.Busy: nil, modbusdevice.WrongUnit: ErrWrongChip, modbusdevice.WrongAnswer: nil,
			modbusdevice.Cut: nil, modbusdevice.Garbled: nil, modbusdevice.Unmeasured: ErrSkipped,
		} {
			t.Run(fmt.Sprintf("%s network %v", fault, network), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					device, err := modbusdevice.New("eastron-sdm630", 1)
					if err != nil {
						t.Fatal(err)
					}
					line := &memLine{devices: []*modbusdevice.Device{device}}
					opts, buses := ModbusOpts{Map: "eastron-sdm630", Port: "tty"}, Buses(line)
					if network {
						opts.Port, opts.Endpoint = "", "h"
						buses = &pipeBuses{dial: func() (net.Conn, error) {
							here, there := net.Pipe()
							go func() { _ = device.Serve(ctx, &oneListener{conn: there}, false) }()
							return here, nil
						}}
					}
					device.Inject(fault, true)
					device.Feed(world())
					d, err := New(Config{Kind: KindModbus, Opts: opts}, buses)
					if err != nil {
						t.Fatal(err)
					}
					var s model.Sample
					for _, ch := range d.Channels() { // an old value must not stay
						s.Set(ch, 1)
					}
					err = d.Read(t.Context(), &s)
					var told *Error
					if !errors.As(err, &told) || want != nil && !network && !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
					for _, ch := range d.Channels() {
						if s.Validity[ch] != model.SensorError {
							t.Errorf("%s is %v", ch, s.Validity[ch])
						}
					}
					device.Inject(fault, false)
					device.Feed(world())
					time.Sleep(6 * time.Second)
					s = model.Sample{}
					if err := d.Read(t.Context(), &s); err != nil {
						t.Errorf("mended: %v", err)
					}
					if v, ok := s.Get(model.VoltageAV); !ok || math.Abs(v-231.5) > 0.01 {
						t.Errorf("mended: %g", v)
					}
					if err := d.Halt(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// A device on a converter that passes serial frames on is read over TCP.
func TestModbusRTUOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, err := modbusdevice.New("eastron-sdm120", 3)
		if err != nil {
			t.Fatal(err)
		}
		device.Feed(world())
		here, there := net.Pipe()
		go device.ServeLine(there)
		defer there.Close()
		d, err := New(Config{Kind: KindModbus, Address: 3, Opts: ModbusOpts{Map: "eastron-sdm120", Endpoint: "h:23", RTU: true}},
			&pipeBuses{dial: func() (net.Conn, error) { return here, nil }})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if v, ok := s.Get(model.EnergyExportWh); !ok || math.Abs(v-345678900) > 1e5 {
			t.Errorf("%g %v", v, ok)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
	})
}

// lateLine takes 100 ms for each answer, and 700 ms for the first.
type lateLine struct {
	memLine
	comes []lateAnswer
}

type lateAnswer struct {
	at    time.Duration
	bytes []byte
}

func (l *lateLine) SerialAt(string, modbus.Line) (io.ReadWriteCloser, error) { return l, nil }
func (l *lateLine) Write(b []byte) (int, error) {
	takes := 100 * time.Millisecond
	if l.opened++; l.opened == 1 {
		takes = 700 * time.Millisecond
	}
	l.comes = append(l.comes, lateAnswer{l.now + takes, l.devices[0].Frame(b)})
	slices.SortFunc(l.comes, func(a, b lateAnswer) int { return cmp.Compare(a.at, b.at) })
	return len(b), nil
}
func (l *lateLine) Read(b []byte) (int, error) {
	if len(l.pending) == 0 && len(l.comes) > 0 && l.comes[0].at <= l.now+l.wait {
		l.now = max(l.now, l.comes[0].at)
		l.pending, l.comes = l.comes[0].bytes, l.comes[1:]
	}
	return l.memLine.Read(b)
}

// An answer that comes late is not taken for that to the next request: the two have
// the same length here.
func TestModbusDoesNotTakeALateAnswer(t *testing.T) {
	device, err := modbusdevice.New("eastron-sdm630", 1)
	if err != nil {
		t.Fatal(err)
	}
	device.Feed(world())
	l := &lateLine{memLine: memLine{devices: []*modbusdevice.Device{device}}}
	d, err := New(Config{Kind: KindModbus, Opts: ModbusOpts{Map: "eastron-sdm630", Port: "tty", Channels: []model.Channel{model.PowerW, model.PowerFactor}}}, l)
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); !errors.Is(err, ErrNoChip) {
		t.Fatalf("a late answer: %v", err)
	}
	for range 3 {
		s = model.Sample{}
		err := d.Read(t.Context(), &s)
		if v, ok := s.Get(model.PowerFactor); ok && v != -0.981 && math.Abs(v+0.981) > 1e-6 {
			t.Fatalf("power factor %g, %v", v, err)
		}
	}
	if v, ok := s.Get(model.PowerW); !ok || v != -3512 {
		t.Errorf("power %g %v", v, ok)
	}
}

// A register that the device does not have fails its own channel; the others are
// given, and registers that do not stand side by side are never asked for together.
func TestModbusMissingRegister(t *testing.T) {
	device, err := modbusdevice.New("kipp-zonen-smp", 1)
	if err != nil {
		t.Fatal(err)
	}
	device.Feed(world())
	at := func(a uint16) ModbusRegister { return ModbusRegister{Address: &a, Type: "input", Decode: "int16"} }
	d, err := New(Config{Kind: KindModbus, Opts: ModbusOpts{Map: "kipp-zonen-smp", Port: "tty", Registers: []RegisterConfig{
		{Channel: model.TemperatureC, Register: at(8), Scale: 0.1},
	}}}, &memLine{devices: []*modbusdevice.Device{device}})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	err = d.Read(t.Context(), &s)
	var refused *modbus.Exception
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "temperature_c at 8") {
		t.Errorf("missing register: %v", err)
	}
	if v, ok := s.Get(model.IrradianceWPM2); !ok || v != 812 || s.Validity[model.TemperatureC] != model.SensorError {
		t.Errorf("%g %v, %v", v, ok, s.Validity[model.TemperatureC])
	}
}

// Numbers are read as they are written, in every form and order; what says that it
// is no number is none.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		form string
		regs []uint16
		want float64
	}{
		{"int16", []uint16{0xfffe}, -2}, {"uint16", []uint16{0xfffe}, 65534}, {"int16b", []uint16{0xfeff}, -2}, {"int16nan", []uint16{5}, 5},
		{"int32", []uint16{0xffff, 0xfffe}, -2}, {"int32s", []uint16{0xfffe, 0xffff}, -2}, {"uint32", []uint16{1, 2}, 65538},
		{"uint32s", []uint16{2, 1}, 65538}, {"uint32sb", []uint16{0x0200, 0x0100}, 65538}, {"uint32b", []uint16{0x0100, 0x0200}, 65538},
		{"float32", []uint16{0x4366, 0x8000}, 230.5}, {"float32s", []uint16{0x8000, 0x4366}, 230.5}, {"float32sb", []uint16{0x0080, 0x6643}, 230.5},
		{"int64", []uint16{0xffff, 0xffff, 0xffff, 0xfffe}, -2}, {"uint64", []uint16{0, 1, 0, 2}, 4294967298}, {"uint64s", []uint16{2, 0, 1, 0}, 4294967298},
		{"float64", []uint16{0x406c, 0xd000, 0, 0}, 230.5}, {"uint64nan", []uint16{0, 0, 0, 9}, 9},
		{"int16", []uint16{0x8000}, math.NaN()}, {"int16", []uint16{0x7fff}, math.NaN()}, {"uint16", []uint16{0xffff}, math.NaN()},
		{"int32", []uint16{0x8000, 0}, math.NaN()}, {"uint32s", []uint16{0xffff, 0xffff}, math.NaN()},
		{"uint64", []uint16{0xffff, 0xffff, 0xffff, 0xffff}, math.NaN()}, {"int64", []uint16{0x7fff, 0xffff, 0xffff, 0xffff}, math.NaN()},
		{"float32", []uint16{0x7fc0, 0}, math.NaN()}, {"float32", []uint16{0x7f80, 0}, math.NaN()}, {"float64", []uint16{0xfff0, 0, 0, 0}, math.NaN()},
	} {
		n, err := parseNumber(c.form)
		if err != nil || n.words != len(c.regs) {
			t.Errorf("%s: %+v, %v", c.form, n, err)
			continue
		}
		got, err := n.value(c.regs)
		if none := math.IsNaN(c.want); none != errors.Is(err, errNoNumber) || !none && got != c.want {
			t.Errorf("%s % x: %g, %v; want %g", c.form, c.regs, got, err, c.want)
		}
	}
	for _, form := range []string{"", "int", "int8", "int16s", "int16sb", "float16", "uint33", "int032", "float32nans", "sint16", "int32bs", "int32 ", "nan", "bool8"} {
		if n, err := parseNumber(form); err == nil {
			t.Errorf("%q is taken as %+v", form, n)
		}
	}
}

// A meter's register never goes back and never goes faster than its greatest power,
// whatever the meter shows; without a jump it shows what the meter shows.
func TestRegisterProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock := &fakeBuses{}
		r := &register{clock: clock, maxPowerW: 10e3, stepWh: rapid.SampledFrom([]float64{0.1, 1, 100}).Draw(rt, "step")}
		face, last, jumped := rapid.Float64Range(0, 1e6).Draw(rt, "face"), 0.0, false
		began := clock.now
		first := 0.0
		for i := range rapid.IntRange(1, 40).Draw(rt, "reads") {
			clock.now += time.Duration(rapid.IntRange(0, 3600).Draw(rt, "s")) * time.Second
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				face, jumped = rapid.Float64Range(0, 1e9).Draw(rt, "another meter"), true
			case 1:
				face, jumped = 0, true
			case 2:
				r.RestoreFace(r.EnergyWh(), r.FaceWh())
				last = float64(r.EnergyWh())
				jumped = true // fractions are lost
			default:
				face += rapid.Float64Range(0, 2).Draw(rt, "Wh")
			}
			before := r.countWh
			restored := r.began && !r.read
			wh, err := r.take(face)
			if i == 0 {
				first = wh
			}
			if wh < last || err != nil && wh != before {
				rt.Fatalf("from %g to %g, %v", last, wh, err)
			}
			if most := 10e3*(clock.now-began).Hours() + float64(i+1)*(10e3/3600+2*r.stepWh); wh-first > most && !restored && !jumped {
				rt.Fatalf("%g Wh of at most %g", wh-first, most)
			}
			if !jumped && math.Abs(wh-face) > r.stepWh {
				rt.Fatalf("%g, the meter shows %g", wh, face)
			}
			last = wh
		}
	})
}

// What jumps is told and not counted: a meter that was exchanged, reset, or began
// again. What it counted while the agent was away is counted.
func TestRegisterJumps(t *testing.T) {
	clock := &fakeBuses{}
	r := &register{clock: clock, maxPowerW: 10e3, stepWh: 1}
	step := func(name string, after time.Duration, face, want float64, jumps bool) {
		t.Helper()
		clock.now += after
		got, err := r.take(face)
		if got != want || jumps != errors.Is(err, ErrJump) || !jumps && err != nil {
			t.Errorf("%s: %g, %v; want %g", name, got, err, want)
		}
	}
	step("first", 0, 5000, 5000, false)
	step("counted", time.Second, 5001, 5001, false)
	step("as fast as can be", time.Hour, 15001, 15001, false)
	step("too fast", time.Second, 15020, 15001, true)
	step("idle", 10*time.Minute, 15020, 15001, false)
	step("renewed after ten minutes", time.Second, 16680, 16661, false)
	step("and not a second later", time.Second, 17680, 16661, true)
	step("back", time.Second, 15020, 16661, true)
	r.countWh = 15001
	step("goes on", time.Second, 15021, 15002, false)
	step("exchanged", time.Second, 10, 15002, true)
	step("goes on from there", time.Second, 12, 15004, false)
	step("trembles", time.Second, 11, 15004, false)
	step("is back", time.Second, 13, 15005, false)
	r2 := &register{clock: clock, maxPowerW: 10e3, stepWh: 1}
	r2.RestoreFace(r.EnergyWh(), r.FaceWh())
	if r2.EnergyWh() != 15005 || r2.FaceWh() != 13 {
		t.Errorf("restored %d, %d", r2.EnergyWh(), r2.FaceWh())
	}
	r = r2
	step("counted while away", time.Second, 513, 15505, false)
	r2 = &register{clock: clock, maxPowerW: 10e3, stepWh: 1}
	r2.RestoreFace(r.EnergyWh(), r.FaceWh())
	r = r2
	step("another meter meanwhile, with less", time.Second, 4, 15505, true)
	r2 = &register{clock: clock, maxPowerW: 10e3, stepWh: 1}
	r2.RestoreFace(r.EnergyWh(), r.FaceWh())
	r = r2
	step("another meter meanwhile, with more than a month gives", time.Second, 9e6, 15505, true)
	for _, v := range []float64{-1, math.NaN(), math.Inf(1), 1e14} {
		if got, err := r.take(v); err == nil || got != 15505 {
			t.Errorf("a register of %g: %g, %v", v, got, err)
		}
	}
}
