// Package aggregator is the data aggregator (DA): it takes signed records from
// MQTT, has them agreed on, stores the blocks and answers with receipts.
//
// # What a caller does
//
// Fill a [Config] and [Deps] and call [New]; then [DA.Run], which starts every
// goroutine and ends them all before it returns. What differs between a server
// and a test is handed in: the link to the other aggregators (package peer, gRPC
// or memory), the pipes to the brokers (package mqtt, completed by [MQTTOf]), the
// clock. A DA is a [console.Source] for the page.
//
// Run returns an error when the DA can take no further part: the disk is full
// or read-only, the chain has forked, a block that was agreed on breaks the
// rules. Nothing is half-applied then: a block and its effects are one
// transaction of the store, and a receipt is sent only after it. Restarting is
// safe at any moment.
//
// # The way of a record
//
//	pipe -> intake -> agreement -> app -> store (fsync) -> receipt -> pipe
//	                                                    -> page
//
// Each part is a package that takes two or three functions of the others; none
// of them holds the DA, which only wires them.
//
//   - Package intake takes records in: topic, rate, the ledger's check. What does
//     not fit is counted and not answered, so its sender sends it again.
//   - The app is the ledger and the store as package consensus sees them. A block
//     is decoded and verified once: from the proposal on, the staged block is
//     handed along.
//   - Package receipt answers: a refusal with height 0, a final record with its
//     outcome, and everyone whose trade a record changed.
//   - Package page shows it.
//
// # Refused
//
// A persistent inbox at the aggregator: the agent's outbox has the record until
// the receipt, and a second copy here would only have to be reconciled.
//
// Sources: the paper, section 3 (collect, pack, verify, store); MQTT 3.1.1.
package aggregator
