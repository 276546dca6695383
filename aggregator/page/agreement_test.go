package page

import (
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/consensus"
)

// No block can come without a quorum in reach, nor does one while records wait for
// long; both are said, and a quiet chain is well.
func TestAgreementSaysWhatIsStuck(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	now := start.Add(time.Minute)
	peers := func(ages ...time.Duration) map[string]consensus.PeerStats {
		out := make(map[string]consensus.PeerStats)
		for k, age := range ages {
			s := consensus.PeerStats{Height: 7, Voted: now.Add(-age)}
			if age >= 0 {
				s.Heard = now.Add(-age)
			}
			out["da-"+string(rune('2'+k))] = s
		}
		return out
	}
	for _, c := range []struct {
		what      string
		started   time.Time
		stats     consensus.Stats
		reachable int
		stuck     string
	}{
		{"all there, nothing waits", start, consensus.Stats{Peers: peers(0, 0, 0), LastBlock: start.Add(-time.Hour)}, 4, ""},
		{"one away", start, consensus.Stats{Peers: peers(0, 0, silentAfter)}, 3, ""},
		{"two away", start, consensus.Stats{Peers: peers(0, silentAfter, -1)}, 2, "2 of 4 data aggregators are heard, a block needs 3"},
		{"none heard yet, just started", now, consensus.Stats{Peers: peers(-1, -1, -1)}, 1, ""},
		{"records wait", start, consensus.Stats{Peers: peers(0, 0, 0), OldestPending: now.Add(-time.Hour), LastBlock: now.Add(-stuckAfter)}, 4, ""},
		{"records wait for long", start, consensus.Stats{Peers: peers(0, 0, 0), OldestPending: now.Add(-time.Hour), LastBlock: now.Add(-stuckAfter - time.Second), Epoch: 3, Leader: "da-2"},
			4, "no block for 21s although records wait, in epoch 3, view 0, led by da-2"},
		{"a record has just come", start, consensus.Stats{Peers: peers(0, 0, 0), OldestPending: now.Add(-time.Second), LastBlock: start}, 4, ""},
	} {
		p := &Page{started: c.started}
		c.stats.At = now
		got := p.agreement(&c.stats, now)
		if got.Reachable != c.reachable || got.Quorum != 3 || got.Members != 4 || len(got.Peers) != 3 || got.Peers[0].ID != "da-2" || !strings.Contains(got.Stuck, c.stuck) || (got.Stuck == "") != (c.stuck == "") {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
}
