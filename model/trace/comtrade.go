package trace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// COMTRADE (IEEE C37.111-1991, -1999, -2013; IEC 60255-24) is the file format
// of fault recorders and protection relays: a text configuration (.cfg) that
// says what the columns of the data (.dat) are. A .cff holds both in one file.

// Limits of what is read. They are checked before anything is allocated, so
// that a few digits in a file cannot ask for gigabytes.
const (
	maxComtradeText     = 4 << 20 // bytes of a .cfg
	maxComtradeLine     = 64 << 10
	maxComtradeAnalogs  = 4096
	maxComtradeDigitals = 16384
	maxComtradeRates    = 10000
	maxComtradeSamples  = 1 << 31
)

// A ComtradeFormat is how the samples of a data file are written.
type ComtradeFormat uint8

// The formats. Binary has 16-bit integers; Binary32 and Float32 are of 2013.
const (
	ComtradeASCII ComtradeFormat = iota
	ComtradeBinary
	ComtradeBinary32
	ComtradeFloat32
)

var comtradeFormats = [...]string{"ASCII", "BINARY", "BINARY32", "FLOAT32"}

// String returns the format's name in a configuration.
func (f ComtradeFormat) String() string {
	if int(f) < len(comtradeFormats) {
		return comtradeFormats[f]
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// A ComtradeAnalog describes an analog channel: value = A x raw + B in Unit.
type ComtradeAnalog struct {
	Name, Phase, Circuit, Unit string
	A, B                       float64
	SkewUS                     float64 // time skew within a sample, microseconds
	Min, Max                   float64 // of raw
	// Primary and Secondary are the ratio of the transformer, and Secondary
	// true when the values are on its secondary side. Configurations of 1991
	// have none of the three.
	Primary, SecondaryRated float64
	Secondary               bool
}

// Factor is what turns a value of the channel into one of the primary side.
func (a *ComtradeAnalog) Factor() float64 {
	if !a.Secondary || a.Primary == 0 || a.SecondaryRated == 0 {
		return 1
	}
	return a.Primary / a.SecondaryRated
}

// A ComtradeDigital describes a status channel.
type ComtradeDigital struct {
	Name, Phase, Circuit string
	Normal               bool
}

// A ComtradeRate says that samples up to and including number Last (from 1)
// were taken at Hz a second. Hz is zero where the time stamps decide.
type ComtradeRate struct {
	Hz   float64
	Last int64
}

// A ComtradeConfig is the content of a .cfg.
type ComtradeConfig struct {
	Station, Device string
	Revision        int // as in the file: 1991 where it is absent; also years between
	Analogs         []ComtradeAnalog
	Digitals        []ComtradeDigital
	LineHz          float64 // nominal frequency; 0 where the field is empty
	// Timed says that the time stamps of the data are the time of a sample;
	// otherwise Rates are. Rates has at least one entry: the last says how many
	// samples there are.
	Timed bool
	Rates []ComtradeRate
	// Start is when the first sample was taken, Trigger when the recorder
	// triggered: UTC where TimeCode gives the offset, else the recorder's own
	// clock read as UTC. Zero where the file leaves it empty.
	Start, Trigger time.Time
	Nanoseconds    bool // time stamps count nanoseconds, not microseconds
	Format         ComtradeFormat
	TimeMult       float64
	// TimeCode and LocalCode are offsets from UTC such as "-5h30" (2013), and
	// Quality the code of the clock's quality with the leap second indicator.
	TimeCode, LocalCode string
	Quality, LeapSecond string
}

// Samples is how many samples the data has.
func (c *ComtradeConfig) Samples() int64 {
	if len(c.Rates) == 0 {
		return 0
	}
	return c.Rates[len(c.Rates)-1].Last
}

// recordBytes is the size of one record of a binary data file.
func (c *ComtradeConfig) recordBytes() int64 {
	width := int64(4)
	if c.Format == ComtradeBinary {
		width = 2
	}
	return 8 + width*int64(len(c.Analogs)) + 2*int64((len(c.Digitals)+15)/16)
}

// A ComtradeError says where a recording is wrong.
type ComtradeError struct {
	File string // "cfg", "dat" or "cff"
	Line int64  // line of a text file or record of a binary one, from 1; 0: the whole
	Err  error
}

func (e *ComtradeError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("comtrade %s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("comtrade %s line %d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *ComtradeError) Unwrap() error { return e.Err }

// IsComtrade tells by its name whether a file is a COMTRADE recording (.cfg or
// .cff, in any case of letters).
func IsComtrade(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".cfg" || ext == ".cff"
}

// OpenComtrade opens a recording: a .cff, or a .cfg with its .dat beside it.
// The data is streamed: memory does not depend on its length. Close the reader.
func OpenComtrade(path string, m *ComtradeMap) (*ComtradeReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	if strings.EqualFold(filepath.Ext(path), ".cff") {
		return openOne(path, f, func() (*ComtradeReader, error) { return NewComtradeCFF(f, m) })
	}
	cfg, err := ReadComtradeConfig(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	data, err := openBeside(path, ".dat")
	if err != nil {
		return nil, err
	}
	return openOne(data.Name(), data, func() (*ComtradeReader, error) {
		info, err := data.Stat()
		if err != nil {
			return nil, err
		}
		if err := cfg.checkSize(info.Size()); err != nil {
			return nil, err
		}
		return NewComtradeReader(cfg, data, m)
	})
}

func openOne(name string, f *os.File, read func() (*ComtradeReader, error)) (*ComtradeReader, error) {
	r, err := read()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	r.closer = f
	return r, nil
}

// openBeside opens the file with another ending beside path; recorders write
// endings in either case.
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

// checkSize refuses a binary data file that cannot hold what its configuration
// says. A text file shows it only at its end.
func (c *ComtradeConfig) checkSize(bytes int64) error {
	if c.Format == ComtradeASCII {
		return nil
	}
	if need := c.Samples() * c.recordBytes(); bytes < need {
		return &ComtradeError{File: "dat", Err: fmt.Errorf("%w: %d bytes; the configuration says %d samples of %d bytes, %d",
			ErrComtradeShort, bytes, c.Samples(), c.recordBytes(), need)}
	}
	return nil
}

// ErrComtradeShort is in the error of data that ends before the number of
// samples that its configuration announces.
var ErrComtradeShort = errors.New("the data is shorter than its configuration says")

var _ io.Closer = (*ComtradeReader)(nil)
