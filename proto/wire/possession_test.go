package wire_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// TestRecoveryWord: what is written on paper makes the same key again, however it is
// typed, and one wrong letter makes none.
func TestRecoveryWord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var entropy [wire.RecoveryEntropyBytes]byte
		copy(entropy[:], rapid.SliceOfN(rapid.Byte(), len(entropy), len(entropy)).Draw(rt, "entropy"))
		word := wire.RecoveryWord(entropy)
		if len(word) != 39 || strings.Count(word, "-") != 7 {
			rt.Fatalf("the word is %q", word)
		}
		key, err := wire.RecoveryKey(word)
		if err != nil {
			rt.Fatal(err)
		}
		typed := strings.NewReplacer("-", " ", "0", "O", "1", "l").Replace(strings.ToUpper(word)) + "\n"
		if again, err := wire.RecoveryKey(typed); err != nil || !again.Equal(key) {
			rt.Fatalf("%q: %v", typed, err)
		}
		i := rapid.IntRange(0, len(word)-1).Draw(rt, "place")
		other := rapid.SampledFrom([]byte("0123456789abcdefghjkmnpqrstvwxyz")).Draw(rt, "letter")
		if word[i] == '-' || word[i] == other {
			return
		}
		wrong := word[:i] + string(other) + word[i+1:]
		if k, err := wire.RecoveryKey(wrong); !errors.Is(err, wire.ErrRecoveryWord) && (err != nil || k.Equal(key)) {
			rt.Fatalf("%q for %q: %v", wrong, word, err)
		}
	})
	for _, bad := range []string{"", "u", "abcd", "é", "{", "@", strings.Repeat("0", 33)} {
		if _, err := wire.RecoveryKey(bad); !errors.Is(err, wire.ErrRecoveryWord) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestPossession: a statement is good for its key, chain, id and content alone.
func TestPossession(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := string(seal.FormatKey(key.Public().(ed25519.PublicKey)))
	statement := wire.Enrolment(true, false, nil, nil)
	b, err := wire.Possess(key, [32]byte{1}, "pv-1", statement)
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{
		"as it is":      wire.Possesses(public, [32]byte{1}, "pv-1", statement, b),
		"another chain": !wire.Possesses(public, [32]byte{2}, "pv-1", statement, b),
		"another id":    !wire.Possesses(public, [32]byte{1}, "pv-2", statement, b),
		"another role":  !wire.Possesses(public, [32]byte{1}, "pv-1", wire.Enrolment(true, true, nil, nil), b),
		"another hash":  !wire.Possesses(public, [32]byte{1}, "pv-1", wire.Enrolment(true, false, make([]byte, 32), nil), b),
		"a succession":  !wire.Possesses(public, [32]byte{1}, "pv-1", wire.Succession(public), b),
		"no key":        !wire.Possesses("ed25519:", [32]byte{1}, "pv-1", statement, b),
	} {
		if !good {
			t.Errorf("%s: wrong", name)
		}
	}
	if string(wire.Enrolment(false, false, make([]byte, 32), nil)) == string(wire.Enrolment(false, false, nil, make([]byte, 32))) {
		t.Error("one statement for two meanings")
	}
}
