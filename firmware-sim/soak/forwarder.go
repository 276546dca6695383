package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A forwarder carries the connections of one data aggregator to another, and can
// cut them: closed, and refused from then on, or held, so that neither side hears
// of it.
type forwarder struct {
	listener net.Listener
	target   string
	delay    time.Duration // of each byte

	mu    sync.Mutex
	cut   bool
	hold  chan struct{} // closed while bytes may pass
	conns map[net.Conn]bool
	used  bool // something was carried
	work  sync.WaitGroup
}

func newForwarder(host, target string, delay time.Duration) (*forwarder, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for a forwarder: %w", err)
	}
	open := make(chan struct{})
	close(open)
	return &forwarder{listener: l, target: target, delay: delay, hold: open, conns: make(map[net.Conn]bool)}, nil
}

func (f *forwarder) address() string { return f.listener.Addr().String() }

// run carries connections until close.
func (f *forwarder) run(ctx context.Context) error {
	defer f.work.Wait()
	for {
		in, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("forwarder: %w", err)
		}
		f.work.Go(func() { f.carry(ctx, in) })
	}
}

func (f *forwarder) carry(ctx context.Context, in net.Conn) {
	defer in.Close()
	if !f.keep(in) {
		return
	}
	defer f.drop(in)
	var dialer net.Dialer
	out, err := dialer.DialContext(ctx, "tcp", f.target)
	if err != nil {
		return // the target is down: the caller sees its connection closed
	}
	defer out.Close()
	if !f.keep(out) {
		return
	}
	defer f.drop(out)
	f.mu.Lock()
	f.used = true
	f.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { f.copy(out, in) })
	both.Go(func() { f.copy(in, out) })
	both.Wait()
}

// copy carries bytes one way. The end of one way ends both.
func (f *forwarder) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	if f.delay > 0 {
		late, stop := f.late(to)
		defer stop()
		to = late
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			f.mu.Lock()
			hold := f.hold
			f.mu.Unlock()
			<-hold
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return // its end, or the cut: either way this connection is over
		}
	}
}

// late is a connection to which each write comes after the delay. Writes under way do
// not hold each other up, as on a long line; so many wait at most.
func (f *forwarder) late(to net.Conn) (net.Conn, func()) {
	type parcel struct {
		due  time.Time
		data []byte
	}
	parcels, ended := make(chan parcel, 1024), make(chan struct{})
	f.work.Go(func() {
		defer close(ended)
		timer := time.NewTimer(0)
		defer timer.Stop()
		for p := range parcels {
			timer.Reset(time.Until(p.due))
			<-timer.C
			if _, err := to.Write(p.data); err != nil {
				to.Close() // the reader sees it, and ends
			}
		}
	})
	put := func(b []byte) { parcels <- parcel{time.Now().Add(f.delay), bytes.Clone(b)} }
	return lateConn{to, put}, func() { close(parcels); <-ended }
}

type lateConn struct {
	net.Conn
	put func([]byte)
}

func (c lateConn) Write(b []byte) (int, error) { c.put(b); return len(b), nil }

func (f *forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut {
		return false
	}
	f.conns[c] = true
	return true
}

func (f *forwarder) drop(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}

// sever closes all connections and refuses new ones.
func (f *forwarder) sever() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = true
	for c := range f.conns {
		_ = c.Close() // an error says that it is closed
	}
}

// stall lets no byte pass; connections stay open.
func (f *forwarder) stall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.hold:
		f.hold = make(chan struct{})
	default: // held already
	}
}

// heal ends sever and stall.
func (f *forwarder) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = false
	select {
	case <-f.hold:
	default:
		close(f.hold)
	}
}

func (f *forwarder) close() error {
	f.sever()
	f.heal()
	f.sever()
	return f.listener.Close()
}
