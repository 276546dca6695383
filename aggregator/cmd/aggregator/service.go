package main

import (
	"context"
	"log/slog"
	"time"

	"fairwatt/proto/systemd"
)

// A service tells systemd how the program is. It belongs to one goroutine.
type service struct {
	notifier systemd.Notifier
	log      *slog.Logger
	now      func() time.Time
	kicked   time.Time // zero before the first
}

// newService reads what systemd put into the environment.
func newService(getenv func(string) string, log *slog.Logger) (*service, error) {
	n, err := systemd.New(getenv)
	return &service{notifier: n, log: log, now: time.Now}, err
}

// alive is called after each round of a program's loop. The first makes the service
// ready; later ones kick the watchdog, four times in its time.
func (s *service) alive() {
	state := "WATCHDOG=1"
	if s.kicked.IsZero() {
		state = "READY=1\nWATCHDOG=1"
	}
	now := s.now()
	if !s.kicked.IsZero() && (s.notifier.Slot == 0 || now.Sub(s.kicked) < s.notifier.Slot/4) {
		return
	}
	s.kicked = now
	if err := s.notifier.Tell(state); err != nil {
		s.log.Warn("service", "err", err)
	}
}

// watchStop tells systemd when the stop begins. The returned function ends that.
func (s *service) watchStop(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if err := s.notifier.Tell("STOPPING=1"); err != nil {
			s.log.Warn("service", "err", err)
		}
	})
}
