package sharing

import (
	"errors"
	"fmt"
	"math"

	"fairwatt/aggregator/ledger/slot"
)

// ErrCommunity is wrapped by errors of a community that cannot be compared.
var ErrCommunity = errors.New("not a community to compare")

// A Member is who consumes or exports.
type Member struct {
	ID                 string
	TariffMicroPerKWh  int64   // what a kWh of its supplier costs it
	FeedInMicroPerKWh  int64   // what a kWh that it exports brings it elsewhere
	ShareE4            int64   // of what is produced, by the static key; all together slot.WholeE4 at most
	ExportWh, ImportWh []int64 // by slot; one of the two is 0 in a slot
}

// A Community is its members with what they export and import in the same slots.
type Community struct {
	Members          []Member
	Slots            int
	PriceMicroPerKWh int64 // of the keys, and what sellers ask in bilateral trades at least
	FeeMicroPerKWh   int64 // that a buyer pays beside any price
}

// A Way is a way to divide energy.
type Way string

// The ways, in the order of a comparison.
const (
	WayNone         Way = "none"
	WayBilateral    Way = "bilateral"
	WayAuction      Way = "auction"
	WayAuctionAhead Way = "auction-ahead"
	WayStatic       Way = "static-key"
	WayDynamic      Way = "dynamic-key"
)

// An Outcome is what a way brings all members together.
type Outcome struct {
	Way         Way   `json:"way"`
	TradedWh    int64 `json:"traded_wh"`    // that stayed in the community
	CostMicro   int64 `json:"cost_micro"`   // of all that is consumed, suppliers and fees included
	IncomeMicro int64 `json:"income_micro"` // of all that is exported
	FeeMicro    int64 `json:"fee_micro"`    // part of the cost
	GainMicro   int64 `json:"gain_micro"`   // what consumers save and producers earn more than alone
	// ByMemberMicro is the gain of each, in the order of the community's members.
	ByMemberMicro []int64 `json:"gain_by_member_micro"`
}

// Compare divides the same slots in each way. An error wraps ErrCommunity and says what is
// outside the limits.
func (c *Community) Compare() ([]Outcome, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var out []Outcome
	for _, w := range []struct {
		way    Way
		divide func(*division) error
	}{
		{WayNone, func(*division) error { return nil }},
		{WayBilateral, c.bilateral}, {WayAuction, c.auction}, {WayAuctionAhead, c.auctionAhead}, {WayStatic, c.static}, {WayDynamic, c.dynamic},
	} {
		o, err := c.outcome(w.way, w.divide)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// A division is what becomes of one slot, by member. Money is in Wh times micro per kWh.
type division struct {
	slot         int
	sold, bought []int64 // Wh
	income, cost []int64
}

// trade moves energy from a seller to a buyer at a price.
func (d *division) trade(c *Community, seller, buyer int, wh, price int64) {
	d.sold[seller] += wh
	d.income[seller] += wh * price
	d.bought[buyer] += wh
	d.cost[buyer] += wh * (price + c.FeeMicroPerKWh)
}

// all takes a division of the slot at one price.
func (d *division) all(c *Community, sold, bought []int64, price int64) {
	d.sold, d.bought = sold, bought
	for i := range c.Members {
		d.income[i] = sold[i] * price
		d.cost[i] = bought[i] * (price + c.FeeMicroPerKWh)
	}
}

func (c *Community) outcome(way Way, divide func(*division) error) (Outcome, error) {
	o := Outcome{Way: way}
	n := len(c.Members)
	var cost, income, gain int64
	gains := make([]int64, n)
	for s := range c.Slots {
		d := &division{slot: s, sold: make([]int64, n), bought: make([]int64, n), income: make([]int64, n), cost: make([]int64, n)}
		if err := divide(d); err != nil {
			return o, fmt.Errorf("divide slot %d, %s: %w", s, way, err)
		}
		for i, m := range c.Members {
			o.TradedWh += d.bought[i]
			cost += d.cost[i] + (m.ImportWh[s]-d.bought[i])*m.TariffMicroPerKWh
			income += d.income[i] + (m.ExportWh[s]-d.sold[i])*m.FeedInMicroPerKWh
			gains[i] += d.bought[i]*m.TariffMicroPerKWh - d.cost[i] + d.income[i] - d.sold[i]*m.FeedInMicroPerKWh
		}
	}
	o.CostMicro, o.IncomeMicro, o.FeeMicro = micro(cost), micro(income), micro(o.TradedWh*c.FeeMicroPerKWh)
	for _, g := range gains {
		gain += g
		o.ByMemberMicro = append(o.ByMemberMicro, micro(g))
	}
	o.GainMicro = micro(gain)
	return o, nil
}

// micro rounds Wh times micro per kWh to micro, half away from zero.
func micro(v int64) int64 {
	if v < 0 {
		return -micro(-v)
	}
	return (v + 500) / 1000
}

// check bounds all that is added up: no sum of a comparison leaves an int64.
func (c *Community) check() error {
	if len(c.Members) == 0 || c.Slots < 1 {
		return fmt.Errorf("%d members in %d slots: %w", len(c.Members), c.Slots, ErrCommunity)
	}
	if err := price("the community", "price", c.PriceMicroPerKWh); err != nil {
		return err
	}
	if err := price("the community", "fee", c.FeeMicroPerKWh); err != nil {
		return err
	}
	dearest, energy := int64(1), int64(0)
	shares := int64(slot.WholeE4)
	for i := range c.Members {
		m := &c.Members[i]
		if err := price(m.ID, "tariff", m.TariffMicroPerKWh); err != nil {
			return err
		}
		if err := price(m.ID, "feed-in price", m.FeedInMicroPerKWh); err != nil {
			return err
		}
		if m.ShareE4 < 0 || m.ShareE4 > shares {
			return fmt.Errorf("%.60q has a share of %d, %d of 10000 are left: %w", m.ID, m.ShareE4, shares, ErrCommunity)
		}
		shares -= m.ShareE4
		dearest = max(dearest, m.TariffMicroPerKWh, m.FeedInMicroPerKWh)
		if len(m.ExportWh) != c.Slots || len(m.ImportWh) != c.Slots {
			return fmt.Errorf("%.60q has %d and %d values for %d slots: %w", m.ID, len(m.ExportWh), len(m.ImportWh), c.Slots, ErrCommunity)
		}
		for s := range c.Slots {
			e, b := m.ExportWh[s], m.ImportWh[s]
			if e < 0 || b < 0 || e > slot.MaxWh || b > slot.MaxWh || e > 0 && b > 0 {
				return fmt.Errorf("%.60q exports %d and imports %d Wh in slot %d: one of them, 0 to %d: %w", m.ID, e, b, s, slot.MaxWh, ErrCommunity)
			}
			energy += e + b
		}
	}
	// No Wh is multiplied by more than the dearest price, the community's and its fee; three
	// such sums are added.
	if energy > math.MaxInt64/3/(dearest+c.PriceMicroPerKWh+c.FeeMicroPerKWh) {
		return fmt.Errorf("%d Wh at up to %d micro per kWh are more than can be added up: %w", energy, dearest, ErrCommunity)
	}
	return nil
}

func price(who, what string, micro int64) error {
	if micro < 0 || micro > slot.MaxPriceMicroPerKWh {
		return fmt.Errorf("%s of %.60q: %d micro per kWh, want 0 to %d: %w", what, who, micro, slot.MaxPriceMicroPerKWh, ErrCommunity)
	}
	return nil
}
