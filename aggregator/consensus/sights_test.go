package consensus

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
)

// Both ends of an edge count its blocks alike, a forwarder that drops is missed, one on
// probation is seen at work beside the tree, and everyone measures everyone.
func TestSightsOfForwarders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 100_000, lan)
		var withheld atomic.Int64
		c.tweak = func(cfg *Config) {
			if cfg.Self == "da2" {
				cfg.Link = &dropper{Link: cfg.Link, self: "da2", withheld: &withheld}
			}
		}
		for _, app := range c.apps {
			app.epoch.Probes = map[string]string{"da3": "da4"}
		}
		c.startAll()
		stop := c.feed(c.names...)
		c.until("blocks", func() bool { return c.apps["da4"].Height() > 100 })
		stop()
		c.allDecided(c.names...)
		time.Sleep(5 * time.Second) // in the bubble: what is under way arrives, and pings are answered
		root, dropper, prober, child := c.node("da1").Sights(), c.node("da2").Sights(), c.node("da3").Sights(), c.node("da4").Sights()
		if v := child["da2"]; v.Missed < 50 || v.Taken > 0 || v.Late > 0 || dropper["da4"].Given < v.Missed {
			t.Errorf("the child says %+v of the dropper, that says it gave %+v", v, dropper["da4"])
		}
		if v := prober["da1"]; v.Taken < 50 || v.Missed > v.Taken/5 || root["da3"].Given < v.Taken {
			t.Errorf("a leaf says %+v of the root, that says %+v", v, root["da3"])
		}
		// The block that the child has pulled comes late over the probe, or in time before it.
		if v := child["da3"]; v.Taken+v.Late < 50 || v.Missed > 5 || prober["da4"].Given < v.Taken+v.Late {
			t.Errorf("the child says %+v of the one on probation, that gave %+v", v, prober["da4"])
		}
		if v := prober["da2"]; v.Taken+v.Late+v.Missed > 0 {
			t.Errorf("not its parent: %+v", v)
		}
		for name, all := range map[string]map[string]Sight{"da1": root, "da2": dropper, "da4": child} {
			for _, other := range c.names {
				if us := all[other].OverheadUs; (other == name) != (us == 0) || us > 5000 {
					t.Errorf("%s to %s: %d us", name, other, us)
				}
			}
		}
		c.node("da4").Reported(child)
		if v := c.node("da4").Sights()["da2"]; v.Missed != 0 || v.OverheadUs == 0 {
			t.Errorf("after a report: %+v", v)
		}
	})
}

// What comes within the time counts as late, what does not as missed; at an epoch's end
// only what is over counts as missed.
func TestSightsInTime(t *testing.T) {
	var s sights
	begin := time.Unix(1000, 0)
	at := func(seq uint64) guard.Place { return guard.Place{Epoch: 1, Seq: seq} }
	s.expect(at(1), []string{"p"}, false, begin)
	s.came(at(1), "p")
	s.came(at(1), "p")
	s.expect(at(2), []string{"p"}, true, begin)
	s.came(at(2), "p")
	s.expect(at(3), []string{"p", "q"}, true, begin)
	s.came(at(3), "stranger")
	s.settle(begin.Add(lateness - 1))
	if v := s.peer("p"); *v != (Sight{}) {
		t.Errorf("too early: %+v", v)
	}
	s.expect(at(4), []string{"p"}, true, begin.Add(lateness-1))
	s.turn(begin.Add(lateness))
	s.came(at(4), "p")
	s.settle(begin.Add(time.Hour))
	if p, q, other := *s.peer("p"), *s.peer("q"), *s.peer("stranger"); p != (Sight{Taken: 1, Late: 1, Missed: 1}) || q != (Sight{Missed: 1}) || other != (Sight{}) {
		t.Errorf("%+v %+v %+v", p, q, other)
	}
}

// An overhead is half the median of the newest round trips; an answer to no ping, or to
// an old one, is none.
func TestSightsMeasure(t *testing.T) {
	n := &Node{}
	now := time.Unix(1000, 0)
	for k := range 40 {
		number := n.sights.ping(now)
		n.sights.answered("a", number, now.Add(time.Duration(k)*time.Millisecond))
		n.sights.answered("b", number-1, now.Add(time.Millisecond))
		n.sights.answered("c", number, now)
	}
	got := n.Sights()
	if got["a"].OverheadUs != 16_000 || got["b"].OverheadUs != 0 || got["c"].OverheadUs != 1 { // of 25 to 39 ms
		t.Errorf("%+v", got)
	}
}
