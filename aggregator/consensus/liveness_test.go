package consensus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// twisted is an application that proposes what the test wants.
type twisted struct {
	*fakeApp
	propose func(records [][]byte) ([][]byte, error)
}

func (a *twisted) Propose(ctx context.Context, epoch, view uint64, leader string, records [][]byte) ([]byte, error) {
	records, err := a.propose(records)
	if err != nil {
		return nil, err
	}
	return a.fakeApp.Propose(ctx, epoch, view, leader, records)
}

// A leader that lives, and beats, but brings no block about is given up.
func TestUselessLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.tweak = func(cfg *Config) {
			if cfg.Self == "da1" {
				cfg.App = &twisted{c.apps["da1"], func([][]byte) ([][]byte, error) { return nil, errors.New("nothing comes to mind") }}
			}
		}
		c.startAll()
		begin := time.Now()
		c.submit("da3", 200) // only one DA knows of the record
		c.until("a block", func() bool { return c.apps["da3"].Height() > 0 })
		t.Logf("failed over %v after the record came", time.Since(begin).Round(time.Millisecond))
		if leader := c.apps["da3"].header(t, 1).AccountingNode; leader == "da1" {
			t.Errorf("block of %s", leader)
		}
		c.allDecided(c.names...)
	})
}

// A leader that decides everything but one sender's records is given up too, also
// one that goes from one short epoch into the next.
func TestCensoringLeader(t *testing.T) {
	for name, every := range map[string]uint64{"one long epoch": 100000, "short epochs": 10} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testCensoringLeader(t, every) }) })
	}
}

func testCensoringLeader(t *testing.T, every uint64) {
	c := newCluster(t, 4, every, lan)
	c.tweak = func(cfg *Config) {
		cfg.ForwardTimeout = 200 * time.Millisecond
		if cfg.Self == "da1" {
			cfg.App = &twisted{c.apps["da1"], func(records [][]byte) ([][]byte, error) {
				var liked [][]byte
				for _, r := range records {
					if !strings.Contains(string(r), "of da3") {
						liked = append(liked, r)
					}
				}
				return liked, nil
			}}
		}
	}
	c.startAll()
	stop := c.feed("da2", "da4")
	c.until("blocks", func() bool { return c.apps["da3"].Height() > 5 })
	censored := c.submit("da3", 200)
	c.until("the censored record's end", func() bool { return c.apps["da3"].has(censored) })
	stop()
	c.allDecided(c.names...)
}

// A member that keeps its votes back, and takes part in all else, costs nothing but its vote.
func TestWithheldVotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.sieved(func(from, _ string, f *peerpb.Frame, m *protos.Message) bool {
			return from != "da4" || m.GetCommit() == nil && m.GetPrepare() == nil && f.GetBundle() == nil
		})
		c.startAll()
		for range 20 {
			c.submit("da1", 100)
			c.allDecided(c.names...)
		}
		for _, da := range c.names {
			if s := c.node(da).Stats(); s.ViewChanges != 0 || s.Restarts != 0 {
				t.Errorf("%s: %d view changes, %d restarts", da, s.ViewChanges, s.Restarts)
			}
		}
	})
}

// A leader that recorded its block and crashed before anyone else had it sends
// it after the restart. No view change is needed.
func TestLeaderCrashBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.start("da1")
		c.answer("da1", "da2", "da3")
		c.until("da1 to run", func() bool { return c.node("da1").Stats().Voting })
		c.submit("da1", 200)
		key := guard.Place{Epoch: 1, Seq: 1}
		c.until("the block to be recorded", func() bool { return c.node("da1").blocks.get(key) != nil })
		hash := c.node("da1").blocks.get(key).hash
		c.stop("da1")
		c.start("da2", "da3", "da4", "da1")
		c.until("the block", func() bool { return c.apps["da3"].Height() == 1 })
		if got := c.node("da3").blocks.get(key); got == nil || got.hash != hash {
			t.Error("another block was decided than the one recorded")
		}
		if v := c.node("da3").Stats().ViewChanges; v != 0 {
			t.Errorf("%d view changes", v)
		}
		c.allDecided(c.names...)
	})
}

// A record that stops being valid while it waits is dropped and its sender's
// side told.
func TestRecordTurnsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		var mu sync.Mutex
		var dropped []error
		c.tweak = func(cfg *Config) {
			cfg.Dropped = func(_ []byte, reason error) { mu.Lock(); defer mu.Unlock(); dropped = append(dropped, reason) }
		}
		c.start("da1", "da2") // no quorum: the record has to wait
		c.submit("da1", 100)
		id := c.sent[0]
		app := c.apps["da1"]
		app.mu.Lock()
		app.seen[id] = 1
		app.mu.Unlock()
		c.until("the drop", func() bool { mu.Lock(); defer mu.Unlock(); return len(dropped) == 1 })
		if !errors.Is(dropped[0], errSeen) || c.node("da1").Stats().DroppedLater != 1 || c.node("da1").Stats().Pending != 0 {
			t.Errorf("dropped %v, stats %+v", dropped, c.node("da1").Stats())
		}
	})
}

func TestSubmitRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.tweak = func(cfg *Config) { cfg.PendingRecords, cfg.RecordBytes = 2, 1000 }
		c.start("da1")
		n, ctx := c.node("da1"), context.Background()
		if err := n.Submit(ctx, nil); err == nil || errors.Is(err, ErrBusy) {
			t.Errorf("bytes without an id: %v", err)
		}
		if err := n.Submit(ctx, append([]byte("record"), make([]byte, 1000)...)); err == nil {
			t.Error("an oversized record was taken")
		}
		for k := range 3 {
			err := n.Submit(ctx, []byte{'r', 'e', 'c', 'o', 'r', 'd', byte(k)})
			if want := k == 2; errors.Is(err, ErrBusy) != want {
				t.Errorf("record %d: %v", k, err)
			}
		}
		if err := n.Submit(ctx, []byte("record\x00")); err != nil {
			t.Errorf("a record that is pending already: %v", err)
		}
		c.stop("da1")
		if err := n.Submit(ctx, []byte("record\x09")); !errors.Is(err, ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// A second certified block at a height stops the node.
func TestForkStopsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, i := newIdle(t)
		cb, err := c.apps["da3"].Block(1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.node.store(i, cb, 1, true); err != nil {
			t.Errorf("the same block again: %v", err)
		}
		other, err := i.certify([]byte("h"), []byte("another block"), nil, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		var fault *faultError
		if _, err := i.node.store(i, other, 1, true); !errors.As(err, &fault) || !fault.final || !strings.Contains(err.Error(), "FORK") {
			t.Errorf("another block: %v", err)
		}
		if _, err := i.node.store(i, other, 9, true); !errors.As(err, &fault) || fault.final {
			t.Errorf("a block after a gap: %v", err)
		}
	})
}

// failing is an application whose disk is full.
type failing struct{ *fakeApp }

func (failing) Commit(*fairwattpb.CertifiedBlock) (Decision, error) { return Decision{}, errDisk }

var errDisk = errors.New("no space left on device")

// runWith runs a node over another application than its own until the test ends, and
// tells what its Run returned.
func (c *cluster) runWith(name string, app Application) (*Node, <-chan error) {
	c.t.Helper()
	link := c.net.Join(name)
	cfg := c.config(name, link)
	cfg.App = app
	n, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = link.Run(ctx, handlers(n)) })
	done := make(chan error, 1)
	wg.Go(func() { done <- n.Run(ctx) })
	c.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return n, done
}

// A node that cannot store a block stops and says why.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.start("da1", "da2", "da3")
		_, done := c.runWith("da4", failing{c.apps["da4"]})
		c.submit("da1", 100)
		select {
		case err := <-done:
			if !errors.Is(err, errDisk) {
				t.Errorf("stopped with %v", err)
			}
		case <-time.After(wait):
			t.Fatal("still runs")
		}
		c.allDecided("da1", "da2", "da3")
	})
}

// hanging is an application whose disk hangs, and then fails.
type hanging struct {
	*fakeApp
	hangs, fails chan struct{}
}

func (h hanging) Commit(*fairwattpb.CertifiedBlock) (Decision, error) {
	close(h.hangs)
	<-h.fails
	return Decision{}, errDisk
}

// A node whose disk fails stops, also when the leader was given up meanwhile and the
// library's view changer waits for the controller that the disk has stopped. A
// goroutine left behind fails the bubble.
func TestDiskFailsDuringAViewChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		// What has decisions to check waits for the application's lock, and time stands still.
		c.sieved(func(_, to string, _ *peerpb.Frame, m *protos.Message) bool {
			return to != "da4" || m.GetViewData() == nil && m.GetNewView() == nil
		})
		c.start("da1", "da2", "da3")
		app := hanging{c.apps["da4"], make(chan struct{}), make(chan struct{})}
		n, done := c.runWith("da4", app)
		fail := sync.OnceFunc(func() { close(app.fails) })
		defer fail()
		c.submit("da1", 100)
		<-app.hangs
		i := n.instance()
		c.until("da4 asks for the end of a view twice", func() bool {
			for _, name := range c.names[:3] {
				if other := c.node(name).instance(); other != nil { // nil between two of them
					complain(other.bft, other.view.Load())
				}
			}
			asked, _ := i.turnstile.Passed()
			return asked[0] > 1
		})
		fail()
		if err := <-done; !errors.Is(err, errDisk) {
			t.Errorf("stopped with %v", err)
		}
	})
}

// The library's words that foretell its deadlock are those of the version in
// use: after a view change each has been seen.
func TestSignsOfTheLibrary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.startAll()
		c.submit("da2", 100)
		c.allDecided(c.names...)
		signs := &c.node("da2").instance().signs
		if s := signs.State(); s.Decided == 0 || s.Delivering {
			t.Errorf("%+v: the library's messages have changed", s)
		}
		c.stop("da1")
		c.submit("da2", 100)
		c.allDecided(c.names[1:]...)
		if s := signs.State(); s.Doomed == 0 || s.Aborted {
			t.Errorf("%+v: the library's messages have changed", s)
		}
		asked, taken := c.node("da2").instance().turnstile.Passed()
		if asked[0] == 0 || asked[1] == 0 || asked != taken {
			t.Errorf("asked %v, taken %v: the library's messages have changed", asked, taken)
		}
	})
}
