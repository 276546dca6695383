package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// lines hands on what is logged, a line at a time.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
	all chan string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all <- string(b)
	return l.buf.Write(b)
}

// SIGHUP reads the level again and nothing else; what cannot be read leaves all as it
// was, and the program goes on. Without a handler this test would die of the signal.
func TestHangupReadsTheLevelAgain(t *testing.T) {
	out := &lines{all: make(chan string, 16)}
	j, err := newJournal(out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan func() (string, error), 3)
	stop := j.reloadOnHangup(t.Context(), func() (string, error) { return (<-answers)() })
	defer stop()
	for _, c := range []struct {
		level string
		err   error
		want  slog.Level
		says  string
	}{
		{"debug", nil, slog.LevelDebug, "was read again"},
		{"", errors.New("line 3: unknown key"), slog.LevelDebug, "line 3: unknown key"},
		{"loud", nil, slog.LevelDebug, "is not debug"},
	} {
		answers <- func() (string, error) { return c.level, c.err }
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		line := <-out.all
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%q is no JSON: %v", line, err)
		}
		if !strings.Contains(line, c.says) || j.level.Level() != c.want {
			t.Errorf("%q: level %s, said %s", c.level, j.level.Level(), line)
		}
	}
}

func TestLogFormat(t *testing.T) {
	var out bytes.Buffer
	if _, err := newJournal(&out, "", "xml"); err == nil || !strings.Contains(err.Error(), `"xml": text or json`) {
		t.Errorf("xml: %v", err)
	}
	if _, err := newJournal(&out, "loud", "text"); err == nil || !strings.Contains(err.Error(), `"loud" is not debug`) {
		t.Errorf("loud: %v", err)
	}
}
