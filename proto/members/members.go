package members

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Most is how many members there are at most.
const Most = 200

// A Set is the members of an epoch. It is never changed.
type Set struct {
	chain  [32]byte
	keys   map[string]ed25519.PublicKey
	height uint64 // of the block behind which they vote; 0: the genesis'
	epoch  uint64 // the first that they vote in
}

// New returns the members of a genesis. The map must not be changed afterwards.
func New(chain [32]byte, keys map[string]ed25519.PublicKey) *Set {
	return &Set{chain: chain, keys: keys, epoch: 1}
}

// At returns members as they vote in epochs from one on, behind a block.
func At(chain [32]byte, keys map[string]ed25519.PublicKey, height, epoch uint64) *Set {
	return &Set{chain: chain, keys: keys, height: height, epoch: epoch}
}

// Chain returns the id of the chain.
func (s *Set) Chain() [32]byte { return s.chain }

// Height returns that of the block behind which they vote, 0 for the genesis'.
func (s *Set) Height() uint64 { return s.height }

// Epoch returns the first epoch that they vote in.
func (s *Set) Epoch() uint64 { return s.epoch }

// Key returns the key of a member.
func (s *Set) Key(da string) (ed25519.PublicKey, bool) {
	k, ok := s.keys[da]
	return k, ok
}

// Keys returns all keys by id; the map must not be changed.
func (s *Set) Keys() map[string]ed25519.PublicKey { return s.keys }

// Names returns the members' ids, ascending.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.keys)) }

// Len returns how many members there are.
func (s *Set) Len() int { return len(s.keys) }

// Faulty returns how many of them may lie.
func (s *Set) Faulty() int { return wire.Faulty(len(s.keys)) }

// Quorum returns how many of them make a block final.
func (s *Set) Quorum() int { return wire.Quorum(len(s.keys)) }

// Same tells whether two sets have the same members with the same keys.
func (s *Set) Same(other *Set) bool {
	return maps.EqualFunc(s.keys, other.keys, func(a, b ed25519.PublicKey) bool { return a.Equal(b) })
}

// hashPrefix keeps the hash from being one of anything else.
const hashPrefix = "fairwatt-members-1"

// Hash is what a header says of the members: SHA-256 of the prefix "fairwatt-members-1"
// and, for each by id, the id's length in a byte, the id and the key's 32 bytes.
func (s *Set) Hash() [32]byte {
	b := []byte(hashPrefix)
	for _, da := range s.Names() {
		b = append(b, byte(len(da)))
		b = append(b, da...)
		b = append(b, s.keys[da]...)
	}
	return sha256.Sum256(b)
}

// List returns the members as a turn names them.
func (s *Set) List() []*fairwattpb.MemberKey {
	out := make([]*fairwattpb.MemberKey, 0, len(s.keys))
	for _, da := range s.Names() {
		out = append(out, &fairwattpb.MemberKey{Da: da, PublicKey: s.keys[da]})
	}
	return out
}

var errTurn = errors.New("change of members")

// Certify checks that the certificate holds the votes of a quorum of the members for
// the block of a header.
func (s *Set) Certify(header, certificate []byte) (*fairwattpb.BlockHeader, error) {
	h, c := &fairwattpb.BlockHeader{}, &fairwattpb.Certificate{}
	if err := proto.Unmarshal(header, h); err != nil {
		return nil, fmt.Errorf("decode header: %w", err)
	}
	if err := proto.Unmarshal(certificate, c); err != nil {
		return nil, fmt.Errorf("decode certificate: %w", err)
	}
	hash := sha256.Sum256(header)
	switch {
	case !bytes.Equal(h.GetChainId(), s.chain[:]):
		return nil, errors.New("header: chain_id is of another chain")
	case !bytes.Equal(c.GetHeaderHash(), hash[:]) || c.GetHeight() != h.GetHeight():
		return nil, errors.New("certificate: is for another block")
	case len(c.GetVotes()) < s.Quorum():
		return nil, fmt.Errorf("certificate: %d votes, the quorum is %d", len(c.GetVotes()), s.Quorum())
	}
	last, auxes := "", make([][]byte, 0, len(c.GetVotes()))
	for _, v := range c.GetVotes() {
		key, ok := s.keys[v.GetDa()]
		switch {
		case v.GetDa() <= last:
			return nil, fmt.Errorf("certificate: vote of %s is repeated or out of order", brief.Quote(v.GetDa()))
		case !ok:
			return nil, fmt.Errorf("certificate: vote of %s, who is no member", brief.Quote(v.GetDa()))
		case !seal.Verify(key, seal.DomainVote, s.chain, v.GetDa(), wire.VotePayload(hash, c.GetMetadata(), v.GetAux()), v.GetSignature()):
			return nil, fmt.Errorf("certificate: vote of %s: invalid signature", brief.Quote(v.GetDa()))
		}
		last, auxes = v.GetDa(), append(auxes, v.GetAux())
	}
	if !wire.OneRound(auxes) {
		return nil, errors.New("certificate: its votes (aux) are of several rounds")
	}
	return h, nil
}

// Follow returns the members that the turn makes, if these ones have voted for it.
func (s *Set) Follow(t *fairwattpb.Turn) (*Set, error) {
	h, err := s.Certify(t.GetHeader(), t.GetCertificate())
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errTurn, err)
	case h.GetHeight() <= s.height || h.GetEpoch() < s.epoch:
		return nil, fmt.Errorf("%w: block %d of epoch %d, these vote behind block %d from epoch %d on", errTurn, h.GetHeight(), h.GetEpoch(), s.height, s.epoch)
	case len(t.GetMembers()) == 0 || len(t.GetMembers()) > Most:
		return nil, fmt.Errorf("%w: %d members, want 1 to %d", errTurn, len(t.GetMembers()), Most)
	}
	next := &Set{chain: s.chain, keys: make(map[string]ed25519.PublicKey, len(t.GetMembers())), height: h.GetHeight(), epoch: h.GetEpoch() + 1}
	for _, m := range t.GetMembers() {
		if !seal.ValidName(m.GetDa()) || len(m.GetPublicKey()) != ed25519.PublicKeySize || next.keys[m.GetDa()] != nil {
			return nil, fmt.Errorf("%w: member %s: want an id that stands once, and a key of 32 bytes", errTurn, brief.Quote(m.GetDa()))
		}
		next.keys[m.GetDa()] = m.GetPublicKey()
	}
	if hash := next.Hash(); !bytes.Equal(hash[:], h.GetNextMembers()) {
		return nil, fmt.Errorf("%w: the members are not those of the header of block %d", errTurn, h.GetHeight())
	}
	return next, nil
}

// Prove makes the proof that the holder of a key agrees to be the data aggregator, or
// the centre, of an id.
func Prove(key crypto.Signer, chain [32]byte, id string) ([]byte, error) {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("prove a key: not an ed25519 key")
	}
	return key.Sign(nil, seal.Preimage(seal.DomainAdmission, chain, id, []byte(seal.FormatKey(pub))), crypto.Hash(0))
}

// Proven checks such a proof.
func Proven(key seal.PublicKey, chain [32]byte, id string, proof []byte) bool {
	pub, err := seal.ParseKey(string(key))
	return err == nil && seal.Verify(pub, seal.DomainAdmission, chain, id, []byte(key), proof)
}

// turnsField keeps turns apart from a sealed receipt, which begins with another field:
// both come on one topic.
const turnsField protowire.Number = 15

// AppendTurns encodes turns as a data aggregator hands them to an agent.
func AppendTurns(b []byte, turns []*fairwattpb.Turn) ([]byte, error) {
	for _, t := range turns {
		one, err := proto.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("encode change of members: %w", err)
		}
		b = protowire.AppendTag(b, turnsField, protowire.BytesType)
		b = protowire.AppendBytes(b, one)
	}
	return b, nil
}

// AreTurns tells whether a message begins as turns do.
func AreTurns(b []byte) bool {
	number, kind, n := protowire.ConsumeTag(b)
	return n > 0 && number == turnsField && kind == protowire.BytesType
}

// FollowAll follows encoded turns, from the genesis on, as far as they are news. It
// returns s itself where there are none.
func (s *Set) FollowAll(b []byte) (*Set, error) {
	now := s
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || number != turnsField || kind != protowire.BytesType {
			return s, fmt.Errorf("%w: malformed", errTurn)
		}
		one, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return s, fmt.Errorf("%w: cut off", errTurn)
		}
		b = b[n+m:]
		t, h := &fairwattpb.Turn{}, &fairwattpb.BlockHeader{}
		err := proto.Unmarshal(one, t)
		if err == nil {
			err = proto.Unmarshal(t.GetHeader(), h)
		}
		if err != nil {
			return s, fmt.Errorf("%w: %w", errTurn, err)
		}
		if h.GetHeight() <= now.height {
			continue // known
		}
		next, err := now.Follow(t)
		if err != nil {
			return s, err
		}
		now = next
	}
	return now, nil
}
