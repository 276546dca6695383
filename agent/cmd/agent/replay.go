package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/agent/replay"
	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

type replayFlags struct {
	trace, config, speed, events, mqtt, mapFile, plot, words string
	scores, ignoreUnknown                                    bool
	price, rating                                            float64
}

func replayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay --trace FILE",
		Short: "Judge a recorded trace as a live agent would",
		Long: `Runs the very same judgement as live over a recorded trace, without hardware or
broker, and writes what happened as JSON lines: gate, alert and (with --scores)
score events in order, and a summary last. The events are the same bytes at
every speed.

Without --config the judge takes its nominal values, its interval and its
required inputs from the trace's header. With --mqtt the gate, hazard and alert
messages of a live agent are published too, with the trace's own times.

A COMTRADE recording (.cfg with its .dat in the same folder, or .cff) is read as a trace
of waveforms; --map names its channels where their own names do not. Waveforms,
of a recording or of the _inst columns of a trace, raise alerts of kind line
within cycles: dips, swells, interruptions, residual voltage and current,
over-current. They are independent of the gate's rules and do not close it.

The summary's "cost" says of each rule for how many hours it kept the gate closed,
for how many of them alone, and which energy was not sold meanwhile: by the
trace's power_w, else by --rating and the light, else by --rating alone.

--word takes what people say on the way, one JSON object a line, and writes ack,
block, unblock and refused events. t is RFC 3339 or seconds from the start:
  {"t":3600,"ack":"E12","by":"Ada","why":"looked at string 2"}
  {"t":7200,"block":true,"by":"Ada","why":"repair","until":9000}
  {"t":8000,"unblock":true,"by":"Ada"}

--plot draws gate, alerts, scores and channels over time, in the local time
zone. The program "model" does it: the agent of a board carries nothing to draw
with. It is looked for next to this program and in PATH.`,
		Example: `  agent replay --trace typhoon.csv
  agent replay --trace typhoon.csv --events typhoon.jsonl --plot typhoon.svg
  agent replay --trace year.csv.gz --rating 5000 --price 0.12
  agent replay --trace overvoltage.csv --word words.jsonl
  agent replay --trace fault.cfg --map substation.yaml
  agent replay --trace day.csv.gz --speed 3600 --events day.jsonl --mqtt tcp://127.0.0.1:1883`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&f.trace, "trace", "", "trace file, gzipped or not, or a recording .cfg or .cff (required)")
	cmd.Flags().StringVar(&f.mapFile, "map", "", "channels of a COMTRADE recording, YAML")
	cmd.Flags().StringVar(&f.config, "config", "", "agent configuration whose judge section applies")
	cmd.Flags().StringVar(&f.speed, "speed", "max", `"max", or trace seconds per second`)
	cmd.Flags().StringVar(&f.events, "events", "-", "where events go; - is stdout")
	cmd.Flags().StringVar(&f.plot, "plot", "", "draw the replay into this file, .svg or .png")
	cmd.Flags().StringVar(&f.words, "word", "", "what people say on the way, JSON lines")
	cmd.Flags().StringVar(&f.mqtt, "mqtt", "", "also publish to this broker, tcp://host:port")
	cmd.Flags().BoolVar(&f.scores, "scores", false, "write the network's scores too")
	cmd.Flags().Float64Var(&f.price, "price", 0, "money for a kWh: the summary says what each rule has cost in money too")
	cmd.Flags().Float64Var(&f.rating, "rating", 0, "rated power in W, for the energy where the trace has no power_w (default: the configuration's rated_power_w)")
	cmd.Flags().BoolVar(&f.ignoreUnknown, "ignore-unknown", false, "skip columns that are no channel")
	return cmd
}

// parseSpeed returns trace seconds per second, 0 for as fast as can be.
func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	speed, err := strconv.ParseFloat(text, 64)
	if err != nil || !(speed > 0 && speed <= 1e9) {
		return 0, usageError{fmt.Errorf("--speed %q: use max or a number above 0", text)}
	}
	return speed, nil
}

// check refuses what no replay can be asked for, and returns the speed.
func (f *replayFlags) check() (speed float64, err error) {
	switch {
	case f.trace == "":
		return 0, usageError{errors.New("replay: --trace is missing")}
	case !(f.price >= 0 && f.price <= 1e6):
		return 0, usageError{fmt.Errorf("--price %g: use 0 to 1000000 for a kWh", f.price)}
	case !(f.rating >= 0 && f.rating <= 1e9):
		return 0, usageError{fmt.Errorf("--rating %g: use 0 to 1000000000 W", f.rating)}
	}
	return parseSpeed(f.speed)
}

func (f *replayFlags) run(ctx context.Context, stdout io.Writer) (err error) {
	speed, err := f.check()
	if err != nil {
		return err
	}
	plotter, err := newPlotter(f.plot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plotter.close()) }()
	reader, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()

	cfg := agent.DefaultConfig()
	if f.config != "" {
		loaded, err := agent.LoadConfig(f.config)
		if err != nil {
			return err
		}
		cfg = *loaded
	}
	waves, err := f.waveforms(&cfg, reader)
	if err != nil {
		return err
	}
	network, err := agent.LoadNetwork(cfg.Network)
	if err != nil {
		logger(slog.LevelInfo).Warn("rules only", "err", err)
		network = nil
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	judge, err := agent.NewJudge(cfg.Judge, network)
	if err != nil {
		return err
	}
	if f.rating > 0 {
		judge.RateEnergy(f.rating)
	}
	r := replay.Replay{
		Price: f.price,
		Judge: judge, Events: stdout, Scores: f.scores, Speed: speed, Simulated: reader.Meta().Simulated,
		Waveform: waves.detector, SampleRate: waves.rate, FillRMS: waves.fill,
	}
	if r.Words, err = f.script(); err != nil {
		return err
	}
	if plain, ok := reader.(*trace.Reader); ok {
		r.UnixTime = func() bool { return !plain.FromStart() }
	}
	if f.events != "-" {
		file, err := os.Create(f.events)
		if err != nil {
			return fmt.Errorf("create events: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		r.Events = file
	}
	if plotter != nil {
		r.All = plotter.events
	}
	if f.mqtt != "" {
		r.Topics = replayTopics(&cfg, reader.Meta())
		pipe, err := connectReplay(ctx, f.mqtt)
		if err != nil {
			return err
		}
		defer pipe.Close()
		r.Pipe = pipe
	}
	r.LeftOut = func() []model.LeftOut { return leftOut(reader, &waves) }
	summary, err := r.Run(ctx, reader)
	tellLeftOut(summary.LeftOut)
	if err == nil {
		err = plotter.draw(ctx, f.trace, f.mapFile)
	}
	return err
}

// script reads what people say on the way.
func (f *replayFlags) script() ([]word.Line, error) {
	if f.words == "" {
		return nil, nil
	}
	file, err := os.Open(f.words)
	if err != nil {
		return nil, fmt.Errorf("open words: %w", err)
	}
	lines, err := word.ReadScript(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("words %s: %w", f.words, err)
	}
	return lines, nil
}

// replayTopics are the configuration's, or made of the trace's site.
func replayTopics(cfg *agent.Config, m trace.Meta) wire.Topics {
	if cfg.Site != "" {
		return wire.Topics{Site: cfg.Site, Device: cfg.Device}
	}
	site := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, m.Site), "-")
	if !seal.ValidName(site) {
		site = "trace"
	}
	return wire.Topics{Site: site, Device: "replay"}
}

// connectTimeout bounds the wait for a broker by commands that need one.
const connectTimeout = 10 * time.Second

func connectReplay(ctx context.Context, url string) (mqtt.Pipe, error) {
	pipe, err := mqtt.New(mqtt.Config{URL: url, Logger: logger(slog.LevelWarn)})
	if err != nil {
		return nil, usageError{err}
	}
	return pipe, awaitBroker(ctx, pipe, url)
}

// awaitBroker opens a pipe and waits until it is connected.
func awaitBroker(ctx context.Context, pipe mqtt.Pipe, url string) error {
	up := make(chan struct{}, 1)
	pipe.OnUp(func() {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	if err := pipe.Open(); err != nil {
		return err
	}
	timer := time.NewTimer(connectTimeout)
	defer timer.Stop()
	select {
	case <-up:
		return nil
	case <-timer.C:
		pipe.Close()
		return fmt.Errorf("connect to %s: no answer in %s", url, connectTimeout)
	case <-ctx.Done():
		pipe.Close()
		return ctx.Err()
	}
}
