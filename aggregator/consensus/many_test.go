package consensus

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// cpu is the time that this process has computed.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Many members start, decide, and get over the death of their leader. The log says what
// of it costs how much: in a bubble no timeout depends on that.
func TestManyMembers(t *testing.T) {
	sizes := []int{16}
	if os.Getenv("FAIRWATT_LONG") != "" {
		sizes = []int{16, 32, 50}
	}
	for _, n := range sizes {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, n, 1000, lan)
			c.wait = time.Minute
			begin := cpu(t)
			c.startAll()
			started := cpu(t)
			for range 10 {
				h := c.apps["da2"].Height()
				c.submit("da3", 200)
				c.until("a block", func() bool { return c.apps["da2"].Height() > h })
			}
			c.allDecided(c.names...)
			decided := cpu(t)
			c.stop("da1")
			stop := c.feed("da2", "da3")
			h := c.apps["da2"].Height()
			c.until("a block of the next leader", func() bool { return c.apps["da2"].Height() > h })
			changed := cpu(t)
			stop()
			c.allDecided(c.names[1:]...)
			t.Logf("%d members: start %v, a block %v, a change of the leader %v of computing, of all members together", n,
				(started - begin).Round(time.Millisecond), ((decided - started) / 10).Round(time.Millisecond), (changed - decided).Round(time.Millisecond))
		})
	}
}

// What many members could not bear: a vote that held is remembered and not checked again, and the
// tree of the next view is built before anything waits for it.
func TestWorkIsDoneOnceAndAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, i := newIdle(t)
		held := c.node("da3").cfg.Held
		held.mu.Lock()
		votes := len(held.now)
		held.mu.Unlock()
		if votes < wire.Quorum(4)-1 { // its own is known
			t.Errorf("%d votes are remembered after a block", votes)
		}
		if i.guard().Held != seal.Memory(held) {
			t.Error("votes are checked without what is remembered")
		}
		c.until("the tree of the next view to be built", func() bool { return i.grown.Load() > i.view.Load()+1 })
		synctest.Wait()
		i.forest.mu.Lock()
		defer i.forest.mu.Unlock()
		if i.forest.views[i.view.Load()+1] == nil {
			t.Error("it is not there")
		}
	})
}
