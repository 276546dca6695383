package slot_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/slot"

	"pgregory.net/rapid"
)

func order(id string, height uint64, price, wh int64) slot.Order {
	return slot.Order{ID: id, Height: height, PriceMicroPerKWh: price, Wh: wh}
}

// What an auction decides, case by case.
func TestClear(t *testing.T) {
	type orders = []slot.Order
	for _, c := range []struct {
		name       string
		asks, bids orders
		fee, price int64
		sold       []int64
		bought     []int64
	}{
		{"nobody comes", nil, nil, 0, 0, []int64{}, []int64{}},
		{"no bid bears an ask", orders{order("a", 1, 50, 9)}, orders{order("b", 1, 49, 9)}, 0, 0, []int64{0}, []int64{0}},
		{"a bid that is the ask bears it", orders{order("a", 1, 50, 9)}, orders{order("b", 1, 50, 4)}, 0, 50, []int64{4}, []int64{4}},
		{"a bid has to bear the fee, too", orders{order("a", 1, 50, 9)}, orders{order("b", 1, 59, 9)}, 10, 0, []int64{0}, []int64{0}},
		{"the fee is the buyer's, above the price", orders{order("a", 1, 50, 9)}, orders{order("b", 1, 60, 9)}, 10, 50, []int64{9}, []int64{9}},
		{"the price is half way, rounded down", orders{order("a", 1, 50, 9)}, orders{order("b", 1, 65, 9)}, 10, 52, []int64{9}, []int64{9}},
		{"the last pair that is matched makes the price",
			orders{order("dear", 1, 90, 5), order("cheap", 1, 10, 5), order("middle", 1, 40, 5)},
			orders{order("low", 1, 50, 5), order("high", 1, 99, 5), order("lower", 1, 60, 5)}, 0, 50, []int64{0, 5, 5}, []int64{0, 5, 5}},
		{"one big ask serves many bids", orders{order("a", 1, 10, 100)}, orders{order("b", 1, 30, 60), order("c", 1, 20, 60)}, 0, 15, []int64{100}, []int64{60, 40}},
		{"one big bid takes many asks", orders{order("a", 1, 10, 60), order("b", 1, 20, 60)}, orders{order("c", 1, 30, 100)}, 0, 25, []int64{60, 40}, []int64{100}},
		{"those at the marginal price share pro rata", orders{order("a", 1, 10, 100)}, orders{order("b", 9, 20, 150), order("c", 1, 20, 50)}, 0, 15, []int64{100}, []int64{75, 25}},
		{"a Wh that is left goes to the earlier height", orders{order("a", 1, 10, 3)}, orders{order("b", 9, 20, 2), order("c", 8, 20, 2)}, 0, 15, []int64{3}, []int64{1, 2}},
		{"and at one height to the first id", orders{order("z", 1, 10, 2), order("y", 1, 10, 2)}, orders{order("b", 9, 20, 3)}, 0, 15, []int64{1, 2}, []int64{3}},
		{"an ask at no price", orders{order("a", 1, 0, 1)}, orders{order("b", 1, 0, 1)}, 0, 0, []int64{1}, []int64{1}},
		{"the largest orders", orders{order("a", 1, 0, slot.MaxWh), order("b", 1, 0, slot.MaxWh)}, orders{order("c", 1, slot.MaxPriceMicroPerKWh, slot.MaxWh)}, slot.MaxPriceMicroPerKWh, 0,
			[]int64{slot.MaxWh / 2, slot.MaxWh / 2}, []int64{slot.MaxWh}},
	} {
		got, err := slot.Clear(c.asks, c.bids, c.fee)
		if err != nil || got.PriceMicroPerKWh != c.price || !slices.Equal(got.Sold, c.sold) || !slices.Equal(got.Bought, c.bought) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// Orders outside the limits are refused by name, on either side, and so is a fee.
func TestClearRefuses(t *testing.T) {
	good := []slot.Order{order("good", 1, 1, 1)}
	for want, wrong := range map[string][]slot.Order{
		`"twice" stands twice`:                 {order("twice", 1, 1, 1), order("twice", 2, 1, 1)},
		`"x" at -1 micro per kWh`:              {order("x", 1, -1, 1)},
		`"x" at 1000000001 micro`:              {order("x", 1, slot.MaxPriceMicroPerKWh+1, 1)},
		`"x" of 0 Wh, want 1 to`:               {order("x", 1, 1, 0)},
		`"x" of 1000000001 Wh, want 1 to 1000`: {order("x", 1, 1, slot.MaxWh+1)},
	} {
		_, asked := slot.Clear(wrong, good, 0)
		_, bidden := slot.Clear(good, wrong, 0)
		for side, err := range map[string]error{"ask ": asked, "bid ": bidden} {
			if !errors.Is(err, slot.ErrOrder) || !strings.Contains(err.Error(), side+want) {
				t.Errorf("%s%s: %v", side, want, err)
			}
		}
	}
	for _, fee := range []int64{-1, slot.MaxPriceMicroPerKWh + 1} {
		if _, err := slot.Clear(good, good, fee); !errors.Is(err, slot.ErrOrder) || !strings.Contains(err.Error(), "fee of") {
			t.Errorf("fee %d: %v", fee, err)
		}
	}
	if _, err := slot.Clear(good, good, 0); err != nil {
		t.Error("an id may stand on both sides:", err)
	}
}

// An order's limits are the chain's.
func TestLimitsAreTheChains(t *testing.T) {
	if slot.MaxWh != ledger.MaxEnergyWh || slot.MaxPriceMicroPerKWh != ledger.MaxPriceMicroPerKWh {
		t.Error("limits differ from the ledger's")
	}
}

// drawOrders draws a side with many equal prices, heights and sizes.
func drawOrders(r *rapid.T, side string, most int, prices, sizes int64) []slot.Order {
	n := rapid.IntRange(0, most).Draw(r, side)
	orders := make([]slot.Order, n)
	for i := range orders {
		orders[i] = order(fmt.Sprintf("%s-%d", side, i), rapid.Uint64Range(1, 3).Draw(r, "height"),
			rapid.Int64Range(0, prices).Draw(r, "price"), rapid.Int64Range(1, sizes).Draw(r, "wh"))
	}
	return orders
}

// What is bought is sold, to the Wh; what buyers pay is what sellers and the fee receive; no
// order has more than it wants or a price worse than its own; one with a better price than
// another's is not behind it.
func TestClearIsBalancedAndRational(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		prices, sizes := int64(12), int64(9)
		if rapid.Bool().Draw(r, "large") {
			prices, sizes = slot.MaxPriceMicroPerKWh, slot.MaxWh
		}
		asks, bids, fee := drawOrders(r, "ask", 8, prices, sizes), drawOrders(r, "bid", 8, prices, sizes), rapid.Int64Range(0, prices/3).Draw(r, "fee")
		c, err := slot.Clear(asks, bids, fee)
		if err != nil {
			r.Fatal(err)
		}
		check(r, asks, bids, fee, c)
	})
}

func check(t rapid.TB, asks, bids []slot.Order, fee int64, c slot.Clearing) {
	var sold, bought int64
	for i, o := range asks {
		sold += c.Sold[i]
		if c.Sold[i] < 0 || c.Sold[i] > o.Wh || c.Sold[i] > 0 && c.PriceMicroPerKWh < o.PriceMicroPerKWh {
			t.Fatalf("ask %+v sells %d Wh at %d", o, c.Sold[i], c.PriceMicroPerKWh)
		}
		for j, other := range asks {
			if other.PriceMicroPerKWh < o.PriceMicroPerKWh && c.Sold[i] > 0 && c.Sold[j] < other.Wh {
				t.Fatalf("ask %+v sells, and %+v does not sell all", o, other)
			}
		}
	}
	for i, o := range bids {
		bought += c.Bought[i]
		if c.Bought[i] < 0 || c.Bought[i] > o.Wh || c.Bought[i] > 0 && c.PriceMicroPerKWh+fee > o.PriceMicroPerKWh {
			t.Fatalf("bid %+v buys %d Wh at %d and %d", o, c.Bought[i], c.PriceMicroPerKWh, fee)
		}
		for j, other := range bids {
			if other.PriceMicroPerKWh > o.PriceMicroPerKWh && c.Bought[i] > 0 && c.Bought[j] < other.Wh {
				t.Fatalf("bid %+v buys, and %+v does not buy all", o, other)
			}
		}
	}
	// One price for all: equal Wh on both sides balance the money.
	if sold != bought || sold != c.Wh || c.PriceMicroPerKWh < 0 {
		t.Fatalf("%d Wh sold, %d bought, %d traded at %d", sold, bought, c.Wh, c.PriceMicroPerKWh)
	}
}

// The sequence in which orders come does not matter.
func TestClearKnowsNoSequence(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		asks, bids, fee := drawOrders(r, "ask", 8, 6, 9), drawOrders(r, "bid", 8, 6, 9), rapid.Int64Range(0, 3).Draw(r, "fee")
		before, err := slot.Clear(asks, bids, fee)
		if err != nil {
			r.Fatal(err)
		}
		byID := map[string]int64{}
		for i, o := range asks {
			byID[o.ID] = before.Sold[i]
		}
		for i, o := range bids {
			byID[o.ID] = before.Bought[i]
		}
		asks, bids = rapid.Permutation(asks).Draw(r, "asks"), rapid.Permutation(bids).Draw(r, "bids")
		after, err := slot.Clear(asks, bids, fee)
		if err != nil || after.PriceMicroPerKWh != before.PriceMicroPerKWh || after.Wh != before.Wh {
			r.Fatalf("%+v, then %+v, %v", before, after, err)
		}
		for i, o := range asks {
			if after.Sold[i] != byID[o.ID] {
				r.Fatalf("%s sold %d, then %d", o.ID, byID[o.ID], after.Sold[i])
			}
		}
		for i, o := range bids {
			if after.Bought[i] != byID[o.ID] {
				r.Fatalf("%s bought %d, then %d", o.ID, byID[o.ID], after.Bought[i])
			}
		}
	})
}

// worth returns, for each amount of energy, the best value of orders that trade so much, by
// trying every division. sign is 1 for bids, -1 for asks.
func worth(orders []slot.Order, sign int64) []int64 {
	best := []int64{0}
	for _, o := range orders {
		next := make([]int64, len(best)+int(o.Wh))
		for i := range next {
			next[i] = -1 << 40
		}
		for have, v := range best {
			for wh := range o.Wh + 1 {
				next[have+int(wh)] = max(next[have+int(wh)], v+sign*wh*o.PriceMicroPerKWh)
			}
		}
		best = next
	}
	return best
}

// No other division of the orders is worth more.
func TestClearIsTheBestDivision(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		asks, bids, fee := drawOrders(r, "ask", 4, 9, 4), drawOrders(r, "bid", 4, 9, 4), rapid.Int64Range(0, 3).Draw(r, "fee")
		c, err := slot.Clear(asks, bids, fee)
		if err != nil {
			r.Fatal(err)
		}
		got := -fee * c.Wh
		for i, o := range asks {
			got -= c.Sold[i] * o.PriceMicroPerKWh
		}
		for i, o := range bids {
			got += c.Bought[i] * o.PriceMicroPerKWh
		}
		var best int64
		cost := worth(asks, -1)
		for wh, value := range worth(bids, 1) {
			if wh < len(cost) {
				best = max(best, value+cost[wh]-fee*int64(wh))
			}
		}
		if got != best {
			r.Fatalf("worth %d, and %d is possible: %+v", got, best, c)
		}
	})
}

// Who is not at the margin gains nothing by another price that leaves it where it is. Who is
// better than the margin changes nobody's part; who is worse may trade then, at a loss.
func TestPriceIsNotMovedFromWithin(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		asks, bids, fee := drawOrders(r, "ask", 6, 20, 5), drawOrders(r, "bid", 6, 20, 5), rapid.Int64Range(0, 3).Draw(r, "fee")
		before, err := slot.Clear(asks, bids, fee)
		if err != nil {
			r.Fatal(err)
		}
		if before.Wh == 0 {
			return
		}
		side, served, better := bids, before.Bought, int64(1)
		if rapid.Bool().Draw(r, "an ask lies") {
			side, served, better = asks, before.Sold, -1
		}
		// The marginal price of the side is the worst that is served.
		margin := -better << 40
		for i, o := range side {
			if served[i] > 0 && (margin == -better<<40 || better*o.PriceMicroPerKWh < better*margin) {
				margin = o.PriceMicroPerKWh
			}
		}
		liar := rapid.IntRange(0, len(side)-1).Draw(r, "liar")
		lead := better * (side[liar].PriceMicroPerKWh - margin)
		lie := rapid.Int64Range(0, 40).Draw(r, "lie")
		if lead == 0 || lead > 0 != (better*(lie-margin) > 0) || lie == margin {
			return
		}
		truth := side[liar].PriceMicroPerKWh
		side[liar].PriceMicroPerKWh = lie
		after, err := slot.Clear(asks, bids, fee)
		if err != nil {
			r.Fatal(err)
		}
		if lead < 0 {
			pays, has := after.PriceMicroPerKWh+fee, after.Bought
			if better < 0 {
				pays, has = after.PriceMicroPerKWh, after.Sold
			}
			if has[liar] > 0 && better*(truth-pays) >= 0 {
				r.Fatalf("%s is worth %d and trades at %d: %+v, then %+v", side[liar].ID, truth, pays, before, after)
			}
			return
		}
		if after.PriceMicroPerKWh != before.PriceMicroPerKWh || !slices.Equal(after.Sold, before.Sold) || !slices.Equal(after.Bought, before.Bought) {
			r.Fatalf("%s says %d, the margin is %d: %+v, then %+v", side[liar].ID, lie, margin, before, after)
		}
	})
}

// What doc.go says of lies that move the margin: they can pay, from within and from
// without. This is the price of a trade in every slot.
func TestWhoMovesTheMarginCanGain(t *testing.T) {
	asks := []slot.Order{order("a", 1, 10, 1), order("b", 1, 20, 1)}
	worth := []slot.Order{order("c", 1, 100, 1), order("d", 1, 90, 1), order("e", 1, 80, 1)}
	honest, err := slot.Clear(asks, worth, 0)
	if err != nil || honest.PriceMicroPerKWh != 55 || !slices.Equal(honest.Bought, []int64{1, 1, 0}) {
		t.Fatalf("%+v, %v", honest, err)
	}
	for _, c := range []struct {
		liar, says, price int64
	}{{0, 81, 50}, {2, 95, 57}} {
		bids := slices.Clone(worth)
		bids[c.liar].PriceMicroPerKWh = c.says
		got, err := slot.Clear(asks, bids, 0)
		was := honest.Bought[c.liar] * (worth[c.liar].PriceMicroPerKWh - honest.PriceMicroPerKWh)
		is := got.Bought[c.liar] * (worth[c.liar].PriceMicroPerKWh - got.PriceMicroPerKWh)
		if err != nil || got.PriceMicroPerKWh != c.price || is <= was {
			t.Errorf("%s gains %d, was %d: %+v, %v", bids[c.liar].ID, is, was, got, err)
		}
	}
}

// book reads orders from any bytes.
func book(data []byte) (asks, bids []slot.Order) {
	for n := 0; len(data) >= 12 && n < 64; n++ {
		o := order(fmt.Sprint(n-int(data[0]&1)), uint64(data[0]>>2), int64(int32(binary.BigEndian.Uint32(data[1:]))), int64(int32(binary.BigEndian.Uint32(data[5:]))))
		if data[0]&2 == 0 {
			asks = append(asks, o)
		} else {
			bids = append(bids, o)
		}
		data = data[12:]
	}
	return asks, bids
}

// Whatever the orders are, they are refused as a whole, or the rules hold.
func FuzzClear(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x00\x01\x00\x00\x00\x01zzz\x06\x00\x00\x00\x02\x00\x00\x00\x01zzz"), int64(0))
	f.Add([]byte("\x04\x3b\x9a\xca\x00\x3b\x9a\xca\x00zzz\x06\x3b\x9a\xca\x00\x3b\x9a\xca\x00zzz"), int64(slot.MaxPriceMicroPerKWh))
	f.Fuzz(func(t *testing.T, data []byte, fee int64) {
		asks, bids := book(data)
		c, err := slot.Clear(asks, bids, fee)
		if err != nil {
			if !errors.Is(err, slot.ErrOrder) || c.Wh != 0 || c.Sold != nil {
				t.Fatalf("%+v, %v", c, err)
			}
			return
		}
		check(t, asks, bids, fee, c)
	})
}

func BenchmarkClear(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		asks, bids := make([]slot.Order, n), make([]slot.Order, n)
		for i := range n {
			asks[i] = order(fmt.Sprintf("ask-%06d", i), uint64(i%7), int64(50_000+i*7919%n*100_000/n), int64(100+i%400))
			bids[i] = order(fmt.Sprintf("bid-%06d", i), uint64(i%5), int64(80_000+i*104729%n*100_000/n), int64(100+i%300))
		}
		b.Run(fmt.Sprint(2*n, " orders"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := slot.Clear(asks, bids, 5_000); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
