package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fairwatt/firmware-sim/grid"
)

func gridCommand() *cobra.Command {
	cfg := grid.DefaultConfig()
	var folder, report, level string
	cmd := &cobra.Command{
		Use:   "grid",
		Short: "Run the whole system on this machine",
		Long: `Runs a broker, a management centre, data aggregators, generators with agents on
simulated boards, and buyers, in one process. Weather comes from traces or from
built-in scenarios; one hour of it passes in a second. Keys and certificates are
made fresh for each run. All of it is simulated, and says so.`,
		Example: `  firmware-sim grid --http 127.0.0.1:8080
  firmware-sim grid --for 60s --report report.json
  firmware-sim grid --traces ../weather --for 60s --kill-root-after 20s
  firmware-sim grid --storm squall --agents 12 --for 90s --http 127.0.0.1:8080 --report report.json
  firmware-sim grid --for 120s --misbehave traders --set credit=paper --report report.json
  firmware-sim grid --for 120s --speed 90 --set mechanism=auction --report report.json
  firmware-sim grid --for 60s --speed 600 --set mechanism=sharing --report report.json
  firmware-sim grid --for 60s --members --report report.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if folder != "" {
				found, err := tracesIn(folder)
				if err != nil {
					return usageError{err}
				}
				cfg.Traces = append(cfg.Traces, found...)
			}
			if !cmd.Flags().Changed("agents") {
				cfg.Agents = agentsFor(cfg)
			}
			if cfg.Storm != "" && !cmd.Flags().Changed("speed") {
				cfg.Speed = grid.StormSpeed
			}
			if err := cfg.Validate(); err != nil {
				return usageError{err}
			}
			log, err := logger(level)
			if err != nil {
				return usageError{err}
			}
			result, err := grid.Run(cmd.Context(), cfg, grid.Options{
				Software: software(), Logger: log, Out: os.Stderr, Progress: isTerminal(os.Stderr),
			})
			if err != nil {
				return err
			}
			if result.Storm != nil {
				fmt.Fprint(cmd.ErrOrStderr(), result.Storm)
			}
			fmt.Fprint(cmd.ErrOrStderr(), result.Market())
			return writeReport(cmd.OutOrStdout(), result, report)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&cfg.For, "for", cfg.For, "how long to run; 0: until stopped")
	f.IntVar(&cfg.DAs, "das", cfg.DAs, "data aggregators, 4 or more")
	f.IntVar(&cfg.Agents, "agents", cfg.Agents, "generators")
	f.IntVar(&cfg.Buyers, "buyers", cfg.Buyers, "buyers")
	f.StringArrayVar(&cfg.Traces, "trace", nil, "trace file; may be repeated, generator i takes trace i mod k")
	f.StringVar(&folder, "traces", "", "folder whose .csv and .csv.gz files are the traces")
	f.StringVar(&cfg.Scenario, "scenario", "", "one built-in scenario instead of all (firmware-sim scenario --list)")
	f.StringVar(&cfg.Storm, "storm", "", "one storm that crosses a map on which the generators stand: squall or cyclone")
	f.StringVar(&cfg.Start, "start", cfg.Start, "where each trace begins: peak-36h (36 h before its strongest gust) or an RFC 3339 time")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "seed of scenarios and delays")
	f.Float64Var(&cfg.Speed, "speed", cfg.Speed, fmt.Sprintf("trace seconds a second; %g with --storm", grid.StormSpeed))
	f.StringVar(&cfg.HTTP, "http", cfg.HTTP, "address of the page; empty: none")
	f.StringVar(&cfg.MQTT, "mqtt", cfg.MQTT, "address of a read-only MQTT listener for watching; empty: none")
	f.StringVar(&cfg.Links, "links", cfg.Links, "links between data aggregators: grpc, or memory with drawn delays")
	f.StringVar(&cfg.Credit, "credit", cfg.Credit, "what makes credit: robust (bonds and fines) or paper; robust where meters settle")
	f.StringVar(&cfg.Settlement, "settlement", cfg.Settlement, "what decides what is paid: meters, or paper (the buyer's word)")
	f.StringArrayVar(&cfg.Set, "set", nil, "a number of the genesis, or a rule of it, as fine_e4=1000 or credit=paper; may be repeated")
	f.StringVar(&cfg.Tree, "tree", cfg.Tree, "tree that blocks go down: oct (aware of the overheads) or wct (the paper's)")
	f.StringVar(&cfg.Data, "data", cfg.Data, "folder for the chains, DIR/da-1, DIR/da-2, ...; empty: removed at the end")
	f.DurationVar(&cfg.KillRootAfter, "kill-root-after", 0, "kill the accounting node after this time; 0: never")
	f.BoolVar(&cfg.Members, "members", false, "change the data aggregators in the run: one more joins, one signs with another key, one leaves")
	f.StringSliceVar(&cfg.Misbehave, "misbehave", nil, "trouble to make: "+strings.Join(grid.Misbehaviours(), ", ")+", traders for all of those that trade, all")
	f.StringVar(&report, "report", "", "file for the report (JSON); without it the report goes to stdout when --for is given")
	f.StringVar(&level, "log", "error", "log level on stderr: debug, info, warn, error")
	return cmd
}

// tracesIn lists the traces of a folder by name.
func tracesIn(folder string) ([]string, error) {
	var found []string
	for _, pattern := range []string{"*.csv", "*.csv.gz"} {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, err
		}
		found = append(found, paths...)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("traces: no .csv or .csv.gz file in %s", folder)
	}
	slices.Sort(found)
	return found, nil
}

// agentsFor is how many generators there are where no one has said so: one for each
// trace at least.
func agentsFor(cfg grid.Config) int { return max(cfg.Agents, len(cfg.Traces)) }

func writeReport(stdout io.Writer, r *grid.Report, path string) error {
	b, err := r.JSON()
	if err != nil {
		return err
	}
	if path == "" {
		_, err = stdout.Write(b)
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

func logger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, errors.New("log: use debug, info, warn or error")
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l})), nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// software is the commit that this was built from, in short, or its version.
func software() string {
	b := readBuild()
	if len(b.Revision) >= 12 {
		return b.Revision[:12]
	}
	return b.Version
}
