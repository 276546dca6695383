package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent"
	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/agent/trade"
)

// A hardware is the buses of a configuration and the sensors on them.
type hardware struct {
	sensors []sensor.Sensor
	configs []sensor.Config // of sensors
	missing []agent.MissingSensor
	// contactor is nil without one; openContactor sets it up.
	contactor trade.Contactor
	buses     sensor.Buses
	close     io.Closer
}

// openHardware opens the buses and sets the sensors up. A sensor that cannot
// be set up is listed as missing; only buses that cannot be reached at all are
// an error.
func openHardware(ctx context.Context, cfg *agent.Config, log *slog.Logger) (_ *hardware, err error) {
	var buses sensor.Buses
	h := &hardware{}
	if address, ok := strings.CutPrefix(cfg.Bus, agent.SimScheme); ok {
		client, err := simbus.Dial(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("simulated board %s: %w", address, err)
		}
		buses, h.close = client, client
	} else {
		host, err := newHostBuses()
		if err != nil {
			return nil, err
		}
		buses, h.close = host, host
	}
	h.buses = buses
	topics, err := newTopics(cfg, log)
	if err != nil {
		return nil, errors.Join(err, h.close.Close())
	}
	for _, c := range cfg.Sensors {
		on := buses
		if c.Topic() != "" {
			on = topics
		}
		one, err := sensor.New(c, on)
		if err != nil {
			h.missing = append(h.missing, agent.MissingSensor{Name: c.Describe().Name, Err: err})
			continue
		}
		h.sensors = append(h.sensors, one)
		h.configs = append(h.configs, c)
	}
	if topics != nil {
		h.close = closers{topics, h.close}
		if err := topics.open(); err != nil {
			return nil, errors.Join(err, h.close.Close())
		}
	}
	return h, nil
}

// unheard logs nothing: a command says itself what it finds.
func unheard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// closers are closed one after the other.
type closers [2]io.Closer

// Close implements io.Closer.
func (c closers) Close() error { return errors.Join(c[0].Close(), c[1].Close()) }

// openContactor opens the contactor of the configuration, if there is one. One
// that cannot be opened is an error: the agent would sell through a switch that
// it does not hold.
func (h *hardware) openContactor(cfg *agent.Config) error {
	if cfg.Contactor == nil || cfg.Contactor.None {
		return nil
	}
	line, err := drive.New(*cfg.Contactor, h.buses)
	if err != nil {
		return err
	}
	h.contactor = line
	return nil
}

// A supplyPin takes the supply away from the chips.
type supplyPin struct {
	name string
	pin  gpio.PinOut
	cuts gpio.Level
}

// Cut implements agent.Supply.
func (s *supplyPin) Cut() error { return s.set("cut", s.cuts) }

// Restore implements agent.Supply.
func (s *supplyPin) Restore() error { return s.set("restore", !s.cuts) }

func (s *supplyPin) set(verb string, l gpio.Level) error {
	if err := s.pin.Out(l); err != nil {
		return fmt.Errorf("%s the sensors' supply by %s: %w", verb, s.name, err)
	}
	return nil
}

// openSupply takes the pin that cuts the sensors' supply, if there is one, and gives
// them their supply: a former run may have been killed while it was away.
func (h *hardware) openSupply(cfg *agent.Config) (agent.Supply, error) {
	if cfg.PowerCycle == nil {
		return nil, nil
	}
	outputs, ok := h.buses.(drive.Outputs)
	if !ok {
		return nil, errors.New("power_cycle: no output pins here")
	}
	pin, err := outputs.PinOut(cfg.PowerCycle.Pin)
	if err != nil {
		return nil, fmt.Errorf("power_cycle: %w", err)
	}
	s := &supplyPin{cfg.PowerCycle.Pin, pin, gpio.Level(cfg.PowerCycle.Active != drive.Low)}
	return s, s.Restore()
}
