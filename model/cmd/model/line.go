package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
	"fairwatt/model/nnet/line"
)

// openCSV opens a file, unpacking gzip by content.
func openCSV(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReader(f)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return csvFile{z, f}, nil
	}
	return csvFile{b, f}, nil
}

type csvFile struct {
	io.Reader
	io.Closer
}

// lineTraining is the training of the experiment: seconds a fault type.
func lineTraining() nnet.Config {
	return nnet.Config{
		Seed: 20261123, Batch: 128, RowsPerEpoch: 12800, Epochs: 6, LearnRate: 0.01, WeightDecay: 1e-4, PositiveShare: 0.5,
	}
}

// lineScore is one detector on one held-out fault type.
type lineScore struct {
	AUC       *float64 `json:"roc_auc"`
	AP        *float64 `json:"average_precision"`
	Brier     *float64 `json:"brier"`
	Recall    float64  `json:"recall"`
	Precision float64  `json:"precision"`
	Threshold float64  `json:"threshold"`

	counts line.Score
}

// lineReport is one held-out fault type.
type lineReport struct {
	Set       string               `json:"set"`
	LeftOut   string               `json:"left_out"`
	Rows      int                  `json:"rows"`
	BaseRate  float64              `json:"base_rate"`
	Network   lineScore            `json:"network"`
	Baselines map[string]lineScore `json:"baselines"`
}

func (o *evaluateOptions) runLine(cmd *cobra.Command) error {
	files, err := traceFiles(o.data)
	if err != nil {
		return err
	}
	var reports []lineReport
	for _, path := range files {
		set, err := readLineSet(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r, err := measureLine(cmd.Context(), set)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		reports = append(reports, r...)
	}
	if o.json {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"task": taskLine, "folds": reports, "pooled": pooled(reports)})
	}
	return printLine(cmd.OutOrStdout(), reports)
}

func readLineSet(path string) (_ *line.Set, err error) {
	f, err := openCSV(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return line.Read(f, name)
}

// measureLine measures the network and, on the same rows, logistic regression and
// the plain rule.
func measureLine(ctx context.Context, set *line.Set) ([]lineReport, error) {
	fit := func(hidden []int) line.Fit {
		return func(ctx context.Context, x [][]float32, fault []bool) (func([]float32) float64, error) {
			c, err := nnet.TrainClassifier(ctx, lineTraining(), hidden, x, fault)
			if err != nil {
				return nil, err
			}
			return c.Probability, nil
		}
	}
	network, err := line.LeaveOneOut(ctx, set, line.DefaultConfig(), fit([]int{8}))
	if err != nil {
		return nil, err
	}
	logistic, err := line.LeaveOneOut(ctx, set, line.DefaultConfig(), fit(nil))
	if err != nil {
		return nil, err
	}
	var out []lineReport
	for i, r := range network {
		l := logistic[i]
		out = append(out, lineReport{
			Set: r.Set, LeftOut: r.LeftOut, Rows: r.Rows, BaseRate: float64(r.Faults) / float64(r.Rows),
			Network: newLineScore(r.Detector, r.Threshold, &r.Brier),
			Baselines: map[string]lineScore{
				"logistic": newLineScore(l.Detector, l.Threshold, &l.Brier), "largest_current": newLineScore(r.Plain, r.PlainAmps, nil),
			},
		})
	}
	return out, nil
}

// pooled adds up each set's folds. Ranking figures are left out: every fold
// has another network, and their scores do not compare.
func pooled(reports []lineReport) []lineReport {
	var out []lineReport
	for _, r := range reports {
		if len(out) == 0 || out[len(out)-1].Set != r.Set {
			out = append(out, lineReport{Set: r.Set, LeftOut: "all", Baselines: map[string]lineScore{}})
		}
		o := &out[len(out)-1]
		faults := o.BaseRate*float64(o.Rows) + r.BaseRate*float64(r.Rows)
		o.Rows += r.Rows
		o.BaseRate = faults / float64(o.Rows)
		o.Network = o.Network.plus(r.Network)
		for name, b := range r.Baselines {
			o.Baselines[name] = o.Baselines[name].plus(b)
		}
	}
	return out
}

// plus adds the counts up and computes the shares again.
func (s lineScore) plus(o lineScore) lineScore {
	tp, fp, fn := s.counts.TruePositive+o.counts.TruePositive, s.counts.FalsePositive+o.counts.FalsePositive,
		s.counts.FalseNegative+o.counts.FalseNegative
	c := line.Score{TruePositive: tp, FalsePositive: fp, FalseNegative: fn}
	return lineScore{Recall: c.Recall(), Precision: c.Precision(), counts: c}
}

func newLineScore(s line.Score, threshold float64, brier *float64) lineScore {
	return lineScore{
		AUC: finite(s.AUC), AP: finite(s.AP), Brier: brier, Recall: s.Recall(), Precision: s.Precision(), Threshold: threshold, counts: s,
	}
}

func printLine(out io.Writer, reports []lineReport) error {
	fmt.Fprintln(out, "line faults, each type left out of training once; loads 0.5 to 2 times, another in each simulation (simulated data)")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "set\tleft out\trows\tbase rate\tscore\tROC AUC\tAP\tBrier\trecall\tprecision\tthreshold\t")
	for _, r := range append(reports, pooled(reports)...) {
		row := func(name string, s lineScore) {
			fmt.Fprintf(t, "%s\t%s\t%d\t%.3f\t%s\t%s\t%s\t%s\t%.4f\t%.4f\t%.4g\t\n", r.Set, r.LeftOut, r.Rows, r.BaseRate, name,
				number(s.AUC), number(s.AP), number(s.Brier), s.Recall, s.Precision, s.Threshold)
		}
		row("network", r.Network)
		names := make([]string, 0, len(r.Baselines))
		for n := range r.Baselines {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			row(n, r.Baselines[n])
		}
	}
	return t.Flush()
}
