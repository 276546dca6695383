package weather

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/brief"
)

// METAROptions say what the reports themselves do not.
type METAROptions struct {
	// Month is that of the first report, as "2024-07", for files without dates.
	// Later reports follow from day to day. A gap of two weeks or more needs a
	// date before each line.
	Month string
	Place Place
}

// ImportMETAR reads METAR and SPECI reports of one station, a report a line:
//
//	METAR EHAM 020255Z 22015G27KT ...          with METAROptions.Month
//	2024-01-02 02:55,METAR EHAM 020255Z ...    a date before it, with or without time;
//	202401020255 METAR EHAM 020255Z ...        also 2024/01/02 02:55, 2024-01-02T02:55Z,
//	EHAM,2024,01,02,02,55,METAR EHAM ...       and alone on a line
//	station,valid,...,metar                    a CSV with such a header
//
// A report may go on in lines that begin with a space and may end with '='.
// Empty lines and lines that begin with '#' are skipped. Reports may be in any
// order. A second report for the same minute replaces the first, unless only the
// first is a correction (COR). NIL reports are left out, with a time or without. The metadata key metar
// counts both.
//
// Speeds become m/s. Where no gust is reported, which means less than 10 kt
// above the mean, the gust is the mean: a lower bound. A wind that varies or
// is calm has no direction. Humidity is computed. The pressure is that at the
// station, computed from QNH, where the elevation is known; else the sea level
// pressure of the remarks where at least half the reports have it; else QNH,
// which is a sea level pressure too. The note says which.
//
// raining is 1 with rain, drizzle or unknown precipitation at the station, at
// the time or recently; label_thunder is 1 with thunder at the station, in its
// vicinity, recent, or in the remarks' times. An automatic station without the
// sensor leaves them empty. Rain amounts come from the remarks' group P.
func ImportMETAR(in io.Reader, o METAROptions) (*trace.Trace, error) {
	m := &metarImport{options: o, place: o.Place}
	t, err := m.run(in)
	if err != nil {
		return nil, fmt.Errorf("import METAR: %w", err)
	}
	return t, nil
}

// A metarImport is the state of one import.
type metarImport struct {
	options METAROptions
	place   Place
	station string
	month   time.Time // of options, or zero
	last    time.Time // of the report before, or zero
	dated   time.Time // of a line with nothing but a date, or zero

	columns  []string // of a CSV
	text     string   // of a report that may go on
	textLine int
	reports  []metarObserved
	absent   int
	repeated int
}

// A metarObserved is a report with its time and line.
type metarObserved struct {
	*metarReport
	at   time.Time
	line int
}

func (m *metarImport) run(in io.Reader) (*trace.Trace, error) {
	if err := m.place.check(); err != nil {
		return nil, err
	}
	if m.options.Month != "" {
		month, err := time.Parse("2006-01", m.options.Month)
		if err != nil {
			return nil, brief.Errorf("month %q: want a year and a month, as 2024-07", m.options.Month)
		}
		if err := checkYear(month); err != nil {
			return nil, brief.Errorf("month %q: %w", m.options.Month, err)
		}
		m.month = month
	}
	plain, err := trace.Decompress(in)
	if err != nil {
		return nil, err
	}
	scan := bufio.NewScanner(plain)
	scan.Buffer(make([]byte, 0, maxReportBytes), maxReportBytes)
	line := 0
	for scan.Scan() {
		line++
		if at, err := m.take(scan.Text(), line); err != nil {
			return nil, &trace.Error{Line: at, Err: err}
		}
	}
	if err := scan.Err(); err != nil {
		return nil, &trace.Error{Line: line + 1, Err: err}
	}
	if at, err := m.flush(); err != nil {
		return nil, &trace.Error{Line: at, Err: err}
	}
	if len(m.reports) == 0 {
		return nil, &trace.Error{Line: line + 1, Err: errors.New("no reports")}
	}
	return m.trace()
}

// take reads one line, and returns the line that an error is about.
func (m *metarImport) take(text string, line int) (int, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "" || trimmed[0] == '#':
		return m.flush()
	case m.columns != nil:
		return line, m.csvRow(trimmed, line)
	case len(m.reports) == 0 && m.text == "" && isCSVHeader(trimmed):
		m.columns = strings.Split(strings.ToLower(trimmed), ",")
		return line, nil
	case (text[0] == ' ' || text[0] == '\t') && m.text != "" && !strings.Contains(m.text, "="):
		if len(m.text)+len(trimmed) > maxReportBytes {
			return line, fmt.Errorf("a report of more than %d characters", maxReportBytes)
		}
		m.text += " " + trimmed
		return line, nil
	}
	if at, err := m.flush(); err != nil {
		return at, err
	}
	m.text, m.textLine = trimmed, line
	return line, nil
}

// flush reads the report that is complete.
func (m *metarImport) flush() (int, error) {
	text, line := m.text, m.textLine
	m.text = ""
	if text == "" {
		return line, nil
	}
	report, rest, _ := strings.Cut(text, "=")
	if strings.Trim(rest, " ,;\"=") != "" { // archives of some stations end a report with ==
		return line, errors.New("more than one report in a line")
	}
	date, report, err := splitDate(report)
	if err != nil {
		return line, err
	}
	if report == "" {
		m.dated = date
		return line, nil
	}
	if date.IsZero() {
		date = m.dated
	}
	m.dated = time.Time{}
	return line, m.add(report, date, line)
}

func isCSVHeader(text string) bool {
	names := strings.Split(strings.ToLower(text), ",")
	return slices.Contains(names, "valid") && slices.Contains(names, "metar")
}

func (m *metarImport) csvRow(text string, line int) error {
	cells, err := m.cells(text)
	if err != nil {
		return fmt.Errorf("CSV: %w", err)
	}
	if len(cells) != len(m.columns) {
		return fmt.Errorf("%d columns, the header has %d", len(cells), len(m.columns))
	}
	cell := func(name string) string {
		if i := slices.Index(m.columns, name); i >= 0 {
			return strings.TrimSpace(cells[i])
		}
		return ""
	}
	if err := m.csvPlace(cell("lat"), cell("lon"), cell("elevation")); err != nil {
		return err
	}
	report := strings.TrimRight(cell("metar"), "= ")
	if report == "" || report == "M" || report == "null" {
		m.absent++
		return nil
	}
	date, err := parseDate(strings.FieldsFunc(cell("valid"), isSeparator))
	if err != nil {
		return fmt.Errorf("column valid: %w", err)
	}
	return m.add(report, date, line)
}

// cells splits a row. A report in the last column may hold commas: not every
// archive puts quotes around it.
func (m *metarImport) cells(text string) ([]string, error) {
	n := len(m.columns)
	if m.columns[n-1] == "metar" && !strings.Contains(text, `"`) {
		return strings.SplitN(text, ",", n), nil
	}
	return csv.NewReader(strings.NewReader(text)).Read()
}

// csvPlace takes the station's place from a CSV, unless the caller gave it.
func (m *metarImport) csvPlace(lat, lon, elevation string) error {
	p := &m.place
	if la, errA := trace.ParseNumber(lat); errA == nil && lat != "" && !p.HasPosition {
		if lo, errO := trace.ParseNumber(lon); errO == nil && lon != "" {
			p.Latitude, p.Longitude, p.HasPosition = la, lo, true
		}
	}
	if e, err := trace.ParseNumber(elevation); err == nil && elevation != "" && !p.HasElevation {
		p.ElevationM, p.HasElevation = e, true
	}
	return p.check()
}

func isSeparator(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\t' || r == '"' }

// splitDate separates the date before a report from the report. Either may be
// missing.
func splitDate(text string) (time.Time, string, error) {
	words := strings.FieldsFunc(strings.ToUpper(text), isSeparator)
	at := 0
	for at < len(words) && words[at] != "METAR" && words[at] != "SPECI" &&
		!(isStation(words[at]) && at+1 < len(words) && (isTime(words[at+1]) || words[at+1] == "NIL")) {
		at++
	}
	before := words[:at]
	if len(before) == 6 && isStation(before[0]) {
		before = before[1:] // EHAM,2024,01,02,02,55,METAR EHAM ...
	}
	if len(before) == 0 {
		return time.Time{}, strings.Join(words[at:], " "), nil
	}
	date, err := parseDate(before)
	if err != nil && at == len(words) {
		err = fmt.Errorf("%.60q is no METAR or SPECI report (METAR EHAM 020255Z ...)", text)
	}
	return date, strings.Join(words[at:], " "), err
}

// parseDate reads a date, perhaps with a time, all UTC.
func parseDate(words []string) (time.Time, error) {
	text := strings.Join(words, " ")
	if len(words) == 5 {
		text = strings.Join(words[:3], "-") + " " + strings.Join(words[3:], ":")
	}
	for _, layout := range [...]string{
		"2006-01-02 15:04", "2006-01-02 15:04:05", "2006/01/02 15:04", "2006/01/02 15:04:05", "200601021504", "200601021504Z",
		"2006-01-02T15:04Z", "2006-01-02T15:04:05Z", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04Z", "2006-01-02 15:04:05Z07:00",
		"2006-01-02", "2006/01/02", "20060102",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), checkYear(t.UTC())
		}
	}
	return time.Time{}, fmt.Errorf("%.40q before the report is no date: want 2024-01-02 03:00", text)
}

// checkYear refuses a year without reports, mostly a typing error.
func checkYear(t time.Time) error {
	if y := t.Year(); y < 1930 || y > 2200 {
		return fmt.Errorf("year %d is outside 1930 to 2200", y)
	}
	return nil
}

func (m *metarImport) add(text string, date time.Time, line int) error {
	if len(m.reports) == maxRows {
		return fmt.Errorf("more than %d reports: split the file by years", maxRows)
	}
	r, err := parseMETAR(text)
	if err != nil {
		return err
	}
	if m.station == "" {
		m.station = r.station
	}
	if r.station != "" && m.station != r.station {
		return fmt.Errorf("station %s after %s: one file, one station", r.station, m.station)
	}
	if r.absent && r.day == 0 { // a bulletin's CCCC NIL
		m.absent++
		return nil
	}
	at, err := m.when(r, date)
	if err != nil {
		return err
	}
	m.last = at
	if r.absent {
		m.absent++
		return nil
	}
	m.reports = append(m.reports, metarObserved{r, at, line})
	return nil
}

// when finds year and month of a report's day: the nearest to the date before it,
// or to the report before.
func (m *metarImport) when(r *metarReport, date time.Time) (time.Time, error) {
	near := date
	switch {
	case !date.IsZero():
	case !m.last.IsZero():
		near = m.last
	case !m.month.IsZero():
		at := time.Date(m.month.Year(), m.month.Month(), r.day, r.hour, r.minute, 0, 0, time.UTC)
		if at.Month() != m.month.Month() {
			return at, fmt.Errorf("%s has no day %d", m.options.Month, r.day)
		}
		return at, nil
	default:
		return near, errors.New("the report has no year and month: name that of the first by --month 2024-07, or put a date before each report")
	}
	var best time.Time
	for step := -1; step <= 1; step++ {
		first := time.Date(near.Year(), near.Month()+time.Month(step), 1, 0, 0, 0, 0, time.UTC)
		at := time.Date(first.Year(), first.Month(), r.day, r.hour, r.minute, 0, 0, time.UTC)
		if at.Month() == first.Month() && (best.IsZero() || at.Sub(near).Abs() < best.Sub(near).Abs()) {
			best = at
		}
	}
	if !date.IsZero() && best.Sub(date).Abs() > 36*time.Hour {
		return best, fmt.Errorf("day %d of the report is far from its date %s", r.day, date.Format("2006-01-02"))
	}
	return best, checkYear(best) // gaps alone could lead to any year
}

// trace makes rows of the reports.
func (m *metarImport) trace() (*trace.Trace, error) {
	sort.SliceStable(m.reports, func(i, j int) bool { return m.reports[i].at.Before(m.reports[j].at) })
	kept := m.reports[:0]
	for _, r := range m.reports {
		n := len(kept)
		switch {
		case n == 0 || !kept[n-1].at.Equal(r.at):
			kept = append(kept, r)
			continue
		case r.corrected || !kept[n-1].corrected:
			kept[n-1] = r
		}
		m.repeated++
	}
	m.reports = kept
	pressure, said := m.pressure()
	gauge := slices.ContainsFunc(kept, func(r metarObserved) bool { return r.rainMM.ok })
	usual := m.usualMinute()
	rows := make([]observed, len(kept))
	for i, r := range kept {
		rows[i] = observed{Row: r.row(pressure), line: r.line}
		rows[i].Sample.TimeMs = r.at.UnixMilli()
		routine := r.kind == "METAR" || r.kind == "" && r.minute == usual
		if gauge && routine {
			switch {
			case r.rainMM.ok:
				rows[i].Sample.Set(model.RainMM, r.rainMM.v)
			case r.rainGauge:
				rows[i].Sample.Set(model.RainMM, 0)
			}
		}
	}
	t := &trace.Trace{Meta: trace.Meta{
		Site: "METAR " + m.station, IntervalS: usualGapS(rows), Source: "METAR and SPECI reports of " + m.station,
		Note: said + "; humidity is computed from the dew point; where no gust is reported it is the mean; rain 0.05 stands for a trace",
		Extra: []trace.KeyValue{{Key: "metar", Value: strconv.Itoa(len(kept)) + " reports, " + strconv.Itoa(m.absent) + " NIL, " +
			strconv.Itoa(m.repeated) + " replaced"}},
	}, Labels: []string{trace.LabelThunder}}
	m.place.into(&t.Meta)
	t.Channels = keepFilled(rows, []model.Channel{
		model.TemperatureC, model.HumidityPct, model.PressureHPa, model.WindSpeedMPS, model.WindGustMPS,
		model.WindDirectionDeg, model.RainMM, model.Raining,
	})
	if len(t.Channels) == 0 {
		return nil, &trace.Error{Line: rows[0].line, Err: errors.New("no report has a wind, temperature, pressure or weather that can be read")}
	}
	for _, c := range [...]model.Channel{model.HumidityPct, model.PressureHPa} {
		if slices.Contains(t.Channels, c) && (c == model.HumidityPct || m.place.HasElevation) {
			t.Meta.Composed = append(t.Meta.Composed, c.String())
		}
	}
	for i := range rows {
		t.Rows = append(t.Rows, rows[i].Row)
	}
	m.leftOut(t)
	return t, nil
}

// leftOut says what the rows lack: a pressure that is never read costs W07 and
// W08.
func (m *metarImport) leftOut(t *trace.Trace) {
	add := func(count int, what string) {
		if count > 0 {
			t.LeftOut = append(t.LeftOut, model.LeftOut{What: what, Count: count})
		}
	}
	add(m.absent, "NIL reports")
	add(m.repeated, "reports replaced by another of the same minute")
	for _, c := range [...]struct {
		channel model.Channel
		name    string
	}{{model.TemperatureC, "temperature"}, {model.PressureHPa, "pressure"}, {model.WindSpeedMPS, "wind"}} {
		n := 0
		for i := range t.Rows {
			if t.Rows[i].Sample.Validity[c.channel] != model.Valid {
				n++
			}
		}
		add(n, "reports without a "+c.name+" that is read")
	}
}

// usualMinute is the minute of the hour at which most reports are made; CSV
// files often leave out whether a report is a routine one.
func (m *metarImport) usualMinute() int {
	var count [60]int
	best := 0
	for _, r := range m.reports {
		if count[r.minute]++; count[r.minute] > count[best] {
			best = r.minute
		}
	}
	return best
}

// pressure chooses which pressure is read from the reports, and says it in
// words. It is one kind for the whole file: a change would look like weather.
func (m *metarImport) pressure() (func(*metarReport) quantity, string) {
	if m.place.HasElevation {
		h := m.place.ElevationM
		return func(r *metarReport) quantity {
			if !r.qnhHPa.ok {
				return quantity{}
			}
			return known(tenths(stationHPa(r.qnhHPa.v, h)))
		}, "pressure is that at the station, computed from QNH for " + strconv.FormatFloat(h, 'f', -1, 64) + " m"
	}
	n := 0
	for _, r := range m.reports {
		// Remarks are national. FMH-1 says how SLP is made, for stations that name
		// their type; another's is taken only where there is no QNH.
		if r.seaLevelHPa.ok && (r.automated || !r.qnhHPa.ok) {
			n++
		}
	}
	if 2*n >= len(m.reports) {
		return func(r *metarReport) quantity { return r.seaLevelHPa }, "pressure is that at sea level (SLP), not at the station"
	}
	return func(r *metarReport) quantity { return r.qnhHPa }, "pressure is QNH, a pressure at sea level in whole steps, not that at the station"
}

// stationHPa is the pressure at an elevation in the standard atmosphere with qnh
// at sea level. QNH is defined the other way round.
func stationHPa(qnhHPa, elevationM float64) float64 {
	const n = 0.190263 // gas constant times lapse rate, by gravity
	at := math.Pow(qnhHPa, n) - math.Pow(1013.25, n)*0.0065*elevationM/288.15
	return math.Pow(at, 1/n)
}

func (r *metarReport) row(pressure func(*metarReport) quantity) trace.Row {
	var row trace.Row
	set := func(c model.Channel, q quantity) {
		if q.ok {
			row.Sample.Set(c, q.v)
		}
	}
	gust := r.gustMPS
	if r.windMPS.ok {
		gust = known(max(r.windMPS.v, gust.v))
	}
	set(model.TemperatureC, r.temperatureC)
	set(model.PressureHPa, pressure(r))
	set(model.WindSpeedMPS, r.windMPS)
	set(model.WindGustMPS, gust)
	set(model.WindDirectionDeg, r.directionDeg)
	if r.temperatureC.ok && r.dewC.ok {
		row.Sample.Set(model.HumidityPct, dewHumidityPct(r.temperatureC.v, r.dewC.v))
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	if !r.weatherUnknown || r.raining {
		row.Sample.Set(model.Raining, truth(r.raining))
	}
	if r.thunder || !r.weatherUnknown && !r.thunderUnknown {
		row.Labels = map[string]float64{trace.LabelThunder: truth(r.thunder)}
	}
	return row
}
