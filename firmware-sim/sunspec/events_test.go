package sunspec_test

import (
	"errors"
	"testing"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/sunspec"
	"fairwatt/model"
)

// What an inverter says of itself comes through every model, bit by bit, with its
// state.
func TestInverterEvents(t *testing.T) {
	for _, id := range []uint16{101, 102, 103, 111, 112, 113, 701} {
		device, addr := serve(t, sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{id}})
		d := reader(t, addr, model.InverterEvents)
		for bit := -1; bit < 33; bit++ {
			want := 0.0
			if bit >= 0 {
				want = float64(uint64(1) << bit)
			}
			device.Feed(world(map[model.Channel]float64{model.InverterEvents: want}))
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			if got, ok := s.Get(model.InverterEvents); !ok || got != want {
				t.Errorf("model %d, bit %d: %g %v", id, bit, got, ok)
			}
		}
		if err := device.Inject(sunspec.Unimplemented); err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, sensor.ErrSkipped) || s.Validity[model.InverterEvents] != model.SensorError {
			t.Errorf("model %d without a state: %v, %v", id, s.Validity[model.InverterEvents], err)
		}
	}
}

// The irradiance in the plane of the modules comes from model 302; the whole hPa of
// model 307 are too coarse to be stuck.
func TestIrradianceAndCoarsePressure(t *testing.T) {
	device, addr := serve(t, sunspec.Config{Unit: 126, Base: 0, Models: []uint16{302, 307}})
	d := reader(t, addr, model.IrradianceWPM2, model.PressureHPa)
	device.Feed(world(map[model.Channel]float64{model.IrradianceWPM2: 873, model.PressureHPa: 1013}))
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Get(model.IrradianceWPM2); !ok || got != 873 {
		t.Errorf("irradiance %g %v", got, ok)
	}
	if !s.Coarse.Has(model.PressureHPa) || s.Coarse.Has(model.IrradianceWPM2) {
		t.Errorf("coarse: %b", s.Coarse)
	}
}

// An inverter's fault goes the whole way: it blocks the gate, its string's fuse
// latches, and a person's word opens it again only when it is over.
func TestInverterFaultClosesTheGate(t *testing.T) {
	device, addr := serve(t, sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{103}})
	d := reader(t, addr, model.FrequencyHz, model.InverterEvents)
	cfg := model.DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.StuckS = 0
	cfg.Channels = d.Channels()
	cfg.Required = d.Channels()
	judge, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	run := func(seconds int, events uint64) {
		device.Feed(world(map[model.Channel]float64{model.FrequencyHz: 50, model.InverterEvents: float64(events)}))
		for range seconds {
			now += 1000
			s := model.Sample{TimeMs: now}
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			judge.Step(&s)
		}
	}
	want := func(what string, state model.State) {
		t.Helper()
		if got := judge.State(); got != state {
			t.Errorf("%s: %v (%s)", what, got, judge.View().Reason)
		}
	}
	run(400, 0)
	want("healthy", model.StateOpen)
	run(1, 1<<7)
	want("too hot", model.StateBlocked)
	run(700, 0)
	want("cool again", model.StateOpen)
	run(1, 1<<12)
	run(2000, 0)
	want("a blown fuse that no one looked at", model.StateBlocked)
	if err := judge.Ack("E11", "Ada"); err != nil {
		t.Fatal(err)
	}
	run(700, 0)
	want("acknowledged", model.StateOpen)
}
