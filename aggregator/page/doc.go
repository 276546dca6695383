// Package page is what one data aggregator shows of itself and of the chain: the
// [console.Source] behind the web page, the API and the metrics.
//
// # What a caller does
//
// Make a [Page] with [New] over the state and the store. Hand it the views of
// devices ([Page.Take]), each committed block ([Page.Added]) and a fault
// ([Page.SetFault]), and call [Page.Refresh] and [Page.Keep] about once a second.
//
// # Design
//
// A snapshot joins four things: what agents say of themselves (unsigned, for
// people: nothing the chain decides depends on it), the state of the chain, the
// journal of the newest blocks and trades, and counters. It is made once a
// version, however many browsers look.
//
// A device that is not registered is not shown, or anyone who may publish could
// fill the memory. What a registered one says is bounded in size and number. A
// retained message does not make its sender alive: it does not say when it was
// sent. A gate past its validity is shown as expired, as the market takes it.
//
// What is kept over time, and where the chain speaks of whom, is in package history;
// [Page.Keep] notes how gates stand, [Page.Added] what a block did, and [Page.Archive]
// answers from it. Blocks that it lacks after a crash are read from the store, without
// outcomes: those would need a replay.
//
// Source: docs/operator.md; schema gate/1 of package wire.
package page
