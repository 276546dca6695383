package grid

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"fairwatt/model"
)

// Of a trace with more rows than fit, those around its peak are played, or those from
// the start asked for; never more.
func TestLongTraceIsPlayedInPart(t *testing.T) {
	gusts := slices.Repeat([]float64{5}, 1000)
	gusts[700] = 40
	wind := slices.Repeat([]float64{3}, 1000)
	for name, c := range map[string]struct {
		start string
		most  int
		rows  int
		from  time.Duration
		peak  bool
	}{
		"it fits":                  {"", 1000, 336, 664 * time.Hour, true},
		"36 h before the peak":     {"", 999, 336, 664 * time.Hour, true},
		"so many of them":          {"peak-36h", 100, 100, 664 * time.Hour, true},
		"the peak is among few":    {"", 10, 10, 695 * time.Hour, true},
		"from a time":              {"2021-07-21T12:00:00Z", 50, 50, 36 * time.Hour, false},
		"from a time near the end": {traceStart.Add(990 * time.Hour).Format(time.RFC3339), 50, 10, 990 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Agents, cfg.Start = 2, c.start
			cfg.Traces = []string{writeTrace(t, "long.csv", traceStart, wind, gusts)}
			all, err := loadWeather(t.Context(), &cfg, 2*c.most)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range all {
				rows, peak := w.tr.Rows, false
				for i := range rows {
					v, ok := rows[i].Sample.Get(model.WindGustMPS)
					peak = peak || ok && v == 40
				}
				if got := time.UnixMilli(rows[0].Sample.TimeMs).Sub(traceStart); len(rows) != c.rows || got != c.from || peak != c.peak || (w.part == "") != (c.most == 1000) {
					t.Errorf("%d rows from %v, peak %v, %q; want %d from %v", len(rows), got, peak, w.part, c.rows, c.from)
				}
			}
		})
	}
	cfg := DefaultConfig()
	cfg.Traces, cfg.Start = []string{writeTrace(t, "long.csv", traceStart, wind, gusts)}, "2031-01-01T00:00:00Z"
	if _, err := loadWeather(t.Context(), &cfg, 100); err == nil {
		t.Error("a start behind the end")
	}
}

// A run that is stopped while it reads a trace ends at once.
func TestStoppedWhileReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := DefaultConfig()
	cfg.Traces = []string{writeTrace(t, "trace.csv", traceStart, calmBut(5, 20), nil)}
	if _, err := loadWeather(ctx, &cfg, keptRows); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
