// Package trace reads and writes recorded traces: comma-separated text with
// metadata, one row a moment, gzipped or not, as docs/trace-format.md defines
// it. Live recording, replay, tests, simulated boards and evaluation share it.
//
// A [Reader] streams in the memory of one row; [Read] keeps a whole [Trace].
// Both are strict: an unknown column, a truncated row, a cell that is no
// number, a time that does not advance are errors that name line and column,
// because a hazard judgement on a half-understood trace is worth nothing. An
// empty cell is a missing value, never zero. Columns label_* are truth for
// evaluation: they are handed out beside the sample and cannot enter it.
//
// What a [Writer] writes reads back to the same samples, and writing those
// again gives the same bytes.
//
// [ImportKNMI], [ImportMETAR], [ImportISDLite] and [ImportCSV] make traces of
// other formats. An import keeps the whole trace in memory, because it may end
// with an error and half an import should not look like one.
//
// # The caller's duties
//
// Close what Open opened. Flush a Writer and check the error: writes are
// buffered. After an error a Reader repeats it. [Configure] fits a judge's
// configuration to a trace.
//
// # Design
//
// encoding/csv is used for foreign files only: it would accept quoted fields,
// which the format does not have, and reports less about where a row breaks.
// Numbers are plain decimal; NaN, Inf and hexadecimal are refused. Text is
// limited to 1 MiB a line and 256 columns; reports to 4096 characters.
//
// METAR is read by a decoder of our own for the few groups that have a channel:
// a search found no well-kept Go library, and the agent links this package.
// Refused there: a gust made up where none is reported (the mean
// is a bound that is true), a pressure that changes from SLP to QNH within a
// file (it would look like weather), forecasts (TEMPO, BECMG, TAF).
//
// # Sources
//
// METAR: WMO-No. 306, FM 15, and FMH-1 for the remarks of the United States,
// both recalled. ISD-Lite: NOAA NCEI's format documentation of June 2006.
// Magnus' constants: Alduchov and Eskridge (1996).
package trace
