package word_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

var keys = word.KeysOf(map[string]ed25519.PublicKey{
	"ada": key(1).Public().(ed25519.PublicKey), "bob": key(2).Public().(ed25519.PublicKey),
})

func ack() wire.Command {
	return wire.Command{Schema: wire.SchemaCommand, Do: "ack", Rule: "E12", By: "Ada", Device: "farm-1/pv-1", IssuedMs: 1000}
}

func codeOf(err error) string {
	var r *word.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func sealed(t testing.TB, n byte, owner string, c wire.Command) []byte {
	t.Helper()
	b, err := word.Seal(key(n), owner, &c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A sealed command opens with what was sealed, and no bit of it can be changed.
func TestSealedCommand(t *testing.T) {
	t.Parallel()
	b := sealed(t, 1, "ada", ack())
	c, owner, err := word.Open(b, keys, "farm-1/pv-1", wire.ClassAck)
	if err != nil || owner != "ada" || c != ack() {
		t.Fatalf("%+v by %q, %v", c, owner, err)
	}
	if id := word.ID(b); len(id) != 64 || id == word.ID(sealed(t, 2, "bob", ack())) {
		t.Errorf("id %s", id)
	}
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			if c, owner, err := word.Open(bad, keys, "farm-1/pv-1", wire.ClassAck); err == nil {
				t.Fatalf("byte %d, bit %d changed: %+v by %s", i, bit, c, owner)
			}
		}
		if _, _, err := word.Open(b[:i], keys, "farm-1/pv-1", wire.ClassAck); err == nil {
			t.Fatalf("cut to %d bytes", i)
		}
	}
}

func TestCommandsRefused(t *testing.T) {
	t.Parallel()
	with := func(change func(*wire.Command)) wire.Command {
		c := ack()
		change(&c)
		return c
	}
	payload, err := json.Marshal(ack())
	if err != nil {
		t.Fatal(err)
	}
	record, err := seal.Seal(key(1), "ada", seal.DomainRecord, [32]byte{}, payload)
	if err != nil {
		t.Fatal(err)
	}
	raw := func(text string) []byte {
		b, err := seal.Seal(key(1), "ada", seal.DomainCommand, [32]byte{}, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name  string
		b     []byte
		class string
		code  string
	}{
		{"nothing", nil, wire.ClassAck, wire.CommandMalformed},
		{"JSON without a seal", payload, wire.ClassAck, wire.CommandMalformed},
		{"too long", make([]byte, wire.MaxCommandBytes+1), wire.ClassAck, wire.CommandMalformed},
		{"a stranger", sealed(t, 3, "eve", ack()), wire.ClassAck, wire.CommandUnknownOwner},
		{"a stranger in Ada's name", sealed(t, 3, "ada", ack()), wire.ClassAck, wire.CommandBadSignature},
		{"Bob in Ada's name", sealed(t, 2, "ada", ack()), wire.ClassAck, wire.CommandBadSignature},
		{"Ada's record", record, wire.ClassAck, wire.CommandBadSignature},
		{"another device", sealed(t, 1, "ada", with(func(c *wire.Command) { c.Device = "farm-1/pv-2" })), wire.ClassAck, wire.CommandWrongDevice},
		{"no device", sealed(t, 1, "ada", with(func(c *wire.Command) { c.Device = "" })), wire.ClassAck, wire.CommandWrongDevice},
		{"another topic", sealed(t, 1, "ada", ack()), wire.ClassUnblock, wire.CommandWrongTopic},
		{"no time", sealed(t, 1, "ada", with(func(c *wire.Command) { c.IssuedMs = 0 })), wire.ClassAck, wire.CommandMalformed},
		{"another schema", sealed(t, 1, "ada", with(func(c *wire.Command) { c.Schema = "cmd/2" })), wire.ClassAck, wire.CommandMalformed},
		{"no JSON", raw("ack"), wire.ClassAck, wire.CommandMalformed},
		{"an unknown field", raw(`{"schema":"cmd/1","do":"ack","untl_ms":5}`), wire.ClassAck, wire.CommandMalformed},
		{"two objects", raw(string(payload) + string(payload)), wire.ClassAck, wire.CommandMalformed},
	} {
		_, _, err := word.Open(c.b, keys, "farm-1/pv-1", c.class)
		if codeOf(err) != c.code || err.Error() == "" || len(err.Error()) > 300 {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	long := ack()
	long.Why = strings.Repeat("x", wire.MaxCommandBytes)
	if _, err := word.Seal(key(1), "ada", &long); err == nil {
		t.Error("a command that no one would read was sealed")
	}
}

// What a command says, and what does not go together.
func TestWordOfACommand(t *testing.T) {
	t.Parallel()
	block := wire.Command{Do: "block", By: "Ada", Why: "roof", UntilMs: 5}
	for c, want := range map[wire.Command]model.Word{
		ack():                      {Kind: model.WordAck, Rule: "E12", By: "Ada"},
		block:                      {Kind: model.WordBlock, By: "Ada", Why: "roof", UntilUnixMs: 5},
		{Do: "unblock", By: "Ada"}: {Kind: model.WordUnblock, By: "Ada"},
	} {
		if got, err := word.Of(&c); err != nil || got != want {
			t.Errorf("%+v is %+v, %v", c, got, err)
		}
	}
	for _, c := range []wire.Command{
		{Do: "open"}, {Do: ""}, {Do: "status"}, {Do: "block", Rule: "E12"}, {Do: "ack", UntilMs: 1}, {Do: "unblock", ForMs: 1},
	} {
		if _, err := word.Of(&c); codeOf(err) != wire.CommandMalformed {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Each command is taken once and in its time; a device that does not know the time
// takes nothing but a block.
func TestGuard(t *testing.T) {
	t.Parallel()
	const now = 1_700_000_000_000
	type try struct {
		owner, do string
		atMs      int64 // issued, from now
		synced    bool
		code      string
	}
	for name, tries := range map[string][]try{
		"once": {
			{"ada", "ack", 0, true, ""}, {"ada", "ack", 0, true, wire.CommandReplayed}, {"ada", "ack", -1, true, wire.CommandReplayed},
			{"ada", "ack", 1, true, ""}, {"bob", "ack", 0, true, ""},
		},
		"in time": {
			{"ada", "ack", -120_001, true, wire.CommandExpired}, {"ada", "ack", -120_000, true, ""},
			{"ada", "ack", 120_001, true, wire.CommandExpired}, {"ada", "ack", 120_000, true, ""},
		},
		"without a clock": {
			{"ada", "ack", 0, false, wire.CommandClockUnknown}, {"ada", "unblock", 0, false, wire.CommandClockUnknown},
			{"ada", "block", 0, false, ""}, {"ada", "block", 0, false, wire.CommandReplayed}, {"ada", "block", -1, false, wire.CommandReplayed},
			{"ada", "block", 0, true, wire.CommandReplayed}, {"ada", "unblock", -5, true, ""},
		},
		"a wild time without a clock keeps nothing out": {
			{"ada", "ack", 10, true, ""}, {"ada", "block", 1e12, false, ""}, {"ada", "ack", 11, true, ""}, {"ada", "ack", 10, true, wire.CommandReplayed},
		},
	} {
		var g word.Guard
		for i, c := range tries {
			b, err := json.Marshal(&g) // a restart before each
			if err != nil {
				t.Fatal(err)
			}
			g = word.Guard{}
			if err := json.Unmarshal(b, &g); err != nil {
				t.Fatal(err)
			}
			err = g.Take(c.owner, &wire.Command{Do: c.do, IssuedMs: now + c.atMs}, now, c.synced)
			if codeOf(err) != c.code {
				t.Errorf("%s, %d: %v, want %q", name, i, err, c.code)
			}
		}
	}
}

// Whatever the clocks do, what opens anything (all but a block) is taken at most
// once, and only near its time.
func TestGuardTakesOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var g word.Guard
		taken := make(map[int64]bool)
		wall := int64(1_700_000_000_000)
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			wall += rapid.SampledFrom([]int64{0, 1, 1000, 60_000, -60_000, 3_600_000, -3_600_000}).Draw(t, "passes")
			c := wire.Command{
				Do:       rapid.SampledFrom([]string{"ack", "unblock", "block"}).Draw(t, "do"),
				IssuedMs: 1_700_000_000_000 + rapid.Int64Range(-5, 5).Draw(t, "step")*60_000,
			}
			synced := rapid.Bool().Draw(t, "synced")
			if g.Take("ada", &c, wall, synced) != nil || c.Do == "block" {
				continue
			}
			if taken[c.IssuedMs] || !synced || max(wall-c.IssuedMs, c.IssuedMs-wall) > wire.CommandSkewMs {
				t.Fatalf("%+v taken at %d, synced %v, before %v", c, wall, synced, taken)
			}
			taken[c.IssuedMs] = true
		}
	})
}

func TestParseDevice(t *testing.T) {
	t.Parallel()
	if got, err := word.ParseDevice("farm-1/pv-1"); err != nil || got != (wire.Topics{Site: "farm-1", Device: "pv-1"}) || word.DeviceOf(got) != "farm-1/pv-1" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "pv-1", "/pv-1", "farm/", "a/b/c", "+/pv-1", "farm/#", "Farm/pv"} {
		if _, err := word.ParseDevice(bad); err == nil {
			t.Errorf("%q is a device", bad)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sealed(f, 1, "ada", ack()))
	f.Add([]byte(`{"schema":"cmd/1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, owner, err := word.Open(b, keys, "farm-1/pv-1", wire.ClassAck); err == nil && (owner == "" || c.Do != "ack") {
			t.Errorf("%+v by %q", c, owner)
		}
	})
}
