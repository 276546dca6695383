package agent

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/proto/seal"
)

func TestOwnerKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ada.key")
	public, err := MakeOwnerKey(path, "ada")
	if err != nil {
		t.Fatal(err)
	}
	name, key, err := LoadOwnerKey(path)
	if err != nil || name != "ada" || !public.Equal(key.Public()) {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := MakeOwnerKey(path, "ada"); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("a key was overwritten: %v", err)
	}
	if _, err := LoadKey(path); err == nil {
		t.Error("an owner's key is a device's")
	}
	for _, bad := range []string{"", "Ada", "a b"} {
		if _, err := MakeOwnerKey(filepath.Join(t.TempDir(), "k"), bad); err == nil {
			t.Errorf("%q has a key", bad)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"readable by all": func() error { return os.Chmod(path, 0o644) },
		"no name": func() error {
			return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), "Name: ada", "Name: A D A")), 0o600)
		},
		"cut": func() error { return os.WriteFile(path, b[:len(b)/2], 0o600) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadOwnerKey(path); err == nil {
			t.Errorf("%s: read all the same", what)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOwnersInAConfiguration(t *testing.T) {
	t.Parallel()
	key := func(n byte) string { return string(seal.FormatKey(testKey(n).Public().(ed25519.PublicKey))) }
	many := make([]OwnerConfig, maxOwners+1)
	for i := range many {
		many[i] = OwnerConfig{strings.Repeat("a", i+1), key(byte(i + 1))}
	}
	cfg := testConfig(t, "pv-1")
	if cfg.Owners = many[:maxOwners]; cfg.Validate() != nil {
		t.Errorf("sixteen owners: %v", cfg.Validate())
	}
	for says, owners := range map[string][]OwnerConfig{
		"owners: 17 of them; at most 16":                many,
		`owners[0].name: "Ada" is not an id`:            {{"Ada", key(1)}},
		`owners[1].name: "ada" stands twice`:            {{"ada", key(1)}, {"ada", key(2)}},
		`owners[1].key: "ed25519:`:                      {{"ada", key(1)}, {"bob", key(1)}},
		`owners[0].key: "ssh-ed25519 AAAA": seal:`:      {{"ada", "ssh-ed25519 AAAA"}},
		`... (1000 bytes): seal: public key does not s`: {{"ada", strings.Repeat("x", 1000)}},
	} {
		cfg.Owners = owners
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}
