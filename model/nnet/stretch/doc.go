// Package stretch finds stretches of a recorded series that a sensor did not
// measure: stale ones (the last value repeated) and interpolated ones (a
// straight line drawn over a gap).
//
// # Using it
//
//	stale := stretch.Stale(v, stretch.Default())
//	drawn := stretch.Interpolated(v, stretch.Default())
//
// v is one value a sample, NaN where there is none; the answers are one flag a
// sample. Both look at the whole series and mark a stretch from its first sample:
// they are for recordings and for training data. The stuck-at and staleness rules
// of package model judge live readings; they know no future.
//
// # Design
//
// Both are exact properties of numbers, so both are rules, not networks: a
// repeated value has difference 0, a drawn line second difference 0, up to
// rounding. A measured quantity shows neither for more than a few samples,
// unless it rests at a natural limit: zero (no power at night) is never called
// stale by itself, and a constant is never called interpolated. PlainStale and
// PlainInterpolated are the plain rules of pvanalytics (Sandia, MIT licence;
// gaps.stale_values_diff and gaps.interpolation_diff) to measure against. They
// look back over six samples and leave the beginning of a stretch unmarked.
//
// Refused: a learnt detector. It could only learn these two equations, and on
// one recorded inverter would learn that inverter.
package stretch
