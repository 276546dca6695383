package sensor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"fairwatt/model"
)

// Registers and settings of the ADXL345 (Analog Devices, data sheet rev. G, tables
// 19 to 22).
const (
	adxlID     = 0x00
	adxlRate   = 0x2C // and POWER_CTL behind it
	adxlPower  = 0x2D
	adxlFormat = 0x31
	adxlData   = 0x32
	adxlFIFO   = 0x38
	adxlFilled = 0x39

	adxlDeviceID = 0xE5
	adxl400Hz    = 0x0C
	adxlMeasure  = 0x08
	adxlFull16G  = 0x0B // full resolution, +-16 g
	adxlStream   = 0x80 // the newest 32 samples are kept

	adxlSamples = 128 // of a window: 320 ms
	adxlLSBPerG = 256
	adxlLimit   = 4095 // of a sample: 16 g
	adxlPause   = 20 * time.Millisecond
	adxlWait    = time.Second
	gravityMPS2 = 9.80665
)

// KindADXL345 is the kind of an [ADXL345].
const KindADXL345 = "adxl345"

// ADXL345Opts are the settings of an ADXL345: none. Its default address is 0x53.
type ADXL345Opts struct{}

func (o ADXL345Opts) withDefaults() Opts { return o }

func (ADXL345Opts) place() place { return atI2C(0x53) }

func (ADXL345Opts) check() error { return nil }

func (ADXL345Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return &ADXL345{chip: c}, nil
}

var adxlChannels = []model.Channel{model.VibrationMPS2}

// An ADXL345 measures the vibration of what it is screwed to: the RMS of the
// acceleration of all three axes together, up to 200 Hz, without gravity. Faults of
// bearings lie higher and need another sensor.
type ADXL345 struct {
	chip
}

// Channels implements Sensor.
func (d *ADXL345) Channels() []model.Channel { return adxlChannels }

// Read implements Sensor; it takes a third of a second.
func (d *ADXL345) Read(ctx context.Context, s *model.Sample) error {
	v, err := d.measure(ctx)
	if errors.Is(err, ErrSaturated) {
		s.Saturate(model.VibrationMPS2, true)
		return err
	}
	if err != nil {
		return failAll(s, adxlChannels, err)
	}
	s.SetStep(model.VibrationMPS2, v, gravityMPS2/adxlLSBPerG/math.Sqrt(adxlSamples))
	return nil
}

func (d *ADXL345) measure(ctx context.Context) (float64, error) {
	if !d.ready {
		if err := d.setup(); err != nil {
			return 0, err
		}
		d.ready = true
	}
	// What was kept since the last Read is old: the queue is emptied first.
	var sum, square [3]float64
	n, old := 0, 32
	var first [3]int16
	moved := false
	err := d.poll(ctx, "await samples", adxlPause, adxlWait, func() (bool, error) {
		filled, err := d.filled()
		for ; err == nil && filled > 0 && n < adxlSamples; filled-- {
			var a [3]int16
			if a, err = d.sample(); err != nil {
				break
			}
			if old > 0 {
				old--
				continue
			}
			if n == 0 {
				first = a
			}
			moved = moved || a != first
			for i, v := range a {
				sum[i] += float64(v)
				square[i] += float64(v) * float64(v)
			}
			n++
		}
		return n == adxlSamples, err
	})
	if err != nil {
		return 0, err
	}
	if err := d.standing(); err != nil {
		return 0, err
	}
	if !moved {
		return 0, d.fail("read samples", fmt.Errorf("%w: %d times %v", ErrStuck, n, first))
	}
	total := 0.0
	for i := range sum {
		mean := sum[i] / float64(n)
		total += max(0, square[i]/float64(n)-mean*mean)
	}
	return math.Sqrt(total) / adxlLSBPerG * gravityMPS2, nil
}

// filled is how many samples the chip holds.
func (d *ADXL345) filled() (int, error) {
	var b [1]byte
	err := d.tx("read queue", []byte{adxlFilled}, b[:])
	return int(b[0] & 0x3F), err
}

// sample takes the oldest sample; all six bytes in one transfer, as the chip asks
// for.
func (d *ADXL345) sample() (a [3]int16, err error) {
	var b [6]byte
	if err := d.tx("read sample", []byte{adxlData}, b[:]); err != nil {
		return a, err
	}
	for i := range a {
		a[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
		if a[i] >= adxlLimit || a[i] <= -adxlLimit {
			err := d.fail("read sample", fmt.Errorf("%w: 16 g", ErrSaturated))
			d.ready = true // it is in order
			return a, err
		}
	}
	return a, nil
}

// adxlSettings are what setup writes, in its order. The chip begins to measure with
// the last.
var adxlSettings = [...]struct {
	op     string
	reg, v byte
}{
	{"set rate", adxlRate, adxl400Hz}, {"set range", adxlFormat, adxlFull16G},
	{"set queue", adxlFIFO, adxlStream}, {"measure", adxlPower, adxlMeasure},
}

func (d *ADXL345) setup() error {
	var id [1]byte
	if err := d.tx("read id", []byte{adxlID}, id[:]); err != nil {
		return err
	}
	if id[0] != adxlDeviceID {
		return d.fail("read id", fmt.Errorf("%w: id 0x%02x, want 0x%02x", ErrWrongChip, id[0], adxlDeviceID))
	}
	for _, s := range adxlSettings {
		if err := d.tx(s.op, []byte{s.reg, s.v}, nil); err != nil {
			return err
		}
	}
	return nil
}

// standing looks whether what was set up still stands: a chip that has restarted
// rests, and its samples are zeros.
func (d *ADXL345) standing() error {
	for _, s := range adxlSettings {
		var b [1]byte
		if err := d.tx("read settings", []byte{s.reg}, b[:]); err != nil {
			return err
		}
		if b[0] != s.v {
			return d.fail("read settings", fmt.Errorf("%w: register 0x%02x holds 0x%02x, was set to 0x%02x: the chip has restarted", ErrWrongChip, s.reg, b[0], s.v))
		}
	}
	return nil
}
