package slot_test

import (
	"errors"
	"slices"
	"testing"

	"fairwatt/aggregator/ledger/slot"

	"pgregory.net/rapid"
)

// Who of whom has how much by a static key, case by case.
func TestShare(t *testing.T) {
	type wh = []int64
	for _, c := range []struct {
		name                 string
		export, want, shares wh
		pairs                []slot.Trade
	}{
		{"one roof, two homes", wh{1000}, wh{900, 900}, wh{7_500, 2_500}, []slot.Trade{{0, 0, 750}, {0, 1, 250}}},
		{"what a home leaves goes to no one else", wh{1000}, wh{100, 900}, wh{7_500, 2_500}, []slot.Trade{{0, 0, 100}, {0, 1, 250}}},
		{"each roof has its part of what was taken", wh{600, 200}, wh{400, 0}, wh{5_000, 5_000}, []slot.Trade{{0, 0, 300}, {1, 0, 100}}},
		{"two of each", wh{600, 400}, wh{900, 900}, wh{5_000, 5_000}, []slot.Trade{{0, 0, 500}, {0, 1, 100}, {1, 1, 400}}},
		{"a roof that exported nothing", wh{0, 400}, wh{900}, wh{10_000}, []slot.Trade{{1, 0, 400}}},
		{"no one exported", wh{0}, wh{900}, wh{10_000}, nil},
		{"no one is there", nil, nil, nil, nil},
	} {
		got, err := slot.Share(c.export, c.want, c.shares)
		if err != nil || !slices.Equal(got, c.pairs) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.pairs)
		}
	}
	for name, call := range map[string]func() error{
		"an export below zero": func() error { _, err := slot.Share(wh{-1}, wh{1}, wh{1}); return err },
		"an export too large":  func() error { _, err := slot.Share(wh{slot.MaxWh + 1}, wh{1}, wh{1}); return err },
		"shares above one":     func() error { _, err := slot.Share(wh{1}, wh{1, 1}, wh{5_000, 5_001}); return err },
		"a share too few":      func() error { _, err := slot.Share(wh{1}, wh{1, 1}, wh{1}); return err },
	} {
		if err := call(); !errors.Is(err, slot.ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The pairs give each consumer what Static gives it, no exporter more than it exported, and
// are fewer than both together; what one consumer says it consumed changes nothing for
// another.
func TestSharesAddUp(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		amount := rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(0, slot.MaxWh))
		export := rapid.SliceOfN(amount, 0, 6).Draw(t, "export")
		want := rapid.SliceOfN(amount, 1, 6).Draw(t, "want")
		shares, left := make([]int64, len(want)), int64(slot.WholeE4)
		for i := range shares {
			shares[i] = rapid.Int64Range(0, left).Draw(t, "share")
			left -= shares[i]
		}
		pairs, err := slot.Share(export, want, shares)
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, wh := range export {
			total += wh
		}
		has, err := slot.Static(total, want, shares)
		if err != nil {
			t.Fatal(err)
		}
		sold, bought := make([]int64, len(export)), make([]int64, len(want))
		for _, p := range pairs {
			if p.Wh <= 0 {
				t.Fatalf("%+v", p)
			}
			sold[p.Ask] += p.Wh
			bought[p.Bid] += p.Wh
		}
		if !slices.Equal(bought, has) || len(pairs) >= len(export)+len(want) && len(pairs) > 0 {
			t.Fatalf("%d pairs give %v, want %v", len(pairs), bought, has)
		}
		for i := range sold {
			if sold[i] > export[i] {
				t.Fatalf("%v of %v exported", sold, export)
			}
		}
		liar := rapid.IntRange(0, len(want)-1).Draw(t, "liar")
		lies := slices.Clone(want)
		lies[liar] = amount.Draw(t, "lie")
		with, err := slot.Static(total, lies, shares)
		if err != nil {
			t.Fatal(err)
		}
		with[liar] = has[liar]
		if !slices.Equal(with, has) {
			t.Fatalf("a lie of consumer %d gives %v, not %v", liar, with, has)
		}
	})
}
