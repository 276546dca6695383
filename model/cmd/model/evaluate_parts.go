package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"fairwatt/model"
	"fairwatt/model/nnet"
	"fairwatt/model/trace"
	"fairwatt/model/waveform"
)

func (e *evaluation) line(ctx context.Context, o *evaluateOptions, _ *nnet.Weights) error {
	files, err := traceFiles(o.paths("electrical"))
	if err != nil {
		return err
	}
	for _, path := range files {
		set, err := readLineSet(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r, err := evalLine(ctx, set)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		e.Line = append(e.Line, r...)
	}
	for _, p := range pooled(e.Line) {
		plain, logistic := p.Baselines["largest_current"], p.Baselines["logistic"]
		e.add(goal{Task: "line, type left out", Figure: "recall", Rows: p.Set, Value: p.Network.Recall, Goal: 0.99,
			Beside: fmt.Sprintf("largest current %.4f, logistic %.4f", plain.Recall, logistic.Recall)})
		e.add(goal{Task: "line, type left out", Figure: "precision", Rows: p.Set, Value: p.Network.Precision, Goal: 0.99,
			Beside: fmt.Sprintf("largest current %.4f, logistic %.4f", plain.Precision, logistic.Precision)})
	}
	if err := printLine(e.out, e.Line); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out)
	return err
}

func (e *evaluation) sensor(_ context.Context, o *evaluateOptions, _ *nnet.Weights) error {
	files, err := traceFiles(o.paths("sensor"))
	if err != nil {
		return err
	}
	goals := map[string]float64{"stale": 1, "interpolated": 0.97}
	for _, path := range files {
		s, err := readMarked(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if s == nil {
			continue
		}
		r := s.report()
		e.Sensor = append(e.Sensor, r)
		e.add(goal{Task: "sensor, " + r.Fault, Figure: "F1", Rows: r.Series, Value: r.Rule.F1, Goal: goals[r.Fault],
			Beside: fmt.Sprintf("plain rule %.4f", r.Baselines["plain"].F1)})
	}
	if err := printSensor(e.out, e.Sensor); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out)
	return err
}

// A faultRecording is a recording whose fault was found by looking at its
// samples, not with our detector: model/waveform's tests tell how.
type faultRecording struct {
	file            string
	start, perCycle int // sample of the start, samples a cycle
}

var faultRecordings = []faultRecording{
	{"strathmore275kV_2017-03-31.cfg", 971, 20},
	{"earthfault_UABC3U0_2017-05-25.cfg", 199, 48},
}

// flagged is when a recording's fault was flagged.
type flagged struct {
	Recording string  `json:"recording"`
	By        string  `json:"by"`
	Cycles    float64 `json:"cycles"` // after the fault's start; below 0 is before it
	Before    int     `json:"alerts_before"`
}

func (e *evaluation) recordings(_ context.Context, o *evaluateOptions, _ *nnet.Weights) error {
	for _, r := range faultRecordings {
		f, err := r.flag(filepath.Join(o.data, "comtrade", r.file))
		if err != nil {
			return err
		}
		e.Recordings = append(e.Recordings, f)
		e.add(goal{Task: "fault recording", Figure: "cycles to the first alert", Rows: strings.TrimSuffix(r.file, ".cfg"), Value: f.Cycles, Goal: 2, AtMost: true,
			Beside: fmt.Sprintf("%d alerts before the fault; by %s", f.Before, f.By)})
	}
	return nil
}

func (r faultRecording) flag(path string) (f flagged, err error) {
	f.Recording = r.file
	in, err := trace.OpenComtrade(path, nil)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	d, err := waveform.New(waveform.DefaultConfig(), in.Channels())
	if err != nil {
		return f, err
	}
	var s model.Sample
	for n := 0; ; n++ {
		if err := in.Next(&s); errors.Is(err, io.EOF) {
			return f, fmt.Errorf("%s: the fault was not flagged", r.file)
		} else if err != nil {
			return f, err
		}
		events := d.Push(&s, in.SampleRateHz())
		switch {
		case len(events) == 0:
		case n < r.start:
			f.Before++
		default:
			f.Cycles = float64(n-r.start) / float64(r.perCycle)
			f.By = events[0].Causes[0].Rule
			return f, nil
		}
	}
}

// robustness is how a score bears a disturbance of the sensors.
type robustness struct {
	Disturbance string   `json:"disturbance"`
	ThunderAUC  *float64 `json:"thunder_roc_auc"`
	ThunderAP   *float64 `json:"thunder_average_precision"`
	WindAUC     *float64 `json:"wind_roc_auc"`
	WindAP      *float64 `json:"wind_average_precision"`
}

// A disturbance makes a function that spoils one trace's samples; each trace
// gets one of its own.
type disturbance struct {
	name string
	make func() func(*model.Sample) bool
}

// disturbances are those of the hazard notes, section 3.4. Rain and gust are
// what the two heads cannot do without; without them the other heads answer.
func disturbances() []disturbance {
	same := func(f func(*model.Sample) bool) func() func(*model.Sample) bool {
		return func() func(*model.Sample) bool { return f }
	}
	out := []disturbance{{"none", same(func(*model.Sample) bool { return false })}}
	channels := []model.Channel{model.TemperatureC, model.HumidityPct, model.PressureHPa, model.WindSpeedMPS}
	for _, c := range slices.Concat(channels, []model.Channel{model.WindDirectionDeg}) {
		out = append(out, disturbance{"without " + c.String(), same(func(s *model.Sample) bool {
			s.Values[c], s.Validity[c] = 0, model.Absent
			return false
		})})
	}
	for _, c := range channels {
		out = append(out, disturbance{c.String() + " frozen", func() func(*model.Sample) bool {
			frozen, any := 0.0, false
			return func(s *model.Sample) bool {
				if v, ok := s.Get(c); ok && !any {
					frozen, any = v, true
				}
				if any {
					s.Set(c, frozen)
				}
				return false
			}
		}})
	}
	for _, c := range slices.Concat([]model.Channel{model.HumidityPct, model.WindSpeedMPS, model.WindGustMPS}) {
		for _, k := range []float64{0.9, 1.1} {
			out = append(out, disturbance{fmt.Sprintf("%s x %g", c, k), same(func(s *model.Sample) bool {
				if v, ok := s.Get(c); ok {
					s.Set(c, v*k)
				}
				return false
			})})
		}
	}
	for _, minutes := range []int64{-5, 5} {
		out = append(out, disturbance{fmt.Sprintf("clock %+d min", minutes), same(func(s *model.Sample) bool {
			s.TimeMs += minutes * 60_000
			return false
		})})
	}
	return append(out, disturbance{"a tenth of the readings lost", func() func(*model.Sample) bool {
		rng := rand.New(rand.NewPCG(1, 10))
		return func(*model.Sample) bool { return rng.Float64() < 0.1 }
	}})
}

// robustness measures the two heads that are used live on the test rows, with
// the sensors spoilt and the truth as it was.
func (e *evaluation) robustness(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	cities, err := traceFiles(o.paths("weather/cities"))
	if err != nil {
		return err
	}
	taiwan, err := traceFiles(o.paths("weather/taiwan"))
	if err != nil {
		return err
	}
	thunder := nnet.Question{Task: nnet.TaskThunder, HorizonMs: 3 * hourMs, Inputs: "rain", Part: nnet.PartTest, Brief: true}
	wind := nnet.Question{Task: nnet.TaskWind, HorizonMs: 6 * hourMs, GustMPS: 20.8, Lowland: true, Part: nnet.PartTest, Brief: true}
	head, err := w.Head(nnet.TaskThunder, "rain")
	if err != nil {
		return err
	}
	cities = slices.DeleteFunc(cities, func(path string) bool {
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		return !slices.ContainsFunc(head.Split.TestSites, func(s string) bool { return nnet.SiteKey(s) == nnet.SiteKey(name) })
	})
	fmt.Fprintln(e.out, "== Robustness (test rows; sensors spoilt, truth as it was)")
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "disturbance\tthunder AUC\tAP\twind AUC\tAP\t")
	inCities, err := loadTruth(ctx, cities)
	if err != nil {
		return err
	}
	inTaiwan, err := loadTruth(ctx, taiwan)
	if err != nil {
		return err
	}
	for _, d := range disturbances() {
		e.progress("robustness: " + d.name)
		r := robustness{Disturbance: d.name}
		if r.ThunderAUC, r.ThunderAP, err = spoilt(ctx, w, inCities, thunder, d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if r.WindAUC, r.WindAP, err = spoilt(ctx, w, inTaiwan, wind, d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		e.Robustness = append(e.Robustness, r)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t\n", d.name, number(r.ThunderAUC), number(r.ThunderAP), number(r.WindAUC), number(r.WindAP))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out)
	return err
}

// A truthFile is a recording and what it says of the hazards.
type truthFile struct {
	path  string
	truth *nnet.Series
}

func loadTruth(ctx context.Context, files []string) ([]truthFile, error) {
	var out []truthFile
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := loadOne(f, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		out = append(out, truthFile{f, s})
	}
	return out, nil
}

// spoilt measures one head with a disturbance; nil where it has no rows left to
// answer.
func spoilt(ctx context.Context, w *nnet.Weights, files []truthFile, q nnet.Question, d disturbance) (auc, ap *float64, err error) {
	var series []*nnet.Series
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		s, err := loadOne(f.path, d.make())
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.path, err)
		}
		// What the hazard was is not for the spoilt sensors to say.
		s.TimeMs, s.Thunder, s.Gust = f.truth.TimeMs, f.truth.Thunder, f.truth.Gust
		series = append(series, s)
	}
	e, err := w.Evaluate(series, q)
	if errors.Is(err, nnet.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return finite(e.Network.AUC), finite(e.Network.AP), nil
}
