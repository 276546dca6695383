package simbus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/pin"

	"fairwatt/model"
)

// ErrNoSuchPin is returned for a pin that the board does not have.
var ErrNoSuchPin = errors.New("board has no such pin")

// A NotAcknowledgedError is what the bus gives when no chip answers. It wraps
// ENXIO, as the kernel's adapters return.
type NotAcknowledgedError struct{ Address uint16 }

// Error implements error.
func (e *NotAcknowledgedError) Error() string {
	return fmt.Sprintf("address 0x%02x not acknowledged", e.Address)
}

// Unwrap returns ENXIO.
func (e *NotAcknowledgedError) Unwrap() error { return syscall.ENXIO }

// ErrNoSuchPort is returned for a serial line that the board does not have.
var ErrNoSuchPort = errors.New("board has no such serial line")

// A Part is a chip or a pin of a board, for listings.
type Part struct {
	Chip     string
	Address  uint16 // 0 for a pin
	Pin      string // "" for a chip
	Port     string // "" if it is on no serial line
	Channels []model.Channel
}

// Name is how faults name the part: "bme280@0x76", "pzem@PORT/0x01", or the pin.
func (p Part) Name() string {
	if p.Address == 0 {
		return p.Pin
	}
	if p.Port != "" {
		return fmt.Sprintf("%s@%s/0x%02x", p.Chip, p.Port, p.Address)
	}
	return fmt.Sprintf("%s@0x%02x", p.Chip, p.Address)
}

// NewPin returns a pin as periph sees it. Pulses rest high and fall; an
// interrupt rests low. A pin that cannot be read is high, which makes a driver
// look at the chip, where it finds the error. ReadLevel tells the error itself.
func NewPin(name string, wait func(name string, timeout time.Duration) bool, level func(name string) (gpio.Level, error)) gpio.PinIn {
	return &pinIn{name: name, wait: wait, level: level}
}

type pinIn struct {
	name  string
	wait  func(name string, timeout time.Duration) bool
	level func(name string) (gpio.Level, error)
}

func (p *pinIn) String() string   { return p.name }
func (p *pinIn) Halt() error      { return nil }
func (p *pinIn) Name() string     { return p.name }
func (p *pinIn) Number() int      { return -1 }
func (p *pinIn) Function() string { return string(p.Func()) }

// Func implements pin.PinFunc.
func (p *pinIn) Func() pin.Func { return gpio.IN }

// In implements gpio.PinIn; every setting gives the edges that the part makes.
func (p *pinIn) In(gpio.Pull, gpio.Edge) error { return nil }

// Read implements gpio.PinIn.
func (p *pinIn) Read() gpio.Level {
	l, err := p.level(p.name)
	return gpio.Level(err != nil || bool(l))
}

// ReadLevel is Read with the error, which periph's interface has no room for.
func (p *pinIn) ReadLevel() (gpio.Level, error) { return p.level(p.name) }

// WaitForEdge implements gpio.PinIn.
func (p *pinIn) WaitForEdge(timeout time.Duration) bool { return p.wait(p.name, timeout) }

// Pull implements gpio.PinIn.
func (p *pinIn) Pull() gpio.Pull { return gpio.PullUp }

// DefaultPull implements gpio.PinIn.
func (p *pinIn) DefaultPull() gpio.Pull { return gpio.PullUp }

// NewPinOut returns an output as periph sees it.
func NewPinOut(name string, set func(name string, l gpio.Level) error) gpio.PinOut {
	return &pinOut{name, set}
}

type pinOut struct {
	name string
	set  func(name string, l gpio.Level) error
}

func (p *pinOut) String() string   { return p.name }
func (p *pinOut) Halt() error      { return nil }
func (p *pinOut) Name() string     { return p.name }
func (p *pinOut) Number() int      { return -1 }
func (p *pinOut) Function() string { return string(p.Func()) }

// Func implements pin.PinFunc.
func (p *pinOut) Func() pin.Func { return gpio.OUT }

// Out implements gpio.PinOut.
func (p *pinOut) Out(l gpio.Level) error { return p.set(p.name, l) }

// PWM implements gpio.PinOut; the board has none.
func (p *pinOut) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("pin %s: no PWM", p.name)
}

// NewPort returns an open serial line. Its timeout runs on the board's clock.
func NewPort(name string, read func(name string, p []byte, timeout time.Duration) (int, error), write func(name string, w []byte) error) io.ReadWriteCloser {
	return &port{name: name, read: read, write: write, timeout: time.Second}
}

type port struct {
	name    string
	read    func(name string, p []byte, timeout time.Duration) (int, error)
	write   func(name string, w []byte) error
	timeout time.Duration
	closed  bool
}

// SetReadTimeout bounds each Read that follows.
func (p *port) SetReadTimeout(d time.Duration) error {
	p.timeout = max(d, 0)
	return nil
}

// Read implements io.Reader; os.ErrDeadlineExceeded when nothing comes.
func (p *port) Read(b []byte) (int, error) {
	if p.closed {
		return 0, os.ErrClosed
	}
	return p.read(p.name, b, p.timeout)
}

// Write implements io.Writer; one Write is one frame.
func (p *port) Write(b []byte) (int, error) {
	if p.closed {
		return 0, os.ErrClosed
	}
	if len(b) > MaxTransferBytes {
		return 0, fmt.Errorf("frame longer than %d bytes", MaxTransferBytes)
	}
	if err := p.write(p.name, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements io.Closer.
func (p *port) Close() error {
	p.closed = true
	return nil
}

// An EdgeLine is the queue of a pin's edges, as package sensor has it.
type EdgeLine = interface {
	Await(timeout time.Duration) error
	Take() (at time.Duration, seq uint32, ok bool, err error)
	Close() error
}
