package nowcast

import (
	"errors"

	"fairwatt/model/neighbours"
	"fairwatt/proto/brief"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Why a nowcast comes to nothing. Metrics and telemetry count by these.
const (
	CodeMalformed    = wire.CodeMalformed     // not a sealed nowcast, or of another schema
	CodeWrongTopic   = wire.CodeWrongTopic    // not on its sender's own topic, or for another device
	CodeUnknown      = wire.CodeUnknownSigner // the chain knows no such sender at this site
	CodeBadSignature = wire.CodeBadSignature  // the sender's key did not make this signature
	CodeReplayed     = wire.CodeReplayed      // one of this sender with this or a later time was taken
	CodeAbsurd       = "absurd"               // a value that cannot be
	CodeStale        = "stale"                // too old, or past its validity
	CodeFuture       = "future"               // made later than now
	CodeFar          = "far"                  // from further than was asked for
	CodeFull         = "full"                 // as many are kept as may be
	CodeOwn          = "own"                  // its own
	CodeFlood        = "flood"                // its sender tells more than it may
	CodeUnvouched    = "unvouched"            // too few data aggregators know the sender's key
	CodeSimulated    = "simulated"            // simulated weather, offered to a real device
	CodeClockUnknown = "clock_unknown"        // the clock is not known, so its age is not
)

// Codes are all of them, in the order of this file.
var Codes = []string{
	CodeMalformed, CodeWrongTopic, CodeUnknown, CodeBadSignature, CodeReplayed, CodeAbsurd, CodeStale, CodeFuture,
	CodeFar, CodeFull, CodeOwn, CodeFlood, CodeUnvouched, CodeSimulated, CodeClockUnknown,
}

// A Refusal says why a nowcast comes to nothing.
type Refusal struct {
	Code string
	Text string
}

func (r *Refusal) Error() string { return r.Text }

// Refuse makes a Refusal; quotations in it are cut.
func Refuse(code, format string, args ...any) *Refusal {
	return &Refusal{code, brief.Sprintf(format, args...)}
}

// CodeOf is the code of an error of this package or of package neighbours.
func CodeOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	for _, one := range []struct {
		err  error
		code string
	}{
		{neighbours.ErrAbsurd, CodeAbsurd}, {neighbours.ErrStale, CodeStale}, {neighbours.ErrFuture, CodeFuture},
		{neighbours.ErrReplayed, CodeReplayed}, {neighbours.ErrFar, CodeFar}, {neighbours.ErrFull, CodeFull}, {neighbours.ErrOwn, CodeOwn},
	} {
		if errors.Is(err, one.err) {
			return one.code
		}
	}
	return CodeMalformed
}

// sealed turns an error of package seal into a Refusal.
func sealed(what string, err error) error {
	var unknown *seal.UnknownSignerError
	var invalid *seal.InvalidSignatureError
	switch {
	case errors.As(err, &unknown):
		return Refuse(CodeUnknown, "%s: no one of the name %q is known; register the device", what, unknown.Signer)
	case errors.As(err, &invalid):
		return Refuse(CodeBadSignature, "%s: not signed with the key of %q", what, invalid.Signer)
	}
	return Refuse(CodeMalformed, "%s: not a sealed message: %v", what, err)
}
