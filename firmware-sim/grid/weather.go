package grid

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/fairwattpb"
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
	part string         // which part of a long trace this is; empty: all of it
	past []model.Sample // of the days before a storm, which the judgement has seen
	from float64        // hours from the storm's arrival at the first generator
}

// warnedOf are the kinds of hazards that a weather service warns of before a built-in
// scenario. Each plays at a site of its own, where no neighbour sees the same; of real
// storms there are warnings.
var warnedOf = map[string][]string{"squall": {"wind"}, "storm": {"wind", "cyclone"}}

// warningStands is longer than any run.
const warningStands = 7 * 24 * time.Hour

// warn has the centre hand on what the weather service says, where the chain asks for it.
func (g *grid) warn(ctx context.Context) error {
	if g.cfg.excuses() != ledger.ExcusesWitnessed {
		return nil
	}
	type notice struct{ area, kind string }
	told := make(map[notice]bool)
	for _, p := range g.people {
		for _, kind := range p.warned {
			n := notice{p.site, kind}
			if told[n] {
				continue
			}
			told[n] = true
			now, source := time.Now(), sha256.Sum256([]byte("simulated weather service: "+kind))
			err := g.centre.Warn(ctx, &fairwattpb.WarningNotice{
				Area: n.area, Kind: kind, FromMs: now.UnixMilli(), UntilMs: now.Add(warningStands).UnixMilli(), SourceHash: source[:],
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// loadWeather returns the weather of every generator. Generator i takes trace
// i mod k; the first k generators are turbines, so that each trace drives at
// least one, the rest photovoltaic plants. All of them together keep so many rows.
func loadWeather(ctx context.Context, cfg *Config, most int) ([]weather, error) {
	if cfg.Storm != "" {
		return loadStorm(cfg)
	}
	read := make(map[string]weather) // without a plant
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
			path := cfg.Traces[k]
			raw, have := read[path]
			if !have {
				if raw.tr, raw.part, err = readTrace(ctx, path, cfg.Start, max(most/cfg.Agents, 2)); err != nil {
					return nil, fmt.Errorf("trace: %w", err)
				}
				read[path] = raw
			}
			all[i], err = raw.with(path, plant)
		} else {
			all[i], err = makeWeather(names[k], cfg.Seed, plant)
		}
		if err != nil {
			return nil, err
		}
		if all[i].part != "" {
			continue // it begins there already
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

// with adds the channels of a plant to a trace.
func (w weather) with(path string, plant scenario.Plant) (weather, error) {
	tr := w.tr
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
	tr, err := scenario.Compose(tr, plant)
	if err != nil {
		return weather{}, fmt.Errorf("trace %s: %w", path, err)
	}
	return weather{name: filepath.Base(path), tr: tr, part: w.part}, nil
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
