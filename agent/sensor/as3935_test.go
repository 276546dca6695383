package sensor

import (
	"errors"
	"slices"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
	"periph.io/x/conn/v3/i2c/i2ctest"

	"fairwatt/model"
)

func asOps(writes ...[]byte) (ops []i2ctest.IO) {
	for _, w := range writes {
		ops = append(ops, i2ctest.IO{Addr: 3, W: w})
	}
	return ops
}

// asSetup is every byte of an outdoor set-up with a tuning of 5 steps.
func asSetup() []i2ctest.IO {
	return slices.Concat(
		asOps([]byte{0x3C, 0x96}),
		[]i2ctest.IO{{Addr: 3, W: []byte{0}, R: []byte{0x24, 0x22, 0xC2}}},
		asOps([]byte{8, 5}, []byte{0x3D, 0x96}, []byte{8, 0x45}, []byte{8, 5}),
		[]i2ctest.IO{{Addr: 3, W: []byte{0x3A}, R: []byte{0x80, 0x80}}},
		asOps([]byte{0, 0x1C}, []byte{1, 0x22}, []byte{2, 0xC2}, []byte{3, 0xC0}, []byte{2, 0x82}, []byte{2, 0xC2}),
	)
}

func asRead(nf, rej, event, distance byte) i2ctest.IO {
	return i2ctest.IO{Addr: 3, W: []byte{0}, R: []byte{0x1C, nf, 0x80 | rej, 0xC0 | event, 0x10, 0x20, 0x01, distance}}
}

func TestAS3935Bytes(t *testing.T) {
	pin := &gpiotest.Pin{N: "IRQ"}
	play := &i2ctest.Playback{DontPanic: true, Ops: slices.Concat(asSetup(), []i2ctest.IO{
		asRead(0x22, 0x42, 0, 0x3F),
		asRead(0x22, 0x42, 8, 0x08),
		asRead(0x22, 0x42, 8, 0x01),
		asRead(0x22, 0x42, 8, 0x3F),
		asRead(0x22, 0x42, 8, 0x07),
		asRead(0x22, 0x42, 0, 0x0C),
		asRead(0x22, 0x42, 1, 0x3F), {Addr: 3, W: []byte{1, 0x32}}, {Addr: 3, W: []byte{2, 0xC2}},
		asRead(0x32, 0x42, 4, 0x3F),
		asRead(0x32, 0x42, 5, 0x3F),
	})}
	buses := &fakeBuses{bus: play, pin: pin}
	d, err := New(Config{Kind: KindAS3935, Opts: AS3935Opts{TuningCap: 5, IRQPin: "IRQ"}}, buses)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		irq    gpio.Level
		count  float64
		km     float64
		kmIs   model.Validity
		storm  bool
		broken error
	}{
		{gpio.Low, 0, 0, model.Absent, false, nil},
		{gpio.High, 1, 8, model.Valid, true, nil},
		{gpio.High, 1, 0, model.Valid, true, nil},
		{gpio.High, 1, 0, model.Absent, false, nil},
		{gpio.High, 1, 0, model.SensorError, false, ErrInvalid},
		{gpio.High, 0, 0, model.Absent, true, nil},
		{gpio.High, 0, 0, model.Absent, false, nil},
		{gpio.High, 0, 0, model.Absent, false, nil},
		{gpio.High, 0, 0, model.SensorError, false, ErrInvalid},
	} {
		pin.L = want.irq
		before := buses.now
		var s model.Sample
		err := d.Read(t.Context(), &s)
		if !errors.Is(err, want.broken) {
			t.Fatalf("read %d: %v", i, err)
		}
		if i > 0 && buses.now-before != 2*time.Millisecond {
			t.Errorf("read %d: waited %v after IRQ", i, buses.now-before)
		}
		if got := s.Validity[model.LightningKM]; got != want.kmIs || got == model.Valid && s.Values[model.LightningKM] != want.km {
			t.Errorf("read %d: %g km is %v", i, s.Values[model.LightningKM], got)
		}
		if n, ok := s.Get(model.LightningCount); i < 8 && (!ok || n != want.count) {
			t.Errorf("read %d: count %g %v", i, n, ok)
		}
		if h := d.(*AS3935).Health(); h.StormKnown != want.storm {
			t.Errorf("read %d: storm %+v", i, h)
		}
	}
	h := d.(*AS3935).Health()
	if h.NoisePerHour != 1 || h.DisturbersPerHour != 1 || h.StrokesPerHour != 4 || h.NoiseLevel != 3 {
		t.Errorf("%+v", h)
	}
	if err := play.Close(); err != nil {
		t.Error(err)
	}
}

func TestAS3935BadCalibration(t *testing.T) {
	for name, answer := range map[string][]byte{"TRCO failed": {0xC0, 0x80}, "SRCO failed": {0x80, 0xC0}, "SRCO not done": {0x80, 0}} {
		ops := asSetup()[:7]
		ops[6].R = answer
		d, err := New(Config{Kind: KindAS3935, Opts: AS3935Opts{TuningCap: 5}}, &fakeBuses{bus: &i2ctest.Playback{DontPanic: true, Ops: ops}})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, ErrNotReady) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzAS3935Answer: whatever the registers hold, a count is 0 or 1 and a
// distance one of the table.
func FuzzAS3935Answer(f *testing.F) {
	f.Add([]byte{0x1C, 0x22, 0xC2, 0xC8, 0, 0, 0, 12})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, answer []byte) {
		var r [8]byte
		copy(r[:], answer)
		ops := append(asSetup(), i2ctest.IO{Addr: 3, W: []byte{0}, R: r[:]})
		if r[3]&15 == 1 {
			ops = append(ops, asOps([]byte{1, 0x32}, []byte{2, 0xC2})...)
		}
		d, err := New(Config{Kind: KindAS3935, Opts: AS3935Opts{TuningCap: 5}}, &fakeBuses{bus: &i2ctest.Playback{DontPanic: true, Ops: ops}})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		err = d.Read(t.Context(), &s)
		n, counted := s.Get(model.LightningCount)
		if counted && n != 0 && n != 1 || !counted && err == nil {
			t.Fatalf("count %g %v, %v", n, counted, err)
		}
		if km, ok := s.Get(model.LightningKM); ok && (n != 1 || km != 0 && !slices.Contains(asDistances[:], byte(km))) {
			t.Fatalf("%g km, count %g", km, n)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	var h history
	for i := range 3 * maxHistory {
		h.add(time.Duration(i) * time.Millisecond)
	}
	if len(h) > maxHistory {
		t.Errorf("%d events kept", len(h))
	}
	if n := h.within(time.Duration(3*maxHistory)*time.Millisecond, 10*time.Millisecond); n != 10 {
		t.Errorf("%d in the last 10 ms", n)
	}
}
