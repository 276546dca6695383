package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
)

// encodeMembers is for each member by id: the id's length in a byte, the id, the key.
func encodeMembers(m *members.Set) []byte {
	var b []byte
	for _, da := range m.List() {
		b = append(b, byte(len(da.GetDa())))
		b = append(b, da.GetDa()...)
		b = append(b, da.GetPublicKey()...)
	}
	return b
}

func decodeMembers(b []byte) (map[string]ed25519.PublicKey, error) {
	keys := make(map[string]ed25519.PublicKey)
	for len(b) > 0 {
		n := 1 + int(b[0])
		if len(b) < n+ed25519.PublicKeySize {
			return nil, errCutOff
		}
		keys[string(b[1:n])] = ed25519.PublicKey(b[n : n+ed25519.PublicKeySize])
		b = b[n+ed25519.PublicKeySize:]
	}
	return keys, nil
}

// Turns returns the members that began to vote behind some block, in the order of the
// chain; the genesis' are not among them. Their epochs stand in the blocks.
func (s *State) Turns() ([]*members.Set, error) {
	s.mu.RLock()
	found := make([]*item, 0, len(s.tree.kinds[keyTurn]))
	for _, it := range s.tree.kinds[keyTurn] {
		found = append(found, it)
	}
	s.mu.RUnlock()
	slices.SortFunc(found, func(a, b *item) int { return strings.Compare(a.key, b.key) })
	var out []*members.Set
	for _, it := range found {
		keys, err := decodeMembers(it.value)
		if err == nil && len(it.key) != len(keyTurn)+8 {
			err = errCutOff
		}
		if err != nil {
			return nil, fmt.Errorf("state entry %q: %w", it.key, err)
		}
		out = append(out, members.At(s.chain, keys, binary.BigEndian.Uint64([]byte(it.key[len(keyTurn):])), 0))
	}
	return out, nil
}

// TurnOf is what makes a follower of the members know those that vote behind a block.
func TurnOf(cb *fairwattpb.CertifiedBlock, to *members.Set) (*fairwattpb.Turn, error) {
	header, _, err := splitBlock(cb.GetBlock())
	if err != nil {
		return nil, err
	}
	return &fairwattpb.Turn{Header: header, Certificate: cb.GetCertificate(), Members: to.List()}, nil
}

// TurnsBelow returns what leads a follower from the genesis to the members of the block
// of a height. block reads a stored block.
func (s *State) TurnsBelow(height uint64, block func(height uint64) (*fairwattpb.CertifiedBlock, error)) ([]*fairwattpb.Turn, error) {
	sets, err := s.Turns()
	if err != nil {
		return nil, err
	}
	var out []*fairwattpb.Turn
	for _, to := range sets {
		if to.Height() >= height {
			break
		}
		cb, err := block(to.Height())
		if err != nil {
			return nil, fmt.Errorf("read block %d: %w", to.Height(), err)
		}
		t, err := TurnOf(cb, to)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", to.Height(), err)
		}
		out = append(out, t)
	}
	return out, nil
}

// A lightLine is a line of a light export: a turn or, without members, the newest block.
type lightLine struct {
	Height      uint64        `json:"height"`
	Header      string        `json:"header"`
	Certificate string        `json:"certificate"`
	Members     []lightMember `json:"members,omitempty"`
}

type lightMember struct {
	ID        string         `json:"id"`
	PublicKey seal.PublicKey `json:"public_key"`
}

// EncodeLightLine returns the line, without its newline, of a turn; of one without
// members the line that a light export ends with.
func EncodeLightLine(t *fairwattpb.Turn) ([]byte, error) {
	h := &fairwattpb.BlockHeader{}
	if err := unmarshal(t.GetHeader(), h); err != nil {
		return nil, err
	}
	l := lightLine{
		Height: h.GetHeight(), Header: base64.StdEncoding.EncodeToString(t.GetHeader()), Certificate: base64.StdEncoding.EncodeToString(t.GetCertificate()),
	}
	for _, m := range t.GetMembers() {
		l.Members = append(l.Members, lightMember{m.GetDa(), seal.FormatKey(m.GetPublicKey())})
	}
	return json.Marshal(l)
}

// DecodeLightLine is the inverse of [EncodeLightLine]. Nothing of it is proven yet.
func DecodeLightLine(line []byte) (*fairwattpb.Turn, error) {
	var l lightLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, fmt.Errorf("not a JSON object of a light export: %w", err)
	}
	t := &fairwattpb.Turn{}
	var err error
	if t.Header, err = base64.StdEncoding.Strict().DecodeString(l.Header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if t.Certificate, err = base64.StdEncoding.Strict().DecodeString(l.Certificate); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	for _, m := range l.Members {
		key, err := seal.ParseKey(string(m.PublicKey))
		if err != nil {
			return nil, fmt.Errorf("members: %w", err)
		}
		t.Members = append(t.Members, &fairwattpb.MemberKey{Da: m.ID, PublicKey: key})
	}
	return t, nil
}
