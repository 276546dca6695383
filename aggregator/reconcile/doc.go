// Package reconcile holds what a chain settled in each quarter of an hour against what
// the distribution operator says that its meters measured.
//
// It is pure. Its caller hands each block of a verified chain to [Books.Take], the
// operator's file to [Layout.Read], and both to [Books.Compare].
//
// # What can be compared
//
// A chain knows registers at the moments of its readings; an operator knows energy by
// quarters of an hour. Between two readings no one knows when the energy flowed. So each
// quarter of an hour has three values of the chain: what it settled, spread evenly between
// readings, which adds up to what was paid to the Wh; and the least and the most that the
// readings allow. Only what is outside of these two, by more than the tolerance, is a
// difference. To compare with the even spread alone was refused: a delivery of six hours
// with a reading at each end would differ everywhere, and nothing would be wrong.
// For a month the two lie close together.
//
// A seller's meter is held against the energy that was paid, a buyer's against that less
// the declared loss of the line. What a meter counted beyond it in a trade widens the
// bounds, since no one knows which part of it was the trade's.
//
// # The file
//
// Operators write such values in many ways, and no standard of theirs is a CSV: MSCONS is
// EDIFACT, and portals of Austrian, German and Czech operators differ in names and
// columns. So there is one layout, and a [Layout] names the columns of any other. A local
// time that comes twice when summer time ends is read by its place in the file. A value
// that is not understood is refused with its line; nothing is guessed.
//
// # Source
//
// Directive (EU) 2019/944, Art. 15a: energy is shared by the metering points' values of
// 15 minutes. OBIS codes after IEC 62056-61.
package reconcile
