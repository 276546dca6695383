package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A replay does not guess what is nominal: the trace says it, or the configuration.
func TestReplayNeedsNominal(t *testing.T) {
	dir := t.TempDir()
	path, config := filepath.Join(dir, "t.csv"), filepath.Join(dir, "agent.yaml")
	trace := "# fairwatt-trace: 1\n# interval_s: 1\ntime,voltage_v\n0,230\n1,230.1\n"
	if err := os.WriteFile(path, []byte(trace), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "site: a\ndevice: b\nnetwork: none\nsensors: [{kind: bme280}]\njudge: {grid: eu-50, nominal_voltage_v: 230, nominal_frequency_hz: 50}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, `trace: nominal_voltage_v is missing, and there is voltage_v; add the line "# nominal_voltage_v: 230" with what is nominal there, or use --config`},
		{[]string{"--config", config}, ""},
	} {
		cmd := replayCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetContext(t.Context())
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(append([]string{"--trace", path}, c.args...))
		err := cmd.Execute()
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%v: %v", c.args, err)
		}
		if err == nil && strings.Contains(out.String(), "E01") {
			t.Errorf("%v: 230 V are judged as another grid's: %s", c.args, out.String())
		}
	}
}
