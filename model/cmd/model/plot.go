package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/model"
	"fairwatt/model/nnet"
	"fairwatt/model/replayplot"
	"fairwatt/model/trace"
	"fairwatt/model/trace/comtrade"
)

type plotOptions struct{ trace, events, out, zone, mapFile string }

func plotCommand() *cobra.Command {
	var o plotOptions
	cmd := &cobra.Command{
		Use:   "plot --trace FILE --events FILE --out FILE.svg|FILE.png",
		Short: "Draw a replay over time",
		Long: `Plot draws what a replay made of a trace: the gate with its causes, the alerts by
kind with their rules, the truth where the trace has labels, the network's scores
with the thresholds from which they warn, and the channels.

The events are what "agent replay --scores --events FILE" wrote; "agent replay
--plot FILE.svg" does both in one. Times are of the local zone unless --zone
names another.`,
		Example: `  agent replay --trace squall.csv --scores --events squall.jsonl
  model plot --trace squall.csv --events squall.jsonl --out squall.svg`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return o.run() },
	}
	f := cmd.Flags()
	f.StringVar(&o.trace, "trace", "", "trace, or COMTRADE recording .cfg or .cff (required)")
	f.StringVar(&o.events, "events", "", "events of a replay (required)")
	f.StringVar(&o.out, "out", "", "picture to write, .svg or .png (required)")
	f.StringVar(&o.zone, "zone", "Local", "time zone of the axis: Local, UTC or an IANA name")
	f.StringVar(&o.mapFile, "map", "", "channels of a COMTRADE recording, YAML")
	return cmd
}

func (o *plotOptions) run() (err error) {
	format := strings.TrimPrefix(filepath.Ext(o.out), ".")
	switch {
	case o.trace == "" || o.events == "" || o.out == "":
		return usageError{errors.New("plot: --trace, --events and --out are needed")}
	case format != "svg" && format != "png":
		return usageError{fmt.Errorf("plot: --out %s: name it .svg or .png", o.out)}
	}
	zone, err := time.LoadLocation(o.zone)
	if err != nil {
		return usageError{fmt.Errorf("plot: --zone %q: %w", o.zone, err)}
	}
	t, err := o.readTrace()
	if err != nil {
		return err
	}
	f, err := os.Open(o.events)
	if err != nil {
		return fmt.Errorf("open events: %w", err)
	}
	events, err := replayplot.ReadEvents(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", o.events, err)
	}
	thresholds, err := warnThresholds()
	if err != nil {
		return err
	}
	var picture bytes.Buffer
	if err := replayplot.Draw(&picture, t, events, replayplot.Options{Format: format, Zone: zone, Thresholds: thresholds}); err != nil {
		return fmt.Errorf("draw %s: %w", o.trace, err)
	}
	return os.WriteFile(o.out, picture.Bytes(), 0o644)
}

// warnThresholds are those of the heads used live, by kind.
func warnThresholds() (map[string]float64, error) {
	w, err := nnet.ShippedWeights()
	if err != nil {
		return nil, fmt.Errorf("built-in weights: %w", err)
	}
	out := map[string]float64{}
	for _, h := range w.Heads {
		if h.EvaluationOnly {
			continue
		}
		if at, ok := out[h.Kind.String()]; !ok || h.Warn < at {
			out[h.Kind.String()] = h.Warn
		}
	}
	return out, nil
}

func (o *plotOptions) readTrace() (*trace.Trace, error) {
	if !comtrade.IsRecording(o.trace) {
		return trace.ReadFile(o.trace, trace.Options{IgnoreUnknown: true, TakeCut: true})
	}
	var channels *comtrade.Map
	if o.mapFile != "" {
		b, err := os.ReadFile(o.mapFile)
		if err != nil {
			return nil, fmt.Errorf("read map: %w", err)
		}
		if channels, err = comtrade.ParseMap(b); err != nil {
			return nil, fmt.Errorf("map %s: %w", o.mapFile, err)
		}
	}
	r, err := comtrade.Open(o.trace, channels)
	if err != nil {
		return nil, err
	}
	t := &trace.Trace{Meta: r.Meta(), Channels: r.Channels()}
	err = readSamples(r, t)
	return t, errors.Join(err, r.Close())
}

// maxPlotRows bounds what a picture keeps in memory.
const maxPlotRows = 500_000

var errTooLong = fmt.Errorf("more than %d samples: cut the recording", maxPlotRows)

func readSamples(r interface{ Next(*model.Sample) error }, t *trace.Trace) error {
	for {
		var row trace.Row
		err := r.Next(&row.Sample)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(t.Rows) == maxPlotRows {
			return errTooLong
		}
		t.Rows = append(t.Rows, row)
	}
}
