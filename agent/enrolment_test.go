package agent

import (
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/proto/wire"
)

// TestEnrollFor: the form is good for its chain, the word on paper makes the key whose hash
// it holds, a key that exists stays, and a form is not written twice.
func TestEnrollFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	chain := &Chain{ID: sha256.Sum256([]byte("genesis"))}
	public, err := Enroll(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, word, err := EnrollFor(dir, chain, "pv-1", []string{"seller", "buyer"}, "DE02", true)
	if err != nil || !got.Equal(public) {
		t.Fatalf("another key, or %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, EnrolmentFile))
	if err != nil {
		t.Fatal(err)
	}
	form, err := wire.ParseEnrolment(b, chain.ID)
	if err != nil {
		t.Fatal(err)
	}
	if account := sha256.Sum256([]byte("DE02")); string(form.PayeeHash) != string(account[:]) {
		t.Errorf("the form is for another account: %x", form.PayeeHash)
	}
	key, err := wire.RecoveryKey(word)
	if err != nil || string(wire.RecoveryHash(key.Public().(ed25519.PublicKey))) != string(form.RecoveryHash) {
		t.Errorf("the word is for another key: %v", err)
	}
	if strings.Contains(string(b), word) {
		t.Error("the word stands in the form")
	}
	if _, _, err := EnrollFor(dir, chain, "pv-1", []string{"seller"}, "", true); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("a second form: %v", err)
	}
	again, err := NewRecovery(dir, chain, "pv-1", []string{"seller", "buyer"})
	if err != nil || again == word {
		t.Fatalf("another word: %v", err)
	}
	if b, err = os.ReadFile(filepath.Join(dir, RecoveryFile)); err != nil {
		t.Fatal(err)
	}
	key, err = wire.RecoveryKey(again)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := wire.ParseEnrolment(b, chain.ID)
	if err != nil || string(changed.PublicKey) != string(form.PublicKey) || string(wire.RecoveryHash(key.Public().(ed25519.PublicKey))) != string(changed.RecoveryHash) || strings.Contains(string(b), again) {
		t.Errorf("the form for another word: %+v, %v", changed, err)
	}
	if err := os.WriteFile(filepath.Join(dir, NextKeyFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRecovery(dir, chain, "pv-1", []string{"seller"}); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("in the middle of a change of the key: %v", err)
	}
	for _, bad := range []struct {
		id    string
		roles []string
	}{{"PV", []string{"seller"}}, {"pv-1", nil}, {"pv-1", []string{"owner"}}, {"pv-1", []string{"buyer", "seller"}}} {
		empty := t.TempDir()
		if _, _, err := EnrollFor(empty, chain, bad.id, bad.roles, "", false); err == nil {
			t.Errorf("%+v was enrolled", bad)
		}
		if _, err := os.Stat(filepath.Join(empty, EnrolmentFile)); err == nil {
			t.Errorf("%+v has a form", bad)
		}
	}
	if _, word, err := EnrollFor(t.TempDir(), chain, "pv-1", []string{"buyer"}, "", false); err != nil || word != "" {
		t.Errorf("%q, %v", word, err)
	}
}
