// Package book keeps a member's word. It says what the member may still sign in
// an epoch, given all that it has signed before: the vote book.
//
// # What a caller must do
//
//  1. Ask before anything is signed: [Book.MayTake] of a proposed block,
//     [Book.Sign] of a vote, [Book.Promise] of view data, [Book.Adopt] of a vote
//     for a block that a new view brings along.
//  2. Write every entry that a method returns, and the library's own entries that
//     [Book.Note] wants kept, to a log that is on disk before a message leaves.
//  3. After a crash, make the book of the entries with [Read], and give the
//     library what [Book.Content] returns, and nothing else.
//
// # The rules
//
// SmartBFT v1.0.1 is safe as long as its members keep four promises, and it makes
// its own members break each of them:
//
//   - A member that has given view data for an agreement view takes no block and
//     gives no vote below it. (When a view change times out, the library begins
//     the old view again.)
//   - In one view a member takes one block for a sequence, and votes for that
//     one. (A view begun again has forgotten its block; a leader then proposes
//     another.)
//   - View data tells of the vote given last. (After a restart, the library looks
//     at the last entry of its log alone, and forgets the vote when that entry is
//     a view change. A vote for a block that a new view brought along it does not
//     write down at all.)
//   - A vote that a new view asks for counts as one of that view. Who is in the
//     view already gives no such vote. (A next leader that lies could send two
//     new views.)
//   - Such a vote tells the view that asked for it, its round, and is signed anew in
//     each. Votes of several rounds are not counted together: in none of them need
//     a quorum have voted. (The library counts them by the block alone. A leader
//     that lies with f - 1 others sends two new views, for nobody has to prove that
//     a block was prepared; who is released by one of them votes for another block,
//     and its first vote still counts for the first.)
//
// Then two quorums of an epoch never certify two blocks of one sequence: they
// share an honest member, which gave its view data after its vote and told of it
// there, so each later new view brings the block along.
//
// What is older than the newest view entered is forgotten on purpose: a new view
// that did not bring a block along proves that it was never decided, and telling
// of it would block the decision of another.
//
// Each entry is numbered over the whole epoch ([Book.Stamp]). Others that have heard
// a higher number know that the log is an old one. A member that begins again by
// its operators' word ([Book.Resume]) has said nothing, in a view far above all
// others.
//
// # Refused
//
// A record for each vote ever given. Blocks of lower sequences are decided and
// stored before the next one is taken, so one place is enough. A file of its own
// next to the library's log: it would cost two more syncs a block. What the
// library writes down about a block and a vote is what the book has to know, so
// one log holds both, and the library is given only what the book makes of it.
//
// Source: SmartBFT v1.0.1, internal/bft/viewchanger.go (CheckInFlight), state.go
// and controller.go (sync, changeView).
package book
