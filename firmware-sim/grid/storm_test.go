package grid

import (
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
)

func stormOf(t *testing.T, kind string) (*Config, []weather) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Storm, cfg.Speed, cfg.Agents = kind, StormSpeed, 8
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	all, err := loadWeather(t.Context(), &cfg, keptRows)
	if err != nil {
		t.Fatal(err)
	}
	return &cfg, all
}

// firstGust is when the first gust of Beaufort 9 comes, hours after the run begins.
func firstGust(w *weather) float64 {
	for i := range w.tr.Rows {
		s := &w.tr.Rows[i].Sample
		if v, ok := s.Get(model.WindGustMPS); ok && v >= strongGustMPS {
			return float64(s.TimeMs-w.tr.Rows[0].Sample.TimeMs) / hourMs
		}
	}
	return math.NaN()
}

// Every generator sees the same line at its own time: as much later as the way to it
// takes, and none has strong wind in the days before.
func TestSquallCrossesTheMap(t *testing.T) {
	_, all := stormOf(t, StormSquall)
	c := storms[StormSquall]
	first := firstGust(&all[0])
	if math.Abs(first-c.before.Hours()) > 0.5 {
		t.Errorf("it comes to the first after %.2f h, want about %v", first, c.before)
	}
	east := 0.0
	for i := range all {
		w := &all[i]
		if got := firstGust(w) - first; math.Abs(got-w.from) > 0.35 { // rows of ten minutes
			t.Errorf("generator %d: %.2f h after the first, want %.2f", i, got, w.from)
		}
		at := w.tr.Meta.Position
		if at.Longitude < east {
			t.Errorf("generator %d stands at %v, west of the one before", i, at)
		}
		east = at.Longitude
		km := (at.Longitude - mapLongitude) * kmPerDegree * math.Cos(mapLatitude*math.Pi/180)
		if want := w.from * c.speedKMH; math.Abs(km-want) > 1 {
			t.Errorf("generator %d: %.0f km to the east, want %.0f", i, km, want)
		}
		if w.tr.Rows[0].Sample.TimeMs != all[0].tr.Rows[0].Sample.TimeMs || len(w.past) != pastDays*24*6 {
			t.Errorf("generator %d: %d rows of the past, the run begins at %d", i, len(w.past), w.tr.Rows[0].Sample.TimeMs)
		}
		for j := range w.past {
			if v, _ := w.past[j].Get(model.WindGustMPS); v >= strongGustMPS {
				t.Errorf("generator %d has a gust of %.1f m/s in the days before", i, v)
			}
		}
	}
	if last := all[len(all)-1].from * c.speedKMH; last < 200 {
		t.Errorf("the last stands only %.0f km on", last)
	}
}

// The cyclone comes to all, strongest where its centre passes.
func TestCycloneCrossesTheMap(t *testing.T) {
	_, all := stormOf(t, StormCyclone)
	for i := range all {
		lowest := math.Inf(1)
		for j := range all[i].tr.Rows {
			if v, ok := all[i].tr.Rows[j].Sample.Get(model.PressureHPa); ok {
				lowest = min(lowest, v)
			}
		}
		if lowest > 995 || math.IsNaN(firstGust(&all[i])) {
			t.Errorf("generator %d: lowest pressure %.0f hPa, first gust after %.1f h", i, lowest, firstGust(&all[i]))
		}
	}
}

func TestStormConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no such storm":  func(c *Config) { c.Storm = "hail" },
		"a trace too":    func(c *Config) { c.Traces = []string{"x.csv"} },
		"a scenario too": func(c *Config) { c.Scenario = scenario.Squall },
		"a start too":    func(c *Config) { c.Start = "2026-01-01T00:00:00Z" },
		"too fast":       func(c *Config) { c.Speed = maxStormSpeed + 1 },
	} {
		cfg := DefaultConfig()
		cfg.Storm, cfg.Speed = StormSquall, StormSpeed
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "storm") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A lead counts from the first warning of the sky, whatever warns of other things.
func TestLead(t *testing.T) {
	at := func(ms int64, kind model.Kind, rule string, action model.Action) model.Event {
		return model.Event{TimeMs: ms, Type: model.EventAlert, Kind: kind, Action: action, Causes: []model.Cause{{Rule: rule, Text: rule + " holds"}}}
	}
	var w warned
	w.note([]model.Event{at(1, model.KindSensor, "S01", model.ActionRaise), at(2, model.KindWind, "W03", model.ActionUpdate)})
	if w.ms != 0 {
		t.Errorf("%+v", w)
	}
	w.note([]model.Event{at(3, model.KindWind, "M-wind", model.ActionRaise), at(3, model.KindThunderstorm, "T01", model.ActionRaise)})
	w.note([]model.Event{at(4, model.KindCyclone, "W08", model.ActionRaise)})
	if w.ms != 3 || w.rule != "M-wind" || w.text != "M-wind holds" {
		t.Errorf("%+v", w)
	}
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4, 1}, 2.5}, {[]float64{7}, 7}} {
		if got := median(c.in); got == nil || *got != c.want {
			t.Errorf("median of %v", c.in)
		}
	}
	if median(nil) != nil {
		t.Error("a median of nothing")
	}
}

// The generators tell each other while a storm comes, and the report counts it.
func TestStormRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the system for 12 s")
	}
	cfg := DefaultConfig()
	cfg.Storm, cfg.Speed, cfg.Agents, cfg.Buyers, cfg.For, cfg.Links = StormSquall, StormSpeed, 3, 1, 12*time.Second, "memory"
	cfg.Data = t.TempDir()
	r, page, err := run(t.Context(), cfg, Options{Software: "test", Logger: slog.New(slog.DiscardHandler), Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if r.Storm == nil || len(r.Storm.Agents) != 3 || r.Storm.Told < 3 || !r.ChainVerified || r.ContactorViolations != 0 {
		t.Errorf("%+v, chain verified %v", r.Storm, r.ChainVerified)
	}
	// The line comes hours later: until then the gates are open, and the chain knows it.
	if all := int64(3 * 12 * StormSpeed); r.GateClosedS*2 > all {
		t.Errorf("gates closed for %d s of %d", r.GateClosedS, all)
	}
	if page.Nowcasts.Handed == 0 {
		t.Error("nothing was handed on")
	}
}
