package modbusdevice

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// Serve answers clients of l until ctx ends, then closes l and all connections and
// returns nil. With rtu the device is behind a converter that passes the frames of a
// serial line on as they are.
func (d *Device) Serve(ctx context.Context, l net.Listener, rtu bool) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends Accept
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			defer conn.Close()
			if rtu {
				d.ServeLine(conn)
				return
			}
			d.serveTCP(conn)
		})
	}
}

// ServeLine answers frames of 8 bytes, as all reads are, until the line ends.
func (d *Device) ServeLine(line io.ReadWriter) {
	var ask [8]byte
	for {
		if _, err := io.ReadFull(line, ask[:]); err != nil {
			return
		}
		if _, err := line.Write(d.Frame(ask[:])); err != nil {
			return
		}
	}
}

func (d *Device) serveTCP(conn net.Conn) {
	var head [7]byte
	for {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(head[4:])) - 1
		if n < 1 || n > 253 {
			return
		}
		pdu := make([]byte, n)
		if _, err := io.ReadFull(conn, pdu); err != nil {
			return
		}
		out, cut := d.wrapped(head, pdu)
		if _, err := conn.Write(out); err != nil || cut {
			return
		}
	}
}

// wrapped is the answer to a frame of Modbus TCP, and whether the device hangs up
// behind it.
func (d *Device) wrapped(head [7]byte, pdu []byte) (out []byte, cut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults[Silent] || head[6] != d.unit {
		return nil, false
	}
	body := d.perform(pdu)
	binary.BigEndian.PutUint16(head[4:], uint16(len(body)+1))
	if d.faults[WrongUnit] {
		head[6]++
	}
	out = append(head[:], body...)
	switch {
	case d.faults[Garbled]: // TCP has no checksum of its own that could miss it: the head is wrong
		out[1] ^= 1
	case d.faults[Cut]:
		return out[:len(out)-1], true
	}
	return out, false
}
