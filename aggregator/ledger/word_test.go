package ledger_test

import (
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// ack is a word said on the device itself.
func ack(rule, by string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Word{Word: &fairwattpb.Word{
		Kind: fairwattpb.WordKind_WORD_KIND_ACK, Rule: rule, By: by,
	}}}
}

// The limits of a word: who may be named how, what goes with what.
func TestWords(t *testing.T) {
	w := newWorld(t, nil)
	for _, kind := range []int64{1, 3} { // neither has an end
		r := w.examples()["word"]
		r.GetWord().Kind = fairwattpb.WordKind(kind)
		if _, err := w.State.CheckRecord(sealRaw(t, w, r)); code(err) != wire.CodeMalformed || !strings.Contains(err.Error(), "until_ms: ") {
			t.Errorf("kind %d with an end: %v", kind, err)
		}
		r.GetWord().UntilMs = 0
		if _, err := w.State.CheckRecord(sealRaw(t, w, r)); err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	for _, kind := range []int64{0, 4, -1} {
		w.malformed("word", "word.kind", "kind", kind)
	}
	for _, good := range []string{"E12", "M-thunderstorm", strings.Repeat("x", 160)} {
		w.allowed("word", "word.rule", good)
	}
	for _, bad := range []string{"", "E 12", "E12\n", strings.Repeat("x", 161)} {
		w.malformed("word", "word.rule", "rule", bad)
	}
	for _, good := range []string{"A", "李小龙", strings.Repeat("x", 64)} {
		w.allowed("word", "word.by", good)
	}
	for _, bad := range []string{"", " ", "A\n", "A\u202e", strings.Repeat("x", 65)} {
		w.malformed("word", "word.by", "by", bad)
	}
	w.allowed("word", "word.why", "")
	w.allowed("word", "word.why", strings.Repeat("x", 256))
	for _, bad := range []string{" ", "A\x1b", strings.Repeat("x", 257)} {
		w.malformed("word", "word.why", "why", bad)
	}
	for _, bad := range []string{"Ada", "a/b", strings.Repeat("x", 65)} {
		w.malformed("word", "word.owner", "owner", bad)
	}
	w.malformed("word", "word.owner", "command_id", "") // an id of no one's command
	for _, n := range []int{0, 31, 33} {
		w.malformed("word", "word.command_id", "command_id", make([]byte, n))
	}
}

// A word stands in its block, signed by its device, and moves nothing: not the gate,
// no money. Of one device each counter counts once.
func TestWordStandsInItsBlock(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.Advance(w.sealed(seller, 1, gate(1, blocked))); err != nil {
		t.Fatal(err)
	}
	before := w.State.Entries()
	sealed := w.sealed(seller, 2, ack("E12", "Ada"))
	staged, err := w.Advance(sealed)
	if err != nil {
		t.Fatal(err)
	}
	records := staged.Records()
	if len(records) != 1 || ledger.Kind(records[0].Record) != "word" || records[0].Record.GetWord().GetBy() != "Ada" || records[0].Record.GetSender() != seller {
		t.Fatalf("the block holds %v", records)
	}
	if len(staged.Notices()) != 0 {
		t.Errorf("told: %v", staged.Notices())
	}
	was := make(map[string]string)
	for _, e := range before {
		was[string(e.Key)] = string(e.Value)
	}
	after := w.State.Entries()
	for _, e := range after {
		key := string(e.Key)
		if value, had := was[key]; (!had || value != string(e.Value)) && key != "meta" && key != "window/"+seller {
			t.Errorf("it changed %s", key)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d entries, before %d", len(after), len(before))
	}
	if g, ok := w.State.GateOf(seller); !ok || g.State != blocked {
		t.Errorf("the gate is %v", g)
	}
	if _, err := w.State.CheckRecord(sealed); code(err) != wire.CodeReplayed {
		t.Errorf("a second time: %v", err)
	}
}
