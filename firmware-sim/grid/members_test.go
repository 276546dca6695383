package grid

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"fairwatt/aggregator/console"
)

// While agents trade, one more data aggregator joins, one signs with another key and one
// leaves: all trades go on, and the agents, and who has the certificates alone, know who
// votes in the end.
func TestMembersChangeUnderLoad(t *testing.T) {
	looked := make(chan error, 1)
	r := play(t, func(c *Config) { c.For, c.Buyers, c.HTTP, c.Members = 0, 2, "127.0.0.1:0", true },
		func(ctx context.Context, page <-chan string, stop func()) {
			defer stop()
			select {
			case url := <-page:
				var gone uint64 // the epoch in which da-2 is no member any more
				_, err := look(ctx, url, func(s *console.Snapshot) bool {
					has := func(id string) bool {
						return slices.ContainsFunc(s.Tree.Nodes, func(n console.Node) bool { return n.ID == id })
					}
					if gone == 0 && has("da-5") && !has("da-2") {
						gone = s.Chain.Epoch
					}
					return gone > 0 && s.Chain.Epoch > gone+1 && s.TradeCount["settled"] >= 3
				})
				looked <- err
			case <-ctx.Done():
				looked <- ctx.Err()
			}
		})
	if err := <-looked; err != nil {
		t.Fatalf("the page: %v", err)
	}
	m := r.Members
	if m == nil || len(m.Changes) != 3 {
		t.Fatalf("members: %+v", m)
	}
	for i, want := range []string{"joins da-5", "signs with another key da-3", "leaves da-2"} {
		c := m.Changes[i]
		if got := fmt.Sprint(c.What, " ", c.DA); got != want || c.Height == 0 || c.Epoch < 2 || i > 0 && (c.Height <= m.Changes[i-1].Height || c.Epoch <= m.Changes[i-1].Epoch) {
			t.Errorf("change %d: %+v, want %s", i, c, want)
		}
	}
	if !slices.Equal(m.Voters, []string{"da-1", "da-3", "da-4", "da-5"}) || !m.LightFollowed || m.AgentsFollowed != r.Agents+r.Buyers {
		t.Errorf("%+v of %d agents and %d buyers", m, r.Agents, r.Buyers)
	}
}
