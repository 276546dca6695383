package comtrade

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairwatt/model"
)

func vector(t testing.TB) *Config {
	t.Helper()
	cfg, err := ReadConfig(strings.NewReader(vectorCfg))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Each rule of a text record has a row that breaks it in line 2 of 3.
func TestTextDataRefuses(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"x,1,1,1,0", `line 2: sample number "x" is not a number`},
		{"2,x,1,1,0", `time stamp "x" is not a number`},
		{"2,1,a,1,0", `channel VA: "a" is not a number`},
		{"2,1,1,Inf,0", `channel IA: "Inf" is not a number`},
		{"2,1,1,1,2", `channel TRIP: "2" is neither 0 nor 1`},
		{"2,1,1,1,", `channel TRIP: "" is neither 0 nor 1`},
		{"2,1,1,1", "4 fields; the configuration says 5"},
		{"2,1,1,1,0,7", "more than the 5 fields"},
		{strings.Repeat("1", maxLine), "longer than 65536 bytes"},
	} {
		r, err := NewReader(vector(t), strings.NewReader("1,0,1,1,0\n"+c.line+"\n3,2,1,1,0\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(t, r)
		var at *Error
		if !errors.As(err, &at) || at.File != "dat" || at.Line != 2 || !strings.Contains(err.Error(), c.want) || len(got) != 1 {
			t.Errorf("%.40q: %d samples, %v, want %q", c.line, len(got), err, c.want)
		}
	}
}

// A last line that is cut is short data, and says what is wrong with it.
func TestTextDataCutInALine(t *testing.T) {
	for data, want := range map[string]string{
		"":                       "it ends after 0 of 3 samples",
		"1,0,1,1,0\n2,1":         "it ends after 1 of 3 samples, in this line: 2 fields",
		"1,0,1,1,0\n2,1,1,1,0\n": "it ends after 2 of 3 samples",
	} {
		d := NewDecoder(vector(t), strings.NewReader(data))
		var err error
		for err == nil {
			err = d.Next(&Record{})
		}
		if !errors.Is(err, ErrShort) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", data, err, want)
		}
	}
}

// 99999 means missing from 1999 on; in 1991 it is a value. An empty field is
// missing in both. A comma at the end of a line is no field.
func TestTextDataMissing(t *testing.T) {
	for revision, want := range map[int]float64{1991: 9999.9, 1998: 9999.9, 1999: math.NaN(), 2013: math.NaN()} {
		cfg := vector(t)
		cfg.Revision = revision
		var r Record
		if err := NewDecoder(cfg, strings.NewReader("1,,99999,,1,\n")).Next(&r); err != nil {
			t.Fatal(err)
		}
		if math.IsNaN(want) != math.IsNaN(r.Analogs[0]) || !math.IsNaN(want) && math.Abs(r.Analogs[0]-want) > 1e-9 || !math.IsNaN(r.Analogs[1]) || r.HasStamp {
			t.Errorf("revision %d: %+v, want %v", revision, r, want)
		}
	}
}

// The lowest integer of a width is missing, its neighbour a value; so are the
// infinities of FLOAT32, and the highest time stamp.
func TestBinaryDataMissing(t *testing.T) {
	le := binary.LittleEndian
	f32 := func(v float64) []byte { return le.AppendUint32(nil, math.Float32bits(float32(v))) }
	for _, c := range []struct {
		format Format
		raw    []byte
		want   float64
	}{
		{Binary, []byte{0x00, 0x80}, math.NaN()},
		{Binary, []byte{0x01, 0x80}, -32767},
		{Binary, []byte{0xff, 0x7f}, 32767},
		{Binary32, []byte{0, 0, 0, 0x80}, math.NaN()},
		{Binary32, []byte{1, 0, 0, 0x80}, -2147483647},
		{Binary32, []byte{0, 0x80, 0, 0}, 32768},
		{Float32, f32(math.Inf(1)), math.NaN()},
		{Float32, f32(math.Inf(-1)), math.NaN()},
		{Float32, f32(math.NaN()), math.NaN()},
		{Float32, f32(-1.5), -1.5},
	} {
		cfg := &Config{Revision: 2013, Format: c.format, TimeMult: 1, Rates: []Rate{{1000, 2}}, Analogs: []Analog{{Name: "VA", A: 1}}}
		var data []byte
		for _, stamp := range []uint32{math.MaxUint32, math.MaxUint32 - 1} {
			data = append(le.AppendUint32(le.AppendUint32(data, 1), stamp), c.raw...)
		}
		d := NewDecoder(cfg, strings.NewReader(string(data)))
		for _, stamped := range []bool{false, true} {
			var r Record
			if err := d.Next(&r); err != nil {
				t.Fatal(err)
			}
			if got := r.Analogs[0]; math.IsNaN(c.want) != math.IsNaN(got) || !math.IsNaN(c.want) && got != c.want || r.HasStamp != stamped {
				t.Errorf("%s %x: %v, stamp %v; want %v, %v", c.format, c.raw, got, r.HasStamp, c.want, stamped)
			}
		}
	}
}

// A broken reader's error is not taken for the end of the data.
func TestReadErrorsPass(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, format := range []Format{ASCII, Binary} {
		cfg := vector(t)
		cfg.Format = format
		if err := NewDecoder(cfg, failing{broken}).Next(&Record{}); !errors.Is(err, broken) || errors.Is(err, ErrShort) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := ReadConfig(failing{broken}); !errors.Is(err, broken) {
		t.Errorf("configuration: %v", err)
	}
	if _, err := NewCFFReader(failing{broken}, nil); !errors.Is(err, broken) {
		t.Errorf("cff: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Without a sampling rate the time stamps decide; they must be there and rise.
func TestTimeStamps(t *testing.T) {
	const rest = ",1,1,0\n"
	for _, c := range []struct {
		stamps [3]string
		want   string
	}{
		{[3]string{"0", "250", "750"}, "[0 4000] [0.00025 4000] [0.00075 2000]"},
		{[3]string{"100", "100", "200"}, "[0 0] line 2: time stamp 100 is not after the one before"},
		{[3]string{"100", "99", "200"}, "[0 0] line 2: time stamp 99 is not after"},
		{[3]string{"0", "1000", "1000"}, "[0 1000] [0.001 1000] line 3: time stamp 1000 is not after"},
		{[3]string{"", "1", "2"}, "line 1: no time stamp, and the configuration gives no sampling rate"},
		{[3]string{"0", "", "2"}, "[0 0] line 2: no time stamp"},
	} {
		cfg := vector(t)
		cfg.Timed, cfg.Rates = true, []Rate{{0, 3}}
		r, err := NewReader(cfg, strings.NewReader("1,"+c.stamps[0]+rest+"2,"+c.stamps[1]+rest+"3,"+c.stamps[2]+rest), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			var s model.Sample
			if err = r.Next(&s); err != nil {
				break
			}
			got = append(got, fmt.Sprint([]float64{r.Elapsed(), r.SampleRateHz()}))
		}
		if !errors.Is(err, io.EOF) {
			got = append(got, err.Error())
			if again := r.Next(&model.Sample{}); again != err {
				t.Errorf("%v: after %v comes %v", c.stamps, err, again)
			}
		}
		if all := strings.ReplaceAll(strings.Join(got, " "), "comtrade dat ", ""); !strings.HasPrefix(all, c.want) {
			t.Errorf("%v: %s, want %s", c.stamps, all, c.want)
		}
	}
}

// Time stamps count micro- or nanoseconds times the multiplier.
func TestTimeStampUnits(t *testing.T) {
	for _, c := range []struct {
		nanoseconds bool
		mult, want  float64
	}{{false, 1, .002}, {true, 1, .000002}, {false, 1000, 2}} {
		cfg := vector(t)
		cfg.Timed, cfg.Rates, cfg.Nanoseconds, cfg.TimeMult = true, []Rate{{0, 2}}, c.nanoseconds, c.mult
		r, err := NewReader(cfg, strings.NewReader("1,1000,1,1,0\n2,3000,1,1,0\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(t, r); err != nil || math.Abs(r.Elapsed()-c.want) > 1e-12 {
			t.Errorf("%+v: %v s, %v", c, r.Elapsed(), err)
		}
	}
}

// Samples up to and including a rate's last one are at that rate.
func TestSeveralRates(t *testing.T) {
	cfg := vector(t)
	cfg.Rates = []Rate{{1000, 2}, {100, 2}, {10, 4}}
	r, err := NewReader(cfg, strings.NewReader(strings.Repeat("1,0,1,1,0\n", 4)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][2]float64{{0, 1000}, {.001, 1000}, {.101, 10}, {.201, 10}} {
		var s model.Sample
		if err := r.Next(&s); err != nil || math.Abs(r.Elapsed()-want[0]) > 1e-12 || r.SampleRateHz() != want[1] {
			t.Errorf("sample %d: %v s at %v Hz, %v; want %v", i, r.Elapsed(), r.SampleRateHz(), err, want)
		}
	}
	cfg.Rates = []Rate{{0, 1}}
	if r, err = NewReader(cfg, strings.NewReader("1,0,1,1,0\n"), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Next(&model.Sample{}); err == nil || !strings.Contains(err.Error(), "its sampling rate is zero") {
		t.Errorf("a rate of zero without time stamps: %v", err)
	}
}

// No sample leaves the years that a trace may hold.
func TestTimeOutOfRange(t *testing.T) {
	cfg := vector(t)
	cfg.Start = time.Date(9999, 12, 31, 23, 59, 59, 998e6, time.UTC)
	r, err := NewReader(cfg, strings.NewReader(strings.Repeat("1,0,1,1,0\n", 3)), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(t, r)
	if len(got) != 2 || err == nil || !strings.Contains(err.Error(), "line 3: its time is out of range") {
		t.Errorf("%d samples, %v", len(got), err)
	}
	if again := r.Next(&model.Sample{}); again != err {
		t.Errorf("after %v comes %v", err, again)
	}
}

func TestReaderNeedsRatesAndChannels(t *testing.T) {
	cfg := vector(t)
	cfg.Analogs[0].Name, cfg.Analogs[0].Phase, cfg.Analogs[1].Unit = "left", "", "bar"
	if _, err := NewReader(cfg, strings.NewReader(""), nil); err == nil || !strings.Contains(err.Error(), "no channel is known by phase and quantity (there are: left, IA)") {
		t.Errorf("no channel: %v", err)
	}
	cfg = vector(t)
	cfg.Rates = nil
	if _, err := NewReader(cfg, strings.NewReader(""), nil); err == nil || !strings.Contains(err.Error(), "no sampling rate") {
		t.Errorf("no rate: %v", err)
	}
}

func TestMeta(t *testing.T) {
	cfg := vector(t)
	cfg.Station, cfg.Device = "SI\x01TE ", "AG\tENT"
	r, err := NewReader(cfg, strings.NewReader(""), &Map{NominalVoltageV: 230, NominalFrequencyHz: 60})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Meta()
	if m.Site != "SI TE" || m.Source != "COMTRADE 2013 ASCII, device AG ENT" || m.NominalFreqHz != 60 || m.NominalVoltage != 230 || m.IntervalS != .001 ||
		fmt.Sprint(m.Extra) != "[{trigger 2026-01-01T00:00:00.001Z}]" {
		t.Errorf("%+v", m)
	}
	cfg.LineHz, cfg.Trigger, cfg.Timed = 0, time.Time{}, true
	if r, err = NewReader(cfg, strings.NewReader(""), nil); err != nil {
		t.Fatal(err)
	}
	if m := r.Meta(); m.NominalFreqHz != 0 || m.NominalVoltage != 0 || m.IntervalS != 0 || len(m.Extra) != 0 {
		t.Errorf("a recording that says nothing: %+v", m)
	}
	if r.Config() != cfg || fmt.Sprint(r.Channels(), r.Unmapped()) != "[voltage_a_v_inst current_a_a_inst] []" || r.Close() != nil {
		t.Errorf("%v %v", r.Channels(), r.Unmapped())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct{ path, want string }{
		"nothing":          {filepath.Join(dir, "none.cfg"), "open recording"},
		"no data":          {write("alone.cfg", vectorCfg), "open the recording's data"},
		"no configuration": {write("empty.cfg", ""), "empty.cfg: comtrade cfg"},
		"no cff":           {write("text.CFF", "hello\n"), "text.CFF: comtrade cff: it ends before its section of data"},
	} {
		if _, err := Open(c.path, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// An ending in capitals is found; binary data is measured before it is read.
	path := write("loud.cfg", vectorCfg)
	write("loud.DAT", "1,0,1,1,0\n2,0,1,1,0\n3,0,1,1,0\n")
	r, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(t, r); len(got) != 3 || err != nil || r.Close() != nil {
		t.Errorf("%d samples, %v", len(got), err)
	}
	path = write("short.cfg", replaced(t, "ASCII", "BINARY"))
	for bytes, short := range map[int]bool{3*14 - 1: true, 3 * 14: false} {
		write("short.dat", strings.Repeat("\x00", bytes))
		r, err := Open(path, nil)
		if errors.Is(err, ErrShort) != short {
			t.Errorf("%d bytes: %v", bytes, err)
		}
		if err == nil {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestIsRecording(t *testing.T) {
	for path, want := range map[string]bool{"a.cfg": true, "b/A.CFG": true, "a.cFf": true, "a.dat": false, "a.csv": false, "cfg": false} {
		if IsRecording(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

const head = "--- file type: CFG ---\n" + vectorCfg

func TestCFF(t *testing.T) {
	const data = "1,0,1,1,0\n2,0,1,1,0\n3,0,1,1,0\n"
	for name, c := range map[string]struct{ text, want string }{
		"plain":            {head + "--- file type: DAT ASCII ---\n" + data, ""},
		"BOM and letters":  {"\ufeff-- FILE TYPE: cfg --\r\n" + vectorCfg + "-file type:dat ascii-\r\n" + data, ""},
		"INF is skipped":   {head + "--- file type: INF ---\nhello,\n--- file type: DAT ASCII ---\n" + data, ""},
		"no configuration": {"--- file type: DAT ASCII ---\n" + data, "no configuration before the data"},
		"no data":          {head, "it ends before its section of data"},
		"other format":     {head + "--- file type: DAT BINARY ---\n" + data, `its data section is "BINARY" and its configuration says ASCII`},
		"long line":        {head + strings.Repeat("x", maxLine+1) + "\n", "a line before the data is longer than 65536 bytes"},
		"long head":        {head + strings.Repeat(strings.Repeat("x", 4095)+"\n", 1024), "more than 4194304 bytes before the data"},
		"bad cfg":          {strings.Replace(head, "3,2A", "4,2A", 1) + "--- file type: DAT ASCII ---\n" + data, "comtrade cfg line 2"},
		"size":             {strings.Replace(head, "ASCII", "BINARY", 1) + "--- file type: DAT BINARY: 41 ---\n", "41 bytes; the configuration says 3 samples of 14 bytes, 42"},
		"size too large":   {strings.Replace(head, "ASCII", "BINARY", 1) + "--- file type: DAT BINARY: 99999999999999999999 ---\n", "size of the data"},
		"binary":           {strings.Replace(head, "ASCII", "BINARY", 1) + "--- file type: DAT BINARY: 42 ---\n" + strings.Repeat("\x00", 42), ""},
	} {
		r, err := NewCFFReader(strings.NewReader(c.text), nil)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := readAll(t, r); len(got) != 3 || err != nil {
			t.Errorf("%s: %d samples, %v", name, len(got), err)
		}
	}
}
