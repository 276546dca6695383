package weather

import (
	"bufio"
	"bytes"
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

// knmiColumn says how one column of KNMI's hourly text becomes a channel.
type knmiColumn struct {
	name    string
	channel model.Channel
	scale   float64
}

// knmiColumns are the columns that have a channel. KNMI gives tenths of a
// degree, m/s, hPa and mm; Q is J/cm2 in the hour, 1 J/cm2 being 10000/3600
// W/m2. FH is the mean of the whole hour, as the trace's sample is.
var knmiColumns = [...]knmiColumn{
	{"T", model.TemperatureC, 0.1},
	{"U", model.HumidityPct, 1},
	{"P", model.PressureHPa, 0.1},
	{"FH", model.WindSpeedMPS, 0.1},
	{"FX", model.WindGustMPS, 0.1},
	{"DD", model.WindDirectionDeg, 1},
	{"RH", model.RainMM, 0.1},
	{"R", model.Raining, 1},
	{"Q", model.IrradianceWPM2, 10000.0 / 3600},
}

// knmiThunder is the column that says that thunder was observed ("onweer").
const knmiThunder = "O"

// ImportKNMI reads hourly observations as the Royal Netherlands Meteorological
// Institute publishes them: header lines, with '#' before them or as plain text
// (the last one names the columns), then comma-separated, space-padded values in tenths.
// HH, 1 to 24, is the end of the hour in UTC. A rain amount of -1 means less
// than 0.05 mm and becomes 0.05 (a trace). A wind direction of 0 (calm) or 990
// (variable) becomes missing. One file holds one station. The metadata has the
// credit.
func ImportKNMI(in io.Reader) (*trace.Trace, error) {
	plain, err := trace.Decompress(in)
	if err != nil {
		return nil, fmt.Errorf("import KNMI: %w", err)
	}
	scan := bufio.NewScanner(plain)
	scan.Buffer(make([]byte, 0, 4096), maxLineBytes)
	k := knmi{trace: &trace.Trace{Meta: trace.Meta{
		IntervalS: 3600,
		Source:    "Royal Netherlands Meteorological Institute (KNMI), hourly data",
		Licence:   "CC BY 4.0; credit KNMI",
		Note:      "time is the end of the hour, UTC; rain 0.05 stands for a trace",
	}}}
	for scan.Scan() {
		k.line++
		if err := k.take(string(bytes.TrimSpace(scan.Bytes()))); err != nil {
			return nil, fmt.Errorf("import KNMI: %w", err)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("import KNMI: %w", &trace.Error{Line: k.line + 1, Err: err})
	}
	if k.columns == nil {
		return nil, fmt.Errorf("import KNMI: %w", &trace.Error{Line: k.line + 1, Err: errors.New("no line that names the columns (STN,YYYYMMDD,HH,...)")})
	}
	if len(k.trace.Rows) == 0 {
		return nil, fmt.Errorf("import KNMI: %w", &trace.Error{Line: k.line + 1, Err: errors.New("no observations")})
	}
	return k.trace, nil
}

// knmi is the state of one import.
type knmi struct {
	trace   *trace.Trace
	line    int
	columns []string
	station string
}

func (k *knmi) fail(column, format string, args ...any) error {
	return &trace.Error{Line: k.line, Column: column, Err: brief.Errorf(format, args...)}
}

func (k *knmi) take(line string) error {
	if line == "" {
		return nil
	}
	text, isHeader := strings.CutPrefix(line, "#")
	cells := strings.Split(strings.TrimPrefix(text, " "), ",")
	if len(cells) > maxColumns {
		return k.fail("", "%d columns; at most %d are allowed", len(cells), maxColumns)
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	named := len(cells) > 3 && cells[0] == "STN"
	switch {
	case named && cells[1] == "YYYYMMDD" && cells[2] != "HH" && cells[2] != "H":
		return k.fail(cells[2], "the third column must be HH: only hourly data is read")
	case named && cells[1] == "YYYYMMDD":
		if k.columns == nil {
			k.setColumns(cells)
		}
		return nil
	case isHeader, k.columns == nil && !isKNMIRow(cells):
		return nil // a station's file begins with plain text
	case k.columns == nil:
		return k.fail("", "an observation before the line that names the columns (STN,YYYYMMDD,HH,...)")
	}
	return k.row(cells)
}

// isKNMIRow tells an observation from the text before the names.
func isKNMIRow(cells []string) bool {
	if len(cells) < 3 {
		return false
	}
	_, station := digits(cells[0])
	_, day := digits(cells[1])
	return station && day && len(cells[1]) == 8
}

func (k *knmi) setColumns(names []string) {
	k.columns = names
	for _, c := range knmiColumns {
		if k.index(c.name) >= 0 {
			k.trace.Channels = append(k.trace.Channels, c.channel)
		}
	}
	if k.index(knmiThunder) >= 0 {
		k.trace.Labels = []string{trace.LabelThunder}
	}
	var left []string
	for _, name := range names[min(3, len(names)):] {
		known := slices.ContainsFunc(knmiColumns[:], func(c knmiColumn) bool { return c.name == name })
		if name != "" && name != knmiThunder && !known {
			left = append(left, name)
		}
	}
	leftColumns(k.trace, left)
}

func (k *knmi) index(name string) int {
	for i, c := range k.columns {
		if c == name {
			return i
		}
	}
	return -1
}

func (k *knmi) row(cells []string) error {
	switch {
	case len(cells) != len(k.columns):
		return k.fail("", "%d columns, the header has %d", len(cells), len(k.columns))
	case k.station == "":
		k.station = cells[0]
		k.trace.Meta.Site = "KNMI " + cells[0]
	case k.station != cells[0]:
		return k.fail("STN", "station %s after %s: one file, one station", cells[0], k.station)
	case len(k.trace.Rows) == maxRows:
		return k.fail("", "more than %d rows", maxRows)
	}
	day, err := time.Parse("20060102", cells[1])
	if err != nil {
		return k.fail("YYYYMMDD", "%q is no date", cells[1])
	}
	hour, err := strconv.Atoi(cells[2])
	if err != nil || hour < 1 || hour > 24 {
		return k.fail("HH", "%q is no hour from 1 to 24", cells[2])
	}
	row := trace.Row{}
	row.Sample.TimeMs = day.Add(time.Duration(hour) * time.Hour).UnixMilli()
	if n := len(k.trace.Rows); n > 0 && row.Sample.TimeMs <= k.trace.Rows[n-1].Sample.TimeMs {
		return k.fail("HH", "%s %s is not after the row before", cells[1], cells[2])
	}
	for _, c := range knmiColumns {
		if err := k.value(&row.Sample, c, cells); err != nil {
			return err
		}
	}
	if i := k.index(knmiThunder); i >= 0 && cells[i] != "" {
		if cells[i] != "0" && cells[i] != "1" {
			return k.fail(knmiThunder, "%q is neither 0 nor 1", cells[i])
		}
		row.Labels = map[string]float64{trace.LabelThunder: float64(cells[i][0] - '0')}
	}
	k.trace.Rows = append(k.trace.Rows, row)
	return nil
}

func (k *knmi) value(s *model.Sample, c knmiColumn, cells []string) error {
	i := k.index(c.name)
	if i < 0 || cells[i] == "" {
		return nil
	}
	raw, err := strconv.ParseInt(cells[i], 10, 32)
	if err != nil {
		return k.fail(c.name, "%q is not a whole number", cells[i])
	}
	switch {
	case c.name == "DD" && (raw == 0 || raw == 990):
		return nil
	case c.name == "RH" && raw == -1:
		s.Set(c.channel, 0.05)
		return nil
	}
	v := float64(raw) * c.scale
	if c.scale == 0.1 {
		v = float64(raw) / 10 // 123/10 is the double nearest to 12.3; 123*0.1 is not
	}
	s.Set(c.channel, v)
	return nil
}
