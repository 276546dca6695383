package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"fairwatt/agent"
	"fairwatt/proto/systemd"
)

// A watchdogFile is an armed hardware watchdog: without a kick in its time the
// machine restarts (Linux, watchdog/watchdog-api).
type watchdogFile struct{ f *os.File }

// openWatchdog arms the watchdog. A device that cannot set its time is an
// error: no one would know by when it wants to be kicked.
func openWatchdog(path string, timeout time.Duration, setTimeout func(*os.File, time.Duration) error) (*watchdogFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open watchdog: %w", err)
	}
	w := &watchdogFile{f}
	if err := setTimeout(f, timeout); err != nil {
		return nil, errors.Join(fmt.Errorf("set watchdog %s to %s: %w", path, timeout, err), w.disarm())
	}
	return w, nil
}

// kick makes the watchdog wait again. Any byte but V does.
func (w *watchdogFile) kick() error {
	if _, err := w.f.Write([]byte{0}); err != nil {
		return fmt.Errorf("kick watchdog: %w", err)
	}
	return nil
}

// disarm ends the watch by the magic character. It belongs to a clean stop
// only; after anything else the machine is to restart unless the agent does.
func (w *watchdogFile) disarm() error {
	_, err := w.f.Write([]byte{'V'})
	if err = errors.Join(err, w.f.Close()); err != nil {
		return fmt.Errorf("disarm watchdog: %w", err)
	}
	return nil
}

// A guard is what watches the agent from outside: systemd, a hardware watchdog,
// both, or none.
type guard struct {
	notifier systemd.Notifier
	config   agent.WatchdogConfig
	device   *watchdogFile // nil until it is armed
	ready    bool          // systemd knows
	slot     time.Duration // the shorter of both; 0 without either
}

// newGuard checks what the configuration and the environment ask for.
func newGuard(cfg *agent.Config, n systemd.Notifier) (*guard, error) {
	g := &guard{notifier: n, config: cfg.Watchdog, slot: n.Slot}
	if n.Slot > 0 && cfg.SlotTooShort(n.Slot) {
		return nil, fmt.Errorf("WatchdogSec %s of the unit is too short for a tick of %s: add 11 s or more to the tick", n.Slot, cfg.Tick)
	}
	if w := cfg.Watchdog; w.Device != "" && (g.slot == 0 || w.Timeout < g.slot) {
		g.slot = w.Timeout
	}
	return g, nil
}

// arm starts the hardware watchdog. It comes last before the agent runs, so
// that what is wrong with the configuration does not restart the machine.
func (g *guard) arm(setTimeout func(*os.File, time.Duration) error) (err error) {
	if g.config.Device != "" {
		g.device, err = openWatchdog(g.config.Device, g.config.Timeout, setTimeout)
	}
	return err
}

// supervisor returns who kicks; nil without a watchdog.
func (g *guard) supervisor(log *slog.Logger) *agent.Supervisor {
	slot := g.slot
	if slot == 0 {
		if g.notifier.Socket == "" {
			return nil
		}
		slot = time.Hour // nothing bites; only READY is waited for
	}
	return agent.NewSupervisor(slot, time.Now, g.kick, log)
}

// kick is called after each whole round, by one goroutine at a time. The first
// makes the service ready.
func (g *guard) kick() (err error) {
	if !g.ready {
		err = g.notifier.Tell("READY=1")
		g.ready = err == nil
	}
	if g.notifier.Slot > 0 {
		err = errors.Join(err, g.notifier.Tell("WATCHDOG=1"))
	}
	if g.device != nil {
		err = errors.Join(err, g.device.kick())
	}
	return err
}

// watchStop tells systemd when the stop begins. The returned function ends that.
func (g *guard) watchStop(ctx context.Context, log *slog.Logger) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if err := g.notifier.Tell("STOPPING=1"); err != nil {
			log.Warn("stop", "err", err)
		}
	})
}

// end disarms the hardware after a clean stop, and leaves it armed after any
// other end.
func (g *guard) end(clean bool) error {
	switch {
	case g.device == nil:
		return nil
	case clean:
		return g.device.disarm()
	}
	if err := g.device.f.Close(); err != nil {
		return fmt.Errorf("close watchdog: %w", err)
	}
	return nil
}
