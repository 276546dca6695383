package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"fairwatt/model"
	"fairwatt/model/nnet"
	"fairwatt/model/trace/comtrade"
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
		r, err := measureLine(ctx, set)
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

// A faultRecording is a recording with a known fault. It was found by looking at
// the samples, not with our detector: the tests of model/waveform say how.
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
		f, err := r.flag(filepath.Join(o.data[0], "comtrade", r.file))
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
	in, err := comtrade.Open(path, nil)
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
