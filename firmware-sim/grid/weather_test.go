package grid

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
)

// writeTrace writes an hourly trace of wind from a time on, with a gust
// column when gusts are given, and returns its path.
func writeTrace(t *testing.T, name string, start time.Time, wind []float64, gust []float64) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# fairwatt-trace: 1\n# interval_s: 3600\ntime,temperature_c,irradiance_wpm2,wind_speed_mps")
	if gust != nil {
		b.WriteString(",wind_gust_mps")
	}
	for i, w := range wind {
		fmt.Fprintf(&b, "\n%s,20,100,%g", start.Add(time.Duration(i)*time.Hour).Format(time.RFC3339), w)
		if gust != nil {
			b.WriteString(",")
			if !math.IsNaN(gust[i]) {
				fmt.Fprint(&b, gust[i])
			}
		}
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(b.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var traceStart = time.Date(2021, 7, 20, 0, 0, 0, 0, time.UTC)

// calmBut is a hundred hours at 3 m/s, but one.
func calmBut(hour int, mps float64) []float64 {
	wind := slices.Repeat([]float64{3}, 100)
	wind[hour] = mps
	return wind
}

func TestWeatherBegins(t *testing.T) {
	noGusts := slices.Repeat([]float64{math.NaN()}, 100)
	for name, c := range map[string]struct {
		wind, gust []float64
		start      string
		want       time.Duration // after the trace's start
		rows       int
	}{
		"36 h before the strongest gust":     {calmBut(10, 20), calmBut(60, 30), "peak-36h", 24 * time.Hour, 76},
		"by default too":                     {calmBut(10, 20), calmBut(60, 30), "", 24 * time.Hour, 76},
		"the mean wind where there are none": {calmBut(70, 20), nil, "peak-36h", 34 * time.Hour, 66},
		"or all are missing":                 {calmBut(70, 20), noGusts, "peak-36h", 34 * time.Hour, 66},
		"a peak before 36 h: from the start": {calmBut(5, 20), calmBut(20, 30), "peak-36h", 0, 100},
		"a time of the trace":                {calmBut(5, 20), nil, "2021-07-21T12:00:00Z", 36 * time.Hour, 64},
		"in another zone":                    {calmBut(5, 20), nil, "2021-07-21T20:00:00+08:00", 36 * time.Hour, 64},
		"between two rows: the next":         {calmBut(5, 20), nil, "2021-07-21T11:20:00Z", 36 * time.Hour, 64},
		"before the trace: from its start":   {calmBut(5, 20), nil, "2020-01-01T00:00:00Z", 0, 100},
		"two rows are left":                  {calmBut(5, 20), nil, "2021-07-24T02:00:00Z", 98 * time.Hour, 2},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Agents, cfg.Start = 1, c.start
			cfg.Traces = []string{writeTrace(t, "trace.csv", traceStart, c.wind, c.gust)}
			all, err := loadWeather(t.Context(), &cfg, keptRows)
			if err != nil {
				t.Fatal(err)
			}
			rows := all[0].tr.Rows
			if got := time.UnixMilli(rows[0].Sample.TimeMs).Sub(traceStart); got != c.want || len(rows) != c.rows {
				t.Errorf("%d rows from %v, want %d from %v", len(rows), got, c.rows, c.want)
			}
			samples, spanMs := all[0].samples()
			if len(samples) != c.rows || spanMs != int64(c.rows+2)*hourMs {
				t.Errorf("a round of %d rows takes %d ms, want the rows and a gap of two", len(samples), spanMs)
			}
		})
	}
}

// A trace that leaves nothing to play is refused with its name.
func TestWeatherRefused(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "odd.csv")
	if err := os.WriteFile(odd, []byte("# fairwatt-trace: 1\ntime,colour\n0,red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := writeTrace(t, "full.csv", traceStart, calmBut(50, 20), nil)
	for name, c := range map[string]struct {
		path, start string
		want        []string
	}{
		"absent":          {filepath.Join(dir, "absent.csv"), "", []string{"absent.csv"}},
		"unknown channel": {odd, "", []string{"odd.csv", "colour"}},
		"one row":         {writeTrace(t, "short.csv", traceStart, []float64{3}, nil), "", []string{"short.csv", "1 rows, want 2 or more"}},
		"starts late":     {full, "2022-01-01T00:00:00Z", []string{"full.csv", "ends before 2022-01-01T00:00:00Z"}},
		"one row left":    {full, "2021-07-24T03:00:00Z", []string{"full.csv", "ends before"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Agents, cfg.Start, cfg.Traces = 1, c.start, []string{c.path}
			_, err := loadWeather(t.Context(), &cfg, keptRows)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
		})
	}
}

// Generator i takes trace i mod k, and the first k are turbines: each trace
// drives one, whose power follows the trace's wind.
func TestEachTraceDrivesATurbine(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Agents = 5
	cfg.Traces = []string{
		writeTrace(t, "still.csv", traceStart, slices.Repeat([]float64{0}, 100), nil),
		writeTrace(t, "windy.csv", traceStart, slices.Repeat([]float64{11}, 100), nil),
	}
	all, err := loadWeather(t.Context(), &cfg, keptRows)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range all {
		if want := filepath.Base(cfg.Traces[i%2]); w.name != want {
			t.Errorf("generator %d plays %s, want %s", i, w.name, want)
		}
		powerW := 0.0
		for k := range w.tr.Rows {
			p, ok := w.tr.Rows[k].Sample.Get(model.PowerW)
			if !ok {
				t.Fatalf("generator %d has no power in row %d", i, k)
			}
			powerW = max(powerW, p)
		}
		// 100 W/m2 is a few hundred watts of sun; 11 m/s is most of a turbine.
		switch {
		case i == 0 && powerW > 10:
			t.Errorf("a turbine in still air gives %g W", powerW)
		case i == 1 && powerW < 2000:
			t.Errorf("a turbine at 11 m/s gives %g W", powerW)
		case i >= 2 && (powerW < 50 || powerW > 2000):
			t.Errorf("generator %d, a roof under 100 W/m2, gives %g W", i, powerW)
		}
	}
}

func TestBuiltInWeather(t *testing.T) {
	cfg := DefaultConfig()
	if got := weatherNames(&cfg); !slices.Equal(got, scenario.Everyday()) {
		t.Errorf("by default %v, want all of %v", got, scenario.Everyday())
	}
	cfg.Scenario, cfg.Agents = "storm", 2
	all, err := loadWeather(t.Context(), &cfg, keptRows)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range all {
		if w.name != "storm" || w.intervalMs() != hourMs || len(w.tr.Rows) < 36 {
			t.Errorf("generator %d plays %d rows of %s at %d ms", i, len(w.tr.Rows), w.name, w.intervalMs())
		}
	}
}
