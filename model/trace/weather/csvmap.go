package weather

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/brief"
	"fairwatt/proto/strictyaml"
)

// A Map says how the columns of a foreign CSV become a trace. It is written in
// YAML; docs/trace-format.md has an example.
type Map struct {
	Separator string                   `yaml:"separator"` // one character; empty: comma
	SkipLines int                      `yaml:"skip_lines"`
	Time      TimeMap                  `yaml:"time"`
	Missing   []string                 `yaml:"missing"` // cells that mean "no value", besides the empty one
	Channels  map[string]ColumnMap     `yaml:"channels"`
	Labels    map[string]ColumnMap     `yaml:"labels"` // by name, with the prefix label_
	Meta      map[string]string        `yaml:"meta"`   // metadata keys of the trace
	channels  map[model.Channel]string // the same, parsed
}

// A TimeMap finds a row's time. Layout is Go's reference layout
// ("2006-01-02 15:04"), or "unix" or "unix_ms" for numbers; Zone is an IANA
// zone for layouts that carry none ("Europe/Amsterdam"; empty: UTC).
type TimeMap struct {
	Column string `yaml:"column"`
	Layout string `yaml:"layout"`
	Zone   string `yaml:"zone"`
}

// A ColumnMap finds a channel: value = cell x scale + offset. A scale of zero
// means 1.
type ColumnMap struct {
	Column  string   `yaml:"column"`
	Scale   float64  `yaml:"scale"`
	Offset  float64  `yaml:"offset"`
	Missing []string `yaml:"missing"` // besides those of the map
}

// ParseMap reads a column map. Unknown keys and channels are errors that name
// them.
func ParseMap(text []byte) (m Map, err error) {
	if err := strictyaml.Decode(text, &m); err != nil {
		return m, fmt.Errorf("column map: %w", err)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("column map: %w", err)
	}
	return m, nil
}

func (m *Map) check() error {
	switch {
	case m.Time.Column == "":
		return errors.New("time.column: missing")
	case m.Time.Layout == "":
		return errors.New("time.layout: missing")
	case len(m.Channels) == 0:
		return errors.New("channels: none")
	case m.SkipLines < 0 || m.SkipLines > maxSkipLines:
		return fmt.Errorf("skip_lines: %d is outside 0 to %d", m.SkipLines, maxSkipLines)
	case len([]rune(m.Separator)) > 1:
		return brief.Errorf("separator: %q is more than one character", m.Separator)
	case m.Separator == "\"" || m.Separator == "\r" || m.Separator == "\n":
		return brief.Errorf("separator: %q cannot separate", m.Separator)
	}
	if _, err := time.LoadLocation(m.Time.Zone); err != nil {
		return fmt.Errorf("time.zone: %w", err)
	}
	m.channels = map[model.Channel]string{}
	for name, c := range m.Channels {
		ch, err := model.ParseChannel(name)
		if err != nil {
			return fmt.Errorf("channels: %w", err)
		}
		if c.Column == "" {
			return fmt.Errorf("channels.%s.column: missing", name)
		}
		m.channels[ch] = name
	}
	for name, c := range m.Labels {
		if len(name) <= len(trace.LabelPrefix) || !strings.HasPrefix(name, trace.LabelPrefix) || strings.ContainsAny(name, ",\"\r\n") {
			return brief.Errorf("labels: %q must begin with %s", name, trace.LabelPrefix)
		}
		if c.Column == "" {
			return fmt.Errorf("labels.%s.column: missing", name)
		}
	}
	var meta trace.Meta
	for k, v := range m.Meta {
		if err := meta.Set(k, v); err != nil {
			return fmt.Errorf("meta: %w", err)
		}
	}
	return meta.Check()
}

// A csvSource is one column of the trace with the cell it comes from.
type csvSource struct {
	ColumnMap
	name    string
	index   int
	channel model.Channel
	isLabel bool
	missing []string
}

// ImportCSV reads a CSV with a header row through a column map. Rows must be
// in order of time.
func ImportCSV(in io.Reader, m Map) (*trace.Trace, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("column map: %w", err)
	}
	t, err := m.read(in)
	if err != nil {
		return nil, fmt.Errorf("import CSV: %w", err)
	}
	return t, nil
}

func (m *Map) read(in io.Reader) (*trace.Trace, error) {
	plain, err := trace.Decompress(in)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReader(plain)
	for i := range m.SkipLines {
		if _, err := b.ReadString('\n'); err != nil {
			return nil, &trace.Error{Line: i + 1, Err: err}
		}
	}
	r := csv.NewReader(b)
	r.ReuseRecord = true
	if m.Separator != "" {
		r.Comma = []rune(m.Separator)[0]
	}
	header, err := r.Read()
	if err != nil {
		return nil, &trace.Error{Line: m.SkipLines + 1, Err: err}
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	timeIndex := slices.Index(header, m.Time.Column)
	if timeIndex < 0 {
		return nil, &trace.Error{Line: m.SkipLines + 1, Column: m.Time.Column, Err: errors.New("is not in the header")}
	}
	t := &trace.Trace{}
	for _, k := range slices.Sorted(maps.Keys(m.Meta)) {
		if err := t.Meta.Set(k, m.Meta[k]); err != nil {
			return nil, err
		}
	}
	sources, err := m.sources(t, header)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(m.Time.Zone)
	if err != nil {
		return nil, err
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err // encoding/csv names line and column itself
		}
		line, _ := r.FieldPos(0)
		row, err := m.row(cells, timeIndex, zone, sources)
		if n := len(t.Rows); err == nil && n > 0 && row.Sample.TimeMs <= t.Rows[n-1].Sample.TimeMs {
			err = &trace.Error{Column: m.Time.Column, Err: brief.Errorf("%q is not after the row before", cells[timeIndex])}
		}
		if err == nil && len(t.Rows) == maxRows {
			err = &trace.Error{Err: fmt.Errorf("more than %d rows", maxRows)}
		}
		if err != nil {
			if at := (*trace.Error)(nil); errors.As(err, &at) {
				at.Line = line + m.SkipLines
			}
			return nil, err
		}
		t.Rows = append(t.Rows, row)
	}
}

// sources resolves the map against a header. Channels come in the order of the
// channel list, then labels by name, so that an import is always the same.
func (m *Map) sources(t *trace.Trace, header []string) ([]csvSource, error) {
	var out []csvSource
	add := func(name string, c ColumnMap, ch model.Channel, isLabel bool) error {
		i := slices.Index(header, c.Column)
		if i < 0 {
			return &trace.Error{Line: m.SkipLines + 1, Column: c.Column, Err: fmt.Errorf("is not in the header (wanted for %s)", name)}
		}
		if c.Scale == 0 {
			c.Scale = 1
		}
		out = append(out, csvSource{c, name, i, ch, isLabel, slices.Concat(m.Missing, c.Missing)})
		return nil
	}
	for ch := range model.NumChannels {
		if name, ok := m.channels[ch]; ok {
			if err := add(name, m.Channels[name], ch, false); err != nil {
				return nil, err
			}
			t.Channels = append(t.Channels, ch)
		}
	}
	for name := range m.Labels {
		t.Labels = append(t.Labels, name)
	}
	slices.Sort(t.Labels)
	for _, name := range t.Labels {
		if err := add(name, m.Labels[name], 0, true); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (m *Map) row(cells []string, timeIndex int, zone *time.Location, sources []csvSource) (trace.Row, error) {
	var row trace.Row
	ms, err := m.Time.parse(strings.TrimSpace(cells[timeIndex]), zone)
	if err != nil {
		return row, &trace.Error{Column: m.Time.Column, Err: err}
	}
	row.Sample.TimeMs = ms
	for i := range sources {
		s := &sources[i]
		cell := strings.TrimSpace(cells[s.index])
		if cell == "" || slices.Contains(s.missing, cell) {
			continue
		}
		v, err := trace.ParseNumber(cell)
		if err != nil {
			return row, &trace.Error{Column: s.Column, Err: brief.Errorf("%q %w", cell, err)}
		}
		v = float64(v*s.Scale) + s.Offset
		if s.isLabel {
			if row.Labels == nil {
				row.Labels = map[string]float64{}
			}
			row.Labels[s.name] = v
		} else {
			row.Sample.Set(s.channel, v)
		}
	}
	return row, nil
}

func (t *TimeMap) parse(cell string, zone *time.Location) (int64, error) {
	ms := int64(math.MinInt64)
	switch t.Layout {
	case "unix", "unix_ms":
		v, err := trace.ParseNumber(cell)
		if err != nil {
			return 0, brief.Errorf("%q %w", cell, err)
		}
		if t.Layout == "unix" {
			v *= 1000
		}
		if v >= trace.MinTimeMs && v <= trace.MaxTimeMs {
			ms = int64(math.Round(v))
		}
	default:
		at, err := time.ParseInLocation(t.Layout, cell, zone)
		if err != nil {
			return 0, brief.Errorf("%q does not match the layout %q", cell, t.Layout)
		}
		ms = at.UnixMilli()
	}
	if ms < trace.MinTimeMs || ms > trace.MaxTimeMs {
		return 0, brief.Errorf("%q is out of range", cell)
	}
	return ms, nil
}
