package sensor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/modbus"
	"fairwatt/model"
)

// pipeBuses dials a scripted device.
type pipeBuses struct {
	realPin
	dialed int
	dial   func() (net.Conn, error)
}

func (p *pipeBuses) DialContext(context.Context, string, string) (net.Conn, error) {
	p.dialed++
	return p.dial()
}

// sunExchange is what is asked and what is answered, byte by byte.
type sunExchange struct{ ask, answer []byte }

// script plays a device's side; it reports what else is asked than expected.
func script(t *testing.T, exchanges []sunExchange) net.Conn {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for i, x := range exchanges {
			got := make([]byte, len(x.ask))
			if _, err := io.ReadFull(there, got); err != nil {
				t.Errorf("exchange %d: %v", i, err)
				return
			}
			if !bytes.Equal(got, x.ask) {
				t.Errorf("exchange %d: asked % x, want % x", i, got, x.ask)
			}
			if _, err := there.Write(x.answer); err != nil {
				t.Errorf("exchange %d: %v", i, err)
				return
			}
		}
	}()
	return here
}

// ask and answer are frames of transaction n and unit 1.
func ask(n byte, start, count uint16) []byte {
	return []byte{0, n, 0, 0, 0, 6, 1, 3, byte(start >> 8), byte(start), byte(count >> 8), byte(count)}
}

func answer(n byte, regs ...uint16) []byte {
	b := []byte{0, n, 0, 0, 0, byte(3 + 2*len(regs)), 1, 3, byte(2 * len(regs))}
	for _, r := range regs {
		b = append(b, byte(r>>8), byte(r))
	}
	return b
}

// The numbers of the standard's own examples: 2305 with a factor of -1 is
// 230.5 V, 0xFFFF is not implemented, 0xFFF6 of model 307 is -1.0 C. The device
// refuses the first base and has its map at 0.
func TestSunSpecBytes(t *testing.T) {
	inverter := make([]uint16, 42)
	for i := range inverter {
		inverter[i] = 0xFFFF
	}
	inverter[0], inverter[1] = 101, 50
	inverter[2], inverter[6] = 0xFFFF, 0xFFFE // A
	inverter[10], inverter[13] = 2305, 0xFFFF // PhVphA
	inverter[14], inverter[15] = 0xFF38, 1    // W -200 * 10
	inverter[16], inverter[17] = 5001, 0xFFFE // Hz
	inverter[38], inverter[40], inverter[41] = 4, 0, 0x1001
	c := script(t, []sunExchange{
		{ask(1, 40000, 2), []byte{0, 1, 0, 0, 0, 3, 1, 0x83, 2}},
		{ask(2, 0, 2), answer(2, 0x5375, 0x6E53)},
		{ask(3, 2, 2), answer(3, 307, 11)},
		{ask(4, 15, 2), answer(4, 101, 50)},
		{ask(5, 67, 2), answer(5, 0xFFFF, 0)},
		{ask(6, 2, 7), answer(6, 307, 11, 0xFFF6, 80, 0x8000, 3, 90)},
		{ask(7, 15, 42), answer(7, inverter...)},
	})
	cfg := Config{Kind: KindSunSpec, Opts: SunSpecOpts{Endpoint: "inverter", Channels: []model.Channel{
		model.VoltageV, model.PowerW, model.FrequencyHz, model.TemperatureC, model.CurrentA, model.PressureHPa,
	}}}
	d, err := New(cfg, &pipeBuses{dial: func() (net.Conn, error) { return c, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Halt()
	var s model.Sample
	if err := d.Read(t.Context(), &s); !errors.Is(err, ErrSkipped) {
		t.Errorf("two channels that are not implemented: %v", err)
	}
	for ch, want := range map[model.Channel]float64{
		model.VoltageV: 230.5, model.PowerW: -2000, model.FrequencyHz: 50.01, model.TemperatureC: -1,
	} {
		if got, ok := s.Get(ch); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s %g %v, want %g", ch, got, ok, want)
		}
	}
	for _, ch := range []model.Channel{model.CurrentA, model.PressureHPa} {
		if s.Validity[ch] != model.SensorError {
			t.Errorf("%s is %v", ch, s.Validity[ch])
		}
	}
	if got := d.(*SunSpec).Device(); got.State != 4 || got.Events != 0x1001 {
		t.Errorf("%+v", got)
	}
}

// A device that is off is asked again 5 s later, not at every Read.
func TestSunSpecBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := errors.New("no route to host")
		buses := &pipeBuses{dial: func() (net.Conn, error) { return nil, off }}
		d, err := New(Config{Kind: KindSunSpec, Opts: SunSpecOpts{Endpoint: "inverter:502"}}, buses)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			var s model.Sample
			if err := d.Read(t.Context(), &s); !errors.Is(err, ErrNoChip) || !errors.Is(err, off) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if buses.dialed != 2 {
			t.Errorf("dialed %d times in 10 s", buses.dialed)
		}
	})
}

// A device that sends a byte a minute is given up after the timeout; so is one
// when the caller gives up.
func TestSunSpecDrip(t *testing.T) {
	for _, given := range []time.Duration{time.Hour, 200 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer there.Close()
				b := make([]byte, 12)
				if _, err := there.Read(b); err != nil {
					return
				}
				for _, v := range answer(1, 0x5375, 0x6E53) {
					if _, err := there.Write([]byte{v}); err != nil {
						return
					}
					time.Sleep(time.Minute)
				}
			}()
			d, err := New(Config{Kind: KindSunSpec, Opts: SunSpecOpts{Endpoint: "inverter:502"}}, &pipeBuses{dial: func() (net.Conn, error) { return here, nil }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), given)
			defer cancel()
			start := time.Now()
			var s model.Sample
			if err := d.Read(ctx, &s); !errors.Is(err, ErrNotReady) {
				t.Error(err)
			}
			if took, want := time.Since(start), min(given, time.Second); took != want {
				t.Errorf("took %v, want %v", took, want)
			}
			<-done // hung up on
		})
	}
}

func TestSunNumbers(t *testing.T) {
	for _, tt := range []struct {
		form sunType
		regs []uint16
		want float64
		ok   bool
	}{
		{sunInt16, []uint16{0x8001}, -32767, true},
		{sunInt16, []uint16{0x8000}, 0, false},
		{sunUint16, []uint16{0xFFFE}, 65534, true},
		{sunUint16, []uint16{0xFFFF}, 0, false},
		{sunUint32, []uint16{1, 2}, 65538, true},
		{sunUint32, []uint16{0xFFFF, 0xFFFF}, 0, false},
		{sunAcc32, []uint16{0, 1}, 1, true},
		{sunAcc32, []uint16{0, 0}, 0, false},
		{sunUint64, []uint16{0, 0, 0, 7}, 7, true},
		{sunUint64, []uint16{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF}, 0, false},
		{sunFloat32, []uint16{0x4248, 0}, 50, true},
		{sunFloat32, []uint16{0x7FC0, 0}, 0, false},
	} {
		if got, ok := sunNumber(tt.form, tt.regs); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%d % x: %g %v, want %g %v", tt.form, tt.regs, got, ok, tt.want, tt.ok)
		}
	}
	p := sunPoint{channel: model.PowerW, offset: 2, form: sunInt16, scale: 3, unit: 1}
	if _, ok, err := p.value([]uint16{1, 2, 5, 0x8000}); ok || err != nil {
		t.Errorf("a missing scale factor: %v %v", ok, err)
	}
	for _, sf := range []uint16{11, 0xFFF5, 0x7FFF} {
		if _, _, err := p.value([]uint16{1, 2, 5, sf}); !errors.Is(err, errScaleFactor) {
			t.Errorf("scale factor %x: %v", sf, err)
		}
	}
	if got := sunText([]uint16{0x4142, 0x1B43, 0x0044}); got != "ABC" {
		t.Errorf("text %q", got)
	}
}

// FuzzSunModel: registers of any content and length give numbers or errors,
// never a panic.
func FuzzSunModel(f *testing.F) {
	f.Add(uint16(103), bytes.Repeat([]byte{0, 5}, 52))
	f.Add(uint16(701), []byte{2, 0xBD, 0, 153})
	f.Fuzz(func(t *testing.T, id uint16, data []byte) {
		regs := make([]uint16, min(len(data)/2, modbus.MaxRead))
		for i := range regs {
			regs[i] = uint16(data[2*i])<<8 | uint16(data[2*i+1])
		}
		for _, p := range sunModels[id] {
			if v, ok, err := p.value(regs); err != nil && ok || ok && math.IsNaN(v.v) {
				t.Fatalf("%s: %g %v %v", p.channel, v.v, ok, err)
			}
		}
	})
}

// A list without an end model ends where the device refuses the address, or at a
// model 0, if a known model came before. Any other refusal is told as it is.
func TestSunSpecListWithoutEnd(t *testing.T) {
	refusal := func(n, code byte) []byte { return []byte{0, n, 0, 0, 0, 3, 1, 0x83, code} }
	begin := []sunExchange{{ask(1, 40000, 2), answer(1, 0x5375, 0x6E53)}}
	known := append(begin[:1:1], sunExchange{ask(2, 40002, 2), answer(2, 307, 11)})
	read := sunExchange{ask(4, 40002, 7), answer(4, 307, 11, 0xFFF6, 80, 0x8000, 3, 90)}
	for name, c := range map[string]struct {
		talk []sunExchange
		want string // in the error; empty: a value
	}{
		"refused":                      {append(known[:2:2], sunExchange{ask(3, 40015, 2), refusal(3, 2)}, read), ""},
		"model 0":                      {append(known[:2:2], sunExchange{ask(3, 40015, 2), answer(3, 0, 0)}, read), ""},
		"busy behind a known model":    {append(known[:2:2], sunExchange{ask(3, 40015, 2), refusal(3, 6)}), "exception 6 (device busy)"},
		"refused behind nothing":       {append(begin[:1:1], sunExchange{ask(2, 40002, 2), refusal(2, 2)}), "exception 2"},
		"busy at the marker":           {[]sunExchange{{ask(1, 40000, 2), refusal(1, 6)}, {ask(2, 0, 2), refusal(2, 6)}, {ask(3, 50000, 2), refusal(3, 6)}}, "exception 6 (device busy)"},
		"busy once at the marker":      {[]sunExchange{{ask(1, 40000, 2), refusal(1, 6)}, {ask(2, 0, 2), refusal(2, 2)}, {ask(3, 50000, 2), refusal(3, 2)}}, "exception 6 (device busy)"},
		"no marker in three addresses": {[]sunExchange{{ask(1, 40000, 2), refusal(1, 2)}, {ask(2, 0, 2), refusal(2, 2)}, {ask(3, 50000, 2), refusal(3, 2)}}, "no SunSpec marker at"},
	} {
		conn := script(t, c.talk)
		cfg := Config{Kind: KindSunSpec, Opts: SunSpecOpts{Endpoint: "inverter", Channels: []model.Channel{model.TemperatureC}}}
		d, err := New(cfg, &pipeBuses{dial: func() (net.Conn, error) { return conn, nil }})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		err = d.Read(t.Context(), &s)
		v, ok := s.Get(model.TemperatureC)
		if c.want == "" && (err != nil || !ok || v != -1) || c.want != "" && (err == nil || ok || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v %v, %v", name, v, ok, err)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
	}
}
