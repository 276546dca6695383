package aggregator_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
)

// change is the record of a change of members, by a centre or an aggregator.
func (w *town) change(by string, counter uint64, r *fairwattpb.Record) {
	w.t.Helper()
	d := &device{w: w, id: by}
	sealed := d.seal(by, counter, r)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.da("da-2").Submit(ctx, sealed); err != nil {
		w.t.Fatal(err)
	}
}

func proofOf(t *testing.T, w *town, id, name string) []byte {
	t.Helper()
	proof, err := members.Prove(ledgertest.Key(name), w.chain, id)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// TestMembersOfARunningChain: a fifth aggregator starts without a block, is admitted,
// and votes; a key is changed; a member retires and ends by itself. Meanwhile a device
// sends. Then a new follower knows the members from the genesis and the blocks.
func TestMembersOfARunningChain(t *testing.T) {
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochBlocks = 5
	w := newTown(t, g)
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	seq := uint64(0)
	load := func() {
		t.Helper()
		seq++
		if o := seller.send(seller.gate(seq, fairwattpb.GateState_GATE_STATE_OPEN)); !o.GetApplied() {
			t.Fatalf("gate change %d: %v", seq, o)
		}
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(90 * time.Second); !ok(); load() {
			if time.Now().After(end) {
				t.Fatalf("waited 90 s for %s", what)
			}
		}
	}
	for range 8 {
		load()
	}
	w.start("da-5")
	w.change(ledgertest.Centre, 1, &fairwattpb.Record{Body: &fairwattpb.Record_Admit{Admit: &fairwattpb.Admit{
		Id: "da-5", Role: fairwattpb.Role_ROLE_DA, PublicKey: string(ledgertest.PublicKey("da-5")), Proof: proofOf(t, w, "da-5", "da-5"),
		Address: "127.0.0.1:9005", Links: 2, TrustE4: 8500, OverheadUs: 1000,
	}}})
	until("da-5 to vote", func() bool { return w.da("da-5").Stats().Voting })
	w.change(ledgertest.Centre, 2, &fairwattpb.Record{Body: &fairwattpb.Record_Rekey{Rekey: &fairwattpb.Rekey{
		Id: "da-3", PublicKey: string(ledgertest.PublicKey("da-3-2")), Proof: proofOf(t, w, "da-3", "da-3-2"),
	}}})
	second := ledgertest.Key("da-3-2").Public().(ed25519.PublicKey)
	until("da-3 to vote with its second key", func() bool {
		key, _ := w.da("da-3").State().Members().Key("da-3")
		return key.Equal(second) && w.da("da-3").Stats().Voting
	})
	w.change(ledgertest.Centre, 3, &fairwattpb.Record{Body: &fairwattpb.Record_Retire{Retire: &fairwattpb.Retire{Id: "da-1"}}})
	until("da-1 to leave", func() bool { return !slices.Contains(w.da("da-2").State().Order(), "da-1") })
	if err := w.wait("da-1"); err != nil {
		t.Errorf("da-1 ended with %v", err)
	}
	for range 12 {
		load()
	}
	w.followAll(slices.Values([]string{"da-2", "da-3", "da-4", "da-5"}))
}

// followAll checks the chains of aggregators as someone would who has the genesis alone.
func (w *town) followAll(ids func(yield func(string) bool)) {
	w.t.Helper()
	for id := range ids {
		state, err := ledger.NewState(w.g)
		if err != nil {
			w.t.Fatal(err)
		}
		set, err := w.g.FirstMembers()
		if err != nil {
			w.t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		height := w.da(id).State().Height()
		err = w.da(id).Follow(ctx, 1, func(cb *fairwattpb.CertifiedBlock) error {
			st, err := state.VerifyCertified(cb)
			if err != nil {
				return err
			}
			if to, turned := st.Turn(); turned {
				turn, err := ledger.TurnOf(cb, to)
				if err == nil {
					set, err = set.Follow(turn)
				}
				if err != nil {
					return err
				}
			}
			if err := state.Commit(st); err != nil {
				return err
			}
			if state.Height() == height {
				return fmt.Errorf("enough: %w", context.Canceled)
			}
			return nil
		})
		cancel()
		if state.Height() != height {
			w.t.Fatalf("%s: block %d of %d: %v", id, state.Height()+1, height, err)
		}
		if got := set.Names(); !slices.Equal(got, []string{"da-2", "da-3", "da-4", "da-5"}) || !set.Same(state.Members()) {
			w.t.Errorf("%s: followed to %v, the chain has %v", id, got, state.Members().Names())
		}
	}
}
