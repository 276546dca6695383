package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

// A running agent's log is lines of text or of JSON, at the level that was asked for.
func TestLogFormat(t *testing.T) {
	for format, is := range map[string]func(line string) bool{
		"text": func(line string) bool { return strings.Contains(line, "level=WARN msg=\"a gate\" state=OPEN") },
		"json": func(line string) bool {
			var said struct{ Level, Msg, State string }
			return json.Unmarshal([]byte(line), &said) == nil && said.Level == "WARN" && said.Msg == "a gate" && said.State == "OPEN"
		},
	} {
		var out bytes.Buffer
		log, err := formatted(&out, slog.LevelWarn, format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("not this")
		log.Warn("a gate", "state", "OPEN")
		if line := out.String(); strings.Count(line, "\n") != 1 || !is(line) {
			t.Errorf("%s: %q", format, line)
		}
	}
	cmd := runCommand()
	cmd.SetArgs([]string{"--config", "none.yaml", "--log-format", "xml"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), `--log-format "xml"`) {
		t.Errorf("an unknown form: %v", err)
	}
}
