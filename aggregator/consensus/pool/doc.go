// Package pool keeps the records that wait for a block, oldest first and
// bounded in records and bytes: in all, of one sender, and of those that one
// other DA handed over.
//
// # What a caller must do
//
//  1. Check a record before [Pool.Add]. The pool looks at no bytes.
//  2. Call [Pool.Take] when [Pool.Wake] fires and at each change of leader, and
//     hand over what it returns. What could not be handed over goes back by
//     [Pool.PutBack].
//  3. Call [Pool.Remove] for each record that a block decided or that no
//     block can hold any more. Nothing else leaves the pool.
//
// # Design
//
// The pool outlives epochs and agreement views. The library's own pool dies with
// its instance, so each DA keeps its records here and hands them to one leader
// after the other: [Pool.Take] starts over with all of them in each new [Term].
// Own records are handed over; records of other DAs are only kept and watched,
// so that this DA complains too when the leader leaves them out
// ([Pool.Overtaken]), and proposes them when it leads itself.
//
// Each sender has a queue of its own, and senders take turns by bytes (deficit
// round robin): who sends much waits behind its own records, and not others
// behind them. The records of one sender keep their order. That a leader censors
// shows in the oldest record of each sender, from the moment that it is the
// oldest: under fair turns nothing that comes later may pass it for long.
//
// The pool has no clock and starts no goroutine: the caller gives the time.
//
// Refused: one queue in the order of arrival. One device within its limits then
// takes as much of each block as it likes.
//
// Source: M. Shreedhar, G. Varghese, "Efficient fair queuing using deficit round
// robin", 1996.
package pool
