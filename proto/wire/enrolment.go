package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"fairwatt/proto/seal"
)

const enrolmentFormat = "fairwatt-enrolment-1"

// An EnrolmentForm is what a member hands to a centre: the public half of its key, and
// the key's word on what it is to be registered for. Nothing in it is secret.
type EnrolmentForm struct {
	Format       string         `json:"format"`
	Chain        string         `json:"chain"` // hex
	ID           string         `json:"id"`
	Roles        []string       `json:"roles"` // seller, buyer: in this order
	PublicKey    seal.PublicKey `json:"public_key"`
	Possession   []byte         `json:"possession"`
	RecoveryHash []byte         `json:"recovery_hash,omitempty"` // 32 bytes
	PayeeHash    []byte         `json:"payee_hash,omitempty"`    // 32 bytes
}

var errEnrolment = errors.New("enrolment")

// Statement returns what the key states.
func (e *EnrolmentForm) Statement() []byte {
	return Enrolment(slices.Contains(e.Roles, RoleSeller), slices.Contains(e.Roles, RoleBuyer), e.RecoveryHash, e.PayeeHash)
}

// The roles of a member, as people write them.
const (
	RoleSeller = "seller"
	RoleBuyer  = "buyer"
)

// Marshal returns the form as JSON, completed with its format.
func (e *EnrolmentForm) Marshal(chain [32]byte) ([]byte, error) {
	e.Format, e.Chain = enrolmentFormat, hex.EncodeToString(chain[:])
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write enrolment: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseEnrolment reads a form for a chain and checks the key's word.
func ParseEnrolment(b []byte, chain [32]byte) (*EnrolmentForm, error) {
	e := &EnrolmentForm{}
	if err := json.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("%w: %w", errEnrolment, err)
	}
	both := slices.Equal(e.Roles, []string{RoleSeller, RoleBuyer})
	switch {
	case e.Format != enrolmentFormat:
		return nil, fmt.Errorf("%w: format %.40q, want %q", errEnrolment, e.Format, enrolmentFormat)
	case e.Chain != hex.EncodeToString(chain[:]):
		return nil, fmt.Errorf("%w: made for another chain, %.64q", errEnrolment, e.Chain)
	case !both && !slices.Equal(e.Roles, []string{RoleSeller}) && !slices.Equal(e.Roles, []string{RoleBuyer}):
		return nil, fmt.Errorf("%w: roles: want %s, %s or both in this order", errEnrolment, RoleSeller, RoleBuyer)
	case !Possesses(string(e.PublicKey), chain, e.ID, e.Statement(), e.Possession):
		return nil, fmt.Errorf("%w: the key has not signed for this id, these roles and these hashes", errEnrolment)
	}
	return e, nil
}
