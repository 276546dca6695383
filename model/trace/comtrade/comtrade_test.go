package comtrade

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model"
)

const vectorCfg = `SITE,AGENT,2013
3,2A,1D
1,VA,A,,V,0.1,0,0,-32767,32767,1,1,P
2,IA,A,,A,0.01,0,0,-32767,32767,1,1,P
1,TRIP,,,0
50
1
1000,3
01/01/2026,00:00:00.000000
01/01/2026,00:00:00.001000
ASCII
1
0,0
0,0
`

func readAll(t *testing.T, r *Reader) (samples []model.Sample, err error) {
	t.Helper()
	for {
		var s model.Sample
		if err := r.Next(&s); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return samples, err
		}
		samples = append(samples, s)
	}
}

func TestASCIIVector(t *testing.T) {
	cfg, err := ReadConfig(strings.NewReader(vectorCfg))
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(cfg, strings.NewReader("1,0,3250,100,0\n\n2,1000,3248,99999,0\r\n3,2000,-10,-5,1\x1a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(t, r)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d samples, %v", len(got), err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for i, want := range [][2]float64{{325, 1}, {324.8, math.NaN()}, {-1, -.05}} {
		v, _ := got[i].Get(model.VoltageAVInst)
		c, known := got[i].Get(model.CurrentAAInst)
		if math.Abs(v-want[0]) > 1e-9 || known == math.IsNaN(want[1]) || known && math.Abs(c-want[1]) > 1e-9 || got[i].TimeMs != start+int64(i) {
			t.Errorf("sample %d: %v V, %v A (%v) at %d; want %v", i, v, c, known, got[i].TimeMs, want)
		}
	}
	if !r.Record().Digitals[0] || r.SampleRateHz() != 1000 || r.Elapsed() != .002 {
		t.Errorf("last record %+v at %v s, %v Hz", r.Record(), r.Elapsed(), r.SampleRateHz())
	}
}

func TestBinaryVector(t *testing.T) {
	cfg := &Config{
		Revision: 1999, Format: Binary, TimeMult: 1, Rates: []Rate{{1000, 1}},
		Analogs:  []Analog{{Name: "VA", Unit: "V", A: 1}, {Name: "VB", Unit: "V", A: 1}},
		Digitals: make([]Digital, 3),
	}
	const want = "0100000000000000640038ff0500"
	var out bytes.Buffer
	e := newEncoder(cfg, &out)
	rec := Record{HasStamp: true, Analogs: []float64{100, -200}, Digitals: []bool{true, false, true}}
	if err := errors.Join(e.Write(&rec), e.Close()); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(out.Bytes()); got != want {
		t.Errorf("wrote %s, want %s", got, want)
	}
	var back Record
	if err := NewDecoder(cfg, &out).Next(&back); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(back) != "{1 0 true [100 -200] [true false true]}" {
		t.Errorf("read %v", back)
	}
}

// drawRecording draws a configuration and records whose values lie on its
// scale.
func drawRecording(t *rapid.T) (*Config, []Record) {
	name := rapid.StringMatching(`[A-Z][A-Za-z0-9 _.]{0,8}[A-Z]`)
	c := &Config{
		Station: name.Draw(t, "station"), Device: name.Draw(t, "device"), TimeMult: 1,
		Revision: rapid.SampledFrom([]int{1991, 1999, 2001, 2013}).Draw(t, "revision"),
		LineHz:   rapid.SampledFrom([]float64{50, 60}).Draw(t, "line"),
		Start:    time.Date(2020, 3, rapid.IntRange(1, 28).Draw(t, "day"), 23, 59, 59, 123456000, time.UTC),
	}
	formats := 2
	if c.Revision >= 2013 {
		formats = 4
		c.TimeCode = rapid.SampledFrom([]string{"0", "-5h30", "+2", "x"}).Draw(t, "code")
		c.LocalCode, c.Quality, c.LeapSecond = c.TimeCode, "B", "3"
		c.Nanoseconds = rapid.Bool().Draw(t, "nanos")
	}
	c.Trigger = c.Start.Add(time.Second)
	c.Format = Format(rapid.IntRange(0, formats-1).Draw(t, "format"))
	for i := range rapid.IntRange(1, 6).Draw(t, "analogs") {
		a := Analog{Name: fmt.Sprintf("U%c%d", 'A'+i%3, i), Unit: "V", A: rapid.SampledFrom([]float64{1, .5, .25, 2}).Draw(t, "a"), B: float64(i), Primary: 1, SecondaryRated: 1}
		if c.Revision >= 1999 {
			a.Primary, a.SecondaryRated, a.Secondary = 100, 4, rapid.Bool().Draw(t, "secondary")
		}
		c.Analogs = append(c.Analogs, a)
	}
	for i := range rapid.IntRange(0, 33).Draw(t, "digitals") {
		c.Digitals = append(c.Digitals, Digital{Name: fmt.Sprintf("D%d", i), Normal: i%2 == 0})
	}
	n := rapid.IntRange(1, 20).Draw(t, "samples")
	c.Timed = rapid.Bool().Draw(t, "timed")
	if c.Timed {
		c.Rates = []Rate{{0, int64(n)}}
	} else {
		c.Rates = []Rate{{1000, int64(n / 2)}, {4800.5, int64(n)}}
	}
	var records []Record
	for i := range n {
		r := Record{Number: int64(i + 1), Stamp: float64(i * 250), HasStamp: true}
		for k := range c.Analogs {
			v := c.Analogs[k].value(float64(rapid.IntRange(-32767, 32767).Draw(t, "raw")))
			if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
				v = math.NaN()
			}
			r.Analogs = append(r.Analogs, v)
		}
		for range c.Digitals {
			r.Digitals = append(r.Digitals, rapid.Bool().Draw(t, "digital"))
		}
		records = append(records, r)
	}
	return c, records
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, records := drawRecording(t)
		text, err := cfg.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadConfig(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", cfg) {
			t.Fatalf("read  %+v\nwrote %+v\n%s", back, cfg, text)
		}
		data, err := cfg.encode(records)
		if err != nil {
			t.Fatal(err)
		}
		dec := NewDecoder(back, bytes.NewReader(data))
		for i := range records {
			var r Record
			if err := dec.Next(&r); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(r) != fmt.Sprint(records[i]) {
				t.Fatalf("record %d: read %v, wrote %v", i, r, records[i])
			}
		}
		if err := dec.Next(&Record{}); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last record: %v", err)
		}
		// Cut anywhere before the last record is whole, it is short or malformed.
		cut := rapid.IntRange(0, len(data)-4).Draw(t, "cut")
		dec = NewDecoder(back, bytes.NewReader(data[:cut]))
		for err = nil; err == nil; {
			err = dec.Next(&Record{})
		}
		if errors.Is(err, io.EOF) && cfg.Format != ASCII {
			t.Fatalf("cut at %d of %d bytes: no error", cut, len(data))
		}
	})
}

func TestFiles(t *testing.T) {
	cfg, err := ReadConfig(strings.NewReader(vectorCfg))
	if err != nil {
		t.Fatal(err)
	}
	records := []Record{
		{Stamp: 0, HasStamp: true, Analogs: []float64{325, 1}, Digitals: []bool{false}},
		{Stamp: 1000, HasStamp: true, Analogs: []float64{324.8, math.NaN()}, Digitals: []bool{true}},
		{Stamp: 2000, HasStamp: true, Analogs: []float64{-1, -.05}, Digitals: []bool{false}},
	}
	for _, format := range []Format{ASCII, Binary, Binary32, Float32} {
		for _, name := range []string{"a.cfg", "a.cff"} {
			cfg.Format = format
			path := filepath.Join(t.TempDir(), name)
			if err := writeRecording(path, cfg, records); err != nil {
				t.Fatal(err)
			}
			r, err := Open(path, nil)
			if err != nil {
				t.Fatalf("%s %s: %v", name, format, err)
			}
			got, err := readAll(t, r)
			if err := errors.Join(err, r.Close()); err != nil || len(got) != 3 {
				t.Fatalf("%s %s: %d samples, %v", name, format, len(got), err)
			}
			if v, _ := got[1].Get(model.VoltageAVInst); math.Abs(v-324.8) > 1e-4 || got[1].Validity[model.CurrentAAInst] != model.Absent {
				t.Errorf("%s %s: sample 1: %v V, current %v", name, format, v, got[1].Validity[model.CurrentAAInst])
			}
			shorten(t, path, format)
		}
	}
}

// shorten cuts the file's end off and expects a clear error.
func shorten(t *testing.T, path string, format Format) {
	t.Helper()
	if strings.HasSuffix(path, ".cfg") {
		path = strings.TrimSuffix(path, ".cfg") + ".dat"
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := 3
	if format == ASCII {
		cut = len(b) - bytes.LastIndexByte(b[:len(b)-2], '\n') + 1
	}
	if err := os.WriteFile(path, b[:len(b)-cut], 0o644); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".dat") {
		path = strings.TrimSuffix(path, ".dat") + ".cfg"
	}
	r, err := Open(path, nil)
	if err == nil {
		_, err = readAll(t, r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, ErrShort) {
		t.Errorf("%s of %s cut short: %v", filepath.Base(path), format, err)
	}
}

func BenchmarkBinary(b *testing.B) {
	cfg := &Config{Revision: 2013, Format: Binary, TimeMult: 1, Rates: []Rate{{10000, 10000}}}
	for _, n := range []string{"UA", "UB", "UC", "IA", "IB", "IC", "IN", "UN"} {
		cfg.Analogs = append(cfg.Analogs, Analog{Name: n, A: .01})
	}
	data := make([]byte, cfg.Samples()*cfg.recordBytes())
	b.ReportAllocs()
	samples := 0
	for b.Loop() {
		r, err := NewReader(cfg, bytes.NewReader(data), nil)
		if err != nil {
			b.Fatal(err)
		}
		var s model.Sample
		for r.Next(&s) == nil {
			samples++
		}
	}
	b.ReportMetric(float64(samples)/b.Elapsed().Seconds(), "samples/s")
}
