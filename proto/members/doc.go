// Package members knows who votes: the data aggregators of an epoch with their
// keys. It follows them from the genesis over every change by the certificates of
// those who voted before ([Set.Follow]), without the blocks between.
//
// # The caller's duties
//
// Begin with the genesis' own ([New]). Follow the turns in the order of the chain.
// A turn that is held back leaves the old members in force here: who has just been
// told of none knows the newest members that someone showed, and no more.
//
// # Design
//
// The last block of an epoch names in its header the hash of the members that
// follow, where they are others than before. So a turn needs no state, no record
// and no other block: header, certificate, and the members that have the hash. The
// refused alternative, a path in the state tree, would have been ten times as long
// and would have bound an agent to the state's form.
package members
