package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

// brokers are those that this program was built with: each serves at an address until
// its context ends, and may keep files in a folder.
var brokers = map[string]func(ctx context.Context, addr, dir string) error{}

// A plan is how much is measured.
type plan struct {
	pairs    int           // times that each broker is measured
	clients  int           // that publish
	messages int           // as fast as they go
	steady   time.Duration // at half of that
}

func (p plan) check() error {
	if p.pairs < 1 || p.clients < 1 || p.messages < p.clients || p.steady < 100*time.Millisecond {
		return fmt.Errorf("-pairs %d, -clients %d, -messages %d, -steady %v: at least one pair and one client, a message for each, and 100ms", p.pairs, p.clients, p.messages, p.steady)
	}
	return nil
}

func main() {
	var p plan
	serve := flag.String("serve", "", "for the program's own use: be this broker")
	addr := flag.String("addr", "", "for the program's own use: where it listens")
	dir := flag.String("dir", "", "for the program's own use: folder of its files")
	size := flag.Bool("sizes", false, "only what each broker adds to a stripped program; run it in tools/")
	flag.IntVar(&p.pairs, "pairs", 3, "times that each broker is measured, in turn")
	flag.IntVar(&p.clients, "clients", 20, "clients that publish")
	flag.IntVar(&p.messages, "messages", 10_000, "messages as fast as they go")
	flag.DurationVar(&p.steady, "steady", 5*time.Second, "how long the latency is measured")
	flag.Parse()
	err := p.check()
	switch {
	case err != nil:
	case *serve != "":
		err = be(*serve, *addr, *dir)
	case *size:
		err = sizes(os.Stdout)
	default:
		err = measure(os.Stdout, p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "brokerbench:", err)
		os.Exit(1)
	}
}

// be is a broker until it is interrupted.
func be(name, addr, dir string) error {
	broker := brokers[name]
	if broker == nil {
		return fmt.Errorf("-serve %q: this program was built with %q", name, slices.Sorted(maps.Keys(brokers)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return broker(ctx, addr, dir)
}

// measure measures all brokers in turn and prints the medians.
func measure(w io.Writer, p plan) error {
	names := slices.Sorted(maps.Keys(brokers))
	results := make(map[string][]result)
	for pair := range p.pairs {
		running := make(map[string]*run)
		rate := 0.0
		for _, name := range names {
			r, err := begin(name, p)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			defer func() { _ = r.end() }() // of a run that failed; twice does no harm
			if err := r.flatOut(p.messages); err != nil {
				return fmt.Errorf("%s, as fast as it goes: %w", name, err)
			}
			running[name] = r
			if rate == 0 || r.published < rate {
				rate = r.published
			}
		}
		for _, name := range names {
			r := running[name]
			if err := errors.Join(r.steady(rate/2, p.steady), r.end()); err != nil {
				return fmt.Errorf("%s, at %.0f messages/s: %w", name, rate/2, err)
			}
			results[name] = append(results[name], r.result)
		}
		fmt.Fprintf(os.Stderr, "pair %d of %d: latency at %.0f messages/s\n", pair+1, p.pairs, rate/2)
	}
	fmt.Fprintf(w, "%d clients, 256 bytes, QoS 1, %d that hear all; medians of %d.\n\n", p.clients, hearers, p.pairs)
	fmt.Fprintln(w, "| broker | first connection after | published/s | p50 at half load | p99 | memory idle | after the load | CPU a message | lost |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, name := range names {
		of := results[name]
		fmt.Fprintf(w, "| %s | %.0f ms | %.0f | %.1f ms | %.1f ms | %.0f MB | %.0f MB | %.0f us | %.0f |\n", name,
			median(of, func(r result) float64 { return ms(r.start) }), median(of, func(r result) float64 { return r.published }),
			median(of, func(r result) float64 { return ms(r.p50) }), median(of, func(r result) float64 { return ms(r.p99) }),
			median(of, func(r result) float64 { return r.idleMB }), median(of, func(r result) float64 { return r.loadedMB }),
			median(of, func(r result) float64 { return r.cpuUS }), median(of, func(r result) float64 { return float64(r.lost) }))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// median is the middle of what is asked of each, the higher of two.
func median(of []result, what func(result) float64) float64 {
	values := make([]float64, len(of))
	for i, r := range of {
		values[i] = what(r)
	}
	slices.SortFunc(values, cmp.Compare[float64])
	return values[len(values)/2]
}

// sizes builds this program stripped, with one broker and with none.
func sizes(w io.Writer) error {
	dir, err := os.MkdirTemp("", "brokerbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	built := func(tags string) (float64, error) {
		out := filepath.Join(dir, "program")
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-tags", tags, "-o", out, "./brokerbench")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build with -tags %s in tools/: %w: %s", tags, err, said)
		}
		info, err := os.Stat(out)
		if err != nil {
			return 0, err
		}
		return float64(info.Size()) / 1e6, nil
	}
	none, err := built("nomochi,nonats")
	if err != nil {
		return err
	}
	for _, b := range [][2]string{{"mochi", "nonats"}, {"nats-server", "nomochi"}} {
		with, err := built(b[1])
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s adds %.1f MB to %.1f MB\n", b[0], with-none, none)
	}
	return nil
}
