package agent

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// On a board whose machine is busy, the windows of an ADS1115 show a dip and an
// over-current for what they are, and nothing in an hour of quiet.
func TestWaveformsAreWatchedLive(t *testing.T) {
	for _, pin := range []string{"RDY", ""} {
		layout := board.Standard()
		layout.Kernel = board.Kernel{StallEvery: time.Second, StallFor: 300 * time.Millisecond, BusHz: 400e3, Seed: 2}
		b, err := board.New(layout)
		if err != nil {
			t.Fatal(err)
		}
		cfg := sensor.StandardConfigs()[2]
		ads := cfg.Opts.(sensor.ADS1115Opts)
		ads.ReadyPin = pin
		cfg.Opts = ads
		d, err := sensor.New(cfg, b)
		if err != nil {
			t.Fatal(err)
		}
		judge := model.DefaultConfig()
		judge.SetNominal(230, 50)
		watches, err := newWaveWatches([]sensor.Sensor{d}, judge)
		if err != nil || len(watches) != 2 {
			t.Fatalf("%d watches, %v", len(watches), err)
		}
		var told []string
		tMs := int64(0)
		tick := func(volts, amps float64) {
			t.Helper()
			var world, s model.Sample
			world.Set(model.VoltageV, volts)
			world.Set(model.CurrentA, amps)
			world.Set(model.FrequencyHz, 50)
			world.Set(model.THDPct, 3)
			b.Feed(&world)
			b.Advance(time.Second)
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			for i := range watches {
				tMs += 130 // windows that overlap by the clock are windows all the same
				err := watches[i].look(tMs, func(e *model.Event) error {
					rules := ""
					for _, c := range e.Causes {
						rules += " " + c.Rule
					}
					told = append(told, fmt.Sprint(watches[i].channel, " ", e.Action, rules))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 600 {
			tick(230+3*math.Sin(float64(i)/9), 10)
		}
		if told != nil {
			t.Fatalf("pin %q: ten quiet minutes tell %v", pin, told)
		}
		tick(150, 10)
		for range 5 {
			tick(230, 10)
		}
		tick(230, 35)
		for range 5 {
			tick(230, 10)
		}
		want := []string{"voltage_v raise L01", "voltage_v clear L01", "current_a raise L06", "current_a clear L06"}
		if !slices.Equal(told, want) {
			t.Errorf("pin %q: told %q, want %q", pin, told, want)
		}
	}
}

// Conductors whose waveform says nothing alone are not watched.
func TestWatchedConductors(t *testing.T) {
	for c := range model.NumChannels {
		samples, ok := waveOf(c)
		wave := c >= model.VoltageV && c < model.VoltageNV || c >= model.CurrentA && c < model.CurrentNA
		if ok != wave || ok && samples.String() != c.String()+"_inst" {
			t.Errorf("%s is watched as %s, %v", c, samples, ok)
		}
	}
}
