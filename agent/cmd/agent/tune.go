package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"fairwatt/agent"
	"fairwatt/agent/sensor"
)

// tune finds the best tuning_cap of every lightning detector. The other sensors
// are left alone.
func tune(ctx context.Context, cfg *agent.Config, w io.Writer) (err error) {
	buses := *cfg
	buses.Sensors = nil // a sensor would hold the pin that is counted
	hw, err := openHardware(ctx, &buses, unheard())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hw.close.Close()) }()
	found := false
	for _, c := range cfg.Sensors {
		if c.Kind != sensor.KindAS3935 {
			continue
		}
		found = true
		best, hz, e := sensor.TuneAS3935(ctx, c, hw.buses)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		fmt.Fprintf(w, "%s: tuning_cap: %d (antenna at %.0f Hz)\n", c.Describe().Name, best, hz)
	}
	if !found {
		return errors.New("check --tune: no sensor of kind as3935")
	}
	return err
}
