// Package agent is the program at a generator or household meter: it reads
// sensors, judges hazards, opens and closes the trade gate, seals records,
// and trades for its owner over MQTT.
//
// # Rooms
//
// The loop, the sensors' vote, the meters, the clock, official warnings, the
// publisher and the watchdog are here. Package outbox keeps what must survive,
// package trade decides for the owner, package contactor when the power may be
// switched on, package receipt says when an outcome is
// certain, package view writes and reads views, package replay judges recorded
// samples, package sensor reads chips, package word reads what people say, and
// package socket is where they say it on this machine.
//
// # One loop
//
// [Agent.Run] owns everything in one goroutine. Each tick reads the sensors in
// their order into one [model.Sample], lets the [model.Judge] judge it, opens
// the contactor when the gate is not open, steps the two traders, writes one
// transaction to the outbox, and hands views to the publisher. Signed receipts
// are checked on a goroutine of their own, and what they settle arrives between
// ticks by a channel; a tick that is due waits for one of them at most. One goroutine for each broker brings views
// up to date, and one sends what the outbox holds; none of them makes the loop
// wait.
//
// # What is promised
//
//   - The gate is the judge's. A full disk, an absent broker and a silent chain
//     neither open it nor delay its closing.
//   - A record is sealed once and sent in order, again and again, until f+1 data
//     aggregators have signed its outcome. An MQTT acknowledgement only delays
//     the next attempt.
//   - The traders' state is written in the same transaction as the records they
//     ask for. After a crash a step has happened whole or not at all. When the
//     disk refuses, the traders are rolled back and asked again.
//   - A contactor closes only after a Start or Resume is final, while the gate is
//     OPEN and exactly one trade delivers. It opens on the tick the gate closes,
//     before anything is written; at the start, at every stop, on an error or a
//     panic of the loop; and, by a guard next to the loop, when no judgement comes.
//   - Sensors of a kind vote ([Senses]). Official warnings ([WarningsConfig])
//     only ever close the gate, and their silence is a warning.
//   - A named person's word ([Agent.Ask], or sealed over MQTT) acknowledges a latch
//     whose condition is over, closes the gate, or takes that back. It is taken once,
//     between two ticks, and is on disk with its record when it is answered; an answer
//     says so if the disk refuses.
//   - A watchdog is kicked by a [Supervisor] after a whole round (sense, judge,
//     gate, publish) and by nothing else. A round without a broker counts. A
//     driver or a publication that never ends makes no round.
//   - Views are retained, carry when they were made and until when they may be
//     believed, and are repeated every 30 s. Alerts are queued until a broker
//     has them; late ones say "historical". Telemetry is of the moment.
//
// # The caller's duties
//
//  1. Hand in both clocks ([Clock]). A sensing clock that goes back is held.
//  2. Give each pipe the will of [WillOf], and do not open it.
//  3. Give Clock.WorldMs when the sensors' world has another time than the
//     signatures (replay, grid). The judge is told the time of day once, at the
//     start.
//  4. Call Run once. It closes what it was given.
//
// # What was refused
//
//   - paho's store of messages in flight: it sends again by itself, out of
//     order, next to the outbox.
//   - A PUBACK as the acknowledgement of a record: the broker is not the chain.
//   - Telemetry through the outbox: one message a second would wear out an SD
//     card, for values that no one reads a day later.
//   - A timer that kicks the watchdog: it would go on while the loop stands.
//   - A goroutine for each sensor, to outlive a driver that hangs: it would leak,
//     and the chip would still be lost. The watchdog's restart sets it up again.
//   - Billing by V times I: only a meter's register is billed, rounded down.
//
// Topics and payloads are those of package wire.
package agent
