// Package comtrade reads COMTRADE recordings (IEEE C37.111-1991, -1999, -2013;
// IEC 60255-24), the file format of fault recorders and protection relays. A
// text configuration (.cfg) says what the columns of the data (.dat) are; a
// .cff holds both in one file. The data is ASCII, BINARY, BINARY32 or FLOAT32.
//
// [Open] reads a recording as a trace: a [Reader] gives one model.Sample after
// another, with the waveform channels filled on the primary side, in the memory
// of two records. [ReadConfig] and [Decoder] are the two halves by themselves.
// A [Map] says which channel is which where the recording's names do not.
//
// # The caller's duties
//
// Close what Open opened. Check [ErrShort] where a recording may be cut off.
// The slices of a [Record] are reused: copy what must stay. The time of a
// sample is in milliseconds; [Reader.Elapsed] is finer.
//
// # Design
//
// Limits are checked before anything is allocated, so that a few digits in a
// file cannot ask for gigabytes. What real recorders write is accepted: blank
// lines, 0x1A at the end, names that are not UTF-8, missing last lines of older
// revisions, month and day in either order. What makes no sense is an [Error]
// with its line.
//
// A channel is recognised by its unit, its phase field and its name, in this
// order. A name that could be a sequence component (U1, I2) is left out unless
// U3 or I3 shows that the numbers are phases. A wrong guess would raise false
// faults; a channel left out only asks for a map.
//
// Two Go libraries were found, yonwoo9/go-comtrade and ValleyZw/comgo. Neither
// reads FLOAT32 or .cff, so the reader is our own. No program writes COMTRADE:
// the encoder is a helper of the tests.
//
// # Sources
//
// The field order and the raw values that mean "missing" follow C37.111-1999
// and -2013, as python-comtrade (dparrini) reads them; three recordings of
// relays of three makers are the test of practice.
package comtrade
