package board_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"pgregory.net/rapid"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// busy is a machine that is away for 300 ms of each second.
func busy(hz float64, seed uint64) board.Kernel {
	return board.Kernel{EdgesOnly: true, StallEvery: time.Second, StallFor: 300 * time.Millisecond, BusHz: hz, Seed: seed}
}

var _ sensor.EdgeLines = (*board.Board)(nil)

// withReadyPin is the standard ADS1115, with or without its ready pin.
func withReadyPin(pin string) sensor.Config {
	cfg := sensor.StandardConfigs()[2]
	ads := cfg.Opts.(sensor.ADS1115Opts)
	ads.ReadyPin = pin
	cfg.Opts = ads
	return cfg
}

// On a busy machine, whatever the speed of its bus and of the chip's own clock, an
// ADS1115 reads right or says that it cannot; and it can nearly always.
func TestADS1115OnABusyMachine(t *testing.T) {
	for _, pin := range []string{"RDY", ""} {
		for _, busHz := range []float64{100e3, 400e3} {
			for _, rate := range []float64{-0.08, 0, 0.08} {
				t.Run(fmt.Sprintf("pin %q, %g kHz, rate %g", pin, busHz/1e3, rate), func(t *testing.T) {
					layout := board.Standard()
					layout.Kernel = busy(busHz, 7)
					layout.ADS1115[0].RateError = rate
					b := newBoard(t, layout)
					d := newSensor(t, withReadyPin(pin), b)
					defer d.Halt()
					v := calm()
					v[model.THDPct] = 0
					failed, worst := 0, 0.0
					hertz, volts := 0.02, 0.5
					if pin == "" { // 380 conversions a second, each timed by this machine
						hertz, volts = 0.03, 0.8
					}
					const readings = 120
					for i := range readings {
						hz := 49.9 + 0.2*float64(i%17)/17
						v[model.FrequencyHz] = hz
						b.Feed(world(v))
						b.Advance(time.Second)
						var s model.Sample
						if err := d.Read(t.Context(), &s); err != nil {
							failed++
							continue
						}
						worst = max(worst, math.Abs(s.Values[model.FrequencyHz]-hz))
						if got := s.Values[model.VoltageV]; math.Abs(got-231) > volts {
							t.Errorf("reading %d: %g V", i, got)
						}
						if got := s.Values[model.CurrentA]; math.Abs(got-9.2) > 0.05 {
							t.Errorf("reading %d: %g A", i, got)
						}
					}
					if worst > hertz {
						t.Errorf("frequency wrong by %.3f Hz", worst)
					}
					if failed > readings/100 {
						t.Errorf("%d of %d readings failed", failed, readings)
					}
				})
			}
		}
	}
}

// An hour without a disturbance, on a busy machine: the gate is open.
func TestGateStaysOpenOnABusyMachine(t *testing.T) {
	layout := board.Standard()
	layout.Kernel = busy(100e3, 11)
	b := newBoard(t, layout)
	d := newSensor(t, withReadyPin("RDY"), b)
	defer d.Halt()
	cfg := model.DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.Channels = d.Channels()
	cfg.Required = model.RequiredOf(cfg.Channels)
	judge, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	open, ticks := 0, 0
	for i := range 3600 + 300 { // after five minutes of start
		v := calm()
		v[model.FrequencyHz] = 50 + 0.02*math.Sin(float64(i)/7)
		b.Feed(world(v))
		b.Advance(time.Second)
		s := model.Sample{TimeMs: b.Now().Milliseconds()}
		_ = d.Read(t.Context(), &s) // an error is in the sample
		judge.Step(&s)
		if i >= 300 {
			ticks++
			if judge.State() == model.StateOpen {
				open++
			}
		}
	}
	if open*100 < ticks*99 {
		t.Errorf("open in %d of %d seconds: %v", open, ticks, judge.View().Causes)
	}
}

// Pulses are counted whole while the machine is away for 300 ms of each second:
// with a queue that holds them, with one that does not, and with bouncing contacts.
func TestPulsesOnABusyMachine(t *testing.T) {
	for _, bounces := range []int{0, 2} {
		for _, queue := range []int{16, 1024} {
			t.Run(fmt.Sprintf("%d bounces, queue of %d", bounces, queue), func(t *testing.T) {
				layout := board.Standard()
				layout.Kernel = busy(0, 3)
				layout.Kernel.QueueEdges = queue
				layout.Meters[0].FollowPower = true
				layout.Anemometers[0].Bounces, layout.Anemometers[0].BounceFor = bounces, 2*time.Millisecond
				layout.Meters[0].Bounces, layout.Meters[0].BounceFor = bounces, 2*time.Millisecond
				b := newBoard(t, layout)
				wind := newSensor(t, sensor.StandardConfigs()[3], b)
				defer wind.Halt()
				meter := newSensor(t, sensor.StandardConfigs()[4], b).(*sensor.S0)
				defer meter.Halt()
				v := calm()
				v[model.PowerW], v[model.WindSpeedMPS], v[model.WindGustMPS] = 36_000, 40, 40 // ten pulses a second, 60 turns
				sum, n := 0.0, 0
				var s model.Sample
				for i := range 600 {
					b.Feed(world(v))
					b.Advance(time.Second)
					if err := meter.Read(t.Context(), &s); err != nil {
						t.Fatal(err)
					}
					if i < 10 {
						continue
					}
					if err := wind.Read(t.Context(), &s); err != nil {
						t.Fatal(err)
					}
					sum, n = sum+s.Values[model.WindSpeedMPS], n+1
					if gust := s.Values[model.WindGustMPS]; gust < 39 || gust > 42 {
						t.Fatalf("gust %g of 40 m/s", gust)
					}
				}
				b.Advance(time.Second - 300*time.Millisecond) // out of a stall
				if mean := sum / float64(n); math.Abs(mean-40) > 0.04 {
					t.Errorf("mean wind %.3f of 40 m/s", mean)
				}
				if err := meter.Read(t.Context(), &s); err != nil {
					t.Fatal(err)
				}
				if want := 6007.0; math.Abs(float64(meter.EnergyWh())-want) > want/1000 {
					t.Errorf("%d Wh of %g", meter.EnergyWh(), want)
				}
			})
		}
	}
}

// brownOutWorld is what the chips of allChips measure.
func brownOutWorld() map[model.Channel]float64 {
	v := calm()
	v[model.EquipmentTemperatureC] = 61.25
	v[model.THDPct] = 0
	v[model.VibrationMPS2], v[model.IrradianceWPM2] = 6, 700
	return v
}

// allChips is a board with every chip, and the sensors on it.
func allChips() (board.Config, map[string]sensor.Config) {
	layout := board.Standard()
	layout.BME280 = []board.BME280{{Address: 0x77}}
	layout.TMP102 = []board.TMP102{{Address: 0x49, Channel: model.EquipmentTemperatureC}}
	layout.SHT4x = []board.SHT4x{{Address: 0x44}}
	layout.MCP9808 = []board.MCP9808{{Address: 0x18, Channel: model.EquipmentTemperatureC}}
	layout.DS2482 = []board.DS2482{{Address: 0x19, Sensors: []board.DS18B20{{Serial: 0xA1, Channel: model.EquipmentTemperatureC}}}}
	layout.LM75 = []board.LM75{{Address: 0x4A, Channel: model.EquipmentTemperatureC}}
	layout.ADXL345 = []board.ADXL345{{Address: 0x53}}
	layout.BH1750 = []board.BH1750{{Address: 0x23, LuxPerWPM2: 120}}
	layout.AS3935 = []board.AS3935{{Address: 0x03, BestCap: 5}}
	std := sensor.StandardConfigs()
	return layout, map[string]sensor.Config{
		"bme280@0x77":  {Kind: sensor.KindBME280, Address: 0x77},
		"ina219@0x40":  std[1],
		"ads1115@0x48": withReadyPin("RDY"),
		"tmp102@0x49":  {Kind: sensor.KindTMP102, Address: 0x49},
		"sht4x@0x44":   {Kind: sensor.KindSHT4x},
		"mcp9808@0x18": {Kind: sensor.KindMCP9808},
		"ds2482@0x19":  {Kind: sensor.KindDS18B20, Address: 0x19},
		"lm75@0x4a":    {Kind: sensor.KindLM75, Address: 0x4A},
		"adxl345@0x53": {Kind: sensor.KindADXL345},
		"bh1750@0x23":  {Kind: sensor.KindBH1750},
		"as3935@0x03":  {Kind: sensor.KindAS3935, Opts: sensor.AS3935Opts{TuningCap: 5}},
	}
}

// checkReading sees that what a sensor calls valid is so.
func checkReading(t *rapid.T, s *model.Sample, d sensor.Sensor, v map[model.Channel]float64) {
	for _, ch := range d.Channels() {
		got, ok := s.Get(ch)
		if !ok || ch == model.LightningCount {
			continue
		}
		near(t, ch.String(), got, v[ch], 0.1+0.006*math.Abs(v[ch]))
	}
}

// Whenever the supply dips, in the middle of a reading too, no chip gives a value
// that is not there, and each is back with the reading after the next.
func TestBrownOutNeverGivesAFalseValue(t *testing.T) {
	layout, sensors := allChips()
	for part, cfg := range sensors {
		for _, polled := range []bool{false, true} {
			if polled && cfg.Kind != sensor.KindADS1115 {
				continue
			}
			if polled {
				cfg = withReadyPin("")
			}
			within := 25 // transfers of twelve readings, at least
			if cfg.Kind == sensor.KindADS1115 {
				within = 1500
			}
			t.Run(part+map[bool]string{true: " polled"}[polled], func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					b, err := board.New(layout)
					if err != nil {
						rt.Fatal(err)
					}
					v := brownOutWorld()
					b.Feed(world(v))
					bus := &dipping{Board: b, dipAt: rapid.IntRange(1, within).Draw(rt, "transfer")}
					d, err := sensor.New(cfg, bus)
					if err != nil {
						rt.Fatal(err)
					}
					failedAfter := 0
					for range 12 {
						b.Advance(time.Second)
						var s model.Sample
						dipped := bus.dipped
						err := d.Read(t.Context(), &s)
						checkReading(rt, &s, d, v)
						if err != nil && dipped {
							failedAfter++
						}
					}
					if !bus.dipped {
						rt.Fatalf("no dip in %d transfers", bus.n)
					}
					if failedAfter > 1 {
						rt.Fatalf("%d readings failed after the dip", failedAfter)
					}
				})
			})
		}
	}
}

// dipping is a board whose supply dips before a transfer.
type dipping struct {
	*board.Board
	n, dipAt int
	dipped   bool
}

func (d *dipping) I2C(name string) (i2c.Bus, error) {
	bus, err := d.Board.I2C(name)
	return dippingBus{bus, d}, err
}

type dippingBus struct {
	i2c.Bus
	d *dipping
}

func (b dippingBus) Tx(addr uint16, w, r []byte) error {
	if b.d.n++; b.d.n == b.d.dipAt {
		b.d.dipped = true
		b.d.BrownOut()
	}
	return b.Bus.Tx(addr, w, r)
}

// A locked bus is told as one, not as a missing chip, by every sensor on it; over
// the socket too. It is back when the bus is.
func TestLockedBus(t *testing.T) {
	layout, sensors := allChips()
	for part, cfg := range sensors {
		for _, remote := range []bool{false, true} {
			b := newBoard(t, layout)
			b.Feed(world(brownOutWorld()))
			b.Advance(time.Minute)
			var buses sensor.Buses = b
			if remote {
				buses = serve(t, b)
			}
			d := newSensor(t, cfg, buses)
			lock := board.Fault{Part: board.BusPart, Kind: board.Locked}
			if err := b.Inject(lock); err != nil {
				t.Fatal(err)
			}
			var s model.Sample
			if err := d.Read(t.Context(), &s); !errors.Is(err, sensor.ErrBusLocked) || errors.Is(err, sensor.ErrNoChip) {
				t.Errorf("%s, remote %v: %v", part, remote, err)
			}
			if err := b.Remove(lock); err != nil {
				t.Fatal(err)
			}
			if err := d.Read(t.Context(), &s); err != nil {
				t.Errorf("%s, remote %v, mended: %v", part, remote, err)
			}
		}
	}
	b := newBoard(t, layout)
	for _, f := range []board.Fault{{Part: board.BusPart, Kind: board.NoAnswer}, {Part: "bme280@0x77", Kind: board.Locked}, {Part: "ANEMO", Kind: board.BrownOut}} {
		if err := b.Inject(f); err == nil {
			t.Errorf("%v is accepted", f)
		}
	}
}

// A locked bus and a chip that hangs come back when their supply has been away, and
// not before; a gap that the capacitors bridge is none. Without its supply no chip
// answers.
func TestSupply(t *testing.T) {
	layout, sensors := allChips()
	layout.Supply = board.Supply{Pin: "VCC", ActiveLow: true}
	for _, remote := range []bool{false, true} {
		for _, fault := range []board.Fault{{Part: board.BusPart, Kind: board.Locked}, {Part: "bme280@0x77", Kind: board.Hung}} {
			b := newBoard(t, layout)
			b.Feed(world(brownOutWorld()))
			b.Advance(time.Minute)
			var buses sensor.Buses = b
			if remote {
				buses = serve(t, b)
			}
			out, err := buses.(drive.Outputs).PinOut("VCC")
			if err != nil {
				t.Fatal(err)
			}
			supply := func(l gpio.Level) {
				t.Helper()
				if err := out.Out(l); err != nil {
					t.Fatal(err)
				}
			}
			d := newSensor(t, sensors["bme280@0x77"], buses)
			read := func(when string, good bool) {
				t.Helper()
				b.Advance(5 * time.Second)
				if err := d.Read(t.Context(), new(model.Sample)); good != (err == nil) {
					t.Errorf("%v, remote %v, %s: %v", fault.Kind, remote, when, err)
				}
			}
			read("healthy", true)
			if err := b.Inject(fault); err != nil {
				t.Fatal(err)
			}
			read("broken", false)
			supply(gpio.Low)
			supply(gpio.High)
			read("after a short gap", false)
			supply(gpio.Low)
			read("without supply", false)
			supply(gpio.High)
			read("after it", true)
			if log := b.SupplyLog(); len(log) != 4 || log[2].On || !log[3].On {
				t.Errorf("the switch went %v", log)
			}
		}
	}
	if _, err := board.New(board.Config{Relays: []board.Relay{{Pin: "VCC"}}, Supply: board.Supply{Pin: "VCC"}}); err == nil {
		t.Error("two parts on one pin")
	}
}

// Kernels that cannot be are refused.
func TestKernelIsChecked(t *testing.T) {
	for name, k := range map[string]board.Kernel{
		"queue": {QueueEdges: -1}, "long queue": {QueueEdges: 1025}, "stall": {StallEvery: time.Second, StallFor: time.Second},
		"stall without end": {StallFor: 1}, "bus": {BusHz: 1}, "no bus": {BusHz: math.NaN()}, "burst": {NackBurst: -1}, "dip": {BrownOutEvery: -1},
	} {
		if _, err := board.New(board.Config{Kernel: k}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A loose contact that loses one transfer in 500 costs an ADS1115 with hundreds of
// them in a reading few readings, and never a false one.
func TestADS1115OnALooseContact(t *testing.T) {
	for _, pin := range []string{"RDY", ""} {
		layout := board.Standard()
		layout.Kernel = board.Kernel{BusHz: 400e3, NackEvery: 500, NackBurst: 1, Seed: 5}
		b := newBoard(t, layout)
		d := newSensor(t, withReadyPin(pin), b)
		defer d.Halt()
		v := calm()
		v[model.THDPct] = 0
		b.Feed(world(v))
		failed := 0
		for range 300 {
			b.Advance(time.Second)
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				if !errors.Is(err, sensor.ErrNoChip) {
					t.Fatal(err)
				}
				failed++
				continue
			}
			if hz, u := s.Values[model.FrequencyHz], s.Values[model.VoltageV]; math.Abs(hz-49.98) > 0.02 || math.Abs(u-231) > 0.8 {
				t.Errorf("pin %q: %g Hz, %g V", pin, hz, u)
			}
		}
		if failed > 15 {
			t.Errorf("pin %q: %d of 300 readings failed", pin, failed)
		}
	}
}

var _ sensor.EdgeLines = (*simbus.Client)(nil)

// Over the socket edges have the board's times and numbers too: pulses are counted
// whole without the board's counters, and a window of an ADS1115 is right.
func TestRemoteEdges(t *testing.T) {
	layout := board.Standard()
	layout.Kernel = busy(400e3, 3)
	layout.Meters[0].FollowPower = true
	b := newBoard(t, layout)
	v := calm()
	v[model.PowerW], v[model.THDPct] = 36_000, 0
	b.Feed(world(v))
	client := serve(t, b)
	if _, _, err := client.PulseCount("S0-1"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a board without counters counts: %v", err)
	}
	if _, err := client.Edges("nowhere"); !errors.Is(err, simbus.ErrNoSuchPin) {
		t.Errorf("edges of no pin: %v", err)
	}
	meter := newSensor(t, sensor.StandardConfigs()[4], client).(*sensor.S0)
	defer meter.Halt()
	mains := newSensor(t, withReadyPin("RDY"), client)
	defer mains.Halt()
	var s model.Sample
	for range 20 {
		b.Advance(time.Second)
		if err := mains.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if hz := s.Values[model.FrequencyHz]; math.Abs(hz-49.98) > 0.02 {
			t.Errorf("%g Hz", hz)
		}
	}
	b.Advance(time.Second)
	if err := meter.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if got, want := float64(meter.EnergyWh()), b.Now().Seconds()*10; math.Abs(got-want) > 16 {
		t.Errorf("%g Wh of %g", got, want)
	}
}
