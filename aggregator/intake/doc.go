// Package intake takes records into a data aggregator: from MQTT, and past it.
//
// # What a caller does
//
// Hand [New] a [Config] and the [Needs]: the ledger's check, agreement's
// pool and who answers senders. Subscribe [Intake.Take] to the records' topics and
// call [Intake.Run]. Call [Intake.Final] for each committed block, after its
// outcomes can be asked for, [Intake.Discarded] for a record that agreement
// gives up, and [Intake.Forget] about once a second.
//
// # Design
//
//	message -> queue -> unpack -> sift -> check -> pass -> agreement
//
// The queue is bounded, and Take never blocks: what does not fit is counted as
// dropped and not answered, so its sender sends it again. Unpack reads the
// topic and the batch; a message that cannot be read has no sender to answer.
// Sift answers again what is final already, leaves out what waits already, and
// holds each device to its rate. Check is the ledger's full check, on all
// processors. Pass compares the topic with the sender and hands the record on;
// a full pool is waited for a little, which holds back the queue.
//
// Records stay in the order of their senders' messages: a gate change comes
// before the start that needs it. A mark "waiting" ends with the record's block
// or after half a minute, so that a record no block took may come again.
//
// [Bucket] and [Recent] bound what one sender, and the past, may take of the
// memory; receipts use them too.
//
// Refused: an inbox on disk (the agent's outbox has the record until its
// receipt), and a check in the MQTT handler (it would hold up every message
// behind it).
//
// Source: MQTT 3.1.1; the paper, section 3 (collecting records).
package intake
