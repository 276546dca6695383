package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"fairwatt/model"
)

// The fields of a line of ISD-Lite, in order (NOAA NCEI, ISD-Lite format
// document, 2006): year, month, day, hour, then these in tenths, but for
// direction and sky, -9999 where missing.
const (
	isdTemperature = iota + 4
	isdDewPoint
	isdPressure
	isdDirection
	isdSpeed
	_ // sky condition
	isdRain1h
	isdRain6h
	isdFields
)

const isdMissing = -9999

// ImportISDLite reads hourly weather as NOAA publishes it in the ISD-Lite
// format, plain or compressed, one station a file; years may stand one behind
// the other. Time is the hour in UTC. Humidity is composed of temperature and
// dew point; the pressure is at sea level; a rain amount of -1 (a trace) becomes
// 0.05 mm; a direction of 0 is a calm. There is no gust and no thunder in this
// format. Site and position are to be added by whoever knows them.
func ImportISDLite(in io.Reader) (*Trace, error) {
	plain, err := decompress(in)
	if err != nil {
		return nil, fmt.Errorf("import ISD-Lite: %w", err)
	}
	t := &Trace{
		Meta: Meta{
			IntervalS: 3600, Source: "NOAA National Centers for Environmental Information, ISD-Lite",
			Composed: []string{model.HumidityPct.String()},
			Note:     "pressure is at sea level; rain 0.05 stands for a trace",
		},
		Channels: []model.Channel{
			model.TemperatureC, model.HumidityPct, model.PressureHPa, model.WindSpeedMPS, model.WindDirectionDeg, model.RainMM,
		},
	}
	scan := bufio.NewScanner(plain)
	scan.Buffer(make([]byte, 0, 4096), maxLineBytes)
	line := 0
	for scan.Scan() {
		line++
		text := strings.TrimSpace(scan.Text())
		if text == "" {
			continue
		}
		if len(t.Rows) == maxRows {
			return nil, fmt.Errorf("import ISD-Lite: %w", &Error{Line: line, Err: fmt.Errorf("more than %d rows", maxRows)})
		}
		row, err := isdRow(text)
		if n := len(t.Rows); err == nil && n > 0 && row.Sample.TimeMs <= t.Rows[n-1].Sample.TimeMs {
			err = errors.New("not after the line before: put the years in order")
		}
		if err != nil {
			return nil, fmt.Errorf("import ISD-Lite: %w", &Error{Line: line, Err: err})
		}
		t.Rows = append(t.Rows, row)
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("import ISD-Lite: %w", &Error{Line: line + 1, Err: err})
	}
	if len(t.Rows) == 0 {
		return nil, fmt.Errorf("import ISD-Lite: %w", &Error{Line: line + 1, Err: errors.New("no observation")})
	}
	return t, nil
}

func isdRow(text string) (row Row, err error) {
	words := strings.Fields(text)
	if len(words) != isdFields {
		return row, fmt.Errorf("%d numbers, a line of ISD-Lite has %d", len(words), isdFields)
	}
	var v [isdFields]int
	for i, w := range words {
		if v[i], err = strconv.Atoi(w); err != nil {
			return row, fmt.Errorf("number %d: %.20q is not a whole number", i+1, w)
		}
	}
	at := time.Date(v[0], time.Month(v[1]), v[2], v[3], 0, 0, 0, time.UTC)
	if v[0] < 1900 || v[0] > 9999 || v[3] < 0 || v[3] > 23 || at.Month() != time.Month(v[1]) || at.Day() != v[2] {
		return row, fmt.Errorf("%04d %02d %02d %02d is no hour of a day", v[0], v[1], v[2], v[3])
	}
	s := &row.Sample
	s.TimeMs = at.UnixMilli()
	tenths := func(c model.Channel, field int) {
		if v[field] != isdMissing {
			s.Set(c, float64(v[field])/10)
		}
	}
	tenths(model.TemperatureC, isdTemperature)
	tenths(model.PressureHPa, isdPressure)
	tenths(model.WindSpeedMPS, isdSpeed)
	if v[isdTemperature] != isdMissing && v[isdDewPoint] != isdMissing {
		s.Set(model.HumidityPct, humidity(float64(v[isdTemperature])/10, float64(v[isdDewPoint])/10))
	}
	if d := v[isdDirection]; d != isdMissing && d != 0 {
		s.Set(model.WindDirectionDeg, float64(d))
	}
	switch v[isdRain1h] {
	case -1:
		s.Set(model.RainMM, 0.05)
	default:
		tenths(model.RainMM, isdRain1h)
	}
	return row, nil
}
