package view

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"fairwatt/model"
	"fairwatt/proto/wire"
)

// Rounded cuts a value for people; NaN and Inf, which JSON cannot carry,
// become null.
func Rounded(v float64, decimals int) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	p := math.Pow10(decimals)
	r := math.Round(v*p) / p
	return &r
}

// telemetryNames are the short names of the commonest channels in telemetry;
// the others stand under their channel name.
var telemetryNames = map[model.Channel]string{
	model.VoltageV: "voltage", model.CurrentA: "current", model.FrequencyHz: "frequency",
	model.PowerW: "power", model.PowerFactor: "power_factor", model.THDPct: "thd",
	model.DCVoltageV: "voltage", model.DCCurrentA: "current",
	model.TemperatureC: "temperature", model.HumidityPct: "humidity", model.PressureHPa: "pressure",
	model.WindSpeedMPS: "wind_speed", model.WindGustMPS: "wind_gust", model.WindDirectionDeg: "wind_direction",
	model.RainMM: "rain", model.Raining: "raining", model.IrradianceWPM2: "irradiance",
	model.EquipmentTemperatureC: "temperature",
}

// TelemetryName is the name of a channel in its section of telemetry.
func TelemetryName(c model.Channel) string {
	if name, short := telemetryNames[c]; short {
		return name
	}
	return c.String()
}

// Section is the section of telemetry that a channel stands in: "ac", "dc",
// "equipment" or "wx".
func Section(c model.Channel) string {
	switch g := c.Info().Group; {
	case c == model.DCVoltageV || c == model.DCCurrentA:
		return "dc"
	case g == model.GroupElectrical || g == model.GroupWaveform:
		return "ac"
	case g == model.GroupEquipment:
		return "equipment"
	}
	return "wx"
}

// Fill sorts the sample's values into their sections.
func Fill(t *wire.Telemetry, s *model.Sample) {
	t.AC, t.DC = make(map[string]float64), make(map[string]float64)
	t.Equipment, t.WX = make(map[string]float64), make(map[string]float64)
	t.Invalid = make(map[string]string)
	sections := map[string]map[string]float64{"ac": t.AC, "dc": t.DC, "equipment": t.Equipment, "wx": t.WX}
	for c := range model.NumChannels {
		if s.Validity[c] == model.Absent {
			continue
		}
		v, ok := s.Get(c)
		if !ok {
			t.Invalid[c.String()] = s.Validity[c].String()
			continue
		}
		sections[Section(c)][TelemetryName(c)] = *Rounded(v, 4)
	}
}

// scoreMap returns the scored kinds, rounded to 1e-3; nil when there are none.
func scoreMap(s *model.Scores) map[string]*float64 {
	out := make(map[string]*float64)
	for k := range model.NumKinds {
		if s.Has[k] {
			if p := Rounded(s.P[k], 3); p != nil {
				out[k.String()] = p
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// capOf maps an alert to the terms of CAP 1.2 (urgency, severity, certainty). A
// measured block is observed and severe; what the network says is likely.
func capOf(level model.Level, causes []model.Cause) (urgency, severity, certainty string) {
	byModel := len(causes) > 0
	for _, c := range causes {
		byModel = byModel && isModelRule(c.Rule)
	}
	switch {
	case byModel:
		return "Expected", "Moderate", "Likely"
	case level == model.LevelBlock:
		return "Immediate", "Severe", "Observed"
	default:
		return "Expected", "Minor", "Possible"
	}
}

// isModelRule says whether a rule id is the network's rather than a rule's.
func isModelRule(rule string) bool { return len(rule) > 0 && rule[0] == 'M' }

func ruleIDs(causes []model.Cause) []string {
	out := make([]string, 0, len(causes))
	for _, c := range causes {
		out = append(out, c.Rule)
	}
	return out
}

// headline says what an alert is about in one line.
func headline(kind model.Kind, level model.Level, action model.Action, causes []model.Cause) string {
	text := fmt.Sprintf("%s hazard", kind)
	if len(causes) > 0 && causes[0].Text != "" {
		text = causes[0].Text
		if causes[0].Title != "" {
			text = strings.TrimSuffix(causes[0].Title+": "+causes[0].Says, ": ")
		}
	}
	switch {
	case action == model.ActionClear:
		return kind.String() + ": clear again"
	case level == model.LevelBlock:
		return text + "; trading is blocked"
	default:
		return text
	}
}

// Marshal encodes a view; none holds what JSON cannot.
func Marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("marshal view: %w", err)
	}
	return b, nil
}
