package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/person"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// The keys of members: see doc.go.

// KeyChangeBlocks is how many blocks lie at least between two changes of one member's
// key: each makes every data aggregator forget which signatures it has checked.
const KeyChangeBlocks = 100

// MemberStanding tells whether a member takes part.
type MemberStanding uint32

// The standings of a member.
const (
	Active    MemberStanding = 0
	Suspended MemberStanding = 1
	Revoked   MemberStanding = 2 // for ever
)

// String returns a standing as people read it.
func (s MemberStanding) String() string {
	switch s {
	case Active:
		return "active"
	case Suspended:
		return "suspended"
	case Revoked:
		return "revoked"
	}
	return fmt.Sprintf("standing %d", uint32(s))
}

// Member tells whether someone is a seller or buyer.
func (p *Participant) Member() bool { return p.Seller || p.Buyer }

// recoveryKey is the key that a record says it is sealed with instead of its sender's; nil
// for all others.
func recoveryKey(r *fairwattpb.Record) []byte { return r.GetRevoke().GetRecoveryKey() }

// windowKey is where the counters of a record's kind are remembered. Those of the
// recovery key are their own: a thief of the member's key must not use them up.
func windowKey(r *fairwattpb.Record) string {
	if recoveryKey(r) != nil {
		return keyWindow + "recovery/" + r.Sender
	}
	return keyWindow + r.Sender
}

// outside refuses what is not taken of a member that is suspended or revoked. Its
// recovery key may still turn a suspension into the end.
func (p *Participant) outside(r *fairwattpb.Record) *Refusal {
	if p.Standing == Revoked {
		return refuse(wire.CodeRevoked, "the key of %q was revoked in block %d", p.ID, p.StandingAt)
	}
	if p.Standing == Suspended && recoveryKey(r) == nil {
		return refuse(wire.CodeSuspended, "%q is suspended since block %d", p.ID, p.StandingAt)
	}
	return nil
}

// badSignature says why a signature is not the sender's: by the key before, people are
// told so.
func (s *State) badSignature(c *Checked) *Refusal {
	if p, ok := s.participants[c.Record.Sender]; ok {
		old := func(string) (ed25519.PublicKey, bool) {
			k, err := seal.ParseKey(p.OldKey)
			return k, err == nil
		}
		if _, _, err := seal.Open(c.Sealed, seal.DomainRecord, s.chain, old); err == nil {
			return refuse(wire.CodeKeyChanged, "%q has another key since block %d: this record is signed with the one before", p.ID, p.KeyHeight)
		}
	}
	return refuse(wire.CodeBadSignature, "the signature is not %q's", c.Record.Sender)
}

// checkRecovery checks the seal of a record by a recovery key.
func (s *State) checkRecovery(c *Checked, key []byte) *Refusal {
	hash := sha256.Sum256(key)
	if p := s.participants[c.Record.Sender]; p.RecoveryHash != string(hash[:]) { // a member: see mayRecord
		return refuse(wire.CodeRecoveryWrong, "recovery_key: not that of the hash that was registered for %q", c.Record.Sender)
	}
	if _, _, err := seal.Open(c.Sealed, seal.DomainRecord, s.chain, func(string) (ed25519.PublicKey, bool) { return key, true }); err != nil {
		return refuse(wire.CodeBadSignature, "the signature is not that of the recovery key of %q", c.Record.Sender)
	}
	return nil
}

// ofMember tells whether a member speaks for itself, or a centre for one of that id.
func ofMember(p *Participant, member string) bool {
	if member != "" {
		return p.Centre
	}
	return p.Member()
}

func (l *limits) hash(field string, v []byte) {
	l.check(len(v) == 0 || len(v) == sha256.Size, field, "32 bytes, or none")
}

// sound takes what another check found of a field.
func (l *limits) sound(field string, err error) {
	if l.err == nil && err != nil {
		l.err = fmt.Errorf("%s: %w", field, err)
	}
}

func (l *limits) memberOrNone(id string) {
	if id != "" {
		l.name("member", id)
	}
}

func (l *limits) reason(id, why string) {
	l.name("id", id)
	l.sound("reason", person.CheckWhy(why))
}

func (l *limits) keys(r *fairwattpb.Record) {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_KeyChange:
		_, err := seal.ParseKey(b.KeyChange.NewKey)
		l.sound("new_key", err)
		l.check(len(b.KeyChange.Possession) == 64, "possession", "64 bytes")
	case *fairwattpb.Record_Revoke:
		l.reason(b.Revoke.Id, b.Revoke.Reason)
		if key := b.Revoke.RecoveryKey; len(key) > 0 {
			l.check(len(key) == ed25519.PublicKeySize, "recovery_key", "32 bytes, or none")
			l.check(b.Revoke.Id == r.Sender, "id", "the sender's own with a recovery key")
		}
	case *fairwattpb.Record_Suspend:
		l.reason(b.Suspend.Id, b.Suspend.Reason)
	case *fairwattpb.Record_Reinstate:
		l.reason(b.Reinstate.Id, b.Reinstate.Reason)
	case *fairwattpb.Record_MemberChange:
		l.memberChange(b.MemberChange)
	default:
		l.slots(r)
	}
}

func (l *limits) memberChange(m *fairwattpb.MemberChange) {
	l.name("id", m.Id)
	l.check(len(m.Roles) > 0 || m.Site != "" || len(m.RecoveryHash) > 0 || len(m.PayeeHash) > 0, "roles", "something that changes")
	if len(m.Roles) > 0 {
		l.sound("roles", validateRoles(m.Roles))
	}
	if m.Site != "" {
		l.name("site", m.Site)
	}
	l.hash("recovery_hash", m.RecoveryHash)
	l.hash("payee_hash", m.PayeeHash)
}

// participant returns someone as the block has it so far.
func (x *execution) participant(id string) (Participant, bool) {
	if _, touched := x.overlay[keyParticipant+id]; !touched {
		p, ok := x.state.participants[id]
		if !ok {
			return Participant{}, false
		}
		return *p, true
	}
	var p Participant
	ok := x.get(keyParticipant+id, &p)
	return p, ok
}

// takesPart refuses what is new for a member that is suspended or revoked.
func (x *execution) takesPart(id string) *Refusal {
	switch p, _ := x.participant(id); p.Standing {
	case Suspended:
		return refuse(wire.CodeSuspended, "%q is suspended since block %d, and takes part in nothing new", id, p.StandingAt)
	case Revoked:
		return refuse(wire.CodeRevoked, "the key of %q was revoked in block %d: it takes part in nothing new", id, p.StandingAt)
	}
	return nil
}

// isRevoked refuses what a member does itself as long as it can.
func (x *execution) isRevoked(id string) *Refusal {
	if p, _ := x.participant(id); p.Standing != Revoked {
		return refuse(wire.CodeStandingWrong, "member: the key of %q is not revoked: it asks for its money itself", id)
	}
	return nil
}

// isPayee keeps a wallet's money from any account but that which was registered, if one
// was: who has a member's key must not have its money for it.
func (x *execution) isPayee(id, payeeHash string) *Refusal {
	if p, _ := x.participant(id); p.PayeeHash != "" && p.PayeeHash != payeeHash {
		return refuse(wire.CodeWithdrawalWrong, "payee_hash: %q is paid out to the account that is registered for it, and to no other", id)
	}
	return nil
}

// changeKey gives a member another key from the next block on. What stands in this block
// was signed with the key of before, which was good for it.
func (x *execution) changeKey(id string, k *fairwattpb.KeyChange) *Refusal {
	p, _ := x.participant(id)
	if r := x.takesPart(id); r != nil {
		return r
	}
	height := x.state.meta.Height + 1
	if p.KeyHeight > 0 && height < p.KeyHeight+KeyChangeBlocks {
		return refuse(wire.CodeKeyTooSoon, "%q may change its key from block %d on, this is block %d", id, p.KeyHeight+KeyChangeBlocks, height)
	}
	if !wire.Possesses(k.NewKey, x.state.chain, id, wire.Succession(p.PublicKey), k.Possession) {
		return refuse(wire.CodePossessionWrong, "possession: the new key has not signed that it takes the place of the old one of %q on this chain", id)
	}
	if x.usedKey(k.NewKey) {
		return refuse(wire.CodeAlreadyRegistered, "new_key: it is, or was, someone's: make a new one")
	}
	p.OldKey, p.PublicKey, p.KeyHeight = p.PublicKey, k.NewKey, height
	x.put(keyParticipant+id, &p)
	x.putBytes(keyPublicKey+p.PublicKey, []byte(id))
	x.newMember = true
	x.step(Step{Who: id, Kind: StepKeyChanged})
	return nil
}

// stands gives a member another standing, and takes what it offers off the market.
func (x *execution) stands(id string, to MemberStanding, reason, step string) *Refusal {
	p, ok := x.participant(id)
	switch {
	case !ok || !p.Member():
		return refuse(wire.CodeUnknownParticipant, "id: %q is no member", id)
	case p.Standing == Revoked || p.Standing == to || to == Active && p.Standing != Suspended:
		return refuse(wire.CodeStandingWrong, "id: %q is %s since block %d", id, p.Standing, p.StandingAt)
	}
	p.Standing, p.StandingAt, p.Reason = to, x.state.meta.Height+1, reason
	x.put(keyParticipant+id, &p)
	if to != Active {
		x.withdraw(id)
	}
	x.step(Step{Who: id, Kind: step, Text: reason})
	x.tell(id, nil)
	return nil
}

// changeMember changes what is registered of a member. A role that it has no more lets it
// end what it began with it.
func (x *execution) changeMember(m *fairwattpb.MemberChange) *Refusal {
	p, ok := x.participant(m.Id)
	if !ok || !p.Member() {
		return refuse(wire.CodeUnknownParticipant, "id: %q is no member whose registration can change", m.Id)
	}
	if p.Standing == Revoked {
		return refuse(wire.CodeStandingWrong, "id: the key of %q was revoked in block %d, and nothing of it changes", m.Id, p.StandingAt)
	}
	if len(m.Roles) > 0 {
		was := p
		p.Seller, p.Buyer = false, false
		for _, role := range m.Roles {
			p.Seller = p.Seller || role == fairwattpb.Role_ROLE_SELLER
			p.Buyer = p.Buyer || role == fairwattpb.Role_ROLE_BUYER
		}
		p.Sold, p.Bought = p.Sold || was.Seller && !p.Seller, p.Bought || was.Buyer && !p.Buyer
		if !p.Seller {
			x.withdraw(m.Id)
		}
	}
	if m.Site != "" {
		p.Site = m.Site
	}
	if len(m.RecoveryHash) > 0 {
		p.RecoveryHash = string(m.RecoveryHash)
	}
	if len(m.PayeeHash) > 0 {
		p.PayeeHash = string(m.PayeeHash)
	}
	x.put(keyParticipant+m.Id, &p)
	x.step(Step{Who: m.Id, Kind: StepChanged})
	x.tell(m.Id, nil)
	return nil
}

// dispatchKeys lets a record about a member and its key have its effect.
func (x *execution) dispatchKeys(r *fairwattpb.Record) *Refusal {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_KeyChange:
		return x.changeKey(r.Sender, b.KeyChange)
	case *fairwattpb.Record_Revoke:
		return x.stands(b.Revoke.Id, Revoked, b.Revoke.Reason, StepRevoked)
	case *fairwattpb.Record_Suspend:
		return x.stands(b.Suspend.Id, Suspended, b.Suspend.Reason, StepSuspended)
	case *fairwattpb.Record_Reinstate:
		return x.stands(b.Reinstate.Id, Active, b.Reinstate.Reason, StepReinstated)
	case *fairwattpb.Record_MemberChange:
		return x.changeMember(b.MemberChange)
	}
	return x.dispatchSlots(r)
}
