package ledger

import (
	"encoding/binary"
	"slices"
	"strings"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Who the data aggregators and centres are changes by records: see doc.go.

// MinMembers is how many members remain at least: fewer bear no faulty one.
const MinMembers = 4

// agreed is a change of a data aggregator or centre that waits for more centres.
type agreed struct {
	Change string // the encoded record with nothing but this body
	By     string // the centres, ascending
}

func (a *agreed) fields(c codec) {
	c.str("change", &a.Change)
	c.str("by", &a.By)
}

// seat returns a data aggregator as the block has it so far.
func (x *execution) seat(id string) (seat, bool) { return x.state.seatOf(id, x.get) }

func (x *execution) admittedIDs() []string { return splitNames(x.bytes(keySeats)) }

// agree books a centre's word for a change of id and tells whether it is now enough:
// more than half of the centres want the same. Another wish in its place begins anew.
func (x *execution) agree(id string) (enough bool, r *Refusal) {
	rec := x.record.Record
	change, err := marshal(&fairwattpb.Record{Body: rec.Body})
	if err != nil {
		x.fail(keyChange+id, err)
		return false, nil
	}
	centres := x.state.centresOf(x.bytes)
	a := agreed{}
	var by []string
	if x.get(keyChange+id, &a) && a.Change == string(change) {
		by = slices.DeleteFunc(strings.Split(a.By, ","), func(c string) bool { return !slices.Contains(centres, c) })
	}
	if slices.Contains(by, rec.Sender) {
		return false, refuse(wire.CodeChangeAgreed, "%q has agreed to this before: %d of %d centres have, more than half are needed", rec.Sender, len(by), len(centres))
	}
	by = append(by, rec.Sender)
	slices.Sort(by)
	if enough = 2*len(by) > len(centres); enough {
		if _, waits := x.bytes(keyChange + id); waits {
			x.remove(keyChange + id)
		}
		return true, nil
	}
	x.put(keyChange+id, &agreed{Change: string(change), By: strings.Join(by, ",")})
	return false, nil
}

// newKey refuses a key that is, or was, anyone's, and one whose holder does not agree.
func (x *execution) newKey(id, key string, proof []byte) *Refusal {
	if !members.Proven(seal.PublicKey(key), x.state.chain, id, proof) {
		return refuse(wire.CodeProofWrong, "proof: the key of %q has not signed for this id on this chain", id)
	}
	if x.usedKey(key) {
		return refuse(wire.CodeAlreadyRegistered, "public_key: that for %q is, or was, someone's: make a new one", id)
	}
	return nil
}

// usedKey tells whether a key is, or was, anyone's.
func (x *execution) usedKey(key string) bool {
	_, used := x.bytes(keyPublicKey + key)
	used = used || x.judges(key)
	for _, da := range x.state.genesis.Aggregators {
		used = used || string(da.PublicKey) == key
	}
	return used
}

// admit lets a data aggregator join, or another centre in.
func (x *execution) admit(a *fairwattpb.Admit) *Refusal {
	st, known := x.seat(a.Id)
	_, participant := x.bytes(keyParticipant + a.Id)
	_, arbiter := x.state.arbiters[a.Id]
	if participant || arbiter || known && (st.Status != seatRetired || a.Role != fairwattpb.Role_ROLE_DA) {
		return refuse(wire.CodeAlreadyRegistered, "id %q is taken", a.Id)
	}
	if r := x.newKey(a.Id, a.PublicKey, a.Proof); r != nil {
		return r
	}
	ids := x.admittedIDs()
	if a.Role == fairwattpb.Role_ROLE_DA && !known && len(x.state.genesis.Aggregators)+len(ids) >= MaxDAs {
		return refuse(wire.CodeMembersLimit, "the chain has known %d data aggregators, and has no place for another: admit one again that has retired", MaxDAs)
	}
	centres := x.state.centresOf(x.bytes)
	if a.Role == fairwattpb.Role_ROLE_MC && len(centres) >= maxCentres {
		return refuse(wire.CodeMembersLimit, "%d centres, at most %d", len(centres), maxCentres)
	}
	if enough, r := x.agree(a.Id); r != nil || !enough {
		return r
	}
	x.putBytes(keyPublicKey+a.PublicKey, []byte(a.Id))
	if a.Role == fairwattpb.Role_ROLE_MC {
		x.put(keyParticipant+a.Id, &Participant{ID: a.Id, Centre: true, PublicKey: a.PublicKey})
		x.setCentres(append(centres, a.Id))
		return nil
	}
	if !known {
		st.Place = uint32(len(x.state.genesis.Aggregators) + len(ids))
		x.putBytes(keySeats, []byte(strings.Join(append(ids, a.Id), ",")))
	}
	x.put(keyMember+a.Id, &seat{
		Place: st.Place, Status: seatCandidate, PublicKey: a.PublicKey, Address: a.Address, Links: a.Links, TrustE4: a.TrustE4,
		OverheadUs: a.OverheadUs, Epoch: x.meta.Epoch,
	})
	return nil
}

const maxCentres = 16

func (x *execution) setCentres(ids []string) {
	slices.Sort(ids)
	x.putBytes(keyCentres, []byte(strings.Join(ids, ",")))
	x.newKeys = true
}

// mayChange tells whether the record may change a member now: one that leaves, or has
// another key, waits for the epoch's end, and not many of them at once.
func (x *execution) mayChange(id string, st *seat, leaves, rekeys bool) *Refusal {
	height := x.state.meta.Height + 1
	self := x.record.Record.Sender == id
	if self && st.ChangedHeight > 0 && height < st.ChangedHeight+RejoinBlocks {
		return refuse(wire.CodeTooSoon, "%q may change itself from block %d on, this is block %d", id, st.ChangedHeight+RejoinBlocks, height)
	}
	if st.Leaves || rekeys && st.NextKey != "" {
		return refuse(wire.CodeChangePending, "%q leaves, or has another key, when epoch %d ends", id, x.meta.Epoch)
	}
	remain, changing := 0, 1
	for _, da := range x.state.roster.all {
		if one, ok := x.seat(da.ID); ok && one.Status == seatMember {
			if one.changes() && da.ID != id {
				changing++
			}
			if !one.Leaves {
				remain++
			}
		}
	}
	most := x.state.roster.members.Faulty()
	switch {
	case !leaves && !rekeys:
		return nil // an address
	case leaves && remain-1 < MinMembers:
		return refuse(wire.CodeMembersLimit, "%d members would remain, at least %d: admit another first", remain-1, MinMembers)
	case changing > most:
		return refuse(wire.CodeMembersLimit, "%d members would leave or have another key when epoch %d ends, at most %d may: wait for it", changing, x.meta.Epoch, most)
	}
	return nil
}

// change puts a changed seat, once enough centres want it or the data aggregator itself
// does.
func (x *execution) change(id string, st *seat) *Refusal {
	if x.record.Record.Sender != id {
		if enough, r := x.agree(id); r != nil || !enough {
			return r
		}
	} else {
		st.ChangedHeight = x.state.meta.Height + 1
	}
	x.put(keyMember+id, st)
	return nil
}

// retire lets a member leave at the epoch's end, and a candidate or a centre at once.
func (x *execution) retire(id string) *Refusal {
	if slices.Contains(x.state.centresOf(x.bytes), id) {
		return x.retireCentre(id)
	}
	st, ok := x.seat(id)
	if !ok || st.Status == seatRetired {
		return refuse(wire.CodeMemberUnknown, "id: %s is no data aggregator and no centre now", brief.Quote(id))
	}
	if st.Status == seatMember {
		if r := x.mayChange(id, &st, true, false); r != nil {
			return r
		}
		st.Leaves = true
	} else {
		st.Status, st.Joins, st.Epoch = seatRetired, false, x.meta.Epoch
	}
	return x.change(id, &st)
}

func (x *execution) retireCentre(id string) *Refusal {
	centres := x.state.centresOf(x.bytes)
	if len(centres) < 2 {
		return refuse(wire.CodeMembersLimit, "%q is the only centre: admit another first", id)
	}
	if x.record.Record.Sender != id {
		if enough, r := x.agree(id); r != nil || !enough {
			return r
		}
	}
	var p Participant
	x.get(keyParticipant+id, &p)
	p.Centre = false
	x.put(keyParticipant+id, &p)
	x.setCentres(slices.DeleteFunc(centres, func(c string) bool { return c == id }))
	return nil
}

// rekey gives a member another key from the next epoch on, and a centre at once.
func (x *execution) rekey(k *fairwattpb.Rekey) *Refusal {
	centre := slices.Contains(x.state.centresOf(x.bytes), k.Id)
	st, ok := x.seat(k.Id)
	if !centre && (!ok || st.Status != seatMember) {
		return refuse(wire.CodeMemberUnknown, "id: %s is no member and no centre now; a candidate is retired and admitted again", brief.Quote(k.Id))
	}
	if r := x.newKey(k.Id, k.PublicKey, k.Proof); r != nil {
		return r
	}
	if centre {
		if x.record.Record.Sender != k.Id {
			if enough, r := x.agree(k.Id); r != nil || !enough {
				return r
			}
		}
		var p Participant
		x.get(keyParticipant+k.Id, &p)
		p.PublicKey = k.PublicKey
		x.put(keyParticipant+k.Id, &p)
		x.putBytes(keyPublicKey+k.PublicKey, []byte(k.Id))
		x.newKeys = true
		return nil
	}
	if r := x.mayChange(k.Id, &st, false, true); r != nil {
		return r
	}
	st.NextKey = k.PublicKey
	if r := x.change(k.Id, &st); r != nil {
		return r
	}
	if now, _ := x.seat(k.Id); now.NextKey == k.PublicKey {
		x.putBytes(keyPublicKey+k.PublicKey, []byte(k.Id))
	}
	return nil
}

// moveTo gives a data aggregator another address, from the next epoch on.
func (x *execution) moveTo(m *fairwattpb.Move) *Refusal {
	st, ok := x.seat(m.Id)
	if !ok || st.Status == seatRetired {
		return refuse(wire.CodeMemberUnknown, "id: %s is no data aggregator now", brief.Quote(m.Id))
	}
	if r := x.mayChange(m.Id, &st, false, false); r != nil {
		return r
	}
	st.NextAddress = m.Address
	return x.change(m.Id, &st)
}

// join notes that a candidate is there: it has the chain, and its key.
func (x *execution) join(da string) {
	if st, ok := x.seat(da); ok && st.Status == seatCandidate && !st.Joins {
		st.Joins = true
		x.put(keyMember+da, &st)
	}
}

// nextMembers makes the members of the next epoch: what waited for the epoch's end
// happens. The roster is the one that follows.
func (x *execution) nextMembers() *roster {
	s := x.state
	admitted := x.admittedIDs()
	ids := slices.Clone(admitted)
	for _, da := range s.genesis.Aggregators {
		ids = append(ids, da.ID)
	}
	touched := len(s.roster.all) != len(ids)
	for _, id := range ids {
		var st seat
		if !x.get(keyMember+id, &st) || !st.Joins && !st.changes() && st.NextAddress == "" {
			continue
		}
		touched = true
		if st.NextKey != "" {
			st.PublicKey, st.NextKey = st.NextKey, ""
		}
		if st.NextAddress != "" {
			st.Address, st.NextAddress = st.NextAddress, ""
		}
		switch {
		case st.Joins:
			st.Status, st.Epoch = seatMember, x.meta.Epoch+1
		case st.Leaves:
			st.Status, st.Epoch = seatRetired, x.meta.Epoch+1
		}
		st.Joins, st.Leaves = false, false
		x.put(keyMember+id, &st)
	}
	if !touched {
		return s.roster
	}
	next, err := s.rosterOf(x.get, admitted)
	if err != nil {
		x.fail(keyMember, err)
		return s.roster
	}
	return next
}

// turnKey is where the members stand that vote behind a block.
func turnKey(height uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(keyTurn), height))
}

// seated tells whether the block has changed a seat.
func (x *execution) seated() bool {
	for key := range x.overlay {
		if hasPrefix(key, keyMember) {
			return true
		}
	}
	return false
}
