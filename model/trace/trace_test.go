package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
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
		Site: "Hill 7", Position: model.Position{Latitude: 52.1, Longitude: 5.18}, HasPosition: true, IntervalS: 3600, Simulated: true,
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
		{"metadata without a key", "# fairwatt-trace: 1\n# : x\n", "line 2: metadata must be"},
		{"too much metadata", "# fairwatt-trace: 1\n" + strings.Repeat("# a: b\n", maxMeta) + head, "line 1001: more than 1000 metadata lines"},
		{"interval", "# fairwatt-trace: 1\n# interval_s: -1\n", "line 2: metadata key interval_s"},
		{"no interval", "# fairwatt-trace: 1\n# interval_s: 0\n", `"0": must be above zero`},
		{"voltage", "# fairwatt-trace: 1\n# nominal_voltage_v: high\n", `nominal_voltage_v: "high": is not a number`},
		{"frequency", "# fairwatt-trace: 1\n# nominal_frequency_hz: 0\n", "nominal_frequency_hz"},
		{"latitude", "# fairwatt-trace: 1\n# latitude: 90.1\n", "line 2: metadata key latitude: \"90.1\": is outside -90 to 90"},
		{"latitude south", "# fairwatt-trace: 1\n# latitude: -90.1\n", "is outside -90 to 90"},
		{"longitude", "# fairwatt-trace: 1\n# longitude: -180.1\n", "is outside -180 to 180"},
		{"longitude east", "# fairwatt-trace: 1\n# longitude: 180.1\n", "is outside -180 to 180"},
		{"simulated", "# fairwatt-trace: 1\n# simulated: perhaps\n", "metadata key simulated"},
		{"label without a name", "# fairwatt-trace: 1\ntime,label_\n", "column label_: unknown channel"},
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
		{"mixed the other way", head + "2000-01-01T00:00:00Z,1,0\n5,1,0\n", "RFC 3339 and seconds are mixed"},
		{"before the start", head + "-1,1,0\n", `"-1" seconds are out of range`},
		{"year 10000", head + "253402300800,1,0\n", "seconds are out of range"},
		{"year 0", head + "0000-12-31T23:59:59Z,1,0\n", "is out of range"},
		{"after the year 9999", head + "9999-12-31T23:59:59-01:00,1,0\n", "is out of range"},
		{"same point in time", head + "2000-01-01T00:00:00Z,1,0\n2000-01-01T01:00:00+01:00,1,0\n", "is not after the row before"},
		{"utf8", head + "0,\xff,0\n", "line 3: is not UTF-8"},
		{"long line", head + strings.Repeat("1", maxLineBytes+1), "line 3: longer than 1048576 bytes"},
		{"many columns", "# fairwatt-trace: 1\ntime" + strings.Repeat(",x", maxColumns) + "\n", "257 columns; at most 256"},
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

// What stands just within a bound is a trace.
func TestWithinTheBounds(t *testing.T) {
	for name, text := range map[string]string{
		"poles":        "# fairwatt-trace: 1\n# latitude: -90\n# longitude: 180\ntime,raining\n",
		"other poles":  "# fairwatt-trace: 1\n# latitude: 90\n# longitude: -180\ntime,raining\n",
		"metadata":     "# fairwatt-trace: 1\n" + strings.Repeat("# a: b\n", maxMeta-1) + "time,raining\n",
		"columns":      "# fairwatt-trace: 1\ntime" + manyLabels(maxColumns-1) + "\n",
		"only time":    "# fairwatt-trace: 1\ntime\n5\n6\n",
		"last second":  "# fairwatt-trace: 1\ntime,raining\n0,1\n253402300799,1\n",
		"whole range":  "# fairwatt-trace: 1\ntime,raining\n0001-01-01T00:00:00Z,1\n9999-12-31T23:59:59.999Z,1\n",
		"fast samples": "# fairwatt-trace: 1\ntime,raining\n0.0001,1\n0.0002,1\n",
		"numbers":      "# fairwatt-trace: 1\ntime,temperature_c\n0,+1.5e1\n1,-.5\n2,1E-3\n",
	} {
		if _, err := Read(strings.NewReader(text), Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func manyLabels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",label_%d", i)
	}
	return b.String()
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

// A file is read with its gzip or without, and what is wrong names it.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path, bad := filepath.Join(dir, "a.csv"), filepath.Join(dir, "b.csv")
	for p, text := range map[string]string{path: small, bad: small + "x\n"} {
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := ReadFile(path, Options{})
	if err != nil || len(tr.Rows) != 2 {
		t.Fatalf("%+v, %v", tr, err)
	}
	r, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(r.Channels(), r.LabelNames(), r.Meta().Simulated) != "[wind_gust_mps temperature_c] [label_thunder] true" {
		t.Errorf("%v %v %+v", r.Channels(), r.LabelNames(), r.Meta())
	}
	var s model.Sample
	if err := r.Next(&s); err != nil || r.Line() != 10 || r.Labels()["label_thunder"] != 1 || r.FromStart() {
		t.Errorf("line %d, labels %v, %v", r.Line(), r.Labels(), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err == nil {
		t.Error("the file was left open")
	}
	var at *Error
	if _, err := ReadFile(bad, Options{}); !errors.As(err, &at) || at.Line != 12 || !strings.HasPrefix(err.Error(), bad+": ") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(bad, []byte("no trace\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(bad, Options{}); !errors.As(err, &at) || !strings.HasPrefix(err.Error(), bad+": ") {
		t.Errorf("error %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none.csv"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestFromStart(t *testing.T) {
	r, err := NewReader(strings.NewReader("# fairwatt-trace: 1\ntime,raining\n1.5,1\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	if err := r.Next(&s); err != nil || !r.FromStart() || s.TimeMs != 1500 || r.Close() != nil {
		t.Errorf("%d ms, from the start %v, %v", s.TimeMs, r.FromStart(), err)
	}
}

// What the metadata says goes into the judge's configuration; what it leaves
// out stays as configured.
func TestConfigure(t *testing.T) {
	cfg := model.DefaultConfig()
	before := cfg
	channels := []model.Channel{model.WindGustMPS, model.TemperatureC}
	Configure(&cfg, Meta{}, channels)
	if cfg.IntervalS != before.IntervalS || cfg.NominalVoltageV != before.NominalVoltageV || cfg.Position != nil || !cmp.Equal(cfg.Channels, channels) ||
		!cmp.Equal(cfg.Required, model.RequiredOf(channels)) {
		t.Errorf("a trace that says nothing: %+v", cfg)
	}
	channels[0] = model.Raining
	if cfg.Channels[0] != model.WindGustMPS {
		t.Error("the configuration shares the caller's channels")
	}
	cfg.Required = model.RequiredOf([]model.Channel{model.TemperatureC})
	required := fmt.Sprint(cfg.Required)
	Configure(&cfg, Meta{IntervalS: 60, NominalVoltage: 120, NominalFreqHz: 60, HasPosition: true, Position: model.Position{Latitude: 52, Longitude: 5}}, channels)
	if cfg.IntervalS != 60 || cfg.NominalVoltageV != 120 || cfg.NominalFreqHz != 60 || cfg.Position == nil || *cfg.Position != (model.Position{Latitude: 52, Longitude: 5}) {
		t.Errorf("%+v", cfg)
	}
	if fmt.Sprint(cfg.Required) != required {
		t.Errorf("required inputs %v, configured were %s", cfg.Required, required)
	}
}

// A voltage without its nominal value is refused by the key that is missing, and a
// frequency that no profile has too.
func TestCheckNominal(t *testing.T) {
	wind := []model.Channel{model.WindGustMPS, model.CurrentA, model.VoltageNV}
	for _, c := range []struct {
		meta     Meta
		channels []model.Channel
		want     string
	}{
		{Meta{}, wind, ""},
		{Meta{}, append(wind, model.VoltageBV), `trace: nominal_voltage_v is missing, and there is voltage_b_v; add the line "# nominal_voltage_v: 230" with what is nominal there`},
		{Meta{NominalFreqHz: 50}, append(wind, model.VoltageV), `trace: nominal_voltage_v is missing, and there is voltage_v; add the line "# nominal_voltage_v: 230" with what is nominal there`},
		{Meta{NominalVoltage: 230}, append(wind, model.VoltageV), ""},
		{Meta{NominalVoltage: 230}, append(wind, model.VoltageV, model.FrequencyHz), `trace: nominal_frequency_hz is missing, and there is frequency_hz; add the line "# nominal_frequency_hz: 50" with what is nominal there`},
		{Meta{NominalVoltage: 230, NominalFreqHz: 50}, append(wind, model.VoltageV, model.FrequencyHz), ""},
		{Meta{NominalFreqHz: 61}, wind, ""},
		{Meta{NominalVoltage: 15_000, NominalFreqHz: 16.7}, wind, "trace: nominal_frequency_hz: 16.7 has no grid profile; there are 49 to 51 and 59 to 61"},
	} {
		err := c.meta.CheckNominal(c.channels)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%+v with %v: %v, want %q", c.meta, c.channels, err, c.want)
		}
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

// Each thing that could not be read back is refused, and nothing else.
func TestWriterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		meta     Meta
		channels []model.Channel
		opts     WriterOptions
		want     string
	}{
		"all well":         {meta: Meta{Note: "a: b", Extra: []KeyValue{{"key", "c"}}}, channels: []model.Channel{1, 2}, opts: WriterOptions{Labels: []string{"label_x"}}},
		"line break":       {meta: Meta{Note: "a\nb"}, want: "metadata key note: value"},
		"carriage return":  {meta: Meta{Note: "a\rb"}, want: "metadata key note: value"},
		"no UTF-8":         {meta: Meta{Note: "a\xb6b"}, want: "metadata key note: value"},
		"a key, no UTF-8":  {meta: Meta{Extra: []KeyValue{{"a\xb6", "c"}}}, want: "cannot be written"},
		"label, no UTF-8":  {opts: WriterOptions{Labels: []string{"label_\xb6"}}, want: "is no label name"},
		"space at the end": {meta: Meta{Site: "a "}, want: "metadata key site: value"},
		"colon":            {meta: Meta{Extra: []KeyValue{{"a:b", "c"}}}, want: `metadata key "a:b"`},
		"break in a key":   {meta: Meta{Extra: []KeyValue{{"a\nb", "c"}}}, want: "metadata key"},
		"space at a key":   {meta: Meta{Extra: []KeyValue{{" a", "c"}}}, want: "metadata key"},
		"no key":           {meta: Meta{Extra: []KeyValue{{"", "c"}}}, want: `metadata key ""`},
		"the first key":    {meta: Meta{Extra: []KeyValue{{firstKey, "2"}}}, want: "metadata key"},
		"north of north":   {meta: Meta{HasPosition: true, Position: model.Position{Latitude: 90.1}}, want: "not on earth"},
		"south of south":   {meta: Meta{HasPosition: true, Position: model.Position{Latitude: -90.1}}, want: "not on earth"},
		"east of east":     {meta: Meta{HasPosition: true, Position: model.Position{Longitude: 180.1}}, want: "not on earth"},
		"west of west":     {meta: Meta{HasPosition: true, Position: model.Position{Longitude: -180.1}}, want: "not on earth"},
		"nowhere":          {meta: Meta{HasPosition: true, Position: model.Position{Longitude: math.NaN()}}, want: "not on earth"},
		"the poles":        {meta: Meta{HasPosition: true, Position: model.Position{Latitude: -90, Longitude: 180}}},
		"the other":        {meta: Meta{HasPosition: true, Position: model.Position{Latitude: 90, Longitude: -180}}},
		"label":            {opts: WriterOptions{Labels: []string{"thunder"}}, want: `"thunder" is no label name`},
		"empty label":      {opts: WriterOptions{Labels: []string{"label_"}}, want: "is no label name"},
		"label with comma": {opts: WriterOptions{Labels: []string{"label_a,b"}}, want: "is no label name"},
		"label with quote": {opts: WriterOptions{Labels: []string{`label_"`}}, want: "is no label name"},
		"twice":            {channels: []model.Channel{1, 1}, want: "stands twice"},
		"label twice":      {opts: WriterOptions{Labels: []string{"label_a", "label_a"}}, want: "stands twice"},
		"257 columns":      {opts: WriterOptions{Labels: strings.Split(manyLabels(maxColumns)[1:], ",")}, want: "257 columns"},
		"256 columns":      {opts: WriterOptions{Labels: strings.Split(manyLabels(maxColumns - 1)[1:], ",")}},
	} {
		_, err := NewWriter(io.Discard, c.meta, c.channels, c.opts)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Times must rise, within the years 1 to 9999, and are not negative in seconds.
func TestWriterTimes(t *testing.T) {
	for _, c := range []struct {
		seconds bool
		ms      []int64
		ok      bool
	}{
		{false, []int64{MinTimeMs, 0, MaxTimeMs}, true},
		{false, []int64{MinTimeMs - 1}, false},
		{false, []int64{MaxTimeMs + 1}, false},
		{false, []int64{5, 6}, true},
		{false, []int64{5, 5}, false},
		{false, []int64{5, 4}, false},
		{true, []int64{0, 1}, true},
		{true, []int64{-1}, false},
		{false, []int64{-1}, true},
	} {
		w, err := NewWriter(io.Discard, Meta{}, nil, WriterOptions{Seconds: c.seconds})
		if err != nil {
			t.Fatal(err)
		}
		for _, ms := range c.ms {
			err = errors.Join(err, w.Write(&model.Sample{TimeMs: ms}))
		}
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A label that is no number leaves its cell empty.
func TestWriterLeavesOutLabels(t *testing.T) {
	var b strings.Builder
	w, err := NewWriter(&b, Meta{}, nil, WriterOptions{Labels: []string{"label_a", "label_b", "label_c", "label_d"}, Seconds: true})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]float64{"label_a": math.NaN(), "label_b": math.Inf(-1), "label_d": 2}
	if err := errors.Join(w.WriteRow(&model.Sample{TimeMs: 10}, labels), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "\n0.01,,,,2\n") {
		t.Errorf("%q", b.String())
	}
}

// A full disk is an error of the write or of Flush.
func TestWriterReportsErrors(t *testing.T) {
	full := errors.New("full")
	w, err := NewWriter(brokenWriter{full}, Meta{}, nil, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(&model.Sample{}), w.Flush()); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	if err := (&Trace{}).Write(brokenWriter{full}); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("# fairwatt-trace: 1\ntime,raining\n0,1\n1e3,0\n"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		tr, err := Read(bytes.NewReader(b), Options{IgnoreUnknown: len(b)%2 == 0})
		if err != nil {
			return
		}
		rise := true
		for i := 1; i < len(tr.Rows); i++ {
			if tr.Rows[i].Sample.TimeMs < tr.Rows[i-1].Sample.TimeMs {
				t.Fatal("time goes back")
			}
			rise = rise && tr.Rows[i].Sample.TimeMs > tr.Rows[i-1].Sample.TimeMs
		}
		// What was read can be written, unless rows share a millisecond or a text
		// cannot be a label, and is then the same trace.
		var out bytes.Buffer
		if err := tr.Write(&out); err != nil || !rise {
			return
		}
		again, err := Read(&out, Options{})
		if err != nil {
			t.Fatalf("%v in %q", err, out.Bytes())
		}
		if d := cmp.Diff(tr.Rows, again.Rows); d != "" {
			t.Fatal(d)
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
