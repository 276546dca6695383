package slot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// The limits of an order, those of the chain.
const (
	MaxWh               = 1_000_000_000
	MaxPriceMicroPerKWh = 1_000_000_000
)

// ErrOrder is wrapped by every error of this package: an order, a fee or an amount is
// outside its limits, or an id stands twice.
var ErrOrder = errors.New("not an order of a slot")

// An Order asks for, or offers, energy in the slot.
type Order struct {
	ID     string // not twice on a side
	Height uint64 // of the block that took it; the earlier of two equal ones is served first
	// PriceMicroPerKWh is the least that a seller wants, or the most that a buyer pays with
	// the fee; 0 to MaxPriceMicroPerKWh.
	PriceMicroPerKWh int64
	Wh               int64 // 1 to MaxWh
}

// A Clearing is what a slot's auction decided.
type Clearing struct {
	PriceMicroPerKWh int64   // what sellers are paid; buyers pay the fee above it; 0 when nothing was traded
	Wh               int64   // traded
	Sold             []int64 // Wh of each ask, in the sequence that Clear was given
	Bought           []int64 // likewise of each bid
	// Trades say who delivers to whom: each Wh that is sold is in one of them, and each that
	// is bought. There are fewer than orders.
	Trades []Trade
}

// A Trade is energy of one ask for one bid: their places in what Clear was given.
type Trade struct {
	Ask, Bid int
	Wh       int64
}

// Clear matches the asks and the bids of a slot at one price. feeMicroPerKWh is what each
// kWh costs beside that: 0 to MaxPriceMicroPerKWh, paid by the buyer. An error wraps
// ErrOrder and names the order; then nothing is decided.
func Clear(asks, bids []Order, feeMicroPerKWh int64) (Clearing, error) {
	if feeMicroPerKWh < 0 || feeMicroPerKWh > MaxPriceMicroPerKWh {
		return Clearing{}, fmt.Errorf("fee of %d micro per kWh, want 0 to %d: %w", feeMicroPerKWh, MaxPriceMicroPerKWh, ErrOrder)
	}
	up, err := sorted("ask", asks, func(a, b int64) int { return cmp.Compare(a, b) })
	if err != nil {
		return Clearing{}, err
	}
	down, err := sorted("bid", bids, func(a, b int64) int { return cmp.Compare(b, a) })
	if err != nil {
		return Clearing{}, err
	}
	c := Clearing{Sold: make([]int64, len(asks)), Bought: make([]int64, len(bids))}
	var ask, bid int64 // prices of the marginal pair
	var sold, bought int64
	for i, j := 0, 0; i < len(up) && j < len(down); {
		s, b := &asks[up[i]], &bids[down[j]]
		if b.PriceMicroPerKWh < s.PriceMicroPerKWh+feeMicroPerKWh {
			break
		}
		ask, bid = s.PriceMicroPerKWh, b.PriceMicroPerKWh
		wh := min(s.Wh-sold, b.Wh-bought)
		c.Wh, sold, bought = c.Wh+wh, sold+wh, bought+wh
		if sold == s.Wh {
			i, sold = i+1, 0
		}
		if bought == b.Wh {
			j, bought = j+1, 0
		}
	}
	if c.Wh == 0 {
		return c, nil
	}
	// The bid bears ask and fee, so the sum is not negative and its half is rounded down.
	c.PriceMicroPerKWh = (ask + bid - feeMicroPerKWh) / 2
	fill(c.Sold, asks, up, ask, c.Wh)
	fill(c.Bought, bids, down, bid, c.Wh)
	c.Trades = pair(c.Sold, c.Bought, up, down)
	return c, nil
}

// pair goes through both sides in their sequences, and ends each order's part before the next.
// The price is one for all, so it decides nothing but whose shortfall meets whom. Both sides
// add up to the same, so there is a bid as long as an ask has something left.
func pair(sold, bought []int64, asks, bids []int) (trades []Trade) {
	next, received := 0, int64(0)
	for _, ask := range asks {
		for left := sold[ask]; left > 0; {
			bid := bids[next]
			wh := min(left, bought[bid]-received)
			if wh > 0 {
				trades = append(trades, Trade{ask, bid, wh})
			}
			left, received = left-wh, received+wh
			if received == bought[bid] {
				next, received = next+1, 0
			}
		}
	}
	return trades
}

// sorted checks one side of the book and returns its sequence: by price, height and id.
func sorted(what string, orders []Order, byPrice func(a, b int64) int) ([]int, error) {
	seen := make(map[string]bool, len(orders))
	sequence := make([]int, len(orders))
	for i, o := range orders {
		switch {
		case seen[o.ID]:
			return nil, fmt.Errorf("%s %.60q stands twice: %w", what, o.ID, ErrOrder)
		case o.PriceMicroPerKWh < 0 || o.PriceMicroPerKWh > MaxPriceMicroPerKWh:
			return nil, fmt.Errorf("%s %.60q at %d micro per kWh, want 0 to %d: %w", what, o.ID, o.PriceMicroPerKWh, MaxPriceMicroPerKWh, ErrOrder)
		case o.Wh < 1 || o.Wh > MaxWh:
			return nil, fmt.Errorf("%s %.60q of %d Wh, want 1 to %d: %w", what, o.ID, o.Wh, MaxWh, ErrOrder)
		}
		seen[o.ID], sequence[i] = true, i
	}
	slices.SortFunc(sequence, func(i, j int) int {
		a, b := &orders[i], &orders[j]
		return cmp.Or(byPrice(a.PriceMicroPerKWh, b.PriceMicroPerKWh), cmp.Compare(a.Height, b.Height), cmp.Compare(a.ID, b.ID))
	})
	return sequence, nil
}

// fill gives the orders of one side what was traded: all that they want to those with a
// better price than the marginal one, which stand first, and the rest to those at it.
func fill(out []int64, orders []Order, sequence []int, marginal, left int64) {
	first := slices.IndexFunc(sequence, func(i int) bool { return orders[i].PriceMicroPerKWh == marginal })
	for _, i := range sequence[:first] {
		out[i] = orders[i].Wh
		left -= orders[i].Wh
	}
	last := first
	for last < len(sequence) && orders[sequence[last]].PriceMicroPerKWh == marginal {
		last++
	}
	atMargin := sequence[first:last]
	want := make([]int64, len(atMargin))
	for k, i := range atMargin {
		want[k] = orders[i].Wh
	}
	for k, wh := range divide(left, want) {
		out[atMargin[k]] = wh
	}
}
