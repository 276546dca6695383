package weather

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
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
	Decimal   string                   `yaml:"decimal"`   // the decimal mark: "." (or empty) or ","
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
// zone for layouts that carry none ("Europe/Amsterdam"; empty: UTC). Where date
// and time stand in columns of their own, Columns names them instead of Column, in
// the layout's order; they are joined by a space.
//
// In the night when summer time ends, an hour comes twice; the order of the rows
// says which. When it begins, an hour does not exist; rows that name it are left
// out.
type TimeMap struct {
	Column  string   `yaml:"column"`
	Columns []string `yaml:"columns"`
	Layout  string   `yaml:"layout"`
	Zone    string   `yaml:"zone"`
}

// columns are the names of the columns that make the time.
func (t *TimeMap) columns() []string {
	if len(t.Columns) > 0 {
		return t.Columns
	}
	return []string{t.Column}
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
	case m.Time.Column == "" && len(m.Time.Columns) == 0:
		return errors.New("time.column: missing")
	case m.Time.Column != "" && len(m.Time.Columns) > 0:
		return errors.New("time.columns: leave out column, or columns")
	case len(m.Time.Columns) > maxTimeColumns || slices.Contains(m.Time.Columns, ""):
		return fmt.Errorf("time.columns: want 1 to %d names", maxTimeColumns)
	case m.Decimal != "" && m.Decimal != "." && m.Decimal != ",":
		return brief.Errorf("decimal: %q; use \".\" or \",\"", m.Decimal)
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
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // behind skipped lines
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	clock, err := m.newClock(header)
	if err != nil {
		return nil, err
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
	m.unused(t, header)
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			clock.leftOut(t)
			return t, nil
		}
		if err != nil {
			return nil, err // encoding/csv names line and column itself
		}
		line, _ := r.FieldPos(0)
		ms, ok, err := clock.at(cells)
		if err == nil && !ok {
			continue
		}
		var row trace.Row
		if err == nil {
			row, err = m.row(cells, sources)
			row.Sample.TimeMs = ms
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

// unused notes the columns that the map does not name.
func (m *Map) unused(t *trace.Trace, header []string) {
	used := map[string]bool{}
	for _, name := range m.Time.columns() {
		used[name] = true
	}
	for _, list := range []map[string]ColumnMap{m.Channels, m.Labels} {
		for _, c := range list {
			used[c.Column] = true
		}
	}
	leftColumns(t, slices.DeleteFunc(slices.Clone(header), func(h string) bool { return h == "" || used[h] }))
}

// number reads a cell with the map's decimal mark.
func (m *Map) number(cell string) (float64, error) {
	text := cell
	if m.Decimal == "," {
		if strings.Contains(cell, ".") {
			return 0, brief.Errorf("%q %w with a decimal comma", cell, trace.ErrNotNumber)
		}
		text = strings.Replace(cell, ",", ".", 1)
	}
	v, err := trace.ParseNumber(text)
	switch {
	case err != nil && m.Decimal != "," && strings.Count(cell, ",") == 1:
		return 0, brief.Errorf("%q %w; if its comma is the decimal mark, write decimal: \",\" in the map", cell, err)
	case err != nil:
		return 0, brief.Errorf("%q %w", cell, err)
	}
	return v, nil
}

func (m *Map) row(cells []string, sources []csvSource) (trace.Row, error) {
	var row trace.Row
	for i := range sources {
		s := &sources[i]
		cell := strings.TrimSpace(cells[s.index])
		if cell == "" || slices.Contains(s.missing, cell) {
			continue
		}
		v, err := m.number(cell)
		if err != nil {
			return row, &trace.Error{Column: s.Column, Err: err}
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
