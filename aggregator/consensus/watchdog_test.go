package consensus

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// sending counts the frames that a node sends.
type sending struct {
	Link
	n *atomic.Int64
}

func (l *sending) Send(to string, frame []byte) {
	l.n.Add(1)
	l.Link.Send(to, frame)
}

// Members with nothing to decide send little: three signs of life a second to each, with
// the pings and their answers, and the leader's heartbeats.
func TestIdleSendsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 7, 1000, lan)
		var sent atomic.Int64
		c.tweak = func(cfg *Config) { cfg.Link = &sending{cfg.Link, &sent} }
		c.startAll()
		c.submit("da3", 200)
		c.allDecided(c.names...)
		time.Sleep(2 * time.Second) // of the bubble: what the block left behind
		const seconds = 20
		before := sent.Load()
		time.Sleep(seconds * time.Second)
		perLink := float64(sent.Load()-before) / seconds / float64(7*6)
		t.Logf("%.1f frames a second on each of %d ways", perLink, 7*6)
		if perLink > 7 {
			t.Errorf("%.1f frames a second on each way with nothing to decide, want at most 7", perLink)
		}
		// News do not wait for the next sign of life.
		h := c.apps["da7"].Height()
		c.submit("da3", 200)
		c.until("a block", func() bool { return c.apps["da7"].Height() > h })
		began := time.Now()
		c.until("word of it", func() bool { return c.node("da2").Stats().Peers["da7"].Height > h })
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("da2 heard after %v that da7 has the block", took)
		}
	})
}
