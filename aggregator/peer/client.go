package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	"google.golang.org/grpc"
)

// A Client asks one DA as an observer: the management centre, a load
// generator, a test. It is safe for concurrent use.
type Client struct {
	conn *grpc.ClientConn
	rpc  peerpb.PeerClient
}

// Dial prepares a client of the DA at addr, over TCP. See [DialBy].
func Dial(addr string, tls *tls.Config) (*Client, error) { return DialBy(nil, addr, tls) }

// DialBy prepares a client of the DA at addr. by makes the connection; nil is TCP. tls has the caller's certificate
// and the authority in RootCAs; its ServerName, when set, is the DA's id and
// verified against the common name of the DA's certificate. The connection is
// made at the first call and again whenever it was lost.
func DialBy(by Dialer, addr string, tls *tls.Config) (*Client, error) {
	if tls == nil || len(tls.Certificates) == 0 && tls.GetClientCertificate == nil || tls.RootCAs == nil {
		return nil, errors.New("peer: tls needs a certificate and the authority (RootCAs)")
	}
	conn, err := dial(addr, tls, tls.ServerName, by)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, rpc: peerpb.NewPeerClient(conn)}, nil
}

// Close ends the connection and all calls.
func (c *Client) Close() error { return c.conn.Close() }

// Fetch hands the certified blocks lo..hi to fn, ascending, as far as the DA
// has them (and at most 4096 a call).
func (c *Client) Fetch(ctx context.Context, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	return fetch(ctx, c.rpc, lo, hi, fn)
}

// Follow hands the certified blocks from a height on to fn, then each new one,
// until ctx ends, fn returns an error or the connection breaks.
func (c *Client) Follow(ctx context.Context, from uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.Follow(ctx, &peerpb.FollowRequest{From: from})
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	return receive(stream, fn)
}

// SnapshotPiece asks for a piece of a snapshot.
func (c *Client) SnapshotPiece(ctx context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	piece, err := c.rpc.Snapshot(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return piece, nil
}

// A RefusedError is a DA's refusal of a record.
type RefusedError struct {
	Reason string
	Retry  bool   // for want of room: the same bytes may be sent again
	Code   string // why the rules of the chain refuse it; empty of another reason
}

func (e *RefusedError) Error() string {
	if e.Code != "" {
		return "record refused: " + e.Code + ": " + e.Reason
	}
	return "record refused: " + e.Reason
}

// Refused returns the code and the reason; no code where it is no rule of the chain that
// refuses.
func (e *RefusedError) Refused() (code, reason string) { return e.Code, e.Reason }

// Temporary reports whether sending the same bytes again makes sense.
func (e *RefusedError) Temporary() bool { return e.Retry }

// Submit hands in one record; nil means that the DA keeps it for the chain,
// not that it is final. A refusal is a [*RefusedError].
func (c *Client) Submit(ctx context.Context, sealed []byte) error {
	errs, err := c.SubmitBatch(ctx, [][]byte{sealed})
	if err != nil {
		return err
	}
	return errs[0]
}

// SubmitBatch hands in up to 1024 records; errs has one entry a record.
func (c *Client) SubmitBatch(ctx context.Context, sealed [][]byte) (errs []error, err error) {
	reply, err := c.rpc.Submit(ctx, &peerpb.SubmitRequest{Sealed: sealed})
	if err != nil {
		return nil, fmt.Errorf("submit: %w", err)
	}
	if len(reply.Results) != len(sealed) {
		return nil, fmt.Errorf("submit: %d results for %d records", len(reply.Results), len(sealed))
	}
	errs = make([]error, len(sealed))
	for i, r := range reply.Results {
		if !r.Accepted {
			errs[i] = &RefusedError{Reason: r.Reason, Retry: r.Retry, Code: r.Code}
		}
	}
	return errs, nil
}
