package grid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// keptRows is how many rows of traces all generators together keep in memory: with six
// of them some six years of hours each, and a row takes a kilobyte. A trace of some
// megabytes, compressed, may have a hundred million rows.
const keptRows = 300_000

// A reading of a trace, row by row in constant memory.
type survey struct {
	rows            int
	firstMs, lastMs int64
	peakMs          int64 // of the strongest gust, or mean wind where there are no gusts
}

// eachRow hands out the rows of a trace until the context ends.
func eachRow(ctx context.Context, path string, fn func(*model.Sample)) (meta trace.Meta, channels []model.Channel, err error) {
	r, err := trace.Open(path, trace.Options{})
	if err != nil {
		return trace.Meta{}, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var s model.Sample
	for k := 0; ; k++ {
		if k%1024 == 0 && ctx.Err() != nil {
			return trace.Meta{}, nil, fmt.Errorf("%s: row %d: %w", path, k, ctx.Err())
		}
		err := r.Next(&s)
		if errors.Is(err, io.EOF) {
			return r.Meta(), r.Channels(), nil
		}
		if err != nil {
			return trace.Meta{}, nil, fmt.Errorf("%s: %w", path, err)
		}
		fn(&s)
	}
}

func surveyTrace(ctx context.Context, path string) (v survey, err error) {
	best := map[model.Channel]float64{model.WindGustMPS: -1, model.WindSpeedMPS: -1}
	at := make(map[model.Channel]int64)
	_, _, err = eachRow(ctx, path, func(s *model.Sample) {
		if v.rows == 0 {
			v.firstMs = s.TimeMs
		}
		v.rows, v.lastMs = v.rows+1, s.TimeMs
		for channel, was := range best {
			if x, ok := s.Get(channel); ok && x > was {
				best[channel], at[channel] = x, s.TimeMs
			}
		}
	})
	v.peakMs = v.firstMs
	for _, channel := range []model.Channel{model.WindSpeedMPS, model.WindGustMPS} { // gusts last: they count first
		if best[channel] >= 0 {
			v.peakMs = at[channel]
		}
	}
	return v, err
}

// readTrace reads a trace, whole where it has no more than so many rows. Of a longer one
// it reads that many from the start asked for, and says so; from is then where it begins.
func readTrace(ctx context.Context, path, start string, most int) (tr *trace.Trace, cut string, err error) {
	v, err := surveyTrace(ctx, path)
	if err != nil {
		return nil, "", err
	}
	if v.rows <= most {
		tr, err = trace.ReadFile(path, trace.Options{})
		return tr, "", err
	}
	// The peak is to be among the rows.
	fromMs := v.peakMs - min(beforePeak.Milliseconds(), int64(most/2)*(v.lastMs-v.firstMs)/int64(v.rows-1))
	if start != "" && start != "peak-36h" {
		t, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return nil, "", fmt.Errorf("start: %w", err)
		}
		fromMs = t.UnixMilli()
	}
	tr = &trace.Trace{}
	tr.Meta, tr.Channels, err = eachRow(ctx, path, func(s *model.Sample) {
		if s.TimeMs >= fromMs && len(tr.Rows) < most {
			tr.Rows = append(tr.Rows, trace.Row{Sample: *s})
		}
	})
	if err != nil {
		return nil, "", err
	}
	if len(tr.Rows) < 2 {
		return nil, "", fmt.Errorf("start: trace %s ends before %s", path, time.UnixMilli(fromMs).UTC().Format(time.RFC3339))
	}
	return tr, fmt.Sprintf("%s has %d rows; %d of them are played, from %s on", path, v.rows, len(tr.Rows),
		time.UnixMilli(tr.Rows[0].Sample.TimeMs).UTC().Format(time.RFC3339)), nil
}
