// Package consensus makes data aggregators (DAs) agree on blocks. It is the
// only door to the agreement library, SmartBFT v1.0.1, which it guards and
// binds to the ledger's side ([Application]) and the links ([Link]).
//
// # What a caller must do
//
//  1. Give an [Application] whose Commit has the block on disk when it returns.
//  2. Make the node ([New]), give its Receive, ServePull, ServeFetch and
//     ServeFollow to the link as handlers, run the link and then [Node.Run].
//  3. Keep Dir with the application's data, and never restore one from a backup
//     without the other: a node that forgot a vote may vote twice. A node that
//     finds its log of the running epoch gone follows without voting until the
//     next one.
//  4. Tell a record's sender that it is final only after Commit.
//
// # How it works
//
// An epoch is one SmartBFT instance with leader rotation off. Members have ids
// 1 + position in the WCT sequence, so view 0's leader is the root of the
// communication tree, and when it fails view k's is the next in the sequence.
// The tree of a view is led by its leader and built from the epoch's overheads
// ([Epoch].Tree: oct or wct); who failed counts as not trusted in it. A tree of
// 50 members takes some ten milliseconds to build, so epochs without news share
// theirs.
// Sequences start at 1 in each epoch, with a log of their own.
//
// The block (the pre-prepare) goes once down the tree of its view ([Tree]):
// signed by its origin, forwarded by each DA to its children as soon as that
// signature holds and before the content is checked. Votes go straight to
// everyone. A DA that sees a vote for a block it has not got waits 10 ms and
// pulls it from one who voted; the miss is booked against the parent. So a dead
// or lying forwarder costs one short delay, and safety never depends on the
// tree.
//
// An epoch ends with the block of which Commit says so. The instance is stopped
// from outside (inside Deliver it would lock itself up), the next is started
// with an empty log; what peers send for it meanwhile waits, bounded. Records
// live in a pool of this package which outlives instances: each DA hands its
// own to the leader, and again to the next one.
//
// A DA that has fallen behind fetches certified blocks: when the library asks
// (Sync), and when f + 1 others claim a later epoch, since the peers of an
// ended epoch answer nothing there.
//
// # The guard
//
// SmartBFT trusts what it is handed in places where a single Byzantine DA
// gains by it; the guard stands before it. The sender is who the link has
// proved; messages in this node's own name, of outsiders, of other epochs, and
// pre-prepares without their origin's signature stop there; view data must be
// signed by a member and its last decision carry a quorum of votes; a new view
// must carry a quorum of such. Votes bind chain, epoch and view through the
// header, view data binds the epoch.
//
// # Liveness beyond the library
//
// Votes are sent, and kept messages processed, again after 100 ms without a
// block, since the library drops the first messages of a new leader while it
// still writes the new view down and sends nothing twice. A leader that is
// alive but decides nothing for 500 ms while records wait, or lets records be
// overtaken for seconds, is given up by a watchdog.
//
// # What happens on faults
//
// The library panics where it finds its state impossible. Its panics by way of
// the logger end the goroutine and the instance, not the process: the node
// catches up and starts a new instance from the log, and gives up after ten
// such faults in a minute. A panic on a message is caught the same way. Plain
// panics on the library's own goroutines can not be caught by anybody; the
// guard keeps out the messages known to cause them. An instance that does not
// stop within 3 s is left behind, cut off from log and links, and logged.
//
// One deadlock of the library is foreseen: when a leader is given up while
// blocks flow, its controller can abort a view whose decision is already queued
// and then wait for ever for that view. The library's own log lines, pinned to
// the version by a test, tell Deliver so, which stores the block and ends the
// instance instead; the next one starts from the log.
//
// # Logs and restarts
//
// Each epoch has a folder epoch-<number> under Dir. Folder e+1 is made with a
// mark "fresh" when epoch e begins; the mark goes before the first vote. So at a
// start: a log means continue, a mark means that this node has not voted, and
// neither means that the log is lost and the node follows without voting until
// the next epoch. (A crash in the instant between removing the mark and
// writing the log costs that epoch's votes too.) A log that ends in a block the
// application has stored is not given to the library, which would propose it
// again; a leader that recorded a block and crashed before sending it sends it
// at the start.
//
// # Refused
//
// Reconfiguring one instance in place was as quick and keeps the library's
// pool, but carries the view, and so the leader, over. The library's request
// timers are set out of reach: they count from each DA's own submission and
// thrash under load; the watchdog looks at progress instead.
//
// Source: SmartBFT, https://github.com/hyperledger-labs/SmartBFT (Apache-2.0);
// Barger, Manevich, Meir, Tock, "A Byzantine Fault-Tolerant Consensus Library
// for Hyperledger Fabric", IEEE ICBC 2021.
package consensus
