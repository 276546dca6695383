package soak

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// storesOf makes the chains of data aggregators that have so many blocks of one chain. Each
// of the last blocks of one that forks is another one.
func storesOf(t *testing.T, heights []uint64, forks int) (*soak, []*store.Store) {
	t.Helper()
	s := &soak{}
	var all []*store.Store
	for k, height := range heights {
		c, err := ledgertest.New(ledgertest.Genesis(4, 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		f, err := store.Open(filepath.Join(t.TempDir(), "chain.db"), c.State.ChainID())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		for h := uint64(1); h <= height; h++ {
			amount := int64(7)
			if k == forks && h == height {
				amount++
			}
			sealed, err := c.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
				To: "buyer-1", AmountMicro: amount, Reference: fmt.Sprintf("deposit-%d", h),
			}}})
			if err != nil {
				t.Fatal(err)
			}
			var st *ledger.Staged
			if st, err = c.Advance(sealed); err == nil {
				err = f.Append(st, c.Blocks[h-1])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, f)
		s.all = append(s.all, &process{id: fmt.Sprintf("da-%d", k+1)})
	}
	return s, all
}

// All chains have what all had when the load was over, and the same blocks. Who ended before
// a block of the others' own came lacks that one; no record of it is missed.
func TestChainsAreCompared(t *testing.T) {
	t.Parallel()
	const none = -1
	for name, c := range map[string]struct {
		heights []uint64
		agreed  uint64
		forks   int
		broken  string
	}{
		"all alike":                             {[]uint64{3, 3, 3}, 3, none, ""},
		"one block came while they ended":       {[]uint64{3, 4, 3}, 3, none, ""},
		"one lacks what it said that it had":    {[]uint64{3, 2, 3}, 3, none, "da-2 ends at block 2, and said that it had 3"},
		"the first lacks what it said":          {[]uint64{2, 3, 3}, 3, none, "da-1 ends at block 2, and said that it had 3"},
		"another block at a height":             {[]uint64{3, 3, 3}, 3, 2, "FORK: da-1 and da-3 have different blocks at height 3"},
		"another block below the longest chain": {[]uint64{3, 4, 3}, 3, 0, "FORK: da-2 and da-1 have different blocks at height 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, chains := storesOf(t, c.heights, c.forks)
			s.agreed = c.agreed
			stands, err := s.compare(chains)
			if err != nil {
				t.Fatal(err)
			}
			longest := max(c.heights[0], c.heights[1], c.heights[2])
			if s.report.Height != longest || len(stands) != int(longest) {
				t.Errorf("height %d, %d records", s.report.Height, len(stands))
			}
			if got := strings.Join(s.report.Broken, "\n"); got != c.broken {
				t.Errorf("broken: %q, want %q", got, c.broken)
			}
		})
	}
}
