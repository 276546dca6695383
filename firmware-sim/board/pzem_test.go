package board_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/agent/modbus"
	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

var (
	_ sensor.Serials = (*board.Board)(nil)
	_ sensor.Serials = (*simbus.Client)(nil)
)

// threePhases is a board with a meter a phase on one line.
func threePhases() (board.Config, []sensor.Config) {
	var layout board.Config
	var sensors []sensor.Config
	for i, phase := range []string{"a", "b", "c"} {
		layout.PZEM = append(layout.PZEM, board.PZEM{Port: "RS485", Address: byte(i + 1), Phase: phase})
		sensors = append(sensors, sensor.Config{Kind: sensor.KindPZEM, Address: uint16(i + 1), Opts: sensor.PZEMOpts{Port: "RS485", Phase: phase}})
	}
	return layout, sensors
}

func onePhase() board.Config {
	return board.Config{PZEM: []board.PZEM{{Port: "RS485", Address: 5}}}
}

var pzemConfig = sensor.Config{Kind: sensor.KindPZEM, Address: 5, Opts: sensor.PZEMOpts{Port: "RS485"}}

func TestPZEMRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, lo, hi float64) float64 { return rapid.Float64Range(lo, hi).Draw(rt, name) }
		v := map[model.Channel]float64{
			model.VoltageV: draw("v", 80, 260), model.CurrentA: draw("a", 0, 100), model.PowerFactor: draw("pf", 0, 1),
			model.FrequencyHz: draw("f", 45, 65),
		}
		v[model.PowerW] = v[model.VoltageV] * v[model.CurrentA] * v[model.PowerFactor]
		b, err := board.New(onePhase())
		if err != nil {
			rt.Fatal(err)
		}
		b.Feed(world(v))
		b.Advance(10 * time.Hour)
		var s model.Sample
		if err := newSensor(t, pzemConfig, b).Read(t.Context(), &s); err != nil {
			rt.Fatal(err)
		}
		near(rt, "voltage", s.Values[model.VoltageV], v[model.VoltageV], 0.05+1e-9)
		near(rt, "current", s.Values[model.CurrentA], v[model.CurrentA], 0.01)
		near(rt, "power", s.Values[model.PowerW], v[model.PowerW], 0.4)
		near(rt, "power factor", s.Values[model.PowerFactor], v[model.PowerFactor], 0.005+1e-9)
		near(rt, "frequency", s.Values[model.FrequencyHz], v[model.FrequencyHz], 0.05+1e-9)
		near(rt, "energy", s.Values[model.EnergyExportWh], 10*v[model.PowerW], 5)
	})
}

// Three meters on one line, read in turn: phase channels, one frequency.
func TestThreePhasePZEM(t *testing.T) {
	for _, remote := range []bool{false, true} {
		layout, configs := threePhases()
		b := newBoard(t, layout)
		b.Feed(world(map[model.Channel]float64{
			model.VoltageAV: 231, model.VoltageBV: 229.5, model.VoltageCV: 207,
			model.CurrentAA: 4, model.CurrentBA: 5, model.CurrentCA: 80,
			model.FrequencyHz: 49.9,
		}))
		var buses sensor.Buses = b
		if remote {
			buses = serve(t, b)
		}
		var s model.Sample
		for _, cfg := range configs {
			if err := newSensor(t, cfg, buses).Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
		}
		for ch, want := range map[model.Channel]float64{
			model.VoltageAV: 231, model.VoltageBV: 229.5, model.VoltageCV: 207, model.CurrentCA: 80,
			model.PowerCW: 16560, model.PowerFactorB: 1, model.FrequencyHz: 49.9,
		} {
			if got, ok := s.Get(ch); !ok || math.Abs(got-want) > 1e-6 {
				t.Errorf("remote %v: %s %g %v, want %g", remote, ch, got, ok, want)
			}
		}
		if s.Validity[model.VoltageV] != model.Absent {
			t.Error("phases give a voltage without a phase")
		}
	}
}

// Two ADS1115 give three phases and the neutral's current.
func TestThreePhaseADS1115(t *testing.T) {
	layout := board.Config{ADS1115: []board.ADS1115{
		{Address: 0x48, Inputs: []board.Input{{AIN: 0, Channel: model.VoltageAV, Scale: 325}, {AIN: 1, Channel: model.VoltageBV, Scale: 325}, {AIN: 2, Channel: model.VoltageCV, Scale: 325}}},
		{Address: 0x49, Inputs: []board.Input{{AIN: 0, Channel: model.CurrentAA, Scale: 100}, {AIN: 1, Channel: model.CurrentBA, Scale: 100}, {AIN: 2, Channel: model.CurrentCA, Scale: 100}, {AIN: 3, Channel: model.CurrentNA, Scale: 100}}},
	}}
	v := map[model.Channel]float64{
		model.VoltageAV: 230, model.VoltageBV: 228, model.VoltageCV: 205, model.FrequencyHz: 50.02,
		model.CurrentAA: 12, model.CurrentBA: 30, model.CurrentCA: 3, model.CurrentNA: 1.5,
	}
	var configs []sensor.Config
	for _, chip := range layout.ADS1115 {
		var o sensor.ADS1115Opts
		for _, in := range chip.Inputs {
			o.Inputs = append(o.Inputs, sensor.InputConfig{Channel: in.Channel, Input: fmt.Sprint(in.AIN), Scale: in.Scale})
		}
		configs = append(configs, sensor.Config{Kind: sensor.KindADS1115, Address: chip.Address, Opts: o})
	}
	b := newBoard(t, layout)
	b.Feed(world(v))
	var s model.Sample
	for _, cfg := range configs {
		if err := newSensor(t, cfg, b).Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
	}
	for ch, want := range v {
		if got, ok := s.Get(ch); !ok || math.Abs(got-want) > 0.01+0.006*want {
			t.Errorf("%s %g %v, want %g", ch, got, ok, want)
		}
	}
}

func TestPZEMFaults(t *testing.T) {
	var refused *modbus.Exception
	for _, tt := range []struct {
		fault board.Fault
		want  error
	}{
		{board.Fault{Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Kind: board.Garbled}, sensor.ErrChecksum},
		{board.Fault{Kind: board.SlowBus, Delay: time.Second}, sensor.ErrNoChip},
		{board.Fault{Kind: board.WrongChip}, nil}, // refuses
	} {
		for _, remote := range []bool{false, true} {
			tt.fault.Part = "pzem@RS485/0x05"
			b := newBoard(t, onePhase())
			b.Feed(world(calm()))
			var buses sensor.Buses = b
			if remote {
				buses = serve(t, b)
			}
			d := newSensor(t, pzemConfig, buses)
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			if err := b.Inject(tt.fault); err != nil {
				t.Fatal(err)
			}
			err := d.Read(t.Context(), &s)
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && !errors.As(err, &refused) {
				t.Errorf("remote %v, %s: %v", remote, tt.fault.Kind, err)
			}
			if s.Validity[model.VoltageV] != model.SensorError {
				t.Errorf("%s: voltage is %v", tt.fault.Kind, s.Validity[model.VoltageV])
			}
			if err := b.Remove(tt.fault); err != nil {
				t.Fatal(err)
			}
			b.Advance(5 * time.Second) // a late answer lies in the line now
			if err := d.Read(t.Context(), &s); err != nil {
				t.Errorf("remote %v, %s mended: %v", remote, tt.fault.Kind, err)
			}
		}
	}
}

func TestPZEMLine(t *testing.T) {
	b := newBoard(t, onePhase())
	v := calm()
	b.Feed(world(v))
	anyone := pzemConfig
	anyone.Address = 0xF8
	var s model.Sample
	if err := newSensor(t, anyone, b).Read(t.Context(), &s); err != nil {
		t.Errorf("the only one on the line: %v", err)
	}
	other := pzemConfig
	other.Address = 6
	if err := newSensor(t, other, b).Read(t.Context(), &s); !errors.Is(err, sensor.ErrNoChip) {
		t.Errorf("an address without a meter: %v", err)
	}
	v[model.VoltageV] = 0 // it lives off the line
	b.Feed(world(v))
	if err := newSensor(t, pzemConfig, b).Read(t.Context(), &s); !errors.Is(err, sensor.ErrNoChip) {
		t.Errorf("dead line: %v", err)
	}
	layout, _ := threePhases()
	b = newBoard(t, layout)
	b.Feed(world(map[model.Channel]float64{model.VoltageAV: 230, model.CurrentAA: 1, model.VoltageBV: 229, model.CurrentBA: 2}))
	if err := newSensor(t, anyone, b).Read(t.Context(), &s); !errors.Is(err, sensor.ErrChecksum) {
		t.Errorf("two answer at once: %v", err)
	}
	wrong := pzemConfig
	wrong.Opts = sensor.PZEMOpts{Port: "COM9"}
	for _, buses := range []sensor.Buses{b, serve(t, b)} {
		if _, err := sensor.New(wrong, buses); !errors.Is(err, simbus.ErrNoSuchPort) {
			t.Errorf("missing line: %v", err)
		}
	}
	for name, c := range map[string][]board.PZEM{
		"two at one address": {{Port: "X", Address: 1}, {Port: "X", Address: 1}},
		"address":            {{Port: "X", Address: 0xF8}},
		"phase":              {{Port: "X", Address: 1, Phase: "d"}},
		"port":               {{Address: 1}},
	} {
		if _, err := board.New(board.Config{PZEM: c}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A PZEM shows 0.1 Hz. On a quiet grid it says 50.0 for hours, and is not stuck: an
// hour without a disturbance is an open hour.
func TestQuietGridIsNotStuck(t *testing.T) {
	for _, hz := range []float64{50, 60} {
		b := newBoard(t, board.Config{PZEM: []board.PZEM{{Port: "METER", Address: 1}}, NominalHz: hz})
		d := newSensor(t, sensor.Config{Kind: sensor.KindPZEM, Opts: sensor.PZEMOpts{Port: "METER"}}, b)
		cfg := model.DefaultConfig()
		cfg.SetNominal(230, hz)
		cfg.Channels = d.Channels()
		cfg.Required = []model.Channel{model.FrequencyHz, model.VoltageV}
		judge, err := model.NewJudge(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		open, ticks := 0, 0
		for i := range 3 * 3600 {
			v := calm()
			v[model.FrequencyHz] = hz + 0.015*rng.NormFloat64()
			v[model.VoltageV] = 231 + rng.NormFloat64()
			delete(v, model.PowerW)
			b.Feed(world(v))
			b.Advance(time.Second)
			s := model.Sample{TimeMs: b.Now().Milliseconds()}
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			judge.Step(&s)
			if i >= 400 {
				ticks++
				if judge.State() == model.StateOpen {
					open++
				}
			}
		}
		if open*100 < ticks*99 {
			t.Errorf("%g Hz: open in %d of %d seconds: %s", hz, open, ticks, judge.View().Reason)
		}
	}
}
