package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"fairwatt/firmware-sim/soak"
)

// memberCommandName runs one data aggregator of a soak. It is for the soak alone.
const memberCommandName = "soak-member"

func soakCommand() *cobra.Command {
	cfg := soak.DefaultConfig()
	var report, aggregator string
	var network soak.Network
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Hurt data aggregators under load and see that nothing is lost",
		Long: `Runs data aggregators as processes of their own, with a broker and devices that send
records without a pause. By the draws of a seed it kills them, stops them, cuts
or holds their links, slows their disks, cuts the power of all, and lets one of
them and a device turn hostile; never more are faulty than the chain must bear.

In the end every record must stand in the chain once, all chains must be the
same and valid, and the chain may never have stood still for too long. A promise
that was broken is a line, and exit code 1. It takes the time given with --for
and then some seconds.`,
		Example: `  firmware-sim soak --for 10m --seed 1 --aggregator bin/aggregator
  firmware-sim soak --for 60s --report soak.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("uplink-mbit") || cmd.Flags().Changed("delay") {
				cfg.Network = &network
			}
			keep := cfg.Dir != ""
			if !keep {
				cfg.Dir = os.TempDir()
			}
			if err := cfg.Validate(); err != nil {
				return usageError{err}
			}
			if !keep {
				dir, err := os.MkdirTemp("", "fairwatt-soak-")
				if err != nil {
					return fmt.Errorf("make folder: %w", err)
				}
				cfg.Dir = dir
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			r, err := soak.Run(cmd.Context(), cfg, soak.Options{Member: []string{self, memberCommandName}, Aggregator: aggregator, Out: cmd.ErrOrStderr()})
			if err != nil {
				return fmt.Errorf("%w; chains and logs are in %s", err, cfg.Dir)
			}
			r.Print(cmd.OutOrStdout())
			if report != "" {
				b, err := r.JSON()
				if err == nil {
					err = os.WriteFile(report, b, 0o644)
				}
				if err != nil {
					return fmt.Errorf("write report: %w", err)
				}
			}
			if len(r.Broken) > 0 {
				return fmt.Errorf("%d promises broken, the first: %s; chains and logs are in %s", len(r.Broken), r.Broken[0], cfg.Dir)
			}
			if keep {
				return nil
			}
			return os.RemoveAll(cfg.Dir)
		},
	}
	f := cmd.Flags()
	f.IntVar(&network.UplinkMbit, "uplink-mbit", 0, "give each data aggregator a network namespace with an uplink of so many Mbit/s (needs Linux and root)")
	f.DurationVar(&network.Delay, "delay", 0, "with --uplink-mbit: what each way takes longer")
	f.DurationVar(&cfg.For, "for", cfg.For, "how long devices send and things go wrong")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "seed of what goes wrong")
	f.IntVar(&cfg.DAs, "das", cfg.DAs, "data aggregators, 4 or more")
	f.IntVar(&cfg.Devices, "devices", cfg.Devices, "devices that send")
	f.Float64Var(&cfg.Rate, "rate", cfg.Rate, "records a second, of all devices together")
	f.DurationVar(&cfg.Standstill, "standstill", cfg.Standstill, "for how long no record may become final")
	f.DurationVar(&cfg.Settle, "settle", cfg.Settle, "how long all may take to agree after the last deed")
	f.StringVar(&cfg.Dir, "data", "", "new or empty folder for chains and logs; empty: removed after a good run")
	f.StringVar(&aggregator, "aggregator", "", "the program aggregator, whose `chain verify` is to look at each chain as well")
	f.StringVar(&report, "report", "", "file for the report (JSON)")
	return cmd
}

func soakMemberCommand() *cobra.Command {
	return &cobra.Command{
		Use:    memberCommandName + " DIR",
		Short:  "Run one data aggregator of a soak",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("a folder is required")}
			}
			return soak.Member(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
