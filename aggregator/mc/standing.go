package mc

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// Revoke takes the key of a member out of use for ever, and returns when the chain has
// done so.
func (c *Centre) Revoke(ctx context.Context, id, reason string) error {
	return c.member(ctx, "revoke "+id, &fairwattpb.Record{Body: &fairwattpb.Record_Revoke{Revoke: &fairwattpb.Revoke{Id: id, Reason: reason}}})
}

// Recover is Revoke by the member's own recovery key: the centre lends its connection.
func (c *Centre) Recover(ctx context.Context, id, reason string, key ed25519.PrivateKey) error {
	r := &fairwattpb.Revoke{Id: id, Reason: reason, RecoveryKey: key.Public().(ed25519.PublicKey)}
	if err := c.placeAs(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Revoke{Revoke: r}}, &signer{id, key}); err != nil {
		return fmt.Errorf("revoke %s by its recovery word: %w", id, err)
	}
	return nil
}

// Suspend keeps a member out until it is reinstated.
func (c *Centre) Suspend(ctx context.Context, id, reason string) error {
	return c.member(ctx, "suspend "+id, &fairwattpb.Record{Body: &fairwattpb.Record_Suspend{Suspend: &fairwattpb.Suspend{Id: id, Reason: reason}}})
}

// Reinstate lets a suspended member take part again.
func (c *Centre) Reinstate(ctx context.Context, id, reason string) error {
	return c.member(ctx, "reinstate "+id, &fairwattpb.Record{Body: &fairwattpb.Record_Reinstate{Reinstate: &fairwattpb.Reinstate{Id: id, Reason: reason}}})
}

// ChangeMember changes what is registered of a member.
func (c *Centre) ChangeMember(ctx context.Context, m *fairwattpb.MemberChange) error {
	return c.member(ctx, "change "+m.GetId(), &fairwattpb.Record{Body: &fairwattpb.Record_MemberChange{MemberChange: m}})
}

// ErrAnotherKey is in the error for a form that another key has signed than the member's.
var ErrAnotherKey = errors.New("the form is not signed with the key that the chain has of this member")

// ChangeRecovery gives a member another recovery key, which it asks for by a form that
// its key of now has signed: no one else may put a word of theirs into the place of the
// member's.
func (c *Centre) ChangeRecovery(ctx context.Context, form *wire.EnrolmentForm) error {
	r := &fairwattpb.Record{Body: &fairwattpb.Record_MemberChange{MemberChange: &fairwattpb.MemberChange{Id: form.ID, RecoveryHash: form.RecoveryHash}}}
	err := c.placeIf(ctx, r, nil, func(s *ledger.State) error {
		if p, ok := s.Participant(form.ID); ok && p.PublicKey != string(form.PublicKey) {
			return ErrAnotherKey
		}
		return nil // the chain refuses a stranger
	})
	if err != nil {
		return fmt.Errorf("change the recovery key of %s: %w", form.ID, err)
	}
	return nil
}

// Withdraw puts money of a revoked member on its way to its bank. An auditor has to
// approve it.
func (c *Centre) Withdraw(ctx context.Context, w *fairwattpb.Withdrawal) error {
	return c.member(ctx, fmt.Sprintf("withdraw money of %s", w.GetMember()), &fairwattpb.Record{Body: &fairwattpb.Record_Withdrawal{Withdrawal: w}})
}

// Unbond asks for the bond of a revoked member, for its wallet.
func (c *Centre) Unbond(ctx context.Context, u *fairwattpb.Unbond) error {
	return c.member(ctx, fmt.Sprintf("release the bond of %s", u.GetMember()), &fairwattpb.Record{Body: &fairwattpb.Record_Unbond{Unbond: u}})
}
