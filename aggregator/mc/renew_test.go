package mc

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/proto/certfile"
)

// renewable is an authority and the folder of a data aggregator of its.
func renewable(t *testing.T, id string, now time.Time) (*Authority, string) {
	t.Helper()
	a, err := NewAuthority("fairwatt test", now)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), id)
	if err := IssueDir(a, dir, id, RoleDA, []string{"127.0.0.1", "da.example.org"}, now); err != nil {
		t.Fatal(err)
	}
	return a, dir
}

// A renewed certificate is the old one with a later end: the same key, name, role and
// hosts; it fits the key that lies beside it, keeps its rights, and leaves nothing
// else in the folder. What lasts is left alone.
func TestRenew(t *testing.T) {
	now := time.Now()
	a, dir := renewable(t, "da-1", now.Add(-200*24*time.Hour))
	file := filepath.Join(dir, TLSCertFile)
	old, err := ReadCertificate(file)
	if err != nil {
		t.Fatal(err)
	}
	left := old.NotAfter.Sub(now)
	if r, err := a.Renew(file, left-time.Second, now); err != nil || r.Renewed || !r.Ends.Equal(old.NotAfter) {
		t.Errorf("it lasts: %+v, %v", r, err)
	}
	if got, err := ReadCertificate(file); err != nil || !got.Equal(old) {
		t.Errorf("what lasts was touched: %v", err)
	}
	r, err := a.Renew(file, left, now)
	if err != nil || !r.Renewed || r.ID != "da-1" || r.Role != RoleDA {
		t.Fatalf("%+v, %v", r, err)
	}
	pair, err := ReadPair(file, filepath.Join(dir, TLSKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	got := pair.Leaf
	if got.SerialNumber.Cmp(old.SerialNumber) == 0 || !got.NotAfter.Equal(r.Ends) || got.NotAfter.Sub(now) < leafLife-spread-time.Minute || got.Subject.String() != old.Subject.String() ||
		!slices.Equal(got.DNSNames, old.DNSNames) || fmt.Sprint(got.IPAddresses) != fmt.Sprint(old.IPAddresses) || !slices.Equal(got.ExtKeyUsage, old.ExtKeyUsage) {
		t.Errorf("%v %v %v until %v, was %v %v %v", got.Subject, got.DNSNames, got.IPAddresses, got.NotAfter, old.Subject, old.DNSNames, old.IPAddresses)
	}
	if _, err := got.Verify(x509.VerifyOptions{Roots: a.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
	// One that has ended is renewed too.
	if r, err := a.Renew(file, 0, r.Ends.Add(time.Hour)); err != nil || !r.Renewed {
		t.Errorf("after its end: %+v, %v", r, err)
	}
}

// Another authority's certificate, an authority's own and a forged one are refused, and
// stay as they are.
func TestRenewRefuses(t *testing.T) {
	now := time.Now()
	a, dir := renewable(t, "da-1", now)
	_, other := renewable(t, "da-1", now)
	for _, file := range []string{filepath.Join(other, TLSCertFile), filepath.Join(dir, CACertFile)} {
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Renew(file, 2*leafLife, now); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%s: %v", file, err)
		}
		if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
			t.Errorf("%s was touched: %v", file, err)
		}
	}
}

// Certificates that are made together do not end together, and none lasts longer than
// a year or much less.
func TestLifeIsSpread(t *testing.T) {
	now := time.Now()
	a, err := NewAuthority("fairwatt test", now)
	if err != nil {
		t.Fatal(err)
	}
	weeks := map[int]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		cert, err := a.IssueTLS("da-1", RoleDA, nil, now)
		if err != nil {
			rt.Fatal(err)
		}
		left := cert.Leaf.NotAfter.Sub(now)
		if left > leafLife || left < leafLife-spread-time.Second {
			rt.Fatalf("it lasts %v", left)
		}
		weeks[int(left/(7*24*time.Hour))] = true
	})
	if len(weeks) < 5 {
		t.Errorf("100 certificates end in %d weeks", len(weeks))
	}
}

// While the next authority takes over from the present one, a file holds both, and certificates
// of either hold.
func TestTwoAuthorities(t *testing.T) {
	now := time.Now()
	var all []*Authority
	for range maxAuthorities + 1 {
		a, err := NewAuthority("fairwatt test", now)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	file := func(of []*Authority, more string) string {
		var b []byte
		for _, a := range of {
			b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})...)
		}
		path := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(path, append(b, more...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pool, err := ReadAuthorities(file(all[:2], ""))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range all[:3] {
		cert, err := a.IssueTLS("da-1", RoleDA, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if (err == nil) != (i < 2) {
			t.Errorf("a certificate of authority %d: %v", i+1, err)
		}
	}
	for name, c := range map[string]struct{ path, want string }{
		"too many": {file(all, ""), "more than 8"},
		"a key":    {file(all[:1], "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"), "certificates alone"},
		"none":     {file(nil, ""), "no PEM block"},
	} {
		if _, err := ReadAuthorities(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Over a live link the certificates of both ends are renewed: the link goes on without
// a pause, and the next one shows the new certificates at both ends.
func TestRenewOverALiveLink(t *testing.T) {
	now := time.Now()
	a, here := renewable(t, "da-1", now.Add(-280*24*time.Hour))
	there := filepath.Join(filepath.Dir(here), "da-2")
	if err := IssueDir(a, there, "da-2", RoleDA, []string{"127.0.0.1"}, now.Add(-260*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	end := func(dir string) (*tls.Config, *certfile.Pair) {
		pair, err := certfile.Open(filepath.Join(dir, TLSCertFile), filepath.Join(dir, TLSKeyFile), ReadPair, func(_ time.Time, err error) {
			if err != nil {
				t.Errorf("%s: %v", dir, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		c := PeerTLS(tls.Certificate{}, a.Pool())
		pair.Use(c)
		return c, pair
	}
	server, serverPair := end(here)
	client, clientPair := end(there)
	client.ServerName = "da-1"
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// The server says back each line, with the end of the client's certificate.
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					ends := conn.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter
					if _, err := fmt.Fprintf(conn, "%s %d\n", lines.Text(), ends.Unix()); err != nil {
						return
					}
				}
			}(conn)
		}
	}()
	link := func() (*tls.Conn, func(what string, ends time.Time)) {
		conn, err := tls.Dial("tcp", l.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(conn)
		return conn, func(what string, ends time.Time) {
			t.Helper()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintln(conn, what); err != nil {
				t.Fatal(err)
			}
			if got, err := answers.ReadString('\n'); err != nil || got != fmt.Sprintf("%s %d\n", what, ends.Unix()) {
				t.Errorf("%s: %q, %v", what, got, err)
			}
		}
	}
	oldServer, oldClient := serverPair.Ends(), clientPair.Ends()
	first, say := link()
	defer first.Close()
	say("before", oldClient)
	for _, dir := range []string{here, there} {
		if r, err := a.Renew(filepath.Join(dir, TLSCertFile), 120*24*time.Hour, now); err != nil || !r.Renewed {
			t.Fatalf("%+v, %v", r, err)
		}
		say("still there", oldClient)
	}
	second, sayAgain := link()
	defer second.Close()
	newServer := second.ConnectionState().PeerCertificates[0].NotAfter
	if !newServer.After(oldServer.Add(100*24*time.Hour)) || !newServer.Equal(serverPair.Ends()) || !clientPair.Ends().After(oldClient.Add(100*24*time.Hour)) {
		t.Errorf("the new link shows %v, was %v; the client's %v, was %v", newServer, oldServer, clientPair.Ends(), oldClient)
	}
	sayAgain("on the new link", clientPair.Ends())
	say("the first still works", oldClient)
}
