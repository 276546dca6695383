// Package agent is the program at a generator or household meter: it reads
// sensors, judges hazards, opens and closes the trade gate, seals records,
// and trades for its owner over MQTT.
//
// # One loop
//
// [Agent.Run] owns everything in one goroutine: each tick reads the sensors in
// their order into one [model.Sample], lets the [model.Judge] judge it, opens
// the contactor when the gate is not open, steps the two traders, writes one
// transaction to the [Outbox], and hands views to the publisher. Signed
// receipts arrive between ticks by a channel. A second goroutine per broker
// brings views up to date, a third sends what the outbox holds; neither ever
// makes the loop wait.
//
// # What is promised
//
//   - The gate is the judge's. A disk that is full, a broker that is away, a
//     chain that does not answer: none of them opens it or delays its closing.
//   - A record is sealed once, inside the transaction that makes its counter
//     durable; a counter never stands in two records, kill -9 included. It is
//     sent in order, again and again, until f+1 data aggregators have signed
//     that it is final or refused ([Receipts]); an MQTT acknowledgement only
//     delays the next attempt.
//   - Traders ([Seller], [Buyer]) are pure state machines. Their state is
//     written in the same transaction as the records they ask for: after a
//     crash they are as if the step had happened whole, or not at all. When
//     the disk refuses, they are rolled back and asked again.
//   - A contactor closes only after a Start or Resume is final and opens on
//     the tick the gate closes, before anything is written.
//   - Sensors of a kind vote ([Senses]); official warnings ([WarningsConfig])
//     only ever close the gate, and their silence is a warning.
//   - A watchdog is kicked by a [Supervisor] after a whole round (sense, judge,
//     gate, publish) and by nothing else. A broker that is away is a round; a
//     driver or a publication that never ends is none.
//   - Views (JSON) are retained, carry when they were made and until when they
//     may be believed, and are repeated every 30 s. Alerts are queued until a
//     broker has them; late ones say "historical". Telemetry is of the moment.
//
// # The caller's duties
//
//  1. Hand in both clocks ([Clock]); the sensing clock never goes back.
//  2. Give each pipe the will of [WillOf], and do not open it.
//  3. Where the sensors' world has a time of its own (replay, grid), give it as
//     Clock.WorldMs: the judge is told the time of day once, at the start.
//  4. Call Run once. It closes what it was given.
//
// # What was refused
//
// Storing paho's in-flight messages: its store sends again on its own, beside
// the outbox, out of order. Acknowledging records by PUBACK: the broker is not
// the chain. Telemetry through the outbox: at one message a second it would
// wear out an SD card for values nobody reads a day later. A timer that kicks the
// watchdog: it would go on while the loop stands still. A goroutine for each
// sensor, to outlive a driver that hangs: it would leak, and the chip would be
// lost all the same; the watchdog's restart sets it up again. Billing by V times
// I: only a meter's register is billed, rounded down.
//
// Topics and payloads follow the project's interface notes; the trade's steps
// are those of Yu, Wu, Li and Wang, "A Distributed Power Trading Scheme Based
// on Blockchain and Artificial Intelligence in Smart Grids" (2023), section
// 3.2, with escrow on the chain in place of a shared wallet key.
package agent
