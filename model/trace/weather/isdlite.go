package weather

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/brief"
)

// isdColumns names the twelve columns of a line, for errors.
var isdColumns = [12]string{
	"year", "month", "day", "hour", "air temperature", "dew point", "sea level pressure",
	"wind direction", "wind speed", "sky condition", "precipitation 1 h", "precipitation 6 h",
}

// Places in isdColumns.
const (
	isdTemperature = 4 + iota
	isdDewPoint
	isdPressure
	isdDirection
	isdSpeed
	isdSky
	isdRain1h
)

// isdMissing marks a missing value.
const isdMissing = -9999

// maxReportBytes bounds a line of ISD-Lite or METAR. Stations send a few hundred
// bytes.
const maxReportBytes = 4096

// ImportISDLite reads ISD-Lite, the hourly subset of NOAA's Integrated Surface
// Database: a line an hour of twelve columns, 61 characters wide, as NCEI's
// format description (June 2006) has it. Values are tenths of C, hPa, m/s and
// mm, -9999 is missing; a rain of -1 is a trace and becomes 0.05 mm.
//
// Humidity is computed from temperature and dew point and listed as composed.
// The pressure is that at sea level: the format has no other. The wind is a
// mean, and there are no gusts. A direction of 0 (calm) becomes missing. Sky
// condition and the rain of six hours have no channel and are left out. So is a
// channel without any value.
//
// Files may be gzipped and joined in any order: lines are sorted. The same hour
// twice is an error that names both lines, because the format does not name the
// station of a line.
func ImportISDLite(in io.Reader, place Place) (*trace.Trace, error) {
	t, err := importISDLite(in, place)
	if err != nil {
		return nil, fmt.Errorf("import ISD-Lite: %w", err)
	}
	return t, nil
}

func importISDLite(in io.Reader, place Place) (*trace.Trace, error) {
	if err := place.check(); err != nil {
		return nil, err
	}
	plain, err := trace.Decompress(in)
	if err != nil {
		return nil, err
	}
	scan := bufio.NewScanner(plain)
	scan.Buffer(make([]byte, 0, maxReportBytes), maxReportBytes)
	var rows []observed
	line := 0
	for scan.Scan() {
		line++
		text := strings.TrimRight(scan.Text(), " \t\r")
		if text == "" {
			continue
		}
		if len(rows) == maxRows {
			return nil, &trace.Error{Line: line, Err: fmt.Errorf("more than %d rows: split the file by years", maxRows)}
		}
		row, err := isdRow(text)
		if err != nil {
			if at := (*trace.Error)(nil); errors.As(err, &at) {
				at.Line = line
			}
			return nil, err
		}
		rows = append(rows, observed{Row: row, line: line})
	}
	if err := scan.Err(); err != nil {
		return nil, &trace.Error{Line: line + 1, Err: err}
	}
	if len(rows) == 0 {
		return nil, &trace.Error{Line: line + 1, Err: errors.New("no observations")}
	}
	return isdTrace(rows, place)
}

func isdTrace(rows []observed, place Place) (*trace.Trace, error) {
	sortObserved(rows)
	t := &trace.Trace{Meta: trace.Meta{
		Source:   "NOAA NCEI, Integrated Surface Database, ISD-Lite",
		Composed: []string{model.HumidityPct.String()},
		Note:     "pressure is that at sea level; humidity is computed from the dew point; rain 0.05 stands for a trace; no gusts",
	}}
	for i := range rows {
		if i > 0 && rows[i].Sample.TimeMs == rows[i-1].Sample.TimeMs {
			return nil, &trace.Error{Line: rows[i].line, Err: fmt.Errorf("the hour of line %d again: one trace, one station, each year once", rows[i-1].line)}
		}
		t.Rows = append(t.Rows, rows[i].Row)
	}
	t.Channels = keepFilled(rows, []model.Channel{
		model.TemperatureC, model.HumidityPct, model.PressureHPa,
		model.WindSpeedMPS, model.WindDirectionDeg, model.RainMM,
	})
	if len(t.Channels) == 0 {
		return nil, &trace.Error{Line: rows[0].line, Err: errors.New("no value in any line: all are -9999")}
	}
	if !slices.Contains(t.Channels, model.HumidityPct) {
		t.Meta.Composed = nil
	}
	t.Meta.IntervalS = usualGapS(rows)
	place.into(&t.Meta)
	return t, nil
}

// isdRow reads one line. Its errors are *trace.Error without a line.
func isdRow(text string) (trace.Row, error) {
	var row trace.Row
	fields := strings.Fields(text)
	if len(fields) != len(isdColumns) {
		return row, &trace.Error{Err: fmt.Errorf("%d columns, want %d (%s, ...): is this ISD-Lite, and whole?", len(fields), len(isdColumns), strings.Join(isdColumns[:4], ", "))}
	}
	var v [len(isdColumns)]int
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			return row, &trace.Error{Column: isdColumns[i], Err: brief.Errorf("%q is not a whole number", f)}
		}
		v[i] = int(n)
	}
	at := time.Date(v[0], time.Month(v[1]), v[2], v[3], 0, 0, 0, time.UTC)
	if v[0] < 1900 || v[0] > 2200 || int(at.Month()) != v[1] || at.Day() != v[2] || at.Hour() != v[3] {
		return row, &trace.Error{Column: "year", Err: fmt.Errorf("%s is no date and hour (0 to 23)", strings.Join(fields[:4], " "))}
	}
	s := &row.Sample
	s.TimeMs = at.UnixMilli()
	for _, c := range [...]struct {
		column  int
		channel model.Channel
	}{{isdTemperature, model.TemperatureC}, {isdPressure, model.PressureHPa}, {isdSpeed, model.WindSpeedMPS}, {isdRain1h, model.RainMM}} {
		if v[c.column] != isdMissing {
			s.Set(c.channel, float64(v[c.column])/10)
		}
	}
	switch {
	case v[isdRain1h] == -1:
		s.Set(model.RainMM, rainTraceMM)
	case v[isdRain1h] < 0 && v[isdRain1h] != isdMissing:
		return row, &trace.Error{Column: isdColumns[isdRain1h], Err: fmt.Errorf("%d is less than nothing (-1 is a trace, -9999 missing)", v[isdRain1h])}
	}
	if v[isdTemperature] != isdMissing && v[isdDewPoint] != isdMissing {
		t, dew := float64(v[isdTemperature])/10, float64(v[isdDewPoint])/10
		if !(t > -150 && t < 150 && dew > -150 && dew < 150) { // beyond it Magnus' formula means nothing
			return row, &trace.Error{Column: isdColumns[isdDewPoint], Err: fmt.Errorf("%v C at %v C is not of this earth", dew, t)}
		}
		s.Set(model.HumidityPct, dewHumidityPct(t, dew))
	}
	if d := v[isdDirection]; d != isdMissing && d != 0 {
		if d < 0 || d > 360 {
			return row, &trace.Error{Column: isdColumns[isdDirection], Err: fmt.Errorf("%d is outside 0 to 360 degrees", d)}
		}
		s.Set(model.WindDirectionDeg, float64(d))
	}
	return row, nil
}
