// Package contactor decides when the switch of a seller's power may be closed:
// one small state machine, the [Switch].
//
// # What is promised
//
// The contactor is told closed only while the gate is OPEN and exactly one
// trade delivers, and only for that trade. Where a step asks to close and to
// open, the opening wins. A command that failed leaves the contactor unsure:
// it is opened again in every step until that works, and is not closed before.
//
// # The caller's duties
//
//  1. Begin with an opening: a new Switch does not know where the contactor is,
//     and asks for it.
//  2. Ask [Switch.MustOpen] after every judgement, before anything is written,
//     and again after the seller's step. Open at once, and tell [Switch.Told].
//  3. Ask [Switch.MayClose] last, when the step is on disk.
//  4. Hand every reading of the feedback to [Switch.Feel], once in each round.
//
// # Design
//
// The wanted state follows from the gate and the trades, not from a list of
// commands: a command that is lost, doubled or late cannot leave the contactor
// closed. The machine has no clock, no goroutine and no line to the hardware;
// package drive has that.
//
// Refused: to trust the command alone. A contact can weld; without feedback
// that is not seen, and [Unwatched] says so.
package contactor
