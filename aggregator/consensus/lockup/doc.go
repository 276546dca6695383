// Package lockup foresees two deadlocks of SmartBFT v1.0.1 from the library's own
// log lines, and keeps it out of another.
//
// # What a caller must do
//
//  1. Give the library's debug and info messages, formats unexpanded, to
//     [Predictor.Debugf] and [Predictor.Infof] in the order they come.
//  2. Ask [Predictor.Delivered] once in each Deliver. If it says yes, store the
//     block and end the instance from outside; the library would not return.
//  3. Give [InFlight.Note] both kinds of messages, and end the instance when it says
//     yes, or when [InFlight.Waits] tells of one block for much longer than a view
//     change may take.
//  4. Ask [Turnstile.Pass] with each debug message, on the goroutine that logs it,
//     and end that goroutine if it says no.
//
// # Design
//
// When a leader is given up while blocks flow, the library's controller can
// abort an agreement view whose decision is already queued. It then delivers
// that decision and waits forever for the aborted view to take note. Only
// Deliver can still act at that moment, and only the log lines say that the
// moment has come. A test of package consensus fails when another version of the
// library words them differently.
//
// Where a controller has ended, the library's view changer would wait for good with
// what it wants to tell it, and its Stop with it. The [Turnstile] stands before
// those two sends.
//
// The view changer and the view in which it finishes a block under way can wait for
// each other as well ([InFlight]). There is no send to keep from; the instance ends. And
// where its timer has run out before that view begins, the view changer waits for it
// without one: the complaint of the timer is looked at only afterwards.
//
// Refused: a time limit on deliveries. It would have to be longer than the
// slowest disk takes, and would cost that long at each such change of leader.
// Refused too: a patched copy of the library, which would have to follow every
// release.
//
// Source: SmartBFT v1.0.1, internal/bft/controller.go and view.go.
package lockup
