package view

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"

	"fairwatt/model"
)

// CostDays is over how many days what rules cost is told: today and those before.
const CostDays = 30

const (
	dayMs = 86_400_000
	// noDay is of what was spent while the time of day was not known.
	noDay = -1
	// maxCostRules bounds the rules of a day; a judge has no more.
	maxCostRules = 65
)

// Costs is what rules have cost, by day, over restarts. The zero value is empty. Its
// JSON form is kept. A day is one of UTC, since 1970.
type Costs struct {
	// SinceMs is when it began, on the wall clock; 0 while that is not known.
	SinceMs int64 `json:"since_ms,omitempty"`
	// From is what the energy was reckoned from, last; empty where none was known.
	From string    `json:"from,omitempty"`
	Days []CostDay `json:"days,omitempty"` // in their order

	seen map[string]Spent // by rule: what the judge has told so far
}

// A CostDay is what rules have cost in a day.
type CostDay struct {
	Day   int64            `json:"day"`
	Rules map[string]Spent `json:"rules"`
}

// A Spent is milliseconds closed, of these by one rule alone, and Wh not sold in them.
type Spent [4]float64

func spentOf(t model.Toll) Spent {
	return Spent{float64(t.ClosedMs), float64(t.AloneMs), t.ClosedWh, t.AloneWh}
}

func (s Spent) plus(o Spent) Spent {
	for i := range s {
		s[i] += o[i]
	}
	return s
}

// ParseCosts reads what was kept.
func ParseCosts(b []byte) (*Costs, error) {
	c := &Costs{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("costs: %w", err)
	}
	if len(c.Days) > CostDays+1 || c.SinceMs < 0 {
		return nil, fmt.Errorf("costs: %d days since %d ms; at most %d", len(c.Days), c.SinceMs, CostDays+1)
	}
	for i, d := range c.Days {
		if d.Day < noDay || i > 0 && d.Day <= c.Days[i-1].Day || len(d.Rules) > maxCostRules {
			return nil, fmt.Errorf("costs: day %d with %d rules is not possible there", d.Day, len(d.Rules))
		}
		for rule, s := range d.Rules {
			// A day may have more than its own hours: those of a clock that was set back.
			if slices.ContainsFunc(s[:], func(v float64) bool { return !(v >= 0 && v < 1e15) }) {
				return nil, fmt.Errorf("costs: %.60q has %v", rule, s)
			}
		}
	}
	return c, nil
}

// Count takes what a judge has told since its start. wallMs is the time of day, if it
// is known.
func (c *Costs) Count(tolls []model.Toll, from string, wallMs int64, known bool) {
	day := int64(noDay)
	if known {
		day = wallMs / dayMs
		c.turn(day)
		if c.SinceMs == 0 || c.SinceMs > wallMs {
			c.SinceMs = wallMs
		}
	}
	if from != "" {
		c.From = from
	}
	if c.seen == nil {
		c.seen = make(map[string]Spent)
	}
	for _, t := range tolls {
		now, before := spentOf(t), c.seen[t.Rule]
		c.seen[t.Rule] = now
		for i := range before {
			before[i] = -before[i]
		}
		if more := now.plus(before); more[0] > 0 {
			c.add(day, t.Rule, more)
		}
	}
}

// turn makes today the newest day. What was spent without a time of day, or on a day
// that is still to come, was spent lately: by a clock that was wrong.
func (c *Costs) turn(today int64) {
	days := c.Days
	c.Days = nil
	for _, d := range days {
		switch {
		case d.Day == noDay || d.Day > today:
			for rule, s := range d.Rules {
				c.add(today, rule, s)
			}
		case d.Day > today-CostDays:
			for rule, s := range d.Rules {
				c.add(d.Day, rule, s)
			}
		}
	}
}

func (c *Costs) add(day int64, rule string, s Spent) {
	i := sort.Search(len(c.Days), func(k int) bool { return c.Days[k].Day >= day })
	if i == len(c.Days) || c.Days[i].Day != day {
		c.Days = append(c.Days, CostDay{})
		copy(c.Days[i+1:], c.Days[i:])
		c.Days[i] = CostDay{day, make(map[string]Spent)}
	}
	rules := c.Days[i].Rules
	if _, known := rules[rule]; !known && len(rules) >= maxCostRules {
		return // rules of programs before this one
	}
	rules[rule] = rules[rule].plus(s)
}

// Tolls is what the rules have cost together, in the order of their ids.
func (c *Costs) Tolls() []model.Toll {
	sum := make(map[string]Spent)
	for _, d := range c.Days {
		for rule, s := range d.Rules {
			sum[rule] = sum[rule].plus(s)
		}
	}
	var out []model.Toll
	for _, rule := range slices.Sorted(maps.Keys(sum)) {
		s := sum[rule]
		out = append(out, model.Toll{
			Rule: rule, Title: model.RuleTitle(rule), ClosedMs: int64(s[0]), AloneMs: int64(s[1]), ClosedWh: s[2], AloneWh: s[3],
		})
	}
	return out
}

// FromMs is since when that is, on the wall clock; 0 where it is not known.
func (c *Costs) FromMs(wallMs int64) int64 {
	if c.SinceMs == 0 {
		return 0
	}
	return max(c.SinceMs, (wallMs/dayMs-CostDays+1)*dayMs)
}
