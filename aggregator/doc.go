// Package aggregator is the data aggregator (DA): it takes signed records from
// MQTT, has them agreed on, stores the blocks and answers with receipts.
//
// # What a caller does
//
// Fill a [Config] and [Deps] and call [New]; then [DA.Run], which starts every
// goroutine and ends them all before it returns. What differs between a server
// and a test is handed in: the link to the other aggregators (package peer, gRPC
// or memory), the pipes to the brokers ([MQTT] or any [Pipe]), the clock. A DA is
// a [console.Source] for the page.
//
// Run returns an error when the DA can take no further part: the disk is full
// or read-only, the chain has forked, a block that was agreed on breaks the
// rules. Nothing is half-applied then: a block and its effects are one
// transaction of the store, and a receipt is sent only after it. Restarting is
// safe at any moment.
//
// # The way of a record
//
//	pipe -> queue -> door -> agreement -> store (fsync) -> receipts -> pipe
//
// The queue is bounded. What does not fit is counted as dropped and not
// answered, so that its sender sends it again; nothing is lost that was
// answered. The door checks that the topic is the sender's own, its rate, and
// all that the ledger can say of a record outside a block (signature, role,
// replay); a refusal is answered with a receipt of height 0 that says why. A
// record that is waiting already is counted and nothing more; one that is final
// already is answered again from the outcomes kept, because a sender repeats
// itself exactly when it missed the answer.
//
// Receipts go to a record's sender and, with the record itself, to those whose
// trade it changed. They are sealed and at QoS 1. Each device's newest ones are
// kept for a while and sent again when the device says that it is online, since
// a broker that was restarted may have lost them after acknowledging them.
//
// # Refused
//
// A PUBACK as the acknowledgement (it is the broker's word, not the chain's). A
// persistent inbox at the aggregator (the agent's outbox has the record until
// the receipt; a second copy here would only have to be reconciled). Showing
// devices that are not registered (anybody may publish to a topic of his own).
//
// Sources: the paper, section 3 (collect, pack, verify, store); MQTT 3.1.1.
package aggregator
