package consensus

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/aggregator/peer/peertest"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"

	"google.golang.org/protobuf/proto"
)

// certificates makes an authority and a certificate for each name, with the
// DAs' own keys where they have one.
func (c *cluster) certificates(names ...string) map[string]*tls.Config {
	c.t.Helper()
	key := c.keys["da1"] // the authority's key plays no part in what is tested
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		c.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	out := make(map[string]*tls.Config)
	for k, name := range names {
		own, ok := c.keys[name]
		if !ok {
			own = c.keys["da2"]
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(k) + 2), Subject: pkix.Name{CommonName: name}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, ca, own.Public(), key)
		if err != nil {
			c.t.Fatal(err)
		}
		out[name] = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: own}}, RootCAs: pool}
	}
	return out
}

// startGRPC starts all nodes over mutually authenticated links, which dial and
// listen make, and returns the links.
func (c *cluster) startGRPC(certs map[string]*tls.Config, dial peer.Dialer, listen func(addr string) net.Listener) map[string]*peer.GRPC {
	c.t.Helper()
	listeners, addrs, links := make(map[string]net.Listener), make(map[string]string), make(map[string]*peer.GRPC)
	for _, name := range c.names {
		l := listen(name + ":1")
		listeners[name], addrs[name] = l, l.Addr().String()
	}
	for _, name := range c.names {
		others := make(map[string]string)
		for id, addr := range addrs {
			if id != name {
				others[id] = addr
			}
		}
		link, err := peer.NewGRPC(peer.Config{Self: name, Listener: listeners[name], Peers: others, TLS: certs[name], Observers: []string{"mc"}, Dialer: dial})
		if err != nil {
			c.t.Fatal(err)
		}
		n, err := New(c.config(name, link))
		if err != nil {
			c.t.Fatal(err)
		}
		n.adjust = c.hastenLibrary
		links[name] = link
		c.run(name, n, link.Run)
	}
	return links
}

// Four nodes over gRPC with mutual TLS; an observer submits and follows.
func TestGRPC(t *testing.T) {
	synctest.Test(t, testGRPC)
}

func testGRPC(t *testing.T) {
	c := newCluster(t, 4, 8, peer.MemoryConfig{})
	wires := &peertest.Wires{}
	certs := c.certificates(append([]string{"mc"}, c.names...)...)
	links := c.startGRPC(certs, wires.Dial, wires.Listen)
	for _, name := range c.names {
		c.until(name+" to vote", func() bool { return c.node(name).Stats().Voting })
	}
	mc, err := peer.DialBy(wires.Dial, "da3:1", certs["mc"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mc.Close() }()
	ctx := t.Context()
	const records = 400
	done := errors.New("done")
	followed := make(chan error, 1)
	go func() {
		seen, next := 0, uint64(1)
		followed <- mc.Follow(ctx, 1, func(cb *fairwattpb.CertifiedBlock) error {
			b, h := &fairwattpb.Block{}, &fairwattpb.BlockHeader{}
			if err := errors.Join(proto.Unmarshal(cb.Block, b), proto.Unmarshal(b.Header, h)); err != nil {
				return err
			}
			if h.Height != next {
				return fmt.Errorf("block %d, want %d", h.Height, next)
			}
			next++
			if seen += len(b.Records); seen == records {
				return done
			}
			return nil
		})
	}()
	for k := range records {
		sealed := fmt.Appendf(nil, "record %d of the observer", k)
		c.sent = append(c.sent, recordID(sealed))
		if err := mc.Submit(ctx, sealed); err != nil {
			t.Fatal(err)
		}
		if k%20 == 19 {
			c.until("a block", func() bool { return c.apps["da1"].has(c.sent[k]) })
		}
	}
	c.allDecided(c.names...)
	if err := <-followed; !errors.Is(err, done) {
		t.Errorf("follow: %v", err)
	}
	if s := c.node("da2").Stats(); s.Forwarded == 0 {
		t.Errorf("da2 forwarded nothing: %+v", s)
	}
	for name, link := range links {
		for to, s := range link.Stats() {
			if s.DroppedLive > 0 || !s.Connected {
				t.Errorf("%s to %s: %+v", name, to, s)
			}
		}
	}
}

// BenchmarkAgreement measures four nodes in one process with fsync: records a
// second as fast as they go, and latency at a fixed rate.
func BenchmarkAgreement(b *testing.B) {
	for _, over := range []string{"memory", "grpc"} {
		for _, rate := range []int{0, 4000} {
			name := over + "/flood"
			if rate > 0 {
				name = fmt.Sprintf("%s/%d-per-s", over, rate)
			}
			b.Run(name, func(b *testing.B) { benchmark(b, 4, over, rate) })
		}
	}
}

// BenchmarkMembers measures many nodes in one process with fsync, at 250 records a
// second and as fast as they go.
func BenchmarkMembers(b *testing.B) {
	for _, n := range []int{16, 50} {
		for _, rate := range []int{250, 0} {
			b.Run(fmt.Sprintf("%d-members/%d-per-s", n, rate), func(b *testing.B) { benchmark(b, n, "memory", rate) })
		}
	}
}

func benchmark(b *testing.B, n int, over string, rate int) {
	c := newCluster(b, n, 100, peer.MemoryConfig{Seed: 1, MinDelay: 200 * time.Microsecond, MaxDelay: time.Millisecond})
	c.wall = true
	c.wait = 8 * time.Minute // beside other work
	c.links(4)
	for _, app := range c.apps {
		app.epoch.Tree = wct.WCT // or one machine builds the trees of all members, each its own
	}
	for name, app := range c.apps {
		f, err := os.Create(filepath.Join(c.dirs[name], "chain"))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		app.sync = f
		c.dirs[name] = filepath.Join(c.dirs[name], "log")
	}
	if over == "grpc" {
		c.startGRPC(c.certificates(c.names...), nil, func(string) net.Listener {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			return l
		})
	} else {
		c.start(c.names...)
	}
	for range 10 {
		c.submit("da1", 300)
		c.allDecided(c.names...)
	}
	records := max(b.N, 2000)
	began := make([]time.Time, records+1)
	took := make([]time.Duration, records+1)
	var mu sync.Mutex
	at := 1
	c.apps["da1"].onBlock = func(_ uint64, n int) {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		for range n {
			if at <= records {
				took[at] = now.Sub(began[at])
				at++
			}
		}
	}
	b.ResetTimer()
	start := time.Now()
	for k := 1; k <= records; k++ {
		if rate > 0 && k%8 == 0 {
			next := start.Add(time.Duration(k) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(next)) // the pace is what is asked for, not a wait for something
		}
		mu.Lock()
		began[k] = time.Now()
		mu.Unlock()
		c.submit("da1", 300)
	}
	c.until("all", func() bool { mu.Lock(); defer mu.Unlock(); return at > records })
	b.StopTimer()
	b.ReportMetric(float64(records)/time.Since(start).Seconds(), "records/s")
	report(b, took[1:])
	c.stopAll()
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}
