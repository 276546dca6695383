package console

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairwatt/proto/brief"
	"fairwatt/proto/certfile"
)

//go:embed static/index.html static/*.js static/*.css static/favicon.svg static/manifest.webmanifest static/uplot.LICENSE
var static embed.FS

// maxBlocks is how many blocks one answer of /api/v1/blocks holds.
const maxBlocks = 100

// policy lets the page load its own files and nothing else; without inline
// script or style, text that reached the markup could still not act.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Options bound what clients can cost. The zero value is good.
type Options struct {
	// MaxStreams is how many event streams may be open at once (64).
	MaxStreams int
	// MinInterval is the least time between two events of one stream (500 ms).
	MinInterval time.Duration
	// Heartbeat is how often an idle stream says that it is alive (5 s). The page
	// takes a stream that says nothing for 12 s for lost.
	Heartbeat time.Duration
	// Hosts are further names under which the page may be asked for. IP
	// addresses and localhost always may; other names are refused so that a
	// page elsewhere cannot reach this one by pointing its name here.
	Hosts []string
	// Metrics, when set, appends further metrics to /metrics.
	Metrics func(io.Writer)
}

func (o *Options) defaults() {
	if o.MaxStreams == 0 {
		o.MaxStreams = 64
	}
	if o.MinInterval == 0 {
		o.MinInterval = 500 * time.Millisecond
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 5 * time.Second
	}
}

// A Server answers from a Source. It is safe for concurrent use.
type Server struct {
	src  Source
	opts Options
	mux  *http.ServeMux

	streams chan struct{} // one token an open stream
	clients clients
	answers answers

	files map[string]*file
	cache struct {
		sync.Mutex
		newest *encoding
		count  int // encodings made
	}
}

// New returns a Server for a Source.
func New(src Source, opts Options) *Server {
	opts.defaults()
	s := &Server{src: src, opts: opts, mux: http.NewServeMux(), streams: make(chan struct{}, opts.MaxStreams)}
	var err error
	if s.files, err = files(); err != nil {
		panic("console: embedded files are missing: " + err.Error()) // cannot happen in a built binary
	}
	s.mux.HandleFunc("GET /", s.file)
	s.mux.HandleFunc("GET /api/v1/snapshot", s.snapshot)
	s.mux.HandleFunc("GET /api/v1/generators", s.generators)
	s.mux.HandleFunc("GET /api/v1/trades/{id}", s.trade)
	s.mux.HandleFunc("GET /api/v1/slots", s.slots)
	s.mux.HandleFunc("GET /api/v1/blocks", s.blocks)
	s.mux.HandleFunc("GET /api/v1/tree.svg", s.tree)
	s.mux.HandleFunc("GET /api/v1/tree/why", s.why)
	s.mux.HandleFunc("GET /api/v1/events", s.events)
	s.archive()
	s.mux.HandleFunc("GET /api/v1/openapi.json", s.describe)
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /metrics", s.metrics)
	return s
}

// Listen opens a TCP listener for the console. An address that others on the
// network can reach is an error unless remote is set.
func Listen(addr string, remote bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("console address %q: %w", addr, err)
	}
	if !remote && !loopback(host) {
		return nil, fmt.Errorf("console address %q is reachable from other machines: "+
			"use 127.0.0.1, or allow it explicitly and put a reverse proxy with authentication before it", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the console: %w", err)
	}
	return l, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Handler returns the console as an http.Handler, with its limits and headers.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if !s.knownHost(r.Host) {
			problem(w, http.StatusMisdirectedRequest, fmt.Errorf("host %q is not one of this console's names", r.Host))
			return
		}
		began := time.Now()
		s.mux.ServeHTTP(w, r)
		s.answers.observe(r, time.Since(began))
	})
}

func (s *Server) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	for _, name := range s.opts.Hosts {
		if strings.EqualFold(name, host) {
			return true
		}
	}
	return false
}

// Serve answers on the listener until the context ends, then closes it and
// every open stream.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second, // a stream moves its own deadline on
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); err != nil && (ctx.Err() == nil || !errors.Is(err, http.ErrServerClosed)) {
		return fmt.Errorf("serve console: %w", err)
	}
	return nil
}

func (s *Server) snapshot(w http.ResponseWriter, _ *http.Request) {
	e, err := s.encoded(false)
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(e.body) // the client is gone: no one is left to tell
}

func (s *Server) generators(w http.ResponseWriter, _ *http.Request) {
	answer(w, s.src.Snapshot().Generators)
}

func (s *Server) trade(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	t, ok := s.src.Trade(id)
	if !ok {
		problem(w, http.StatusNotFound, fmt.Errorf("no trade %q", id))
		return
	}
	answer(w, t)
}

func (s *Server) slots(w http.ResponseWriter, _ *http.Request) {
	a := s.src.Snapshot().Auction
	if a == nil {
		problem(w, http.StatusNotFound, errors.New("this chain has no slots: its genesis does not say mechanism: auction, or sharing"))
		return
	}
	answer(w, a)
}

func (s *Server) blocks(w http.ResponseWriter, r *http.Request) {
	from := uint64(1)
	if text := r.URL.Query().Get("from"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil || v == 0 {
			problem(w, http.StatusBadRequest, fmt.Errorf("from=%q is not a height (1 is the first)", text))
			return
		}
		from = v
	}
	blocks, err := s.src.Blocks(from, maxBlocks)
	if err != nil {
		fail(w, err)
		return
	}
	out := struct {
		Blocks []Block `json:"blocks"`
		Next   uint64  `json:"next,omitempty"` // ask from here for more
	}{Blocks: blocks}
	if out.Blocks == nil {
		out.Blocks = []Block{}
	}
	if len(blocks) == maxBlocks {
		out.Next = blocks[len(blocks)-1].Height + 1
	}
	answer(w, out)
}

// tree answers with the picture that "aggregator wct draw" makes. Its style is
// within it, and nothing else may act.
func (s *Server) tree(w http.ResponseWriter, _ *http.Request) {
	picture, err := s.src.TreeSVG()
	if err != nil {
		problem(w, http.StatusInternalServerError, fmt.Errorf("draw tree: %w", err))
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(picture) // the client is gone: no one is left to tell
}

// why answers with the standing of one data aggregator.
func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	da := r.URL.Query().Get("da")
	standing, ok := s.src.Standing(da)
	if !ok {
		problem(w, http.StatusNotFound, fmt.Errorf("da=%s is no data aggregator of this chain", brief.Quote(da)))
		return
	}
	answer(w, standing)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	now := s.src.Snapshot()
	if now.Fault != "" {
		problem(w, http.StatusServiceUnavailable, errors.New(now.Fault))
		return
	}
	if why := now.Agreement.Stuck; why != "" {
		problem(w, http.StatusServiceUnavailable, errors.New(why))
		return
	}
	// Without a broker a DA still agrees on blocks, but hears no device.
	status := map[string]string{"status": "ok"}
	if c := &now.Counters; c.Brokers > 0 && c.BrokersConnected == 0 {
		status["broker"] = "no MQTT broker is connected: devices are not heard"
	}
	if ends := now.CertificateEndsMs; ends > 0 && ends-now.TimeMs < certfile.Warn.Milliseconds() {
		days := certfile.DaysLeft(time.UnixMilli(ends), time.UnixMilli(now.TimeMs))
		if days < 0 {
			problem(w, http.StatusServiceUnavailable, errors.New("the TLS certificate has ended: no new connection to another data aggregator or a broker comes about"))
			return
		}
		status["certificate"] = fmt.Sprintf("the TLS certificate ends in %d days", days)
	}
	answer(w, status)
}

// events streams snapshots. A client that cannot keep up skips versions; one
// that reads nothing for ten seconds is cut off.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
		client, most := clientOf(r, s.opts.MaxStreams)
		if !s.clients.enter(client, most) {
			w.Header().Set("Retry-After", "10")
			problem(w, http.StatusServiceUnavailable, fmt.Errorf("%d event streams are open from this address already", most))
			return
		}
		defer s.clients.leave(client)
	default:
		w.Header().Set("Retry-After", "10")
		problem(w, http.StatusServiceUnavailable, fmt.Errorf("already %d event streams are open", s.opts.MaxStreams))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	packed := unpacks(r)
	stream := http.NewResponseController(w)
	send := func(b []byte) error {
		if err := stream.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil &&
			!errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		return stream.Flush()
	}
	begin, alive := retryEvent, aliveEvent
	if packed {
		w.Header().Set("Content-Encoding", "gzip")
		begin, alive = slices.Concat(gzipHead, retryPiece), alivePiece
	}
	if err := send(begin); err != nil {
		return
	}
	for sent := (*encoding)(nil); ; {
		e, err := s.encoded(true)
		if err != nil {
			return
		}
		if e != sent {
			b := e.event
			if packed {
				b = e.piece()
			}
			if err := send(b); err != nil {
				return
			}
			sent = e
		}
		if !pause(r.Context(), time.Until(e.made.Add(s.pace(e)))) || !s.changed(r.Context(), e.version, func() error { return send(alive) }) {
			return
		}
	}
}

var (
	retryEvent, aliveEvent = []byte("retry: 2000\n\n"), []byte("event: alive\ndata:\n\n")
	retryPiece, alivePiece = piece(retryEvent), piece(aliveEvent)
)

// changed waits until there is another version. Meanwhile it says that the stream is
// alive. It is false when the client has gone.
func (s *Server) changed(ctx context.Context, version uint64, alive func() error) bool {
	for {
		wait, cancel := context.WithTimeout(ctx, s.opts.Heartbeat)
		err := s.src.Wait(wait, version)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil || alive() != nil {
			return false
		}
	}
}

// pause keeps a stream below its rate; it is false when the client has gone.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		problem(w, http.StatusInternalServerError, fmt.Errorf("encode answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client is gone: no one is left to tell
}

func problem(w http.ResponseWriter, status int, err error) {
	body, _ := json.Marshal(map[string]string{"error": err.Error()}) // strings always encode
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
