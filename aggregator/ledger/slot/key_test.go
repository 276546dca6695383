package slot_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger/slot"

	"pgregory.net/rapid"
)

// Two homes of a community with a roof: what each has of 1000 Wh by either key.
func Example() {
	asks := []slot.Order{{ID: "roof", Height: 7, PriceMicroPerKWh: 80_000, Wh: 1000}}
	bids := []slot.Order{
		{ID: "bakery", Height: 8, PriceMicroPerKWh: 300_000, Wh: 900},
		{ID: "house", Height: 7, PriceMicroPerKWh: 250_000, Wh: 300},
	}
	c, err := slot.Clear(asks, bids, 20_000)
	fmt.Println("auction:", c.Bought, "Wh at", c.PriceMicroPerKWh, err)
	parts, err := slot.Static(1000, []int64{900, 300}, []int64{5_000, 5_000})
	fmt.Println("static key:", parts, err)
	parts, err = slot.Dynamic(1000, []int64{900, 300})
	fmt.Println("dynamic key:", parts, err)
	// Output:
	// auction: [900 100] Wh at 155000 <nil>
	// static key: [500 300] <nil>
	// dynamic key: [750 250] <nil>
}

// What a key gives, case by case.
func TestKeys(t *testing.T) {
	type wh = []int64
	for _, c := range []struct {
		name   string
		energy int64
		want   wh
		shares wh // nil: dynamic
		parts  wh
	}{
		{"dynamic: there is enough", 100, wh{10, 20}, nil, wh{10, 20}},
		{"dynamic: there is not", 100, wh{300, 100}, nil, wh{75, 25}},
		{"dynamic: nothing is produced", 0, wh{300, 100}, nil, wh{0, 0}},
		{"dynamic: nobody consumes", 100, wh{0, 0}, nil, wh{0, 0}},
		{"dynamic: there is nobody", 100, wh{}, nil, wh{}},
		{"dynamic: a Wh that is left is the largest remainder's", 10, wh{1, 8, 6}, nil, wh{1, 5, 4}},
		{"dynamic: of equal remainders the first has it", 1, wh{5, 5, 5}, nil, wh{1, 0, 0}},
		{"dynamic: the largest amounts", 3 * slot.MaxWh / 2, wh{slot.MaxWh, slot.MaxWh}, nil, wh{3 * slot.MaxWh / 4, 3 * slot.MaxWh / 4}},
		{"static: shares of what is produced", 1000, wh{900, 900}, wh{7_500, 2_500}, wh{750, 250}},
		{"static: at most what is consumed, and the rest is no one's", 1000, wh{100, 900}, wh{7_500, 2_500}, wh{100, 250}},
		{"static: a share that no one has is no one's", 1000, wh{900, 900}, wh{2_500, 2_500}, wh{250, 250}},
		{"static: no share, no energy", 1000, wh{900, 900}, wh{10_000, 0}, wh{900, 0}},
		{"static: whole Wh by largest remainder", 10, wh{9, 9, 9}, wh{3_333, 3_333, 3_334}, wh{3, 3, 4}},
		{"static: the share that no one has rounds as others do", 3, wh{9, 9}, wh{2_500, 2_500}, wh{1, 1}},
		{"static: more than 64 bits hold", math.MaxInt64, wh{slot.MaxWh}, wh{10_000}, wh{slot.MaxWh}},
		{"static: there is nobody", 1000, wh{}, wh{}, wh{}},
	} {
		var got []int64
		var err error
		if c.shares == nil {
			got, err = slot.Dynamic(c.energy, c.want)
		} else {
			got, err = slot.Static(c.energy, c.want, c.shares)
		}
		if err != nil || !slices.Equal(got, c.parts) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

// What is outside the limits is refused.
func TestKeysRefuse(t *testing.T) {
	type wh = []int64
	for _, c := range []struct {
		energy       int64
		want, shares wh
		says         string
	}{
		{-1, wh{1}, wh{1}, "-1 Wh to divide"},
		{1, wh{1, -1}, wh{1, 1}, "amount 1 is -1 Wh"},
		{1, wh{slot.MaxWh + 1}, wh{1}, "amount 0 is 1000000001 Wh"},
		{1, wh{1, 1}, wh{1}, "1 shares for 2 consumers"},
		{1, wh{1, 1}, wh{1, -1}, "share 1 is -1 of 10000"},
		{1, wh{1, 1}, wh{5_000, 5_001}, "share 1 is 5001 of 10000, and 5000 are left"},
	} {
		_, err := slot.Static(c.energy, c.want, c.shares)
		if !errors.Is(err, slot.ErrOrder) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("static, %s: %v", c.says, err)
		}
		if strings.Contains(c.says, "share") {
			continue
		}
		if _, err := slot.Dynamic(c.energy, c.want); !errors.Is(err, slot.ErrOrder) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("dynamic, %s: %v", c.says, err)
		}
	}
}

// By either key nobody has more than it consumes, nothing is allotted twice, and each is within
// a Wh of its share. By the dynamic one all is allotted that can be.
func TestKeysAllotNothingTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		most := rapid.SampledFrom([]int64{9, 5_000, slot.MaxWh}).Draw(r, "most")
		want := rapid.SliceOfN(rapid.Int64Range(0, most), 0, 9).Draw(r, "want")
		energy := rapid.Int64Range(0, 6*most).Draw(r, "energy")
		shares := make([]int64, len(want))
		var total, left int64 = 0, slot.WholeE4
		for i := range want {
			shares[i] = rapid.Int64Range(0, left).Draw(r, "share")
			left -= shares[i]
			total += want[i]
		}
		dynamic, err := slot.Dynamic(energy, want)
		if err != nil {
			r.Fatal(err)
		}
		static, err := slot.Static(energy, want, shares)
		if err != nil {
			r.Fatal(err)
		}
		var byDynamic, byStatic int64
		for i := range want {
			byDynamic, byStatic = byDynamic+dynamic[i], byStatic+static[i]
			if dynamic[i] < 0 || dynamic[i] > want[i] || static[i] < 0 || static[i] > want[i] {
				r.Fatalf("%d: %v and %v of %v", i, dynamic, static, want)
			}
			if d := float64(dynamic[i]) - float64(min(energy, total))*float64(want[i])/float64(max(total, 1)); math.Abs(d) >= 1.001 {
				r.Fatalf("%d is %f off: %v", i, d, dynamic)
			}
			if d := float64(static[i]) - min(float64(want[i]), float64(energy)*float64(shares[i])/slot.WholeE4); math.Abs(d) >= 1.001 {
				r.Fatalf("%d is %f off: %v", i, d, static)
			}
		}
		if byDynamic != min(energy, total) || byStatic > energy {
			r.Fatalf("%d and %d of %d Wh", byDynamic, byStatic, energy)
		}
	})
}
