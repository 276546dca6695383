package model

import (
	"fairwatt/model/neighbours"
)

// What an extractor knows of its place: where it stands and how late it is there,
// how strong an ordinary strong hour is, and what the neighbours say. Each is
// missing where it was not told.

// A place is where and when samples are taken.
type place struct {
	at        *Position
	offsetMs  int64 // Unix time less the sensing clock
	clock     bool  // the offset is known
	sun       sun
	newestMs  int64 // of the last sample
	gusts     strongHours
	strokesMs int64 // when the last counted strokes were measured
	hasMs     bool
	heard     neighbours.Heard
	heardMs   int64
}

// heardForMs is how long what was heard counts: the next message is due in 10 minutes,
// and the agent tells it anew with each of its own samples.
const heardForMs = 10 * 60_000

// SetPosition tells where the samples are taken. With SetClock it serves the sun's
// height, the local solar time and the season.
func (e *Extractor) SetPosition(p Position) { e.place.at, e.place.sun = &p, sun{} }

// SetClock tells what a trusted wall clock read (Unix milliseconds) when the
// sensing clock read tMs.
func (e *Extractor) SetClock(unixMs, tMs int64) { e.place.offsetMs, e.place.clock = unixMs-tMs, true }

// Hear tells what the neighbours say when the sensing clock reads tMs. It counts in
// the samples of the next 10 minutes.
func (e *Extractor) Hear(tMs int64, h *neighbours.Heard) { e.place.heard, e.place.heardMs = *h, tMs }

// Weather is what this station may tell its neighbours at its newest sample.
func (e *Extractor) Weather() neighbours.Weather {
	w := neighbours.Weather{ThunderAgoMs: neighbours.ThunderBackMs}
	if !e.any {
		return w
	}
	if g := e.gustMax(0, bucketsHour); g.ok {
		w.GustRatio = e.place.gusts.q.Ratio(g.v)
	}
	if d := e.at(meanPressure, 0).minus(e.at(meanPressure, 3*bucketsHour)); d.ok {
		d.v = min(max(d.v, -neighbours.MaxChangeHPa), neighbours.MaxChangeHPa)
		w.PressureChange3hHPa = neighbours.Some(d.v)
	}
	strokes := 0.0
	for lag := int64(6*bucketsHour) - 1; lag >= 0; lag-- {
		b := e.bucket(lag)
		if b == nil || !b.hasLightning {
			continue
		}
		w.Thunder = w.Thunder || lag < bucketsHour // a detector that is silent for an hour notices nothing
		if b.lightning {
			w.ThunderAgoMs = lag * bucketMs
		}
		if lag < 3*bucketsHour {
			strokes += b.strokes
		}
	}
	if !w.Thunder {
		return neighbours.Weather{
			GustRatio: w.GustRatio, PressureChange3hHPa: w.PressureChange3hHPa, ThunderAgoMs: neighbours.ThunderBackMs,
		}
	}
	w.Strokes3h = int64(min(strokes, neighbours.MaxStrokes))
	return w
}

// addStrokes counts strokes once: a sample may repeat the detector's last count
// with a growing age. A distance tells of a stroke where W01 takes it for one.
func (e *Extractor) addStrokes(b *bucket, s *Sample) {
	if v, ok := s.Get(LightningCount); ok {
		b.hasLightning, b.lightning = true, b.lightning || v > 0
		if measured := s.TimeMs - s.AgeMs[LightningCount]; !e.place.hasMs || measured > e.place.strokesMs {
			b.strokes += v
			e.place.strokesMs, e.place.hasMs = measured, true
		}
	} else if km, ok := s.Get(LightningKM); ok {
		b.hasLightning, b.lightning = true, b.lightning || isStroke(km)
	}
}

// features sets what the place adds. gust is the highest of the last hour.
func (p *place) features(f *Features, gust optional) {
	if gust.ok {
		r := p.gusts.q.Ratio(gust.v)
		f.set(FeatureGustRatio, optional{r.V, r.OK})
	}
	if p.at != nil && p.clock {
		unix := p.newestMs + p.offsetMs
		sine := p.sun.sine(p.at, unix)
		f.set(FeatureSunSine, optional{sine, true})
		hour := p.sun.hour(p.at, unix)
		f.set(FeatureSolarTimeSin, optional{sinDeg(hour), true})
		f.set(FeatureSolarTimeCos, optional{cosDeg(hour), true})
		decl := p.sun.decl
		if p.at.Latitude < 0 {
			decl = -decl // summer is summer
		}
		f.set(FeatureDeclination, optional{decl, true})
	}
	if p.newestMs-p.heardMs > heardForMs {
		return
	}
	for i, has := range p.heard.Has {
		f.set(FeatureNeighbours+i, optional{p.heard.X[i], has})
	}
}

// hears says whether a neighbour's number is there.
func (f *Features) hears() bool {
	for i := range neighbours.NumNumbers {
		if !f.Missing[FeatureNeighbours+i] {
			return true
		}
	}
	return false
}

func (f *Features) forgetNeighbours() {
	for i := range neighbours.NumNumbers {
		f.X[FeatureNeighbours+i], f.Missing[FeatureNeighbours+i] = 0, true
	}
}

// strongHours books the highest gust of each hour.
type strongHours struct {
	q       neighbours.Quantile
	hour    int64
	highest float64
	any     bool // a gust came in this hour
}

func (h *strongHours) push(s *Sample) {
	v, ok := s.Get(WindGustMPS)
	if !ok {
		return
	}
	switch hour := floorDiv(s.TimeMs, hourMs); {
	case h.any && hour == h.hour:
		h.highest = max(h.highest, v)
	default:
		if h.any {
			h.q.Push(h.highest)
		}
		h.hour, h.highest, h.any = hour, v, true
	}
}

// gustEntry names what a snapshot holds of the strong hours. The state stands in
// the name, cut into pieces: programs that do not know it pass over a rule that
// they do not have.
const gustEntry = "gust hours "

func (h *strongHours) append(b []byte) []byte {
	state := h.q.Append(nil)
	for piece := byte(0); len(state) > 0; piece++ {
		n := min(len(state), 200)
		b = appendEntry(b, gustEntry+string(state[:n]), 0, piece, 0)
		state = state[n:]
	}
	return b
}

// restore takes over what append wrote. What cannot be read is left out: strong
// hours are learnt again within a week, and no hold is lost over them.
func (h *strongHours) restore(state []byte) {
	var q neighbours.Quantile
	if rest, err := q.Restore(state); err == nil && len(rest) == 0 {
		h.q = q
	}
}
