// Package peertest has connections in memory for tests of package peer and of
// what stands on it. Unlike sockets they live inside a synctest bubble.
//
// A test listens on names of its choice ([Wires.Listen]) and gives
// [Wires.Dial] to the link and to clients. It closes nothing: the server closes
// its listener, and both ends of a connection close when one does.
//
// Refused: sockets on loopback. A goroutine that reads from one is not durably
// blocked, so the clock of a bubble would stand still.
package peertest

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc/test/bufconn"
)

// Wires are connections in memory between addresses that a test names. The zero
// value is ready for use.
type Wires struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

type listener struct {
	*bufconn.Listener
	addr address
}

func (l *listener) Addr() net.Addr { return l.addr }

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

// Listen opens an address, or opens it again after its server stopped.
func (w *Wires) Listen(addr string) net.Listener {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listeners == nil {
		w.listeners = make(map[string]*listener)
	}
	w.listeners[addr] = &listener{bufconn.Listen(64 << 10), address(addr)}
	return w.listeners[addr]
}

// Dial connects to an open address.
func (w *Wires) Dial(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	l := w.listeners[addr]
	w.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("%s: connection refused", addr)
	}
	return l.DialContext(ctx)
}
