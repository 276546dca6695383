package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"text/tabwriter"
)

func main() {
	ours := flag.String("ours", "build/anchor.test", "the test program of fairwatt/aggregator")
	records := flag.Int("records", 20_000, "how many records each run sends")
	tuning := flag.String("validators", "", "only measure CometBFT, \"tuned\" or with its \"defaults\", and print JSON")
	dir := flag.String("dir", "", "with --validators: where their files go")
	size := flag.Int("bytes", 0, "with --validators: how many bytes a record has")
	perS := flag.Int("per-s", 0, "with --validators: how many records a second, 0 for as many as can be")
	flag.Parse()
	if *tuning != "" {
		if err := alone(os.Stdout, *tuning, *dir, *records, *size, *perS); err != nil {
			fmt.Fprintln(os.Stderr, "cometbft:", err)
			os.Exit(1)
		}
		os.Exit(0) // the validators go with it
	}
	if err := run(os.Stdout, *ours, *records); err != nil {
		fmt.Fprintln(os.Stderr, "cometbft:", err)
		os.Exit(1)
	}
}

// alone measures CometBFT in this process.
func alone(out io.Writer, tuning, dir string, n, size, perS int) error {
	tune, ok := tunings[tuning]
	if !ok || dir == "" || size < 16 {
		return fmt.Errorf("--validators %q --dir %q --bytes %d: want tuned or defaults, a folder, and 16 bytes or more", tuning, dir, size)
	}
	s, err := measureCometBFT(dir, tune, n, size, perS)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(s)
}

// inProcess runs alone in a process of its own.
func inProcess(tuning string, n, size, perS int) (s speed, err error) {
	program, err := os.Executable()
	if err != nil {
		return speed{}, fmt.Errorf("find the own program: %w", err)
	}
	dir, err := os.MkdirTemp("", "fairwatt-cometbft-")
	if err != nil {
		return speed{}, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.Command(program, "--validators", tuning, "--dir", dir, "--records", fmt.Sprint(n), "--bytes", fmt.Sprint(size), "--per-s", fmt.Sprint(perS))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return speed{}, fmt.Errorf("measure: %w", err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return speed{}, fmt.Errorf("read what was measured: %w", err)
	}
	return s, nil
}

// A side is one of those that are compared.
type side struct {
	name    string
	measure func(perS int) (speed, error)

	full, half speed
}

// run measures all sides, each as fast as it goes and then at half of that.
func run(out io.Writer, ours string, n int) error {
	if n < 1000 {
		return fmt.Errorf("--records %d: a quantile of 99 %% needs 1000 or more", n)
	}
	size := 0
	sides := []*side{
		{name: "fairwatt", measure: func(perS int) (speed, error) {
			s, bytes, err := measureOurs(ours, n, perS)
			size = bytes
			return s, err
		}},
		{name: "CometBFT v1.0.1, tuned", measure: func(perS int) (speed, error) { return inProcess("tuned", n, size, perS) }},
		{name: "CometBFT v1.0.1, defaults", measure: func(perS int) (speed, error) { return inProcess("defaults", n, size, perS) }},
	}
	for _, s := range sides {
		var err error
		fmt.Fprintf(os.Stderr, "%s, %d in flight ...\n", s.name, inFlight)
		if s.full, err = s.measure(0); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		perS := max(1, int(s.full.RecordsPerS/2))
		fmt.Fprintf(os.Stderr, "%s, %d records/s ...\n", s.name, perS)
		if s.half, err = s.measure(perS); err != nil {
			return fmt.Errorf("%s at %d records/s: %w", s.name, perS, err)
		}
	}
	return table(out, sides, n, size)
}

// table prints what was measured, and the first side against the second.
func table(out io.Writer, sides []*side, n, size int) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(w, "4 members in one process, TCP on loopback, fsync; %d records of %d bytes\n\n", n, size)
	_, err2 := fmt.Fprintln(w, "\trecords/s\tp50 ms, p99 ms\thalf of it, records/s\tp50 ms\tp99 ms")
	err = errors.Join(err, err2)
	for _, s := range sides {
		_, err2 := fmt.Fprintf(w, "%s\t%.0f\t%.0f, %.0f\t%.0f\t%.1f\t%.1f\n", s.name, s.full.RecordsPerS, s.full.P50Ms, s.full.P99Ms,
			s.half.RecordsPerS, s.half.P50Ms, s.half.P99Ms)
		err = errors.Join(err, err2)
	}
	a, b := sides[0], sides[1]
	_, err2 = fmt.Fprintf(w, "ratio to tuned\t%.3g\t%.3g, %.3g\t%.3g\t%.3g\t%.3g\n", a.full.RecordsPerS/b.full.RecordsPerS, a.full.P50Ms/b.full.P50Ms,
		a.full.P99Ms/b.full.P99Ms, a.half.RecordsPerS/b.half.RecordsPerS, a.half.P50Ms/b.half.P50Ms, a.half.P99Ms/b.half.P99Ms)
	return errors.Join(err, err2, w.Flush())
}
