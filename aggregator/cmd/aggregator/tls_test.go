package main

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"fairwatt/aggregator/mc"
)

// A certificate that is renewed in its file is shown to other data aggregators, at both ends
// of a link, from the next connection on; no restart is needed.
func TestPeersAreShownTheNewCertificate(t *testing.T) {
	now := time.Now()
	a, err := mc.NewAuthority("fairwatt test", now)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "da-1")
	if err := mc.IssueDir(a, dir, "da-1", mc.RoleDA, nil, now.Add(-200*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	files := tlsFiles{CA: filepath.Join(dir, mc.CACertFile), Cert: filepath.Join(dir, mc.TLSCertFile), Key: filepath.Join(dir, mc.TLSKeyFile)}
	pair, pool, err := files.read(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := peerTLS(pair, pool)
	shows := func(when string, want time.Time) {
		t.Helper()
		if c.GetCertificate == nil || c.GetClientCertificate == nil {
			t.Fatal("the certificate is the one of the start for ever")
		}
		server, err1 := c.GetCertificate(nil)
		client, err2 := c.GetClientCertificate(nil)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for end, cert := range map[string]*tls.Certificate{"a server": server, "a client": client} {
			if got := cert.Leaf.NotAfter; !got.Equal(want) || !pair.Ends().Equal(want) {
				t.Errorf("%s: as %s it shows one that ends %v and tells of %v, want %v", when, end, got, pair.Ends(), want)
			}
		}
	}
	old := pair.Ends()
	shows("before", old)
	r, err := a.Renew(files.Cert, 2*365*24*time.Hour, now)
	if err != nil || !r.Renewed || r.Ends.Equal(old) {
		t.Fatalf("%+v, %v", r, err)
	}
	shows("after", r.Ends)
}
