package mc_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/snapshot"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"
)

// movedChain is a chain in epochs of 4 on which da-5 joins and da-1 leaves.
func movedChain(t *testing.T) *ledgertest.Chain {
	t.Helper()
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochBlocks = 4
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 15 {
		sender := "seller-1"
		record := &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: uint64(i) + 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}}
		switch i {
		case 1:
			sender, record = ledgertest.Centre, c.Admit("da-5")
		case 2:
			sender, record = "da-5", &fairwattpb.Record{Body: &fairwattpb.Record_Rejoin{Rejoin: &fairwattpb.Rejoin{Epoch: c.State.Epoch()}}}
		case 6:
			sender, record = ledgertest.Centre, c.Retire("da-1")
		}
		sealed, err := c.Seal(sender, record)
		if err == nil {
			_, err = c.Advance(sealed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// reached are the data aggregators that a centre has dialled.
type reached struct {
	c     *ledgertest.Chain
	first uint64 // the oldest block that they keep
	dir   snapshot.Folder

	mu                    sync.Mutex
	dialled, closed, took []string
	followed              []string
}

func (r *reached) note(to *[]string, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*to = append(*to, id)
}

func (r *reached) in(of *[]string, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(*of, id)
}

type reachedDA struct {
	r  *reached
	id string
}

func (d *reachedDA) Follow(ctx context.Context, from uint64, f func(*fairwattpb.CertifiedBlock) error) error {
	d.r.note(&d.r.followed, d.id)
	if from < d.r.first {
		return wire.ErrArchived
	}
	for ; from <= uint64(len(d.r.c.Blocks)); from++ {
		if err := f(d.r.c.Blocks[from-1]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (d *reachedDA) Submit(context.Context, []byte) error {
	d.r.note(&d.r.took, d.id)
	return nil
}

func (d *reachedDA) Close() error {
	d.r.note(&d.r.closed, d.id)
	return nil
}

func (d *reachedDA) SnapshotPiece(_ context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	return d.r.dir.Piece(req)
}

// runReached runs a centre over them for a while of the bubble's time, with a deposit
// on its way.
func runReached(t *testing.T, r *reached) uint64 {
	t.Helper()
	c, err := mc.NewCentre(mc.CentreConfig{ID: ledgertest.Centre, Key: ledgertest.Key(ledgertest.Centre), Genesis: r.c.Genesis,
		Dial: func(da ledger.DA) (mc.Chain, error) {
			r.note(&r.dialled, da.ID)
			return &reachedDA{r, da.ID}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if err := c.Deposit(ctx, &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1, Reference: "x"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the deposit: %v", err) // no block takes it
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	return c.Stats().Height
}

// TestCentreKeepsToTheMembers: who has joined is followed and submitted to, and who has
// left is let go.
func TestCentreKeepsToTheMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.UnixMilli(ledgertest.StartMs)))
		r := &reached{c: movedChain(t)}
		if h := runReached(t, r); h != 15 {
			t.Fatalf("at block %d", h)
		}
		if !r.in(&r.dialled, "da-5") || !r.in(&r.took, "da-5") || !r.in(&r.closed, "da-1") || r.in(&r.took, "da-1") || r.in(&r.closed, "da-2") {
			t.Errorf("dialled %v, closed %v, submitted to %v", r.dialled, r.closed, r.took)
		}
	})
}

// TestCentreBeginsWithASnapshot: where no one keeps the first block, a centre begins with
// a snapshot and keeps to its members.
func TestCentreBeginsWithASnapshot(t *testing.T) {
	dir := snapshot.Folder(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.UnixMilli(ledgertest.StartMs)))
		r := &reached{c: movedChain(t), first: 12, dir: dir}
		at, err := ledger.NewState(r.c.Genesis)
		if err != nil {
			t.Fatal(err)
		}
		for at.Height() < 4 || at.EpochFirstHeight() != at.Height()+1 || at.Height() < r.first-1 {
			st, err := at.VerifyCertified(r.c.Blocks[at.Height()])
			if err == nil {
				err = at.Commit(st)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		turns, err := at.TurnsBelow(at.Height(), func(h uint64) (*fairwattpb.CertifiedBlock, error) { return r.c.Blocks[h-1], nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := dir.Keep(at.Height(), &snapshot.Snapshot{Chain: at.ChainID(), Turns: turns, Block: r.c.Blocks[at.Height()-1], Entries: at.Entries()}); err != nil {
			t.Fatal(err)
		}
		if h := runReached(t, r); h != 15 {
			t.Fatalf("at block %d; the snapshot is of block %d", h, at.Height())
		}
		if !r.in(&r.dialled, "da-5") || !r.in(&r.closed, "da-1") || r.in(&r.took, "da-1") {
			t.Errorf("dialled %v, closed %v, submitted to %v", r.dialled, r.closed, r.took)
		}
	})
}
