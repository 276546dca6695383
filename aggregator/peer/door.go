package peer

import (
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// Bounds of what a caller may have open.
const (
	maxConns       = 4  // connections of one caller
	maxStreams     = 64 // calls at once on one connection
	handshakeLimit = 5 * time.Second
)

// knows says whether a common name may come in at all.
func (g *GRPC) knows(name string) bool { return g.observes(name) }

// A door counts the connections of each caller, and lets no more in than may be.
type door struct {
	credentials.TransportCredentials
	g *GRPC
}

func (d door) Clone() credentials.TransportCredentials {
	return door{d.TransportCredentials.Clone(), d.g}
}

func (d door) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := d.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		d.g.log.Debug("connection refused", "from", raw.RemoteAddr().String(), "err", err)
		return nil, nil, err
	}
	name := info.(credentials.TLSInfo).State.VerifiedChains[0][0].Subject.CommonName // verified by serverTLS
	if !d.g.enter(name) {
		_ = conn.Close() // it is refused in any case
		return nil, nil, fmt.Errorf("%s has %d connections open, and no more are taken", name, maxConns)
	}
	return &counted{Conn: conn, leave: sync.OnceFunc(func() { d.g.left(name) })}, info, nil
}

// counted is a connection that says when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

func (g *GRPC) enter(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[name] >= maxConns {
		return false
	}
	g.open[name]++
	return true
}

func (g *GRPC) left(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[name]--; g.open[name] == 0 {
		delete(g.open, name)
	}
}

// An inStream is a peer's stream of frames. A peer has one: a new one ends the old
// one, which may stand behind a connection that is dead and not known to be.
type inStream struct {
	stop   chan struct{}   // closed when another comes
	ended  chan struct{}   // closed when its last frame was taken
	before <-chan struct{} // ended of the one it replaces, nil for none
}

func (g *GRPC) replaceStream(from string) *inStream {
	s := &inStream{stop: make(chan struct{}), ended: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.in[from]; old != nil {
		close(old.stop)
		s.before = old.ended
		select {
		case <-old.ended:
		default:
			if r, ok := g.peer(from); ok {
				r.queue.replaced()
			}
		}
	}
	g.in[from] = s
	return s
}
