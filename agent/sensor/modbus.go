package sensor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Function codes of Modbus (application protocol V1.1b3, chapter 6). Only
// reading ones: nothing here ever writes to a device.
const (
	modbusHolding   = 3
	modbusInput     = 4
	modbusException = 0x80 // added to the function in a refusal
	modbusMaxRead   = 125  // registers in one request
)

// modbusIllegalAddress is the exception of a register that a device does not have.
const modbusIllegalAddress = 2

// A ModbusError is a device's refusal.
type ModbusError struct{ Function, Code byte }

var modbusCodes = map[byte]string{
	1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "device failure",
	5: "acknowledge", 6: "device busy", 8: "memory parity error", 10: "gateway path unavailable", 11: "gateway target silent",
}

// Error implements error.
func (e *ModbusError) Error() string {
	text, ok := modbusCodes[e.Code]
	if !ok {
		text = "unknown code"
	}
	return fmt.Sprintf("modbus exception %d (%s) to function %d", e.Code, text, e.Function)
}

// errModbusFrame marks an answer that is none.
var errModbusFrame = errors.New("malformed modbus answer")

// errPort marks what is wrong with a port, not with who is on the line.
var errPort = errors.New("serial port")

// modbusCRC is the CRC-16 of Modbus RTU (serial line V1.02, 6.2.2): polynomial
// 0xA001 reflected, initially 0xFFFF; sent low byte first.
func modbusCRC(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, v := range b {
		crc ^= uint16(v)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// modbusPDU asks for count registers.
func modbusPDU(function byte, start, count uint16) []byte {
	b := []byte{function}
	b = binary.BigEndian.AppendUint16(b, start)
	return binary.BigEndian.AppendUint16(b, count)
}

// parseModbusPDU takes the registers out of an answer to modbusPDU.
func parseModbusPDU(function byte, count int, b []byte) ([]uint16, error) {
	switch {
	case len(b) == 2 && b[0] == function|modbusException:
		return nil, &ModbusError{function, b[1]}
	case len(b) < 2 || b[0] != function:
		return nil, fmt.Errorf("%w: % .4x", errModbusFrame, b)
	case int(b[1]) != 2*count || len(b) != 2+2*count:
		return nil, fmt.Errorf("%w: %d bytes for %d registers", errModbusFrame, len(b)-2, count)
	}
	regs := make([]uint16, count)
	for i := range regs {
		regs[i] = binary.BigEndian.Uint16(b[2+2*i:])
	}
	return regs, nil
}

// rtuFrame wraps a PDU for a serial line.
func rtuFrame(addr byte, pdu []byte) []byte {
	b := append([]byte{addr}, pdu...)
	return binary.LittleEndian.AppendUint16(b, modbusCRC(b))
}

// rtuLength is how long the answer that begins with b will be; 0 as long as that
// can not be told.
func rtuLength(b []byte, count int) int {
	switch {
	case len(b) < 2:
		return 0
	case b[1]&modbusException != 0:
		return 5
	default:
		return 5 + 2*count
	}
}

// parseRTU takes the registers out of an answer on a serial line.
func parseRTU(addr, function byte, count int, b []byte) ([]uint16, error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("%w: %d bytes", errModbusFrame, len(b))
	}
	body, sum := b[:len(b)-2], binary.LittleEndian.Uint16(b[len(b)-2:])
	if want := modbusCRC(body); sum != want {
		return nil, fmt.Errorf("%w: 0x%04x, want 0x%04x", ErrChecksum, sum, want)
	}
	if body[0] != addr && addr != modbusAnyone {
		return nil, fmt.Errorf("%w: from 0x%02x, asked 0x%02x", ErrWrongChip, body[0], addr)
	}
	return parseModbusPDU(function, count, body[1:])
}

// modbusAnyone is the PZEM's general address: a meter that is alone on the line
// answers.
const modbusAnyone = 0xF8

// Serials is implemented by Buses that have serial lines. A port is opened
// ready for use (speed, 8N1, no echo), and can bound a Read in time by having
// SetReadTimeout(time.Duration) error, or SetReadDeadline(time.Time) error as
// os.File and net.Conn do; a Read that gets nothing in time returns
// os.ErrDeadlineExceeded. Sensors with one port name share the line, one after
// the other; each opens and closes the port for itself.
type Serials interface {
	Serial(name string) (io.ReadWriteCloser, error)
}

// setReadTimeout bounds the Reads of a port.
func setReadTimeout(p io.ReadWriteCloser, d time.Duration) error {
	switch p := p.(type) {
	case interface{ SetReadTimeout(time.Duration) error }:
		return p.SetReadTimeout(d)
	case interface{ SetReadDeadline(time.Time) error }:
		return p.SetReadDeadline(time.Now().Add(d))
	}
	return errors.New("the serial port knows no timeout")
}

// Times of a serial exchange: a PZEM answers within some 100 ms.
const (
	rtuTimeout = 500 * time.Millisecond
	rtuDrain   = 2 * time.Millisecond
	rtuSilence = 4 * time.Millisecond // 3.5 characters at 9600 Bd, before a frame
)

// rtuExchange asks on a serial line and awaits the answer, for no longer than
// rtuTimeout and no more than a Read a byte.
func rtuExchange(ctx context.Context, p io.ReadWriteCloser, clock Clock, addr byte, pdu []byte, count int) ([]uint16, error) {
	if err := drain(p); err != nil {
		return nil, err
	}
	if err := clock.Sleep(ctx, rtuSilence); err != nil {
		return nil, err
	}
	if _, err := p.Write(rtuFrame(addr, pdu)); err != nil {
		return nil, fmt.Errorf("%w: send: %w", errPort, err)
	}
	var buf [5 + 2*modbusMaxRead]byte
	start, n := clock.Now(), 0
	for range buf {
		if want := rtuLength(buf[:n], count); want > 0 && n >= want {
			break
		}
		left := rtuTimeout - (clock.Now() - start)
		if left <= 0 {
			return nil, fmt.Errorf("%w (%v, %d bytes came)", ErrNotReady, rtuTimeout, n)
		}
		if err := setReadTimeout(p, left); err != nil {
			return nil, fmt.Errorf("%w: %w", errPort, err)
		}
		m, err := p.Read(buf[n:])
		n += max(m, 0)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && n == 0:
			return nil, fmt.Errorf("%w: silent for %v", ErrNoChip, rtuTimeout)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fmt.Errorf("%w (%v, %d bytes came)", ErrNotReady, rtuTimeout, n)
		case err != nil:
			return nil, fmt.Errorf("%w: receive: %w", errPort, err)
		}
	}
	return parseRTU(addr, pdu[0], count, buf[:n])
}

// drain throws away what came late to an earlier request. A line that never
// falls silent is an error.
func drain(p io.ReadWriteCloser) error {
	var junk [256]byte
	for range 8 {
		if err := setReadTimeout(p, rtuDrain); err != nil {
			return fmt.Errorf("%w: %w", errPort, err)
		}
		n, err := p.Read(junk[:])
		if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: receive: %w", errPort, err)
		}
	}
	return errors.New("the line does not fall silent")
}
