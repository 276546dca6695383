package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairwatt/agent"
	"fairwatt/proto/systemd"
)

// A manager is systemd's end of NOTIFY_SOCKET.
type manager struct{ conn *net.UnixConn }

func newManager(t *testing.T) (*manager, string) {
	t.Helper()
	// A socket's path is at most 107 bytes long; t.TempDir's may be longer.
	dir, err := os.MkdirTemp("", "fw")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return &manager{conn}, path
}

// next returns the next state that is told.
func (m *manager) next(t *testing.T) string {
	t.Helper()
	var b [256]byte
	if err := m.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	n, err := m.conn.Read(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func noTimeout(*os.File, time.Duration) error { return nil }

func TestGuardKicksBoth(t *testing.T) {
	m, socket := newManager(t)
	device := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := agent.DefaultConfig()
	cfg.Watchdog = agent.WatchdogConfig{Device: device, Timeout: 15 * time.Second}
	for _, clean := range []bool{true, false} {
		if err := os.Truncate(device, 0); err != nil {
			t.Fatal(err)
		}
		g, err := newGuard(&cfg, systemd.Notifier{Socket: socket, Slot: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if g.slot != 15*time.Second {
			t.Errorf("slot %s, want the shorter", g.slot)
		}
		var told time.Duration
		if err := g.arm(func(_ *os.File, d time.Duration) error { told = d; return nil }); err != nil || told != 15*time.Second {
			t.Fatalf("armed for %s: %v", told, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		g.watchStop(ctx, slog.New(slog.DiscardHandler))
		s := g.supervisor(slog.New(slog.DiscardHandler))
		for range 2 { // the second is too soon after the first to be told
			for b := agent.StageSense; b <= agent.StagePublish; b++ {
				s.Beat(b)
			}
		}
		cancel()
		got := []string{m.next(t), m.next(t), m.next(t)}
		if want := []string{"READY=1", "WATCHDOG=1", "STOPPING=1"}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if err := g.end(clean); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(device)
		if err != nil {
			t.Fatal(err)
		}
		want := []byte{0}
		if clean {
			want = []byte{0, 'V'}
		}
		if !bytes.Equal(b, want) {
			t.Errorf("clean %v: the device got %q, want %q", clean, b, want)
		}
	}
}

func TestGuardRefuses(t *testing.T) {
	cfg := agent.DefaultConfig()
	cfg.Tick = time.Minute
	if _, err := newGuard(&cfg, systemd.Notifier{Socket: "x", Slot: 30 * time.Second}); err == nil || !strings.Contains(err.Error(), "WatchdogSec") {
		t.Errorf("a watchdog shorter than a round: %v", err)
	}
	cfg = agent.DefaultConfig()
	cfg.Watchdog = agent.WatchdogConfig{Device: filepath.Join(t.TempDir(), "none"), Timeout: 15 * time.Second}
	g, err := newGuard(&cfg, systemd.Notifier{})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.arm(noTimeout); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a device that is not there: %v", err)
	}
	// A plain file is no watchdog: the real ioctl says so, and what was opened
	// is disarmed again.
	if err := os.WriteFile(cfg.Watchdog.Device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.arm(setWatchdogTimeout); err == nil {
		t.Error("a plain file passes for a watchdog")
	}
	if b, err := os.ReadFile(cfg.Watchdog.Device); err != nil || string(b) != "V" {
		t.Errorf("left with %q, %v", b, err)
	}
	if none, err := newGuard(&agent.Config{Tick: time.Second}, systemd.Notifier{}); err != nil || none.supervisor(slog.New(slog.NewTextHandler(io.Discard, nil))) != nil {
		t.Errorf("supervised though no one watches: %v", err)
	}
}

// The unit that is shipped suits the agent.
func TestUnitSuitsTheAgent(t *testing.T) {
	b, err := os.ReadFile("../../../configs/agent/fairwatt-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nWatchdogSec=")
	seconds, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(seconds)
	if err != nil || !strings.Contains(string(b), "\nType=notify\n") {
		t.Fatalf("WatchdogSec %q, %v", seconds, err)
	}
	cfg := agent.DefaultConfig()
	if _, err := newGuard(&cfg, systemd.Notifier{Socket: "x", Slot: time.Duration(n) * time.Second}); err != nil {
		t.Error(err)
	}
}

// The agent as a service: ready once it has judged, kicked while it runs, told
// that it stops.
func TestRunTellsSystemd(t *testing.T) {
	m, socket := newManager(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "16000000")
	cfg, err := agent.ParseConfig(strings.NewReader(`{site: a, device: b, tick: 100ms, network: none,
		sensors: [{kind: sunspec, endpoint: "127.0.0.1:1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runAgent(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := m.next(t); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		// SIGHUP does not end it: this process would go with it.
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := m.next(t)
	for got == "WATCHDOG=1" { // another was due before it was told to stop
		got = m.next(t)
	}
	if got != "STOPPING=1" {
		t.Errorf("told %q at the end", got)
	}
}
