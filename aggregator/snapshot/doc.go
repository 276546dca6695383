// Package snapshot writes down the state of a chain as it stands behind the last block
// of an epoch, and checks such a snapshot with nothing but the genesis: a data aggregator
// begins with one in place of the blocks before.
//
// # What a caller can rely on
//
//   - A snapshot is no one's word. The members are followed from the genesis over each
//     change that a quorum has signed, to those that have signed the block; the root of
//     the entries is the one of the block's header. Who hands out a snapshot can keep one
//     back, and cannot change it. [Snapshot.Verify] does all of this.
//   - Who has a chain already trusts its own members: a snapshot that leads to others at
//     that height is refused, also where the keys of old members have signed it.
//   - [Read] takes bytes of strangers: nothing is allocated by what they claim, and a
//     snapshot has one encoding.
//   - [Folder] keeps the newest ones as files, each written aside, synced, and renamed.
//     [Folder.Piece] hands them out. [Fetch] collects the pieces of one source.
//
// The file, byte by byte, is in docs/ledger-format.md, section 4a.
package snapshot
