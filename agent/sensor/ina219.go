package sensor

import (
	"context"
	"fmt"
	"math"
	"time"

	"fairwatt/model"
)

// Registers and settings of the INA219 (SBOS448G, section 8.6).
const (
	inaConfig      = 0
	inaBus         = 2
	inaPower       = 3
	inaCurrent     = 4
	inaShunt       = 1
	inaCalibrate   = 5
	inaResetWord   = 0x8000
	inaResetConfig = 0x399F
	// 32 V, gain /8 (320 mV), both converters 16 samples of 12 bits, shunt and
	// bus continuously: a fresh pair every 17 ms.
	inaSettings = 1<<13 | 3<<11 | 0xC<<7 | 0xC<<3 | 7
	inaReady    = 1 << 1
	inaOverflow = 1 << 0
	inaBusFull  = 8000 // 32 V, table 5
	inaBusStepV = 0.004
	inaShuntMax = 32000 // 320 mV, table 7
	inaPeriod   = 17100 * time.Microsecond
	inaLimit    = 200 * time.Millisecond
	inaPause    = 2 * time.Millisecond
)

var inaChannels = []model.Channel{model.DCVoltageV, model.DCCurrentA}

// KindINA219 is the kind of an [INA219].
const KindINA219 = "ina219"

// INA219Opts are the settings of an INA219. Its default address is 0x40.
type INA219Opts struct {
	// ShuntOhm is the shunt, default 0.1.
	ShuntOhm float64 `yaml:"shunt_ohm,omitempty"`
	// MaxCurrentA sets the current's resolution, max/32768. Default: what 320 mV
	// drive through the shunt.
	MaxCurrentA float64 `yaml:"max_current_a,omitempty"`
	// VoltageScale is the ratio of a divider before the bus pin, default 1 (26 V
	// absolute maximum at the chip).
	VoltageScale float64 `yaml:"voltage_scale,omitempty"`
}

func (o INA219Opts) withDefaults() Opts {
	orDefault(&o.ShuntOhm, 0.1)
	orDefault(&o.MaxCurrentA, 0.32/o.ShuntOhm)
	orDefault(&o.VoltageScale, 1)
	return o
}

func (INA219Opts) place() place { return atI2C(0x40) }

func (o INA219Opts) check() error {
	if !within(o.ShuntOhm, 1e-5, 100) {
		return fmt.Errorf("shunt_ohm: %g is not within 0.00001 and 100", o.ShuntOhm)
	}
	if cal := inaCalibration(o.MaxCurrentA, o.ShuntOhm); !within(cal, 1, 65534) {
		return fmt.Errorf("max_current_a: %g A gives a calibration of %.0f, not within 1 and 65534", o.MaxCurrentA, cal)
	}
	if !within(o.VoltageScale, 1e-3, 1e5) {
		return fmt.Errorf("voltage_scale: %g is not within 0.001 and 100000", o.VoltageScale)
	}
	return nil
}

func (o INA219Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return newINA219(o, c), nil
}

// An INA219 measures voltage and current on the DC side.
type INA219 struct {
	chip
	cal          uint16
	lsbA         float64
	voltageScale float64
}

// inaCalibration is equation 1: 0.04096 / (Current_LSB * R_shunt).
func inaCalibration(maxA, ohm float64) float64 { return math.Trunc(0.04096 / (maxA / 32768 * ohm)) }

func newINA219(o INA219Opts, c chip) *INA219 {
	// Bit 0 of the register is not used; the unit is taken from the value that
	// really stands in the chip.
	cal := uint16(inaCalibration(o.MaxCurrentA, o.ShuntOhm)) &^ 1
	return &INA219{chip: c, cal: max(cal, 2), lsbA: 0.04096 / (float64(max(cal, 2)) * o.ShuntOhm), voltageScale: o.VoltageScale}
}

// Channels implements Sensor.
func (d *INA219) Channels() []model.Channel { return inaChannels }

// Read implements Sensor. It awaits a conversion that ended after the last
// Read: at most 17 ms on a healthy chip.
func (d *INA219) Read(ctx context.Context, s *model.Sample) error {
	v, a, err := d.measure(ctx)
	if err != nil {
		err = failAll(s, inaChannels, err)
		if v > 0 { // the string has more than the divider was made for
			s.Saturate(model.DCVoltageV, true)
		}
		return err
	}
	s.SetStep(model.DCVoltageV, v, inaBusStepV*d.voltageScale)
	s.SetStep(model.DCCurrentA, a, d.lsbA)
	return nil
}

// measure returns an infinite voltage with the error of one beyond the range.
func (d *INA219) measure(ctx context.Context) (volts, amps float64, err error) {
	if !d.ready {
		if err := d.setup(ctx); err != nil {
			return 0, 0, err
		}
		d.ready = true
	}
	var bus uint16
	err = d.poll(ctx, "await conversion", inaPause, inaLimit, func() (ok bool, err error) {
		bus, err = d.read16("read bus voltage", inaBus)
		return bus&inaReady != 0, err
	})
	if err != nil {
		return 0, 0, err
	}
	if bus&inaOverflow != 0 {
		return 0, 0, d.fail("read bus voltage", fmt.Errorf("%w: math overflow flag", ErrSaturated))
	}
	if bus>>3 >= inaBusFull {
		return math.Inf(1), 0, d.fail("read bus voltage", ErrSaturated)
	}
	shunt, err := d.read16("read shunt", inaShunt)
	if err != nil {
		return 0, 0, err
	}
	if v := int16(shunt); v >= inaShuntMax || v <= -inaShuntMax {
		return 0, 0, d.fail("read shunt", ErrSaturated)
	}
	current, err := d.read16("read current", inaCurrent)
	if err != nil {
		return 0, 0, err
	}
	// Reading the power register clears the ready bit (8.6.3.2), so that the
	// next Read sees a new conversion.
	if _, err := d.read16("read power", inaPower); err != nil {
		return 0, 0, err
	}
	if err := d.standing(); err != nil {
		return 0, 0, err
	}
	return float64(bus>>3) * inaBusStepV * d.voltageScale, float64(int16(current)) * d.lsbA, nil
}

// standing looks whether what was set up still stands. A chip that a dip of its
// supply has reset answers on, and its current is 0 A because its calibration is
// (8.5.1). It is looked at behind the values: a reset between them shows too.
func (d *INA219) standing() error {
	for _, r := range [...]struct {
		op   string
		reg  byte
		want uint16
	}{{"read calibration", inaCalibrate, d.cal}, {"read configuration", inaConfig, inaSettings}} {
		got, err := d.read16(r.op, r.reg)
		if err != nil {
			return err
		}
		if got != r.want {
			return d.fail(r.op, fmt.Errorf("%w: 0x%04x, was set to 0x%04x: the chip has restarted", ErrWrongChip, got, r.want))
		}
	}
	return nil
}

// setup resets the chip. It has no id: the reset value of its configuration
// stands in for one.
func (d *INA219) setup(ctx context.Context) error {
	if err := d.write16("reset", inaConfig, inaResetWord); err != nil {
		return err
	}
	got, err := d.read16("read configuration", inaConfig)
	if err != nil {
		return err
	}
	if got != inaResetConfig {
		return d.fail("read configuration", fmt.Errorf("%w: 0x%04x after reset, want 0x%04x", ErrWrongChip, got, inaResetConfig))
	}
	if err := d.write16("calibrate", inaCalibrate, d.cal); err != nil {
		return err
	}
	if err := d.write16("configure", inaConfig, inaSettings); err != nil {
		return err
	}
	if err := d.clock.Sleep(ctx, inaPeriod); err != nil {
		return d.fail("configure", err)
	}
	return nil
}
