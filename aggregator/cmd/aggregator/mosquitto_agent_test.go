package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"fairwatt/aggregator/mc"
	"fairwatt/firmware-sim/sunspec"
	"fairwatt/model"
	"fairwatt/proto/wire"
)

// A house is what Home Assistant hears and says, with a viewer's certificate.
type house struct {
	t      *testing.T
	client paho.Client
	heard  chan paho.Message
}

func newHouse(t *testing.T, own string, port int) *house {
	t.Helper()
	cert, pool, err := mc.ReadTLS(filepath.Join(own, mc.TLSCertFile), filepath.Join(own, mc.TLSKeyFile), filepath.Join(own, mc.CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, heard: make(chan paho.Message, 4096)}
	h.client = paho.NewClient(paho.NewClientOptions().AddBroker(fmt.Sprintf("tls://127.0.0.1:%d", port)).SetClientID("ha-1").
		SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}))
	h.does(h.client.Connect())
	for _, filter := range []string{wire.Root + "#", wire.HomeAssistant + "#"} {
		h.does(h.client.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) { h.heard <- m }))
	}
	return h
}

func (h *house) does(token paho.Token) {
	h.t.Helper()
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		h.t.Fatalf("broker: %v", token.Error())
	}
}

// sees waits until each of the topics was heard of.
func (h *house) sees(topics ...string) {
	h.t.Helper()
	missing := map[string]bool{}
	for _, topic := range topics {
		missing[topic] = true
	}
	late := time.After(2 * time.Minute)
	for len(missing) > 0 {
		select {
		case m := <-h.heard:
			delete(missing, m.Topic())
		case <-late:
			h.t.Fatalf("nothing was heard on %v", missing)
		}
	}
}

// until waits for a message that says it.
func (h *house) until(what string, said func(paho.Message) bool) {
	h.t.Helper()
	late := time.After(2 * time.Minute)
	for {
		select {
		case m := <-h.heard:
			if said(m) {
				return
			}
		case <-late:
			h.t.Fatalf("not heard: %s", what)
		}
	}
}

// runAgent starts the agent as its owner does.
func runAgent(t *testing.T, bin, config string) {
	t.Helper()
	cmd := exec.Command(bin, "run", "--config", config)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("agent: %v: %s", err, &log)
		}
	})
}

// agentSays runs the agent's program for its output.
func agentSays(t *testing.T, bin string, args ...string) string {
	t.Helper()
	out, err := exec.Command(bin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("agent %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// inverter serves a simulated inverter that is also the meter.
func inverter(t *testing.T) (endpoint string) {
	t.Helper()
	device, err := sunspec.New(sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{701}})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	for ch, v := range map[model.Channel]float64{
		model.VoltageV: 230, model.CurrentA: 4, model.PowerW: 900, model.FrequencyHz: 50, model.EnergyExportWh: 1234,
	} {
		s.Set(ch, v)
	}
	device.Feed(&s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- device.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

const agentConfig = `site: harbour
device: pv-1
data: %[1]s
genesis: %[2]s/genesis.json
mqtt: [tls://127.0.0.1:%[3]d]
tls: {ca: %[1]s/ca.crt, cert: %[1]s/tls.crt, key: %[1]s/tls.key}
clock: trusted
telemetry: 1s
network: none
home_assistant: true
location: {latitude: 54.35, longitude: 18.65}
neighbours: {share: on}
cap_alerts: {area: Harbour}
%[4]s
sensors:
  - kind: sunspec
    name: sold
    endpoint: %[5]s
    address: 126
    timeout: 10s
    channels: [voltage_v, current_a, power_w, frequency_hz, energy_export_wh]
judge: {grid: eu-50, generator: pv, nominal_voltage_v: 230, nominal_frequency_hz: 50, rated_current_a: 25}
sell: {meter: sold, price_micro_per_kwh: 180000, max_wh: 5000}
contactor: none
`

// denied are the lines in which the broker says what it forbade.
func denied(t *testing.T, log string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "Denied") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// A real agent does all that it does through a real broker with the access list of
// mc init: views, records and their receipts, Home Assistant's discovery, an owner's
// command. The broker forbids nothing of it.
func TestAgentOnMosquitto(t *testing.T) {
	if _, err := exec.LookPath("/usr/sbin/mosquitto"); err != nil {
		if _, err := exec.LookPath("mosquitto"); err != nil {
			t.Skip("mosquitto is not installed: the agent is not tried against its access list")
		}
	}
	dir := filepath.Join(t.TempDir(), "c")
	bin := filepath.Join(t.TempDir(), "agent")
	if out, err := exec.Command("go", "build", "-o", bin, "fairwatt/agent/cmd/agent").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	port := freePorts(t, 9)
	command(t, "mc", "init", "--dir", dir, "--port", fmt.Sprint(port))
	conf, log := filepath.Join(dir, "broker", "mosquitto.conf"), filepath.Join(dir, "broker", "log")
	rewrite(t, conf, "listener 8883 ", fmt.Sprintf("listener %d ", port+4))
	rewrite(t, conf, "persistence true", "persistence true\nlog_type all\nlog_dest file "+log)
	pv, ada, ha := filepath.Join(dir, "pv-1"), filepath.Join(dir, "ada"), filepath.Join(dir, "ha-1")
	command(t, "mc", "issue", "--dir", dir, "--id", "pv-1", "--role", "agent", "--out", pv)
	command(t, "mc", "issue", "--dir", dir, "--id", "ada", "--role", "owner", "--site", "harbour", "--out", ada)
	command(t, "mc", "issue", "--dir", dir, "--id", "ha-1", "--role", "viewer", "--out", ha)
	mosquitto(t, conf, port+4)
	for i := 1; i <= 4; i++ {
		config := filepath.Join(dir, fmt.Sprintf("da-%d", i), "da.yaml")
		rewrite(t, config, "tls://127.0.0.1:8883", fmt.Sprintf("tls://127.0.0.1:%d", port+4))
		rewrite(t, config, fmt.Sprintf("http: 127.0.0.1:%d", 8079+i), fmt.Sprintf("http: 127.0.0.1:%d", port+4+i))
		background(t, "da", "--config", config)
	}
	centre := filepath.Join(dir, "mc-1", "mc.yaml")
	background(t, "mc", "run", "--config", centre)
	agentSays(t, bin, "enroll", "--dir", pv, "--genesis", filepath.Join(dir, mc.GenesisFile), "--device", "pv-1", "--role", "seller")
	command(t, "mc", "register", "--config", centre, "--enrolment", filepath.Join(pv, "enrolment.json"), "--site", "harbour", "--meter", "sold", "--rated-w", "8000")
	key := filepath.Join(ada, "owner.key")
	config := filepath.Join(pv, "agent.yaml")
	owners := agentSays(t, bin, "owner-key", "--name", "ada", "--out", key)
	text := fmt.Sprintf(agentConfig, pv, dir, port+4, owners, inverter(t))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, ha, port+4)
	runAgent(t, bin, config)
	own := wire.Topics{Site: "harbour", Device: "pv-1"}
	h.sees(own.Of(wire.ClassStatus), own.Of(wire.ClassInfo), own.Of(wire.ClassTelemetry), own.Of(wire.ClassGate), own.Of(wire.ClassHazard+"wind"),
		own.Of(wire.ClassTrade), own.Of(wire.ClassNowcast), wire.Discovery("pv-1"))
	h.does(h.client.Publish(wire.HomeAssistantStatus, 0, false, "online"))
	h.sees(wire.Discovery("pv-1"))
	said := agentSays(t, bin, "block", "--mqtt", fmt.Sprintf("tls://127.0.0.1:%d", port+4), "--ca", filepath.Join(ada, mc.CACertFile),
		"--cert", filepath.Join(ada, mc.TLSCertFile), "--key", filepath.Join(ada, mc.TLSKeyFile), "--device", "harbour/pv-1",
		"--owner-key", key, "--until", "1h", "--why", "a test")
	t.Log(said)
	// Its records become final: what came back are receipts that the agent believed.
	h.until("the records are final", func(m paho.Message) bool {
		var v wire.Telemetry
		if m.Topic() != own.Of(wire.ClassTelemetry) {
			return false
		}
		if err := json.Unmarshal(m.Payload(), &v); err != nil {
			t.Fatalf("telemetry: %v", err)
		}
		return v.Counters["records_final"] > 0 && v.Counters["words_done"] > 0 && v.Outbox != nil && v.Outbox.Records == 0
	})
	if lines := denied(t, log); len(lines) > 0 {
		t.Errorf("the broker forbade:\n%s", strings.Join(lines, "\n"))
	}
	// The log would say so.
	h.does(h.client.Publish(own.Of(wire.ClassGate), 1, true, "by a viewer"))
	h.does(h.client.Publish(own.Of(wire.ClassAck), 1, false, "by a viewer"))
	if lines := denied(t, log); len(lines) != 2 {
		t.Errorf("a viewer wrote to a gate and a command, and the broker's log has %v", lines)
	}
	h.client.Disconnect(100)
}
