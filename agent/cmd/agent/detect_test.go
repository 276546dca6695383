package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"fairwatt/agent"
	"fairwatt/agent/modbus"
	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/modbusdevice"
	"fairwatt/firmware-sim/sunspec"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
)

// A site is a board with a bus that notes what is written, and serial lines with devices
// that hear the right speed only.
type detectSite struct {
	*board.Board
	written []string
	lines   map[string]map[modbus.Line][]*modbusdevice.Device
}

// I2C gives the board's bus, and notes every write of more than a register's number.
func (s *detectSite) I2C(name string) (i2c.Bus, error) {
	bus, err := s.Board.I2C(name)
	return &notingBus{bus, s}, err
}

type notingBus struct {
	i2c.Bus
	site *detectSite
}

func (n *notingBus) Tx(addr uint16, w, r []byte) error {
	if len(w) != 1 || len(r) == 0 {
		n.site.written = append(n.site.written, string(w))
	}
	return n.Bus.Tx(addr, w, r)
}
func (n *notingBus) SetSpeed(physic.Frequency) error { return nil }

func (s *detectSite) SerialAt(name string, line modbus.Line) (io.ReadWriteCloser, error) {
	port, ok := s.lines[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return &detectPort{devices: port[line]}, nil
}

func (s *detectSite) Serial(name string) (io.ReadWriteCloser, error) {
	return s.SerialAt(name, modbus.DefaultLine)
}

type detectPort struct {
	devices []*modbusdevice.Device
	pending []byte
}

func (p *detectPort) SetReadTimeout(time.Duration) error { return nil }
func (p *detectPort) Close() error                       { return nil }
func (p *detectPort) Write(b []byte) (int, error) {
	for _, d := range p.devices {
		p.pending = append(p.pending, d.Frame(b)...)
	}
	return len(b), nil
}
func (p *detectPort) Read(b []byte) (int, error) {
	if len(p.pending) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, p.pending)
	p.pending = p.pending[n:]
	return n, nil
}

func detectWorld() *model.Sample {
	w := &model.Sample{}
	for c := range model.NumChannels {
		w.Set(c, 1)
	}
	for _, c := range []model.Channel{model.VoltageV, model.VoltageAV, model.VoltageBV, model.VoltageCV} {
		w.Set(c, 230)
	}
	w.Set(model.FrequencyHz, 50)
	return w
}

func listenOn(t *testing.T, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// Chips, meters on a line of their own speed, an inverter of each kind on the network:
// each is found with its place, nothing is written to any of them, and the file is a
// configuration.
func TestDetect(t *testing.T) {
	layout := board.Standard()
	layout.ADXL345 = []board.ADXL345{{Address: 0x53}}
	layout.MCP9808 = []board.MCP9808{{Address: 0x18, Channel: model.EquipmentTemperatureC}}
	layout.TMP102 = []board.TMP102{{Address: 0x4A, Channel: model.EquipmentTemperatureC}}
	b, err := board.New(layout)
	if err != nil {
		t.Fatal(err)
	}
	b.Feed(detectWorld())
	device := func(name string, unit byte) *modbusdevice.Device {
		d, err := modbusdevice.New(name, unit)
		if err != nil {
			t.Fatal(err)
		}
		d.Feed(detectWorld())
		return d
	}
	smp := device("kipp-zonen-smp", 3)
	at := &detectSite{Board: b, lines: map[string]map[modbus.Line][]*modbusdevice.Device{
		"tty0": {modbus.DefaultLine: {device("eastron-sdm630", 2)}, {Baud: 19200, Parity: 'E', Stop: 1}: {smp}},
	}}
	huawei := device("huawei-sun2000", 1)
	inverter, err := sunspec.New(sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{103}, Serial: "1"})
	if err != nil {
		t.Fatal(err)
	}
	inverter.Feed(detectWorld())
	sun := listenOn(t, inverter.Serve)
	hua := listenOn(t, func(ctx context.Context, l net.Listener) error { return huawei.Serve(ctx, l, false) })
	dir := t.TempDir()
	wire := filepath.Join(dir, "bus/w1/devices/28-0316a279f5ff")
	if err := errors.Join(os.MkdirAll(wire, 0o700), os.WriteFile(filepath.Join(wire, "w1_slave"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := &search{buses: at, i2c: []string{""}, ports: []string{"tty0", "tty9"}, units: 3, endpoints: []string{sun, hua, "127.0.0.1:1"}, sys: dir}
	s.look(t.Context())
	for _, want := range []string{
		`{kind: bme280, bus: "", address: 0x76}`, `{kind: ina219, bus: "", address: 0x40}   # by its settings after power-up`,
		`{kind: adxl345, bus: "", address: 0x53}`, `{kind: mcp9808, bus: "", address: 0x18}`, `{kind: tmp102, bus: "", address: 0x4a}   # by its settings after power-up`,
		"{kind: sysfs, files: [{channel: equipment_temperature_c, path: " + filepath.Join(wire, "w1_slave") + ", scale: 0.001}]}",
		"{kind: modbus, port: tty0, baudrate: 9600, comset: 8N1, address: 2, map: eastron-sdm630}   # compare with its display",
		"{kind: modbus, port: tty0, baudrate: 19200, comset: 8E1, address: 3, map: kipp-zonen-smp}   # compare with its display",
		`{kind: sunspec, endpoint: "` + sun + `", address: 126}`, `{kind: modbus, endpoint: "` + hua + `", address: 1, map: huawei-sun2000}   # compare with its display`,
	} {
		if i := slices.Index(s.found, want); i < 0 {
			t.Errorf("not found: %s", want)
		} else {
			s.found = slices.Delete(s.found, i, i+1)
		}
	}
	if len(s.found) != 0 {
		t.Errorf("found too: %q", s.found)
	}
	notes := strings.Join(s.notes, "\n")
	for _, want := range []string{"an ads1115 at 0x48", "tty9", "127.0.0.1:1"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q: %s", want, notes)
		}
	}
	if len(at.written) != 0 || smp.Refused() != 0 || huawei.Refused() != 0 {
		t.Errorf("written: %q, %d, %d", at.written, smp.Refused(), huawei.Refused())
	}
}

// What was found is written as a configuration that reads back; an empty search says so.
func TestDetectWritesAConfiguration(t *testing.T) {
	s := &search{found: []string{`{kind: bme280, bus: "1", address: 0x76}`, `{kind: pzem, port: /dev/ttyUSB0, address: 1}`}, notes: []string{"a note\nof two lines"}}
	cfg, err := agent.ParseConfig(strings.NewReader(s.config("harbour", "pv-1")))
	if err != nil || len(cfg.Sensors) != 2 || cfg.Site != "harbour" || cfg.Device != "pv-1" {
		t.Errorf("%v, %v", cfg, err)
	}
	if _, err := agent.ParseConfig(strings.NewReader((&search{}).config("harbour", "pv-1"))); err == nil || !strings.Contains(err.Error(), "sensors: none") {
		t.Errorf("nothing found: %v", err)
	}
}

// A Shelly that publishes is found at the broker, with the pointers to its numbers, as a
// comment; a broker that lets no one in is told.
func TestDetectListens(t *testing.T) {
	addr := freeAddr(t)
	b := &embedded{hook: new(onePassword)}
	b.start(t, addr)
	defer b.stop(t)
	shelly, err := mqtt.New(mqtt.Config{URL: "tcp://" + addr, Username: "fairwatt", Password: "secret", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	shelly.OnUp(func() { close(up) })
	if err := shelly.Open(); err != nil {
		t.Fatal(err)
	}
	defer shelly.Close()
	<-up
	// Kept, so that it is heard whenever the search begins.
	if err := shelly.Publish(t.Context(), "shelly/status/em:0", 1, true, []byte(`{"id":0,"a_voltage":231.5,"params":{"total_act_power":5},"x":"y"}`)); err != nil {
		t.Fatal(err)
	}
	pw := filepath.Join(t.TempDir(), "pw")
	for password, want := range map[string]string{
		"secret": `- {kind: mqtt, topic: "shelly/status/em:0", values: [{channel: voltage_a_v, pointer: "/a_voltage"}, {channel: power_w, pointer: "/params/total_act_power"}]}`,
		"guess":  "did not let us in",
	} {
		if err := os.WriteFile(pw, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		notes := ""
		for range 30 { // a loaded machine may need longer than a search listens
			s := &search{}
			if err := s.listen(t.Context(), brokerLinks{URLs: []string{"tcp://" + addr}, Auth: agent.MQTTAuthConfig{Username: "fairwatt", PasswordFile: pw}}, 2*time.Second); err != nil {
				t.Fatal(err)
			}
			if notes = strings.Join(s.notes, "\n"); strings.Contains(notes, want) {
				break
			}
		}
		if !strings.Contains(notes, want) {
			t.Errorf("password %s: %q", password, notes)
		}
	}
}
