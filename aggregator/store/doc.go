// Package store keeps a data aggregator's chain in one bbolt file: the
// certified blocks and the state after the newest of them.
//
// # What a caller can rely on
//
//   - [Store.Append] is one transaction, synced to disk before it returns:
//     after a crash the file holds a block with all of its state changes, or
//     neither. Nothing that depends on a block may be sent before Append
//     returned.
//   - Heights follow each other from [Store.First] on without gaps; that is 1 where no
//     block was pruned.
//   - A second, different block at a height is refused with [ErrFork]. It means
//     that more aggregators lied than the agreement tolerates, or that this
//     file belongs to another chain's aggregator: stop and say so loudly. The
//     same block with another certificate is no fork (any quorum's signatures
//     will do); the first certificate is kept.
//   - The file remembers its chain; opening it for another is an error.
//
// # The file
//
// Bucket "meta" holds "version", "chain" (32 bytes), "height" (8 bytes, big
// endian) and "header" (hash of the newest header). Bucket "blocks" maps a
// height (8 bytes, big endian) to an encoded CertifiedBlock, with the header's
// SHA-256 in front. Bucket "state" holds the entries of the state. State is redundant: it
// could be computed from the blocks, but a restart would then take as long as the chain.
//
// Where "whole" stands in "meta" these are all entries. In older files they are those that
// blocks have set, and the genesis gives the others: there what a block removed of the
// genesis came back, and the file was taken for a damaged one. The next block that is
// appended makes such a file whole. To keep what was removed beside the genesis was
// refused: most of what blocks remove the genesis never had.
//
// A chain may begin above block 1: it was begun with a snapshot ([Store.Begin]), or its
// old blocks were pruned ([Store.Prune]). Then "first" in "meta" is the height of the
// oldest block that is kept (8 bytes), and bucket "turns" has, by height, what is needed
// of those below to follow the members from the genesis: blocks without their records.
// A block that is not kept any more is [ErrArchived]; a caller that needs whole chains
// looks at [Store.First].
//
// [Store.LoadState] compares the root of what it read with the newest block's
// state root, so a damaged file is found at start and not by disagreeing with
// the other aggregators.
//
// A goleveldb or Badger store would write faster in small steps; bbolt was
// taken because one block is one step here, its file is one file with checked
// pages, and it needs no compaction threads.
package store
