// Package wal keeps the write-ahead logs of agreement, one folder an epoch, and
// decides whether a node may vote after a start.
//
// # What a caller must do
//
//  1. Keep the folder with the application's data, and never restore one from a
//     backup without the other.
//  2. Follow without voting until the next epoch when [Open] returns [ErrLost].
//  3. Make the vote book of what [Open] read (package book), and give the library
//     only what the book makes of it.
//
// # Design
//
// An epoch has the folder epoch-<number>. Folder e+1 is made with a mark "fresh"
// when epoch e begins; the mark goes before the first vote. So at a start: a log
// means continue, a mark means that this node has not voted, and neither means
// that the log is lost. While the mark gives way to the log, a file begin-<number>
// next to the folder says so; a crash then begins again.
//
// The library repairs a torn tail itself. It does not repair an empty last file;
// Open does.
//
// Refused: one log for all epochs. The library truncates by its own sequence
// numbers, which start again in each epoch.
//
// Source: SmartBFT v1.0.1, pkg/wal and internal/bft/state.go.
package wal
