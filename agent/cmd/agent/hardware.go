package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"fairwatt/agent"
	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
)

// A hardware is the buses of a configuration and the sensors on them.
type hardware struct {
	sensors []sensor.Sensor
	configs []sensor.Config // of sensors
	missing []agent.MissingSensor
	buses   sensor.Buses
	close   io.Closer
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
