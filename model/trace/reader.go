package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fairwatt/model"
	"fairwatt/proto/brief"
)

// Options change how a trace is read.
type Options struct {
	// IgnoreUnknown skips columns that are neither a channel nor a label,
	// instead of refusing the trace.
	IgnoreUnknown bool
	// TakeCut ends the trace before a last line that has no line end and is no row,
	// as a full disk or a failed machine leaves it, instead of refusing the
	// trace. Reader.Cut tells.
	TakeCut bool
}

// An Error says where a trace is wrong.
type Error struct {
	Line   int    // from 1
	Column string // the column's name; empty when the whole line is meant
	Err    error
}

func (e *Error) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("trace line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("trace line %d, column %s: %v", e.Line, brief.Text(e.Column), e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// A column of a trace: a channel, a label (index into labels) or one to skip.
type column struct {
	name    string
	channel model.Channel
	label   int // -1: no label
	skip    bool
}

// A Reader reads a trace row by row in constant memory. It is strict: it refuses
// everything that is not in the format.
type Reader struct {
	scan     *bufio.Scanner
	closer   io.Closer
	opts     Options
	line     int
	meta     Meta
	columns  []column // without time
	channels []model.Channel
	labels   []string
	truth    map[string]float64
	lastSecs float64   // of the last row, when time is in seconds
	lastTime time.Time // of the last row, else
	any      bool
	seconds  bool // the time column holds seconds from the start
	failed   error
	open     bool  // the newest line is the last and has no line end
	cut      error // why the last line was left out as cut
	skipped  int   // columns
}

// Open opens a trace file, gzipped or not, and reads its header.
func Open(path string, opts Options) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	r, err := NewReader(f, opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	r.closer = f
	return r, nil
}

// NewReader reads a trace's header from in, which may be gzipped: the first bytes
// tell, not a name.
func NewReader(in io.Reader, opts Options) (*Reader, error) {
	plain, err := Decompress(in)
	if err != nil {
		return nil, err
	}
	scan := bufio.NewScanner(plain)
	scan.Buffer(make([]byte, 0, 4096), maxLineBytes)
	r := &Reader{scan: scan, opts: opts, truth: map[string]float64{}}
	scan.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		r.open = atEOF && len(data) > 0 && bytes.IndexByte(data, '\n') < 0
		return bufio.ScanLines(data, atEOF)
	})
	if err := r.header(); err != nil {
		return nil, err
	}
	return r, nil
}

// Decompress unpacks gzip, which it knows by the first two bytes, and takes off the
// mark U+FEFF that spreadsheets put before UTF-8 (RFC 3629, 6), so that no parser
// stumbles over it. Other data passes through as it is.
func Decompress(in io.Reader) (io.Reader, error) {
	b := bufio.NewReader(in)
	head, err := b.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return unmarked(b)
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	return unmarked(bufio.NewReader(z))
}

func unmarked(b *bufio.Reader) (io.Reader, error) {
	const mark = "\ufeff"
	head, err := b.Peek(len(mark))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	if string(head) == mark {
		_, err = b.Discard(len(mark))
		return b, err
	}
	return b, nil
}

// FromStart says whether the trace's times are seconds from its start and not
// points in time. It is known after the first row.
func (r *Reader) FromStart() bool { return r.seconds }

// Close closes the file that Open opened.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Meta returns the metadata.
func (r *Reader) Meta() Meta { return r.meta }

// Channels returns the channels of the header, in its order.
func (r *Reader) Channels() []model.Channel { return slices.Clone(r.channels) }

// LabelNames returns the label columns of the header, in its order.
func (r *Reader) LabelNames() []string { return slices.Clone(r.labels) }

// Labels returns the labels of the newest row. The map belongs to the reader and
// changes with the next row.
func (r *Reader) Labels() map[string]float64 { return r.truth }

// Cut says why the last line was left out as Options.TakeCut asks, or is nil. It
// is known after the last row.
func (r *Reader) Cut() error { return r.cut }

// Skipped is how many columns are skipped on request.
func (r *Reader) Skipped() int { return r.skipped }

// Line returns the number of the newest line.
func (r *Reader) Line() int { return r.line }

func (r *Reader) fail(column string, format string, args ...any) error {
	r.failed = &Error{Line: r.line, Column: column, Err: brief.Errorf(format, args...)}
	return r.failed
}

// next returns the next line without its line end, or io.EOF.
func (r *Reader) next() (string, error) {
	if !r.scan.Scan() {
		err := r.scan.Err()
		if err == nil {
			return "", io.EOF
		}
		r.line++
		if errors.Is(err, bufio.ErrTooLong) {
			return "", r.fail("", "longer than %d bytes", maxLineBytes)
		}
		return "", r.fail("", "%w", err)
	}
	r.line++
	if err := r.scan.Err(); err != nil { // the rest before it is half a line
		return "", r.fail("", "%w", err)
	}
	line := r.scan.Bytes()
	if !utf8.Valid(line) {
		return "", r.fail("", "is not UTF-8")
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}

func (r *Reader) header() error {
	for {
		line, err := r.next()
		if errors.Is(err, io.EOF) {
			r.line++
			return r.fail("", "the trace ends before its header row")
		}
		if err != nil {
			return err
		}
		meta, isMeta := strings.CutPrefix(line, "#")
		if r.line == 1 {
			if k, v, ok := strings.Cut(meta, ":"); !isMeta || !ok || strings.TrimSpace(k) != firstKey {
				return r.fail("", "is not a trace: the first line must be %q", "# "+firstKey+": "+version)
			} else if v = strings.TrimSpace(v); v != version {
				return r.fail("", "trace version %q is not known (known: %s)", v, version)
			}
			continue
		}
		if !isMeta {
			return r.headerRow(line)
		}
		if err := r.metaLine(meta); err != nil {
			return err
		}
	}
}

func (r *Reader) metaLine(meta string) error {
	if r.line > maxMeta {
		return r.fail("", "more than %d metadata lines", maxMeta)
	}
	k, v, ok := strings.Cut(meta, ":")
	k = strings.TrimSpace(k)
	if !ok || k == "" {
		return r.fail("", "metadata must be %q", "# key: value")
	}
	if err := r.meta.Set(k, strings.TrimSpace(v)); err != nil {
		return r.fail("", "metadata %w", err)
	}
	return nil
}

func (r *Reader) headerRow(line string) error {
	names := strings.Split(line, ",")
	if len(names) > maxColumns {
		return r.fail("", "%d columns; at most %d are allowed", len(names), maxColumns)
	}
	if names[0] != "time" {
		return r.fail(names[0], "the first column must be time")
	}
	for i, name := range names[1:] {
		if slices.Contains(names[:i+1], name) {
			return r.fail(name, "stands twice")
		}
		col := column{name: name, label: -1}
		c, err := model.ParseChannel(name)
		switch {
		case len(name) > len(LabelPrefix) && strings.HasPrefix(name, LabelPrefix):
			col.label = len(r.labels)
			r.labels = append(r.labels, name)
		case err == nil:
			col.channel = c
			r.channels = append(r.channels, c)
		case r.opts.IgnoreUnknown:
			col.skip = true
			r.skipped++
		default:
			return r.fail(name, "%w (an unknown column can be ignored on request)", err)
		}
		r.columns = append(r.columns, col)
	}
	return nil
}

// Next reads the next row into s. It returns io.EOF at the end. Where the trace
// is malformed it returns an *Error with line and column, which every later call
// returns again.
func (r *Reader) Next(s *model.Sample) error {
	if r.failed != nil {
		return r.failed
	}
	line, err := r.next()
	if err == nil {
		err = r.row(s, line)
	}
	if err != nil && r.opts.TakeCut && r.open && r.scan.Err() == nil {
		r.cut, r.failed = err, io.EOF
		return io.EOF
	}
	return err
}

func (r *Reader) row(s *model.Sample, line string) error {
	var err error
	*s = model.Sample{}
	clear(r.truth)
	cell, rest, more := strings.Cut(line, ",")
	if s.TimeMs, err = r.time(cell); err != nil {
		return err
	}
	for i := range r.columns {
		col := &r.columns[i]
		if !more {
			return r.fail(col.name, "the row ends after %d of %d columns", i+1, len(r.columns)+1)
		}
		cell, rest, more = strings.Cut(rest, ",")
		if cell == "" || col.skip {
			continue
		}
		v, err := ParseNumber(cell)
		if err != nil {
			return r.fail(col.name, "%q %w", cell, err)
		}
		if col.label >= 0 {
			r.truth[col.name] = v
		} else {
			s.Set(col.channel, v)
		}
	}
	if more {
		return r.fail("", "the row has more than %d columns", len(r.columns)+1)
	}
	return nil
}

// Times are bounded so that no arithmetic on milliseconds overflows: the years
// 1 to 9999. Every reader of recordings keeps to them.
const (
	MinTimeMs = -62135596800000
	MaxTimeMs = 253402300799999
)

// time reads the time column. The first row decides whether it holds RFC 3339
// or seconds from the start.
func (r *Reader) time(cell string) (int64, error) {
	var ms int64
	var at time.Time
	secs, err := ParseNumber(cell)
	isSeconds := err == nil
	switch {
	case isSeconds && (secs < 0 || secs > MaxTimeMs/1000):
		return 0, r.fail("time", "%q seconds are out of range", cell)
	case isSeconds:
		ms = int64(math.Round(float64(secs * 1000)))
	default:
		if at, err = ParseTime(cell); err != nil {
			return 0, r.fail("time", "%q is neither RFC 3339 nor seconds", cell)
		}
		ms = at.UnixMilli()
	}
	switch {
	case ms < MinTimeMs || ms > MaxTimeMs:
		return 0, r.fail("time", "%q is out of range", cell)
	case r.any && isSeconds != r.seconds:
		return 0, r.fail("time", "%q: RFC 3339 and seconds are mixed", cell)
	// A fast recording may have rows within one millisecond: compare as written.
	case r.any && (isSeconds && secs <= r.lastSecs || !isSeconds && !at.After(r.lastTime)):
		return 0, r.fail("time", "%q is not after the row before", cell)
	}
	r.lastSecs, r.lastTime, r.any, r.seconds = secs, at, true, isSeconds
	return ms, nil
}

// ParseTime reads a time as RFC 3339 has it: T and Z in either case, and a leap
// second. A leap second becomes the last millisecond before it, so that it stands
// after the second before and before the one that follows.
func ParseTime(text string) (time.Time, error) {
	text = strings.ToUpper(text)
	const seconds = len("2016-12-31T23:59:")
	if len(text) < seconds+2 || text[seconds:seconds+2] != "60" {
		return time.Parse(time.RFC3339, text)
	}
	at, err := time.Parse(time.RFC3339, text[:seconds]+"59"+text[seconds+2:])
	if err != nil {
		return at, err
	}
	if utc := at.UTC(); utc.Hour() != 23 || utc.Minute() != 59 {
		return at, errors.New("a second 60 that is no leap second")
	}
	return at.Truncate(time.Second).Add(999*time.Millisecond + time.Duration(at.Nanosecond())/1000), nil
}

// ErrNotNumber is ParseNumber's error.
var ErrNotNumber = errors.New("is not a number")

// ParseNumber reads a plain decimal number, as a trace has it: no hexadecimal,
// underscore, Inf or NaN, which strconv would take.
func ParseNumber(cell string) (float64, error) {
	for i := range len(cell) {
		switch c := cell[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, ErrNotNumber
		}
	}
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil {
		return 0, ErrNotNumber
	}
	return v, nil
}

// Read reads a whole trace into memory. For long traces use a Reader.
func Read(in io.Reader, opts Options) (*Trace, error) {
	r, err := NewReader(in, opts)
	if err != nil {
		return nil, err
	}
	return r.rest()
}

// ReadFile reads a whole trace file into memory.
func ReadFile(path string, opts Options) (*Trace, error) {
	r, err := Open(path, opts)
	if err != nil {
		return nil, err
	}
	t, err := r.rest()
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func (r *Reader) rest() (*Trace, error) {
	t := &Trace{Meta: r.meta, Channels: r.channels, Labels: r.labels}
	for {
		var row Row
		err := r.Next(&row.Sample)
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		row.Labels = cloneLabels(r.truth)
		t.Rows = append(t.Rows, row)
	}
}
