//go:build !nomochi

package main

import (
	"context"
	"io"
	"log/slog"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func init() { brokers["mochi"] = serveMochi }

// serveMochi is mochi with the limits that the grid sets.
func serveMochi(ctx context.Context, addr, _ string) error {
	limits := mochi.NewDefaultServerCapabilities()
	limits.MaximumClientWritesPending, limits.MaximumInflight = 1<<18, 65535
	s := mochi.New(&mochi.Options{Capabilities: limits, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	if err := s.AddListener(listeners.NewTCP(listeners.Config{ID: "open", Address: addr})); err != nil {
		return err
	}
	if err := s.Serve(); err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}
