package board_test

import (
	"errors"
	"math"
	"testing"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// A residual current transformer on an ADS1115 feeds E09: from a few mA, which every
// inverter has, over the sudden step of 30 mA and the limit of 300 mA, to more than the
// converter's range, which counts as too much and not as a fault.
func TestLeakageOnAnADS1115(t *testing.T) {
	const scale = 400 // mA a volt: 579 mA of a sine fill the range of 2.048 V
	b := newBoard(t, board.Config{ADS1115: []board.ADS1115{{Address: 0x48, Inputs: []board.Input{{AIN: 0, Channel: model.LeakageMA, Scale: scale}}}}})
	d := newSensor(t, sensor.Config{Kind: sensor.KindADS1115, Address: 0x48, Opts: sensor.ADS1115Opts{
		Inputs: []sensor.InputConfig{{Channel: model.LeakageMA, Input: "0", Scale: scale}},
	}}, b)
	for _, want := range []float64{3, 12, 42, 299, 310, 570} {
		b.Feed(world(map[model.Channel]float64{model.LeakageMA: want, model.FrequencyHz: 50}))
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if got, ok := s.Get(model.LeakageMA); !ok || math.Abs(got-want) > 0.1+0.01*want {
			t.Errorf("%g mA %v, want %g", got, ok, want)
		}
	}
	b.Feed(world(map[model.Channel]float64{model.LeakageMA: 2000, model.FrequencyHz: 50}))
	var s model.Sample
	if err := d.Read(t.Context(), &s); !errors.Is(err, sensor.ErrSaturated) || s.Validity[model.LeakageMA] != model.Saturated {
		t.Fatalf("%v, %v", err, s.Validity[model.LeakageMA])
	}
	cfg := model.DefaultConfig()
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	j.Step(&s)
	for _, c := range j.View().Causes {
		if c.Rule == "E09" && c.Level == model.LevelBlock {
			return
		}
	}
	t.Errorf("E09 does not block: %+v", j.View())
}
