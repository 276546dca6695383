package mc

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fairwatt/proto/brief"
	"fairwatt/proto/durable"
)

// A Renewal is what became of one certificate.
type Renewal struct {
	File    string    `json:"file"`
	ID      string    `json:"id"`
	Role    Role      `json:"role"`
	Ends    time.Time `json:"ends"` // of the certificate that stands in the file now
	Renewed bool      `json:"renewed"`
}

// spread is by how much less than a year a certificate may last: those that are made
// together do not end together.
const spread = 60 * 24 * time.Hour

// life is how long a certificate lasts: a year, less a part of spread that its serial
// number draws.
func life(serial *big.Int) time.Duration {
	less := new(big.Int).Mod(serial, big.NewInt(int64(spread/time.Second)))
	return leafLife - time.Duration(less.Int64())*time.Second
}

// ErrNotOurs is the reason for a certificate that this authority did not sign.
var ErrNotOurs = errors.New("another authority signed it")

// Renew signs the certificate in a file anew, if it ends within that time: for the same
// key, name, role and hosts. The new one takes the old one's place by renaming, so that
// who reads it finds a whole one, and the key beside it fits both. A certificate that
// has ended is renewed too. Refused are those of other authorities.
func (a *Authority) Renew(file string, within time.Duration, now time.Time) (Renewal, error) {
	old, err := ReadCertificate(file)
	if err != nil {
		return Renewal{}, err
	}
	out := Renewal{File: file, ID: old.Subject.CommonName, Ends: old.NotAfter}
	if len(old.Subject.OrganizationalUnit) == 1 {
		out.Role = Role(old.Subject.OrganizationalUnit[0])
	}
	if old.CheckSignatureFrom(a.cert) != nil || old.IsCA {
		return out, fmt.Errorf("%s: %w; the folder's %s has to be the one that did", file, ErrNotOurs, CACertFile)
	}
	if old.NotAfter.Sub(now) > within {
		return out, nil
	}
	var hosts []string
	for _, name := range old.DNSNames {
		if name != out.ID {
			hosts = append(hosts, name)
		}
	}
	for _, ip := range old.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	cert, err := a.Sign(old.PublicKey, out.ID, out.Role, hosts, now)
	if err != nil {
		return out, fmt.Errorf("%s: %w", file, err)
	}
	if err := replaceFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})); err != nil {
		return out, err
	}
	out.Ends, out.Renewed = cert.NotAfter, true
	return out, nil
}

// replaceFile gives a file that is there another content, and leaves its rights.
func replaceFile(path string, b []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return durable.WriteBytes(path, info.Mode().Perm(), b)
}

// Holders lists the certificates of the holders below a folder: every file that ends in
// .crt but those that hold an authority, in order.
func Holders(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".crt") {
			return err
		}
		b, err := readBounded(path, maxAuthorities*maxKeyFile)
		if err != nil {
			return err
		}
		block, _ := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" {
			return fmt.Errorf("%s holds no certificate, but %s", path, brief.Quote(firstLine(b)))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("read certificate %s: %w", path, err)
		}
		if !cert.IsCA {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for certificates: %w", err)
	}
	slices.Sort(files)
	return files, nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
