package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority makes certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pool *x509.CertPool
	next int64
}

func newAuthority(t *testing.T) *authority {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{t: t, cert: cert, key: key, pool: pool, next: 2}
}

func (a *authority) tls(name string) *tls.Config {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: a.pool}
}

// start runs a link until the test ends or stop is called.
func start(t *testing.T, g *GRPC, h Handlers) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newLink(t *testing.T, cfg Config) *GRPC {
	t.Helper()
	g, err := NewGRPC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// collector takes numbered frames and signals each.
type collector struct{ got chan uint64 }

func (c collector) handlers() Handlers {
	return Handlers{Frame: func(_ string, frame []byte) { c.got <- binary.BigEndian.Uint64(frame) }}
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (c collector) next(t *testing.T) uint64 {
	t.Helper()
	select {
	case n := <-c.got:
		return n
	case <-time.After(10 * time.Second):
		t.Fatal("no frame within 10 s")
		return 0
	}
}

func TestStreamKeepsOrderAndReconnects(t *testing.T) {
	ca := newAuthority(t)
	lb := listen(t, "127.0.0.1:0")
	addr := lb.Addr().String()
	a := newLink(t, Config{Self: "da1", Listener: listen(t, "127.0.0.1:0"), Peers: map[string]string{"da2": addr}, TLS: ca.tls("da1")})
	start(t, a, Handlers{})
	tlsB := ca.tls("da2")
	b := newLink(t, Config{Self: "da2", Listener: lb, Peers: map[string]string{"da1": a.Addr().String()}, TLS: tlsB})
	c := collector{make(chan uint64, 4096)}
	stop := start(t, b, c.handlers())
	const frames = 2000
	for n := range uint64(frames) {
		a.Send("da2", number(n))
	}
	for n := range uint64(frames) {
		if got := c.next(t); got != n {
			t.Fatalf("frame %d came as number %d", got, n)
		}
	}
	stop()
	// While it is away Send returns at once; back, it gets what follows, in order.
	for n := range uint64(100) {
		a.Send("da2", number(frames+n))
	}
	b = newLink(t, Config{Self: "da2", Listener: listen(t, addr), Peers: map[string]string{"da1": a.Addr().String()}, TLS: tlsB})
	start(t, b, c.handlers())
	// What the breaking connection had taken is lost; what comes later is not.
	resend := time.NewTicker(10 * time.Millisecond)
	defer resend.Stop()
	deadline := time.After(10 * time.Second)
	last, sent := uint64(0), uint64(frames+100)
	for received := 0; received < 20; {
		select {
		case <-resend.C:
			a.Send("da2", number(sent))
			sent++
		case got := <-c.got:
			if got <= last {
				t.Fatalf("frame %d after %d", got, last)
			}
			last = got
			if got >= frames+100 {
				received++
			}
		case <-deadline:
			t.Fatalf("not connected again: %+v", a.Stats()["da2"])
		}
	}
	if s := a.Stats()["da2"]; s.Connects < 2 || s.DroppedLive != 0 {
		t.Errorf("stats %+v", s)
	}
}

// answers has a simple one to every call, and none to a frame.
func answers(t *testing.T) Handlers {
	block := &fairwattpb.CertifiedBlock{Block: []byte("b")}
	busy := busyError{}
	return Handlers{
		Frame: func(string, []byte) { t.Error("a frame got through") },
		Pull:  func(string, *peerpb.PullRequest) (*peerpb.Relay, error) { return &peerpb.Relay{}, nil },
		Fetch: func(_ context.Context, lo, hi uint64, send func(*fairwattpb.CertifiedBlock) error) error {
			for range hi - lo + 1 {
				if err := send(block); err != nil {
					return err
				}
			}
			return nil
		},
		Follow: func(ctx context.Context, _ uint64, send func(*fairwattpb.CertifiedBlock) error) error {
			if err := send(block); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		},
		Submit: func(_ context.Context, from string, sealed []byte) error {
			switch string(sealed) {
			case "bad":
				return fmt.Errorf("bad record of %s", from)
			case "later":
				return busy
			}
			return nil
		},
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	ca := newAuthority(t)
	g := newLink(t, Config{
		Self: "da1", Listener: listen(t, "127.0.0.1:0"), Peers: map[string]string{"da2": "127.0.0.1:1"},
		TLS: ca.tls("da1"), Observers: []string{"mc"},
	})
	start(t, g, answers(t))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client := func(cfg *tls.Config) *Client {
		c, err := Dial(g.Addr().String(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	mc := client(ca.tls("mc"))
	blocks := 0
	if err := mc.Fetch(ctx, 3, 5, func(*fairwattpb.CertifiedBlock) error { blocks++; return nil }); err != nil || blocks != 3 {
		t.Errorf("fetch: %d blocks, %v", blocks, err)
	}
	enough := errors.New("enough")
	if err := mc.Follow(ctx, 1, func(*fairwattpb.CertifiedBlock) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("follow: %v", err)
	}
	errs, err := mc.SubmitBatch(ctx, [][]byte{[]byte("good"), []byte("bad"), []byte("later")})
	if err != nil {
		t.Fatal(err)
	}
	var bad, later *RefusedError
	if errs[0] != nil || !errors.As(errs[1], &bad) || bad.Retry || bad.Reason != "bad record of mc" || !errors.As(errs[2], &later) || !later.Retry {
		t.Errorf("submit: %v", errs)
	}
	if _, err := mc.rpc.Pull(ctx, &peerpb.PullRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an observer's pull: %v, want PermissionDenied", err)
	}
	stream, err := mc.rpc.Stream(ctx)
	if err == nil {
		err = stream.RecvMsg(new(peerpb.StreamEnd))
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("an observer's stream: %v, want PermissionDenied", err)
	}
	stranger := client(ca.tls("stranger"))
	if err := stranger.Submit(ctx, []byte("good")); status.Code(errors.Unwrap(err)) != codes.PermissionDenied {
		t.Errorf("a stranger's record: %v, want PermissionDenied", err)
	}
	foreign := newAuthority(t).tls("mc")
	foreign.RootCAs = ca.pool
	if err := client(foreign).Submit(ctx, []byte("good")); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
	wrong := ca.tls("mc")
	wrong.ServerName = "da9"
	if err := client(wrong).Submit(ctx, []byte("good")); err == nil {
		t.Error("a DA with another name was accepted")
	}
}

type busyError struct{}

func (busyError) Error() string   { return "busy" }
func (busyError) Temporary() bool { return true }

func TestQueueDropsTheOldest(t *testing.T) {
	for _, live := range []bool{false, true} {
		q := newQueue(3, 1<<20)
		q.connected(live)
		for n := range uint64(5) {
			q.push(number(n))
		}
		for want := uint64(2); want < 5; want++ {
			if got := binary.BigEndian.Uint64(q.pop()); got != want {
				t.Fatalf("got frame %d, want %d", got, want)
			}
		}
		s := q.snapshot()
		if q.pop() != nil || (live && s.DroppedLive != 2) || (!live && s.DroppedDown != 2) {
			t.Errorf("live %v: %+v", live, s)
		}
	}
	q := newQueue(100, 20)
	for n := range uint64(5) {
		q.push(number(n))
	}
	if got := binary.BigEndian.Uint64(q.pop()); got != 3 {
		t.Errorf("by bytes: first frame is %d, want 3", got)
	}
}

func TestConfigErrors(t *testing.T) {
	ca := newAuthority(t)
	for name, cfg := range map[string]Config{
		"no self":     {ListenAddr: ":0", TLS: ca.tls("da1")},
		"no listener": {Self: "da1", TLS: ca.tls("da1")},
		"no tls":      {Self: "da1", ListenAddr: ":0"},
		"self a peer": {Self: "da1", ListenAddr: ":0", TLS: ca.tls("da1"), Peers: map[string]string{"da1": "x:1"}},
		"bad address": {Self: "da1", ListenAddr: ":0", TLS: ca.tls("da1"), Peers: map[string]string{"da2": "nowhere"}},
	} {
		if _, err := NewGRPC(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
