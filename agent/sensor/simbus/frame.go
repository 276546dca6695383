package simbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// Limits of the socket. MaxFrameBytes holds the bins of an hour of any wind.
// MaxTransferBytes bounds what one I2C transfer writes or reads, MaxNameBytes the
// name of a pin or port, MaxSleepUs what a client may skip at once: a day.
const (
	MaxFrameBytes    = 64 << 10
	MaxTransferBytes = 4096
	MaxNameBytes     = 64
	MaxSleepUs       = 86_400_000_000
)

// ErrFrameSize marks a frame outside the limits.
var ErrFrameSize = errors.New("frame size out of bounds")

// ReadFrame reads a length and that many bytes into m. io.EOF only before the
// first byte.
func ReadFrame(r io.Reader, m proto.Message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxFrameBytes {
		return fmt.Errorf("%w: %d bytes", ErrFrameSize, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read frame: %w", err)
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("read frame: %w", err)
	}
	return nil
}

// WriteFrame writes m with its length in one write.
func WriteFrame(w io.Writer, m proto.Message) error {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4), m)
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if len(b)-4 > MaxFrameBytes {
		return fmt.Errorf("write frame: %w: %d bytes", ErrFrameSize, len(b)-4)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}
