package sensor

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"fairwatt/model"
)

// Channels returns what the configured sensor gives, also where its bus, port or
// pin is missing: what was asked for must not depend on what came up.
func (c Config) Channels() ([]model.Channel, error) {
	s, err := New(c, nowhere{})
	if err != nil {
		return nil, err
	}
	return slices.Clone(s.Channels()), s.Halt()
}

// nowhere has every bus and every pin, with nothing on any of them.
type nowhere struct{}

var errNowhere = errors.New("there is no hardware")

func (nowhere) I2C(string) (i2c.Bus, error)         { return noBus{}, nil }
func (nowhere) Pin(name string) (gpio.PinIn, error) { return noPin(name), nil }

// PulseCount and PulseBins make New start no counter of its own.
func (nowhere) PulseCount(string) (uint64, time.Duration, error) { return 0, 0, nil }

func (nowhere) PulseBins(string, time.Duration) ([]uint32, time.Duration, error) { return nil, 0, nil }

func (nowhere) Serial(string) (io.ReadWriteCloser, error) { return noPort{}, nil }

func (nowhere) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, errNowhere
}

func (nowhere) Hear(string, func([]byte, bool)) error { return nil }

type noBus struct{}

func (noBus) String() string                  { return "nowhere" }
func (noBus) Tx(uint16, []byte, []byte) error { return errNowhere }
func (noBus) SetSpeed(physic.Frequency) error { return nil }

type noPort struct{}

func (noPort) Read([]byte) (int, error)           { return 0, errNowhere }
func (noPort) Write([]byte) (int, error)          { return 0, errNowhere }
func (noPort) Close() error                       { return nil }
func (noPort) SetReadTimeout(time.Duration) error { return nil }

type noPin string

func (p noPin) String() string               { return string(p) }
func (p noPin) Name() string                 { return string(p) }
func (noPin) Halt() error                    { return nil }
func (noPin) Number() int                    { return -1 }
func (noPin) Function() string               { return "" }
func (noPin) In(gpio.Pull, gpio.Edge) error  { return nil }
func (noPin) Read() gpio.Level               { return gpio.High }
func (noPin) WaitForEdge(time.Duration) bool { return false }
func (noPin) Pull() gpio.Pull                { return gpio.PullNoChange }
func (noPin) DefaultPull() gpio.Pull         { return gpio.PullNoChange }
