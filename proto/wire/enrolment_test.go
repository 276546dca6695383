package wire_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

func form(t testing.TB) []byte {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	e := &wire.EnrolmentForm{ID: "pv-1", Roles: []string{wire.RoleSeller}, PublicKey: seal.FormatKey(key.Public().(ed25519.PublicKey)),
		RecoveryHash: make([]byte, 32)}
	var err error
	if e.Possession, err = wire.Possess(key, [32]byte{1}, e.ID, e.Statement()); err != nil {
		t.Fatal(err)
	}
	b, err := e.Marshal([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEnrolmentForm: a form is read as it was made, and none that was changed, or is for
// another chain.
func TestEnrolmentForm(t *testing.T) {
	b := form(t)
	e, err := wire.ParseEnrolment(b, [32]byte{1})
	if err != nil || e.ID != "pv-1" || len(e.RecoveryHash) != 32 || e.PayeeHash != nil {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := wire.ParseEnrolment(b, [32]byte{2}); err == nil {
		t.Error("read for another chain")
	}
	for old, now := range map[string]string{"pv-1": "pv-2", `"seller"`: `"buyer"`, `"roles": [`: `"roles": ["buyer",`, "-enrolment-1": "-enrolment-2", "AAAA": "BAAA", "{": ""} {
		changed := strings.Replace(string(b), old, now, 1)
		if changed == string(b) {
			t.Fatalf("nothing to change for %q", old)
		}
		if _, err := wire.ParseEnrolment([]byte(changed), [32]byte{1}); err == nil {
			t.Errorf("read with %s for %s", now, old)
		}
	}
}

// FuzzParseEnrolment: what is read proves its key.
func FuzzParseEnrolment(f *testing.F) {
	f.Add(form(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := wire.ParseEnrolment(b, [32]byte{1}); err == nil && !wire.Possesses(string(e.PublicKey), [32]byte{1}, e.ID, e.Statement(), e.Possession) {
			t.Errorf("%+v", e)
		}
	})
}

// FuzzRecoveryKey: any word makes one key or none, and its own word again.
func FuzzRecoveryKey(f *testing.F) {
	f.Add(wire.RecoveryWord([wire.RecoveryEntropyBytes]byte{1, 2, 3}))
	f.Add("o-i-l")
	f.Fuzz(func(t *testing.T, word string) {
		if key, err := wire.RecoveryKey(word); (err == nil) != (len(key) == ed25519.PrivateKeySize) {
			t.Errorf("%q: %v", word, err)
		}
	})
}
