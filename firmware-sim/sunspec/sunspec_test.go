package sunspec_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"pgregory.net/rapid"

	"fairwatt/agent/modbus"
	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/sunspec"
	"fairwatt/model"
)

// noBuses is a machine with a network only.
type noBuses struct{}

func (noBuses) I2C(string) (i2c.Bus, error)    { return nil, errors.New("no bus") }
func (noBuses) Pin(string) (gpio.PinIn, error) { return nil, errors.New("no pin") }

// serve runs a device on loopback for the test.
func serve(t testing.TB, cfg sunspec.Config) (*sunspec.Device, string) {
	t.Helper()
	d, err := sunspec.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return d, l.Addr().String()
}

// reader waits as long as a sensor may: a loaded machine is no fault of the device.
func reader(t testing.TB, endpoint string, channels ...model.Channel) *sensor.SunSpec {
	t.Helper()
	return hasty(t, endpoint, 10*time.Second, channels...)
}

// hasty waits no longer than the timeout.
func hasty(t testing.TB, endpoint string, timeout time.Duration, channels ...model.Channel) *sensor.SunSpec {
	t.Helper()
	cfg := sensor.Config{Kind: sensor.KindSunSpec, Address: 126, Opts: sensor.SunSpecOpts{Endpoint: endpoint, Channels: channels, Timeout: timeout}}
	d, err := sensor.New(cfg, noBuses{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Halt() })
	return d.(*sensor.SunSpec)
}

func world(v map[model.Channel]float64) *model.Sample {
	var s model.Sample
	for ch, v := range v {
		s.Set(ch, v)
	}
	return &s
}

var (
	inverterOnly = []model.Channel{model.DCVoltageV, model.DCCurrentA}
	everyModel   = []model.Channel{model.PowerW, model.FrequencyHz, model.PowerFactor, model.EnergyExportWh, model.EquipmentTemperatureC}
	meters       = []model.Channel{model.PowerW, model.FrequencyHz, model.PowerFactor, model.EnergyExportWh, model.EnergyImportWh}
	onePhase     = []model.Channel{model.VoltageV, model.CurrentA}
	threePhases  = []model.Channel{model.VoltageAV, model.VoltageBV, model.VoltageCV, model.CurrentAA, model.CurrentBA, model.CurrentCA}
	phasePowers  = []model.Channel{model.PowerAW, model.PowerBW, model.PowerCW, model.PowerFactorA, model.EnergyImportWh}
)

// Every model gives the world back, at any of the three bases, behind models that
// no reader knows.
func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		id       uint16
		channels []model.Channel
		float    bool
	}{
		{101, slices.Concat(everyModel, inverterOnly, onePhase), false},
		{102, slices.Concat(everyModel, inverterOnly, []model.Channel{model.VoltageAV, model.VoltageBV, model.CurrentBA}), false},
		{103, slices.Concat(everyModel, inverterOnly, threePhases), false},
		{111, slices.Concat(everyModel, inverterOnly, onePhase), true},
		{112, slices.Concat(everyModel, inverterOnly, []model.Channel{model.VoltageAV, model.VoltageBV, model.CurrentBA}), true},
		{113, slices.Concat(everyModel, inverterOnly, threePhases), true},
		{201, slices.Concat(meters, onePhase), false},
		{202, slices.Concat(meters, []model.Channel{model.VoltageAV, model.VoltageBV, model.CurrentBA, model.PowerBW}), false},
		{203, slices.Concat(meters, threePhases, phasePowers[:4]), false},
		{204, slices.Concat(meters, threePhases, phasePowers[:4]), false},
		{701, slices.Concat(everyModel, onePhase, threePhases, phasePowers), false},
	} {
		base := []int{40000, 0, 50000}[tt.id%3]
		device, addr := serve(t, sunspec.Config{Unit: 126, Base: base, Extra: []int{3, 40}, Models: []uint16{tt.id}, Serial: "SN-1"})
		d := reader(t, addr, tt.channels...)
		rapid.Check(t, func(rt *rapid.T) {
			draw := func(name string, lo, hi float64) float64 { return rapid.Float64Range(lo, hi).Draw(rt, name) }
			v := map[model.Channel]float64{
				model.PowerW: draw("w", -50e3, 200e3), model.FrequencyHz: draw("f", 45, 65), model.PowerFactor: draw("pf", -1, 1),
				model.EnergyExportWh: draw("wh", 1, 1e8), model.EnergyImportWh: draw("in", 1, 1e8),
				model.EquipmentTemperatureC: draw("tmp", -40, 120),
				model.DCVoltageV:            draw("dcv", 0, 1500), model.DCCurrentA: draw("dca", 0, 400),
			}
			for _, ch := range slices.Concat(onePhase, threePhases, phasePowers[:3]) {
				v[ch] = draw(ch.String(), 0, 600)
			}
			v[model.PowerFactorA] = draw("pfa", 0, 1)
			device.Feed(world(v))
			d.RestoreRegister(0) // each world has another register
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				rt.Fatal(err)
			}
			for _, ch := range tt.channels {
				got, ok := s.Get(ch)
				// Half a step: a fresh one just above 32767 steps of the finer scale.
				tolerance := 0.0005 + math.Abs(v[ch])/6000
				if ch == model.PowerW || ch == model.PowerAW || ch == model.PowerBW || ch == model.PowerCW {
					tolerance = 5.001
				}
				if tt.float {
					tolerance = 1e-5 + math.Abs(v[ch])*1e-6
				}
				if ch == model.VoltageV || ch == model.VoltageAV || ch == model.VoltageBV || ch == model.VoltageCV ||
					ch == model.CurrentA || ch == model.CurrentAA || ch == model.CurrentBA || ch == model.CurrentCA {
					tolerance = max(tolerance, 0.051)
				}
				if ch == model.EnergyExportWh || ch == model.EnergyImportWh {
					tolerance = max(tolerance, 0.51)
				}
				if !ok || math.Abs(got-v[ch]) > tolerance {
					rt.Fatalf("model %d: %s %g %v, want %g within %g", tt.id, ch, got, ok, v[ch], tolerance)
				}
			}
		})
		got := d.Device()
		if got.Manufacturer != "Fairwatt" || got.Serial != "SN-1" || !slices.Equal(got.Models, []uint16{1, 64900, 64901, tt.id}) {
			t.Errorf("model %d: %+v", tt.id, got)
		}
		if n := device.Refused(); n != 0 {
			t.Errorf("model %d: %d requests other than reads", tt.id, n)
		}
	}
}

func TestWeather(t *testing.T) {
	device, addr := serve(t, sunspec.Config{Unit: 126, Models: []uint16{307}, Base: 40000})
	d := reader(t, addr, model.TemperatureC, model.HumidityPct, model.PressureHPa, model.WindSpeedMPS, model.WindDirectionDeg)
	device.Feed(world(map[model.Channel]float64{
		model.TemperatureC: -1, model.HumidityPct: 81, model.PressureHPa: 1013.4, model.WindSpeedMPS: 12.4, model.WindDirectionDeg: 270,
	}))
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	for ch, want := range map[model.Channel]float64{
		model.TemperatureC: -1, model.HumidityPct: 81, model.PressureHPa: 1013, model.WindSpeedMPS: 12, model.WindDirectionDeg: 270,
	} {
		if got, ok := s.Get(ch); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s %g %v, want %g", ch, got, ok, want)
		}
	}
}

// Faults are errors of their own kind, every channel is failed, nothing hangs,
// and the device is read again once it is mended.
func TestFaults(t *testing.T) {
	defer goleak.VerifyNone(t)
	var refused *modbus.Exception
	for fault, want := range map[sunspec.Fault]func(error) bool{
		sunspec.Silent:        func(err error) bool { return errors.Is(err, sensor.ErrNotReady) },
		sunspec.Slow:          func(err error) bool { return errors.Is(err, sensor.ErrNotReady) },
		sunspec.Busy:          func(err error) bool { return errors.As(err, &refused) && refused.Code == 6 },
		sunspec.Cut:           func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		sunspec.WrongLength:   func(err error) bool { return err != nil },
		sunspec.WrongAnswer:   func(err error) bool { return err != nil },
		sunspec.Garbage:       func(err error) bool { return err != nil },
		sunspec.BadScale:      func(err error) bool { return err != nil },
		sunspec.Unimplemented: func(err error) bool { return errors.Is(err, sensor.ErrSkipped) },
		sunspec.Moved:         func(err error) bool { return errors.Is(err, sensor.ErrWrongChip) },
	} {
		t.Run(string(fault), func(t *testing.T) {
			device, addr := serve(t, sunspec.Config{Unit: 126, Models: []uint16{101}, Base: 40000})
			device.Feed(world(map[model.Channel]float64{model.PowerW: 2500, model.FrequencyHz: 50, model.VoltageV: 230}))
			d := hasty(t, addr, 300*time.Millisecond, model.PowerW, model.FrequencyHz, model.VoltageV)
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			if err := device.Inject(fault); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := d.Read(t.Context(), &s); !want(err) {
				t.Errorf("%v", err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			for _, ch := range d.Channels() {
				if s.Validity[ch] != model.SensorError {
					t.Errorf("%s is %v", ch, s.Validity[ch])
				}
			}
			if err := device.Remove(fault); err != nil {
				t.Fatal(err)
			}
			err := d.Read(t.Context(), &s)
			if fault == sunspec.Moved { // it has moved back
				err = d.Read(t.Context(), &s)
			}
			if v, ok := s.Get(model.PowerW); err != nil || !ok || v != 2500 {
				t.Errorf("mended: %g %v, %v", v, ok, err)
			}
		})
	}
}

// What is wrong from the start.
func TestNoDevice(t *testing.T) {
	for fault, want := range map[sunspec.Fault]error{sunspec.NoMarker: sensor.ErrWrongChip, sunspec.NoEnd: nil} {
		device, addr := serve(t, sunspec.Config{Unit: 126, Models: []uint16{101}, Base: 0})
		if err := device.Inject(fault); err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := reader(t, addr, model.PowerW).Read(t.Context(), &s); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", fault, err)
		}
	}
	_, addr := serve(t, sunspec.Config{Unit: 126, Models: []uint16{307}, Base: 0})
	var s model.Sample
	if err := reader(t, addr, model.PowerW).Read(t.Context(), &s); !errors.Is(err, sensor.ErrSkipped) {
		t.Errorf("a weather station without power: %v", err)
	}
	_, addr = serve(t, sunspec.Config{Unit: 126, Extra: []int{5}, Base: 0})
	if err := reader(t, addr, model.PowerW).Read(t.Context(), &s); !errors.Is(err, sensor.ErrWrongChip) {
		t.Errorf("no known model: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	d := reader(t, addr, model.PowerW)
	for range 2 { // the second time without trying
		if err := d.Read(t.Context(), &s); !errors.Is(err, sensor.ErrNoChip) {
			t.Errorf("no listener: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, addr = serve(t, sunspec.Config{Unit: 126, Models: []uint16{101}, Base: 0})
	if err := reader(t, addr, model.PowerW).Read(ctx, &s); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// pipes dials a device without a network, so that a test has its own time.
type pipes struct {
	noBuses
	device *sunspec.Device
	dialed int
}

func (p *pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	p.dialed++
	here, there := net.Pipe()
	go p.device.ServeConn(context.Background(), there)
	return here, ctx.Err()
}

// A device that takes a second for each answer is found through over several
// Reads, none of which takes longer than the caller allows.
func TestSlowDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, err := sunspec.New(sunspec.Config{Unit: 1, Base: 0, Extra: make([]int, 9), Models: []uint16{101}})
		if err != nil {
			t.Fatal(err)
		}
		if err := device.Inject(sunspec.Slow); err != nil {
			t.Fatal(err)
		}
		device.Feed(world(map[model.Channel]float64{model.PowerW: 700}))
		cfg := sensor.Config{Kind: sensor.KindSunSpec, Opts: sensor.SunSpecOpts{Endpoint: "x:502", Channels: []model.Channel{model.PowerW}, Timeout: 5 * time.Second}}
		d, err := sensor.New(cfg, &pipes{device: device})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		reads := 0
		for err = errors.New("none yet"); err != nil && reads < 40; reads++ {
			ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			start := time.Now()
			err = d.Read(ctx, &s)
			cancel()
			if took := time.Since(start); took > 3500*time.Millisecond {
				t.Errorf("read %d took %v", reads, took)
			}
			time.Sleep(time.Second)
		}
		if err != nil || s.Values[model.PowerW] != 700 {
			t.Errorf("after %d reads: %g W, %v", reads, s.Values[model.PowerW], err)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second) // in the bubble: the device sees that we hung up
	})
}

// A device that has gone silent is asked three times in a row, then every 5 s.
func TestSilentDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, err := sunspec.New(sunspec.Config{Unit: 1, Models: []uint16{101}})
		if err != nil {
			t.Fatal(err)
		}
		if err := device.Inject(sunspec.Silent); err != nil {
			t.Fatal(err)
		}
		buses := &pipes{device: device}
		d, err := sensor.New(sensor.Config{Kind: sensor.KindSunSpec, Opts: sensor.SunSpecOpts{Endpoint: "x:502"}}, buses)
		if err != nil {
			t.Fatal(err)
		}
		start, slow := time.Now(), 0
		for time.Since(start) < time.Minute {
			var s model.Sample
			before := time.Now()
			if err := d.Read(t.Context(), &s); !errors.Is(err, sensor.ErrNotReady) {
				t.Fatal(err)
			}
			if time.Since(before) > 0 {
				slow++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if buses.dialed != slow || slow < 10 || slow > 15 {
			t.Errorf("%d reads of a minute had to wait, %d connections", slow, buses.dialed)
		}
	})
}

func TestBadConfigs(t *testing.T) {
	for name, cfg := range map[string]sunspec.Config{
		"unit":  {Unit: 0, Base: 0},
		"base":  {Unit: 1, Base: 7},
		"model": {Unit: 1, Models: []uint16{9}},
		"extra": {Unit: 1, Extra: []int{-1}},
		"many":  {Unit: 1, Models: make([]uint16, 0), Extra: make([]int, 17)},
	} {
		if _, err := sunspec.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	d, err := sunspec.New(sunspec.Config{Unit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Inject("x"); err == nil {
		t.Error("unknown fault accepted")
	}
}

// FuzzServer: whatever a client sends, the device answers within bounds or
// hangs up, and does not write anything.
func FuzzServer(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 6, 126, 3, 0x9C, 0x40, 0, 2})
	f.Add([]byte{0, 1, 0, 0, 0, 6, 126, 6, 0x9C, 0x40, 0, 2})
	f.Add([]byte{0, 1, 0, 0, 0, 6, 126, 3, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := sunspec.New(sunspec.Config{Unit: 126, Base: 40000, Models: []uint16{103}})
		if err != nil {
			t.Fatal(err)
		}
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() { d.ServeConn(context.Background(), there); close(done) }()
		go func() { _, _ = here.Write(data); _ = here.Close() }()
		out, err := io.ReadAll(here)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
		if len(out) > 64*len(data) {
			t.Fatalf("%d bytes for %d", len(out), len(data))
		}
		<-done
	})
}
