package grid

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
	"fairwatt/model/trace"
)

// A trace begins this long before its strongest gust by default: gates open
// first, then the weather comes.
const beforePeak = 36 * time.Hour

// The built-in scenarios as the grid plays them: hours, over some days.
const (
	builtInInterval = time.Hour
	builtInSpan     = 96 * time.Hour
)

// A weather is one trace as a generator sees it: its rows with the electrical
// channels of the generator's plant.
type weather struct {
	name string
	tr   *trace.Trace
	past []model.Sample // of the days before a storm, which the judgement has seen
	from float64        // hours from the storm's arrival at the first generator
}

// loadWeather returns the weather of every generator. Generator i takes trace
// i mod k; the first k generators are turbines, so that each trace drives at
// least one, the rest photovoltaic plants.
func loadWeather(cfg *Config) ([]weather, error) {
	if cfg.Storm != "" {
		return loadStorm(cfg)
	}
	names := weatherNames(cfg)
	sources := len(names)
	all := make([]weather, cfg.Agents)
	for i := range all {
		plant := scenario.DefaultPlant(scenario.PV)
		if i < sources {
			plant = scenario.DefaultPlant(scenario.Wind)
		}
		plant.Seed = cfg.Seed + uint64(i)
		k := i % sources
		var err error
		if len(cfg.Traces) > 0 {
			all[i], err = readWeather(cfg.Traces[k], plant)
		} else {
			all[i], err = makeWeather(names[k], cfg.Seed, plant)
		}
		if err != nil {
			return nil, err
		}
		if err := all[i].begin(cfg.Start); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// weatherNames are the files or built-in scenarios of a run.
func weatherNames(cfg *Config) []string {
	switch {
	case len(cfg.Traces) > 0:
		return cfg.Traces
	case cfg.Storm != "":
		return []string{cfg.Storm}
	case cfg.Scenario != "":
		return []string{cfg.Scenario}
	}
	return scenario.Everyday()
}

// readWeather reads a trace and adds the channels of its plant.
func readWeather(path string, plant scenario.Plant) (weather, error) {
	tr, err := trace.ReadFile(path, trace.Options{})
	if err != nil {
		return weather{}, fmt.Errorf("trace: %w", err)
	}
	if len(tr.Rows) < 2 {
		return weather{}, fmt.Errorf("trace %s: %d rows, want 2 or more", path, len(tr.Rows))
	}
	if err := tr.Meta.CheckNominal(tr.Channels); err != nil {
		return weather{}, fmt.Errorf("%s: %w", path, err)
	}
	if tr.Meta.NominalVoltage > 0 {
		plant.NominalVoltageV = tr.Meta.NominalVoltage
	}
	if tr.Meta.NominalFreqHz > 0 {
		plant.NominalFrequencyHz = tr.Meta.NominalFreqHz
	}
	tr, err = scenario.Compose(tr, plant)
	if err != nil {
		return weather{}, fmt.Errorf("trace %s: %w", path, err)
	}
	return weather{name: filepath.Base(path), tr: tr}, nil
}

// makeWeather generates a built-in scenario.
func makeWeather(name string, seed uint64, plant scenario.Plant) (weather, error) {
	o := scenario.DefaultOptions(name, seed)
	o.Interval, o.Span, o.Plant = builtInInterval, builtInSpan, plant
	tr, err := scenario.New(o)
	if err != nil {
		return weather{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	return weather{name: name, tr: tr}, nil
}

// begin cuts the rows before the start.
func (w *weather) begin(start string) error {
	var fromMs int64
	if start == "" || start == "peak-36h" {
		fromMs = w.peakMs() - beforePeak.Milliseconds()
	} else {
		t, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return fmt.Errorf("start: %w", err)
		}
		fromMs = t.UnixMilli()
	}
	rows := w.tr.Rows
	for len(rows) > 0 && rows[0].Sample.TimeMs < fromMs {
		rows = rows[1:]
	}
	if len(rows) < 2 {
		return fmt.Errorf("start: trace %s ends before %s", w.name, time.UnixMilli(fromMs).UTC().Format(time.RFC3339))
	}
	w.tr.Rows = rows
	return nil
}

// peakMs is the time of the strongest gust, or of the strongest mean wind if the
// trace has no gusts.
func (w *weather) peakMs() int64 {
	best, at := -1.0, w.tr.Rows[0].Sample.TimeMs
	for _, channel := range []model.Channel{model.WindGustMPS, model.WindSpeedMPS} {
		for i := range w.tr.Rows {
			s := &w.tr.Rows[i].Sample
			if v, ok := s.Get(channel); ok && v > best {
				best, at = v, s.TimeMs
			}
		}
		if best >= 0 {
			break
		}
	}
	return at
}

// intervalMs is the time between two rows.
func (w *weather) intervalMs() int64 {
	if w.tr.Meta.IntervalS > 0 {
		return int64(w.tr.Meta.IntervalS * 1000)
	}
	return w.tr.Rows[1].Sample.TimeMs - w.tr.Rows[0].Sample.TimeMs
}

// samples returns the rows without their labels, and the length of one round: the
// rows and a gap of two intervals, which the judgement sees as a gap.
func (w *weather) samples() (rows []model.Sample, spanMs int64) {
	rows = make([]model.Sample, len(w.tr.Rows))
	for i := range w.tr.Rows {
		rows[i] = w.tr.Rows[i].Sample
	}
	first, last := rows[0].TimeMs, rows[len(rows)-1].TimeMs
	return rows, last - first + 3*w.intervalMs()
}

// composedIn lists the channels that were computed for some generator, by name.
func composedIn(weathers []weather) []string {
	var names []string
	for _, w := range weathers {
		names = append(names, w.tr.Meta.Composed...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
