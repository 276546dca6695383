package board_test

import (
	"testing"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// A vane on an input tells all its directions, one between two as the nearer; with its
// cable cut it tells nothing, while the mains beside it are read.
func TestVane(t *testing.T) {
	b, err := board.New(board.Config{NominalHz: 50, ADS1115: []board.ADS1115{{Address: 0x48, Inputs: []board.Input{
		{AIN: 0, Channel: model.VoltageV, Scale: 325}, {AIN: 3, Channel: model.WindDirectionDeg, Scale: 1},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := sensor.New(sensor.Config{Kind: sensor.KindADS1115, Opts: sensor.ADS1115Opts{Inputs: []sensor.InputConfig{
		{Channel: model.VoltageV, Input: "0", Scale: 325}, {Channel: model.WindDirectionDeg, Input: "3"},
	}}}, b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 32 {
		given := float64(i) * 11.25
		want := float64((i+1)/2%16) * 22.5
		var world, s model.Sample
		world.Set(model.VoltageV, 230)
		world.Set(model.FrequencyHz, 50)
		world.Set(model.WindDirectionDeg, given)
		b.Feed(&world)
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if got, ok := s.Get(model.WindDirectionDeg); !ok || got != want {
			t.Errorf("%g degrees: %g %v, want %g", given, got, ok, want)
		}
	}
	var world, s model.Sample
	world.Set(model.VoltageV, 230)
	world.Set(model.FrequencyHz, 50)
	b.Feed(&world)
	if err := d.Read(t.Context(), &s); err == nil || s.Validity[model.WindDirectionDeg] != model.SensorError {
		t.Errorf("a cut cable: %v, %v", s.Validity[model.WindDirectionDeg], err)
	}
	if v, ok := s.Get(model.VoltageV); !ok || v < 229 || v > 231 {
		t.Errorf("the mains beside it: %g %v", v, ok)
	}
}
