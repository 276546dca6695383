package model

import (
	"fmt"
	"testing"
)

// Sensors at several places watch several things: the nearest stroke, the hottest
// bearing and the worst string count, however many others are well.
func TestPlacesApartVote(t *testing.T) {
	t.Parallel()
	strings := func(c *Config) { c.Earth.MaxDCVoltageV = 1000 }
	both := func(c *Config) {
		c.Redundant = []Channel{EquipmentTemperatureC, LightningKM, DCVoltageV}
		strings(c)
	}
	for _, c := range []struct {
		name    string
		set     func(*Config)
		channel Channel
		values  []float64
		want    float64
	}{
		{"nearest stroke", nil, LightningKM, []float64{3, 18, 19}, 3},
		{"most strokes", nil, LightningCount, []float64{0, 0, 4}, 4},
		{"hottest place", nil, EquipmentTemperatureC, []float64{25, 25, 130}, 130},
		{"worst bearing", nil, VibrationMPS2, []float64{1, 30, 1, 1}, 30},
		{"most leakage", nil, LeakageMA, []float64{5, 400, 5}, 400},
		{"least insulation", nil, InsulationKOhm, []float64{900, 10, 800}, 10},
		{"one string reversed", strings, DCVoltageV, []float64{600, -50, 610}, -50},
		{"one string too high", strings, DCVoltageV, []float64{600, 1020, 610}, 1020},
		{"of two strings the reversed one", strings, DCVoltageV, []float64{600, -50}, -50},
		{"nearer to the top", strings, DCVoltageV, []float64{990, 5}, 990},
		{"nearer to the bottom", strings, DCVoltageV, []float64{980, 5}, 5},
		{"no maximum", nil, DCVoltageV, []float64{600, -50}, -50},
		{"declared to stand at one place", both, EquipmentTemperatureC, []float64{25, 25, 130}, 25},
		{"declared, strokes", both, LightningKM, []float64{3, 18, 19}, 18},
		{"declared, strings", both, DCVoltageV, []float64{600, -50, 610}, 600},
		{"declared, two", both, EquipmentTemperatureC, []float64{25, 130}, 130},
		{"wind stands at one place", nil, WindGustMPS, []float64{0, 0, 38}, 0},
		{"voltage nearer to the upper limit", nil, VoltageV, []float64{210, 249}, 249}, // 7.6 and 4 V of margin
		{"frequency nearer to the lower limit", nil, FrequencyHz, []float64{49.2, 50.7}, 49.2},
	} {
		cfg := DefaultConfig()
		cfg.SetNominal(230, 50)
		if c.set != nil {
			c.set(&cfg)
		}
		b := cfg.Ballot(c.channel)
		for range c.values { // in every turn
			c.values = append(c.values[1:], c.values[0])
			if got := b.Vote(readings(c.values...)); got.Value != c.want || !b.Redundant && got.Outlier != -1 {
				t.Errorf("%s: of %v counts %v, outlier %d", c.name, c.values, got.Value, got.Outlier)
			}
		}
	}
	// A place that cannot be read is not spoken for by the others: rules have those,
	// and the gate asks for it where the channel is required.
	for _, c := range []struct {
		second    Reading
		redundant bool
		want      Validity
	}{
		{Reading{Validity: SensorError}, false, Partial}, {Reading{Validity: Stale}, false, Partial}, {Reading{Validity: Absent}, false, Valid},
		{Reading{Validity: SensorError}, true, Valid}, {Reading{Value: 30, Validity: Valid}, false, Valid}, {Reading{Value: 900, Validity: Valid}, false, Saturated},
	} {
		for _, v := range []float64{25, 130} {
			b := Ballot{EquipmentTemperatureC, -1000, 0, c.redundant}
			got := b.Vote([]Reading{{Value: v, Validity: Valid}, c.second})
			if got.Validity != c.want {
				t.Errorf("%v beside %+v, redundant %v: %v", v, c.second, c.redundant, got.Validity)
			}
			r := quietRig(t, func(cfg *Config) { cfg.Required = []Channel{EquipmentTemperatureC} })
			for range 3 {
				r.now += 1000
				s := Sample{TimeMs: r.now}
				s.SetVote(EquipmentTemperatureC, got)
				r.j.Step(&s)
			}
			if hot := r.levelOf("E13") == LevelBlock; hot != (v == 130 || c.want == Saturated) {
				t.Errorf("%v beside %+v: E13 blocks %v", v, c.second, hot)
			}
			if asked := r.levelOf("E16") == LevelBlock; asked != (c.want != Valid) {
				t.Errorf("%v beside %+v: E16 blocks %v, %s", v, c.second, asked, r.textOf("E16"))
			}
		}
	}
	cfg := DefaultConfig()
	cfg.Redundant = []Channel{NumChannels}
	if err := cfg.Validate(); err == nil || err.Error() != fmt.Sprintf("redundant: no such channel %d", NumChannels) {
		t.Errorf("a channel that is none: %v", err)
	}
}
