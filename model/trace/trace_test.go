package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fairwatt/model"
)

const small = `# fairwatt-trace: 1
# site: Hill 7
# latitude: 52.1
# longitude: 5.18
# interval_s: 3600
# simulated: true
# composed: power_w,voltage_v
# operator: nobody
time,wind_gust_mps,label_thunder,temperature_c
2000-05-01T00:00:00Z,3.5,1,12.1
2000-05-01T01:00:00Z,,0,-0.5
`

func TestRead(t *testing.T) {
	want := Meta{
		Site: "Hill 7", Latitude: 52.1, Longitude: 5.18, HasPosition: true, IntervalS: 3600, Simulated: true,
		Composed: []string{"power_w", "voltage_v"}, Extra: []KeyValue{{"operator", "nobody"}},
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, small); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain": small, "crlf": strings.ReplaceAll(small, "\n", "\r\n"), "gzip": packed.String(),
		"no last newline": strings.TrimSuffix(small, "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := Read(strings.NewReader(text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, tr.Meta); d != "" {
				t.Error(d)
			}
			if len(tr.Rows) != 2 || len(tr.Channels) != 2 || len(tr.Labels) != 1 {
				t.Fatalf("%d rows, channels %v, labels %v", len(tr.Rows), tr.Channels, tr.Labels)
			}
			s := &tr.Rows[1].Sample
			if s.TimeMs != 957142800000 || s.Validity[model.WindGustMPS] != model.Absent {
				t.Errorf("time %d, empty cell is %v", s.TimeMs, s.Validity[model.WindGustMPS])
			}
			if v, ok := s.Get(model.TemperatureC); !ok || v != -0.5 {
				t.Errorf("temperature %v %v", v, ok)
			}
			if tr.Rows[0].Labels["label_thunder"] != 1 {
				t.Errorf("labels %v", tr.Rows[0].Labels)
			}
		})
	}
}

// The labels are truth: nothing of them may be in what the judgement gets.
func TestLabelsNeverReachTheSample(t *testing.T) {
	read := func(label string) model.Sample {
		r, err := NewReader(strings.NewReader("# fairwatt-trace: 1\ntime,wind_gust_mps,label_wind_gust_mps\n0,1,"+label+"\n"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := r.Next(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if read("0") != read("77") {
		t.Error("a label changed the sample")
	}
}

func TestMalformed(t *testing.T) {
	const head = "# fairwatt-trace: 1\ntime,wind_gust_mps,raining\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: the trace ends before its header row"},
		{"no magic", "time,raining\n", "line 1: is not a trace"},
		{"version", "# fairwatt-trace: 2\n", `line 1: trace version "2" is not known`},
		{"no header", "# fairwatt-trace: 1\n# site: x\n", "line 3: the trace ends before its header row"},
		{"metadata", "# fairwatt-trace: 1\n# nonsense\n", "line 2: metadata must be"},
		{"interval", "# fairwatt-trace: 1\n# interval_s: -1\n", "line 2: metadata key interval_s"},
		{"latitude", "# fairwatt-trace: 1\n# latitude: 91\n", "line 2: metadata key latitude"},
		{"time first", "# fairwatt-trace: 1\nraining,time\n", "line 2, column raining: the first column must be time"},
		{"unknown", "# fairwatt-trace: 1\ntime,wnd_gust\n", `line 2, column wnd_gust: unknown channel "wnd_gust"`},
		{"twice", "# fairwatt-trace: 1\ntime,raining,raining\n", "column raining: stands twice"},
		{"truncated row", head + "0,1,0\n1,5\n", "line 4, column raining: the row ends after 2 of 3 columns"},
		{"truncated in time", head + "0,1,0\n1\n", "line 4, column wind_gust_mps: the row ends"},
		{"too long row", head + "0,1,0,9\n", "line 3: the row has more than 3 columns"},
		{"blank row", head + "\n", `line 3, column time: "" is neither`},
		{"not a number", head + "0,fast,0\n", `line 3, column wind_gust_mps: "fast" is not a number`},
		{"NaN", head + "0,NaN,0\n", "is not a number"},
		{"hex", head + "0,0x10,0\n", "is not a number"},
		{"bad time", head + "yesterday,1,0\n", `line 3, column time: "yesterday" is neither RFC 3339 nor seconds`},
		{"back", head + "2000-01-01T01:00:00Z,1,0\n2000-01-01T00:00:00Z,1,0\n", "line 4, column time"},
		{"same", head + "5,1,0\n5,1,0\n", `"5" is not after the row before`},
		{"mixed", head + "5,1,0\n2000-01-01T00:00:00Z,1,0\n", "RFC 3339 and seconds are mixed"},
		{"utf8", head + "0,\xff,0\n", "line 3: is not UTF-8"},
		{"long line", head + strings.Repeat("1", maxLineBytes+1), "line 3: longer than"},
		{"many columns", "# fairwatt-trace: 1\ntime" + strings.Repeat(",x", maxColumns) + "\n", "at most 256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(c.text), Options{})
			var at *Error
			if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestTruncatedGzipIsAnError(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, small)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(bytes.NewReader(b.Bytes()[:b.Len()-12]), Options{}); err == nil {
		t.Error("accepted")
	}
}

func TestIgnoreUnknown(t *testing.T) {
	tr, err := Read(strings.NewReader("# fairwatt-trace: 1\ntime,mood,raining\n0,fine,1\n"), Options{IgnoreUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := tr.Rows[0].Sample.Get(model.Raining); !ok || v != 1 || len(tr.Channels) != 1 {
		t.Errorf("raining %v %v, channels %v", v, ok, tr.Channels)
	}
}

func TestErrorStays(t *testing.T) {
	r, err := NewReader(strings.NewReader("# fairwatt-trace: 1\ntime,raining\nx,1\n5,1\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	first := r.Next(&s)
	if second := r.Next(&s); first == nil || second != first {
		t.Errorf("%v, then %v: a broken trace went on", first, second)
	}
}

func TestOpenMissingFile(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none.csv"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func drawTrace(t *rapid.T) *Trace {
	text := rapid.StringMatching(`[a-zA-Z0-9;.,()é][a-zA-Z0-9 ;:.,()é]{0,20}[a-z]`)
	tr := &Trace{Meta: Meta{
		Site: text.Draw(t, "site"), Source: text.Draw(t, "source"), Note: text.Draw(t, "note"),
		IntervalS: rapid.Float64Range(0.001, 1e5).Draw(t, "interval"),
		Simulated: rapid.Bool().Draw(t, "simulated"),
	}}
	if rapid.Bool().Draw(t, "placed") {
		tr.Meta.HasPosition = true
		tr.Meta.Latitude = rapid.Float64Range(-90, 90).Draw(t, "lat")
		tr.Meta.Longitude = rapid.Float64Range(-180, 180).Draw(t, "lon")
	}
	chans := rapid.SliceOfDistinct(rapid.Uint8Range(0, uint8(model.NumChannels)-1), rapid.ID[uint8]).Draw(t, "channels")
	for _, c := range chans {
		tr.Channels = append(tr.Channels, model.Channel(c))
	}
	if rapid.Bool().Draw(t, "labelled") {
		tr.Labels = []string{"label_thunder"}
	}
	ms := rapid.Int64Range(MinTimeMs, MaxTimeMs-1e9).Draw(t, "start")
	for range rapid.IntRange(0, 10).Draw(t, "rows") {
		ms += rapid.Int64Range(1, 1e6).Draw(t, "dt")
		row := Row{Sample: model.Sample{TimeMs: ms}}
		for _, c := range tr.Channels {
			if rapid.Bool().Draw(t, "given") {
				row.Sample.Set(c, rapid.Float64Range(c.Info().Min, c.Info().Max).Draw(t, "value"))
			}
		}
		if tr.Labels != nil && rapid.Bool().Draw(t, "told") {
			row.Labels = map[string]float64{"label_thunder": 1}
		}
		tr.Rows = append(tr.Rows, row)
	}
	return tr
}

// What is written is read back as it was, and writing it again gives the same
// bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := drawTrace(t)
		var once, twice bytes.Buffer
		if err := tr.Write(&once); err != nil {
			t.Fatal(err)
		}
		back, err := Read(bytes.NewReader(once.Bytes()), Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, once.Bytes())
		}
		if d := cmp.Diff(tr, back); d != "" {
			t.Fatal(d)
		}
		if err := back.Write(&twice); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Fatalf("%s\n%s", once.Bytes(), twice.Bytes())
		}
	})
}

func TestWriterInSeconds(t *testing.T) {
	var b strings.Builder
	w, err := NewWriter(&b, Meta{}, []model.Channel{model.Raining}, WriterOptions{Seconds: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, ms := range []int64{0, 50, 1000, 1500} {
		s := model.Sample{TimeMs: ms}
		s.Set(model.Raining, 1)
		if ms == 1000 {
			s.Fail(model.Raining, model.SensorError)
		}
		if err := w.Write(&s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "# fairwatt-trace: 1\ntime,raining\n0,1\n0.05,1\n1,\n1.5,1\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestWriterRefuses(t *testing.T) {
	for name, make := range map[string]func() error{
		"line break": func() error { _, err := NewWriter(io.Discard, Meta{Note: "a\nb"}, nil, WriterOptions{}); return err },
		"key": func() error {
			_, err := NewWriter(io.Discard, Meta{Extra: []KeyValue{{"a:b", "c"}}}, nil, WriterOptions{})
			return err
		},
		"label": func() error {
			_, err := NewWriter(io.Discard, Meta{}, nil, WriterOptions{Labels: []string{"thunder"}})
			return err
		},
		"twice": func() error {
			_, err := NewWriter(io.Discard, Meta{}, []model.Channel{1, 1}, WriterOptions{})
			return err
		},
		"time of day": func() error {
			w, err := NewWriter(io.Discard, Meta{}, nil, WriterOptions{})
			if err != nil {
				return nil
			}
			return errors.Join(w.Write(&model.Sample{TimeMs: 5}), w.Write(&model.Sample{TimeMs: 5}))
		},
	} {
		if make() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("# fairwatt-trace: 1\ntime,raining\n0,1\n1e3,0\n"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := Read(bytes.NewReader(b), Options{IgnoreUnknown: len(b)%2 == 0})
		if err != nil {
			return
		}
		for i := 1; i < len(tr.Rows); i++ {
			if tr.Rows[i].Sample.TimeMs < tr.Rows[i-1].Sample.TimeMs {
				t.Fatal("time goes back")
			}
		}
	})
}

// A year of hourly samples must be read in milliseconds: replay speed rests on
// it.
func BenchmarkReader(b *testing.B) {
	text := yearTrace(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(text), Options{})
		if err != nil {
			b.Fatal(err)
		}
		var s model.Sample
		for err = nil; err == nil; err = r.Next(&s) {
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}

func yearTrace(b *testing.B) []byte {
	b.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Meta{IntervalS: 3600, Simulated: true}, []model.Channel{model.TemperatureC, model.WindGustMPS, model.PressureHPa}, WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for h := range int64(8784) {
		s := model.Sample{TimeMs: h * 3_600_000}
		s.Set(model.TemperatureC, float64(h%300)/10)
		s.Set(model.WindGustMPS, float64(h%250)/10)
		s.Set(model.PressureHPa, 1000+float64(h%100)/10)
		if err := w.Write(&s); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
