package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

var chain = sha256.Sum256([]byte("a chain"))

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testKeys(names ...string) seal.Keys {
	return func(signer string) (ed25519.PublicKey, bool) {
		for _, n := range names {
			if n == signer {
				return testKey(n).Public().(ed25519.PublicKey), true
			}
		}
		return nil, false
	}
}

func mustSeal(t testing.TB, signer string, payload []byte) []byte {
	t.Helper()
	s, err := seal.Seal(testKey(signer), signer, seal.DomainRecord, chain, payload)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpen(t *testing.T) {
	sealed := mustSeal(t, "pv-1", []byte("payload"))
	signer, payload, err := seal.Open(sealed, seal.DomainRecord, chain, testKeys("pv-1"))
	if err != nil || signer != "pv-1" || string(payload) != "payload" {
		t.Fatalf("%q, %q, %v", signer, payload, err)
	}
	other := chain
	other[31] ^= 1
	var unknown *seal.UnknownSignerError
	var invalid *seal.InvalidSignatureError
	if _, _, err := seal.Open(sealed, seal.DomainRecord, chain, testKeys("pv-2")); !errors.As(err, &unknown) {
		t.Errorf("unknown signer: %v", err)
	}
	for name, open := range map[string]func() error{
		"another domain": func() error {
			_, _, err := seal.Open(sealed, seal.DomainAttestation, chain, testKeys("pv-1"))
			return err
		},
		"another chain": func() error {
			_, _, err := seal.Open(sealed, seal.DomainRecord, other, testKeys("pv-1"))
			return err
		},
		"another key": func() error {
			_, _, err := seal.Open(sealed, seal.DomainRecord, chain, func(string) (ed25519.PublicKey, bool) {
				return testKeys("pv-2")("pv-2")
			})
			return err
		},
	} {
		if err := open(); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryBit flips every bit of a sealed message: none may open.
func TestEveryBit(t *testing.T) {
	sealed := mustSeal(t, "pv-1", []byte("some payload"))
	for i := range len(sealed) * 8 {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := seal.Open(b, seal.DomainRecord, chain, testKeys("pv-1")); err == nil {
			t.Errorf("bit %d flipped: accepted", i)
		}
	}
}

func TestEncodingIsProtobuf(t *testing.T) {
	sealed := mustSeal(t, "pv-1", bytes.Repeat([]byte("x"), 300))
	m := &fairwattpb.Sealed{}
	if err := proto.Unmarshal(sealed, m); err != nil {
		t.Fatal(err)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || !bytes.Equal(again, sealed) {
		t.Errorf("%x, %v; want %x", again, err, sealed)
	}
}

func TestSealRefuses(t *testing.T) {
	for _, c := range []struct{ signer, payload string }{
		{"", "x"}, {"UPPER", "x"}, {"a b", "x"}, {strings.Repeat("a", 65), "x"}, {"a", ""},
	} {
		if _, err := seal.Seal(testKey("a"), c.signer, seal.DomainRecord, chain, []byte(c.payload)); err == nil {
			t.Errorf("Seal as %q of %q: no error", c.signer, c.payload)
		}
	}
}

func TestPeekRefuses(t *testing.T) {
	good := mustSeal(t, "a", []byte("x"))
	for name, b := range map[string][]byte{
		"empty":       nil,
		"cut":         good[:len(good)-1],
		"trailing":    append(bytes.Clone(good), 0),
		"long length": append([]byte{0x0a, 0x81, 0x00}, good[2:]...),
		"huge length": {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"repeated":    append(bytes.Clone(good[:3]), good...),
		"out of order": func() []byte {
			return append(bytes.Clone(good[3:]), good[:3]...)
		}(),
	} {
		if _, _, err := seal.Peek(b); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyText(t *testing.T) {
	text := string(seal.FormatKey(testKey("a").Public().(ed25519.PublicKey)))
	key, err := seal.ParseKey(text)
	if err != nil || string(seal.FormatKey(key)) != text {
		t.Fatal(err)
	}
	small := seal.FormatKey(append([]byte{1}, make([]byte, 31)...)) // the neutral element
	for _, bad := range []string{
		"", "ed25519:", strings.ToUpper(text), text + "=", strings.TrimSuffix(text, "="), text[8:], string(small),
		"ecdsa" + text[7:], text[:len(text)-2] + "B=",
	} {
		if bad != text {
			if _, err := seal.ParseKey(bad); err == nil {
				t.Errorf("ParseKey(%q): no error", bad)
			}
		}
	}
}

// TestBatchAgrees compares the batch's results with the single ones for
// batches with a random set of damaged messages.
func TestBatchAgrees(t *testing.T) {
	good := make([][]byte, 8)
	for i := range good {
		good[i] = mustSeal(t, []string{"a", "b", "stranger"}[i%3], []byte{byte(i + 1)})
	}
	keys := testKeys("a", "b")
	rapid.Check(t, func(t *rapid.T) {
		var batch [][]byte
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			s := bytes.Clone(rapid.SampledFrom(good).Draw(t, "message"))
			if rapid.Bool().Draw(t, "damage") {
				s[rapid.IntRange(0, len(s)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
			}
			batch = append(batch, s)
		}
		for i, o := range seal.OpenBatch(batch, seal.DomainRecord, chain, keys) {
			signer, payload, err := seal.Open(batch[i], seal.DomainRecord, chain, keys)
			if (err == nil) != (o.Err == nil) || err == nil && (signer != o.Signer || !bytes.Equal(payload, o.Payload)) ||
				err != nil && err.Error() != o.Err.Error() {
				t.Fatalf("message %d: single %q, %v; batch %q, %v", i, signer, err, o.Signer, o.Err)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add(mustSeal(f, "a", []byte("x")))
	f.Add([]byte{0x0a, 0x01, 'a', 0x12, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		signer, payload, err := seal.Peek(b)
		if err != nil {
			return
		}
		if !seal.ValidName(signer) || len(payload) == 0 {
			t.Errorf("signer %q, payload %q", signer, payload)
		}
		m := &fairwattpb.Sealed{}
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatalf("not a protobuf message: %v", err)
		}
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("not canonical: %x", b)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	key, payload := testKey("a"), make([]byte, 300)
	for b.Loop() {
		if _, err := seal.Seal(key, "a", seal.DomainRecord, chain, payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	sealed, keys := mustSeal(b, "a", make([]byte, 300)), testKeys("a")
	for b.Loop() {
		if _, _, err := seal.Open(sealed, seal.DomainRecord, chain, keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenBatch500(b *testing.B) {
	batch := make([][]byte, 500)
	for i := range batch {
		batch[i] = mustSeal(b, "a", append(make([]byte, 300), byte(i), byte(i>>8)))
	}
	key := testKey("a").Public().(ed25519.PublicKey)
	keys := func(string) (ed25519.PublicKey, bool) { return key, true }
	for b.Loop() {
		for _, o := range seal.OpenBatch(batch, seal.DomainRecord, chain, keys) {
			if o.Err != nil {
				b.Fatal(o.Err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(batch)), "us/message")
}
