package grid

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"fairwatt/agent"
	"fairwatt/aggregator/console"
	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
)

// The storms that cross the map.
const (
	StormSquall  = "squall"
	StormCyclone = "cyclone"
)

// Times of a storm. At StormSpeed ten minutes of it pass in a second, and a nowcast
// holds for three.
const (
	StormSpeed    = 600.0
	maxStormSpeed = 1800.0
	stormInterval = 10 * time.Minute
	pastDays      = 8 // before it begins, for the network's inputs
	// offRows is how many rows of the past no one saw: longer than silence may last.
	offRows = 6
)

// A crossing is how a storm crosses the map: over how long a way, how fast, and how
// long before and after it the run plays.
type crossing struct {
	wayKM, wideKM  float64
	speedKMH       float64
	headingDeg     float64 // where it goes, from the north
	before, after  time.Duration
	span           time.Duration // of the scenario; the event comes at its own place in it
	arrives        time.Duration // of the event at the first generator, from the start
	scenario       string
	acrossIsBeside bool // what lies beside the way sees another part of the storm
}

var storms = map[string]*crossing{
	StormSquall: {
		wayKM: 260, wideKM: 120, speedKMH: 55, headingDeg: 90, before: 3 * time.Hour, after: 2 * time.Hour,
		span: 2 * 11 * 24 * time.Hour, arrives: 11*24*time.Hour + 15*time.Hour + 30*time.Minute, scenario: scenario.Squall,
	},
	StormCyclone: {
		wayKM: 240, wideKM: 120, speedKMH: 20, headingDeg: 315, before: 14 * time.Hour, after: 8 * time.Hour,
		span: 20 * 24 * time.Hour, arrives: 14 * 24 * time.Hour, scenario: scenario.Cyclone, acrossIsBeside: true,
	},
}

// The map's south-west corner of a storm that goes east; the scenarios play there.
const (
	mapLatitude  = 30.0
	mapLongitude = 120.0
	kmPerDegree  = 111.2
)

// loadStorm places the generators along the storm's way and returns what each sees.
func loadStorm(cfg *Config) ([]weather, error) {
	c := storms[cfg.Storm]
	all := make([]weather, cfg.Agents)
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x73746f726d))
	start := scenario.DefaultOptions(c.scenario, cfg.Seed).Start
	for i := range all {
		along := c.wayKM * (float64(i) + 0.6*rng.Float64()) / float64(max(1, cfg.Agents-1))
		along = min(along, c.wayKM)
		across := c.wideKM * (rng.Float64() - 0.5)
		if i == 0 {
			along = 0
		}
		plant := scenario.DefaultPlant(scenario.Wind)
		plant.Seed = cfg.Seed + uint64(i)
		o := scenario.DefaultOptions(c.scenario, cfg.Seed+uint64(i))
		o.Start, o.Interval, o.Span, o.Plant = start, stormInterval, c.span, plant
		o.Late = time.Duration(along / c.speedKMH * float64(time.Hour))
		if c.acrossIsBeside {
			o.BesideKM = across
		}
		tr, err := scenario.New(o)
		if err != nil {
			return nil, fmt.Errorf("storm %s: %w", cfg.Storm, err)
		}
		tr.Meta.Position = c.place(along, across)
		if i%2 == 1 { // every second one has no detector of lightning: it hears of thunder from others
			tr.Channels = slices.DeleteFunc(tr.Channels, func(ch model.Channel) bool {
				return ch == model.LightningKM || ch == model.LightningCount
			})
		}
		w := weather{name: cfg.Storm, tr: tr, from: o.Late.Hours()}
		w.cut(start.Add(c.arrives-c.before), start.Add(c.arrives+time.Duration(c.wayKM/c.speedKMH*float64(time.Hour))+c.after))
		all[i] = w
	}
	return all, nil
}

// place is where a generator stands, along the storm's way and to the right of it.
func (c *crossing) place(alongKM, acrossKM float64) model.Position {
	sin, cos := math.Sincos(c.headingDeg * math.Pi / 180)
	north, east := alongKM*cos-acrossKM*sin, alongKM*sin+acrossKM*cos
	return model.Position{
		Latitude:  mapLatitude + north/kmPerDegree,
		Longitude: mapLongitude + east/(kmPerDegree*math.Cos(mapLatitude*math.Pi/180)),
	}
}

// cut keeps the rows of the run and, before them, those of the days that the
// judgement has seen.
func (w *weather) cut(from, to time.Time) {
	rows := w.tr.Rows[:0:0]
	for _, row := range w.tr.Rows {
		switch t := row.Sample.TimeMs; {
		case t < from.UnixMilli() && t >= from.AddDate(0, 0, -pastDays).UnixMilli():
			w.past = append(w.past, row.Sample)
		case t >= from.UnixMilli() && t <= to.UnixMilli():
			rows = append(rows, row)
		}
	}
	w.tr.Rows = rows
}

// A foresight is what one generator knew of the storm, and when: with its
// neighbours, and by its own judgement alone. The second is a judge that is given
// the very samples of the first and hears no one.
type foresight struct {
	past  []model.Sample
	fromH float64 // hours from the storm's arrival at the first generator

	mu      sync.Mutex
	alone   *model.Judge
	network *agent.Network // the judge's
	spoken  bool           // the first sample was judged
	storm   int64          // when the strong gust came, ms of the sensing clock; 0: not yet
	with    warned
	without warned
}

// A warned is the first warning of the sky, and its rule.
type warned struct {
	ms   int64
	rule string
	text string
}

// begin lets both judges live through the days before.
func (f *foresight) begin(p *participant, judge *model.Judge) error {
	var err error
	if f.network, err = agent.LoadNetwork(p.config.Network); err != nil {
		return fmt.Errorf("network of %s alone: %w", p.id, err)
	}
	if f.alone, err = agent.NewJudge(p.config.Judge, f.network); err != nil {
		return fmt.Errorf("judgement of %s alone: %w", p.id, err)
	}
	seen := f.past[:len(f.past)-offRows]
	for _, j := range []*model.Judge{judge, f.alone} {
		for i := range seen {
			s := model.Sample{TimeMs: seen[i].TimeMs}
			for _, c := range p.config.Judge.Channels {
				if v, ok := f.past[i].Get(c); ok {
					s.Set(c, v)
				}
			}
			j.Step(&s)
		}
		// The plant was switched off then, and its gate is closed: when it opens, the agent
		// says so to the chain, and without that no one may buy of it.
		j.Advance(f.past[len(f.past)-1].TimeMs + stormInterval.Milliseconds()/2)
	}
	f.past = nil
	return nil
}

// Close gives the second judge's network up.
func (f *foresight) Close() error {
	if f == nil || f.network == nil {
		return nil
	}
	return f.network.Close()
}

// onStep is told what the agent judges; nil for no storm.
func (f *foresight) onStep() func(*model.Sample, []model.Event) {
	if f == nil {
		return nil
	}
	return func(s *model.Sample, events []model.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		sample := *s
		if !f.spoken {
			f.spoken = true
			_ = f.alone.SetWall(s.TimeMs, s.TimeMs) // it is known already to no one else
		}
		f.with.note(events)
		f.without.note(f.alone.Step(&sample))
		if v, ok := sample.Get(model.WindGustMPS); ok && v >= strongGustMPS && f.storm == 0 {
			f.storm = sample.TimeMs
		}
	}
}

// strongGustMPS is the gust that counts as the storm's arrival: Beaufort 9.
const strongGustMPS = 20.8

// sky are the kinds of a storm.
var sky = []model.Kind{model.KindThunderstorm, model.KindWind, model.KindCyclone}

func (w *warned) note(events []model.Event) {
	for i := range events {
		e := &events[i]
		if w.ms != 0 || e.Type != model.EventAlert || e.Action != model.ActionRaise || !slices.Contains(sky, e.Kind) || len(e.Causes) == 0 {
			continue
		}
		w.ms, w.rule, w.text = e.TimeMs, e.Causes[0].Rule, e.Causes[0].Text
	}
}

// A Storm is how far ahead of a storm its generators were warned.
type Storm struct {
	Kind string `json:"kind"`
	// Told and Refused are the nowcasts that the shown DA took and refused.
	Told    uint64            `json:"nowcasts_taken"`
	Refused map[string]uint64 `json:"nowcasts_refused"`
	Agents  []Lead            `json:"agents"` // in the order in which the storm comes
	// MedianAloneMin and MedianWithMin are over the agents that the storm reached
	// and that were warned at all, each way.
	MedianAloneMin *float64 `json:"median_lead_alone_min"`
	MedianWithMin  *float64 `json:"median_lead_with_neighbours_min"`
	Earlier        int      `json:"earlier_with_neighbours"` // agents
	Later          int      `json:"later_with_neighbours"`
}

// A Lead is one generator's. Times are minutes of the trace; a lead is from the
// first warning of thunder, wind or cyclone until the first gust of 20.8 m/s, and
// below zero if it came after it.
type Lead struct {
	Agent     string   `json:"agent"`
	Latitude  float64  `json:"latitude"`
	Longitude float64  `json:"longitude"`
	ComesMin  float64  `json:"comes_min"`      // of the storm, after its arrival at the first generator
	StormMin  *float64 `json:"storm_min"`      // the first strong gust, after the run's start; null: none came
	AloneMin  *float64 `json:"lead_alone_min"` // null: never warned, or no strong gust
	WithMin   *float64 `json:"lead_with_neighbours_min"`
	AloneBy   string   `json:"alone_by,omitempty"` // the rule that warned first; M-... is the network
	WithBy    string   `json:"with_by,omitempty"`
	WithText  string   `json:"with_text,omitempty"` // names the neighbours that spoke
}

// stormReport is nil without a storm.
func (g *grid) stormReport(page *console.Snapshot) *Storm {
	if g.cfg.Storm == "" {
		return nil
	}
	out := &Storm{Kind: g.cfg.Storm, Told: page.Nowcasts.Taken, Refused: page.Nowcasts.Refused, Agents: []Lead{}}
	var alone, with []float64
	for _, p := range g.people {
		if p.ahead == nil {
			continue
		}
		l := p.ahead.lead(p)
		out.Agents = append(out.Agents, l)
		if l.AloneMin != nil {
			alone = append(alone, *l.AloneMin)
		}
		if l.WithMin != nil {
			with = append(with, *l.WithMin)
		}
		switch {
		case l.WithMin != nil && (l.AloneMin == nil || *l.WithMin > *l.AloneMin):
			out.Earlier++
		case l.AloneMin != nil && (l.WithMin == nil || *l.WithMin < *l.AloneMin):
			out.Later++
		}
	}
	slices.SortFunc(out.Agents, func(a, b Lead) int { return int(math.Copysign(1, a.ComesMin-b.ComesMin)) })
	out.MedianAloneMin, out.MedianWithMin = median(alone), median(with)
	return out
}

func (f *foresight) lead(p *participant) Lead {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := Lead{
		Agent: p.id, Latitude: p.config.Location.Latitude, Longitude: p.config.Location.Longitude, ComesMin: math.Round(60 * f.fromH),
		AloneBy: f.without.rule, WithBy: f.with.rule, WithText: f.with.text,
	}
	if f.storm == 0 {
		return l
	}
	minutes := func(ms int64) *float64 {
		v := float64(ms) / 60_000
		return &v
	}
	l.StormMin = minutes(f.storm - p.witnessed.beginMs)
	if f.without.ms != 0 {
		l.AloneMin = minutes(f.storm - f.without.ms)
	}
	if f.with.ms != 0 {
		l.WithMin = minutes(f.storm - f.with.ms)
	}
	return l
}

func median(v []float64) *float64 {
	if len(v) == 0 {
		return nil
	}
	slices.Sort(v)
	m := (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	return &m
}

// String is the table of leads, for people.
func (s *Storm) String() string {
	var b strings.Builder
	cell := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprintf("%.0f", *v)
	}
	fmt.Fprintf(&b, "%-12s %8s %8s %14s %s\n", "agent", "comes", "alone", "with others", "minutes ahead of the first gust of 20.8 m/s")
	for _, l := range s.Agents {
		fmt.Fprintf(&b, "%-12s %8.0f %8s %14s %s\n", l.Agent, l.ComesMin, cell(l.AloneMin), cell(l.WithMin), l.WithBy)
	}
	fmt.Fprintf(&b, "%-12s %8s %8s %14s %d earlier, %d later with others\n", "median", "", cell(s.MedianAloneMin), cell(s.MedianWithMin), s.Earlier, s.Later)
	return b.String()
}
