package grid

import (
	"slices"
	"testing"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/scenario"
)

// A grid that plays a fault has the sensor that sees it, and no other grid has.
func TestFaultsHaveTheirSensors(t *testing.T) {
	for _, c := range []struct{ scenario, kind string }{
		{scenario.HotBearing, sensor.KindTMP102}, {scenario.LostString, sensor.KindTMP102}, {scenario.MeterDrift, sensor.KindPZEM},
		{scenario.Calm, ""}, {scenario.Cyclone, ""},
	} {
		cfg := DefaultConfig()
		cfg.Scenario, cfg.Agents = c.scenario, 1
		all, err := loadWeather(t.Context(), &cfg, keptRows)
		if err != nil {
			t.Fatal(err)
		}
		layout, sensors := generatorBoard(all[0])
		if _, err := board.New(layout); err != nil {
			t.Errorf("%s: %v", c.scenario, err)
		}
		for _, kind := range []string{sensor.KindTMP102, sensor.KindPZEM} {
			has := slices.ContainsFunc(sensors, func(s sensor.Config) bool { return s.Kind == kind })
			if has != (kind == c.kind) {
				t.Errorf("%s: %s %v", c.scenario, kind, has)
			}
		}
	}
}
