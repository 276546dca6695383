package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/firmware-sim/board"
)

// check lists what is looser than the grid profile: behind the table, and beside
// the JSON.
func TestCheckListsLooseSettings(t *testing.T) {
	b, err := board.New(board.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- board.Serve(ctx, l, b) }()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	text := "site: a\ndevice: b\nsimulated: true\nbus: sim://" + l.Addr().String() +
		"\nsensors:\n  - {kind: bme280}\njudge: {weather: {gust_block_mps: 40}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "looser than the grid profile: weather.gust_block_mps 40 (default 25.7)\n"
	for flag, inErr := range map[string]bool{"": false, "--json": true} {
		cmd := checkCommand()
		var out, errs bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&errs)
		cmd.SetContext(t.Context())
		args := []string{"--config", path}
		if flag != "" {
			args = append(args, flag)
		}
		cmd.SetArgs(args)
		if err := cmd.Execute(); err == nil {
			t.Error("a board without chips passes")
		}
		if strings.Contains(out.String(), want) == inErr || strings.Contains(errs.String(), want) != inErr {
			t.Errorf("%q prints %q and %q", flag, out.String(), errs.String())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
