package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
	"fairwatt/proto/durable"
	"fairwatt/proto/strictyaml"
)

func trainCommand() *cobra.Command {
	var config, out string
	var data []string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "train --config FILE --data DIR --out FILE",
		Short: "Train the network and its baselines",
		Long: `Train reads recorded weather (trace files), trains every head of the
configuration with its logistic baseline, chooses epoch, calibration and warning
threshold on the validation split only, and writes the weight file. The test
split is never read for a choice. The same configuration, data and architecture
give the same bytes; on amd64 those of the shipped weights.`,
		Example: `  model train --config configs/model/hazard-1.yaml --data ../shared/data/weather --out hazard-1.fwnn`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" || out == "" {
				return usageError{errors.New("--config and --out are needed")}
			}
			cfg, err := readConfig(config)
			if err != nil {
				return err
			}
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			stderr := cmd.ErrOrStderr()
			log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
			series, err := loadSeries(cmd.Context(), data, progress(stderr, "reading traces"))
			if err != nil {
				return err
			}
			for _, s := range series {
				s.FillHistory()
			}
			start := time.Now()
			w, err := nnet.Train(cmd.Context(), cfg, series, log)
			if err != nil {
				return fmt.Errorf("train: %w", err)
			}
			b, err := w.Marshal()
			if err != nil {
				return err
			}
			if _, err := nnet.ParseWeights(b); err != nil {
				return fmt.Errorf("trained weights do not load: %w", err)
			}
			if err := durable.WriteBytes(out, 0o644, b); err != nil {
				return fmt.Errorf("write weights: %w", err)
			}
			log.Info("weights written", "file", out, "bytes", len(b), "seconds", int(time.Since(start).Seconds()))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "training configuration (YAML)")
	f.StringSliceVar(&data, "data", []string{"../shared/data/weather"}, "folder or trace file; may be repeated")
	f.StringVar(&out, "out", "", "weight file to write")
	f.BoolVar(&verbose, "verbose", false, "log every epoch")
	return cmd
}

// readConfig reads a training configuration; unknown keys are errors.
func readConfig(path string) (nnet.Config, error) {
	var cfg nnet.Config
	b, err := os.ReadFile(path)
	if err != nil {
		return cfg, fmt.Errorf("read configuration: %w", err)
	}
	if err := strictyaml.Decode(b, &cfg); err != nil {
		return cfg, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("configuration %s: %w", path, err)
	}
	return cfg, nil
}

// isTerminal says whether w is a terminal, with a person before it.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress shows a counter on stderr when it is a terminal.
func progress(w io.Writer, what string) func(done, total int) {
	if !isTerminal(w) {
		return func(int, int) {}
	}
	return func(done, total int) {
		end := ""
		if done == total {
			end = "\n"
		}
		fmt.Fprintf(w, "\r%s: %d of %d%s", what, done, total, end)
	}
}
