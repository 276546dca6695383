package mc

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// handshake connects a client to a server and returns both sides' errors.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			err = tls.Server(conn, server).Handshake()
			_ = conn.Close()
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	err = tls.Client(conn, client).Handshake()
	if err != nil {
		_ = conn.Close()
	}
	// In TLS 1.3 a client is told of a refusal only after its handshake.
	serverErr := <-done
	_ = conn.Close()
	return errors.Join(err, serverErr)
}

func TestCertificatesOpenWhatTheirRoleMay(t *testing.T) {
	a, other := authority(t), authority(t)
	issue := func(by *Authority, id string, role Role) tls.Certificate {
		c, err := by.IssueTLS(id, role, []string{"127.0.0.1"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if c.Leaf.Subject.CommonName != id || c.Leaf.Subject.OrganizationalUnit[0] != string(role) {
			t.Errorf("subject %v", c.Leaf.Subject)
		}
		return c
	}
	da1, da2, agent := issue(a, "da-1", RoleDA), issue(a, "da-2", RoleDA), issue(a, "pv-1", RoleAgent)
	centre, broker, foreign := issue(a, "mc-1", RoleMC), issue(a, "broker", RoleBroker), issue(other, "da-2", RoleDA)
	several := issue(a, "broker", RoleNATS)
	for _, c := range []struct {
		what           string
		server, client tls.Certificate
		name           string
		ok             bool
	}{
		{"da to da", da1, da2, "da-1", true},
		{"centre to da", da1, centre, "da-1", true},
		{"agent to broker", broker, agent, "127.0.0.1", true},
		{"da to another's name", da1, da2, "da-3", false},
		{"another authority's da", da1, foreign, "da-1", false},
		{"agent as a server", agent, da2, "pv-1", false},
		{"centre as a server", centre, da2, "mc-1", false},
		{"broker as a client", da1, broker, "da-1", false},
		{"one of several brokers to its like", several, several, "broker", true},
	} {
		client := PeerTLS(c.client, a.Pool())
		client.ServerName = c.name
		err := handshake(t, PeerTLS(c.server, a.Pool()), client)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	a := authority(t)
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "PV-1", "a/b", "a+b", "a#", strings.Repeat("a", 65), "ä"} {
		if _, err := a.Sign(pub, id, RoleAgent, nil, now); err == nil {
			t.Errorf("id %q was certified", id)
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.SignRequest(csr, "pv-1", RoleAgent, nil, now)
	if err != nil || !pub.Equal(cert.PublicKey) {
		t.Errorf("request: %v", err)
	}
	csr[len(csr)-1] ^= 1
	if _, err := a.SignRequest(csr, "pv-1", RoleAgent, nil, now); err == nil {
		t.Error("a request not signed by its key was certified")
	}
}

func TestInitDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	g, err := InitDir(dir, Options{Name: "test", DAs: DefaultDAs(4, "127.0.0.1", 7051), Centre: "mc-1", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadGenesis(filepath.Join(dir, GenesisFile))
	if err != nil {
		t.Fatal(err)
	}
	if read.ChainID() != g.ChainID() {
		t.Error("the file is another chain")
	}
	if links := []int{g.Aggregators[0].Links, g.Aggregators[1].Links}; links[0] != 2 || links[1] != 1 {
		t.Errorf("links %v", links)
	}
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".key") {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ReadKey(filepath.Join(dir, "da-2", SealKeyFile))
	if err != nil || publicKey(key) != g.Aggregators[1].PublicKey {
		t.Errorf("da-2's key: %v", err)
	}
	if _, _, err := ReadTLS(filepath.Join(dir, "da-1", TLSCertFile), filepath.Join(dir, "da-2", TLSKeyFile), filepath.Join(dir, CACertFile)); err == nil {
		t.Error("another's key passed for a certificate's")
	}
	a, err := OpenAuthority(dir)
	if err != nil || !a.Certificate().IsCA {
		t.Errorf("authority: %v", err)
	}
	if _, err := InitDir(dir, Options{Name: "test", DAs: DefaultDAs(4, "127.0.0.1", 7051), Now: now}); err == nil {
		t.Error("a second community was written over the first")
	}
	if _, err := InitDir(filepath.Join(t.TempDir(), "x"), Options{Name: "bad\nname", DAs: DefaultDAs(4, "h", 1), Now: now}); err == nil {
		t.Error("a genesis that is not valid was written")
	}
}

func TestCounterIsNeverGivenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counter.db")
	given := make(map[uint64]bool)
	take := func(c *counter, n int) {
		t.Helper()
		for range n {
			v, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if given[v] || v == 0 {
				t.Fatalf("counter %d again", v)
			}
			given[v] = true
		}
	}
	open := func() *counter {
		c, err := openCounter(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := open(), open() // a running centre and a command at the same time
	take(a, 3)
	take(b, 2)
	take(a, 100)
	b.sawOnChain(5000)
	take(b, 100)
	take(open(), 10) // after a crash of both
	if err := os.WriteFile(path, []byte("not a counter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openCounter(path); err == nil {
		t.Error("a damaged file was read")
	}
}

// A counter file that was cut or overwritten anywhere is refused with what to do, or
// reads as before: it never ends the centre, and never gives another number.
func TestDamagedCounter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counter.db")
	c, err := openCounter(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.next(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	try := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := openCounter(path)
		var got uint64
		if err == nil {
			got, err = c.next()
		}
		switch {
		case err != nil && strings.Contains(err.Error(), "move it away"):
			refused++
		case err != nil || got != reserve+1 && got != 1: // what is not on the chain may be of an older page
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for at := 1; at < len(whole); at += 997 {
		try(fmt.Sprintf("cut to %d bytes", at), whole[:at])
	}
	for at := range 4 {
		page := bytes.Clone(whole)
		copy(page[at*os.Getpagesize():], bytes.Repeat([]byte{0xa5}, os.Getpagesize()))
		try(fmt.Sprintf("page %d overwritten", at), page)
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestTokenIDs(t *testing.T) {
	ids := make(map[string]bool)
	for _, r := range []ledger.Request{{Buyer: "a-b", ID: "c"}, {Buyer: "a", ID: "b-c"}, {Buyer: "a", ID: "b-c", ExpiresMs: 1},
		{Buyer: strings.Repeat("a", 64), ID: strings.Repeat("b", 64)}, {Buyer: strings.Repeat("a", 64), ID: strings.Repeat("b", 63)}} {
		id := tokenID(r)
		if ids[id] || len(id) > 64 || id != tokenID(r) {
			t.Errorf("token id %q", id)
		}
		ids[id] = true
	}
}
