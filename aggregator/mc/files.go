package mc

import (
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fairwatt/proto/brief"
)

// maxKeyFile bounds what is read as a key or certificate.
const maxKeyFile = 64 << 10

// WriteKey writes a private key (PKCS #8 in PEM) readable by its owner alone.
// It never replaces a file: a key that is overwritten is gone.
func WriteKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writeNew(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// ReadKey reads an ed25519 private key written by WriteKey. It refuses a file
// that others on the machine may read.
func ReadKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("key %s may be read by others (mode %04o): chmod 600 it", path, perm)
	}
	block, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %s is a %T, not ed25519", path, key)
	}
	return k, nil
}

// WriteCertificate writes a certificate in PEM; an old one is replaced.
func WriteCertificate(path string, cert *x509.Certificate) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}

// ReadCertificate reads a certificate in PEM.
func ReadCertificate(path string) (*x509.Certificate, error) {
	block, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(block)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", path, err)
	}
	return cert, nil
}

// ReadPair reads a certificate with its key. It fits [certfile.Open].
func ReadPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := ReadCertificate(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ReadKey(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	if !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return tls.Certificate{}, fmt.Errorf("key %s does not belong to certificate %s", keyFile, certFile)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// ReadTLS reads a key pair for TLS and the authorities to trust.
func ReadTLS(certFile, keyFile, caFile string) (tls.Certificate, *x509.CertPool, error) {
	cert, err := ReadPair(certFile, keyFile)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool, err := ReadAuthorities(caFile)
	return cert, pool, err
}

// maxAuthorities bounds a file of authorities: the present one, the next, and room.
const maxAuthorities = 8

// ReadAuthorities reads the certificates of the authorities to trust: one, or two
// while the next takes over from the present one.
func ReadAuthorities(path string) (*x509.CertPool, error) {
	pool, _, err := AuthoritiesAndEnd(path)
	return pool, err
}

// AuthoritiesAndEnd is ReadAuthorities, and says when the first of them ends.
func AuthoritiesAndEnd(path string) (pool *x509.CertPool, ends time.Time, err error) {
	rest, err := readBounded(path, maxAuthorities*maxKeyFile)
	if err != nil {
		return nil, ends, err
	}
	pool = x509.NewCertPool()
	for n := 0; ; n++ {
		block, after := pem.Decode(rest)
		if block == nil {
			if n == 0 {
				return nil, ends, fmt.Errorf("%s holds no PEM block %q", path, "CERTIFICATE")
			}
			return pool, ends, nil
		}
		if n == maxAuthorities {
			return nil, ends, fmt.Errorf("%s holds more than %d certificates", path, maxAuthorities)
		}
		if block.Type != "CERTIFICATE" {
			return nil, ends, fmt.Errorf("%s holds a PEM block %s, want certificates alone", path, brief.Quote(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, ends, fmt.Errorf("read certificate %d of %s: %w", n+1, path, err)
		}
		pool.AddCert(cert)
		if ends.IsZero() || cert.NotAfter.Before(ends) {
			ends = cert.NotAfter
		}
		rest = after
	}
}

// OpenAuthority reads the authority of a folder written by InitDir.
func OpenAuthority(dir string) (*Authority, error) {
	cert, err := ReadCertificate(filepath.Join(dir, CACertFile))
	if err != nil {
		return nil, err
	}
	key, err := ReadKey(filepath.Join(dir, CAKeyFile))
	if err != nil {
		return nil, err
	}
	if !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s and %s do not belong together", CACertFile, CAKeyFile)
	}
	return &Authority{cert: cert, key: key}, nil
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := readBounded(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no PEM block %q", path, kind)
	}
	if extra, _ := pem.Decode(rest); extra != nil {
		return nil, fmt.Errorf("%s holds more than one PEM block", path)
	}
	return block.Bytes, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, more than keys or certificates need", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// writeNew creates a file and syncs it; it fails when the file exists.
func writeNew(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
