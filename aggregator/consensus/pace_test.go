package consensus

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/wal"
	"fairwatt/aggregator/peer"
	"fairwatt/proto/fairwattpb"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
)

// spend has the node make a write of a kind that takes a time.
func (n *Node) spend(a *average, took time.Duration) {
	done := n.pace.begin(a)
	time.Sleep(took)
	done()
}

// Patience is the setting on a quick disk, longer in proportion on a slow one, and
// bounded.
func TestPatienceFollowsOwnWrites(t *testing.T) {
	for name, tc := range map[string]struct {
		entry, commit time.Duration
		complaints    int
		want          time.Duration
	}{
		"nothing measured":     {0, 0, 0, 500 * time.Millisecond},
		"quick":                {2 * time.Millisecond, 5 * time.Millisecond, 0, 500 * time.Millisecond},
		"just within":          {50 * time.Millisecond, 100 * time.Millisecond, 0, 500 * time.Millisecond},
		"slow":                 {200 * time.Millisecond, 400 * time.Millisecond, 0, 2 * time.Second},
		"slow log":             {200 * time.Millisecond, 0, 0, 1200 * time.Millisecond},
		"slow, and complained": {200 * time.Millisecond, 400 * time.Millisecond, 1, 4 * time.Second},
		"quick, complained":    {time.Millisecond, time.Millisecond, 2, 2 * time.Second},
		"slower than bearable": {2 * time.Second, 3 * time.Second, 0, 4 * time.Second},
		"all together":         {time.Second, time.Second, 9, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Node{}
				n.cfg.setDefaults()
				if tc.entry > 0 || tc.commit > 0 {
					n.spend(&n.pace.entries, tc.entry)
					n.spend(&n.pace.commits, tc.commit)
				}
				now := time.Now()
				w := watcher{node: n, complaints: tc.complaints, complain: now}
				if got := w.patience(now); got != tc.want {
					t.Errorf("patience %v, want %v", got, tc.want)
				}
				// The other timeouts grow by as much as the writes are slow.
				slow := w.patience(now) >> min(tc.complaints, 3)
				if got, want := n.stretch(time.Second, now), max(time.Second, 2*slow); tc.complaints == 0 && got != want {
					t.Errorf("a second becomes %v, want %v", got, want)
				}
			})
		})
	}
}

// A write that does not end counts while it lasts, and a disk that is quick again
// is soon taken for one.
func TestPaceOfOneStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pace{}
		done := p.begin(&p.commits)
		time.Sleep(700 * time.Millisecond)
		other := p.begin(&p.commits) // of an instance left behind
		if got := p.block(time.Now()); got != 700*time.Millisecond {
			t.Errorf("%v while a write of 700 ms goes on", got)
		}
		other()
		if got := p.block(time.Now()); got != 700*time.Millisecond {
			t.Errorf("%v while the longer write goes on", got)
		}
		done()
		for range 20 {
			p.begin(&p.commits)()
		}
		if got := p.block(time.Now()); got > 10*time.Millisecond {
			t.Errorf("%v after 20 quick writes", got)
		}
	})
}

// slowLogs are logs on a disk that takes its time for each write.
type slowLogs struct {
	logs
	write func()
}

func (l slowLogs) Open(log api.Logger, epoch, height uint64, entered bool) (wal.Log, [][]byte, error) {
	file, content, err := l.logs.Open(log, epoch, height, entered)
	return slowLog{file, l.write}, content, err
}

type slowLog struct {
	wal.Log
	write func()
}

func (l slowLog) Append(entry []byte, truncateTo bool) error {
	l.write()
	return l.Log.Append(entry, truncateTo)
}

// slowApp stores blocks on such a disk: a transaction syncs twice.
type slowApp struct {
	*fakeApp
	write func()
}

func (a slowApp) Commit(cb *fairwattpb.CertifiedBlock) (Decision, error) {
	a.write()
	a.write()
	return a.fakeApp.Commit(cb)
}

// Four members whose disks all take 200 ms a write decide block after block under
// load, and give no leader up. Members that do not know of their disks give up one
// leader after the other; they go on too, also where the library finishes a block under
// way in a view change and gives up while that block is being stored. It runs on the wall
// clock: writes are made under locks, and a bubble's clock would wait for those.
func TestSlowDisksOfAll(t *testing.T) {
	if os.Getenv("FAIRWATT_LONG") == "" {
		t.Skip("takes a minute: set FAIRWATT_LONG=1")
	}
	for name, knows := range map[string]bool{"patient": true, "impatient": false} {
		t.Run(name, func(t *testing.T) { testSlowDisksOfAll(t, knows) })
	}
}

func testSlowDisksOfAll(t *testing.T, knows bool) {
	c := newCluster(t, 4, 1000, peer.MemoryConfig{Seed: 1, MinDelay: time.Millisecond, MaxDelay: 3 * time.Millisecond})
	c.wait, c.wall = time.Minute, true
	disk := func() { time.Sleep(200 * time.Millisecond) } // the disk of this test, not a wait for something
	c.tweak = func(cfg *Config) { cfg.App = slowApp{c.apps[cfg.Self], disk} }
	c.mend = func(n *Node) {
		n.logs = slowLogs{n.logs, disk}
		if !knows {
			c.helpers.Go(func() { n.pace.forgets(c.done) })
		}
	}
	c.startAll()
	stop := c.feed(c.names...)
	begin := time.Now()
	for h := uint64(0); h < 25; h++ {
		c.until("a block", func() bool { return c.apps["da2"].Height() > h })
	}
	took := time.Since(begin)
	stop()
	if knows {
		c.allDecided(c.names...) // the others have more of a backlog than a test can wait for
	}
	c.sameChain(c.names...)
	var complaints, views uint64
	for _, name := range c.names {
		s := c.node(name).Stats()
		complaints, views = complaints+s.Complaints, max(views, s.ViewChanges)
	}
	t.Logf("25 blocks in %v, %d complaints, %d view changes", took.Round(time.Millisecond), complaints, views)
	if knows && views > 2 {
		t.Errorf("%d view changes: the members give up leaders who are no slower than they are", views)
	}
	if !knows && views < 2 {
		t.Errorf("%d view changes: this tries nothing", views)
	}
}

// forgets drops what was measured, again and again.
func (p *pace) forgets(done <-chan struct{}) {
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-done:
			return
		case <-every.C:
			p.mu.Lock()
			p.entries, p.commits = average{}, average{}
			p.mu.Unlock()
		}
	}
}
