package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/agent"
)

// TestKeyChangeCommand: the command says what it needs, and a starting agent leaves a
// change that no one answers as it was: both keys are there.
func TestKeyChangeCommand(t *testing.T) {
	run := func(args ...string) error {
		cmd := keyCommand()
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetErr(new(bytes.Buffer))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		return cmd.Execute()
	}
	if err := run("change"); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("no configuration: %v", err)
	}
	dir := siteDir(t, "127.0.0.1:1", "127.0.0.1:1")
	config := filepath.Join(dir, "agent.yaml")
	cfg, err := agent.LoadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if err := finishKeyChange(t.Context(), cfg, log); err != nil {
		t.Errorf("nothing is under way: %v", err)
	}
	key, err := os.ReadFile(filepath.Join(cfg.Data, agent.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := run("change", "--config", config, "--wait", "10ms"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "run this again") {
		t.Errorf("no broker: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := finishKeyChange(ended, cfg, log); !errors.Is(err, context.Canceled) {
		t.Errorf("the agent started in the middle of a change: %v", err)
	}
	if now, err := os.ReadFile(filepath.Join(cfg.Data, agent.KeyFile)); err != nil || !bytes.Equal(now, key) || !agent.KeyChanging(cfg.Data) {
		t.Errorf("the old key is another, or the next is gone: %v", err)
	}
}

// TestEnrollCommand: with a genesis the form is written, and a word is printed.
func TestEnrollCommand(t *testing.T) {
	dir := siteDir(t, "127.0.0.1:1", "127.0.0.1:1")
	run := func(args ...string) (string, error) {
		cmd, out := enrollCommand(), new(bytes.Buffer)
		cmd.SetOut(out)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append([]string{"--dir", filepath.Join(dir, "data")}, args...))
		err := cmd.Execute()
		return out.String(), err
	}
	for _, args := range []string{"--device pv-1", "--recovery", "--account a", "--genesis g --device pv-1", "--genesis g --role seller"} {
		if _, err := run(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), "belong together") {
			t.Errorf("%s: %v", args, err)
		}
	}
	out, err := run("--genesis", filepath.Join(dir, "genesis.json"), "--device", "pv-1", "--role", "seller", "--recovery")
	if err != nil || !strings.Contains(out, "ed25519:") || !strings.Contains(out, "recovery word") {
		t.Fatalf("%q, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", agent.EnrolmentFile)); err != nil {
		t.Error(err)
	}
}
