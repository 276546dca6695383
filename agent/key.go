package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeyFile is the name of the signing key in an agent's directory.
const KeyFile = "agent.key"

// keyBlock is the PEM type of the key file; its body is the 32-byte seed.
const keyBlock = "FAIRWATT ED25519 SEED"

// Enroll makes the directory and a fresh signing key in it, readable by the
// owner only. It never overwrites one: with the key would go the device's
// place on the chain.
func Enroll(dir string) (ed25519.PublicKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make key directory: %w", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	path := filepath.Join(dir, KeyFile)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists: this device is enrolled already; remove the file only if its key is to be given up", path)
	}
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: keyBlock, Bytes: private.Seed()})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return public, nil
}

// LoadKey reads a signing key that Enroll wrote. A file others may read is
// refused.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	block, err := readKey(path, keyBlock)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(block.Bytes), nil
}

// readKey reads the one seed of a file, of a type of PEM block.
func readKey(path, kind string) (*pem.Block, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key %s: mode %04o lets others read it; chmod 600 it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind || len(block.Bytes) != ed25519.SeedSize {
		return nil, fmt.Errorf("key %s: not a PEM block %q of %d bytes", path, kind, ed25519.SeedSize)
	}
	return block, nil
}
