package peer

import (
	"fmt"
	"net"

	"fairwatt/proto/peerpb"
)

// remote prepares the link to a peer.
func (g *GRPC) remote(id, addr string) (*remote, error) {
	conn, err := dial(addr, g.cfg.TLS, id, g.cfg.Dialer)
	if err != nil {
		return nil, err
	}
	return &remote{
		id: id, addr: addr, queue: newQueue(queueFrames, queueBytes), conn: conn, client: peerpb.NewPeerClient(conn), gone: make(chan struct{}),
	}, nil
}

// peer returns the link to a peer.
func (g *GRPC) peer(id string) (*remote, bool) {
	g.who.RLock()
	defer g.who.RUnlock()
	r, ok := g.peers[id]
	return r, ok
}

// observes tells whether a common name may fetch, follow and submit.
func (g *GRPC) observes(name string) bool {
	g.who.RLock()
	defer g.who.RUnlock()
	return g.peers[name] != nil || g.observers[name]
}

// SetPeers says who the other data aggregators are now, with their addresses, and who
// may observe. Links that stay are not touched; one to another address is made anew, and
// what waited for the old one is dropped. Who is no peer any more may call no more.
func (g *GRPC) SetPeers(peers map[string]string, observers []string) error {
	for id, addr := range peers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("peer: address of %q: %w", id, err)
		}
	}
	g.who.Lock()
	now := make(map[string]*remote, len(peers))
	watching := make(map[string]bool, len(observers))
	for _, name := range observers {
		watching[name] = true
	}
	var come, gone []*remote
	var failed error
	for id, addr := range peers {
		old := g.peers[id]
		if old != nil && old.addr == addr || id == g.cfg.Self {
			if old != nil {
				now[id] = old
			}
			continue
		}
		r, err := g.remote(id, addr)
		if err != nil {
			failed = err
			if old != nil {
				now[id] = old
			}
			continue
		}
		now[id], come = r, append(come, r)
	}
	for id, old := range g.peers {
		if now[id] != old {
			gone = append(gone, old)
		}
	}
	g.peers, g.observers = now, watching
	begin := g.begin
	g.who.Unlock()
	for _, r := range gone {
		close(r.gone)
		if err := r.conn.Close(); err != nil {
			g.log.Debug("close connection", "peer", r.id, "err", err)
		}
	}
	if begin != nil {
		for _, r := range come {
			begin(r)
		}
	}
	return failed
}
