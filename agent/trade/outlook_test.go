package trade

import (
	"testing"

	"pgregory.net/rapid"
)

const hourMs = 3_600_000

// TestOutlookFollowsTheMeter: what a forecast was worth in the time of one delivery
// decides what is promised of the next one.
func TestOutlookFollowsTheMeter(t *testing.T) {
	for _, c := range []struct {
		rule string
		wh   []int64 // forecasts an hour apart; a delivery lasts two
		want int64   // promised of 1000
	}{
		{"nothing is known", []int64{1000}, 1000},
		{"the forecast is on its way", []int64{1000, 0}, 1000},
		{"power that stays", []int64{1000, 1000, 1000}, 1000},
		{"power that rises", []int64{1000, 2000, 3000}, 1000},
		{"half of the time at half of it", []int64{1000, 500, 500}, 750},
		{"calm", []int64{1000, 100, 100}, 550},
		{"calm from the second hour on, and before it", []int64{1000, 0, 0, 0, 0}, 500},
		{"four days of a turbine that stops at once", []int64{4000, 1, 0, 4000, 1, 0}, 500},
		{"a quarter of what was lost comes back", []int64{1000, 0, 1000, 1000, 1000}, 625},
		{"and of that", []int64{1000, 0, 1000, 1000, 1000, 1000, 1000}, 718},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var o outlook
			for i, wh := range c.wh {
				o.step(int64(i+1)*hourMs, 2*hourMs, wh)
			}
			if got := o.promise(1000); got != c.want {
				t.Errorf("%d Wh of 1000, want %d (%+v)", got, c.want, o)
			}
		})
	}
}

// TestOutlookForgetsWhatItDidNotSee: a gap of the clock is no calm.
func TestOutlookForgetsWhatItDidNotSee(t *testing.T) {
	for _, gapMs := range []int64{-1, hourMs + 1, 1 << 50} {
		var o outlook
		o.step(1000, hourMs, 1000)
		o.step(1000+gapMs, hourMs, 1)
		if o.promise(1000) != 1000 || o.ForecastWh != 1 || o.SinceMs != 1000+gapMs {
			t.Errorf("a gap of %d ms: %+v", gapMs, o)
		}
	}
}

// TestOutlookBounds: whatever comes, no more is promised than the forecast, and no less
// than a quarter of it.
func TestOutlookBounds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var o outlook
		now := rapid.Int64Range(0, 1<<42).Draw(r, "from_ms")
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			now += rapid.Int64Range(-10, 2*hourMs).Draw(r, "wait_ms")
			o.step(now, hourMs, rapid.Int64Range(0, 1<<40).Draw(r, "forecast_wh"))
			if got := o.promise(1_000_000); got < 250_000 || got > 1_000_000 {
				r.Fatalf("%d of 1000000 Wh are promised: %+v", got, o)
			}
		}
	})
}

// A forecast is compared over steps of up to one delivery. What came in a longer gap, or
// before the clock went back, is not known, and nothing is made of it.
func TestOutlookOverAGap(t *testing.T) {
	const delivery = 900_000
	for _, c := range []struct {
		name  string
		ranMs int64
		lost  int64 // all but a quarter, for nothing came
	}{
		{"a step of one delivery", delivery, outlookWhole - outlookLeast},
		{"a gap", delivery + 1, 0},
		{"a clock set back", -1, 0},
	} {
		o := outlook{SinceMs: 1000, ForecastWh: 500, lastMs: 1000, lastWh: 0}
		o.step(1000+c.ranMs, delivery, 500)
		if o.LostE4 != c.lost || o.SinceMs != 1000+c.ranMs || o.ForecastWh != 500 || o.CameWhMs != 0 {
			t.Errorf("%s: %+v, want %d lost", c.name, o, c.lost)
		}
	}
}

// Each good delivery's time brings a quarter of what is lost back, rounded up, so that
// all of it comes back.
func TestOutlookComesBack(t *testing.T) {
	for lost, want := range map[int64]int64{0: 0, 1: 0, 2: 1, 3: 2, 4: 3, 5: 3, 7500: 5625} {
		o := outlook{SinceMs: 1000, ForecastWh: 500, CameWhMs: 500 * 900_000, LostE4: lost}
		if o.compare(901_000); o.LostE4 != want {
			t.Errorf("of %d are %d lost, want %d", lost, o.LostE4, want)
		}
	}
}
