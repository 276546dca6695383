package sensor

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"fairwatt/model"
)

// Table 8-2 of SBOS397, in the extended format: 13 bits, left-justified, with
// the lowest bit of the register set.
func TestTMP102Bytes(t *testing.T) {
	for _, tt := range []struct {
		raw  [2]byte
		want float64
	}{
		{[2]byte{0x4B, 0x01}, 150},
		{[2]byte{0x40, 0x01}, 128},
		{[2]byte{0x3F, 0xF9}, 127.9375},
		{[2]byte{0x0C, 0x81}, 25},
		{[2]byte{0x00, 0x21}, 0.25},
		{[2]byte{0x00, 0x01}, 0},
		{[2]byte{0xFF, 0xE1}, -0.25},
		{[2]byte{0xF3, 0x81}, -25},
		{[2]byte{0xE4, 0x81}, -55},
	} {
		play := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
			{Addr: 0x48, W: []byte{1, 0x61, 0x90}},
			{Addr: 0x48, W: []byte{1}, R: []byte{0xE1, 0xB0}}, // done, AL set
			{Addr: 0x48, W: []byte{1, 0xE1, 0x90}},
			{Addr: 0x48, W: []byte{1}, R: []byte{0x61, 0xB0}}, // still converting
			{Addr: 0x48, W: []byte{1}, R: []byte{0xE1, 0xB0}},
			{Addr: 0x48, W: []byte{0}, R: tt.raw[:]},
		}}
		d, err := New(Config{Kind: KindTMP102}, &fakeBuses{bus: play})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if got := s.Values[model.EquipmentTemperatureC]; got != tt.want {
			t.Errorf("% x is %g C, want %g", tt.raw, got, tt.want)
		}
		if err := play.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A chip that lost its supply between two reads answers in the normal format:
// its value would be half of the true one.
func TestTMP102LostSettings(t *testing.T) {
	play := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x48, W: []byte{1, 0x61, 0x90}},
		{Addr: 0x48, W: []byte{1}, R: []byte{0x61, 0xB0}},
		{Addr: 0x48, W: []byte{1, 0xE1, 0x90}},
		{Addr: 0x48, W: []byte{1}, R: []byte{0xE0, 0xA0}},
		{Addr: 0x48, W: []byte{0}, R: []byte{0x19, 0x00}},
	}}
	d, err := New(Config{Kind: KindTMP102, Opts: TMP102Opts{Measures: "air"}}, &fakeBuses{bus: play})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); !errors.Is(err, ErrWrongChip) || s.Validity[model.TemperatureC] != model.SensorError {
		t.Errorf("%v, %v", err, s.Validity[model.TemperatureC])
	}
}

// The checksum's example is the datasheet's: 0xBEEF gives 0x92.
func TestSHT4xBytes(t *testing.T) {
	if got := shtCRC([]byte{0xBE, 0xEF}); got != 0x92 {
		t.Fatalf("checksum 0x%02x", got)
	}
	play := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x44, W: []byte{0x94}},
		{Addr: 0x44, W: []byte{0x89}},
		{Addr: 0x44, R: []byte{0x0F, 0xBA, 0x7C, 0xBE, 0xEF, 0x92}},
		{Addr: 0x44, W: []byte{0xFD}},
		{Addr: 0x44, R: []byte{0x66, 0x66, 0x93, 0xBE, 0xEF, 0x92}},
		{Addr: 0x44, W: []byte{0xFD}},
		{Addr: 0x44, R: []byte{0x66, 0x67, 0x93, 0xBE, 0xEF, 0x92}},
	}}
	play.Ops[2].R[2], play.Ops[4].R[2] = shtCRC([]byte{0x0F, 0xBA}), shtCRC([]byte{0x66, 0x66})
	play.Ops[6].R[2] = play.Ops[4].R[2]
	d, err := New(Config{Kind: KindSHT4x}, &fakeBuses{bus: play})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if got := s.Values[model.TemperatureC]; math.Abs(got-25) > 0.001 { // -45 + 175*0.4
		t.Errorf("temperature %g", got)
	}
	if got := s.Values[model.HumidityPct]; math.Abs(got-(-6+125*float64(0xBEEF)/65535)) > 1e-9 {
		t.Errorf("humidity %g", got)
	}
	if got := d.(*SHT4x).Serial(); got != 0x0FBABEEF {
		t.Errorf("serial %08x", got)
	}
	if err := d.Read(t.Context(), &s); !errors.Is(err, ErrChecksum) || s.Validity[model.HumidityPct] != model.SensorError {
		t.Errorf("a turned bit: %v", err)
	}
	if err := play.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzSHTWords: no turned bit, nor two, passes.
func FuzzSHTWords(f *testing.F) {
	f.Add(uint16(0xBEEF), uint16(0x6666), uint8(0), uint8(9))
	f.Fuzz(func(t *testing.T, a, b uint16, i, j uint8) {
		r := [6]byte{byte(a >> 8), byte(a), 0, byte(b >> 8), byte(b), 0}
		r[2], r[5] = shtCRC(r[0:2]), shtCRC(r[3:5])
		if x, y, err := shtWords(r); err != nil || x != a || y != b {
			t.Fatalf("%x %x %v", x, y, err)
		}
		r[i%48/8] ^= 1 << (i % 8)
		if i%48 != j%48 {
			r[j%48/8] ^= 1 << (j % 8)
		}
		if _, _, err := shtWords(r); !errors.Is(err, ErrChecksum) {
			t.Fatalf("% x passes", r)
		}
	})
}

func TestRainEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin, edges := newPin()
		d, err := New(Config{Kind: KindRain, Opts: RainOpts{Pin: "P", MMPerTip: 0.2, WetFor: 10 * time.Minute}}, realPin{pin})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Halt()
		read := func(mm, raining float64) {
			t.Helper()
			var s model.Sample
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			if math.Abs(s.Values[model.RainMM]-mm) > 1e-9 || s.Values[model.Raining] != raining {
				t.Errorf("%g mm, raining %g; want %g, %g", s.Values[model.RainMM], s.Values[model.Raining], mm, raining)
			}
		}
		read(0, 0)
		for range 5 {
			pulse(edges, 20*time.Millisecond) // the reed bounces
			pulse(edges, 30*time.Second)
		}
		read(1, 1)
		read(0, 1)
		time.Sleep(11 * time.Minute)
		read(0, 0)
	})
}

// Rain over a fault of the counter is neither lost nor counted twice.
func TestRainOverFault(t *testing.T) {
	c := &fixedCounter{total: 100}
	d, err := New(Config{Kind: KindRain, Opts: RainOpts{Pin: "P", MMPerTip: 0.5}}, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		total uint64
		err   error
		want  float64
	}{
		{103, nil, 1.5},
		{105, errors.New("cut"), 0},
		{107, nil, 2},
		{3, nil, 1.5}, // the counter's process began again
	} {
		c.total, c.err = step.total, step.err
		var s model.Sample
		err := d.Read(t.Context(), &s)
		if (err != nil) != (step.err != nil) {
			t.Fatal(err)
		}
		if got, ok := s.Get(model.RainMM); ok != (err == nil) || ok && got != step.want {
			t.Errorf("at %d: %g mm %v, want %g", step.total, got, ok, step.want)
		}
	}
}
