package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/firmware-sim/scenario"
	"fairwatt/model/trace"
)

func TestScenarioListsAndWrites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "calm.csv")
	for _, args := range [][]string{{"--list"}, {"--name", "calm", "--interval", "1h", "--hours", "3", "--out", file}} {
		cmd := scenarioCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(args)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		if args[0] == "--list" && strings.Count(out.String(), "\n") != len(scenario.Names()) {
			t.Errorf("list: %s", out.String())
		}
	}
	if tr, err := trace.ReadFile(file, trace.Options{}); err != nil || len(tr.Rows) != 3 {
		t.Errorf("written trace: %v", err)
	}
}
