package sensor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/proto/brief"
)

// KindSysfs is the kind of a [Sysfs].
const KindSysfs = "sysfs"

// SysfsOpts are the settings of a chip that a driver of the kernel reads: hwmon, iio,
// w1 or thermal. It has no address.
type SysfsOpts struct {
	// Timeout of one file, default 1 s: a slow bus converts while it is read.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	Files   []FileConfig  `yaml:"files,omitempty"`
}

// A FileConfig says how a channel comes from a file: Scale times its number, and
// Offset. The kernel gives thousandths of degrees, volts and amperes (hwmon, w1, iio's
// input files), so that the scale is 0.001 then.
type FileConfig struct {
	Channel model.Channel `yaml:"channel"`
	// Path is below /sys. A * stands for what changes from start to start, as in
	// /sys/bus/i2c/devices/1-0040/hwmon/hwmon*/in1_input; one file has to fit. Of a
	// file that ends in _raw, iio's own _offset and _scale beside it are heeded. Of
	// w1_slave the temperature is read, if its checksum is right.
	Path   string  `yaml:"path"`
	Scale  float64 `yaml:"scale,omitempty"` // default 1
	Offset float64 `yaml:"offset,omitempty"`
}

// Files is implemented by Buses that have another /sys than this machine's.
type Files interface {
	Glob(pattern string) ([]string, error)
	ReadFile(name string) ([]byte, error)
}

const (
	maxFiles     = 16
	maxFileBytes = 4096
)

func (o SysfsOpts) withDefaults() Opts {
	orDefault(&o.Timeout, time.Second)
	o.Files = append([]FileConfig(nil), o.Files...)
	for i := range o.Files {
		orDefault(&o.Files[i].Scale, 1)
	}
	return o
}

func (o SysfsOpts) place() place {
	p := place{on: onName}
	if len(o.Files) > 0 {
		p.at = o.Files[0].Path
	}
	return p
}

func (o SysfsOpts) check() error {
	switch {
	case o.Timeout < 10*time.Millisecond || o.Timeout > 2*time.Second:
		return fmt.Errorf("timeout: %v is not within 10ms and 2s", o.Timeout)
	case len(o.Files) < 1 || len(o.Files) > maxFiles:
		return fmt.Errorf("files: %d of them, not 1 to %d; write channel and path", len(o.Files), maxFiles)
	}
	for i, f := range o.Files {
		at := fmt.Sprintf("files[%d].", i)
		if err := checkQuantity(f.Channel); err != nil {
			return fmt.Errorf("%s%w", at, err)
		}
		for _, x := range o.Files[:i] {
			if x.Channel == f.Channel {
				return fmt.Errorf("%schannel: %s twice", at, f.Channel)
			}
		}
		if _, err := path.Match(f.Path, ""); err != nil || !strings.HasPrefix(f.Path, "/sys/") || path.Clean(f.Path) != f.Path || len(f.Path) > 512 {
			return fmt.Errorf("%spath: %s is no path below /sys/, such as /sys/class/hwmon/hwmon*/temp1_input", at, brief.Quote(f.Path))
		}
		if f.Channel == model.EnergyExportWh || f.Channel == model.EnergyImportWh {
			return fmt.Errorf("%schannel: %s begins at zero with the kernel; it is no meter", at, f.Channel)
		}
		if err := (linear{scale: f.Scale, offset: f.Offset}).check(f.Channel, at); err != nil {
			return err
		}
	}
	return nil
}

func (o SysfsOpts) open(cfg Config, buses Buses) (Sensor, error) {
	d := &Sysfs{name: cfg.Name, timeout: o.Timeout, files: systemFiles{}}
	if f, ok := buses.(Files); ok {
		d.files = f
	}
	for _, f := range o.Files {
		d.channels = append(d.channels, f.Channel)
		d.values = append(d.values, &sysfsValue{FileConfig: f, linear: linear{scale: f.Scale, offset: f.Offset}})
	}
	return d, nil
}

// A Sysfs reads numbers from files of the kernel's drivers. A file is looked for at each
// Read, so that a chip whose driver is bound again comes back. One that does not answer
// in time is waited for no longer, and not read again before it has answered.
type Sysfs struct {
	name     string
	channels []model.Channel
	values   []*sysfsValue
	timeout  time.Duration
	files    Files
}

type sysfsValue struct {
	FileConfig
	linear
	late chan sysfsReading // of a read that was given up; nil: none
}

type sysfsReading struct {
	v   float64
	err error
}

// systemFiles are this machine's.
type systemFiles struct{}

func (systemFiles) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

func (systemFiles) ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// Name implements Sensor.
func (d *Sysfs) Name() string { return d.name }

// Channels implements Sensor.
func (d *Sysfs) Channels() []model.Channel { return d.channels }

// Halt implements Sensor: nothing stays open.
func (d *Sysfs) Halt() error { return nil }

// Read implements Sensor. All files together take one timeout at most.
func (d *Sysfs) Read(ctx context.Context, s *model.Sample) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var bad []error
	for _, v := range d.values {
		raw, err := d.await(ctx, v)
		if err == nil {
			err = v.set(s, v.Channel, raw)
		}
		if err != nil {
			s.Fail(v.Channel, model.SensorError)
			bad = append(bad, fmt.Errorf("%s: %w", v.Channel, err))
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s: %w", d.name, errors.Join(bad...))
	}
	return nil
}

// await reads a value in time. The kernel cannot be told to give a read up, so that one
// goroutine a file may wait in it.
func (d *Sysfs) await(ctx context.Context, v *sysfsValue) (float64, error) {
	if v.late != nil {
		select {
		case <-v.late: // of then, not of now
			v.late = nil
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %s has not answered an earlier read", ErrNotReady, v.Path)
		}
	}
	answer := make(chan sysfsReading, 1)
	go func() {
		x, err := readSysfs(d.files, v.Path)
		answer <- sysfsReading{x, err}
	}()
	select {
	case r := <-answer:
		return r.v, r.err
	case <-ctx.Done():
		v.late = answer
		return 0, fmt.Errorf("%w: %s (%v)", ErrNotReady, v.Path, d.timeout)
	}
}

// readSysfs finds the file of a pattern and reads its number.
func readSysfs(files Files, pattern string) (float64, error) {
	found, err := files.Glob(pattern)
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fmt.Errorf("%w: there is no file %s", ErrNoChip, pattern)
	case len(found) > 1:
		return 0, fmt.Errorf("%w: %d files fit %s, such as %s and %s; write more of the path", ErrWrongChip, len(found), pattern, found[0], found[1])
	}
	name := found[0]
	text, err := files.ReadFile(name)
	if err != nil {
		return 0, err
	}
	if path.Base(name) == "w1_slave" {
		return oneWireNumber(string(text))
	}
	v, err := sysfsNumber(name, text)
	channel, raw := strings.CutSuffix(name, "_raw")
	if err != nil || !raw {
		return v, err
	}
	// (raw + offset) x scale (kernel: Documentation/ABI/testing/sysfs-bus-iio). Both
	// may stand at the channel or at all of its type: in_voltage0 or in_voltage.
	offset, err := beside(files, channel, "_offset", 0)
	if err != nil {
		return 0, err
	}
	scale, err := beside(files, channel, "_scale", 1)
	return (v + offset) * scale, err
}

// beside reads a channel's own file of that ending, or that of its type, or takes the
// default where neither is.
func beside(files Files, channel, ending string, otherwise float64) (float64, error) {
	for _, name := range []string{channel + ending, strings.TrimRight(channel, "0123456789") + ending} {
		text, err := files.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return sysfsNumber(name, text)
	}
	return otherwise, nil
}

func sysfsNumber(name string, text []byte) (float64, error) {
	word := strings.TrimSpace(string(text))
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || len(text) > maxFileBytes {
		return 0, fmt.Errorf("%w: %s holds %s, no number", ErrSkipped, path.Base(name), brief.Quote(word))
	}
	return v, nil
}

// oneWireNumber reads w1_slave of the kernel's w1_therm: nine bytes, crc=xx YES, and in
// the second line t=thousandths of degrees.
func oneWireNumber(text string) (float64, error) {
	first, second, _ := strings.Cut(text, "\n")
	if !strings.HasSuffix(strings.TrimSpace(first), "YES") {
		return 0, fmt.Errorf("%w: w1_slave says %s", ErrChecksum, brief.Quote(first))
	}
	_, t, ok := strings.Cut(second, "t=")
	if !ok {
		return 0, fmt.Errorf("%w: w1_slave says %s", ErrSkipped, brief.Quote(second))
	}
	return sysfsNumber("w1_slave", []byte(t))
}
