package board_test

import (
	"errors"
	"math"
	"slices"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/bmxx80"
	"periph.io/x/devices/v3/ina219"
	"pgregory.net/rapid"

	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

var (
	_ sensor.Buses    = (*board.Board)(nil)
	_ sensor.Clock    = (*board.Board)(nil)
	_ sensor.Counters = (*board.Board)(nil)
	_ sensor.Buses    = (*simbus.Client)(nil)
	_ sensor.Clock    = (*simbus.Client)(nil)
	_ sensor.Counters = (*simbus.Client)(nil)
)

// world is a sample with the given channels.
func world(values map[model.Channel]float64) *model.Sample {
	var s model.Sample
	for ch, v := range values {
		s.Set(ch, v)
	}
	return &s
}

func calm() map[model.Channel]float64 {
	return map[model.Channel]float64{
		model.TemperatureC: 21.5, model.HumidityPct: 48, model.PressureHPa: 1008.4,
		model.DCVoltageV: 380, model.DCCurrentA: 12.5,
		model.VoltageV: 231, model.CurrentA: 9.2, model.FrequencyHz: 49.98, model.THDPct: 2,
		model.WindSpeedMPS: 7, model.WindGustMPS: 11, model.PowerW: 2100,
	}
}

func newBoard(t testing.TB, cfg board.Config) *board.Board {
	t.Helper()
	b, err := board.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newSensors(t testing.TB, buses sensor.Buses) []sensor.Sensor {
	t.Helper()
	var all []sensor.Sensor
	for _, cfg := range sensor.StandardConfigs() {
		s, err := sensor.New(cfg, buses)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func near(t *rapid.T, what string, got, want, tolerance float64) {
	if !(math.Abs(got-want) <= tolerance) {
		t.Fatalf("%s = %.6g, want %.6g within %g", what, got, want, tolerance)
	}
}

// The drivers read any world back through the registers.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, lo, hi float64) float64 { return rapid.Float64Range(lo, hi).Draw(rt, name) }
		v := map[model.Channel]float64{
			model.TemperatureC: draw("t", -40, 64),
			model.HumidityPct:  draw("h", 5, 95),
			model.PressureHPa:  draw("p", 600, 1090),
			model.DCVoltageV:   draw("dcv", 0, 790),
			model.DCCurrentA:   draw("dca", -200, 200),
			model.VoltageV:     draw("v", 20, 420),
			model.CurrentA:     draw("a", 0, 130),
			model.FrequencyHz:  draw("f", 45, 65),
			model.THDPct:       draw("thd", 0, 8),
			model.WindSpeedMPS: draw("wind", 0, 60),
		}
		v[model.WindGustMPS] = v[model.WindSpeedMPS] * draw("gust factor", 1, 1.9)
		b, err := board.New(board.Standard())
		if err != nil {
			rt.Fatal(err)
		}
		sensors := newSensors(t, b)
		b.Feed(world(v))
		b.Advance(time.Minute)
		var s model.Sample
		for _, d := range sensors {
			if err := d.Read(t.Context(), &s); err != nil {
				rt.Fatal(err)
			}
			for _, ch := range d.Channels() {
				if s.Validity[ch] != model.Valid {
					rt.Fatalf("%s is %v: %g", ch, s.Validity[ch], s.Values[ch])
				}
			}
		}
		got := func(ch model.Channel) float64 { return s.Values[ch] }
		near(rt, "temperature", got(model.TemperatureC), v[model.TemperatureC], 0.01)
		near(rt, "humidity", got(model.HumidityPct), v[model.HumidityPct], 0.02)
		near(rt, "pressure", got(model.PressureHPa), v[model.PressureHPa], 0.01)
		near(rt, "dc voltage", got(model.DCVoltageV), v[model.DCVoltageV], 0.002*25+1e-9)
		near(rt, "dc current", got(model.DCCurrentA), v[model.DCCurrentA], 0.012)
		near(rt, "voltage", got(model.VoltageV), v[model.VoltageV], 0.02+0.004*v[model.VoltageV])
		near(rt, "current", got(model.CurrentA), v[model.CurrentA], 0.01+0.006*v[model.CurrentA])
		near(rt, "frequency", got(model.FrequencyHz), v[model.FrequencyHz], 0.006+0.006*v[model.THDPct])
		near(rt, "wind", got(model.WindSpeedMPS), v[model.WindSpeedMPS], 0.02+0.02*v[model.WindGustMPS])
		near(rt, "gust", got(model.WindGustMPS), v[model.WindGustMPS], 2.4/3.6/3+1e-9)
	})
}

// periph's drivers, which are not ours, read the same values from the chips.
func TestPeriphDrivers(t *testing.T) {
	b := newBoard(t, board.Standard())
	v := calm()
	v[model.DCVoltageV] = 300 // 12 V at the pin: within the 16 V that periph's driver sets
	b.Feed(world(v))
	i2c, err := b.I2C("sim")
	if err != nil {
		t.Fatal(err)
	}
	clocked := sleepingBus{i2c, b}
	dev, err := bmxx80.NewI2C(clocked, 0x76, &bmxx80.DefaultOpts)
	if err != nil {
		t.Fatal(err)
	}
	var e physic.Env
	if err := dev.Sense(&e); err != nil {
		t.Fatal(err)
	}
	if got := e.Temperature.Celsius(); math.Abs(got-21.5) > 0.01 {
		t.Errorf("temperature %g", got)
	}
	if got := float64(e.Pressure) / float64(physic.Pascal); math.Abs(got-100840) > 1 {
		t.Errorf("pressure %g", got)
	}
	if got := float64(e.Humidity) / float64(physic.PercentRH); math.Abs(got-48) > 0.02 {
		t.Errorf("humidity %g", got)
	}
	ina, err := ina219.New(clocked, &ina219.Opts{Address: 0x40, SenseResistor: 1500 * physic.MicroOhm, MaxCurrent: 200 * physic.Ampere})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ina.Sense()
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(m.Voltage) / float64(physic.Volt); math.Abs(got-12) > 0.002 {
		t.Errorf("voltage %g", got)
	}
	if got := float64(m.Current) / float64(physic.Ampere); math.Abs(got-12.5) > 0.02 {
		t.Errorf("current %g", got)
	}
}

// sleepingBus lets 5 ms of the board pass before each transfer: periph's
// drivers sleep on the wall's clock.
type sleepingBus struct {
	i2c.Bus
	b *board.Board
}

func (s sleepingBus) Tx(addr uint16, w, r []byte) error {
	s.b.Advance(5 * time.Millisecond)
	return s.Bus.Tx(addr, w, r)
}

// Every fault has its own answer, the channels are failed, and mending the part
// mends the reading; over the socket it is the same.
func TestFaults(t *testing.T) {
	tests := []struct {
		fault board.Fault
		want  error
	}{
		{board.Fault{Part: "bme280@0x76", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "bme280@0x76", Kind: board.WrongChip}, sensor.ErrWrongChip},
		{board.Fault{Part: "bme280@0x76", Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: "ina219@0x40", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "ina219@0x40", Kind: board.WrongChip}, sensor.ErrWrongChip},
		{board.Fault{Part: "ina219@0x40", Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: "ads1115@0x48", Kind: board.NoAnswer}, sensor.ErrNoChip},
		{board.Fault{Part: "ads1115@0x48", Kind: board.WrongChip}, sensor.ErrWrongChip},
		{board.Fault{Part: "ads1115@0x48", Kind: board.StuckStatus}, sensor.ErrNotReady},
		{board.Fault{Part: "ads1115@0x48", Kind: board.StuckValue}, sensor.ErrStuck},
		{board.Fault{Part: "ads1115@0x48", Kind: board.SlowBus, Delay: 10 * time.Millisecond}, sensor.ErrTooFewSamples},
		{board.Fault{Part: "ANEMO", Kind: board.NoAnswer}, syscall.ENXIO},
		{board.Fault{Part: "S0-1", Kind: board.NoAnswer}, syscall.ENXIO},
	}
	for _, remote := range []bool{false, true} {
		for _, tt := range tests {
			t.Run(tt.fault.Part+" "+string(tt.fault.Kind)+map[bool]string{true: " remote"}[remote], func(t *testing.T) {
				b := newBoard(t, board.Standard())
				b.Feed(world(calm()))
				b.Advance(time.Minute)
				var buses sensor.Buses = b
				if remote {
					buses = serve(t, b)
				}
				d := faulty(t, buses, tt.fault.Part)
				checkFault(t, b, d, tt.fault, tt.want)
			})
		}
	}
}

func faulty(t *testing.T, buses sensor.Buses, part string) sensor.Sensor {
	t.Helper()
	for i, cfg := range sensor.StandardConfigs() {
		desc := cfg.Describe()
		if desc.Name == part || desc.Address == part {
			return newSensors(t, buses)[i]
		}
	}
	if cfg, ok := extraSensors()[part]; ok {
		return newSensor(t, cfg, buses)
	}
	t.Fatalf("no sensor for %s", part)
	return nil
}

func checkFault(t *testing.T, b *board.Board, d sensor.Sensor, fault board.Fault, want error) {
	t.Helper()
	read := func() (model.Sample, error) {
		var s model.Sample
		err := d.Read(t.Context(), &s)
		return s, err
	}
	if _, err := read(); err != nil {
		t.Fatalf("healthy: %v", err)
	}
	if err := b.Inject(fault); err != nil {
		t.Fatal(err)
	}
	// A wrong chip is noticed at the next setup: it was exchanged with the supply
	// off.
	if fault.Kind == board.WrongChip {
		d = faulty(t, b, fault.Part)
	}
	s, err := read()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	var detail *sensor.Error
	if !errors.As(err, &detail) || detail.Chip == "" || detail.Op == "" {
		t.Fatalf("error without its place: %v", err)
	}
	for _, ch := range d.Channels() {
		if s.Validity[ch] == model.Valid {
			t.Errorf("%s is valid in a failed reading", ch)
		}
	}
	if err := b.Remove(fault); err != nil {
		t.Fatal(err)
	}
	s, err = read()
	if err != nil {
		t.Fatalf("mended: %v", err)
	}
	for _, ch := range d.Channels() {
		if s.Validity[ch] != model.Valid {
			t.Errorf("mended: %s is %v", ch, s.Validity[ch])
		}
	}
}

// A fault that a driver alone cannot see leaves a plausible constant. The
// plausibility rules find it.
func TestStuckValues(t *testing.T) {
	b := newBoard(t, board.Standard())
	b.Feed(world(calm()))
	b.Advance(time.Minute)
	sensors := newSensors(t, b)
	var before, after model.Sample
	for _, d := range sensors[:2] {
		if err := d.Read(t.Context(), &before); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"bme280@0x76", "ina219@0x40", "ANEMO"} {
		if err := b.Inject(board.Fault{Part: part, Kind: board.StuckValue}); err != nil {
			t.Fatal(err)
		}
	}
	v := calm()
	v[model.TemperatureC], v[model.DCVoltageV] = 35, 500
	b.Feed(world(v))
	b.Advance(time.Minute)
	for _, d := range sensors[:2] {
		if err := d.Read(t.Context(), &after); err != nil {
			t.Fatal(err)
		}
	}
	for _, ch := range []model.Channel{model.TemperatureC, model.DCVoltageV} {
		if before.Values[ch] != after.Values[ch] {
			t.Errorf("%s moved from %g to %g", ch, before.Values[ch], after.Values[ch])
		}
	}
	n, _, err := b.PulseCount("ANEMO")
	b.Advance(time.Minute)
	if m, _, _ := b.PulseCount("ANEMO"); err != nil || m != n {
		t.Errorf("stuck rotor counts %d after %d (%v)", m, n, err)
	}
}

func TestSlowBusStillReads(t *testing.T) {
	b := newBoard(t, board.Standard())
	b.Feed(world(calm()))
	if err := b.Inject(board.Fault{Part: "bme280@0x76", Kind: board.SlowBus, Delay: 5 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := newSensors(t, b)[0].Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if b.Now() < 40*time.Millisecond {
		t.Errorf("the slow bus took %v", b.Now())
	}
}

// A gap in the world is a fault of the sensor, never a number.
func TestMissingWorld(t *testing.T) {
	for _, tt := range []struct {
		missing []model.Channel
		sensor  int
		want    error
		left    []model.Channel
	}{
		{[]model.Channel{model.TemperatureC, model.HumidityPct, model.PressureHPa}, 0, sensor.ErrNoChip, nil},
		{[]model.Channel{model.HumidityPct}, 0, sensor.ErrSkipped, []model.Channel{model.TemperatureC, model.PressureHPa}},
		{[]model.Channel{model.PressureHPa}, 0, sensor.ErrSkipped, []model.Channel{model.TemperatureC, model.HumidityPct}},
		{[]model.Channel{model.DCCurrentA}, 1, sensor.ErrNoChip, nil},
		{[]model.Channel{model.VoltageV, model.CurrentA}, 2, sensor.ErrNoChip, nil},
		{[]model.Channel{model.CurrentA}, 2, sensor.ErrSaturated, []model.Channel{model.VoltageV, model.FrequencyHz}},
		{[]model.Channel{model.VoltageV}, 2, sensor.ErrSaturated, []model.Channel{model.CurrentA}},
		{[]model.Channel{model.WindSpeedMPS}, 3, syscall.ENXIO, nil},
	} {
		b := newBoard(t, board.Standard())
		v := calm()
		for _, ch := range tt.missing {
			delete(v, ch)
		}
		b.Feed(world(v))
		b.Advance(time.Minute)
		d := newSensors(t, b)[tt.sensor]
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, tt.want) {
			t.Errorf("without %v: %v, want %v", tt.missing, err, tt.want)
		}
		for _, ch := range d.Channels() {
			if want := slices.Contains(tt.left, ch); (s.Validity[ch] == model.Valid) != want {
				t.Errorf("without %v: %s is %v", tt.missing, ch, s.Validity[ch])
			}
		}
	}
}

func TestSaturation(t *testing.T) {
	b := newBoard(t, board.Standard())
	v := calm()
	v[model.DCVoltageV], v[model.CurrentA] = 900, 200
	b.Feed(world(v))
	b.Advance(time.Minute)
	sensors := newSensors(t, b)
	var s model.Sample
	for _, i := range []int{1, 2} {
		if err := sensors[i].Read(t.Context(), &s); !errors.Is(err, sensor.ErrSaturated) {
			t.Errorf("%s: %v", sensors[i].Name(), err)
		}
	}
	if _, ok := s.Get(model.VoltageV); !ok {
		t.Error("the voltage fails with the current's clamp")
	}
}

// With ALERT/RDY wired the chip runs continuously and gives the same numbers.
func TestReadyPin(t *testing.T) {
	for _, remote := range []bool{false, true} {
		b := newBoard(t, board.Standard())
		b.Feed(world(calm()))
		var buses sensor.Buses = b
		if remote {
			buses = serve(t, b)
		}
		cfg := sensor.StandardConfigs()[2]
		ads := cfg.Opts.(sensor.ADS1115Opts)
		ads.ReadyPin = "RDY"
		cfg.Opts = ads
		d, err := sensor.New(cfg, buses)
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if math.Abs(s.Values[model.VoltageV]-231) > 0.3 || math.Abs(s.Values[model.FrequencyHz]-49.98) > 0.01 || math.Abs(s.Values[model.CurrentA]-9.2) > 0.05 {
			t.Errorf("remote %v: %g V %g Hz %g A", remote, s.Values[model.VoltageV], s.Values[model.FrequencyHz], s.Values[model.CurrentA])
		}
		if err := b.Inject(board.Fault{Part: "ads1115@0x48", Kind: board.StuckStatus}); err != nil {
			t.Fatal(err)
		}
		if err := d.Read(t.Context(), &s); !errors.Is(err, sensor.ErrNotReady) {
			t.Errorf("dead ready line: %v", err)
		}
	}
}

func TestDeadLine(t *testing.T) {
	b := newBoard(t, board.Standard())
	v := calm()
	v[model.VoltageV], v[model.CurrentA] = 0, 0
	b.Feed(world(v))
	var s model.Sample
	if err := newSensors(t, b)[2].Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Get(model.VoltageV); !ok || got != 0 {
		t.Errorf("voltage %g %v", got, ok)
	}
	if s.Validity[model.FrequencyHz] != model.Absent {
		t.Errorf("a dead line has a frequency: %v", s.Validity[model.FrequencyHz])
	}
}

// All energy comes out as pulses, whatever the steps it went in by.
func TestEnergyConserved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, err := board.New(board.Standard())
		if err != nil {
			rt.Fatal(err)
		}
		d := newSensors(t, b)[4].(interface {
			sensor.Sensor
			EnergyWh() uint64
		})
		sum := 0.0
		for _, wh := range rapid.SliceOfN(rapid.Float64Range(0, 50), 1, 200).Draw(rt, "wh") {
			if err := b.AddEnergyWh("S0-1", wh); err != nil {
				rt.Fatal(err)
			}
			sum += wh
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			rt.Fatal(err)
		}
		near(rt, "register", float64(d.EnergyWh()), sum-0.5, 0.5+1e-6)
	})
}

func TestFollowPower(t *testing.T) {
	cfg := board.Standard()
	cfg.Meters[0].FollowPower = true
	b := newBoard(t, cfg)
	b.Feed(world(calm()))
	b.Advance(36 * time.Hour) // longer than bins are kept
	n, _, err := b.PulseCount("S0-1")
	if err != nil || n != 75600 {
		t.Errorf("2100 W over 36 h gave %d pulses (%v)", n, err)
	}
}

// Drivers' sleeps are part of the Advances, not on top of them.
func TestTimeAdds(t *testing.T) {
	b := newBoard(t, board.Standard())
	b.Feed(world(calm()))
	sensors := newSensors(t, b)
	var s model.Sample
	for range 20 {
		b.Advance(time.Second)
		for _, d := range sensors[:3] {
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.Advance(time.Second)
	if b.Now() != 21*time.Second {
		t.Errorf("clock at %v", b.Now())
	}
}

func TestBadConfigs(t *testing.T) {
	for name, cfg := range map[string]board.Config{
		"two chips":  {BME280: []board.BME280{{Address: 0x76}, {Address: 0x76}}},
		"address":    {BME280: []board.BME280{{Address: 0x80}}},
		"shunt":      {INA219: []board.INA219{{Address: 0x40}}},
		"input":      {ADS1115: []board.ADS1115{{Address: 0x48, Inputs: []board.Input{{AIN: 4, Scale: 1}}}}},
		"two pins":   {Meters: []board.Meter{{Pin: "A", ImpPerKWh: 1}, {Pin: "A", ImpPerKWh: 1}}},
		"no pulses":  {Meters: []board.Meter{{Pin: "A"}}},
		"no pin":     {Anemometers: []board.Anemometer{{MPSPerHz: 1}}},
		"frequency":  {NominalHz: math.NaN()},
		"same ready": {ADS1115: []board.ADS1115{{Address: 0x48, ReadyPin: "R"}, {Address: 0x49, ReadyPin: "R"}}},
	} {
		if _, err := board.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	b := newBoard(t, board.Standard())
	for _, f := range []board.Fault{{Part: "x", Kind: board.NoAnswer}, {Part: "ANEMO", Kind: board.WrongChip}, {Part: "ina219@0x40", Kind: "x"}} {
		if err := b.Inject(f); err == nil {
			t.Errorf("fault %v accepted", f)
		}
	}
	for _, wh := range []float64{-1, math.NaN(), math.Inf(1)} {
		if err := b.AddEnergyWh("S0-1", wh); err == nil {
			t.Errorf("%g Wh accepted", wh)
		}
	}
	if err := b.AddEnergyWh("ANEMO", 1); !errors.Is(err, simbus.ErrNoSuchPin) {
		t.Errorf("energy into an anemometer: %v", err)
	}
}
