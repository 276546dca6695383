package sharing

import (
	"fmt"

	"fairwatt/aggregator/ledger/slot"
)

// SlotsADay is how many slots a day has: quarters of an hour.
const SlotsADay = 96

// Prices of a community that no one has told, in micro per kWh.
const (
	DefaultPriceMicroPerKWh = 150_000
	DefaultFeeMicroPerKWh   = 20_000
)

// A Producer is what one plant exports, by slot.
type Producer struct {
	ID       string
	ExportWh []int64
}

// What members pay and get without the community, in turn. One home in five has a cheap tariff,
// as for a heat pump; one plant in four an old feed-in price.
var (
	tariffs = []int64{300_000, 340_000, 280_000, 160_000, 320_000}
	feedIns = []int64{80_000, 70_000, 60_000, 220_000}
)

// hours is how a home's day is divided, in thousandths.
var hours = [24]int64{20, 15, 13, 13, 14, 20, 38, 52, 50, 44, 42, 48, 54, 46, 40, 38, 42, 56, 74, 82, 72, 56, 40, 31}

// New makes a community of producers, whose plants export as given, and of homes that are
// invented from a seed. begin is the slot of the local day in which the first value lies, 0 to
// 95. All producers have as many values as the first.
func New(producers []Producer, homes int, seed uint64, begin int) *Community {
	c := &Community{PriceMicroPerKWh: DefaultPriceMicroPerKWh, FeeMicroPerKWh: DefaultFeeMicroPerKWh}
	if len(producers) > 0 {
		c.Slots = len(producers[0].ExportWh)
	}
	for i, p := range producers {
		c.Members = append(c.Members, Member{ID: p.ID, FeedInMicroPerKWh: feedIns[i%len(feedIns)], ExportWh: p.ExportWh, ImportWh: make([]int64, c.Slots)})
	}
	draw := dice(seed)
	for i := range homes {
		m := Member{
			ID: fmt.Sprintf("home-%d", i+1), TariffMicroPerKWh: tariffs[i%len(tariffs)], ShareE4: slot.WholeE4 / int64(homes),
			ExportWh: make([]int64, c.Slots), ImportWh: make([]int64, c.Slots),
		}
		dayWh := draw.between(6_000, 14_000)
		for s := range m.ImportWh {
			hour := (begin + s) % SlotsADay / 4
			m.ImportWh[s] = dayWh * hours[hour] / 4_000 * draw.between(50, 150) / 100
		}
		c.Members = append(c.Members, m)
	}
	return c
}

// Generate invents a community: four roofs, a small wind turbine and twelve homes, for a number
// of days. The same seed gives the same one everywhere.
func Generate(seed uint64, days int) *Community {
	draw := dice(seed ^ 0x5eed)
	producers := []Producer{{ID: "pv-1"}, {ID: "pv-2"}, {ID: "pv-3"}, {ID: "pv-4"}, {ID: "wind-1"}}
	peakW := []int64{3_000, 5_000, 2_000, 6_000}
	gustE2 := int64(40) // of the turbine's 3 kW, in hundredths
	for range days {
		clearE2 := draw.between(25, 100) // how clear the day is
		for s := range int64(SlotsADay) {
			sunE4 := max(0, (s-24)*(80-s)) * 10_000 / (28 * 28) // from 6 to 20 o'clock
			for i, w := range peakW {
				wh := w * sunE4 / 40_000 * clearE2 / 100 * draw.between(70, 100) / 100
				producers[i].ExportWh = append(producers[i].ExportWh, wh)
			}
			gustE2 = min(100, max(0, gustE2+draw.between(-8, 8)))
			producers[4].ExportWh = append(producers[4].ExportWh, 3_000/4*gustE2/100)
		}
	}
	return New(producers, 12, seed, 0)
}

// dice is SplitMix64: the same numbers everywhere, from one word of state.
type dice uint64

// between draws a number from low to high, both included, less than 2^31 apart.
func (d *dice) between(low, high int64) int64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return low + int64(z>>33*uint64(high-low+1)>>31)
}
