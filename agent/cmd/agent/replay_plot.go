package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// drawer is the program that draws: plotting is 7 MB that a board has no use
// for.
const drawer = "model"

// A replayPlotter gathers a replay's events and has them drawn. A nil one does
// nothing.
type replayPlotter struct {
	program, out string
	events       *os.File
}

// newPlotter looks for the drawing program before anything is replayed; out may
// be empty: then nothing is drawn.
func newPlotter(out string) (*replayPlotter, error) {
	if out == "" {
		return nil, nil
	}
	if ext := filepath.Ext(out); ext != ".svg" && ext != ".png" {
		return nil, usageError{fmt.Errorf("--plot %s: name it .svg or .png", out)}
	}
	program, err := findDrawer()
	if err != nil {
		return nil, err
	}
	events, err := os.CreateTemp("", "fairwatt-replay-*.jsonl")
	if err != nil {
		return nil, fmt.Errorf("plot: %w", err)
	}
	return &replayPlotter{program: program, out: out, events: events}, nil
}

func findDrawer() (string, error) {
	if self, err := os.Executable(); err == nil {
		neighbour := filepath.Join(filepath.Dir(self), drawer)
		if info, err := os.Stat(neighbour); err == nil && info.Mode().IsRegular() {
			return neighbour, nil
		}
	}
	path, err := exec.LookPath(drawer)
	if err != nil {
		return "", fmt.Errorf("--plot needs the program %q next to this one or in PATH (make build makes both): %w", drawer, err)
	}
	return path, nil
}

// draw has the gathered events drawn over the trace.
func (p *replayPlotter) draw(ctx context.Context, trace, mapFile string) error {
	if p == nil {
		return nil
	}
	args := []string{"plot", "--trace", trace, "--events", p.events.Name(), "--out", p.out}
	if mapFile != "" {
		args = append(args, "--map", mapFile)
	}
	if out, err := exec.CommandContext(ctx, p.program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("plot: %s: %w: %s", p.program, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (p *replayPlotter) close() error {
	if p == nil {
		return nil
	}
	return errors.Join(p.events.Close(), os.Remove(p.events.Name()))
}
