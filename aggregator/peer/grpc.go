package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// GRPC links one DA to the others over mutually authenticated TLS 1.3. Make
// one with [NewGRPC], hand it to agreement as its link, and call Run.
type GRPC struct {
	cfg      Config
	log      *slog.Logger
	listener net.Listener
	handlers atomic.Pointer[Handlers]

	who       sync.RWMutex // guards what follows
	peers     map[string]*remote
	observers map[string]bool
	begin     func(*remote) // keeps up the stream to a peer; nil before Run

	mu   sync.Mutex
	open map[string]int       // connections of each caller
	in   map[string]*inStream // the stream of each peer
}

// remote is the outgoing side of one link.
type remote struct {
	id     string
	queue  *queue
	addr   string
	conn   *grpc.ClientConn
	client peerpb.PeerClient
	gone   chan struct{} // closed when it is no peer any more, or is elsewhere
}

// NewGRPC checks the configuration, listens and prepares the connections;
// none is made before Run.
func NewGRPC(cfg Config) (*GRPC, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	g := &GRPC{cfg: cfg, log: cfg.Logger.With("part", "peer"), listener: cfg.Listener, peers: make(map[string]*remote), observers: make(map[string]bool),
		open: make(map[string]int), in: make(map[string]*inStream)}
	for _, name := range cfg.Observers {
		g.observers[name] = true
	}
	for id, addr := range cfg.Peers {
		r, err := g.remote(id, addr)
		if err != nil {
			g.closeConns()
			return nil, err
		}
		g.peers[id] = r
	}
	if g.listener == nil {
		l, err := net.Listen("tcp", cfg.ListenAddr)
		if err != nil {
			g.closeConns()
			return nil, fmt.Errorf("listen for peers: %w", err)
		}
		g.listener = l
	}
	return g, nil
}

// Addr is where the DA is reached.
func (g *GRPC) Addr() net.Addr { return g.listener.Addr() }

func (g *GRPC) closeConns() {
	g.who.RLock()
	defer g.who.RUnlock()
	for _, r := range g.peers {
		if err := r.conn.Close(); err != nil {
			g.log.Debug("close connection", "peer", r.id, "err", err)
		}
	}
}

// Run serves the handlers and keeps the outgoing streams up until ctx ends.
// It can be called once.
func (g *GRPC) Run(ctx context.Context, h Handlers) error {
	g.handlers.Store(&h)
	server := grpc.NewServer(
		grpc.Creds(door{credentials.NewTLS(serverTLS(g.cfg.TLS, g.knows)), g}),
		grpc.ConnectionTimeout(handshakeLimit), grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(MaxFrameBytes), grpc.MaxSendMsgSize(MaxFrameBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WaitForHandlers(true),
	)
	serverCtx, stopHandlers := context.WithCancel(ctx)
	defer stopHandlers()
	peerpb.RegisterPeerServer(server, &service{g: g, stop: serverCtx.Done()})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(g.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("serve peers: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stopHandlers()
		server.Stop()
		g.closeConns()
		return nil
	})
	fresh := make(chan *remote)
	begin := func(r *remote) {
		group.Go(func() error { g.keepStream(ctx, r); return nil })
	}
	g.who.Lock()
	for _, r := range g.peers {
		begin(r)
	}
	g.begin = func(r *remote) {
		select {
		case fresh <- r:
		case <-ctx.Done():
		}
	}
	g.who.Unlock()
	group.Go(func() error {
		for {
			select {
			case r := <-fresh:
				begin(r)
			case <-ctx.Done():
				return nil
			}
		}
	})
	return group.Wait()
}

// Send queues a frame. It never blocks.
func (g *GRPC) Send(to string, frame []byte) {
	r, ok := g.peer(to)
	if !ok {
		g.log.Warn("frame for an unknown DA", "to", to)
		return
	}
	if r.queue.push(frame) {
		g.log.Warn("peer reads too slowly, dropping the oldest frames", "peer", to)
	}
}

// keepStream opens the stream to a peer whenever the connection is there.
// Waiting between attempts is the connection's backoff, not ours.
func (g *GRPC) keepStream(ctx context.Context, r *remote) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		state := r.conn.GetState()
		if state == connectivity.Idle {
			r.conn.Connect()
		}
		if state != connectivity.Ready {
			r.conn.WaitForStateChange(ctx, state)
			continue
		}
		err := g.pump(ctx, r)
		r.queue.connected(false)
		if ctx.Err() == nil {
			g.log.Debug("stream ended", "peer", r.id, "err", err)
			// Refused by the application on a healthy connection: asking
			// again at once would spin.
			if c := status.Code(err); c == codes.PermissionDenied || c == codes.Unauthenticated || c == codes.Unimplemented {
				g.log.Warn("peer refuses this DA", "peer", r.id, "err", err)
				r.conn.WaitForStateChange(ctx, connectivity.Ready)
			}
		}
	}
}

func (g *GRPC) pump(ctx context.Context, r *remote) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.client.Stream(ctx)
	if err != nil {
		return err
	}
	// The server's header says that it has taken the stream.
	if _, err := stream.Header(); err != nil {
		return err
	}
	r.queue.connected(true)
	// The other end sends nothing before the end: this says when it is gone,
	// also while there is nothing to send.
	ended := make(chan error, 1)
	go func() { ended <- stream.RecvMsg(new(peerpb.StreamEnd)) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-r.queue.wake:
		}
		for frame := r.queue.pop(); frame != nil; frame = r.queue.pop() {
			if err := stream.Send(&peerpb.Packet{Frame: frame}); err != nil {
				return <-ended // says why
			}
			r.queue.sent(frame)
		}
	}
}

// Pull asks a DA for a proposed block.
func (g *GRPC) Pull(ctx context.Context, from string, ref *peerpb.PullRequest) (*peerpb.Relay, error) {
	r, ok := g.peer(from)
	if !ok {
		return nil, fmt.Errorf("pull from %q: no such DA", from)
	}
	reply, err := r.client.Pull(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("pull from %q: %w", from, err)
	}
	return reply.GetRelay(), nil
}

// Fetch asks a DA for certified blocks.
func (g *GRPC) Fetch(ctx context.Context, from string, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	r, ok := g.peer(from)
	if !ok {
		return fmt.Errorf("fetch from %q: no such DA", from)
	}
	return fetch(ctx, r.client, lo, hi, fn)
}

// Snapshot asks a DA for a piece of a snapshot.
func (g *GRPC) Snapshot(ctx context.Context, from string, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	r, ok := g.peer(from)
	if !ok {
		return nil, fmt.Errorf("snapshot from %q: no such DA", from)
	}
	piece, err := r.client.Snapshot(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("snapshot from %q: %w", from, err)
	}
	return piece, nil
}

// Stats returns the counts of each link by the other DA's id.
func (g *GRPC) Stats() map[string]LinkStats {
	g.who.RLock()
	defer g.who.RUnlock()
	out := make(map[string]LinkStats, len(g.peers))
	for id, r := range g.peers {
		out[id] = r.queue.snapshot()
	}
	return out
}

// dial prepares a connection; it is made when it is first used.
func dial(addr string, base *tls.Config, id string, by Dialer) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(clientTLS(base, id))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxFrameBytes), grpc.MaxCallSendMsgSize(MaxFrameBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
		grpc.WithIdleTimeout(0),
	}
	if by != nil {
		options = append(options, grpc.WithContextDialer(by))
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return conn, nil
}

func fetch(ctx context.Context, client peerpb.PeerClient, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Fetch(ctx, &peerpb.FetchRequest{From: lo, To: hi})
	if err != nil {
		return fmt.Errorf("fetch blocks: %w", err)
	}
	return receive(stream, fn)
}

func receive(stream grpc.ServerStreamingClient[fairwattpb.CertifiedBlock], fn func(*fairwattpb.CertifiedBlock) error) error {
	for {
		cb, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive block: %w", gone(err))
		}
		if err := fn(cb); err != nil {
			return err
		}
	}
}
