package sharing

import (
	"cmp"
	"slices"

	"fairwatt/aggregator/ledger/slot"
)

// MaxLots is how many sellers a buyer takes energy of in a slot, in bilateral trades: a payment
// of the chain has as many lots at most.
const MaxLots = 4

// bilateral has buyers take offers in turn.
func (c *Community) bilateral(d *division) error {
	ask := func(i int) int64 { return max(c.PriceMicroPerKWh, c.Members[i].FeedInMicroPerKWh) }
	var offers []int // of those that nobody has taken, the cheapest first
	for i := range c.Members {
		if c.Members[i].ExportWh[d.slot] > 0 {
			offers = append(offers, i)
		}
	}
	slices.SortStableFunc(offers, func(i, j int) int { return cmp.Compare(ask(i), ask(j)) })
	for turn := range c.Members {
		buyer := (turn + d.slot) % len(c.Members)
		m := &c.Members[buyer]
		for range MaxLots {
			left := m.ImportWh[d.slot] - d.bought[buyer]
			if left == 0 || len(offers) == 0 || ask(offers[0])+c.FeeMicroPerKWh > m.TariffMicroPerKWh {
				break
			}
			seller := offers[0]
			d.trade(c, seller, buyer, min(left, c.Members[seller].ExportWh[d.slot]), ask(seller))
			offers = offers[1:]
		}
	}
	return nil
}

// auction clears the slot with each member's own supplier as its limit, by what the slot brings.
func (c *Community) auction(d *division) error { return c.clear(d, d.slot) }

// auctionAhead clears the slot by what the one before it brought, as nobody knows a slot ahead,
// and settles it by what it brings. In the first slot there is no trade.
func (c *Community) auctionAhead(d *division) error {
	if d.slot == 0 {
		return nil
	}
	return c.clear(d, d.slot-1)
}

// clear holds the auction of a slot with the volumes of another one, and settles it.
func (c *Community) clear(d *division, by int) error {
	var asks, bids []slot.Order
	var sellers, buyers []int // members behind the orders
	var exports, imports []int64
	for i, m := range c.Members {
		if wh := m.ExportWh[by]; wh > 0 {
			asks = append(asks, slot.Order{ID: m.ID, PriceMicroPerKWh: m.FeedInMicroPerKWh, Wh: wh})
			sellers, exports = append(sellers, i), append(exports, m.ExportWh[d.slot])
		}
		if wh := m.ImportWh[by]; wh > 0 {
			bids = append(bids, slot.Order{ID: m.ID, PriceMicroPerKWh: m.TariffMicroPerKWh, Wh: wh})
			buyers, imports = append(buyers, i), append(imports, m.ImportWh[d.slot])
		}
	}
	cleared, err := slot.Clear(asks, bids, c.FeeMicroPerKWh)
	if err != nil {
		return err
	}
	paid, err := slot.Settle(cleared.Trades, exports, imports)
	if err != nil {
		return err
	}
	for k, t := range cleared.Trades {
		d.trade(c, sellers[t.Ask], buyers[t.Bid], paid[k], cleared.PriceMicroPerKWh)
	}
	return nil
}

func (c *Community) static(d *division) error {
	return c.byKey(d, func(energyWh int64, wantWh []int64) ([]int64, error) {
		shares := make([]int64, len(c.Members))
		for i, m := range c.Members {
			shares[i] = m.ShareE4
		}
		return slot.Static(energyWh, wantWh, shares)
	})
}

func (c *Community) dynamic(d *division) error { return c.byKey(d, slot.Dynamic) }

// byKey divides what those export who gain by the community's price among those who gain by
// it; producers sell in proportion to what they export.
func (c *Community) byKey(d *division, key func(int64, []int64) ([]int64, error)) error {
	have, want := make([]int64, len(c.Members)), make([]int64, len(c.Members))
	var energy, allotted int64
	for i, m := range c.Members {
		if m.FeedInMicroPerKWh <= c.PriceMicroPerKWh {
			have[i] = m.ExportWh[d.slot]
			energy += have[i]
		}
		if m.TariffMicroPerKWh >= c.PriceMicroPerKWh+c.FeeMicroPerKWh {
			want[i] = m.ImportWh[d.slot]
		}
	}
	bought, err := key(energy, want)
	if err != nil {
		return err
	}
	for _, wh := range bought {
		allotted += wh
	}
	sold, err := slot.Dynamic(allotted, have)
	if err != nil {
		return err
	}
	d.all(c, sold, bought, c.PriceMicroPerKWh)
	return nil
}
