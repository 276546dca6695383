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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer/peertest"
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

// Frames arrive in order. After the other end was away, those sent from then on
// do too; what the breaking connection had taken is lost.
func TestStreamKeepsOrderAndReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, net := newAuthority(t), &peertest.Wires{}
		a := newLink(t, Config{
			Self: "da1", Listener: net.Listen("da1:1"), Peers: map[string]string{"da2": "da2:1"}, TLS: ca.tls("da1"), Dialer: net.Dial,
		})
		start(t, a, Handlers{})
		b := Config{
			Self: "da2", Listener: net.Listen("da2:1"), Peers: map[string]string{"da1": "da1:1"}, TLS: ca.tls("da2"), Dialer: net.Dial,
		}
		c := collector{make(chan uint64, 4096)}
		stop := start(t, newLink(t, b), c.handlers())
		const frames = 2000
		for n := range uint64(frames) {
			a.Send("da2", number(n))
		}
		for n := range uint64(frames) {
			if got := <-c.got; got != n {
				t.Fatalf("frame %d came as number %d", got, n)
			}
		}
		stop()
		// While it is away Send returns at once.
		const away = 100
		for n := range uint64(away) {
			a.Send("da2", number(frames+n))
		}
		b.Listener = net.Listen("da2:1")
		start(t, newLink(t, b), c.handlers())
		time.Sleep(5 * time.Second) // the longest wait between two attempts to connect is 1 s and its jitter
		const first = frames + away
		for n := range uint64(20) {
			a.Send("da2", number(first+n))
		}
		for last, n := uint64(0), uint64(first); n < first+20; {
			got := <-c.got
			if got <= last || got > n {
				t.Fatalf("frame %d after %d, want none missing from %d on", got, last, first)
			}
			if last = got; got == n {
				n++
			}
		}
		if s := a.Stats()["da2"]; s.Connects != 2 || s.DroppedLive != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A link stops also where a frame is at work and the next one waits for it.
func TestStopWhileAFrameIsAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, net := newAuthority(t), &peertest.Wires{}
		a := newLink(t, Config{
			Self: "da1", Listener: net.Listen("da1:1"), Peers: map[string]string{"da2": "da2:1"}, TLS: ca.tls("da1"), Dialer: net.Dial,
		})
		start(t, a, Handlers{})
		b := newLink(t, Config{
			Self: "da2", Listener: net.Listen("da2:1"), Peers: map[string]string{"da1": "da1:1"}, TLS: ca.tls("da2"), Dialer: net.Dial,
		})
		began, free := make(chan struct{}, 2), make(chan struct{})
		stop := start(t, b, Handlers{Frame: func(string, []byte) {
			began <- struct{}{}
			<-free
		}})
		a.Send("da2", number(1))
		a.Send("da2", number(2))
		<-began
		synctest.Wait() // the second waits
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		synctest.Wait() // the connection is closed
		close(free)
		select {
		case <-stopped:
		case <-time.After(time.Minute):
			t.Fatal("the link does not stop")
		}
	})
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
			case "forged":
				return fmt.Errorf("check: %w", ruledOut{})
			}
			return nil
		},
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	synctest.Test(t, testWhoMayCallWhat)
}

func testWhoMayCallWhat(t *testing.T) {
	ca, net := newAuthority(t), &peertest.Wires{}
	g := newLink(t, Config{
		Self: "da1", Listener: net.Listen("da1:1"), Peers: map[string]string{"da2": "da2:1"}, Dialer: net.Dial,
		TLS: ca.tls("da1"), Observers: []string{"mc"},
	})
	start(t, g, answers(t))
	ctx := t.Context()
	client := func(cfg *tls.Config) *Client {
		c, err := DialBy(net.Dial, g.Addr().String(), cfg)
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
	// One call gives at most so many blocks, whatever was asked for.
	for _, tc := range []struct{ lo, hi, want uint64 }{{10, 4105, 4096}, {10, 4106, 4096}, {1, 1 << 40, 4096}, {7, 7, 1}} {
		blocks := uint64(0)
		if err := mc.Fetch(ctx, tc.lo, tc.hi, func(*fairwattpb.CertifiedBlock) error { blocks++; return nil }); err != nil || blocks != tc.want {
			t.Errorf("fetch %d to %d: %d blocks, %v, want %d", tc.lo, tc.hi, blocks, err, tc.want)
		}
	}
	for _, tc := range []struct{ lo, hi uint64 }{{0, 3}, {5, 4}} {
		err := mc.Fetch(ctx, tc.lo, tc.hi, func(*fairwattpb.CertifiedBlock) error { return nil })
		if status.Code(errors.Unwrap(err)) != codes.InvalidArgument {
			t.Errorf("fetch %d to %d: %v, want InvalidArgument", tc.lo, tc.hi, err)
		}
	}
	enough := errors.New("enough")
	if err := mc.Follow(ctx, 1, func(*fairwattpb.CertifiedBlock) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("follow: %v", err)
	}
	errs, err := mc.SubmitBatch(ctx, [][]byte{[]byte("good"), []byte("bad"), []byte("later"), []byte("forged")})
	if err != nil {
		t.Fatal(err)
	}
	var bad, later *RefusedError
	if errs[0] != nil || !errors.As(errs[1], &bad) || bad.Retry || bad.Reason != "bad record of mc" || !errors.As(errs[2], &later) || !later.Retry {
		t.Errorf("submit: %v", errs)
	}
	if code, _ := bad.Refused(); code != "" {
		t.Errorf("no rule refuses the bad record, but it has the code %q", code)
	}
	if err := errs[3]; err == nil || err.Error() != "record refused: bad_signature: not its key" {
		t.Errorf("submit: %v, want the rule that refuses", err)
	}
	var ruled interface{ Refused() (code, reason string) }
	if errors.As(errs[3], &ruled) {
		if code, reason := ruled.Refused(); code != "bad_signature" || reason != "not its key" {
			t.Errorf("submit: code %q, reason %q", code, reason)
		}
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
	if err := stranger.Submit(ctx, []byte("good")); status.Code(errors.Unwrap(err)) != codes.Unavailable {
		t.Errorf("a stranger's record: %v, want Unavailable: the handshake fails", err)
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

// ruledOut is a refusal by a rule of the chain.
type ruledOut struct{}

func (ruledOut) Error() string                  { return "bad_signature: not its key" }
func (ruledOut) Refused() (code, reason string) { return "bad_signature", "not its key" }

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

// A live link that overruns is reported once until its queue was empty: the log
// must neither be flooded nor stay silent after the link has recovered.
func TestOverrunIsReportedOnceUntilEmpty(t *testing.T) {
	q := newQueue(3, 1<<20)
	fill := func() (reports int) {
		for n := range uint64(10) {
			if q.push(number(n)) {
				reports++
			}
		}
		return reports
	}
	if n := fill(); n != 0 {
		t.Errorf("%d reports of a link that is down, want none", n)
	}
	q.connected(true)
	if n := fill(); n != 1 {
		t.Errorf("%d reports of the first overrun, want 1", n)
	}
	q.pop() // there is room again, but it was not empty
	if n := fill(); n != 0 {
		t.Errorf("%d reports while it still overruns, want none", n)
	}
	for q.pop() != nil {
	}
	if n := fill(); n != 1 {
		t.Errorf("%d reports of the overrun after it was empty, want 1", n)
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
