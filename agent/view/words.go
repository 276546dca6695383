package view

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/proto/wire"
)

// A Cause is a cause of the judgement with its words for people.
type Cause struct {
	model.Cause
	Words wire.CauseWords
}

// MarshalJSON implements json.Marshaler: the words stand behind the fields that
// events have too.
func (c Cause) MarshalJSON() ([]byte, error) {
	out := c.AppendJSON(nil)
	words, err := json.Marshal(c.Words)
	if err != nil || bytes.Equal(words, []byte("{}")) {
		return out, err
	}
	return append(append(out[:len(out)-1], ','), words[1:]...), nil
}

// causesOf adds the words for people to causes that were explained at now.
func causesOf(causes []model.Cause, now Moment) []Cause {
	out := make([]Cause, len(causes))
	for i, c := range causes {
		w := wire.CauseWords{Title: c.Title, Says: c.Says, Ends: c.Ends}
		if c.StandsMs >= 0 {
			w.Since = now.after(-c.StandsMs)
		}
		if c.EndsInMs >= 0 {
			w.EndsAt = now.after(c.EndsInMs)
		}
		out[i] = Cause{c, w}
	}
	return out
}

// say puts the words for people into a gate view.
func (v *Writer) say(out *wire.Gate[Cause], judged *model.View, now Moment) {
	switch {
	case judged.State == model.StateOpen || judged.State == model.StateInit:
	case judged.OpensInMs >= 0:
		out.OpensAt = now.after(judged.OpensInMs)
	default:
		out.Waits = waits(judged.Causes)
	}
	causes := make([]wire.Cause, len(out.Causes))
	for i, c := range out.Causes {
		causes[i] = wire.Cause{Rule: c.Rule, Text: c.Text, CauseWords: c.Words}
	}
	zone := v.Zone
	if zone == nil {
		zone = time.UTC
	}
	out.Words = out.Says(causes, now.Wall.In(zone))
}

// waits says what a gate waits for that does not open by itself.
func waits(causes []model.Cause) string {
	var commands []string
	for _, c := range causes {
		if c.Person != "" && c.ClearsInMs < 0 {
			commands = append(commands, c.Person)
		}
	}
	if commands == nil {
		return "a first sample"
	}
	return "a named person: " + strings.Join(commands, ", ")
}

// cost puts what rules have cost into a gate view.
func (v *Writer) cost(out *wire.Gate[Cause], judged *model.View, now Moment) {
	for _, c := range judged.Tolls {
		w := wire.Cost{Rule: c.Rule, Title: c.Title, ClosedS: float64(c.ClosedMs) / 1000, AloneS: float64(c.AloneMs) / 1000}
		if judged.EnergyFrom != "" {
			w.KWh = Rounded(c.ClosedWh/1000, 3)
			if v.PriceMicro > 0 {
				w.Money = Rounded(c.ClosedWh/1000*float64(v.PriceMicro)/1e6, 4)
			}
		}
		out.Cost = append(out.Cost, w)
	}
	// The hours of a faster world are none of this clock's.
	if out.Cost != nil && !v.CostSince.IsZero() && now.Speed == 0 {
		out.CostSince = wire.Time{Time: v.CostSince}
	}
	v.Spent, v.SpentSince = out.Cost, out.CostSince
}
