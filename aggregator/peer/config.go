package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
)

// MaxFrameBytes bounds a frame, and so every message of the service. It leaves
// room for the largest one, a new view that carries two blocks of each member.
const MaxFrameBytes = 64 << 20

// Bounds of the queue to one peer. Beyond them the oldest frames are dropped
// and counted.
const (
	queueFrames = 16384
	queueBytes  = 128 << 20
)

// Handlers answer what comes in. A nil one refuses its calls. Frame is called
// from one goroutine a sender, in the order sent; a slow one slows that sender
// down. The others are called from many goroutines.
type Handlers struct {
	Frame func(from string, frame []byte)
	Pull  func(from string, ref *peerpb.PullRequest) (*peerpb.Relay, error)
	// Fetch sends the certified blocks lo..hi, as far as there are any.
	Fetch func(ctx context.Context, lo, hi uint64, send func(*fairwattpb.CertifiedBlock) error) error
	// Follow sends certified blocks from a height on until ctx ends.
	Follow func(ctx context.Context, from uint64, send func(*fairwattpb.CertifiedBlock) error) error
	// Snapshot hands out a piece of a snapshot.
	Snapshot func(req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error)
	// Submit takes a record. An error is a refusal; one that has a method
	// Temporary() bool which is true asks the sender to try again, and one that has
	// a method Refused() (code, reason string) says which rule refuses.
	Submit func(ctx context.Context, from string, sealed []byte) error
}

// A Dialer connects to an address.
type Dialer func(ctx context.Context, addr string) (net.Conn, error)

// Config describes the links of one DA.
type Config struct {
	// Self is the DA's id and the common name of its certificate.
	Self string
	// Listener or, when it is nil, ListenAddr (host:port) is where the DA is
	// reached.
	Listener   net.Listener
	ListenAddr string
	// Peers holds the addresses of all other DAs by id.
	Peers map[string]string
	// Dialer makes the connections to the peers; nil is TCP.
	Dialer Dialer
	// TLS has the DA's certificate with its key, and the authority in
	// RootCAs. The rest is set here: TLS 1.3, both sides authenticated.
	TLS *tls.Config
	// Observers are common names that may call Fetch, Follow and Submit, as the
	// DAs may: the management centre's, a load generator's.
	Observers []string
	// Logger may be nil: then the default one.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Self == "":
		return errors.New("peer: self is required")
	case c.Listener == nil && c.ListenAddr == "":
		return errors.New("peer: listener or listen_addr is required")
	case !hasCertificate(c.TLS) || c.TLS.RootCAs == nil:
		return errors.New("peer: tls needs a certificate and the authority (RootCAs)")
	}
	if _, ok := c.Peers[c.Self]; ok {
		return fmt.Errorf("peer: peers: %q is the DA itself", c.Self)
	}
	for id, addr := range c.Peers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("peer: peers: address of %q: %w", id, err)
		}
	}
	return nil
}

// hasCertificate says whether a configuration has a certificate for both ends, or a
// way to get one at each handshake.
func hasCertificate(c *tls.Config) bool {
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil && c.GetClientCertificate != nil)
}

// LinkStats are one link's counts since start.
type LinkStats struct {
	Connected bool   `json:"connected"`
	Connects  uint64 `json:"connects"`
	Sent      uint64 `json:"sent"`
	SentBytes uint64 `json:"sent_bytes"`
	Received  uint64 `json:"received"`
	// Replaced counts the streams of the peer that ended because it opened another.
	Replaced uint64 `json:"replaced"`
	// DroppedDown frames did not fit the queue while the peer was not
	// reachable, DroppedLive ones while it was: it reads too slowly.
	DroppedDown uint64 `json:"dropped_down"`
	DroppedLive uint64 `json:"dropped_live"`
	Queued      int    `json:"queued"`
}
