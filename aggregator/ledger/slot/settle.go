package slot

import (
	"fmt"
	"slices"
)

// Settle says how much of each trade of a slot is paid, by what the meters of both sides
// counted in it: exportWh of each ask's meter, importWh of each bid's, 0 where there is no
// reading in time. What a seller exported is divided among its trades in proportion to what
// they promise, and so is what a buyer imported; of each trade the smaller of both is paid.
// So no Wh is paid twice or without both meters, and what flows beyond a promise is not the
// trade's. It is no fault of a buyer if a seller falls short, nor the other way: a trade
// says by its parts whose it is. An error wraps ErrOrder.
func Settle(trades []Trade, exportWh, importWh []int64) ([]int64, error) {
	sold, err := parts(trades, exportWh, func(t Trade) int { return t.Ask })
	if err != nil {
		return nil, fmt.Errorf("divide exports: %w", err)
	}
	bought, err := parts(trades, importWh, func(t Trade) int { return t.Bid })
	if err != nil {
		return nil, fmt.Errorf("divide imports: %w", err)
	}
	for i := range sold {
		sold[i] = min(sold[i], bought[i])
	}
	return sold, nil
}

// Shares is Settle for who must know whose fault a shortfall is: sold is a trade's part of what its
// seller exported, as in Settle, and taken of that what its buyer imported. What a buyer imported is
// divided in proportion to what was sold to it, not promised: one whose meter counted all that came
// has taken all of it, whoever else delivered nothing to it. So taken is never more than sold.
func Shares(trades []Trade, exportWh, importWh []int64) (sold, taken []int64, err error) {
	if sold, err = parts(trades, exportWh, func(t Trade) int { return t.Ask }); err != nil {
		return nil, nil, fmt.Errorf("divide exports: %w", err)
	}
	delivered := slices.Clone(trades)
	for i := range delivered {
		delivered[i].Wh = sold[i]
	}
	if taken, err = parts(delivered, importWh, func(t Trade) int { return t.Bid }); err != nil {
		return nil, nil, fmt.Errorf("divide imports: %w", err)
	}
	return sold, taken, nil
}

// parts divides what each order's meter counted among its trades.
func parts(trades []Trade, counted []int64, order func(Trade) int) ([]int64, error) {
	of := make([][]int, len(counted)) // places of an order's trades
	for i, t := range trades {
		o := order(t)
		if o < 0 || o >= len(counted) {
			return nil, fmt.Errorf("trade %d is of order %d, and there are %d: %w", i, o, len(counted), ErrOrder)
		}
		of[o] = append(of[o], i)
	}
	out := make([]int64, len(trades))
	for o, places := range of {
		promised := make([]int64, len(places))
		for k, i := range places {
			promised[k] = trades[i].Wh
		}
		got, err := Dynamic(counted[o], promised)
		if err != nil {
			return nil, fmt.Errorf("order %d: %w", o, err)
		}
		for k, i := range places {
			out[i] = got[k]
		}
	}
	return out, nil
}
