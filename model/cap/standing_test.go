package cap

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fairwatt/model"
)

// A grave message blocks from half an hour before its onset, unless it is to be
// acted on at once; what is unlikely or lies ahead blocks at its onset only.
func TestOnset(t *testing.T) {
	t.Parallel()
	const at = 3 * time.Hour
	for _, c := range []struct {
		name                         string
		severity, urgency, certainty string
		onset                        time.Duration
		from                         time.Duration // never: it only warns
	}{
		{"expected, in 3 h", "Severe", "Expected", "Likely", at, at - lead},
		{"expected, began", "Severe", "Expected", "Likely", -time.Hour, 0},
		{"expected, in a quarter", "Severe", "Expected", "Likely", lead / 2, 0},
		{"immediate, in 3 h", "Severe", "Immediate", "Observed", at, 0},
		{"immediate but unlikely, in 3 h", "Extreme", "Immediate", "Unlikely", at, at - lead},
		{"expected and unlikely, in 3 h", "Severe", "Expected", "Unlikely", at, at - lead},
		{"future, in 3 h", "Severe", "Future", "Possible", at, at - lead},
		{"urgency unknown, in 3 h", "Extreme", "Unknown", "Unknown", at, at - lead},
		{"future, moderate", "Moderate", "Future", "Likely", at, never},
	} {
		a := storm("s1")
		in := &a.Infos[0]
		in.Severity, in.Urgency, in.Certainty = c.severity, c.urgency, c.certainty
		in.Onset, in.Expires = noon.Add(c.onset), noon.Add(10*time.Hour)
		f := newFeed(t)
		f.message(a, 0)
		if c.from == never {
			f.j.Advance(sensing(10*time.Hour - time.Millisecond))
			if f.blocked("W09") {
				t.Errorf("%s blocks", c.name)
			}
			continue
		}
		if c.from > 0 {
			f.j.Advance(sensing(c.from - time.Millisecond))
			var said string
			for _, a := range f.j.View().Alerts {
				if a.Kind == model.KindExternal {
					said = a.Causes[0].Text
				}
			}
			if f.blocked("W09") || !strings.Contains(said, ", blocks in 1 s, for ") {
				t.Errorf("%s: before its time %v, said is %q", c.name, f.j.View().Reason, said)
			}
		}
		f.j.Advance(sensing(c.from))
		if !f.blocked("W09") {
			t.Errorf("%s: at its time %v", c.name, f.j.View().Reason)
		}
		f.j.Advance(sensing(10*time.Hour - time.Millisecond))
		if !f.blocked("W09") {
			t.Errorf("%s: before it expires %v", c.name, f.j.View().Reason)
		}
		f.j.Advance(sensing(10 * time.Hour))
		if f.blocked("W09") {
			t.Errorf("%s: after it expired %v", c.name, f.j.View().Reason)
		}
	}
}

// never is a moment that does not come.
const never = 1000 * time.Hour

// Two infos that block are one: from the earlier on, to the later end.
func TestInfosAreJoined(t *testing.T) {
	t.Parallel()
	for _, swap := range []bool{false, true} {
		a := storm("s1")
		late := a.Infos[0]
		late.Urgency, late.Onset, late.Expires = "Expected", noon.Add(5*time.Hour), noon.Add(6*time.Hour)
		a.Infos = append(a.Infos, late)
		if swap {
			slices.Reverse(a.Infos)
		}
		orders, _ := newDesk(t, Site{Position: &Point{50, 8}}).Handle(a, noon, 0)
		if w := orders[0].Warning; w.BlockFromMs != 0 || w.UntilMs != (6*time.Hour).Milliseconds() {
			t.Errorf("from %d to %d", w.BlockFromMs, w.UntilMs)
		}
		// One that is over lends nothing of its beginning.
		orders, _ = newDesk(t, Site{Position: &Point{50, 8}}).Handle(a, noon.Add(3*time.Hour), 0)
		if w := orders[0].Warning; w.BlockFromMs != (90 * time.Minute).Milliseconds() {
			t.Errorf("from %d", w.BlockFromMs)
		}
	}
}

// Only an Update or a Cancel withdraws, and an Update only if something stands in
// for what it replaces, or it says that nothing has to.
func TestWhatWithdraws(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		change    func(a *Alert)
		after     time.Duration
		withdraws bool
	}{
		{"an update", func(*Alert) {}, 0, true},
		{"an alert that refers", func(a *Alert) { a.MsgType = "Alert" }, 0, false},
		{"an update that has expired by this clock", func(*Alert) {}, 5 * time.Hour, false},
		{"an update without an info", func(a *Alert) { a.Infos = nil }, 0, false},
		{"an update that ends before it was sent", func(a *Alert) { a.Infos[0].Expires = a.Sent }, 0, false},
		{"an update that says all clear", func(a *Alert) { a.Infos[0].ResponseTypes = []string{"AllClear"} }, 0, true},
		{"an update of a storm that moved on", func(a *Alert) { a.Infos[0].Areas[0].Circles[0].Center = Point{60, 8} }, 0, true},
		{"a cancel", func(a *Alert) { a.MsgType, a.Infos = "Cancel", nil }, 0, true},
	} {
		first, second := storm("s1"), storm("s2")
		first.Infos[0].Expires = noon.Add(20 * time.Hour)
		second.MsgType, second.References = "Update", refer(first)
		c.change(second)
		d := newDesk(t, Site{Position: &Point{50, 8}})
		d.Handle(first, noon, 0)
		orders, note := d.Handle(second, noon.Add(c.after), 0)
		got := slices.ContainsFunc(orders, func(o Order) bool { return o.Withdraw == key(first.Sender, first.Identifier) })
		if got != c.withdraws {
			t.Errorf("%s: withdraws %v (%s)", c.name, got, note)
		}
	}
}

// Under a clock that cannot be trusted a message stands for its own length from
// when it is heard, and a grave one blocks at once; when the clock is known it gets
// its own times.
func TestUnsureClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-30 * 24 * time.Hour, -time.Hour, 4 * time.Hour, 400 * 24 * time.Hour} {
		d := newDesk(t, Site{Position: &Point{50, 8}})
		d.Unsure = true
		a := storm("s1")
		a.Infos[0].Urgency, a.Infos[0].Onset, a.Infos[0].Expires = "Expected", noon.Add(2*time.Hour), noon.Add(3*time.Hour)
		orders, note := d.Handle(a, noon.Add(ahead), 1000)
		if len(orders) != 1 || orders[0].Warning.Level != model.LevelBlock || orders[0].Warning.BlockFromMs != 0 ||
			orders[0].Warning.UntilMs != 1000+(3*time.Hour).Milliseconds() {
			t.Errorf("%v ahead: %+v (%s)", ahead, orders, note)
			continue
		}
		if got := d.Rebase(noon.Add(ahead), 2000, true); got != nil {
			t.Errorf("%v ahead: an unsure clock changes %+v", ahead, got)
		}
		d.Unsure = false
		orders = d.Rebase(noon.Add(time.Hour), 5000, false)
		if w := orders[0].Warning; len(orders) != 1 || w.UntilMs != 5000+(2*time.Hour).Milliseconds() || w.BlockFromMs != 5000+(time.Hour-lead).Milliseconds() {
			t.Errorf("%v ahead: the true times are %+v", ahead, orders)
		}
		if orders = d.Rebase(noon.Add(4*time.Hour), 9000, false); len(orders) != 1 || orders[0].Withdraw == "" {
			t.Errorf("%v ahead: over by the true clock: %+v", ahead, orders)
		}
	}
	// What cannot be read warns for a day then, whatever end it names.
	d := newDesk(t, Site{})
	d.Unsure = true
	orders, _ := d.Unread([]byte("<alert><severity>Extreme</severity><expires>2020-01-01T00:00:00-00:00</expires>"), noon, 0)
	if len(orders) != 1 || orders[0].Warning.UntilMs != (24*time.Hour).Milliseconds() {
		t.Errorf("unread: %+v", orders)
	}
}

// A step of a trusted clock ends no warning earlier and delays no block; a step
// back lets one live again that had been over.
func TestStepOfTheClock(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Site{Position: &Point{50, 8}})
	a := storm("s1")
	a.Infos[0].Urgency, a.Infos[0].Onset = "Expected", noon.Add(time.Hour)
	d.Handle(a, noon, 0) // from half past twelve to two
	minutes := func(n int) int64 { return (time.Duration(n) * time.Minute).Milliseconds() }
	for _, c := range []struct {
		wall        time.Duration
		sensing     int64
		from, until int64
	}{
		{time.Hour, minutes(10), 0, minutes(120)},        // ahead: it blocks, and ends as before
		{5 * time.Hour, minutes(20), 0, minutes(120)},    // over by the new clock
		{-time.Hour, minutes(30), 0, minutes(150)},       // back: no longer than its own length
		{40 * time.Minute, minutes(40), 0, minutes(150)}, // ahead again
	} {
		orders := d.Rebase(noon.Add(c.wall), c.sensing, true)
		if len(orders) != 1 || orders[0].Warning.UntilMs != c.until || orders[0].Warning.BlockFromMs > c.sensing && c.from == 0 {
			t.Errorf("%v at %d: %+v", c.wall, c.sensing, orders)
		}
	}
	d = newDesk(t, Site{Position: &Point{50, 8}})
	if orders, _ := d.Handle(storm("s1"), noon.Add(4*time.Hour), 0); len(orders) != 0 {
		t.Fatalf("under a clock that is ahead: %+v", orders)
	}
	orders := d.Rebase(noon, 5000, true)
	if len(orders) != 1 || orders[0].Warning.Level != model.LevelBlock || orders[0].Warning.UntilMs != 5000+minutes(120) {
		t.Errorf("set back: %+v", orders)
	}
	if orders = d.Rebase(noon.Add(30*24*time.Hour), 9e9, false); len(orders) != 1 || orders[0].Withdraw == "" {
		t.Errorf("a month later: %+v", orders)
	}
	if orders = d.Rebase(noon, 9e9, false); len(orders) != 0 {
		t.Errorf("what was over for a month lives again: %+v", orders)
	}
}

// What was cancelled stays so over a restart, and what is known keeps its times.
func TestDeskOutlivesARestart(t *testing.T) {
	t.Parallel()
	site := Site{Position: &Point{50, 8}}
	d := newDesk(t, site)
	first, second := storm("s1"), storm("s2")
	second.Infos[0].Urgency, second.Infos[0].Onset = "Future", noon.Add(time.Hour)
	d.Handle(first, noon, 0)
	rev := d.Rev()
	d.Handle(second, noon, 0)
	d.Handle(&Alert{Identifier: "c1", Sender: first.Sender, Sent: noon, Status: "Actual", MsgType: "Cancel", Scope: "Public", References: refer(first)}, noon, 0)
	if d.Rev() == rev {
		t.Error("a change without a new revision")
	}
	b, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	again := newDesk(t, site)
	if err := again.RestoreState(b); err != nil {
		t.Fatal(err)
	}
	if orders, note := again.Handle(first, noon, 0); len(orders) != 0 || !strings.Contains(note, "cancelled") {
		t.Errorf("cancelled and read again: %+v (%s)", orders, note)
	}
	orders := again.Rebase(noon.Add(10*time.Minute), 0, false)
	want := model.Warning{
		ID: key(second.Sender, "s2"), Sender: second.Sender, Event: "Severe thunderstorm", Severity: "Severe", Urgency: "Future",
		Level: model.LevelBlock, UntilMs: (110 * time.Minute).Milliseconds(), BlockFromMs: (20 * time.Minute).Milliseconds(),
	}
	if len(orders) != 1 || orders[0].Warning != want {
		t.Errorf("known are %+v, want %+v", orders, want)
	}
	for _, bad := range []string{"", "{", `{"known":{"a":{}}}`, `{"gone":"x"}`, `{"dark":["1","2","3","4","5","6","7","8","9"]}`} {
		if err := again.RestoreState([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if orders := again.Rebase(noon, 0, false); len(orders) != 1 {
		t.Errorf("a state that was refused changed something: %+v", orders)
	}
}

// A desk remembers a bounded number of messages, and forgets those that end first.
func TestDeskForgetsTheFirstToEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Site{Position: &Point{50, 8}})
	for i := range maxKnown + 3 {
		a := storm("s" + string(rune('a'+i/26)) + string(rune('a'+i%26)))
		a.Infos[0].Expires = noon.Add(time.Hour + time.Duration(i)*time.Minute)
		d.Handle(a, noon, 0)
	}
	if len(d.known) != maxKnown || d.known[key("met@example.org", "sac")] != nil || d.known[key("met@example.org", "sad")] == nil {
		t.Errorf("%d are known", len(d.known))
	}
}
