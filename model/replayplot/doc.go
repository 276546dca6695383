// Package replayplot draws a replay: the gate, the alerts with their rules, the
// network's scores and the sensors' readings, over one axis of time.
//
// # What a caller must do
//
//  1. Read a trace and the events that a replay of it wrote ([ReadEvents]). If
//     they have the network's scores, their panel is drawn too.
//  2. Hand both to [Draw] with a time zone for people.
//
// The same trace, events and zone give the same bytes.
//
// # Design
//
// The first panel has a row for the gate, one for each kind of hazard that was
// alerted, and one for each label of the trace, to compare truth and judgement.
// Then come the scores with the thresholds from which they warn, and panels of
// channels that belong together. A trace of any length is drawn as the lowest
// and highest value of each bit of the axis, so that a spike stays visible.
// Colours are Okabe and Ito's, which colour-blind people can tell apart; a
// simulated trace says so in the title.
//
// gonum's plot draws. It is 7 MB in a binary, which is why the agent does not
// link this package and calls the model program instead.
package replayplot
