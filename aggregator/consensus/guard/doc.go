// Package guard decides what the agreement library gets to see of what other
// DAs send. It is a pure value: a [Guard] holds what the node knows at that
// moment, a message goes in, a [Ruling] comes out. It has no clock, no lock, no
// goroutine and no memory but the one that it is handed.
//
// # What a caller must do
//
//  1. Fill every field of [Guard] from the node's state at the moment of the
//     question. A stale View or Last only makes late messages pass.
//  2. Take the sender from the link, which has authenticated it.
//  3. Ask [Guard.Frame] of each frame, and then, in the instance the frame is
//     for, [Guard.Message] or [Guard.Relay] and [Guard.Block].
//  4. Do what the ruling says. If it names decisions to look at
//     ([Ruling.Check]), let the application verify them before the library sees
//     the message: the library would store them unseen.
//
// # Design
//
// SmartBFT trusts what it is handed in places where a single Byzantine DA gains
// by it. These rules close them:
//
//   - The sender is who the link has proved. Messages in this node's own name or
//     of outsiders stop here. (The library takes a pre-prepare in the leader's
//     own name for its own, and counts one prepare a sender, so a forged one
//     takes the true one's place.)
//   - Frames say their epoch; the library's messages do not. Earlier epochs are
//     dropped, the next one waits.
//   - A pre-prepare needs the signature of its origin, which leads its agreement
//     view. Outside a relay there is none.
//   - View data is signed by the member it names, and its last decision carries
//     a quorum of valid votes of members.
//   - A new view carries a quorum of such view data of distinct members, all for
//     one agreement view, and comes from that view's leader. (The library counts
//     entries from before the first decision without looking at a signature;
//     with forged ones a next leader makes honest DAs forget what was decided.)
//     One for the view that the node is in, below one that it has promised, or
//     whose newest decision is behind the node's, is passed over.
//   - Votes of earlier agreement views and far-future ones are dropped or
//     refused, so that what is kept is bounded.
//
// Whether a vote's signature holds is decided in one place, [Guard.VerifyVote].
//
// Refused: checks inside the library's callbacks. They come too late for
// messages that the library never verifies. Refused too: state in the guard,
// such as votes seen before. It would have to be kept over restarts, and belongs
// to a log.
//
// Source: SmartBFT v1.0.1, internal/bft/viewchanger.go (validateNewViewMsg) and
// view.go.
package guard
