// Command benchtable runs the project's benchmarks and its memory soak, prints
// one table and writes the same figures as JSON:
//
//	[{"name","value","unit","note"}, ...]
//
// It runs from the repository's root after `make build arm`.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/perf/benchfmt"
)

// A figure is one measured number.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Note  string  `json:"note"`
}

// suites are the packages whose benchmarks are run, each with its own time.
var suites = []struct{ pkg, bench, benchtime, note string }{
	{"./model", ".", "1s", "pure judgement"},
	{"./model/trace", ".", "1s", "trace reading"},
	{"./model/nnet", ".", "1s", "one inference, batch 1"},
	{"./proto/seal", ".", "1s", ""},
	{"./aggregator/wct", ".", "1x", "communication trees"},
	{"./aggregator/ledger", ".", "1s", ""},
	{"./aggregator/store", ".", "1s", "with fsync"},
	{"./aggregator", ".", "1x", "4 DAs in one process, fsync, at the DA's door"},
	{"./firmware-sim/grid", ".", "1x", "4 DAs in one process, fsync, through the broker"},
}

func main() {
	soak := flag.Duration("soak", 10*time.Minute, "how long the agent runs before its memory is read; 0 leaves it out")
	out := flag.String("out", "build/bench.json", "where the JSON goes")
	flag.Parse()
	if err := run(context.Background(), *soak, *out); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, soak time.Duration, out string) error {
	var figures []figure
	for _, s := range suites {
		fmt.Fprintf(os.Stderr, "benchmarks of %s ...\n", s.pkg)
		got, err := benchmarks(ctx, s.pkg, s.bench, s.benchtime, s.note)
		if err != nil {
			return err
		}
		figures = append(figures, got...)
	}
	sizes, err := binarySizes()
	if err != nil {
		return err
	}
	figures = append(figures, sizes...)
	if soak > 0 {
		fmt.Fprintf(os.Stderr, "agent on a simulated board for %v ...\n", soak)
		got, err := soakAgent(ctx, soak)
		if err != nil {
			return fmt.Errorf("soak: %w", err)
		}
		figures = append(figures, got...)
	}
	if err := printTable(os.Stdout, figures); err != nil {
		return err
	}
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

// benchmarks runs one package's benchmarks and returns a figure for each
// reported unit.
func benchmarks(ctx context.Context, pkg, bench, benchtime, note string) ([]figure, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	var stdout bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", bench, "-benchtime", benchtime, "-benchmem", "-timeout", "20m", pkg)
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("benchmarks of %s: %w\n%s", pkg, err, stdout.String())
	}
	return parse(&stdout, pkg, note)
}

func parse(r io.Reader, pkg, note string) ([]figure, error) {
	var figures []figure
	reader := benchfmt.NewReader(r, pkg)
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.Result:
			name := strings.TrimPrefix(pkg, "./") + " " + rec.Name.String()
			for _, v := range rec.Values {
				value, unit := v.Value, v.Unit
				if v.OrigUnit != "" {
					value, unit = v.OrigValue, v.OrigUnit
				}
				figures = append(figures, figure{name, value, unit, note})
			}
		case *benchfmt.SyntaxError:
			return nil, fmt.Errorf("benchmark output of %s: %w", pkg, rec)
		}
	}
	return figures, reader.Err()
}

func binarySizes() ([]figure, error) {
	var figures []figure
	for _, arch := range []string{"linux-armv6", "linux-armv7", "linux-arm64"} {
		info, err := os.Stat(filepath.Join("bin", arch, "agent"))
		if err != nil {
			return nil, fmt.Errorf("agent binary (run make arm first): %w", err)
		}
		figures = append(figures, figure{"agent binary " + arch, float64(info.Size()) / 1e6, "MB", "stripped"})
	}
	return figures, nil
}

func printTable(w io.Writer, figures []figure) error {
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "name\tvalue\tunit\tnote")
	for _, f := range figures {
		fmt.Fprintf(tw, "%s\t%.6g\t%s\t%s\n", f.Name, f.Value, f.Unit, f.Note)
	}
	return tw.Flush()
}
