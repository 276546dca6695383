package board

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// Limits of the socket.
const (
	// maxFrame holds the bins of an hour of any wind.
	maxFrame = 64 << 10
	// maxTransfer is the most bytes one I2C transfer writes or reads.
	maxTransfer = 4096
	maxPinName  = 64
	// maxSleepUs bounds what a client may skip at once: a day.
	maxSleepUs = 86_400_000_000
)

// errFrameSize marks a frame outside the limits.
var errFrameSize = errors.New("frame size out of bounds")

// readFrame reads a length and that many bytes into m. io.EOF only before the
// first byte.
func readFrame(r io.Reader, m proto.Message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("%w: %d bytes", errFrameSize, n)
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

// writeFrame writes m with its length in one write.
func writeFrame(w io.Writer, m proto.Message) error {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4), m)
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if len(b)-4 > maxFrame {
		return fmt.Errorf("write frame: %w: %d bytes", errFrameSize, len(b)-4)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}
