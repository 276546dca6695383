package ledger

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"

	"fairwatt/aggregator/wct"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
)

// The statuses of a data aggregator. A member takes part in agreement.
const (
	StatusCandidate = "candidate" // admitted, and not heard yet
	StatusMember    = "member"
	StatusRetired   = "retired"
)

var statuses = []string{"", StatusCandidate, StatusMember, StatusRetired}

// A seat is what the state knows of a data aggregator beyond the genesis. Who is as the
// genesis says has none.
type seat struct {
	Place      uint32 // does not change, and is given to no one else
	Status     uint32 // an index of statuses
	PublicKey  string
	Address    string
	Links      uint32
	TrustE4    int64
	OverheadUs uint32 // to and from each other one that the genesis does not know
	Epoch      uint64 // the first of its status

	// What the epoch's end brings.
	Joins, Leaves        bool
	NextKey, NextAddress string

	ChangedHeight uint64 // of the newest change that it has made itself
}

const (
	seatCandidate = 1
	seatMember    = 2
	seatRetired   = 3
)

func (s *seat) fields(c codec) {
	c.u32("place", &s.Place)
	c.u32("status", &s.Status)
	c.str("public_key", &s.PublicKey)
	c.str("address", &s.Address)
	c.u32("links", &s.Links)
	c.i64("trust_e4", &s.TrustE4)
	c.u32("overhead_us", &s.OverheadUs)
	c.u64("epoch", &s.Epoch)
	c.flag("joins", &s.Joins)
	c.flag("leaves", &s.Leaves)
	c.str("next_key", &s.NextKey)
	c.str("next_address", &s.NextAddress)
	c.u64("changed_height", &s.ChangedHeight)
}

// changes tells whether a member is not what it was from the next epoch on: it leaves,
// or has another key.
func (s *seat) changes() bool { return s.Leaves || s.NextKey != "" }

// An Aggregator is a data aggregator as the chain knows it now.
type Aggregator struct {
	DA
	Place  int    // its number, which is never another's
	Status string // candidate, member or retired
	Epoch  uint64 // the first in which it is so
	// What the epoch's end brings.
	Joins, Leaves bool
	NextKey       seal.PublicKey // "" for no change
	NextAddress   string
}

// A roster is all data aggregators that the chain has ever known. It is never changed.
type roster struct {
	all    []Aggregator // by place
	places map[string]int
	seated map[string]uint32 // overheads of those that the genesis does not know
	// members vote, signers may sign records: the candidates too.
	members *members.Set
	signers map[string]ed25519.PublicKey
}

// names of data aggregators, or centres, in one entry of the state.
func splitNames(b []byte, ok bool) []string {
	if !ok || len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), ",")
}

// seatOf is the seat of a data aggregator; false where there is none of that id.
func (s *State) seatOf(id string, get func(string, value) bool) (seat, bool) {
	var st seat
	if get(keyMember+id, &st) {
		return st, true
	}
	for i, da := range s.genesis.Aggregators {
		if da.ID == id {
			return seat{Place: uint32(i), Status: seatMember, PublicKey: string(da.PublicKey), Address: da.Address, Links: uint32(da.Links), TrustE4: da.TrustE4, Epoch: 1}, true
		}
	}
	return st, false
}

// rosterOf reads the roster.
func (s *State) rosterOf(get func(string, value) bool, admitted []string) (*roster, error) {
	r := &roster{places: make(map[string]int), seated: make(map[string]uint32), signers: make(map[string]ed25519.PublicKey)}
	keys := make(map[string]ed25519.PublicKey)
	ids := make([]string, 0, len(s.genesis.Aggregators)+len(admitted))
	for _, da := range s.genesis.Aggregators {
		ids = append(ids, da.ID)
	}
	for i, id := range append(ids, admitted...) {
		st, ok := s.seatOf(id, get)
		if !ok || int(st.Place) != i || st.Status < seatCandidate || st.Status > seatRetired {
			return nil, fmt.Errorf("data aggregator %q: no seat at place %d", id, i)
		}
		key, err := seal.ParseKey(st.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("data aggregator %q: %w", id, err)
		}
		r.all = append(r.all, Aggregator{
			DA:    DA{ID: id, PublicKey: seal.PublicKey(st.PublicKey), Address: st.Address, Links: int(st.Links), TrustE4: st.TrustE4},
			Place: i, Status: statuses[st.Status], Epoch: st.Epoch, Joins: st.Joins, Leaves: st.Leaves,
			NextKey: seal.PublicKey(st.NextKey), NextAddress: st.NextAddress,
		})
		r.places[id] = i
		if i >= len(s.genesis.Aggregators) {
			r.seated[id] = st.OverheadUs
		}
		switch st.Status {
		case seatMember:
			keys[id], r.signers[id] = key, key
		case seatCandidate:
			r.signers[id] = key
		}
	}
	r.members = members.New(s.chain, keys)
	return r, nil
}

// active returns the places of the members, ascending.
func (r *roster) active() []int {
	out := make([]int, 0, len(r.all))
	for i, da := range r.all {
		if da.Status == StatusMember {
			out = append(out, i)
		}
	}
	return out
}

func (r *roster) votes(place int) bool { return r.all[place].Status == StatusMember }

// network is what the communication trees begin with, by place.
func (s *State) networkOf(r *roster) *wct.Input {
	in := s.genesis.network()
	for _, da := range r.all {
		i := da.Place
		if i < len(s.genesis.Aggregators) {
			in.TrustE4[i], in.Links[i] = da.TrustE4, da.Links
			continue
		}
		us := int64(r.seated[da.ID])
		in.N++
		in.TrustE4, in.Links = append(in.TrustE4, da.TrustE4), append(in.Links, da.Links)
		row := make([]int64, i, len(r.all))
		for j := range i {
			row[j] = max(us, int64(r.seated[r.all[j].ID]))
			in.OverheadUs[j] = append(in.OverheadUs[j], row[j])
		}
		in.OverheadUs = append(in.OverheadUs, append(row, 0))
	}
	return in
}

// sequenceOf is the sequence of the communication tree of the members over an input by
// place, without failures.
func sequenceOf(in *wct.Input, active []int) ([]int, error) {
	t, err := wct.Build(picked(in, active), wct.WCT)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(t.Sequence))
	for k, i := range t.Sequence {
		out[k] = active[i]
	}
	return out, nil
}

// Aggregators returns all data aggregators that the chain has ever known, by place.
func (s *State) Aggregators() []Aggregator {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.roster.all)
}

// Aggregator returns one of them.
func (s *State) Aggregator(id string) (Aggregator, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if i, ok := s.roster.places[id]; ok {
		return s.roster.all[i], true
	}
	return Aggregator{}, false
}

// Members returns who votes for the next block.
func (s *State) Members() *members.Set {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.roster.members
}

// Signers returns the keys of the data aggregators that may sign records: the members
// and the candidates. The map must not be changed.
func (s *State) Signers() map[string]ed25519.PublicKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.roster.signers
}

// Centres returns the ids of the management centres, ascending.
func (s *State) Centres() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.centresOf(s.tree.get)
}

func (s *State) centresOf(get func(string) ([]byte, bool)) []string {
	if ids := splitNames(get(keyCentres)); ids != nil {
		return ids
	}
	var ids []string
	for _, c := range s.genesis.Centres {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids
}
