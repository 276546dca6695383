package nnet

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sort"

	"fairwatt/model"
	"fairwatt/model/neighbours"
)

// A Region is who hears whom when recorded sites play agents that tell each other
// the weather. The zero value lets everybody hear everybody that a live agent would.
type Region struct {
	WithinKM float64 // 0: neighbours.ThunderKM
	Most     int     // nearest neighbours at most; 0: neighbours.MaxNeighbours
	Keep     float64 // share of neighbours that work, drawn anew each row; 0: all
	Practice bool    // each row draws its own share instead of Keep
	Lie      Lie     // told by the nearest neighbour of every site
	Seed     uint64  // of the draws
	// From says whether a site speaks; nil: all do.
	From func(site string) bool
}

// A Lie is what one neighbour says instead of its weather.
type Lie uint8

// The lies: none, a storm that is not there, calm whatever comes.
const (
	Honest Lie = iota
	CriesStorm
	SaysCalm
)

// six are the neighbours' numbers at one row.
type six struct {
	x   [neighbours.NumNumbers]float32
	has [neighbours.NumNumbers]bool
}

func (h *six) apply(f *model.Features) {
	copy(f.X[model.FeatureNeighbours:], h.x[:])
	for i, has := range h.has {
		f.Missing[model.FeatureNeighbours+i] = !has
	}
}

// Meet sets the neighbours' features of every row to what the other sites said at
// the same time. Sites without a position hear and say nothing. Where a recording
// has a thunder label, the label stands in for the neighbour's detector.
func (r Region) Meet(series []*Series) {
	for i, all := range r.hear(series, nil) {
		for k := range all {
			all[k].apply(&series[i].Features[k])
		}
	}
}

// hear returns the numbers of each series' rows; where wanted is not nil, of those
// that it marks. The others are silent, and draw as many random numbers all the same.
func (r Region) hear(series []*Series, wanted [][]bool) [][]six {
	out := make([][]six, len(series))
	for i, s := range series {
		out[i] = make([]six, len(s.TimeMs))
		if near := r.near(series, i); len(near) > 0 {
			e := r.ear(series, i, near)
			for k, at := range s.TimeMs {
				e.listen(at, wanted == nil || wanted[i][k], &out[i][k])
			}
		}
	}
	return out
}

// An ear hears row by row what the sites near one say. Rows of all are in order of
// time, so that nobody's row is looked for twice.
type ear struct {
	region Region
	rng    *rand.Rand
	near   []speaker
	circle neighbours.Circle
	told   []neighbours.Nowcast
	km     []float64
}

type speaker struct {
	*Series
	km    float64
	next  int  // the first row that is later than the last moment
	twice bool // another of the speakers has its name
}

func (r Region) ear(series []*Series, i int, near []int) *ear {
	h := fnv.New64a()
	h.Write([]byte(SiteKey(series[i].Site)))
	e := &ear{region: r, rng: rand.New(rand.NewPCG(r.Seed, h.Sum64()))}
	names := map[string]int{}
	for _, j := range near {
		names[series[j].Site]++
		e.near = append(e.near, speaker{Series: series[j], km: series[i].place.KM(*series[j].place)})
	}
	for n := range e.near {
		e.near[n].twice = names[e.near[n].Site] > 1
	}
	return e
}

func (e *ear) listen(at int64, wanted bool, to *six) {
	share := e.region.Keep
	if e.region.Practice {
		share = min(1.25*e.rng.Float64(), 1) // now and then all of them
	}
	e.told, e.km = e.told[:0], e.km[:0]
	for i := range e.near {
		works := share == 0 && !e.region.Practice || e.rng.Float64() < share
		if s := &e.near[i]; works && wanted {
			e.hear(s, at)
		}
	}
	if len(e.told) == 0 {
		return
	}
	if e.region.Lie != Honest {
		e.told[0].Weather = e.region.Lie.weather(e.told[0].Weather)
	}
	heard := e.circle.Numbers(at+1, e.told, e.km)
	for n, has := range heard.Has {
		to.x[n], to.has[n] = float32(heard.X[n]), has
	}
}

// hear takes what a speaker says at that time, if it says a thing that can be.
func (e *ear) hear(s *speaker, at int64) {
	for s.next < len(s.TimeMs) && s.TimeMs[s.next] <= at {
		s.next++
	}
	row := s.next - 1
	if row < 0 || s.TimeMs[row] != at || s.absurd[row] {
		return
	}
	if s.twice && slices.ContainsFunc(e.told, func(n neighbours.Nowcast) bool { return n.Sender == s.Site }) {
		return // the nearer one of that name has spoken
	}
	e.told, e.km = append(e.told, s.nowcast(row)), append(e.km, s.km)
}

// near lists the sites that may speak to site i, the nearest first.
func (r Region) near(series []*Series, i int) []int {
	s := series[i]
	within := r.WithinKM
	if within == 0 {
		within = neighbours.ThunderKM
	}
	if s.place == nil {
		return nil
	}
	var out []int
	for j, o := range series {
		if j != i && o.place != nil && (r.From == nil || r.From(o.Site)) && s.place.KM(*o.place) <= within {
			out = append(out, j)
		}
	}
	sort.SliceStable(out, func(a, b int) bool {
		return s.place.KM(*series[out[a]].place) < s.place.KM(*series[out[b]].place)
	})
	most := r.Most
	if most == 0 {
		most = neighbours.MaxNeighbours
	}
	return out[:min(len(out), most)]
}

func (l Lie) weather(w neighbours.Weather) neighbours.Weather {
	storm := l == CriesStorm
	if w.GustRatio.OK {
		w.GustRatio.V = 0
		if storm {
			w.GustRatio.V = neighbours.MaxGustRatio
		}
	}
	if w.PressureChange3hHPa.OK {
		w.PressureChange3hHPa.V = 0
		if storm {
			w.PressureChange3hHPa.V = -neighbours.MaxChangeHPa
		}
	}
	w.ThunderAgoMs = neighbours.ThunderBackMs + 1
	if storm {
		w.ThunderAgoMs = 0
	}
	return w
}

// nowcast is what a site said at a row.
func (s *Series) nowcast(row int) neighbours.Nowcast {
	at := s.TimeMs[row] + 1 // never 0, which is no time
	return neighbours.Nowcast{
		Sender: s.Site, Position: *s.place, MadeAtMs: at, ValidUntilMs: at + neighbours.FreshMs, Weather: s.weather[row],
	}
}

// SetPlace tells where the site is, before the first Add. Its time stamps are Unix
// time. It serves the sun's features and the neighbours.
func (s *Series) SetPlace(p model.Position) {
	s.place = &neighbours.Position{LatitudeDeg: p.Latitude, LongitudeDeg: p.Longitude}
	s.extractor.SetPosition(p)
	s.extractor.SetClock(0, 0)
}

// tell keeps what the site may tell others at the newest row. The label of a
// recording stands in for a detector.
func (s *Series) tell(thunder int8) {
	w := s.extractor.Weather()
	at := s.TimeMs[len(s.TimeMs)-1]
	if thunder >= 0 {
		if thunder == 1 {
			s.thunderMs, s.hadThunder = at, true
		}
		w.Thunder, w.ThunderAgoMs = true, neighbours.ThunderBackMs+1
		if s.hadThunder {
			w.ThunderAgoMs = at - s.thunderMs
		}
	}
	s.weather = append(s.weather, w)
	absurd := true
	if s.place != nil {
		n := s.nowcast(len(s.weather) - 1)
		absurd = n.Check() != nil
	}
	s.absurd = append(s.absurd, absurd)
}
