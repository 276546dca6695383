package systemd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func env(pairs ...string) func(string) string {
	return func(key string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestNotifierReadsTheEnvironment(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		env  []string
		slot time.Duration
		bad  bool
	}{
		{nil, 0, false},
		{[]string{"NOTIFY_SOCKET", "/run/x"}, 0, false},
		{[]string{"NOTIFY_SOCKET", "/run/x", "WATCHDOG_USEC", "30000000"}, 30 * time.Second, false},
		{[]string{"NOTIFY_SOCKET", "/run/x", "WATCHDOG_USEC", "30000000", "WATCHDOG_PID", own}, 30 * time.Second, false},
		{[]string{"NOTIFY_SOCKET", "/run/x", "WATCHDOG_USEC", "30000000", "WATCHDOG_PID", "1"}, 0, false},
		{[]string{"WATCHDOG_USEC", "30000000"}, 0, false},
		{[]string{"NOTIFY_SOCKET", "/run/x", "WATCHDOG_USEC", "soon"}, 0, true},
		{[]string{"NOTIFY_SOCKET", "/run/x", "WATCHDOG_USEC", "-1"}, 0, true},
		{[]string{"NOTIFY_SOCKET", "/run/x", "WATCHDOG_USEC", "9223372036854775807"}, 0, true},
	} {
		n, err := New(env(c.env...))
		if n.Slot != c.slot || (err != nil) != c.bad {
			t.Errorf("%v: %v, %v", c.env, n.Slot, err)
		}
	}
	if err := (Notifier{}).Tell("READY=1"); err != nil {
		t.Errorf("no one is told: %v", err)
	}
	if err := (Notifier{Socket: filepath.Join(t.TempDir(), "none")}).Tell("READY=1"); err == nil {
		t.Error("a socket that is not there was told")
	}
}

// One state is one datagram, as it was said.
func TestTellSendsTheState(t *testing.T) {
	dir, err := os.MkdirTemp("", "fw") // a socket's path is at most 107 bytes long
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
	for _, state := range []string{"READY=1\nSTATUS=votes", "WATCHDOG=1"} {
		if err := (Notifier{Socket: path}).Tell(state); err != nil {
			t.Fatal(err)
		}
		var b [256]byte
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(b[:]); err != nil || string(b[:n]) != state {
			t.Errorf("read %q, %v; want %q", b[:n], err, state)
		}
	}
}
