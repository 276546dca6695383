package sensor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"fairwatt/agent/modbus"
)

// Lines is implemented by Buses whose serial lines can be set; without it a line is
// as [Serials] opens it, as on a simulated board, which has no speed.
type Lines interface {
	SerialAt(name string, line modbus.Line) (io.ReadWriteCloser, error)
}

// A link is how a Modbus device is asked: on a serial line, over TCP, or over a
// converter that carries the serial line's frames over TCP.
type link struct {
	endpoint, port string // one of them
	rtu            bool   // serial frames over TCP
	line           modbus.Line
	unit           byte
	timeout, delay time.Duration // of an exchange; after a connection
	lines          Serials
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
	clock          Clock

	stream  io.ReadWriteCloser // nil when there is none; a net.Conn with an endpoint
	asked   uint16             // transactions
	late    bool               // an answer may still come on the line
	lateTil time.Duration
	fails   int           // in a row
	failed  error         // why it is not tried
	retryAt time.Duration // not before this
}

// open takes the port; a network is dialled by the first exchange.
func (l *link) open(buses Buses) error {
	l.clock, l.dial = clockOf(buses), (&net.Dialer{}).DialContext
	if b, ok := buses.(Dialers); ok {
		l.dial = b.DialContext
	}
	if l.port == "" {
		return nil
	}
	lines, ok := buses.(Serials)
	if !ok {
		return errors.New("no serial lines here")
	}
	l.lines = lines
	return l.openPort()
}

func (l *link) openPort() (err error) {
	if b, ok := l.lines.(Lines); ok {
		l.stream, err = b.SerialAt(l.port, l.line)
		return err
	}
	l.stream, err = l.lines.Serial(l.port)
	return err
}

// connect makes the stream.
func (l *link) connect(ctx context.Context) error {
	if l.stream != nil {
		return nil
	}
	if l.failed != nil && l.clock.Now() < l.retryAt {
		return fmt.Errorf("next attempt in %v: %w", (l.retryAt - l.clock.Now()).Round(time.Second), l.failed)
	}
	if l.port != "" {
		return l.openPort()
	}
	within, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn, err := l.dial(within, "tcp", l.endpoint)
	if err != nil {
		l.failed, l.retryAt = err, l.clock.Now()+sunRetry
		return err
	}
	l.stream = conn
	return l.clock.Sleep(ctx, l.delay)
}

// registers asks for registers. An exception leaves the link as it is; anything
// else ends the connection, so that no late answer is taken for another one.
func (l *link) registers(ctx context.Context, function byte, start, count uint16) ([]uint16, error) {
	ask := modbus.ReadRegisters(function, start, count)
	answer, err := l.ask(ctx, ask)
	if err != nil {
		return nil, err
	}
	return ask.Registers(answer)
}

// bit asks for a coil or a discrete input.
func (l *link) bit(ctx context.Context, function byte, at uint16) (bool, error) {
	ask := modbus.ReadBit(function, at)
	answer, err := l.ask(ctx, ask)
	if err != nil {
		return false, err
	}
	return ask.Bit(answer)
}

func (l *link) ask(ctx context.Context, ask modbus.Request) ([]byte, error) {
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	if l.late { // RTU has no number that tells one answer from another
		if err := l.clock.Sleep(ctx, l.lateTil-l.clock.Now()); err != nil {
			return nil, err
		}
		l.late = false
	}
	var answer []byte
	var err error
	if conn, ok := l.stream.(net.Conn); ok && !l.rtu && l.endpoint != "" {
		l.asked++
		answer, err = modbus.OverTCP(ctx, conn, l.timeout, l.asked, l.unit, ask)
	} else {
		answer, err = modbus.OverLine(ctx, l.stream, l.clock, l.line, l.timeout, l.unit, ask)
	}
	if err == nil {
		l.fails = 0
		return answer, nil
	}
	l.gaveUp(err)
	return nil, modbusClass(err)
}

// gaveUp notes a failed exchange. A network is given a pause after three, so that a
// device that is off at night does not hold up the other sensors.
func (l *link) gaveUp(err error) {
	if l.endpoint == "" && !errors.Is(err, modbus.ErrPort) {
		if !l.late {
			l.late, l.lateTil = true, l.clock.Now()+l.timeout
		}
		return
	}
	_ = l.close() // given up; its error says nothing more
	if l.fails++; l.endpoint != "" && l.fails >= sunPatience {
		l.failed, l.retryAt = err, l.clock.Now()+sunRetry
	}
}

func (l *link) close() error {
	if l.stream == nil {
		return nil
	}
	s := l.stream
	l.stream = nil
	return s.Close()
}

// place is how messages name the device's line.
func (l *link) place() string {
	if l.port != "" {
		return l.port
	}
	return l.endpoint
}
