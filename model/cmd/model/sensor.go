package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet/stretch"
)

// The columns that mark a sensor's faults.
const (
	staleMask  = "stale_data_mask"
	interpMask = "interpolated_data_mask"
)

// plainWindow is the window of pvanalytics' rules.
const plainWindow = 6

// A markedSeries is a recorded series with the truth of one fault.
type markedSeries struct {
	name, mask string
	v          []float64
	truth      []bool
}

// A sensorScore is one rule against the truth, by samples.
type sensorScore struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

type sensorReport struct {
	Series    string                 `json:"series"`
	Fault     string                 `json:"fault"`
	Rows      int                    `json:"rows"`
	BaseRate  float64                `json:"base_rate"`
	Rule      sensorScore            `json:"rule"`
	Baselines map[string]sensorScore `json:"baselines"`
}

func (o *evaluateOptions) runSensor(cmd *cobra.Command) error {
	files, err := traceFiles(o.data)
	if err != nil {
		return err
	}
	var reports []sensorReport
	for _, path := range files {
		s, err := readMarked(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if s != nil {
			reports = append(reports, s.report())
		}
	}
	if len(reports) == 0 {
		return fmt.Errorf("no series with a column %s or %s in the given data", staleMask, interpMask)
	}
	if o.json {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"task": taskSensor, "series": reports})
	}
	return printSensor(cmd.OutOrStdout(), reports)
}

// readMarked reads timestamp, value and mask; nil for a file without a mask.
func readMarked(path string) (_ *markedSeries, err error) {
	f, err := openCSV(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return parseMarked(f, name)
}

const maxMarkedRows = 10_000_000

func parseMarked(r io.Reader, name string) (*markedSeries, error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	s := &markedSeries{name: name}
	mask := slices.IndexFunc(head, func(h string) bool { return h == staleMask || h == interpMask })
	value := slices.IndexFunc(head, func(h string) bool { return strings.HasPrefix(h, "value") })
	if mask < 0 {
		return nil, nil
	}
	if value < 0 {
		return nil, fmt.Errorf("no column that begins with value in %q", head)
	}
	s.mask = head[mask]
	for n := 2; ; n++ {
		rec, err := in.Read()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		if n > maxMarkedRows {
			return nil, fmt.Errorf("more than %d rows", maxMarkedRows)
		}
		v := math.NaN()
		if rec[value] != "" {
			if v, err = strconv.ParseFloat(rec[value], 64); err != nil || math.IsInf(v, 0) {
				return nil, fmt.Errorf("line %d: value %.30q is not a number", n, rec[value])
			}
		}
		truth, err := strconv.ParseBool(rec[mask])
		if err != nil {
			return nil, fmt.Errorf("line %d: %s %.30q is not true or false", n, s.mask, rec[mask])
		}
		s.v, s.truth = append(s.v, v), append(s.truth, truth)
	}
}

func (s *markedSeries) report() sensorReport {
	r := sensorReport{Series: s.name, Rows: len(s.v), Baselines: map[string]sensorScore{}}
	marked := 0
	for _, t := range s.truth {
		if t {
			marked++
		}
	}
	r.BaseRate = float64(marked) / float64(max(len(s.v), 1))
	if s.mask == staleMask {
		r.Fault = "stale"
		r.Rule = s.score(stretch.Stale(s.v, stretch.Default()))
		r.Baselines["plain"] = s.score(stretch.PlainStale(s.v, plainWindow))
	} else {
		r.Fault = "interpolated"
		r.Rule = s.score(stretch.Interpolated(s.v, stretch.Default()))
		r.Baselines["plain"] = s.score(stretch.PlainInterpolated(s.v, plainWindow))
	}
	return r
}

func (s *markedSeries) score(got []bool) sensorScore {
	tp, fp, fn := 0.0, 0.0, 0.0
	for i, t := range s.truth {
		switch {
		case t && got[i]:
			tp++
		case got[i]:
			fp++
		case t:
			fn++
		}
	}
	ratio := func(a, b float64) float64 {
		if b == 0 {
			return 1
		}
		return a / b
	}
	return sensorScore{Precision: ratio(tp, tp+fp), Recall: ratio(tp, tp+fn), F1: ratio(2*tp, 2*tp+fp+fn)}
}

func printSensor(out io.Writer, reports []sensorReport) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "series\tfault\trows\tbase rate\tscore\tprecision\trecall\tF1\t")
	for _, r := range reports {
		row := func(name string, s sensorScore) {
			fmt.Fprintf(t, "%s\t%s\t%d\t%.4f\t%s\t%.4f\t%.4f\t%.4f\t\n", r.Series, r.Fault, r.Rows, r.BaseRate, name, s.Precision, s.Recall, s.F1)
		}
		row("rule", r.Rule)
		row("plain", r.Baselines["plain"])
	}
	return t.Flush()
}
