package aggregator

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/intake"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/receipt"
	"fairwatt/aggregator/store"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// app is the ledger and the store as agreement sees them.
type app struct {
	self     string
	key      crypto.Signer
	genesis  *ledger.Genesis
	now      func() time.Time
	state    *ledger.State
	store    *store.Store
	outcomes *receipt.Outcomes
	// committed is told of each block that is on disk and in the state.
	committed func(st *ledger.Staged, votes int)
	// failed is told why the DA can go on no more.
	failed func(error)
	disk   func() // is called for each wait for the disk
	took   *console.Histogram
	held   *consensus.Held

	// verified holds ids of records whose signature was checked here, by the keys of then:
	// keys counts the changes of keys. A signature of before such a change may be none now,
	// and all members must come to the same.
	verified *intake.Recent[uint64]
	keys     atomic.Uint64

	mu     sync.Mutex
	staged map[[32]byte]*ledger.Staged // verified blocks above the state, by header hash
	// unfit are the records the newest proposal had to leave out, and why.
	unfit map[[32]byte]*ledger.Refusal
	// rejoin is the newest record made to end an epoch.
	rejoin struct {
		epoch, counter uint64
		sealed         []byte
	}
}

var _ consensus.Application = (*app)(nil)

const (
	keptSignatures = 200_000
	// maxStaged bounds the proposals kept for one height: one an agreement view
	// in practice.
	maxStaged = 16
)

func (a *app) known(id [32]byte) bool {
	keys, ok := a.verified.Get(id)
	return ok && keys == a.keys.Load()
}

// Propose implements consensus.Application. Block time is this DA's clock, but
// always above the block before, so that a clock set back stops nothing.
func (a *app) Propose(_ context.Context, epoch, view uint64, leader string, records [][]byte) ([]byte, error) {
	h := ledger.HeaderFields{
		Epoch: epoch, View: view, AccountingNode: leader,
		TimeMs: max(a.now().UnixMilli(), a.state.TimeMs()+1),
	}
	st, left, err := a.state.Build(h, records, ledger.WithVerified(a.known))
	if err != nil {
		return nil, fmt.Errorf("build block %d: %w", a.state.Height()+1, err)
	}
	a.keep(st)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unfit = make(map[[32]byte]*ledger.Refusal)
	for _, l := range left {
		if l.Refusal != nil {
			a.unfit[l.ID] = l.Refusal
		}
	}
	return st.Block(), nil
}

// Verify implements consensus.Application.
func (a *app) Verify(block []byte, epoch, view uint64, leader string) ([]string, error) {
	st, err := a.stage(block)
	if err != nil {
		return nil, err
	}
	h := st.Header()
	if h.GetEpoch() != epoch || h.GetView() != view || h.GetAccountingNode() != leader {
		return nil, fmt.Errorf("block %d says epoch %d, view %d, accounting node %q; agreed are %d, %d, %q",
			h.GetHeight(), h.GetEpoch(), h.GetView(), h.GetAccountingNode(), epoch, view, leader)
	}
	params := a.genesis.Params
	if err := params.CheckSkew(h.GetTimeMs(), a.now().UnixMilli()); err != nil {
		return nil, err
	}
	a.keep(st)
	return idsOf(st), nil
}

// idsOf returns the ids of a block's records as agreement names them.
func idsOf(st *ledger.Staged) []string {
	ids := make([]string, 0, len(st.Records()))
	for _, c := range st.Records() {
		ids = append(ids, hex.EncodeToString(c.ID[:]))
	}
	return ids
}

// RecordID implements consensus.Application.
func (a *app) RecordID(sealed []byte) (id, client string, err error) {
	signer, _, err := seal.Peek(sealed)
	if err != nil {
		return "", "", err
	}
	sum := seal.ID(sealed)
	return hex.EncodeToString(sum[:]), signer, nil
}

// CheckRecord implements consensus.Application. Agreement asks it again about
// records a proposal left out; those it refuses leave the pool.
func (a *app) CheckRecord(sealed []byte) (id, client string, err error) {
	sum := seal.ID(sealed)
	a.mu.Lock()
	unfit := a.unfit[sum]
	a.mu.Unlock()
	switch {
	case unfit != nil:
		return "", "", unfit
	case a.outcomes.Has(sum):
		return "", "", errFinal
	case a.known(sum):
		return a.RecordID(sealed)
	}
	c, err := a.check(sealed)
	if err != nil {
		return "", "", err
	}
	return hex.EncodeToString(c.ID[:]), c.Record.GetSender(), nil
}

var errFinal = &ledger.Refusal{Code: wire.CodeReplayed, Reason: "the record stands in a block already"}

// check is the full check of a record; it remembers a signature that holds.
func (a *app) check(sealed []byte) (*ledger.Checked, error) {
	keys := a.keys.Load()
	c, err := a.state.CheckRecord(sealed)
	if err != nil {
		return nil, err
	}
	a.verified.Put(c.ID, keys)
	return c, nil
}

// VerifyCertified implements consensus.Application.
func (a *app) VerifyCertified(cb *fairwattpb.CertifiedBlock) error {
	st, err := a.state.VerifyCertified(cb, ledger.WithVerified(a.known), ledger.WithHeld(a.held))
	if err != nil {
		return err
	}
	a.keep(st)
	return nil
}

// Commit implements consensus.Application. The store is synced before the state
// moves and before anything that says "final" leaves.
func (a *app) Commit(cb *fairwattpb.CertifiedBlock) (consensus.Decision, error) {
	began := a.now()
	st, err := a.stage(cb.GetBlock())
	if err != nil {
		return consensus.Decision{}, a.fail("commit", err)
	}
	cert, err := a.state.VerifyCertificate(st, cb.GetCertificate(), ledger.WithHeld(a.held))
	if err != nil {
		return consensus.Decision{}, a.fail("commit", err)
	}
	var disk errgroup.Group // two files, one wait
	disk.Go(func() error {
		a.disk() // for the pages
		a.disk() // and for the page that makes them count
		return a.store.Append(st, cb)
	})
	disk.Go(func() error { return a.outcomes.Write(st) })
	if err := disk.Wait(); err != nil {
		return consensus.Decision{}, a.fail("store", err)
	}
	if err := a.state.Commit(st); err != nil {
		return consensus.Decision{}, a.fail("apply", err)
	}
	if st.NewKeys() {
		a.keys.Add(1) // behind the state: see check
	}
	a.mu.Lock()
	clear(a.staged)
	a.mu.Unlock()
	a.took.Observe(a.now().Sub(began))
	a.committed(st, len(cert.GetVotes()))
	out := consensus.Decision{RecordIDs: idsOf(st), EndsEpoch: st.EndsEpoch(), Reseats: st.Reseats()}
	if out.EndsEpoch {
		out.Next = a.Epoch()
	}
	return out, nil
}

// fail notes why the DA stops.
func (a *app) fail(what string, err error) error {
	err = fmt.Errorf("%s block %d: %w", what, a.state.Height()+1, err)
	a.failed(err)
	return err
}

// Height implements consensus.Application.
func (a *app) Height() uint64 { return a.store.Height() }

// Block implements consensus.Application.
func (a *app) Block(height uint64) (*fairwattpb.CertifiedBlock, error) {
	return a.store.Block(height)
}

// Epoch implements consensus.Application.
func (a *app) Epoch() consensus.Epoch {
	network, failed := a.state.Network()
	e := consensus.Epoch{
		Number: a.state.Epoch(), Order: network.IDs, LastHeight: a.state.EpochFirstHeight() - 1,
		Network: network, Failed: failed, Probes: a.state.Probes(), Tree: wct.Algorithm(a.genesis.Params.Tree),
	}
	a.seats(&e)
	return e
}

// Rejoin implements consensus.Application.
func (a *app) Rejoin(epoch uint64) ([]byte, error) {
	if err := a.mayRejoin(); err != nil {
		return nil, err
	}
	counter, from, err := a.state.Rejoining(a.self)
	if err != nil {
		return nil, err
	}
	if now := a.state.Epoch(); now != epoch {
		return nil, fmt.Errorf("rejoin in epoch %d: the present one is %d", epoch, now)
	}
	if next := a.state.Height() + 1; next < from {
		return nil, fmt.Errorf("rejoin in block %d: the chain takes the next of %s from block %d on", next, a.self, from)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rejoin.sealed != nil && a.rejoin.epoch == epoch && a.rejoin.counter == counter {
		return a.rejoin.sealed, nil
	}
	chain := a.state.ChainID()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: chain[:], Sender: a.self, Counter: counter, TimeMs: a.now().UnixMilli(),
		Body: &fairwattpb.Record_Rejoin{Rejoin: &fairwattpb.Rejoin{Epoch: epoch}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode rejoin: %w", err)
	}
	sealed, err := seal.Seal(a.key, a.self, seal.DomainRecord, chain, payload)
	if err != nil {
		return nil, fmt.Errorf("sign rejoin: %w", err)
	}
	a.rejoin.sealed, a.rejoin.epoch, a.rejoin.counter = sealed, epoch, counter
	return sealed, nil
}

// stage returns the verified block: the one kept, where these very bytes were
// staged before, or one that it verifies now.
func (a *app) stage(block []byte) (*ledger.Staged, error) {
	id, err := ledger.BlockID(block)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	st := a.staged[id]
	a.mu.Unlock()
	if st != nil && bytes.Equal(st.Block(), block) {
		return st, nil
	}
	return a.state.Verify(block, ledger.WithVerified(a.known))
}

func (a *app) keep(st *ledger.Staged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.staged) >= maxStaged {
		clear(a.staged) // they are verified again when needed
	}
	a.staged[st.HeaderHash()] = st
}
