package page

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
	"fairwatt/proto/wire"
)

// Times of what a person is told of agreement.
const (
	// silentAfter is without a frame; members send one ten times a second.
	silentAfter = 5 * time.Second
	// stuckAfter is without a block while records wait. A change of leader takes a
	// few seconds at most.
	stuckAfter = 20 * time.Second
)

// agreement says who is there, and whether a block can come.
func (p *Page) agreement(stats *consensus.Stats, now time.Time) console.Agreement {
	a := console.Agreement{
		Members: len(stats.Peers) + 1, Reachable: 1, Voting: stats.Voting, LastVoteMs: unixMs(stats.LastVote), Peers: []console.Peer{},
	}
	a.Quorum = wire.Quorum(a.Members)
	for _, id := range slices.Sorted(maps.Keys(stats.Peers)) {
		peer := stats.Peers[id]
		if !peer.Heard.IsZero() && stats.At.Sub(peer.Heard) < silentAfter {
			a.Reachable++
		}
		a.Peers = append(a.Peers, console.Peer{
			ID: id, Height: peer.Height, HeardMs: unixMs(peer.Heard), VotedMs: unixMs(peer.Voted), Refused: peer.Refused, CutOffMs: unixMs(peer.CutOff),
		})
	}
	if a.Reachable < a.Quorum && now.Sub(p.started) > silentAfter {
		a.Stuck = fmt.Sprintf("no block can come: %d of %d data aggregators are heard, a block needs %d", a.Reachable, a.Members, a.Quorum)
	} else if wait := stats.Waits(); wait > stuckAfter {
		a.Stuck = fmt.Sprintf("no block for %v although records wait, in epoch %d, view %d, led by %s", wait.Round(time.Second), stats.Epoch, stats.View, stats.Leader)
	}
	return a
}
