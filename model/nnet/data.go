package nnet

import (
	"fmt"
	"math"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/model/neighbours"
	"fairwatt/model/nnet/skill"
)

// A Series is one site's recorded weather as the network sees it, and the truth.
// Rows are in order of time.
type Series struct {
	Site     string
	TimeMs   []int64
	Features []model.Features
	// Thunder is 1 or 0, -1 where the trace does not say. It is truth only: it
	// never went through a Sample.
	Thunder []int8
	// Gust is the hour's peak gust in m/s, NaN where missing.
	Gust []float32

	extractor *model.Extractor
	place     *neighbours.Position // nil: unknown
	weather   []neighbours.Weather // by row, as told to others
	absurd    []bool               // by row: no neighbour would take it
	// When it thundered last, by the label.
	thunderMs  int64
	hadThunder bool
}

// NewSeries returns an empty series of a site.
func NewSeries(site string) *Series {
	return &Series{Site: site, extractor: model.NewExtractor()}
}

// Add appends a sample and its truth (-1 where unknown).
func (s *Series) Add(sample *model.Sample, thunder int8) {
	var f model.Features
	s.extractor.Push(sample)
	s.extractor.Features(&f)
	gust := float32(math.NaN())
	if v, ok := sample.Get(model.WindGustMPS); ok {
		gust = float32(v)
	}
	s.TimeMs = append(s.TimeMs, sample.TimeMs)
	s.Features = append(s.Features, f)
	s.Thunder = append(s.Thunder, thunder)
	s.Gust = append(s.Gust, gust)
	s.tell(thunder)
}

// A Task is a question the network answers about the next hours.
type Task struct {
	Name      string // "thunder" or "wind"
	HorizonMs int64
	GustMPS   float64 // wind only: the gust that counts
}

// The tasks' names.
const (
	TaskThunder = "thunder"
	TaskWind    = "wind"
)

// Kind is the hazard the task warns of.
func (t Task) Kind() (model.Kind, error) {
	switch t.Name {
	case TaskThunder:
		return model.KindThunderstorm, nil
	case TaskWind:
		return model.KindWind, nil
	}
	return 0, fmt.Errorf("unknown task %q: want %s or %s", t.Name, TaskThunder, TaskWind)
}

const (
	eventGapMs  = 6 * skill.HourMs // positive hours this far apart are one event
	windQuietMs = 3 * skill.HourMs // a wind row needs this long without such a gust
	historyMs   = 6 * skill.HourMs
)

// state of a row for a task: 1 the hazard is there, 0 not, -1 unknown.
func (t Task) state(s *Series, i int) int8 {
	if t.Name == TaskThunder {
		return s.Thunder[i]
	}
	g := float64(s.Gust[i])
	switch {
	case math.IsNaN(g):
		return -1
	case g >= t.GustMPS:
		return 1
	}
	return 0
}

// Labels returns for each row 1 (the hazard begins within the horizon), 0 (it
// does not) or -1 (not a row of this task: the hazard is there already, the
// state is unknown, or the trace does not reach over the horizon).
func (t Task) Labels(s *Series) []int8 {
	n := len(s.TimeMs)
	out := make([]int8, n)
	quiet := int64(0)
	if t.Name == TaskWind {
		quiet = windQuietMs
	}
	lastHazard := int64(math.MinInt64 / 2)
	for i := range n {
		now := t.state(s, i)
		if now == 1 {
			lastHazard = s.TimeMs[i]
		}
		out[i] = -1
		if now != 0 || (quiet > 0 && s.TimeMs[i]-lastHazard < quiet) {
			continue
		}
		out[i] = t.ahead(s, i)
	}
	return out
}

// ahead is the label of a row by what follows it. A positive needs one hazard
// hour; a negative needs the horizon to be known to its end.
func (t Task) ahead(s *Series, i int) int8 {
	end := s.TimeMs[i] + t.HorizonMs
	known := false
	for j := i + 1; j < len(s.TimeMs) && s.TimeMs[j] <= end; j++ {
		switch t.state(s, j) {
		case 1:
			return 1
		case 0:
			known = s.TimeMs[j] == end
		}
	}
	if known {
		return 0
	}
	return -1
}

// Onsets returns when each event began, hazard hours up to six hours apart
// being one event.
func (t Task) Onsets(s *Series) []int64 {
	var out []int64
	last := int64(math.MinInt64 / 2)
	for i := range s.TimeMs {
		if t.state(s, i) != 1 {
			continue
		}
		if s.TimeMs[i]-last > eventGapMs {
			out = append(out, s.TimeMs[i])
		}
		last = s.TimeMs[i]
	}
	return out
}

// FillHistory sets the lightning feature of every row: did it thunder in the last
// six hours, by the truth? It replaces a lightning sensor for evaluation with
// --inputs history. Heads with this input are never used live.
func (s *Series) FillHistory() {
	last, known := int64(math.MinInt64/2), false
	for i, at := range s.TimeMs {
		switch s.Thunder[i] {
		case 1:
			last, known = at, true
		case 0:
			known = true
		}
		f := &s.Features[i]
		f.Missing[model.FeatureLightning6h] = !known
		f.X[model.FeatureLightning6h] = 0
		if at-last < historyMs {
			f.X[model.FeatureLightning6h] = 1
		}
	}
}

// A Part is one side of a split.
type Part uint8

// The parts of a split. PartOther is data that no split names (another
// station), PartPurged the rows left out around a cut in time.
const (
	PartTrain Part = iota
	PartValidate
	PartTest
	PartOther
	PartPurged
)

// A Split says which rows teach, which choose and which judge.
type Split struct {
	// By site (thunder): names as in the traces, compared without case, blanks
	// and underscores.
	TrainSites    []string `yaml:"train_sites" json:"train_sites,omitempty"`
	ValidateSites []string `yaml:"validate_sites" json:"validate_sites,omitempty"`
	TestSites     []string `yaml:"test_sites" json:"test_sites,omitempty"`
	// From and To bound the split by site (RFC 3339, To excluded): another year
	// of the same town is other data. Empty: no bound.
	From string `yaml:"from" json:"from,omitempty"`
	To   string `yaml:"to" json:"to,omitempty"`
	// By time (wind), over Sites: train before ValidateFrom, validate before
	// TestFrom, test from there; PurgeH hours before each cut are left out, so
	// that no window looks over it. RFC 3339.
	Sites        []string `yaml:"sites" json:"sites,omitempty"`
	ValidateFrom string   `yaml:"validate_from" json:"validate_from,omitempty"`
	TestFrom     string   `yaml:"test_from" json:"test_from,omitempty"`
	PurgeH       int      `yaml:"purge_h" json:"purge_h,omitempty"`
	// Lowland leaves these sites out of evaluation: mountains, where pressure
	// and gusts follow other laws, and windy islets that swamp event counts.
	NotLowland []string `yaml:"not_lowland" json:"not_lowland,omitempty"`
	// cut replaces the cuts in time, over Sites; nil: it does not.
	cut func(timeMs int64) Part
}

// SiteKey makes site names comparable: "New York", "new_york" and "new york"
// are one site.
func SiteKey(name string) string {
	return strings.ToLower(blanks.Replace(name))
}

var blanks = strings.NewReplacer(" ", "", "_", "", "-", "")

func hasSite(list []string, site string) bool {
	key := SiteKey(site)
	for _, s := range list {
		if SiteKey(s) == key {
			return true
		}
	}
	return false
}

// Lowland says whether a site counts as lowland.
func (sp Split) Lowland(site string) bool { return !hasSite(sp.NotLowland, site) }

// Part returns the part of one row.
func (sp Split) Part(site string, timeMs int64) (Part, error) {
	part, err := sp.of(site)
	if err != nil {
		return PartOther, err
	}
	return part(timeMs), nil
}

// of returns what tells the part of a site's rows. Names and cuts are read once,
// not for each row.
func (sp Split) of(site string) (func(timeMs int64) Part, error) {
	if sp.ValidateFrom != "" {
		return sp.byTime(site)
	}
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	for _, bound := range []struct {
		field, at string
		to        *int64
	}{{"from", sp.From, &from}, {"to", sp.To, &to}} {
		if bound.at == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, bound.at)
		if err != nil {
			return nil, fmt.Errorf("split: %s: %w", bound.field, err)
		}
		*bound.to = t.UnixMilli()
	}
	part := PartOther
	switch {
	case hasSite(sp.TrainSites, site):
		part = PartTrain
	case hasSite(sp.ValidateSites, site):
		part = PartValidate
	case hasSite(sp.TestSites, site):
		part = PartTest
	}
	return func(timeMs int64) Part {
		if timeMs < from || timeMs >= to {
			return PartOther
		}
		return part
	}, nil
}

func (sp Split) byTime(site string) (func(timeMs int64) Part, error) {
	if !hasSite(sp.Sites, site) {
		return func(int64) Part { return PartOther }, nil
	}
	if sp.cut != nil {
		return sp.cut, nil
	}
	validate, err := time.Parse(time.RFC3339, sp.ValidateFrom)
	if err != nil {
		return nil, fmt.Errorf("split: validate_from: %w", err)
	}
	test, err := time.Parse(time.RFC3339, sp.TestFrom)
	if err != nil {
		return nil, fmt.Errorf("split: test_from: %w", err)
	}
	purge, v, t := int64(sp.PurgeH)*skill.HourMs, validate.UnixMilli(), test.UnixMilli()
	return func(timeMs int64) Part {
		switch {
		case timeMs < v-purge:
			return PartTrain
		case timeMs >= v && timeMs < t-purge:
			return PartValidate
		case timeMs >= t:
			return PartTest
		}
		return PartPurged
	}, nil
}
