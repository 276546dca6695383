package comtrade

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Limits of what is read. They are checked before anything is allocated: a few
// digits in a file must not ask for gigabytes.
const (
	maxText     = 4 << 20 // bytes of a .cfg
	maxLine     = 64 << 10
	maxAnalogs  = 4096
	maxDigitals = 16384
	maxRates    = 10000
	maxSamples  = 1 << 31
)

// A Format is how the samples of a data file are written.
type Format uint8

// The formats. Binary has 16-bit integers; Binary32 and Float32 are of 2013.
const (
	ASCII Format = iota
	Binary
	Binary32
	Float32
)

var formats = [...]string{"ASCII", "BINARY", "BINARY32", "FLOAT32"}

// String returns the format's name in a configuration.
func (f Format) String() string {
	if int(f) < len(formats) {
		return formats[f]
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// An Analog describes an analog channel: value = A x raw + B in Unit.
type Analog struct {
	Name, Phase, Circuit, Unit string
	A, B                       float64
	SkewUS                     float64 // time skew within a sample, microseconds
	Min, Max                   float64 // of raw
	// Primary to SecondaryRated is the ratio of the transformer. Secondary is true
	// if the values are on its secondary side. Configurations of 1991 have none of
	// the three.
	Primary, SecondaryRated float64
	Secondary               bool
}

// Factor times a value of the channel is the value of the primary side.
func (a *Analog) Factor() float64 {
	if !a.Secondary || a.Primary == 0 || a.SecondaryRated == 0 {
		return 1
	}
	return a.Primary / a.SecondaryRated
}

// A Digital describes a status channel.
type Digital struct {
	Name, Phase, Circuit string
	Normal               bool
}

// A Rate says that samples up to and including number Last (from 1)
// were taken at Hz a second. Hz is zero where the time stamps decide.
type Rate struct {
	Hz   float64
	Last int64
}

// A Config is the content of a .cfg.
type Config struct {
	Station, Device string
	Revision        int // as in the file: 1991 where it is absent; also years between
	Analogs         []Analog
	Digitals        []Digital
	LineHz          float64 // nominal frequency; 0 where the field is empty
	// Timed says that the time stamps of the data give the time of a sample;
	// otherwise Rates does. Rates has at least one entry. The last one says how
	// many samples there are.
	Timed bool
	Rates []Rate
	// Start is the time of the first sample, Trigger that of the recorder's
	// trigger: UTC where TimeCode gives the offset, else the recorder's clock read
	// as UTC. Zero where the file leaves it empty.
	Start, Trigger time.Time
	Nanoseconds    bool // time stamps count nanoseconds, not microseconds
	Format         Format
	TimeMult       float64
	// TimeCode and LocalCode are offsets from UTC such as "-5h30" (2013), and
	// Quality the code of the clock's quality with the leap second indicator.
	TimeCode, LocalCode string
	Quality, LeapSecond string
}

// Samples is how many samples the data has.
func (c *Config) Samples() int64 {
	if len(c.Rates) == 0 {
		return 0
	}
	return c.Rates[len(c.Rates)-1].Last
}

// recordBytes is the size of one record of a binary data file.
func (c *Config) recordBytes() int64 {
	width := int64(4)
	if c.Format == Binary {
		width = 2
	}
	return 8 + width*int64(len(c.Analogs)) + 2*int64((len(c.Digitals)+15)/16)
}

// An Error says where a recording is wrong.
type Error struct {
	File string // "cfg", "dat" or "cff"
	Line int64  // line of a text file or record of a binary one, from 1; 0: the whole
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("comtrade %s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("comtrade %s line %d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsRecording tells by its name whether a file is a COMTRADE recording (.cfg or
// .cff, in any case of letters).
func IsRecording(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".cfg" || ext == ".cff"
}

// Open opens a recording: a .cff, or a .cfg with its .dat in the same folder. The
// data is streamed: memory does not depend on its length. Close the reader.
func Open(path string, m *Map) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	if strings.EqualFold(filepath.Ext(path), ".cff") {
		return openOne(path, f, func() (*Reader, error) { return NewCFFReader(f, m) })
	}
	cfg, err := ReadConfig(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	data, err := openBeside(path, ".dat")
	if err != nil {
		return nil, err
	}
	return openOne(data.Name(), data, func() (*Reader, error) {
		info, err := data.Stat()
		if err != nil {
			return nil, err
		}
		if err := cfg.checkSize(info.Size()); err != nil {
			return nil, err
		}
		return NewReader(cfg, data, m)
	})
}

func openOne(name string, f *os.File, read func() (*Reader, error)) (*Reader, error) {
	r, err := read()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	r.closer = f
	return r, nil
}

// openBeside opens the file of the same name with another ending. Recorders write
// endings in capitals too.
func openBeside(path, ext string) (*os.File, error) {
	stem := strings.TrimSuffix(path, filepath.Ext(path))
	f, err := os.Open(stem + ext)
	if errors.Is(err, os.ErrNotExist) {
		if upper, upperErr := os.Open(stem + strings.ToUpper(ext)); upperErr == nil {
			return upper, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the recording's data: %w", err)
	}
	return f, nil
}

// checkSize refuses a binary data file that is too short for its configuration. A
// text file shows that only at its end.
func (c *Config) checkSize(bytes int64) error {
	if c.Format == ASCII {
		return nil
	}
	if need := c.Samples() * c.recordBytes(); bytes < need {
		return &Error{File: "dat", Err: fmt.Errorf("%w: %d bytes; the configuration says %d samples of %d bytes, %d",
			ErrShort, bytes, c.Samples(), c.recordBytes(), need)}
	}
	return nil
}

// ErrShort is in the error of data that ends before the number of
// samples that its configuration announces.
var ErrShort = errors.New("the data is shorter than its configuration says")

var _ io.Closer = (*Reader)(nil)
