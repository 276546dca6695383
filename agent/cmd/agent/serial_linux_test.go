package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairwatt/agent"
	"fairwatt/agent/modbus"
	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/sunspec"
	"fairwatt/model"
)

// openPTY returns the master of a new pseudo terminal and the path of its other
// end, which is a serial port for the program that opens it (pty(7)).
func openPTY(t *testing.T) (*os.File, string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

// meterAt joins the simulated PZEM of a board to the master of a terminal: what
// is asked there is answered as the meter does. It ends when the master closes.
func meterAt(t *testing.T, master *os.File, b *board.Board) (wait func()) {
	t.Helper()
	line, err := b.Serial("RS485")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		var ask, answer [64]byte
		for {
			n, err := master.Read(ask[:])
			if errors.Is(err, unix.EIO) { // no one has the other end open
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				return
			}
			if _, err := line.Write(ask[:n]); err != nil {
				t.Errorf("line: %v", err)
			}
			for {
				n, err := line.Read(answer[:])
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				if err == nil {
					_, err = master.Write(answer[:n])
				}
				if err != nil {
					return
				}
			}
		}
	})
	return wg.Wait
}

func pzemBoard(t *testing.T) *board.Board {
	t.Helper()
	b, err := board.New(board.Config{PZEM: []board.PZEM{{Port: "RS485", Address: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	var world model.Sample
	for c, v := range map[model.Channel]float64{
		model.VoltageV: 231.4, model.CurrentA: 4, model.PowerW: 900, model.FrequencyHz: 49.9, model.PowerFactor: 0.97,
	} {
		world.Set(c, v)
	}
	b.Feed(&world)
	return b
}

// The agent's own serial port, with a PZEM-004T at its other end: the line is
// 9600 8N1 and raw, values come, and a port that goes is an error and is opened
// again.
func TestPZEMOnASerialPort(t *testing.T) {
	master, path := openPTY(t)
	b := pzemBoard(t)
	wait := meterAt(t, master, b)
	buses := &hostBuses{}
	one, err := sensor.New(sensor.Config{Kind: sensor.KindPZEM, Address: 5, Opts: sensor.PZEMOpts{Port: path}}, buses)
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := one.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if v, ok := s.Get(model.VoltageV); !ok || v < 231.3 || v > 231.5 {
		t.Errorf("voltage %v", v)
	}
	if p, ok := s.Get(model.PowerW); !ok || p < 890 || p > 910 {
		t.Errorf("power %v", p)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var line *unix.Termios
	var lineErr error
	if err := errors.Join(raw.Control(func(fd uintptr) { line, lineErr = unix.IoctlGetTermios(int(fd), unix.TCGETS2) }), lineErr); err != nil {
		t.Fatal(err)
	}
	if line.Ospeed != 9600 || line.Ispeed != 9600 || line.Cflag&unix.CSIZE != unix.CS8 || line.Cflag&(unix.PARENB|unix.CSTOPB|unix.CRTSCTS) != 0 ||
		line.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || line.Iflag&(unix.IXON|unix.ICRNL) != 0 || line.Oflag&unix.OPOST != 0 {
		t.Errorf("the line is not 9600 8N1 and raw: %+v", line)
	}
	// The adapter is pulled: the master's end goes.
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	wait()
	for range 2 { // the second has to open the port first
		s = model.Sample{}
		if err := one.Read(t.Context(), &s); err == nil || s.Validity[model.VoltageV] != model.SensorError {
			t.Errorf("without a port: %v, %v", err, s.Validity[model.VoltageV])
		}
	}
	if err := one.Halt(); err != nil {
		t.Error(err)
	}
}

func TestSilentSerialPortIsBoundedInTime(t *testing.T) {
	master, path := openPTY(t)
	defer master.Close()
	one, err := sensor.New(sensor.Config{Kind: sensor.KindPZEM, Opts: sensor.PZEMOpts{Port: path}}, &hostBuses{})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	start := time.Now()
	if err := one.Read(t.Context(), &s); !errors.Is(err, sensor.ErrNoChip) || time.Since(start) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	if err := one.Halt(); err != nil {
		t.Error(err)
	}
}

func TestSerialRefusesWhatIsNoPort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "it is no serial port", file + "x": "no such file"} {
		if _, err := (&hostBuses{}).Serial(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A line is set to any speed, parity and number of stop bits, also to speeds that
// termios has no name for.
func TestSerialLineSettings(t *testing.T) {
	master, path := openPTY(t)
	defer master.Close()
	for _, c := range []struct {
		line modbus.Line
		bits uint32
	}{
		{modbus.Line{Baud: 2400, Parity: 'E', Stop: 1}, unix.PARENB}, {modbus.Line{Baud: 19200, Parity: 'O', Stop: 2}, unix.PARENB | unix.PARODD | unix.CSTOPB},
		{modbus.Line{Baud: 31250, Parity: 'N', Stop: 2}, unix.CSTOPB}, {modbus.DefaultLine, 0},
	} {
		p, err := (&hostBuses{}).SerialAt(path, c.line)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := p.(*os.File).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var is *unix.Termios
		var isErr error
		err = errors.Join(raw.Control(func(fd uintptr) { is, isErr = unix.IoctlGetTermios(int(fd), unix.TCGETS2) }), isErr, p.Close())
		if err != nil {
			t.Fatal(err)
		}
		// A pseudo terminal keeps the parity for itself, and says 8 bits (pty(7)).
		bits := is.Cflag & (unix.PARENB | unix.PARODD | unix.CSTOPB)
		if int(is.Ospeed) != c.line.Baud || bits|unix.PARENB != c.bits|unix.PARENB || is.Cflag&unix.CSIZE != unix.CS8 {
			t.Errorf("%s: %d Bd, flags %#x, want %#x", c.line, is.Ospeed, bits, c.bits)
		}
	}
}

// A PZEM on a serial port and a SunSpec inverter on the network, configured as a
// user would, in the running agent: values reach its telemetry and vote.
func TestRunReadsSerialAndSunSpec(t *testing.T) {
	master, port := openPTY(t)
	wait := meterAt(t, master, pzemBoard(t))
	defer wait()
	defer master.Close()
	inverter, err := sunspec.New(sunspec.Config{Unit: 1, Base: 40000, Models: []uint16{103}, Serial: "4711"})
	if err != nil {
		t.Fatal(err)
	}
	var world model.Sample
	world.Set(model.PowerW, 905)
	world.Set(model.FrequencyHz, 49.9)
	inverter.Feed(&world)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- inverter.Serve(ctx, l) }()
	addr := freeAddr(t)
	broker := &embedded{}
	broker.start(t, addr)
	defer broker.stop(t)
	w := watch(t, addr)
	defer w.pipe.Close()

	path := filepath.Join(t.TempDir(), "agent.yaml")
	config := fmt.Sprintf(`
site: farm-1
device: pv-1
data: data
mqtt: [tcp://%s]
tick: 200ms
telemetry: 200ms
network: none
location: {latitude: 20, longitude: 110}
sensors:
  - {kind: pzem, port: %s, address: 5}
  - {kind: sunspec, endpoint: "%s", channels: [power_w, frequency_hz]}
judge: {grid: eu-50, nominal_voltage_v: 230, nominal_frequency_hz: 50, required: [voltage_v, frequency_hz]}
`, addr, port, l.Addr())
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := agent.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := check(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	votes := 0
	for _, line := range lines {
		if !line.OK {
			t.Errorf("check: %+v", line)
		}
		if strings.HasPrefix(line.Sensor, "vote of ") {
			votes++
		}
	}
	if votes != 2 {
		t.Errorf("%d votes in %+v", votes, lines)
	}
	done := make(chan error, 1)
	runCtx, stop := context.WithCancel(ctx)
	go func() { done <- runAgent(runCtx, cfg, slog.New(slog.DiscardHandler)) }()
	eventually(t, "votes of both in the telemetry", func() bool {
		v := w.last("telemetry")
		return strings.Contains(v, `"power_w":{"value":905,"disagree":false,"sensors":{`) && strings.Contains(v, `"voltage":231.4`)
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
