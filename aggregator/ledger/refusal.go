package ledger

import "fmt"

// A Refusal says why a record was refused: a code for programs and a reason for
// people that names the field or the thing.
type Refusal struct{ Code, Reason string }

func (r *Refusal) Error() string { return r.Code + ": " + r.Reason }

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}
