package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/wct/experiment"
)

// maxSeeds bounds what an experiment keeps in memory.
const maxSeeds = 100_000

func wctExperimentCommand() *cobra.Command {
	figure := figureFlag("all")
	var seeds, workers int
	var dir string
	cmd := &cobra.Command{
		Use:   "experiment [--figure 6|7|8|table2|scale|all] [--seeds N] [--out DIR]",
		Short: "Repeat the paper's experiments on communication trees",
		Long: `Repeat the paper's experiments on communication trees.

Networks of 10 to 200 nodes are drawn from seeds 1 to N under three overhead
models (uniform, planar, asymmetric). WCT with both weight ratios, raw and
normalised, LFT, TFT and the overhead-aware tree are measured, and next to them
a star, a random tree, gossip and a lower bound.

  figure 6       overall trust (and expected coverage)
  figure 7       concurrent communication time
  figure 8       node concurrency
  scale          how long building a tree takes, 1000 to 1,000,000 nodes (not in
                 all: it depends on the machine)
  table2         everything at 50 and 200 nodes, with the best tree found by a
                 long search for the first 20 seeds of 50 nodes

Each gives a CSV file with means and 95 % intervals; the figures also SVG and PNG
plots; "all" also claims.csv, in how many networks each of the paper's claims
holds. The same command writes the same bytes every time.`,
		Example: `  aggregator wct experiment --figure all --seeds 200 --out results
  aggregator wct experiment --figure 7 --seeds 20`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if seeds < 1 || seeds > maxSeeds {
				return usagef("--seeds is %d, want 1 to %d", seeds, maxSeeds)
			}
			if workers < 1 {
				return usagef("--workers is %d, want 1 or more", workers)
			}
			return runExperiment(cmd.Context(), figure, seeds, workers, dir, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().Var(&figure, "figure", "6, 7, 8, table2, scale or all")
	cmd.Flags().IntVar(&seeds, "seeds", 200, "networks of each size and overhead model")
	cmd.Flags().StringVar(&dir, "out", "wct-experiment", "directory for the files, made if missing")
	cmd.Flags().IntVar(&workers, "workers", runtime.NumCPU(), "networks measured at once; changes nothing but the time")
	return cmd
}

const scaleFigure = "scale"

// A figureFlag is a figure's name or all.
type figureFlag string

func (f *figureFlag) String() string { return string(*f) }
func (f *figureFlag) Type() string   { return "name" }
func (f *figureFlag) Set(name string) error {
	if name != "all" && name != scaleFigure && !slices.Contains(experiment.Figures, experiment.Figure(name)) {
		return errors.New("want 6, 7, 8, table2, scale or all")
	}
	*f = figureFlag(name)
	return nil
}

func runExperiment(ctx context.Context, figure figureFlag, seeds, workers int, dir string, out, progress io.Writer) error {
	if figure == scaleFigure {
		return runScale(ctx, dir, out)
	}
	figures := experiment.Figures
	if figure != "all" {
		figures = []experiment.Figure{experiment.Figure(figure)}
	}
	o := experiment.Options{Sizes: experiment.Sizes, Seeds: seeds, Workers: workers}
	if slices.Contains(figures, experiment.Table2) {
		o.BestSeeds = min(seeds, experiment.BestSeeds)
	}
	if figure == figureFlag(experiment.Table2) {
		o.Sizes = []int{50, 200}
	}
	if f, ok := progress.(*os.File); ok && isTerminal(f) {
		o.Progress = func(done, of int) { fmt.Fprintf(f, "\r%d of %d networks", done, of) }
		defer fmt.Fprintln(f)
	}
	r, err := experiment.Run(ctx, o)
	if err != nil {
		return err
	}
	w := newResultWriter(dir, out)
	for _, f := range figures {
		name := "figure" + string(f)
		if f == experiment.Table2 {
			name = string(f)
		}
		w.write(name+".csv", func(to io.Writer) error { return r.WriteCSV(to, f) })
		for _, p := range experiment.Plots(f) {
			for _, format := range []string{"svg", "png"} {
				w.write(p.Name()+"."+format, func(to io.Writer) error { return r.WritePlot(to, p, format) })
			}
		}
	}
	if figure == "all" {
		w.write("claims.csv", r.WriteClaims)
	}
	return w.err
}

// A resultWriter writes files until one fails, and names each it wrote.
type resultWriter struct {
	dir string
	out io.Writer
	err error
}

func newResultWriter(dir string, out io.Writer) *resultWriter {
	w := &resultWriter{dir: dir, out: out}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.err = fmt.Errorf("make directory for results: %w", err)
	}
	return w
}

func runScale(ctx context.Context, dir string, out io.Writer) error {
	points, err := experiment.Scale(ctx, time.Now)
	if err != nil {
		return err
	}
	w := newResultWriter(dir, out)
	w.write("scale.csv", func(to io.Writer) error { return experiment.WriteScaleCSV(to, points) })
	for _, format := range []string{"svg", "png"} {
		w.write("scale."+format, func(to io.Writer) error { return experiment.WriteScalePlot(to, points, format) })
	}
	return w.err
}

func (w *resultWriter) write(name string, content func(io.Writer) error) {
	if w.err != nil {
		return
	}
	path := filepath.Join(w.dir, name)
	w.err = writeFile(path, content)
	if w.err == nil {
		_, w.err = fmt.Fprintln(w.out, path)
	}
}

// writeFile makes or replaces a file.
func writeFile(path string, content func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make result file: %w", err)
	}
	if err := content(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close result file: %w", err)
	}
	return nil
}

// isTerminal says whether someone may be looking.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
