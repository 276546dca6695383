package sensor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairwatt/model"
)

// Commands and settings of the DS18B20 (Maxim 19-7487, rev. 6). periph's drivers,
// ds248x and ds18b20, are not used: one failed transfer breaks the bridge for good, its
// wait for the line goes by the wall's clock, a reading sleeps for the whole
// conversion, and what a sensor shows after a dip of its supply, 85 C, passes.
const (
	dsFamily    = 0x28
	dsMatch     = 0x55
	dsConvert   = 0x44
	dsRead      = 0xBE
	dsWrite     = 0x4E
	dsPower     = 0xB4
	dsConvertIn = 750 * time.Millisecond // 12 bits, at most
	// dsStale is how old a conversion may be to be a reading.
	dsStale = 3 * time.Second
	dsLowC  = -55
	dsHighC = 125
	dsStepC = 0.0625
)

// dsMark are the limits of the alarm that are set, 125 and -55 C, and 12 bits. They
// are not kept without supply: a sensor that has lost it, and shows 85 C, is found by
// that.
var dsMark = [...]byte{125, 0xC9, 0x7F}

// A rom is the number of a 1-Wire chip as it is sent: family, serial number from its
// lowest byte on, checksum.
type rom [8]byte

// String is the number as Linux writes it.
func (r rom) String() string {
	serial := slices.Clone(r[1:7])
	slices.Reverse(serial)
	return fmt.Sprintf("%02x-%x", r[0], serial)
}

// parseROM reads a number as Linux writes it.
func parseROM(s string) (r rom, err error) {
	family, serial, ok := strings.Cut(s, "-")
	f, err1 := strconv.ParseUint(family, 16, 8)
	n, err2 := strconv.ParseUint(serial, 16, 48)
	if !ok || err1 != nil || err2 != nil || f != dsFamily || len(serial) != 12 {
		return r, fmt.Errorf("rom: %.60q is no number of a DS18B20, such as 28-0316a279f5ff; leave it out where the sensor is alone", s)
	}
	r[0] = byte(f)
	for i := range 6 {
		r[1+i] = byte(n >> (8 * i))
	}
	r[7] = crc8Maxim(r[:7])
	return r, nil
}

// KindDS18B20 is the kind of a [DS18B20].
const KindDS18B20 = "ds18b20"

// DS18B20Opts are the settings of a DS18B20. Its address is that of the DS2482 that
// drives its line, 0x18 by default.
type DS18B20Opts struct {
	// ROM is its number, such as 28-0316a279f5ff. It may be left out for a sensor that
	// is alone on its line.
	ROM string `yaml:"rom,omitempty"`
	// Measures is "equipment" (default, equipment_temperature_c) or "air"
	// (temperature_c).
	Measures string `yaml:"measures,omitempty"`
}

func (o DS18B20Opts) withDefaults() Opts {
	orDefault(&o.Measures, "equipment")
	return o
}

func (DS18B20Opts) place() place { return atI2C(0x18) }

func (o DS18B20Opts) check() error {
	if o.ROM != "" {
		if _, err := parseROM(o.ROM); err != nil {
			return err
		}
	}
	return checkMeasures(o.Measures)
}

func (o DS18B20Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	d := &DS18B20{line: onewire{c}, channels: []model.Channel{measuredChannel(o.Measures)}, alone: o.ROM == ""}
	if o.ROM != "" {
		d.rom, err = parseROM(o.ROM)
	}
	return d, err
}

// A DS18B20 measures the temperature of what it is glued to, within 0.5 C. It
// converts between the readings: a reading gives what the conversion that the last one
// began has found, and begins the next.
type DS18B20 struct {
	line     onewire
	channels []model.Channel
	rom      rom  // zero: not known yet
	alone    bool // it was given no number, and is searched for
	marked   bool
	pending  bool
	began    time.Duration // the conversion
	lastC    float64
	lastAt   time.Duration // when the conversion of lastC began
	has      bool
}

// Name implements Sensor.
func (d *DS18B20) Name() string { return d.line.name }

// Halt implements Sensor.
func (d *DS18B20) Halt() error { return nil }

// Channels implements Sensor.
func (d *DS18B20) Channels() []model.Channel { return d.channels }

// Read implements Sensor; it takes about 40 ms, and the length of a conversion more
// where the last one is too old.
func (d *DS18B20) Read(ctx context.Context, s *model.Sample) error {
	err := d.measure(ctx)
	if errors.Is(err, ErrSaturated) {
		s.Saturate(d.channels[0], d.lastC > dsHighC)
		return err
	}
	if err != nil {
		d.marked, d.pending, d.has = false, false, false
		if d.alone { // another one may hang there now
			d.rom = rom{}
		}
		return failAll(s, d.channels, err)
	}
	s.SetStep(d.channels[0], d.lastC, dsStepC)
	s.AgeMs[d.channels[0]] = (d.line.clock.Now() - d.lastAt).Milliseconds()
	return nil
}

func (d *DS18B20) measure(ctx context.Context) error {
	now := d.line.clock.Now()
	switch {
	case d.pending && now-d.began < dsConvertIn && d.has && now-d.lastAt <= dsStale:
		return nil // it still converts; the last value stands
	case !d.pending || now-d.began > dsStale:
		if err := d.convert(ctx); err != nil {
			return err
		}
		fallthrough
	case now-d.began < dsConvertIn:
		left := dsConvertIn - (d.line.clock.Now() - d.began)
		if err := d.line.clock.Sleep(ctx, max(left, 0)); err != nil {
			return d.line.fail("await measurement", err)
		}
	}
	if err := d.collect(ctx); err != nil {
		return err
	}
	return d.convert(ctx)
}

// address begins a message to this sensor.
func (d *DS18B20) address(ctx context.Context, op string, send ...byte) error {
	return d.line.begin(ctx, op, append(append([]byte{dsMatch}, d.rom[:]...), send...)...)
}

// convert sets the sensor up if need be, and has it begin a conversion.
func (d *DS18B20) convert(ctx context.Context) error {
	if !d.line.ready || !d.marked {
		if err := d.setup(ctx); err != nil {
			return err
		}
	}
	const op = "start measurement"
	if err := d.address(ctx, op, dsConvert); err != nil {
		return err
	}
	// It says 0 while it converts. One that did not hear the command would give its
	// last value for ever.
	done, err := d.line.bit(ctx, op)
	if err != nil {
		return err
	}
	if done {
		return d.line.fail(op, fmt.Errorf("%w: it does not begin", ErrNotReady))
	}
	d.pending, d.began = true, d.line.clock.Now()
	return nil
}

// setup sets up the bridge, finds the sensor, sees that it has its own supply, and
// marks it.
func (d *DS18B20) setup(ctx context.Context) error {
	if err := d.line.setup(); err != nil {
		return err
	}
	if d.rom == (rom{}) {
		if err := d.find(ctx); err != nil {
			return err
		}
	}
	const op = "configure"
	if err := d.address(ctx, op, append([]byte{dsWrite}, dsMark[:]...)...); err != nil {
		return err
	}
	if err := d.address(ctx, op, dsPower); err != nil {
		return err
	}
	supplied, err := d.line.bit(ctx, op)
	if err != nil {
		return err
	}
	if !supplied {
		return d.line.fail(op, errors.New("it lives from its data line, which does not carry a conversion; connect VDD"))
	}
	d.marked = true
	return nil
}

// find takes the only DS18B20 on the line.
func (d *DS18B20) find(ctx context.Context) error {
	all, err := d.line.search(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r rom) bool { return r[0] != dsFamily })
	switch len(all) {
	case 0:
		return d.line.fail("search the 1-Wire line", fmt.Errorf("%w: no DS18B20 among them", ErrWrongChip))
	case 1:
		d.rom = all[0]
		return nil
	}
	return d.line.fail("search the 1-Wire line", fmt.Errorf("%w: several sensors; give one of them as rom: %v", ErrWrongChip, all))
}

// collect reads what the conversion has found.
func (d *DS18B20) collect(ctx context.Context) error {
	const op = "read temperature"
	if err := d.address(ctx, op, dsRead); err != nil {
		return err
	}
	var b [9]byte
	if err := d.line.receive(ctx, op, b[:]); err != nil {
		return err
	}
	if [3]byte(b[2:5]) != dsMark {
		return d.line.fail(op, fmt.Errorf("%w: settings % x, were set to % x: the sensor has restarted", ErrWrongChip, b[2:5], dsMark))
	}
	t := float64(int16(uint16(b[1])<<8|uint16(b[0]))) * dsStepC
	d.lastC, d.lastAt, d.has, d.pending = t, d.began, true, false
	if t < dsLowC || t > dsHighC {
		return d.line.fail(op, fmt.Errorf("%w: %g C", ErrSaturated, t))
	}
	return nil
}
