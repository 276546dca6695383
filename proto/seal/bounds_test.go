package seal_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"fairwatt/proto/seal"
)

var boundChain = [32]byte{7}

// Names have 1 to 64 of a-z, 0-9 and -; the characters next to each range are
// none.
func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "z": true, "0": true, "9": true, "-": true, strings.Repeat("a", seal.MaxNameBytes): true,
		"": false, strings.Repeat("a", seal.MaxNameBytes+1): false, "`": false, "{": false, "/": false, ":": false, ",": false, ".": false, "A": false, "a\x00": false, "é": false,
	} {
		if seal.ValidName(name) != want {
			t.Errorf("%q valid: %v", name, !want)
		}
	}
}

// The bytes a signature covers, written out.
func TestPreimage(t *testing.T) {
	want := "fairwatt-seal-1" + "\x06domain" + string(boundChain[:]) + "\x04pv-1" + "payload"
	if got := seal.Preimage("domain", boundChain, "pv-1", []byte("payload")); string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func panics(f func()) (p bool) {
	defer func() { p = recover() != nil }()
	f()
	return false
}

// A length is one byte: 255 of domain and signer fit, and more panic in Preimage
// and are no signature for Verify and Batch.
func TestLengthsOfDomainAndSigner(t *testing.T) {
	const longest, over = 255, 256
	key := testKey("pv-1")
	for _, c := range []struct {
		name           string
		domain, signer int
		want           bool
	}{
		{"longest domain", longest, 1, true}, {"longest signer", 1, longest, true}, {"domain over", over, 1, false}, {"signer over", 1, over, false},
	} {
		d, signer := seal.Domain(strings.Repeat("d", c.domain)), strings.Repeat("s", c.signer)
		if got := panics(func() { seal.Preimage(d, boundChain, signer, nil) }); got == c.want {
			t.Errorf("%s: panics %v", c.name, got)
		}
		// The signature is the right one wherever there is a preimage at all.
		var signature = make([]byte, ed25519.SignatureSize)
		if c.want {
			signature = ed25519.Sign(key, seal.Preimage(d, boundChain, signer, []byte("p")))
		}
		public := key.Public().(ed25519.PublicKey)
		if got := seal.Verify(public, d, boundChain, signer, []byte("p"), signature); got != c.want {
			t.Errorf("%s: verifies %v", c.name, got)
		}
		b := seal.NewBatch(1)
		b.Add(public, d, boundChain, signer, []byte("p"), signature)
		if got := b.Verify(); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: in a batch %v", c.name, got)
		}
	}
}

// Keys and signatures of another length are refused, alone and in a batch, and
// the batch's other results stay where they belong.
func TestLengthsOfKeyAndSignature(t *testing.T) {
	key := testKey("pv-1")
	public := key.Public().(ed25519.PublicKey)
	good := ed25519.Sign(key, seal.Preimage("d", boundChain, "pv-1", []byte("p")))
	b := seal.NewBatch(0)
	rows := []struct {
		name      string
		key       ed25519.PublicKey
		signature []byte
		want      bool
	}{
		{"good", public, good, true},
		{"short key", public[:31], good, false},
		{"long key", append(bytes.Clone(public), 0), good, false},
		{"no key", nil, good, false},
		{"short signature", public, good[:63], false},
		{"long signature", public, append(bytes.Clone(good), 0), false},
		{"good again", public, good, true},
		{"another's signature", testKey("pv-2").Public().(ed25519.PublicKey), good, false},
	}
	for _, r := range rows {
		if got := seal.Verify(r.key, "d", boundChain, "pv-1", []byte("p"), r.signature); got != r.want {
			t.Errorf("%s: %v", r.name, got)
		}
		b.Add(r.key, "d", boundChain, "pv-1", []byte("p"), r.signature)
	}
	for i, got := range b.Verify() {
		if got != rows[i].want {
			t.Errorf("%s: in a batch %v", rows[i].name, got)
		}
	}
	if got := seal.NewBatch(3).Verify(); len(got) != 0 {
		t.Errorf("an empty batch has results %v", got)
	}
}

func TestFormatKeyPanics(t *testing.T) {
	for n, want := range map[int]bool{0: true, 31: true, 32: false, 33: true} {
		if got := panics(func() { seal.FormatKey(make(ed25519.PublicKey, n)) }); got != want {
			t.Errorf("key of %d bytes: panics %v", n, got)
		}
	}
}

// The largest payload is sealed and opened; one byte more is not, by either.
func TestPayloadBound(t *testing.T) {
	key := testKey("pv-1")
	sealed, err := seal.Seal(key, "pv-1", "d", boundChain, make([]byte, seal.MaxPayloadBytes))
	if err != nil {
		t.Fatal(err)
	}
	if _, payload, err := seal.Open(sealed, "d", boundChain, testKeys("pv-1")); err != nil || len(payload) != seal.MaxPayloadBytes {
		t.Errorf("the largest payload: %d bytes, %v", len(payload), err)
	}
	if _, err := seal.Seal(key, "pv-1", "d", boundChain, make([]byte, seal.MaxPayloadBytes+1)); err == nil {
		t.Error("a byte over is sealed")
	}
	// The same envelope by hand, one byte over and empty.
	for _, n := range []int{0, seal.MaxPayloadBytes + 1} {
		if _, _, err := seal.Peek(envelope("pv-1", make([]byte, n), make([]byte, ed25519.SignatureSize))); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("payload of %d bytes: %v", n, err)
		}
	}
	if _, _, err := seal.Peek(envelope("pv-1", []byte("p"), make([]byte, ed25519.SignatureSize))); err != nil {
		t.Errorf("the envelope by hand: %v", err)
	}
	// A name that Seal would not take and a signature of another length are no
	// envelope either.
	for name, sealed := range map[string][]byte{
		"no name":         envelope("", []byte("p"), make([]byte, ed25519.SignatureSize)),
		"a capital":       envelope("Pv-1", []byte("p"), make([]byte, ed25519.SignatureSize)),
		"a long name":     envelope(strings.Repeat("a", seal.MaxNameBytes+1), []byte("p"), make([]byte, ed25519.SignatureSize)),
		"short signature": envelope("pv-1", []byte("p"), make([]byte, ed25519.SignatureSize-1)),
		"long signature":  envelope("pv-1", []byte("p"), make([]byte, ed25519.SignatureSize+1)),
		"no signature":    envelope("pv-1", []byte("p"), nil),
	} {
		if _, _, err := seal.Peek(sealed); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A sealed message never changes its bytes: ed25519 is deterministic, and the
// chain holds the hashes of these.
func TestGoldenSealed(t *testing.T) {
	sealed, err := seal.Seal(testKey("pv-1"), "pv-1", seal.DomainRecord, boundChain, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "0a0470762d3112077061796c6f61641a404846921dac1060aa95dfa8e9636ba84ae3c57b9e9a68e9f82597c74bc026a8bbd7056101dc9e94ccfded12d6a93eff46c3bc3a9d3fa97da47725fd7ee9e4210d"
	if got := hex.EncodeToString(sealed); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The text of a key has one form. A decoder of base64 passes over line breaks;
// ParseKey does not.
func TestParseKeyTakesOneForm(t *testing.T) {
	const prefix = "ed25519:"
	text := string(seal.FormatKey(testKey("a").Public().(ed25519.PublicKey)))
	encoded := text[len(prefix):]
	for name, bad := range map[string]string{
		"a line break behind":     text + "\n",
		"a line break in front":   prefix + "\n" + encoded,
		"a line break within":     prefix + encoded[:20] + "\r\n" + encoded[20:],
		"a space":                 prefix + " " + encoded,
		"another alphabet":        prefix + strings.Repeat("_", 43) + "=",
		"31 bytes":                prefix + base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"33 bytes":                prefix + base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"no bytes":                prefix,
		"loose bits at the end":   prefix + encoded[:42] + string(encoded[42]+1) + "=",
		"a capital in the prefix": "Ed25519:" + encoded,
	} {
		if key, err := seal.ParseKey(bad); err == nil || key != nil {
			t.Errorf("%s: %q is a key", name, bad)
		}
	}
}

// envelope writes a fairwatt.v1.Sealed by hand.
func envelope(signer string, payload, signature []byte) []byte {
	var b []byte
	for i, field := range [][]byte{[]byte(signer), payload, signature} {
		b = append(b, byte(i+1)<<3|2)
		n := len(field)
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		b = append(append(b, byte(n)), field...)
	}
	return b
}

// A signer is a device that may lie about what it is.
type badSigner struct {
	public    crypto.PublicKey
	signature []byte
	err       error
}

func (s badSigner) Public() crypto.PublicKey { return s.public }
func (s badSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.signature, s.err
}

func TestSealRefusesBadSigners(t *testing.T) {
	public := testKey("pv-1").Public()
	broken := errors.New("the element is locked")
	for name, s := range map[string]badSigner{
		"no ed25519 key":  {public: "rsa", signature: make([]byte, ed25519.SignatureSize)},
		"short signature": {public: public, signature: make([]byte, ed25519.SignatureSize-1)},
		"long signature":  {public: public, signature: make([]byte, ed25519.SignatureSize+1)},
		"error":           {public: public, err: broken},
	} {
		if sealed, err := seal.Seal(s, "pv-1", "d", boundChain, []byte("p")); err == nil || sealed != nil || s.err != nil && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A window holds exactly WindowSize counters: the oldest of them is known, and
// the one behind it is too old to tell.
func TestWindowEdge(t *testing.T) {
	var w seal.Window
	const newest = 10 * seal.WindowSize
	for c, want := range map[uint64]bool{newest: true} {
		if w.Accept(c) != want {
			t.Fatalf("accept %d: %v", c, !want)
		}
	}
	if !w.Accept(newest - seal.WindowSize + 1) {
		t.Error("the oldest counter of the window is refused")
	}
	if w.Accept(newest - seal.WindowSize) {
		t.Error("a counter behind the window is accepted")
	}
	if w.Accept(newest) || w.Accept(newest-seal.WindowSize+1) {
		t.Error("a counter is accepted twice")
	}
	if w.Accept(0) {
		t.Error("counter 0 is accepted")
	}
	// A jump of a whole window forgets all; one less keeps the newest.
	jump := w
	if !jump.Accept(newest+seal.WindowSize-1) || jump.Accept(newest) {
		t.Error("the newest counter is forgotten by a jump that keeps it")
	}
	if !w.Accept(newest+seal.WindowSize) || !w.Accept(newest+1) {
		t.Error("what was never seen is refused after a jump")
	}
}

func TestWindowRefusesEncodings(t *testing.T) {
	last := func(n uint64, bitmap ...byte) []byte {
		return append([]byte{0, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)}, bitmap...)
	}
	long := append(last(60000), bytes.Repeat([]byte{1}, seal.WindowSize/8)...)
	long[8] = 2
	for _, c := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"nothing", nil, false}, {"seven bytes", make([]byte, 7), false}, {"no counter", make([]byte, 8), true}, {"no gap", last(9), true},
		{"a gap", last(9, 2), true}, {"a trailing zero", last(9, 2, 0), false}, {"the greatest is skipped", last(9, 1), false},
		{"counter 0 is skipped", last(3, 8), false}, {"counter 1 is skipped", last(3, 4), true}, {"as long as the window", long, true}, {"a byte over", append(bytes.Clone(long), 1), false},
	} {
		var w seal.Window
		if err := w.UnmarshalBinary(c.b); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
