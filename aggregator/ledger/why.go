package ledger

import (
	"encoding/hex"
	"fmt"
	"slices"

	"fairwatt/aggregator/wct"
)

// A Standing says why a data aggregator stands where it stands in the communication
// tree. Trust is in 1e-4, an overhead in microseconds.
type Standing struct {
	DA     string `json:"da"`
	Height uint64 `json:"height"` // of the newest block
	Epoch  uint64 `json:"epoch"`
	Status string `json:"status"` // member, candidate or retired
	Rules  string `json:"rules"`  // "reports", or "genesis" where nothing moves trust

	// Place counts from 0, the accounting node of the epoch's first view; -1 of who is no
	// member.
	Place int `json:"place"`
	// In the tree that the caller names. Parent is empty at the root, and where no link
	// was left for it (the root sends to it then).
	Parent   string   `json:"parent,omitempty"`
	Children []string `json:"children"`
	// FailedEpochs is for how many epochs it stands last because it failed as the
	// accounting node.
	FailedEpochs int `json:"failed_epochs,omitempty"`

	// TrustE4 is its trust now, TreeTrustE4 what the tree in use was built from.
	TrustE4     int64 `json:"trust_e4"`
	TreeTrustE4 int64 `json:"tree_trust_e4"`
	GenesisE4   int64 `json:"genesis_trust_e4"`
	ThresholdE4 int64 `json:"t_thre_e4"`
	// GoodE4 and BadE4 are what it has earned and lost and is not forgotten; an epoch of
	// good forwarding is 10000. Trust is the mean of these and of the genesis' trust
	// with the weight PriorE4.
	GoodE4  uint64 `json:"good_e4"`
	BadE4   uint64 `json:"bad_e4"`
	PriorE4 uint64 `json:"prior_e4"`
	// Condemned: it is in dispute with more than MaxFaulty others, or has signed two things
	// for one place. For that its trust is nothing for GuiltyEpochs more.
	Condemned    bool      `json:"condemned"`
	GuiltyEpochs int       `json:"guilty_epochs,omitempty"`
	MaxFaulty    int       `json:"f"`
	Disputes     []Dispute `json:"disputes"`
	SilentEpochs int       `json:"silent_epochs,omitempty"` // without a report, in a row
	// ProbationTo is whom it forwards to beside the tree, to earn trust.
	ProbationTo string `json:"probation_to,omitempty"`

	Links        int         `json:"links"` // to how many it forwards at once
	GenesisLinks int         `json:"genesis_links"`
	Steps        []TrustStep `json:"steps"` // of its trust, newest first
	Peers        []PeerSight `json:"peers"` // by id
	// When the trees were last built anew: the block that ended the epoch before.
	RebuiltHeight uint64 `json:"rebuilt_height,omitempty"`
	RebuiltReason string `json:"rebuilt_reason,omitempty"`
}

// A Dispute is with one other, over blocks that one says the other kept back.
type Dispute struct {
	With       string `json:"with"`
	EpochsLeft int    `json:"epochs_left"` // until it is forgotten
	Times      int    `json:"times"`
	CostE4     int64  `json:"cost_e4"` // now
}

// A TrustStep is a change of trust at the end of an epoch, or a run of changes of one
// cause.
type TrustStep struct {
	FirstHeight uint64 `json:"first_height"`
	Height      uint64 `json:"height"` // of the block that ended the epoch
	BeforeE4    int64  `json:"before_e4"`
	AfterE4     int64  `json:"after_e4"`
	Cause       string `json:"cause"`
	Other       string `json:"other,omitempty"`
	Text        string `json:"text"`
	// The report that it stands on, and the height of its block.
	Record       string `json:"record,omitempty"` // hex
	RecordHeight uint64 `json:"record_height,omitempty"`
}

// A PeerSight is what two data aggregators say of each other in their newest reports.
type PeerSight struct {
	DA     string   `json:"da"`
	Theirs *Sighted `json:"theirs,omitempty"` // what the other says of this one
	Own    *Sighted `json:"own,omitempty"`
	TreeUs int64    `json:"tree_us"` // the overhead that the tree in use counts with
}

// A Sighted is what one report says of one other.
type Sighted struct {
	Epoch      uint64 `json:"epoch"`
	Height     uint64 `json:"height"` // of the report's block
	Record     string `json:"record"` // hex
	Taken      uint32 `json:"taken"`
	Late       uint32 `json:"late"`
	Missed     uint32 `json:"missed"`
	Given      uint32 `json:"given"`
	OverheadUs uint32 `json:"overhead_us"` // smoothed
}

var causeNames = map[byte]string{
	causeEarned: "earned", causeFaded: "faded", causeDispute: "dispute", causeCondemned: "condemned",
	causeCleared: "cleared", causeTwice: "equivocation",
}

func (t *TrustStep) say() string {
	switch t.Cause {
	case "earned":
		return fmt.Sprintf("it forwarded blocks, as %s bears out", t.Other)
	case "dispute":
		return fmt.Sprintf("it is in dispute with %s over blocks that did not arrive", t.Other)
	case "condemned":
		return fmt.Sprintf("it is in dispute with more others than can lie; the newest is %s", t.Other)
	case "cleared":
		return "its disputes are over, or were with one that is found out, or what it has done is paid for"
	case "equivocation":
		return "it signed two things for one place; the record has both"
	}
	return "what was earned or lost is forgotten with time"
}

// Why says why a data aggregator stands where it stands; false if the chain has none of
// that id. Parent and children are for the caller to say: of the tree in use, or of
// [State.FirstTree].
func (s *State) Why(da string) (*Standing, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.roster.places[da]
	if !ok {
		return nil, false
	}
	g := s.genesis
	all := s.roster.all
	st := standing{TrustE4: all[at].TrustE4}
	s.read(keyTrust+da, &st)
	own, n := s.branch(at), len(all)
	failed := 0
	if at < len(s.meta.Failed) { // no candidate has failed yet
		failed = int(s.meta.Failed[at])
	}
	w := &Standing{
		DA: da, Height: s.meta.Height, Epoch: s.meta.Epoch, Rules: "genesis", Status: all[at].Status, FailedEpochs: failed,
		Children: []string{}, Disputes: []Dispute{}, Steps: []TrustStep{}, Peers: []PeerSight{},
		TrustE4: st.TrustE4, TreeTrustE4: own.TrustE4, GenesisE4: all[at].TrustE4, ThresholdE4: g.Params.TThreE4,
		GoodE4: st.GoodE4, BadE4: st.BadE4, PriorE4: priorE4, Condemned: st.Condemned, MaxFaulty: s.roster.members.Faulty(),
		SilentEpochs: int(st.Silent), Links: int(own.Links), GenesisLinks: all[at].Links,
	}
	if g.Params.byReports() {
		w.Rules = TrustByReports
	}
	if st.Probe > 0 && int(st.Probe) <= n {
		w.ProbationTo = all[st.Probe-1].ID
	}
	var done guilt
	s.read(keyGuilt+da, &done)
	w.GuiltyEpochs = int(done.Left)
	s.whyDisputes(w, &st)
	for _, one := range slices.Backward(parseSteps(st.Steps)) {
		t := TrustStep{
			FirstHeight: one.first, Height: one.last, BeforeE4: int64(one.before), AfterE4: int64(one.after), Cause: causeNames[one.cause],
			RecordHeight: one.height,
		}
		if int(one.other) < n && one.other != noOther {
			t.Other = all[one.other].ID
		}
		if one.height > 0 {
			t.Record = hex.EncodeToString(one.record[:])
		}
		t.Text = t.say()
		w.Steps = append(w.Steps, t)
	}
	var r rebuilt
	if s.read(keyRebuilt, &r) {
		w.RebuiltHeight, w.RebuiltReason = r.Height, r.Reason
	}
	s.whyPeers(w, &own, at)
	w.Place = slices.Index(s.meta.places(), at)
	return w, true
}

func (s *State) whyDisputes(w *Standing, st *standing) {
	for _, d := range parseDisputes(st.Disputes) {
		if int(d.with) >= len(s.roster.all) {
			continue
		}
		one := Dispute{With: s.roster.all[d.with].ID, EpochsLeft: int(d.left), Times: int(d.times)}
		var other standing
		if s.read(keyTrust+one.With, &other); d.fresh() && !other.Condemned && !st.Condemned {
			one.CostE4 = disputeCostE4 * int64(d.times) * int64(d.times)
		}
		w.Disputes = append(w.Disputes, one)
	}
}

func (s *State) whyPeers(w *Standing, own *branch, at int) {
	say := func(of string, about int) *Sighted {
		var r reported
		if !s.read(keyReport+of, &r) {
			return nil
		}
		v := r.of(about)
		return &Sighted{r.Epoch, r.Height, hex.EncodeToString([]byte(r.ID)), v.Taken, v.Late, v.Missed, v.Given, v.OverheadUs}
	}
	for i, other := range s.roster.all {
		if i != at && other.Status == StatusMember {
			w.Peers = append(w.Peers, PeerSight{DA: other.ID, Theirs: say(other.ID, at), Own: say(w.DA, i), TreeUs: own.us(i)})
		}
	}
}

// FirstTree returns the tree of the present epoch's first view: the parent of each data
// aggregator that has one, and its children. With many of them that takes some ten
// milliseconds.
func (s *State) FirstTree() (parent map[string]string, children map[string][]string, err error) {
	in, failed := s.Network()
	sequence := make([]int, in.N)
	for k := range sequence {
		sequence[k] = k
		if k > 0 && failed[k] {
			in.TrustE4[k] = 0
		}
	}
	t, err := wct.BuildLed(in, wct.Algorithm(s.genesis.Params.Tree), sequence)
	if err != nil {
		return nil, nil, fmt.Errorf("tree of epoch %d: %w", s.Epoch(), err)
	}
	parent, children = make(map[string]string), make(map[string][]string)
	for _, e := range t.Edges {
		parent[in.IDs[e[1]]] = in.IDs[e[0]]
		children[in.IDs[e[0]]] = append(children[in.IDs[e[0]]], in.IDs[e[1]])
	}
	return parent, children, nil
}
