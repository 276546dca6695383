package consensus

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/peerpb"

	"google.golang.org/protobuf/proto"
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

// On a quiet chain a block that has just begun is not late. The ways here are longer than a tick, so some ticks fall
// between its begin and its end.
func TestAQuietTimeIsNotHeldAgainstALeader(t *testing.T) {
	far := peer.MemoryConfig{MinDelay: 30 * time.Millisecond, MaxDelay: 40 * time.Millisecond}
	farthest := far
	farthest.Between = func(_, to string) time.Duration {
		if to == "da4" {
			return 300 * time.Millisecond
		}
		return 0
	}
	for name, network := range map[string]peer.MemoryConfig{"all are far": far, "one is farthest": farthest} {
		for _, quiet := range []time.Duration{time.Second, 5 * time.Second} {
			t.Run(fmt.Sprint(name, ", ", quiet), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 4, 1000, network)
					c.startAll()
					c.decide(1, "da1")
					for range 4 {
						time.Sleep(quiet)
						c.decide(1, "da1")
					}
					for _, da := range c.names {
						if s := c.node(da).Stats(); s.ViewChanges != 0 || s.Complaints != 0 || s.Fetched != 0 {
							t.Errorf("%s: %d view changes, %d complaints, %d blocks fetched", da, s.ViewChanges, s.Complaints, s.Fetched)
						}
					}
				})
			})
		}
	}
}

// Who gets a block after the others, on a quiet chain, has the time to decide it: it leaves the
// instance when they have been ahead for a while, not when the last block is long ago.
func TestAQuietTimeDoesNotLeaveBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.start("da1")
		c.answer("da1", "da2", "da3", "da4")
		c.untilVoting("da1")
		n := c.node("da1")
		inst := n.instance()
		time.Sleep(10 * lostFor)
		for _, from := range []string{"da2", "da3"} {
			raw, err := proto.Marshal(&peerpb.Frame{Epoch: 1, Height: 1, Sender: from, Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}})
			if err != nil {
				t.Fatal(err)
			}
			n.Receive(from, raw)
		}
		begin := time.Now()
		select {
		case <-inst.ended:
		case <-time.After(10 * lostFor):
		}
		if took := time.Since(begin); took < lostFor || took > lostFor+time.Second {
			t.Errorf("left after %v, want %v", took, lostFor)
		}
	})
}

// A leader that no one follows wishes for the next view itself, later than others would, and
// leads on until they do.
func TestALeaderAloneGivesItselfUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.start("da1")
		c.answer("da1", "da2", "da3", "da4")
		c.untilVoting("da1")
		time.Sleep(time.Minute) // is not held against it
		began := time.Now()
		c.submit("da1", 100)
		c.wait = time.Minute
		c.until("da1 to give itself up", func() bool { return c.node("da1").Stats().Complaints > 0 })
		late := aloneFor * c.node("da1").cfg.ComplainTimeout
		if took := time.Since(began); took < late || took > 2*late {
			t.Errorf("after %v, want %v", took, late)
		}
		c.start("da2", "da3", "da4")
		c.allDecided(c.names...)
	})
}
