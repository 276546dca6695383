package trade

import (
	"fmt"

	"fairwatt/proto/brief"
	"fairwatt/proto/wire"
)

// Terms are what the owner wants of one side at one moment. The zero value leaves all
// as it is configured.
type Terms struct {
	Stop             bool // begin nothing new
	DryRun           bool // say what would be begun
	PriceMicroPerKWh int64
	DailyWh          int64 // 0: no limit
	ReserveW         int64
	ReserveMicro     int64
}

// TermsOf returns the terms of a wish at an hour of the local day, 0 to 23.
func TermsOf(w *wire.Wish, hour int) Terms {
	price := w.ByHour[hour]
	if price == 0 {
		price = w.PriceMicroPerKWh
	}
	return Terms{
		Stop: w.Paused || w.Hours != 0 && w.Hours>>hour&1 == 0, DryRun: w.DryRun, PriceMicroPerKWh: price,
		DailyWh: w.DailyWh, ReserveW: w.ReserveW, ReserveMicro: w.ReserveMicro,
	}
}

// Limits of a wish.
const (
	maxPriceMicroPerKWh = 1_000_000_000
	maxReserveMicro     = 1_000_000_000_000_000
	allHours            = 1<<24 - 1
)

// Change changes a wish, or says which field is wrong and changes nothing.
func Change(w *wire.Wish, c *wire.WishChange) error {
	outside := func(field string, v *int64, most int64) error {
		if v != nil && (*v < 0 || *v > most) {
			return brief.Errorf("%s: %d; use 0 to %d", field, *v, most)
		}
		return nil
	}
	reserve := int64(maxAvailableWh)
	if c.Side == wire.SideBuy {
		reserve = maxReserveMicro
	}
	for _, err := range []error{
		outside("price_micro_per_kwh", c.PriceMicroPerKWh, maxPriceMicroPerKWh),
		outside("daily_wh", c.DailyWh, maxAvailableWh), outside("reserve", c.Reserve, reserve),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case c.PriceHours > allHours || c.Hours != nil && *c.Hours > allHours:
		return fmt.Errorf("hours: more than 24; use a bit for each hour of the day")
	case c.PriceHours != 0 && c.PriceMicroPerKWh == nil:
		return fmt.Errorf("price_hours: without a price; add price_micro_per_kwh")
	}
	set(&w.Paused, c.Paused)
	set(&w.DryRun, c.DryRun)
	set(&w.Hours, c.Hours)
	set(&w.DailyWh, c.DailyWh)
	if c.Side == wire.SideBuy {
		set(&w.ReserveMicro, c.Reserve)
	} else {
		set(&w.ReserveW, c.Reserve)
	}
	if c.PriceMicroPerKWh != nil && c.PriceHours == 0 {
		w.PriceMicroPerKWh, w.ByHour = *c.PriceMicroPerKWh, [24]int64{}
	}
	for h := range w.ByHour {
		if c.PriceHours>>h&1 == 1 {
			w.ByHour[h] = *c.PriceMicroPerKWh
		}
	}
	return nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// A Would is what a dry run would have begun.
type Would struct {
	Side             string `json:"side"`
	VolumeWh         int64  `json:"volume_wh"`
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
}

// A Day counts energy of one local day.
type Day struct {
	No int64 `json:"no"` // of the local day, however counted
	Wh int64 `json:"wh"`
}

// turn begins a new day. A clock that no one vouches for begins none.
func (d *Day) turn(no int64, synced bool) {
	if synced && no != d.No {
		*d = Day{No: no}
	}
}

// ended tells of a trade's end. What was paid says how much energy that was.
func ended(v Outcome, side, with string, volumeWh, price int64) *wire.PastTrade {
	n := v.Trade
	e := &wire.PastTrade{
		Height: v.Height, Trade: n.GetTradeId(), Side: side, With: with, VolumeWh: volumeWh, PriceMicroPerKWh: price,
		PaidMicro: n.GetPaidMicro(), ReturnedMicro: n.GetReturnedMicro(), Status: n.GetStatus(), Reason: n.GetReason(),
	}
	if price > 0 {
		e.EnergyWh = min(volumeWh, energyWh(e.PaidMicro, price))
	}
	return e
}

// energyWh is how much energy a price paid for, to the nearest Wh.
func energyWh(paidMicro, price int64) int64 {
	return paidMicro/price*1000 + (paidMicro%price*1000+price/2)/price
}
