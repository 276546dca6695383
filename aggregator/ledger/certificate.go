package ledger

import (
	"errors"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// MaxCertificateBytes bounds an encoded certificate: 200 votes with what the
// agreement adds to each.
const MaxCertificateBytes = 4 << 20

var errCertificate = errors.New("certificate")

// VerifyCertificate checks that cert is the canonical encoding of a certificate
// for the block with headerHash, that every vote in it is a valid one of a data
// aggregator that g names (behind a change of members, see [members.Set.Follow]), in ascending order without repeats, and that they make a
// quorum. It does not look at the block: that the certificate's height is the
// header's is checked by [State.VerifyCertified].
func VerifyCertificate(g *Genesis, headerHash [32]byte, cert []byte) (*fairwattpb.Certificate, error) {
	first, err := g.FirstMembers()
	if err != nil {
		return nil, err
	}
	return verifyCertificate(first, headerHash, cert, nil)
}

func verifyCertificate(v *members.Set, headerHash [32]byte, cert []byte, held seal.Memory) (*fairwattpb.Certificate, error) {
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
	if len(c.Votes) < v.Quorum() {
		return nil, fmt.Errorf("%w: %d votes, the quorum is %d", errCertificate, len(c.Votes), v.Quorum())
	}
	auxes := make([][]byte, len(c.Votes))
	for i, vote := range c.Votes {
		auxes[i] = vote.Aux
	}
	if !wire.OneRound(auxes) {
		return nil, fmt.Errorf("%w: its votes (aux) are of several rounds", errCertificate)
	}
	batch := seal.NewBatch(len(c.Votes))
	batch.Remember(held)
	last := ""
	for _, vote := range c.Votes {
		if vote.Da <= last {
			return nil, fmt.Errorf("%w: vote of %q is repeated or out of order", errCertificate, vote.Da)
		}
		last = vote.Da
		key, ok := v.Key(vote.Da)
		if !ok {
			return nil, fmt.Errorf("%w: vote of %q, who is no data aggregator", errCertificate, vote.Da)
		}
		batch.Add(key, seal.DomainVote, v.Chain(), vote.Da, wire.VotePayload(headerHash, c.Metadata, vote.Aux), vote.Signature)
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
