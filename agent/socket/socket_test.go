package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairwatt/proto/wire"
)

// echo answers with what it was asked.
func echo(_ context.Context, line []byte) wire.Result {
	return wire.Result{Schema: wire.SchemaResult, OK: true, Text: string(line)}
}

// serve answers in a folder until the test ends.
func serve(t *testing.T, dir string, answer func(context.Context, []byte) wire.Result) *Server {
	t.Helper()
	s, err := Listen(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), answer) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !strings.Contains(err.Error(), "use of closed") {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAskAndAnswer(t *testing.T) {
	t.Parallel()
	// A folder of any length: its path may be longer than a Unix address.
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("long", 40))} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		serve(t, dir, echo)
		got, err := Ask(t.Context(), dir, &wire.Command{Schema: wire.SchemaCommand, Do: "ack", By: "Jörg"})
		if err != nil {
			t.Fatal(err)
		}
		var c wire.Command
		if err := json.Unmarshal([]byte(got.Text), &c); err != nil || c.By != "Jörg" || !got.OK {
			t.Errorf("%+v, %v", got, err)
		}
		info, err := os.Stat(filepath.Join(dir, File))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
}

// The socket of a killed agent is replaced, another file is not, and none is left
// behind.
func TestSocketsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, File)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(t.Context(), dir, &wire.Command{}); err == nil || !strings.Contains(err.Error(), "no agent runs on "+dir) {
		t.Errorf("on a stale socket: %v", err)
	}
	s, err := Listen(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
	if _, err := Ask(t.Context(), dir, &wire.Command{}); err == nil || !strings.Contains(err.Error(), "no agent runs") {
		t.Errorf("without a socket: %v", err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "a file of another kind") {
		t.Errorf("on a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}

// Who sends nonsense, too much or nothing takes nobody's place for long.
func TestRudeClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var asked atomic.Int64
	serve(t, dir, func(ctx context.Context, line []byte) wire.Result {
		asked.Add(1)
		return echo(ctx, line)
	})
	dial := func() net.Conn {
		conn, err := net.Dial("unix", filepath.Join(dir, File))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	long := dial()
	if _, err := long.Write(bytes.Repeat([]byte{'x'}, wire.MaxCommandBytes+1)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(long); len(b) > 0 {
		t.Errorf("a line that is too long is answered: %q, %v", b, err)
	}
	var silent []net.Conn
	for range maxConnections {
		silent = append(silent, dial())
	}
	one := dial() // no place is left: closed at once, unheard
	if err := one.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(one); len(b) > 0 || asked.Load() != 0 {
		t.Errorf("one too many is answered: %q, %v, %d", b, err, asked.Load())
	}
	for _, conn := range silent { // the end of a silent client frees its place
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := Ask(t.Context(), dir, &wire.Command{Schema: wire.SchemaCommand})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// An answer that does not come ends with the asker's patience.
func TestAskGivesUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release := make(chan struct{})
	serve(t, dir, func(ctx context.Context, line []byte) wire.Result {
		<-release
		return echo(ctx, line)
	})
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := Ask(ctx, dir, &wire.Command{})
		asked <- err
	}()
	cancel()
	if err := <-asked; err == nil {
		t.Error("an answer came")
	}
	close(release)
}

func TestAnswerOfAnotherSchema(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve(t, dir, func(context.Context, []byte) wire.Result { return wire.Result{Schema: "cmd-result/9"} })
	if _, err := Ask(t.Context(), dir, &wire.Command{}); err == nil || !strings.Contains(err.Error(), "cmd-result/9") {
		t.Errorf("%v", err)
	}
	long := &wire.Command{Why: fmt.Sprintf("%*s", wire.MaxCommandBytes, "x")}
	if _, err := Ask(t.Context(), dir, long); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%v", err)
	}
}
