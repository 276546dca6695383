package board_test

import (
	"errors"
	"math"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/tmp102"
	"pgregory.net/rapid"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// extra is a board with parts that the standard board lacks.
func extra() board.Config {
	return board.Config{
		TMP102:     []board.TMP102{{Address: 0x49, Channel: model.EquipmentTemperatureC}},
		SHT4x:      []board.SHT4x{{Address: 0x44, Serial: 0xC0FFEE01}},
		RainGauges: []board.RainGauge{{Pin: "RAIN", MMPerTip: 0.2}},
		MCP9808:    []board.MCP9808{{Address: 0x18, Channel: model.EquipmentTemperatureC}},
		LM75: []board.LM75{
			{Address: 0x4A, Channel: model.EquipmentTemperatureC},
			{Address: 0x4B, Channel: model.EquipmentTemperatureC, Bits: 12},
		},
		ADXL345: []board.ADXL345{{Address: 0x53}},
		BH1750:  []board.BH1750{{Address: 0x23, LuxPerWPM2: 100}},
	}
}

// extraSensors are the sensors of extra, by part.
func extraSensors() map[string]sensor.Config {
	return map[string]sensor.Config{
		"tmp102@0x49":  {Kind: sensor.KindTMP102, Address: 0x49},
		"sht4x@0x44":   {Kind: sensor.KindSHT4x},
		"mcp9808@0x18": {Kind: sensor.KindMCP9808},
		"lm75@0x4a":    {Kind: sensor.KindLM75, Address: 0x4A},
		"adxl345@0x53": {Kind: sensor.KindADXL345},
		"bh1750@0x23":  {Kind: sensor.KindBH1750, Opts: sensor.BH1750Opts{LuxPerWPM2: 100}},
		"RAIN":         {Kind: sensor.KindRain, Opts: sensor.RainOpts{Pin: "RAIN", MMPerTip: 0.2}},
	}
}

func extraWorld() map[model.Channel]float64 {
	return map[model.Channel]float64{
		model.EquipmentTemperatureC: 61.25, model.TemperatureC: 18.5, model.HumidityPct: 72, model.RainMM: 0,
		model.VibrationMPS2: 4, model.IrradianceWPM2: 640,
	}
}

func newSensor(t testing.TB, cfg sensor.Config, buses sensor.Buses) sensor.Sensor {
	t.Helper()
	d, err := sensor.New(cfg, buses)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExtraRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, lo, hi float64) float64 { return rapid.Float64Range(lo, hi).Draw(rt, name) }
		v := extraWorld()
		v[model.EquipmentTemperatureC] = draw("equipment", -40, 125)
		v[model.VibrationMPS2], v[model.IrradianceWPM2] = draw("vibration", 0.1, 60), draw("light", 0, 1200)
		v[model.TemperatureC], v[model.HumidityPct] = draw("t", -40, 65), draw("h", 0, 100)
		b, err := board.New(extra())
		if err != nil {
			rt.Fatal(err)
		}
		b.Feed(world(v))
		b.Advance(time.Second)
		var s model.Sample
		for part, cfg := range extraSensors() {
			if part == "lm75@0x4a" { // coarse: see TestLM75
				continue
			}
			if err := newSensor(t, cfg, b).Read(t.Context(), &s); err != nil {
				rt.Fatal(err)
			}
		}
		near(rt, "equipment", s.Values[model.EquipmentTemperatureC], v[model.EquipmentTemperatureC], 0.0625/2+1e-9)
		near(rt, "vibration", s.Values[model.VibrationMPS2], v[model.VibrationMPS2], 0.07+0.03*v[model.VibrationMPS2])
		near(rt, "light", s.Values[model.IrradianceWPM2], v[model.IrradianceWPM2], 0.02)
		near(rt, "temperature", s.Values[model.TemperatureC], v[model.TemperatureC], 0.0014)
		near(rt, "humidity", s.Values[model.HumidityPct], v[model.HumidityPct], 0.001)
	})
}

// Every resolution of the family gives the temperature to its own step, and a chip
// that cannot be told its resolution is refused more than it has.
func TestLM75(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.Float64Range(-55, 124.9).Draw(rt, "c")
		b, err := board.New(extra())
		if err != nil {
			rt.Fatal(err)
		}
		b.Feed(world(map[model.Channel]float64{model.EquipmentTemperatureC: want}))
		for _, c := range []struct {
			address uint16
			bits    int
			step    float64
		}{{0x4A, 9, 0.5}, {0x4B, 9, 0.5}, {0x4B, 10, 0.25}, {0x4B, 11, 0.125}, {0x4B, 12, 0.0625}} {
			d := newSensor(t, sensor.Config{Kind: sensor.KindLM75, Address: c.address, Opts: sensor.LM75Opts{Bits: c.bits}}, b)
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				rt.Fatal(err)
			}
			near(rt, "equipment", s.Values[model.EquipmentTemperatureC], want, c.step/2+1e-9)
		}
	})
	b := newBoard(t, extra())
	b.Feed(world(extraWorld()))
	d := newSensor(t, sensor.Config{Kind: sensor.KindLM75, Address: 0x4A, Opts: sensor.LM75Opts{Bits: 12}}, b)
	if err := d.Read(t.Context(), new(model.Sample)); !errors.Is(err, sensor.ErrWrongChip) {
		t.Errorf("a chip of 9 bits told to have 12: %v", err)
	}
}

// periph's own driver reads the chip alike, in the normal format. It can not
// give more than 128 C.
func TestPeriphTMP102(t *testing.T) {
	for _, want := range []float64{-40, -0.25, 0, 25, 61.25, 125} {
		b := newBoard(t, extra())
		b.Feed(world(map[model.Channel]float64{model.EquipmentTemperatureC: want}))
		bus, err := b.I2C("sim")
		if err != nil {
			t.Fatal(err)
		}
		dev, err := tmp102.NewI2C(sleepingBus{bus, b}, 0x49, nil)
		if err != nil {
			t.Fatal(err)
		}
		var e physic.Env
		if err := dev.Sense(&e); err != nil {
			t.Fatal(err)
		}
		if got := e.Temperature.Celsius(); math.Abs(got-want) > 1e-6 {
			t.Errorf("%g C, want %g", got, want)
		}
	}
}

func TestExtraFaults(t *testing.T) {
	for _, tt := range []struct {
		fault board.Fault
		want  error
	}{
		{board.Fault{Part: "tmp102@0x49", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "tmp102@0x49", Kind: board.WrongChip}, sensor.ErrWrongChip},
		{board.Fault{Part: "tmp102@0x49", Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: "sht4x@0x44", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "sht4x@0x44", Kind: board.WrongChip}, sensor.ErrChecksum},
		{board.Fault{Part: "sht4x@0x44", Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: "sht4x@0x44", Kind: board.Garbled}, sensor.ErrChecksum},
		{board.Fault{Part: "mcp9808@0x18", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "mcp9808@0x18", Kind: board.WrongChip}, sensor.ErrWrongChip},
		{board.Fault{Part: "lm75@0x4a", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "lm75@0x4a", Kind: board.WrongChip}, sensor.ErrWrongChip},
		{board.Fault{Part: "adxl345@0x53", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "adxl345@0x53", Kind: board.WrongChip}, sensor.ErrWrongChip},
		{board.Fault{Part: "adxl345@0x53", Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: "adxl345@0x53", Kind: board.StuckValue}, sensor.ErrStuck},
		{board.Fault{Part: "bh1750@0x23", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "RAIN", Kind: board.NoAnswer}, syscall.ENXIO},
	} {
		for _, remote := range []bool{false, true} {
			t.Run(tt.fault.Part+" "+string(tt.fault.Kind)+map[bool]string{true: " remote"}[remote], func(t *testing.T) {
				b := newBoard(t, extra())
				b.Feed(world(extraWorld()))
				b.Advance(time.Minute)
				var buses sensor.Buses = b
				if remote {
					buses = serve(t, b)
				}
				checkFault(t, b, newSensor(t, extraSensors()[tt.fault.Part], buses), tt.fault, tt.want)
			})
		}
	}
	b := newBoard(t, extra())
	if err := b.Inject(board.Fault{Part: "tmp102@0x49", Kind: board.Garbled}); err == nil {
		t.Error("a chip without a checksum can be garbled unseen")
	}
}

// A stuck part keeps its value: only the judgement over time can tell.
func TestExtraStuckValues(t *testing.T) {
	for part, ch := range map[string]model.Channel{"tmp102@0x49": model.EquipmentTemperatureC, "lm75@0x4a": model.EquipmentTemperatureC, "sht4x@0x44": model.TemperatureC} {
		b := newBoard(t, extra())
		v := extraWorld()
		b.Feed(world(v))
		d := newSensor(t, extraSensors()[part], b)
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		first := s.Values[ch]
		if err := b.Inject(board.Fault{Part: part, Kind: board.StuckValue}); err != nil {
			t.Fatal(err)
		}
		v[ch] += 20
		b.Feed(world(v))
		if err := d.Read(t.Context(), &s); err != nil || s.Values[ch] != first {
			t.Errorf("%s: %g after %g, %v", part, s.Values[ch], first, err)
		}
	}
}

// Hours of rain come out of the gauge whole, whatever the steps.
func TestRainConserved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, err := board.New(extra())
		if err != nil {
			rt.Fatal(err)
		}
		d := newSensor(t, extraSensors()["RAIN"], b)
		hours := rapid.SliceOfN(rapid.Float64Range(0, 60), 1, 30).Draw(rt, "mm")
		step := time.Duration(rapid.IntRange(1, 3600).Draw(rt, "step")) * time.Second
		fed, got := 0.0, 0.0
		for i, mm := range append(hours, 0) {
			s := world(map[model.Channel]float64{model.RainMM: mm})
			s.TimeMs = int64(i) * 3_600_000
			b.Feed(s)
			b.Feed(s) // a repeated sample is the same rain
			fed += mm
			for left := time.Hour; left > 0; left -= step {
				b.Advance(min(step, left))
				var out model.Sample
				if err := d.Read(t.Context(), &out); err != nil {
					rt.Fatal(err)
				}
				got += out.Values[model.RainMM]
			}
		}
		near(rt, "rain", got, fed-0.1, 0.1+1e-6)
	})
}

func TestExtraMissingWorld(t *testing.T) {
	for part, want := range map[string]error{"tmp102@0x49": sensor.ErrNoChip, "sht4x@0x44": sensor.ErrNoChip, "mcp9808@0x18": sensor.ErrNoChip, "lm75@0x4a": sensor.ErrNoChip, "adxl345@0x53": sensor.ErrNoChip, "bh1750@0x23": sensor.ErrNoChip, "RAIN": syscall.ENXIO} {
		b := newBoard(t, extra())
		b.Feed(world(map[model.Channel]float64{model.HumidityPct: 50}))
		d := newSensor(t, extraSensors()[part], b)
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, want) {
			t.Errorf("%s: %v", part, err)
		}
		for _, ch := range d.Channels() {
			if s.Validity[ch] != model.SensorError {
				t.Errorf("%s: %s is %v", part, ch, s.Validity[ch])
			}
		}
	}
}

// A slow bus costs time, not values.
func TestExtraSlowBus(t *testing.T) {
	for _, part := range []string{"tmp102@0x49", "sht4x@0x44"} {
		b := newBoard(t, extra())
		b.Feed(world(extraWorld()))
		if err := b.Inject(board.Fault{Part: part, Kind: board.SlowBus, Delay: 10 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := newSensor(t, extraSensors()[part], b).Read(t.Context(), &s); err != nil {
			t.Errorf("%s: %v", part, err)
		}
		if b.Now() < 50*time.Millisecond {
			t.Errorf("%s took %v", part, b.Now())
		}
	}
}
