package sensor

import (
	"context"
	"fmt"
	"math"
	"time"

	"fairwatt/model"
)

// Registers and settings of the BME280 (BST-BME280-DS002, chapter 5).
const (
	bmeCalib1   = 0x88 // 26 bytes, T1..P9, one unused, H1
	bmeID       = 0xD0
	bmeReset    = 0xE0
	bmeCalib2   = 0xE1 // 7 bytes, H2..H6
	bmeCtrlHum  = 0xF2
	bmeStatus   = 0xF3
	bmeCtrlMeas = 0xF4
	bmeConfig   = 0xF5
	bmeData     = 0xF7 // 8 bytes, P, T, H

	bmeChipID      = 0x60
	bmeResetWord   = 0xB6
	bmeMeasuring   = 1 << 3
	bmeUpdating    = 1 << 0
	bmeHumX1       = 0x01
	bmeForcedT2P4  = 2<<5 | 3<<2 | 1         // oversampling T x2, P x4, forced mode
	bmeMeasureTime = 19 * time.Millisecond   // 1.25 + 2.3*2 + 2.3*4+0.575 + 2.3+0.575 ms, appendix B
	bmeLimit       = 100 * time.Millisecond  // five times that: a fault
	bmePause       = 2500 * time.Microsecond // between polls
)

var bmeChannels = []model.Channel{model.TemperatureC, model.HumidityPct, model.PressureHPa}

// KindBME280 is the kind of a [BME280].
const KindBME280 = "bme280"

// BME280Opts are the settings of a BME280: none. Its default address is 0x76.
type BME280Opts struct{}

func (o BME280Opts) withDefaults() Opts { return o }

func (BME280Opts) place() place { return atI2C(0x76) }

func (BME280Opts) check() error {
	return nil
}

func (BME280Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return &BME280{chip: c}, nil
}

// A BME280 measures temperature, humidity and pressure. It sleeps between
// measurements (forced mode), so that it does not warm itself.
type BME280 struct {
	chip
	cal bmeCalibration
}

// Channels implements Sensor.
func (d *BME280) Channels() []model.Channel { return bmeChannels }

// Read implements Sensor; it takes about 20 ms.
func (d *BME280) Read(ctx context.Context, s *model.Sample) error {
	raw, err := d.measure(ctx)
	if err != nil {
		return failAll(s, bmeChannels, err)
	}
	// The chip's reset values mean "not measured" (5.4.7-5.4.9). Without the
	// temperature nothing can be compensated.
	if raw.t == 0x80000 {
		return failAll(s, bmeChannels, d.fail("temperature", ErrSkipped))
	}
	t, fine := d.cal.temperature(raw.t)
	// The steps are those of the oversampling that is set (3.5.3, table 5), the
	// humidity's from its 16 bits.
	s.SetStep(model.TemperatureC, t, 0.0025)
	var first error
	if raw.p == 0x80000 {
		s.Fail(model.PressureHPa, model.SensorError)
		first = d.fail("pressure", ErrSkipped)
	} else {
		s.SetStep(model.PressureHPa, d.cal.pressure(raw.p, fine)/100, 0.0066)
	}
	if raw.h == 0x8000 {
		s.Fail(model.HumidityPct, model.SensorError)
		if first == nil {
			first = d.fail("humidity", ErrSkipped)
		}
	} else {
		s.SetStep(model.HumidityPct, d.cal.humidity(raw.h, fine), 0.008)
	}
	return first
}

func (d *BME280) measure(ctx context.Context) (raw bmeRaw, err error) {
	if !d.ready {
		if err := d.setup(ctx); err != nil {
			return raw, err
		}
		d.ready = true
	}
	if err := d.tx("start measurement", []byte{bmeCtrlMeas, bmeForcedT2P4}, nil); err != nil {
		return raw, err
	}
	if err := d.clock.Sleep(ctx, bmeMeasureTime); err != nil {
		return raw, d.fail("await measurement", err)
	}
	if err := d.await(ctx, "await measurement", bmeMeasuring); err != nil {
		return raw, err
	}
	var b [8]byte
	if err := d.tx("read measurement", []byte{bmeData}, b[:]); err != nil {
		return raw, err
	}
	return bmeRaw{
		p: int32(b[0])<<12 | int32(b[1])<<4 | int32(b[2])>>4,
		t: int32(b[3])<<12 | int32(b[4])<<4 | int32(b[5])>>4,
		h: int32(b[6])<<8 | int32(b[7]),
	}, nil
}

func (d *BME280) await(ctx context.Context, op string, bit byte) error {
	return d.poll(ctx, op, bmePause, bmeLimit, func() (bool, error) {
		var b [1]byte
		err := d.tx(op, []byte{bmeStatus}, b[:])
		return b[0]&bit == 0, err
	})
}

// setup identifies the chip, resets it and reads its calibration.
func (d *BME280) setup(ctx context.Context) error {
	var id [1]byte
	if err := d.tx("read chip id", []byte{bmeID}, id[:]); err != nil {
		return err
	}
	if id[0] != bmeChipID {
		return d.fail("read chip id", fmt.Errorf("%w: id 0x%02x, want 0x%02x", ErrWrongChip, id[0], bmeChipID))
	}
	if err := d.tx("reset", []byte{bmeReset, bmeResetWord}, nil); err != nil {
		return err
	}
	if err := d.clock.Sleep(ctx, 2*time.Millisecond); err != nil { // start-up time, table 1
		return d.fail("reset", err)
	}
	if err := d.await(ctx, "await calibration", bmeUpdating); err != nil {
		return err
	}
	var c1 [26]byte
	var c2 [7]byte
	if err := d.tx("read calibration", []byte{bmeCalib1}, c1[:]); err != nil {
		return err
	}
	if err := d.tx("read calibration", []byte{bmeCalib2}, c2[:]); err != nil {
		return err
	}
	d.cal = parseBMECalibration(&c1, &c2)
	if d.cal.t1 == 0 || d.cal.p1 == 0 {
		return d.fail("read calibration", fmt.Errorf("%w: empty calibration", ErrWrongChip))
	}
	// The humidity setting takes effect with the next write of ctrl_meas (5.4.3).
	return d.tx("configure", []byte{bmeCtrlHum, bmeHumX1, bmeConfig, 0}, nil)
}

type bmeRaw struct{ p, t, h int32 } // 20, 20 and 16 bits

// bmeCalibration is the chip's trimming, table 16.
type bmeCalibration struct {
	t1, t2, t3                         float64
	p1, p2, p3, p4, p5, p6, p7, p8, p9 float64
	h1, h2, h3, h4, h5, h6             float64
}

func parseBMECalibration(a *[26]byte, b *[7]byte) bmeCalibration {
	u := func(i int) float64 { return float64(uint16(a[i]) | uint16(a[i+1])<<8) }
	s := func(i int) float64 { return float64(int16(uint16(a[i]) | uint16(a[i+1])<<8)) }
	return bmeCalibration{
		t1: u(0), t2: s(2), t3: s(4),
		p1: u(6), p2: s(8), p3: s(10), p4: s(12), p5: s(14), p6: s(16), p7: s(18), p8: s(20), p9: s(22),
		h1: float64(a[25]), h2: float64(int16(uint16(b[0]) | uint16(b[1])<<8)), h3: float64(b[2]),
		h4: float64(int16(int8(b[3]))<<4 | int16(b[4]&0x0F)),
		h5: float64(int16(int8(b[5]))<<4 | int16(b[4]>>4)),
		h6: float64(int8(b[6])),
	}
}

// temperature returns degrees Celsius, and t_fine for the other two (appendix
// A, double precision).
func (c *bmeCalibration) temperature(raw int32) (t, fine float64) {
	x := float64(raw)
	v1 := (x/16384 - c.t1/1024) * c.t2
	v2 := x/131072 - c.t1/8192
	fine = v1 + v2*v2*c.t3
	return fine / 5120, fine
}

// pressure returns Pa; NaN where the formula has no answer.
func (c *bmeCalibration) pressure(raw int32, fine float64) float64 {
	v1 := fine/2 - 64000
	v2 := v1*v1*c.p6/32768 + v1*c.p5*2
	v2 = v2/4 + c.p4*65536
	v1 = (c.p3*v1*v1/524288 + c.p2*v1) / 524288
	v1 = (1 + v1/32768) * c.p1
	if v1 == 0 {
		return math.NaN()
	}
	p := (1048576 - float64(raw) - v2/4096) * 6250 / v1
	return p + (c.p9*p*p/2147483648+p*c.p8/32768+c.p7)/16
}

// humidity returns per cent, within 0 and 100 as the datasheet's code limits it.
func (c *bmeCalibration) humidity(raw int32, fine float64) float64 {
	h := fine - 76800
	h = (float64(raw) - (c.h4*64 + c.h5/16384*h)) *
		(c.h2 / 65536 * (1 + c.h6/67108864*h*(1+c.h3/67108864*h)))
	h *= 1 - c.h1*h/524288
	return min(max(h, 0), 100)
}
