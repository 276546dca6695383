package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/firmware-sim/scenario"
)

func scenarioCommand() *cobra.Command {
	var (
		name, out, plant, start string
		seed                    uint64
		interval                time.Duration
		hours, rated            float64
		list                    bool
	)
	cmd := &cobra.Command{
		Use:   "scenario --name NAME [--out FILE|-]",
		Short: "Write a made-up day as a trace",
		Long: `Writes a made-up day as a trace: coherent sun, clouds, wind, rain and pressure,
and the output of a PV plant or a turbine in them. The same flags write the same
bytes. The trace says simulated: true and names the seed.

A day begins at local midnight (longitude 120 E, 16:00 UTC the day before);
with several days, what happens is on the middle one.`,
		Example: `  firmware-sim scenario --list
  firmware-sim scenario --name squall --seed 1 --interval 60s --hours 24 --out squall.csv
  firmware-sim scenario --name storm --interval 1h --hours 96 --plant wind --out -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return printList(cmd)
			}
			if name == "" {
				return usagef("scenario: --name is missing; --list lists the names")
			}
			o := scenario.DefaultOptions(name, seed)
			if cmd.Flags().Changed("interval") {
				o.Interval = interval
			}
			// Limited before it is converted: a huge or NaN span would wrap.
			if !(hours > 0 && hours <= 24*366*10) {
				return usagef("--hours %v, want more than 0 and at most 10 years", hours)
			}
			if cmd.Flags().Changed("hours") {
				o.Span = time.Duration(hours * float64(time.Hour))
			}
			o.Plant.RatedW = rated
			if plant != "" {
				o.Plant.Kind = scenario.PlantKind(plant)
			}
			if start != "" {
				t, err := time.Parse(time.RFC3339, start)
				if err != nil {
					return usagef("--start: %w", err)
				}
				o.Start = t.UTC()
			}
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			return writeTo(cmd, out, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "which scenario (see --list)")
	f.Uint64Var(&seed, "seed", 1, "seed of everything that is drawn")
	f.DurationVar(&interval, "interval", time.Minute, "time between rows (a cyclone: 10m)")
	f.Float64Var(&hours, "hours", 24, "length of the trace (a cyclone: 144)")
	f.StringVar(&out, "out", "-", "file to write, - for standard output")
	f.StringVar(&plant, "plant", "", "pv or wind (default: wind for squall, storm, cyclone and hot-bearing, else pv)")
	f.Float64Var(&rated, "rated", 5000, "the plant's rated power in W")
	f.StringVar(&start, "start", "", "start of the trace, RFC 3339 (default 2026-06-20T16:00:00Z)")
	f.BoolVar(&list, "list", false, "list the scenarios and stop")
	return cmd
}

func printList(cmd *cobra.Command) error {
	for _, n := range scenario.Names() {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-14s %s\n", n, scenario.Describe(n)); err != nil {
			return err
		}
	}
	return nil
}

// writeTo writes to the file, or to standard output for "-". It removes a file that
// it could not finish: half a trace must not pass for one.
func writeTo(cmd *cobra.Command, path string, o scenario.Options) error {
	if path == "-" {
		return scenario.Write(cmd.OutOrStdout(), o)
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create trace: %w", err)
	}
	if err := errors.Join(scenario.Write(file, o), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
