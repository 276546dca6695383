package sensor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"fairwatt/model"
)

// fakeBuses is one bus and a clock that a sleep moves.
type fakeBuses struct {
	bus i2c.Bus
	pin gpio.PinIn
	now time.Duration
}

func (f *fakeBuses) I2C(name string) (i2c.Bus, error) {
	if f.bus == nil {
		return nil, fmt.Errorf("no bus %q", name)
	}
	return f.bus, nil
}

func (f *fakeBuses) Pin(name string) (gpio.PinIn, error) {
	if f.pin == nil {
		return nil, fmt.Errorf("no pin %q", name)
	}
	return f.pin, nil
}
func (f *fakeBuses) Now() time.Duration { return f.now }
func (f *fakeBuses) Sleep(ctx context.Context, d time.Duration) error {
	f.now += d
	return ctx.Err()
}

// The worked example of BST-BMP280-DS001, 3.12: trimming, raw values, results.
var bmeExample = [26]byte{
	0x70, 0x6B, 0x43, 0x67, 0x18, 0xFC, // T1 27504, T2 26435, T3 -1000
	0x7D, 0x8E, 0x43, 0xD6, 0xD0, 0x0B, 0x27, 0x0B, 0x8C, 0x00, // P1 36477, P2 -10685, P3 3024, P4 2855, P5 140
	0xF9, 0xFF, 0x8C, 0x3C, 0xF8, 0xC6, 0x70, 0x17, 0x00, 75, // P6 -7, P7 15500, P8 -14600, P9 6000, H1 75
}

func TestBME280Bytes(t *testing.T) {
	hum := []byte{0x6A, 0x01, 0, 0x13, 0x29, 0x03, 0x1E} // H2 362, H3 0, H4 313, H5 50, H6 30
	play := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x76, W: []byte{0xD0}, R: []byte{0x60}},
		{Addr: 0x76, W: []byte{0xE0, 0xB6}},
		{Addr: 0x76, W: []byte{0xF3}, R: []byte{0x01}}, // still copying its trimming
		{Addr: 0x76, W: []byte{0xF3}, R: []byte{0x00}},
		{Addr: 0x76, W: []byte{0x88}, R: bmeExample[:]},
		{Addr: 0x76, W: []byte{0xE1}, R: hum},
		{Addr: 0x76, W: []byte{0xF2, 0x01, 0xF5, 0x00}},
		{Addr: 0x76, W: []byte{0xF4, 0x4D}},
		{Addr: 0x76, W: []byte{0xF3}, R: []byte{0x08}}, // measuring
		{Addr: 0x76, W: []byte{0xF3}, R: []byte{0x00}},
		// ut 519888 = 0x7EED0, up 415148 = 0x655AC
		{Addr: 0x76, W: []byte{0xF7}, R: []byte{0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00, 0x69, 0x78}},
	}}
	d, err := New(Config{Kind: KindBME280}, &fakeBuses{bus: play})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if got := s.Values[model.TemperatureC]; math.Abs(got-25.08) > 0.005 {
		t.Errorf("temperature %.4f, the datasheet has 25.08", got)
	}
	if got := s.Values[model.PressureHPa]; math.Abs(got-1006.5327) > 0.0005 {
		t.Errorf("pressure %.5f, the datasheet has 1006.5327", got)
	}
	if h, ok := s.Get(model.HumidityPct); !ok || h <= 0 || h >= 100 {
		t.Errorf("humidity %g %v", h, ok)
	}
	if err := play.Close(); err != nil {
		t.Error(err)
	}
}

// The application example of SBOS448G, 8.5: 10 A over 2 mOhm at 11.98 V.
func TestINA219Bytes(t *testing.T) {
	play := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x40, W: []byte{0, 0x80, 0}},
		{Addr: 0x40, W: []byte{0}, R: []byte{0x39, 0x9F}},
		{Addr: 0x40, W: []byte{5, 0x50, 0}},
		{Addr: 0x40, W: []byte{0, 0x3E, 0x67}},
		{Addr: 0x40, W: []byte{2}, R: []byte{0x5D, 0x98}}, // not ready
		{Addr: 0x40, W: []byte{2}, R: []byte{0x5D, 0x9A}},
		{Addr: 0x40, W: []byte{1}, R: []byte{0x07, 0xD0}},
		{Addr: 0x40, W: []byte{4}, R: []byte{0x27, 0x10}},
		{Addr: 0x40, W: []byte{3}, R: []byte{0x17, 0x66}},
		{Addr: 0x40, W: []byte{5}, R: []byte{0x50, 0}},
		{Addr: 0x40, W: []byte{0}, R: []byte{0x3E, 0x67}},
	}}
	d, err := New(Config{Kind: KindINA219, Opts: INA219Opts{ShuntOhm: 0.002, MaxCurrentA: 32.768}}, &fakeBuses{bus: play})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if v, a := s.Values[model.DCVoltageV], s.Values[model.DCCurrentA]; math.Abs(v-11.98) > 0.03 || math.Abs(a-10) > 0.001 {
		t.Errorf("%g V %g A", v, a)
	}
	if err := play.Close(); err != nil {
		t.Error(err)
	}
}

// A chip that has restarted, wholly or in one register, gives an error and no
// value; the next reading sets it up again.
func TestINA219Restarted(t *testing.T) {
	for name, found := range map[string][2]uint16{
		"whole": {0, 0x399F}, "calibration": {0, 0x3E67}, "configuration": {0x1062, 0x399F}, "one bit": {0x1060, 0x3E67},
	} {
		setup := []i2ctest.IO{
			{Addr: 0x40, W: []byte{0, 0x80, 0}}, {Addr: 0x40, W: []byte{0}, R: []byte{0x39, 0x9F}},
			{Addr: 0x40, W: []byte{5, 0x10, 0x62}}, {Addr: 0x40, W: []byte{0, 0x3E, 0x67}},
		}
		reading := func(current byte, cal, cfg uint16) []i2ctest.IO {
			out := []i2ctest.IO{
				{Addr: 0x40, W: []byte{2}, R: []byte{0x5D, 0x9A}}, {Addr: 0x40, W: []byte{1}, R: []byte{0x07, 0xD0}},
				{Addr: 0x40, W: []byte{4}, R: []byte{current, 0}}, {Addr: 0x40, W: []byte{3}, R: []byte{0x17, 0x66}},
				{Addr: 0x40, W: []byte{5}, R: []byte{byte(cal >> 8), byte(cal)}},
			}
			if cal == 0x1062 {
				out = append(out, i2ctest.IO{Addr: 0x40, W: []byte{0}, R: []byte{byte(cfg >> 8), byte(cfg)}})
			}
			return out
		}
		play := &i2ctest.Playback{DontPanic: true, Ops: slices.Concat(setup, reading(0x27, 0x1062, 0x3E67),
			reading(0, found[0], found[1]), setup, reading(0x27, 0x1062, 0x3E67))}
		d, err := New(Config{Kind: KindINA219}, &fakeBuses{bus: play})
		if err != nil {
			t.Fatal(err)
		}
		for i, ok := range []bool{true, false, true} {
			var s model.Sample
			err := d.Read(t.Context(), &s)
			_, valid := s.Get(model.DCCurrentA)
			if ok != (err == nil) || ok != valid || !ok && !errors.Is(err, ErrWrongChip) {
				t.Errorf("%s, reading %d: valid %v, %v", name, i, valid, err)
			}
		}
		if err := play.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestINA219Overflow(t *testing.T) {
	play := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x40, W: []byte{0, 0x80, 0}},
		{Addr: 0x40, W: []byte{0}, R: []byte{0x39, 0x9F}},
		{Addr: 0x40, W: []byte{5, 0x10, 0x62}},
		{Addr: 0x40, W: []byte{0, 0x3E, 0x67}},
		{Addr: 0x40, W: []byte{2}, R: []byte{0x10, 0x03}},
	}}
	d, err := New(Config{Kind: KindINA219}, &fakeBuses{bus: play})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); !errors.Is(err, ErrSaturated) {
		t.Errorf("overflow flag: %v", err)
	}
	if s.Validity[model.DCCurrentA] != model.SensorError {
		t.Errorf("current is %v", s.Validity[model.DCCurrentA])
	}
}

// Every byte of a window of single conversions.
func TestADS1115Bytes(t *testing.T) {
	ops := []i2ctest.IO{
		{Addr: 0x48, W: []byte{2, 0x80, 0x00}}, {Addr: 0x48, W: []byte{2}, R: []byte{0x80, 0x00}},
		{Addr: 0x48, W: []byte{3, 0x7F, 0xFF}}, {Addr: 0x48, W: []byte{3}, R: []byte{0x7F, 0xFF}},
	}
	// 3 cycles of 50 Hz: a window of 99 ms, a conversion every 1/860 s. Each is the
	// mean of a sine of 0.7071 V over 1/860 s.
	n := 0
	for at := time.Duration(0); at < 99*time.Millisecond+adsPeriod; at += adsPeriod {
		code := int16(math.Round(11314 * 0.994448 * math.Sin(2*math.Pi*50*at.Seconds())))
		ops = append(ops,
			i2ctest.IO{Addr: 0x48, W: []byte{1, 0x85, 0xE3}},
			i2ctest.IO{Addr: 0x48, W: []byte{1}, R: []byte{0x85, 0xE3}},
			i2ctest.IO{Addr: 0x48, W: []byte{0}, R: []byte{byte(uint16(code) >> 8), byte(code)}})
		n++
	}
	play := &i2ctest.Playback{DontPanic: true, Ops: ops}
	cfg := Config{Kind: KindADS1115, Opts: ADS1115Opts{Cycles: 3, Inputs: []InputConfig{{Channel: model.VoltageV, Input: "0-1", Scale: 460}}}}
	d, err := New(cfg, &fakeBuses{bus: play})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if got := s.Values[model.VoltageV]; math.Abs(got-230) > 0.2 {
		t.Errorf("%d samples give %g V", n, got)
	}
	if got := s.Values[model.FrequencyHz]; math.Abs(got-50) > 0.02 {
		t.Errorf("%g Hz", got)
	}
	if err := play.Close(); err != nil {
		t.Error(err)
	}
}

// brokenBus fails every transfer in its own way.
type brokenBus struct{ err error }

func (brokenBus) String() string                    { return "broken" }
func (b brokenBus) Tx(uint16, []byte, []byte) error { return b.err }
func (brokenBus) SetSpeed(physic.Frequency) error   { return nil }

// A missing chip is one thing, a broken bus another; both keep their cause.
func TestMissingChipIsNoBusError(t *testing.T) {
	timeout := errors.New("controller timed out")
	for _, tt := range []struct {
		err     error
		missing bool
	}{
		{syscall.ENXIO, true},
		{eremoteio, true},
		{fmt.Errorf("sysfs-i2c: %v", syscall.ENXIO), true},
		{fmt.Errorf("sysfs-i2c: %v", eremoteio), true},
		{timeout, false},
		{fmt.Errorf("sysfs-i2c: %v", syscall.ETIMEDOUT), false},
	} {
		for _, cfg := range StandardConfigs()[:3] {
			d, err := New(cfg, &fakeBuses{bus: brokenBus{tt.err}})
			if err != nil {
				t.Fatal(err)
			}
			var s model.Sample
			err = d.Read(t.Context(), &s)
			if errors.Is(err, ErrNoChip) != tt.missing || !errors.Is(err, tt.err) {
				t.Errorf("%s, %v: %v", cfg.Kind, tt.err, err)
			}
			if where := fmt.Sprintf("%s at 0x%02x", cfg.Kind, cfg.Address); err == nil || !strings.Contains(err.Error(), where) {
				t.Errorf("%v does not name %s", err, where)
			}
		}
	}
}

// Reading ends with the context, in the middle of a window too.
func TestReadIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, cfg := range StandardConfigs()[:3] {
		d, err := New(cfg, &fakeBuses{bus: &echoBus{}})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(ctx, &s); err == nil {
			t.Errorf("%s reads on", cfg.Kind)
		}
	}
}

// echoBus keeps registers as they are written.
type echoBus struct{ regs [256]uint16 }

func (*echoBus) String() string                  { return "echo" }
func (*echoBus) SetSpeed(physic.Frequency) error { return nil }
func (b *echoBus) Tx(_ uint16, w, r []byte) error {
	if len(w) == 3 {
		b.regs[w[0]] = uint16(w[1])<<8 | uint16(w[2])
	}
	for i := range r {
		r[i] = byte(b.regs[w[0]] >> (8 * (1 - i%2)))
	}
	if w[0] == bmeID && len(r) == 1 {
		r[0] = bmeChipID
	}
	if w[0] == inaConfig && len(r) == 2 && b.regs[0] == inaResetWord {
		r[0], r[1] = inaResetConfig>>8, inaResetConfig&0xFF
	}
	return nil
}
