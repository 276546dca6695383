package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/systemd"
)

// listenNotify is systemd's end; states returns what was told so far.
func listenNotify(t *testing.T) (socket string, states func() []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "fw") // a socket's path is at most 107 bytes long
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return socket, func() (all []string) {
		const end = "END" // comes behind what was told before
		if err := (systemd.Notifier{Socket: socket}).Tell(end); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var b [256]byte
		for {
			n, err := conn.Read(b[:])
			if err != nil {
				t.Fatal(err)
			}
			if string(b[:n]) == end {
				return all
			}
			all = append(all, string(b[:n]))
		}
	}
}

// The first round makes the service ready; the watchdog is kicked by rounds, four
// times in its time, and a program whose rounds stop is silent.
func TestServiceIsKickedByRounds(t *testing.T) {
	socket, states := listenNotify(t)
	synctest.Test(t, func(t *testing.T) {
		s := &service{notifier: systemd.Notifier{Socket: socket, Slot: 60 * time.Second}, log: slog.New(slog.DiscardHandler), now: time.Now}
		for range 31 {
			s.alive()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour) // it hangs: no one kicks
	})
	if got, want := states(), []string{"READY=1\nWATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	quiet := &service{notifier: systemd.Notifier{Socket: socket}, log: slog.New(slog.DiscardHandler), now: time.Now}
	for range 3 {
		quiet.alive()
	}
	if got := states(); !slices.Equal(got, []string{"READY=1\nWATCHDOG=1"}) {
		t.Errorf("without a watchdog: %q", got)
	}
}
