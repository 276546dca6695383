package consensus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
)

// slowDisks are the disks of all members. A write is made under a lock, and time in a bubble
// stands still while a goroutine waits for one (bubble_test.go). No one else wants these
// locks while each member has records that wait, the view goes on and none is stopped. So
// the first complaint makes the disks quick again, and is what the test finds.
type slowDisks struct {
	slog.Handler
	mu    sync.Mutex
	write time.Duration
	once  *sync.Once
	quick chan struct{}
}

func (d *slowDisks) takes(write time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write = write
}

// sync is one write.
func (d *slowDisks) sync() {
	d.mu.Lock()
	write := d.write
	d.mu.Unlock()
	done := time.NewTimer(write)
	defer done.Stop()
	select {
	case <-done.C:
	case <-d.quick:
	}
}

func (d *slowDisks) hurry() { d.once.Do(func() { close(d.quick) }) }

// Handle hears of complaints from the log.
func (d *slowDisks) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "giving the leader up" {
		d.hurry()
	}
	return nil
}

func (d *slowDisks) Enabled(context.Context, slog.Level) bool { return true }
func (d *slowDisks) WithAttrs([]slog.Attr) slog.Handler       { return d }

// writesOfABlock is how many writes of a block follow each other: the leader's entry for its
// block, the entry of who takes it, the entry before the vote, and the block, a transaction
// that syncs twice.
const writesOfABlock = 5

// Members whose disks all take long for a write decide block after block under load, each in
// the time of the writes that have to follow each other, and give no leader up. Patience grows
// to eight times the setting. So with the standard 500 ms a write may take 800 ms; one that
// takes a second needs a longer [Config].ComplainTimeout.
func TestSlowDisksKeepTheirLeader(t *testing.T) {
	for _, of := range []struct{ write, complain time.Duration }{
		{300 * time.Millisecond, 0}, {750 * time.Millisecond, 0}, {time.Second, time.Second},
	} {
		t.Run(fmt.Sprint(of.write), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testSlowDisks(t, of.write, of.complain) })
		})
	}
}

func testSlowDisks(t *testing.T, write, complain time.Duration) {
	c := newCluster(t, 4, 1000, peer.MemoryConfig{Seed: 1, MinDelay: time.Millisecond, MaxDelay: 3 * time.Millisecond})
	c.wait = time.Minute
	d := &slowDisks{once: new(sync.Once), quick: make(chan struct{})}
	c.tweak = func(cfg *Config) {
		cfg.App, cfg.Logger = slowApp{c.apps[cfg.Self], d.sync}, slog.New(d)
		cfg.BatchRecords, cfg.ComplainTimeout = 4, complain
	}
	c.mend = func(n *Node) { n.logs = slowLogs{n.logs, d.sync} }
	c.startAll()
	for range 40 { // so many that some wait to the end
		for _, da := range c.names {
			c.submit(da, 100)
		}
	}
	block := func() time.Duration {
		begin, h := time.Now(), c.apps["da2"].Height()
		c.until("a block", func() bool { return c.apps["da2"].Height() > h })
		return time.Since(begin)
	}
	for slow := 50 * time.Millisecond; slow < write; slow += slow / 2 { // a disk gets slow by and by
		d.takes(slow)
		block()
	}
	d.takes(write)
	block()
	before := c.node("da2").Stats()
	var worst time.Duration
	for range 8 {
		worst = max(worst, block())
	}
	t.Logf("a block takes %v at most, %.2f writes", worst, float64(worst)/float64(write))
	if worst > writesOfABlock*write+50*time.Millisecond {
		t.Errorf("a block takes %v with %v a write, want %d writes", worst, write, writesOfABlock)
	}
	for _, da := range c.names {
		if s := c.node(da).Stats(); s.Complaints > 0 || s.ViewChanges > 0 || s.Restarts > 0 || s.Pending == 0 {
			t.Errorf("%s gives a leader up who is no slower than itself: %d complaints, %d changes of view, %d restarts, %d records wait",
				da, s.Complaints, s.ViewChanges, s.Restarts, s.Pending)
		}
	}
	if after := c.node("da2").Stats(); after.Height != before.Height+8 {
		t.Errorf("%d blocks, want 8", after.Height-before.Height)
	}
	d.hurry()
	c.allDecided(c.names...)
}
