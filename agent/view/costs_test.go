package view

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/model"
)

const hourMs = 3_600_000

// again is what is read of what was kept.
func again(t interface{ Fatal(...any) }, c *Costs) *Costs {
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseCosts(b)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Over any restarts and days, what is told is what was spent today and in the 29 days
// before, and what is kept stays small.
func TestCostsOfTheLastDays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := &Costs{}
		told := map[string]model.Toll{}
		spent := map[int64]map[string]int64{} // by day and rule
		nowMs := int64(20_000*dayMs + 5)
		begin := nowMs
		rules := []string{"W03", "E13", "gate", "M-wind"}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			nowMs += rapid.Int64Range(0, 3*dayMs).Draw(rt, "ms")
			if rapid.IntRange(0, 5).Draw(rt, "restart") == 0 {
				c, told = again(rt, c), map[string]model.Toll{}
			}
			for _, r := range rules {
				more := rapid.Int64Range(0, 2*hourMs).Draw(rt, "closed")
				toll := told[r]
				toll.Rule, toll.ClosedMs, toll.AloneMs = r, toll.ClosedMs+more, toll.AloneMs+more/2
				toll.ClosedWh += float64(more) / 1000
				told[r] = toll
				if spent[nowMs/dayMs] == nil {
					spent[nowMs/dayMs] = map[string]int64{}
				}
				spent[nowMs/dayMs][r] += more
			}
			var list []model.Toll
			for _, r := range rules {
				list = append(list, told[r])
			}
			c.Count(list, "power_w", nowMs, true)
			want := map[string]int64{}
			for day, by := range spent {
				if day > nowMs/dayMs-CostDays {
					for r, ms := range by {
						want[r] += ms
					}
				}
			}
			for _, got := range c.Tolls() {
				if got.ClosedMs != want[got.Rule] || math.Abs(got.ClosedWh-float64(want[got.Rule])/1000) > 1e-3 || got.Title == "" || got.Title == got.Rule {
					rt.Fatalf("%+v, want %d ms", got, want[got.Rule])
				}
				delete(want, got.Rule)
			}
			for r, ms := range want {
				if ms != 0 {
					rt.Fatalf("%s is not told; %d ms", r, ms)
				}
			}
			if since := c.FromMs(nowMs); since < begin || since < nowMs-CostDays*dayMs || since > nowMs {
				rt.Fatalf("since %d at %d, begun at %d", since, nowMs, begin)
			}
			if len(c.Days) > CostDays {
				rt.Fatalf("%d days are kept", len(c.Days))
			}
		}
	})
}

// What is spent while the time of day is not known, or on a day that a wrong clock
// gave, counts as of the day on which that is known.
func TestCostsWithoutAClock(t *testing.T) {
	const today = 20_000
	c := &Costs{}
	toll := func(hours int64) []model.Toll { return []model.Toll{{Rule: "W03", ClosedMs: hours * hourMs}} }
	total := func() (hours int64) {
		for _, t := range c.Tolls() {
			hours += t.ClosedMs / hourMs
		}
		return hours
	}
	c.Count(toll(1), "", 7*hourMs, false)
	if total() != 1 || c.FromMs(7*hourMs) != 0 {
		t.Errorf("without a clock: %d h since %d", total(), c.FromMs(7*hourMs))
	}
	c = again(t, c)
	c.Count(toll(2), "", (today+300)*dayMs, true) // far ahead, but said to be right
	c.Count(toll(3), "", today*dayMs, true)
	if total() != 4 || len(c.Days) != 1 || c.Days[0].Day != today || c.FromMs(today*dayMs) != today*dayMs {
		t.Errorf("%d h since %d: %+v", total(), c.FromMs(today*dayMs), c.Days)
	}
	c.Count(toll(3), "", (today+CostDays-1)*dayMs, true)
	if total() != 4 {
		t.Errorf("%d h on the last day", total())
	}
	c.Count(toll(3), "", (today+CostDays)*dayMs, true)
	if total() != 0 {
		t.Errorf("%d h after it", total())
	}
}

// What cannot be right is refused.
func TestCostsAreChecked(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": `{`, "order": `{"days":[{"day":2,"rules":{}},{"day":2,"rules":{}}]}`, "day": `{"days":[{"day":-2,"rules":{}}]}`,
		"negative": `{"days":[{"day":2,"rules":{"W03":[-1,0,0,0]}}]}`, "huge": `{"days":[{"day":2,"rules":{"W03":[1e16,0,0,0]}}]}`,
		"since": `{"since_ms":-1}`, "days": `{"days":[` + strings.Repeat(`{"day":1,"rules":{}},`, 40) + `{"day":3,"rules":{}}]}`,
	} {
		if c, err := ParseCosts([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	c := &Costs{SinceMs: 5, From: "power_w", Days: []CostDay{{3, map[string]Spent{"W03": {4, 3, 2, 1}}}}}
	if got := again(t, c); !reflect.DeepEqual(got, c) {
		t.Errorf("%+v became %+v", c, got)
	}
	for i := range 200 { // a day is bounded, whatever rules there were
		c.add(3, strings.Repeat("x", i+1), Spent{1})
	}
	again(t, c)
}
