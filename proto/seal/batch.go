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
	refused    []bool // by a check of ours, before the curve's equation
}

// NewBatch returns an empty batch with room for n signatures.
func NewBatch(n int) *Batch {
	return &Batch{
		verifier:   voi.NewBatchVerifierWithCapacity(n),
		transcript: sha256.New(),
		refused:    make([]bool, 0, n),
	}
}

// Add puts one signature into the batch; the arguments are those of [Verify].
func (b *Batch) Add(key ed25519.PublicKey, d Domain, chain [32]byte, signer string, payload, signature []byte) {
	if len(d) > 255 || len(signer) > 255 || len(signature) != ed25519.SignatureSize || len(key) != ed25519.PublicKeySize {
		b.refused = append(b.refused, true)
		return
	}
	b.refused = append(b.refused, false)
	preimage := Preimage(d, chain, signer, payload)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(preimage)))
	for _, part := range [][]byte{key, signature, length[:], preimage} {
		b.transcript.Write(part) // a hash never fails
	}
	b.verifier.AddWithOptions(voi.PublicKey(key), preimage, signature, zip215)
}

// Verify returns one result for each signature, in the order of Add.
func (b *Batch) Verify() []bool {
	out := make([]bool, len(b.refused))
	if len(out) == 0 {
		return out
	}
	_, results := b.verifier.Verify(rand.NewChaCha8(b.seed()))
	next := 0
	for i, refused := range b.refused {
		if !refused {
			out[i] = results[next]
			next++
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
