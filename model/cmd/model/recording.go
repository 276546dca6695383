package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
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
	truth   *nnet.Series // of the samples as recorded
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
			out.truth = out.series()
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
	files = slices.DeleteFunc(files, func(f string) bool {
		name, _, _ := strings.Cut(filepath.Base(f), ".")
		return !keep(name)
	})
	return readAll(ctx, files, func(f string) (*recording, error) { return readRecording(f, fromMs) })
}

// series extracts the features of every sample as recorded.
func (r *recording) series() *nnet.Series {
	s := nnet.NewSeries(r.site)
	if r.placed {
		s.SetPlace(r.place)
	}
	for i := range r.samples {
		s.Add(&r.samples[i], r.thunder[i])
	}
	return s
}

// features are those of every sample, with a distortion as from a broken sensor. The
// truth stays the recorded one.
func (r *recording) features(change *distortion) []model.Features {
	if change == nil {
		return r.truth.Features
	}
	e := model.NewExtractor()
	if r.placed {
		e.SetPosition(r.place)
		e.SetClock(0, 0)
	}
	apply, out := change.start(), make([]model.Features, len(r.samples))
	for i := range r.samples {
		s := r.samples[i]
		apply(&s)
		e.Push(&s)
		e.Features(&out[i])
	}
	return out
}
