package ledger

import (
	"crypto"
	"errors"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// MaxCertificateBytes bounds an encoded certificate: 200 votes with what the
// agreement adds to each.
const MaxCertificateBytes = 4 << 20

// VoteBytes returns the bytes that data aggregator da signs to vote for the
// block with headerHash: the preimage of package seal in domain "block-vote"
// over headerHash ‖ SHA-256(metadata) ‖ SHA-256(aux). The header holds chain,
// height, epoch and view, so the vote holds them too.
func VoteBytes(chain [32]byte, da string, headerHash [32]byte, metadata, aux []byte) []byte {
	return seal.Preimage(seal.DomainVote, chain, da, wire.VotePayload(headerHash, metadata, aux))
}

// SignVote signs [VoteBytes] with da's ed25519 key.
func SignVote(key crypto.Signer, chain [32]byte, da string, headerHash [32]byte, metadata, aux []byte) ([]byte, error) {
	signature, err := key.Sign(nil, VoteBytes(chain, da, headerHash, metadata, aux), crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("sign vote of %q: %w", da, err)
	}
	return signature, nil
}

// VerifyVote reports whether signature is da's vote. It is false for everybody
// who is not a data aggregator of g.
func VerifyVote(g *Genesis, da string, headerHash [32]byte, metadata, aux, signature []byte) bool {
	keys, err := g.Keys()
	if err != nil {
		return false
	}
	key, ok := keys[da]
	return ok && seal.Verify(key, seal.DomainVote, g.ChainID(), da, wire.VotePayload(headerHash, metadata, aux), signature)
}

// EncodeCertificate returns the canonical bytes of c.
func EncodeCertificate(c *fairwattpb.Certificate) ([]byte, error) { return marshal(c) }

var errCertificate = errors.New("certificate")

// VerifyCertificate checks that cert is the canonical encoding of a certificate
// for the block with headerHash, that every vote in it is a valid one of a data
// aggregator of g, in ascending order without repeats, and that they make a
// quorum. It does not look at the block: that the certificate's height is the
// header's is checked by [State.VerifyCertified].
func VerifyCertificate(g *Genesis, headerHash [32]byte, cert []byte) (*fairwattpb.Certificate, error) {
	keys, err := g.Keys()
	if err != nil {
		return nil, err
	}
	return verifyCertificate(&voters{chain: g.ChainID(), keys: keys, quorum: g.Quorum()}, headerHash, cert)
}

func verifyCertificate(v *voters, headerHash [32]byte, cert []byte) (*fairwattpb.Certificate, error) {
	if len(cert) > MaxCertificateBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errCertificate, len(cert), MaxCertificateBytes)
	}
	c := &fairwattpb.Certificate{}
	if err := unmarshal(cert, c); err != nil {
		return nil, fmt.Errorf("%w: %w", errCertificate, err)
	}
	if string(c.HeaderHash) != string(headerHash[:]) {
		return nil, fmt.Errorf("%w: is for another block (header_hash)", errCertificate)
	}
	if len(c.Votes) < v.quorum {
		return nil, fmt.Errorf("%w: %d votes, the quorum is %d", errCertificate, len(c.Votes), v.quorum)
	}
	batch := seal.NewBatch(len(c.Votes))
	last := ""
	for _, vote := range c.Votes {
		if vote.Da <= last {
			return nil, fmt.Errorf("%w: vote of %q is repeated or out of order", errCertificate, vote.Da)
		}
		last = vote.Da
		key, ok := v.keys[vote.Da]
		if !ok {
			return nil, fmt.Errorf("%w: vote of %q, who is no data aggregator", errCertificate, vote.Da)
		}
		batch.Add(key, seal.DomainVote, v.chain, vote.Da, wire.VotePayload(headerHash, c.Metadata, vote.Aux), vote.Signature)
	}
	for i, good := range batch.Verify() {
		if !good {
			return nil, fmt.Errorf("%w: vote of %q: invalid signature", errCertificate, c.Votes[i].Da)
		}
	}
	return c, nil
}

var canonical = proto.MarshalOptions{Deterministic: true}

// marshal writes the canonical form of m: fields in ascending order, defaults
// left out. No message of the chain has maps or floats, for which that would
// not be enough.
func marshal(m proto.Message) ([]byte, error) {
	b, err := canonical.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return b, nil
}

// unmarshal reads the canonical form of m and refuses every other encoding of
// the same content, by writing it again.
func unmarshal(b []byte, m proto.Message) error {
	name := m.ProtoReflect().Descriptor().Name()
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return fmt.Errorf("decode %s: %w", name, err)
	}
	again, err := marshal(m)
	if err != nil {
		return err
	}
	if string(again) != string(b) {
		return fmt.Errorf("decode %s: not in canonical form (unknown, repeated, reordered or default field)", name)
	}
	return nil
}
