package slot_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger/slot"

	"pgregory.net/rapid"
)

// What of a slot's trades is paid, case by case: a sells 100 to x and 50 to y, b sells 60 to y.
func TestSettle(t *testing.T) {
	trades := []slot.Trade{{Ask: 0, Bid: 0, Wh: 100}, {Ask: 0, Bid: 1, Wh: 50}, {Ask: 1, Bid: 1, Wh: 60}}
	for name, c := range map[string]struct{ export, imported, paid []int64 }{
		"all did what they promised":                     {[]int64{150, 60}, []int64{100, 110}, []int64{100, 50, 60}},
		"what flows beyond it is not the trades'":        {[]int64{900, 900}, []int64{900, 900}, []int64{100, 50, 60}},
		"a seller's shortfall meets its buyers pro rata": {[]int64{75, 60}, []int64{100, 110}, []int64{50, 25, 60}},
		"a buyer's meets its sellers":                    {[]int64{150, 60}, []int64{100, 55}, []int64{100, 25, 30}},
		"of both the greater counts":                     {[]int64{75, 60}, []int64{40, 55}, []int64{40, 25, 30}},
		"no reading of a seller pays nobody":             {[]int64{0, 60}, []int64{100, 110}, []int64{0, 0, 60}},
		"no reading of a buyer pays nobody":              {[]int64{150, 60}, []int64{100, 0}, []int64{100, 0, 0}},
		"a Wh that is left goes to the larger remainder": {[]int64{100, 60}, []int64{100, 110}, []int64{67, 33, 60}},
	} {
		if got, err := slot.Settle(trades, c.export, c.imported); err != nil || !slices.Equal(got, c.paid) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for want, c := range map[string]struct {
		trade            slot.Trade
		export, imported int64
	}{
		"divide exports: trade 0 is of order 1, and there are 1":   {slot.Trade{Ask: 1, Wh: 1}, 1, 1},
		"divide exports: trade 0 is of order -1":                   {slot.Trade{Ask: -1, Wh: 1}, 1, 1},
		"divide imports: trade 0 is of order 1, and there are 1":   {slot.Trade{Bid: 1, Wh: 1}, 1, 1},
		"divide exports: order 0: -1 Wh to divide":                 {slot.Trade{Wh: 1}, -1, 1},
		"divide imports: order 0: -1 Wh to divide":                 {slot.Trade{Wh: 1}, 1, -1},
		"divide exports: order 0: amount 0 is -1 Wh":               {slot.Trade{Wh: -1}, 1, 1},
		"divide exports: order 0: amount 0 is 1000000001 Wh, want": {slot.Trade{Wh: slot.MaxWh + 1}, 1, 1},
	} {
		got, err := slot.Settle([]slot.Trade{c.trade}, []int64{c.export}, []int64{c.imported})
		if !errors.Is(err, slot.ErrOrder) || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}
}

// A clearing's trades are all that is sold and bought, fewer than orders; nobody is paid for
// more than its meter counted or the trade promises, and a side that counts all it promised
// leaves only the other side's shortfall.
func TestTradesAndTheirSettlement(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		asks, bids := drawOrders(r, "ask", 6, 6, 500), drawOrders(r, "bid", 6, 6, 500)
		c, err := slot.Clear(asks, bids, 0)
		if err != nil {
			r.Fatal(err)
		}
		sold, bought := make([]int64, len(asks)), make([]int64, len(bids))
		for _, trade := range c.Trades {
			if trade.Wh < 1 {
				r.Fatalf("%+v", trade)
			}
			sold[trade.Ask] += trade.Wh
			bought[trade.Bid] += trade.Wh
		}
		if !slices.Equal(sold, c.Sold) || !slices.Equal(bought, c.Bought) || len(c.Trades) > 0 && len(c.Trades) >= len(asks)+len(bids) {
			r.Fatalf("%+v", c)
		}
		export, imported := slices.Clone(sold), slices.Clone(bought)
		for i := range export {
			export[i] = rapid.Int64Range(0, 600).Draw(r, "export")
		}
		short := rapid.Bool().Draw(r, "buyers fall short, too")
		for i := range imported {
			if short {
				imported[i] = rapid.Int64Range(0, 600).Draw(r, "import")
			}
		}
		paid, err := slot.Settle(c.Trades, export, imported)
		if err != nil {
			r.Fatal(err)
		}
		gave, took := make([]int64, len(asks)), make([]int64, len(bids))
		for i, trade := range c.Trades {
			if paid[i] < 0 || paid[i] > trade.Wh {
				r.Fatalf("%+v is paid %d", trade, paid[i])
			}
			gave[trade.Ask] += paid[i]
			took[trade.Bid] += paid[i]
		}
		for i := range gave {
			if gave[i] > export[i] || !short && gave[i] != min(export[i], sold[i]) {
				r.Fatalf("ask %d: %d of %d and %d", i, gave[i], export[i], sold[i])
			}
		}
		for i := range took {
			if took[i] > imported[i] {
				r.Fatalf("bid %d: %d of %d", i, took[i], imported[i])
			}
		}
	})
}

// Who delivers to whom follows from prices, heights and ids, not from the sequence of the orders.
func TestTradesKnowNoSequence(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		asks, bids := drawOrders(r, "ask", 6, 6, 9), drawOrders(r, "bid", 6, 6, 9)
		var told [2][]string
		for i := range told {
			c, err := slot.Clear(asks, bids, 1)
			if err != nil {
				r.Fatal(err)
			}
			for _, trade := range c.Trades {
				told[i] = append(told[i], asks[trade.Ask].ID+" "+bids[trade.Bid].ID+strings.Repeat(".", int(trade.Wh)))
			}
			asks, bids = rapid.Permutation(asks).Draw(r, "asks"), rapid.Permutation(bids).Draw(r, "bids")
		}
		if !slices.Equal(told[0], told[1]) {
			r.Fatalf("%v, then %v", told[0], told[1])
		}
	})
}

// Shares tells apart whose a shortfall is: a buyer has taken what it drew of what was sold to it,
// whatever else it was promised.
func TestShares(t *testing.T) {
	trades := []slot.Trade{{Ask: 0, Bid: 0, Wh: 100}, {Ask: 0, Bid: 1, Wh: 50}, {Ask: 1, Bid: 1, Wh: 60}}
	for name, c := range map[string]struct{ export, imported, sold, taken []int64 }{
		"all did what they promised":                                          {[]int64{150, 60}, []int64{100, 110}, []int64{100, 50, 60}, []int64{100, 50, 60}},
		"what flows beyond it is not the trades'":                             {[]int64{900, 900}, []int64{900, 900}, []int64{100, 50, 60}, []int64{100, 50, 60}},
		"a seller that delivers nothing takes no part of what its buyer drew": {[]int64{150, 0}, []int64{100, 50}, []int64{100, 50, 0}, []int64{100, 50, 0}},
		"a buyer that draws less takes of each in proportion":                 {[]int64{150, 60}, []int64{100, 55}, []int64{100, 50, 60}, []int64{100, 25, 30}},
		"both": {[]int64{75, 60}, []int64{40, 55}, []int64{50, 25, 60}, []int64{40, 16, 39}},
	} {
		sold, taken, err := slot.Shares(trades, c.export, c.imported)
		if err != nil || !slices.Equal(sold, c.sold) || !slices.Equal(taken, c.taken) {
			t.Errorf("%s: %v, %v, %v", name, sold, taken, err)
		}
	}
	for want, c := range map[string][2][]int64{
		"divide exports: order 0: -1 Wh": {{-1, 0}, {0, 0}}, "divide imports: order 1: -1 Wh": {{0, 0}, {0, -1}},
	} {
		if sold, taken, err := slot.Shares(trades, c[0], c[1]); !errors.Is(err, slot.ErrOrder) || !strings.Contains(err.Error(), want) || sold != nil || taken != nil {
			t.Errorf("%s: %v, %v, %v", want, sold, taken, err)
		}
	}
	// It names no more than it was given: the caller's trades stay as they were.
	if trades[0].Wh != 100 || trades[2].Wh != 60 {
		t.Errorf("%v", trades)
	}
}
