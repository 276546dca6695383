package sensor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairwatt/model"
)

// Registers and settings of the TMP102 (TI SBOS397, section 7.5).
const (
	tmpTemperature = 0
	tmpConfig      = 1
	// Shut down between measurements, extended mode (13 bits, to 150 C), the
	// read-only resolution bits as they read.
	tmpSettings = 0x6190
	tmpOneShot  = 0x8000                 // written: start; read: done
	tmpFixed    = 0x7FDF                 // what reads back: not OS, not AL
	tmpExtended = 1                      // of the temperature register
	tmpTime     = 26 * time.Millisecond  // conversion, typical (35 ms at most)
	tmpLimit    = 100 * time.Millisecond // three times the most: a fault
	tmpPause    = 3 * time.Millisecond
	tmpStepC    = 0.0625
	tmpLowC     = -55 // operating range, section 6.3
	tmpHighC    = 150
)

// KindTMP102 is the kind of a [TMP102].
const KindTMP102 = "tmp102"

// TMP102Opts are the settings of a TMP102. Its default address is 0x48.
type TMP102Opts struct {
	// Measures is "equipment" (default, equipment_temperature_c) or "air"
	// (temperature_c).
	Measures string `yaml:"measures,omitempty"`
}

func (o TMP102Opts) withDefaults() Opts {
	orDefault(&o.Measures, "equipment")
	return o
}

func (TMP102Opts) place() place { return atI2C(0x48) }

func (o TMP102Opts) check() error { return checkMeasures(o.Measures) }

// checkMeasures refuses what a thermometer cannot be told to measure.
func checkMeasures(measures string) error {
	if measures != "equipment" && measures != "air" {
		return fmt.Errorf("measures: %q is neither equipment nor air", measures)
	}
	return nil
}

// measuredChannel is the channel of a thermometer.
func measuredChannel(measures string) model.Channel {
	if measures == "air" {
		return model.TemperatureC
	}
	return model.EquipmentTemperatureC
}

func (o TMP102Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return newTMP102(o, c), nil
}

// A TMP102 measures the temperature of what it is glued to. It converts once a
// Read and sleeps in between.
type TMP102 struct {
	chip
	channels []model.Channel
}

func newTMP102(o TMP102Opts, c chip) *TMP102 {
	return &TMP102{c, []model.Channel{measuredChannel(o.Measures)}}
}

// Channels implements Sensor.
func (d *TMP102) Channels() []model.Channel { return d.channels }

// Read implements Sensor; it takes about 26 ms.
func (d *TMP102) Read(ctx context.Context, s *model.Sample) error {
	t, err := d.measure(ctx)
	if errors.Is(err, ErrSaturated) {
		s.Saturate(d.channels[0], t > tmpHighC)
		return err
	}
	if err != nil {
		return failAll(s, d.channels, err)
	}
	s.SetStep(d.channels[0], t, tmpStepC)
	return nil
}

func (d *TMP102) measure(ctx context.Context) (float64, error) {
	if !d.ready {
		if err := d.setup(); err != nil {
			return 0, err
		}
		d.ready = true
	}
	if err := d.write16("start measurement", tmpConfig, tmpSettings|tmpOneShot); err != nil {
		return 0, err
	}
	if err := d.clock.Sleep(ctx, tmpTime); err != nil {
		return 0, d.fail("await measurement", err)
	}
	err := d.poll(ctx, "await measurement", tmpPause, tmpLimit, func() (bool, error) {
		v, err := d.read16("await measurement", tmpConfig)
		return v&tmpOneShot != 0, err
	})
	if err != nil {
		return 0, err
	}
	raw, err := d.read16("read temperature", tmpTemperature)
	if err != nil {
		return 0, err
	}
	if raw&tmpExtended == 0 { // it lost its settings: the value's scale is another
		return 0, d.fail("read temperature", fmt.Errorf("%w: not in extended mode", ErrWrongChip))
	}
	t := float64(int16(raw)>>3) * tmpStepC
	if t < tmpLowC || t > tmpHighC {
		return t, d.fail("read temperature", fmt.Errorf("%w: %g C", ErrSaturated, t))
	}
	return t, nil
}

// setup configures the chip. It has no id: that its configuration keeps what is
// written, with the two resolution bits always set, stands in for one.
func (d *TMP102) setup() error {
	if err := d.write16("configure", tmpConfig, tmpSettings); err != nil {
		return err
	}
	got, err := d.read16("read configuration", tmpConfig)
	if err != nil {
		return err
	}
	if got&tmpFixed != tmpSettings {
		return d.fail("read configuration", fmt.Errorf("%w: 0x%04x, want 0x%04x", ErrWrongChip, got&tmpFixed, tmpSettings))
	}
	return nil
}
