package page

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// What people said to devices is shown as the blocks have it, the newest first, and
// again after a restart; a bounded number of it.
func TestJournalOfWords(t *testing.T) {
	c, err := ledgertest.New(ledgertest.Genesis(1, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(t.TempDir(), "chain.db"), c.State.ChainID())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	live := journal{state: c.State, trades: 5, shown: maxWords + 5}
	say := func(w *fairwattpb.Word) {
		t.Helper()
		sealed, err := c.Seal("seller-1", &fairwattpb.Record{Body: &fairwattpb.Record_Word{Word: w}})
		if err != nil {
			t.Fatal(err)
		}
		st, _, err := c.State.Build(c.Fields(), [][]byte{sealed})
		if err != nil || len(st.Records()) != 1 {
			t.Fatalf("%v, %d records", err, len(st.Records()))
		}
		cb, err := c.Certify(st)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(st, cb); err != nil {
			t.Fatal(err)
		}
		if err := c.State.Commit(st); err != nil {
			t.Fatal(err)
		}
		c.NowMs = c.State.TimeMs()
		live.add(st, 1)
	}
	for i := range maxWords {
		say(&fairwattpb.Word{Kind: fairwattpb.WordKind_WORD_KIND_BLOCK, Rule: "B01", By: fmt.Sprint("Ada ", i), UntilMs: 5, Owner: "ada", CommandId: make([]byte, 32)})
	}
	say(&fairwattpb.Word{Kind: fairwattpb.WordKind_WORD_KIND_UNBLOCK, Rule: "B01", By: "Bob"})
	say(&fairwattpb.Word{Kind: fairwattpb.WordKind_WORD_KIND_ACK, Rule: "E12", By: "Eve", Why: "looked"})
	got := live.words
	if len(got) != maxWords {
		t.Fatalf("%d words are kept", len(got))
	}
	if w := got[0]; w.Device != "seller-1" || w.Do != "ack" || w.Rule != "E12" || w.By != "Eve" || w.Why != "looked" || w.Height != maxWords+2 || w.TimeMs == 0 {
		t.Errorf("the newest is %+v", w)
	}
	if w := got[2]; got[1].Do != "unblock" || w.Do != "block" || w.Owner != "ada" || w.UntilMs != 5 || w.By != fmt.Sprint("Ada ", maxWords-1) {
		t.Errorf("before it %+v, %+v", got[1], w)
	}
	again := journal{state: c.State, trades: 5, shown: maxWords + 5}
	if err := again.load(s); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.words, got) {
		t.Errorf("after a restart %+v", again.words)
	}
}
