package sensor

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/modbus"
	"fairwatt/model"
)

// scriptPort is a serial line whose answers the test sets, in pieces.
type scriptPort struct {
	stale   []byte   // lies there before the request
	answer  [][]byte // pieces after a request
	err     error    // instead of an answer
	sent    []byte
	pending [][]byte
	closed  int
}

func (p *scriptPort) SetReadTimeout(time.Duration) error { return nil }
func (p *scriptPort) Close() error                       { p.closed++; return nil }
func (p *scriptPort) Write(b []byte) (int, error) {
	p.sent, p.pending = bytes.Clone(b), p.answer
	return len(b), nil
}
func (p *scriptPort) Read(b []byte) (int, error) {
	switch {
	case len(p.stale) > 0:
		n := copy(b, p.stale)
		p.stale = p.stale[n:]
		return n, nil
	case p.sent != nil && p.err != nil:
		return 0, p.err
	case len(p.pending) == 0:
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, p.pending[0])
	p.pending = p.pending[1:]
	return n, nil
}

// serialBuses has one serial line.
type serialBuses struct {
	fakeBuses
	port   io.ReadWriteCloser
	opened int
}

func (s *serialBuses) Serial(string) (io.ReadWriteCloser, error) {
	s.opened++
	if s.port == nil {
		return nil, os.ErrNotExist
	}
	return s.port, nil
}

// pzemAnswer is an answer of meter 1: 230.4 V, 70.000 A (two words), 12902.4 W,
// 65537 Wh, 50.1 Hz, 0.80.
var pzemAnswer = []byte{
	0x01, 0x04, 0x14, 0x09, 0x00, 0x11, 0x70, 0x00, 0x01, 0xF8, 0x00, 0x00, 0x01,
	0x00, 0x01, 0x00, 0x01, 0x01, 0xF5, 0x00, 0x50, 0x00, 0x00,
}

// rtu adds the checksum (Modbus over serial line V1.02, 6.2.2).
func rtu(b []byte) []byte {
	sum := uint16(0xFFFF)
	for _, v := range b {
		sum ^= uint16(v)
		for range 8 {
			low := sum & 1
			sum = sum>>1 ^ low*0xA001
		}
	}
	return append(bytes.Clone(b), byte(sum), byte(sum>>8))
}

func pzemPieces(b []byte) [][]byte { return [][]byte{b[:1], b[1:4], b[4:20], b[20:]} }

func TestPZEMBytes(t *testing.T) {
	p := &scriptPort{stale: []byte{0x01, 0x04, 0x14}, answer: pzemPieces(rtu(pzemAnswer))}
	d, err := New(Config{Kind: KindPZEM, Opts: PZEMOpts{Port: "tty", Direction: "import"}}, &serialBuses{port: p})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x01, 0x04, 0x00, 0x00, 0x00, 0x0A, 0x70, 0x0D}; !bytes.Equal(p.sent, want) {
		t.Errorf("sent % x, want % x", p.sent, want)
	}
	for ch, want := range map[model.Channel]float64{
		model.VoltageV: 230.4, model.CurrentA: 70, model.PowerW: 12902.4, model.EnergyImportWh: 65537,
		model.FrequencyHz: 50.1, model.PowerFactor: 0.8,
	} {
		if got, ok := s.Get(ch); !ok || math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s %g %v, want %g", ch, got, ok, want)
		}
	}
	if err := d.Halt(); err != nil || p.closed != 1 {
		t.Errorf("halt: %v, closed %d times", err, p.closed)
	}
}

func TestPZEMErrors(t *testing.T) {
	good := rtu(pzemAnswer)
	turned := bytes.Clone(good)
	turned[7] ^= 0x20
	pulled := errors.New("input/output error")
	for name, tt := range map[string]struct {
		answer [][]byte
		err    error
		want   error
		reopen bool
	}{
		"silent":        {nil, nil, ErrNoChip, false},
		"cut short":     {[][]byte{good[:9]}, nil, ErrNotReady, false},
		"turned bit":    {[][]byte{turned}, nil, ErrChecksum, false},
		"another meter": {[][]byte{rtu(append([]byte{2}, pzemAnswer[1:]...))}, nil, ErrWrongChip, false},
		"fewer words":   {[][]byte{rtu([]byte{1, 4, 2, 9, 0}), make([]byte, 18)}, nil, modbus.ErrFrame, false},
		"adapter gone":  {nil, pulled, pulled, true},
		"end of file":   {nil, io.EOF, io.EOF, true},
	} {
		p := &scriptPort{answer: tt.answer, err: tt.err}
		buses := &serialBuses{port: p}
		d, err := New(Config{Kind: KindPZEM, Opts: PZEMOpts{Port: "tty"}}, buses)
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		for _, ch := range d.Channels() {
			if s.Validity[ch] != model.SensorError {
				t.Errorf("%s: %s is %v", name, ch, s.Validity[ch])
			}
		}
		p.answer, p.err = pzemPieces(good), nil
		if err := d.Read(t.Context(), &s); err != nil {
			t.Errorf("%s, mended: %v", name, err)
		}
		if got := buses.opened == 2; got != tt.reopen {
			t.Errorf("%s: port opened %d times", name, buses.opened)
		}
	}
	var refused *modbus.Exception
	p := &scriptPort{answer: [][]byte{rtu([]byte{1, 0x84, 2})}}
	d, err := New(Config{Kind: KindPZEM, Opts: PZEMOpts{Port: "tty"}}, &serialBuses{port: p})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := d.Read(t.Context(), &s); !errors.As(err, &refused) || refused.Code != 2 {
		t.Errorf("exception: %v", err)
	}
	if _, err := New(Config{Kind: KindPZEM, Opts: PZEMOpts{Port: "tty"}}, &fakeBuses{}); err == nil {
		t.Error("opened a port of buses that have none")
	}
	if _, err := New(Config{Kind: KindPZEM, Opts: PZEMOpts{Port: "tty"}}, &serialBuses{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing port: %v", err)
	}
}

// A port with deadlines of the wall's clock, as os.File has them: half a second
// of silence is the end, and a meter that babbles is cut off.
func TestPZEMDeadline(t *testing.T) {
	for _, babble := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				for {
					b := make([]byte, 64)
					if _, err := there.Read(b); err != nil {
						return
					}
					for babble {
						if _, err := there.Write([]byte{0}); err != nil {
							return
						}
					}
				}
			}()
			d, err := New(Config{Kind: KindPZEM, Opts: PZEMOpts{Port: "pipe"}}, &serialReal{port: here})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			var s model.Sample
			err = d.Read(t.Context(), &s)
			if err == nil || !babble && !errors.Is(err, ErrNoChip) {
				t.Errorf("babble %v: %v", babble, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("babble %v: took %v", babble, took)
			}
			if err := d.Halt(); err != nil && !babble {
				t.Error(err)
			}
			_ = here.Close() // ends the other side when Halt had nothing to close
		})
	}
}

// serialReal is Buses with a serial line and the system's clock.
type serialReal struct {
	realPin
	port io.ReadWriteCloser
}

func (s *serialReal) Serial(string) (io.ReadWriteCloser, error) { return s.port, nil }
