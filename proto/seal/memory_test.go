package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"

	"fairwatt/proto/seal"
)

// marks is a memory.
type marks map[[32]byte]bool

func (m marks) Has(mark [32]byte) bool { return m[mark] }
func (m marks) Put(mark [32]byte)      { m[mark] = true }

// A batch takes the word of its memory and looks at no signature that is in there; all
// others keep their own results, whatever stands before them. It remembers those that
// hold and no others.
func TestBatchWithAMemory(t *testing.T) {
	key := testKey("pv-1")
	public := key.Public().(ed25519.PublicKey)
	sign := func(payload string) []byte {
		return ed25519.Sign(key, seal.Preimage("d", boundChain, "pv-1", []byte(payload)))
	}
	spoilt := func(payload string) []byte {
		s := sign(payload)
		s[3] ^= 1
		return s
	}
	type row struct {
		payload   string
		key       ed25519.PublicKey
		signature []byte
		held      bool // before
		want      bool
	}
	mark := func(r row) [32]byte { return seal.Mark(r.key, "d", boundChain, "pv-1", []byte(r.payload), r.signature) }
	rows := []row{
		{"first", public, sign("first"), false, true},
		{"held", public, spoilt("held"), true, true}, // shows that nobody looks at the signature again
		{"spoilt", public, spoilt("spoilt"), false, false},
		{"short signature", public, sign("short signature")[:63], true, false}, // what has no form is refused before
		{"short key", public[:31], sign("short key"), true, false},
		{"held too", public, sign("held too"), true, true},
		{"last", public, sign("last"), false, true},
		{"spoilt at the end", public, spoilt("spoilt at the end"), false, false},
	}
	m, want := marks{}, marks{}
	for _, r := range rows {
		if r.held {
			m.Put(mark(r))
		}
		if r.held || r.want {
			want.Put(mark(r))
		}
	}
	b := seal.NewBatch(len(rows))
	b.Remember(m)
	for _, r := range rows {
		b.Add(r.key, "d", boundChain, "pv-1", []byte(r.payload), r.signature)
	}
	got := b.Verify()
	if len(got) != len(rows) {
		t.Fatalf("%d results of %d signatures", len(got), len(rows))
	}
	for i, r := range rows {
		if got[i] != r.want {
			t.Errorf("%s: %v, want %v", r.payload, got[i], r.want)
		}
		if k := mark(r); m[k] != want[k] {
			t.Errorf("%s: remembered %v, want %v", r.payload, m[k], want[k])
		}
	}
	if len(m) != len(want) {
		t.Errorf("%d are remembered, want %d", len(m), len(want))
	}
}

// A batch in which every signature is known has each of their results.
func TestBatchOfKnownSignatures(t *testing.T) {
	key := testKey("pv-1")
	public := key.Public().(ed25519.PublicKey)
	m := marks{}
	for round := range 2 {
		b := seal.NewBatch(0)
		b.Remember(m)
		for _, payload := range []string{"a", "b"} {
			b.Add(public, "d", boundChain, "pv-1", []byte(payload), ed25519.Sign(key, seal.Preimage("d", boundChain, "pv-1", []byte(payload))))
		}
		if got := b.Verify(); !slices.Equal(got, []bool{true, true}) || len(m) != 2 {
			t.Errorf("round %d: %v, %d are remembered", round, got, len(m))
		}
	}
}

// Each part of what a signature speaks of makes another mark, and so does where one part
// ends: no byte goes over from one to the next.
func TestMark(t *testing.T) {
	a, b := testKey("a").Public().(ed25519.PublicKey), testKey("b").Public().(ed25519.PublicKey)
	other := boundChain
	other[0] ^= 1
	first := seal.Mark(a, "d", boundChain, "s", []byte("payload"), []byte("signature"))
	for name, mark := range map[string][32]byte{
		"another key":              seal.Mark(b, "d", boundChain, "s", []byte("payload"), []byte("signature")),
		"another domain":           seal.Mark(a, "e", boundChain, "s", []byte("payload"), []byte("signature")),
		"another chain":            seal.Mark(a, "d", other, "s", []byte("payload"), []byte("signature")),
		"another signer":           seal.Mark(a, "d", boundChain, "t", []byte("payload"), []byte("signature")),
		"another payload":          seal.Mark(a, "d", boundChain, "s", []byte("payloae"), []byte("signature")),
		"another signature":        seal.Mark(a, "d", boundChain, "s", []byte("payload"), []byte("signaturf")),
		"a byte to the signature":  seal.Mark(a, "d", boundChain, "s", []byte("payloa"), []byte("dsignature")),
		"a byte to the payload":    seal.Mark(a, "d", boundChain, "s", []byte("payloads"), []byte("ignature")),
		"the signature as payload": seal.Mark(a, "d", boundChain, "s", []byte("payloadsignature"), nil),
	} {
		if mark == first {
			t.Errorf("%s has the same mark", name)
		}
	}
	if again := seal.Mark(bytes.Clone(a), "d", boundChain, "s", []byte("payload"), []byte("signature")); again != first {
		t.Error("a signature has two marks")
	}
}
