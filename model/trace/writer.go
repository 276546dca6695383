package trace

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fairwatt/model"
	"fairwatt/proto/brief"
)

// A Writer writes a trace row by row. A Reader reads the same samples back, and
// writing those again gives the same bytes. What it hands to its io.Writer at a
// time are whole lines, so that one that fails can be taken back whole.
type Writer struct {
	w        io.Writer
	pending  []byte // whole lines
	failed   error
	channels []model.Channel
	labels   []string
	seconds  bool
	lastMs   int64
	any      bool
}

// WriterOptions change how a trace is written.
type WriterOptions struct {
	Labels  []string // label columns, each beginning with LabelPrefix
	Seconds bool     // write time as seconds, for samples without a wall clock
}

// NewWriter writes the metadata and the header row. Call Flush at the end.
func NewWriter(w io.Writer, meta Meta, channels []model.Channel, opts WriterOptions) (*Writer, error) {
	if err := meta.Check(); err != nil {
		return nil, fmt.Errorf("write trace: %w", err)
	}
	out := &Writer{
		w: w, channels: slices.Clone(channels),
		labels: slices.Clone(opts.Labels), seconds: opts.Seconds,
	}
	names := []string{"time"}
	for _, c := range channels {
		names = append(names, c.String())
	}
	for _, l := range opts.Labels {
		if len(l) <= len(LabelPrefix) || !strings.HasPrefix(l, LabelPrefix) || strings.ContainsAny(l, ",\r\n\"") || !utf8.ValidString(l) {
			return nil, brief.Errorf("write trace: %q is no label name", l)
		}
		names = append(names, l)
	}
	if len(names) > maxColumns {
		return nil, fmt.Errorf("write trace: %d columns; at most %d are allowed", len(names), maxColumns)
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return nil, fmt.Errorf("write trace: column %s stands twice", n)
		}
	}
	out.pending = fmt.Appendf(nil, "# %s: %s\n", firstKey, version)
	for _, kv := range meta.KeyValues() {
		out.pending = fmt.Appendf(out.pending, "# %s: %s\n", kv.Key, kv.Value)
	}
	out.pending = append(out.pending, strings.Join(names, ",")+"\n"...)
	return out, out.flushFull()
}

// Write writes one sample. Only Valid values are written; every other state
// becomes an empty cell, which reads back as missing.
func (w *Writer) Write(s *model.Sample) error { return w.WriteRow(s, nil) }

// WriteRow writes one sample with labels.
func (w *Writer) WriteRow(s *model.Sample, labels map[string]float64) error {
	switch {
	case w.failed != nil:
		return w.failed
	case s.TimeMs < MinTimeMs || s.TimeMs > MaxTimeMs || w.seconds && s.TimeMs < 0:
		return fmt.Errorf("write trace: time %d ms is out of range", s.TimeMs)
	case w.any && s.TimeMs <= w.lastMs:
		return fmt.Errorf("write trace: time %d ms is not after %d ms", s.TimeMs, w.lastMs)
	}
	w.any, w.lastMs = true, s.TimeMs
	b := w.pending
	if w.seconds {
		b = appendMillis(b, s.TimeMs)
	} else {
		b = time.UnixMilli(s.TimeMs).UTC().AppendFormat(b, time.RFC3339Nano)
	}
	for _, c := range w.channels {
		b = append(b, ',')
		if v, ok := s.Get(c); ok {
			b = strconv.AppendFloat(b, v, 'f', -1, 64)
		}
	}
	for _, l := range w.labels {
		b = append(b, ',')
		if v, ok := labels[l]; ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			b = strconv.AppendFloat(b, v, 'f', -1, 64)
		}
	}
	w.pending = append(b, '\n')
	return w.flushFull()
}

// fullBytes is how much is kept back at most, but for a line.
const fullBytes = 1 << 12

func (w *Writer) flushFull() error {
	if len(w.pending) < fullBytes {
		return w.failed
	}
	return w.Flush()
}

// appendMillis writes milliseconds as seconds without passing through a float.
func appendMillis(b []byte, ms int64) []byte {
	b = strconv.AppendInt(b, ms/1000, 10)
	if frac := ms % 1000; frac != 0 {
		b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
		b = []byte(strings.TrimRight(string(b), "0"))
	}
	return b
}

// Flush writes what is buffered. After an error nothing more is written, and every
// later call returns it again.
func (w *Writer) Flush() error {
	if w.failed != nil || len(w.pending) == 0 {
		return w.failed
	}
	n, err := w.w.Write(w.pending)
	if err == nil && n < len(w.pending) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.failed = fmt.Errorf("write trace: %w", err)
	}
	w.pending = w.pending[:0]
	return w.failed
}

// Write writes a whole trace.
func (t *Trace) Write(w io.Writer) error {
	out, err := NewWriter(w, t.Meta, t.Channels, WriterOptions{Labels: t.Labels})
	if err != nil {
		return err
	}
	for i := range t.Rows {
		if err := out.WriteRow(&t.Rows[i].Sample, t.Rows[i].Labels); err != nil {
			return err
		}
	}
	return out.Flush()
}
