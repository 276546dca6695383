// Package peer is the links between data aggregators (DAs): frames of the
// agreement, pulls of blocks that did not come down the tree, catch-up by
// certified blocks; and what a DA answers to observers, which follow the chain
// and submit records.
//
// # What a caller must do
//
//  1. Make a link ([NewGRPC], or [NewMemory] and Join), hand it to agreement,
//     and call its Run with the [Handlers] that answer. Before Run nothing is
//     received; what is sent waits.
//  2. Not change a frame after Send.
//  3. Read Stats: a frame dropped on a live link means that the other end does
//     not keep up.
//
// # Design
//
// One stream a direction and pair, so frames of one sender keep their order,
// which agreement relies on. Who speaks is the common name of the certificate
// it has proved (TLS 1.3, both ends). No message field, address or host name
// says who speaks. DAs may call everything; observers only Fetch,
// Follow and Submit.
//
// Send never blocks: a dead peer must not hold up agreement, which calls Send
// from its state machine. The queue to a peer is bounded in frames and bytes
// and drops the oldest first, because an old vote is worth less than a new one;
// drops are counted apart for peers that are down (expected) and peers that
// are up (reported). What a breaking connection had accepted is lost:
// agreement sends its votes again when it stalls.
//
// Waiting for a lost peer is left to gRPC's backoff (50 ms to 1 s) by waiting
// for the connection's state to change.
//
// [Memory] is the same contract inside one process with seeded delays, losses
// and partitions. Tests of the gRPC links run in bubbles, over connections in
// memory (package peertest, [Config].Dialer).
//
// # Refused
//
// An acknowledgement for each frame: it would double the messages to cure what
// the layer above has to cure anyway.
//
// Source: gRPC, https://grpc.io; TLS 1.3, RFC 8446.
package peer
