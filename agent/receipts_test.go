package agent

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

var testChainID = [32]byte{1, 2, 3}

// testDA is a data aggregator that signs receipts.
type testDA struct {
	id  string
	key ed25519.PrivateKey
}

func testDAs(n int) ([]testDA, map[string]ed25519.PublicKey) {
	var das []testDA
	keys := make(map[string]ed25519.PublicKey)
	for i := range n {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i + 1)
		da := testDA{fmt.Sprintf("da-%d", i+1), ed25519.NewKeyFromSeed(seed)}
		das = append(das, da)
		keys[da.id] = da.key.Public().(ed25519.PublicKey)
	}
	return das, keys
}

func (d testDA) receipt(t testing.TB, height uint64, entries ...*fairwattpb.ReceiptEntry) []byte {
	t.Helper()
	payload, err := proto.Marshal(&fairwattpb.Receipt{ChainId: testChainID[:], Da: d.id, Height: height, Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.Seal(d.key, d.id, seal.DomainReceipt, testChainID, payload)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func entry(id byte, applied bool, code, reason string) *fairwattpb.ReceiptEntry {
	return &fairwattpb.ReceiptEntry{
		RecordId: []byte{id}, Sender: "pv-1", Counter: uint64(id),
		Outcome: &fairwattpb.Outcome{Applied: applied, Code: code, Reason: reason},
	}
}

func TestReceiptsNeedFPlusOneOfTheSameWord(t *testing.T) {
	das, keys := testDAs(4)
	r := NewReceipts(testChainID, keys)
	steps := []struct {
		name   string
		da     int
		height uint64
		entry  *fairwattpb.ReceiptEntry
		want   int
	}{
		{"one voice is none", 0, 7, entry(1, true, "", ""), 0},
		{"the same aggregator again", 0, 7, entry(1, true, "", ""), 0},
		{"another height", 1, 8, entry(1, true, "", ""), 0},
		{"another outcome", 2, 7, entry(1, false, "funds", ""), 0},
		{"the second of four", 3, 7, entry(1, true, "", ""), 1},
		{"told already", 2, 7, entry(1, true, "", ""), 0},
		{"a refusal at the door", 0, 0, entry(2, false, "unknown_sender", "no such device"), 0},
		{"in other words", 1, 0, entry(2, false, "unknown_sender", "sender is not registered"), 1},
	}
	for _, s := range steps {
		got, err := r.Add(das[s.da].id, das[s.da].receipt(t, s.height, s.entry))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if len(got) != s.want {
			t.Errorf("%s: %d verdicts, want %d", s.name, len(got), s.want)
		}
		if len(got) == 1 && got[0].Final() != (s.height > 0) {
			t.Errorf("%s: final %v", s.name, got[0].Final())
		}
	}
}

func TestReceiptsRefuseWhatIsNotTheirs(t *testing.T) {
	das, keys := testDAs(4)
	stranger, _ := testDAs(5)
	other := entry(1, true, "", "")
	other.Record = []byte("bytes that have another id")
	foreign, err := proto.Marshal(&fairwattpb.Receipt{ChainId: make([]byte, 32), Da: "da-1"})
	if err != nil {
		t.Fatal(err)
	}
	sealedForeign, err := seal.Seal(das[0].key, "da-1", seal.DomainReceipt, testChainID, foreign)
	if err != nil {
		t.Fatal(err)
	}
	asRecord, err := seal.Seal(das[0].key, "da-1", seal.DomainRecord, testChainID, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	flipped := das[0].receipt(t, 1, entry(1, true, "", ""))
	flipped[len(flipped)/2] ^= 1
	for _, c := range []struct {
		name, want string
		sealed     []byte
	}{
		{"unknown signer", "da-5", stranger[4].receipt(t, 1)},
		{"one bit changed", "", flipped},
		{"another chain named", "another aggregator or chain", sealedForeign},
		{"another domain", "invalid signature", asRecord},
		{"record of another id", "do not belong together", das[0].receipt(t, 1, other)},
		{"empty", "", nil},
		{"too large", "is over", make([]byte, wire.MaxReceiptBytes+1)},
	} {
		verdicts, err := NewReceipts(testChainID, keys).Add("da-1", c.sealed)
		if err == nil || len(verdicts) != 0 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: verdicts %v, err %v", c.name, verdicts, err)
		}
	}
}

func TestReceiptsForgetTheOldest(t *testing.T) {
	_, keys := testDAs(4)
	r := NewReceipts(testChainID, keys)
	for i := range maxTracked + 10 {
		e := entry(0, true, "", "")
		e.Counter = uint64(i + 1)
		r.voice("da-1", 1, e)
	}
	if len(r.voices) > maxTracked || len(r.order) > maxTracked {
		t.Fatalf("tracks %d claims", len(r.voices))
	}
}

func FuzzReceipts(f *testing.F) {
	das, keys := testDAs(4)
	f.Add([]byte{})
	payload, _ := proto.Marshal(&fairwattpb.Receipt{ChainId: testChainID[:], Da: "da-1", Height: 1, Entries: []*fairwattpb.ReceiptEntry{entry(1, true, "", "")}})
	f.Add(payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		sealed, err := seal.Seal(das[0].key, "da-1", seal.DomainReceipt, testChainID, payload)
		if err != nil {
			t.Skip()
		}
		r := NewReceipts(testChainID, keys)
		// One aggregator alone never makes a verdict, whatever it signs.
		if v, _ := r.Add("da-1", sealed); len(v) != 0 {
			t.Fatalf("one voice made %d verdicts", len(v))
		}
	})
}
