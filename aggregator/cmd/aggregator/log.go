package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// A journal is a program's log, whose level may change while it runs.
type journal struct {
	*slog.Logger
	level *slog.LevelVar
}

// logger writes to stderr, in the form that --log-format asks for; stdout is for results.
func logger(cmd *cobra.Command, level string) (*journal, error) {
	format := "text"
	if f := cmd.Flag("log-format"); f != nil {
		format = f.Value.String()
	}
	return newJournal(cmd.ErrOrStderr(), level, format)
}

func newJournal(w io.Writer, level, format string) (*journal, error) {
	j := &journal{level: new(slog.LevelVar)}
	if err := j.setLevel(level); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: j.level}
	switch format {
	case "text":
		j.Logger = slog.New(slog.NewTextHandler(w, options))
	case "json":
		j.Logger = slog.New(slog.NewJSONHandler(w, options))
	default:
		return nil, usagef("--log-format %q: text or json", format)
	}
	return j, nil
}

// setLevel changes what is logged; empty is info.
func (j *journal) setLevel(level string) error {
	l := slog.LevelInfo
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return fmt.Errorf("log_level: %q is not debug, info, warn or error", level)
		}
	}
	j.level.Set(l)
	return nil
}

// reloadOnHangup has SIGHUP read the configuration's log_level again until the context
// ends: it never stops the program. All else needs a restart; certificates are read
// again by themselves.
func (j *journal) reloadOnHangup(ctx context.Context, level func() (string, error)) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				j.reload(level)
			}
		}
	}()
	return func() {
		cancel()
		<-done
		signal.Stop(hangups)
	}
}

func (j *journal) reload(level func() (string, error)) {
	text, err := level()
	if err == nil {
		err = j.setLevel(text)
	}
	if err != nil {
		j.Error("SIGHUP: the configuration is not taken, the one before stays", "err", err)
		return
	}
	j.Info("SIGHUP: log_level was read again; other settings need a restart", "log_level", j.level.Level().String())
}
