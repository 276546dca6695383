package sensor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairwatt/model"
)

// Registers and settings of the LM75 (TI SNOS808P, section 7.5) and of its kin with
// more bits: TMP75, TMP175 (SBOS288), TMP105 (SBOS648).
const (
	lmTemperature = 0
	lmConfig      = 1
	lmLimit       = 3 // of the alarm, power-up value 80 C

	// lmMark is the limit that is set: 125 C, the end of the range. A chip that loses
	// its supply loses it too, and is found by that: its temperature is 0 C then.
	lmMark    = 0x7D00
	lmBits    = 9 // what every chip of the family has
	lmMostBit = 12
	lmDone    = 0x80                   // of the configuration: reads as the chip likes
	lmConvert = 300 * time.Millisecond // the first value after power-up, at most
	lmLowC    = -55
	lmHighC   = 125
)

// KindLM75 is the kind of an [LM75].
const KindLM75 = "lm75"

// LM75Opts are the settings of an LM75. Its default address is 0x48.
type LM75Opts struct {
	// Measures is "equipment" (default, equipment_temperature_c) or "air"
	// (temperature_c).
	Measures string `yaml:"measures,omitempty"`
	// Bits is the resolution: 9 (default, 0.5 C) on every chip; 10 to 12 (0.0625 C)
	// on those that can be told, such as TMP75, TMP105 and TMP175.
	Bits int `yaml:"bits,omitempty"`
}

func (o LM75Opts) withDefaults() Opts {
	orDefault(&o.Measures, "equipment")
	orDefault(&o.Bits, lmBits)
	return o
}

func (LM75Opts) place() place { return atI2C(0x48) }

func (o LM75Opts) check() error {
	if o.Bits < lmBits || o.Bits > lmMostBit {
		return fmt.Errorf("bits: %d is not within %d and %d", o.Bits, lmBits, lmMostBit)
	}
	return checkMeasures(o.Measures)
}

func (o LM75Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return &LM75{c, []model.Channel{measuredChannel(o.Measures)}, o.Bits}, nil
}

// An LM75 measures the temperature of what it is glued to, within 2 or 3 C. It
// converts all the time.
type LM75 struct {
	chip
	channels []model.Channel
	bits     int
}

// Channels implements Sensor.
func (d *LM75) Channels() []model.Channel { return d.channels }

// Read implements Sensor. The first takes 300 ms.
func (d *LM75) Read(ctx context.Context, s *model.Sample) error {
	t, err := d.measure(ctx)
	if errors.Is(err, ErrSaturated) {
		s.Saturate(d.channels[0], t > lmHighC)
		return err
	}
	if err != nil {
		return failAll(s, d.channels, err)
	}
	s.SetStep(d.channels[0], t, d.stepC())
	return nil
}

// stepC is the value of the last bit: the first is the sign, the ninth 0.5 C.
func (d *LM75) stepC() float64 { return 128 / float64(int(1)<<(d.bits-1)) }

func (d *LM75) measure(ctx context.Context) (float64, error) {
	if !d.ready {
		if err := d.setup(ctx); err != nil {
			return 0, err
		}
		d.ready = true
	}
	raw, err := d.read16("read temperature", lmTemperature)
	if err != nil {
		return 0, err
	}
	// Behind the value: a restart before it shows.
	mark, err := d.read16("read limit", lmLimit)
	if err != nil {
		return 0, err
	}
	if mark != lmMark {
		return 0, d.fail("read limit", fmt.Errorf("%w: 0x%04x, was set to 0x%04x: the chip has restarted", ErrWrongChip, mark, lmMark))
	}
	// What is below the last bit is not specified.
	t := float64(int16(raw)>>(16-d.bits)) * d.stepC()
	if t < lmLowC || t > lmHighC {
		return t, d.fail("read temperature", fmt.Errorf("%w: %g C", ErrSaturated, t))
	}
	return t, nil
}

// setup configures the chip, marks it, and awaits its first conversion. It has no
// id: that it keeps what is written stands in for one.
func (d *LM75) setup(ctx context.Context) error {
	want := byte(d.bits-lmBits) << 5
	if err := d.tx("configure", []byte{lmConfig, want}, nil); err != nil {
		return err
	}
	var got [1]byte
	if err := d.tx("read configuration", []byte{lmConfig}, got[:]); err != nil {
		return err
	}
	if got[0]&^lmDone != want {
		return d.fail("read configuration", fmt.Errorf("%w: 0x%02x, was set to 0x%02x for %d bits", ErrWrongChip, got[0], want, d.bits))
	}
	if err := d.write16("configure", lmLimit, lmMark); err != nil {
		return err
	}
	if err := d.clock.Sleep(ctx, lmConvert); err != nil {
		return d.fail("await measurement", err)
	}
	return nil
}
