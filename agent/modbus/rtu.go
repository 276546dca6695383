package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Anyone is the general address of a PZEM: a meter that is alone on the line
// answers.
const Anyone = 0xF8

// crc is the CRC-16 of Modbus RTU (serial line V1.02, 6.2.2): polynomial
// 0xA001 reflected, initially 0xFFFF; sent low byte first.
func crc(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, v := range b {
		sum ^= uint16(v)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xA001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}

// rtuFrame wraps a PDU for a serial line.
func rtuFrame(addr byte, pdu []byte) []byte {
	b := append([]byte{addr}, pdu...)
	return binary.LittleEndian.AppendUint16(b, crc(b))
}

// rtuLength is how long the answer that begins with b will be; 0 as long as that
// cannot be told.
func rtuLength(b []byte, r Request) int {
	switch {
	case len(b) < 2:
		return 0
	case b[1]&exception != 0:
		return 5
	default:
		return 3 + r.answer
	}
}

// parseRTU takes the PDU out of an answer on a serial line.
func parseRTU(addr byte, b []byte) ([]byte, error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("%w: %d bytes", ErrFrame, len(b))
	}
	body, sum := b[:len(b)-2], binary.LittleEndian.Uint16(b[len(b)-2:])
	if want := crc(body); sum != want {
		return nil, fmt.Errorf("%w: 0x%04x, want 0x%04x", ErrChecksum, sum, want)
	}
	if body[0] != addr && addr != Anyone {
		return nil, fmt.Errorf("%w: from 0x%02x, asked 0x%02x", ErrOtherUnit, body[0], addr)
	}
	return body[1:], nil
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

// rtuTimeout is how long an answer may take; a PZEM's comes within some 100 ms.
const rtuTimeout = 500 * time.Millisecond

// A Clock tells the time of a serial line and waits on it.
type Clock interface {
	// Now is the time since some fixed moment; it never goes back.
	Now() time.Duration
	// Sleep returns after d, or earlier with ctx's error.
	Sleep(ctx context.Context, d time.Duration) error
}

// OverSerial asks on a line that is set as [DefaultLine], with half a second for
// the answer; see OverLine.
func OverSerial(ctx context.Context, p io.ReadWriteCloser, clock Clock, addr byte, r Request) ([]byte, error) {
	return OverLine(ctx, p, clock, DefaultLine, rtuTimeout, addr, r)
}

// OverLine asks on a serial line and awaits the answer's PDU, for no longer
// than timeout and no more than a Read a byte. The port can bound a Read
// in time by having SetReadTimeout(time.Duration) error, or
// SetReadDeadline(time.Time) error as os.File and net.Conn do; a Read that gets
// nothing in time returns os.ErrDeadlineExceeded.
func OverLine(ctx context.Context, p io.ReadWriteCloser, clock Clock, line Line, timeout time.Duration, addr byte, r Request) ([]byte, error) {
	if err := drain(p, line.quiet()); err != nil {
		return nil, err
	}
	if err := clock.Sleep(ctx, line.silence()); err != nil {
		return nil, err
	}
	if _, err := p.Write(rtuFrame(addr, r.pdu)); err != nil {
		return nil, fmt.Errorf("%w: send: %w", ErrPort, err)
	}
	var buf [5 + 2*MaxRead]byte
	start, n := clock.Now(), 0
	for range buf {
		if want := rtuLength(buf[:n], r); want > 0 && n >= want {
			break
		}
		left := timeout - (clock.Now() - start)
		if left <= 0 {
			return nil, fmt.Errorf("%w (%v, %d bytes came)", ErrLate, timeout, n)
		}
		if err := setReadTimeout(p, left); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPort, err)
		}
		m, err := p.Read(buf[n:])
		n += max(m, 0)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && n == 0:
			return nil, fmt.Errorf("%w for %v", ErrSilent, timeout)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fmt.Errorf("%w (%v, %d bytes came)", ErrLate, timeout, n)
		case err != nil:
			return nil, fmt.Errorf("%w: receive: %w", ErrPort, err)
		}
	}
	return parseRTU(addr, buf[:n])
}

// drain throws away what came late to an earlier request. A line that never
// falls silent is an error.
func drain(p io.ReadWriteCloser, quiet time.Duration) error {
	var junk [256]byte
	for range 8 {
		if err := setReadTimeout(p, quiet); err != nil {
			return fmt.Errorf("%w: %w", ErrPort, err)
		}
		n, err := p.Read(junk[:])
		if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: receive: %w", ErrPort, err)
		}
	}
	return errors.New("the line does not fall silent")
}
