package board_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

func lightningBoard(c board.AS3935) board.Config {
	c.Address, c.IRQPin, c.BestCap = 3, "IRQ", 6
	return board.Config{AS3935: []board.AS3935{c}}
}

var (
	lightningOpts   = sensor.AS3935Opts{TuningCap: 6, IRQPin: "IRQ"}
	lightningConfig = sensor.Config{Kind: sensor.KindAS3935, Opts: lightningOpts}
)

// strokes feeds n strokes at a distance for the next span of the board's time.
type strokes struct {
	b  *board.Board
	ms int64
}

func (s *strokes) next(span time.Duration, n, km float64) {
	v := map[model.Channel]float64{model.LightningCount: n}
	if n > 0 {
		v[model.LightningKM] = km
	}
	w := world(v)
	s.ms += span.Milliseconds()
	w.TimeMs = s.ms
	s.b.Feed(w)
}

// listen reads once a second and returns what was heard.
func listen(t *testing.T, b *board.Board, d sensor.Sensor, seconds int) (count int, km map[float64]int, errs []error) {
	t.Helper()
	km = map[float64]int{}
	for range seconds {
		b.Advance(time.Second)
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			errs = append(errs, err)
			continue
		}
		n, _ := s.Get(model.LightningCount)
		count += int(n)
		if v, ok := s.Get(model.LightningKM); ok {
			km[v]++
		}
	}
	return count, km, errs
}

// A storm draws near. Most strokes are heard (92 of 100 in the simulation),
// at the chip's next step of distance.
func TestLightning(t *testing.T) {
	for _, remote := range []bool{false, true} {
		b := newBoard(t, lightningBoard(board.AS3935{Seed: 1, NoiseUV: 300}))
		w := &strokes{b: b}
		w.next(time.Minute, 0, 0)
		var buses sensor.Buses = b
		if remote {
			buses = serve(t, b)
		}
		d := newSensor(t, lightningConfig, buses)
		if n, km, errs := listen(t, b, d, 60); n != 0 || len(km) != 0 || errs != nil {
			t.Fatalf("fair weather: %d strokes at %v, %v", n, km, errs)
		}
		for _, step := range []struct{ world, chip float64 }{{33, 34}, {15, 14}, {8.4, 8}, {1, 0}} {
			w.next(time.Minute, 10, step.world)
			n, km, errs := listen(t, b, d, 60)
			if n < 6 || n > 10 || km[step.chip] != n || errs != nil {
				t.Errorf("remote %v: 10 strokes at %g km: %d heard, %v, %v", remote, step.world, n, km, errs)
			}
		}
		w.next(time.Minute, 0, 0)
		listen(t, b, d, 61) // a stroke may be under way
		if n, _, errs := listen(t, b, d, 20*60); n != 0 || errs != nil {
			t.Errorf("afterwards: %d, %v", n, errs)
		}
		if h := d.(*sensor.AS3935).Health(); h.StormKnown || h.DisturbersPerHour != 0 {
			t.Errorf("the storm is not forgotten: %+v", h)
		}
	}
}

// Two strokes within a second are one to the chip.
func TestStrokesTogether(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{}))
	w := &strokes{b: b}
	w.next(time.Minute, 0, 0)
	d := newSensor(t, lightningConfig, b)
	listen(t, b, d, 60)
	w.next(time.Minute, 600, 10)
	if n, _, errs := listen(t, b, d, 60); n < 40 || n > 60 || errs != nil {
		t.Errorf("%d of 600 strokes in a minute heard, %v", n, errs)
	}
}

// Noise below the highest floor is tuned away and strokes are heard again;
// above it the detector says that it is deaf, never that there is nothing.
func TestNoiseTuning(t *testing.T) {
	for _, tt := range []struct {
		uv    float64
		level int
		deaf  bool
	}{{300, 2, false}, {900, 3, false}, {1200, 5, false}, {1900, 7, false}, {2500, 7, true}} {
		t.Run(fmt.Sprint(tt.uv), func(t *testing.T) {
			b := newBoard(t, lightningBoard(board.AS3935{NoiseUV: tt.uv}))
			w := &strokes{b: b}
			w.next(time.Minute, 0, 0)
			d := newSensor(t, lightningConfig, b)
			_, _, errs := listen(t, b, d, 60)
			h := d.(*sensor.AS3935).Health()
			if h.NoiseLevel != tt.level || h.Degraded != tt.deaf || (errs != nil) != tt.deaf {
				t.Errorf("%+v, %d errors", h, len(errs))
			}
			w.next(time.Minute, 6, 10)
			n, _, errs := listen(t, b, d, 60)
			if tt.deaf {
				if n != 0 || len(errs) != 60 || !errors.Is(errs[0], sensor.ErrDegraded) {
					t.Errorf("%d heard, %d errors: %v", n, len(errs), errs[0])
				}
				return
			}
			if n < 4 || errs != nil {
				t.Errorf("%d of 6 heard, %v", n, errs)
			}
		})
	}
}

// The levels come back by a step an hour when the noise is over.
func TestNoiseDecays(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{}))
	(&strokes{b: b}).next(time.Minute, 0, 0)
	d := newSensor(t, lightningConfig, b)
	fault := board.Fault{Part: "as3935@0x03", Kind: board.Noise}
	if err := b.Inject(fault); err != nil {
		t.Fatal(err)
	}
	if _, _, errs := listen(t, b, d, 30); len(errs) == 0 {
		t.Error("noise above every floor goes unseen")
	}
	if err := b.Remove(fault); err != nil {
		t.Fatal(err)
	}
	health := func() sensor.AS3935Health { return d.(*sensor.AS3935).Health() }
	listen(t, b, d, 70)
	if h := health(); h.Degraded || h.NoiseLevel != 7 {
		t.Errorf("a minute later: %+v", h)
	}
	listen(t, b, d, 3600)
	if h := health(); h.NoiseLevel != 6 || h.NoisePerHour != 0 {
		t.Errorf("an hour later: %+v", h)
	}
	listen(t, b, d, 4*3600+60)
	if h := health(); h.NoiseLevel != 2 {
		t.Errorf("five hours later: %+v", h)
	}
}

// Disturbers raise the rejection, which then lets fewer of them through; many
// keep the chip deaf.
func TestDisturbers(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{DisturbersPerHour: 600, Seed: 7}))
	(&strokes{b: b}).next(time.Minute, 0, 0)
	d := newSensor(t, lightningConfig, b).(*sensor.AS3935)
	listen(t, b, d, 60)
	early := d.Health()
	n, _, errs := listen(t, b, d, 3600)
	late := d.Health()
	if early.DisturbersPerHour < 4 || late.WatchdogThreshold < 6 || late.SpikeRejection < 6 || late.DisturbersPerHour > 300 {
		t.Errorf("first minute %+v, after an hour %+v", early, late)
	}
	if n != 0 || errs != nil {
		t.Errorf("disturbers count as %d strokes; %d errors", n, len(errs))
	}
	// Far more than it can reject: half the time deaf is not trusted.
	b = newBoard(t, lightningBoard(board.AS3935{Seed: 7}))
	(&strokes{b: b}).next(time.Minute, 0, 0)
	d = newSensor(t, lightningConfig, b).(*sensor.AS3935)
	if err := b.Inject(board.Fault{Part: "as3935@0x03", Kind: board.Disturbers, Value: 36000}); err != nil {
		t.Fatal(err)
	}
	if _, _, errs := listen(t, b, d, 120); len(errs) == 0 || !errors.Is(errs[0], sensor.ErrDegraded) {
		t.Errorf("deaf unseen: %v, %+v", errs, d.Health())
	}
}

// An inverter nearby makes disturbers that look like lightning. They read as
// strokes; only a second witness can tell.
func TestFalseStrokes(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{DisturbersPerHour: 60, FalseShare: 1, Seed: 3}))
	(&strokes{b: b}).next(time.Minute, 0, 0)
	d := newSensor(t, lightningConfig, b)
	if n, km, errs := listen(t, b, d, 3600); n < 20 || n > 60 || len(km) < 3 || errs != nil {
		t.Errorf("%d false strokes at %v, %v", n, km, errs)
	}
}

func TestLightningFaults(t *testing.T) {
	for _, remote := range []bool{false, true} {
		for kind, want := range map[board.FaultKind]error{
			board.NoAnswer: sensor.ErrNoChip, board.WrongChip: sensor.ErrWrongChip,
		} {
			b := newBoard(t, lightningBoard(board.AS3935{}))
			w := &strokes{b: b}
			w.next(time.Minute, 0, 0)
			var buses sensor.Buses = b
			if remote {
				buses = serve(t, b)
			}
			d := newSensor(t, lightningConfig, buses)
			if _, _, errs := listen(t, b, d, 5); errs != nil {
				t.Fatal(errs)
			}
			fault := board.Fault{Part: "as3935@0x03", Kind: kind}
			if err := b.Inject(fault); err != nil {
				t.Fatal(err)
			}
			if _, _, errs := listen(t, b, d, 5); len(errs) != 5 || !errors.Is(errs[0], want) || !errors.Is(errs[4], want) {
				t.Errorf("%s: %v", kind, errs)
			}
			if err := b.Remove(fault); err != nil {
				t.Fatal(err)
			}
			w.next(time.Minute, 6, 10)
			if n, _, errs := listen(t, b, d, 60); n < 4 || errs != nil {
				t.Errorf("after %s: %d strokes, %v", kind, n, errs)
			}
		}
	}
}

// A chip that lost its supply between two reads is uncalibrated and hears
// nothing: the next Read must see that, even with settings like the reset's.
func TestLightningPowerLoss(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{}))
	(&strokes{b: b}).next(time.Minute, 0, 0)
	o := lightningOpts
	o.Indoor = true
	d := newSensor(t, sensor.Config{Kind: sensor.KindAS3935, Opts: o}, b)
	listen(t, b, d, 2)
	fault := board.Fault{Part: "as3935@0x03", Kind: board.NoAnswer}
	if err := b.Inject(fault); err != nil {
		t.Fatal(err)
	}
	b.Advance(time.Second)
	if err := b.Remove(fault); err != nil {
		t.Fatal(err)
	}
	_, _, errs := listen(t, b, d, 3)
	if len(errs) != 1 {
		t.Errorf("errors %v, want one and a new set-up", errs)
	}
}

func TestLightningCalibration(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{}))
	(&strokes{b: b}).next(time.Minute, 0, 0)
	for cap, ok := range map[int]bool{0: false, 1: true, 6: true, 11: true, 12: false, 15: false} {
		o := lightningOpts
		o.TuningCap = cap
		cfg := sensor.Config{Kind: sensor.KindAS3935, Opts: o}
		var s model.Sample
		err := newSensor(t, cfg, b).Read(t.Context(), &s)
		if ok != (err == nil) || !ok && !errors.Is(err, sensor.ErrNotReady) {
			t.Errorf("tuning %d, best is 6: %v", cap, err)
		}
	}
	if err := b.Inject(board.Fault{Part: "as3935@0x03", Kind: board.StuckStatus}); err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := newSensor(t, lightningConfig, b).Read(t.Context(), &s); !errors.Is(err, sensor.ErrNotReady) {
		t.Errorf("calibration that does not end: %v", err)
	}
}

// Register 3 says nothing in the first 2 ms after IRQ rose, and the event is
// gone: the driver waits.
func TestIRQWait(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{}))
	w := &strokes{b: b}
	w.next(time.Minute, 0, 0)
	d := newSensor(t, lightningConfig, b)
	listen(t, b, d, 1)
	pin, err := b.Pin("IRQ")
	if err != nil {
		t.Fatal(err)
	}
	bus, err := b.I2C("")
	if err != nil {
		t.Fatal(err)
	}
	for _, early := range []bool{true, false} {
		w.next(10*time.Second, 10, 12)
		if !pin.WaitForEdge(20 * time.Second) {
			t.Fatal("no stroke")
		}
		if early {
			var r [1]byte
			if err := bus.Tx(3, []byte{3}, r[:]); err != nil || r[0]&15 != 0 {
				t.Fatalf("register 3 is %02x at once, %v", r[0], err)
			}
			if pin.Read() {
				t.Error("reading does not end the event")
			}
			continue
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil || s.Values[model.LightningCount] != 1 {
			t.Errorf("count %g, %v", s.Values[model.LightningCount], err)
		}
	}
}

// Tuning finds the antenna's best setting, and says when there is none.
func TestTune(t *testing.T) {
	for _, remote := range []bool{false, true} {
		b := newBoard(t, lightningBoard(board.AS3935{}))
		(&strokes{b: b}).next(time.Minute, 0, 0)
		var buses sensor.Buses = b
		if remote {
			buses = serve(t, b)
		}
		cap, hz, err := sensor.TuneAS3935(t.Context(), lightningConfig, buses)
		if err != nil || cap != 6 || hz < 499_000 || hz > 501_000 {
			t.Errorf("remote %v: tuning %d, %g Hz, %v", remote, cap, hz, err)
		}
		o := lightningOpts
		o.TuningCap = cap
		cfg := sensor.Config{Kind: sensor.KindAS3935, Opts: o}
		if _, _, errs := listen(t, b, newSensor(t, cfg, buses), 5); errs != nil {
			t.Errorf("afterwards: %v", errs)
		}
		// A cut wire shows nothing.
		if err := b.Inject(board.Fault{Part: "as3935@0x03", Kind: board.StuckStatus}); err != nil {
			t.Fatal(err)
		}
		if _, hz, err := sensor.TuneAS3935(t.Context(), lightningConfig, buses); !errors.Is(err, sensor.ErrNotReady) || hz != 0 {
			t.Errorf("cut wire: %g Hz, %v", hz, err)
		}
	}
	o := lightningOpts
	o.IRQPin = ""
	cfg := sensor.Config{Kind: sensor.KindAS3935, Opts: o}
	if _, _, err := sensor.TuneAS3935(t.Context(), cfg, newBoard(t, lightningBoard(board.AS3935{}))); err == nil {
		t.Error("tuned without the pin")
	}
}

// With a cut IRQ wire, or none, the driver polls the chip: strokes still come,
// except those that coincide with a Read.
func TestCutIRQ(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{}))
	w := &strokes{b: b}
	w.next(time.Minute, 0, 0)
	d := newSensor(t, lightningConfig, b)
	listen(t, b, d, 5)
	if err := b.Inject(board.Fault{Part: "as3935@0x03", Kind: board.StuckStatus}); err != nil {
		t.Fatal(err)
	}
	w.next(time.Minute, 20, 10)
	heard := 0
	for range 60 {
		b.Advance(time.Second + 10*time.Millisecond) // not in step with the strokes
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		n, _ := s.Get(model.LightningCount)
		heard += int(n)
	}
	if heard < 14 {
		t.Errorf("%d of 20 strokes heard without IRQ", heard)
	}
}

// A detector without an antenna looks like fair weather: nothing on the bus can
// tell, only other witnesses.
func TestLostAntenna(t *testing.T) {
	b := newBoard(t, lightningBoard(board.AS3935{}))
	w := &strokes{b: b}
	w.next(time.Minute, 0, 0)
	d := newSensor(t, lightningConfig, b)
	fault := board.Fault{Part: "as3935@0x03", Kind: board.StuckValue}
	if err := b.Inject(fault); err != nil {
		t.Fatal(err)
	}
	w.next(time.Minute, 20, 10)
	if n, _, errs := listen(t, b, d, 60); n != 0 || errs != nil {
		t.Errorf("%d strokes, %v", n, errs)
	}
	if err := b.Remove(fault); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := listen(t, b, d, 60); n != 0 {
		t.Errorf("%d strokes come late", n)
	}
}
