package seal

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/rand/v2"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// An Opened is what [OpenBatch] found out about one sealed message: either Err
// is set, or the others are. Payload aliases the sealed bytes.
type Opened struct {
	Signer  string
	Payload []byte
	Err     error
}

// OpenBatch is [Open] for many messages of one domain and chain at once, in
// about half the time. Element i answers sealed[i], with the very result Open
// would give; one bad message does not spoil the others.
func OpenBatch(sealed [][]byte, d Domain, chain [32]byte, keys Keys) []Opened {
	out := make([]Opened, len(sealed))
	b := NewBatch(len(sealed))
	at := make([]int, 0, len(sealed)) // position in out of each entry of b
	for i, s := range sealed {
		e, err := decode(s)
		if err != nil {
			out[i].Err = err
			continue
		}
		key, ok := keys(e.signer)
		if !ok {
			out[i].Err = &UnknownSignerError{Signer: e.signer}
			continue
		}
		out[i] = Opened{Signer: e.signer, Payload: e.payload}
		b.Add(key, d, chain, e.signer, e.payload, e.signature)
		at = append(at, i)
	}
	for n, good := range b.Verify() {
		if !good {
			i := at[n]
			out[i] = Opened{Err: &InvalidSignatureError{Signer: out[i].Signer, Domain: d}}
		}
	}
	return out
}

// A Batch collects signatures and checks them together, with the results of
// [Verify]. Make one with [NewBatch]; it is not safe for concurrent use.
type Batch struct {
	verifier   *voi.BatchVerifier
	transcript hash.Hash
	results    []result
	memory     Memory
	open       int // signatures in the verifier
}

// result is what is known of one signature before the curve's equation.
type result struct {
	refused, known bool
	mark           [32]byte // with a memory only
}

// A Memory is a set of signatures that hold, by their [Mark]. It may forget, and must be
// safe for whoever shares it.
type Memory interface {
	Has(mark [32]byte) bool
	Put(mark [32]byte)
}

// Mark names a signature: a digest of the key, of all that the signature speaks of, and
// of itself. The lengths go in front: no two of them are written alike.
func Mark(key ed25519.PublicKey, d Domain, chain [32]byte, signer string, payload, signature []byte) (mark [32]byte) {
	h := sha256.New()
	for _, part := range [][]byte{key, Preimage(d, chain, signer, payload), signature} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash never fails
		h.Write(part)
	}
	h.Sum(mark[:0])
	return mark
}

// NewBatch returns an empty batch with room for n signatures.
func NewBatch(n int) *Batch {
	return &Batch{
		verifier:   voi.NewBatchVerifierWithCapacity(n),
		transcript: sha256.New(),
		results:    make([]result, 0, n),
	}
}

// Remember lets the batch take the word of a memory for signatures that were checked
// before, and tell it of those that hold. It is called before Add.
func (b *Batch) Remember(m Memory) { b.memory = m }

// Add puts one signature into the batch; the arguments are those of [Verify].
func (b *Batch) Add(key ed25519.PublicKey, d Domain, chain [32]byte, signer string, payload, signature []byte) {
	if len(d) > 255 || len(signer) > 255 || len(signature) != ed25519.SignatureSize || len(key) != ed25519.PublicKeySize {
		b.results = append(b.results, result{refused: true})
		return
	}
	var r result
	if b.memory != nil {
		r.mark = Mark(key, d, chain, signer, payload, signature)
		r.known = b.memory.Has(r.mark)
	}
	b.results = append(b.results, r)
	if r.known {
		return
	}
	preimage := Preimage(d, chain, signer, payload)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(preimage)))
	for _, part := range [][]byte{key, signature, length[:], preimage} {
		b.transcript.Write(part) // a hash never fails
	}
	b.verifier.AddWithOptions(voi.PublicKey(key), preimage, signature, zip215)
	b.open++
}

// Verify returns one result for each signature, in the order of Add.
func (b *Batch) Verify() []bool {
	out := make([]bool, len(b.results))
	var results []bool
	if b.open > 0 {
		_, results = b.verifier.Verify(rand.NewChaCha8(b.seed()))
	}
	next := 0
	for i, r := range b.results {
		switch {
		case r.refused:
			continue
		case r.known:
			out[i] = true
			continue
		}
		out[i] = results[next]
		next++
		if out[i] && b.memory != nil {
			b.memory.Put(r.mark)
		}
	}
	return out
}

// seed is what the random coefficients of the batch equation come from. ChaCha8
// is a cryptographic stream; seeded with everything that the coefficients weigh,
// it stands in for randomness: no one can choose a signature after them.
func (b *Batch) seed() (seed [32]byte) {
	b.transcript.Sum(seed[:0])
	return seed
}
