package slot

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// WholeE4 is the sum of all shares of a static key: one, in 1e-4.
const WholeE4 = 10_000

// Dynamic divides what was produced in a slot in proportion to what each consumes: energyWh
// if there is that much, and else a part of it that is the same for all. Nobody has more than
// it wants, and together they have energyWh or all that they want, whichever is less. Each
// amount is 0 to MaxWh, energyWh may be the sum of as many; an error wraps ErrOrder.
func Dynamic(energyWh int64, wantWh []int64) ([]int64, error) {
	total, err := sum(energyWh, wantWh)
	if err != nil {
		return nil, err
	}
	return divide(min(energyWh, total), wantWh), nil
}

// Static divides what was produced in a slot by fixed shares, in 1e-4 and WholeE4 together at
// most. Nobody has more than it wants, and what it leaves goes to no one else. Of shares
// that are not whole Wh those that are rounded down the most have the Wh that are left, as
// though one more consumer had the share that no one has. The limits are Dynamic's.
func Static(energyWh int64, wantWh, shareE4 []int64) ([]int64, error) {
	if _, err := sum(energyWh, wantWh); err != nil {
		return nil, err
	}
	if len(shareE4) != len(wantWh) {
		return nil, fmt.Errorf("%d shares for %d consumers: %w", len(shareE4), len(wantWh), ErrOrder)
	}
	left := int64(WholeE4)
	for i, s := range shareE4 {
		if s < 0 || s > left {
			return nil, fmt.Errorf("share %d is %d of 10000, and %d are left: %w", i, s, left, ErrOrder)
		}
		left -= s
	}
	parts := divide(energyWh, append(slices.Clone(shareE4), left))[:len(wantWh)]
	for i := range parts {
		parts[i] = min(parts[i], wantWh[i])
	}
	return parts, nil
}

// Share divides a slot's energy among those who share it by a static key: what all exported is
// divided by Static, and each exporter has its part of what was allotted in proportion to
// what it exported. So each Wh is paired with one exporter and one consumer, and there are
// fewer pairs than exporters and consumers together. A trade's Ask and Bid are places in
// exportWh and wantWh. The limits are Dynamic's.
func Share(exportWh, wantWh, shareE4 []int64) ([]Trade, error) {
	exported, err := sum(0, exportWh)
	if err != nil {
		return nil, fmt.Errorf("exports: %w", err)
	}
	bought, err := Static(exported, wantWh, shareE4)
	if err != nil {
		return nil, err
	}
	allotted := int64(0)
	for _, wh := range bought {
		allotted += wh
	}
	sold := divide(allotted, exportWh)
	var trades []Trade
	for ask, bid := 0, 0; ask < len(sold); { // as much is bought as is sold: bids end with the asks
		if wh := min(sold[ask], bought[bid]); wh > 0 {
			trades = append(trades, Trade{Ask: ask, Bid: bid, Wh: wh})
			sold[ask] -= wh
			bought[bid] -= wh
		}
		if sold[ask] == 0 {
			ask++
		} else {
			bid++
		}
	}
	return trades, nil
}

// sum checks amounts and adds them up; it cannot overflow, since no memory holds 2^33 of them.
func sum(energyWh int64, wantWh []int64) (total int64, err error) {
	if energyWh < 0 {
		return 0, fmt.Errorf("%d Wh to divide: %w", energyWh, ErrOrder)
	}
	for i, w := range wantWh {
		if w < 0 || w > MaxWh {
			return 0, fmt.Errorf("amount %d is %d Wh, want 0 to %d: %w", i, w, MaxWh, ErrOrder)
		}
		total += w
	}
	return total, nil
}

// divide gives each its part of a total, in proportion to weights that are not negative, by
// largest remainder; of equal remainders the earlier one counts more. The parts add up to
// the total, or are all zero if the weights are. With a total of the weights' sum at most
// no part is above its weight: a part is rounded up only if it was rounded down, below it.
func divide(total int64, weights []int64) []int64 {
	parts := make([]int64, len(weights))
	var whole uint64
	for _, w := range weights {
		whole += uint64(w)
	}
	if whole == 0 {
		return parts
	}
	left := total
	remainders := make([]uint64, len(weights))
	sequence := make([]int, len(weights))
	for i, w := range weights {
		// total·w needs 128 bits; w <= whole, so the quotient is the total at most and fits.
		high, low := bits.Mul64(uint64(total), uint64(w))
		part, rest := bits.Div64(high, low, whole)
		parts[i], remainders[i], sequence[i] = int64(part), rest, i
		left -= int64(part)
	}
	slices.SortStableFunc(sequence, func(i, j int) int { return cmp.Compare(remainders[j], remainders[i]) })
	for _, i := range sequence[:left] {
		parts[i]++
	}
	return parts
}
