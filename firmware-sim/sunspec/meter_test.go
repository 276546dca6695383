package sunspec_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/sunspec"
	"fairwatt/model"
)

// Of the strings of model 160 the highest voltage and temperature count; their
// currents add up. An inverter model before it goes first.
func TestStrings(t *testing.T) {
	channels := []model.Channel{model.DCVoltageV, model.DCCurrentA, model.EquipmentTemperatureC}
	plant := map[model.Channel]float64{model.DCVoltageV: 700, model.DCCurrentA: 8, model.EquipmentTemperatureC: 42}
	device, addr := serve(t, sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{160}})
	device.Feed(world(plant))
	var s model.Sample
	if err := reader(t, addr, channels...).Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	for ch, want := range plant {
		if got, ok := s.Get(ch); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s %g %v, want %g", ch, got, ok, want)
		}
	}
	// The inverter has 0.1 C of steps, the strings have whole ones.
	plant[model.EquipmentTemperatureC] = 42.3
	device, addr = serve(t, sunspec.Config{Unit: 126, Base: 0, Models: []uint16{103, 160}})
	device.Feed(world(plant))
	if err := reader(t, addr, channels...).Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Get(model.EquipmentTemperatureC); math.Abs(got-42.3) > 1e-9 {
		t.Errorf("behind an inverter: %g C", got)
	}
}

// A string tells its events as an inverter does, but for the low voltage of every
// evening; what the inverter before it tells is kept.
func TestStringEvents(t *testing.T) {
	const night = 21
	for _, models := range [][]uint16{{160}, {103, 160}} {
		device, addr := serve(t, sunspec.Config{Unit: 126, Base: 40000, Models: models})
		d := reader(t, addr, model.InverterEvents)
		for bit := -1; bit < 33; bit++ {
			told, want := 0.0, 0.0
			if bit >= 0 {
				told = float64(uint64(1) << bit)
				want = told
			}
			if bit == night && len(models) == 1 {
				want = 0
			}
			device.Feed(world(map[model.Channel]float64{model.InverterEvents: told}))
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			if got, ok := s.Get(model.InverterEvents); !ok || got != want {
				t.Errorf("models %v, bit %d: %g %v, want %g", models, bit, got, ok, want)
			}
		}
		if err := device.Inject(sunspec.Unimplemented); err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, sensor.ErrSkipped) || s.Validity[model.InverterEvents] != model.SensorError {
			t.Errorf("models %v without a word: %v, %v", models, s.Validity[model.InverterEvents], err)
		}
	}
}

// A meter's register bills, in the direction that was chosen. One that jumps is told
// and not counted; one that has counted nothing yet has no value.
func TestMeterBills(t *testing.T) {
	for _, ch := range []model.Channel{model.EnergyExportWh, model.EnergyImportWh} {
		for _, id := range []uint16{201, 202, 203, 204} {
			device, addr := serve(t, sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{id}})
			cfg := sensor.Config{Kind: sensor.KindSunSpec, Address: 126, Opts: sensor.SunSpecOpts{
				Endpoint: addr, Channels: []model.Channel{model.PowerW, ch}, Timeout: 5 * time.Second, MaxPowerW: 100e3,
			}}
			if err := cfg.Bills(); err != nil {
				t.Fatalf("model %d, %s: %v", id, ch, err)
			}
			opened, err := sensor.New(cfg, noBuses{})
			if err != nil {
				t.Fatal(err)
			}
			d := opened.(*sensor.SunSpec)
			for _, step := range []struct {
				face, count float64
				want        error
			}{{0, 0, sensor.ErrSkipped}, {5000, 5000, nil}, {5007, 5007, nil}, {3000, 5007, sensor.ErrJump}, {3002, 5009, nil}} {
				device.Feed(world(map[model.Channel]float64{model.PowerW: 900, ch: step.face}))
				var s model.Sample
				if err := d.Read(t.Context(), &s); !errors.Is(err, step.want) {
					t.Errorf("model %d, %s, %g Wh: %v", id, ch, step.face, err)
				}
				if got := float64(d.EnergyWh()); got != step.count {
					t.Errorf("model %d, %s, %g Wh: counted %g, want %g", id, ch, step.face, got, step.count)
				}
			}
			if err := d.Halt(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A meter that counts what is drawn as positive is turned about; its registers are not.
func TestInvertedMeter(t *testing.T) {
	device, addr := serve(t, sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{203}})
	device.Feed(world(map[model.Channel]float64{
		model.PowerW: -1200, model.PowerBW: -400, model.PowerFactor: -0.9, model.PowerFactorC: -0.8,
		model.EnergyExportWh: 77, model.VoltageAV: 231, model.CurrentAA: 3, model.FrequencyHz: 50,
	}))
	want := map[model.Channel]float64{
		model.PowerW: 1200, model.PowerBW: 400, model.PowerFactor: 0.9, model.PowerFactorC: 0.8,
		model.EnergyExportWh: 77, model.VoltageAV: 231, model.CurrentAA: 3, model.FrequencyHz: 50,
	}
	opts := sensor.SunSpecOpts{Endpoint: addr, Timeout: 5 * time.Second, Invert: true}
	for ch := range want {
		opts.Channels = append(opts.Channels, ch)
	}
	d, err := sensor.New(sensor.Config{Kind: sensor.KindSunSpec, Address: 126, Opts: opts}, noBuses{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Halt() }()
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	for ch, want := range want {
		if got, ok := s.Get(ch); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s %g %v, want %g", ch, got, ok, want)
		}
	}
}
