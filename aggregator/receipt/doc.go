// Package receipt tells senders what became of their records: it keeps the
// outcomes of the newest records, seals receipts and brings them to the brokers.
//
// # What a caller does
//
// [Open] the outcomes next to the chain, and make a [Mailer] over them. For each
// committed block call [Outcomes.Write], next to the store's own write and
// synced like it; then [Outcomes.Add], which makes them known; then
// [Mailer.Block], which answers everyone the block concerns. Call [Mailer.Again]
// when a device says that it is online. [Mailer.Run] publishes.
//
// # Design
//
// A sender repeats itself exactly when it missed its receipt, so the outcome of
// a final record is kept and told again. The chain has only a hash of the
// outcomes, and executing it again from the genesis would take too long at a
// start; so they stand in a file next to the chain. Without that file a record
// that was applied would, after a power cut, be answered as a replay.
//
// Receipts are sealed once and sent at QoS 1. One worker serves a device, so a
// device's receipts go out in the order of the blocks. The newest of each device
// are kept for a while and sent again when it comes online, since a broker that
// was restarted may have lost them after acknowledging them. Agreement never
// waits for a broker: what does not fit the queue is dropped and counted, and
// its reader asks again. Refusals are limited for each device, or a flood of
// bad records would become a flood of receipts.
//
// Refused: PUBACK as the acknowledgement (the broker gives it, not the
// chain).
//
// Source: MQTT 3.1.1, section 4.3; bbolt.
package receipt
