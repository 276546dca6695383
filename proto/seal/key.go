package seal

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/oasisprotocol/curve25519-voi/curve"
)

// A PublicKey is the text form of a public key, the algorithm first:
// "ed25519:" and the padded standard base64 of its 32 bytes.
type PublicKey string

const ed25519Prefix = "ed25519:"

// MaxNameBytes is the length limit of a signer's name.
const MaxNameBytes = 64

var (
	errKeyAlgorithm  = errors.New("seal: public key does not start with \"ed25519:\"")
	errKeyEncoding   = errors.New("seal: public key is not the canonical base64 of 32 bytes")
	errKeyPoint      = errors.New("seal: public key is not a point of the curve")
	errKeySmallOrder = errors.New("seal: public key is a point of small order, under which one signature fits many messages")
)

// FormatKey returns the text form of key. It panics when key does not have 32
// bytes, which no key of the standard library has.
func FormatKey(key ed25519.PublicKey) PublicKey {
	if len(key) != ed25519.PublicKeySize {
		panic(fmt.Sprintf("seal: ed25519 public key of %d bytes", len(key)))
	}
	return PublicKey(ed25519Prefix + base64.StdEncoding.EncodeToString(key))
}

// ParseKey is the inverse of [FormatKey]. It refuses another algorithm, any
// encoding FormatKey would not write, bytes that are no curve point, and keys
// of small order.
func ParseKey(text string) (ed25519.PublicKey, error) {
	encoded, ok := strings.CutPrefix(text, ed25519Prefix)
	if !ok {
		return nil, errKeyAlgorithm
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(key) != ed25519.PublicKeySize || base64.StdEncoding.EncodeToString(key) != encoded {
		return nil, errKeyEncoding
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return key, nil
}

// checkKey refuses what ZIP-215 would tolerate but an honest signer never has.
func checkKey(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return errKeyEncoding
	}
	var compressed curve.CompressedEdwardsY
	copy(compressed[:], key)
	var point curve.EdwardsPoint
	if _, err := point.SetCompressedY(&compressed); err != nil {
		return errKeyPoint
	}
	if point.IsSmallOrder() {
		return errKeySmallOrder
	}
	return nil
}

// ValidName reports whether name may be a signer's: 1 to [MaxNameBytes] bytes
// of a-z, 0-9 and '-'.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > MaxNameBytes {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
