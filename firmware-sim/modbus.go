package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/modbusdevice"
	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
	"fairwatt/proto/brief"
)

func modbusCommand() *cobra.Command {
	var name, path, listen, plant, start string
	var unit int
	var speed float64
	var rtu bool
	cmd := &cobra.Command{
		Use:   "modbus --device NAME --trace FILE --listen ADDR",
		Short: "Serve one simulated Modbus meter over a socket",
		Long: `Plays a trace to a meter, inverter or pyranometer that speaks Modbus TCP, with
the registers of the maker's document. An agent with a sensor of kind modbus,
"endpoint: ADDR" and the map of the same name reads it. Channels that the trace does
not have are composed from its weather for the given plant. At its end the trace
begins again; a register of energy goes on.

Devices: ` + strings.Join(modbusdevice.Names(), ", ") + ".",
		Example: `  firmware-sim modbus --device eastron-sdm120 --trace configs/traces/calm.csv --listen 127.0.0.1:5020
  firmware-sim modbus --device huawei-sun2000 --trace configs/traces/squall.csv --start 2026-06-21T09:00:00Z --listen 127.0.0.1:5020`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" || path == "" || listen == "" {
				return usagef("modbus: --device, --trace and --listen are required")
			}
			if !slices.Contains(modbusdevice.Names(), name) {
				return usagef("device: %s is not simulated; use one of %s", brief.Quote(name), strings.Join(modbusdevice.Names(), ", "))
			}
			if unit < 1 || unit > 247 {
				return usagef("unit: %d, want 1 to 247", unit)
			}
			from, err := playFrom(speed, plant, start)
			if err != nil {
				return err
			}
			samples, err := boardSamples(path, scenario.PlantKind(plant), from)
			if err != nil {
				return err
			}
			device, err := modbusdevice.New(name, byte(unit))
			if err != nil {
				return fmt.Errorf("modbus: %w", err)
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("modbus: %w", err)
			}
			fmt.Fprintf(os.Stderr, "firmware-sim: %s, unit %d, on %s, %d samples at %g times real time. Simulated. Stop with Ctrl-C.\n",
				name, unit, l.Addr(), len(samples), speed)
			g, ctx := errgroup.WithContext(cmd.Context())
			g.Go(func() error { return device.Serve(ctx, l, rtu) })
			g.Go(func() error { return feedDevice(ctx, device, samples, speed, sleep) })
			return g.Wait()
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "device", "", "which device (required)")
	f.StringVar(&path, "trace", "", "trace file to play (required)")
	f.StringVar(&listen, "listen", "", "host:port of the device (required); anyone who reaches it can read it")
	f.IntVar(&unit, "unit", 1, "its Modbus unit")
	f.BoolVar(&rtu, "rtu", false, "behind a converter that passes frames of a serial line on as they are")
	f.Float64Var(&speed, "speed", 1, "trace seconds a second")
	f.StringVar(&plant, "plant", string(scenario.PV), "plant that adds missing electrical channels: pv or wind")
	f.StringVar(&start, "start", "", "begin at this RFC 3339 time of the trace")
	return cmd
}

// playFrom checks how a trace is to be played, and is the time of the trace at which
// to begin, zero for its own beginning.
func playFrom(speed float64, plant, start string) (from time.Time, err error) {
	if !(speed > 0 && speed <= 1e6) {
		return from, usagef("speed: %g, want above 0 and up to 1000000", speed)
	}
	if err := scenario.DefaultPlant(scenario.PlantKind(plant)).Validate(); err != nil {
		return from, usageError{err}
	}
	if start == "" {
		return from, nil
	}
	if from, err = time.Parse(time.RFC3339, start); err != nil {
		return from, usagef("start: %w", err)
	}
	return from, nil
}

// feedPause is the wall time between two steps of the world: rows of a trace may be
// minutes apart, and a meter shows its energy growing between them.
const feedPause = 250 * time.Millisecond

// feedDevice plays samples to a device again and again. Energy is power over time
// from where it stood, so that a register never falls.
func feedDevice(ctx context.Context, d *modbusdevice.Device, samples []model.Sample, speed float64, wait board.Sleeper) error {
	var exportWh float64
	for {
		play := &rows{samples: samples}
		var now, next model.Sample
		if err := play.Next(&now); err != nil {
			return fmt.Errorf("modbus: %w", err)
		}
		for {
			err := play.Next(&next)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("modbus: %w", err)
			}
			span := time.Duration(next.TimeMs-now.TimeMs) * time.Millisecond
			for span > 0 {
				step := min(span, max(time.Duration(feedPause.Seconds()*speed*float64(time.Second)), 1))
				shown := now
				shown.Set(model.EnergyExportWh, exportWh)
				d.Feed(&shown)
				if err := wait(ctx, time.Duration(float64(step)/speed)); err != nil {
					return nil // the end, not a failure
				}
				if power, ok := now.Get(model.PowerW); ok {
					exportWh += max(0, power) * step.Hours()
				}
				span -= step
			}
			now = next
		}
	}
}
