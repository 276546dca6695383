// Package trace reads and writes recorded traces: comma-separated text with
// metadata, one row a moment, gzipped or not, as docs/trace-format.md defines
// it. Live recording, replay, tests, simulated boards and evaluation share it.
// Other formats are read by the packages below it: trace/comtrade (recordings
// of faults) and trace/weather (KNMI, METAR, ISD-Lite, foreign CSV).
//
// A [Reader] streams in the memory of one row; [Read] keeps a whole [Trace].
// Both are strict: an unknown column, a truncated row, a cell that is no
// number and a time that does not advance are errors that name line and column,
// because a judgement on a half-understood trace is worth nothing. An empty cell
// is a missing value, never zero. Columns label_* are truth for evaluation: a
// Reader hands them out next to the sample, and they cannot enter it.
//
// A [Writer] writes what a Reader reads back to the same samples; writing those
// again gives the same bytes.
//
// # The caller's duties
//
// Close what Open opened. Flush a Writer and check the error: writes are
// buffered. After an error a Reader repeats it. [Configure] fits a judge's
// configuration to a trace.
//
// # Design
//
// encoding/csv is not used: it would accept quoted fields, which the format
// does not have, and reports less about where a row breaks. Numbers are plain
// decimal; NaN, Inf and hexadecimal are refused. A line is at most 1 MiB long
// and has at most 256 columns.
//
// [ParseNumber], [Decompress], [Error], [MinTimeMs] and [MaxTimeMs] are public
// for the packages below: every format keeps to the same numbers and times.
// A package for these few would hide nothing, so they stand here.
//
// # Source
//
// docs/trace-format.md, version 1 of the format.
package trace
