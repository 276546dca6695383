package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"fairwatt/proto/brief"
)

// serverTLS demands a certificate of the authority from every caller, and that may
// lets its common name in: a device's certificate gets no further than this.
// Tickets are off: a resumed session would skip the check of an expired
// certificate.
func serverTLS(base *tls.Config, may func(name string) bool) *tls.Config {
	c := base.Clone()
	c.MinVersion = tls.VersionTLS13
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if c.ClientCAs == nil {
		c.ClientCAs = base.RootCAs
	}
	c.SessionTicketsDisabled = true
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.VerifiedChains) == 0 {
			return errors.New("no verified certificate")
		}
		if name := s.VerifiedChains[0][0].Subject.CommonName; !may(name) {
			return fmt.Errorf("%s is no data aggregator and no observer of this chain", brief.Quote(name))
		}
		return nil
	}
	return c
}

// clientTLS verifies that the other end has a certificate of the authority
// with the common name id (any when id is empty). A DA is who its certificate
// says, wherever it is reached: the host name plays no part, so the standard
// check, which is about host names, is replaced by one that is not.
func clientTLS(base *tls.Config, id string) *tls.Config {
	c := base.Clone()
	c.MinVersion = tls.VersionTLS13
	c.InsecureSkipVerify = true // VerifyConnection below verifies
	roots := base.RootCAs
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("no certificate")
		}
		intermediates := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			intermediates.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: intermediates,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return fmt.Errorf("verify certificate: %w", err)
		}
		if got := s.PeerCertificates[0].Subject.CommonName; id != "" && got != id {
			return fmt.Errorf("certificate of %q, want that of %q", got, id)
		}
		return nil
	}
	return c
}

// caller returns the common name of the certificate the caller has proved.
func caller(ctx context.Context) (string, error) {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return "", status.Error(codes.Unauthenticated, "no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return "", status.Error(codes.Unauthenticated, "no verified certificate")
	}
	return info.State.VerifiedChains[0][0].Subject.CommonName, nil
}
