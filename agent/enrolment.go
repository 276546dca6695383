package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// EnrolmentFile is the name of the form for the centre in an agent's directory.
const EnrolmentFile = "enrolment.json"

// EnrollFor is [Enroll] for a chain: it also writes the form by which a centre registers
// the device's id and roles, with the hash of the bank account that it is paid out to (empty:
// any), and returns a recovery word for paper if one is wanted. The
// word stands nowhere else. A key that exists is taken; a form that exists is not written
// again, for the word of the one before would be lost with it.
func EnrollFor(dir string, chain *Chain, id string, roles []string, account string, recovery bool) (public ed25519.PublicKey, word string, err error) {
	if !seal.ValidName(id) {
		return nil, "", fmt.Errorf("device %q: use 1 to %d of a-z, 0-9 and -", id, seal.MaxNameBytes)
	}
	path := filepath.Join(dir, EnrolmentFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, "", errors.Join(err, fmt.Errorf("%s exists: hand it to the centre, or remove it if it was never used", path))
	}
	keyFile := filepath.Join(dir, KeyFile)
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		if _, err := Enroll(dir); err != nil {
			return nil, "", err
		}
	}
	key, err := LoadKey(keyFile)
	if err != nil {
		return nil, "", err
	}
	public = key.Public().(ed25519.PublicKey)
	word, err = writeForm(path, key, chain, &wire.EnrolmentForm{ID: id, Roles: roles}, account, recovery)
	return public, word, err
}

// RecoveryFile is the name of the form for another recovery word in an agent's directory.
const RecoveryFile = "recovery.json"

// NewRecovery draws another recovery word for a member, and writes the form by which a
// centre has it count, signed with the key in the directory. Until the centre has done so
// the word of before is the good one. The word stands nowhere else; a form of before is
// written over, and its word is good for nothing.
func NewRecovery(dir string, chain *Chain, id string, roles []string) (word string, err error) {
	if KeyChanging(dir) {
		return "", errors.New("a change of the key is under way: let it end first, since the form is signed with the key that the chain knows")
	}
	key, err := LoadKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return "", err
	}
	return writeForm(filepath.Join(dir, RecoveryFile), key, chain, &wire.EnrolmentForm{ID: id, Roles: roles}, "", true)
}

// writeForm completes a form, signs it with its device's key and writes it.
func writeForm(path string, key ed25519.PrivateKey, chain *Chain, e *wire.EnrolmentForm, account string, recovery bool) (word string, err error) {
	e.PublicKey = seal.FormatKey(key.Public().(ed25519.PublicKey))
	if account != "" {
		hash := sha256.Sum256([]byte(account))
		e.PayeeHash = hash[:]
	}
	if recovery {
		var entropy [wire.RecoveryEntropyBytes]byte
		if _, err := rand.Read(entropy[:]); err != nil {
			return "", fmt.Errorf("draw a recovery word: %w", err)
		}
		word = wire.RecoveryWord(entropy)
		recoveryKey, err := wire.RecoveryKey(word)
		if err != nil {
			return "", err
		}
		e.RecoveryHash = wire.RecoveryHash(recoveryKey.Public().(ed25519.PublicKey))
	}
	if e.Possession, err = wire.Possess(key, chain.ID, e.ID, e.Statement()); err != nil {
		return "", err
	}
	form, err := e.Marshal(chain.ID)
	if err != nil {
		return "", err
	}
	if _, err := wire.ParseEnrolment(form, chain.ID); err != nil {
		return "", err // roles that there are not
	}
	if err := os.WriteFile(path, form, 0o644); err != nil {
		return "", fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return word, nil
}
