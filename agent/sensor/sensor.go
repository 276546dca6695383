package sensor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"

	"fairwatt/agent/modbus"
	"fairwatt/model"
)

// A Sensor reads one chip or one pulse input into its channels.
type Sensor interface {
	// Name is the configured name, or the chip and its place.
	Name() string
	// Channels are those that Read marks, in a fixed order.
	Channels() []model.Channel
	// Read measures now and sets or fails each channel in s. The error is an
	// *Error; some channels may be valid all the same.
	Read(ctx context.Context, s *model.Sample) error
	// Halt ends background counting. The sensor is not to be used afterwards.
	Halt() error
}

// Buses is where sensors find their chips. It may also implement [Clock],
// [Counters], [Serials] and [Dialers].
type Buses interface {
	I2C(name string) (i2c.Bus, error)
	Pin(name string) (gpio.PinIn, error)
}

// A Clock is the monotonic clock the chips live by.
type Clock interface {
	// Now is the time since some fixed moment; it never goes back.
	Now() time.Duration
	// Sleep returns after d, or earlier with ctx's error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Serials is implemented by Buses that have serial lines. A port is opened
// ready for use (speed, 8N1, no echo), and bounds its Reads in time as
// [modbus.OverSerial] says. Sensors with one port name share the line, one after
// the other; each opens and closes the port for itself.
type Serials interface {
	Serial(name string) (io.ReadWriteCloser, error)
}

// modbusClass adds to an error of Modbus what it means for a sensor.
func modbusClass(err error) error {
	for _, c := range []struct{ of, is error }{
		{modbus.ErrSilent, ErrNoChip}, {modbus.ErrLate, ErrNotReady},
		{modbus.ErrChecksum, ErrChecksum}, {modbus.ErrOtherUnit, ErrWrongChip},
	} {
		if errors.Is(err, c.of) {
			return &classed{err, c.is}
		}
	}
	return err
}

// classed is an error with a class that its text does not repeat.
type classed struct {
	error
	class error
}

func (e *classed) Unwrap() []error { return []error{e.error, e.class} }

// Counters is implemented by Buses that count pulses themselves: a simulated
// board in accelerated time, where a million edges are a number.
type Counters interface {
	// PulseCount returns the pulses of the pin so far and when the newest came,
	// on the Clock (0 before the first).
	PulseCount(pin string) (total uint64, last time.Duration, err error)
	// PulseBins returns the pulses in each whole [BinWidth] after since, oldest
	// first; the last bin ends at end. No more than an hour is kept.
	PulseBins(pin string, since time.Duration) (bins []uint32, end time.Duration, err error)
}

// BinWidth is the resolution of counted pulses: WMO-No. 8 asks for 4 Hz
// sampling of wind for 3-s gusts.
const BinWidth = 250 * time.Millisecond

// maxBins is how many bins are kept: an hour.
const maxBins = int(time.Hour / BinWidth)

// The reasons a chip gives no value, to be found with errors.Is.
var (
	// ErrNoChip: nothing acknowledges the address. Anything else that stops a
	// transfer is a bus error and stays as the bus gave it.
	ErrNoChip = errors.New("no chip answers")
	// ErrBusLocked: a chip holds a line of the bus down, and no transfer to any chip
	// gets through. Taking the supply away from the chips for a second frees it.
	ErrBusLocked = errors.New("the bus is locked: a chip holds its lines down; take the chips' supply away for a second")
	// ErrWrongChip: something answers, but it is not the configured chip.
	ErrWrongChip = errors.New("another chip answers")
	// ErrNotReady: the chip did not finish its conversion in time.
	ErrNotReady = errors.New("conversion not ready in time")
	// ErrSaturated: the converter is at its limit, the true value is beyond.
	ErrSaturated = errors.New("input beyond the converter's range")
	// ErrSkipped: the chip marks the quantity as not measured.
	ErrSkipped = errors.New("measurement skipped by the chip")
	// ErrStuck: an AC input gives one and the same value all the time.
	ErrStuck = errors.New("converter stuck at one value")
	// ErrChecksum: the bytes do not fit their checksum: noise on the line.
	ErrChecksum = errors.New("checksum does not fit")
	// ErrTooFewSamples: a window held too few samples to say anything.
	ErrTooFewSamples = errors.New("too few samples in the window")
)

// An Error says which chip, at which address of which bus, failed at what.
type Error struct {
	Chip    string
	Bus     string // bus, or pin of a pulse sensor
	Address uint16 // 0 for a pulse sensor
	Op      string
	Err     error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Address == 0 {
		return fmt.Sprintf("%s on pin %s: %s: %v", e.Chip, e.Bus, e.Op, e.Err)
	}
	place := fmt.Sprintf("%s at 0x%02x", e.Chip, e.Address)
	if e.Bus != "" { // the only bus there is
		place += " on bus " + e.Bus
	}
	return fmt.Sprintf("%s: %s: %v", place, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// eremoteio is what most Linux I2C adapters return for an address that nothing
// acknowledges; the others return ENXIO (kernel: i2c/fault-codes).
const eremoteio = syscall.Errno(121)

// notAcknowledged tells a missing chip from a broken bus. periph's sysfs bus
// formats the errno away, so its text is looked for as well.
func notAcknowledged(err error) bool { return isOneOf(err, syscall.ENXIO, eremoteio) }

// isOneOf says whether an error is one of the kernel's, or ends with its words. A
// bus whose lines are held down gives ETIMEDOUT, EBUSY or, as lost arbitration,
// EAGAIN (kernel: i2c/fault-codes).
func isOneOf(err error, codes ...syscall.Errno) bool {
	for _, e := range codes {
		if errors.Is(err, e) || strings.HasSuffix(err.Error(), e.Error()) {
			return true
		}
	}
	return false
}

// New makes the sensor of cfg on buses. It opens the bus or pin, and leaves the
// chip alone until the first Read.
func New(cfg Config, buses Buses) (Sensor, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg.Opts.open(cfg, buses)
}

// chip is what all I2C drivers share: one address and its errors.
type chip struct {
	kind, name, busName string
	bus                 i2c.Bus
	addr                uint16
	clock               Clock
	ready               bool // identified and configured since the last error
}

// openChip opens the bus of an I2C chip.
func openChip(cfg Config, buses Buses) (chip, error) {
	bus, err := buses.I2C(cfg.Bus)
	if err != nil {
		return chip{}, &Error{cfg.Kind, cfg.Bus, cfg.Address, "open bus", err}
	}
	return chip{kind: cfg.Kind, name: cfg.Name, busName: cfg.Bus, bus: bus, addr: cfg.Address, clock: clockOf(buses)}, nil
}

func (c *chip) Name() string { return c.name }

// Halt implements Sensor; an I2C chip keeps nothing running on our side.
func (c *chip) Halt() error { return nil }

func (c *chip) fail(op string, err error) error {
	c.ready = false
	return &Error{c.kind, c.busName, c.addr, op, err}
}

// tx is one transfer. A missing acknowledge becomes ErrNoChip with its cause.
func (c *chip) tx(op string, w, r []byte) error {
	err := c.bus.Tx(c.addr, w, r)
	switch {
	case err == nil:
		return nil
	case notAcknowledged(err):
		return c.fail(op, fmt.Errorf("%w: %w", ErrNoChip, err))
	case isOneOf(err, syscall.ETIMEDOUT, syscall.EBUSY, syscall.EAGAIN):
		return c.fail(op, fmt.Errorf("%w: %w", ErrBusLocked, err))
	default:
		return c.fail(op, err)
	}
}

// read16 reads a big-endian register, as the TI chips have them.
func (c *chip) read16(op string, reg byte) (uint16, error) {
	var b [2]byte
	if err := c.tx(op, []byte{reg}, b[:]); err != nil {
		return 0, err
	}
	return uint16(b[0])<<8 | uint16(b[1]), nil
}

func (c *chip) write16(op string, reg byte, v uint16) error {
	return c.tx(op, []byte{reg, byte(v >> 8), byte(v)}, nil)
}

// poll calls done until it says true, pausing in between, for no longer than
// limit on the clock and no more often than limit/pause + 2 times: the second
// bound holds when the clock itself is broken.
func (c *chip) poll(ctx context.Context, op string, pause, limit time.Duration, done func() (bool, error)) error {
	start := c.clock.Now()
	for n := 2 + limit/pause; n > 0; n-- {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if c.clock.Now()-start >= limit {
			break
		}
		if err := c.clock.Sleep(ctx, pause); err != nil {
			return c.fail(op, err)
		}
	}
	return c.fail(op, fmt.Errorf("%w (%v)", ErrNotReady, limit))
}

// failAll marks every channel and passes the error on.
func failAll(s *model.Sample, channels []model.Channel, err error) error {
	for _, ch := range channels {
		s.Fail(ch, model.SensorError)
	}
	return err
}

func clockOf(b Buses) Clock {
	if c, ok := b.(Clock); ok {
		return c
	}
	return systemClock{time.Now()}
}

// systemClock is the machine's monotonic clock.
type systemClock struct{ start time.Time }

func (c systemClock) Now() time.Duration { return time.Since(c.start) }

func (c systemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
