package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"

	"google.golang.org/protobuf/proto"
)

func newChain(t testing.TB) *ledgertest.Chain {
	t.Helper()
	c, err := ledgertest.New(ledgertest.Genesis(4, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// grow adds blocks with one deposit each to the chain and to the store.
func grow(t testing.TB, c *ledgertest.Chain, s *store.Store, blocks int) {
	t.Helper()
	for range blocks {
		sealed, err := c.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
			To: "buyer-1", AmountMicro: 7, Reference: fmt.Sprintf("deposit-%d", c.State.Height()),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		st, err := c.Advance(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(st, c.Blocks[len(c.Blocks)-1]); err != nil {
			t.Fatal(err)
		}
	}
}

func openStore(t testing.TB, path string, id [32]byte) *store.Store {
	t.Helper()
	s, err := store.Open(path, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReopen(t *testing.T) {
	c, path := newChain(t), filepath.Join(t.TempDir(), "chain.db")
	for round := range 3 {
		s := openStore(t, path, c.State.ChainID())
		if s.Height() != c.State.Height() {
			t.Fatalf("round %d: height %d, want %d", round, s.Height(), c.State.Height())
		}
		state, err := s.LoadState(c.Genesis)
		if err != nil || state.Root() != c.State.Root() || state.HeaderHash() != c.State.HeaderHash() || state.Height() != c.State.Height() {
			t.Fatalf("round %d: loaded state differs: %v", round, err)
		}
		grow(t, c, s, 3)
		next := uint64(2)
		if err := s.Blocks(2, 100, func(h uint64, cb *fairwattpb.CertifiedBlock) error {
			if h != next || !proto.Equal(cb, c.Blocks[h-1]) {
				t.Errorf("block %d is not the one stored", h)
			}
			next++
			return nil
		}); err != nil || next != c.State.Height()+1 {
			t.Fatalf("blocks up to %d, %v", next, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	c := newChain(t)
	s := openStore(t, filepath.Join(t.TempDir(), "chain.db"), c.State.ChainID())
	defer s.Close()
	grow(t, c, s, 2)
	// Another chain of the same genesis: same heights, other blocks.
	other := newChain(t)
	other.NowMs += 1000
	for h := range 3 {
		st, err := other.Advance()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(st, other.Blocks[h]); !errors.Is(err, store.ErrFork) {
			t.Errorf("fork at height %d: %v", h+1, err)
		}
		if err := s.Append(st, c.Blocks[0]); err == nil || errors.Is(err, store.ErrFork) {
			t.Errorf("another block than the staged one: %v", err)
		}
	}
	again, err := ledger.NewState(c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	first, err := again.VerifyCertified(c.Blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(first, c.Blocks[0]); err != nil {
		t.Errorf("the same block again: %v", err)
	}
	// A block above the next one: the store must not have a gap.
	ahead := openStore(t, filepath.Join(t.TempDir(), "chain.db"), c.State.ChainID())
	defer ahead.Close()
	if err := again.Commit(first); err != nil {
		t.Fatal(err)
	}
	second, err := again.VerifyCertified(c.Blocks[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := ahead.Append(second, c.Blocks[1]); err == nil || ahead.Height() != 0 {
		t.Errorf("a block at the wrong height was stored: %v", err)
	}
	if _, err := s.Block(3); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("block 3: %v", err)
	}
	if state, err := s.LoadState(c.Genesis); err != nil || state.Root() != c.State.Root() {
		t.Errorf("refused blocks left traces: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	c, dir := newChain(t), t.TempDir()
	path := filepath.Join(dir, "chain.db")
	s := openStore(t, path, c.State.ChainID())
	grow(t, c, s, 20)
	if _, err := store.Open(path, c.State.ChainID()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, [32]byte{1}); err == nil || !strings.Contains(err.Error(), "holds chain") {
		t.Errorf("another chain: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("not a chain\n"), 4000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, c.State.ChainID()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("garbage: %v", err)
	}
	for _, size := range []int{1, 5000, len(whole) / 2} {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(path, c.State.ChainID()); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("cut to %d of %d bytes: %v", size, len(whole), err)
		}
	}
	if _, err := store.OpenReadOnly(filepath.Join(dir, "none.db")); err == nil {
		t.Error("a file that is not there was opened to read")
	}
}

// TestDamagedState changes one byte of every stored account: LoadState must
// notice by the state root.
func TestDamagedState(t *testing.T) {
	c, path := newChain(t), filepath.Join(t.TempDir(), "chain.db")
	s := openStore(t, path, c.State.ChainID())
	grow(t, c, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, found := []byte("account/buyer-1\x00\x00"), false
	for from := 0; ; {
		i := bytes.Index(b[from:], key)
		if i < 0 {
			break
		}
		from += i + len(key)
		b[from+5] ^= 0x40 // in the wallet
		found = true
	}
	if !found {
		t.Fatal("no account in the file")
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, c.State.ChainID())
	defer s.Close()
	if _, err := s.LoadState(c.Genesis); err == nil || !strings.Contains(err.Error(), "state root") {
		t.Errorf("damaged state loaded: %v", err)
	}
}

// BenchmarkAppend stores blocks of 500 records, synced.
func BenchmarkAppend(b *testing.B) {
	g := ledgertest.Genesis(4, 500, 0)
	g.Params.EpochBlocks = 1_000_000
	c, err := ledgertest.New(g)
	if err != nil {
		b.Fatal(err)
	}
	s := openStore(b, filepath.Join(b.TempDir(), "chain.db"), c.State.ChainID())
	defer s.Close()
	const n = 500
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		records := make([][]byte, n)
		for j := range records {
			if records[j], err = c.Seal(fmt.Sprintf("seller-%d", j+1), &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{
				GateChange: &fairwattpb.GateChange{GateSeq: uint64(i + 1), State: fairwattpb.GateState_GATE_STATE_OPEN},
			}}); err != nil {
				b.Fatal(err)
			}
		}
		st, _, err := c.State.Build(c.Fields(), records, ledger.WithVerified(func([32]byte) bool { return true }))
		if err != nil {
			b.Fatal(err)
		}
		cb, err := c.Certify(st)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Append(st, cb); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.State.Commit(st); err != nil {
			b.Fatal(err)
		}
		c.NowMs = c.State.TimeMs()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/record")
}

// A file that is damaged while it is open gives one clear line with the file and what
// to do, for reading and for writing, and never ends the program.
func TestDamagedInUse(t *testing.T) {
	c, path := newChain(t), filepath.Join(t.TempDir(), "chain.db")
	s := openStore(t, path, c.State.ChainID())
	grow(t, c, s, 40)
	if err := os.Truncate(path, 2*int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	sealed, err := c.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 7, Reference: "last"}}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Advance(sealed)
	if err != nil {
		t.Fatal(err)
	}
	_, readErr := s.Block(3)
	_, stateErr := s.LoadState(c.Genesis)
	for what, err := range map[string]error{"read": readErr, "load": stateErr, "append": s.Append(st, c.Blocks[len(c.Blocks)-1])} {
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "move it away, and this data aggregator fetches its blocks from the others") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if h := s.Height(); h != 40 {
		t.Errorf("height %d of a chain of 40: a file that cannot be read is no empty one", h)
	}
	if err := s.Close(); err != nil && strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}

// One page of garbage, wherever it is: each use works or says what is wrong.
func TestDamagedPage(t *testing.T) {
	c, path := newChain(t), filepath.Join(t.TempDir(), "chain.db")
	s := openStore(t, path, c.State.ChainID())
	grow(t, c, s, 60)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page, failed := os.Getpagesize(), 0
	for at := 0; at < len(sound); at += page {
		garbled := bytes.Clone(sound)
		for k := at; k < at+page; k++ {
			garbled[k] = byte(k*7 + k/page)
		}
		damaged := filepath.Join(t.TempDir(), "chain.db")
		if err := os.WriteFile(damaged, garbled, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := useAll(damaged, c); err != nil {
			failed++
			if !strings.Contains(err.Error(), damaged) || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "move it away") {
				t.Errorf("page %d: %v", at/page, err)
			}
		}
	}
	if failed < 5 {
		t.Errorf("%d of %d pages were missed by nothing", len(sound)/page-failed, len(sound)/page)
	}
}

// useAll does with a store what a data aggregator does.
func useAll(path string, c *ledgertest.Chain) error {
	s, err := store.Open(path, c.State.ChainID())
	if err != nil {
		return err
	}
	_, err = s.LoadState(c.Genesis)
	if err == nil {
		err = s.Blocks(1, s.Height(), func(uint64, *fairwattpb.CertifiedBlock) error { return nil })
	}
	return errors.Join(err, s.Close())
}
