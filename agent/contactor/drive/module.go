package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"fairwatt/agent/modbus"
)

// Serials is implemented by buses that have serial lines, as package modbus asks
// for them.
type Serials interface {
	Serial(name string) (io.ReadWriteCloser, error)
}

// Dialers is implemented by buses that reach devices over a network in their own
// way; without it the system's is used.
type Dialers interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A module is a relay module on Modbus: a coil that drives the contactor, and a
// discrete input that feels it.
type module struct {
	cfg     Config
	unit    byte
	timeout time.Duration
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	lines   Serials
	clock   modbus.Clock

	conn  net.Conn           // nil when there is none
	port  io.ReadWriteCloser // likewise
	asked uint16
	level bool // that the coil was set to
}

func newModule(cfg Config, buses any) (*module, error) {
	m := &module{cfg: cfg, unit: max(cfg.Unit, 1), timeout: cfg.Timeout, dial: (&net.Dialer{}).DialContext}
	if m.timeout == 0 {
		m.timeout = defaultTimeout
	}
	if d, ok := buses.(Dialers); ok {
		m.dial = d.DialContext
	}
	if m.lines, _ = buses.(Serials); m.lines == nil && cfg.Port != "" {
		return nil, errors.New("no serial lines here")
	}
	var ok bool
	if m.clock, ok = buses.(modbus.Clock); !ok {
		m.clock = systemClock{time.Now()}
	}
	return m, nil
}

func (m *module) name() string {
	return fmt.Sprintf("coil %d of %s%s", *m.cfg.Coil, m.cfg.Endpoint, m.cfg.Port)
}

func (m *module) set(level bool) error {
	m.level = level
	write := modbus.WriteCoil(*m.cfg.Coil, level)
	answer, err := m.ask(write)
	if err != nil {
		return err
	}
	return write.Confirmed(answer)
}

// keep writes the coil again: a module that opens by itself when its master is
// silent must hear from it.
func (m *module) keep() error { return m.set(m.level) }

func (m *module) feel() (level, watched bool, err error) {
	if m.cfg.FeedbackInput == nil {
		return false, false, nil
	}
	read := modbus.ReadBit(modbus.Discretes, *m.cfg.FeedbackInput)
	answer, err := m.ask(read)
	if err != nil {
		return false, true, err
	}
	level, err = read.Bit(answer)
	return level, true, err
}

// ask makes one exchange. What broke is closed, and asked once more on a new
// line: a module closes connections that it has forgotten, and an opening should
// not have to wait a round for that.
func (m *module) ask(r modbus.Request) ([]byte, error) {
	fresh := m.conn == nil && m.port == nil
	answer, err := m.exchange(r)
	if err == nil {
		return answer, nil
	}
	err = errors.Join(err, m.hangUp())
	if fresh || errors.Is(err, modbus.ErrLate) || errors.Is(err, modbus.ErrSilent) {
		return nil, err
	}
	again, second := m.exchange(r)
	if second != nil {
		return nil, errors.Join(err, second, m.hangUp())
	}
	return again, nil
}

func (m *module) exchange(r modbus.Request) ([]byte, error) {
	ctx := context.Background() // an opening at the end of everything must not be cut off
	if m.cfg.Port != "" {
		if m.port == nil {
			p, err := m.lines.Serial(m.cfg.Port)
			if err != nil {
				return nil, err
			}
			m.port = p
		}
		return modbus.OverSerial(ctx, m.port, m.clock, m.unit, r)
	}
	if m.conn == nil {
		within, cancel := context.WithTimeout(ctx, m.timeout)
		defer cancel()
		c, err := m.dial(within, "tcp", m.cfg.address())
		if err != nil {
			return nil, err
		}
		m.conn = c
	}
	m.asked++
	return modbus.OverTCP(ctx, m.conn, m.timeout, m.asked, m.unit, r)
}

// hangUp closes the line, so that no late answer is taken for another one.
func (m *module) hangUp() error {
	var err error
	if m.conn != nil {
		err = m.conn.Close()
		m.conn = nil
	}
	if m.port != nil {
		err = m.port.Close()
		m.port = nil
	}
	return err
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
