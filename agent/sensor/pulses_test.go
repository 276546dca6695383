package sensor

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
	"periph.io/x/conn/v3/i2c"
	"pgregory.net/rapid"

	"fairwatt/model"
)

// realPin is Buses with one pin and the system's clock.
type realPin struct{ pin *gpiotest.Pin }

func (realPin) I2C(string) (i2c.Bus, error)      { return nil, errors.New("no bus") }
func (r realPin) Pin(string) (gpio.PinIn, error) { return r.pin, nil }
func newPin() (*gpiotest.Pin, chan<- gpio.Level) {
	c := make(chan gpio.Level)
	return &gpiotest.Pin{N: "P", EdgesChan: c}, c
}
func pulse(c chan<- gpio.Level, gap time.Duration) { c <- gpio.Low; time.Sleep(gap) }

// Ten hertz with a burst of thirty for 3 s, on a real pin in real time.
func TestAnemometerEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin, edges := newPin()
		d, err := New(Config{Kind: KindAnemometer, Opts: AnemometerOpts{Pin: "P", MPSPerHz: 0.5, Window: 20 * time.Second}}, realPin{pin})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Halt()
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, ErrTooFewSamples) {
			t.Errorf("at once: %v", err)
		}
		for range 100 {
			pulse(edges, 100*time.Millisecond)
		}
		for range 90 {
			pulse(edges, 3*time.Second/90)
		}
		for range 70 {
			pulse(edges, 100*time.Millisecond)
		}
		if err := d.Read(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if got := s.Values[model.WindSpeedMPS]; math.Abs(got-0.5*260/20) > 0.05 {
			t.Errorf("mean %g m/s", got)
		}
		if got := s.Values[model.WindGustMPS]; math.Abs(got-15) > 0.5/3+0.01 {
			t.Errorf("gust %g m/s", got)
		}
		time.Sleep(time.Minute)
		if err := d.Read(t.Context(), &s); err != nil || s.Values[model.WindSpeedMPS] > 0.2 {
			t.Errorf("calm: %g m/s, %v", s.Values[model.WindSpeedMPS], err)
		}
	})
}

func TestS0Edges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin, edges := newPin()
		d, err := New(Config{Kind: KindS0, Opts: S0Opts{Pin: "P", Direction: "import", ImpPerKWh: 800, Power: true}}, realPin{pin})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Halt()
		m := d.(*S0)
		m.RestoreRegister(1234)
		if m.EnergyWh() != 1234 {
			t.Errorf("restored %d", m.EnergyWh())
		}
		var s model.Sample
		for range 2 {
			for range 8 {
				pulse(edges, 2*time.Millisecond) // bounces within 15 ms
				pulse(edges, 4498*time.Millisecond)
			}
			if err := d.Read(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
		}
		if m.EnergyWh() != 1234+20 || s.Values[model.EnergyImportWh] != 1254 {
			t.Errorf("register %d, %g", m.EnergyWh(), s.Values[model.EnergyImportWh])
		}
		// 1.25 Wh in 4.5 s.
		if got := s.Values[model.PowerW]; math.Abs(got-1000) > 1 {
			t.Errorf("power %g W", got)
		}
		time.Sleep(time.Hour)
		if err := d.Read(t.Context(), &s); err != nil || s.Values[model.PowerW] > 1.3 {
			t.Errorf("an hour without a pulse: %g W, %v", s.Values[model.PowerW], err)
		}
	})
}

// fixedCounter is a counter whose value the test sets.
type fixedCounter struct {
	fakeBuses
	total uint64
	err   error
}

func (f *fixedCounter) PulseCount(string) (uint64, time.Duration, error) { return f.total, 0, f.err }
func (f *fixedCounter) PulseBins(string, time.Duration) ([]uint32, time.Duration, error) {
	return nil, 0, f.err
}

// The register never goes back and loses nothing, whatever the counter does.
func TestS0RegisterNeverFalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := &fixedCounter{total: rapid.Uint64Range(0, 1000).Draw(rt, "begin")}
		d, err := New(Config{Kind: KindS0, Opts: S0Opts{Pin: "P"}}, c)
		if err != nil {
			rt.Fatal(err)
		}
		m := d.(*S0)
		m.RestoreRegister(500)
		want := uint64(500)
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			more := rapid.Uint64Range(0, 9).Draw(rt, "pulses")
			if c.total > 9 && rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				c.total = 0 // the counter's process began again
			}
			c.total += more
			want += more
			var s model.Sample
			if err := d.Read(rt.Context(), &s); err != nil {
				rt.Fatal(err)
			}
			if m.EnergyWh() != want {
				rt.Fatalf("register %d, want %d", m.EnergyWh(), want)
			}
		}
	})
}

// Sine waves of any amplitude, frequency, phase and offset, sampled unevenly.
func TestAnalyse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hz := rapid.Float64Range(45, 65).Draw(rt, "hz")
		amp := rapid.Float64Range(0.01, 2).Draw(rt, "amplitude")
		offset := rapid.Float64Range(-1, 1).Draw(rt, "offset")
		phase := rapid.Float64Range(0, 6.28).Draw(rt, "phase")
		jitter := rapid.SliceOfN(rapid.Float64Range(0, 2e-4), 8, 8).Draw(rt, "jitter")
		var p []point
		for i, at := 0, 0.0; at < 0.26; i++ {
			p = append(p, point{at, offset + amp*math.Sin(2*math.Pi*hz*at+phase)})
			at += 1.0/860 + jitter[i%8]
		}
		w := analyse(p, 10, 0)
		if math.Abs(w.hz-hz) > 0.02 {
			rt.Fatalf("%g Hz", w.hz)
		}
		if want := amp / math.Sqrt2; math.Abs(w.rms-want) > 0.004*want {
			rt.Fatalf("RMS %g, want %g", w.rms, want)
		}
		if v := analyse(p, 10, hz); math.Abs(v.rms-w.rms) > 0.004*w.rms {
			rt.Fatalf("RMS over a given period %g, want %g", v.rms, w.rms)
		}
	})
}
