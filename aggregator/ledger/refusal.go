package ledger

import (
	"fmt"

	"fairwatt/proto/wire"
)

// A Refusal says why a record was refused: a code for programs and a reason for
// people that names the field or the thing.
type Refusal struct{ Code, Reason string }

// Forged says that no honest data aggregator hands such a record on: no state of the
// chain makes it a good one.
func (r *Refusal) Forged() bool {
	switch r.Code {
	case wire.CodeMalformed, wire.CodeTooLarge, wire.CodeBadSignature, wire.CodeWrongChain:
		return true
	}
	return false
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Reason }

// Refused returns the code and the reason: it is a refusal and no failure.
func (r *Refusal) Refused() (code, reason string) { return r.Code, r.Reason }

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}
