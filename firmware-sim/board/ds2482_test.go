package board_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// oneWire is a board with three thermometers on a 1-Wire line: two for equipment and
// one for the air.
func oneWire() board.Config {
	return board.Config{DS2482: []board.DS2482{{Address: 0x18, Sensors: []board.DS18B20{
		{Serial: 0x0316A279F5FF, Channel: model.EquipmentTemperatureC},
		{Serial: 0x0316A279F5FE, Channel: model.TemperatureC},
		{Serial: 0xA1, Channel: model.TemperatureC},
	}}}}
}

func ds18b20(rom, measures string) sensor.Config {
	return sensor.Config{Kind: sensor.KindDS18B20, Name: rom, Opts: sensor.DS18B20Opts{ROM: rom, Measures: measures}}
}

// Each sensor of a line gives its own temperature, by its number.
func TestDS18B20RoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		equipment, air := rapid.Float64Range(-55, 125).Draw(rt, "equipment"), rapid.Float64Range(-55, 60).Draw(rt, "air")
		b, err := board.New(oneWire())
		if err != nil {
			rt.Fatal(err)
		}
		b.Feed(world(map[model.Channel]float64{model.EquipmentTemperatureC: equipment, model.TemperatureC: air}))
		for _, c := range []struct {
			rom, measures string
			channel       model.Channel
			want          float64
		}{
			{"28-0316a279f5ff", "equipment", model.EquipmentTemperatureC, equipment},
			{"28-0316a279f5fe", "air", model.TemperatureC, air}, {"28-0000000000a1", "air", model.TemperatureC, air},
		} {
			var s model.Sample
			if err := newSensor(t, ds18b20(c.rom, c.measures), b).Read(t.Context(), &s); err != nil {
				rt.Fatal(err)
			}
			near(rt, c.rom, s.Values[c.channel], c.want, 0.0625/2+1e-9)
		}
	})
}

// A sensor that is alone needs no number. Where there are several, the error names
// them.
func TestDS18B20WithoutItsNumber(t *testing.T) {
	v := map[model.Channel]float64{model.EquipmentTemperatureC: 61.25, model.TemperatureC: 20}
	b := newBoard(t, oneWire())
	b.Feed(world(v))
	err := newSensor(t, ds18b20("", ""), b).Read(t.Context(), new(model.Sample))
	if !errors.Is(err, sensor.ErrWrongChip) {
		t.Fatal(err)
	}
	for _, rom := range []string{"28-0316a279f5ff", "28-0316a279f5fe", "28-0000000000a1"} {
		if !strings.Contains(err.Error(), rom) {
			t.Errorf("%v does not name %s", err, rom)
		}
	}
	delete(v, model.TemperatureC) // the others are unplugged
	b.Feed(world(v))
	var s model.Sample
	d := newSensor(t, ds18b20("", ""), b)
	if err := d.Read(t.Context(), &s); err != nil || s.Values[model.EquipmentTemperatureC] != 61.25 {
		t.Errorf("%g, %v", s.Values[model.EquipmentTemperatureC], err)
	}
}

// A reading does not wait for the conversion that it begins: it takes a small part of
// a tick, and says how old its value is.
func TestDS18B20DoesNotHoldUpTheTick(t *testing.T) {
	for _, tick := range []time.Duration{200 * time.Millisecond, time.Second, 2 * time.Second} {
		b := newBoard(t, oneWire())
		v := map[model.Channel]float64{model.EquipmentTemperatureC: 20}
		d := newSensor(t, ds18b20("28-0316a279f5ff", ""), b)
		fresh := 0
		for i := range 40 {
			v[model.EquipmentTemperatureC] = float64(20 + i)
			b.Feed(world(v))
			b.Advance(tick)
			begin := b.Now()
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			got, age := s.Values[model.EquipmentTemperatureC], time.Duration(s.AgeMs[model.EquipmentTemperatureC])*time.Millisecond
			if i == 0 { // awaits the first conversion
				continue
			}
			if took := b.Now() - begin; took > 120*time.Millisecond {
				t.Errorf("tick %v: a reading takes %v", tick, took)
			}
			if age > 2*time.Second+tick/4 || age <= 0 {
				t.Errorf("tick %v: a value of age %v", tick, age)
			}
			if behind := float64(20+i) - got; behind < 0 || behind > max(2, 2*float64(time.Second)/float64(tick)) {
				t.Errorf("tick %v: %g C while it is %d", tick, got, 20+i)
			}
			if age < time.Second+tick/4 {
				fresh++
			}
		}
		if fresh < 10 && tick <= time.Second {
			t.Errorf("tick %v: %d of 40 readings are fresh", tick, fresh)
		}
	}
}

// A conversion that is older than a few seconds is made anew.
func TestDS18B20AfterAPause(t *testing.T) {
	b := newBoard(t, oneWire())
	v := map[model.Channel]float64{model.EquipmentTemperatureC: 20}
	b.Feed(world(v))
	d := newSensor(t, ds18b20("28-0316a279f5ff", ""), b)
	if err := d.Read(t.Context(), new(model.Sample)); err != nil {
		t.Fatal(err)
	}
	b.Advance(10 * time.Second)
	v[model.EquipmentTemperatureC] = 90
	b.Feed(world(v))
	b.Advance(time.Hour)
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil || s.Values[model.EquipmentTemperatureC] != 90 || s.AgeMs[model.EquipmentTemperatureC] > 1000 {
		t.Errorf("%g C of age %d ms, %v", s.Values[model.EquipmentTemperatureC], s.AgeMs[model.EquipmentTemperatureC], err)
	}
}

func TestDS18B20Faults(t *testing.T) {
	const rom = "28-0316a279f5ff"
	for _, tt := range []struct {
		fault board.Fault
		want  error
	}{
		{board.Fault{Part: "ds2482@0x18", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "ds2482@0x18", Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: rom, Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: rom, Kind: board.Garbled}, sensor.ErrChecksum},
		{board.Fault{Part: rom, Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: rom, Kind: board.Hung}, sensor.ErrNoChip},
		{board.Fault{Part: rom, Kind: board.BrownOut}, sensor.ErrWrongChip},
		{board.Fault{Part: "ds2482@0x18", Kind: board.BrownOut}, sensor.ErrWrongChip},
	} {
		for _, alone := range []bool{false, true} {
			b := newBoard(t, oneWire())
			v := map[model.Channel]float64{model.EquipmentTemperatureC: 61.25}
			if !alone {
				v[model.TemperatureC] = 20
			}
			b.Feed(world(v))
			d := newSensor(t, ds18b20(rom, ""), b)
			read := func() (float64, error) {
				b.Advance(2 * time.Second)
				var s model.Sample
				err := d.Read(t.Context(), &s)
				got, _ := s.Get(model.EquipmentTemperatureC)
				return got, err
			}
			if got, err := read(); err != nil || got != 61.25 {
				t.Fatalf("healthy: %g, %v", got, err)
			}
			if err := b.Inject(tt.fault); err != nil {
				t.Fatal(err)
			}
			_, err := read()
			if tt.fault.Kind == board.StuckStatus && err == nil { // told at the next beginning
				_, err = read()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, alone %v: %v, want %v", tt.fault, alone, err, tt.want)
			}
			if tt.fault.Kind == board.Hung {
				b.BrownOut()
			}
			if err := b.Remove(tt.fault); err != nil {
				t.Fatal(err)
			}
			if got, err := read(); err != nil || got != 61.25 {
				t.Errorf("%v, alone %v, mended: %g, %v", tt.fault, alone, got, err)
			}
		}
	}
}

// A sensor without a supply of its own is refused before it converts, with what to do.
func TestDS18B20OnItsDataLine(t *testing.T) {
	layout := oneWire()
	layout.DS2482[0].Sensors[0].Parasitic = true
	b := newBoard(t, layout)
	b.Feed(world(map[model.Channel]float64{model.EquipmentTemperatureC: 61.25}))
	var s model.Sample
	err := newSensor(t, ds18b20("28-0316a279f5ff", ""), b).Read(t.Context(), &s)
	if err == nil || !strings.Contains(err.Error(), "connect VDD") || s.Validity[model.EquipmentTemperatureC] != model.SensorError {
		t.Errorf("%v, %v", err, s.Validity[model.EquipmentTemperatureC])
	}
}

// A bridge that is none is told from one.
func TestDS2482IsIdentified(t *testing.T) {
	b := newBoard(t, oneWire())
	b.Feed(world(map[model.Channel]float64{model.EquipmentTemperatureC: 61.25}))
	if err := b.Inject(board.Fault{Part: "ds2482@0x18", Kind: board.WrongChip}); err != nil {
		t.Fatal(err)
	}
	if err := newSensor(t, ds18b20("28-0316a279f5ff", ""), b).Read(t.Context(), new(model.Sample)); !errors.Is(err, sensor.ErrWrongChip) {
		t.Error(err)
	}
	for name, c := range map[string]board.DS2482{
		"twice":   {Address: 0x18, Sensors: []board.DS18B20{{Serial: 1, Channel: model.TemperatureC}, {Serial: 1, Channel: model.TemperatureC}}},
		"long":    {Address: 0x18, Sensors: []board.DS18B20{{Serial: 1 << 48, Channel: model.TemperatureC}}},
		"channel": {Address: 0x18, Sensors: []board.DS18B20{{Channel: model.PowerW}}},
	} {
		if _, err := board.New(board.Config{DS2482: []board.DS2482{c}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
