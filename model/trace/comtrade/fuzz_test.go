package comtrade

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"fairwatt/model"
)

// maxFuzzBytes bounds an input: a larger one finds nothing that this does not.
const maxFuzzBytes = 1 << 16

// drain reads to the end or an error, which must repeat; time never goes back
// and a sample holds no NaN.
func drain(t *testing.T, r *Reader) {
	last := int64(math.MinInt64)
	for range 10000 {
		var s model.Sample
		if err := r.Next(&s); err != nil {
			if again := r.Next(&s); again == nil {
				t.Fatalf("after %v the reader goes on", err)
			}
			return
		}
		if s.TimeMs < last {
			t.Fatal("time goes back")
		}
		last = s.TimeMs
		for _, c := range r.Channels() {
			if v, ok := s.Get(c); ok && math.IsNaN(v) {
				t.Fatalf("%s is NaN", c)
			}
		}
	}
}

// A configuration that is read keeps to the limits, and can be written and read
// again unless a text in it is no field.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(vectorCfg))
	f.Add([]byte(strings.Replace(vectorCfg, "1\n1000,3", "0\n0,3", 1)))
	f.Add([]byte("S,D\n2,1A,1D\n1,UA,A,,kV,1,0,0,-9,9\n1,X,1\n60\n2\n1000,1\n50,2\n05/25/91,08:13:16.5\n,\nBINARY\n"))
	f.Add([]byte(strings.NewReplacer("ASCII", "FLOAT32", "0,0\n0,0", "-5h30,x\nB,3").Replace(vectorCfg)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxFuzzBytes {
			return
		}
		c, err := ReadConfig(bytes.NewReader(text))
		if err != nil {
			return
		}
		if len(c.Analogs) > maxAnalogs || len(c.Digitals) > maxDigitals || len(c.Rates) == 0 || c.Samples() < 0 || c.Samples() > maxSamples || c.TimeMult <= 0 {
			t.Fatalf("out of its limits: %+v", c)
		}
		again, err := c.append(nil)
		if err != nil {
			return
		}
		if _, err := ReadConfig(bytes.NewReader(again)); err != nil {
			t.Fatalf("%v\nin %q\nof %q", err, again, text)
		}
	})
}

// Data of each format: no more records than announced, each whole; an error is
// no end.
func FuzzData(f *testing.F) {
	for format := range Format(len(formats)) {
		cfg := vector(f)
		cfg.Format = format
		data, err := cfg.encode([]Record{
			{HasStamp: true, Analogs: []float64{325, 1}, Digitals: []bool{false}},
			{Stamp: 1000, HasStamp: true, Analogs: []float64{-1, math.NaN()}, Digitals: []bool{true}},
			{Analogs: []float64{0, -.05}, Digitals: []bool{true}},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(format), data)
		f.Add(byte(format), data[:len(data)-3])
	}
	f.Fuzz(func(t *testing.T, format byte, data []byte) {
		if len(data) > maxFuzzBytes {
			return
		}
		cfg := vector(t)
		cfg.Format = Format(format) % Format(len(formats))
		d := NewDecoder(cfg, bytes.NewReader(data))
		var r Record
		for n := int64(0); ; n++ {
			err := d.Next(&r)
			if errors.Is(err, io.EOF) != (err != nil && n == cfg.Samples()) {
				t.Fatalf("after %d of %d records: %v", n, cfg.Samples(), err)
			}
			if err != nil {
				break
			}
			if len(r.Analogs) != 2 || len(r.Digitals) != 1 {
				t.Fatalf("record %d: %+v", n, r)
			}
			for _, v := range r.Analogs {
				if math.IsInf(v, 0) {
					t.Fatalf("record %d: %+v", n, r)
				}
			}
		}
		reader, err := NewReader(cfg, bytes.NewReader(data), nil)
		if err != nil {
			t.Fatal(err)
		}
		drain(t, reader)
	})
}

// A configuration and data that belong to each other by chance.
func FuzzReader(f *testing.F) {
	f.Add([]byte(vectorCfg), []byte("1,0,3250,100,0\n2,1000,3248,99999,0\n3,2000,-10,-5,1\n"))
	f.Add([]byte(strings.Replace(vectorCfg, "ASCII", "BINARY", 1)), make([]byte, 60))
	f.Add([]byte(strings.Replace(vectorCfg, "1\n1000,3", "0\n0,3", 1)), []byte("1,0,3250,100,0\n2,1000,3248,99999,0\n"))
	f.Fuzz(func(t *testing.T, text, data []byte) {
		if len(text)+len(data) > maxFuzzBytes {
			return
		}
		cfg, err := ReadConfig(bytes.NewReader(text))
		if err != nil {
			return
		}
		if r, err := NewReader(cfg, bytes.NewReader(data), nil); err == nil {
			drain(t, r)
		}
	})
}

func FuzzCFF(f *testing.F) {
	const data = "1,0,1,1,0\n2,0,1,1,0\n3,0,1,1,0\n"
	f.Add([]byte(head + "--- file type: DAT ASCII ---\n" + data))
	f.Add([]byte(head + "--- file type: INF ---\nx\n--- file type: HDR ---\n--- file type: DAT ASCII ---\n" + data))
	f.Add([]byte(strings.Replace(head, "ASCII", "BINARY", 1) + "--- file type: DAT BINARY: 42 ---\n" + strings.Repeat("\x00", 42)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxFuzzBytes {
			return
		}
		if r, err := NewCFFReader(bytes.NewReader(text), nil); err == nil {
			drain(t, r)
		}
	})
}

func FuzzMap(f *testing.F) {
	f.Add([]byte("channels:\n  voltage_b_v_inst: {number: 1, scale: 2}\n"))
	f.Add([]byte("only: true\nnominal_voltage_v: 230\nnominal_frequency_hz: 50\nneutral_conductor: true\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxFuzzBytes {
			return
		}
		m, err := ParseMap(text)
		if err != nil {
			return
		}
		if m == nil {
			t.Fatal("neither map nor error")
		}
		if r, err := NewReader(vector(t), strings.NewReader("1,0,1,1,0\n2,0,1,1,0\n3,0,1,1,0\n"), m); err == nil {
			drain(t, r)
		}
	})
}
