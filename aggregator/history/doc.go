// Package history is what one data aggregator keeps for people beside the chain: what
// generators measured and how their gates stood over time, and where on the chain a
// trade or a participant is spoken of.
//
// # What a caller does
//
// [Open] a file in the aggregator's own folder. Tell it what gates count as
// ([History.Gate]), what was measured ([History.Measured]) and what a block did
// ([History.Tell]); call [History.Turn] about once a second, and [History.Close] at the
// end. Readers may ask from any goroutine.
//
// # Design
//
// The file is no part of the agreement. Two aggregators may hold different ones, and one
// that is lost or damaged is begun again: [History.Damaged] names where the old one is.
//
// Measured values stand in slots of five minutes for two days and of an hour for 400
// days. A slot is one value of the file with 36 bytes a device, so that writing one is
// one append and dropping one is one delete. Seconds of a gate are counted as open,
// closed or unknown; a pause of more than [MaxGapS] counts as none of them. Power, wind,
// temperature and irradiance are means, gusts are the highest, energy is power times
// the time that it stood, each value for [MaxGapS] at most. A crash loses what is not in
// a full slot yet; an orderly end loses nothing.
//
// Entries of the chain are kept for the newest of them, [Bounds.Entries] in number, and
// are found by a subject: t/ID a trade, p/ID a participant, r/HEX a record.
//
// Bounds are in bytes and numbers and not in devices: with a thousand devices the
// hours reach back less far.
//
// Refused: a table in memory of everything (a year of a thousand devices is 330 MB), and
// a time series database of its own: /metrics feeds one for those who want one.
package history
