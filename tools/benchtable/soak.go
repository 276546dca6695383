package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// unit is the systemd unit whose environment the agents are measured in.
const unit = "configs/agent/fairwatt-agent.service"

// soakAgent runs one of the agents, built for this machine as for the boards, on a
// simulated board at one sample a second, in the environment of the systemd unit.
// It returns its resident memory at the end and at its highest, and the processor
// time it took. A Mosquitto broker takes its messages if one is installed; the
// figure's note says so.
func soakAgent(ctx context.Context, program string, soak time.Duration) ([]figure, error) {
	dir, err := os.MkdirTemp("", "fairwatt-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, soak+time.Minute)
	defer cancel()

	boardAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	mqttAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	note := "with Mosquitto"
	stopBroker, err := startMosquitto(ctx, mqttAddr)
	if errors.Is(err, exec.ErrNotFound) {
		note = "no broker installed: every message stayed in the outbox"
	} else if err != nil {
		return nil, err
	} else {
		defer stopBroker()
	}

	stopBoard, err := start(ctx, "bin/firmware-sim", "board", "--trace", "configs/traces/calm.csv", "--listen", boardAddr)
	if err != nil {
		return nil, err
	}
	defer stopBoard()
	if err := awaitListener(ctx, boardAddr); err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	config, err := writeSoakConfig(ctx, dir, boardAddr, mqttAddr)
	if err != nil {
		return nil, err
	}
	limits, err := unitEnvironment(unit)
	if err != nil {
		return nil, err
	}
	agent := exec.CommandContext(ctx, filepath.Join("build", program), "run", "--config", config)
	agent.Env = append(os.Environ(), limits...)
	var said bytes.Buffer // shown when it ends early
	agent.Stderr = &said
	if err := agent.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- agent.Wait() }()
	select {
	case err := <-exited:
		return nil, fmt.Errorf("the agent ended early: %w: %s", err, said.Bytes()[max(0, said.Len()-2000):])
	case <-time.After(soak):
	}
	note = fmt.Sprintf("after %v at one sample a second, %s, %s", soak, strings.Join(limits, " "), note)
	var figures []figure
	for _, m := range []struct{ key, name string }{
		{"VmRSS", " VmRSS"}, {"RssAnon", " VmRSS, anonymous"}, {"RssFile", " VmRSS, of its file"}, {"VmHWM", " VmRSS at its highest"},
	} {
		mb, err := memoryMB(agent.Process.Pid, m.key)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{program + m.name, mb, "MB", note})
	}
	if err := agent.Process.Signal(os.Interrupt); err != nil {
		return nil, err
	}
	if err := <-exited; err != nil {
		return nil, fmt.Errorf("the agent did not end well: %w", err)
	}
	busy := agent.ProcessState.UserTime() + agent.ProcessState.SystemTime()
	return append(figures, figure{program + " processor time", 100 * busy.Seconds() / soak.Seconds(), "% of a core", "its start included; " + note}), nil
}

// unitEnvironment returns the variables that a systemd unit sets.
func unitEnvironment(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read unit: %w", err)
	}
	var env []string
	for line := range strings.Lines(string(text)) {
		if set, ok := strings.CutPrefix(strings.TrimSpace(line), "Environment="); ok {
			env = append(env, strings.Fields(set)...)
		}
	}
	if len(env) == 0 {
		return nil, fmt.Errorf("%s sets no Environment=", path)
	}
	return env, nil
}

// soakConfig is a seller with every sensor of the simulated board and the shipped
// network, as on a Pi at a generator. Its data aggregators never answer, so its
// outbox fills as well.
const soakConfig = `site: bench
device: pv-1
simulated: true
data: %[1]s/data
genesis: %[1]s/community/genesis.json
mqtt: [tcp://%[3]s]
bus: sim://%[2]s
tick: 1s
sensors:
  - {kind: bme280}
  - {kind: ina219, shunt_ohm: 0.0015, voltage_scale: 25}
  - kind: ads1115
    ready_pin: RDY
    inputs:
      - {channel: voltage_v, input: "0-1", scale: 325}
      - {channel: current_a, input: "2-3", scale: 100}
  - {kind: anemometer, pin: ANEMO}
  - {kind: s0, name: sold, pin: S0-1, direction: export}
judge:
  grid: eu-50
  nominal_voltage_v: 230
  nominal_frequency_hz: 50
  required: [voltage_v, frequency_hz, temperature_c, wind_gust_mps]
sell:
  meter: sold
  price_micro_per_kwh: 180000
  min_wh: 100
  max_wh: 5000
  delivery_h: 1
contactor: none
`

// writeSoakConfig makes a community and an agent's configuration in it, and
// returns the configuration's path.
func writeSoakConfig(ctx context.Context, dir, boardAddr, mqttAddr string) (string, error) {
	if err := command(ctx, "bin/aggregator", "mc", "init", "--dir", filepath.Join(dir, "community")); err != nil {
		return "", err
	}
	if err := command(ctx, "bin/agent", "enroll", "--dir", filepath.Join(dir, "data")); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "agent.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, soakConfig, dir, boardAddr, mqttAddr), 0o600)
}

// start runs a program in the background and returns what ends it.
func start(ctx context.Context, name string, args ...string) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

// mosquitto is where the broker's program is, or exec.ErrNotFound.
func mosquitto() (string, error) {
	if path, err := exec.LookPath("mosquitto"); err == nil {
		return path, nil
	}
	const path = "/usr/sbin/mosquitto" // Debian keeps it off a user's path
	if _, err := os.Stat(path); err != nil {
		return "", exec.ErrNotFound
	}
	return path, nil
}

func startMosquitto(ctx context.Context, addr string) (stop func(), err error) {
	path, err := mosquitto()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	stop, err = start(ctx, path, "-p", port)
	if err != nil {
		return nil, err
	}
	if err := awaitListener(ctx, addr); err != nil {
		stop()
		return nil, fmt.Errorf("mosquitto: %w", err)
	}
	return stop, nil
}

// freeAddr returns a loopback address that was free a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func awaitListener(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on %s: %w", addr, err)
		case <-retry.C:
		}
	}
}

// memoryMB reads a size of a process, such as VmRSS, in millions of bytes.
func memoryMB(pid int, key string) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return statusMB(f, key)
}

// statusMB finds a size in the text of /proc/PID/status.
func statusMB(r io.Reader, key string) (float64, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), key+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 64)
		return kib * 1024 / 1e6, err
	}
	return 0, errors.Join(fmt.Errorf("no %s line", key), lines.Err())
}
