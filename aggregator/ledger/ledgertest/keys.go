package ledgertest

import (
	"crypto/ed25519"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// Possessed gives a registration the word of its key's holder: the key is that of a name.
func (c *Chain) Possessed(r *fairwattpb.Registration, name string) *fairwattpb.Registration {
	var seller, buyer bool
	for _, role := range r.Roles {
		seller = seller || role == fairwattpb.Role_ROLE_SELLER
		buyer = buyer || role == fairwattpb.Role_ROLE_BUYER
	}
	r.Possession = c.possess(r.Id, name, wire.Enrolment(seller, buyer, r.RecoveryHash, r.PayeeHash))
	return r
}

// KeyChange is the record that gives a member the key of a name: its id with "-2" or "-3".
func (c *Chain) KeyChange(id, name string) *fairwattpb.Record {
	p, _ := c.State.Participant(id)
	return &fairwattpb.Record{Body: &fairwattpb.Record_KeyChange{KeyChange: &fairwattpb.KeyChange{
		NewKey: string(PublicKey(name)), Possession: c.possess(id, name, wire.Succession(p.PublicKey)),
	}}}
}

func (c *Chain) possess(id, name string, statement []byte) []byte {
	b, err := wire.Possess(Key(name), c.State.ChainID(), id, statement)
	if err != nil {
		panic(err) // Key makes ed25519 keys
	}
	return b
}

// RecoveryHash is what stands for the recovery key of id, which [Chain.Seal] seals with.
func RecoveryHash(id string) []byte { return wire.RecoveryHash(recoveryKey(id)) }

func recoveryKey(id string) ed25519.PublicKey {
	return Key("recovery of " + id).Public().(ed25519.PublicKey)
}

// Revoke is a centre's word that the key of a member is good for nothing more.
func Revoke(id string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Revoke{Revoke: &fairwattpb.Revoke{Id: id, Reason: "stolen"}}}
}

// Recover is the same by the member's recovery key.
func Recover(id string) *fairwattpb.Record {
	r := Revoke(id)
	r.GetRevoke().RecoveryKey = recoveryKey(id)
	return r
}

// Suspend keeps a member out.
func Suspend(id string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Suspend{Suspend: &fairwattpb.Suspend{Id: id, Reason: "unpaid"}}}
}

// Reinstate lets it in again.
func Reinstate(id string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Reinstate{Reinstate: &fairwattpb.Reinstate{Id: id, Reason: "paid"}}}
}

// ChangeMember is a record of such a change.
func ChangeMember(m *fairwattpb.MemberChange) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_MemberChange{MemberChange: m}}
}
