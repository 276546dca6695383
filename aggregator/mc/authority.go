package mc

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"fairwatt/proto/seal"
)

// A Role is what a certificate entitles its holder to. It stands in the
// certificate's organisational unit; the id is the common name.
type Role string

// The roles of certificates.
const (
	RoleDA     Role = "da"     // accepts and makes links between aggregators
	RoleMC     Role = "mc"     // follows the chain, submits records
	RoleAgent  Role = "agent"  // connects to the broker
	RoleBroker Role = "broker" // is connected to
	RoleNATS   Role = "nats"   // is connected to, and connects to its like: one of several servers that are one broker
	RoleOwner  Role = "owner"  // connects to the broker and speaks to devices of a site
	RoleViewer Role = "viewer" // connects to the broker and reads
	RoleWarner Role = "warner" // connects to the broker and hands on official warnings
)

// Validity of what the authority signs.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	backdate = 10 * time.Minute // a Pi's clock may be behind at its first start
)

// An Authority issues certificates. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes a certificate authority with a fresh ed25519 key.
func NewAuthority(name string, now time.Time) (*Authority, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"fairwatt"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs holders, no further authorities
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// Certificate returns the authority's own certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Pool returns a pool with the authority alone: whom to trust.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// IssueTLS makes a fresh key and a certificate for it. The id becomes the
// common name and a DNS name; hosts are the further names and IP addresses
// under which a server is reached.
func (a *Authority) IssueTLS(id string, role Role, hosts []string, now time.Time) (tls.Certificate, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a TLS key for %s: %w", id, err)
	}
	cert, err := a.Sign(pub, id, role, hosts, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// SignRequest certifies the key of a certificate request, which proves that its
// sender has the private half. Nothing else is taken from the request.
func (a *Authority) SignRequest(der []byte, id string, role Role, hosts []string, now time.Time) (*x509.Certificate, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request is not signed by its key: %w", err)
	}
	return a.Sign(csr.PublicKey, id, role, hosts, now)
}

// Sign certifies a public key for ten to twelve months; see life.
func (a *Authority) Sign(pub crypto.PublicKey, id string, role Role, hosts []string, now time.Time) (*x509.Certificate, error) {
	if !seal.ValidName(id) {
		return nil, fmt.Errorf("id %q: use 1 to %d of a-z, 0-9 and -", id, seal.MaxNameBytes)
	}
	usage, err := role.usage()
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: id, Organization: []string{"fairwatt"}, OrganizationalUnit: []string{string(role)}},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(life(serial)),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usage,
		DNSNames:     []string{id},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if h != "" && h != id {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", id, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate of %s: %w", id, err)
	}
	return cert, nil
}

var errRole = errors.New("a certificate's role is one of da, mc, agent, owner, viewer, warner, broker, nats")

// usage keeps an agent's or the centre's certificate from posing as a server.
func (r Role) usage() ([]x509.ExtKeyUsage, error) {
	switch r {
	case RoleDA, RoleNATS: // which connect to their like
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, nil
	case RoleBroker:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, nil
	case RoleMC, RoleAgent, RoleOwner, RoleViewer, RoleWarner:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil
	default:
		return nil, fmt.Errorf("role %q: %w", string(r), errRole)
	}
}

func serialNumber() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil // RFC 5280, 4.1.2.2: positive
}

// PeerTLS is the TLS configuration of the links between aggregators: version
// 1.3, both sides with a certificate of this authority.
func PeerTLS(cert tls.Certificate, pool *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}
}
