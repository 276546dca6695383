// Package replay runs the judgement of a live agent over recorded samples: the
// same judge, the same events, the same views, without hardware.
//
// The events are the same at every speed. At speed 0 nothing waits; above it a
// timer of the judge fires at its own moment between two samples.
//
// # The caller's duties
//
// Make the judge with the configuration and the interval of the trace; open and
// close the pipe; run a [Replay] once. Say by UnixTime whether the trace's times
// are Unix times: the usual pressure of an hour and the sun's height need them.
//
// # Design
//
// A replay is not an agent: it has no outbox, no trades and no meters, and its
// clock is the trace's. Feeding a whole agent from a trace is what the grid of
// firmware-sim does.
package replay
