package ledger_test

import (
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

func rejoin(epoch uint64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Rejoin{Rejoin: &fairwattpb.Rejoin{Epoch: epoch}}}
}

// A rejoin ends the epoch at its block, whatever else stands there, and one of the
// same aggregator is taken again 100 blocks later, not 99. Others are free to.
func TestRejoinEndsTheEpoch(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 1000 })
	w.wait(1)
	if counter, from, err := w.State.Rejoining("da-2"); counter != 1 || from != 0 || err != nil {
		t.Errorf("before the first: counter %d, from block %d, %v", counter, from, err)
	}
	first, err := w.Seal("da-2", rejoin(1))
	if err != nil {
		t.Fatal(err)
	}
	st, err := w.Advance(w.sealed(seller, 1, gate(1, open)), first, w.sealed("da-3", 1, rejoin(1)), w.sealed(buyer, 1, gate(1, open)))
	if err != nil {
		t.Fatal(err)
	}
	if !st.EndsEpoch() || w.State.Epoch() != 2 || w.State.EpochFirstHeight() != 3 {
		t.Fatalf("ends %v, epoch %d from block %d", st.EndsEpoch(), w.State.Epoch(), w.State.EpochFirstHeight())
	}
	for i, o := range st.Outcomes() {
		if !o.GetApplied() {
			t.Errorf("record %d: %v", i, o)
		}
	}
	if counter, from, err := w.State.Rejoining("da-2"); counter != 2 || from != 102 || err != nil {
		t.Errorf("after the first: counter %d, from block %d, %v", counter, from, err)
	}
	for w.State.Height() < 100 {
		w.wait(1)
	}
	if code := w.send("da-2", rejoin(2)); code != wire.CodeTooSoon || w.State.Epoch() != 2 {
		t.Errorf("in block 101: %q, epoch %d", code, w.State.Epoch())
	}
	if code := w.send("da-2", rejoin(2)); code != "" || w.State.Epoch() != 3 || w.State.EpochFirstHeight() != 103 {
		t.Errorf("in block 102: %q, epoch %d", code, w.State.Epoch())
	}
}

// What the state says of a rejoin is checked before it is believed.
func TestDamagedRejoin(t *testing.T) {
	w := newWorld(t, nil)
	for _, key := range []string{"rejoin/da-2", "window/da-2"} {
		s, err := ledger.Restore(w.Genesis, 0, w.State.ChainID(), append(w.State.Entries(), ledger.Entry{Key: []byte(key), Value: []byte("damaged")}))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Rejoining("da-2"); err == nil {
			t.Errorf("a damaged %s passed", key)
		}
		if _, _, err := s.Build(w.Fields(), [][]byte{w.sealed("da-2", 1, rejoin(1))}); err == nil && key == "rejoin/da-2" {
			t.Error("a block was built on a damaged state")
		}
	}
}
