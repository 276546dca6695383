package comtrade

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What writes COMTRADE stands here: the round trip of every format needs it, no
// program does.

// append writes the configuration as a .cfg of its revision (before 1999 the
// form of 1991, before 2013 that of 1999) to b.
func (c *Config) append(b []byte) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("write comtrade cfg: %w", err)
	}
	line := func(fields ...string) { b = append(append(b, strings.Join(fields, ",")...), '\r', '\n') }
	count := strconv.Itoa
	num := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	head := []string{c.Station, c.Device}
	if c.Revision >= 1999 {
		head = append(head, count(c.Revision))
	}
	line(head...)
	line(count(len(c.Analogs)+len(c.Digitals)), count(len(c.Analogs))+"A", count(len(c.Digitals))+"D")
	for i := range c.Analogs {
		a := &c.Analogs[i]
		f := []string{count(i + 1), a.Name, a.Phase, a.Circuit, a.Unit, num(a.A), num(a.B), num(a.SkewUS), num(a.Min), num(a.Max)}
		if c.Revision >= 1999 {
			side := "P"
			if a.Secondary {
				side = "S"
			}
			f = append(f, num(a.Primary), num(a.SecondaryRated), side)
		}
		line(f...)
	}
	for i := range c.Digitals {
		d, normal := &c.Digitals[i], "0"
		if d.Normal {
			normal = "1"
		}
		if c.Revision >= 1999 {
			line(count(i+1), d.Name, d.Phase, d.Circuit, normal)
		} else {
			line(count(i+1), d.Name, normal)
		}
	}
	line(num(c.LineHz))
	if c.Timed {
		line("0")
		line("0", strconv.FormatInt(c.Samples(), 10))
	} else {
		line(count(len(c.Rates)))
		for _, r := range c.Rates {
			line(num(r.Hz), strconv.FormatInt(r.Last, 10))
		}
	}
	offset, err := cfgOffset(c.TimeCode)
	if err != nil {
		return nil, fmt.Errorf("write comtrade cfg: %w", err)
	}
	line(c.time(c.Start, offset))
	line(c.time(c.Trigger, offset))
	line(c.Format.String())
	if c.Revision >= 1999 {
		line(num(c.TimeMult))
	}
	if c.Revision >= 2013 {
		line(c.TimeCode, c.LocalCode)
		line(c.Quality, c.LeapSecond)
	}
	return b, nil
}

func (c *Config) time(t time.Time, offset time.Duration) string {
	if t.IsZero() {
		return "00/00/0000,00:00:00.000000"
	}
	layout := "02/01/2006,15:04:05.000000"
	if c.Revision < 1999 {
		layout = "01/02/06,15:04:05.000000"
	}
	if c.Nanoseconds {
		layout += "000"
	}
	return t.UTC().Add(offset).Format(layout)
}

// check refuses what could not be read back.
func (c *Config) check() error {
	texts := []string{c.Station, c.Device, c.TimeCode, c.LocalCode, c.Quality, c.LeapSecond}
	for _, a := range c.Analogs {
		texts = append(texts, a.Name, a.Phase, a.Circuit, a.Unit)
	}
	for _, d := range c.Digitals {
		texts = append(texts, d.Name, d.Phase, d.Circuit)
	}
	for _, s := range texts {
		if strings.ContainsAny(s, ",\r\n\x1a") || s != strings.TrimSpace(s) {
			return fmt.Errorf("%q cannot be a field", s)
		}
	}
	switch {
	case len(c.Analogs) > maxAnalogs || len(c.Digitals) > maxDigitals || len(c.Rates) > maxRates:
		return errors.New("too many channels or sampling rates")
	case len(c.Rates) == 0 || c.Samples() > maxSamples:
		return errors.New("the number of samples is missing or too large")
	case int(c.Format) >= len(formats) || c.Format >= Binary32 && c.Revision < 2013:
		return fmt.Errorf("revision %d has no format %s", c.Revision, c.Format)
	case c.TimeMult <= 0:
		return errors.New("the time multiplier is not above zero")
	}
	return nil
}

// An encoder writes the records of a data file.
type encoder struct {
	cfg  *Config
	w    *bufio.Writer
	line []byte
	n    int64
}

// newEncoder writes data for cfg to w. Call Close at the end.
func newEncoder(cfg *Config, w io.Writer) *encoder {
	return &encoder{cfg: cfg, w: bufio.NewWriter(w)}
}

// Write writes one record. Its number is counted here. A value that the raw
// range of the format cannot hold is an error, NaN is written as missing.
func (e *encoder) Write(r *Record) error {
	if len(r.Analogs) != len(e.cfg.Analogs) || len(r.Digitals) != len(e.cfg.Digitals) {
		return fmt.Errorf("write comtrade dat: %d and %d values for %d and %d channels",
			len(r.Analogs), len(r.Digitals), len(e.cfg.Analogs), len(e.cfg.Digitals))
	}
	e.n++
	e.line = e.line[:0]
	var err error
	if e.cfg.Format == ASCII {
		err = e.text(r)
	} else {
		err = e.binary(r)
	}
	if err == nil {
		_, err = e.w.Write(e.line)
	}
	if err != nil {
		return fmt.Errorf("write comtrade dat: record %d: %w", e.n, err)
	}
	return nil
}

// raw is the integer that stands for a value, or an error when the value does
// not fit a range.
func (a *Analog) raw(v, limit float64) (int64, error) {
	raw := math.Round((v - a.B) / a.A)
	if !(math.Abs(raw) <= limit) {
		return 0, fmt.Errorf("channel %s: %v does not fit its scale", a.Name, v)
	}
	return int64(raw), nil
}

func (e *encoder) text(r *Record) error {
	b := strconv.AppendInt(e.line, e.n, 10)
	b = append(b, ',')
	if r.HasStamp {
		b = strconv.AppendFloat(b, r.Stamp, 'f', -1, 64)
	}
	for i, v := range r.Analogs {
		b = append(b, ',')
		switch {
		case !math.IsNaN(v):
			raw, err := e.cfg.Analogs[i].raw(v, missingASCII-1)
			if err != nil {
				return err
			}
			b = strconv.AppendInt(b, raw, 10)
		case e.cfg.Revision >= 1999:
			b = strconv.AppendInt(b, missingASCII, 10)
		}
	}
	for _, on := range r.Digitals {
		b = append(b, ',', '0')
		if on {
			b[len(b)-1] = '1'
		}
	}
	e.line = append(b, '\r', '\n')
	return nil
}

func (e *encoder) binary(r *Record) error {
	le := binary.LittleEndian
	stamp := uint32(missingStamp)
	if r.HasStamp {
		if !(r.Stamp >= 0 && r.Stamp < missingStamp) {
			return fmt.Errorf("time stamp %v does not fit 32 bits; raise the time multiplier", r.Stamp)
		}
		stamp = uint32(r.Stamp)
	}
	b := le.AppendUint32(le.AppendUint32(e.line, uint32(e.n)), stamp)
	for i, v := range r.Analogs {
		a := &e.cfg.Analogs[i]
		if e.cfg.Format == Float32 {
			b = le.AppendUint32(b, math.Float32bits(float32((v-a.B)/a.A)))
			continue
		}
		wide := e.cfg.Format == Binary32
		raw, limit := int64(missing16), float64(math.MaxInt16)
		if wide {
			raw, limit = missing32, math.MaxInt32
		}
		if !math.IsNaN(v) {
			var err error
			if raw, err = a.raw(v, limit); err != nil {
				return err
			}
		}
		if wide {
			b = le.AppendUint32(b, uint32(int32(raw)))
		} else {
			b = le.AppendUint16(b, uint16(int16(raw)))
		}
	}
	for word := range slices.Chunk(r.Digitals, 16) {
		var bits uint16
		for i, on := range word {
			if on {
				bits |= 1 << i
			}
		}
		b = le.AppendUint16(b, bits)
	}
	e.line = b
	return nil
}

// Close writes what is buffered and checks that as many records were written
// as the configuration announces. The caller closes the file itself.
func (e *encoder) Close() error {
	err := e.w.Flush()
	if e.n != e.cfg.Samples() {
		err = errors.Join(err, fmt.Errorf("%d records for %d samples", e.n, e.cfg.Samples()))
	}
	if err != nil {
		return fmt.Errorf("write comtrade dat: %w", err)
	}
	return nil
}

// writeRecording writes a recording to path: a .cff, or a .cfg with its .dat
// beside it. Files that exist are not overwritten.
func writeRecording(path string, cfg *Config, records []Record) error {
	text, err := cfg.append(nil)
	if err != nil {
		return err
	}
	data, err := cfg.encode(records)
	if err != nil {
		return err
	}
	if strings.EqualFold(filepath.Ext(path), ".cff") {
		return writeNew(path, appendCFF(nil, cfg, text, data))
	}
	if err := writeNew(path, text); err != nil {
		return err
	}
	return writeNew(strings.TrimSuffix(path, filepath.Ext(path))+".dat", data)
}

func (c *Config) encode(records []Record) ([]byte, error) {
	var data strings.Builder
	e := newEncoder(c, &data)
	for i := range records {
		if err := e.Write(&records[i]); err != nil {
			return nil, err
		}
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	return []byte(data.String()), nil
}

// appendCFF appends a combined file with empty INF and HDR sections.
func appendCFF(b []byte, c *Config, text, data []byte) []byte {
	b = append(append(b, "--- file type: CFG ---\r\n"...), text...)
	b = append(b, "--- file type: INF ---\r\n--- file type: HDR ---\r\n"...)
	if c.Format == ASCII {
		b = append(b, "--- file type: DAT ASCII ---\r\n"...)
	} else {
		b = fmt.Appendf(b, "--- file type: DAT %s: %d ---\r\n", c.Format, len(data))
	}
	return append(b, data...)
}

func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}
