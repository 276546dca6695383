package ledger_test

import (
	"bytes"
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
)

// A state that is read back ends what is due as the state that was never put
// away, whatever order its entries came in: else a restarted data aggregator
// would build another block than the others.
func TestARestoredStateEndsTheSame(t *testing.T) {
	w := newWorld(t, nil)
	w.must(ledgertest.Centre, deposit(buyer, 10_000_000, "r"))
	for i := range int64(7) {
		r := w.request(1000, 200_000)
		r.GetRequest().RequestId, r.GetRequest().ExpiresMs = fmt.Sprintf("request-%d", i), w.NowMs+60_000-i*5_000
		w.must(buyer, r)
	}
	w.NowMs += 45_000 // four of seven are due
	want, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 { // an index is built in the order of a map
		s, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.Build(w.Fields(), nil); err != nil || !bytes.Equal(got.Block(), want.Block()) {
			t.Fatalf("another block: %v", err)
		}
	}
}
