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

// da1, which leads, is dead. The member that comes last to the change of view gets what
// the others say for it before it is there: as the next leader their view data, as
// another the new view. Nobody says it twice, and it comes to that view all the same.
func TestLastToAViewChange(t *testing.T) {
	for late, said := range map[string]func(m *protos.Message) bool{
		"da2": func(m *protos.Message) bool { return m.GetViewData() != nil },
		"da7": func(m *protos.Message) bool { return m.GetNewView() != nil },
	} {
		t.Run(late, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testLastToAViewChange(t, late, said) }) })
	}
}

func testLastToAViewChange(t *testing.T, late string, said func(m *protos.Message) bool) {
	c := newCluster(t, 7, 1000, peer.MemoryConfig{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
	c.wait = time.Minute
	var mu sync.Mutex
	from, told := map[string]bool{}, map[string]int{"da2": 5, "da7": 1}[late]
	var there atomic.Bool
	c.sieved(func(sender, to string, _ *peerpb.Frame, m *protos.Message) bool {
		if to != late || there.Load() {
			return true
		}
		if said(m) {
			mu.Lock()
			from[sender] = true
			there.Store(len(from) == told)
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
	c.until("the next view", func() bool { return c.node(late).Stats().View > 0 })
	if took := time.Since(began); took >= c.node(late).cfg.ViewChangeTimeout {
		t.Errorf("%v until %s was in it, as long as for another change of view", took, late)
	}
	c.submit(late, 100)
	c.allDecided(c.names[1:]...)
	for _, da := range c.names[1:] {
		if s := c.node(da).Stats(); s.View != 1 || s.Restarts > 0 {
			t.Errorf("%s is in view %d after %d restarts, want the first view after the leader's", da, s.View, s.Restarts)
		}
	}
}
