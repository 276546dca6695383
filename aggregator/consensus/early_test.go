package consensus

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// da1, which leads, is dead. da2 leads next and comes last to the change of view, so the
// others' view data is there before it. Nobody says it twice, and the view comes about
// all the same.
func TestLastToAViewChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 7, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
		c.wait = time.Minute
		var mu sync.Mutex
		from := map[string]bool{}
		var there atomic.Bool
		c.sieved(func(sender, to string, _ *peerpb.Frame, m *protos.Message) bool {
			if to != "da2" || there.Load() {
				return true
			}
			if m.GetViewData() != nil {
				mu.Lock()
				from[sender] = true
				there.Store(len(from) == 5)
				mu.Unlock()
			}
			return m.GetViewChange() == nil
		})
		c.startAll()
		c.submit("da2", 100)
		c.allDecided(c.names...)
		c.stop("da1")
		c.until("all to say it", there.Load)
		began := time.Now()
		c.until("the next view", func() bool { return c.node("da2").Stats().View > 0 })
		if took := time.Since(began); took >= c.node("da2").cfg.ViewChangeTimeout {
			t.Errorf("%v until da2 was in it, as long as for another change of view", took)
		}
		c.submit("da2", 100)
		c.allDecided(c.names[1:]...)
		for _, da := range c.names[1:] {
			if s := c.node(da).Stats(); s.View != 1 || s.Restarts > 0 {
				t.Errorf("%s is in view %d after %d restarts, want the first view after the leader's", da, s.View, s.Restarts)
			}
		}
	})
}
