package console

import (
	"net"
	"net/http"
	"sync"
)

// clients counts the open streams of each address, so that one cannot take them
// all.
type clients struct {
	mu   sync.Mutex
	open map[string]int
}

// enter counts a stream of a client unless it has most already.
func (c *clients) enter(client string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[client] >= most {
		return false
	}
	if c.open == nil {
		c.open = make(map[string]int)
	}
	c.open[client]++
	return true
}

func (c *clients) leave(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[client]--; c.open[client] <= 0 {
		delete(c.open, client)
	}
}

// clientOf is who asks, and how many of all streams it may have: an eighth, or
// three quarters from this machine, where a proxy asks for others.
func clientOf(r *http.Request, streams int) (client string, most int) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if loopback(host) {
		return host, max(1, streams*3/4)
	}
	return host, max(1, streams/8)
}
