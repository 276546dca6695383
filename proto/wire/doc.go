// Package wire holds the words that an agent and an aggregator both say:
// topics, the JSON of views, the words for gates, trades and refusals, limits,
// the sizes of a fault and of a quorum, and the bytes a vote signs.
//
// Each word stands here once. A side that spells a topic or a status itself
// goes on compiling after the other side has changed it; a constant does not.
//
// # Parts
//
//   - Topics: [Topics] builds the topics of one device, [ParseTopic] reads any
//     of them, [EveryDevice] is the filter over all devices.
//   - Views: [Gate], [Hazard], [Alert], [Telemetry], [Info] and the payloads
//     [Online] and [Offline] are what a device publishes, unsigned, for people.
//   - Words: the gate states, the statuses of a trade ([StatusSettled] and so
//     on; [Ended] tells which are final), the refusal codes ([CodeReplayed] and
//     so on).
//   - Limits: of batches, views, receipts and causes.
//   - Agreement: [Faulty], [Quorum] and [VotePayload].
//
// # The caller's duties
//
// Check the length of a payload against its limit before decoding it. A view
// is unsigned: show it, and decide nothing by it.
//
// # Design
//
// The package is pure: no clock, no network, no goroutine. Anything may import
// it, and it imports package seal alone, for the form of a name. Records are
// not here, because protobuf (package fairwattpb) states them already. The
// causes in a view are a type parameter: a device writes its judge's own type,
// which formats numbers the same way on every architecture, and a reader reads
// [Cause]. The refused alternative, a conversion from one to the other in the
// agent, would have been a second copy of the same eight fields.
package wire
