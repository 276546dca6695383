package view

import (
	"fmt"
	"slices"
	"time"

	"fairwatt/model"
	"fairwatt/proto/wire"
)

// A Writer turns the judgement into the JSON views of one device. A live agent
// and a replay have one each.
type Writer struct {
	Device    string
	Simulated bool
	Location  *wire.Location // nil: unknown
	Zone      *time.Location // of times in words for people; nil: UTC
	CostSince time.Time      // since when the tolls of a gate view are; zero: not known
	// PriceMicro is the price of a kWh in millionths, 0 for none.
	PriceMicro int64
	ModelHash  string
	// Set publishes a payload.
	Set func(class string, qos byte, retained bool, payload []byte) error

	// Spent is what rules have cost by the last gate view, and SpentSince since when.
	Spent      []wire.Cost
	SpentSince wire.Time

	Seq      uint64    // of the last view
	GateWall time.Time // when the gate came into its state
	levels   [model.NumKinds]model.Level
}

// A Moment is the time of a view.
type Moment struct {
	Wall   time.Time
	Synced bool // the wall clock may be trusted
	// Speed is sensing time in wall time; 0 is 1.
	Speed float64
}

// after is the wall time when the sensing clock has gone on by ms.
func (m Moment) after(ms int64) wire.Time {
	if m.Speed > 0 {
		ms = int64(float64(ms) / m.Speed)
	}
	return wire.Time{Time: m.Wall.Add(time.Duration(ms) * time.Millisecond)}
}

// modelName names the network in gate views.
const modelName = "hazard-mlp"

// Next numbers views. The caller keeps Seq, so that the numbers rise over
// restarts.
func (v *Writer) Next() uint64 {
	v.Seq++
	return v.Seq
}

// Show publishes a view as JSON.
func (v *Writer) Show(class string, qos byte, retained bool, view any) error {
	b, err := Marshal(view)
	if err != nil {
		return err
	}
	return v.Set(class, qos, retained, b)
}

// Gate publishes the retained gate view.
func (v *Writer) Gate(now Moment, view *model.View, gateSeq uint64) error {
	seq := v.Next()
	out := wire.Gate[Cause]{
		Schema: wire.SchemaGate, ID: fmt.Sprintf("%s-gate-%d", v.Device, seq), Seq: seq,
		TS: wire.Time{Time: now.Wall}, ClockSynced: now.Synced, State: view.State.String(), Reason: view.Reason,
		Since: wire.Time{Time: v.GateWall}, ValidUntil: wire.Time{Time: now.Wall.Add(wire.GateValid)},
		Causes: causesOf(view.Causes, now), GateSeq: gateSeq, Simulated: v.Simulated,
	}
	if view.ClearInMs >= 0 {
		out.ClearInS = Rounded(float64(view.ClearInMs)/1000, 3)
	}
	if p := scoreMap(&view.Scores); p != nil && view.HasScores {
		out.Model = &wire.Model{Name: modelName, SHA256: v.ModelHash, P: p}
		for _, c := range view.Scores.Top {
			out.Model.Top = append(out.Model.Top, wire.Contribution{
				Name: c.Name, Value: Rounded(c.Value, 3), Unit: c.Unit, Contribution: Rounded(c.Contribution, 3),
			})
		}
	}
	v.say(&out, view, now)
	v.cost(&out, view, now)
	return v.Show(wire.ClassGate, 1, true, out)
}

// Hazards publishes the retained hazard views: those whose level changed, or
// all.
func (v *Writer) Hazards(now Moment, view *model.View, all bool) error {
	var alerts [model.NumKinds]*model.AlertView
	for i := range view.Alerts {
		alerts[view.Alerts[i].Kind] = &view.Alerts[i]
	}
	for k := range model.NumKinds {
		level := model.LevelNone
		out := wire.Hazard{Schema: wire.SchemaHazard, TS: wire.Time{Time: now.Wall}, Kind: k.String(), Level: wire.LevelOK, Rules: []string{}}
		if alert := alerts[k]; alert != nil {
			level = alert.Level
			out.Level, out.Rules = level.String(), ruleIDs(alert.Causes)
			out.Text = headline(k, level, model.ActionRaise, alert.Causes)
		}
		if !all && level == v.levels[k] {
			continue
		}
		v.levels[k] = level
		if view.HasScores && view.Scores.Has[k] {
			out.P = Rounded(view.Scores.P[k], 3)
		}
		out.Seq = v.Next()
		out.ID = fmt.Sprintf("%s-hazard-%d", v.Device, out.Seq)
		if err := v.Show(wire.ClassHazard+k.String(), 1, true, out); err != nil {
			return err
		}
	}
	return nil
}

// Alert returns the message of an alert event; clearInMs is the gate's.
func (v *Writer) Alert(now Moment, e *model.Event, clearInMs int64) wire.Alert[Cause] {
	urgency, severity, certainty := capOf(e.Level, e.Causes)
	out := wire.Alert[Cause]{
		Schema: wire.SchemaAlert, ID: e.ID, Rev: e.Rev, Action: e.Action.String(), TS: wire.Time{Time: now.Wall},
		Kind: e.Kind.String(), Level: e.Level.String(), Urgency: urgency, Severity: severity, Certainty: certainty,
		Headline: headline(e.Kind, e.Level, e.Action, e.Causes), Rules: ruleIDs(e.Causes), Causes: causesOf(e.Causes, now),
		Simulated: v.Simulated,
	}
	if e.Action == model.ActionAck {
		out.By, out.Why = e.Word.By, e.Word.Why
		out.Headline = e.Word.Rule + " acknowledged by " + e.Word.By
	}
	switch {
	case e.Action == model.ActionClear, e.Action == model.ActionAck:
		out.Instruction = "None; trading follows the gate."
	case e.Level == model.LevelBlock && slices.ContainsFunc(e.Causes, func(c model.Cause) bool { return c.Latched }):
		out.Instruction = "The gate waits for " + waits(e.Causes) + "."
	case e.Level == model.LevelBlock:
		out.Instruction = "Wait; the gate opens by itself when every cause has been clear long enough."
		if clearInMs > 0 {
			out.Expires = now.after(clearInMs)
		}
	default:
		out.Instruction = "Watch; trading goes on."
	}
	out.Location = v.Location
	return out
}
