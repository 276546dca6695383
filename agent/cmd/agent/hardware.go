package main

import (
	"context"
	"fmt"
	"io"
	"strings"

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
func openHardware(ctx context.Context, cfg *agent.Config) (*hardware, error) {
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
	for _, c := range cfg.Sensors {
		one, err := sensor.New(c, buses)
		if err != nil {
			h.missing = append(h.missing, agent.MissingSensor{Name: c.Describe().Name, Err: err})
			continue
		}
		h.sensors = append(h.sensors, one)
		h.configs = append(h.configs, c)
	}
	return h, nil
}

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
