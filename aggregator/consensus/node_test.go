package consensus

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"

	"go.uber.org/goleak"
)

// leftBehind counts instances of the library that the tests' nodes had to leave behind.
var leftBehind atomic.Uint64

// Nothing runs on when all has ended. What the library left behind, locked up, as it may on
// a busy machine, is told of, and then no one can say whose goroutines are left.
func TestMain(m *testing.M) {
	code := m.Run()
	if n := leftBehind.Load(); n > 0 {
		fmt.Fprintf(os.Stderr, "%d instances of the library did not stop and were left behind; not looked for other goroutines\n", n)
	} else if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var lan = peer.MemoryConfig{Seed: 1, MinDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond}

// Ten and more epochs under load: nothing lost, nothing doubled, the block
// over the tree.
func TestEpochSwitchesLoseAndDoubleNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 5, lan)
		c.startAll()
		for k := 0; c.apps["da1"].Height() < 60; k++ {
			if k > 20000 {
				t.Fatal("too few blocks for the records submitted")
			}
			c.submit(c.names[k%4], 300)
			if k%20 == 19 {
				h := c.apps["da1"].Height()
				c.until("the next block", func() bool { return c.apps["da1"].Height() > h })
			}
		}
		c.allDecided(c.names...)
		for _, name := range c.names {
			s := c.node(name).Stats()
			// A busy machine may cost a view change; it must not cost a record.
			if s.Epochs < 10 || s.Refused != 0 {
				t.Errorf("%s: %d epochs, %d view changes, refused %v", name, s.Epochs, s.ViewChanges, s.RefusedBy)
			}
		}
		// da1 has two links, so da2 forwards to da4.
		if s := c.node("da2").Stats(); s.Forwarded == 0 {
			t.Errorf("da2 forwarded nothing: %+v", s)
		}
	})
}
