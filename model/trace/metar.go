package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
)

// METAROptions say what a file of reports does not say itself.
type METAROptions struct {
	// Month, "2024-07", is that of the first report where lines carry no date:
	// a METAR names day, hour and minute only.
	Month string
	// ElevationM is the station's height in metres; with HasElevation the
	// pressure is taken down to the station by the ICAO standard atmosphere.
	// Without, it is the QNH, at sea level.
	ElevationM   float64
	HasElevation bool
}

// ImportMETAR reads aerodrome reports (METAR and SPECI, WMO No. 306 code forms
// FM 15 and FM 16), one a line, plain or compressed, of one station. A line may
// be
//
//   - a row of a CSV with a header that names the columns valid (UTC) and metar;
//   - a date and the report: "2024-07-01 00:53 METAR ...", "202407010053 ...",
//     "2024/07/01 00:53 KJFK ...";
//   - a date alone, for the reports that follow it;
//   - a report alone, with METAROptions.Month for the first one.
//
// Reports are sorted by time; of two of one time the later in the file counts
// (COR). What a report does not say stays empty: with one exception, the gust,
// which a report names only if it is 10 kt above the mean. Without one the mean
// stands for it, and the trace lists the channel as composed. Humidity is
// composed of temperature and dew point. label_thunder is 1 where the report
// has a thunderstorm at or near the aerodrome (TS, VCTS). Rain is the amount of
// the hour (remark P), from reports of the usual minute only.
func ImportMETAR(in io.Reader, o METAROptions) (*Trace, error) {
	plain, err := decompress(in)
	if err != nil {
		return nil, fmt.Errorf("import METAR: %w", err)
	}
	m := metarImport{options: o}
	if o.Month != "" {
		if m.near, err = time.Parse("2006-01", o.Month); err != nil {
			return nil, fmt.Errorf("import METAR: month %q: want 2024-07", o.Month)
		}
		m.inMonth = true
	}
	scan := bufio.NewScanner(plain)
	scan.Buffer(make([]byte, 0, 4096), maxLineBytes)
	for scan.Scan() {
		m.line++
		if err := m.take(string(bytes.TrimSpace(scan.Bytes()))); err != nil {
			return nil, fmt.Errorf("import METAR: %w", &Error{Line: m.line, Err: err})
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("import METAR: %w", &Error{Line: m.line + 1, Err: err})
	}
	if len(m.reports) == 0 {
		return nil, fmt.Errorf("import METAR: %w", &Error{Line: m.line + 1, Err: errors.New("no report")})
	}
	return m.trace(), nil
}

// metarImport is the state of one import.
type metarImport struct {
	options METAROptions
	line    int
	station string
	near    time.Time // a report is of the day nearest to this; zero: unknown
	inMonth bool      // near is a month, the first report is in it
	valid   int       // columns of a CSV, from 1; 0: none
	metar   int
	columns int
	reports []metarReport
}

func (m *metarImport) take(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if m.line == 1 && m.header(line) {
		return nil
	}
	if m.valid > 0 {
		cells := strings.SplitN(line, ",", m.columns)
		if len(cells) != m.columns {
			return fmt.Errorf("%d columns, the header has %d", len(cells), m.columns)
		}
		at, err := time.Parse("2006-01-02 15:04", strings.Trim(cells[m.valid-1], `"`))
		if err != nil {
			return fmt.Errorf("column valid: %q is no time such as 2024-07-01 00:53", cells[m.valid-1])
		}
		m.near, m.inMonth = at, false
		return m.report(strings.Trim(cells[m.metar-1], `"`))
	}
	at, rest := leadingDate(line)
	if !at.IsZero() {
		m.near, m.inMonth = at, false
		if rest == "" {
			return nil
		}
	}
	return m.report(rest)
}

// header recognises a CSV's header and says whether the line is one.
func (m *metarImport) header(line string) bool {
	names := strings.Split(strings.ToLower(line), ",")
	valid, metar := slices.Index(names, "valid"), slices.Index(names, "metar")
	if valid < 0 || metar < 0 {
		return false
	}
	m.valid, m.metar, m.columns = valid+1, metar+1, len(names)
	return true
}

// leadingDate cuts a date and time off a line; the zero time if there is none.
func leadingDate(line string) (at time.Time, rest string) {
	for _, layout := range []string{"2006-01-02 15:04", "2006/01/02 15:04", "2006-01-02T15:04Z", "200601021504"} {
		if len(line) < len(layout) || len(line) > len(layout) && line[len(layout)] != ' ' && line[len(layout)] != ',' {
			continue
		}
		if t, err := time.Parse(layout, line[:len(layout)]); err == nil {
			return t, strings.TrimLeft(line[len(layout):], " ,")
		}
	}
	return time.Time{}, line
}

func (m *metarImport) report(text string) error {
	r, ok, err := parseMETAR(text)
	if err != nil || !ok {
		return err
	}
	switch {
	case m.station == "":
		m.station = r.station
	case m.station != r.station:
		return fmt.Errorf("station %s after %s: one file, one station", r.station, m.station)
	case len(m.reports) == maxRows:
		return fmt.Errorf("more than %d reports", maxRows)
	}
	if m.near.IsZero() {
		return errors.New("no line names a date: give the month of the first report (--month 2024-07)")
	}
	if m.near.Year() < 1900 {
		return fmt.Errorf("the year %d is before all aerodromes", m.near.Year())
	}
	if !r.date(m.near, m.inMonth) {
		return fmt.Errorf("%02d%02d%02dZ is no time near %s", r.day, r.hour, r.minute, m.near.Format("2006-01-02"))
	}
	m.near, m.inMonth = r.at, false
	m.reports = append(m.reports, r)
	return nil
}

// date gives the report the day nearest to a time, or one in its month.
func (r *metarReport) date(near time.Time, inMonth bool) bool {
	found := false
	for shift := -1; shift <= 1; shift++ {
		month := time.Date(near.Year(), near.Month()+time.Month(shift), 1, 0, 0, 0, 0, time.UTC)
		at := time.Date(month.Year(), month.Month(), r.day, r.hour, r.minute, 0, 0, time.UTC)
		if at.Month() != month.Month() || inMonth && shift != 0 {
			continue // no such day there
		}
		if !found || at.Sub(near).Abs() < r.at.Sub(near).Abs() {
			r.at, found = at, true
		}
	}
	return found
}

// trace turns the reports into rows.
func (m *metarImport) trace() *Trace {
	slices.SortStableFunc(m.reports, func(a, b metarReport) int { return a.at.Compare(b.at) })
	last := m.reports[:1]
	for _, r := range m.reports[1:] {
		if r.at.Equal(last[len(last)-1].at) {
			last[len(last)-1] = r
			continue
		}
		last = append(last, r)
	}
	m.reports = last
	t := &Trace{
		Meta: Meta{
			Site: m.station, IntervalS: m.intervalS(), Source: "METAR reports of " + m.station,
			Composed: []string{model.HumidityPct.String(), model.WindGustMPS.String()},
			Note:     "pressure is the QNH, at sea level; where no gust was reported the mean wind stands for it",
		},
		Channels: []model.Channel{
			model.TemperatureC, model.HumidityPct, model.PressureHPa, model.WindSpeedMPS, model.WindGustMPS,
			model.WindDirectionDeg, model.RainMM, model.Raining,
		},
		Labels: []string{KNMILabel},
	}
	if m.options.HasElevation {
		t.Meta.Composed = append(t.Meta.Composed, model.PressureHPa.String())
		t.Meta.Note = fmt.Sprintf("pressure is the QNH taken to %g m by the standard atmosphere; where no gust was reported the mean wind stands for it",
			m.options.ElevationM)
	}
	usual := m.usualMinute()
	for i := range m.reports {
		t.Rows = append(t.Rows, m.row(&m.reports[i], usual))
	}
	return t
}

func (m *metarImport) row(r *metarReport, usual int) Row {
	var row Row
	s := &row.Sample
	s.TimeMs = r.at.UnixMilli()
	set := func(c model.Channel, v float64, known bool) {
		if known {
			s.Set(c, v)
		}
	}
	set(model.TemperatureC, r.temperatureC, r.hasTemperature)
	set(model.HumidityPct, humidity(r.temperatureC, r.dewPointC), r.hasTemperature && r.hasDewPoint)
	pressure := r.qnhHPa
	if m.options.HasElevation {
		// ICAO Doc 7488: 15 C and 6.5 K/km below 11 km.
		pressure = math.Round(pressure*math.Pow(1-0.0065*m.options.ElevationM/288.15, 5.25588)*10) / 10
	}
	set(model.PressureHPa, pressure, r.hasQNH)
	set(model.WindSpeedMPS, r.windMPS, r.hasWind)
	set(model.WindGustMPS, max(r.gustMPS, r.windMPS), r.hasWind)
	set(model.WindDirectionDeg, r.directionDeg, r.hasDirection)
	set(model.RainMM, r.rainMM, r.hasRain && r.minute == usual)
	if r.weatherKnown {
		raining, thunder := 0.0, 0.0
		if r.raining {
			raining = 1
		}
		if r.thunder {
			thunder = 1
		}
		s.Set(model.Raining, raining)
		row.Labels = map[string]float64{KNMILabel: thunder}
	}
	return row
}

// humidity is that of air with this dew point, in whole percent: both come in
// tenths of a degree at best. Magnus formula, as the features use it.
func humidity(temperatureC, dewPointC float64) float64 {
	saturation := func(t float64) float64 { return math.Exp(17.625 * t / (243.04 + t)) }
	return min(math.Round(100*saturation(dewPointC)/saturation(temperatureC)), 100)
}

// usualMinute is the minute at which most reports are made.
func (m *metarImport) usualMinute() int {
	var count [60]int
	best := 0
	for i := range m.reports {
		minute := m.reports[i].minute
		if count[minute]++; count[minute] > count[best] {
			best = minute
		}
	}
	return best
}

// intervalS is the usual time between reports, in whole minutes.
func (m *metarImport) intervalS() float64 {
	gaps := make(map[float64]int)
	best := 3600.0
	for i := 1; i < len(m.reports); i++ {
		gap := m.reports[i].at.Sub(m.reports[i-1].at).Seconds()
		if gaps[gap]++; gaps[gap] > gaps[best] || gaps[gap] == gaps[best] && gap > best {
			best = gap
		}
	}
	return best
}
