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
	"fairwatt/model/trace"
)

// A recording is a trace in memory. It is read once and replayed with one sensor
// broken after another.
type recording struct {
	site    string
	place   model.Position
	placed  bool
	samples []model.Sample
	thunder []int8
}

// readRecording reads the rows of a trace at or after fromMs.
func readRecording(path string, fromMs int64) (_ *recording, err error) {
	r, err := trace.Open(path, trace.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	out := &recording{site: r.Meta().Site}
	if out.site == "" {
		out.site = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".csv")
	}
	out.place, out.placed = placeOf(r.Meta().Position, r.Meta().HasPosition, out.site)
	var sample model.Sample
	for {
		if err := r.Next(&sample); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		if sample.TimeMs < fromMs {
			continue
		}
		out.samples = append(out.samples, sample)
		out.thunder = append(out.thunder, thunderOf(r.Labels()))
	}
}

// thunderOf is the truth of a row: 1, 0, or -1 where the trace does not say.
func thunderOf(labels map[string]float64) int8 {
	v, ok := labels[trace.LabelThunder]
	switch {
	case !ok:
		return -1
	case v > 0:
		return 1
	}
	return 0
}

// readRecordings reads the traces of the sites that keep accepts.
func readRecordings(ctx context.Context, dir string, fromMs int64, keep func(site string) bool) ([]*recording, error) {
	files, err := traceFiles([]string{dir})
	if err != nil {
		return nil, err
	}
	var out []*recording
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(filepath.Base(f), ".")
		if !keep(name) {
			continue
		}
		r, err := readRecording(f, fromMs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// series extracts the features of every sample: as recorded or, with a distortion,
// as from a broken sensor. The truth is always the recorded one.
func (r *recording) series(change *distortion) *nnet.Series {
	if change == nil {
		s := nnet.NewSeries(r.site)
		if r.placed {
			s.SetPlace(r.place)
		}
		for i := range r.samples {
			s.Add(&r.samples[i], r.thunder[i])
		}
		return s
	}
	truth, e := r.series(nil), model.NewExtractor()
	if r.placed {
		e.SetPosition(r.place)
		e.SetClock(0, 0)
	}
	apply := change.start()
	for i := range r.samples {
		s := r.samples[i]
		apply(&s)
		e.Push(&s)
		e.Features(&truth.Features[i])
	}
	return truth
}
