package reconcile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"fairwatt/proto/brief"
)

// SlotMs is a quarter of an hour.
const SlotMs = 900_000

// Limits of a file: a community of 300 metering points has some 900,000 values a month.
const (
	MaxFileBytes = 128 << 20
	MaxRows      = 2_000_000
	maxColumns   = 256
	maxPoint     = 160 // bytes of a metering point's name
	maxQuality   = 32
	maxSkip      = 100
)

// A Direction is which way a metering point counts.
type Direction string

// The directions. In a file a point that counts one way needs none.
const (
	Import Direction = "import" // from the grid
	Export Direction = "export" // into the grid
)

// A Layout says how a file of the operator is to be read. Columns are named as in the
// file's header, without regard to case; what is left empty is not in the file.
type Layout struct {
	PointColumn string // the metering point's name
	TimeColumn  string // "date+time" where two columns make it
	ValueColumn string
	// DirectionColumn holds import or export, consumption or generation, or an OBIS code.
	DirectionColumn string
	QualityColumn   string // carried along, never judged

	Point     string    // of a file of one metering point
	Direction Direction // of a file of one direction
	SkipLines int       // before the header
	Separator rune      // of fields; 0: the one of ; , and tab that the header has most of
	Decimal   byte      // of values; 0: comma or point, whichever stands there
	Unit      string    // kWh, Wh, or kW: the mean power of the slot
	TimeIsEnd bool      // a slot is named by its end
	Zone      *time.Location
}

// DefaultLayout is the layout that docs/market.md describes.
func DefaultLayout() Layout {
	return Layout{PointColumn: "point", TimeColumn: "begin", ValueColumn: "kwh", Unit: "kWh", Zone: time.UTC}
}

// A Value is what the operator says of one metering point and slot.
type Value struct {
	Point     string
	Direction Direction // empty: the file does not say
	BeginMs   int64     // of the slot
	MilliWh   int64     // thousandths of a Wh
	Quality   string
	Line      int
}

// A File is what was read.
type File struct {
	Values  []Value
	Rows    int // behind the header
	Outside int // rows of other times
	Empty   int // rows without a value
}

// A RowError says where a file is wrong.
type RowError struct {
	Line   int // from 1
	Column string
	Err    error
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("line %d, column %s: %v", e.Line, brief.Text(e.Column), e.Err)
}

// Unwrap returns what is wrong.
func (e *RowError) Unwrap() error { return e.Err }

// Validate names the first thing in the layout that no file can have.
func (l *Layout) Validate() error {
	switch {
	case (l.PointColumn == "") == (l.Point == ""):
		return errors.New("point: want either a column or the name of the one metering point")
	case l.TimeColumn == "" || l.ValueColumn == "":
		return errors.New("columns: want one of times and one of values")
	case l.DirectionColumn != "" && l.Direction != "":
		return errors.New("direction: want either a column or one direction of all")
	case l.Direction != "" && l.Direction != Import && l.Direction != Export:
		return brief.Errorf("direction: %q, want %q or %q", string(l.Direction), string(Import), string(Export))
	case unitMilliWh(l.Unit) == 0:
		return brief.Errorf("unit: %q, want kWh, Wh or kW", l.Unit)
	case l.Decimal != 0 && l.Decimal != '.' && l.Decimal != ',':
		return errors.New("decimal: want a comma or a point")
	case l.Separator != 0 && !strings.ContainsRune(";,\t|", l.Separator):
		return errors.New("separator: want a semicolon, a comma, a tab or a bar")
	case l.SkipLines < 0 || l.SkipLines > maxSkip:
		return fmt.Errorf("skip_lines: %d, want 0 to %d", l.SkipLines, maxSkip)
	case l.Zone == nil:
		return errors.New("zone: none")
	}
	return nil
}

// A table is a file behind its header.
type table struct {
	*Layout
	csv      *csv.Reader
	names    []string
	skipped  int // lines before what csv reads
	point    int // columns; -1: none
	time     []int
	value    int
	way      int
	quality  int
	clock    clock
	lastLine int
}

// Read reads the values of slots that begin in [fromMs, toMs). A file is at most
// MaxFileBytes and MaxRows large; a metering point has one value for a slot and direction.
func (l *Layout) Read(r io.Reader, fromMs, toMs int64) (*File, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	t, err := l.open(&bounded{r: r, left: MaxFileBytes})
	if err != nil {
		return nil, err
	}
	type one struct {
		point   string
		way     Direction
		beginMs int64
	}
	out, seen, names := &File{}, make(map[one]int), make(map[string]string)
	for {
		cells, err := t.csv.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, t.wrap(err)
		}
		line, _ := t.csv.FieldPos(0)
		t.lastLine = line + t.skipped
		if blank(cells) {
			continue
		}
		if out.Rows++; out.Rows > MaxRows {
			return nil, &RowError{t.lastLine, "", fmt.Errorf("more than %d rows: cut the file by months", MaxRows)}
		}
		v, found, err := t.row(cells)
		switch {
		case err != nil:
			return nil, err
		case v.BeginMs < fromMs || v.BeginMs >= toMs:
			out.Outside++
			continue
		case !found:
			out.Empty++
			continue
		}
		if kept, ok := names[v.Point]; ok {
			v.Point = kept // not the row's own memory
		} else {
			v.Point = strings.Clone(v.Point)
			names[v.Point] = v.Point
		}
		v.Quality = strings.Clone(v.Quality)
		key := one{v.Point, v.Direction, v.BeginMs}
		if at, ok := seen[key]; ok {
			return nil, &RowError{v.Line, "", brief.Errorf("%q has a value for this slot in line %d already", v.Point, at)}
		}
		seen[key] = v.Line
		out.Values = append(out.Values, v)
	}
}

// bounded reads so much and no more.
type bounded struct {
	r    io.Reader
	left int64
}

var errTooLarge = fmt.Errorf("the file is larger than %d MB: cut it by months", MaxFileBytes>>20)

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// open reads up to the header and finds the columns.
func (l *Layout) open(r io.Reader) (*table, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	start, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read values: %w", err)
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		_, _ = in.Discard(3) // was peeked at
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")), bytes.IndexByte(start, 0) >= 0:
		return nil, errors.New("the file is UTF-16: save it as UTF-8")
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return nil, errors.New("the file is a workbook: save its sheet as CSV")
	}
	t := &table{Layout: l, point: -1, way: -1, quality: -1, clock: clock{zone: l.Zone, last: make(map[string]int64)}}
	for ; t.skipped < l.SkipLines; t.skipped++ {
		if err := skipLine(in); err != nil {
			return nil, &RowError{t.skipped + 1, "", err}
		}
	}
	separator := l.Separator
	if separator == 0 {
		separator = guessSeparator(in)
	}
	t.csv = csv.NewReader(in)
	t.csv.Comma, t.csv.FieldsPerRecord, t.csv.ReuseRecord = separator, -1, true
	header, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file has no header")
	}
	if err != nil {
		return nil, t.wrap(err)
	}
	if len(header) > maxColumns {
		return nil, &RowError{t.skipped + 1, "", fmt.Errorf("%d columns, at most %d", len(header), maxColumns)}
	}
	for _, name := range header {
		t.names = append(t.names, strings.Clone(strings.TrimSpace(name)))
	}
	return t, t.columns()
}

func skipLine(in *bufio.Reader) error {
	for {
		_, err := in.ReadSlice('\n')
		switch {
		case err == nil:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the file ends before its header")
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// guessSeparator returns what the header has most of.
func guessSeparator(in *bufio.Reader) rune {
	line, _ := in.Peek(4 << 10) // a shorter file is peeked at as far as it goes
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	best, most := ';', 0
	for _, c := range ";,\t" {
		if n := strings.Count(string(line), string(c)); n > most {
			best, most = c, n
		}
	}
	return best
}

// columns finds the columns that the layout names.
func (t *table) columns() error {
	find := func(name string, at *int) error {
		if name == "" {
			return nil
		}
		same := func(s string) bool { return strings.EqualFold(s, name) }
		if *at = slices.IndexFunc(t.names, same); *at < 0 {
			return &RowError{t.skipped + 1, "", brief.Errorf("no column %q; there are %q", name, strings.Join(t.names, ", "))}
		}
		if slices.ContainsFunc(t.names[*at+1:], same) {
			return &RowError{t.skipped + 1, "", brief.Errorf("two columns %q", name)}
		}
		return nil
	}
	times := strings.Split(t.TimeColumn, "+")
	if slices.Contains(t.names, t.TimeColumn) {
		times = []string{t.TimeColumn}
	}
	t.time = make([]int, len(times))
	err := errors.Join(find(t.PointColumn, &t.point), find(t.ValueColumn, &t.value), find(t.DirectionColumn, &t.way), find(t.QualityColumn, &t.quality))
	for i, name := range times {
		err = errors.Join(err, find(strings.TrimSpace(name), &t.time[i]))
	}
	return err
}

func (t *table) wrap(err error) error {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return &RowError{bad.Line + t.skipped, "", bad.Err}
	}
	return fmt.Errorf("read values behind line %d: %w", t.lastLine, err)
}

func blank(cells []string) bool {
	return !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" })
}

// row reads one row. found is false where the row has no value.
func (t *table) row(cells []string) (v Value, found bool, err error) {
	v = Value{Point: t.Point, Direction: t.Direction, Line: t.lastLine}
	at := func(i int) string {
		if i < 0 || i >= len(cells) {
			return ""
		}
		return strings.TrimSpace(cells[i])
	}
	fail := func(i int, err error) (Value, bool, error) {
		return v, false, &RowError{v.Line, t.names[i], err}
	}
	if t.point >= 0 {
		if v.Point = at(t.point); v.Point == "" || len(v.Point) > maxPoint || !utf8.ValidString(v.Point) {
			return fail(t.point, brief.Errorf("%q is no name of a metering point", v.Point))
		}
	}
	if t.way >= 0 {
		if v.Direction = direction(at(t.way)); v.Direction == "" {
			return fail(t.way, brief.Errorf("%q is no direction: want import, export, or an OBIS code such as 1-1:1.29.0", at(t.way)))
		}
	}
	if t.quality >= 0 {
		if v.Quality = at(t.quality); len(v.Quality) > maxQuality || !utf8.ValidString(v.Quality) {
			return fail(t.quality, brief.Errorf("%q is too long", v.Quality))
		}
	}
	parts := make([]string, len(t.time))
	for i, column := range t.time {
		parts[i] = at(column)
	}
	ms, err := t.clock.begin(v.Point+"\x00"+string(v.Direction), strings.Join(parts, " "), t.TimeIsEnd)
	if err != nil {
		return fail(t.time[0], err)
	}
	v.BeginMs = ms
	text := at(t.value)
	if text == "" {
		return v, false, nil
	}
	if v.MilliWh, err = milliWh(text, t.Unit, t.Decimal); err != nil {
		return fail(t.value, err)
	}
	return v, true, nil
}
