package trade

import "slices"

// careSlots is by how many slots a seller sees how far its forecast can be wrong.
const careSlots = 8

// A Foreseen is what a meter was thought to count in one slot that is not over.
type Foreseen struct {
	StartMs int64 `json:"start_ms"`
	Wh      int64 `json:"wh"`
}

// foresee notes the forecast of a slot: the least while orders for it are taken, since what
// stands is made smaller and never larger.
func (c *Counted) foresee(startMs, wh int64) {
	i := slices.IndexFunc(c.Foreseen, func(f Foreseen) bool { return f.StartMs == startMs })
	if i < 0 {
		c.Foreseen = append(c.Foreseen, Foreseen{startMs, wh})
		return
	}
	c.Foreseen[i].Wh = min(c.Foreseen[i].Wh, wh)
}

// came takes what the meter counted in a slot that is over, and notes by how much less that
// was than foreseen.
func (c *Counted) came(startMs, wh int64) {
	for _, f := range c.Foreseen {
		if f.StartMs == startMs {
			c.ShortWh = append(c.ShortWh, max(0, f.Wh-wh))
			c.ShortWh = c.ShortWh[max(0, len(c.ShortWh)-careSlots):]
		}
	}
}

// over drops forecasts of slots that begin before a border.
func (c *Counted) over(borderMs int64) {
	c.Foreseen = slices.DeleteFunc(c.Foreseen, func(f Foreseen) bool { return f.StartMs < borderMs })
}

// keptBack is how much less than foreseen a seller has to ask for, so that it would have
// kept its word in so many of the last eight slots; those that it has not seen count as kept.
func (c *Counted) keptBack(care int) int64 {
	unseen := careSlots - len(c.ShortWh)
	if care <= unseen {
		return 0
	}
	return slices.Sorted(slices.Values(c.ShortWh))[care-unseen-1]
}
