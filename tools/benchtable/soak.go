package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// soakAgent runs the agent on a simulated board at one sample a second and
// returns its resident memory at the end. A Mosquitto broker takes its
// messages where one is installed; the figure's note says which it was.
func soakAgent(ctx context.Context, soak time.Duration) ([]figure, error) {
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
	config := filepath.Join(dir, "agent.yaml")
	if err := writeSoakConfig(config, dir, boardAddr, mqttAddr); err != nil {
		return nil, err
	}
	agent := exec.CommandContext(ctx, "bin/agent", "run", "--config", config)
	agent.Stderr = os.Stderr
	if err := agent.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- agent.Wait() }()
	select {
	case err := <-exited:
		return nil, fmt.Errorf("the agent ended early: %w", err)
	case <-time.After(soak):
	}
	rss, err := residentMB(agent.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := agent.Process.Signal(os.Interrupt); err != nil {
		return nil, err
	}
	<-exited
	return []figure{{"agent VmRSS", rss, "MB", fmt.Sprintf("after %v at one sample a second, %s", soak, note)}}, nil
}

// start runs a program in the background and returns what ends it.
func start(ctx context.Context, name string, args ...string) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

func startMosquitto(ctx context.Context, addr string) (stop func(), err error) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // Debian keeps it off a user's path
		if _, err := os.Stat(path); err != nil {
			return nil, exec.ErrNotFound
		}
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

// freeAddr returns a loopback address nobody listened on a moment ago.
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

// residentMB reads VmRSS of a process in millions of bytes.
func residentMB(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 64)
		return kib * 1024 / 1e6, err
	}
	return 0, errors.Join(errors.New("no VmRSS line"), lines.Err())
}
