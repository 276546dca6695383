// Package consensus makes data aggregators (DAs) agree on blocks. It is the
// only way to the agreement library, SmartBFT v1.0.1. It guards the library and
// binds it to the ledger ([Application]) and to the links ([Link]).
//
// # What a caller must do
//
//  1. Give an [Application] whose Commit has the block on disk when it returns.
//  2. Make the node ([New]), give its Receive, ServePull, ServeFetch and
//     ServeFollow to the link as handlers, run the link and then [Node.Run].
//  3. Check a record in full before [Node.Submit]. Records of other DAs, and all
//     records of a proposal, are checked here.
//  4. Keep Dir with the application's data, and never restore one from a backup
//     without the other: a node that forgot a vote may vote twice. A node that
//     finds its log of the running epoch gone, unreadable or older than what the
//     chain or another member knows of it follows without voting, and asks by a
//     record ([Application].Rejoin) that the epoch ends: it votes in the next.
//  5. Tell a record's sender that it is final only after Commit.
//
// # Where things are
//
// What comes in is judged in package guard, a pure value: there each vote is
// checked. What this node may still sign is judged in package book, and
// keeper.go joins the book with its log. Package pool keeps pending records, package wal the logs, package
// lockup foresees a deadlock of the library. Here, node.go runs one instance an
// epoch; instance.go is the library for one epoch; bind.go is what the library
// asks of us; relay.go sends blocks down the tree and pull.go fetches those that
// did not come; commit.go stores decisions; catchup.go fetches decided blocks;
// said.go finds out an old log, rejoin.go follows without a vote, and resume.go
// lets members begin again of which too many lost their logs;
// keep.go, watchdog.go, viewhelp.go, intake.go and handover.go do what their names
// say.
//
// # How it works
//
// An epoch is one SmartBFT instance with leader rotation off. Members have ids
// 1 + position in the WCT sequence, so the root of the communication tree leads
// agreement view 0, and when a view fails, the next of the sequence leads the
// next view. The tree of a view is led by its leader and built from the epoch's
// overheads ([Epoch].Tree: oct or wct). Leaders of earlier views failed; each
// counts as not trusted in it. A tree of 50 members takes some ten milliseconds
// to build, so epochs without news share theirs. Sequences start at 1 in each
// epoch.
//
// The block (the pre-prepare) goes once down the tree of its view ([Tree]). Its
// origin signs it. Each DA forwards it to its children as soon as that signature
// holds, before it looks at the content. With few members votes go straight to all
// ([Config].TreeVotes); with many, see below. A DA
// that sees a vote for a block it lacks waits 10 ms, then pulls the block from a
// voter, and counts the miss against its parent. So a dead or lying forwarder
// costs one short delay, and safety never depends on the tree.
//
// With many members votes are carried (bundle.go): up a tree of two levels with the
// order of the view's tree, gathered and checked on the way, and down again as soon as
// the leader has a quorum. That is four messages a member and block, where each to each
// is 2(n-1). The leader also tells all, in a small frame, that there is a block: who is
// behind a forwarder that drops finds out. What does not come in time is asked of the
// leader, then of another member as well, and in the end own votes go to all, for a while.
// A prepare is signed for that by who gives it; the library trusts the link alone.
//
// An epoch ends with the block of which Commit says so. The instance is stopped
// from outside (inside Deliver it would lock itself up), and the next one starts
// with an empty log. What peers send for it meanwhile waits, bounded. Each DA
// hands its own pending records to the leader, and again to the next leader.
//
// A DA that has fallen behind fetches certified blocks: when the library asks
// (Sync), and when f + 1 others claim a later epoch, since the peers of an
// ended epoch answer nothing there. Fewer than f + 1 may all be liars.
//
// # After a lost log
//
// A member votes in an epoch if it knows all that it has said there: its log goes
// on, or it saw the end of the epoch before. Each entry of the log has a number, and
// the newest number goes, signed, with blocks and votes (said.go). The others keep it, in a
// file that outlasts their process and is not synced, and
// tell it to a member that starts or comes with less. So a log put back from a backup
// is known as old, by one honest member; what was said in the last 100 ms and
// reached no one is not known, nor what those knew who lost their power since. A member
// that starts says nothing until a quorum with it has told: with fewer in reach there is
// no block to vote for. Refused: to wait at a start until all have answered. A member that starts later by that
// misses views, and the others stand still for it. Without a whole log a member asks for the end of the
// epoch. A quorum has to decide that. Where more than f logs are lost at once there
// is none, and the operators have to speak (resume.go): each member states the
// newest block that any of them holds, and all begin above it in a view that no one
// has been near. Votes of before can then certify nothing: they are of lower views,
// and a quorum gives no more of them. What that gives up is a block that was decided
// and is held only by members that take no part in it.
//
// # Liveness beyond the library
//
// After 100 ms without a block, own votes are sent again and kept messages
// processed again. The library needs that: it drops the first messages of a new
// leader while it still writes the new view down, and it sends nothing twice. A
// watchdog gives up a leader that is alive but decides nothing for 500 ms while
// records wait, or that lets records be overtaken for seconds.
//
// # What happens on faults
//
// The library panics when it finds its state impossible. It does so through the
// logger. Such a panic ends the goroutine and the instance, not the process: the
// node catches up and starts a new instance from the log, after ever longer pauses
// when the faults go on. A panic on a message is caught the same way. No one
// can catch a plain panic on the library's own goroutines; the guard keeps out
// the messages known to cause one. An instance that does not stop within 3 s is
// cut off from log and links, left behind, and logged.
//
// A member that missed a new view may hold on to a vote which that view overruled,
// and what it tells then can keep three members of four from ever ending a view
// change. While no block comes, members therefore hand on the new view by which they
// came to where they are. It carries the signatures of a quorum, so it proves what it
// overrules, and the log keeps it until a block is decided (viewhelp.go). A few members
// at a time do that. The library also drops view data and a new view that come before it
// has come so far itself, and they are said once: they wait (early.go).
//
// The library counts a block that one member took and no one prepared against another
// that most have prepared. A leader that equivocates and falls silent thereby stops
// every view. Such a member leaves its block out of its view data (yield.go).
//
// In a view change the library also answers a wish for a view that it has passed with
// the same wish, to all, which two members can go on with for ever: such answers are not
// sent (bind.go). And it can lose the complaint of its own timer, and then waits for a
// view that does not come: the watchdog gives that one up (watchdog.go). It can also wait
// without a timer for votes for the block that a view brought along, and looks at nothing
// else: the watchdog ends the instance.
//
// The library also goes back on its word: package book says where. A vote or
// view data that would break a promise is not signed; where the library can take
// no refusal, the instance ends, and the next one starts from the book.
//
// Two signatures of one member for one place, votes or blocks of a leader, are told to the
// application, which can prove them to others (evidence.go). A member whose vote is for
// another block than the one here is asked for its own, once a place. No vote depends on it.
//
// # Tests
//
// The tests run in synctest bubbles over links in memory with seeded delays and
// losses, so they do not depend on how busy the machine is. Time in a bubble
// stands still while a goroutine waits for a lock. The library waits for time
// under a lock in three places; the test cluster sees to each (bubble_test.go).
// Runs of one seed still differ: the order of goroutines is not seeded.
//
// The simulation (sim_test.go) draws machines that die at any write, lost and old
// logs, bad networks and liars by a seed, and looks at forks, second votes, old logs
// and progress. A seed that fails is run several times, and what it shows becomes a
// test of its own: TestWishesAreAnsweredWithinBounds was seeds 9 and 21, TestWhenABlockIsGivenUp one
// run in eight of seed 9.
//
// # Refused
//
// Reconfiguring one instance in place was as quick and keeps the library's
// pool, but it carries the view, and so the leader, over. The library's request
// timers are set out of reach: they count from each DA's own submission and
// thrash under load. The watchdog looks at progress instead.
//
// Source: SmartBFT, https://github.com/hyperledger-labs/SmartBFT (Apache-2.0);
// Barger, Manevich, Meir, Tock, "A Byzantine Fault-Tolerant Consensus Library
// for Hyperledger Fabric", IEEE ICBC 2021.
package consensus
