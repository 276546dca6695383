package cap

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fairwatt/model"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// storm is a grave alert around 50 N 8 E for two hours from noon.
func storm(id string) *Alert {
	return &Alert{
		Identifier: id, Sender: "met@example.org", Sent: noon, Status: "Actual", MsgType: "Alert", Scope: "Public",
		Infos: []Info{{
			Categories: []string{"Met"}, Event: "Severe thunderstorm", Urgency: "Immediate", Severity: "Severe", Certainty: "Likely",
			Expires: noon.Add(2 * time.Hour), Areas: []Area{{Desc: "Taunus", Circles: []Circle{{Point{50, 8}, 50}}}},
		}},
	}
}

func refer(to *Alert) []Reference { return []Reference{{to.Sender, to.Identifier, to.Sent}} }

func newDesk(t *testing.T, s Site) *Desk {
	t.Helper()
	d, err := NewDesk(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDeskLevels(t *testing.T) {
	home := Site{Position: &Point{50.1, 8.1}}
	for _, c := range []struct {
		name   string
		site   Site
		change func(a *Alert)
		want   model.Level
	}{
		{"here and grave", home, func(*Alert) {}, model.LevelBlock},
		{"elsewhere", Site{Position: &Point{52, 8}}, func(*Alert) {}, model.LevelNone},
		{"position unknown", Site{}, func(*Alert) {}, model.LevelWarn},
		{"by name", Site{Places: []string{"TAUNUS"}}, func(*Alert) {}, model.LevelBlock},
		{"by code", Site{Places: []string{"DE7"}}, func(a *Alert) {
			a.Infos[0].Areas[0] = Area{Desc: "x", Geocodes: []Pair{{"NUTS", "DE7"}}}
		}, model.LevelBlock},
		{"other name", Site{Places: []string{"Harz"}}, func(a *Alert) { a.Infos[0].Areas[0].Circles = nil }, model.LevelNone},
		{"name and no list", home, func(a *Alert) { a.Infos[0].Areas[0].Circles = nil }, model.LevelWarn},
		{"no area", home, func(a *Alert) { a.Infos[0].Areas = nil }, model.LevelWarn},
		{"moderate", home, func(a *Alert) { a.Infos[0].Severity = "Moderate" }, model.LevelWarn},
		{"future", home, func(a *Alert) { a.Infos[0].Urgency = "Future" }, model.LevelWarn},
		{"unlikely", home, func(a *Alert) { a.Infos[0].Certainty = "Unlikely" }, model.LevelWarn},
		{"unknown urgency", home, func(a *Alert) { a.Infos[0].Urgency = "Unknown" }, model.LevelWarn},
		{"past", home, func(a *Alert) { a.Infos[0].Urgency = "Past" }, model.LevelNone},
		{"all clear", home, func(a *Alert) { a.Infos[0].ResponseTypes = []string{"AllClear"} }, model.LevelNone},
		{"expired", home, func(a *Alert) { a.Infos[0].Expires = noon }, model.LevelNone},
		{"test", home, func(a *Alert) { a.Status = "Test" }, model.LevelNone},
		{"test accepted", Site{Position: home.Position, Statuses: []string{"Test"}}, func(a *Alert) { a.Status = "Test" }, model.LevelBlock},
		{"acknowledged", home, func(a *Alert) { a.MsgType, a.References = "Ack", refer(a) }, model.LevelNone},
		{"the gravest info counts", home, func(a *Alert) {
			a.Infos = append([]Info{a.Infos[0]}, a.Infos...)
			a.Infos[0].Severity = "Minor"
		}, model.LevelBlock},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := storm("s1")
			c.change(a)
			orders, note := newDesk(t, c.site).Handle(a, noon, 5000)
			got := model.LevelNone
			if len(orders) > 0 {
				got = orders[0].Warning.Level
			}
			if got != c.want || note == "" {
				t.Errorf("%v (%s), want %v", got, note, c.want)
			}
		})
	}
}

func TestDeskExpiry(t *testing.T) {
	d := newDesk(t, Site{Position: &Point{50, 8}})
	a := storm("s1")
	orders, _ := d.Handle(a, noon.Add(30*time.Minute), 7000)
	if got := orders[0].Warning.UntilMs; got != 7000+90*60_000 {
		t.Errorf("until %d", got)
	}
	a.Infos[0].Expires = time.Time{}
	orders, _ = d.Handle(a, noon.Add(time.Hour), 0)
	if got := orders[0].Warning.UntilMs; got != 23*3_600_000 {
		t.Errorf("without expiry until %d", got)
	}
	a.Infos[0].Expires = noon.Add(1000 * time.Hour)
	orders, _ = d.Handle(a, noon, 0)
	if got := orders[0].Warning.UntilMs; got != 7*24*3_600_000 {
		t.Errorf("with a far expiry until %d", got)
	}
}

// sensing is the judge's clock at a time after noon.
func sensing(after time.Duration) int64 { return (10*time.Hour + after).Milliseconds() }

// feed hands messages to a judge the way an agent does.
type feed struct {
	t *testing.T
	d *Desk
	j *model.Judge
}

func (f *feed) message(a *Alert, after time.Duration) {
	f.t.Helper()
	orders, _ := f.d.Handle(a, noon.Add(after), sensing(after))
	for _, o := range orders {
		if o.Withdraw != "" {
			f.j.Withdraw(o.Withdraw, sensing(after))
			continue
		}
		if _, err := f.j.Warn(o.Warning, sensing(after)); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *feed) blocked(rule string) bool {
	v := f.j.View()
	return v.State == model.StateBlocked && slices.ContainsFunc(v.Causes, func(c model.Cause) bool { return c.Rule == rule })
}

func newFeed(t *testing.T) *feed {
	cfg := model.DefaultConfig()
	cfg.IntervalS = 3600
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &feed{t, newDesk(t, Site{Position: &Point{50, 8}}), j}
	for h := -5; h < 0; h++ {
		f.sample(time.Duration(h)*time.Hour, 5)
	}
	f.sample(-time.Minute, 5)
	if v := j.View(); v.State != model.StateOpen {
		t.Fatal(v.Reason)
	}
	return f
}

func (f *feed) sample(after time.Duration, gust float64) {
	s := model.Sample{TimeMs: sensing(after)}
	s.Set(model.WindGustMPS, gust)
	f.j.Step(&s)
}

func TestWarningBlocksUntilItExpires(t *testing.T) {
	f := newFeed(t)
	f.message(storm("s1"), 0)
	if !f.blocked("W09") || !strings.Contains(f.j.View().Reason, "Severe thunderstorm (Severe Immediate) from met@example.org") {
		t.Fatal(f.j.View().Reason)
	}
	f.sample(time.Hour, 5)
	f.j.Advance(sensing(2*time.Hour - time.Millisecond))
	if !f.blocked("W09") {
		t.Error("gone before it expired")
	}
	f.j.Advance(sensing(2 * time.Hour))
	if v := f.j.View(); v.State != model.StateOpen {
		t.Error(v.Reason)
	}
}

func TestUpdateAndCancel(t *testing.T) {
	f := newFeed(t)
	first := storm("s1")
	f.message(first, 0)
	second := storm("s2")
	second.MsgType, second.References = "Update", refer(first)
	second.Infos[0].Expires = noon.Add(3 * time.Hour)
	f.message(second, 10*time.Minute)
	f.message(first, 11*time.Minute) // a copy that was under way
	if n := len(f.j.View().Causes[0].Inputs); n != 1 || !f.blocked("W09") {
		t.Fatalf("%d warnings: %s", n, f.j.View().Reason)
	}
	strange := &Alert{Identifier: "c1", Sender: "mallory@example.org", Sent: noon, Status: "Actual", MsgType: "Cancel", Scope: "Public", References: refer(second)}
	f.message(strange, 12*time.Minute)
	if !f.blocked("W09") {
		t.Error("another sender cancelled it")
	}
	strange.Sender = second.Sender
	f.message(strange, 13*time.Minute)
	if f.blocked("W09") {
		t.Error("stands after its cancellation")
	}
}

// The end of a warning never ends another cause.
func TestCancelLiftsItsOwnBlockOnly(t *testing.T) {
	f := newFeed(t)
	a := storm("s1")
	f.message(a, 0)
	f.sample(time.Minute, 30)
	f.message(&Alert{Identifier: "c1", Sender: a.Sender, Sent: noon, Status: "Actual", MsgType: "Cancel", Scope: "Public", References: refer(a)}, 2*time.Minute)
	if !f.blocked("W03") || f.blocked("W09") {
		t.Error(f.j.View().Reason)
	}
}

func TestCancelBeforeItsAlert(t *testing.T) {
	f := newFeed(t)
	a := storm("s1")
	f.message(&Alert{Identifier: "c1", Sender: a.Sender, Sent: noon, Status: "Actual", MsgType: "Cancel", Scope: "Public", References: refer(a)}, 0)
	f.message(a, time.Minute)
	if f.blocked("W09") {
		t.Error("an alert that was cancelled before blocks")
	}
}

func TestFromEvent(t *testing.T) {
	cfg := model.DefaultConfig()
	cfg.IntervalS, cfg.Prefix = 3600, "farm1-pv3"
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Origin{Sender: "pv3@farm1.example.org", Addresses: "farm1-operators", Area: "farm1", Position: &Point{35.41, 119.52}, RadiusKM: 10}
	var previous *Reference
	var got []string
	for h, gust := range []float64{5, 30, 5, 5, 5} {
		s := model.Sample{TimeMs: int64(h) * 3_600_000}
		s.Set(model.WindGustMPS, gust)
		for _, e := range j.Step(&s) {
			if e.Type != model.EventAlert {
				continue
			}
			a, err := FromEvent(&e, o, noon, previous)
			if err != nil {
				t.Fatal(err)
			}
			b, err := a.AppendXML(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Parse(b); err != nil {
				t.Fatal(err)
			}
			in := &a.Infos[0]
			got = append(got, strings.Join([]string{a.Identifier, a.Status, a.MsgType, in.Urgency, in.Severity, in.Certainty, in.Parameters[0].Value}, " "))
			previous = &Reference{a.Sender, a.Identifier, a.Sent}
		}
	}
	want := []string{
		"farm1-pv3-wind-1-1 Test Alert Immediate Severe Observed W03",
		"farm1-pv3-wind-1-2 Test Cancel Past Minor Observed W03",
	}
	if len(got) != 2 || got[0] != want[0] || !strings.HasPrefix(got[1], "farm1-pv3-wind-1-2 Test Cancel Past") {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := FromEvent(&model.Event{Type: model.EventAlert, Action: model.ActionClear, ID: "x", Rev: 2}, o, noon, nil); err == nil {
		t.Error("a clear without a message before it became CAP")
	}
}
