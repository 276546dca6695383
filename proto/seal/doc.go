// Package seal signs bytes, opens what is signed, and refuses replays.
//
// A sealed message is a signer's name, a payload and an ed25519 signature over
// both, bound to a [Domain] (what kind of statement this is) and to one chain
// (the SHA-256 of its canonical genesis). It is made once by [Seal]; from then
// on its bytes travel unchanged through outbox, broker, pool, block and store,
// and their SHA-256 ([ID]) is the record's id everywhere.
//
// # What is signed
//
// The signature covers [Preimage]:
//
//	"fairwatt-seal-1" ‖ len(domain) ‖ domain ‖ chain id ‖ len(signer) ‖ signer ‖ payload
//
// with one byte for each length and 32 bytes for the chain id. Every part
// before the payload has a length that is fixed or written down, so no two
// different statements share a preimage: a gate attestation cannot be passed
// off as a record, nor a record of one chain replayed on another.
//
// # The envelope
//
// On the wire a sealed message is the protobuf message fairwatt.v1.Sealed in
// its one canonical form: fields 1, 2 and 3 in this order, each once, shortest
// lengths, nothing else. [Peek] and [Open] refuse any other encoding, because
// a second encoding of the same signed payload would be a second record id and
// so a second entry in every duplicate filter.
//
// # The caller's duties
//
//   - Open before parsing: [Open] verifies the signature before it hands out
//     the payload. [Peek] does not verify and exists for routing and pools
//     only; never act on what it returns.
//   - Choose the domain by what the bytes are used for, never by what they say.
//   - Keep one [Window] per signer, under whatever lock guards that signer;
//     the package itself has no state.
//   - A key is held as a [crypto.Signer], so it may live in a secure element;
//     today only ed25519 keys are accepted, and the algorithm is named in the
//     text form of the public key so that another can be added.
//
// # One result for one signature
//
// Every data aggregator must come to the same result on the same bytes, whether
// it checked a signature alone or in a batch of hundreds. The standard
// library's check and usual batch checks differ on crafted keys (cofactor,
// non-canonical points). Here both follow ZIP-215, whose batch and single
// results are identical. The coefficients of a batch are drawn from a stream
// seeded with the hash of everything in the batch, so the package needs no
// source of randomness and a forger cannot know them before choosing all the
// signatures. ZIP-215 tolerates keys of small order, under which one signature
// fits many messages; [ParseKey] and the opening functions refuse such keys.
//
// # Sources
//
// The shape (names in keys, verify before parse, a known key's bad signature
// distinct from an unknown key) follows golang.org/x/mod/sumdb/note; the
// replay window follows RFC 6479 and wireguard-go's replay package. RFC 8032
// (ed25519); ZIP-215 (validation rules).
package seal
