package seal

import (
	"bytes"
	"slices"
	"testing"
)

// signed is one call of [Batch.Add].
type signed struct {
	key                []byte
	domain             Domain
	chain              [32]byte
	signer             string
	payload, signature []byte
}

func seedOf(entries ...signed) [32]byte {
	b := NewBatch(len(entries))
	for _, e := range entries {
		b.Add(e.key, e.domain, e.chain, e.signer, e.payload, e.signature)
	}
	return b.seed()
}

// The coefficients of a batch depend on everything that is in it. Whoever could
// leave a part out of the seed could choose that part after the coefficients, and
// let false signatures cancel each other.
func TestSeedCoversTheBatch(t *testing.T) {
	key, signature := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	base := signed{key: key, domain: "d", signer: "pv-1", payload: []byte("p"), signature: signature}
	second := base
	second.payload = []byte("q")
	seeds := map[[32]byte]string{seedOf(): "nothing"}
	add := func(name string, seed [32]byte) {
		t.Helper()
		if other, ok := seeds[seed]; ok {
			t.Errorf("%s: the seed of %s", name, other)
		}
		seeds[seed] = name
	}
	add("one", seedOf(base))
	add("two", seedOf(base, second))
	add("two exchanged", seedOf(second, base))
	add("one twice", seedOf(base, base))
	for name, change := range map[string]func(*signed){
		"key":       func(s *signed) { s.key = bytes.Repeat([]byte{3}, 32) },
		"domain":    func(s *signed) { s.domain = "e" },
		"chain":     func(s *signed) { s.chain[0] = 1 },
		"signer":    func(s *signed) { s.signer = "pv-2" },
		"payload":   func(s *signed) { s.payload = []byte("r") },
		"signature": func(s *signed) { s.signature = bytes.Repeat([]byte{4}, 64) },
	} {
		other := base
		change(&other)
		add(name, seedOf(other))
	}
	// The same bytes as two entries and as one long one: the length tells.
	const zeros = "\x00\x00\x00\x00\x00\x00\x00"
	preimage := Preimage(second.domain, second.chain, second.signer, second.payload)
	for name, length := range map[string]string{"without a length": "", "with a length": zeros + string(rune(len(preimage))), "with no length in it": zeros + "\x00"} {
		long := base
		long.payload = slices.Concat(base.payload, key, signature, []byte(length), preimage)
		add("one as long as two "+name, seedOf(long))
	}
	if again := seedOf(base); again != seedOf(base) {
		t.Error("the seed is not the same twice")
	}
}
