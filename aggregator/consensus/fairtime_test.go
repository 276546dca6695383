package consensus

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFairTime(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for name, tc := range map[string]struct {
		turns  []time.Duration // since the start
		whole  bool
		failed uint64
		want   time.Duration
	}{
		"the first turn":             {[]time.Duration{0}, false, 0, 0},
		"turns in time":              {[]time.Duration{0, tick, 2 * tick}, false, 0, 2 * tick},
		"just late":                  {[]time.Duration{0, mostTurn}, false, 0, mostTurn},
		"too late":                   {[]time.Duration{0, mostTurn + 1}, false, 0, mostTurn},
		"a stop":                     {[]time.Duration{0, tick, time.Hour, time.Hour + tick}, false, 0, 2*tick + mostTurn},
		"a stop of who counts all":   {[]time.Duration{0, tick, time.Hour, time.Hour + tick}, true, 0, time.Hour + tick},
		"ever late":                  {[]time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}, false, 0, 3 * mostTurn},
		"a view failed":              {[]time.Duration{0, tick}, false, 1, tick},
		"two views failed":           {[]time.Duration{0, tick}, false, 2, tick / 2},
		"eight views failed":         {[]time.Duration{0, time.Second}, false, 8, mostTurn / 16},
		"many views failed":          {[]time.Duration{0, time.Second}, false, 1e9, mostTurn / 16},
		"they do not hurry a leader": {[]time.Duration{0, time.Second}, true, 8, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := fairTime{}
			var got time.Time
			for _, at := range tc.turns {
				got = f.turn(start.Add(at), tc.whole, tc.failed)
			}
			if got.Sub(start) != tc.want {
				t.Errorf("%v of fair time, want %v", got.Sub(start), tc.want)
			}
		})
	}
}

// A machine is one on which the members share the processors: it can stop, and be slow.
type machine struct {
	mu    sync.Mutex
	until time.Time     // stopped
	every time.Duration // between the turns of a goroutine
}

func (m *machine) stop(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = time.Now().Add(d)
}

// rest is how long a goroutine waits for its next turn.
func (m *machine) rest() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(time.Until(m.until), m.every)
}

// ticks are those of a goroutine on the machine.
func (m *machine) ticks() (<-chan time.Time, func()) {
	c, done := make(chan time.Time, 1), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				time.Sleep(max(0, m.rest()-tick))
				select {
				case c <- now:
				default:
				}
			}
		}
	})
	return c, func() { close(done); wg.Wait() }
}

// busy are four members on one machine that has just decided something.
func busy(t *testing.T, m *machine) *cluster {
	cfg := lan
	cfg.Between = func(string, string) time.Duration { return m.rest() / 4 }
	c := newCluster(t, 4, 1000, cfg)
	c.wait = 10 * time.Minute
	c.mend = func(n *Node) { n.ticks = m.ticks }
	c.startAll()
	c.submit("da2", 100)
	c.allDecided(c.names...)
	return c
}

func (c *cluster) calm(t *testing.T) {
	t.Helper()
	for _, name := range c.names {
		if s := c.node(name).Stats(); s.ViewChanges > 0 || s.Complaints > 0 {
			t.Errorf("%s: %d view changes, %d complaints, want none", name, s.ViewChanges, s.Complaints)
		}
	}
}

// A machine that stops for a while, and one on which every turn is late: no one takes
// the leader for silent.
func TestNoTurnIsNoSilence(t *testing.T) {
	for _, stop := range []time.Duration{400 * time.Millisecond, 2 * time.Second, time.Minute} {
		t.Run(fmt.Sprint("stopped for ", stop), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &machine{}
				c := busy(t, m)
				for range 5 {
					c.submit("da3", 100)
					m.stop(stop)
					time.Sleep(stop + time.Second)
				}
				c.allDecided(c.names...)
				c.calm(t)
			})
		})
	}
	t.Run("ever late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &machine{}
			c := busy(t, m)
			m.mu.Lock()
			m.every = 700 * time.Millisecond
			m.mu.Unlock()
			for range 20 {
				c.submit("da3", 100)
				time.Sleep(3 * time.Second)
			}
			c.allDecided(c.names...)
			c.calm(t)
		})
	})
}

// On a machine on which every turn is late a dead leader is still given up: after as
// many turns as elsewhere.
func TestADeadLeaderIsGivenUpOnABusyMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		c := busy(t, m)
		m.mu.Lock()
		m.every = 200 * time.Millisecond
		m.mu.Unlock()
		c.stop("da1")
		began := time.Now()
		c.submit("da2", 100)
		c.allDecided(c.names[1:]...)
		if took := time.Since(began); took < 500*time.Millisecond/mostTurn*m.every/2 || took > 30*time.Second {
			t.Errorf("the next leader's block came after %v", took)
		}
	})
}

// Where no leader can make a block in time, because each message takes longer than the
// patience of all, timeouts grow until one can, and are as before after it.
func TestTimeoutsGrowUntilABlockComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		cfg := lan
		cfg.Between = func(string, string) time.Duration {
			if slow.Load() {
				return 1500 * time.Millisecond
			}
			return 0
		}
		c := newCluster(t, 4, 1000, cfg)
		c.wait = 5 * time.Minute
		c.startAll()
		c.submit("da2", 100)
		c.allDecided(c.names...)
		slow.Store(true)
		began := time.Now()
		c.submit("da3", 100)
		c.allDecided(c.names...)
		t.Logf("a block after %v, views %v", time.Since(began), c.node("da1").Stats().ViewChanges)
		slow.Store(false)
		stop := c.feed("da2", "da3")
		h := c.apps["da2"].Height()
		c.until("ten blocks", func() bool { return c.apps["da2"].Height() > h+10 })
		if got := c.node("da2").failed.Load(); got > 0 {
			t.Errorf("%d failed views are counted after blocks", got)
		}
		_, view, _ := c.node("da2").position()
		leader, other := c.names[view%4], c.names[(view+1)%4]
		stop() // it may be the leader that takes the records
		c.stop(leader)
		stop = c.feed(other, c.names[(view+2)%4])
		began = time.Now()
		h = c.apps[other].Height()
		c.until("a block of the next leader", func() bool { return c.apps[other].Height() > h+1 })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the next leader's block came after %v", took)
		}
		stop()
	})
}
