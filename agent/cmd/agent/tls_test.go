package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fairwatt/agent"
)

// A certificate that is put in the place of the one in use is shown to the broker at the next
// connection, without a restart, and the agent knows its end.
func TestTheBrokerIsShownTheNewCertificate(t *testing.T) {
	dir := t.TempDir()
	files := agent.TLSConfig{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put := func(path, kind string, der []byte) {
		t.Helper()
		b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := errors.Join(os.WriteFile(path+".new", b, 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(ends time.Time) {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(ends.Unix()), Subject: pkix.Name{CommonName: "pv-1"}, NotAfter: ends}
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
		if err != nil {
			t.Fatal(err)
		}
		put(files.Cert, "CERTIFICATE", der)
		put(files.CA, "CERTIFICATE", der)
	}
	first := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	put(files.Key, "PRIVATE KEY", private)
	renew(first)
	c, pair, err := tlsOf(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, ends := range []time.Time{first, first.AddDate(1, 0, 0), first.AddDate(2, 0, 0)} {
		renew(ends)
		if c.GetClientCertificate == nil {
			t.Fatal("the certificate is the one of the start for ever")
		}
		shown, err := c.GetClientCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(shown.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if !leaf.NotAfter.Equal(ends) || !pair.Ends().Equal(ends) {
			t.Errorf("it shows one that ends %v and tells of %v, want %v", leaf.NotAfter, pair.Ends(), ends)
		}
	}
}
