package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
	"fairwatt/model/trace"
)

func boardCommand() *cobra.Command {
	var path, listen, plant, start string
	var speed float64
	var unkind unkindFlags
	cmd := &cobra.Command{
		Use:   "board --trace FILE --listen ADDR",
		Short: "Serve one simulated sensor board over a socket",
		Long: `Plays a trace to a board with a weather chip (BME280), a DC shunt (INA219), the
mains (ADS1115), an anemometer, an energy meter, a thermometer on the equipment
(TMP102 at 0x49), a power meter (PZEM-004T on the serial line METER) and a
contactor (pin K1, feedback K1-FB; its moves are printed), all simulated at
register level, and serves its buses over a socket. An agent with
"bus: sim://ADDR" in its configuration reads them. Channels that the trace does
not have are composed from its weather for the given plant. At its end the trace
begins again.

A simulated board is kinder than a real machine unless the flags --stalls,
--edge-queue, --bus-hz, --nacks and --brown-outs say otherwise. A file of --faults
breaks and mends parts at moments of the board's clock.`,
		Example: `  firmware-sim board --trace configs/traces/squall.csv --listen 127.0.0.1:7000
  firmware-sim board --trace storm.csv.gz --speed 60 --plant wind --listen 127.0.0.1:7000
  firmware-sim board --trace squall.csv --stalls 300ms/1s --edge-queue 16 --bus-hz 100000 --faults f.txt --listen 127.0.0.1:7000`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" || listen == "" {
				return usagef("board: --trace and --listen are required")
			}
			from, err := playFrom(speed, plant, start)
			if err != nil {
				return err
			}
			kernel, err := unkind.kernel()
			if err != nil {
				return err
			}
			script, err := readScript(unkind.script)
			if err != nil {
				return err
			}
			layout := boardLayout(kernel)
			if err := rehearse(script, layout); err != nil {
				return err
			}
			samples, err := boardSamples(path, scenario.PlantKind(plant), from)
			if err != nil {
				return err
			}
			return serveBoard(cmd.Context(), layout, samples, listen, speed, script)
		},
	}
	f := cmd.Flags()
	f.StringVar(&path, "trace", "", "trace file to play (required)")
	f.StringVar(&listen, "listen", "", "host:port that serves the buses (required); anyone who reaches it can read them")
	f.Float64Var(&speed, "speed", 1, "trace seconds a second")
	f.StringVar(&plant, "plant", string(scenario.PV), "plant that adds missing electrical channels: pv or wind")
	unkind.add(f)
	f.StringVar(&start, "start", "", "begin at this RFC 3339 time of the trace")
	return cmd
}

// boardSamples reads a trace, completes it, and cuts the rows before a time,
// unless that is zero.
func boardSamples(path string, plant scenario.PlantKind, from time.Time) ([]model.Sample, error) {
	tr, err := trace.ReadFile(path, trace.Options{})
	if err != nil {
		return nil, err
	}
	if tr, err = scenario.Compose(tr, scenario.DefaultPlant(plant)); err != nil {
		return nil, fmt.Errorf("trace %s: %w", path, err)
	}
	samples := make([]model.Sample, len(tr.Rows))
	for i := range tr.Rows {
		samples[i] = tr.Rows[i].Sample
	}
	if !from.IsZero() {
		samples = slices.DeleteFunc(samples, func(s model.Sample) bool { return s.TimeMs < from.UnixMilli() })
	}
	if len(samples) < 2 {
		return nil, fmt.Errorf("trace %s: fewer than two rows to play", path)
	}
	return samples, nil
}

// relayPin drives the board's contactor.
const relayPin = "K1"

// tellRelay prints what the contactor's contact did, by its own log.
func tellRelay(ctx context.Context, b *board.Board) error {
	for told := 0; ; {
		log, err := b.RelayLog(relayPin)
		if err != nil {
			return err
		}
		for _, e := range log[min(told, len(log)):] {
			word := "opens"
			if e.Closed {
				word = "closes"
			}
			fmt.Fprintf(os.Stderr, "firmware-sim: %s contactor %s %s\n", e.Wall.UTC().Format("15:04:05.000"), relayPin, word)
		}
		told = len(log)
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return nil // the end, not a failure
		}
	}
}

// boardLayout are the parts of the board, on a machine.
func boardLayout(kernel board.Kernel) board.Config {
	layout := board.Standard()
	layout.Kernel = kernel
	layout.Meters[0].FollowPower = true
	layout.TMP102 = []board.TMP102{{Address: 0x49, Channel: model.EquipmentTemperatureC}}
	layout.Relays = []board.Relay{{Pin: relayPin, Feedback: relayPin + "-FB", PullIn: 20 * time.Millisecond, DropOut: 10 * time.Millisecond}}
	layout.PZEM = []board.PZEM{{Port: "METER", Address: 1}}
	return layout
}

func serveBoard(ctx context.Context, layout board.Config, samples []model.Sample, listen string, speed float64, script []scripted) error {
	b, err := board.New(layout)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("board: %w", err)
	}
	fmt.Fprintf(os.Stderr, "firmware-sim: board on sim://%s, %d samples at %g times real time. Simulated. Stop with Ctrl-C.\n",
		l.Addr(), len(samples), speed)
	for _, part := range b.Describe() {
		fmt.Fprintf(os.Stderr, "  %s\n", part.Name())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return board.Serve(ctx, l, b) })
	g.Go(func() error { return tellRelay(ctx, b) })
	g.Go(func() error { return playScript(ctx, b, script, os.Stderr) })
	g.Go(func() error {
		for ctx.Err() == nil {
			if err := board.Play(ctx, b, &rows{samples: samples}, speed, sleep); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// rows is a board.Source of samples in memory.
type rows struct {
	samples []model.Sample
	next    int
}

// Next implements board.Source.
func (r *rows) Next(s *model.Sample) error {
	if r.next == len(r.samples) {
		return io.EOF
	}
	*s = r.samples[r.next]
	r.next++
	return nil
}

// sleep is a board.Sleeper in wall time.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
