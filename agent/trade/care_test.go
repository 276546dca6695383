package trade

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/proto/wire"
)

// What is kept back is what the worst, the second worst and so on of the last eight slots
// would have needed; slots that no one has seen needed nothing.
func TestKeptBack(t *testing.T) {
	for _, c := range []struct {
		shortWh []int64
		care    int
		want    int64
	}{
		{nil, 8, 0},
		{[]int64{5}, 8, 5},
		{[]int64{5}, 7, 0},
		{[]int64{5, 9}, 8, 9},
		{[]int64{9, 5}, 7, 5},
		{[]int64{9, 5}, 6, 0},
		{[]int64{8, 1, 7, 2, 6, 3, 5, 4}, 8, 8},
		{[]int64{8, 1, 7, 2, 6, 3, 5, 4}, 7, 7},
		{[]int64{8, 1, 7, 2, 6, 3, 5, 4}, 1, 1},
		{[]int64{8, 1, 7, 2, 6, 3, 5, 4}, 0, 0},
	} {
		counted := Counted{ShortWh: c.shortWh}
		if got := counted.keptBack(c.care); got != c.want {
			t.Errorf("short by %v, care %d: %d Wh kept back, want %d", c.shortWh, c.care, got, c.want)
		}
	}
}

// Of a forecast the least counts, what came is held against it once, and a slot of which none
// is known says nothing.
func TestForecastsAreHeldAgainstWhatCame(t *testing.T) {
	var c Counted
	for _, wh := range []int64{400, 300, 350} {
		c.foresee(900, wh)
	}
	c.foresee(1800, 500)
	c.came(0, 10)
	c.came(900, 260)
	c.over(1800)
	c.came(900, 0)
	c.came(1800, 600)
	if fmt.Sprint(c.ShortWh, c.Foreseen) != "[40 0] [{1800 500}]" {
		t.Errorf("short by %v, foreseen %v", c.ShortWh, c.Foreseen)
	}
	for i := range int64(9) {
		c.foresee(1800, 500)
		c.came(1800, 500-i)
	}
	if fmt.Sprint(c.ShortWh) != "[1 2 3 4 5 6 7 8]" {
		t.Errorf("short by %v, want the last eight", c.ShortWh)
	}
}

// However much came, what is kept back would have sufficed in so many of the last eight
// slots, and a step less would not.
func TestKeptBackProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := Counted{ShortWh: rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 0, careSlots).Draw(r, "short")}
		care := rapid.IntRange(1, careSlots).Draw(r, "care")
		back := c.keptBack(care)
		kept, below := careSlots-len(c.ShortWh), careSlots-len(c.ShortWh)
		for _, wh := range c.ShortWh {
			if wh <= back {
				kept++
			}
			if wh < back {
				below++
			}
		}
		if kept < care || back > 0 && below >= care {
			r.Fatalf("%d Wh kept back of %v: enough in %d of 8, less is enough in %d, want %d", back, c.ShortWh, kept, below, care)
		}
	})
}

// A tenth is left out as before; where the power swings more than that, what the care keeps
// back is. It is no matter of the reserve, of the other side, or of a meter that is new.
func TestAuctionKeepsBack(t *testing.T) {
	for _, r := range []struct {
		rule    string
		care    int
		shortWh []int64
		terms   Terms
		want    string
	}{
		{"without care a tenth", 0, []int64{300}, Terms{}, "ask 1: 360 Wh at 100000"},
		{"a tenth is more", 8, []int64{39}, Terms{}, "ask 1: 360 Wh at 100000"},
		{"as much as a tenth", 8, []int64{40}, Terms{}, "ask 1: 360 Wh at 100000"},
		{"more than a tenth", 8, []int64{41}, Terms{}, "ask 1: 359 Wh at 100000"},
		{"one of eight may fall short", 7, []int64{300, 100}, Terms{}, "ask 1: 300 Wh at 100000"},
		{"beside what the house needs", 8, []int64{100}, Terms{ReserveW: 400}, "ask 1: 200 Wh at 100000"},
		{"all of it", 8, []int64{400}, Terms{}, ""},
	} {
		t.Run(r.rule, func(t *testing.T) {
			cfg := only(wire.SideSell)
			cfg.Places[0].Care = r.care
			a, in := counted(cfg, 400, 500), slotsMoment()
			a.Meters["pv-1-sold"].ShortWh, in.Terms = r.shortWh, always(r.terms)
			got := ""
			if all := ordered(a.Step(in)); len(all) > 0 {
				got = all[0]
			}
			if got != r.want {
				t.Errorf("%q, want %q", got, r.want)
			}
		})
	}
	cfg := only(wire.SideBuy)
	cfg.Places[0].Care = 8
	a := counted(cfg, 200)
	a.Meters["pv-1-used"].ShortWh = []int64{150}
	equal(t, ordered(a.Step(slotsMoment()))[:1], []string{"bid 1: 200 Wh at 250000"})
	if f := a.Meters["pv-1-used"].Foreseen; len(f) > 0 {
		t.Errorf("a buyer foresees %v", f)
	}
}

// A forecast is what is expected while the slot's gate is open, the least of it; what is kept
// back then is of no matter, and a gap in what was counted says nothing of it.
func TestAuctionHoldsForecastsAgainstItself(t *testing.T) {
	cfg := only(wire.SideSell)
	cfg.Places[0].Care = 8
	a, in := NewAuction(cfg), slotsMoment()
	at(a, in, 0, 10_000)
	in.ExpectedWh = 390
	at(a, in, 1000, 10_000)
	in.ExpectedWh = 395
	at(a, in, slotMs-300_000-maxLeadMs-1, 10_000)
	in.ExpectedWh = 100 // the gate of the first slot has closed
	at(a, in, slotMs-300_000-maxLeadMs, 10_000)
	at(a, in, slotMs, 10_395)
	c := a.Meters["pv-1-sold"]
	if len(c.ShortWh) != 0 {
		t.Errorf("short by %v in a slot no forecast was made for", c.ShortWh)
	}
	at(a, in, 2*slotMs, 10_695)
	if fmt.Sprint(c.ShortWh) != "[90]" || len(c.Foreseen) != 3 || c.Foreseen[0].StartMs != slotZero+2*slotMs {
		t.Errorf("short by %v of 390, foreseen %v", c.ShortWh, c.Foreseen)
	}
	at(a, in, 4*slotMs, 10_695)
	if fmt.Sprint(c.ShortWh) != "[90]" || c.Foreseen[0].StartMs < slotZero+4*slotMs {
		t.Errorf("short by %v, foreseen %v behind a gap", c.ShortWh, c.Foreseen)
	}
}

// played sells by slots what a plant gives, with all that is asked for bought: what was sold,
// and what of it did not come. Power is in Wh a slot, of each quarter of an hour.
func played(care int, power []int64) (soldWh, shortWh int64) {
	const step = slotMs / 15
	cfg := only(wire.SideSell)
	cfg.Places[0].Care, cfg.Places[0].MaxWh = care, 1_000_000
	a, in := NewAuction(cfg), slotsMoment()
	stands := make(map[int64]int64)
	var registerWh, fromWh int64
	for i, wh := range power {
		for minute := range int64(15) {
			in.WallMs = slotZero + int64(i)*slotMs + minute*step
			in.SensingMs, in.ExpectedWh = in.WallMs, wh
			in.Registers = map[string]int64{"pv-1-sold": registerWh}
			actions := a.Step(in)
			in.Outcomes = nil
			for _, action := range actions {
				if ask := action.Record.GetAsk(); ask != nil {
					stands[ask.GetSlotStartMs()] = ask.GetEnergyWh()
					in.Outcomes = append(in.Outcomes, final(action.Record, true))
				}
			}
			if minute == 0 {
				fromWh = registerWh
			}
			registerWh = fromWh + wh*(minute+1)/15
		}
		sold := stands[slotZero+int64(i)*slotMs]
		soldWh += sold
		shortWh += max(0, sold-wh)
	}
	return soldWh, shortWh
}

// Where the power stays, every seller sells the same. Where it rises and falls with the sun, a
// careful one sells a little less and falls short by less than half.
func TestCareFollowsTheSun(t *testing.T) {
	var steady, sun []int64
	for i := range int64(400) {
		steady = append(steady, 1000)
		sun = append(sun, max(0, i%80*(40-i%80)*5/2)) // ten days of ten hours of light
	}
	for _, care := range []int{0, 7, 8} {
		if sold, short := played(care, steady); short != 0 || sold != 399*900 {
			t.Errorf("care %d, steady: %d Wh sold, %d short", care, sold, short)
		}
	}
	sold0, short0 := played(0, sun)
	sold7, short7 := played(7, sun)
	sold8, short8 := played(8, sun)
	if short7*2 >= short0 || short8 >= short7 || sold8 >= sold7 || sold7 >= sold0 || sold8*100 < sold0*98 {
		t.Errorf("care 0: %d Wh sold, %d short; 7: %d, %d; 8: %d, %d", sold0, short0, sold7, short7, sold8, short8)
	}
}
