package sharing_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger/slot"
	"fairwatt/aggregator/sharing"

	"pgregory.net/rapid"
)

func member(id string, tariff, feedIn, share int64, export, imported []int64) sharing.Member {
	return sharing.Member{ID: id, TariffMicroPerKWh: tariff, FeedInMicroPerKWh: feedIn, ShareE4: share, ExportWh: export, ImportWh: imported}
}

// One slot: a roof, an old plant that gets more elsewhere than the community's price, and homes
// of which one has a cheap tariff.
func small() *sharing.Community {
	return &sharing.Community{Slots: 1, PriceMicroPerKWh: 150_000, FeeMicroPerKWh: 20_000, Members: []sharing.Member{
		member("roof", 0, 80_000, 0, []int64{1000}, []int64{0}),
		member("old", 0, 220_000, 0, []int64{1000}, []int64{0}),
		member("a", 300_000, 0, 5_000, []int64{0}, []int64{900}),
		member("b", 300_000, 0, 2_500, []int64{0}, []int64{700}),
		member("heat", 160_000, 0, 2_500, []int64{0}, []int64{2000}),
	}}
}

// What each way does, by hand. Bilateral: a takes 900 Wh of the roof, b 700 of the old plant at
// its own price. Auction: a and b take all of the roof and 600 Wh of the old plant; the marginal
// pair, 220 and 300, makes the price. Static: a has half of the roof's energy, b a quarter.
// Dynamic: a and b divide it by 9 to 7. Neither key has the old plant or the heat pump in it.
func TestWays(t *testing.T) {
	got, err := small().Compare()
	if err != nil {
		t.Fatal(err)
	}
	// Alone: 1600 Wh at 0.30 and 2000 Wh at 0.16 cost 0.80; 0.08 and 0.22 are earned.
	want := []sharing.Outcome{
		{Way: sharing.WayNone, CostMicro: 800_000, IncomeMicro: 300_000, ByMemberMicro: []int64{0, 0, 0, 0, 0}},
		{Way: sharing.WayBilateral, TradedWh: 1600, CostMicro: 900*170 + 700*240 + 320_000, IncomeMicro: 900*150 + 100*80 + 220_000, FeeMicro: 32_000,
			GainMicro: 63_000 + 117_000 + 42_000, ByMemberMicro: []int64{63_000, 0, 117_000, 42_000, 0}},
		{Way: sharing.WayAuction, TradedWh: 1600, CostMicro: 1600*270 + 320_000, IncomeMicro: 1600*250 + 400*220, FeeMicro: 32_000,
			GainMicro: 1000*170 + 600*30 + 1600*30, ByMemberMicro: []int64{170_000, 18_000, 27_000, 21_000, 0}},
		// Nothing is known before the first slot.
		{Way: sharing.WayAuctionAhead, CostMicro: 800_000, IncomeMicro: 300_000, ByMemberMicro: []int64{0, 0, 0, 0, 0}},
		{Way: sharing.WayStatic, TradedWh: 750, CostMicro: 750*170 + 850*300 + 320_000, IncomeMicro: 750*150 + 250*80 + 220_000, FeeMicro: 15_000,
			GainMicro: 750*70 + 750*130, ByMemberMicro: []int64{52_500, 0, 65_000, 32_500, 0}},
		{Way: sharing.WayDynamic, TradedWh: 1000, CostMicro: 1000*170 + 600*300 + 320_000, IncomeMicro: 1000*150 + 220_000, FeeMicro: 20_000,
			GainMicro: 200_000, ByMemberMicro: []int64{70_000, 0, 73_190, 56_810, 0}},
	}
	for i, w := range want {
		if !reflect.DeepEqual(got[i], w) {
			t.Errorf("%s:\n got %+v\nwant %+v", w.Way, got[i], w)
		}
	}
}

// An auction ahead promises what the slot before brought, at its prices, and settles what comes:
// a shortfall of the roof meets its buyers, more than promised is its supplier's.
func TestAuctionAhead(t *testing.T) {
	c := &sharing.Community{Slots: 3, FeeMicroPerKWh: 10_000, Members: []sharing.Member{
		member("roof", 0, 80_000, 0, []int64{1000, 500, 800}, []int64{0, 0, 0}),
		member("a", 300_000, 0, 0, []int64{0, 0, 0}, []int64{600, 600, 600}),
		member("b", 200_000, 0, 0, []int64{0, 0, 0}, []int64{400, 400, 100}),
	}}
	got, err := c.Compare()
	if err != nil {
		t.Fatal(err)
	}
	// Slot 1: 600 and 400 promised at (80 + 200 - 10) / 2 = 135; of 500, a has 300 and b 200. Slot 2:
	// 500 promised to a alone, at 185; all of it flows.
	want := []int64{500*55 + 500*105, 300*155 + 500*105, 200 * 55}
	if o := got[3]; o.Way != sharing.WayAuctionAhead || o.TradedWh != 1000 || !slices.Equal(o.ByMemberMicro, want) {
		t.Errorf("%+v, want %v", o, want)
	}
}

// In bilateral trades a seller serves one buyer in a slot, a buyer takes of four sellers, and
// another buyer is the first in the next slot.
func TestBilateralTurns(t *testing.T) {
	c := &sharing.Community{Slots: 2, PriceMicroPerKWh: 100}
	for i := range 5 {
		c.Members = append(c.Members, member(fmt.Sprint("roof-", i), 0, 0, 0, []int64{10, 10}, []int64{0, 0}))
	}
	c.Members = append(c.Members, member("a", 1_100, 0, 0, []int64{0, 0}, []int64{100, 5}), member("b", 1_100, 0, 0, []int64{0, 0}, []int64{100, 100}))
	got, err := c.Compare()
	if err != nil {
		t.Fatal(err)
	}
	// Slot 0: a takes of four, b of the fifth. Slot 1: a takes 5 Wh of one, b of the four others.
	// What one seller has left goes to nobody.
	if o := got[1]; o.TradedWh != 40+10+5+40 || !slices.Equal(o.ByMemberMicro[5:], []int64{45, 50}) {
		t.Errorf("%+v", o)
	}
	// From slot 6 on b comes first, of seven members.
	for i := range c.Members {
		m := &c.Members[i]
		export, want := m.ExportWh[0], m.ImportWh[0]
		m.ExportWh, m.ImportWh = make([]int64, 7), make([]int64, 7)
		m.ExportWh[6], m.ImportWh[6] = export, want
	}
	c.Slots = 7
	if got, err = c.Compare(); err != nil || !slices.Equal(got[1].ByMemberMicro[5:], []int64{10, 40}) {
		t.Errorf("%+v, %v", got[1], err)
	}
}

// Whatever a community is, nobody is worse off than alone in any way, all gains are what
// consumers save and producers earn, no more is traded than there is, and no way gains more
// than the auction.
func TestNobodyLoses(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n, slots := rapid.IntRange(1, 7).Draw(r, "members"), rapid.IntRange(1, 4).Draw(r, "slots")
		unit := rapid.Int64Range(0, 30)
		c := &sharing.Community{Slots: slots, PriceMicroPerKWh: unit.Draw(r, "price"), FeeMicroPerKWh: unit.Draw(r, "fee") / 3}
		exported, imported := int64(0), int64(0)
		for i := range n {
			m := member(fmt.Sprint(i), unit.Draw(r, "tariff"), unit.Draw(r, "feed-in"), slot.WholeE4/7, make([]int64, slots), make([]int64, slots))
			for s := range slots {
				wh := rapid.Int64Range(-5_000_000, 5_000_000).Draw(r, "wh")
				m.ExportWh[s], m.ImportWh[s] = max(0, wh), max(0, -wh)
				exported, imported = exported+m.ExportWh[s], imported+m.ImportWh[s]
			}
			c.Members = append(c.Members, m)
		}
		all, err := c.Compare()
		if err != nil {
			r.Fatal(err)
		}
		for _, o := range all {
			if slices.Min(o.ByMemberMicro) < 0 {
				r.Fatalf("%s: a member loses: %+v", o.Way, o)
			}
			if d := o.GainMicro - (all[0].CostMicro - o.CostMicro + o.IncomeMicro - all[0].IncomeMicro); d < -2 || d > 2 {
				r.Fatalf("%s: gain and sides differ by %d: %+v, alone %+v", o.Way, d, o, all[0])
			}
			if o.TradedWh > min(exported, imported) || o.GainMicro > all[2].GainMicro {
				r.Fatalf("%s: %+v, the auction %+v", o.Way, o, all[2])
			}
		}
	})
}

// What cannot be compared is refused, and says why.
func TestCompareRefuses(t *testing.T) {
	for want, change := range map[string]func(*sharing.Community){
		"0 members in 1 slots":                   func(c *sharing.Community) { c.Members = nil },
		"5 members in 0 slots":                   func(c *sharing.Community) { c.Slots = 0 },
		`price of "the community": -1 micro`:     func(c *sharing.Community) { c.PriceMicroPerKWh = -1 },
		`fee of "the community": 1000000001`:     func(c *sharing.Community) { c.FeeMicroPerKWh = slot.MaxPriceMicroPerKWh + 1 },
		`tariff of "a": -1`:                      func(c *sharing.Community) { c.Members[2].TariffMicroPerKWh = -1 },
		`feed-in price of "a": 1000000001`:       func(c *sharing.Community) { c.Members[2].FeedInMicroPerKWh = slot.MaxPriceMicroPerKWh + 1 },
		`"b" has a share of -1`:                  func(c *sharing.Community) { c.Members[3].ShareE4 = -1 },
		`"b" has a share of 5001, 5000 of 10000`: func(c *sharing.Community) { c.Members[3].ShareE4 = 5_001 },
		`"roof" has 2 and 1 values for 1 slots`:  func(c *sharing.Community) { c.Members[0].ExportWh = []int64{1, 1} },
		`"roof" has 1 and 0 values for 1 slots`:  func(c *sharing.Community) { c.Members[0].ImportWh = nil },
		`"roof" exports 1000 and imports 1 Wh`:   func(c *sharing.Community) { c.Members[0].ImportWh = []int64{1} },
		`"roof" exports -1 and imports 0 Wh`:     func(c *sharing.Community) { c.Members[0].ExportWh = []int64{-1} },
		`"a" exports 0 and imports -1 Wh`:        func(c *sharing.Community) { c.Members[2].ImportWh = []int64{-1} },
		`"roof" exports 1000000001`:              func(c *sharing.Community) { c.Members[0].ExportWh = []int64{slot.MaxWh + 1} },
		`"a" exports 0 and imports 1000000001`:   func(c *sharing.Community) { c.Members[2].ImportWh = []int64{slot.MaxWh + 1} },
		"5000000000 Wh at up to 1000000000 micro": func(c *sharing.Community) {
			for i := range c.Members {
				m := &c.Members[i]
				m.FeedInMicroPerKWh, m.ExportWh, m.ImportWh = slot.MaxPriceMicroPerKWh, []int64{slot.MaxWh}, []int64{0}
			}
		},
		`ask "roof" stands twice`: func(c *sharing.Community) { c.Members[1].ID = "roof" },
	} {
		c := small()
		change(c)
		out, err := c.Compare()
		if !(errors.Is(err, sharing.ErrCommunity) || errors.Is(err, slot.ErrOrder)) || !strings.Contains(err.Error(), want) || out != nil {
			t.Errorf("%s: %v, %v", want, out, err)
		}
	}
}

// The largest community that is taken adds up: nothing is out of an int64.
func TestLargestSums(t *testing.T) {
	c := &sharing.Community{Slots: 1, FeeMicroPerKWh: slot.MaxPriceMicroPerKWh / 2, Members: []sharing.Member{
		member("roof", 0, 0, 0, []int64{slot.MaxWh}, []int64{0}),
		member("home", slot.MaxPriceMicroPerKWh, 0, 0, []int64{0}, []int64{slot.MaxWh}),
	}}
	got, err := c.Compare()
	if err != nil || got[2].TradedWh != slot.MaxWh || got[2].GainMicro != slot.MaxWh/1000*slot.MaxPriceMicroPerKWh/2 || got[0].CostMicro != slot.MaxWh/1000*slot.MaxPriceMicroPerKWh {
		t.Errorf("%+v, %v", got, err)
	}
}

// An invented community is the same for the same seed, another for another; it has days as a
// home and a roof have them.
func TestGenerate(t *testing.T) {
	c := sharing.Generate(1, 2)
	if !reflect.DeepEqual(c, sharing.Generate(1, 2)) || reflect.DeepEqual(c, sharing.Generate(2, 2)) {
		t.Error("the seed does not decide")
	}
	if len(c.Members) != 17 || c.Slots != 2*sharing.SlotsADay {
		t.Fatalf("%d members, %d slots", len(c.Members), c.Slots)
	}
	for _, m := range c.Members {
		var export, imported int64
		for s := range c.Slots {
			export, imported = export+m.ExportWh[s], imported+m.ImportWh[s]
			if hour := s % sharing.SlotsADay / 4; strings.HasPrefix(m.ID, "pv") && (hour < 6 || hour >= 20) && m.ExportWh[s] != 0 {
				t.Errorf("%s exports at %d o'clock", m.ID, hour)
			}
		}
		home := strings.HasPrefix(m.ID, "home")
		if home && (export != 0 || imported < 8_000 || imported > 32_000) || !home && (imported != 0 || export < 1_000) {
			t.Errorf("%s exports %d and imports %d Wh in two days", m.ID, export, imported)
		}
	}
	// A slot that lies six hours into the day has the consumption of six o'clock.
	if at := sharing.New([]sharing.Producer{{ID: "p", ExportWh: make([]int64, 1)}}, 1, 1, 18*4).Members[1].ImportWh[0]; at < 6_000*74/4_000/2 {
		t.Errorf("%d Wh in the evening", at)
	}
}
