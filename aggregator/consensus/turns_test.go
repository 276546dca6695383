package consensus

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFairTime(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for name, tc := range map[string]struct {
		turns []time.Duration // since the start
		whole bool
		want  time.Duration
	}{
		"the first turn":           {[]time.Duration{0}, false, 0},
		"turns in time":            {[]time.Duration{0, tick, 2 * tick}, false, 2 * tick},
		"just late":                {[]time.Duration{0, mostTurn}, false, mostTurn},
		"too late":                 {[]time.Duration{0, mostTurn + 1}, false, mostTurn},
		"a stop":                   {[]time.Duration{0, tick, time.Hour, time.Hour + tick}, false, 2*tick + mostTurn},
		"a stop of who counts all": {[]time.Duration{0, tick, time.Hour, time.Hour + tick}, true, time.Hour + tick},
		"ever late":                {[]time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}, false, 3 * mostTurn},
	} {
		t.Run(name, func(t *testing.T) {
			f := fairTime{}
			var got time.Time
			for _, at := range tc.turns {
				got = f.turn(start.Add(at), tc.whole)
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
