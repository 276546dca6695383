package consensus

import (
	"time"

	"fairwatt/aggregator/wct"
)

// Stats is a node at one moment. Counters count from its start.
type Stats struct {
	At     time.Time `json:"at"` // the moment
	Epoch  uint64    `json:"epoch"`
	View   uint64    `json:"view"`
	Leader string    `json:"leader"`
	Height uint64    `json:"height"`
	// Voting is false while the node only follows: its log of this epoch is
	// missing, or it starts or catches up.
	Voting bool `json:"voting"`
	// Following says why the node will not vote before the epoch ends; it is
	// empty otherwise.
	Following string `json:"following,omitempty"`
	// Pending records and their bytes wait here for a decision.
	Pending      int `json:"pending"`
	PendingBytes int `json:"pending_bytes"`

	Blocks        uint64 `json:"blocks"`        // committed, fetched ones included
	Fetched       uint64 `json:"fetched"`       // of them, fetched from others
	Epochs        uint64 `json:"epochs"`        // epochs ended
	ViewChanges   uint64 `json:"view_changes"`  // views entered that were not an epoch's first
	Complaints    uint64 `json:"complaints"`    // by the watchdog
	Restarts      uint64 `json:"restarts"`      // of the agreement instance after its own fault
	LeftBehind    uint64 `json:"left_behind"`   // instances of the library that locked themselves up while they closed
	Forwarded     uint64 `json:"forwarded"`     // blocks of others sent on to a child
	Pulled        uint64 `json:"pulled"`        // blocks got by a pull
	Refused       uint64 `json:"refused"`       // messages the guard stopped
	Outdated      uint64 `json:"outdated"`      // messages of an earlier epoch or view
	Reinjected    uint64 `json:"reinjected"`    // messages processed again after a stall
	Resubmitted   uint64 `json:"resubmitted"`   // records handed over again
	DroppedIntake uint64 `json:"dropped_door"`  // records of peers refused for want of room
	DroppedLater  uint64 `json:"dropped_later"` // accepted records that no block can hold any more
	Rejoins       uint64 `json:"rejoins"`       // times this node asked for the end of an epoch in which it may not vote
	Withheld      uint64 `json:"withheld"`      // blocks not proposed in a view that this node had given up
	Bundles       uint64 `json:"bundles"`       // frames of votes that the tree carries, sent
	Orphaned      uint64 `json:"orphaned"`      // times this node asked for votes that the tree did not bring
	Equivocated   uint64 `json:"equivocated"`   // two signed blocks of a leader for one place

	CutOffs   uint64 `json:"cut_offs"`   // members cut off for breaking rules
	CutFrames uint64 `json:"cut_frames"` // frames of theirs that were not looked at

	// LastBlock is when the newest block came; at first, when the node started.
	LastBlock time.Time `json:"last_block"`
	// OldestPending is when the oldest record that waits came; zero if none does.
	OldestPending time.Time `json:"oldest_pending"`
	// LastVote is when this node last voted for a block, zero for never.
	LastVote time.Time `json:"last_vote"`
	// Peers is what is known of the other members.
	Peers map[string]PeerStats `json:"peers"`
	// Missed counts, by DA, the blocks it should have forwarded to this node
	// and did not.
	Missed map[string]uint64 `json:"missed"`
	// RefusedBy counts the messages refused by cause.
	RefusedBy map[string]uint64 `json:"refused_by"`
}

// Waits is how long records have waited without any block; 0 if none wait.
func (s *Stats) Waits() time.Duration {
	since := s.OldestPending
	if since.IsZero() {
		return 0
	}
	if s.LastBlock.After(since) {
		since = s.LastBlock
	}
	return max(0, s.At.Sub(since))
}

// An Edge is one of the communication tree, From forwarding blocks to To.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Forwarded, Pulled and Missed are this node's counts for the edge since
	// its start: Forwarded when it is From, the others when it is To.
	Forwarded uint64 `json:"forwarded"`
	Pulled    uint64 `json:"pulled"`
	Missed    uint64 `json:"missed"`
}

// A Tree is the communication tree of the view a node is in.
type Tree struct {
	Epoch uint64   `json:"epoch"`
	View  uint64   `json:"view"`
	Root  string   `json:"root"`
	Order []string `json:"order"`
	Edges []Edge   `json:"edges"`
	// Direct are members no link was left for; the root sends to them itself.
	Direct []string `json:"direct,omitempty"`

	// Built is the same tree over Network, in which node k is Members[k], for
	// drawing and measuring. Do not change either.
	Members []string   `json:"-"`
	Network *wct.Input `json:"-"`
	Built   *wct.Tree  `json:"-"`
}
