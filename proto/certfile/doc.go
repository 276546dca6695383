// Package certfile holds a TLS certificate that is read again when its files
// change.
//
// # What a caller does
//
// [Open] the pair at the start, so that a wrong file is found out then, and
// [Pair.Use] it in each TLS configuration. A new certificate is put in place by
// renaming it over the old one; it is used from the next handshake on.
//
// # Design
//
// The files are looked at in each handshake, which are rare. A pair that cannot be
// read, such as one of which only half is new, leaves the old one in use and is
// told once; the next handshake looks again.
//
// Refused: a watch of the file system. It needs a goroutine and a dependency, and
// says nothing that the handshake does not find out.
package certfile
