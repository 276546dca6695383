package consensus

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
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

	"fairwatt/aggregator/peer"
	"fairwatt/proto/fairwattpb"

	"google.golang.org/protobuf/proto"
)

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
