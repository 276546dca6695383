package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"fairwatt/proto/brief"
	"fairwatt/proto/seal"
)

// An OwnerConfig is a person, or a desk, whose sealed commands this device takes.
type OwnerConfig struct {
	Name string `yaml:"name"` // [a-z0-9-]
	Key  string `yaml:"key"`  // public, "ed25519:..."
}

// maxOwners bounds the list of owners.
const maxOwners = 16

// validateOwners refuses owners that cannot be told apart.
func (c *Config) validateOwners() error {
	if len(c.Owners) > maxOwners {
		return &ConfigError{"owners", fmt.Sprintf("%d of them; at most %d", len(c.Owners), maxOwners)}
	}
	names, keys := make(map[string]bool), make(map[string]bool)
	for i, o := range c.Owners {
		field := fmt.Sprintf("owners[%d]", i)
		switch {
		case !seal.ValidName(o.Name):
			return &ConfigError{field + ".name", brief.Sprintf("%q is not an id; use 1 to 64 of a-z, 0-9 and -", o.Name)}
		case names[o.Name]:
			return &ConfigError{field + ".name", brief.Sprintf("%q stands twice; give each owner a name", o.Name)}
		case keys[o.Key]:
			return &ConfigError{field + ".key", brief.Sprintf("%q stands twice; give each owner a key (agent owner-key)", o.Key)}
		}
		if _, err := seal.ParseKey(o.Key); err != nil {
			return &ConfigError{field + ".key", brief.Sprintf("%q: %v; agent owner-key prints one", o.Key, err)}
		}
		names[o.Name], keys[o.Key] = true, true
	}
	return nil
}

// ownerKeys are the owners' keys by name.
func (c *Config) ownerKeys() (map[string]ed25519.PublicKey, error) {
	out := make(map[string]ed25519.PublicKey, len(c.Owners))
	for _, o := range c.Owners {
		key, err := seal.ParseKey(o.Key)
		if err != nil {
			return nil, fmt.Errorf("owner %s: %w", o.Name, err)
		}
		out[o.Name] = key
	}
	return out, nil
}

// ownerBlock is the PEM type of an owner's key file; its body is the 32-byte seed,
// its header Name the owner's.
const ownerBlock = "FAIRWATT OWNER ED25519 SEED"

// MakeOwnerKey writes a fresh key of an owner into a file that only its user can
// read, and returns the public half. It overwrites nothing.
func MakeOwnerKey(path, name string) (ed25519.PublicKey, error) {
	if !seal.ValidName(name) {
		return nil, brief.Errorf("owner's name %q; use 1 to 64 of a-z, 0-9 and -", name)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists; name another file, or remove it if its key is to be given up", path)
	}
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: ownerBlock, Headers: map[string]string{"Name": name}, Bytes: private.Seed()})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return public, nil
}

// LoadOwnerKey reads a file that MakeOwnerKey wrote. A file others may read is
// refused.
func LoadOwnerKey(path string) (name string, key ed25519.PrivateKey, err error) {
	block, err := readKey(path, ownerBlock)
	if err != nil {
		return "", nil, err
	}
	if name = block.Headers["Name"]; !seal.ValidName(name) {
		return "", nil, brief.Errorf("key %s: its owner's name %q is not an id; make the key again (agent owner-key)", path, name)
	}
	return name, ed25519.NewKeyFromSeed(block.Bytes), nil
}
