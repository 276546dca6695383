// Package durable writes files that a power cut leaves whole: the old content or the
// new, and never a part of one.
//
// A file is written beside its place, brought to disk, renamed into its place, and the
// folder is brought to disk as well: without that the name may be lost though the
// content is not. What an interrupted write leaves, NAME.new, the next one replaces.
//
// The caller has one writer at a time for a name. Folders and names are the caller's;
// nothing here follows what comes from outside.
//
// The rules are those of the file systems of Linux, fsync(2) and rename(2).
// github.com/google/renameio was refused: it does not bring the folder to disk.
package durable
