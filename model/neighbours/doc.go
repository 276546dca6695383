// Package neighbours holds what agents of a region tell each other about the
// weather, and what an agent makes of it. A storm that is an hour away is seen by
// the neighbours' sensors and not by one's own.
//
// An agent tells a [Nowcast] every 10 minutes: its highest gust in units of its
// own [Quantile], how its pressure changed in 3 hours, when it thundered last and
// how many strokes it counted. A [Set] keeps the newest of at most 64 neighbours
// and makes six numbers of them ([Heard]), which are inputs of the hazard network
// (model/nnet). A number that nobody tells is missing, never zero.
//
// # The caller's duties
//
// One goroutine owns a Set or a Quantile. The caller hands in its own position and
// the reading of a trusted wall clock: this package has no clock. It also opens
// the sender's signature before it calls Put; the set believes the sender's name.
// A refusal of Put wraps one of the errors below, by which refusals are counted.
//
// # What a neighbour may do
//
// It may move six inputs of a network that only warns. No rule reads them and no
// gate opens or closes by them. Values out of bounds are refused. From five
// neighbours on the second highest counts instead of the highest, and the mean
// leaves out the highest and the lowest, so that one liar moves little.
//
// # Refused
//
// A curve fitted to the neighbours' values, or their names or places as inputs:
// trained on few regions, it learns which region it is in. Gusts in m/s: what is
// ordinary on an islet is a storm in a valley, so each sender divides by what is
// ordinary to it.
package neighbours
