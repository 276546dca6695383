package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/model"
	"fairwatt/model/trace"
)

func recordCommand() *cobra.Command {
	var path, out string
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "record --config FILE --out FILE",
		Short: "Write what the sensors say as a trace",
		Long: `Reads the configured sensors every tick and writes a trace until it is told to
stop or --for is over. A reading that failed is an empty cell, never a zero. The
trace replays with "agent replay". An existing file is not overwritten. A disk
that is full ends the recording with an error behind its last whole row.`,
		Example: "  agent record --config agent.yaml --out today.csv --for 24h",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" || out == "" {
				return usageError{errors.New("record: --config and --out are needed")}
			}
			cfg, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			return record(cmd.Context(), cfg, out, length)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file (required)")
	cmd.Flags().StringVar(&out, "out", "", "trace file to write (required)")
	cmd.Flags().DurationVar(&length, "for", 0, "how long to record; 0 is until stopped")
	return cmd
}

// channelsOf lists the channels of all sensors, each once.
func channelsOf(hw *hardware) []model.Channel {
	var out []model.Channel
	seen := make(map[model.Channel]bool)
	for _, s := range hw.sensors {
		for _, c := range s.Channels() {
			if !seen[c] {
				seen[c] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// A wholeWrites writes to a file all that it is handed or nothing of it: a full
// disk leaves no half row.
type wholeWrites struct {
	file *os.File
	size int64
}

func (w *wholeWrites) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	if err != nil {
		if cut := w.file.Truncate(w.size); cut != nil {
			return n, errors.Join(err, cut)
		}
		_, seek := w.file.Seek(w.size, io.SeekStart)
		return 0, errors.Join(err, seek)
	}
	w.size += int64(n)
	return n, nil
}

func record(ctx context.Context, cfg *agent.Config, path string, length time.Duration) (err error) {
	hw, err := openHardware(ctx, cfg, unheard())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hw.close.Close()) }()
	if len(hw.sensors) == 0 {
		return errors.New("record: no sensor can be read; agent check says why")
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("create trace: %w", err)
	}
	defer func() { err = errors.Join(err, file.Sync(), file.Close()) }()
	meta := trace.Meta{
		Site: cfg.Site, IntervalS: cfg.Tick.Seconds(), Simulated: cfg.Simulated, Source: "agent " + cfg.Device,
		NominalVoltage: cfg.Judge.NominalVoltageV, NominalFreqHz: cfg.Judge.NominalFreqHz,
	}
	if l := cfg.Location; l != nil {
		meta.Latitude, meta.Longitude, meta.HasPosition = l.Latitude, l.Longitude, true
	}
	senses, err := agent.NewSenses(hw.sensors, hw.missing, cfg.Judge, logger(slog.LevelInfo))
	if err != nil {
		return err
	}
	w, err := trace.NewWriter(&wholeWrites{file: file}, meta, channelsOf(hw), trace.WriterOptions{})
	if err != nil {
		return err
	}
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	ticker := time.NewTicker(cfg.Tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		sample := model.Sample{TimeMs: time.Now().UnixMilli()}
		senses.Read(ctx, &sample) // what fails or cannot agree is logged; its cells are empty
		if ctx.Err() != nil {
			break
		}
		if err := errors.Join(w.Write(&sample), w.Flush()); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	for _, s := range hw.sensors {
		err = errors.Join(err, s.Halt())
	}
	return err
}
