package sunspec

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxClients  = 8 // real inverters serve one or two
	maxPDU      = 253
	maxRead     = 125
	idleTimeout = time.Minute
)

// Serve answers clients of l until ctx ends, then closes l and all connections
// and returns nil.
func (d *Device) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends Accept
	defer stop()
	slots := make(chan struct{}, maxClients)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = conn.Close() // full
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			d.ServeConn(ctx, conn)
		})
	}
}

// ServeConn answers on one connection until it ends, breaks the protocol, or ctx
// ends. Then it closes the connection.
func (d *Device) ServeConn(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		if err := conn.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return
		}
		head, pdu, err := readRequest(conn)
		if err != nil {
			return
		}
		out, keep := d.reply(head, pdu)
		if d.has(Slow) {
			select {
			case <-time.After(slowBy):
			case <-ctx.Done():
				return
			}
		}
		if len(out) > 0 {
			_, err = conn.Write(out)
		}
		if err != nil || !keep {
			return
		}
	}
}

// readRequest reads a frame: its header and the bytes behind it.
func readRequest(r io.Reader) (head [7]byte, pdu []byte, err error) {
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return head, nil, err
	}
	n := int(binary.BigEndian.Uint16(head[4:])) - 1
	if head[2] != 0 || head[3] != 0 || n < 1 || n > maxPDU {
		return head, nil, fmt.Errorf("no modbus header: % x", head)
	}
	pdu = make([]byte, n)
	_, err = io.ReadFull(r, pdu)
	return head, pdu, err
}

func (d *Device) has(f Fault) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults[f]
}

// reply is the answer, and whether the connection stays.
func (d *Device) reply(head [7]byte, pdu []byte) (out []byte, keep bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults[Silent] || head[6] != d.cfg.Unit {
		return nil, true
	}
	body := d.perform(pdu)
	if d.faults[WrongAnswer] {
		head[1]++
	}
	binary.BigEndian.PutUint16(head[4:], uint16(len(body)+1))
	out = append(head[:], body...)
	switch {
	case d.faults[Garbage]:
		return []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), true
	case d.faults[Cut]:
		return out[:len(out)-1], false
	}
	return out, true
}

// perform carries out a request. Caller holds mu.
func (d *Device) perform(pdu []byte) []byte {
	refuse := func(code byte) []byte { return []byte{pdu[0] | 0x80, code} }
	if pdu[0] != 3 {
		d.refused++
		return refuse(1)
	}
	if len(pdu) != 5 {
		return refuse(3)
	}
	start, n := int(binary.BigEndian.Uint16(pdu[1:]))-d.cfg.Base, int(binary.BigEndian.Uint16(pdu[3:]))
	switch {
	case d.faults[Busy]:
		return refuse(6)
	case n < 1 || n > maxRead:
		return refuse(3)
	case start < 0 || start+n > len(d.regs):
		return refuse(2)
	}
	if d.faults[WrongLength] {
		n = max(n/2, 1)
	}
	out := []byte{3, byte(2 * n)}
	for _, v := range d.regs[start : start+n] {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}
