package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"google.golang.org/protobuf/proto"

	"fairwatt/agent"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/loopback"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
)

// A testBroker can be stopped and started again on the same address.
type testBroker interface {
	start(t *testing.T, addr string)
	stop(t *testing.T)
}

// allowAll lets everyone do everything.
type allowAll struct{ mochi.HookBase }

func (*allowAll) ID() string { return "allow-all" }

func (*allowAll) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*allowAll) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (*allowAll) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// A logBuffer is a process's stderr, read while it writes.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// embedded is mochi in this process.
type embedded struct {
	server *mochi.Server
	hook   mochi.Hook // who may what; nil: everyone all
}

func (b *embedded) start(t *testing.T, addr string) {
	t.Helper()
	b.server = mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if b.hook == nil {
		b.hook = new(allowAll)
	}
	if err := b.server.AddHook(b.hook, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: addr})); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
}

func (b *embedded) stop(t *testing.T) {
	t.Helper()
	if err := b.server.Close(); err != nil {
		t.Error(err)
	}
}

// mosquitto is Debian's broker as a process.
type mosquitto struct {
	path string
	cmd  *exec.Cmd
}

func (b *mosquitto) start(t *testing.T, addr string) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\npersistence false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cmd = exec.Command(b.path, "-c", conf)
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.stop(t) })
	eventually(t, "mosquitto listens", func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

func (b *mosquitto) stop(t *testing.T) {
	t.Helper()
	if b.cmd == nil || b.cmd.ProcessState != nil {
		return
	}
	if err := b.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := b.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
}

// eventually waits for something another process does. Its patience is for a busy machine under the race detector, where
// the simulated converter needs most of 20 s for one window.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	const patience = 90 * time.Second
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// freeAddr is an address that no one listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := loopback.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// A watcher keeps what it saw on fairwatt/#.
type watcher struct {
	pipe mqtt.Pipe
	mu   sync.Mutex
	seen []mqtt.Message
}

func watch(t *testing.T, addr string) *watcher {
	t.Helper()
	pipe, err := mqtt.New(mqtt.Config{URL: "tcp://" + addr, Ordered: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{pipe: pipe}
	pipe.Subscribe("fairwatt/#", func(m mqtt.Message) {
		w.mu.Lock()
		w.seen = append(w.seen, m)
		w.mu.Unlock()
	})
	if err := awaitBroker(t.Context(), pipe, addr); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watcher) last(class string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range slices.Backward(w.seen) {
		if m.Topic == "fairwatt/v1/farm-1/pv-1/"+class {
			return string(m.Payload)
		}
	}
	return ""
}

// counters returns the counters of the records seen, in the order they came.
func (w *watcher) counters(t *testing.T) []uint64 {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []uint64
	for _, m := range w.seen {
		if !strings.HasSuffix(m.Topic, "/up/record") {
			continue
		}
		var batch fairwattpb.RecordBatch
		if err := proto.Unmarshal(m.Payload, &batch); err != nil {
			t.Fatal(err)
		}
		for _, sealed := range batch.GetSealed() {
			_, payload, err := seal.Peek(sealed)
			var record fairwattpb.Record
			if err == nil {
				err = proto.Unmarshal(payload, &record)
			}
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, record.GetCounter())
		}
	}
	return out
}

// A testPlant is a board behind a socket, in real time.
type testPlant struct {
	addr  string
	board *board.Board
	world model.Sample
}

func startPlant(t *testing.T) *testPlant {
	t.Helper()
	layout := board.Standard()
	layout.PZEM = []board.PZEM{{Port: "METER", Address: 1}}
	b, err := board.New(layout)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &testPlant{addr: l.Addr().String(), board: b}
	for c, v := range map[model.Channel]float64{model.VoltageV: 230, model.CurrentA: 10, model.FrequencyHz: 50, model.TemperatureC: 20, model.HumidityPct: 50, model.PressureHPa: 1013, model.WindSpeedMPS: 4} {
		p.world.Set(c, v)
	}
	b.Feed(&p.world)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := board.Serve(ctx, l, b); err != nil && ctx.Err() == nil {
			t.Errorf("serve board: %v", err)
		}
	})
	wg.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				b.Advance(20 * time.Millisecond)
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return p
}

func (p *testPlant) voltage(v float64) {
	p.world.Set(model.VoltageV, v)
	p.board.Feed(&p.world)
}

const brokerTestConfig = `
site: farm-1
device: pv-1
simulated: true
data: data
genesis: genesis.json
mqtt: [tcp://%s]
bus: sim://%s
tick: 200ms
telemetry: 1s
network: none
sensors:
  - kind: bme280
  - {kind: pzem, port: METER, address: 1}
judge:
  grid: eu-50
  nominal_voltage_v: 230
  nominal_frequency_hz: 50
  required: [voltage_v, temperature_c]
  gate: {min_block_s: 1, valid_s: 1, max_reopens: 16, reopen_clear_s: 1}
  limits: {enter_service_s: 1}
outbox: {max_records: 1000, max_bytes: 1000000, max_age: 1h, resend: 1h}
`

// startAgent runs this test binary as the agent.
func startAgent(t *testing.T, dir string) (*exec.Cmd, *logBuffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	logs := new(logBuffer)
	cmd := exec.Command(exe, "run", "--config", filepath.Join(dir, "agent.yaml"))
	cmd.Env = append(os.Environ(), asAgent+"=1")
	cmd.Stderr = logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			kill(t, cmd)
		}
		if t.Failed() {
			t.Logf("agent:\n%s", logs.String())
		}
	})
	return cmd, logs
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
}

// siteDir holds configuration, key and a genesis of four aggregators.
func siteDir(t *testing.T, brokerAddr, boardAddr string) string {
	t.Helper()
	dir := t.TempDir()
	type da struct {
		ID        string         `json:"id"`
		PublicKey seal.PublicKey `json:"public_key"`
	}
	genesis := struct {
		Version     int  `json:"version"`
		Aggregators []da `json:"aggregators"`
	}{Version: 1}
	for i := range 4 {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
		genesis.Aggregators = append(genesis.Aggregators, da{fmt.Sprintf("da-%d", i+1), seal.FormatKey(key.Public().(ed25519.PublicKey))})
	}
	b, err := json.Marshal(genesis)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(brokerTestConfig, brokerAddr, boardAddr)
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "genesis.json"), b, 0o600),
		os.WriteFile(filepath.Join(dir, "agent.yaml"), []byte(config), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Enroll(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The agent as a process against a real broker: what a watcher sees while it
// runs, the last will when it is killed, and after a restart with the broker
// away everything that was queued, in order, once.
func TestAgentOverBroker(t *testing.T) {
	for name, b := range map[string]testBroker{"embedded": &embedded{}, "mosquitto": &mosquitto{path: mosquittoPath()}} {
		t.Run(name, func(t *testing.T) {
			if m, ok := b.(*mosquitto); ok && m.path == "" {
				t.Skip("mosquitto is not installed")
			}
			testOverBroker(t, b)
		})
	}
}

func mosquittoPath() string {
	for _, path := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return ""
}

func testOverBroker(t *testing.T, b testBroker) {
	addr := freeAddr(t)
	b.start(t, addr)
	p := startPlant(t)
	dir := siteDir(t, addr, p.addr)
	w := watch(t, addr)
	cmd, _ := startAgent(t, dir)

	gate := func(state string) func() bool {
		return func() bool { return strings.Contains(w.last("gate"), `"state":"`+state+`"`) }
	}
	eventually(t, "gate OPEN", gate("OPEN"))
	// An agent that is open before it has a connection tells all of it at once, in any order.
	eventually(t, "online", func() bool { return w.last("status") == "online" })
	eventually(t, "info", func() bool { return strings.Contains(w.last("info"), `"schema":"info/1"`) })
	p.voltage(150)
	eventually(t, "gate BLOCKED", gate("BLOCKED"))
	eventually(t, "alert raised", func() bool { return strings.Contains(w.last("alert"), `"action":"raise"`) })
	eventually(t, "hazard line block", func() bool { return strings.Contains(w.last("hazard/line"), `"level":"block"`) })
	eventually(t, "telemetry", func() bool { return strings.Contains(w.last("telemetry"), `"voltage":`) })
	eventually(t, "4 records", func() bool { return len(w.counters(t)) >= 4 })

	kill(t, cmd)
	eventually(t, "last will", func() bool { return w.last("status") == "offline" })
	sent := w.counters(t)
	w.pipe.Close()
	b.stop(t)

	p.voltage(230)
	second, logs := startAgent(t, dir)
	eventually(t, "gate OPEN in the log", func() bool { return strings.Contains(logs.String(), "state=OPEN") })
	b.start(t, addr)
	defer b.stop(t)
	w = watch(t, addr)
	defer w.pipe.Close()
	p.voltage(150)
	last := sent[len(sent)-1]
	eventually(t, "all that was queued", func() bool {
		c := w.counters(t)
		return len(c) > 0 && c[len(c)-1] > last+1 && gate("BLOCKED")()
	})
	if got := w.counters(t); got[0] != 1 {
		t.Errorf("counters %v, want all from 1 on: none has a receipt", got)
	} else {
		for i, c := range got {
			if c != uint64(i+1) {
				t.Errorf("counters %v: not in order, or not once", got)
				break
			}
		}
	}
	eventually(t, "online again", func() bool { return w.last("status") == "online" })
	if err := second.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("clean stop: %v", err)
	}
	eventually(t, "offline after a clean stop", func() bool { return w.last("status") == "offline" })
}
