package aggregator

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"io"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/seal"
)

// A signer signs with that one of a DA's keys which the chain names now. So records,
// receipts and lists are signed on through a change of keys. Votes are not signed by it:
// agreement binds a key to an epoch.
type signer struct {
	self  string
	state *ledger.State
	keys  []crypto.Signer
}

var errNoKey = errors.New("the chain names another key for this data aggregator than those it has: give it the new one (next_seal_key)")

// now is the key in use; the first before the chain knows the DA.
func (s *signer) now() crypto.Signer {
	da, known := s.state.Aggregator(s.self)
	for _, key := range s.keys {
		if pub, ok := key.Public().(ed25519.PublicKey); ok && known && seal.FormatKey(pub) == da.PublicKey {
			return key
		}
	}
	if known {
		return nil
	}
	return s.keys[0]
}

func (s *signer) Public() crypto.PublicKey {
	if key := s.now(); key != nil {
		return key.Public()
	}
	return s.keys[0].Public()
}

func (s *signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	key := s.now()
	if key == nil {
		return nil, errNoKey
	}
	return key.Sign(rand, digest, opts)
}
