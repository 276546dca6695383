// Package skill measures how well probabilities predicted events: ranking (ROC
// AUC, average precision), calibration (Brier score) and what an operator feels:
// events caught, lead and false alarms per site and day.
//
// # The caller's duties
//
// Give scores and labels of equal length, tracks in order of time, one row an
// hour. Expect NaN where a figure is undefined: no row of one class, no time.
//
// # Design
//
// Events count, not hours: the positive hours of one storm are one event, an
// alarm of five hours is one alarm. Everything is pure and deterministic. Ties are
// treated as ties, so that the order of rows does not flatter a coarse score (a
// gust in whole m/s). Intervals come from a bootstrap of whole days, because the
// rows of one day depend on each other.
//
// Refused: interpolated average precision, which flatters, and reliability bins of
// equal width, nine of ten of which would be empty.
//
// # Source
//
// AUC and average precision are those of scikit-learn; its example is a test.
package skill
