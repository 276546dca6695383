package sensor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Commands and status bits of the DS2482-100, an I2C chip that drives a 1-Wire line
// (Maxim 19-4930, rev. 10, "Function Commands" and "Status Register").
const (
	owReset      = 0xF0 // of the bridge
	owConfigure  = 0xD2
	owPointer    = 0xE1
	owLineReset  = 0xB4
	owWriteByte  = 0xA5
	owReadByte   = 0x96
	owOneBit     = 0x87
	owTriplet    = 0x78
	owData       = 0xE1 // the pointer to what was read
	owSettings   = 0xE1 // active pull-up; the upper half is the lower one inverted
	owBusy       = 0x01
	owPresence   = 0x02
	owShort      = 0x04
	owWasReset   = 0x10
	owBit        = 0x20 // read by owOneBit; the address bit of a triplet
	owSecond     = 0x40 // its complement
	owTaken      = 0x80 // the way that a triplet went
	owPause      = time.Millisecond
	owLimit      = 20 * time.Millisecond // a reset takes 1.2 ms, a byte 0.6
	owMostOnLine = 32                    // that are searched for
)

// A onewire is a 1-Wire line behind a DS2482.
type onewire struct{ chip }

// setup resets the bridge and configures it. It has no id: that its status is that of
// a reset, and its settings read back, stands in for one.
func (w *onewire) setup() error {
	if err := w.tx("reset the bridge", []byte{owReset}, nil); err != nil {
		return err
	}
	var b [1]byte
	if err := w.tx("read status", nil, b[:]); err != nil {
		return err
	}
	if b[0]&(owWasReset|owBusy) != owWasReset {
		return w.fail("read status", fmt.Errorf("%w: status 0x%02x after a reset", ErrWrongChip, b[0]))
	}
	if err := w.tx("configure the bridge", []byte{owConfigure, owSettings}, b[:]); err != nil {
		return err
	}
	if b[0] != owSettings&0x0F {
		return w.fail("configure the bridge", fmt.Errorf("%w: settings 0x%02x, want 0x%02x", ErrWrongChip, b[0], owSettings&0x0F))
	}
	w.ready = true
	return nil
}

// idle waits until the line is idle and gives the status.
func (w *onewire) idle(ctx context.Context, op string) (status byte, err error) {
	if err := w.clock.Sleep(ctx, owPause); err != nil {
		return 0, w.fail(op, err)
	}
	err = w.poll(ctx, op, owPause, owLimit, func() (bool, error) {
		var b [1]byte
		err := w.tx(op, nil, b[:])
		status = b[0]
		return status&owBusy == 0, err
	})
	if err == nil && status&owWasReset != 0 {
		err = w.fail(op, fmt.Errorf("%w: the bridge has restarted", ErrWrongChip))
	}
	return status, err
}

// begin resets the line and sends bytes to those on it.
func (w *onewire) begin(ctx context.Context, op string, send ...byte) error {
	if err := w.tx(op, []byte{owLineReset}, nil); err != nil {
		return err
	}
	status, err := w.idle(ctx, op)
	switch {
	case err != nil:
		return err
	case status&owShort != 0:
		return w.fail(op, errors.New("the 1-Wire line is shorted to ground"))
	case status&owPresence == 0:
		return w.fail(op, fmt.Errorf("%w on the 1-Wire line", ErrNoChip))
	}
	return w.send(ctx, op, send...)
}

func (w *onewire) send(ctx context.Context, op string, bytes ...byte) error {
	for _, b := range bytes {
		if err := w.tx(op, []byte{owWriteByte, b}, nil); err != nil {
			return err
		}
		if _, err := w.idle(ctx, op); err != nil {
			return err
		}
	}
	return nil
}

// receive reads bytes of which the last is the checksum of the others.
func (w *onewire) receive(ctx context.Context, op string, into []byte) error {
	ones := true
	for i := range into {
		if err := w.tx(op, []byte{owReadByte}, nil); err != nil {
			return err
		}
		if _, err := w.idle(ctx, op); err != nil {
			return err
		}
		if err := w.tx(op, []byte{owPointer, owData}, into[i:i+1]); err != nil {
			return err
		}
		ones = ones && into[i] == 0xFF
	}
	switch {
	case ones:
		return w.fail(op, fmt.Errorf("%w to its number on the 1-Wire line", ErrNoChip))
	case crc8Maxim(into) != 0:
		return w.fail(op, fmt.Errorf("%w: % x", ErrChecksum, into))
	}
	return nil
}

// bit reads one bit.
func (w *onewire) bit(ctx context.Context, op string) (bool, error) {
	if err := w.tx(op, []byte{owOneBit, 0x80}, nil); err != nil {
		return false, err
	}
	status, err := w.idle(ctx, op)
	return status&owBit != 0, err
}

// search lists the numbers of those on the line (Maxim AN187): at each bit all that
// are still asked say it and its complement, and those that differ from the way that
// is taken leave.
func (w *onewire) search(ctx context.Context) (found []rom, err error) {
	const op = "search the 1-Wire line"
	var number rom
	for last := 0; len(found) < owMostOnLine; {
		if err := w.begin(ctx, op, 0xF0); err != nil {
			return nil, err
		}
		fork := 0
		for i := 1; i <= 64; i++ {
			mask, way := byte(1)<<((i-1)%8), byte(0)
			if i == last || i < last && number[(i-1)/8]&mask != 0 {
				way = 0x80
			}
			if err := w.tx(op, []byte{owTriplet, way}, nil); err != nil {
				return nil, err
			}
			status, err := w.idle(ctx, op)
			if err != nil {
				return nil, err
			}
			if status&owBit != 0 && status&owSecond != 0 {
				return nil, w.fail(op, fmt.Errorf("%w: no one answers bit %d of a number", ErrChecksum, i))
			}
			number[(i-1)/8] &^= mask
			if status&owTaken != 0 {
				number[(i-1)/8] |= mask
			} else if status&owBit == 0 && status&owSecond == 0 {
				fork = i
			}
		}
		if crc8Maxim(number[:]) != 0 {
			return nil, w.fail(op, fmt.Errorf("%w: % x", ErrChecksum, number[:]))
		}
		found = append(found, number)
		if last = fork; last == 0 {
			break
		}
	}
	return found, nil
}

// crc8Maxim is the checksum of 1-Wire (x^8 + x^5 + x^4 + 1, Maxim AN27); over bytes
// and their checksum it is 0.
func crc8Maxim(b []byte) (crc byte) {
	for _, v := range b {
		crc ^= v
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8C
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}
