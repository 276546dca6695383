package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const mbapHeader = 7

// OverTCP asks on a connection and awaits the answer's PDU, for no longer than
// timeout. The caller counts the transactions up.
func OverTCP(ctx context.Context, conn net.Conn, timeout time.Duration, transaction uint16, unit byte, r Request) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLate, err)
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(mbapFrame(transaction, unit, r.pdu)); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	answer, err := readMBAP(conn, transaction, unit)
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		err = fmt.Errorf("%w: %w", ErrLate, err)
	}
	return answer, err
}

// mbapFrame wraps a PDU for TCP (Modbus messaging on TCP/IP V1.0b, 3.1.3).
func mbapFrame(transaction uint16, unit byte, pdu []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, transaction)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(pdu)+1))
	return append(append(b, unit), pdu...)
}

// readMBAP reads the answer to a transaction.
func readMBAP(r io.Reader, transaction uint16, unit byte) ([]byte, error) {
	var head [mbapHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	n := int(binary.BigEndian.Uint16(head[4:])) - 1
	switch {
	case head[2] != 0 || head[3] != 0 || n < 2 || n > maxPDU:
		return nil, fmt.Errorf("%w: header % x", ErrFrame, head)
	case binary.BigEndian.Uint16(head[:]) != transaction || head[6] != unit:
		return nil, fmt.Errorf("%w: answer to another request", ErrFrame)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	return b, nil
}
