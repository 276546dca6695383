package aggregator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// app is the ledger and the store as agreement sees them.
type app struct {
	da *DA

	verified *recent[struct{}] // ids of records whose signature was checked here

	mu     sync.Mutex
	staged map[[32]byte]*ledger.Staged // verified blocks above the state, by header hash
	// unfit are the records the newest proposal had to leave out, and why.
	unfit map[[32]byte]*ledger.Refusal
}

var _ consensus.Application = (*app)(nil)

// maxStaged bounds the proposals kept for one height: one a view in practice.
const maxStaged = 16

func newApp(d *DA) *app {
	return &app{
		da: d, verified: newRecent[struct{}](200_000),
		staged: make(map[[32]byte]*ledger.Staged),
	}
}

func (a *app) known(id [32]byte) bool {
	_, ok := a.verified.get(id)
	return ok
}

// Propose implements consensus.Application. Block time is this DA's clock, but
// always above the block before, so that a clock set back stops nothing.
func (a *app) Propose(_ context.Context, epoch, view uint64, leader string, records [][]byte) ([]byte, error) {
	s := a.da.state
	h := ledger.HeaderFields{
		Epoch: epoch, View: view, AccountingNode: leader,
		TimeMs: max(a.da.now().UnixMilli(), s.TimeMs()+1),
	}
	st, left, err := s.Build(h, records, ledger.WithVerified(a.known))
	if err != nil {
		return nil, fmt.Errorf("build block %d: %w", s.Height()+1, err)
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
	_, hash, _, err := ledger.DecodeBlock(block)
	if err != nil {
		return nil, err
	}
	st := a.find(hash)
	if st == nil {
		if st, err = a.da.state.Verify(block, ledger.WithVerified(a.known)); err != nil {
			return nil, err
		}
	}
	h := st.Header()
	if h.GetEpoch() != epoch || h.GetView() != view || h.GetAccountingNode() != leader {
		return nil, fmt.Errorf("block %d says epoch %d, view %d, accounting node %q; agreed are %d, %d, %q",
			h.GetHeight(), h.GetEpoch(), h.GetView(), h.GetAccountingNode(), epoch, view, leader)
	}
	params := a.da.deps.Genesis.Params
	if err := params.CheckSkew(h.GetTimeMs(), a.da.now().UnixMilli()); err != nil {
		return nil, err
	}
	a.keep(st)
	return idsOf(st), nil
}

// idsOf returns the ids of a block's records as agreement names them.
func idsOf(st *ledger.Staged) []string {
	ids := make([]string, 0, len(st.Records()))
	for _, id := range st.RecordIDs() {
		ids = append(ids, hex.EncodeToString(id[:]))
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
	case a.da.answers.has(sum):
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

// check is the full check at the door; it remembers a signature that holds.
func (a *app) check(sealed []byte) (*ledger.Checked, error) {
	c, err := a.da.state.CheckRecord(sealed)
	if err != nil {
		return nil, err
	}
	a.verified.put(c.ID, struct{}{})
	return c, nil
}

// VerifyCertified implements consensus.Application.
func (a *app) VerifyCertified(cb *fairwattpb.CertifiedBlock) error {
	st, err := a.da.state.VerifyCertified(cb, ledger.WithVerified(a.known))
	if err != nil {
		return err
	}
	a.keep(st)
	return nil
}

// Commit implements consensus.Application. The store is synced before the state
// moves and before anything that says "final" leaves.
func (a *app) Commit(cb *fairwattpb.CertifiedBlock) (consensus.Decision, error) {
	d := a.da
	_, hash, _, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return consensus.Decision{}, d.fail("commit", err)
	}
	st := a.find(hash)
	if st == nil {
		if st, err = d.state.VerifyCertified(cb, ledger.WithVerified(a.known)); err != nil {
			return consensus.Decision{}, d.fail("commit", err)
		}
	} else if _, err := ledger.VerifyCertificate(d.deps.Genesis, hash, cb.GetCertificate()); err != nil {
		return consensus.Decision{}, d.fail("commit", err)
	}
	height := st.Header().GetHeight()
	var disk errgroup.Group // two files, one wait
	disk.Go(func() error { return d.store.Append(cb, height, st.Changes()) })
	disk.Go(func() error { return d.answers.write(st) })
	if err := disk.Wait(); err != nil {
		return consensus.Decision{}, d.fail("store", err)
	}
	if err := d.state.Commit(st); err != nil {
		return consensus.Decision{}, d.fail("apply", err)
	}
	a.mu.Lock()
	clear(a.staged)
	a.mu.Unlock()
	if err := d.committed(st, cb); err != nil {
		return consensus.Decision{}, d.fail("show", err)
	}
	out := consensus.Decision{RecordIDs: idsOf(st), EndsEpoch: st.EndsEpoch()}
	if out.EndsEpoch {
		out.Next = a.Epoch()
	}
	return out, nil
}

// fail notes why the DA stops; the page shows it as long as it can.
func (d *DA) fail(what string, err error) error {
	err = fmt.Errorf("%s block %d: %w", what, d.state.Height()+1, err)
	d.setFault(err)
	return err
}

// committed tells everybody who waits for a block.
func (d *DA) committed(st *ledger.Staged, cb *fairwattpb.CertifiedBlock) error {
	d.answers.add(st)
	d.door.final(st, d.now())
	d.outbox.block(st)
	if err := d.history.add(d, st, cb); err != nil {
		return err
	}
	d.blocks.bump()
	d.version.bump()
	return nil
}

// Height implements consensus.Application.
func (a *app) Height() uint64 { return a.da.store.Height() }

// Block implements consensus.Application.
func (a *app) Block(height uint64) (*fairwattpb.CertifiedBlock, error) {
	return a.da.store.Block(height)
}

// Epoch implements consensus.Application.
func (a *app) Epoch() consensus.Epoch {
	s := a.da.state
	network, benched := s.Network()
	return consensus.Epoch{
		Number: s.Epoch(), Order: network.IDs, LastHeight: s.EpochFirstHeight() - 1,
		Network: network, Failed: benched, Tree: wct.Algorithm(a.da.deps.Genesis.Params.Tree),
	}
}

func (a *app) find(hash [32]byte) *ledger.Staged {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.staged[hash]
}

func (a *app) keep(st *ledger.Staged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.staged) >= maxStaged {
		clear(a.staged) // they are verified again when needed
	}
	a.staged[st.HeaderHash()] = st
}

// refusal returns the ledger's code and reason in an error.
func refusal(err error) (code, reason string) {
	var r *ledger.Refusal
	if errors.As(err, &r) {
		return r.Code, r.Reason
	}
	return "refused", err.Error()
}
