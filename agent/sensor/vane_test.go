package sensor

import (
	"strings"
	"testing"

	"fairwatt/model"
)

// Each position is told up to half of the way to its neighbour, by its data sheet's
// voltages too (5 V, 10 kohm); between the ladder's ends and beyond there is none.
func TestVaneLadder(t *testing.T) {
	for deg, volts := range map[float64]float64{
		0: 3.84, 22.5: 1.98, 45: 2.25, 67.5: 0.41, 90: 0.45, 112.5: 0.32, 135: 0.90, 157.5: 0.62,
		180: 1.40, 202.5: 1.19, 225: 3.08, 247.5: 2.93, 270: 4.62, 292.5: 4.04, 315: 4.33, 337.5: 3.43,
	} {
		if got, err := vane(volts/5, 10e3); err != nil || got != deg {
			t.Errorf("%g V: %g degrees, %v, want %g", volts, got, err, deg)
		}
	}
	for _, share := range []float64{0, 0.03, 0.96, 1, -0.1, 1.1} {
		if got, err := vane(share, 10e3); err == nil {
			t.Errorf("%g of the supply: %g degrees", share, got)
		}
	}
	// 120 kohm stands 0.0566 above 64.9 kohm.
	for share, ok := range map[float64]bool{0.9231 + 0.0282: true, 0.9231 + 0.0284: false, 0.9231 - 0.0282: true} {
		if got, err := vane(share, 10e3); (err == nil) != ok || ok && got != 270 {
			t.Errorf("%g: %g, %v", share, got, err)
		}
	}
}

func TestVaneSettings(t *testing.T) {
	for want, in := range map[string]InputConfig{
		"":           {Channel: model.WindDirectionDeg, Input: "3"},
		"pullup_ohm": {Channel: model.WindDirectionDeg, Input: "3", PullupOhm: 999},
		"supply_v":   {Channel: model.WindDirectionDeg, Input: "3", SupplyV: 5.6},
		"range_v":    {Channel: model.WindDirectionDeg, Input: "3", RangeV: 2.048},
		"are for":    {Channel: model.VoltageV, Input: "3", Scale: 1, SupplyV: 3.3},
	} {
		err := Config{Kind: KindADS1115, Opts: ADS1115Opts{Inputs: []InputConfig{in}}}.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
