package seal

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"google.golang.org/protobuf/encoding/protowire"
)

// A Domain names the kind of statement a signature is for. It is part of what
// is signed, so a signature given for one kind is void for every other.
type Domain string

// The domains of fairwatt.
const (
	// DomainRecord is for records on their way to the chain (fairwatt.v1.Record).
	DomainRecord Domain = "record"
	// DomainAttestation is for an agent's word on its gate (fairwatt.v1.GateAttestation).
	DomainAttestation Domain = "attestation"
	// DomainReceipt is for a data aggregator's answer (fairwatt.v1.Receipt).
	DomainReceipt Domain = "receipt"
	// DomainVote is for a data aggregator's vote on a block.
	DomainVote Domain = "block-vote"
	// DomainRelay is for a block on its way down the communication tree.
	DomainRelay Domain = "relay"
	// DomainCommand is for an owner's command to one device. It is of no chain: the
	// chain id is zero, and the payload names the device.
	DomainCommand Domain = "command"
	// DomainList is for a data aggregator's word on who may not trade.
	DomainList Domain = "list"
	// DomainNowcast is for what an agent tells its neighbours of the weather.
	DomainNowcast Domain = "nowcast"
	// DomainNeighbours is for the nowcasts that a data aggregator hands to one agent,
	// with its word on whose keys are whose.
	DomainNeighbours Domain = "neighbours"
	// DomainAdmission is for the word of a key's holder that a data aggregator or centre
	// is to have the key.
	DomainAdmission Domain = "admission"
	// DomainPossession is for the word of a key's holder that a member is to have the key.
	DomainPossession Domain = "possession"
)

const preimagePrefix = "fairwatt-seal-1"

// MaxPayloadBytes is the length limit of a sealed payload. What is carried may
// have its own, smaller limit; this one bounds what a parser looks at.
const MaxPayloadBytes = 16 << 20

// ErrMalformed is returned (wrapped, with what is wrong) by [Open], [OpenBatch]
// and [Peek] for bytes that are not the canonical encoding of a sealed message.
var ErrMalformed = errors.New("seal: malformed")

var (
	errName    = errors.New("seal: signer's name must be 1 to 64 of a-z, 0-9 and '-'")
	errPayload = fmt.Errorf("seal: payload must have 1 to %d bytes", MaxPayloadBytes)
	errSigner  = errors.New("seal: key is not an ed25519 key")
)

// An UnknownSignerError is returned by [Open] and [OpenBatch] when Keys knows
// no key for the signer.
type UnknownSignerError struct{ Signer string }

func (e *UnknownSignerError) Error() string {
	return fmt.Sprintf("seal: unknown signer %q", e.Signer)
}

// An InvalidSignatureError is returned by [Open] and [OpenBatch] when the
// signer is known but its key did not make this signature over this payload,
// domain and chain.
type InvalidSignatureError struct {
	Signer string
	Domain Domain
}

func (e *InvalidSignatureError) Error() string {
	return fmt.Sprintf("seal: invalid signature of %q in domain %q", e.Signer, e.Domain)
}

// Keys returns the public key of a signer, and false when there is none.
type Keys func(signer string) (ed25519.PublicKey, bool)

// Preimage returns the bytes a signature covers; see the package comment for
// their layout. It panics when the domain or the signer's name is longer than
// 255 bytes: [Seal] and [Open] never pass such a name.
func Preimage(d Domain, chain [32]byte, signer string, payload []byte) []byte {
	if len(d) > 255 || len(signer) > 255 {
		panic("seal: domain or signer longer than 255 bytes")
	}
	out := make([]byte, 0, len(preimagePrefix)+1+len(d)+32+1+len(signer)+len(payload))
	out = append(out, preimagePrefix...)
	out = append(out, byte(len(d)))
	out = append(out, d...)
	out = append(out, chain[:]...)
	out = append(out, byte(len(signer)))
	out = append(out, signer...)
	return append(out, payload...)
}

// Seal signs payload in the name of signer and returns the canonical bytes of
// a fairwatt.v1.Sealed. Keep those bytes: signing or marshalling again makes
// another message with another [ID]. key.Public() must be an ed25519 key.
func Seal(key crypto.Signer, signer string, d Domain, chain [32]byte, payload []byte) ([]byte, error) {
	if !ValidName(signer) {
		return nil, errName
	}
	if len(payload) == 0 || len(payload) > MaxPayloadBytes {
		return nil, errPayload
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return nil, errSigner
	}
	signature, err := key.Sign(nil, Preimage(d, chain, signer, payload), crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("sign as %q: %w", signer, err)
	}
	if len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("sign as %q: signature of %d bytes, want %d", signer, len(signature), ed25519.SignatureSize)
	}
	return encode(signer, payload, signature), nil
}

// Open checks that sealed is canonical, that keys knows its signer and that
// the signature holds for domain d on the chain, and only then returns the
// signer's name and the payload. The payload aliases sealed. Its errors are
// [ErrMalformed], [*UnknownSignerError] and [*InvalidSignatureError].
func Open(sealed []byte, d Domain, chain [32]byte, keys Keys) (signer string, payload []byte, err error) {
	e, err := decode(sealed)
	if err != nil {
		return "", nil, err
	}
	key, ok := keys(e.signer)
	if !ok {
		return "", nil, &UnknownSignerError{Signer: e.signer}
	}
	if !Verify(key, d, chain, e.signer, e.payload, e.signature) {
		return "", nil, &InvalidSignatureError{Signer: e.signer, Domain: d}
	}
	return e.signer, e.payload, nil
}

// Peek returns the signer's name and the payload of sealed WITHOUT verifying
// the signature: anyone may have written them. It is for routing and for
// looking up what was verified before. The payload aliases sealed.
func Peek(sealed []byte) (signer string, payload []byte, err error) {
	e, err := decode(sealed)
	if err != nil {
		return "", nil, err
	}
	return e.signer, e.payload, nil
}

// Verify reports whether signature is key's over [Preimage] of the other
// arguments, by the rules of ZIP-215 and refusing keys of small order. It is
// for signatures that travel outside an envelope, such as votes.
func Verify(key ed25519.PublicKey, d Domain, chain [32]byte, signer string, payload, signature []byte) bool {
	if len(d) > 255 || len(signer) > 255 || len(key) != ed25519.PublicKeySize {
		return false
	}
	return voi.VerifyWithOptions(voi.PublicKey(key), Preimage(d, chain, signer, payload), signature, zip215)
}

// ID returns the SHA-256 of a sealed message: the record id.
func ID(sealed []byte) [32]byte { return sha256.Sum256(sealed) }

// zip215 are the rules of ZIP-215, but for keys of small order.
var zip215 = &voi.Options{Verify: &voi.VerifyOptions{
	AllowSmallOrderA:   false,
	AllowSmallOrderR:   true,
	AllowNonCanonicalA: true,
	AllowNonCanonicalR: true,
}}

type envelope struct {
	signer             string
	payload, signature []byte
}

// encode writes the canonical fairwatt.v1.Sealed. By hand, so that the form is
// fixed here and not by what a protobuf library does in its next version.
func encode(signer string, payload, signature []byte) []byte {
	out := make([]byte, 0, len(signer)+len(payload)+len(signature)+16)
	out = protowire.AppendTag(out, 1, protowire.BytesType)
	out = protowire.AppendString(out, signer)
	out = protowire.AppendTag(out, 2, protowire.BytesType)
	out = protowire.AppendBytes(out, payload)
	out = protowire.AppendTag(out, 3, protowire.BytesType)
	return protowire.AppendBytes(out, signature)
}

func decode(sealed []byte) (envelope, error) {
	signer, rest, err := field(sealed, 1, "signer")
	if err != nil {
		return envelope{}, err
	}
	payload, rest, err := field(rest, 2, "payload")
	if err != nil {
		return envelope{}, err
	}
	signature, rest, err := field(rest, 3, "signature")
	if err != nil {
		return envelope{}, err
	}
	name := string(signer)
	switch {
	case len(rest) != 0:
		return envelope{}, fmt.Errorf("%w: %d bytes behind the signature", ErrMalformed, len(rest))
	case !ValidName(name):
		return envelope{}, fmt.Errorf("%w: signer's name is not 1 to 64 of a-z, 0-9 and '-'", ErrMalformed)
	case len(payload) == 0 || len(payload) > MaxPayloadBytes:
		return envelope{}, fmt.Errorf("%w: payload of %d bytes", ErrMalformed, len(payload))
	case len(signature) != ed25519.SignatureSize:
		return envelope{}, fmt.Errorf("%w: signature of %d bytes, want %d", ErrMalformed, len(signature), ed25519.SignatureSize)
	}
	return envelope{name, payload, signature}, nil
}

// field reads the length-delimited field number from the front of b. The tag
// is one byte; the length must be in its shortest form.
func field(b []byte, number protowire.Number, name string) (value, rest []byte, err error) {
	if len(b) == 0 || b[0] != byte(protowire.EncodeTag(number, protowire.BytesType)) {
		return nil, nil, fmt.Errorf("%w: no %s where it belongs", ErrMalformed, name)
	}
	length, n := protowire.ConsumeVarint(b[1:])
	if n < 0 || n != protowire.SizeVarint(length) {
		return nil, nil, fmt.Errorf("%w: length of %s", ErrMalformed, name)
	}
	b = b[1+n:]
	if length > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: %s is cut off", ErrMalformed, name)
	}
	return b[:length:length], b[length:], nil
}
