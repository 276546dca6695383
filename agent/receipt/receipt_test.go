package receipt

import (
	"crypto/ed25519"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/receipt/receipttest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

func entry(id byte, applied bool, code, reason string) *fairwattpb.ReceiptEntry {
	return &fairwattpb.ReceiptEntry{
		RecordId: []byte{id}, Sender: "pv-1", Counter: uint64(id),
		Outcome: &fairwattpb.Outcome{Applied: applied, Code: code, Reason: reason},
	}
}

func TestReceiptsNeedFPlusOneOfTheSameWord(t *testing.T) {
	das, keys := receipttest.DAs(4)
	r := New(receipttest.Chain, keys, nil)
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
		{"a refusal before any block", 0, 0, entry(2, false, "unknown_sender", "no such device"), 0},
		{"in other words", 1, 0, entry(2, false, "malformed", "field 7"), 0},
		{"a refusal that cannot change", 2, 0, entry(2, false, "malformed", "field seven"), 1},
	}
	for _, s := range steps {
		got, err := r.Add(das[s.da].ID, das[s.da].Receipt(t, s.height, s.entry))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if len(got) != s.want {
			t.Errorf("%s: %d outcomes, want %d", s.name, len(got), s.want)
		}
		if len(got) == 1 && got[0].Final() != (s.height > 0) {
			t.Errorf("%s: final %v", s.name, got[0].Final())
		}
	}
}

// One that is busy alone puts no one off; f+1 do, from the smallest counter that
// any of them wants, and each time anew.
func TestReceiptsPutOff(t *testing.T) {
	das, keys := receipttest.DAs(4)
	r := New(receipttest.Chain, keys, nil)
	busy := func(da int, height, from uint64, after int64) (*Busy, error) {
		got, err := r.Add(das[da].ID, das[da].Busy(t, height, from, after))
		if len(got) == 0 {
			return nil, err
		}
		if got[0].Entry != nil || got[0].Final() || len(got) != 1 {
			t.Errorf("outcomes %+v", got)
		}
		return got[0].Busy, err
	}
	for i, c := range []struct {
		da    int
		from  uint64
		after int64
		want  *Busy
	}{
		{0, 9, 100, nil}, {0, 7, 200, nil}, {1, 8, 50, &Busy{7, 200 * time.Millisecond}},
		{0, 5, 1, nil}, {2, 4, -5, &Busy{4, time.Millisecond}}, {3, 0, math.MaxInt64, nil}, {1, 1, 0, &Busy{0, time.Hour}},
	} {
		got, err := busy(c.da, 0, c.from, c.after)
		if err != nil || (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("step %d: %+v, %v; want %+v", i, got, err, c.want)
		}
	}
	if got, err := busy(0, 7, 1, 1); err == nil || got != nil {
		t.Errorf("busy in a block: %v, %v", got, err)
	}
}

func TestReceiptsRefuseWhatIsNotTheirs(t *testing.T) {
	das, keys := receipttest.DAs(4)
	stranger, _ := receipttest.DAs(5)
	other := entry(1, true, "", "")
	other.Record = []byte("bytes that have another id")
	foreign, err := proto.Marshal(&fairwattpb.Receipt{ChainId: make([]byte, 32), Da: "da-1"})
	if err != nil {
		t.Fatal(err)
	}
	sealedForeign, err := seal.Seal(das[0].Key, "da-1", seal.DomainReceipt, receipttest.Chain, foreign)
	if err != nil {
		t.Fatal(err)
	}
	asRecord, err := seal.Seal(das[0].Key, "da-1", seal.DomainRecord, receipttest.Chain, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	flipped := das[0].Receipt(t, 1, entry(1, true, "", ""))
	flipped[len(flipped)/2] ^= 1
	for _, c := range []struct {
		name, want string
		sealed     []byte
	}{
		{"unknown signer", "da-5", stranger[4].Receipt(t, 1)},
		{"one bit changed", "", flipped},
		{"another chain named", "another aggregator or chain", sealedForeign},
		{"another domain", "invalid signature", asRecord},
		{"record of another id", "do not belong together", das[0].Receipt(t, 1, other)},
		{"empty", "", nil},
		{"on another's topic", "on the topic of \"da-1\"", das[1].Receipt(t, 1)},
		{"applied in no block", "can only be refused", das[0].Receipt(t, 0, entry(1, true, "", ""))},
		{"a trade in no block", "can only be refused", das[0].Receipt(t, 0, &fairwattpb.ReceiptEntry{RecordId: []byte{1}, Trade: &fairwattpb.TradeNotice{TradeId: "t"}})},
		{"too many entries", "more than 256 entries", das[0].Receipt(t, 1, slices.Repeat([]*fairwattpb.ReceiptEntry{entry(1, true, "", "")}, 257)...)},
		{"too many entries of nothing", "more than 256 entries", das[0].Receipt(t, 1, slices.Repeat([]*fairwattpb.ReceiptEntry{{}}, 380_000)...)},
		{"too large", "is over", make([]byte, wire.MaxReceiptBytes+1)},
	} {
		outcomes, err := New(receipttest.Chain, keys, nil).Add("da-1", c.sealed)
		if err == nil || len(outcomes) != 0 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: outcomes %v, err %v", c.name, outcomes, err)
		}
	}
}

// As many entries as one receipt may hold are taken, and what concerns others is
// passed over.
func TestReceiptsKeepWhatIsMine(t *testing.T) {
	das, keys := receipttest.DAs(4)
	r := New(receipttest.Chain, keys, func(e *fairwattpb.ReceiptEntry) bool { return e.GetCounter()%2 == 0 })
	var entries []*fairwattpb.ReceiptEntry
	for i := range wire.MaxReceiptEntries {
		entries = append(entries, entry(byte(i), true, "", ""))
	}
	told := 0
	for _, da := range das[:2] {
		outcomes, err := r.Add(da.ID, da.Receipt(t, 1, entries...))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Entry.GetCounter()%2 != 0 {
				t.Errorf("told of counter %d", o.Entry.GetCounter())
			}
		}
		told += len(outcomes)
	}
	if told != wire.MaxReceiptEntries/2 {
		t.Errorf("%d outcomes, want %d", told, wire.MaxReceiptEntries/2)
	}
}

// Of a refusal before any block f+1 are not enough, unless it hangs on the record
// alone: a liar and one that is behind would make the agent forget a record that
// the others take.
func TestReceiptsHoldARefusalAtTheDoor(t *testing.T) {
	refused := func(code string) *fairwattpb.ReceiptEntry { return entry(1, false, code, "") }
	type step struct {
		da         string
		code       string
		news, held bool
	}
	for _, c := range []struct {
		name  string
		n     int
		steps []step
	}{
		{"a liar and a laggard hold it, a third strikes it", 4, []step{
			{"da-1", wire.CodeUnknownSigner, false, false}, {"da-2", wire.CodeUnknownSigner, true, true},
			{"da-1", wire.CodeUnknownSigner, false, true}, {"da-3", wire.CodeUnknownSigner, true, false},
			{"da-4", wire.CodeUnknownSigner, false, false},
		}},
		{"replayed is no better", 4, []step{
			{"da-1", wire.CodeReplayed, false, false}, {"da-2", wire.CodeReplayed, true, true}, {"da-3", wire.CodeReplayed, true, false},
		}},
		{"other codes do not add up", 4, []step{
			{"da-1", wire.CodeUnknownSigner, false, false}, {"da-2", wire.CodeReplayed, false, false}, {"da-3", wire.CodeNotAllowed, false, false},
		}},
		{"malformed is so for all", 4, []step{{"da-1", wire.CodeMalformed, false, false}, {"da-2", wire.CodeMalformed, true, false}}},
		{"so is another chain's", 4, []step{{"da-1", wire.CodeWrongChain, false, false}, {"da-2", wire.CodeWrongChain, true, false}}},
		{"and too large", 4, []step{{"da-1", wire.CodeTooLarge, false, false}, {"da-2", wire.CodeTooLarge, true, false}}},
		{"of one aggregator its word is all", 1, []step{{"da-1", wire.CodeUnknownSigner, true, false}}},
		{"five of seven", 7, []step{
			{"da-1", wire.CodeNotAllowed, false, false}, {"da-2", wire.CodeNotAllowed, false, false}, {"da-3", wire.CodeNotAllowed, true, true},
			{"da-4", wire.CodeNotAllowed, false, true}, {"da-5", wire.CodeNotAllowed, true, false},
		}},
	} {
		_, keys := receipttest.DAs(c.n)
		r := New(receipttest.Chain, keys, nil)
		for i, s := range c.steps {
			e := refused(s.code)
			e.Counter = uint64(i) // not all that refuse can read it
			if news, held := r.voice(s.da, 0, e); news != s.news || held != s.held {
				t.Errorf("%s: step %d: news %v, held %v", c.name, i+1, news, held)
			}
		}
	}
}

// tell gives the collector one word and says whether it made an outcome certain.
func tell(r *Collector, da string, height uint64, e *fairwattpb.ReceiptEntry) bool {
	news, held := r.voice(da, height, e)
	return news && !held
}

// numbered is the claim of a number: what an aggregator says without end.
func numbered(i int) *fairwattpb.ReceiptEntry {
	e := entry(0, true, "", "")
	e.Counter = uint64(i + 1)
	return e
}

func TestReceiptsForgetTheOldest(t *testing.T) {
	_, keys := receipttest.DAs(4)
	r := New(receipttest.Chain, keys, nil)
	for i := range 3 * maxClaims {
		r.voice("da-1", 1, numbered(i))
	}
	if len(r.claims) != maxClaims || len(r.said["da-1"]) != maxClaims {
		t.Fatalf("keeps %d claims and %d of one aggregator, want %d", len(r.claims), len(r.said["da-1"]), maxClaims)
	}
	if tell(r, "da-2", 1, numbered(2*maxClaims-1)) {
		t.Error("a claim that was forgotten still has its voice")
	}
	if !tell(r, "da-2", 1, numbered(2*maxClaims)) {
		t.Error("the oldest claim that is kept has lost its voice")
	}
}

// A liar that says as much as it likes makes the agent forget no honest word,
// whether it waits for another or was told.
func TestReceiptsKeepHonestVoicesBesideALiar(t *testing.T) {
	_, keys := receipttest.DAs(4)
	r := New(receipttest.Chain, keys, nil)
	told, waits := entry(1, true, "", ""), entry(2, true, "", "")
	r.voice("da-2", 7, told)
	if !tell(r, "da-3", 7, told) {
		t.Fatal("two voices of four are not enough")
	}
	r.voice("da-2", 7, waits)
	r.voice("da-1", 7, told) // the liar's word is one of those it forgets
	for i := range 20_000 {
		r.voice("da-1", 9, numbered(i))
	}
	if !tell(r, "da-3", 7, waits) {
		t.Error("the honest word that waited is forgotten")
	}
	if tell(r, "da-4", 7, told) {
		t.Error("the same outcome is told twice")
	}
}

func FuzzReceipts(f *testing.F) {
	das, keys := receipttest.DAs(4)
	f.Add([]byte{})
	payload, _ := proto.Marshal(&fairwattpb.Receipt{ChainId: receipttest.Chain[:], Da: "da-1", Height: 1, Entries: []*fairwattpb.ReceiptEntry{entry(1, true, "", "")}})
	f.Add(payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		sealed, err := seal.Seal(das[0].Key, "da-1", seal.DomainReceipt, receipttest.Chain, payload)
		if err != nil {
			t.Skip()
		}
		r := New(receipttest.Chain, keys, nil)
		// One aggregator alone never makes an outcome, whatever it signs.
		if v, _ := r.Add("da-1", sealed); len(v) != 0 {
			t.Fatalf("one voice made %d outcomes", len(v))
		}
	})
}

// When the members change, f+1 is counted anew and among them alone: the word of one
// that has left counts no more, nor does what it said before.
func TestOnlyTheMembersOfNowCount(t *testing.T) {
	das, _ := receipttest.DAs(8)
	of := func(members ...int) map[string]ed25519.PublicKey {
		out := make(map[string]ed25519.PublicKey)
		for _, k := range members {
			out[das[k].ID] = das[k].Key.Public().(ed25519.PublicKey)
		}
		return out
	}
	r := New(receipttest.Chain, of(0, 1, 2, 3), nil)
	said := func(what string, da int, raw []byte, want int) {
		t.Helper()
		got, err := r.Add(das[da].ID, raw)
		if err != nil || len(got) != want {
			t.Errorf("%s: %d outcomes, want %d: %v", what, len(got), want, err)
		}
	}
	done := entry(1, true, "", "")
	said("one that leaves", 0, das[0].Receipt(t, 7, done), 0)
	said("one that leaves is busy", 0, das[0].Busy(t, 0, 5, 100), 0)
	said("one that stays is busy", 1, das[1].Busy(t, 0, 5, 100), 1)
	r.Members(of(1, 2, 3, 4))
	if got, err := r.Add(das[0].ID, das[0].Receipt(t, 7, done)); err == nil || len(got) != 0 {
		t.Errorf("one that has left: %d outcomes, %v", len(got), err)
	}
	said("the first of now", 1, das[1].Receipt(t, 7, done), 0)
	said("the second of now", 4, das[4].Receipt(t, 7, done), 1)

	r = New(receipttest.Chain, of(0, 1, 2, 3), nil)
	said("one that leaves is busy", 0, das[0].Busy(t, 0, 5, 100), 0)
	r.Members(of(1, 2, 3, 4))
	said("the first that is busy now", 1, das[1].Busy(t, 0, 5, 100), 0)
	said("the second that is busy now", 2, das[2].Busy(t, 0, 5, 100), 1)

	r.Members(of(1, 2, 3, 4, 5, 6, 7))
	other := entry(2, true, "", "")
	for k, da := range []int{1, 5, 7} { // of seven, two may lie
		said("of seven", da, das[da].Receipt(t, 8, other), k/2)
	}
}
