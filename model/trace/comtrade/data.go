package comtrade

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"fairwatt/model/trace"
	"fairwatt/proto/brief"
)

// A Record is one sample of a recording as written. Analog values are in the unit
// and on the side of their channel, NaN where missing.
type Record struct {
	Number int64 // as the file says, usually from 1
	// Stamp is the time stamp in the file's base unit (micro- or nanoseconds
	// before the time multiplier). Without HasStamp it is missing.
	Stamp    float64
	HasStamp bool
	Analogs  []float64
	Digitals []bool
}

// The raw values that mean "missing" (C37.111-1999 8.4, -2013 8.6).
const (
	missingASCII = 99999
	missing16    = math.MinInt16
	missing32    = math.MinInt32
	missingStamp = math.MaxUint32
)

// A Decoder reads the records of a data file, one at a time.
type Decoder struct {
	cfg  *Config
	in   *bufio.Reader
	buf  []byte // one binary record
	line int64  // of a text file
	n    int64  // records read
}

// NewDecoder reads the data that cfg describes.
func NewDecoder(cfg *Config, data io.Reader) *Decoder {
	d := &Decoder{cfg: cfg, in: bufio.NewReaderSize(data, maxLine)}
	if cfg.Format != ASCII {
		d.buf = make([]byte, cfg.recordBytes())
	}
	return d
}

// Next reads the next record into r and reuses its slices. After the last sample
// of the configuration it returns io.EOF and reads nothing more. Data that ends
// before is ErrShort.
func (d *Decoder) Next(r *Record) error {
	if d.n >= d.cfg.Samples() {
		return io.EOF
	}
	if r.Analogs == nil {
		r.Analogs = make([]float64, 0, len(d.cfg.Analogs))
		r.Digitals = make([]bool, 0, len(d.cfg.Digitals))
	}
	r.Analogs, r.Digitals = r.Analogs[:0], r.Digitals[:0]
	var err error
	if d.cfg.Format == ASCII {
		err = d.text(r)
	} else {
		err = d.binary(r)
	}
	if err != nil {
		at := d.n + 1
		if d.cfg.Format == ASCII {
			at = d.line
		}
		return &Error{File: "dat", Line: at, Err: err}
	}
	d.n++
	return nil
}

func (d *Decoder) short() error {
	return fmt.Errorf("%w: it ends after %d of %d samples", ErrShort, d.n, d.cfg.Samples())
}

// text reads one line; blank lines and a trailing 0x1A do not count.
func (d *Decoder) text(r *Record) error {
	var line string
	var last bool // the file ends with this line
	for line == "" {
		d.line++
		raw, err := d.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("longer than %d bytes", maxLine)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		line = strings.Trim(string(raw), "\x1a \t\r\n")
		if line == "" && err != nil {
			return d.short()
		}
		last = err != nil
	}
	err := d.fields(r, line)
	if err != nil && last {
		return fmt.Errorf("%w, in this line: %w", d.short(), err)
	}
	return err
}

func (d *Decoder) fields(r *Record, line string) error {
	want := 2 + len(d.cfg.Analogs) + len(d.cfg.Digitals)
	rest, more, field := line, true, ""
	for i := range want {
		if !more {
			return fmt.Errorf("%d fields; the configuration says %d", i, want)
		}
		field, rest, more = strings.Cut(rest, ",")
		if err := d.field(r, i, strings.TrimSpace(field)); err != nil {
			return err
		}
	}
	if more && strings.Trim(rest, ", ") != "" {
		return fmt.Errorf("more than the %d fields of the configuration", want)
	}
	return nil
}

func (d *Decoder) field(r *Record, i int, s string) error {
	var err error
	analog := i - 2
	switch digital := analog - len(d.cfg.Analogs); {
	case i == 0:
		if r.Number, err = strconv.ParseInt(s, 10, 64); err != nil {
			return brief.Errorf("sample number %q %w", s, trace.ErrNotNumber)
		}
	case i == 1:
		r.Stamp, r.HasStamp = 0, s != ""
		if s == "" {
			return nil
		}
		if r.Stamp, err = trace.ParseNumber(s); err != nil {
			return brief.Errorf("time stamp %q %w", s, err)
		}
	case digital < 0:
		v := math.NaN()
		if s != "" {
			if v, err = trace.ParseNumber(s); err != nil {
				return brief.Errorf("channel %s: %q %w", d.cfg.Analogs[analog].Name, s, err)
			}
		}
		if v == missingASCII && d.cfg.Revision >= 1999 {
			v = math.NaN()
		}
		r.Analogs = append(r.Analogs, d.cfg.Analogs[analog].value(v))
	default:
		if s != "0" && s != "1" {
			return brief.Errorf("channel %s: %q is neither 0 nor 1", d.cfg.Digitals[digital].Name, s)
		}
		r.Digitals = append(r.Digitals, s == "1")
	}
	return nil
}

// value scales a raw value. The product is rounded before the sum, so that every
// architecture gives the same number.
func (a *Analog) value(raw float64) float64 { return float64(a.A*raw) + a.B }

func (d *Decoder) binary(r *Record) error {
	if _, err := io.ReadFull(d.in, d.buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return d.short()
		}
		return err
	}
	le, b := binary.LittleEndian, d.buf
	r.Number = int64(le.Uint32(b))
	stamp := le.Uint32(b[4:])
	r.Stamp, r.HasStamp = float64(stamp), stamp != missingStamp
	b = b[8:]
	for i := range d.cfg.Analogs {
		v := math.NaN()
		switch d.cfg.Format {
		case Binary:
			if raw := int16(le.Uint16(b)); raw != missing16 {
				v = float64(raw)
			}
			b = b[2:]
		case Binary32:
			if raw := int32(le.Uint32(b)); raw != missing32 {
				v = float64(raw)
			}
			b = b[4:]
		default:
			// Infinities are not numbers either.
			if raw := float64(math.Float32frombits(le.Uint32(b))); !math.IsInf(raw, 0) {
				v = raw
			}
			b = b[4:]
		}
		r.Analogs = append(r.Analogs, d.cfg.Analogs[i].value(v))
	}
	for i := range d.cfg.Digitals {
		word := le.Uint16(b[i/16*2:])
		r.Digitals = append(r.Digitals, word>>(i%16)&1 == 1)
	}
	return nil
}
