// Package weather makes traces of observations in other formats: [ImportKNMI]
// reads the hourly text of the Dutch weather service, [ImportMETAR] airport
// reports, [ImportISDLite] the hourly lines of NOAA, and [ImportCSV] any CSV
// with a header row through a column map ([Map]), such as that of an inverter
// or a station at home.
//
// An import ends with a whole [trace.Trace] or with an error that names line
// and column. It keeps the trace in memory, because half an import must not
// look like one. Files may be gzipped.
//
// # The caller's duties
//
// Give one station a file. Tell what the reports do not: the month of METAR
// reports without a date, the elevation that turns QNH into the pressure at the
// station, name and position ([Place]). Say in [Map] which cells mean "no
// value"; an unknown word in a cell is an error.
//
// # Design
//
// What a format does not say stays missing. Computed channels are listed in the
// metadata as composed, and the note says which pressure a trace has. A channel
// without any value is left out, because a replay would require it and never
// get it.
//
// encoding/csv reads foreign files only. METAR is read by a decoder of our own
// for the few groups that have a channel: a search found no well-kept Go
// library, and the agent links this package. Refused there: a gust made up
// where none is reported (the mean is a bound that is true), a pressure that
// changes from SLP to QNH within a file (it would look like weather), forecasts
// (TEMPO, BECMG, TAF).
//
// A line of METAR or ISD-Lite is limited to 4096 characters, one of KNMI to
// 1 MiB and 256 columns, an import to 2^19 rows.
//
// # Sources
//
// METAR: WMO-No. 306, FM 15, and FMH-1 for the remarks of the United States,
// both recalled. ISD-Lite: NOAA NCEI's format documentation of June 2006. KNMI:
// the header of the hourly files. Magnus' constants: Alduchov and Eskridge
// (1996).
package weather
