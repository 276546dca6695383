package guard

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"testing"

	"fairwatt/proto/seal"
)

// memory counts what is asked of it.
type memory struct {
	keys map[[32]byte]bool
	hits int
}

func (m *memory) Has(key [32]byte) bool {
	if m.keys[key] {
		m.hits++
	}
	return m.keys[key]
}

func (m *memory) Put(key [32]byte) { m.keys[key] = true }

// A signature that held is not checked again; nothing else holds for that: another
// byte anywhere, another member, another purpose, another chain, and what did not hold.
func TestHeldSignatures(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	m := &memory{keys: make(map[[32]byte]bool)}
	g := Guard{Order: []string{"da-1", "da-2", "da-3", "da-4"}, Held: m, Keys: map[string]ed25519.PublicKey{
		"da-1": private.Public().(ed25519.PublicKey), "da-2": other.Public().(ed25519.PublicKey),
	}}
	header, metadata, aux := []byte("header"), []byte("metadata"), []byte("aux")
	signature, err := private.Sign(nil, seal.Preimage(seal.DomainVote, g.ChainID, "da-1", VotePayload(header, metadata, aux)), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	for k := range 3 {
		if err := g.VerifyVote(1, header, metadata, aux, signature); err != nil || m.hits != k {
			t.Fatalf("%v, %d hits in round %d", err, m.hits, k)
		}
	}
	m.hits = 0
	foreign := g
	foreign.ChainID[0] = 1
	swapped := g
	swapped.Keys = map[string]ed25519.PublicKey{"da-1": g.Keys["da-2"]}
	for what, err := range map[string]error{
		"another header":    g.VerifyVote(1, []byte("heades"), metadata, aux, signature),
		"moved bytes":       g.VerifyVote(1, header, []byte("metadataa"), []byte("ux"), signature),
		"another aux":       g.VerifyVote(1, header, metadata, nil, signature),
		"another signature": g.VerifyVote(1, header, metadata, aux, append(bytes.Clone(signature[:63]), signature[63]^1)),
		"another member":    g.VerifyVote(2, header, metadata, aux, signature),
		"another purpose":   g.VerifyViewData(1, VotePayload(header, metadata, aux), signature),
		"another chain":     foreign.VerifyVote(1, header, metadata, aux, signature),
		"another key":       swapped.VerifyVote(1, header, metadata, aux, signature),
	} {
		if err == nil || m.hits != 0 {
			t.Errorf("%s: %v, %d hits", what, err, m.hits)
		}
	}
	if len(m.keys) != 1 {
		t.Errorf("%d signatures are remembered, one holds", len(m.keys))
	}
	// One that does not hold shows that nobody looks at what is remembered.
	spoilt := append(bytes.Clone(signature[:63]), signature[63]^1)
	m.Put(seal.Mark(g.Keys["da-1"], seal.DomainVote, g.ChainID, "da-1", VotePayload(header, metadata, aux), spoilt))
	if err := g.VerifyVote(1, header, metadata, aux, spoilt); err != nil {
		t.Errorf("a signature that is remembered is checked again: %v", err)
	}
}

// The bytes of what is signed and of the signature are told apart: a signature that has
// taken a byte over from what it stands under is another one.
func TestHeldSignaturesKeepTheirBounds(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	g := Guard{Order: []string{"da-1"}, Held: &memory{keys: make(map[[32]byte]bool)}, Keys: map[string]ed25519.PublicKey{
		"da-1": private.Public().(ed25519.PublicKey),
	}}
	said := []byte("what it says")
	signature, err := private.Sign(nil, seal.Preimage(DomainViewData, g.ChainID, "da-1", ViewDataPayload(g.Epoch, said)), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.VerifyViewData(1, said, signature); err != nil {
		t.Fatal(err)
	}
	for n := range len(said) + 1 {
		moved := append(bytes.Clone(said[n:]), signature...)
		if err := g.VerifyViewData(1, said[:n], moved); (err == nil) != (n == len(said)) {
			t.Errorf("with %d bytes moved into the signature: %v", len(said)-n, err)
		}
	}
	key := g.Keys["da-1"]
	mark := func(payload, signature string) [32]byte {
		return seal.Mark(key, DomainViewData, g.ChainID, "da-1", []byte(payload), []byte(signature))
	}
	if mark("ab", "c") == mark("a", "bc") {
		t.Error("two signatures have one name")
	}
}
