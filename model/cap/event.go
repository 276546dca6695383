package cap

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fairwatt/model"
)

// An Origin is who tells of hazards, and where.
type Origin struct {
	Sender     string // an address without spaces, commas, < or &
	SenderName string
	Status     string // empty: Test
	Addresses  string // who is told; the scope is Private
	Area       string // name of the place
	Position   *Point
	RadiusKM   float64
	ValidFor   time.Duration // until it must be told again; 0: 1 h
}

// categoriesOf maps hazard kinds to CAP categories.
var categoriesOf = [model.NumKinds][]string{
	model.KindThunderstorm: {"Met"},
	model.KindWind:         {"Met"},
	model.KindCyclone:      {"Met"},
	model.KindRain:         {"Met"},
	model.KindHeat:         {"Met"},
	model.KindLine:         {"Infra"},
	model.KindEquipment:    {"Infra", "Safety"},
	model.KindSensor:       {"Infra"},
	model.KindExternal:     {"Safety"},
}

var eventNames = [model.NumKinds]string{
	model.KindThunderstorm: "Thunderstorm at a generator",
	model.KindWind:         "Dangerous wind at a generator",
	model.KindCyclone:      "Tropical cyclone at a generator",
	model.KindRain:         "Heavy rain at a generator",
	model.KindHeat:         "Heat at a generator",
	model.KindLine:         "Line disturbance at a generator",
	model.KindEquipment:    "Equipment failure at a generator",
	model.KindSensor:       "Hazard sensors failed at a generator",
	model.KindExternal:     "Official warning at a generator",
}

// maxHeadline is what CAP advises.
const maxHeadline = 160

// FromEvent maps an alert event, sent at a wall time, to a CAP message. A
// raise makes an Alert, an update an Update and a clear a Cancel of the message
// before, which previous names; without it an update makes a new Alert,
// and a clear fails. A raise with a message before, of an alert that a restart
// has cut off, makes an Update too.
//
// What was measured is Observed: a block Immediate and Severe, a warning
// Expected and Minor. What only the network says is Expected and Moderate when
// it blocks, Likely; when it warns, Possible.
func FromEvent(e *model.Event, o Origin, sent time.Time, previous *Reference) (*Alert, error) {
	if e.Type != model.EventAlert || e.Kind >= model.NumKinds {
		return nil, errors.New("CAP from event: not an alert event")
	}
	a := &Alert{
		Identifier: e.ID + "-" + strconv.Itoa(e.Rev), Sender: o.Sender, Sent: sent.UTC().Truncate(time.Second),
		Status: o.Status, MsgType: "Alert", Scope: "Private", Addresses: o.Addresses,
	}
	if a.Status == "" {
		a.Status = "Test"
	}
	switch {
	case previous != nil && e.Action != model.ActionClear:
		a.MsgType, a.References = "Update", []Reference{*previous}
	case previous != nil && e.Action == model.ActionClear:
		a.MsgType, a.References = "Cancel", []Reference{*previous}
	case e.Action == model.ActionClear:
		return nil, fmt.Errorf("CAP from event: nothing is known to cancel for %s", e.ID)
	}
	a.Infos = []Info{infoFromEvent(e, &o, a.Sent)}
	if err := a.Validate(); err != nil {
		return nil, fmt.Errorf("CAP from event: %w", err)
	}
	return a, nil
}

func infoFromEvent(e *model.Event, o *Origin, sent time.Time) Info {
	in := Info{
		Language: "en-US", Categories: categoriesOf[e.Kind], Event: eventNames[e.Kind], SenderName: o.SenderName,
		ResponseTypes: []string{"Monitor"}, Urgency: "Expected", Severity: "Minor", Certainty: "Observed",
	}
	measured := false
	var texts []string
	for _, c := range e.Causes {
		measured = measured || !strings.HasPrefix(c.Rule, "M")
		text := c.Rule + ": " + c.Text
		if c.Title != "" {
			text = c.Title + " (" + c.Rule + "): " + c.Says
		}
		texts = append(texts, text)
		in.Parameters = append(in.Parameters, Pair{"rule", c.Rule})
	}
	block := e.Level == model.LevelBlock
	switch {
	case block && measured:
		in.Urgency, in.Severity = "Immediate", "Severe"
	case block:
		in.Severity, in.Certainty = "Moderate", "Likely"
	case !measured:
		in.Certainty = "Possible"
	}
	what := "warning"
	if block {
		in.ResponseTypes = []string{"Avoid"}
		what = "trading blocked"
	}
	if e.Action == model.ActionClear {
		in.ResponseTypes, in.Urgency = []string{"AllClear"}, "Past"
		what = "over"
	} else {
		valid := o.ValidFor
		if valid <= 0 {
			valid = time.Hour
		}
		in.Expires = sent.Add(valid)
	}
	in.Description = strings.Join(texts, "; ")
	in.Headline = in.Event + ": " + what
	if len(in.Headline) > maxHeadline {
		in.Headline = in.Headline[:maxHeadline]
	}
	if o.Area != "" {
		area := Area{Desc: o.Area}
		if o.Position != nil {
			area.Circles = []Circle{{*o.Position, o.RadiusKM}}
		}
		in.Areas = []Area{area}
	}
	return in
}
