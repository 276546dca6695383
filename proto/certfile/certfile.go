package certfile

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Warn is how long before its end a certificate is warned of.
const Warn = 30 * 24 * time.Hour

// A Reader reads a certificate with its key, such as [tls.LoadX509KeyPair].
type Reader func(certFile, keyFile string) (tls.Certificate, error)

// A Pair is a certificate in files. It is safe for concurrent use.
type Pair struct {
	certFile, keyFile string
	read              Reader
	told              func(ends time.Time, err error)

	mu    sync.Mutex
	cert  tls.Certificate
	ends  time.Time
	stamp [2]stamp
	tried [2]stamp // of the last pair that could not be read
}

// A stamp tells one state of a file from another.
type stamp struct{ info os.FileInfo }

// same says that it is the file itself, unchanged. Times alone do not tell: the clock
// of files has ticks of some milliseconds, and a renewed file often has the old size.
func (s stamp) same(as stamp) bool {
	if s.info == nil || as.info == nil {
		return s.info == nil && as.info == nil
	}
	return os.SameFile(s.info, as.info) && s.info.ModTime().Equal(as.info.ModTime()) && s.info.Size() == as.info.Size()
}

func same(a, b [2]stamp) bool { return a[0].same(b[0]) && a[1].same(b[1]) }

// Open reads a pair. told hears of each later one: when it ends, or why it cannot
// be used; it may be nil.
func Open(certFile, keyFile string, read Reader, told func(ends time.Time, err error)) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, read: read, told: told}
	now, err := p.look()
	if err == nil {
		err = p.load(now)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Use makes a configuration take the pair, at either end.
func (p *Pair) Use(c *tls.Config) {
	c.Certificates = nil
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current(), nil }
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.current(), nil }
}

// Ends returns when the newest certificate ends.
func (p *Pair) Ends() time.Time {
	p.current()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ends
}

// current returns the newest pair that could be read.
func (p *Pair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.look()
	if err == nil && !same(now, p.stamp) {
		err = p.load(now)
		if err == nil && p.told != nil {
			p.told(p.ends, nil)
		}
	}
	if err != nil && !same(now, p.tried) {
		p.tried = now
		if p.told != nil {
			p.told(p.ends, fmt.Errorf("the certificate in use stays: %w", err))
		}
	}
	cert := p.cert
	return &cert
}

func (p *Pair) look() (now [2]stamp, err error) {
	for i, file := range []string{p.certFile, p.keyFile} {
		info, e := os.Stat(file)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		now[i] = stamp{info}
	}
	return now, err
}

func (p *Pair) load(now [2]stamp) error {
	cert, err := p.read(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("read certificate %s: %w", p.certFile, err)
	}
	leaf := cert.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return fmt.Errorf("read certificate %s: %w", p.certFile, err)
		}
	}
	p.cert, p.ends, p.stamp, p.tried = cert, leaf.NotAfter, now, [2]stamp{}
	return nil
}

// DaysLeft returns the whole days until an end; negative behind it.
func DaysLeft(ends, now time.Time) int {
	left := ends.Sub(now)
	days := int(left / (24 * time.Hour))
	if left < 0 && left%(24*time.Hour) != 0 {
		days--
	}
	return days
}
