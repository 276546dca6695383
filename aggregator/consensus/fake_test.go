package consensus

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

var testChain = sha256.Sum256([]byte("a chain for tests"))

// fakeApp is a ledger that only chains blocks and refuses repeats. It lives in
// memory and survives the node that uses it, as a disk would.
type fakeApp struct {
	mu      sync.Mutex
	keys    map[string]ed25519.PublicKey
	self    string
	order   []string
	links   map[string]int
	every   uint64 // blocks an epoch
	epoch   Epoch
	blocks  []*fairwattpb.CertifiedBlock
	seen    map[string]uint64 // record -> height
	failed  map[string]bool   // in the running epoch
	refused int               // blocks Verify refused
	checks  atomic.Int64      // of records
	// noRejoin: this one asks for no end of an epoch.
	noRejoin bool
	town     *fakeTown // nil: the members stay
	pubs     map[string]ed25519.PublicKey
	onBlock  func(height uint64, records int)
	sync     *os.File // synced at each commit when set
}

func newFakeApp(keys map[string]ed25519.PublicKey, order []string, links map[string]int, every uint64) *fakeApp {
	return &fakeApp{
		keys: keys, order: order, links: links, every: every, seen: make(map[string]uint64), failed: make(map[string]bool),
		epoch: testEpoch(1, order, nil, links, 0),
	}
}

// testEpoch is an epoch of members that all trust each other, 1 ms apart; last
// are those that failed.
func testEpoch(number uint64, order, last []string, links map[string]int, lastHeight uint64) Epoch {
	e := Epoch{Number: number, Order: slices.Concat(order, last), LastHeight: lastHeight, Tree: wct.WCT}
	if number%4 == 1 {
		e.Tree = wct.OCT
	}
	in := &wct.Input{N: len(e.Order), TrustWeight: 1, LinkWeight: 1, TrustThresholdE4: 8000, OverheadThresholdUs: 8000}
	for k, da := range e.Order {
		in.TrustE4, in.Links = append(in.TrustE4, 8500), append(in.Links, links[da])
		in.OverheadUs = append(in.OverheadUs, slices.Repeat([]int64{1000}, in.N))
		e.Failed = append(e.Failed, k >= len(order))
	}
	e.Network = in
	return e
}

func recordID(sealed []byte) string { id := seal.ID(sealed); return hex.EncodeToString(id[:]) }

func (a *fakeApp) RecordID(sealed []byte) (string, string, error) {
	if len(sealed) == 0 {
		return "", "", errors.New("no record")
	}
	return recordID(sealed), senderOf(sealed), nil
}

// senderOf is who a record of a test is by, or else of: the word behind that.
func senderOf(sealed []byte) string {
	for _, word := range []string{" by ", " of "} {
		if _, after, ok := bytes.Cut(sealed, []byte(word)); ok {
			name, _, _ := bytes.Cut(after, []byte(" "))
			return string(name)
		}
	}
	return ""
}

var errSeen = errors.New("record is on the chain already")

func (a *fakeApp) CheckRecord(sealed []byte) (string, string, error) {
	a.checks.Add(1)
	if !bytes.HasPrefix(sealed, []byte("record")) {
		return "", "", errors.New("no record")
	}
	id := recordID(sealed)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.seen[id]; ok {
		return id, "", errSeen
	}
	return id, senderOf(sealed), nil
}

func (a *fakeApp) prev() []byte {
	if len(a.blocks) == 0 {
		return testChain[:]
	}
	b := &fairwattpb.Block{}
	if err := proto.Unmarshal(a.blocks[len(a.blocks)-1].Block, b); err != nil {
		panic(err)
	}
	h := sha256.Sum256(b.Header)
	return h[:]
}

func rootOf(records [][]byte) []byte {
	h := sha256.New()
	for _, r := range records {
		id := seal.ID(r)
		h.Write(id[:])
	}
	return h.Sum(nil)
}

func (a *fakeApp) Propose(_ context.Context, epoch, view uint64, leader string, records [][]byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &fairwattpb.Block{}
	for _, r := range records {
		if _, ok := a.seen[recordID(r)]; !ok {
			b.Records = append(b.Records, r)
		}
	}
	header, err := proto.Marshal(&fairwattpb.BlockHeader{
		ChainId: testChain[:], Height: uint64(len(a.blocks)) + 1, Epoch: epoch, View: view, AccountingNode: leader,
		PrevHash: a.prev(), TimeMs: time.Now().UnixMilli(), RecordCount: uint32(len(b.Records)), RecordsRoot: rootOf(b.Records),
	})
	if err != nil {
		return nil, err
	}
	b.Header = header
	return proto.Marshal(b)
}

func (a *fakeApp) check(raw []byte) (*fairwattpb.Block, *fairwattpb.BlockHeader, error) {
	b, h := &fairwattpb.Block{}, &fairwattpb.BlockHeader{}
	if err := errors.Join(proto.Unmarshal(raw, b), proto.Unmarshal(b.GetHeader(), h)); err != nil {
		return nil, nil, err
	}
	switch {
	case !bytes.Equal(h.ChainId, testChain[:]):
		return nil, nil, errors.New("another chain")
	case h.Height != uint64(len(a.blocks))+1:
		return nil, nil, fmt.Errorf("height %d on top of %d", h.Height, len(a.blocks))
	case !bytes.Equal(h.PrevHash, a.prev()):
		return nil, nil, errors.New("previous hash")
	case h.Epoch != a.epoch.Number:
		return nil, nil, fmt.Errorf("epoch %d in %d", h.Epoch, a.epoch.Number)
	case !bytes.Equal(h.RecordsRoot, rootOf(b.Records)):
		return nil, nil, errors.New("records root")
	}
	for _, r := range b.Records {
		if _, ok := a.seen[recordID(r)]; ok {
			return nil, nil, errSeen
		}
	}
	return b, h, nil
}

func (a *fakeApp) Verify(raw []byte, epoch, view uint64, leader string) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, h, err := a.check(raw)
	if err == nil && (h.Epoch != epoch || h.View != view || h.AccountingNode != leader) {
		err = errors.New("header is of another place")
	}
	if err != nil {
		a.refused++
		return nil, err
	}
	ids := make([]string, len(b.Records))
	for k, r := range b.Records {
		ids[k] = recordID(r)
	}
	return ids, nil
}

func (a *fakeApp) VerifyCertified(cb *fairwattpb.CertifiedBlock) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, _, err := a.check(cb.GetBlock())
	if err != nil {
		return err
	}
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.GetCertificate(), c); err != nil {
		return err
	}
	hash := sha256.Sum256(b.Header)
	if !bytes.Equal(hash[:], c.HeaderHash) || c.Height != uint64(len(a.blocks))+1 {
		return errors.New("certificate of another block")
	}
	votes, auxes := make(map[string]bool), make([][]byte, 0, len(c.Votes))
	for _, v := range c.Votes {
		auxes = append(auxes, v.Aux)
		key := a.keys[v.Da]
		if a.town != nil {
			key = a.town.keys[v.Da]
		}
		if key != nil && seal.Verify(key, seal.DomainVote, testChain, v.Da, guard.VotePayload(b.Header, c.Metadata, v.Aux), v.Signature) {
			votes[v.Da] = true
		}
	}
	if !wire.OneRound(auxes) {
		return errors.New("votes of several rounds")
	}
	if !quorumOf(votes, a.order) {
		return fmt.Errorf("%d valid votes, want %d of %v", len(votes), wire.Quorum(len(a.order)), a.order)
	}
	return nil
}

func (a *fakeApp) Commit(cb *fairwattpb.CertifiedBlock) (Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, h, err := a.check(cb.GetBlock())
	if err != nil {
		return Decision{}, err
	}
	if a.sync != nil {
		if _, err := a.sync.Write(cb.Block); err != nil {
			return Decision{}, err
		}
		if err := a.sync.Sync(); err != nil {
			return Decision{}, err
		}
	}
	a.blocks = append(a.blocks, cb)
	for _, r := range b.Records {
		a.seen[recordID(r)] = h.Height
	}
	n := uint64(len(a.order))
	for k := uint64(0); k < h.View && k < n; k++ {
		a.failed[a.epoch.Order[k]] = true
	}
	if a.onBlock != nil {
		a.onBlock(h.Height, len(b.Records))
	}
	decision := Decision{}
	for _, r := range b.Records {
		decision.RecordIDs = append(decision.RecordIDs, recordID(r))
		decision.Reseats = a.takeRecord(r, h.Epoch) || decision.Reseats
	}
	if decision.Reseats {
		a.seat()
	}
	rejoined := slices.ContainsFunc(b.Records, func(r []byte) bool { return bytes.HasPrefix(r, fmt.Appendf(nil, "record rejoin %d ", h.Epoch)) })
	if h.Height-a.epoch.LastHeight < a.every && !rejoined {
		return decision, nil
	}
	a.turn()
	var order, last []string
	for _, da := range a.order {
		if a.failed[da] {
			last = append(last, da)
		} else {
			order = append(order, da)
		}
	}
	clear(a.failed)
	a.epoch = testEpoch(a.epoch.Number+1, order, last, a.links, h.Height)
	if a.town != nil {
		a.seat()
	}
	decision.EndsEpoch, decision.Next = true, a.epoch
	return decision, nil
}

func (a *fakeApp) Height() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return uint64(len(a.blocks))
}

func (a *fakeApp) Block(h uint64) (*fairwattpb.CertifiedBlock, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h == 0 || h > uint64(len(a.blocks)) {
		return nil, fmt.Errorf("no block %d", h)
	}
	return a.blocks[h-1], nil
}

func (a *fakeApp) Epoch() Epoch {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.epoch
}

// Rejoin makes a record that ends the epoch it names.
func (a *fakeApp) Rejoin(epoch uint64) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.noRejoin {
		return nil, errors.New("too soon")
	}
	if a.town != nil && a.town.keys[a.self] == nil {
		return nil, errors.New("not admitted")
	}
	return fmt.Appendf(nil, "record rejoin %d of %s", epoch, a.self), nil
}

func (a *fakeApp) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.seen[id]
	return ok
}

// header returns the decoded header of a block.
func (a *fakeApp) header(t *testing.T, height uint64) *fairwattpb.BlockHeader {
	t.Helper()
	cb, err := a.Block(height)
	if err != nil {
		t.Fatal(err)
	}
	b, h := &fairwattpb.Block{}, &fairwattpb.BlockHeader{}
	if err := errors.Join(proto.Unmarshal(cb.Block, b), proto.Unmarshal(b.Header, h)); err != nil {
		t.Fatal(err)
	}
	return h
}

// votes are the members in the certificate of a block.
func (a *fakeApp) votes(t testing.TB, height uint64) []string {
	t.Helper()
	cb, err := a.Block(height)
	if err != nil {
		t.Fatal(err)
	}
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.Certificate, c); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range c.Votes {
		out = append(out, v.Da)
	}
	return out
}

// lastOf is the header of the last block of an epoch that has ended.
func (a *fakeApp) lastOf(t *testing.T, epoch uint64) *fairwattpb.BlockHeader {
	t.Helper()
	for height := a.Height(); height > 0; height-- {
		if h := a.header(t, height); h.Epoch == epoch {
			return h
		}
	}
	t.Fatalf("no block of epoch %d", epoch)
	return nil
}

// wait is how long anything may take in these tests, on the bubble's clock.
const wait = 15 * time.Second
