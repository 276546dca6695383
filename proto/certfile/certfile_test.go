package certfile

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// write puts a certificate and its key in place, as an operator does: by renaming.
func write(t *testing.T, dir, name string, ends, changed time.Time, files ...string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: ends.Add(-time.Hour), NotAfter: ends}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"tls.pem": {Type: "CERTIFICATE", Bytes: cert}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if len(files) > 0 && files[0] != file {
			continue
		}
		path := filepath.Join(dir, file)
		err := errors.Join(os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600), os.Chtimes(path+".new", changed, changed), os.Rename(path+".new", path))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A pair that changes is used from the next handshake on; half of one, or none, is
// told once and leaves the old one in use.
func TestPairIsReadAgain(t *testing.T) {
	dir, day := t.TempDir(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write(t, dir, "first", day, day)
	type told struct {
		ends time.Time
		bad  bool
	}
	var heard []told
	p, err := Open(filepath.Join(dir, "tls.pem"), filepath.Join(dir, "tls.key"), tls.LoadX509KeyPair, func(ends time.Time, err error) { heard = append(heard, told{ends, err != nil}) })
	if err != nil {
		t.Fatal(err)
	}
	var c tls.Config
	p.Use(&c)
	name := func() string {
		server, err1 := c.GetCertificate(nil)
		client, err2 := c.GetClientCertificate(nil)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(server.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if string(client.Certificate[0]) != string(server.Certificate[0]) {
			t.Error("the two ends differ")
		}
		return leaf.Subject.CommonName
	}
	expect := func(step, want string, ends time.Time, tellings int) {
		t.Helper()
		if got := name(); got != want || !p.Ends().Equal(ends) || len(heard) != tellings {
			t.Errorf("%s: %q ends %v, told %+v; want %q, %v, %d", step, got, p.Ends(), heard, want, ends, tellings)
		}
	}
	expect("at first", "first", day, 0)
	write(t, dir, "half", day.Add(time.Hour), day.Add(time.Second), "tls.pem")
	expect("a certificate without its key", "first", day, 1)
	write(t, dir, "second", day.Add(2*time.Hour), day.Add(2*time.Second))
	expect("a whole pair", "second", day.Add(2*time.Hour), 2)
	if err := os.Remove(filepath.Join(dir, "tls.key")); err != nil {
		t.Fatal(err)
	}
	expect("no key", "second", day.Add(2*time.Hour), 3)
	write(t, dir, "third", day.Add(3*time.Hour), day.Add(3*time.Second))
	expect("a pair again", "third", day.Add(3*time.Hour), 4)
	if !heard[0].bad || heard[1].bad || !heard[2].bad || heard[3].bad {
		t.Errorf("told %+v", heard)
	}
	if _, err := Open(filepath.Join(dir, "none.pem"), filepath.Join(dir, "tls.key"), tls.LoadX509KeyPair, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}

func TestDaysLeft(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]int{0: 0, 24*time.Hour - 1: 0, 24 * time.Hour: 1, Warn: 30, -1: -1, -24 * time.Hour: -1, -24*time.Hour - 1: -2} {
		if got := DaysLeft(now.Add(left), now); got != want {
			t.Errorf("%v: %d days, want %d", left, got, want)
		}
	}
}

// A pair that is replaced within one tick of the files' clock by one of the same size is
// noticed.
func TestReplacedWithinOneTick(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tls.crt")
	then := time.Now().Add(-time.Hour)
	put := func(text string) {
		t.Helper()
		beside := filepath.Join(dir, "new")
		if err := os.WriteFile(beside, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chtimes(beside, then, then), os.Rename(beside, file)); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	reads := 0
	read := func(string, string) (tls.Certificate, error) {
		reads++
		return tls.Certificate{Leaf: &x509.Certificate{NotAfter: then}}, nil
	}
	p, err := Open(file, file, read, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Ends()
	if reads != 1 {
		t.Fatalf("read %d times, want 1", reads)
	}
	put("two")
	p.Ends()
	if reads != 2 {
		t.Errorf("read %d times after it was replaced, want 2", reads)
	}
}
