package view

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"fairwatt/model"
	"fairwatt/proto/wire"
)

// published is the newest payload of each class that a writer published.
type published map[string][]byte

func writer() (*Writer, published) {
	out := make(published)
	return &Writer{Device: "pv-1", GateWall: noon.Add(-10 * time.Minute), Set: func(class string, _ byte, _ bool, payload []byte) error {
		out[class] = payload
		return nil
	}}, out
}

func gateOf(t *testing.T, p published) wire.Gate[wire.Cause] {
	t.Helper()
	var g wire.Gate[wire.Cause]
	if err := json.Unmarshal(p[wire.ClassGate], &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// A gate that is blocked says until when at the earliest, and each cause once: what
// it is, what was measured, since when, and what ends it.
func TestGateInWords(t *testing.T) {
	gust := model.Cause{
		Rule: "W03", Kind: model.KindWind, Level: model.LevelBlock, Text: "gust 31 m/s (>= 25.7 m/s)",
		Title: "Gusts are strong", Says: "gust 31 m/s, limit 25.7 m/s", Ends: "30 min after it is over", StandsMs: 600_000, EndsInMs: -1, ClearsInMs: 1_800_000,
	}
	latch := model.Cause{
		Rule: "E12", Kind: model.KindLine, Level: model.LevelBlock, Latched: true, Person: "agent ack --rule E12 --by NAME", Title: "The DC voltage is too high or reversed",
		Ends: "when a named person has acknowledged it: agent ack --rule E12 --by NAME", StandsMs: -1, EndsInMs: -1, ClearsInMs: -1,
	}
	warning := model.Cause{
		Rule: "W09", Title: "An official warning is in force", Says: "Typhoon", Ends: "when it is withdrawn, or", StandsMs: 86_400_000, EndsInMs: 86_400_000, ClearsInMs: 86_400_000,
	}
	for _, c := range []struct {
		name  string
		view  model.View
		want  []string
		opens time.Time
	}{
		{"blocked", model.View{State: model.StateBlocked, ClearInMs: -1, OpensInMs: 1_800_000, Causes: []model.Cause{gust}}, []string{
			"Trading is blocked since 11:50; it opens at 12:30 at the earliest.",
			"Gusts are strong (W03): gust 31 m/s, limit 25.7 m/s, since 11:50; ends 30 min after it is over.",
		}, noon.Add(30 * time.Minute)},
		{"latched", model.View{State: model.StateBlocked, ClearInMs: -1, OpensInMs: -1, Causes: []model.Cause{latch}}, []string{
			"Trading is blocked since 11:50; it waits for a named person: agent ack --rule E12 --by NAME.",
			"The DC voltage is too high or reversed (E12); ends when a named person has acknowledged it: agent ack --rule E12 --by NAME.",
		}, time.Time{}},
		{"until tomorrow", model.View{State: model.StateBlocked, ClearInMs: -1, OpensInMs: 86_400_000, Causes: []model.Cause{warning}}, []string{
			"Trading is blocked since 11:50; it opens at 2 Jun 12:00 at the earliest.",
			"An official warning is in force (W09): Typhoon, since 31 May 12:00; ends when it is withdrawn, or at 2 Jun 12:00.",
		}, noon.Add(24 * time.Hour)},
		{"restart", model.View{State: model.StateBlocked, ClearInMs: -1, OpensInMs: -1}, []string{"Trading is blocked since 11:50; it waits for a first sample."}, time.Time{}},
		{"clearing", model.View{State: model.StateClearing, ClearInMs: 60_000, OpensInMs: 60_000}, []string{"No cause is left since 11:50; it opens at 12:01 if nothing new happens."}, noon.Add(time.Minute)},
		{"open", model.View{State: model.StateOpen}, []string{"Trading is open since 11:50."}, time.Time{}},
		{"init", model.View{State: model.StateInit, ClearInMs: -1, OpensInMs: -1}, []string{"Nothing has been judged yet."}, time.Time{}},
	} {
		w, out := writer()
		if err := w.Gate(Moment{Wall: noon}, &c.view, 1); err != nil {
			t.Fatal(err)
		}
		g := gateOf(t, out)
		if got := strings.Join(g.Words, "\n"); got != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, strings.Join(c.want, "\n"))
		}
		if !g.OpensAt.Equal(c.opens) {
			t.Errorf("%s: opens at %v", c.name, g.OpensAt)
		}
		// A reader says the same from the parts.
		if got := g.Says(g.Causes, noon); strings.Join(got, "\n") != strings.Join(g.Words, "\n") {
			t.Errorf("%s: a reader says %q", c.name, got)
		}
		if g.Causes == nil {
			t.Errorf("%s: causes are null", c.name)
		}
	}
}

// Words are in the device's zone.
func TestWordsAreLocal(t *testing.T) {
	w, out := writer()
	w.Zone = time.FixedZone("CET", 3600)
	if err := w.Gate(Moment{Wall: noon}, &model.View{State: model.StateOpen}, 1); err != nil {
		t.Fatal(err)
	}
	if g := gateOf(t, out); g.Words[0] != "Trading is open since 12:50." {
		t.Errorf("%q", g.Words)
	}
}

// An alert says the same words, and whom the gate waits for.
func TestAlertInWords(t *testing.T) {
	w, _ := writer()
	e := model.Event{Type: model.EventAlert, Kind: model.KindLine, Level: model.LevelBlock, ID: "line-1", Rev: 1, Causes: []model.Cause{{
		Rule: "E12", Text: "x", Title: "The DC voltage is too high or reversed", Says: "DC voltage 620 V, limit 600 V", Latched: true, Person: "agent ack --rule E12 --by NAME", Level: model.LevelBlock, StandsMs: 0, EndsInMs: -1, ClearsInMs: -1,
	}}}
	a := w.Alert(Moment{Wall: noon}, &e, -1)
	if a.Headline != "The DC voltage is too high or reversed: DC voltage 620 V, limit 600 V; trading is blocked" ||
		a.Instruction != "The gate waits for a named person: agent ack --rule E12 --by NAME." {
		t.Errorf("%q, %q", a.Headline, a.Instruction)
	}
	b, err := json.Marshal(a)
	if err != nil || !strings.Contains(string(b), `"since":"2026-06-01T12:00:00.000Z"`) || !strings.Contains(string(b), `"rule":"E12"`) {
		t.Errorf("%s, %v", b, err)
	}
}

// Where a simulated world runs faster, a time to wait is as much shorter.
func TestWordsOfAFastWorld(t *testing.T) {
	w, out := writer()
	if err := w.Gate(Moment{Wall: noon, Speed: 3600}, &model.View{State: model.StateClearing, OpensInMs: 2 * 3600_000}, 1); err != nil {
		t.Fatal(err)
	}
	if g := gateOf(t, out); !g.OpensAt.Equal(noon.Add(2 * time.Second)) {
		t.Errorf("opens at %v", g.OpensAt)
	}
}

// A gate view says what each rule has cost, in money where there is a price.
func TestCostInAView(t *testing.T) {
	judged := model.View{State: model.StateOpen, EnergyFrom: "power_w", Tolls: []model.Toll{
		{Rule: "W03", Title: "Gusts are strong", ClosedMs: 7_200_000, AloneMs: 3_600_000, ClosedWh: 4500, AloneWh: 2000},
	}}
	w, out := writer()
	w.PriceMicro, w.CostSince = 120_000, noon.Add(-time.Hour)
	if err := w.Gate(Moment{Wall: noon}, &judged, 1); err != nil {
		t.Fatal(err)
	}
	g := gateOf(t, out)
	if len(g.Cost) != 1 || g.Cost[0].Rule != "W03" || g.Cost[0].ClosedS != 7200 || g.Cost[0].AloneS != 3600 || *g.Cost[0].KWh != 4.5 || *g.Cost[0].Money != 0.54 ||
		!g.CostSince.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v", g.Cost)
	}
	judged.EnergyFrom = ""
	if err := w.Gate(Moment{Wall: noon}, &judged, 1); err != nil {
		t.Fatal(err)
	}
	if g := gateOf(t, out); g.Cost[0].KWh != nil || g.Cost[0].Money != nil {
		t.Errorf("an energy that is not known: %+v", g.Cost[0])
	}
}
