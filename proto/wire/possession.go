package wire

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fairwatt/proto/seal"
)

// Enrolment returns what a member's first key states of its registration: the roles,
// and both hashes of 32 bytes, each empty where there is none. A centre can register
// the key for nothing else.
func Enrolment(seller, buyer bool, recoveryHash, payeeHash []byte) []byte {
	roles := byte(0)
	if seller {
		roles |= 1
	}
	if buyer {
		roles |= 2
	}
	out := append([]byte{roles, byte(len(recoveryHash))}, recoveryHash...)
	out = append(out, byte(len(payeeHash)))
	return append(out, payeeHash...)
}

// Succession returns what a member's next key states: it takes the place of the old
// one, in text form. It begins with a letter, which no Enrolment does.
func Succession(old string) []byte { return []byte("in place of " + old) }

// Possess signs a statement with a key, for an id on a chain: its holder agrees that the
// key is that member's ([Enrolment], [Succession]). It fails for a key that is no
// ed25519 key.
func Possess(key crypto.Signer, chain [32]byte, id string, statement []byte) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return nil, errors.New("prove possession: not an ed25519 key")
	}
	return key.Sign(nil, seal.Preimage(seal.DomainPossession, chain, id, statement), crypto.Hash(0))
}

// Possesses checks what Possess made. The key is in text form.
func Possesses(key string, chain [32]byte, id string, statement, possession []byte) bool {
	pub, err := seal.ParseKey(key)
	return err == nil && seal.Verify(pub, seal.DomainPossession, chain, id, statement, possession)
}

// RecoveryHash returns what is registered of a recovery key.
func RecoveryHash(key ed25519.PublicKey) []byte {
	h := sha256.Sum256(key)
	return h[:]
}

// RecoveryEntropyBytes is how much chance a recovery word holds: nobody guesses it.
const RecoveryEntropyBytes = 17

// recoveryLetters are those that nobody misreads: no i, l, o and u (Crockford).
var recoveryLetters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// recoverySumBytes is how much of a word finds a slip of the pen.
const recoverySumBytes = 3

// RecoveryWord writes a recovery key for paper: eight groups of four letters, of which
// the last letters find a slip of the pen. entropy must be random.
func RecoveryWord(entropy [RecoveryEntropyBytes]byte) string {
	sum := sha256.Sum256(entropy[:])
	letters := recoveryLetters.EncodeToString(append(entropy[:], sum[:recoverySumBytes]...))
	var groups []string
	for g := range slices.Chunk([]byte(letters), 4) {
		groups = append(groups, string(g))
	}
	return strings.Join(groups, "-")
}

// ErrRecoveryWord is the reason for a word that is none, or was misread.
var ErrRecoveryWord = errors.New("recovery word: 32 letters and digits in eight groups, as agent enroll has printed them")

// RecoveryKey makes the key of a recovery word. Case, dashes and spaces do not matter,
// and what is easily misread is read as it was meant.
func RecoveryKey(word string) (ed25519.PrivateKey, error) {
	letters := strings.Map(recoveryLetter, word)
	switch want := recoveryLetters.EncodedLen(RecoveryEntropyBytes + recoverySumBytes); {
	case len(letters) < want:
		return nil, fmt.Errorf("%w: some are missing", ErrRecoveryWord)
	case len(letters) > want:
		return nil, fmt.Errorf("%w: these are too many", ErrRecoveryWord)
	}
	b, err := recoveryLetters.DecodeString(letters)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecoveryWord, err)
	}
	sum := sha256.Sum256(b[:RecoveryEntropyBytes])
	if string(b[RecoveryEntropyBytes:]) != string(sum[:recoverySumBytes]) {
		return nil, fmt.Errorf("%w: one is wrong", ErrRecoveryWord)
	}
	seed := sha256.Sum256(append([]byte("fairwatt-recovery-1"), b[:RecoveryEntropyBytes]...))
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

// recoveryLetter is a letter as it was meant; -1 for what only parts them.
func recoveryLetter(c rune) rune {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch c {
	case '-', ' ', '\n', '\t', '\r':
		return -1
	case 'o':
		return '0'
	case 'i', 'l':
		return '1'
	}
	return c
}
