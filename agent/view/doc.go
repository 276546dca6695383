// Package view writes and reads views: the unsigned JSON that a device
// publishes for people and home automation. What is binding is in the sealed
// records.
//
// [Writer] turns the judgement into the views of one device. [Fleet] reads the
// views of many devices, as a watcher sees them; [ParseTrades] reads one list of
// open trades. The schemas themselves are in package wire.
//
// # What is promised
//
//   - Views are numbered. The numbers rise, over restarts too when the caller
//     keeps Writer.Seq.
//   - A gate view says until when it may be believed ([wire.GateValid]) and is
//     repeated more often than that ([wire.GateEvery]).
//   - A number that JSON cannot carry becomes null, never 0.
//   - A reader of strangers' views is bounded: devices, events, bytes. Text is
//     shown without control characters.
//
// # The caller's duties
//
// Publish gate and hazard views retained, alerts and telemetry not. Take a gate
// for closed when its view has expired or its device is offline
// ([FleetDevice.Shown] does). Use a Writer or a Fleet from one goroutine.
//
// # Design
//
// The writer builds payloads and hands them to a function, so that a live agent
// and a replay share it. Signing views was refused: a view is worth its moment,
// and at one a second signatures would cost more than they prove.
//
// Source: urgency, severity and certainty follow CAP 1.2 (OASIS, 2010).
package view
