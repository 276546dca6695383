// Package outbox is an agent's one durable file: sealed records until their
// outcome is known, events until a broker has them, and the named states that
// must survive a restart together with them.
//
// # What is promised
//
//   - [Outbox.Commit] is one synced transaction. Records, states and events of
//     it are all on disk, or none is.
//   - A record is sealed once, inside the transaction that makes its counter
//     durable. A counter never stands in two records, kill -9 included.
//   - [Outbox.Due] returns records in the order of their counters. A record
//     comes again, later and later, until [Outbox.Done]. Not more than [InFlight]
//     counters are under way, so that a long queue arrives whole and in order.
//   - The file is bounded by [Limits]. What a cap drops is counted.
//
// # The caller's duties
//
//  1. Call Done only for a record whose outcome f+1 data aggregators signed. A
//     broker's acknowledgement is not enough; it only delays the next attempt
//     ([Outbox.Sent]). That a counter was used is no outcome ([Outbox.Doubt]).
//  2. Call [Outbox.ResendAll] after each connection to a broker.
//  3. Build of an [Entry] is deterministic in its counter and calls nothing of
//     the outbox.
//  4. Call [Outbox.Flush] now and then. Bulk records and deletions wait for it,
//     so that an SD card is not written at every receipt.
//
// # Design
//
// The index (counter, id, size, due time) is in memory, the bytes are on disk.
// The memory changes after the disk has agreed, so that a disk that refuses
// leaves everything as it was. A deletion waits for the next transaction; a
// crash before it sends the record once more, and the ledger answers replayed.
//
// Refused: a write-ahead log of our own (bbolt is one file, checked on every
// page, and its transactions are what the traders need); one file a record
// (a sync each).
//
// Source: go.etcd.io/bbolt; the back-off doubles up to 16 times, as MQTT
// brokers and the ledger's replay window allow.
package outbox
