package aggregator

import (
	"path/filepath"
	"testing"
	"time"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/intake"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/receipt"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// What was remembered of signatures is void behind a block that changes a key. A record
// under the old key, checked before, would pass here and with no one that checks it first
// now: honest members would not agree on its block.
func TestAKeyChangeForgetsSignatures(t *testing.T) {
	c, err := ledgertest.New(ledgertest.Genesis(4, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := store.Open(filepath.Join(dir, StoreFile), c.State.ChainID())
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := receipt.Open(filepath.Join(dir, receipt.File), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := outcomes.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	a := &app{
		now: time.Now, state: c.State, store: s, outcomes: outcomes, held: new(consensus.Held), disk: func() {}, committed: func(*ledger.Staged, int) {},
		failed: func(err error) { t.Error(err) }, verified: intake.NewRecent[uint64](8), staged: make(map[[32]byte]*ledger.Staged),
	}
	deposit := &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1, Reference: "bank-1"}}}
	old, err := c.SealAs(ledgertest.Centre, 2, deposit)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := a.check(old)
	if err != nil {
		t.Fatal(err)
	}
	if !a.known(checked.ID) {
		t.Fatal("a signature that holds is not remembered")
	}
	commit := func(sealed ...[]byte) {
		t.Helper()
		c.NowMs = c.State.TimeMs() + 1
		st, dropped, err := c.State.Build(c.Fields(), sealed)
		if err != nil || len(dropped) > 0 {
			t.Fatalf("%v, %d records dropped", err, len(dropped))
		}
		cb, err := c.Certify(st)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Commit(cb); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	if !a.known(checked.ID) {
		t.Error("forgotten without a change of keys")
	}
	rekey, err := c.SealAs(ledgertest.Centre, 1, c.Rekey(ledgertest.Centre, ledgertest.Centre+"-2"))
	if err != nil {
		t.Fatal(err)
	}
	commit(rekey)
	if a.known(checked.ID) {
		t.Error("the old key's signature is still remembered")
	}
	if _, err := a.check(old); err == nil {
		t.Error("the old key still signs")
	}
}
