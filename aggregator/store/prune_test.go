package store_test

import (
	"errors"
	"path/filepath"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"

	"google.golang.org/protobuf/proto"
)

// TestPrune: old blocks go, are said to be in the archive, and the chain goes on; of one
// with a change of members the header stays.
func TestPrune(t *testing.T) {
	c, path := newChain(t), filepath.Join(t.TempDir(), "chain.db")
	s := openStore(t, path, c.State.ChainID())
	grow(t, c, s, 150)
	if err := s.Prune(130, []uint64{5, 70, 140}); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if s.First() != 130 || s.Height() != 150 {
			t.Fatalf("round %d: blocks %d to %d", round, s.First(), s.Height())
		}
		for _, h := range []uint64{1, 5, 129} {
			if _, err := s.Block(h); !errors.Is(err, store.ErrArchived) || !errors.Is(err, store.ErrNotFound) {
				t.Errorf("block %d: %v", h, err)
			}
		}
		if err := s.Blocks(129, 131, func(uint64, *fairwattpb.CertifiedBlock) error { return nil }); !errors.Is(err, store.ErrArchived) {
			t.Errorf("blocks from 129 on: %v", err)
		}
		if cb, err := s.Block(130); err != nil || !proto.Equal(cb, c.Blocks[129]) {
			t.Errorf("block 130: %v", err)
		}
		for _, h := range []uint64{5, 70, 140} {
			cb, err := s.Turn(h)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ledger.TurnOf(cb, c.State.Members())
			want, err2 := ledger.TurnOf(c.Blocks[h-1], c.State.Members())
			if err != nil || err2 != nil || !proto.Equal(got, want) || h < 130 && len(cb.GetBlock()) >= len(c.Blocks[h-1].GetBlock()) {
				t.Errorf("change at block %d: %v, %v", h, err, err2)
			}
		}
		if _, err := s.Turn(6); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a block without a change: %v", err)
		}
		state, err := s.LoadState(c.Genesis)
		if err != nil || state.Root() != c.State.Root() {
			t.Fatalf("state: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, path, c.State.ChainID())
	}
	grow(t, c, s, 2)
	if err := s.Prune(99_999, nil); err != nil || s.First() != s.Height() {
		t.Errorf("the newest block stays: %d to %d, %v", s.First(), s.Height(), err)
	}
	if err := s.Prune(3, nil); err != nil || s.First() != s.Height() {
		t.Errorf("pruned again: %d, %v", s.First(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBegin: a chain begins with a state and the block behind which it stands, and goes
// on. Below what is stored, or with a block that is not the state's, it does not.
func TestBegin(t *testing.T) {
	c, dir := newChain(t), t.TempDir()
	full := openStore(t, filepath.Join(dir, "full.db"), c.State.ChainID())
	grow(t, c, full, 10)
	state, err := full.LoadState(c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	begun := openStore(t, filepath.Join(dir, "begun.db"), c.State.ChainID())
	other := newChain(t)
	grow(t, other, begun, 3) // a few blocks of before give way
	turn, err := ledger.TurnOf(c.Blocks[3], c.State.Members())
	if err != nil {
		t.Fatal(err)
	}
	start := &store.Start{State: state, Block: c.Blocks[9], Turns: []*fairwattpb.Turn{turn}}
	if err := begun.Begin(&store.Start{State: state, Block: c.Blocks[8]}); err == nil {
		t.Error("begun with another block than the state's")
	}
	if err := begun.Begin(start); err != nil {
		t.Fatal(err)
	}
	if err := begun.Begin(start); err == nil {
		t.Error("begun at the newest block")
	}
	if begun.First() != 10 || begun.Height() != 10 {
		t.Fatalf("blocks %d to %d", begun.First(), begun.Height())
	}
	grow(t, c, begun, 5)
	if err := begun.Close(); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, filepath.Join(dir, "begun.db"), c.State.ChainID())
	after, err := again.LoadState(c.Genesis)
	if err != nil || after.Root() != c.State.Root() || again.First() != 10 {
		t.Fatalf("after a restart: first %d, %v", again.First(), err)
	}
	if cb, err := again.Turn(4); err != nil || len(cb.GetBlock()) == 0 {
		t.Errorf("the change of block 4: %v", err)
	}
	if _, err := again.Block(4); !errors.Is(err, store.ErrArchived) {
		t.Errorf("block 4: %v", err)
	}
	if err := errors.Join(again.Close(), full.Close()); err != nil {
		t.Fatal(err)
	}
}
