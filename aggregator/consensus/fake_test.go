package consensus

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/peer"
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

// cluster is a set of nodes over a network in memory.
type cluster struct {
	t     testing.TB
	names []string
	keys  map[string]ed25519.PrivateKey
	pubs  map[string]ed25519.PublicKey
	apps  map[string]*fakeApp
	dirs  map[string]string
	net   *peer.Memory
	nodes map[string]*Node
	stops map[string]func()
	sent  []string
	mu    sync.Mutex
	fresh func(name string) *fakeApp // a ledger without blocks
	ends  map[string]error           // of nodes that ended by themselves
	tweak func(*Config)
	mend  func(*Node)

	wall    bool            // the test runs on the wall clock, in no bubble
	evil    map[string]bool // members that do not tell the truth of their state
	wait    time.Duration
	cut     atomic.Bool   // the network is partitioned
	done    chan struct{} // closed at the end of the test
	helpers sync.WaitGroup
}

func newCluster(t testing.TB, n int, every uint64, cfg peer.MemoryConfig) *cluster {
	cfg.PromptFetch = true
	c := &cluster{
		t: t, keys: make(map[string]ed25519.PrivateKey), pubs: make(map[string]ed25519.PublicKey), apps: make(map[string]*fakeApp),
		dirs: make(map[string]string), net: peer.NewMemory(cfg), nodes: make(map[string]*Node), stops: make(map[string]func()),
		done: make(chan struct{}), wait: wait, ends: make(map[string]error),
	}
	links := make(map[string]int)
	for k := range n {
		name := fmt.Sprintf("da%d", k+1)
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(k + 1)}, 32))
		c.names = append(c.names, name)
		c.keys[name], c.pubs[name] = key, key.Public().(ed25519.PublicKey)
		links[name] = 1
	}
	links[c.names[0]] = 2
	c.fresh = func(name string) *fakeApp {
		app := newFakeApp(c.pubs, c.names, links, every)
		app.self = name
		return app
	}
	for _, name := range c.names {
		c.apps[name] = c.fresh(name)
		c.dirs[name] = tempDir(t)
	}
	t.Cleanup(func() {
		c.stopAll()
		close(c.done)
		c.helpers.Wait()
	})
	return c
}

// links gives each member so many links for blocks, before any starts.
func (c *cluster) links(each int) {
	for _, app := range c.apps {
		for name := range app.links {
			app.links[name] = each
		}
		app.epoch = testEpoch(1, app.order, nil, app.links, 0)
	}
}

// tempDir is a folder for logs: in memory where the system has a file system
// there, since logs are synced often. Benchmarks measure the disk.
func tempDir(t testing.TB) string {
	const memory = "/dev/shm"
	if _, bench := t.(*testing.B); bench {
		return t.TempDir()
	}
	if _, err := os.Stat(memory); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "fairwatt-consensus-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (c *cluster) config(name string, link Link) Config {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if text := os.Getenv("FAIRWATT_LOG"); text != "" {
		level := slog.LevelDebug
		if err := level.UnmarshalText([]byte(text)); err != nil {
			level = slog.LevelDebug
		}
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("da", name)
	}
	cfg := Config{
		Self: name, Key: c.keys[name], ChainID: testChain, Keys: c.pubs, Dir: c.dirs[name], App: c.apps[name], Link: link, Logger: log,
		SenderRecords: 20000, SenderBytes: 64 << 20,
	}
	if c.apps[name].town != nil {
		cfg.Keys, cfg.MoreKeys = nil, []crypto.Signer{secondKey(name)}
	}
	if c.tweak != nil {
		c.tweak(&cfg)
	}
	return cfg
}

func handlers(n *Node) peer.Handlers {
	return peer.Handlers{
		Frame: n.Receive, Pull: n.ServePull, Fetch: n.ServeFetch, Follow: n.ServeFollow,
		Submit: func(ctx context.Context, _ string, sealed []byte) error { return n.Submit(ctx, sealed) },
	}
}

func (c *cluster) start(names ...string) {
	c.t.Helper()
	for _, name := range names {
		link := c.net.Join(name)
		n, err := New(c.config(name, link))
		if err != nil {
			c.t.Fatal(err)
		}
		if !c.wall {
			n.adjust = c.hastenLibrary
		}
		if c.mend != nil {
			c.mend(n)
		}
		c.run(name, n, link.Run)
	}
}

// startAll starts all nodes and waits until they vote. One that came up after
// the first block would not vote before the next epoch.
func (c *cluster) startAll() {
	c.t.Helper()
	c.start(c.names...)
	for _, name := range c.names {
		c.until(name+" to vote", func() bool { return c.node(name).Stats().Voting })
	}
}

func (c *cluster) run(name string, n *Node, link func(context.Context, peer.Handlers) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := link(ctx, handlers(n)); err != nil {
			c.t.Errorf("%s: link: %v", name, err)
		}
	})
	// A node may vote before its link runs, and what is sent to a link that
	// does not run yet is lost: wait until it listens.
	if !c.wall {
		synctest.Wait()
	}
	wg.Go(func() {
		err := n.Run(ctx)
		leftBehind.Add(n.Stats().LeftBehind)
		if err != nil && !errors.Is(err, ErrRetired) {
			c.t.Errorf("%s: %v", name, err)
		}
		c.mu.Lock()
		c.ends[name] = err
		c.mu.Unlock()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[name] = n
	c.stops[name] = func() { cancel(); wg.Wait() }
}

func (c *cluster) stop(name string) {
	c.mu.Lock()
	stop := c.stops[name]
	delete(c.stops, name)
	delete(c.nodes, name)
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// ended is why a node ended by itself.
func (c *cluster) ended(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends[name]
}

func (c *cluster) stopAll() {
	for _, name := range c.names {
		c.stop(name)
	}
}

func (c *cluster) node(name string) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[name]
}

// submit hands a new record to a node, waiting for room, and returns its id.
func (c *cluster) submit(name string, size int) string {
	c.mu.Lock()
	text := fmt.Sprintf("record %d of %s ", len(c.sent), name)
	sealed := append([]byte(text), make([]byte, max(0, size-len(text)))...)
	c.sent = append(c.sent, recordID(sealed))
	c.mu.Unlock()
	for {
		err := c.node(name).Submit(context.Background(), sealed)
		if err == nil {
			return recordID(sealed)
		}
		if !errors.Is(err, ErrBusy) {
			c.t.Fatalf("submit: %v", err)
		}
		c.until("room", func() bool { r, _ := c.node(name).pool.Size(); return r < 19000 })
	}
}

// until waits for a condition.
func (c *cluster) until(what string, ok func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(c.wait)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			for _, name := range c.names {
				if n := c.node(name); n != nil {
					c.t.Logf("%s: %+v", name, n.Stats())
				}
			}
			c.sameChain(slices.DeleteFunc(slices.Clone(c.names), func(name string) bool { return c.node(name) == nil })...)
			c.t.Fatalf("waited %v for %s", c.wait, what)
		case <-poll.C:
		}
	}
}

// allDecided waits until each named node holds every record submitted, then
// checks that the chains are one and no record stands twice.
func (c *cluster) allDecided(names ...string) {
	c.t.Helper()
	c.mu.Lock()
	sent := c.sent
	c.mu.Unlock()
	for _, name := range names {
		next := 0
		c.until("the records at "+name, func() bool {
			for next < len(sent) && c.apps[name].has(sent[next]) {
				next++
			}
			return next == len(sent)
		})
	}
	c.sameChain(names...)
	for _, name := range names {
		total := 0
		app := c.apps[name]
		for h := uint64(1); h <= app.Height(); h++ {
			cb, err := app.Block(h)
			if err != nil {
				c.t.Fatal(err)
			}
			b := &fairwattpb.Block{}
			if err := proto.Unmarshal(cb.Block, b); err != nil {
				c.t.Fatal(err)
			}
			for _, r := range b.Records {
				if !bytes.HasPrefix(r, []byte("record rejoin ")) {
					total++
				}
			}
		}
		if total != len(sent) {
			c.t.Errorf("%s: %d records on the chain, %d submitted", name, total, len(sent))
		}
	}
}

func (c *cluster) sameChain(names ...string) {
	c.t.Helper()
	if len(names) == 0 {
		return
	}
	for _, name := range names[1:] {
		for h := uint64(1); h <= min(c.apps[names[0]].Height(), c.apps[name].Height()); h++ {
			a, errA := c.apps[names[0]].Block(h)
			b, errB := c.apps[name].Block(h)
			if err := errors.Join(errA, errB); err != nil {
				c.t.Fatal(err)
			}
			if !bytes.Equal(a.Block, b.Block) {
				c.t.Fatalf("FORK between %s and %s at %d", names[0], name, h)
			}
		}
	}
}
