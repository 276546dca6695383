package weather

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/brief"
)

// Limits of what is read. An import keeps its whole trace in memory.
const (
	maxLineBytes = 1 << 20 // KNMI; the others have maxReportBytes
	maxColumns   = 256
	maxSkipLines = 1000
	maxRows      = 1 << 19 // 60 years of hours
)

// Conversions of units: a knot is 1852 m an hour; an inch of mercury is that of
// the conventional density and gravity.
const (
	mpsPerKnot = 0.514444
	hPaPerInHg = 33.8639
)

// rainTraceMM is written for rain that was seen and too little to measure.
const rainTraceMM = 0.05

// dewHumidityPct is the relative humidity of air at a temperature and a dew
// point, both in C, by Magnus' formula over water (17.625, 243.04), to a tenth
// of a percent. A dew point above the temperature, as rounding makes it, is
// saturation.
func dewHumidityPct(temperatureC, dewC float64) float64 {
	g := func(t float64) float64 { return 17.625 * t / (243.04 + t) }
	return tenths(min(100, 100*math.Exp(g(dewC)-g(temperatureC))))
}

// tenths rounds to one decimal: the double nearest to the decimal number, so
// that a trace shows 12.3 and not 12.299999999999999.
func tenths(v float64) float64 { return math.Round(v*10) / 10 }

// An observed row remembers its line, for errors found after sorting.
type observed struct {
	trace.Row
	line int
}

// sortObserved puts rows in order of time; rows of the same time keep the
// order of the file.
func sortObserved(rows []observed) {
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].Sample.TimeMs < rows[j].Sample.TimeMs })
}

// longestUsualMs is the longest gap that usualGapS takes for a station's habit
// and not for an outage: synoptic stations report every three hours, some every
// six.
const longestUsualMs = 6 * 3600 * 1000

// usualGapS is the time between rows that occurs most often, in seconds. Of
// several it is the longest, because ages are judged by it. Without any it is an
// hour.
func usualGapS(rows []observed) float64 {
	count := map[int64]int{}
	best := int64(0)
	for i := 1; i < len(rows); i++ {
		gap := rows[i].Sample.TimeMs - rows[i-1].Sample.TimeMs
		if gap > longestUsualMs {
			continue
		}
		count[gap]++
		if best == 0 || count[gap] > count[best] || count[gap] == count[best] && gap > best {
			best = gap
		}
	}
	if best == 0 {
		return 3600
	}
	return float64(best) / 1000
}

// leftColumns notes the columns of a file that no channel takes.
func leftColumns(t *trace.Trace, names []string) {
	if len(names) == 0 {
		return
	}
	const some = 8
	var shown []string
	for _, n := range names[:min(len(names), some)] {
		shown = append(shown, brief.Text(n))
	}
	if len(names) > some {
		shown = append(shown, "...")
	}
	t.LeftOut = append(t.LeftOut, model.LeftOut{What: "columns not read", Count: len(names), Names: strings.Join(shown, ", ")})
}

// keepFilled returns the channels of which some row has a value. A replay would
// require a column that is always empty, and never get it.
func keepFilled(rows []observed, channels []model.Channel) []model.Channel {
	var out []model.Channel
	for _, c := range channels {
		for i := range rows {
			if rows[i].Sample.Validity[c] == model.Valid {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

// A Place is what is known of a station besides its reports.
type Place struct {
	Site       string
	ElevationM float64 // over sea level, where HasElevation
	// HasElevation turns METAR's QNH into the pressure at the station.
	HasElevation   bool
	model.Position // where HasPosition
	HasPosition    bool
}

// The range of elevations: the Dead Sea's shore to above every airfield.
const (
	minElevationM = -450
	maxElevationM = 6000
)

// check names what is not on earth.
func (p *Place) check() error {
	if p.HasElevation && !(p.ElevationM >= minElevationM && p.ElevationM <= maxElevationM) {
		return fmt.Errorf("elevation %v m is outside %d to %d", p.ElevationM, minElevationM, maxElevationM)
	}
	if p.HasPosition && !(math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180) {
		return fmt.Errorf("position %v, %v is not on earth", p.Latitude, p.Longitude)
	}
	return nil
}

func (p *Place) into(m *trace.Meta) {
	if p.Site != "" {
		m.Site = p.Site
	}
	if p.HasPosition {
		m.Position, m.HasPosition = p.Position, true
	}
}
