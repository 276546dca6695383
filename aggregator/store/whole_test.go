package store_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// retireMeter has the centre take a meter of the genesis out of use: its serial number is
// free again, so the block removes an entry of the genesis.
func retireMeter(t testing.TB, c *ledgertest.Chain, s *store.Store, meter string) {
	t.Helper()
	sealed, err := c.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_MeterRetire{MeterRetire: &fairwattpb.MeterRetire{Meter: meter}}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Advance(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(st.Changes(), func(c ledger.Change) bool { return c.Delete && strings.HasPrefix(string(c.Key), "serial/") }) {
		t.Fatal("the block removes nothing of the genesis")
	}
	if err := s.Append(st, c.Blocks[len(c.Blocks)-1]); err != nil {
		t.Fatal(err)
	}
}

// loads opens the file anew and compares what it holds with the chain.
func loads(t testing.TB, c *ledgertest.Chain, path string) {
	t.Helper()
	s := openStore(t, path, c.State.ChainID())
	defer s.Close()
	if state, err := s.LoadState(c.Genesis); err != nil || state.Root() != c.State.Root() {
		t.Fatalf("after a restart: %v", err)
	}
}

// TestRemovedStaysAway: what a block removes of the genesis does not come back at a
// restart, wherever the chain began.
func TestRemovedStaysAway(t *testing.T) {
	c, path := newChain(t), filepath.Join(t.TempDir(), "chain.db")
	s := openStore(t, path, c.State.ChainID())
	grow(t, c, s, 2)
	retireMeter(t, c, s, "seller-1-meter")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loads(t, c, path)

	begun := filepath.Join(t.TempDir(), "chain.db")
	s = openStore(t, begun, c.State.ChainID())
	if err := s.Begin(&store.Start{State: c.State, Block: c.Blocks[2]}); err != nil {
		t.Fatal(err)
	}
	grow(t, c, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loads(t, c, begun)
}

// older makes a file such as were written before: without the entries of the genesis that
// no block set.
func older(t testing.TB, c *ledgertest.Chain, path string) {
	t.Helper()
	base, err := ledger.NewState(c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	err = db.Update(func(tx *bbolt.Tx) error {
		state := tx.Bucket([]byte("state"))
		for _, e := range base.Entries() {
			if bytes.Equal(state.Get(e.Key), e.Value) {
				removed++
				if err := state.Delete(e.Key); err != nil {
					return err
				}
			}
		}
		return tx.Bucket([]byte("meta")).Delete([]byte("whole"))
	})
	if err != nil || removed < 5 {
		t.Fatalf("%d entries, %v", removed, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOlderFile: a file of an older program is read, and whole from its next block on.
func TestOlderFile(t *testing.T) {
	c, path := newChain(t), filepath.Join(t.TempDir(), "chain.db")
	s := openStore(t, path, c.State.ChainID())
	grow(t, c, s, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	older(t, c, path)
	loads(t, c, path)
	s = openStore(t, path, c.State.ChainID())
	retireMeter(t, c, s, "buyer-1-meter")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loads(t, c, path)
}
