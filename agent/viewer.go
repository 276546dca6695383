package agent

import (
	"fmt"
	"time"

	"fairwatt/model"
	"fairwatt/proto/wire"
)

// A viewer turns the judgement into the JSON views of one device; a live
// agent and a replay have one each.
type viewer struct {
	device    string
	simulated bool
	location  *LocationConfig
	modelHash string
	// set publishes a payload.
	set func(class string, qos byte, retained bool, payload []byte) error

	seq      uint64    // of the last view
	gateWall time.Time // when the gate came into its state
	levels   [model.NumKinds]model.Level
}

// modelName names the network in gate views.
const modelName = "hazard-mlp"

// next numbers views; the numbers rise over restarts (savedState).
func (v *viewer) next() uint64 {
	v.seq++
	return v.seq
}

func (v *viewer) show(class string, qos byte, retained bool, view any) error {
	b, err := marshalView(view)
	if err != nil {
		return err
	}
	return v.set(class, qos, retained, b)
}

// gate publishes the retained gate view.
func (v *viewer) gate(now moment, view *model.View, gateSeq uint64) error {
	seq := v.next()
	out := wire.Gate[model.Cause]{
		Schema: wire.SchemaGate, ID: fmt.Sprintf("%s-gate-%d", v.device, seq), Seq: seq,
		TS: wire.Time{Time: now.wall}, ClockSynced: now.synced, State: view.State.String(), Reason: view.Reason,
		Since: wire.Time{Time: v.gateWall}, ValidUntil: wire.Time{Time: now.wall.Add(gateValid)},
		Causes: view.Causes, GateSeq: gateSeq, Simulated: v.simulated,
	}
	if out.Causes == nil {
		out.Causes = []model.Cause{}
	}
	if view.ClearInMs >= 0 {
		out.ClearInS = rounded(float64(view.ClearInMs)/1000, 3)
	}
	if p := scoreMap(&view.Scores); p != nil && view.HasScores {
		out.Model = &wire.Model{Name: modelName, SHA256: v.modelHash, P: p}
		for _, c := range view.Scores.Top {
			out.Model.Top = append(out.Model.Top, wire.Contribution{
				Name: c.Name, Value: rounded(c.Value, 3), Unit: c.Unit, Contribution: rounded(c.Contribution, 3),
			})
		}
	}
	return v.show(wire.ClassGate, 1, true, out)
}

// hazards publishes the retained hazard views: those whose level changed, or
// all.
func (v *viewer) hazards(now moment, view *model.View, all bool) error {
	var alerts [model.NumKinds]*model.AlertView
	for i := range view.Alerts {
		alerts[view.Alerts[i].Kind] = &view.Alerts[i]
	}
	for k := range model.NumKinds {
		level := model.LevelNone
		out := wire.Hazard{Schema: wire.SchemaHazard, TS: wire.Time{Time: now.wall}, Kind: k.String(), Level: wire.LevelOK, Rules: []string{}}
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
			out.P = rounded(view.Scores.P[k], 3)
		}
		out.Seq = v.next()
		out.ID = fmt.Sprintf("%s-hazard-%d", v.device, out.Seq)
		if err := v.show(wire.ClassHazard+k.String(), 1, true, out); err != nil {
			return err
		}
	}
	return nil
}

// alert returns the message of an alert event; clearInMs is the gate's.
func (v *viewer) alert(now moment, e *model.Event, clearInMs int64) wire.Alert[model.Cause] {
	urgency, severity, certainty := capOf(e.Level, e.Causes)
	out := wire.Alert[model.Cause]{
		Schema: wire.SchemaAlert, ID: e.ID, Rev: e.Rev, Action: e.Action.String(), TS: wire.Time{Time: now.wall},
		Kind: e.Kind.String(), Level: e.Level.String(), Urgency: urgency, Severity: severity, Certainty: certainty,
		Headline: headline(e.Kind, e.Level, e.Action, e.Causes), Rules: ruleIDs(e.Causes), Causes: e.Causes,
		Simulated: v.simulated,
	}
	switch {
	case e.Action == model.ActionClear:
		out.Instruction = "None; trading follows the gate."
	case e.Level == model.LevelBlock:
		out.Instruction = "Wait; the gate opens by itself when every cause has been clear long enough."
		if clearInMs > 0 {
			out.Expires = wire.Time{Time: now.wall.Add(time.Duration(clearInMs) * time.Millisecond)}
		}
	default:
		out.Instruction = "Watch; trading goes on."
	}
	if v.location != nil {
		out.Location = &wire.Location{Lat: v.location.Latitude, Lon: v.location.Longitude}
	}
	return out
}
